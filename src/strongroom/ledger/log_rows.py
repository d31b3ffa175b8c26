"""The tables of a log, and the tree that is read out of them.

Leaves are kept whole, and full tiles with their roots, so a tile that is not full yet costs at
most 255 rows and the tree of any size a few of those. Nothing is remembered between transactions:
two processes may write to one file, and what counts is what it says under its write lock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Protocol

from strongroom.clock import format_instant
from strongroom.database import Transaction
from strongroom.errors import Damaged, Refused, SplitView, Stale
from strongroom.ledger.tiles import ENTRY_BYTES_MAX, WIDTH, read_from, split_tile
from strongroom.ledger.tree import HASH_BYTES, CompactRange, Read, leaf_hash, root_of

SCHEMA: tuple[str, ...] = (
    """
    CREATE TABLE epoch (
      number INTEGER PRIMARY KEY, origin TEXT UNIQUE, vkey TEXT, begun_at TEXT, previous BLOB
    ) STRICT;
    CREATE TABLE leaf (
      epoch INTEGER NOT NULL REFERENCES epoch (number), number INTEGER NOT NULL,
      id TEXT NOT NULL UNIQUE, at TEXT NOT NULL, op TEXT NOT NULL, bytes BLOB NOT NULL,
      PRIMARY KEY (epoch, number)
    ) STRICT;
    CREATE TABLE tile (
      epoch INTEGER NOT NULL REFERENCES epoch (number), level INTEGER NOT NULL,
      number INTEGER NOT NULL, bytes BLOB NOT NULL, root BLOB NOT NULL,
      PRIMARY KEY (epoch, level, number)
    ) STRICT;
    CREATE TABLE head (
      epoch INTEGER PRIMARY KEY REFERENCES epoch (number), size INTEGER NOT NULL,
      root BLOB NOT NULL, stack BLOB NOT NULL
    ) STRICT;
    CREATE TABLE checkpoint (
      epoch INTEGER NOT NULL REFERENCES epoch (number), size INTEGER NOT NULL,
      note BLOB NOT NULL, witnesses TEXT NOT NULL, signed_at TEXT NOT NULL, cosigned_at TEXT,
      placed INTEGER NOT NULL, PRIMARY KEY (epoch, size)
    ) STRICT;
    INSERT INTO epoch (number) VALUES (1);
    INSERT INTO head (epoch, size, root, stack) VALUES
      (1, 0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', x'')
    """,
)
"""One migration step. An epoch has no origin and no key until its first checkpoint is signed."""


class LogDamaged(Damaged):
    """A stored leaf, tile, head or checkpoint is not what was written; nothing is signed on it."""

    code = "log_damaged"
    hint = "Run `strongroom ledger verify` to see what is hit; nothing is signed meanwhile."


class LogBehind(Stale):
    """Somebody saw more leaves of this log than there are: the home is older than it was."""

    code = "log_behind"
    hint = (
        "This home was put back, or somebody uses a copy of it: `strongroom ledger reconcile` "
        "tells what custodians did. It only reads until `strongroom ledger resume`."
    )


class LogForked(SplitView):
    """Somebody saw another tree under this log's name."""

    code = "log_forked"


class LogRefused(Refused):
    """The log takes no such leaf, or not here."""

    code = "log_refused"


class Recordable(Protocol):
    """What a log needs to know of a fact."""

    @property
    def id(self) -> str:
        """The id by which the same fact is known when it comes twice."""
        ...

    @property
    def at(self) -> datetime:
        """When it happened."""
        ...

    @property
    def op(self) -> str:
        """What was done: two words with a dot."""
        ...

    def encode(self) -> bytes:
        """Return the leaf's bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """Where an epoch stands: how many leaves it has, and the compact range over them."""

    epoch: int
    size: int
    root: bytes
    stack: bytes

    def range(self) -> CompactRange:
        """Return the compact range; raise LogDamaged where it cannot be one of this size."""
        at = range(0, len(self.stack), HASH_BYTES)
        try:
            stack = [self.stack[start : start + HASH_BYTES] for start in at]
            return CompactRange(self.size, stack)
        except Damaged as err:
            raise LogDamaged("the head of the log is damaged", err.why) from err


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf's columns; `data` alone is what the tree commits to."""

    id: str
    at: str
    op: str
    data: bytes


def leaf_of(fact: Recordable) -> Leaf:
    """Return the row for a fact; raise LogRefused for one that no entry bundle can hold."""
    data = fact.encode()
    if len(data) > ENTRY_BYTES_MAX:
        raise LogRefused(
            f"the fact {fact.id} ({fact.op}) has {len(data)} bytes",
            f"a leaf has at most {ENTRY_BYTES_MAX}",
        )
    return Leaf(fact.id, format_instant(fact.at), fact.op, data)


def read_head(transaction: Transaction, epoch: int | None = None) -> Head:
    """Return an epoch's head, of the current one where none is named."""
    if epoch is None:
        sql = "SELECT epoch, size, root, stack FROM head ORDER BY epoch DESC LIMIT 1"
        row = transaction.row(sql)
    else:
        sql = "SELECT epoch, size, root, stack FROM head WHERE epoch = ?"
        row = transaction.row(sql, (epoch,))
    if row is None:
        raise LogDamaged("the head of the log is missing", f"epoch {epoch or 1}")
    return Head(*row)


def add(transaction: Transaction, leaves: Iterable[Leaf]) -> list[int]:
    """Append to the current epoch and return each leaf's number; one that is there keeps its own.

    Raises LogRefused when an id is taken by other bytes or lies in an earlier epoch.
    """
    head = read_head(transaction)
    tree = head.range()
    numbers = []
    for leaf in leaves:
        number = tree.size
        added = transaction.run(
            "INSERT OR IGNORE INTO leaf (epoch, number, id, at, op, bytes) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (head.epoch, number, leaf.id, leaf.at, leaf.op, leaf.data),
        )
        if not added:
            numbers.append(_known(transaction, head.epoch, leaf))
            continue
        tree.append(leaf_hash(leaf.data))
        numbers.append(number)
        if tree.size % WIDTH == 0:
            _fill_tiles(transaction, head.epoch, tree.size)
    if tree.size != head.size:
        transaction.run(
            "UPDATE head SET size = ?, root = ?, stack = ? WHERE epoch = ?",
            (tree.size, tree.root(), b"".join(tree.stack), head.epoch),
        )
    return numbers


def _known(transaction: Transaction, epoch: int, leaf: Leaf) -> int:
    """Return the number of a leaf that was appended before, or say why it could not be now."""
    row = transaction.row("SELECT epoch, number, bytes FROM leaf WHERE id = ?", (leaf.id,))
    if row is None:
        raise LogDamaged("the head of the log is damaged", "the log has more leaves than it says")
    if row[0] != epoch:
        raise LogRefused(f"the fact {leaf.id} is in an earlier epoch of this log", str(row[0]))
    if row[2] != leaf.data:
        raise LogRefused(
            f"the fact {leaf.id} ({leaf.op}) is recorded with other bytes",
            f"as leaf {row[1]}; what was recorded stays",
        )
    return int(row[1])


def _fill_tiles(transaction: Transaction, epoch: int, size: int) -> None:
    """Write the tiles that are full since the leaf that made this size."""
    level = 0
    while size and size % WIDTH == 0:
        size //= WIDTH
        tile = read_tile(transaction, epoch, level, size - 1, WIDTH)
        added = transaction.run(
            "INSERT OR IGNORE INTO tile (epoch, level, number, bytes, root) VALUES (?, ?, ?, ?, ?)",
            (epoch, level, size - 1, tile, root_of(split_tile(tile, WIDTH))),
        )
        if not added:
            raise LogDamaged(
                "the head of the log is damaged",
                f"it would write tile {size - 1} of level {level} a second time",
            )
        level += 1


def read_tile(transaction: Transaction, epoch: int, level: int, number: int, width: int) -> bytes:
    """Return the first hashes of a tile that is full, or of one that leaves or tiles will make."""
    row = transaction.row(
        "SELECT bytes FROM tile WHERE epoch = ? AND level = ? AND number = ?",
        (epoch, level, number),
    )
    start = number * WIDTH
    if row is not None:
        tile = bytes(row[0][: width * HASH_BYTES])
    elif level == 0:
        leaves = read_leaves(transaction, epoch, range(start, start + width))
        tile = b"".join(map(leaf_hash, leaves))
    else:
        roots = transaction.rows(
            "SELECT root FROM tile WHERE epoch = ? AND level = ? AND number BETWEEN ? AND ? "
            "ORDER BY number",
            (epoch, level - 1, start, start + width - 1),
        )
        tile = b"".join(root for (root,) in roots)
    if len(tile) != width * HASH_BYTES:
        raise LogDamaged(
            f"tile {number} of level {level} is damaged",
            f"it has {len(tile)} bytes, not {width}*32",
        )
    return tile


def read_leaves(transaction: Transaction, epoch: int, wanted: range) -> list[bytes]:
    """Return the bytes of these leaves; raise LogDamaged when one is missing."""
    rows = transaction.rows(
        "SELECT bytes FROM leaf WHERE epoch = ? AND number BETWEEN ? AND ? ORDER BY number",
        (epoch, wanted.start, wanted.stop - 1),
    )
    if len(rows) != len(wanted):
        raise LogDamaged(
            f"leaves from {wanted.start} to {wanted.stop - 1} are missing",
            f"{len(rows)} of {len(wanted)} are there",
        )
    return [data for (data,) in rows]


def reader(transaction: Transaction, epoch: int, size: int) -> Read:
    """Return what reads the roots of full subtrees of the tree of this size."""
    return read_from(cache(partial(read_tile, transaction, epoch)), size)


def range_at(transaction: Transaction, epoch: int, size: int) -> CompactRange:
    """Compute the compact range over the first leaves from the tiles and the tail's leaves."""
    return CompactRange.of(reader(transaction, epoch, size), size)
