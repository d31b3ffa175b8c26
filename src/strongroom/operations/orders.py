"""Orders: custodians are told to do what was approved, and each signs for what it did.

The run of an act is announced in the server's log and witnessed; that is proved to every custodian,
side by side, and each judges it on its own. Its deed is kept with the act. Whoever is away, or
still waits, is told when the same command is run again: what was done is never done twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import PartlyDone, Refused, StrongroomError, Waiting
from strongroom.operations.deployment import Deployment
from strongroom.operations.grants import Approved, follow, prove
from strongroom.operations.intent import have_announced
from strongroom.operations.policies import hand_over_policies
from strongroom.operations.receipts import plain_reason
from strongroom.operations.requesting import Permit
from strongroom.operations.witnessing import OpenLog, Witnessed
from strongroom.quorum import Acts, Custodian, Roster


@dataclass(frozen=True, slots=True)
class Orders:
    """What came of an order, by the index of the custodian; one of them has done it at least."""

    deeds: Mapping[int, Acts.Deed]
    absent: Mapping[int, StrongroomError]
    """Why those who have not done it yet did not."""
    roster: Roster

    def check_complete(self, what: str) -> None:
        """Raise PartlyDone, naming everybody who has not done it yet; `what` begins the line."""
        check_all(what, self.roster, len(self.deeds), self.absent)


def check_all(what: str, roster: Roster, done: int, absent: Mapping[int, StrongroomError]) -> None:
    """Raise PartlyDone, naming those who have not done it yet; `what` begins the line."""
    if not absent:
        return
    away = ((roster.member(index), err) for index, err in absent.items())
    reasons = "; ".join(f"{member}: {plain_reason(member, err)}" for member, err in away)
    hint = "Run the same command again when they answer; who did it does not do it twice."
    if any(isinstance(err, Acts.OtherPolicy) for err in absent.values()):
        hint = (
            "Who follows another team policy does nothing that was approved under this one: finish "
            "`strongroom policy change`, then run the same command again. It asks anew, under the "
            "policy that holds then; who did it does not do it twice."
        )
    raise PartlyDone(f"{what} by {done} of {done + len(absent)} custodians", reasons, hint=hint)


def give_order(
    deployment: Deployment,
    permit: Permit | None,
    enclosed: Sequence[Envelope] = (),
    only: int | None = None,
) -> Orders:
    """Have every custodian do what was approved; `enclosed` are objects that its params name.

    `only` is the index of the one that it is about, where it is about one.

    To be called while the act runs (`permitted`). Raises Unwitnessed, and asks nobody, where too
    few custodians cosign; Waiting where all that answer wait for a veto; and the error of the first
    custodian where nobody has done it.
    """
    if permit is None or permit.announced is None:
        raise Refused("nothing can be ordered", "no run of it was announced")
    deeds = kept_deeds(deployment, permit.request)
    absent: dict[int, StrongroomError] = {
        index: err
        for index, err in deployment.absent_custodians.items()
        if index not in deeds and only in (None, index)
    }
    left = [one for one in deployment.custodians if one not in deeds and only in (None, one)]
    if left:
        witnessed = have_announced(deployment, OpenLog.of_server(deployment))
        approved = Approved(permit.request, permit.approvals, "")
        grant = prove(deployment, approved, permit.announced, witnessed)
        round_ = _Round(deployment, witnessed, deeds, absent)
        round_.give(dict.fromkeys(left, Acts.Order(grant, tuple(enclosed))))
    if not deeds:
        raise _nobody(absent)
    return Orders(dict(sorted(deeds.items())), dict(sorted(absent.items())), deployment.roster)


@dataclass(frozen=True, slots=True)
class Told:
    """Which custodians keep an approver's refusal from now on, and why others do not."""

    custodians: Sequence[int]
    missed: Mapping[int, StrongroomError]


def tell_refusal(deployment: Deployment, request: Acts.Request, word: Envelope) -> Told:
    """Tell every custodian that an approver refuses a request; the same word may be told again."""
    asked = {
        index: partial(_refuse, deployment, custodian, request, word)
        for index, custodian in deployment.custodians.items()
    }
    told: list[int] = []
    missed = dict(deployment.absent_custodians)
    for index, answer in deployment.asking.each(asked):
        try:
            answer.result()
            told.append(index)
        except StrongroomError as err:
            missed[index] = err
    return Told(sorted(told), dict(sorted(missed.items())))


def _refuse(
    deployment: Deployment, custodian: Custodian, request: Acts.Request, word: Envelope
) -> None:
    """Tell one custodian; it is handed the policies that it lacks."""
    try:
        custodian.refuse(request, word)
    except (Acts.NoPolicy, Acts.OtherPolicy):
        hand_over_policies(deployment, custodian)
        custodian.refuse(request, word)


def kept_deeds(deployment: Deployment, request: Acts.Request) -> dict[int, Acts.Deed]:
    """Return the deeds of a request that the home keeps, by the index of the custodian."""
    words = kept_words(deployment, request)
    return {index: Acts.Deed.read(word) for index, word in words.items()}


def kept_words(deployment: Deployment, request: Acts.Request) -> dict[int, Envelope]:
    """Return the same deeds as the custodians signed them."""
    kept = deployment.desk.deeds(request.request)
    return {index: decode_envelope(data, "a deed") for index, data in kept.items()}


@dataclass(frozen=True, slots=True)
class _Round:
    """An order on its way through the custodians."""

    deployment: Deployment
    witnessed: Witnessed
    deeds: dict[int, Acts.Deed]
    absent: dict[int, StrongroomError]

    def give(self, orders: Mapping[int, Acts.Order], *, again: bool = False) -> None:
        """Ask side by side; who lacks what this home has is handed it, and asked once more."""
        deployment = self.deployment
        asked = {
            index: partial(deployment.custodians[index].obey, order)
            for index, order in orders.items()
        }
        lacking: dict[int, Acts.Order] = {}
        for index, answer in deployment.asking.each(asked):
            try:
                self._keep(index, answer.result(), orders[index])
            except (Acts.NoPolicy, Acts.OtherPolicy, Acts.LogMoved) as err:
                self.absent[index] = err
                if not again:
                    lacking[index] = self._supplied(index, orders[index])
            except StrongroomError as err:
                self.absent[index] = err
        if lacking:
            self.give(lacking, again=True)

    def _keep(self, index: int, envelope: Envelope, order: Acts.Order) -> None:
        """Keep a deed that its custodian signed, with the fact that tells of it."""
        deployment, request = self.deployment, order.grant.request
        deed = deployment.roster.check_deed(envelope, request)
        member = deployment.roster.member(index)
        if deed.index != index:
            raise Refused(f"{member} gave no deed of its own", f"it is of custodian {deed.index}")
        if deed.grant not in self._announced(order):
            raise Refused(
                f"{member} gave a deed of what was not ordered here",
                "the approvals that it names were never announced in this home's log",
            )
        fact = deployment.fact(
            "procedure.obeyed",
            request.request,
            custodian=member.id,
            deed=envelope.statement.hash.hex(),
        )
        deployment.desk.keep_deed(request.request, index, envelope.encode(), fact)
        self.deeds[index] = deed
        self.absent.pop(index, None)

    def _announced(self, order: Acts.Order) -> Iterator[object]:
        """Yield the grants that this home has announced for a request, the given one first.

        An approval that came after an earlier run makes another grant of the same request, and who
        did it then tells of the first.
        """
        request = order.grant.request
        yield Acts.Grant.digest(request, order.grant.approvals)
        for view in self.deployment.registry.log.epochs():
            for fact in view.facts("procedure.run"):
                if fact.subject == request.request and fact.phase == "intent":
                    yield fact.body.get("grant")

    def _supplied(self, index: int, order: Acts.Order) -> Acts.Order:
        """Hand over the policies that a custodian lacks; prove the order to what it has seen."""
        custodian, checkpoint = self.deployment.custodians[index], self.witnessed.checkpoint
        try:
            hand_over_policies(self.deployment, custodian)
            if checkpoint is None:
                return order
            (seen,) = custodian.witness.latest([checkpoint.origin])
            size = 0 if seen is None else seen.size
            grant = follow(order.grant, self.witnessed.log, checkpoint, size)
        except StrongroomError:
            # It says itself, when it is asked again, why it does not answer.
            return order
        return Acts.Order(grant, order.enclosed)


def _nobody(absent: Mapping[int, StrongroomError]) -> StrongroomError:
    """Return the error of an order that nobody has followed: a wait where somebody waits."""
    waits = [err for _, err in sorted(absent.items()) if isinstance(err, Waiting)]
    if waits:
        return waits[-1]
    if not absent:
        return Refused("nobody can be told", "there is no custodian")
    return absent[min(absent)]
