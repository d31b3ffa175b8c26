"""The index of one vault on this machine: which segment lies where, which chunk lies in which.

A copy of what the locations hold, so losing it loses time and no data; nothing in it is a secret
or a name (files are found by a keyed hash). Rows of an attempt are written while it runs and are
used for dedup only when its snapshot is good: until then they are there and do not count.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Literal, TypeVar

from strongroom.database import Database, Row, Transaction, Value
from strongroom.errors import Damaged
from strongroom.vault.index_rows import (
    CachedFile,
    FileRow,
    ForeignPack,
    OwnSegment,
    SegmentPlace,
    SourceRuns,
    segment_row,
)
from strongroom.vault.live import count_live
from strongroom.vault.pack import Pack
from strongroom.vault.runs import Runs

BATCH_ROWS: Final = 500
_Some = TypeVar("_Some", bound=Value)
State = Literal["writing", "pending", "good"]

SCHEMA: Final = (
    """
    CREATE TABLE attempt (
      number INTEGER PRIMARY KEY, writer TEXT NOT NULL, sequence INTEGER, index_hash BLOB,
      snapshot TEXT,
      state TEXT NOT NULL CHECK (state IN ('writing', 'pending', 'good')),
      first_segment INTEGER NOT NULL, deleted INTEGER NOT NULL DEFAULT 0,
      UNIQUE (writer, sequence)
    ) STRICT
    """,
    """
    CREATE TABLE pack (
      number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL,
      attempt INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE segment (
      number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, session BLOB NOT NULL,
      pack INTEGER NOT NULL, offset INTEGER NOT NULL, stored_bytes INTEGER NOT NULL,
      chunks INTEGER NOT NULL, plain_bytes INTEGER NOT NULL, stream INTEGER NOT NULL,
      lengths BLOB, attempt INTEGER NOT NULL, live_bytes INTEGER NOT NULL DEFAULT 0,
      retired INTEGER NOT NULL DEFAULT 0
    ) STRICT
    """,
    """
    CREATE TABLE chunk (
      id BLOB PRIMARY KEY, segment INTEGER NOT NULL, place INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE file (
      key BLOB PRIMARY KEY, source TEXT NOT NULL, attempt INTEGER NOT NULL,
      fingerprint BLOB NOT NULL, bytes INTEGER NOT NULL, chunks INTEGER NOT NULL,
      runs BLOB NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX file_source ON file (source)",
    "CREATE TABLE refreshed (attempt INTEGER NOT NULL, source TEXT NOT NULL) STRICT",
    "CREATE TABLE retired_by (cause TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    """
    CREATE VIEW place AS
      SELECT s.number, s.id, s.session, p.id AS pack, s.offset, s.stored_bytes, s.chunks,
             s.plain_bytes, s.stream, s.attempt, s.pack AS pack_number
      FROM segment s JOIN pack p ON p.number = s.pack
    """,
    """
    CREATE TABLE source (
      id TEXT PRIMARY KEY, writer TEXT NOT NULL, sequence INTEGER NOT NULL,
      entries INTEGER NOT NULL, runs BLOB NOT NULL
    ) STRICT
    """,
    "CREATE INDEX attempt_state ON attempt (state, writer, sequence)",
    "CREATE INDEX pack_attempt ON pack (attempt)",
)


class Index:
    """The rows of one vault; one writer at a time, which the caller's lock guarantees."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate(SCHEMA)

    def begin(self, writer: str) -> tuple[int, int]:
        """Begin an attempt: return its number and its first segment number.

        Attempts that ended without a snapshot are swept; what they stored is an orphan.
        """
        with self._database.transaction() as db:
            for (number,) in db.rows("SELECT number FROM attempt WHERE state = 'writing'"):
                _sweep(db, number)
            return _new_attempt(db, writer)

    def is_empty(self) -> bool:
        """Say whether there is no chunk at all, so that no lookup is needed."""
        with self._database.reading() as db:
            return db.row("SELECT 1 FROM chunk LIMIT 1") is None

    def find_chunks(self, ids: Sequence[bytes]) -> dict[bytes, tuple[int, int]]:
        """Return segment number and place of those ids that have a row, usable or not."""
        found: dict[bytes, tuple[int, int]] = {}
        with self._database.reading() as db:
            for batch in _batches(ids):
                rows = db.rows(
                    _many("SELECT id, segment, place FROM chunk WHERE id IN (:batch)", batch),
                    batch,
                )
                found.update((chunk, (segment, place)) for chunk, segment, place in rows)
        return found

    def usable(self, numbers: Iterable[int]) -> dict[int, bool]:
        """Say of each segment whether dedup may use it: of a good one, half alive, not to go."""
        answer = dict.fromkeys(numbers, False)
        with self._database.reading() as db:
            for batch in _batches(list(answer)):
                rows = db.rows(
                    _many(
                        "SELECT s.number FROM segment s JOIN attempt a ON a.number = s.attempt "
                        "WHERE s.number IN (:batch) AND a.state = 'good' "
                        "AND s.live_bytes * 2 >= s.plain_bytes AND s.retired = 0",
                        batch,
                    ),
                    batch,
                )
                answer.update((number, True) for (number,) in rows)
        return answer

    def find_files(self, keys: Sequence[bytes]) -> dict[bytes, CachedFile]:
        """Return what good snapshots remember of these files."""
        found: dict[bytes, CachedFile] = {}
        with self._database.reading() as db:
            for batch in _batches(keys):
                rows = db.rows(
                    _many(
                        "SELECT f.key, f.fingerprint, f.bytes, f.chunks, f.runs FROM file f "
                        "JOIN attempt a ON a.number = f.attempt "
                        "WHERE f.key IN (:batch) AND a.state = 'good'",
                        batch,
                    ),
                    batch,
                )
                for key, fingerprint, size, chunks, runs in rows:
                    found[key] = CachedFile(fingerprint, size, chunks, Runs.decode(runs))
        return found

    def file_count(self, source: str) -> int:
        """Return how many files are remembered of a source, gone ones included."""
        with self._database.reading() as db:
            row = db.row("SELECT count(*) FROM file WHERE source = ?", (source,))
        return int(row[0]) if row else 0

    def entries_before(self, source: str) -> int:
        """Return how many entries the source's last good snapshot has."""
        with self._database.reading() as db:
            row = db.row("SELECT entries FROM source WHERE id = ?", (source,))
        return int(row[0]) if row else 0

    def add_chunks(self, rows: Iterable[tuple[bytes, int, int]]) -> None:
        """Write chunk rows of the running attempt; they count when its snapshot is good."""
        with self._database.transaction() as db:
            _insert_chunks(db, rows)

    def add_files(self, attempt: int, rows: Iterable[FileRow]) -> None:
        """Write file rows of the running attempt."""
        with self._database.transaction() as db:
            db.run_many(
                "INSERT OR REPLACE INTO file (key, source, attempt, fingerprint, bytes, chunks, "
                "runs) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        row.key,
                        row.source,
                        attempt,
                        row.file.fingerprint,
                        row.file.size_bytes,
                        row.file.chunks,
                        row.file.runs.encode(),
                    )
                    for row in rows
                ),
            )

    def add_pack(self, attempt: int, pack: Pack, numbers: Mapping[bytes, int]) -> None:
        """Write a placed pack and those of its segments that have a number."""
        with self._database.transaction() as db:
            if not any(one.id in numbers for one in pack.segments):
                return
            number = _insert_pack(db, attempt, pack.id, len(pack.data))
            db.run_many(
                _INSERT_SEGMENT,
                (
                    (numbers[one.id], *segment_row(one, number, attempt))
                    for one in pack.segments
                    if one.id in numbers
                ),
            )

    def drop_segments(self, first: int, end: int) -> None:
        """Forget the segments of a failed source, and every chunk that points into them."""
        with self._database.transaction() as db:
            _drop_segments(db, first, end)

    def drop_files(self, attempt: int, source: str) -> None:
        """Forget the file rows a failed source has written."""
        with self._database.transaction() as db:
            db.run("DELETE FROM refreshed WHERE attempt = ? AND source = ?", (attempt, source))
            db.run("DELETE FROM file WHERE attempt = ? AND source = ?", (attempt, source))

    def refresh_files(self, attempt: int, source: str) -> None:
        """Note that the attempt writes every file of the source, so that others may go."""
        with self._database.transaction() as db:
            db.run("INSERT INTO refreshed (attempt, source) VALUES (?, ?)", (attempt, source))

    def attempt_packs(self, attempt: int) -> Iterator[tuple[str, int, list[SegmentPlace]]]:
        """Yield every pack of an attempt, its size and its segments in order."""
        with self._database.reading() as db:
            packs = db.rows(
                "SELECT id, bytes FROM pack WHERE attempt = ? ORDER BY number", (attempt,)
            )
            # Numbers begin where the attempt does, so earlier segments are not even looked at.
            rows = db.rows(
                "SELECT * FROM place WHERE attempt = ? "
                "AND number >= (SELECT first_segment FROM attempt WHERE number = ?) "
                "ORDER BY pack_number, offset",
                (attempt, attempt),
            )
        by_pack: dict[str, list[SegmentPlace]] = {}
        for row in rows:
            by_pack.setdefault(row[3], []).append(SegmentPlace(*row[:9]))
        for pack, size in packs:
            yield pack, size, by_pack.get(pack, [])

    def name_attempt(self, attempt: int, sequence: int, index_hash: bytes) -> None:
        """Give an attempt its sequence number; an older attempt of the same number is swept."""
        with self._database.transaction() as db:
            older = db.row(
                "SELECT number FROM attempt WHERE sequence = ? AND number <> ? AND state <> 'good' "
                "AND writer = (SELECT writer FROM attempt WHERE number = ?)",
                (sequence, attempt, attempt),
            )
            if older is not None:
                _sweep(db, older[0])
            db.run(
                "UPDATE attempt SET sequence = ?, index_hash = ?, state = 'pending' "
                "WHERE number = ?",
                (sequence, index_hash, attempt),
            )

    def state(self, writer: str, sequence: int, index_hash: bytes) -> State | None:
        """Return what is known of a snapshot's rows; None when they must be fetched."""
        with self._database.reading() as db:
            row = _find_attempt(db, writer, sequence)
        if row is None or row[2] != index_hash:
            return None
        state: State = row[1]
        return state

    def add_foreign(
        self, writer: str, sequence: int, index_hash: bytes, packs: Iterable[ForeignPack]
    ) -> None:
        """Write the rows of a snapshot as its index object and trailers give them.

        All or none: when the packs end with an error, nothing was written.
        """
        with self._database.transaction() as db:
            known = _find_attempt(db, writer, sequence)
            if known is not None:
                _sweep(db, known[0])
            attempt, number = _new_attempt(db, writer)
            for pack in packs:
                at = _insert_pack(db, attempt, pack.id, pack.size_bytes)
                for one in pack.segments:
                    db.run(_INSERT_SEGMENT, (number, *one.row(at, attempt)))
                    if isinstance(one, OwnSegment):
                        ids = enumerate(chunk for chunk, _ in one.packed.chunks)
                        _insert_chunks(db, ((chunk, number, place) for place, chunk in ids))
                    number += 1
            db.run(
                "UPDATE attempt SET sequence = ?, index_hash = ?, state = 'pending' "
                "WHERE number = ?",
                (sequence, index_hash, attempt),
            )

    def knows(self, snapshot: str, writer: str, sequence: int) -> bool:
        """Say whether the snapshot of this hash, writer and sequence has been made good here."""
        with self._database.reading() as db:
            row = db.row(
                "SELECT snapshot FROM attempt WHERE writer = ? AND sequence = ? AND state = 'good'",
                (writer, sequence),
            )
        return row is not None and row[0] == snapshot

    def tally(self) -> dict[str, tuple[int, int]]:
        """Return how many snapshots of each writer are good here, and the sum of their numbers."""
        with self._database.reading() as db:
            rows = db.rows(
                "SELECT writer, count(*), sum(sequence) FROM attempt "
                "WHERE state = 'good' AND deleted = 0 GROUP BY writer"
            )
        return {writer: (count, total) for writer, count, total in rows}

    def make_good(
        self, snapshot: str, writer: str, sequence: int, sources: Sequence[SourceRuns]
    ) -> None:
        """Let the rows of a snapshot count, and count anew what is alive where runs changed."""
        with self._database.transaction() as db:
            changed: set[int] = set()
            for one in sources:
                changed |= _remember_runs(db, writer, sequence, one)
            db.run(
                "UPDATE attempt SET state = 'good', snapshot = ? WHERE writer = ? AND sequence = ?",
                (snapshot, writer, sequence),
            )
            _forget_gone_files(db, writer, sequence)
            count_live(db, changed)

    def places(self, ids: Sequence[bytes]) -> dict[bytes, SegmentPlace]:
        """Return where these segments lie; those without a row are left out."""
        found: dict[bytes, SegmentPlace] = {}
        with self._database.reading() as db:
            for batch in _batches(ids):
                rows = db.rows(
                    _many("SELECT * FROM place WHERE id IN (:batch)", batch),
                    batch,
                )
                found.update((row[1], SegmentPlace(*row[:9])) for row in rows)
        return found

    def packs(self) -> dict[str, int]:
        """Return the size of every known pack."""
        with self._database.reading() as db:
            rows = db.rows("SELECT id, bytes FROM pack")
        return {str(pack): int(size) for pack, size in rows}

    def kept_packs(self) -> dict[str, int]:
        """Return the size of every pack of a good snapshot."""
        with self._database.reading() as db:
            rows = db.rows(
                "SELECT p.id, p.bytes FROM pack p JOIN attempt a ON a.number = p.attempt "
                "WHERE a.state = 'good'"
            )
        return {str(pack): int(size) for pack, size in rows}

    def kept_sessions(self, lost: Iterable[str]) -> frozenset[str]:
        """Return the sessions of own segments that are not retired, or are of these."""
        with self._database.reading() as db:
            rows = db.rows(
                "SELECT DISTINCT s.session FROM segment s JOIN attempt a ON a.number = s.attempt "
                "WHERE a.state = 'good' AND s.lengths IS NOT NULL AND (s.retired = 0 "
                "OR lower(hex(s.session)) IN (SELECT value FROM json_each(?)))",
                (json.dumps(list(lost)),),
            )
        return frozenset(session.hex() for (session,) in rows)

    def segments(self, numbers: Sequence[int]) -> dict[int, tuple[bytes, bytes]]:
        """Return id and session of these segments by number."""
        found: dict[int, tuple[bytes, bytes]] = {}
        with self._database.reading() as db:
            for batch in _batches(numbers):
                sql = "SELECT number, id, session FROM segment WHERE number IN (:batch)"
                rows = db.rows(_many(sql, batch), batch)
                found.update((number, (one, session)) for number, one, session in rows)
        return found


_INSERT_SEGMENT: Final = (
    "INSERT OR IGNORE INTO segment (number, id, session, pack, offset, stored_bytes, chunks, "
    "plain_bytes, stream, lengths, attempt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _insert_pack(db: Transaction, attempt: int, pack: str, size_bytes: int) -> int:
    db.run(
        "INSERT OR IGNORE INTO pack (id, bytes, attempt) VALUES (?, ?, ?)",
        (pack, size_bytes, attempt),
    )
    row = db.row("SELECT number FROM pack WHERE id = ?", (pack,))
    if row is None:
        raise Damaged("the index of a vault is damaged", f"pack {pack} does not stay in it")
    return int(row[0])


def _insert_chunks(db: Transaction, rows: Iterable[tuple[bytes, int, int]]) -> None:
    # In key order the pages of the table are visited once each.
    db.run_many("INSERT OR REPLACE INTO chunk (id, segment, place) VALUES (?, ?, ?)", sorted(rows))


def _find_attempt(db: Transaction, writer: str, sequence: int) -> Row | None:
    return db.row(
        "SELECT number, state, index_hash FROM attempt WHERE writer = ? AND sequence = ?",
        (writer, sequence),
    )


def _new_attempt(db: Transaction, writer: str) -> tuple[int, int]:
    row = db.row(
        "SELECT coalesce((SELECT max(number) FROM attempt), 0) + 1, "
        "max(coalesce((SELECT max(number) FROM segment), 0), coalesce("
        "(SELECT first_segment FROM attempt ORDER BY number DESC LIMIT 1), 0)) + 1"
    )
    number, first = row or (1, 1)
    db.run(
        "INSERT INTO attempt (number, writer, state, first_segment) VALUES (?, ?, 'writing', ?)",
        (number, writer, first),
    )
    return int(number), int(first)


def _sweep(db: Transaction, attempt: int) -> None:
    """Remove every row of an attempt; the numbers it gave out end where the next one's begin."""
    row = db.row(
        "SELECT first_segment, (SELECT min(b.first_segment) FROM attempt b "
        "WHERE b.number > a.number) FROM attempt a WHERE number = ?",
        (attempt,),
    )
    first, end = row or (0, 0)
    _drop_segments(db, first, (1 << 62) if end is None else end)
    db.run("DELETE FROM pack WHERE attempt = ?", (attempt,))
    db.run("DELETE FROM file WHERE attempt = ?", (attempt,))
    db.run("DELETE FROM refreshed WHERE attempt = ?", (attempt,))
    db.run("DELETE FROM attempt WHERE number = ?", (attempt,))


def _drop_segments(db: Transaction, first: int, end: int) -> None:
    db.run("DELETE FROM chunk WHERE segment >= ? AND segment < ?", (first, end))
    db.run("DELETE FROM segment WHERE number >= ? AND number < ?", (first, end))


def _remember_runs(db: Transaction, writer: str, sequence: int, one: SourceRuns) -> set[int]:
    """Keep a source's runs unless a later snapshot of the same writer is known already.

    Returns the segments of which it now needs more or less than before.
    """
    row = db.row("SELECT writer, sequence, runs FROM source WHERE id = ?", (one.source,))
    if row is not None and row[0] == writer and row[1] > sequence:
        return set()
    runs = one.runs.encode()
    db.run(
        "INSERT OR REPLACE INTO source (id, writer, sequence, entries, runs) "
        "VALUES (?, ?, ?, ?, ?)",
        (one.source, writer, sequence, one.entries, runs),
    )
    before = row[2] if row is not None else b""
    if before == runs:
        return set()
    return {segment for segment, _, _ in set(one.runs) ^ set(Runs.decode(before))}


def _forget_gone_files(db: Transaction, writer: str, sequence: int) -> None:
    """Where an attempt wrote all files of a source anew, older rows are of files that are gone."""
    attempt = _find_attempt(db, writer, sequence)
    if attempt is not None:
        db.run(
            "DELETE FROM file WHERE attempt < ? AND source IN "
            "(SELECT source FROM refreshed WHERE attempt = ?)",
            (attempt[0], attempt[0]),
        )


def _many(sql: str, batch: Sequence[Value]) -> str:
    """Return the statement with one placeholder for each value of the batch."""
    return sql.replace(":batch", ",".join("?" * len(batch)))


def _batches(values: Sequence[_Some]) -> Iterator[tuple[_Some, ...]]:
    numbers = iter(values)
    while batch := tuple(islice(numbers, BATCH_ROWS)):
        yield batch
