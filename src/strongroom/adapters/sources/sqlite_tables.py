"""Take some tables out of a SQLite database, with their indexes and nothing else.

What stays is the table as it was: its statement, row ids, generated columns, sequence number, and
the settings that the file carries. What goes: every other table, every view, and every trigger,
because a trigger speaks of tables that may not be there. A foreign key to a table that is not there
stays in the statement; SQLite minds only when `foreign_keys` is on and rows are written.

The file is hostile until proved otherwise. Of its schema SQLite evaluates generated columns and the
expressions of indexes; neither CHECK constraints nor triggers, and no function of ours is in reach.
What they may compute is bounded in size, and the whole in time.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

from strongroom.adapters.sources.errors import printable
from strongroom.adapters.sources.partial import Destination, told
from strongroom.adapters.sources.sqlite_facts import (
    bound_expressions,
    database_uri,
    interrupted_after,
    seconds_to_read,
)
from strongroom.crypto.hashing import Digest
from strongroom.errors import Damaged

# The file format's write and read versions: 1 is rollback journal, 2 is write-ahead log.
_VERSIONS_AT: Final = 18
_ROLLBACK_VERSIONS: Final = b"\x01\x01"
_SUFFIX: Final = b"-tables"
TAKE_OUT_SECONDS_MAX: Final = 300.0
"""For each side, for a small database; a large one gets TAKE_OUT_FACTOR times what counting gets
for its size, because rows are digested one by one."""
TAKE_OUT_FACTOR: Final = 10


def keep_tables(
    place: Destination, tables: Sequence[str], seconds_max: float = TAKE_OUT_SECONDS_MAX
) -> int:
    """Replace the partial database by one of just these tables; return the triggers left out.

    Their rows are compared on both sides. Raises Damaged where a table cannot be taken out.
    """
    path, alone = place.partial, place.partial + _SUFFIX
    # `VACUUM` takes a file that is there and empty, and would make one that others can read.
    handle = place.make_file(_SUFFIX)
    try:
        with told(path):
            versions = _set_versions(path, _ROLLBACK_VERSIONS)
        try:
            triggers = _take_out(path, alone, tables, seconds_max)
        except sqlite3.Error as error:
            raise Damaged(
                f"{', '.join(tables)!a:.120} cannot be taken out of the restored database",
                _cause(error),
                "Restore the whole database without --only.",
            ) from error
        with told(path):
            _set_versions(alone, versions)
            _dress_alike(path, handle)
            os.rename(alone, path)
    finally:
        os.close(handle)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(alone)
    return triggers


def _take_out(path: bytes, alone: bytes, tables: Sequence[str], seconds_max: float) -> int:
    uri = database_uri(os.path.abspath(path), "mode=rw")
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as whole:
        # Its bytes are thrown away when this fails, so it needs no journal and no waiting.
        for setting in ("journal_mode=OFF", "synchronous=OFF", "trusted_schema=OFF"):
            whole.execute(f"PRAGMA {setting}")
        with _bounded(whole, seconds_max):
            _check_sound(whole, tables)
            wanted = {table: _sum_rows(whole, table) for table in tables}
            triggers = _drop_others(whole, tables)
            # A URI, because a name may hold any byte, and one that makes no file.
            into = database_uri(os.path.abspath(alone), "mode=rw")
            whole.execute("VACUUM INTO ?", (into,))
    uri = database_uri(os.path.abspath(alone), "mode=ro&immutable=1")
    with closing(sqlite3.connect(uri, uri=True)) as found, _bounded(found, seconds_max):
        for table, before in wanted.items():
            if _sum_rows(found, table) != before:
                raise Damaged(f"the table {printable(table.encode())} came out with other rows")
    return triggers


@contextlib.contextmanager
def _bounded(connection: sqlite3.Connection, seconds_max: float) -> Iterator[None]:
    bound_expressions(connection)
    seconds = seconds_max + TAKE_OUT_FACTOR * seconds_to_read(connection)
    with interrupted_after(connection, seconds):
        yield


def _check_sound(whole: sqlite3.Connection, tables: Sequence[str]) -> None:
    """Refuse pages that name each other many times over: more rows than any disk holds."""
    (verdict,) = whole.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise Damaged(
            f"{', '.join(tables)!a:.120} cannot be taken out of a database that is not sound",
            printable(verdict.encode()),
            "Restore the whole database without --only.",
        )


def _drop_others(whole: sqlite3.Connection, tables: Sequence[str]) -> int:
    """Drop all but these tables; return how many triggers of theirs are gone."""
    triggers = sum(
        str(table) in tables
        for (table,) in whole.execute("SELECT tbl_name FROM sqlite_master WHERE type='trigger'")
    )
    # A virtual table owns no page, and its module may not be here to drop it; without its
    # row, the tables behind it are tables like others.
    whole.execute("PRAGMA writable_schema=ON")
    whole.execute(
        "DELETE FROM sqlite_master WHERE type IN ('view', 'trigger')"
        " OR (type = 'table' AND rootpage = 0)"
    )
    whole.execute("PRAGMA writable_schema=RESET")
    names = whole.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in names:
        if name not in tables and not name.startswith("sqlite_"):
            whole.execute(f"DROP TABLE {_quoted(name)}")
    return triggers


def _cause(error: sqlite3.Error) -> str:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
        return "it takes longer than an honest database of this size needs"
    return str(error)


def _sum_rows(connection: sqlite3.Connection, table: str) -> tuple[int, str]:
    """Return count and digest of a table's rows in the order in which they are stored."""
    # Text as another type than blobs, so that the digest tells them apart, and whatever its bytes.
    connection.text_factory = bytearray
    digest, count = Digest(), 0
    # An identifier cannot be a parameter; it is quoted as SQL quotes identifiers.
    question = f"SELECT * FROM {_quoted(table)} NOT INDEXED"  # noqa: S608 - see the line above
    for row in connection.execute(question):
        digest.update(repr(row).encode())
        count += 1
    connection.text_factory = str
    return count, digest.hex()


def _set_versions(path: bytes, versions: bytes) -> bytes:
    """Write the journal mode into a file's header and return the one before."""
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        before = os.pread(handle, len(versions), _VERSIONS_AT)
        os.pwrite(handle, versions, _VERSIONS_AT)
        os.fsync(handle)
    finally:
        os.close(handle)
    return before


def _dress_alike(path: bytes, handle: int) -> None:
    """Give the new file owner and mode of the one that it replaces."""
    info = os.stat(path, follow_symlinks=False)
    os.fchown(handle, info.st_uid, info.st_gid)
    os.fchmod(handle, info.st_mode & 0o7777)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
