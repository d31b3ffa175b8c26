"""A custodian's rows about the new writer of a client that a recovery allows."""

from strongroom.database import Transaction
from strongroom.ids import ClientId


def allow_writer(transaction: Transaction, client: ClientId) -> None:
    """Note that a recovery of this client was answered, and that it names no writer yet."""
    transaction.run("INSERT OR REPLACE INTO succession VALUES (?, NULL)", (client,))


def may_succeed(transaction: Transaction, client: ClientId, writer: bytes) -> bool:
    """Return whether the last recovery of a client allows this writer: its first, for good."""
    row = transaction.row("SELECT writer FROM succession WHERE client = ?", (client,))
    return row is not None and row[0] in (None, writer)


def note_writer(transaction: Transaction, client: ClientId, writer: bytes) -> None:
    """Note which writer a recovery named."""
    transaction.run("UPDATE succession SET writer = ? WHERE client = ?", (writer, client))
