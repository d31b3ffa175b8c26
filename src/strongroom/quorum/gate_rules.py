"""What a custodian decides before it acts, without a database: which policy, which grant.

`judge` goes through a grant in the order of docs/formats/procedure-v1.md, and each refusal is an
error of its own (`refusals`). A custodian elsewhere runs these same rules.
"""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from strongroom.crypto.envelope import Envelope
from strongroom.errors import Damaged, Refused, StrongroomError
from strongroom.facts import Fact
from strongroom.ledger import Checkpoint, Policy, Proof, Witness
from strongroom.quorum.deed import TOLD
from strongroom.quorum.grant import Grant
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.order import Order
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.refusals import (
    ClockOff,
    Expired,
    ForkedLog,
    LogMoved,
    NoGrant,
    NotInLog,
    OtherAct,
    OtherInstall,
    OtherLog,
    OtherPolicy,
    OtherRecipient,
    OtherSnapshot,
    TooEarly,
    TooFewWitnesses,
    Unannounced,
    Unheard,
    UnknownLog,
)
from strongroom.quorum.release import ReleaseRequest
from strongroom.quorum.request import ActRequest, Wanted
from strongroom.quorum.roster import Member, Roster
from strongroom.quorum.team_policy import TeamPolicy

CLOCKS_DIFFER_MAX: Final = timedelta(minutes=15)
"""How far clocks may be from each other; what was witnessed longer ago is not news."""
OPENED: Final = "keys.opened"
RUN: Final = "procedure.run"


@dataclass(frozen=True, slots=True)
class Judge:
    """One custodian, and what it has pinned and seen when it is asked."""

    member: Member
    roster: Roster
    policy: TeamPolicy
    seen: Witness.Seen | None
    """What its witness knows of the log that the request names."""
    origin: str | None
    """The log in which this client's keys were announced so far; None before the first time."""
    now: datetime

    def judge(self, asked: ReleaseRequest) -> datetime:
        """Return the time that counts, once everything but delay and veto is as it must be."""
        header = SnapshotHeader.read(asked.snapshot)
        grant = check_asked(self.member, self.roster, header, asked)
        at = self._judge(grant)
        request = grant.request
        if self.origin not in (None, request.origin) and request.procedure != Procedure.RECOVERY:
            raise OtherLog(
                self._refuses(request), f"keys of this client are announced in {self.origin}"
            )
        if request.procedure is Procedure.RECOVERY:
            self._check_heard(grant)
        return at

    def check_told(self, request: ActRequest, approvals: Sequence[Envelope]) -> None:
        """Raise unless this custodian may give its word that it was told of a recovery."""
        what = self._refuses(request)
        if request.procedure is not Procedure.RECOVERY:
            raise OtherAct(what, f"a {request.procedure} is announced in a log that is read")
        if request.install != self.roster.install:
            raise OtherInstall(what, "it is of another install")
        self._check_policy(request)
        self.policy.check_approved(request, approvals)
        if self.now > request.expires + CLOCKS_DIFFER_MAX:
            raise Expired(what, f"it ended at {request.expires:%c} Z")

    def judge_order(self, order: Order) -> datetime:
        """Return the time that counts, once everything but delay and veto is as it must be."""
        request = order.grant.request
        if request.install != self.roster.install:
            raise OtherInstall(self._refuses(request), "it is of another install")
        if request.procedure not in TOLD:
            raise OtherAct(self._refuses(request), f"a {request.procedure} is not ordered here")
        return self._judge(order.grant)

    def _judge(self, grant: Grant) -> datetime:
        """Do what releases and orders have in common, from the policy to the own head."""
        request = grant.request
        self._check_policy(request)
        self.policy.check_approved(request, grant.approvals)
        check_leaf(self.member, grant)
        verdict, checkpoint = self._check_witnessed(grant)
        at = self._check_times(request, verdict.cosigned.values())
        self._check_own_head(grant, checkpoint)
        return at

    def _check_policy(self, request: ActRequest) -> None:
        if request.policy != self.policy.id:
            raise OtherPolicy(
                self._refuses(request), f"it is under policy {request.policy[:8]}, not the pinned"
            )

    def _check_heard(self, grant: Grant) -> None:
        """Raise Unheard unless as many members were told of it as must witness what is announced.

        Raises Damaged for a word that the member it names did not sign.
        """
        found = [self.roster.check_hearing(one) for one in grant.hearings]
        heard = {one.index for one in found if one.request == grant.request.digest}
        needed = self.policy.cosignatures
        if len(heard) < needed:
            raise Unheard(
                self._refuses(grant.request),
                f"{len(heard)} of {needed} custodians needed were told of it",
            )

    def _check_witnessed(self, grant: Grant) -> tuple[Policy.Verdict, Checkpoint]:
        """Return what the note shows once the log signed it with the leaf, and enough cosigned."""
        request, proven = grant.request, grant.proven
        # What opens keys is announced to the client whose they are, what is ordered to everybody.
        purpose, whose = ("client", "client's") if request.wanted else ("server", "server's")
        if self.seen is None or self.seen.purpose != purpose:
            raise UnknownLog(self._refuses(request), f"its log {request.origin} is no {whose}")
        keys: dict[str, Witness.Key] = {}
        for envelope in proven.cards:
            # One of a member that this custodian does not know yet, or of nobody, counts nothing.
            with suppress(Damaged):
                card = self.roster.check_witness(envelope)
                keys[str(card.index)] = card.key
        needed = self.policy.cosignatures
        if len(keys) < needed:
            raise self._too_few(request, len(keys))
        proof = Proof(proven.number, proven.inclusion, proven.note)
        try:
            policy = Policy.of([self.seen.key], keys, needed)
            verdict = proof.verify(proven.leaf, policy)
        except StrongroomError as err:
            raise NotInLog(self._refuses(request), str(err)) from err
        if not verdict.quorum_met:
            raise self._too_few(request, len(verdict.cosigned))
        return verdict, verdict.checkpoint

    def _too_few(self, request: ActRequest, count: int) -> TooFewWitnesses:
        needed = self.policy.cosignatures
        return TooFewWitnesses(
            self._refuses(request), f"{count} of {needed} custodians needed witnessed it"
        )

    def _check_times(self, request: ActRequest, cosigned: Iterable[int]) -> datetime:
        """Return the time that counts: the witnesses' middle one, or the own clock's.

        A time that lies ahead of the own clock does not count. A clock that once ran ahead must not
        lock keys away for ever, and who can set it back can set every clock of that custodian.
        """
        ordered = sorted(cosigned)
        middle = datetime.fromtimestamp(ordered[(len(ordered) - 1) // 2], UTC)
        if self.now - middle > CLOCKS_DIFFER_MAX:
            raise ClockOff(
                self._refuses(request),
                f"it was witnessed at {middle:%Y-%m-%d %H:%M:%S} Z, and here it is "
                f"{self.now:%Y-%m-%d %H:%M:%S} Z",
            )
        at = min(middle, self.now) if middle - self.now <= CLOCKS_DIFFER_MAX else self.now
        if at < request.not_before - CLOCKS_DIFFER_MAX:
            raise TooEarly(self._refuses(request), f"it begins at {request.not_before:%c} Z")
        if self.now > request.expires + CLOCKS_DIFFER_MAX or at > request.expires:
            raise Expired(self._refuses(request), f"it ended at {request.expires:%c} Z")
        return at

    def _check_own_head(self, grant: Grant, checkpoint: Checkpoint) -> None:
        """Raise unless the checkpoint and what the own witness saw last are one log."""
        seen, proof = self.seen, grant.proven.consistency
        if seen is None:
            raise UnknownLog(self._refuses(grant.request), "it is not witnessed here")
        if checkpoint.size != seen.size and not proof and seen.size:
            raise LogMoved(
                self._refuses(grant.request),
                f"it has seen {seen.size} facts of the log, the checkpoint has {checkpoint.size}",
            )
        try:
            Witness.check_one_log(
                Checkpoint(checkpoint.origin, seen.size, seen.root), checkpoint, proof
            )
        except Proof.Invalid as err:
            raise ForkedLog(self._refuses(grant.request), str(err)) from err

    def _refuses(self, request: ActRequest) -> str:
        return f"{self.member} refuses request {request.request[:8]}"


def check_asked(
    member: Member, roster: Roster, header: SnapshotHeader, asked: ReleaseRequest
) -> Grant:
    """Return the grant, once what is asked for is exactly what its request says."""
    grant = asked.grant
    what = f"{member} refuses request {asked.request[:8]}"
    if grant is None:
        raise NoGrant(what, "nobody approved it, and no log announces it")
    request = grant.request
    if not request.install == header.install == roster.install:
        raise OtherInstall(what, "it is of another install")
    if request.request != asked.request or request.client != header.client:
        raise OtherAct(what, "another request was approved, or one of another client")
    wanted = request.wanted
    if wanted is None:
        raise OtherAct(what, f"a {request.procedure} opens no keys")
    if wanted.recipient != recipient_hash(asked.recipient):
        raise OtherRecipient(what, "the key to seal to is not the one that was approved")
    if wanted != wanted_of(asked, header):
        raise OtherSnapshot(what, "it was approved for another snapshot")
    return grant


def recipient_hash(recipient: bytes) -> str:
    """Return how a request names the key that an answer is sealed to."""
    return hashlib.sha256(recipient).hexdigest()


def wanted_of(asked: ReleaseRequest, header: SnapshotHeader) -> Wanted:
    """Return what a request says of the keys that are asked for."""
    return Wanted(asked.snapshot.hash.hex(), len(header.sessions), recipient_hash(asked.recipient))


def check_leaf(member: Member, grant: Grant) -> None:
    """Raise Unannounced unless the leaf announces exactly this request with these approvals."""
    request = grant.request
    what = f"{member} refuses request {request.request[:8]}"
    try:
        fact = Fact.parse(grant.proven.leaf)
    except Damaged as err:
        raise Unannounced(what, str(err)) from err
    found = (fact.op, fact.phase, fact.client, fact.subject)
    if request.wanted is not None:
        whose = str(request.client)
        wanted = (OPENED, "intent", whose, whose)
        body = {"request": request.request, "snapshot": request.wanted.snapshot}
    else:
        wanted = (RUN, "intent", "", request.request)
        body = {"procedure": str(request.procedure), "digest": request.digest}
    body["grant"] = Grant.digest(request, grant.approvals)
    if found != wanted or any(fact.body.get(name) != value for name, value in body.items()):
        raise Unannounced(what, "the leaf announces something else")


def check_first_policy(member: Member, roster: Roster, policy: TeamPolicy) -> None:
    """Raise OtherPolicy unless the roster's operator signed this policy as the first one."""
    check_given_policy(member, roster, policy)
    if (policy.version, policy.previous) != (1, None):
        raise _other(member, policy, "no policy is pinned, and it is not the first")
    if policy.signer != roster.operator:
        raise _other(member, policy, "the roster's operator did not sign it")


def check_given_policy(member: Member, roster: Roster, policy: TeamPolicy) -> None:
    """Raise OtherPolicy unless this policy can be one of the roster's install."""
    if policy.install != roster.install:
        raise _other(member, policy, "it is of another install")
    count, threshold = len(roster.members), roster.threshold
    least = min(threshold, Policy.default_quorum(count, threshold))
    if not least <= policy.cosignatures <= count:
        raise _other(
            member,
            policy,
            f"it wants {policy.cosignatures} cosignatures: {least} to {count} are allowed",
        )


def check_next_policy(
    member: Member, roster: Roster, pinned: TeamPolicy, policy: TeamPolicy
) -> None:
    """Raise OtherPolicy unless this policy follows the pinned one, signed by one who approves."""
    check_given_policy(member, roster, policy)
    if (policy.version, policy.previous) != (pinned.version + 1, pinned.id):
        raise _other(member, policy, f"it does not follow version {pinned.version}, the pinned")
    if policy.signer not in pinned.approvers.values():
        raise _other(member, policy, f"no approver of version {pinned.version} signed it")


def check_followed(
    member: Member, roster: Roster, policy: TeamPolicy, change: PolicyChange
) -> None:
    """Raise OtherPolicy unless as many members as open a key have signed for following it.

    They have judged what this custodian was away from: the announcement, the delay and every veto.
    """
    count, needed = len(change.followers(roster, policy)), roster.threshold
    if count < needed:
        raise _other(member, policy, f"{count} of {needed} custodians needed show that they follow")


def _other(member: Member, policy: TeamPolicy, why: str) -> Refused:
    return OtherPolicy(f"{member} refuses policy version {policy.version}", why)
