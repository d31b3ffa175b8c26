"""What was asked for and is not over: who asked, until when, and by which command it goes on.

A request is bound to a policy, a log, and to what it names. Where one of them is gone it can never
be done any more, whoever approves it; that is told at once, and not when a command comes by.
"""

from dataclasses import dataclass
from datetime import datetime

from strongroom.clients import Client
from strongroom.crypto import canonical, signing
from strongroom.crypto.envelope import decode_envelope
from strongroom.operations.deployment import Deployment
from strongroom.operations.policies import current_policy
from strongroom.procedures import Act, Desk
from strongroom.quorum import Acts, Roster


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that is not over and that destroys something, or changes who is trusted."""

    request: str
    procedure: str
    what: str
    """The first line of what its approvers read."""
    state: str
    asked_by: str
    asked_at: datetime
    approvals: int
    approvals_needed: int
    expires_at: datetime
    command: str
    """What goes on with it, without the program's name."""


def acts_now(deployment: Deployment) -> list[Act]:
    """Return every act as it is now: what expired, or can never be done any more, is over."""
    now = deployment.tools.clock.now()
    found: list[Act] = []
    for kept in deployment.desk.acts():
        act = kept.at(now)
        cause = _outlived(deployment, act) if act.is_open else ""
        found.append(act.decide(Desk.End(cause), now) if cause else act)
    return found


def look_at_pending(deployment: Deployment) -> list[Pending]:
    """Return the dangerous requests that are not over, in the order they were asked for.

    What only opens keys of this home's own clients is not among them: `procedure list` shows all.
    """
    opening = (Acts.Procedure.RESTORE, Acts.Procedure.BROWSE)
    return [
        Pending(
            act.id,
            str(act.request.procedure),
            act.parcel.plan.lines[0],
            str(act.state),
            _asked_by(deployment, act),
            act.asked_at,
            act.counted,
            act.needed,
            act.request.expires,
            _command(deployment, act),
        )
        for act in acts_now(deployment)
        if act.is_open and act.request.procedure not in opening
    ]


def _outlived(deployment: Deployment, act: Act) -> str:
    """Return the code of why a request can never be done any more; nothing where it can."""
    request, policy = act.request, current_policy(deployment)
    client = _client_of(deployment, act)
    seated = {member.id for member in deployment.roster.members}
    # A change is judged by the policy before it, also while custodians are told of it again.
    changes = request.params.get("policy") == policy.id
    if request.policy != policy.id and not changes:
        return "other_policy"
    erasing = request.procedure is Acts.Procedure.CLIENT_ERASURE
    if client is not None and client.erasure is not None and not erasing:
        return "erased_client"
    if request.procedure is Acts.Procedure.LOCATION_REMOVAL and _location(deployment, act) is None:
        return "no_location"
    rotating = request.procedure is Acts.Procedure.CUSTODIAN_ROTATE
    if rotating and request.params["custodian"] not in seated:
        return "no_custodian"
    if not _names_roster(deployment, act):
        return "other_roster"
    return "" if request.origin == _origin(deployment, act, client) else "other_log"


def _names_roster(deployment: Deployment, act: Act) -> bool:
    """Tell whether the roster that an act names is still the one to do it by; others name none.

    An enrolment's follows the one of now; or it has held already, and who was away is to be told.
    """
    procedure, named = act.request.procedure, act.request.params.get("roster")
    if procedure is Acts.Procedure.CUSTODIAN_REDEAL:
        return named == deployment.roster.id
    known = {roster.id for roster in deployment.rosters.rosters}
    if procedure is not Acts.Procedure.CUSTODIAN_ENROL or named in known:
        return True
    newcomer = deployment.registry.rosters.newcomers().get(int(act.request.params["index"]))
    if newcomer is None or newcomer.roster is None:
        return False
    signed = Roster.parse(decode_envelope(newcomer.roster, "the next roster"), None)
    return (signed.id, signed.version) == (named, deployment.roster.version + 1)


def _origin(deployment: Deployment, act: Act, client: Client | None) -> str:
    """Return the origin of the log that has to announce an act; its own where none is known.

    That of a client who is not known here yet, as in a recovery, is known to nobody.
    """
    origin: str | None = None
    if act.request.wanted is None:
        origin = deployment.registry.log.epoch().origin
    elif client is not None:
        with deployment.tools.history(client.id) as history:
            origin = history.log.epoch().origin
    return origin or act.request.origin


def _client_of(deployment: Deployment, act: Act) -> Client | None:
    clients = deployment.registry.clients()
    return next((one for one in clients if one.id == act.request.client), None)


def _location(deployment: Deployment, act: Act) -> str | None:
    places = deployment.registry.locations()
    wanted = act.request.params["location"]
    return next((place.name for place in places if place.id == wanted), None)


def _asked_by(deployment: Deployment, act: Act) -> str:
    """Return who asked: the operator, known here by a pseudonym or by a key, or an id."""
    install, requester = deployment.registry.install(), act.request.requester
    own = signing.key_id(install.operator_key)
    return "the operator" if requester in (install.operator, own) else requester


def _command(deployment: Deployment, act: Act) -> str:
    """Return what continues an act once it is approved, as it is typed."""
    params, short = act.request.params, act.id[:8]
    client = _client_of(deployment, act)
    name = "CLIENT" if client is None else client.name
    order = canonical.loads(act.order.encode())
    command = f"procedure show {short}"
    match act.request.procedure, order["procedure"]:
        case Acts.Procedure.LOCATION_REMOVAL, _:
            command = f"location remove {_location(deployment, act)}"
        case Acts.Procedure.CLIENT_ERASURE, _:
            command = f"client erase {name}"
        case Acts.Procedure.PRUNE_BELOW_FLOOR, _:
            some = "" if order["oldest"] is None else f" --oldest {order['oldest']}"
            command = f"vault prune {name} --below-floor{some}"
        case Acts.Procedure.CUSTODIAN_ENROL, _:
            command = _enrolment(deployment, act) or command
        case Acts.Procedure.CUSTODIAN_ROTATE, _:
            members = deployment.roster.members
            (custodian,) = (one.name for one in members if one.id == params["custodian"])
            drop = " --drop-former" if order["drop"] else ""
            command = f"custodian rotate {custodian} --client {name}{drop}"
        case Acts.Procedure.CUSTODIAN_REDEAL, _:
            ever = (one for roster in deployment.rosters.rosters for one in roster.members)
            custodian = next(one.name for one in ever if one.id == params["custodian"])
            command = f"custodian redeal {custodian}"
        case Acts.Procedure.POLICY_CHANGE, _:
            command = "policy change FILE"
        case Acts.Procedure.RECOVERY, Acts.Procedure.RECOVERY:
            command = "recover"
        case Acts.Procedure.RECOVERY, Acts.Procedure.RESTORE:
            command = f"procedure run {short}"
    return command


def _enrolment(deployment: Deployment, act: Act) -> str:
    index = act.request.params["index"]
    newcomer = deployment.registry.rosters.newcomers().get(int(index))
    if newcomer is None:
        return ""
    named = f"{newcomer.name}={newcomer.url}" if newcomer.url else newcomer.name
    return f"custodian enrol {named} --replaces {deployment.roster.member(newcomer.index).name}"
