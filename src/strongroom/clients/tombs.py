"""The part of a client's database that remembers deletions: tombstones, and what they bury.

A tombstone is written here, durably, before it is placed anywhere: whatever comes between, the
next run finds it and goes on. A buried snapshot keeps its row until it is really deleted.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from strongroom.clock import format_instant, parse_instant
from strongroom.database import Database, Row, Transaction
from strongroom.facts import Fact
from strongroom.ledger import Log

TOMB_SCHEMA = (
    """
    CREATE TABLE tomb (
      hash TEXT PRIMARY KEY, generation INTEGER NOT NULL UNIQUE, not_before TEXT NOT NULL,
      placed INTEGER NOT NULL, record BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE buried (
      snapshot TEXT PRIMARY KEY, writer TEXT NOT NULL, sequence INTEGER NOT NULL,
      index_hash TEXT NOT NULL, tomb TEXT, UNIQUE (writer, sequence)
    ) STRICT
    """,
)
RESCUED = "ALTER TABLE tomb ADD COLUMN rescued TEXT"
"""What of a tombstone stays because a snapshot needs it again; null until its deletion begins."""


@dataclass(frozen=True, slots=True)
class BuriedSnapshot:
    """A snapshot that goes or is gone; `index` is empty when its index object is gone, too."""

    hash: str
    writer: str
    sequence: int
    index: str


@dataclass(frozen=True, slots=True)
class TombRow:
    """A tombstone of this home; `placed` says that enough locations hold it.

    `rescued` are the objects that it lists and that stayed when it was carried out last.
    """

    hash: str
    generation: int
    not_before: datetime
    placed: bool
    record: bytes
    rescued: frozenset[str] = frozenset()


class Tombs:
    """Tombstones of one client; what `History` inherits."""

    TombRow: TypeAlias = TombRow
    Buried: TypeAlias = BuriedSnapshot

    def __init__(self, database: Database) -> None:
        self._database = database
        self.log = Log(database)
        """This client's log; every change of these tables is in it."""

    def tombs(self) -> list[TombRow]:
        """Return the tombstones that this home made, oldest first."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT hash, generation, not_before, placed, record, rescued FROM tomb "
                "ORDER BY generation"
            )
        return [_tomb(row) for row in rows]

    def begun_tombs(self) -> list[TombRow]:
        """Return the tombstones of this home whose deletion has begun, oldest first.

        What they list is deleted, or on its way, or was rescued; what the others list waits.
        """
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT hash, generation, not_before, placed, record, rescued FROM tomb "
                "WHERE rescued IS NOT NULL ORDER BY generation"
            )
        return [_tomb(row) for row in rows]

    def tomb_hashes(self) -> list[str]:
        """Return the hashes of the tombstones that this home made, oldest first."""
        with self._database.reading() as reading:
            return [row[0] for row in reading.rows("SELECT hash FROM tomb ORDER BY generation")]

    def buried(self) -> list[BuriedSnapshot]:
        """Return every snapshot that goes or is gone, whoever made the tombstone."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT snapshot, writer, sequence, index_hash FROM buried "
                "ORDER BY writer, sequence"
            )
        return [BuriedSnapshot(*row) for row in rows]

    def deleted(self) -> list[BuriedSnapshot]:
        """Return every snapshot that is gone; one that waits under a tombstone is not."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT snapshot, writer, sequence, index_hash FROM buried "
                "WHERE snapshot NOT IN (SELECT hash FROM snapshot) ORDER BY writer, sequence"
            )
        return [BuriedSnapshot(*row) for row in rows]

    def begin_tomb(self, tomb: TombRow, snapshots: Sequence[BuriedSnapshot], fact: Fact) -> None:
        """Write a tombstone and what it buries; from here on it can only be carried out."""
        with self._database.transaction() as transaction:
            transaction.run(
                "INSERT INTO tomb (hash, generation, not_before, placed, record) "
                "VALUES (?, ?, ?, 0, ?)",
                (tomb.hash, tomb.generation, format_instant(tomb.not_before), tomb.record),
            )
            _bury(transaction, snapshots, tomb.hash)
            self.log.append(transaction, fact)

    def place_tomb(self, tomb: TombRow) -> None:
        """Note that enough locations hold the tombstone."""
        with self._database.transaction() as transaction:
            transaction.run("UPDATE tomb SET placed = 1 WHERE hash = ?", (tomb.hash,))

    def adopt_buried(self, snapshots: Sequence[BuriedSnapshot]) -> None:
        """Write snapshots that another home has deleted, as tombstones at the locations tell."""
        with self._database.transaction() as transaction:
            _bury(transaction, snapshots, None)

    def forget_snapshots(
        self, tomb: TombRow, objects: Sequence[str], rescued: Sequence[str], fact: Fact
    ) -> None:
        """Forget the snapshots of a tombstone before these objects go; again changes nothing."""
        with self._database.transaction() as transaction:
            transaction.run(
                "UPDATE tomb SET rescued = ? WHERE hash = ?", (json.dumps(rescued), tomb.hash)
            )
            transaction.run(
                "DELETE FROM receipt WHERE snapshot IN "
                "(SELECT snapshot FROM buried WHERE tomb = ?)",
                (tomb.hash,),
            )
            gone = transaction.run(
                "DELETE FROM snapshot WHERE hash IN (SELECT snapshot FROM buried WHERE tomb = ?)",
                (tomb.hash,),
            )
            _forget_indexes(transaction, objects)
            if gone:
                self.log.append(transaction, fact)


def _tomb(row: Row) -> TombRow:
    rescued = frozenset(json.loads(row[5] or "[]"))
    return TombRow(row[0], row[1], parse_instant(row[2]), bool(row[3]), row[4], rescued)


def _bury(transaction: Transaction, snapshots: Sequence[BuriedSnapshot], tomb: str | None) -> None:
    transaction.run_many(
        "INSERT OR REPLACE INTO buried (snapshot, writer, sequence, index_hash, tomb) "
        "VALUES (?, ?, ?, ?, ?)",
        [(one.hash, one.writer, one.sequence, one.index, tomb) for one in snapshots],
    )


def _forget_indexes(transaction: Transaction, objects: Sequence[str]) -> None:
    """Note whose index objects go: there is nothing to learn from them later.

    Not before: a snapshot that waits may need what an earlier one had stored, and an index that is
    lost meanwhile learns of it from there.
    """
    transaction.run_many(
        "UPDATE buried SET index_hash = '' WHERE index_hash = ?",
        [(key.removeprefix("index/"),) for key in objects if key.startswith("index/")],
    )
