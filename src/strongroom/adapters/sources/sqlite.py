"""Back up a SQLite database while an application writes to it.

The copy is made by SQLite's backup call in one step under one read transaction, so it is one state
of the database, the write-ahead log included. It goes through memory up to a limit, above that
through a spool file without a name. Facts are asked of the copy.

The database is opened read-only and never written. In WAL mode even a reader needs the `-shm` file:
where SQLite can neither find nor create one (a read-only file system, a folder that we may not
write), the backup fails with that reason; ignoring the log would lose commits.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from strongroom.adapters.sources.errors import (
    NotADatabase,
    SourceBusy,
    SourceMissing,
    SourceUnreadable,
    printable,
    reason,
)
from strongroom.adapters.sources.restore_facts import Fact, Facts
from strongroom.adapters.sources.spool import check_opened, open_spool_file
from strongroom.adapters.sources.sqlite_facts import database_facts, database_uri
from strongroom.clock import Clock
from strongroom.crypto.hashing import Digest
from strongroom.errors import StrongroomError
from strongroom.ids import Token
from strongroom.vault import Entry

MEMORY_BYTES_MAX = 64 << 20
BLOCK_BYTES = 4 << 20
SMALL_BYTES_MAX = 16 << 20
SMALL_FILE_PAGE_MIN = 4096
PAGE_BYTES = 16384
BUSY_SECONDS_MAX = 30.0
_RETRY_SECONDS = 0.05
# The file format's write and read versions (https://www.sqlite.org/fileformat.html): 1 is rollback
# journal, 2 is write-ahead log.
_HEADER_BYTES = 100
_VERSIONS_AT = 18
_ROLLBACK_VERSIONS = b"\x01\x01"
_READ_ONLY_HINT = (
    "Give the user that runs Strongroom the right to write its folder (a reader of a WAL database "
    "needs the -shm file), or run the application once, so that it mends its journal."
)


@dataclass(frozen=True, slots=True)
class SpoolPlan:
    """Where copies go that are too large for memory, and what is too large."""

    folder: Path
    clock: Clock
    token: Token
    memory_bytes_max: int = MEMORY_BYTES_MAX
    busy_seconds_max: float = BUSY_SECONDS_MAX


class _Copy:
    """One consistent copy: a connection to ask, and its bytes in memory or in a nameless file."""

    def __init__(self, connection: sqlite3.Connection, data: bytes, handle: int = -1) -> None:
        self.connection = connection
        self._data = data
        self._handle = handle
        self.size_bytes = len(data)
        if handle >= 0:
            self.size_bytes = os.fstat(handle).st_size
            # A WAL database says so in its header, and the connection would make a log beside a
            # file that has no name. So it reads a header of a rollback database, and the true
            # one is given out by `blocks`.
            self._data = os.pread(handle, _HEADER_BYTES, 0)
            os.pwrite(handle, _ROLLBACK_VERSIONS, _VERSIONS_AT)

    def blocks(self) -> Iterator[bytes]:
        for start in range(0, self.size_bytes, BLOCK_BYTES):
            if self._handle < 0:
                yield self._data[start : start + BLOCK_BYTES]
                continue
            block = os.pread(self._handle, BLOCK_BYTES, start)
            yield block if start else self._data + block[_HEADER_BYTES:]

    def close(self) -> None:
        self.connection.close()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class SqliteSource:
    """A SQLite database, opened read-only; its one entry has the empty path."""

    def __init__(self, path: bytes, plan: SpoolPlan) -> None:
        self._path = path
        self._plan = plan
        self._copied: _Copy | None = None
        self._blake3: str | None = None
        self._info = _look(path)
        try:
            self._live = _connect(path, "mode=ro", plan.busy_seconds_max)
        except sqlite3.Error as error:
            raise _failed(path, error) from error
        try:
            self._page_bytes, self._size_bytes, self._journal = self._pin()
        except sqlite3.Error as error:
            self._live.close()
            raise _failed(path, error) from error
        except BaseException:
            self._live.close()
            raise

    @property
    def profile(self) -> str:
        """The chunk profile: aligned to pages, and as small as the pages for a small file."""
        smallest = SMALL_FILE_PAGE_MIN if self._size_bytes <= SMALL_BYTES_MAX else PAGE_BYTES
        return f"pages-{max(smallest, self._page_bytes)}"

    @property
    def bytes_expected(self) -> int | None:
        """The size of the database with its log."""
        return self._size_bytes

    def entries(self) -> Iterator[Entry]:
        """Yield the one entry; makes the copy, so that its size is known."""
        yield Entry(
            b"",
            "file",
            self._copy().size_bytes,
            stat.S_IMODE(self._info.st_mode),
            self._info.st_mtime_ns,
            self._info.st_uid,
            self._info.st_gid,
        )

    def read(self, entry: Entry) -> Iterator[bytes]:
        """Yield the copy's bytes, 4 MiB at a time."""
        digest = Digest()
        for block in self._copy().blocks():
            digest.update(block)
            yield block
        self._blake3 = digest.hex()

    def facts(self) -> Facts:
        """Return what is true of the copy."""
        copy = self._copy()
        if self._blake3 is None:
            for _ in self.read(Entry(b"", "file")):
                pass
        own: dict[str, Fact] = {
            "bytes": copy.size_bytes,
            "blake3": self._blake3,
            "journal_mode": self._journal,
        }
        if copy.size_bytes == 0:
            return {"kind": "sqlite", "engine": "sqlite", **own}
        return {**database_facts(copy.connection), **own}

    def close(self) -> None:
        """Close the database and give the copy's room back."""
        self._live.close()
        if self._copied is not None:
            self._copied.close()

    def _pin(self) -> tuple[int, int, str]:
        """Begin the read transaction; return page size, size in bytes, and the journal mode."""
        live = self._live
        live.execute("BEGIN")
        # The first read takes the lock or the log's mark: this is the state that is backed up.
        live.execute("PRAGMA schema_version").fetchone()
        page_bytes = int(live.execute("PRAGMA page_size").fetchone()[0])
        try:
            pages = int(live.execute("PRAGMA page_count").fetchone()[0])
            journal = str(live.execute("PRAGMA journal_mode").fetchone()[0])
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_CORRUPT:
                raise
            # The schema is damaged, the pages can still be copied, and the facts will say it.
            return page_bytes, self._info.st_size, "unknown"
        return page_bytes, pages * page_bytes, journal

    def _copy(self) -> _Copy:
        if self._copied is None:
            if self._size_bytes == 0:
                self._copied = _Copy(sqlite3.connect(":memory:"), b"")
            elif self._size_bytes <= self._plan.memory_bytes_max and self._journal != "unknown":
                self._copied = self._copy_to_memory()
            else:
                self._copied = self._copy_to_spool()
            # The live database is needed no longer; in rollback mode writers were waiting.
            self._live.close()
        return self._copied

    def _copy_to_memory(self) -> _Copy:
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        try:
            self._run_backup(memory)
            return _Copy(memory, memory.serialize())
        except BaseException:
            memory.close()
            raise

    def _copy_to_spool(self) -> _Copy:
        path, handle = open_spool_file(self._plan.folder, self._size_bytes, self._plan.token)
        connections: list[sqlite3.Connection] = []
        try:
            try:
                # Not created here: a file that was swept away in between is an error.
                connections.extend(_connect(path, mode) for mode in ("mode=rw", "mode=ro"))
                check_opened(handle, len(connections))
            finally:
                # SQLite has opened the file at once, so from here on it needs no name.
                os.unlink(path)
            spooled, asked = connections
            # Nothing beside the file, and no waiting for the disk: a crash loses it by design.
            spooled.execute("PRAGMA journal_mode=OFF")
            spooled.execute("PRAGMA synchronous=OFF")
            self._run_backup(spooled)
            spooled.close()
            return _Copy(asked, b"", handle)
        except BaseException:
            for connection in connections:
                connection.close()
            os.close(handle)
            raise

    def _run_backup(self, target: sqlite3.Connection) -> None:
        clock, limit = self._plan.clock, self._plan.busy_seconds_max
        began = clock.monotonic()

        def progress(status: int, remaining: int, total: int) -> None:
            # SQLite's own loop retries a locked database for ever; this ends it.
            if status != sqlite3.SQLITE_DONE and clock.monotonic() - began > limit:
                raise _busy(self._path)

        try:
            self._live.backup(target, pages=-1, progress=progress, sleep=_RETRY_SECONDS)
        except sqlite3.Error as error:
            raise _failed(self._path, error) from error


def _connect(path: bytes, options: str, timeout: float = 0) -> sqlite3.Connection:
    return sqlite3.connect(
        database_uri(path, options),
        uri=True,
        isolation_level=None,
        timeout=timeout,
        # One thread at a time, though not always the same one.
        check_same_thread=False,
    )


def _look(path: bytes) -> os.stat_result:
    # Never opened here: closing any descriptor of a database drops every POSIX lock that this
    # process holds on it, those of another connection included.
    try:
        info = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceMissing(f"there is no {printable(path)}", reason(error)) from error
    except OSError as error:
        raise SourceUnreadable(f"{printable(path)} cannot be read", reason(error)) from error
    if not stat.S_ISREG(info.st_mode):
        raise NotADatabase(f"{printable(path)} is no SQLite database", "it is not a regular file")
    if not os.access(path, os.R_OK, effective_ids=True):
        raise SourceUnreadable(f"{printable(path)} cannot be read", "Permission denied")
    return info


def _busy(path: bytes) -> SourceBusy:
    return SourceBusy(f"{printable(path)} is locked", "another process kept it locked too long")


def _failed(path: bytes, error: sqlite3.Error) -> StrongroomError:
    """Return the error a person can act on."""
    name = printable(path)
    # Errors of the module itself (not of the engine) carry no code.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return _busy(path)
    if code == sqlite3.SQLITE_NOTADB:
        return NotADatabase(f"{name} is no SQLite database", "its header is another one's")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return SourceUnreadable(f"{name} cannot be opened read-only", str(error), _READ_ONLY_HINT)
    if code == sqlite3.SQLITE_FULL:
        return SourceUnreadable(
            f"{name} cannot be copied", str(error), "Make room in the spool folder."
        )
    return SourceUnreadable(
        f"{name} cannot be copied", str(error), "Run `PRAGMA integrity_check` on it."
    )
