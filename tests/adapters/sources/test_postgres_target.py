"""Restoring a PostgreSQL database: equal, or nothing of it; and never as a superuser unasked."""

import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.sources.errors import SpoolFull, TargetFailed
from strongroom.adapters.sources.postgres import DumpPlan, PostgresSource
from strongroom.adapters.sources.postgres_connection import PostgresPlace
from strongroom.adapters.sources.postgres_errors import ServerRefused, SignInRefused, ToolFailed
from strongroom.adapters.sources.postgres_leftovers import PARTIAL_PREFIX, ROLE_PREFIX
from strongroom.adapters.sources.postgres_target import PostgresDatabaseTarget
from strongroom.adapters.sources.postgres_tools import Passfile, run_tool
from strongroom.adapters.sources.restore_facts import Fact
from strongroom.errors import Damaged, Refused, StrongroomError
from strongroom.vault.source import Entry
from tests.adapters.sources.trees import token
from tests.support.postgres import Postgres
from tests.support.postgres_rows import EVERYTHING, rows
from tests.support.vault_fixtures import TestVault, Written, bring_back, source_id

pytestmark = pytest.mark.loopback
Dump = tuple[list[tuple[Entry, bytes]], dict[str, Fact]]


@pytest.fixture
def plan(tmp_path: Path, server: Postgres) -> DumpPlan:
    return DumpPlan(tmp_path / "spool", token, (server.tools,))


def take(place: PostgresPlace, plan: DumpPlan) -> Dump:
    """Back up into memory."""
    with closing(PostgresSource(place, plan)) as source:
        files = [
            (entry, b"".join(source.read(entry)) if entry.kind == "file" else b"")
            for entry in source.entries()
        ]
        return files, dict(source.facts())


def bring(dump: Dump, target: PostgresDatabaseTarget) -> None:
    files, facts = dump
    try:
        for entry, data in files:
            target.write(entry, iter((data,) if data else ()))
        target.finish(facts)
    except BaseException:
        target.abandon()
        raise


def left_overs(server: Postgres) -> list[str]:
    return [
        name
        for name in server.databases() + server.roles()
        if name.startswith((PARTIAL_PREFIX, ROLE_PREFIX))
    ]


def test_through_a_vault_and_the_next_day_stores_little(server: Postgres, plan: DumpPlan) -> None:
    """The whole way: sealed, facts included, restored from the sealed bytes, equal."""
    place = server.make("everything", *EVERYTHING)
    server.sql(
        "CREATE TABLE large AS SELECT n, md5(n::text) FROM generate_series(1, 60000) n",
        database="everything",
    )
    vault = TestVault()

    def back_up() -> tuple[Written, int]:
        name = (source_id("pg"), "pg", "postgresql://local/everything", "postgresql")
        with (
            vault.vault.write(lambda _: None) as writer,
            closing(PostgresSource(place, plan)) as it,
        ):
            outcome = writer.add(name, it, vault.deal())
            return vault.finish(writer, {"pg": outcome}), outcome.new_bytes

    _, first = back_up()
    server.sql("UPDATE large SET md5 = 'x' WHERE n = 30000", database="everything")
    written, second = back_up()
    assert first > 2_000_000
    assert second < first / 10
    structure = vault.vault.structure(written.body, vault.worker.writer_public, written.sequence)
    keys = {session: vault.keys[session] for session in written.sessions}
    target = PostgresDatabaseTarget(server.at("back"), plan)
    server.sql("UPDATE large SET md5 = md5('30000') WHERE n = 30000", database="everything")
    bring_back(vault.vault, structure, source_id("pg"), keys, target)
    changed = "SELECT md5 FROM large WHERE n = 30000"
    assert server.sql(changed, database="back") == [("x",)]
    assert rows(server, "back").keys() == rows(server, "everything").keys()


def test_facts_are_of_the_snapshot_that_is_dumped(server: Postgres, plan: DumpPlan) -> None:
    """Rows change all the time; digests of any other moment would refuse this restore."""
    place = server.make(
        "moving", "CREATE TABLE a AS SELECT n, 0 AS changed FROM generate_series(1, 50000) n"
    )
    stop, changes = threading.Event(), [0]

    def change() -> None:
        with closing(server.connect("moving")) as connection:
            while not stop.is_set():
                changes[0] += 1
                connection.execute("UPDATE a SET changed = changed + 1 WHERE n = 50000")
                connection.execute("INSERT INTO a VALUES (0, 0)")

    writer = threading.Thread(target=change)
    writer.start()
    try:
        while not changes[0]:
            time.sleep(0.01)
        before = changes[0]
        files, facts = take(place, plan)
        during = changes[0] - before
    finally:
        stop.set()
        writer.join()
    assert during > 10
    bring((files, facts), PostgresDatabaseTarget(server.at("back"), plan))
    later = take(place, plan)[1]
    assert later["digests"] != facts["digests"]
    assert later["rows"] != facts["rows"]


@pytest.mark.parametrize("privileged", [False, True])
def test_restored_equal_into_a_new_database(
    server: Postgres, plan: DumpPlan, privileged: bool
) -> None:
    dump = take(server.make("everything", *EVERYTHING), plan)
    target = PostgresDatabaseTarget(server.at("back"), plan, privileged)
    bring(dump, target)
    assert rows(server, "back") == rows(server, "everything")
    assert take(server.at("back"), plan)[1]["digests"] == dump[1]["digests"]
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname !~ '^(pg_|info)'"
    assert server.sql(owners, database="back") == [(target.owner,)]
    assert list(plan.spool.iterdir()) == []
    assert target.notes == {
        "roles_left_out": dump[1]["role_count"],
        **({} if privileged else {"owners_and_grants_left_out": 1}),
    }
    assert set(target.compared) >= {"rows", "digests", "schema_blake3", "dump_blake3"}
    assert not [name for name in server.databases() if name.startswith(PARTIAL_PREFIX)]
    rights = "SELECT rolsuper, rolcanlogin, rolbypassrls, rolcreaterole, rolcreatedb"
    row = server.sql(f"{rights} FROM pg_roles WHERE rolname = '{target.owner}'")
    assert row == [(True,) * 5 if privileged else (False,) * 5]
    target.abandon()
    assert "back" in server.databases()


def test_version_16_restored_equal_by_version_16_and_18(
    tmp_path: Path, server: Postgres, server16: Postgres
) -> None:
    plan = DumpPlan(tmp_path / "spool", token, (server.tools, server16.tools))
    dump = take(server16.make("everything", *EVERYTHING), plan)
    bring(dump, PostgresDatabaseTarget(server16.at("back"), plan))
    wanted = rows(server16, "everything")
    assert rows(server16, "back") == wanted
    bring(dump, PostgresDatabaseTarget(server.at("back"), plan))
    assert rows(server, "back") == wanted
    # The other way: what newer tools dumped needs newer ones, and those a newer server.
    newer = DumpPlan(tmp_path / "spool", token, (server.tools,))
    with pytest.raises(ToolFailed, match="transaction_timeout") as caught:
        bring(take(server.at("back"), newer), PostgresDatabaseTarget(server16.at("no"), newer))
    assert "older than the tools" in caught.value.hint
    assert left_overs(server16)[1:] == []
    assert "no" not in server16.databases()


def test_a_role_that_may_create_databases_is_enough(server: Postgres, plan: DumpPlan) -> None:
    server.sql("DROP ROLE IF EXISTS maker", "CREATE ROLE maker LOGIN CREATEDB PASSWORD 'p'")
    dump = take(server.make("plain", "CREATE TABLE t AS SELECT 1 AS a"), plan)
    bring(dump, PostgresDatabaseTarget(server.as_role("back", "maker", "p"), plan))
    assert rows(server, "back") == rows(server, "plain")
    assert left_overs(server) == []


def test_a_role_that_may_not_create_databases(server: Postgres, plan: DumpPlan) -> None:
    server.sql("DROP ROLE IF EXISTS nobody", "CREATE ROLE nobody LOGIN PASSWORD 'p'")
    dump = take(server.make("plain", "CREATE TABLE t AS SELECT 1 AS a"), plan)
    with pytest.raises(ServerRefused, match="permission denied to create database"):
        bring(dump, PostgresDatabaseTarget(server.as_role("back", "nobody", "p"), plan))
    assert "back" not in server.databases()


@pytest.mark.parametrize("privileged", [False, True])
def test_restored_into_an_existing_empty_database(
    server: Postgres, plan: DumpPlan, privileged: bool
) -> None:
    dump = take(server.make("everything", *EVERYTHING), plan)
    server.make("back")
    bring(dump, PostgresDatabaseTarget(server.at("back"), plan, privileged))
    assert rows(server, "back") == rows(server, "everything")


@pytest.mark.parametrize("content", ["CREATE TABLE t ()", "CREATE SCHEMA s", "SELECT lo_create(0)"])
def test_a_database_that_is_not_empty_is_refused(
    server: Postgres, plan: DumpPlan, content: str
) -> None:
    server.make("back", content)
    with pytest.raises(Refused, match="is not empty"):
        PostgresDatabaseTarget(server.at("back"), plan)
    assert not plan.spool.exists()


@pytest.mark.parametrize(
    "options",
    [
        "ENCODING 'LATIN1' LOCALE 'C'",
        "ENCODING 'SQL_ASCII' LOCALE 'C'",
        "ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
    ],
)
def test_a_new_database_is_like_the_old_one(server: Postgres, plan: DumpPlan, options: str) -> None:
    server.sql(
        "DROP DATABASE IF EXISTS other", f"CREATE DATABASE other TEMPLATE template0 {options}"
    )
    server.sql("CREATE TABLE t AS SELECT 'é' AS a UNION SELECT 'z'", database="other")
    dump = take(server.at("other"), plan)
    bring(dump, PostgresDatabaseTarget(server.at("back"), plan))
    facts = take(server.at("back"), plan)[1]
    for name in ("encoding", "collation", "ctype", "locale_provider", "locale", "digests"):
        assert facts[name] == dump[1][name]
    assert rows(server, "back") == rows(server, "other")


def test_another_encoding_is_refused(server: Postgres, plan: DumpPlan) -> None:
    dump = take(server.make("plain", "CREATE TABLE t AS SELECT 1 AS a"), plan)
    server.sql("CREATE DATABASE back TEMPLATE template0 ENCODING 'LATIN1'")
    with pytest.raises(Refused, match="has the encoding LATIN1"):
        bring(dump, PostgresDatabaseTarget(server.at("back"), plan))


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", {'"public"."t"': 2}),
        ("digests", {}),
        ("schema_blake3", "0" * 64),
        ("large_objects", 1),
        ("extensions", {"plpgsql": "1.0", "lost": "1"}),
    ],
)
def test_a_fact_that_does_not_hold_leaves_no_database(
    server: Postgres, plan: DumpPlan, existing: bool, name: str, value: Fact
) -> None:
    files, facts = take(server.make("plain", "CREATE TABLE t AS SELECT 1 AS a"), plan)
    if existing:
        server.make("back")
    target = PostgresDatabaseTarget(server.at("back"), plan)
    with pytest.raises(Damaged, match=name) as caught:
        bring((files, {**facts, name: value}), target)
    assert ('"public"."t"' in caught.value.why) is (name in ("rows", "digests"))
    assert left_overs(server) == []
    assert ("back" in server.databases()) is existing
    if existing:
        assert rows(server, "back") == {"large objects": [], "sequences": []}
    assert list(plan.spool.iterdir()) == []


def test_what_stays_in_a_database_that_was_there_is_told(server: Postgres, plan: DumpPlan) -> None:
    """It is filled in place and compared after the commit; no role can be dropped with it."""
    files, facts = take(server.make("plain", "CREATE TABLE t AS SELECT 1 AS a"), plan)
    server.make("back")
    target = PostgresDatabaseTarget(server.at("back"), plan, privileged=True)
    with pytest.raises(Damaged, match="digests") as caught:
        bring((files, {**facts, "digests": {}}), target)
    assert "What was restored is in the database" in caught.value.hint
    assert rows(server, "back") == rows(server, "plain")


@pytest.mark.parametrize("existing", [False, True])
def test_a_restore_that_fails_in_the_middle_leaves_no_database(
    server: Postgres, plan: DumpPlan, existing: bool
) -> None:
    files, facts = take(
        server.make("plain", "CREATE TABLE a AS SELECT 1 AS n", "CREATE TABLE b AS SELECT 2 AS n"),
        plan,
    )
    broken = [
        (entry, b"no number\n" + data[1:] if data.startswith(b"2\n") else data)
        for entry, data in files
    ]
    assert broken != files
    if existing:
        server.make("back")
    target = PostgresDatabaseTarget(server.at("back"), plan)
    for entry, data in broken:
        target.write(entry, iter((data,) if data else ()))
    facts["dump_blake3"] = target._digest.text
    with pytest.raises(ToolFailed, match="invalid input syntax"):
        target.finish(facts)
    assert left_overs(server) == []
    assert ("back" in server.databases()) is existing
    if existing:
        assert rows(server, "back") == {"large objects": [], "sequences": []}


def test_abandon_leaves_nothing(server: Postgres, plan: DumpPlan) -> None:
    files, _ = take(server.make("plain", "CREATE TABLE t AS SELECT 1 AS a"), plan)
    target = PostgresDatabaseTarget(server.at("back"), plan)
    for entry, data in files:
        target.write(entry, iter((data,) if data else ()))
    target.abandon()
    target.abandon()
    assert "back" not in server.databases()
    assert left_overs(server) == []
    assert list(plan.spool.iterdir()) == []


def test_a_database_made_meanwhile_is_not_replaced(server: Postgres, plan: DumpPlan) -> None:
    dump = take(server.make("plain", "CREATE TABLE t AS SELECT 1 AS a"), plan)
    target = PostgresDatabaseTarget(server.at("back"), plan)
    server.make("back", "CREATE TABLE precious ()")
    with pytest.raises(Refused, match="was made while the restore was running"):
        bring(dump, target)
    assert next(iter(rows(server, "back"))) == "public.precious"
    assert left_overs(server) == []


def test_hostile_sql_in_a_dump_gets_no_superuser(
    server: Postgres, plan: DumpPlan, tmp_path: Path
) -> None:
    """An index expression runs code at restore; it makes a superuser where it may."""
    place = server.make(
        "hostile",
        """CREATE FUNCTION climb_now() RETURNS void LANGUAGE plpgsql AS $$
            BEGIN
                IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
                    CREATE ROLE climbed SUPERUSER;
                END IF;
            END $$""",
        # What an index may call has to look harmless; what that calls is not looked at.
        """CREATE FUNCTION climb(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
            BEGIN PERFORM public.climb_now(); RETURN $1; END $$""",
        "CREATE TABLE bait AS SELECT 1 AS n",
        "DROP ROLE IF EXISTS climbed",
    )
    # As the backup's superuser it would climb already here, so the index is made by another role.
    server.sql("DROP ROLE IF EXISTS mallory", "CREATE ROLE mallory LOGIN PASSWORD 'p'")
    server.sql(
        "GRANT ALL ON SCHEMA public TO mallory",
        "ALTER TABLE bait OWNER TO mallory",
        "ALTER FUNCTION climb OWNER TO mallory",
        database="hostile",
    )
    from_mallory = server.as_role("hostile", "mallory", "p")
    with closing(PostgresSource(from_mallory, plan)) as source:
        source._connection.execute("CREATE INDEX trap ON public.bait (public.climb(n))")
    dump = take(place, plan)
    bring(dump, PostgresDatabaseTarget(server.at("back"), plan))
    assert "climbed" not in server.roles()
    assert rows(server, "back") == rows(server, "hostile")
    # The trap is a real one: pg_restore by itself, as the superuser, is caught.
    server.make("caught")
    folder = tmp_path / "dump"
    folder.mkdir()
    for entry, data in dump[0][1:]:
        (folder / entry.path.decode()).write_bytes(data)
    with Passfile(server.place.password) as passfile:
        into = server.at("caught").conninfo()
        run_tool([f"{server.tools}/pg_restore", "--no-owner", "-d", into, str(folder)], passfile)
    assert "climbed" in server.roles()
    server.sql('DROP DATABASE "caught" WITH (FORCE)', "DROP ROLE climbed")
    server.sql('DROP DATABASE "hostile" WITH (FORCE)', "DROP ROLE mallory")


def test_owners_come_back_only_when_privileged(server: Postgres, plan: DumpPlan) -> None:
    server.sql('DROP DATABASE IF EXISTS "owned" WITH (FORCE)', "DROP ROLE IF EXISTS owner1")
    server.sql("CREATE ROLE owner1")
    dump = take(
        server.make("owned", "CREATE TABLE t AS SELECT 1 AS a", "ALTER TABLE t OWNER TO owner1"),
        plan,
    )
    bring(dump, PostgresDatabaseTarget(server.at("back"), plan, privileged=True))
    owners = "SELECT tableowner FROM pg_tables WHERE tablename = 't'"
    assert server.sql(owners, database="back") == [("owner1",)]
    server.sql('DROP DATABASE "owned" WITH (FORCE)', 'DROP DATABASE "back" WITH (FORCE)')
    server.sql("DROP ROLE owner1")
    with pytest.raises(ToolFailed, match='role "owner1" does not exist'):
        bring(dump, PostgresDatabaseTarget(server.at("back"), plan, privileged=True))
    assert "back" not in server.databases()
    assert left_overs(server) == []


def test_a_server_that_lets_no_new_role_in(server: Postgres, plan: DumpPlan) -> None:
    dump = take(server.make("plain", "CREATE TABLE t AS SELECT 1 AS a"), plan)
    rules = server.socket_folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("host all postgres all scram-sha-256\nhost all all all reject\n")
    try:
        server.sql("SELECT pg_reload_conf()")
        with pytest.raises(Refused, match="does not let a role in") as caught:
            bring(dump, PostgresDatabaseTarget(server.at("back"), plan))
        assert "--privileged" in caught.value.hint
        assert left_overs(server) == []
        bring(dump, PostgresDatabaseTarget(server.at("back"), plan, privileged=True))
    finally:
        rules.write_text(before)
        server.sql("SELECT pg_reload_conf()")
    assert rows(server, "back") == rows(server, "plain")


def test_the_spool_of_a_restore_is_too_small(server: Postgres, plan: DumpPlan) -> None:
    with (
        closing_target(PostgresDatabaseTarget(server.at("back"), plan)) as target,
        pytest.raises(SpoolFull),
    ):
        target.write(Entry(b"toc.dat", "file", 1 << 60), iter(()))


def test_hostile_names_are_refused(server: Postgres, plan: DumpPlan) -> None:
    with closing_target(PostgresDatabaseTarget(server.at("back"), plan)) as target:
        for name in (b"../toc.dat", b"/toc.dat", b"a/toc.dat", b"restore.sql"):
            with pytest.raises(Refused):
                target.write(Entry(name, "file", 1), iter((b"x",)))
        with pytest.raises(Refused):
            target.write(Entry(b"toc.dat", "symlink", link=b"x"), iter(()))
        target.write(Entry(b"toc.dat", "file", 1), iter((b"x",)))
        with pytest.raises(Refused, match="twice"):
            target.write(Entry(b"toc.dat", "file", 1), iter((b"x",)))


def test_wrong_password_and_server_gone(server: Postgres, plan: DumpPlan) -> None:
    with pytest.raises(SignInRefused):
        PostgresDatabaseTarget(server.as_role("back", "postgres", "wrong"), plan)
    with pytest.raises(StrongroomError, match="does not answer"):
        PostgresDatabaseTarget(PostgresPlace("a", "b", "127.0.0.1", 1), plan)


def test_what_cannot_be_dropped_is_named(server: Postgres, plan: DumpPlan) -> None:
    files, facts = take(server.make("plain", "CREATE TABLE t AS SELECT 1 AS a"), plan)
    # The role gets an object elsewhere, which keeps it from being dropped.
    target = PostgresDatabaseTarget(server.at("back"), plan)

    class Meddling(dict[str, Fact]):
        """Facts, one of them wrong; when that one is asked for, the role gets its object."""

        def get(self, name: str, _: object = None) -> Fact:
            if name == "rows":
                server.sql(f"ALTER DATABASE plain OWNER TO {target.owner}")
            return super().get(name)

    with pytest.raises(TargetFailed, match="could not be removed") as caught:
        bring((files, Meddling(facts, rows={})), target)
    assert "its rows" in caught.value.why
    assert left_overs(server) == [target._role]
    server.sql("ALTER DATABASE plain OWNER TO postgres")


class closing_target:  # noqa: N801 - reads as contextlib.closing does
    """Abandon a target at the end of the block."""

    def __init__(self, target: PostgresDatabaseTarget) -> None:
        self._target = target

    def __enter__(self) -> PostgresDatabaseTarget:
        return self._target

    def __exit__(self, *_: object) -> None:
        self._target.abandon()
