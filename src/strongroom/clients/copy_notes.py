"""What was seen of each copy of a client's objects: when it was read last, and what it was.

Scrubbing reads the copies that were read longest ago first, so these rows are its place in the
walk: whatever interrupts it, the next run goes on with what was not read yet. Damage stays noted
until a later look finds the copy sound. Losing these rows costs reading again, and nothing else.

A pack or keys object that no location had when all of them were asked is lost, and stays noted as
that: nothing may refer to it again, even if somebody finds a copy.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from strongroom.clock import format_instant, parse_instant
from strongroom.database import Database, Row
from strongroom.facts import Fact
from strongroom.ledger import Log

CopyState = Literal["sound", "damaged", "missing", "unauthenticated", "unknown"]

SCHEMA = (
    """
    CREATE TABLE copy (
      location TEXT NOT NULL, object TEXT NOT NULL,
      state TEXT NOT NULL
        CHECK (state IN ('sound', 'damaged', 'missing', 'unauthenticated', 'unknown')),
      seen_at TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (location, object)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX copy_trouble ON copy (state) WHERE state <> 'sound'",
    """
    CREATE TABLE scrub (
      number INTEGER PRIMARY KEY, begun_at TEXT NOT NULL, share INTEGER NOT NULL,
      ended_at TEXT
    ) STRICT
    """,
)
LOST_TABLE = "CREATE TABLE lost (object TEXT PRIMARY KEY) STRICT, WITHOUT ROWID"


@dataclass(frozen=True, slots=True)
class CopyNote:
    """One copy as it was when it was last looked at; `why` says what is wrong with it."""

    location: str
    object: str
    state: CopyState
    seen_at: datetime
    why: str = ""


class CopyNotes:
    """The rows of one client's copies, in the client's own database."""

    def __init__(self, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    def write(self, notes: Iterable[CopyNote]) -> None:
        """Write what was just seen, in the place of what was seen before; one transaction."""
        with self._database.transaction() as transaction:
            transaction.run_many(
                "INSERT OR REPLACE INTO copy (location, object, state, seen_at, why) "
                "VALUES (?, ?, ?, ?, ?)",
                [
                    (one.location, one.object, one.state, format_instant(one.seen_at), one.why)
                    for one in notes
                ],
            )

    def forget(self, location: str, objects: Iterable[str]) -> None:
        """Drop what was noted of objects that nobody expects at a location any more."""
        with self._database.transaction() as transaction:
            transaction.run_many(
                "DELETE FROM copy WHERE location = ? AND object = ?",
                [(location, one) for one in objects],
            )

    def troubles(self) -> list[CopyNote]:
        """Return every copy that was not sound when it was last looked at, by place and name."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT location, object, state, seen_at, why FROM copy WHERE state <> 'sound' "
                "ORDER BY location, object"
            )
        return [_note(row) for row in rows]

    def seen(self, location: str) -> dict[str, datetime]:
        """Return when each noted object of a location was looked at last."""
        with self._database.reading() as reading:
            rows = reading.rows("SELECT object, seen_at FROM copy WHERE location = ?", (location,))
        return {row[0]: parse_instant(row[1]) for row in rows}

    def lost(self) -> frozenset[str]:
        """Return the keys of the objects that are noted as lost, relative to the vault."""
        with self._database.reading() as reading:
            return frozenset(str(one) for (one,) in reading.rows("SELECT object FROM lost"))

    def lose(self, objects: Iterable[str], fact: Fact) -> None:
        """Note these objects as lost, with the fact that tells of it; one transaction."""
        with self._database.transaction() as transaction:
            transaction.run_many(
                "INSERT OR IGNORE INTO lost (object) VALUES (?)", [(one,) for one in objects]
            )
            self._log.append(transaction, fact)

    def begin_round(self, share: int, now: datetime, oldest: datetime) -> datetime:
        """Return when the round began that this one is part of.

        A round of the same share that was interrupted, and began after `oldest`, is gone on with;
        one that began later than now was begun under a wrong clock and is not.
        """
        with self._database.transaction() as transaction:
            row = transaction.row(
                "SELECT begun_at FROM scrub WHERE ended_at IS NULL AND share = ? "
                "AND begun_at BETWEEN ? AND ? ORDER BY number DESC",
                (share, format_instant(oldest), format_instant(now)),
            )
            if row is not None:
                return parse_instant(row[0])
            transaction.run("DELETE FROM scrub")
            transaction.run(
                "INSERT INTO scrub (begun_at, share) VALUES (?, ?)", (format_instant(now), share)
            )
        return now

    def end_round(self, now: datetime) -> None:
        """Note that the round has read its share."""
        with self._database.transaction() as transaction:
            transaction.run(
                "UPDATE scrub SET ended_at = ? WHERE ended_at IS NULL", (format_instant(now),)
            )


def _note(row: Row) -> CopyNote:
    return CopyNote(row[0], row[1], cast("CopyState", row[2]), parse_instant(row[3]), row[4])
