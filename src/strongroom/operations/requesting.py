"""Asking: what somebody wants done waits until others have approved exactly that.

A request, its plan and the command that made it are kept at the desk. The same command again finds
what it asked for and goes on with it. The key to which custodians will seal their answer is drawn
with the request, because approvers sign for it, and is sealed in the home until the act is over.
Where nobody is to read the answer it is forgotten at once, and its public half kept.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final, Literal

from strongroom.clients import Client, History
from strongroom.crypto import canonical, public_sealing, signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Refused, StrongroomError, UsageError, Waiting
from strongroom.facts import Fact
from strongroom.ids import new_id
from strongroom.operations.deployment import Deployment
from strongroom.operations.grants import origin_of
from strongroom.operations.intent import Unwitnessed
from strongroom.operations.policies import current_envelope, current_policy, kept_policy
from strongroom.operations.witnessing import OpenLog, have_witnessed
from strongroom.procedures import Act, Desk, Parcel, Plan, check_words
from strongroom.quorum import Acts

LIFE: Final = timedelta(days=7)
"""How long something may be run once its delay has passed."""
SHOWN: Final = "shown-"
"""How the name begins by which the home keeps a recovery's public key, once nobody reads by it."""
_RECIPIENT: Final = "recipient-"
_PUT_BACK: Final = "the log of this client began anew when the home was put back"


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants done; `order` is the command as it was given."""

    procedure: Acts.Procedure
    params: Mapping[str, str | int]
    plan: Plan
    order: str
    snapshot: tuple[str, int] | None = None
    """Hash and number of sessions, where keys are opened."""
    answered: bool = False
    """Whether custodians answer to a key that the parameters name, though no snapshot is opened."""
    unread: bool = False
    """Whether nobody is to read the answer: the home keeps the public key alone, from the start."""

    @property
    def sealed(self) -> bool:
        """Tell whether custodians seal an answer to a key that is drawn with the request."""
        return self.answered or self.snapshot is not None


@dataclass(frozen=True, slots=True)
class Permit:
    """What custodians are shown of an act that was approved, and the key they answer to.

    `seed` is empty where no keys are opened, or nobody is to read what opens them.
    """

    request: Acts.Request
    approvals: tuple[Envelope, ...]
    seed: bytes = field(repr=False)
    announced: Fact | None = None
    """The announcement of the run, as it stands in the server's log."""


@dataclass(frozen=True, slots=True)
class Run:
    """An act that is being run, and the fact that announces it."""

    act: Act
    announced: Fact


class NeedsApproval(Waiting):
    """Something that waits for other people; what they need to know is in the hint."""

    code = "waiting_for_approval"


class OnlyByApproval(Refused):
    """A command that opens keys, in a team, and is none of those that can ask for it."""

    code = "only_by_approval"
    hint = "`restore`, `browse`, `diff` and `vault check --read-data` ask the team."


def needs_team(deployment: Deployment) -> bool:
    """Tell whether others must approve what this home asks custodians for."""
    envelope = kept_policy(deployment.registry)
    return envelope is not None and Acts.Policy.parse(envelope).mode == "team"


def find_open(deployment: Deployment, order: str) -> Act | None:
    """Return what this very command asked for last, where that can still be done."""
    now = deployment.tools.clock.now()
    found = [one.at(now) for one in deployment.desk.acts() if one.order == order]
    return next((one for one in reversed(found) if one.is_open), None)


def asked_snapshot(deployment: Deployment, order: str) -> str | None:
    """Return the snapshot that this very command asked for, where it did and that is not over."""
    act = find_open(deployment, order) if needs_team(deployment) else None
    return None if act is None or act.request.wanted is None else act.request.wanted.snapshot


@contextmanager
def permitted(
    deployment: Deployment, of: tuple[Client, History] | None, wish: Wish
) -> Iterator[Permit | None]:
    """Ask for something, or go on with what was approved.

    None where keys are opened and one person decides: that is approved when they are asked for.
    Everything else that is dangerous is asked for in both modes; where one person decides, the
    device key of this home approves it at once, and what remains is the delay.

    Raises Waiting, after asking where nobody has, until it is approved and its time has come; and
    Refused where it is not any more what was approved.
    """
    if wish.snapshot is not None and not needs_team(deployment):
        yield None
        return
    act = _asked_for(deployment, of, wish)
    try:
        with running(deployment, act, witnessed=False) as run:
            reads = wish.sealed and not wish.unread
            seed = recipient_seed(deployment, act) if reads else b""
            yield Permit(act.request, act.given, seed, run.announced)
    except Acts.OtherLog as err:
        if wish.snapshot is None or act.request.procedure is Acts.Procedure.RECOVERY:
            raise
        # Custodians know this client by another log: what opens keys from now on is a recovery.
        raise waits(ask(deployment, wish, of, recovery=True), str(err)) from err


def _asked_for(deployment: Deployment, of: tuple[Client, History] | None, wish: Wish) -> Act:
    """Return what this very command asked for, once enough have approved it."""
    act, policy, why = find_open(deployment, wish.order), current_policy(deployment), ""
    recovery = Acts.Procedure.RECOVERY in (
        wish.procedure,
        None if act is None else act.request.procedure,
    )
    if act is not None:
        origin = _origin(deployment, of, wish, act.id)
        # A change of the policy is told to those who were away under the policy before.
        changes = act.request.procedure is Acts.Procedure.POLICY_CHANGE
        same_policy = changes or act.request.policy == policy.id
        if not same_policy or act.request.origin != origin:
            # Custodians would refuse it for ever, whoever approves it.
            end(deployment, act, "other_log" if same_policy else "other_policy")
            recovery = wish.procedure is Acts.Procedure.RECOVERY or (
                wish.snapshot is not None and act.request.origin != origin
            )
            since = "the log of it began anew" if same_policy else "the team policy has changed"
            why = f"{since} since request {act.id[:8]}, which can never be done any more"
            act = None
    if act is None:
        if not recovery and wish.snapshot is not None and of is not None and _put_back(of[1]):
            recovery, why = True, why or _PUT_BACK
        act = ask(deployment, wish, of, recovery=recovery)
    elif act.request.plan != _planned(wish, recovery=recovery).digest:
        raise Refused(
            f"request {act.id[:8]} is not what would be done now",
            "what it would do has changed since it was asked for",
            hint=f"Withdraw it with `strongroom procedure withdraw {act.id[:8]}` and ask again.",
        )
    if act.counted < act.needed and policy.mode == "single":
        act = _approve_alone(deployment, act)
    if act.counted < act.needed:
        raise waits(act, why)
    return act


def _put_back(history: History) -> bool:
    """Tell whether this log began anew in a home that was put back, and opened nothing since.

    Custodians know the client by the log before: what only a recovery opens is asked for as one at
    once, and is not approved in vain first.
    """
    begun = history.log.facts("ledger.epoch_begun")
    opened = (one for one in history.log.facts("keys.opened") if one.phase == "result")
    put_back = any(one.body.get("cause") == "put_back" for one in begun)
    return put_back and all(one.out != "ok" for one in opened)


def _approve_alone(deployment: Deployment, act: Act) -> Act:
    """Sign with the device key of this home, which decides where one person does."""
    device = deployment.tools.device
    word = Acts.Approval.sign(device.seed(), act.request, "approve", deployment.tools.clock.now())
    return take(deployment, word, "unattended" if device.unattended else "single")


def ask(
    deployment: Deployment,
    wish: Wish,
    of: tuple[Client, History] | None = None,
    reason: str = "",
    *,
    recovery: bool = False,
) -> Act:
    """Ask for something, durably; `of` is the client whose it is, with its open database.

    With `recovery`, keys are asked for as of a log that custodians do not know as this client's.
    """
    tools, policy = deployment.tools, current_policy(deployment)
    requester = _requester(deployment, policy)
    request, now = new_id(tools.token), tools.clock.now()
    origin, plan = _origin(deployment, of, wish, request), _planned(wish, recovery=recovery)
    procedure = Acts.Procedure.RECOVERY if recovery else wish.procedure
    rule = policy.rules[procedure]
    # Where custodians decide they count the delay, and it is not to pass twice.
    not_before = now if procedure.by_custodians else now + rule.delay
    client = None if of is None or procedure.scope == "install" else of[0]
    seed = tools.token(public_sealing.SEED_BYTES)
    parcel = Parcel(
        Acts.Request(
            install=deployment.install,
            request=request,
            procedure=procedure,
            params=Acts.recovery_params(origin) if recovery else _params(wish, seed),
            client=None if client is None else client.id,
            wanted=_wanted(wish, seed),
            plan=plan.digest,
            requester=requester,
            origin=origin,
            policy=policy.id,
            not_before=not_before,
            expires=min(now + rule.delay + LIFE, not_before + Acts.Request.LIFE_MAX),
            nonce=new_id(tools.token),
        ),
        plan,
        current_envelope(deployment),
    )
    act = Act.ask(parcel, now, wish.order)
    fact = deployment.fact(
        "procedure.requested",
        act.id,
        private={"reason": reason} if reason else None,
        procedure=str(procedure),
        digest=parcel.request.digest,
        plan=plan.digest,
        approvals=rule.approvals,
        delay_seconds=int(rule.delay.total_seconds()),
        of_client=None if client is None else str(client.id),
    )
    kept = _recipient(act.id), seed
    if wish.unread:
        kept = SHOWN + act.id, public_sealing.public_key(seed)
    seal = partial(tools.secrets.write, *kept)
    deployment.desk.ask(act, fact, seal if wish.sealed else None)
    return act


def _planned(wish: Wish, *, recovery: bool) -> Plan:
    """Return what an approver reads of a wish, and what more of it as a recovery."""
    if not recovery:
        return wish.plan
    return Plan.of(
        "recovery: this home's log of the client began anew, and custodians know another one",
        "whoever approves says that this is the right home, and that its log counts from now on",
        *wish.plan.lines,
    )


def _requester(deployment: Deployment, policy: Acts.Policy) -> str:
    """Return who asks: by the device key of this home where the policy names it.

    Then its approval of what it has asked for does not count, in a team; where one person decides,
    a key that nobody opens approves nothing, and so asks for nothing.
    """
    if policy.mode == "single":
        return signing.key_id(signing.public_key(deployment.tools.device.seed()))
    own = signing.key_id(deployment.registry.install().operator_key)
    return own if own in policy.approvers else deployment.operator


def waits(act: Act, why: str = "") -> NeedsApproval:
    """Return what tells, of something that was asked for, what it waits for and what is next."""
    short = act.id[:8]
    return NeedsApproval(
        f"{act.request.procedure} waits for approval: request {short}",
        (f"{why}; " if why else "") + f"{act.counted} of {act.needed} approvals that count; "
        f"check words: {' '.join(check_words(act.request.digest))}",
        hint=f"`strongroom procedure show {short} --to FILE` for an approver, who runs "
        f"`strongroom procedure approve FILE --device DEVICE`; then `strongroom procedure take` "
        f"what comes back and run this command again.",
    )


def find_to_run(deployment: Deployment, prefix: str) -> Act:
    """Return the act whose id begins so; raises Waiting, naming what is missing, or OutOfOrder."""
    now = deployment.tools.clock.now()
    act = deployment.desk.find(prefix).at(now)
    if canonical.loads(act.order.encode())["procedure"] != Acts.Procedure.RESTORE:
        raise UsageError(
            f"a {act.request.procedure} is not run by its request",
            "what it shows depends on the command",
            hint="Run the same command again: it continues when it is approved.",
        )
    if act.is_open and act.counted < act.needed:
        raise waits(act)
    act.decide(Desk.Begin(), now)
    return act


def take(
    deployment: Deployment, word: Envelope, alone: Literal["single", "unattended"] | None = None
) -> Act:
    """Take an approver's word about something that was asked for here; return what became of it.

    `alone` labels that of the one person who decides here, by the device key of this home.
    """
    said = Acts.Approval.read(word)
    acts = [one for one in deployment.desk.acts() if one.request.digest == said.request]
    if not acts:
        raise UsageError(
            f"nothing that was asked for here has the digest {said.request[:12]}",
            "the approval is of another home, or of a request that was altered",
        )
    before = acts[0]
    after = before.decide(Desk.Take(word), deployment.tools.clock.now())
    if after == before:
        return before
    if said.decision == "refuse":
        fact = deployment.fact(
            "procedure.refused", before.id, approver=said.approver, digest=said.request
        )
    else:
        fact = deployment.fact(
            "procedure.approved",
            before.id,
            approver=said.approver,
            digest=said.request,
            counted=after.counted,
            enough=after.state is Desk.State.APPROVED,
            approved=alone,
        )
    deployment.desk.change(before, after, [fact])
    forget_recipient(deployment, after)
    return after


def withdraw(deployment: Deployment, before: Act, reason: str) -> Act:
    """Take back what was asked for."""
    after = before.decide(Desk.Withdraw(), deployment.tools.clock.now())
    fact = deployment.fact(
        "procedure.withdrawn",
        before.id,
        private={"reason": reason} if reason else None,
        digest=before.request.digest,
    )
    deployment.desk.change(before, after, [fact])
    forget_recipient(deployment, after)
    return after


def recipient_seed(deployment: Deployment, act: Act) -> bytes:
    """Return the seed of the key that custodians seal their answer to."""
    return deployment.tools.secrets.read(_recipient(act.id))


def forget_recipient(deployment: Deployment, act: Act) -> None:
    """Remove the key of an act that is over."""
    if not act.is_open and deployment.tools.secrets.has(_recipient(act.id)):
        deployment.tools.secrets.remove(_recipient(act.id))


def forget_recipients(deployment: Deployment) -> None:
    """Remove the key of every act that is over, and of none: who holds it could read an answer."""
    secrets, desk = deployment.tools.secrets, deployment.desk
    if not _needless(deployment, desk.acts() if secrets.names(_RECIPIENT) else []):
        return
    # Another command may be asking just now: it writes the key and the act in one step.
    with desk.unchanged() as acts:
        for name in _needless(deployment, acts):
            secrets.remove(name)


def _needless(deployment: Deployment, acts: Sequence[Act]) -> list[str]:
    """Return the names of recipients' keys that none of these acts needs."""
    now = deployment.tools.clock.now()
    needed = {_recipient(one.id) for one in acts if one.at(now).is_open}
    return [one for one in deployment.tools.secrets.names(_RECIPIENT) if one not in needed]


def end(deployment: Deployment, before: Act, cause: str) -> None:
    """End what can never be done as it was asked for; `cause` is the code of why not."""
    after = before.decide(Desk.End(cause), deployment.tools.clock.now())
    fact = deployment.fact("procedure.ended", before.id, digest=before.request.digest, cause=cause)
    deployment.desk.change(before, after, [fact])
    forget_recipient(deployment, after)


@contextmanager
def running(deployment: Deployment, before: Act, *, witnessed: bool = True) -> Iterator[Run]:
    """Run what was approved: announce it, do what the caller does, and record how it went.

    With `witnessed` False the act comes to an announcement of its own, before anything leaves or
    changes. Raises Waiting where approvals or time are missing, and does nothing then.
    """
    now = deployment.tools.clock.now
    begun = before.decide(Desk.Begin(), now())
    procedure, digest = str(before.request.procedure), before.request.digest
    grant = Acts.Grant.digest(before.request, before.given)
    intent = deployment.intent(
        "procedure.run", before.id, procedure=procedure, digest=digest, grant=grant
    )
    deployment.desk.change(before, begun, [intent])
    try:
        if witnessed:
            _have_witnessed(deployment)
        yield Run(begun, intent)
    except BaseException as err:
        code = err.code if isinstance(err, StrongroomError) else "interrupted"
        out: Literal["denied", "error"] = "error"
        if isinstance(err, Refused | Waiting):
            out = "denied"
        with suppress(StrongroomError):
            _finish(deployment, begun, deployment.result(intent, out, code), _ending(err, code))
        raise
    result = deployment.result(intent, procedure=procedure, digest=digest)
    _finish(deployment, begun, result, Desk.Finish())


def _ending(err: BaseException, code: str) -> Desk.Wait | Desk.End | Desk.Finish:
    """Return what comes of an act whose run ended so."""
    if isinstance(err, Waiting):
        return Desk.Wait(code)
    return Desk.End(code) if isinstance(err, Acts.OtherLog) else Desk.Finish(code)


def _finish(
    deployment: Deployment, begun: Act, result: Fact, how: Desk.Wait | Desk.End | Desk.Finish
) -> None:
    after = begun.decide(how, deployment.tools.clock.now())
    try:
        deployment.desk.change(begun, after, [result])
    except Desk.Overtaken:
        # It was withdrawn, refused or run twice meanwhile: that stays, and how this ended is told.
        deployment.registry.record(result)
        return
    forget_recipient(deployment, after)


def _have_witnessed(deployment: Deployment) -> None:
    (found,) = have_witnessed(deployment, [OpenLog.of_server(deployment)])
    if not found.enough:
        raise Unwitnessed(
            f"{found.cosigned} of {found.needed} custodians needed witnessed the announcement",
            found.reasons,
        )


def _wanted(wish: Wish, seed: bytes) -> Acts.Wanted | None:
    if wish.snapshot is None:
        return None
    snapshot, sessions = wish.snapshot
    return Acts.Wanted(snapshot, sessions, _recipient_of(seed))


def _params(wish: Wish, seed: bytes) -> Mapping[str, str | int]:
    return {**wish.params, "recipient": _recipient_of(seed)} if wish.answered else wish.params


def _recipient_of(seed: bytes) -> str:
    """Return how a request names the key of this seed."""
    return hashlib.sha256(public_sealing.public_key(seed)).hexdigest()


def _origin(
    deployment: Deployment, of: tuple[Client, History] | None, wish: Wish, request: str
) -> str:
    """Return the origin of the log that will announce it: the client's where keys are opened."""
    if of is None or wish.snapshot is None:
        return origin_of(deployment, OpenLog.of_server(deployment), request, "")
    return origin_of(deployment, OpenLog.of_client(*of), request, wish.snapshot[0])


def _recipient(act: str) -> str:
    return f"{_RECIPIENT}{act}"
