"""What of a log goes to the locations, and how far it has come.

A stretch is cut, sealed and kept here byte for byte before the first copy is placed, so whatever
interrupts the placing, the next command sends the same bytes again. Its bytes are dropped when it
is placed, its row stays: the next one begins where it ends.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from strongroom.database import Database, Transaction
from strongroom.ledger import log_checkpoints as checkpoints
from strongroom.ledger import log_rows
from strongroom.ledger.note import VerifierKey
from strongroom.ledger.stretch import LEAVES_BYTES_MAX

STRETCH_SCHEMA: tuple[str, ...] = (
    """
    CREATE TABLE stretch (
      epoch INTEGER NOT NULL REFERENCES epoch (number), start INTEGER NOT NULL,
      stop INTEGER NOT NULL, object BLOB, PRIMARY KEY (epoch, start)
    ) STRICT
    """,
)
"""One migration step; a stretch without its object is placed."""
_LEAVES_AT_ONCE: Final = 1024


@dataclass(frozen=True, slots=True)
class Cut:
    """Leaves of one epoch that are to be placed, and the checkpoint that goes with them."""

    epoch: int
    start: int
    leaves: tuple[bytes, ...] = field(repr=False)
    note: bytes
    vkey: VerifierKey


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stretch that was cut and is not placed yet."""

    epoch: int
    origin: str
    start: int
    stop: int
    data: bytes = field(repr=False)


class Stretches:
    """The stretches of the log in one database, those of older epochs first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reached(self) -> int:
        """Return up to which leaf the newest epoch is placed."""
        with self._database.reading() as reading:
            return reached(reading, log_rows.read_head(reading).epoch)

    def waiting(self) -> Waiting | None:
        """Return the oldest stretch that is cut and not placed."""
        with self._database.reading() as reading:
            return _waiting(reading)

    def next(self, make: Callable[[Cut], bytes]) -> Waiting | None:
        """Return the oldest stretch that is not placed; cut one where there are leaves for it.

        None where the locations have all that is signed. `make` returns the object to place.
        """
        with self._database.reading() as reading:
            waiting = _waiting(reading)
            if waiting is not None or _to_cut(reading) is None:
                return waiting
        with self._database.transaction() as transaction:
            # Asked again under the write lock: another command may have been faster.
            waiting = _waiting(transaction)
            if waiting is not None:
                return waiting
            cut = _cut(transaction)
            if cut is None:
                return None
            transaction.run(
                "INSERT INTO stretch (epoch, start, stop, object) VALUES (?, ?, ?, ?)",
                (cut.epoch, cut.start, cut.start + len(cut.leaves), make(cut)),
            )
            return _waiting(transaction)

    def placed(self, waiting: Waiting) -> None:
        """Note that the locations hold a stretch, and so every checkpoint up to its end."""
        with self._database.transaction() as transaction:
            note_placed(transaction, waiting.epoch, waiting.start, waiting.stop)


def give_up(transaction: Transaction, epoch: int) -> None:
    """Drop what was cut of an epoch and not placed: the locations have other bytes there."""
    transaction.run("DELETE FROM stretch WHERE epoch = ? AND object IS NOT NULL", (epoch,))


def note_placed(transaction: Transaction, epoch: int, start: int, stop: int) -> None:
    """Note that the locations hold these leaves of an epoch, whoever placed them."""
    transaction.run(
        "INSERT INTO stretch (epoch, start, stop, object) VALUES (?, ?, ?, NULL) "
        "ON CONFLICT (epoch, start) DO UPDATE SET stop = excluded.stop, object = NULL",
        (epoch, start, stop),
    )
    transaction.run("UPDATE checkpoint SET placed = 1 WHERE epoch = ? AND size <= ?", (epoch, stop))


def _waiting(transaction: Transaction) -> Waiting | None:
    row = transaction.row(
        "SELECT s.epoch, e.origin, s.start, s.stop, s.object FROM stretch s "
        "JOIN epoch e ON e.number = s.epoch WHERE s.object IS NOT NULL "
        "ORDER BY s.epoch, s.start LIMIT 1"
    )
    return None if row is None else Waiting(*row)


def reached(transaction: Transaction, epoch: int) -> int:
    """Return up to which leaf an epoch is placed."""
    row = transaction.row(
        "SELECT max(stop) FROM stretch WHERE epoch = ? AND object IS NULL", (epoch,)
    )
    return int(row[0]) if row is not None and row[0] is not None else 0


def _to_cut(transaction: Transaction) -> int | None:
    """Return the first epoch that has signed leaves which are in no stretch."""
    row = transaction.row(
        "SELECT e.number FROM epoch e WHERE "
        "(SELECT max(c.size) FROM checkpoint c WHERE c.epoch = e.number) > "
        "(SELECT coalesce(max(s.stop), 0) FROM stretch s WHERE s.epoch = e.number) "
        "ORDER BY e.number LIMIT 1"
    )
    return None if row is None else int(row[0])


def _cut(transaction: Transaction) -> Cut | None:
    epoch = _to_cut(transaction)
    signed = None if epoch is None else checkpoints.last_signed(transaction, epoch)
    if epoch is None or signed is None:
        return None
    # What is cut before it is placed waits, so the next one begins where the last one ends.
    start = reached(transaction, epoch)
    key = checkpoints.own_key(transaction, epoch)
    leaves: list[bytes] = []
    total = 0
    for first in range(start, signed.size, _LEAVES_AT_ONCE):
        wanted = range(first, min(first + _LEAVES_AT_ONCE, signed.size))
        for leaf in log_rows.read_leaves(transaction, epoch, wanted):
            total += len(leaf)
            if leaves and total > LEAVES_BYTES_MAX:
                return Cut(epoch, start, tuple(leaves), signed.note, key)
            leaves.append(leaf)
    return Cut(epoch, start, tuple(leaves), signed.note, key)
