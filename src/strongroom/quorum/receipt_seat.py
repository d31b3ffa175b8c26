"""The receipts of a custodian: one for each snapshot, in an unbroken line."""

from collections.abc import Sequence
from dataclasses import dataclass

from strongroom.crypto.envelope import Envelope, Statement, decode_envelope
from strongroom.errors import Damaged, Refused
from strongroom.facts import FactValue
from strongroom.quorum import rules, store
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.own import Own
from strongroom.quorum.receipt import Receipt
from strongroom.quorum.rules import Asked, Standing


@dataclass(frozen=True, slots=True)
class ReceiptSeat:
    """Checks snapshots, and signs for the shares that were dealt with them."""

    _own: Own

    def ingest(self, snapshot: Statement, keys: Sequence[Envelope]) -> Envelope:
        """Check a snapshot and its fresh keys objects; return the receipt, always the same."""
        header = SnapshotHeader.read(snapshot)
        asked = Asked(self._own.member, self._own.install, header)
        snapshot_hash = snapshot.hash.hex()
        with self._own.database.transaction() as transaction:
            entry = self._own.entry(transaction, header.client)
            writer = rules.check_author(asked, entry.pin, snapshot, receiving=True)
            stored = store.read_receipt(transaction, writer.id, header.sequence)
            if stored is not None:
                rules.check_not_forked(asked, snapshot_hash, stored[0])
                return decode_envelope(stored[1], "a stored receipt")
            standing = store.read_standing(transaction, writer.id)
            rules.check_sequence(asked, snapshot_hash, standing)
            last = _roster_of(store.read_receipt(transaction, writer.id, standing.sequence))
            roster = rules.roster_dealt_to(asked, self._own.rosters(transaction), last)
            dealings = rules.check_fresh(asked, roster, writer, keys)
            receipt = Receipt(
                install=self._own.install,
                client=header.client,
                vault=header.vault,
                writer=header.writer,
                sequence=header.sequence,
                snapshot=snapshot_hash,
                custodian=self._own.member.id,
                index=self._own.member.index,
                roster=roster.id,
                received_at=self._own.clock.now(),
                shares=rules.hold_shares(asked, dealings, entry),
            ).sign(self._own.seed)
            reached = Standing(header.sequence, snapshot_hash)
            store.write_receipt(transaction, writer.id, reached, receipt.encode())
            told: dict[str, FactValue] = {"vault": header.vault, "sequence": header.sequence}
            self._own.record(transaction, "snapshot.receipted", snapshot_hash, told, header.client)
            return receipt

    def resume(self, receipts: Sequence[Envelope]) -> None:
        """Take up receipts this custodian signed before it was rebuilt from its kit.

        They only ever raise what it has receipted. A location that hides the newest of them
        weakens the anchor against rollback: read every location.
        """
        parsed = [(Receipt.parse(one, self._own.member.identity), one) for one in receipts]
        with self._own.database.transaction() as transaction:
            for receipt, envelope in parsed:
                if receipt.custodian != self._own.member.id or receipt.install != self._own.install:
                    raise Damaged(f"a receipt is not one of {self._own.member}", "it names another")
                if not store.has_writer(transaction, receipt.writer):
                    raise Refused(
                        f"{self._own.member} refuses its receipt {receipt.sequence}",
                        f"writer {receipt.writer[:8]} is not pinned",
                    )
                if store.read_receipt(transaction, receipt.writer, receipt.sequence) is None:
                    reached = Standing(receipt.sequence, receipt.snapshot)
                    store.write_receipt(transaction, receipt.writer, reached, envelope.encode())


def _roster_of(stored: tuple[str, bytes] | None) -> str | None:
    """Return to which roster a stored receipt's snapshot was dealt."""
    if stored is None:
        return None
    return Receipt.read(decode_envelope(stored[1], "a stored receipt")).roster
