"""A custodian's rows about dealing anew: the order that allows it, and what it has signed for."""

from dataclasses import dataclass
from datetime import datetime

from strongroom.clock import format_instant, parse_instant
from strongroom.database import Transaction
from strongroom.ids import SessionId
from strongroom.quorum.dealing import Dealing


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the last order to deal anew allows; `recipient` is SHA-256 of an X-Wing key."""

    request: str
    digest: str
    roster: str
    recipient: str
    expires: datetime


def allow(transaction: Transaction, allowed: Allowed) -> None:
    """Note what an order allows; what one before it allowed is over."""
    end(transaction)
    transaction.run(
        "INSERT INTO redealing VALUES (?, ?, ?, ?, ?)",
        (
            allowed.request,
            allowed.digest,
            allowed.roster,
            allowed.recipient,
            format_instant(allowed.expires),
        ),
    )


def end(transaction: Transaction) -> None:
    """End what an order allows; nothing changes where none does."""
    transaction.run("DELETE FROM redealing")


def read_allowed(transaction: Transaction) -> Allowed | None:
    """Return what the last order allows, in force or not; None where nothing does."""
    row = transaction.row("SELECT request, digest, roster, recipient, expires FROM redealing")
    if row is None:
        return None
    request, digest, roster, recipient, expires = row
    return Allowed(request, digest, roster, recipient, parse_instant(expires))


def write_reheld(transaction: Transaction, dealing: Dealing, receipt: bytes) -> None:
    """Keep the receipt for a session that was dealt anew to a roster; there is one for good."""
    label = dealing.label
    transaction.run(
        "INSERT INTO reheld VALUES (?, ?, ?, ?, ?)",
        (label.session, label.roster_id, label.client, dealing.hash, receipt),
    )


def read_reheld(
    transaction: Transaction, session: SessionId, roster: str
) -> tuple[str, bytes] | None:
    """Return which object it signed for, by its hash, and the receipt."""
    row = transaction.row(
        "SELECT keys, receipt FROM reheld WHERE session = ? AND roster = ?", (session, roster)
    )
    return None if row is None else (row[0], row[1])
