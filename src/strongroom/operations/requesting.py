"""Asking: what somebody wants done waits until others have approved exactly that.

A request, its plan and the command that made it are kept at the desk. The same command again finds
what it asked for and goes on with it. The key to which custodians will seal their answer is drawn
with the request, because approvers sign for it, and is sealed in the home until the act is over.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from strongroom.clients import Client, History
from strongroom.crypto import public_sealing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Refused, StrongroomError, UsageError, Waiting
from strongroom.facts import Fact
from strongroom.ids import new_id
from strongroom.operations.deployment import Deployment
from strongroom.operations.intent import Unwitnessed
from strongroom.operations.log_keys import LogKeys
from strongroom.operations.policies import kept_policy
from strongroom.operations.witnessing import OpenLog, have_witnessed
from strongroom.procedures import Act, Desk, Parcel, Plan, check_words
from strongroom.quorum import Acts

LIFE: Final = timedelta(days=7)
"""How long something may be run once its delay has passed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants done; `order` is the command as it was given."""

    procedure: Acts.Procedure
    params: Mapping[str, str | int]
    plan: Plan
    order: str
    snapshot: tuple[str, int] | None = None
    """Hash and number of sessions, where keys are opened."""


@dataclass(frozen=True, slots=True)
class Permit:
    """What custodians are shown of an act that was approved, and the key they answer to.

    `seed` is empty where no keys are opened.
    """

    request: Acts.Request
    approvals: tuple[Envelope, ...]
    seed: bytes = field(repr=False)


class NeedsApproval(Waiting):
    """Something that waits for other people; what they need to know is in the hint."""

    code = "waiting_for_approval"


class OnlyByApproval(Refused):
    """A command that opens keys, in a team, and is none of those that can ask for it."""

    code = "only_by_approval"
    hint = "`restore`, `browse` and `diff` ask the team; nothing was opened."


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
    """Ask for something, or go on with what was approved; None where one person decides.

    Raises Waiting, after asking where nobody has, until it is approved; and Refused where it is
    not any more what was approved.
    """
    if not needs_team(deployment):
        yield None
        return
    act = find_open(deployment, wish.order)
    if act is None:
        raise waits(ask(deployment, wish, of))
    if act.request.plan != wish.plan.digest:
        raise Refused(
            f"request {act.id[:8]} is not what would be done now",
            "what it would do has changed since it was asked for",
            hint=f"Withdraw it with `strongroom procedure withdraw {act.id[:8]}` and ask again.",
        )
    if act.counted < act.needed:
        raise waits(act)
    with running(deployment, act, witnessed=False):
        seed = b"" if wish.snapshot is None else recipient_seed(deployment, act)
        yield Permit(act.request, act.given, seed)


def ask(
    deployment: Deployment, wish: Wish, of: tuple[Client, History] | None = None, reason: str = ""
) -> Act:
    """Ask for something, durably; `of` is the client whose it is, with its open database."""
    tools = deployment.tools
    envelope = kept_policy(deployment.registry)
    if envelope is None:
        raise Refused("nothing can be asked for here", "this home has no team policy")
    policy = Acts.Policy.parse(envelope)
    request, now = new_id(tools.token), tools.clock.now()
    rule = policy.rules[wish.procedure]
    client = None if of is None else of[0]
    seed = tools.token(public_sealing.SEED_BYTES)
    parcel = Parcel(
        Acts.Request(
            install=deployment.install,
            request=request,
            procedure=wish.procedure,
            params=wish.params,
            client=None if client is None else client.id,
            wanted=_wanted(wish, seed),
            plan=wish.plan.digest,
            requester=deployment.operator,
            origin=_origin(deployment, of),
            policy=policy.id,
            not_before=now + rule.delay,
            expires=now + rule.delay + LIFE,
            nonce=new_id(tools.token),
        ),
        wish.plan,
        envelope,
    )
    act = Act.ask(parcel, now, wish.order)
    fact = deployment.fact(
        "procedure.requested",
        act.id,
        private={"reason": reason} if reason else None,
        procedure=str(wish.procedure),
        digest=parcel.request.digest,
        plan=wish.plan.digest,
        approvals=rule.approvals,
        delay_seconds=int(rule.delay.total_seconds()),
        of_client=None if client is None else str(client.id),
    )
    if wish.snapshot is not None:
        # Before the row: an act without its key could be approved and never be run.
        tools.secrets.write(_recipient(act), seed)
    deployment.desk.ask(act, fact)
    return act


def waits(act: Act) -> NeedsApproval:
    """Return what tells, of something that was asked for, what it waits for and what is next."""
    short = act.id[:8]
    return NeedsApproval(
        f"{act.request.procedure} waits for approval: request {short}",
        f"{act.counted} of {act.needed} approvals that count; check words: "
        f"{' '.join(check_words(act.request.digest))}",
        hint=f"`strongroom procedure show {short} --to FILE` for an approver, who runs "
        f"`strongroom procedure approve FILE --device DEVICE`; then `strongroom procedure take` "
        f"what comes back and run this command again.",
    )


def find_to_run(deployment: Deployment, prefix: str) -> Act:
    """Return the act whose id begins so; raises Waiting, naming what is missing, or OutOfOrder."""
    now = deployment.tools.clock.now()
    act = deployment.desk.find(prefix).at(now)
    if act.request.procedure is not Acts.Procedure.RESTORE:
        raise UsageError(
            f"a {act.request.procedure} is not run by its request",
            "what it shows depends on the command",
            hint="Run the same command again: it continues when it is approved.",
        )
    if act.is_open and act.counted < act.needed:
        raise waits(act)
    act.decide(Desk.Begin(), now)
    return act


def take(deployment: Deployment, word: Envelope) -> Act:
    """Take an approver's word about something that was asked for here; return what became of it."""
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
    return deployment.tools.secrets.read(_recipient(act))


def forget_recipient(deployment: Deployment, act: Act) -> None:
    """Remove the key of an act that is over."""
    if not act.is_open and deployment.tools.secrets.has(_recipient(act)):
        deployment.tools.secrets.remove(_recipient(act))


@contextmanager
def running(deployment: Deployment, before: Act, *, witnessed: bool = True) -> Iterator[Act]:
    """Run what was approved: announce it, do what the caller does, and record how it went.

    With `witnessed` False the act comes to an announcement of its own, before anything leaves or
    changes. Raises Waiting where approvals or time are missing, and does nothing then.
    """
    now = deployment.tools.clock.now
    begun = before.decide(Desk.Begin(), now())
    intent = deployment.intent(
        "procedure.run",
        before.id,
        procedure=str(before.request.procedure),
        digest=before.request.digest,
    )
    deployment.desk.change(before, begun, [intent])
    try:
        if witnessed:
            _have_witnessed(deployment)
        yield begun
    except BaseException as err:
        code = err.code if isinstance(err, StrongroomError) else "interrupted"
        out: Literal["denied", "error"] = "denied" if isinstance(err, Refused) else "error"
        with suppress(StrongroomError):
            _finish(deployment, begun, deployment.result(intent, out, code), code)
        raise
    result = deployment.result(
        intent, procedure=str(before.request.procedure), digest=before.request.digest
    )
    _finish(deployment, begun, result, "")


def _finish(deployment: Deployment, begun: Act, result: Fact, why: str) -> None:
    after = begun.decide(Desk.Finish(why), deployment.tools.clock.now())
    deployment.desk.change(begun, after, [result])
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
    recipient = hashlib.sha256(public_sealing.public_key(seed)).hexdigest()
    return Acts.Wanted(snapshot, sessions, recipient)


def _origin(deployment: Deployment, of: tuple[Client, History] | None) -> str:
    """Return the origin of the log that will announce it."""
    tools = deployment.tools
    keys = LogKeys.read(deployment.install, tools.secrets, tools.token)
    log = deployment.registry.log if of is None else of[1].log
    epoch = keys.begin(log, None if of is None else of[0].id, tools.clock.now())
    if epoch.origin is None:
        raise StrongroomError("the log of this cannot be named", "it has no origin")
    return epoch.origin


def _recipient(act: Act) -> str:
    return f"recipient-{act.id}"
