"""An act: what somebody asked for under a procedure, what approvers said of it, and its life.

Pure. Every change is a command that `decide` judges, by one table of what may follow what. That
something is approved is never believed of a row: before a run the signatures are counted again,
over exactly the bytes that are asked for. Custodians do the same on their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from strongroom.crypto.envelope import Envelope
from strongroom.errors import Refused, Waiting
from strongroom.procedures.parcel import Parcel
from strongroom.quorum import Acts


class State(StrEnum):
    """Where an act is in its life."""

    ASKED = "asked"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    ENDED = "ended"


class Event(StrEnum):
    """What can come of a command."""

    APPROVE = "approve"
    SUFFICE = "suffice"
    REFUSE = "refuse"
    EXPIRE = "expire"
    WITHDRAW = "withdraw"
    BEGIN = "begin"
    WAIT = "wait"
    FINISH = "finish"
    FAIL = "fail"
    END = "end"


LIFE: Final[Mapping[tuple[State, Event], State]] = {
    (State.ASKED, Event.APPROVE): State.ASKED,
    (State.ASKED, Event.SUFFICE): State.APPROVED,
    (State.ASKED, Event.REFUSE): State.REFUSED,
    (State.ASKED, Event.EXPIRE): State.EXPIRED,
    (State.ASKED, Event.WITHDRAW): State.WITHDRAWN,
    (State.ASKED, Event.END): State.ENDED,
    (State.APPROVED, Event.SUFFICE): State.APPROVED,
    (State.APPROVED, Event.REFUSE): State.REFUSED,
    (State.APPROVED, Event.EXPIRE): State.EXPIRED,
    (State.APPROVED, Event.WITHDRAW): State.WITHDRAWN,
    (State.APPROVED, Event.BEGIN): State.RUNNING,
    (State.APPROVED, Event.END): State.ENDED,
    # After a crash the same run goes on: custodians give the same answer to the same recipient.
    (State.RUNNING, Event.BEGIN): State.RUNNING,
    (State.RUNNING, Event.FINISH): State.DONE,
    (State.RUNNING, Event.FAIL): State.FAILED,
    # Custodians count the delay from the first run on, which did nothing and did not fail.
    (State.RUNNING, Event.WAIT): State.APPROVED,
    (State.RUNNING, Event.END): State.ENDED,
    # One that was killed must not stand in the way of the same command for ever.
    (State.RUNNING, Event.REFUSE): State.REFUSED,
    (State.RUNNING, Event.EXPIRE): State.EXPIRED,
    (State.RUNNING, Event.WITHDRAW): State.WITHDRAWN,
    # What failed for want of room or custodians need not be approved twice.
    (State.FAILED, Event.BEGIN): State.RUNNING,
    (State.FAILED, Event.REFUSE): State.REFUSED,
    (State.FAILED, Event.EXPIRE): State.EXPIRED,
    (State.FAILED, Event.WITHDRAW): State.WITHDRAWN,
    (State.FAILED, Event.END): State.ENDED,
}
"""What may follow what; every pair that is not here is refused."""
_VERBS: Final[Mapping[Event, str]] = {
    Event.APPROVE: "approve",
    Event.SUFFICE: "approve",
    Event.REFUSE: "refuse",
    Event.EXPIRE: "end",
    Event.WITHDRAW: "withdraw",
    Event.BEGIN: "run",
    Event.WAIT: "wait with",
    Event.FINISH: "end",
    Event.FAIL: "end",
    Event.END: "end",
}
OPEN: Final = frozenset({State.ASKED, State.APPROVED, State.RUNNING, State.FAILED})
"""The states from which an act may still be done."""


class OutOfOrder(Refused):
    """A command that does not fit the state that an act is in."""

    code = "out_of_order"


class TooEarly(Waiting):
    """An act whose delay has not passed: until then an approver may refuse it."""

    code = "too_early"


class TooFew(Waiting):
    """An act that lacks approvals."""

    code = "waiting_for_approval"


@dataclass(frozen=True, slots=True)
class Take:
    """An approver's signed word, for or against."""

    approval: Envelope


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Whoever asked does not want it any more."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Run it."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The run ended; `why` is the code of what went wrong, or nothing."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """The run did nothing, for a time must pass first; `why` is the code of what said so."""

    why: str


@dataclass(frozen=True, slots=True)
class End:
    """It can never be done any more, whoever approves it; `why` is the code of the reason."""

    why: str


Command = Take | Withdraw | Begin | Finish | Wait | End


@dataclass(frozen=True, slots=True)
class Act:
    """What was asked for, by which plan and policy, and what was said of it so far.

    `order` is the command as it was given, for whoever runs it: the plan that is made of it anew
    must be the one that was approved, so nothing rests on the order itself.
    """

    parcel: Parcel
    asked_at: datetime
    order: str
    state: State = State.ASKED
    given: tuple[Envelope, ...] = field(default=(), repr=False)
    """Approvals and refusals, one of each approver, sorted by approver."""
    why: str = ""
    """The code of what went wrong in the last run, or of what it waits for."""

    @classmethod
    def ask(cls, parcel: Parcel, now: datetime, order: str = "") -> "Act":
        """Return a new act; refuse a request that no approval could make good.

        Where custodians judge it they count its delay, and it is not counted here a second time.
        """
        request = parcel.request.check()
        delay = parcel.rules().rules[request.procedure].delay
        if not request.procedure.by_custodians and request.not_before < now + delay:
            raise Refused(
                "the request leaves too little time to refuse it",
                f"{request.procedure} waits {delay}",
            )
        return cls(parcel, now, order)

    @property
    def request(self) -> Acts.Request:
        """Return what is asked for."""
        return self.parcel.request

    @property
    def id(self) -> str:
        """Return the id of the request."""
        return self.request.request

    @property
    def policy(self) -> Acts.Policy:
        """Return the policy by which it is judged."""
        return self.parcel.rules()

    @property
    def is_open(self) -> bool:
        """Return whether it may still be done."""
        return self.state in OPEN

    @property
    def needed(self) -> int:
        """Return how many approvals the policy wants."""
        return self.policy.rules[self.request.procedure].approvals

    @property
    def said(self) -> tuple[Acts.Approval, ...]:
        """Return what approvers said; raises what names a wrong signature."""
        return self.policy.check_given(self.request, self.given)

    @property
    def counted(self) -> int:
        """Return how many approvals count: the requester's does not, where others could approve."""
        alone = self.policy.mode == "single"
        return sum(
            one.decision == "approve" and (alone or one.approver != self.request.requester)
            for one in self.said
        )

    def at(self, now: datetime) -> "Act":
        """Return it as it is at this time: what nobody ran until it expires has expired."""
        if now < self.request.expires or (self.state, Event.EXPIRE) not in LIFE:
            return self
        return self._after(Event.EXPIRE)

    def decide(self, command: Command, now: datetime) -> "Act":
        """Return it after a command; raises OutOfOrder, Waiting, or what a signature lacks."""
        # What ran in time may end later: how a run ended is heard whenever that is.
        act = self if isinstance(command, Finish | Wait | End) else self.at(now)
        match command:
            case Take():
                return act._take(command.approval)
            case Withdraw():
                return act._after(Event.WITHDRAW)
            case Begin():
                return act._begin(now)
            case Finish():
                event = Event.FAIL if command.why else Event.FINISH
                return replace(act._after(event), why=command.why)
            case Wait():
                return replace(act._after(Event.WAIT), why=command.why)
            case End():
                return replace(act._after(Event.END), why=command.why)
            case _:
                assert_never(command)

    def _take(self, approval: Envelope) -> "Act":
        # Judged alone first, so that an error speaks of this one and of no other.
        (word,) = self.policy.check_given(self.request, [approval])
        given = dict(zip((one.approver for one in self.said), self.given, strict=True))
        if word in self.said:
            return self
        given[word.approver] = approval
        taken = replace(self, given=tuple(given[one] for one in sorted(given)))
        if word.decision == "refuse":
            return taken._after(Event.REFUSE)
        enough = taken.counted >= taken.needed
        return taken._after(Event.SUFFICE if enough else Event.APPROVE)

    def _begin(self, now: datetime) -> "Act":
        running = self._after(Event.BEGIN) if self.state is not State.ASKED else None
        if running is None:
            raise TooFew(
                f"request {self.id[:8]} waits for approval",
                f"{self.counted} of {self.needed} approvals that count",
            )
        # The row that says so may have been changed by anybody: only signatures count.
        self.policy.check_approved(self.request, self.given)
        if now < self.request.not_before:
            raise TooEarly(
                f"request {self.id[:8]} is approved and must wait",
                f"until {self.request.not_before:%Y-%m-%d %H:%M:%S} Z, so that it can be refused",
            )
        return replace(running, why="")

    def _after(self, event: Event) -> "Act":
        following = LIFE.get((self.state, event))
        if following is None:
            short = self.id[:8]
            raise OutOfOrder(
                f"request {short} is {self.state}",
                f"it is too late to {_VERBS[event]} it",
                f"`strongroom procedure show {short}` tells what became of it; ask anew for what "
                "is wanted.",
            )
        return replace(self, state=following)
