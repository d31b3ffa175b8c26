"""What is true of a SQLite database: asked of a copy, never of the live one.

The same questions are asked of the restored file, so both sides of the comparison are this file.
A damaged database still gives facts; what it could not answer is None or named. A hostile one could
keep us for ever: a few pages that name each other many times over hold more rows than can be
counted, and a check evaluates generated columns. So checking and counting each end after a time
that no honest database of that size needs, and an expression gets no more memory than a value of a
file of that size may need. CHECK constraints are not evaluated; the application did that.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote_from_bytes

from strongroom.adapters.sources.restore_facts import Fact
from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import Digest

COUNTED_TABLES_MAX = 10_000
COUNT_SECONDS_MAX = 30.0
"""For a small database; a large one gets a second more for each COUNTED_BYTES_PER_SECOND."""
COUNTED_BYTES_PER_SECOND = 5_000_000
VALUE_BYTES_MIN = 1 << 20
"""What a value may have in any file; in a large one, VALUE_FACTOR times as much as the file."""
VALUE_FACTOR = 4
_VALUE_BYTES_MAX = 1_000_000_000
_AGAIN_SECONDS = 0.05


def database_uri(path: bytes, options: str) -> str:
    """Return the URI of a database file whose name may hold any byte."""
    return f"file:{quote_from_bytes(path)}?{options}"


def bound_expressions(connection: sqlite3.Connection) -> None:
    """Bound what the expressions in a database's schema may compute on this connection."""
    connection.execute("PRAGMA ignore_check_constraints=ON")
    # No value that is stored is larger than the file; one that is computed from it, in another
    # encoding or as hexadecimal digits, may be.
    size_bytes = VALUE_FACTOR * _size_bytes(connection)
    bound = min(max(size_bytes, VALUE_BYTES_MIN), _VALUE_BYTES_MAX)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, bound)


def database_facts(
    connection: sqlite3.Connection, seconds_max: float = COUNT_SECONDS_MAX
) -> dict[str, Fact]:
    """Return schema hash, row counts and the settings that the file carries.

    Checking and counting end after `seconds_max` each, and later for a large file.
    """
    bound_expressions(connection)
    with interrupted_after(connection, seconds_max + seconds_to_read(connection)):
        verdict = _quick_check(connection)
    facts: dict[str, Fact] = {
        "kind": "sqlite",
        "engine": "sqlite",
        "engine_version": sqlite3.sqlite_version,
        "quick_check": verdict,
    }
    for name in ("page_size", "page_count", "user_version", "application_id", "encoding"):
        facts[name] = _pragma(connection, name)
    facts |= shape(connection, seconds_max)
    return facts


def shape(
    connection: sqlite3.Connection, seconds_max: float = COUNT_SECONDS_MAX
) -> dict[str, Fact]:
    """Return what a restore compares: the schema's hash and the rows of every table."""
    connection.text_factory = bytes
    try:
        rows = connection.execute(
            "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master"
        ).fetchall()
    except sqlite3.DatabaseError:
        return {"schema_blake3": None, "rows": {}, "uncounted": []}
    digest = Digest()
    for row in sorted(rows):
        digest.update(frame(*row))
    # A virtual table may need a module that is not here; its content lies in its shadow tables,
    # which are counted.
    tables = [
        name
        for kind, name, _, sql in rows
        if kind == b"table" and sql[:14].upper() != b"CREATE VIRTUAL"
    ]
    counts: dict[str, int] = {}
    uncounted: list[str] = []
    with interrupted_after(connection, seconds_max + seconds_to_read(connection)) as over:
        for name in tables:
            countable = len(counts) < COUNTED_TABLES_MAX and not over.is_set()
            count = _count(connection, name) if countable else None
            shown = name.decode("utf-8", "backslashreplace")
            if count is None:
                uncounted.append(shown)
            else:
                counts[shown] = count
    return {"schema_blake3": digest.hex(), "rows": counts, "uncounted": sorted(uncounted)}


@contextmanager
def interrupted_after(connection: sqlite3.Connection, seconds: float) -> Iterator[threading.Event]:
    """Interrupt what the connection does when the time is over; the event says that it is.

    A single call of one of SQLite's own functions is not interrupted; it ends first.
    """
    over, done = threading.Event(), threading.Event()

    def stop() -> None:
        if done.wait(seconds):
            return
        over.set()
        connection.interrupt()
        # SQLite forgets an interruption between two statements; the next one needs its own.
        while not done.wait(_AGAIN_SECONDS):
            connection.interrupt()

    timer = threading.Thread(target=stop, daemon=True)
    timer.start()
    try:
        yield over
    finally:
        done.set()
        timer.join()


def seconds_to_read(connection: sqlite3.Connection) -> float:
    """Return how much longer than a small database this one may take."""
    return _size_bytes(connection) / COUNTED_BYTES_PER_SECOND


def _size_bytes(connection: sqlite3.Connection) -> int:
    pages, page_bytes = _pragma(connection, "page_count"), _pragma(connection, "page_size")
    if not isinstance(pages, int) or not isinstance(page_bytes, int):
        return 0
    return pages * page_bytes


def _count(connection: sqlite3.Connection, name: bytes) -> int | None:
    """Count a table's rows, or return None where the damage or a missing function forbids it."""
    try:
        quoted = name.decode("utf-8").replace('"', '""')
        # An identifier cannot be a parameter; this one is the database's own name for its table,
        # quoted as SQL quotes identifiers.
        question = 'SELECT count(*) FROM "' + quoted + '"'  # noqa: S608 - see the line above
        found: tuple[int] = connection.execute(question).fetchone()
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return None
    return found[0]


def _quick_check(connection: sqlite3.Connection) -> str:
    """Return "ok", or the first thing that SQLite finds wrong."""
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return _text(found[0])


def _pragma(connection: sqlite3.Connection, name: str) -> int | str | None:
    try:
        found = connection.execute(f"PRAGMA {name}").fetchone()
    except sqlite3.DatabaseError:
        return None
    return found[0] if found is None or isinstance(found[0], int) else _text(found[0])


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
