"""The releases of a custodian: each journalled, durably, before its answer leaves."""

from dataclasses import dataclass

from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.database import Transaction
from strongroom.errors import Refused
from strongroom.facts import FactValue
from strongroom.quorum import rules, store
from strongroom.quorum.gate import Gate
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.own import Own
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
        stored answer is given, byte for byte; another recipient is refused.
        """
        request.check_limits()
        with self._own.database.transaction() as transaction:
            used = store.read_release(transaction, request.request)
            if used is not None:
                recipient, snapshot_hash, answered = used
                rules.check_reuse(self._own.member, request, recipient, snapshot_hash)
                client = SnapshotHeader.read(request.snapshot).client
                self._own.refuse_erased(transaction, client)
                return decode_envelope(answered, "a stored answer")
            roster, now = self._own.roster(transaction), self._own.clock.now()
            kept = self._gate.check(transaction, roster, request, now)
            answer = None if kept else self._answer(transaction, request)
        if kept is not None or answer is None:
            raise kept or Refused(f"{self._own.member} refuses request {request.request[:8]}")
        # Point of no return: the journal row is on disk, so the answer may leave.
        return answer

    def _answer(self, transaction: Transaction, request: ReleaseRequest) -> Envelope:
        """Journal a release that may be, and return its answer."""
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
        store.write_release(transaction, request, header.client, release, answer.encode())
        count = len(header.sessions)
        told: dict[str, FactValue] = {"snapshot": release.snapshot, "sessions": count}
        self._own.record(transaction, "share.released", request.request, told, header.client)
        return answer
