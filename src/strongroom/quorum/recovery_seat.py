"""What a custodian is told of recoveries, before any custodian answers one."""

from collections.abc import Sequence
from dataclasses import dataclass

from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.quorum import store
from strongroom.quorum.gate import Gate
from strongroom.quorum.hearing import Hearing
from strongroom.quorum.own import Own
from strongroom.quorum.request import ActRequest


@dataclass(frozen=True, slots=True)
class RecoverySeat:
    """Hears of recoveries, and signs for it."""

    _own: Own
    _gate: Gate

    def hear(self, request: ActRequest, approvals: Sequence[Envelope]) -> Envelope:
        """Journal an approved recovery; return the word that it was told, always the same."""
        with self._own.database.transaction() as transaction:
            roster, now = self._own.roster(transaction), self._own.clock.now()
            kept = self._gate.hear(transaction, roster, request, approvals, now)
            if kept is None:
                stored = store.read_hearing(transaction, request.digest)
                if stored is not None:
                    return decode_envelope(stored, "a stored hearing")
                member = self._own.member
                hearing = Hearing(
                    self._own.install, member.id, member.index, request.digest, now
                ).sign(self._own.seed)
                store.write_hearing(transaction, request.digest, hearing.encode())
                return hearing
        raise kept
