"""Back up a PostgreSQL database while applications write to it.

One transaction exports its snapshot; `pg_dump` reads in it, and the facts are asked in it while
pg_dump runs. Tables are locked against TRUNCATE and DROP before, as pg_dump itself does. The dump
is uncompressed and in parallel, a file per table, into a folder of the spool; each file loses its
name as soon as it is read. Roles belong to the whole server and are read at the same time, outside
the snapshot.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg import sql

from strongroom.adapters.sources.errors import SourceUnreadable, reason
from strongroom.adapters.sources.postgres_connection import (
    LOCK_WAIT_MS,
    PostgresPlace,
    connect,
    is_superuser,
    number,
    one,
    told,
)
from strongroom.adapters.sources.postgres_contents import read_contents, table_files
from strongroom.adapters.sources.postgres_facts import (
    content_facts,
    database_facts,
    list_tables,
    lock_tables,
)
from strongroom.adapters.sources.postgres_files import ROLES_FILE, DumpDigest
from strongroom.adapters.sources.postgres_spool import SpoolFolder
from strongroom.adapters.sources.postgres_tools import (
    Passfile,
    Running,
    find_tools,
    run_tool,
)
from strongroom.adapters.sources.restore_facts import Fact, Facts
from strongroom.ids import Token
from strongroom.vault import Entry

BLOCK_BYTES: Final = 4 << 20
_FILE_MODE: Final = 0o600
_READ = os.O_RDONLY | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class DumpPlan:
    """Where a dump goes through, where tools are, how many tables at once, how long we wait."""

    spool: Path
    token: Token
    tool_folders: Sequence[Path] = ()
    jobs: int = 2
    lock_wait_ms: int = LOCK_WAIT_MS


class PostgresSource:
    """One database of one server, for one pass: a file that was read is gone."""

    def __init__(self, place: PostgresPlace, plan: DumpPlan) -> None:
        self._place = place
        self._plan = plan
        self._facts: dict[str, Fact] = {}
        self._entries: list[Entry] = []
        self._spooled: SpoolFolder | None = None
        self._digest = DumpDigest()
        self._connection = connect(place, plan.lock_wait_ms)
        try:
            major = self._connection.info.server_version // 10000
            self._tools = find_tools(plan.tool_folders, at_least=major)
        except BaseException:
            self._connection.close()
            raise

    @property
    def profile(self) -> str:
        """The chunk profile: small chunks, cut by content."""
        return "cdc-16k"

    @property
    def bytes_expected(self) -> int | None:
        """Unknown: the size of the database says little about that of its dump."""
        return None

    def entries(self) -> Iterator[Entry]:
        """Yield the folder and every file of the dump; makes the dump."""
        if not self._entries:
            with told(self._place):
                self._dump()
        yield from self._entries

    def read(self, entry: Entry) -> Iterator[bytes]:
        """Yield a file's bytes; it has no name any more when the first block is there."""
        if self._spooled is None:
            raise SourceUnreadable("the dump is read before it was made", "ask for entries first")
        path = os.path.join(self._spooled.path, entry.path)
        try:
            handle = os.open(path, _READ)
            os.unlink(path)
        except OSError as error:
            raise SourceUnreadable(
                f"a file of the dump of {self._place.shown} is gone",
                reason(error),
                "It can be read once; something else sweeps the spool.",
            ) from error
        yield from self._digest.of(entry.path, _blocks(handle))

    def facts(self) -> Facts:
        """Return what was true in the snapshot that was dumped."""
        list(self.entries())
        return {**self._facts, "dump_blake3": self._digest.text}

    def close(self) -> None:
        """End the transaction and remove what is left of the dump."""
        self._connection.close()
        if self._spooled is not None:
            self._spooled.close()

    def _dump(self) -> None:
        connection = self._connection
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        size = number(
            connection,
            sql.SQL("SELECT pg_catalog.pg_database_size(pg_catalog.current_database())"),
        )
        snapshot = str(one(connection, sql.SQL("SELECT pg_catalog.pg_export_snapshot()")))
        tables = list_tables(connection)
        lock_tables(connection, tables)
        spooled = self._spooled = SpoolFolder(self._plan.spool, size, self._plan.token)
        with (
            Passfile(self._place.password) as passfile,
            Running(self._pg_dump(snapshot, spooled), passfile) as dumping,
        ):
            # While pg_dump reads, the same snapshot answers for the facts.
            facts = database_facts(connection) | self._roles(spooled, passfile)
            facts |= content_facts(connection, tables)
            dumping.wait()
            contents = read_contents(self._tools, os.path.join(spooled.path, b"dump"), passfile)
            facts["table_files"] = table_files(connection, contents)
        facts |= {"database_bytes": size, "tools_version": self._tools.major}
        # The snapshot held back the server's vacuum; it is needed no longer.
        connection.execute("ROLLBACK")
        connection.close()
        self._facts = facts
        self._entries = list(_listed(spooled.path))

    def _pg_dump(self, snapshot: str, spooled: SpoolFolder) -> list[str]:
        return [
            self._tools.program("pg_dump"),
            "--format=directory",
            "--compress=0",
            f"--jobs={max(1, self._plan.jobs)}",
            f"--snapshot={snapshot}",
            f"--file={os.fsdecode(spooled.path)}/dump",
            f"--lock-wait-timeout={self._plan.lock_wait_ms}",
            "--large-objects" if self._tools.major >= 16 else "--blobs",
            # Durable is what the vault stores; this copy may be lost.
            "--no-sync",
            "--no-password",
            f"--dbname={self._place.conninfo()}",
        ]

    def _roles(self, spooled: SpoolFolder, passfile: Passfile) -> dict[str, Fact]:
        verifiers = is_superuser(self._connection)
        command = [
            self._tools.program("pg_dumpall"),
            "--roles-only",
            "--no-password",
            f"--database={self._place.database}",
            f"--dbname={self._place.conninfo()}",
        ]
        if not verifiers:
            # Only a superuser may read pg_authid, which holds the verifiers.
            command.append("--no-role-passwords")
        path = os.path.join(spooled.path, ROLES_FILE)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
        try:
            run_tool(command, passfile, handle)
        finally:
            os.close(handle)
        count = number(
            self._connection,
            sql.SQL("SELECT pg_catalog.count(*) FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'"),
        )
        return {
            "roles": "with password verifiers" if verifiers else "without password verifiers",
            "role_count": count,
        }


def _blocks(handle: int) -> Iterator[bytes]:
    try:
        while block := os.read(handle, BLOCK_BYTES):
            yield block
    finally:
        os.close(handle)


def _listed(folder: bytes) -> Iterator[Entry]:
    """Move the dump's files beside the roles, and yield the folder and its files by name."""
    below = os.path.join(folder, b"dump")
    for name in os.listdir(below):
        os.rename(os.path.join(below, name), os.path.join(folder, name))
    os.rmdir(below)
    # No times: they would make the list of an unchanged database new on every day.
    yield Entry(b"", "directory", mode=0o700)
    for name in sorted(os.listdir(folder)):
        size = os.stat(os.path.join(folder, name), follow_symlinks=False).st_size
        yield Entry(name, "file", size, _FILE_MODE)
