"""A custodian's rows about the new writer of a client that a recovery allows."""

from datetime import datetime

from strongroom.clock import format_instant, parse_instant
from strongroom.database import Transaction
from strongroom.ids import ClientId
from strongroom.quorum.request import ActRequest
from strongroom.quorum.store import is_refused


def allow_writer(transaction: Transaction, client: ClientId, recovery: ActRequest) -> None:
    """Note that this recovery of a client was answered, and that it names no writer yet."""
    transaction.run(
        "INSERT OR REPLACE INTO succession VALUES (?, NULL, ?, ?)",
        (client, recovery.digest, format_instant(recovery.expires)),
    )


def may_succeed(transaction: Transaction, client: ClientId, writer: bytes, at: datetime) -> bool:
    """Return whether the last recovery of a client allows this writer at this time.

    It allows one, until it ends or an approver refuses it; that one may be named again for good.
    """
    row = transaction.row(
        "SELECT writer, digest, expires FROM succession WHERE client = ?", (client,)
    )
    if row is None:
        return False
    named, digest, expires = row
    if named is not None:
        return bool(named == writer)
    return at <= parse_instant(expires) and not is_refused(transaction, digest)


def note_writer(transaction: Transaction, client: ClientId, writer: bytes) -> None:
    """Note which writer a recovery named."""
    transaction.run("UPDATE succession SET writer = ? WHERE client = ?", (writer, client))
