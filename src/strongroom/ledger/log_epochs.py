"""How a log goes on in a new epoch after a loss.

A log that was rebuilt, or put back from an older copy, never signs under its old origin what others
have seen further or otherwise. What is found of the old one becomes an epoch that takes no more
leaves, and a new one begins whose first leaf says what it follows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from strongroom.clock import format_instant
from strongroom.database import Transaction
from strongroom.facts import Fact
from strongroom.ledger import log_checkpoints as checkpoints
from strongroom.ledger import log_rows
from strongroom.ledger.checkpoint import Checkpoint
from strongroom.ledger.log_rows import LogDamaged
from strongroom.ledger.log_stretches import note_placed
from strongroom.ledger.note import VerifierKey, open_note
from strongroom.ledger.tree import EMPTY_ROOT

_DROP: Final = (
    "DELETE FROM stretch WHERE epoch = ?",
    "DELETE FROM checkpoint WHERE epoch = ?",
    "DELETE FROM head WHERE epoch = ?",
    "DELETE FROM tile WHERE epoch = ?",
    "DELETE FROM leaf WHERE epoch = ?",
    "DELETE FROM epoch WHERE number = ?",
)


_MOVE: Final = (
    "UPDATE stretch SET epoch = ? WHERE epoch = ?",
    "UPDATE checkpoint SET epoch = ? WHERE epoch = ?",
    "UPDATE head SET epoch = ? WHERE epoch = ?",
    "UPDATE tile SET epoch = ? WHERE epoch = ?",
    "UPDATE leaf SET epoch = ? WHERE epoch = ?",
)


@dataclass(frozen=True, slots=True)
class Past:
    """An epoch as it was found: its leaves are exactly those of its checkpoint.

    `witnesses` are the keys of those who cosigned it. `placed` says up to which leaf the locations
    hold it.
    """

    origin: str
    vkey: VerifierKey
    leaves: Sequence[bytes] = field(repr=False)
    note: bytes
    witnesses: tuple[VerifierKey, ...]
    placed: int


def begin_after(
    transaction: Transaction, pasts: Sequence[Past], first: Fact, now: datetime
) -> None:
    """Put these in the place of the newest epoch, and begin a new one after them.

    It begins with `first`; then come the leaves of the replaced epoch that are in none of the
    pasts, in their order. It has no origin until it is signed. Raises LogDamaged for a past whose
    leaves are not those of its checkpoint.
    """
    number = log_rows.read_head(transaction).epoch
    ours = [
        log_rows.Leaf(*row)
        for row in transaction.rows(
            "SELECT id, at, op, bytes FROM leaf WHERE epoch = ? ORDER BY number", (number,)
        )
    ]
    for statement in _DROP:
        transaction.run(statement, (number,))
    number, previous = _put(transaction, pasts, number, now)
    _insert(transaction, number, previous)
    known = {one for (one,) in transaction.rows("SELECT id FROM leaf")}
    kept = [leaf for leaf in ours if leaf.id not in known]
    log_rows.add(transaction, [log_rows.leaf_of(first), *kept])


def put_before(transaction: Transaction, pasts: Sequence[Past], now: datetime) -> None:
    """Put these before the newest epoch, which goes on with its leaves and under its name.

    For one whose name others have been told already. Raises LogDamaged as `begin_after` does.
    """
    ours = log_rows.read_head(transaction).epoch
    # Below every other number, so that the newest meanwhile is the one that is being written.
    _renumber(transaction, ours, 0)
    number, previous = _put(transaction, pasts, ours, now)
    _renumber(transaction, 0, number)
    transaction.run("UPDATE epoch SET previous = ? WHERE number = ?", (previous, number))


def _put(
    transaction: Transaction, pasts: Sequence[Past], number: int, now: datetime
) -> tuple[int, bytes | None]:
    """Write epochs from this number on; return the next number and the last one's end."""
    previous = None
    for past in pasts:
        _insert(transaction, number, previous)
        transaction.run(
            "UPDATE epoch SET origin = ?, vkey = ?, begun_at = ? WHERE number = ?",
            (past.origin, str(past.vkey), format_instant(now), number),
        )
        log_rows.add(transaction, _leaves(past.leaves))
        _keep(transaction, past, now)
        number, previous = number + 1, past.note
    return number, previous


def _renumber(transaction: Transaction, number: int, wanted: int) -> None:
    row = transaction.row("SELECT origin, vkey, begun_at FROM epoch WHERE number = ?", (number,))
    if row is None:
        raise LogDamaged("the epoch of the log is missing", str(number))
    transaction.run("INSERT INTO epoch (number) VALUES (?)", (wanted,))
    for statement in _MOVE:
        transaction.run(statement, (wanted, number))
    transaction.run("DELETE FROM epoch WHERE number = ?", (number,))
    transaction.run(
        "UPDATE epoch SET origin = ?, vkey = ?, begun_at = ? WHERE number = ?", (*row, wanted)
    )


def _insert(transaction: Transaction, number: int, previous: bytes | None) -> None:
    transaction.run("INSERT INTO epoch (number, previous) VALUES (?, ?)", (number, previous))
    transaction.run(
        "INSERT INTO head (epoch, size, root, stack) VALUES (?, 0, ?, x'')", (number, EMPTY_ROOT)
    )


def _keep(transaction: Transaction, past: Past, now: datetime) -> None:
    head = log_rows.read_head(transaction)
    found = Checkpoint.parse(open_note(past.note, [past.vkey]).text)
    if found != Checkpoint(past.origin, head.size, head.root):
        raise LogDamaged(
            "leaves that were found do not make the signed tree",
            f"there are {head.size}, and {found.size} were signed",
        )
    checkpoints.insert(transaction, head, past.note, now)
    checkpoints.keep_cosigned(transaction, head.epoch, past.note, past.witnesses)
    if past.placed:
        note_placed(transaction, head.epoch, 0, past.placed)


def _leaves(found: Iterable[bytes]) -> Iterable[log_rows.Leaf]:
    for data in found:
        yield log_rows.leaf_of(Fact.parse(data))
