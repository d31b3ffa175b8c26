"""The releases of a custodian: each journalled, durably, before its answer leaves."""

from dataclasses import dataclass

from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.database import Transaction
from strongroom.errors import Refused, StrongroomError
from strongroom.facts import FactValue
from strongroom.quorum import gate_rules, rules, store
from strongroom.quorum.gate import Gate
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.own import Own
from strongroom.quorum.refusals import Expired, NoGrant, Vetoed
from strongroom.quorum.release import Release, ReleaseRequest
from strongroom.quorum.rules import Asked


@dataclass(frozen=True, slots=True)
class ReleaseSeat:
    """Gives shares out, once, for what its gate lets pass."""

    _own: Own
    _gate: Gate

    def release(self, request: ReleaseRequest) -> Envelope:
        """Journal the request, then return this custodian's shares sealed to the recipient.

        The answer leaves only once its row is durable. Asked again by the same recipient, the
        stored answer is given, byte for byte, until the request has ended; another is refused.
        """
        request.check_limits()
        own = self._own
        with own.database.transaction() as transaction:
            roster, now = own.roster(transaction), own.clock.now()
            store.wipe_answers(transaction, now - gate_rules.CLOCKS_DIFFER_MAX)
            used = store.read_release(transaction, request.request)
            kept: StrongroomError | None = None
            answer: Envelope | None = None
            if used is not None:
                kept = self._why_not_again(transaction, request, used)
                answer = None if kept else self._again(transaction, request, used)
            else:
                kept = self._gate.check(transaction, roster, request, now)
                answer = None if kept else self._answer(transaction, request)
        if answer is None:
            raise kept or Refused(f"{own.member} refuses request {request.request[:8]}")
        # Point of no return: the journal row is on disk, so the answer may leave.
        return answer

    def wipe_ended(self) -> None:
        """Wipe the answers to requests that have ended."""
        ended = self._own.clock.now() - gate_rules.CLOCKS_DIFFER_MAX
        with self._own.database.reading() as reading:
            kept = store.has_answers(reading, ended)
        if kept:
            with self._own.database.transaction() as transaction:
                store.wipe_answers(transaction, ended)

    def _why_not_again(
        self, transaction: Transaction, request: ReleaseRequest, used: store.Released
    ) -> StrongroomError | None:
        """Return why an answer is not given again; returned, so that what was wiped stays so."""
        own = self._own
        rules.check_reuse(own.member, request, used.recipient, used.snapshot)
        own.refuse_erased(transaction, SnapshotHeader.read(request.snapshot).client)
        what = f"{own.member} refuses request {request.request[:8]}"
        if store.is_refused(transaction, used.digest):
            return Vetoed(what, "an approver has refused it since it was answered")
        return None if used.answer else Expired(what, "it has ended, and its answer was wiped")

    def _again(
        self, transaction: Transaction, request: ReleaseRequest, used: store.Released
    ) -> Envelope:
        """Journal that an answer is given again, and return it."""
        client = SnapshotHeader.read(request.snapshot).client
        told: dict[str, FactValue] = {"snapshot": used.snapshot}
        self._own.record(transaction, "share.repeated", request.request, told, client)
        return decode_envelope(used.answer, "a stored answer")

    def _answer(self, transaction: Transaction, request: ReleaseRequest) -> Envelope:
        """Journal a release that may be, and return its answer."""
        if request.grant is None:
            raise NoGrant(f"{self._own.member} refuses request {request.request[:8]}")
        header = SnapshotHeader.read(request.snapshot)
        asked = Asked(self._own.member, self._own.install, header)
        entry = self._own.entry(transaction, header.client)
        stored = store.read_receipt(transaction, header.writer, header.sequence)
        followed = {one.id for one in self._own.rosters(transaction)}
        receipted = stored[0] if stored else None
        opened = rules.open_released(asked, entry, request, receipted, followed)
        release = Release(
            request=request.request,
            custodian=self._own.member.id,
            index=self._own.member.index,
            snapshot=request.snapshot.hash.hex(),
            sessions=header.sessions,
            released_at=self._own.clock.now(),
        )
        answer = release.sign(self._own.seed, request.recipient, opened)
        act = request.grant.request
        store.write_release(transaction, request, header.client, release, answer.encode(), act)
        count = len(header.sessions)
        told: dict[str, FactValue] = {"snapshot": release.snapshot, "sessions": count}
        self._own.record(transaction, "share.released", request.request, told, header.client)
        return answer
