"""SQLite as a database: one file, one connection, threads take turns.

A commit is on disk when its block has ended (WAL, synchronous=FULL). What SQLite reports of its
surroundings (full, locked, read-only, damaged) becomes an error with a plain reason; a mistake in
a statement stays what it is, a bug.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from strongroom.database import Database, Row, Transaction, Value
from strongroom.errors import Damaged, StrongroomError

BUSY_SECONDS = 10.0
_PRIMARY = 0xFF
_REASONS = {
    sqlite3.SQLITE_BUSY: "another process is writing to it",
    sqlite3.SQLITE_LOCKED: "another process is writing to it",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_READONLY: "it may not be written",
    sqlite3.SQLITE_PERM: "access is denied",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
    sqlite3.SQLITE_PROTOCOL: "the file system has no working locks",
    sqlite3.SQLITE_NOLFS: "the file is too large for this file system",
}
_NO_TEXT = "Could not decode to UTF-8"
_DAMAGES = {
    sqlite3.SQLITE_CORRUPT: "its pages contradict each other",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite database",
}


class DatabaseUnavailable(StrongroomError):
    """The database cannot be used now; nothing of the transaction was kept."""

    code = "database_unavailable"
    hint = "Check free space and rights of the home and that no other command is busy; try again."


class DatabaseDamaged(Damaged):
    """The database's file is not what was written."""

    code = "database_damaged"
    hint = "Put the file aside; `strongroom recover` makes a home from the locations and kits."


class DatabaseNewer(StrongroomError):
    """A newer Strongroom has changed the schema; this one must not guess."""

    code = "made_by_newer"
    hint = "Install the Strongroom that made it, or a newer one."


class _SqliteTransaction:
    """The statements of one open transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Value] = ()) -> Row | None:
        found: Row | None = self._connection.execute(sql, values).fetchone()
        return found

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        return self._connection.execute(sql, values).rowcount

    def run_many(self, sql: str, values: Iterable[Sequence[Value]]) -> None:
        self._connection.executemany(sql, values)


class _SqliteReading(_SqliteTransaction):
    """The statements of one open transaction that ends with a rollback."""

    __slots__ = ()

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        raise _read_only()

    def run_many(self, sql: str, values: Iterable[Sequence[Value]]) -> None:
        raise _read_only()


class _SqliteDatabase:
    """One connection behind one lock."""

    def __init__(self, connection: sqlite3.Connection, name: str, *, durable: bool) -> None:
        self._connection = connection
        self._name = name
        self._durable = durable
        self._synced = True
        self._lock = threading.RLock()
        self._transaction = _SqliteTransaction(connection)
        self._reading = _SqliteReading(connection)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._block("BEGIN IMMEDIATE", "COMMIT"):
            self._synced = self._durable
            yield self._transaction

    def sync(self) -> None:
        with self._lock:
            if self._synced:
                return
            # A commit that waits takes all before it along; it has to write something, though.
            self._connection.execute("PRAGMA synchronous = FULL")
            try:
                with self._block("BEGIN IMMEDIATE", "COMMIT"):
                    version = _version(self._transaction, "")
                    self._transaction.run(f"PRAGMA user_version = {version}")
            finally:
                self._connection.execute("PRAGMA synchronous = NORMAL")
            self._synced = True

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        # Whatever a statement did, the rollback undoes. `PRAGMA query_only` would refuse it, and
        # also make SQLite prepare every statement again, which costs more than most reads.
        with self._block("BEGIN", "ROLLBACK"):
            yield self._reading

    def migrate(self, steps: Sequence[str], room: str = "") -> None:
        with self.reading() as transaction:
            version = _version(transaction, room)
        if version == len(steps):
            return
        with self.transaction() as transaction:
            # Asked again under the write lock: two processes may start at once.
            version = _version(transaction, room)
            if version > len(steps):
                raise DatabaseNewer(
                    f"{self._name} was made by a newer Strongroom",
                    f"its schema has version {version}, this one knows {len(steps)}",
                )
            for step in steps[version:]:
                for statement in _statements(step):
                    transaction.run(statement)
            _set_version(transaction, room, len(steps))

    def scour(self) -> None:
        # Deleted rows are zeroed where they lay, but pages that were split or merged keep stale
        # copies in their gaps, and the journal keeps every older page until it is cut off.
        with self._lock:
            connection = self._connection
            try:
                connection.execute("PRAGMA temp_store = MEMORY")
                connection.execute("VACUUM")
                busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.Error as error:
                _tell(error, self._name)
                raise
        if busy:
            raise DatabaseUnavailable(
                f"{self._name} still holds what was deleted, in its journal",
                "another process is reading it",
                hint="Run the same command again when the other one has ended.",
            )

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _block(self, begin: str, end: str) -> Iterator[None]:
        with self._lock:
            connection = self._connection
            try:
                # Within one thread the lock does not stop a second block: SQLite refuses it here.
                connection.execute(begin)
                try:
                    yield
                    connection.execute(end)
                finally:
                    # Some errors have rolled back already, and then there is nothing to undo.
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                _tell(error, self._name)
                raise


def open_sqlite(
    path: Path | None, *, durable: bool = True, busy_seconds: float = BUSY_SECONDS
) -> Database:
    """Open the database, made with mode 0600 where there is none; None is one in memory.

    With `durable` False the last commits may be lost when the machine stops (never torn), but
    those before a `sync`. Raises DatabaseUnavailable or DatabaseDamaged.
    """
    name = "the database in memory" if path is None else str(path)
    try:
        if path is not None:
            _make_private(path)
        connection = sqlite3.connect(
            ":memory:" if path is None else path,
            timeout=busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
    except OSError as error:
        raise DatabaseUnavailable(f"{name} cannot be used", error.strerror or "") from error
    except sqlite3.Error as error:
        _tell(error, name)
        raise
    try:
        connection.execute("PRAGMA trusted_schema = 0")
        connection.execute("PRAGMA foreign_keys = 1")
        connection.execute("PRAGMA secure_delete = 1")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    except sqlite3.Error as error:
        connection.close()
        _tell(error, name)
        raise
    return _SqliteDatabase(connection, name, durable=durable)


def _read_only() -> DatabaseUnavailable:
    return DatabaseUnavailable(
        "a reading transaction cannot be used so", "its database may not be written"
    )


def _make_private(path: Path) -> None:
    """Make the file before SQLite does, so that it, its -wal and its -shm are 0600 from the start.

    A file that exists is not even opened: closing it again would drop the locks that another
    connection of this process may hold on it.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return


def _version(transaction: Transaction, room: str) -> int:
    """Return how many steps were taken: of the file's first room, or of another one in it."""
    if not room:
        row = transaction.row("PRAGMA user_version")
    elif transaction.row("SELECT 1 FROM sqlite_master WHERE name = 'room_schema'"):
        row = transaction.row("SELECT version FROM room_schema WHERE room = ?", (room,))
    else:
        row = None
    return int(row[0]) if row else 0


def _set_version(transaction: Transaction, room: str, version: int) -> None:
    if not room:
        transaction.run(f"PRAGMA user_version = {version}")
        return
    transaction.run(
        "CREATE TABLE IF NOT EXISTS room_schema "
        "(room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID"
    )
    transaction.run(
        "INSERT INTO room_schema (room, version) VALUES (?, ?) "
        "ON CONFLICT (room) DO UPDATE SET version = excluded.version",
        (room, version),
    )


def _statements(step: str) -> Iterator[str]:
    """Split a migration step at the lines that end a statement."""
    statement = ""
    for line in step.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _tell(error: sqlite3.Error, name: str) -> None:
    """Raise our error for what the surroundings did; return when the statement is at fault."""
    if str(error).startswith(_NO_TEXT):
        raise DatabaseDamaged(f"{name} is damaged", "a text in it is not UTF-8") from error
    # Errors that the module itself raises, such as for a closed database, carry no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY
    if code in _DAMAGES:
        raise DatabaseDamaged(f"{name} is damaged", _DAMAGES[code]) from error
    if code in _REASONS:
        raise DatabaseUnavailable(f"{name} cannot be used", _REASONS[code]) from error
