"""Looking at a whole log: every leaf against its tile, every tile, head and checkpoint.

One pass over the leaves in order; what is held at a time is one tile of each level. What is found
here is what was altered in this file; whether the file is an older or another one than the
witnesses saw, only they can say.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from strongroom.database import Row, Transaction
from strongroom.ledger import log_checkpoints
from strongroom.ledger.checkpoint import Checkpoint
from strongroom.ledger.log_rows import Head, LogDamaged, read_head
from strongroom.ledger.tiles import WIDTH
from strongroom.ledger.tree import CompactRange, leaf_hash, root_of


@dataclass(frozen=True, slots=True)
class Verified:
    """How much was looked at and found to be as it was written."""

    epochs: int
    leaves: int
    checkpoints: int


class _Columns(msgspec.Struct):
    """What of a fact stands in columns too. The rest of it is for the tree to vouch for."""

    id: str
    at: str
    op: str


_columns = msgspec.json.Decoder(_Columns).decode


def verify(reading: Transaction) -> Verified:
    """Compare every stored byte of every epoch; raise LogDamaged naming the first that is wrong."""
    numbers = [number for (number,) in reading.rows("SELECT number FROM epoch ORDER BY number")]
    heads = reading.rows("SELECT epoch FROM head ORDER BY epoch")
    if not numbers or numbers != [epoch for (epoch,) in heads]:
        raise LogDamaged("the head of the log is missing", f"of {len(numbers)} epochs")
    leaves = checkpoints = 0
    for number in numbers:
        head = read_head(reading, number)
        signed = _checkpoints(reading, head)
        _verify_epoch(reading, head, {one.size: one for one in signed})
        leaves += head.size
        checkpoints += len(signed)
    return Verified(len(numbers), leaves, checkpoints)


def _checkpoints(reading: Transaction, head: Head) -> list[Checkpoint]:
    """Return the epoch's checkpoints after checking what signed them."""
    stored = log_checkpoints.signed_in(reading, head.epoch)
    if not stored:
        return []
    own = log_checkpoints.own_key(reading, head.epoch)
    return [log_checkpoints.opened(one, own) for one in stored]


def _verify_epoch(reading: Transaction, head: Head, signed: dict[int, Checkpoint]) -> None:
    tree = CompactRange()
    rows = [list[bytes]()]
    _check_signed(tree, signed)
    for leaf in _leaves(reading, head):
        entry = leaf_hash(leaf)
        tree.append(entry)
        rows[0].append(entry)
        if len(rows[0]) == WIDTH:
            _check_tiles(reading, head.epoch, tree.size, rows)
        _check_signed(tree, signed)
    if signed:
        size = min(signed)
        raise LogDamaged(
            "the log is shorter than it was when it was signed",
            f"{tree.size} leaves are left of {size}",
        )
    if (tree.size, tree.root()) != (head.size, head.root) or tree.stack != head.range().stack:
        raise LogDamaged(
            "the head of the log is damaged", f"it is not of the {tree.size} leaves there are"
        )
    _check_tile_count(reading, head)


def _leaves(reading: Transaction, head: Head) -> Iterator[bytes]:
    """Yield the leaves in order after comparing their columns with their bytes."""
    rows: list[Row] = [()]
    number = 0
    while rows:
        rows = reading.rows(
            "SELECT number, id, at, op, bytes FROM leaf WHERE epoch = ? AND number >= ? "
            "ORDER BY number LIMIT ?",
            (head.epoch, number, WIDTH),
        )
        for row in rows:
            if row[0] != number:
                raise LogDamaged(f"leaf {number} is missing", f"the next one is {row[0]}")
            try:
                fact = _columns(row[4])
            except msgspec.MsgspecError as err:
                raise LogDamaged(f"leaf {number} is damaged", "it is no fact") from err
            if (fact.id, fact.at, fact.op) != row[1:4]:
                raise LogDamaged(f"leaf {number} is damaged", "its row speaks of another fact")
            yield row[4]
            number += 1


def _check_signed(tree: CompactRange, signed: dict[int, Checkpoint]) -> None:
    checkpoint = signed.pop(tree.size, None)
    if checkpoint is not None and checkpoint.root != tree.root():
        raise LogDamaged(
            "the log is another than it was when it was signed",
            f"its first {tree.size} leaves make another tree",
        )


def _check_tiles(reading: Transaction, epoch: int, size: int, rows: list[list[bytes]]) -> None:
    """Compare the tiles that are full at this size, and go on with their roots a level higher."""
    for level, row in enumerate(rows):
        if len(row) < WIDTH:
            return
        number = (size >> 8 * (level + 1)) - 1
        found = reading.row(
            "SELECT bytes, root FROM tile WHERE epoch = ? AND level = ? AND number = ?",
            (epoch, level, number),
        )
        root = root_of(row)
        if found != (b"".join(row), root):
            raise LogDamaged(
                f"tile {number} of level {level} is damaged",
                f"it is not of the leaves up to {size}",
            )
        row.clear()
        if level + 1 == len(rows):
            rows.append([])
        rows[level + 1].append(root)


def _check_tile_count(reading: Transaction, head: Head) -> None:
    wanted, hashes = 0, head.size
    while hashes := hashes // WIDTH:
        wanted += hashes
    found = reading.row("SELECT count(*) FROM tile WHERE epoch = ?", (head.epoch,))
    if found != (wanted,):
        raise LogDamaged("the log has tiles that no leaf made", f"{found} instead of {wanted}")
