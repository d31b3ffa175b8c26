"""Restore a dump into a database: a new one, or an existing one that is empty.

A new database is made under a partial name, filled, compared with the facts, and renamed at the
end; on any failure it is dropped. An existing one is filled in one transaction, so a failure leaves
it as empty as it was, but for a mismatch of facts, which is found after the commit and told.

The dump's SQL is hostile until proved otherwise, so no superuser runs it: where we are connected
as one, a role is made for the restore, and stays as the owner of what was restored, without sign-in
and without any right beyond. It signs in by itself: under SET ROLE the dump's SQL could go back to
being superuser. Its password is known to this process only and expires within minutes unless it is
prolonged. `privileged` runs the SQL as the connected role instead, with the owners, grants and
extensions of the dump. Roles of the dump are never made here. What a killed restore leaves is
removed by the next one at that server.

Some tables alone come back with what they need, as `postgres_contents` tells; count and digest of
their rows are compared, and no other fact. Where a database had too many tables for a backup to
count the rows of all, nothing is compared of the others; the notes say how many these are.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import Final

import psycopg
from psycopg import sql

from strongroom.adapters.sources.errors import TargetFailed, printable
from strongroom.adapters.sources.partial import told as told_disk
from strongroom.adapters.sources.partial import write_all
from strongroom.adapters.sources.postgres import DumpPlan
from strongroom.adapters.sources.postgres_connection import (
    Connection,
    PostgresPlace,
    connect,
    has_database,
    is_superuser,
    one,
    told,
)
from strongroom.adapters.sources.postgres_contents import entries_of_tables, read_contents
from strongroom.adapters.sources.postgres_errors import DatabaseMissing, SignInRefused, tidy
from strongroom.adapters.sources.postgres_facts import (
    COMPARED,
    content_facts,
    database_facts,
    has_content,
    list_tables,
)
from strongroom.adapters.sources.postgres_files import (
    ROLES_FILE,
    DumpDigest,
    check_dump_entry,
)
from strongroom.adapters.sources.postgres_leftovers import (
    PARTIAL_PREFIX,
    ROLE_PREFIX,
    disarm_role,
    hold_mark,
    sweep_server,
)
from strongroom.adapters.sources.postgres_spool import SpoolFolder, sweep_spool_folders
from strongroom.adapters.sources.postgres_tools import (
    Passfile,
    Running,
    ServerTools,
    find_tools,
)
from strongroom.adapters.sources.restore_facts import Facts
from strongroom.errors import Damaged, Refused, StrongroomError
from strongroom.vault import Entry

MAINTENANCE: Final = ("postgres", "template1")
ROWS: Final = ("rows", "digests")
LIST_FILE: Final = b"chosen.list"
NAMED_MAX: Final = 5
SIGN_IN_MINUTES: Final = 5
PROLONG_SECONDS: Final = 60
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_UNPRIVILEGED: Final = (
    "--no-owner",
    "--no-privileges",
    "--no-publications",
    # A subscription opens connections to whatever host it names.
    "--no-subscriptions",
    "--no-security-labels",
    "--no-tablespaces",
)


class PostgresDatabaseTarget:
    """One database; opened before anything is written, so that a refusal comes early.

    With `tables` the facts given to `finish` are of these alone. After `finish`, `owner` is the
    role that owns what was restored.
    """

    def __init__(
        self,
        place: PostgresPlace,
        plan: DumpPlan,
        privileged: bool = False,
        tables: Sequence[str] = (),
    ) -> None:
        self._part = bool(tables)
        self._left_out: Mapping[str, int] = {}
        self.compared: Sequence[str] = ()
        self.owner = ""
        self._place = place
        self._plan = plan
        self._privileged = privileged
        self._digest = DumpDigest()
        self._role_made = self._database_made = False
        self._roles = self._uncounted = 0
        self._admin = _open_server(place)
        try:
            with told(place):
                sweep_server(self._admin, place)
                mark = hold_mark(self._admin, plan.token)
                self._exists = has_database(self._admin, place.database)
            self._partial = PARTIAL_PREFIX + mark
            self._role = ROLE_PREFIX + mark
            if self._exists:
                _check_empty(place)
            sweep_spool_folders(plan.spool)
            self._spooled = SpoolFolder(plan.spool, 0, plan.token)
        except BaseException:
            self._admin.close()
            raise

    def write(self, entry: Entry, blocks: Iterator[bytes]) -> None:
        """Keep a file of the dump in the spool; anything that is none is refused."""
        check_dump_entry(entry)
        if entry.kind == "directory":
            return
        self._spooled.check_room(entry.size_bytes)
        with told_disk(self._spooled.path):
            try:
                handle = os.open(os.path.join(self._spooled.path, entry.path), _CREATE, 0o600)
            except FileExistsError as error:
                raise Refused(
                    "the snapshot is refused", "it names a file of the dump twice"
                ) from error
            try:
                for block in self._digest.of(entry.path, blocks):
                    write_all(handle, block)
            finally:
                os.close(handle)

    def finish(self, facts: Facts) -> None:
        """Restore, compare with the facts, then give the database its name."""
        try:
            if not self._part:
                self._digest.check(facts)
            self._check_encoding(facts)
            with told(self._place):
                runner = self._make(facts)
                self._restore(runner, facts)
                self._compare(runner, facts)
                self._publish(runner)
            self.compared = self._facts_compared(facts)
            roles = None if self._part else facts.get("role_count")
            self._roles = roles if isinstance(roles, int) else 0
            uncounted = facts.get("uncounted")
            self._uncounted = len(uncounted) if isinstance(uncounted, list) else 0
        except BaseException as error:
            self._clean_up(error)
            raise
        finally:
            self.abandon()

    @property
    def notes(self) -> Mapping[str, int]:
        """What was left out, owners and grants unless privileged; and what was not compared."""
        notes = {"roles_left_out": self._roles, "owners_and_grants_left_out": not self._privileged}
        notes["tables_not_counted"] = self._uncounted
        notes |= self._left_out
        return {name: int(count) for name, count in notes.items() if count}

    def abandon(self) -> None:
        """Drop what was made and not published; safe to call after `finish`."""
        if self._database_made or self._role_made:
            self._clean_up(None)
        self._spooled.close()
        self._admin.close()

    def _make(self, facts: Facts) -> PostgresPlace:
        """Make role and database as needed; return the place to restore into, and as whom."""
        database = self._place.database if self._exists else self._partial
        runner = self._place.at(database)
        admin = self._admin
        if not self._privileged and is_superuser(admin):
            password = self._plan.token(24).hex()
            # Hashed here, so that the server's log of statements never has it in clear.
            verifier = admin.pgconn.encrypt_password(
                password.encode(), self._role.encode(), b"scram-sha-256"
            )
            # It may look past row security, or its own rows could not be compared.
            admin.execute(
                sql.SQL(
                    "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT"
                    " NOREPLICATION BYPASSRLS PASSWORD {} VALID UNTIL {}"
                ).format(
                    sql.Identifier(self._role),
                    sql.Literal(verifier.decode()),
                    sql.Literal(_until(admin)),
                )
            )
            self._role_made = True
            runner = replace(runner, user=self._role, password=password)
            if self._exists:
                self._grant()
        if not self._exists:
            admin.execute(_create_statement(database, runner.user, facts))
            self._database_made = True
        if self._role_made:
            _check_sign_in(runner)
        self.owner = runner.user
        return runner

    def _grant(self) -> None:
        role = sql.Identifier(self._role)
        with closing(connect(self._place)) as inside:
            inside.execute(
                sql.SQL("GRANT CREATE, CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
                    sql.Identifier(self._place.database), role
                )
            )
            if one(inside, sql.SQL("SELECT pg_catalog.to_regnamespace('public')")) is not None:
                inside.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(role))

    def _restore(self, runner: PostgresPlace, facts: Facts) -> None:
        dumped_by = facts.get("tools_version")
        server = self._admin.info.server_version // 10000
        tools = find_tools(
            self._plan.tool_folders,
            at_least=dumped_by if isinstance(dumped_by, int) else server,
            best=server,
        )
        command = [
            tools.program("pg_restore"),
            "--format=directory",
            "--exit-on-error",
            "--no-password",
            f"--dbname={runner.conninfo()}",
        ]
        if self._exists:
            command.append("--single-transaction")
        else:
            command.append(f"--jobs={max(1, self._plan.jobs)}")
        if not self._privileged:
            command += _UNPRIVILEGED
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self._spooled.path, ROLES_FILE))
        if self._part:
            command.append(f"--use-list={self._write_list(tools, facts)}")
        command.append(os.fsdecode(self._spooled.path))
        with Passfile(runner.password) as passfile, Running(command, passfile) as running:
            while not running.ends_within(PROLONG_SECONDS):
                self._prolong()
            running.wait()
        self._prolong()

    def _write_list(self, tools: ServerTools, facts: Facts) -> str:
        """Write which entries of the dump to restore, and return the path of the list."""
        with Passfile(None) as passfile:
            contents = read_contents(tools, self._spooled.path, passfile)
        files = facts.get("table_files")
        chosen = (
            {table: str(file) for table, file in files.items()} if isinstance(files, dict) else {}
        )
        numbers, self._left_out = entries_of_tables(contents, chosen)
        path = os.path.join(self._spooled.path, LIST_FILE)
        with told_disk(path):
            handle = os.open(path, _CREATE, 0o600)
            try:
                write_all(handle, "".join(f"{number};\n" for number in numbers).encode())
            finally:
                os.close(handle)
        return os.fsdecode(path)

    def _prolong(self) -> None:
        """Let the role sign in for some minutes more; parallel workers and the comparison do."""
        if self._role_made:
            self._admin.execute(
                sql.SQL("ALTER ROLE {} VALID UNTIL {}").format(
                    sql.Identifier(self._role), sql.Literal(_until(self._admin))
                )
            )

    def _compare(self, runner: PostgresPlace, facts: Facts) -> None:
        """Ask the restored database, as the role that restored it, what the facts tell."""
        rows = _names(facts.get("rows"))
        with closing(connect(runner)) as inside:
            tables = list_tables(inside)
            if self._part:
                tables = [table for table in tables if table.shown in rows]
            found = database_facts(inside) | content_facts(inside, tables)
        compared = ROWS if self._part else COMPARED
        differing = [name for name in compared if facts.get(name) != found[name]]
        # Their versions are those of the server restored to.
        missing = _names(facts.get("extensions")) - _names(found["extensions"])
        if missing and not self._part:
            differing.append("extensions")
        if differing:
            raise Damaged(
                f"the restored {self._place.shown} is not what was backed up",
                f"its {', '.join(differing)} differ from the facts recorded at the backup"
                + _tables_differing(facts, found),
                self._left_behind(),
            )

    def _facts_compared(self, facts: Facts) -> Sequence[str]:
        """Name the facts that `_compare` had on both sides."""
        if not self._part:
            return ("dump_blake3", *COMPARED, "extensions")
        # Where no chosen table was counted, nothing was equal to nothing.
        return ROWS if facts.get("rows") else ()

    def _left_behind(self) -> str | None:
        if not self._exists or self._role_made:
            return None
        return "What was restored is in the database; drop it before you try again."

    def _publish(self, runner: PostgresPlace) -> None:
        if self._role_made:
            disarm_role(self._admin, runner.user)
        if not self._exists:
            if has_database(self._admin, self._place.database):
                raise Refused(
                    f"{self._place.shown} exists", "it was made while the restore was running"
                )
            self._admin.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                    sql.Identifier(self._partial), sql.Identifier(self._place.database)
                )
            )
        self._role_made = self._database_made = False

    def _check_encoding(self, facts: Facts) -> None:
        if not self._exists:
            return
        with closing(connect(self._place)) as inside, told(self._place):
            found = database_facts(inside)["encoding"]
        if found != facts.get("encoding"):
            raise Refused(
                f"{self._place.shown} has the encoding {found}",
                f"the database was backed up in {tidy(str(facts.get('encoding')))}",
                "Make it with that encoding, or restore into a new database.",
            )

    def _clean_up(self, cause: BaseException | None) -> None:
        """Drop what was made; where even that fails, say what is left and why it is there."""
        try:
            self._drop()
        except (psycopg.Error, StrongroomError) as error:
            left = self._partial if self._database_made else self._role
            why = str(cause) if cause is not None else tidy(str(error))
            self._role_made = self._database_made = False
            raise TargetFailed(
                f"{left} could not be removed from {self._place.shown}",
                why,
                f"Drop {left} yourself; it holds a part of the restored data or its role.",
            ) from (cause or error)

    def _drop(self) -> None:
        if not (self._database_made or self._role_made):
            return
        if self._admin.closed or self._admin.broken:
            self._admin = _open_server(self._place)
        role = sql.Identifier(self._role)
        if self._database_made:
            self._admin.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                    sql.Identifier(self._partial)
                )
            )
            self._database_made = False
        if self._role_made:
            if self._exists:
                with closing(connect(self._place)) as inside:
                    inside.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
            self._admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))
            self._role_made = False


def _open_server(place: PostgresPlace) -> Connection:
    """Connect to the server by a database that is there before anybody's."""
    for database in MAINTENANCE[:-1]:
        with suppress(DatabaseMissing):
            return connect(place.at(database))
    return connect(place.at(MAINTENANCE[-1]))


def _until(connection: Connection) -> str:
    """Return, by the server's clock, until when a password made now is good."""
    question = sql.SQL(
        "SELECT (pg_catalog.now() + pg_catalog.make_interval(mins => {}))::pg_catalog.text"
    )
    return str(one(connection, question.format(sql.Literal(SIGN_IN_MINUTES))))


def _check_sign_in(runner: PostgresPlace) -> None:
    try:
        connect(runner).close()
    except SignInRefused as error:
        raise Refused(
            f"{runner.shown} does not let a role in that was made for the restore",
            error.why,
            "Allow it a sign-in with password in pg_hba.conf, or connect as a role without "
            "superuser rights, or use --privileged to run the dump's SQL as a superuser.",
        ) from error


def _check_empty(place: PostgresPlace) -> None:
    with closing(connect(place)) as inside, told(place):
        if has_content(inside):
            raise Refused(
                f"{place.shown} is not empty",
                "a restore does not replace what is in a database",
                "Name a new database; it is made. Rename or drop the old one yourself.",
            )


def _create_statement(database: str, owner: str, facts: Facts) -> sql.Composed:
    """Return the statement that makes a database like the one that was backed up."""
    parts: list[sql.Composable] = [
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 OWNER {}").format(
            sql.Identifier(database), sql.Identifier(owner)
        )
    ]
    provider = {"i": "icu", "b": "builtin"}.get(str(facts.get("locale_provider")))
    options = [("ENCODING", "encoding"), ("LC_COLLATE", "collation"), ("LC_CTYPE", "ctype")]
    if provider:
        parts.append(sql.SQL("LOCALE_PROVIDER {}").format(sql.Identifier(provider)))
        options.append(("ICU_LOCALE" if provider == "icu" else "BUILTIN_LOCALE", "locale"))
    for option, name in options:
        value = facts.get(name)
        if isinstance(value, str):
            parts.append(sql.SQL(option + " {}").format(sql.Literal(value)))
    return sql.SQL(" ").join(parts)


def _tables_differing(facts: Facts, found: Facts) -> str:
    """Name the tables whose counts or digests differ, in words that end a sentence."""
    differing: set[str] = set()
    for name in ("rows", "digests"):
        told, there = facts.get(name), found.get(name)
        if isinstance(told, dict) and isinstance(there, dict):
            differing |= {
                table for table in told.keys() | there.keys() if told.get(table) != there.get(table)
            }
    if not differing:
        return ""
    named = ", ".join(printable(table.encode()) for table in sorted(differing)[:NAMED_MAX])
    return f"; look at {named}" + (" and others" if len(differing) > NAMED_MAX else "")


def _names(extensions: object) -> set[str]:
    return set(extensions) if isinstance(extensions, dict) else set()
