"""Grants: what is asked for is stated, approved, announced and proven before custodians act on it.

In mode `single` the person of this home approves with the device key here; in mode `team` others
have approved before, each on a machine of their own (room `procedures`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import ClassVar, Final, TypeAlias

from strongroom.clients import Client
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Refused, StrongroomError
from strongroom.facts import Fact
from strongroom.ids import new_id
from strongroom.ledger import Checkpoint
from strongroom.operations.deployment import Deployment
from strongroom.operations.log_keys import LogKeys
from strongroom.operations.policies import current_policy, hand_over_policies
from strongroom.operations.witnessing import OpenLog, Witnessed
from strongroom.quorum import Acts, Custodian, Opening

Procedure: TypeAlias = Acts.Procedure
LIFE: Final = timedelta(hours=1)
"""How long a request that is approved at once may still be used."""


class TeamDecides(Refused):
    """A team decides here, and nobody of it was asked."""

    code = "needs_approval"
    hint = "Ask with `restore`, `browse` or `diff`: approvers sign, and the same command goes on."


@dataclass(frozen=True, slots=True)
class Act:
    """What keys are opened for; `params` as the procedure has them."""

    RESTORE: ClassVar = Procedure.RESTORE

    procedure: Procedure = Procedure.BROWSE
    params: Mapping[str, str | int] = field(default_factory=dict)


BROWSE: Final = Act()


@dataclass(frozen=True, slots=True)
class Approved:
    """A request with what approvers said of it, before it is announced."""

    request: Acts.Request
    approvals: tuple[Envelope, ...]
    how: str
    """`team`, `single`, or `unattended` where the key file alone signs."""

    @property
    def digest(self) -> str:
        """Return what the announcement commits to."""
        return Acts.Grant.digest(self.request, self.approvals)


def approve_alone(
    deployment: Deployment, client: Client, log: OpenLog, opening: Opening, act: Act
) -> Approved:
    """State what is asked for, and approve it with the device key of this home.

    Raises TeamDecides where the policy is a team's, and what `DeviceKey.seed` raises.
    """
    policy = current_policy(deployment)
    if policy.mode != "single":
        raise TeamDecides("a team decides here", f"policy version {policy.version} names it")
    snapshot = opening.request.snapshot.hash.hex()
    origin = origin_of(deployment, log, opening.request.request, snapshot)
    tools, device = deployment.tools, deployment.tools.device
    seed, now = device.seed(), deployment.tools.clock.now()
    recovery = act.procedure == Procedure.RECOVERY
    request = Acts.Request(
        install=deployment.install,
        request=opening.request.request,
        procedure=act.procedure,
        params=Acts.recovery_params(origin) if recovery else act.params,
        client=client.id,
        wanted=opening.wanted,
        plan=None,
        requester=signing.key_id(signing.public_key(seed)),
        origin=origin,
        policy=policy.id,
        not_before=now,
        expires=now + LIFE,
        nonce=new_id(tools.token),
    ).check()
    approval = Acts.Approval.sign(seed, request, "approve", now)
    return Approved(request, (approval,), "unattended" if device.unattended else "single")


def origin_of(deployment: Deployment, log: OpenLog, request: str, snapshot: str) -> str:
    """Return the origin of the log that will hold the announcement.

    A log is named after its first fact. In an empty one, of a client that was just recovered, that
    is a note that custodians are asked: the announcement itself has to say where it will lie.
    `snapshot` is the one whose keys are wanted; the server's log is never empty, and needs none.
    """
    tools = deployment.tools
    if not log.log.size() and log.client is not None:
        log.record(deployment.fact("keys.asked", log.client, snapshot=snapshot, request=request))
    keys = LogKeys.read(deployment.install, tools.secrets, tools.token)
    epoch = keys.begin(log.log, log.client, tools.clock.now())
    if epoch.origin is None:
        raise Refused(f"{log.name} has no name yet", "nothing can be announced in it")
    return epoch.origin


def prove(
    deployment: Deployment, approved: Approved, intent: Fact, witnessed: Witnessed
) -> Acts.Grant:
    """Return the grant: the announcement as it stands in the log that the quorum cosigned.

    Of a recovery custodians are told first: raises Unheard where too few can be.
    """
    log, checkpoint = witnessed.log.log, witnessed.checkpoint
    number = log.number_of(intent.id)
    if number is None or checkpoint is None or checkpoint.size <= number:
        raise Refused("the announcement is in no checkpoint", "another command was faster")
    cards = deployment.registry.witness_cards()
    proven = Acts.Proven(
        leaf=log.leaf(number),
        number=number,
        inclusion=tuple(log.inclusion(number, checkpoint.size)),
        note=witnessed.note,
        cards=tuple(decode_envelope(cards[index], "a witness card") for index in sorted(cards)),
    )
    recovery = approved.request.procedure is Procedure.RECOVERY
    hearings = _tell_custodians(deployment, approved) if recovery else ()
    return Acts.Grant(approved.request, approved.approvals, proven, hearings)


def _tell_custodians(deployment: Deployment, approved: Approved) -> tuple[Envelope, ...]:
    """Tell every custodian of a recovery; return the words of those that heard."""
    policy = current_policy(deployment)
    told = {
        index: partial(_tell, deployment, custodian, approved)
        for index, custodian in deployment.custodians.items()
    }
    heard: dict[int, Envelope] = {}
    named = deployment.roster.member
    reasons = {str(named(index)): err for index, err in deployment.absent_custodians.items()}
    for index, outcome in deployment.asking.each(told):
        try:
            heard[index] = outcome.result()
        except StrongroomError as err:
            reasons[str(named(index))] = err
    if len(heard) < policy.cosignatures:
        raise Acts.Unheard(
            f"{len(heard)} of {policy.cosignatures} custodians needed were told of the recovery",
            "; ".join(f"{who}: {err}" for who, err in sorted(reasons.items())),
        )
    return tuple(heard[index] for index in sorted(heard))


def _tell(deployment: Deployment, custodian: Custodian, approved: Approved) -> Envelope:
    """Return one custodian's hearing; it is handed the policies that it lacks."""
    try:
        return custodian.hear(approved.request, approved.approvals)
    except (Acts.NoPolicy, Acts.OtherPolicy):
        hand_over_policies(deployment, custodian)
    return custodian.hear(approved.request, approved.approvals)


def follow(grant: Acts.Grant, log: OpenLog, checkpoint: Checkpoint, seen: int) -> Acts.Grant:
    """Return the grant for a custodian that has seen this many facts of the log."""
    first, second = sorted((checkpoint.size, seen))
    proof = log.log.consistency(first, second) if first else []
    return grant.leading(tuple(proof))
