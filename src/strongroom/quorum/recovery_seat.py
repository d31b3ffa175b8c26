"""What a custodian is told of recoveries, and what a server that recovers may learn and change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Refused
from strongroom.ids import ClientId, WriterId
from strongroom.quorum import recovery_rows, store
from strongroom.quorum.client_seat import ClientSeat
from strongroom.quorum.gate import Gate
from strongroom.quorum.gate_rules import CLOCKS_DIFFER_MAX
from strongroom.quorum.hearing import Hearing
from strongroom.quorum.own import Own
from strongroom.quorum.refusals import NotRecovered
from strongroom.quorum.request import ActRequest


@dataclass(frozen=True, slots=True)
class RecoverySeat:
    """Hears of recoveries, and signs for it."""

    _own: Own
    _gate: Gate
    _clients: ClientSeat

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

    def pinned(self) -> tuple[Envelope, Envelope | None]:
        """Return the pinned roster and, where there is one, the team policy."""
        with self._own.database.reading() as reading:
            roster, policy = store.read_roster(reading), store.read_policy(reading)
        if roster is None:
            raise Refused(f"{self._own.member} has adopted no roster yet", "nobody gave it one")
        return (
            decode_envelope(roster, "the roster"),
            None if policy is None else decode_envelope(policy, "the policy"),
        )

    def replace_writer(
        self, client: ClientId, writer: bytes, revoked_after: Mapping[WriterId, int]
    ) -> Envelope:
        """Pin the one new writer that an approved recovery of a client allows; certify it.

        Raises NotRecovered where no recovery was answered here since the last one did so, or where
        it has ended.
        """
        # Clocks may be off by that much, as with the release that the same recovery allowed.
        at = self._own.clock.now() - CLOCKS_DIFFER_MAX
        with self._own.database.transaction() as transaction:
            if not recovery_rows.may_succeed(transaction, client, writer, at):
                raise NotRecovered(
                    f"{self._own.member} refuses a new writer for client {client[:8]}",
                    "no approved recovery of it was answered here since the last one, or it ended",
                )
            recovery_rows.note_writer(transaction, client, writer)
            return self._clients.succeed_within(transaction, client, writer, revoked_after)
