"""One client's database: its sources, its writers, and every snapshot that was begun.

A snapshot's row is durable, with the exact bytes of its record, before the first copy is placed:
whatever interrupts the placing, the next command sends the same bytes again, so two different
records of one sequence number cannot exist. States go one way: writing, pending, good.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from strongroom.clients import copy_notes
from strongroom.clients.avowals import AVOWAL_TABLE, Avowals
from strongroom.clients.redeals import REDEAL_TABLES, Redeal, Redeals
from strongroom.clients.source_url import split_source_name
from strongroom.clients.tombs import RESCUED, TOMB_SCHEMA, Tombs
from strongroom.clock import format_instant, parse_instant
from strongroom.database import Database, Row, Transaction, Value
from strongroom.errors import UsageError
from strongroom.facts import FACT_TABLE, Fact
from strongroom.ids import SourceId, WriterId
from strongroom.ledger import Log

SnapshotState = Literal["writing", "pending", "good"]

NEWEST_SHOWN = 3
_PREFIX_MIN = 4
_HEX = frozenset("0123456789abcdef")

SCHEMA = (
    FACT_TABLE,
    """
    CREATE TABLE source (
      id TEXT PRIMARY KEY, name TEXT NOT NULL, url TEXT NOT NULL, kind TEXT NOT NULL,
      added_at TEXT NOT NULL, removed_at TEXT
    ) STRICT
    """,
    "CREATE UNIQUE INDEX source_name ON source (name) WHERE removed_at IS NULL",
    """
    CREATE TABLE writer (
      number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, revoked_after INTEGER
    ) STRICT
    """,
    """
    CREATE TABLE client_key (
      custodian INTEGER PRIMARY KEY, envelope BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE snapshot (
      hash TEXT PRIMARY KEY, writer TEXT NOT NULL, sequence INTEGER NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('writing', 'pending', 'good')),
      created_at TEXT NOT NULL, received_at TEXT, summary TEXT NOT NULL, record BLOB,
      UNIQUE (writer, sequence)
    ) STRICT
    """,
    """
    CREATE TABLE receipt (
      snapshot TEXT NOT NULL REFERENCES snapshot (hash), custodian INTEGER NOT NULL,
      received_at TEXT NOT NULL, PRIMARY KEY (snapshot, custodian)
    ) STRICT
    """,
    "CREATE INDEX snapshot_state ON snapshot (state, writer, sequence)",
    *copy_notes.SCHEMA,
    *TOMB_SCHEMA,
    copy_notes.LOST_TABLE,
    *Log.SCHEMA,
    RESCUED,
    AVOWAL_TABLE,
    *REDEAL_TABLES,
)

Tally = dict[str, tuple[int, int]]
"""How many good snapshots there are of each writer, and the sum of their sequences."""

_ROWS_AT_ONCE = 8
_SELECT = (
    "SELECT hash, writer, sequence, state, created_at, received_at, summary, "
    "(SELECT count(*) FROM receipt WHERE receipt.snapshot = snapshot.hash), rowid, "
    "(SELECT tomb.not_before FROM buried JOIN tomb ON tomb.hash = buried.tomb "
    "WHERE buried.snapshot = snapshot.hash) FROM snapshot "
)


@dataclass(frozen=True, slots=True)
class ClientSource:
    """Where a client's data comes from; the name is unique among the client's sources."""

    id: SourceId
    name: str
    url: str
    kind: str
    added_at: datetime

    @staticmethod
    def split_name(text: str) -> tuple[str | None, str]:
        """Split what a person typed as `NAME=URL` or `URL`."""
        return split_source_name(text)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the home knows of one snapshot; `hash` is its id, `receipts` counts custodians."""

    hash: str
    writer: str
    sequence: int
    state: SnapshotState
    created_at: datetime
    received_at: datetime | None
    summary: Mapping[str, Any]
    receipts: int = 0
    goes_at: datetime | None = None
    """When a tombstone lets it be deleted, or None."""


class History(Tombs):
    """The tables of one client's `client.db`, opened for one operation by one thread.

    There may be ten thousand snapshots: whoever needs one asks for that one. Rows of snapshots
    change under the vault's lock; who does not hold it takes what was there when it looked.
    """

    CopyNote: TypeAlias = copy_notes.CopyNote
    CopyState: TypeAlias = copy_notes.CopyState
    Redeal: TypeAlias = Redeal

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        database.migrate(SCHEMA)
        self.log.take_over_plain_facts()
        self.copies = copy_notes.CopyNotes(database, self.log)
        """What was seen of each copy of this client's objects."""
        self.redeals = Redeals(database, self.log)
        """Which sessions were dealt anew."""
        self.avowals = Avowals(database, self.log)
        """What custodians said of their old shares when they were asked last."""

    # -- sources

    def sources(self) -> list[ClientSource]:
        """Return the sources that are backed up, in the order of their names."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT id, name, url, kind, added_at FROM source WHERE removed_at IS NULL "
                "ORDER BY name"
            )
        return [ClientSource(SourceId(r[0]), r[1], r[2], r[3], parse_instant(r[4])) for r in rows]

    def add_source(self, source: ClientSource, fact: Fact) -> None:
        """Write a source; refuses a name or a URL that is taken."""
        for other in self.sources():
            if source.name == other.name:
                raise UsageError(
                    f"there already is a source named {source.name}",
                    f"it reads {other.url}",
                    hint="Give this one a name of its own: `NAME=URL`.",
                )
            if source.url == other.url:
                raise UsageError(f"{source.url} is already a source", f"it is named {other.name}")
        with self._database.transaction() as transaction:
            transaction.run(
                "INSERT INTO source (id, name, url, kind, added_at) VALUES (?, ?, ?, ?, ?)",
                (source.id, source.name, source.url, source.kind, format_instant(source.added_at)),
            )
            self.log.append(transaction, fact)

    def remove_source(self, source: ClientSource, fact: Fact) -> None:
        """Stop backing a source up; its snapshots stay."""
        with self._database.transaction() as transaction:
            transaction.run(
                "UPDATE source SET removed_at = ? WHERE id = ?",
                (format_instant(fact.at), source.id),
            )
            self.log.append(transaction, fact)

    # -- keys, public parts

    def writers(self) -> list[tuple[bytes, int | None]]:
        """Return (public key, last sequence where revoked) of every writer, oldest first."""
        with self._database.reading() as reading:
            return [
                (row[0], row[1])
                for row in reading.rows("SELECT key, revoked_after FROM writer ORDER BY number")
            ]

    def begin_writer(self, key: bytes, client_keys: Mapping[int, bytes], fact: Fact) -> None:
        """Write this home's writer and the custodians' certificates for the client."""
        with self._database.transaction() as transaction:
            transaction.run("INSERT INTO writer (key) VALUES (?)", (key,))
            _write_client_keys(transaction, client_keys)
            self.log.append(transaction, fact)

    def adopt_client_keys(self, client_keys: Mapping[int, bytes]) -> None:
        """Write certificates that were found at the locations, or are about to be placed there."""
        with self._database.transaction() as transaction:
            _write_client_keys(transaction, client_keys)

    def revoke_writer(self, key: bytes, after: int) -> None:
        """Write a former writer whose snapshots count up to this sequence."""
        with self._database.transaction() as transaction:
            transaction.run("INSERT INTO writer (key, revoked_after) VALUES (?, ?)", (key, after))

    def client_keys(self) -> dict[int, bytes]:
        """Return the custodians' certificates (envelopes) by custodian index."""
        with self._database.reading() as reading:
            return {
                row[0]: row[1] for row in reading.rows("SELECT custodian, envelope FROM client_key")
            }

    # -- snapshots

    def begin_snapshot(self, snapshot: Snapshot, record_bytes: bytes, fact: Fact) -> None:
        """Write a snapshot's row with its exact record; from here on it can only be completed."""
        with self._database.transaction() as transaction:
            _insert(transaction.run, snapshot, record_bytes)
            self.log.append(transaction, fact)

    def adopt_snapshots(self, found: Iterable[tuple[Snapshot, Mapping[int, datetime]]]) -> None:
        """Write snapshots that were found at the locations, oldest first, with their receipts."""
        with self._database.transaction() as transaction:
            for snapshot, receipts in found:
                _insert(transaction.run, snapshot, None)
                transaction.run_many(
                    "INSERT INTO receipt (snapshot, custodian, received_at) VALUES (?, ?, ?)",
                    [(snapshot.hash, index, format_instant(at)) for index, at in receipts.items()],
                )

    def record_of(self, snapshot: Snapshot) -> bytes | None:
        """Return the record's bytes while they are still to be placed."""
        with self._database.reading() as reading:
            row = reading.row("SELECT record FROM snapshot WHERE hash = ?", (snapshot.hash,))
        return row[0] if row else None

    def advance(
        self,
        snapshot: Snapshot,
        receipts: Mapping[int, datetime],
        good: tuple[datetime, Fact] | None = None,
    ) -> None:
        """Note that enough locations hold the record, and who has signed a receipt for it.

        With `good`, the time that counts and the fact that tells of it, a snapshot that was not
        good becomes so. All of it is one step; the same again changes nothing.
        """
        with self._database.transaction() as transaction:
            transaction.run(
                "UPDATE snapshot SET state = 'pending', record = NULL "
                "WHERE hash = ? AND state = 'writing'",
                (snapshot.hash,),
            )
            transaction.run_many(
                "INSERT OR IGNORE INTO receipt (snapshot, custodian, received_at) VALUES (?, ?, ?)",
                [(snapshot.hash, index, format_instant(at)) for index, at in receipts.items()],
            )
            if good is None:
                return
            received_at, fact = good
            changed = transaction.run(
                "UPDATE snapshot SET state = 'good', received_at = ? "
                "WHERE hash = ? AND state = 'pending'",
                (format_instant(received_at), snapshot.hash),
            )
            if changed:
                self.log.append(transaction, fact)

    def receipts(self, snapshot: Snapshot) -> dict[int, datetime]:
        """Return when each custodian received it, by custodian index."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT custodian, received_at FROM receipt WHERE snapshot = ?", (snapshot.hash,)
            )
        return {index: parse_instant(at) for index, at in rows}

    def custodians_of(self) -> dict[str, list[int]]:
        """Return who has signed for each snapshot, by its hash."""
        with self._database.reading() as reading:
            rows = reading.rows("SELECT snapshot, custodian FROM receipt ORDER BY custodian")
        found: dict[str, list[int]] = {}
        for snapshot, index in rows:
            found.setdefault(snapshot, []).append(index)
        return found

    def snapshots(self) -> list[Snapshot]:
        """Return every snapshot, oldest first: for who shows or looks at all of them."""
        return self._read("ORDER BY rowid")

    def unfinished(self) -> list[Snapshot]:
        """Return the snapshots that are not good, of any writer, oldest first."""
        return self._read("WHERE state IN ('writing', 'pending') ORDER BY rowid")

    def since(self, writer: WriterId, sequence: int) -> list[Snapshot]:
        """Return a writer's snapshots from this sequence on, oldest first."""
        return self._read("WHERE writer = ? AND sequence >= ? ORDER BY sequence", writer, sequence)

    def at(self, writer: WriterId, sequence: int) -> Snapshot | None:
        """Return a writer's snapshot of this sequence, or None."""
        return self._read_one("WHERE writer = ? AND sequence = ?", writer, sequence)

    def last(self, writer: WriterId) -> Snapshot | None:
        """Return a writer's snapshot with the greatest sequence, or None."""
        return self._read_one("WHERE writer = ? ORDER BY sequence DESC LIMIT 1", writer)

    def newest_good(self) -> Snapshot | None:
        """Return the good snapshot that was begun or found last, or None."""
        return next(self.good_newest_first(), None)

    def good_newest_first(self) -> Iterator[Snapshot]:
        """Yield the good snapshots from the newest back, a few rows at a time."""
        before = 1 << 62
        while rows := self._rows(
            "WHERE state = 'good' AND rowid < ? ORDER BY rowid DESC LIMIT ?", before, _ROWS_AT_ONCE
        ):
            yield from map(_snapshot, rows)
            before = rows[-1][8]

    def counts(self) -> Mapping[SnapshotState, int]:
        """Return how many snapshots are in each state; a state without any is left out."""
        with self._database.reading() as reading:
            return dict(reading.rows("SELECT state, count(*) FROM snapshot GROUP BY state"))

    def tally(self) -> Tally:
        """Return what tells quickly whether two sets of good snapshots are the same."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT writer, count(*), sum(sequence) FROM snapshot WHERE state = 'good' "
                "GROUP BY writer"
            )
        return {writer: (count, total) for writer, count, total in rows}

    def find(self, wanted: str) -> Snapshot:
        """Return the snapshot meant by `latest`, an id prefix of 4 or more, or a time."""
        if wanted == "latest":
            newest = self.newest_good()
            if newest is None:
                raise self._none_good()
            return newest
        prefix = wanted.lower()
        if len(prefix) >= _PREFIX_MIN and not set(prefix) - _HEX:
            # No digit of an id sorts after the tilde, so this is one stretch of the primary key.
            rows = self._rows("WHERE hash BETWEEN ? AND ?", prefix, f"{prefix}~")
            if len(rows) > 1:
                raise UsageError(f"{wanted} fits {len(rows)} snapshots", "give more of the id")
            if rows:
                return _snapshot(rows[0])
        return self._at_or_before(wanted)

    def record(self, fact: Fact) -> None:
        """Record a fact that changes no row here."""
        with self._database.transaction() as transaction:
            self.log.append(transaction, fact)

    def facts(self, kind: str | None = None) -> list[Fact]:
        """Return the client's facts in order."""
        return self.log.facts(kind)

    def close(self) -> None:
        """Give the database back."""
        self._database.close()

    def _at_or_before(self, wanted: str) -> Snapshot:
        try:
            instant = datetime.fromisoformat(wanted)
            # Instants are written so that text order is time order.
            text = format_instant(instant) if instant.tzinfo else ""
        except (ValueError, OverflowError) as err:
            raise UsageError(
                f"there is no snapshot {wanted!r:.80}",
                "wanted `latest`, four or more digits of an id, or a time like 2026-11-22T18:00Z",
                hint=self._newest_few(),
            ) from err
        if not text:
            raise UsageError(f"the time {wanted} has no zone", "write it with Z or an offset")
        found = self._read_one(
            "WHERE state = 'good' AND received_at <= ? ORDER BY received_at DESC, rowid LIMIT 1",
            text,
        )
        if found is None:
            raise UsageError(
                f"there is no good snapshot at or before {wanted}", hint=self._newest_few()
            )
        return found

    def _none_good(self) -> UsageError:
        pending = self.counts().get("pending", 0)
        return UsageError(
            "there is no good snapshot yet",
            f"{pending} are pending: too few custodians have signed for them" if pending else "",
            hint="Run `strongroom backup CLIENT`: it collects receipts for what this home wrote. "
            "A pending one that a recovery found can be restored by its id.",
        )

    def _newest_few(self) -> str:
        """Return a hint that names the newest few."""
        listed = ", ".join(
            f"{one.hash[:12]} ({one.received_at or one.created_at:%Y-%m-%d %H:%M:%S Z})"
            for one in self._read("ORDER BY rowid DESC LIMIT ?", NEWEST_SHOWN)
        )
        all_of_them = "`strongroom snapshots CLIENT` lists all."
        return f"The newest are {listed}; {all_of_them}" if listed else "There is none yet."

    def _read(self, which: str, *values: Value) -> list[Snapshot]:
        return [_snapshot(row) for row in self._rows(which, *values)]

    def _read_one(self, which: str, *values: Value) -> Snapshot | None:
        with self._database.reading() as reading:
            row = reading.row(_SELECT + which, values)
        return None if row is None else _snapshot(row)

    def _rows(self, which: str, *values: Value) -> list[Row]:
        with self._database.reading() as reading:
            return reading.rows(_SELECT + which, values)


def _write_client_keys(transaction: Transaction, client_keys: Mapping[int, bytes]) -> None:
    transaction.run_many(
        "INSERT INTO client_key (custodian, envelope) VALUES (?, ?) "
        "ON CONFLICT (custodian) DO UPDATE SET envelope = excluded.envelope",
        list(client_keys.items()),
    )


def _insert(run: Any, snapshot: Snapshot, record_bytes: bytes | None) -> None:
    received = snapshot.received_at
    run(
        "INSERT INTO snapshot (hash, writer, sequence, state, created_at, received_at, summary, "
        "record) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            snapshot.hash,
            snapshot.writer,
            snapshot.sequence,
            snapshot.state,
            format_instant(snapshot.created_at),
            format_instant(received) if received else None,
            json.dumps(dict(snapshot.summary), sort_keys=True, separators=(",", ":")),
            record_bytes,
        ),
    )


def _snapshot(row: Row) -> Snapshot:
    return Snapshot(
        hash=row[0],
        writer=row[1],
        sequence=row[2],
        state=row[3],
        created_at=parse_instant(row[4]),
        received_at=parse_instant(row[5]) if row[5] else None,
        summary=json.loads(row[6]),
        receipts=row[7],
        goes_at=parse_instant(row[9]) if row[9] else None,
    )
