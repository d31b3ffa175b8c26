"""Backing up a PostgreSQL database while it is written, and what may go wrong."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.adapters.sources.errors import SourceUnreadable, SpoolFull
from strongroom.adapters.sources.postgres import DumpPlan, PostgresSource
from strongroom.adapters.sources.postgres_connection import PostgresPlace
from strongroom.adapters.sources.postgres_errors import (
    DatabaseMissing,
    ServerRefused,
    ServerUnreachable,
    SignInRefused,
    ToolFailed,
    ToolsTooOld,
)
from strongroom.adapters.sources.postgres_folder import PostgresFolderTarget
from strongroom.adapters.sources.postgres_spool import sweep_spool_folders
from strongroom.adapters.sources.spool import SPOOL_PREFIX
from strongroom.errors import Refused
from strongroom.vault.source import BLOCK_BYTES_MAX
from tests.adapters.sources.trees import fill, token
from tests.support.postgres import (
    SUPERUSER_PASSWORD,
    Postgres,
    tool_folder,
)
from tests.support.postgres_rows import EVERYTHING

pytestmark = pytest.mark.loopback
CANARY = "canary-row-7f3a"


@pytest.fixture
def plan(tmp_path: Path, server: Postgres) -> DumpPlan:
    return DumpPlan(tmp_path / "spool", token, (server.tools,))


@pytest.fixture
def everything(server: Postgres) -> PostgresPlace:
    return server.make("everything", *EVERYTHING)


def dump(place: PostgresPlace, plan: DumpPlan, out: Path) -> dict[str, object]:
    """Back up into a folder; return the facts."""
    with closing(PostgresSource(place, plan)) as source:
        target = PostgresFolderTarget(out, token)
        fill(source, target)
        facts = source.facts()
        target.finish(facts)
    return dict(facts)


def test_facts_tell_what_is_there(
    everything: PostgresPlace, server: Postgres, plan: DumpPlan, tmp_path: Path
) -> None:
    facts = dump(everything, plan, tmp_path / "out")
    assert facts["kind"] == "postgresql"
    assert str(facts["engine_version"]).startswith(str(server.major))
    assert (facts["encoding"], facts["collation"]) == ("UTF8", "C")
    rows = facts["rows"]
    assert isinstance(rows, dict)
    assert rows['"shop"."orders"'] == 500
    assert rows['"odd "" schema"."T\n\\x"'] == 2
    assert (rows['"public"."parent"'], rows['"public"."child"']) == (1, 1)
    assert '"public"."days"' not in rows
    assert rows['"public"."days_old"'] + rows['"public"."days_new"'] == 90
    assert (facts["large_objects"], facts["uncounted"]) == (2, [])
    assert facts["roles"] == "with password verifiers"
    assert "plpgsql" in str(facts["extensions"])
    assert facts["tools_version"] == server.major
    assert dump(everything, plan, tmp_path / "again") | {"dump_blake3": ""} == facts | {
        "dump_blake3": ""
    }


def test_the_folder_is_for_pg_restore(
    everything: PostgresPlace, server: Postgres, plan: DumpPlan, tmp_path: Path
) -> None:
    dump(everything, plan, tmp_path / "out")
    listed = subprocess.run(
        [server.tools / "pg_restore", "--list", tmp_path / "out"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "TABLE DATA shop orders" in listed
    assert "CREATE ROLE" in (tmp_path / "out" / "roles.sql").read_text()
    assert os.listdir(plan.spool) == []


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ("UPDATE shop.orders SET kind = 'b' WHERE id = 77", "digests"),
        ("DELETE FROM shop.orders WHERE id = 77", "rows"),
        ("ALTER TABLE empty ADD b text", "schema_blake3"),
        ("DROP FUNCTION shop.twice", "schema_blake3"),
        ("SELECT lo_put(4242, 1, 'x')", "large_objects_digest"),
        ("SELECT lo_unlink(4242)", "large_objects"),
    ],
)
def test_a_change_changes_its_fact(
    server: Postgres, plan: DumpPlan, tmp_path: Path, change: str, differs: str
) -> None:
    place = server.make("everything", *EVERYTHING)
    before = dump(place, plan, tmp_path / "before")
    server.sql(change, database="everything")
    after = dump(place, plan, tmp_path / "after")
    assert before[differs] != after[differs]


def test_order_of_rows_does_not_matter(server: Postgres, plan: DumpPlan, tmp_path: Path) -> None:
    for name, order in (("one", ""), ("two", " ORDER BY 1 DESC")):
        server.make(
            name, f"CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1,99) n{order}"
        )
    one = dump(server.at("one"), plan, tmp_path / "one")
    two = dump(server.at("two"), plan, tmp_path / "two")
    assert one["digests"] == two["digests"]


def test_consistent_while_it_is_written(server: Postgres, plan: DumpPlan, tmp_path: Path) -> None:
    """Every transaction moves an amount from one table to the other; the sum never changes."""
    place = server.make(
        "moving",
        "CREATE TABLE a AS SELECT n AS id, 1000 AS amount FROM generate_series(1, 20000) n",
        "CREATE TABLE b AS TABLE a",
        "ALTER TABLE a ADD PRIMARY KEY (id); ALTER TABLE b ADD PRIMARY KEY (id)",
    )
    stop = threading.Event()
    moved = 0

    def move() -> None:
        nonlocal moved
        with closing(server.connect("moving")) as connection:
            while not stop.is_set():
                number = moved % 20000 + 1
                connection.execute("BEGIN")
                connection.execute("UPDATE a SET amount = amount - 1 WHERE id = %s", (number,))
                connection.execute("UPDATE b SET amount = amount + 1 WHERE id = %s", (number,))
                connection.execute("COMMIT")
                moved += 1

    writer = threading.Thread(target=move)
    writer.start()
    try:
        before = moved
        for attempt in range(3):
            facts = dump(place, plan, tmp_path / f"out{attempt}")
            # The dump's own numbers, read as pg_restore will read them.
            total = 0
            for path in (tmp_path / f"out{attempt}").glob("[0-9]*.dat"):
                lines = path.read_text().splitlines()
                total += sum(int(line.split("\t")[1]) for line in lines if "\t" in line)
            assert total == 2 * 20000 * 1000
            assert facts["rows"] == {'"public"."a"': 20000, '"public"."b"': 20000}
        assert moved > before
    finally:
        stop.set()
        writer.join()


def test_entries_are_one_stream_per_table(everything: PostgresPlace, plan: DumpPlan) -> None:
    with closing(PostgresSource(everything, plan)) as source:
        assert (source.profile, source.bytes_expected) == ("cdc-16k", None)
        entries = list(source.entries())
        assert list(source.entries()) == entries
        assert (entries[0].path, entries[0].kind) == (b"", "directory")
        names = [entry.path for entry in entries[1:]]
        assert names == sorted(names)
        assert {b"toc.dat", b"roles.sql", b"blob_4242.dat"} <= set(names)
        for entry in entries[1:]:
            (folder,) = plan.spool.iterdir()
            blocks = source.read(entry)
            first = next(blocks, b"")
            # While the first block is used, the file has no name any more.
            assert not (folder / os.fsdecode(entry.path)).exists()
            sizes = [len(first), *map(len, blocks)]
            assert sum(sizes) == entry.size_bytes
            assert max(sizes) <= BLOCK_BYTES_MAX
        with pytest.raises(SourceUnreadable, match="is gone"):
            next(source.read(entries[1]))
        assert len(str(source.facts()["dump_blake3"])) == 64
    assert list(plan.spool.iterdir()) == []
    source.close()


def test_a_role_without_superuser_backs_up_without_verifiers(
    server: Postgres, plan: DumpPlan, tmp_path: Path
) -> None:
    server.make("app", "CREATE TABLE t AS SELECT 1 AS a")
    server.sql(
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader LOGIN PASSWORD 'p' IN ROLE pg_read_all_data",
    )
    facts = dump(server.as_role("app", "reader", "p"), plan, tmp_path / "out")
    assert facts["roles"] == "without password verifiers"
    roles = (tmp_path / "out" / "roles.sql").read_text()
    assert "CREATE ROLE reader" in roles
    assert "SCRAM-SHA-256" not in roles
    dump(server.at("app"), plan, tmp_path / "super")
    assert "SCRAM-SHA-256" in (tmp_path / "super" / "roles.sql").read_text()


def test_a_table_that_may_not_be_read(server: Postgres, plan: DumpPlan) -> None:
    server.make("app", "CREATE TABLE t AS SELECT 1 AS a")
    server.sql("DROP ROLE IF EXISTS weak", "CREATE ROLE weak LOGIN PASSWORD 'p'")
    with (
        closing(PostgresSource(server.as_role("app", "weak", "p"), plan)) as source,
        pytest.raises(ServerRefused, match="permission denied") as caught,
    ):
        list(source.entries())
    assert "pg_read_all_data" in caught.value.hint
    assert not plan.spool.exists() or not list(plan.spool.iterdir())


def test_the_password_is_nowhere(
    server: Postgres, plan: DumpPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Search argv, environment and open files of every child, and the spool, during a backup."""
    place = server.make(
        "large",
        f"CREATE TABLE t AS SELECT n, repeat('{CANARY}', 20) FROM generate_series(1, 60000) n",
    )
    monkeypatch.setenv("PGPASSWORD", "inherited-by-nobody")
    seen: dict[int, bytes] = {}
    stop = threading.Event()

    def watch() -> None:
        own = str(os.getpid())
        while not stop.is_set():
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with suppress(OSError):
                    status = Path(f"/proc/{pid}/status").read_text()
                    if f"PPid:\t{own}\n" in status:
                        found = Path(f"/proc/{pid}/cmdline").read_bytes()
                        if b"pg_dump" in found.split(b"\0")[0]:
                            environ = Path(f"/proc/{pid}/environ").read_bytes()
                            seen[int(pid)] = found + b"\0" + environ

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with closing(PostgresSource(place, plan)) as source:
            list(source.entries())
            spooled = [path.read_bytes() for path in plan.spool.rglob("*") if path.is_file()]
            assert SUPERUSER_PASSWORD not in repr(place) + repr(source)
    finally:
        stop.set()
        watcher.join()
    assert any(CANARY.encode() in data for data in spooled)
    assert len(seen) >= 2
    secrets = [SUPERUSER_PASSWORD.encode(), b"sesame", b"inherited-by-nobody"]
    for data in [*seen.values(), *spooled]:
        assert not [secret for secret in secrets if secret in data]
    assert any(b"PGPASSFILE=/proc/self/fd/" in data for data in seen.values())


def test_nothing_of_the_environment_reaches_libpq(
    server: Postgres, plan: DumpPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these alone would send the connection elsewhere, or make it fail."""
    place = server.make("app", "CREATE TABLE t AS SELECT 1 AS a")
    (tmp_path / "services").write_text("[other]\nport=1\n")
    for name, value in (
        ("PGHOSTADDR", "127.0.0.2"),
        ("PGSERVICE", "other"),
        ("PGSERVICEFILE", str(tmp_path / "services")),
        ("PGSSLMODE", "verify-full"),
        ("PGOPTIONS", "-c no_such_setting=1"),
        ("PGREQUIREAUTH", "none"),
        ("PGTARGETSESSIONATTRS", "standby"),
        ("PGDATESTYLE", "nonsense"),
        ("PGPASSWORD", "wrong"),
    ):
        monkeypatch.setenv(name, value)
    assert dump(place, plan, tmp_path / "out")["rows"] == {'"public"."t"': 1}


def test_wrong_password(server: Postgres, plan: DumpPlan) -> None:
    for password in ("wrong", None):
        place = server.as_role("postgres", "postgres", password or "")
        with pytest.raises(SignInRefused) as caught:
            PostgresSource(place, plan)
        assert "--password-file" in caught.value.hint
        assert "wrong" not in str(caught.value)


def test_a_password_with_a_line_break_is_refused(server: Postgres, plan: DumpPlan) -> None:
    with pytest.raises(Refused, match="line break"):
        PostgresSource(server.as_role("postgres", "postgres", "a\nb"), plan)


def test_database_gone(server: Postgres, plan: DumpPlan) -> None:
    with pytest.raises(DatabaseMissing, match="there is no database"):
        PostgresSource(server.at("gone"), plan)


def test_server_gone(server: Postgres, plan: DumpPlan) -> None:
    place = PostgresPlace("a", "b", "127.0.0.1", 1)
    with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:1/a does not answer"):
        PostgresSource(place, plan)


def test_the_server_hangs_up_meanwhile(server: Postgres, plan: DumpPlan) -> None:
    place = server.make("app", "CREATE TABLE t AS SELECT 1 AS a")
    with closing(PostgresSource(place, plan)) as source:
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app'")
        with pytest.raises(ServerUnreachable):
            list(source.entries())
    assert not plan.spool.exists() or not list(plan.spool.iterdir())


def test_a_locked_table_is_not_waited_for_for_ever(server: Postgres, plan: DumpPlan) -> None:
    short = replace(plan, lock_wait_ms=200)
    place = server.make("app", "CREATE TABLE t AS SELECT 1 AS a")
    with closing(server.connect("app")) as holder, closing(PostgresSource(place, short)) as source:
        holder.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Exception, match="locked") as caught:
            list(source.entries())
    assert type(caught.value).__name__ == "SourceBusy"


def test_tools_older_than_the_server(server: Postgres, plan: DumpPlan, tmp_path: Path) -> None:
    older = server.major - 1
    for name in ("pg_dump", "pg_dumpall", "pg_restore"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {older}.4 (Debian)'\n")
        program.chmod(0o755)
    old = DumpPlan(plan.spool, token, (tmp_path,))
    with pytest.raises(ToolsTooOld, match=f"older than {server.major}: .* of version {older}"):
        PostgresSource(server.at("postgres"), old)


def test_version_16_by_its_own_tools(server16: Postgres, plan: DumpPlan, tmp_path: Path) -> None:
    place = server16.make("everything", *EVERYTHING)
    both = DumpPlan(plan.spool, token, (tool_folder(18), server16.tools))
    facts = dump(place, both, tmp_path / "out")
    assert (facts["tools_version"], facts["large_objects"]) == (16, 2)
    assert str(facts["engine_version"]).startswith("16.")


def test_newer_tools_read_an_older_server(
    server16: Postgres, plan: DumpPlan, tmp_path: Path
) -> None:
    place = server16.make("app", "CREATE TABLE t AS SELECT 1 AS a")
    newer = DumpPlan(plan.spool, token, (tool_folder(18),))
    assert dump(place, newer, tmp_path / "out")["tools_version"] == 18


def test_the_spool_is_too_small(
    server: Postgres, plan: DumpPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room for a copy as large as the database is asked for before anything is written."""
    place = server.make("app", "CREATE TABLE t AS SELECT 1 AS a")
    size = int(str(server.sql("SELECT pg_database_size('app')")[0][0]))
    real = os.fstatvfs

    def nearly_full(handle: int) -> os.statvfs_result:
        room = real(handle)
        free = (size - 1) // room.f_frsize
        return os.statvfs_result((*room[:4], free, *room[5:]))

    monkeypatch.setattr(os, "fstatvfs", nearly_full)
    with (
        closing(PostgresSource(place, plan)) as source,
        pytest.raises(SpoolFull, match="too small: a copy needs"),
    ):
        list(source.entries())
    assert list(plan.spool.iterdir()) == []


def test_a_failing_tool_tells_one_line_and_leaves_nothing(
    server: Postgres, plan: DumpPlan, tmp_path: Path
) -> None:
    place = server.make("app", "CREATE TABLE t AS SELECT 1 AS a")
    for name in ("pg_dumpall", "pg_restore"):
        (tmp_path / name).symlink_to(server.tools / name)
    program = tmp_path / "pg_dump"
    program.write_text(
        f"#!/bin/sh\n[ $1 = --version ] && exec {server.tools}/pg_dump --version\n"
        "echo 'pg_dump: error: one reason' >&2; echo 'CONTEXT: a secret row' >&2; exit 1\n"
    )
    program.chmod(0o755)
    with (
        closing(PostgresSource(place, DumpPlan(plan.spool, token, (tmp_path,)))) as source,
        pytest.raises(ToolFailed) as caught,
    ):
        list(source.entries())
    assert str(caught.value) == "pg_dump failed: one reason"
    assert list(plan.spool.iterdir()) == []


def test_killed_in_the_middle_and_swept(server: Postgres, plan: DumpPlan, tmp_path: Path) -> None:
    """A dump whose process was killed by SIGKILL is found by the next start, and only then."""
    server.make(
        "large",
        f"CREATE TABLE t AS SELECT n, repeat('{CANARY}', 20) FROM generate_series(1, 60000) n",
    )
    script = f"""
import os, sys, time
from pathlib import Path
from strongroom.adapters.sources.postgres import DumpPlan, PostgresSource
from strongroom.adapters.sources.postgres_connection import PostgresPlace
place = PostgresPlace("large", "postgres", "127.0.0.1", {server.place.port},
    password=sys.stdin.read())
plan = DumpPlan(Path({str(plan.spool)!r}), os.urandom, (Path({str(server.tools)!r}),))
source = PostgresSource(place, plan)
list(source.entries())
print("dumped", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(SUPERUSER_PASSWORD)
        process.stdin.close()
        assert process.stdout.readline() == "dumped\n"
        assert sweep_spool_folders(plan.spool) == 0
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = list(plan.spool.iterdir())
    assert [path.name.encode().startswith(SPOOL_PREFIX) for path in left] == [True]
    assert SUPERUSER_PASSWORD.encode() not in b"".join(
        path.read_bytes() for path in left[0].rglob("*") if path.is_file()
    )
    assert sweep_spool_folders(plan.spool) == 1
    assert list(plan.spool.iterdir()) == []
