"""Backing up a SQLite database while it is written, and restoring it equal."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.adapters.sources.errors import (
    NotADatabase,
    SourceBusy,
    SourceMissing,
    SourceUnreadable,
    SpoolFull,
    TargetFailed,
)
from strongroom.adapters.sources.spool import SPOOL_PREFIX, open_spool_file, sweep_spool
from strongroom.adapters.sources.sqlite import SpoolPlan, SqliteSource
from strongroom.adapters.sources.sqlite_target import SqliteTarget
from strongroom.clock import SystemClock
from strongroom.errors import Damaged, Refused
from strongroom.vault.source import BLOCK_BYTES_MAX, Facts
from tests.adapters.sources.trees import fill, token

WRITER = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
print("ready", flush=True)
number = 0
while True:
    number += 1
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO one (amount) VALUES (?)", (number,))
    database.execute("INSERT INTO other (amount, filler) VALUES (?, ?)", (number, "x" * 3000))
    if number > 50:
        database.execute("DELETE FROM one WHERE amount = ?", (number - 50,))
        database.execute("DELETE FROM other WHERE amount = ?", (number - 50,))
    database.execute("COMMIT")
    time.sleep(0.003)
"""


@pytest.fixture
def plan(tmp_path: Path) -> SpoolPlan:
    return SpoolPlan(tmp_path / "spool", SystemClock(), token)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return make(tmp_path / "a.db")


def make(path: Path, journal: str = "delete", page_size: int = 4096, rows: int = 300) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as made:
        made.execute(f"PRAGMA page_size={page_size}")
        made.execute(f"PRAGMA journal_mode={journal}")
        made.execute("PRAGMA user_version=7")
        made.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, amount INTEGER)")
        made.execute("CREATE TABLE other (id INTEGER PRIMARY KEY, amount INTEGER, filler TEXT)")
        made.execute('CREATE TABLE "odd "" name" (x)')
        made.execute("CREATE INDEX by_amount ON one (amount)")
        made.execute("CREATE VIEW both_sides AS SELECT * FROM one JOIN other USING (id)")
        made.execute("BEGIN")
        for number in range(rows):
            made.execute("INSERT INTO one (amount) VALUES (?)", (-number,))
            made.execute(
                "INSERT INTO other (amount, filler) VALUES (?, ?)", (-number, "é" * (number % 900))
            )
        made.execute("COMMIT")
    return path


def everything(path: Path) -> dict[str, list[object]]:
    """Return schema and all rows of all tables."""
    with closing(sqlite3.connect(path)) as opened:
        schema = opened.execute(
            "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"
        ).fetchall()
        found: dict[str, list[object]] = {"schema": list(schema)}
        for kind, name, _ in schema:
            if kind == "table":
                quoted = name.replace('"', '""')
                found[name] = opened.execute(f'SELECT * FROM "{quoted}"').fetchall()
        found["user_version"] = opened.execute("PRAGMA user_version").fetchall()
    return found


def restore(source: SqliteSource, destination: Path, *, overwrite: bool = False) -> Facts:
    with closing(source):
        target = SqliteTarget(destination, token, overwrite)
        fill(source, target)
        facts = source.facts()
    target.finish(facts)
    return facts


def opened(path: Path, plan: SpoolPlan) -> SqliteSource:
    return SqliteSource(os.fsencode(path), plan)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True
    ) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            yield
            assert writer.poll() is None
        finally:
            writer.kill()


@pytest.mark.parametrize("limit", [64 << 20, 0], ids=["memory", "spool"])
@pytest.mark.parametrize("journal", ["wal", "delete", "truncate"])
def test_consistent_while_an_application_writes(
    tmp_path: Path, plan: SpoolPlan, journal: str, limit: int
) -> None:
    path = make(tmp_path / "busy.db", journal)
    sums = []
    with writing(path):
        for number in range(4):
            out = tmp_path / f"out{number}"
            facts = restore(opened(path, replace(plan, memory_bytes_max=limit)), out)
            assert facts["quick_check"] == "ok"
            assert not plan.folder.exists() or os.listdir(plan.folder) == []
            with closing(sqlite3.connect(out)) as restored:
                one, other = (
                    restored.execute(f"SELECT count(*), total(amount) FROM {table}").fetchone()
                    for table in ("one", "other")
                )
            assert one == other
            sums.append(one)
    # The writer was not stopped: the backups are of different states.
    assert len(set(sums)) > 1


@pytest.mark.parametrize("page_size", [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])
def test_every_page_size_comes_back_equal(tmp_path: Path, plan: SpoolPlan, page_size: int) -> None:
    path = make(tmp_path / "a.db", page_size=page_size)
    source = opened(path, plan)
    assert source.profile == f"pages-{max(4096, page_size)}"
    facts = restore(source, tmp_path / "out.db")
    assert everything(tmp_path / "out.db") == everything(path)
    assert facts["page_size"] == page_size
    assert facts["bytes"] == source.bytes_expected == (tmp_path / "out.db").stat().st_size


def test_large_files_have_chunks_of_16_kib(tmp_path: Path, plan: SpoolPlan) -> None:
    path = tmp_path / "large.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA synchronous=OFF")
        made.execute("CREATE TABLE t (x)")
        made.execute("INSERT INTO t VALUES (zeroblob(17000000))")
        made.commit()
    with closing(opened(path, replace(plan, memory_bytes_max=1 << 20))) as source:
        assert source.profile == "pages-16384"
        (entry,) = source.entries()
        blocks = list(source.read(entry))
        assert max(map(len, blocks)) == BLOCK_BYTES_MAX
        assert sum(map(len, blocks)) == entry.size_bytes == source.bytes_expected
        # The copy has no name while it is read, nor after.
        assert os.listdir(plan.folder) == []
        assert stat.S_IMODE(plan.folder.stat().st_mode) == 0o700


def test_commits_that_are_only_in_the_log_are_backed_up(tmp_path: Path, plan: SpoolPlan) -> None:
    path = make(tmp_path / "w.db", "wal")
    with closing(sqlite3.connect(path)) as application:
        application.execute("PRAGMA wal_autocheckpoint=0")
        application.execute("INSERT INTO one (amount) VALUES (424242)")
        application.commit()
        facts = restore(opened(path, plan), tmp_path / "out.db")
    assert facts["journal_mode"] == "wal"
    assert everything(tmp_path / "out.db") == everything(path)
    assert everything(tmp_path / "out.db")["one"][-1] == (301, 424242)


def test_the_state_is_that_of_the_opening(tmp_path: Path, plan: SpoolPlan) -> None:
    path = make(tmp_path / "w.db", "wal")
    before = everything(path)
    source = opened(path, plan)
    with closing(sqlite3.connect(path)) as application:
        application.execute("INSERT INTO other (filler) VALUES (zeroblob(1000000))")
        application.commit()
    expected = source.bytes_expected
    assert restore(source, tmp_path / "out.db")["bytes"] == expected
    assert everything(tmp_path / "out.db") == before


def test_facts(database: Path, plan: SpoolPlan) -> None:
    with closing(opened(database, plan)) as source:
        facts = dict(source.facts())
    assert len(str(facts.pop("blake3"))) == len(str(facts.pop("schema_blake3"))) == 64
    assert facts == {
        "kind": "sqlite",
        "engine": "sqlite",
        "engine_version": sqlite3.sqlite_version,
        "quick_check": "ok",
        "page_size": 4096,
        "page_count": database.stat().st_size // 4096,
        "user_version": 7,
        "application_id": 0,
        "encoding": "UTF-8",
        "rows": {"one": 300, "other": 300, 'odd " name': 0},
        "uncounted": [],
        "bytes": database.stat().st_size,
        "journal_mode": "delete",
    }


def test_virtual_tables_and_unknown_functions_do_not_stop_a_backup(
    tmp_path: Path, plan: SpoolPlan
) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE VIRTUAL TABLE notes USING fts5(text)")
        made.execute("INSERT INTO notes VALUES ('hello')")
        made.create_function("ours", 1, lambda value: value, deterministic=True)
        made.execute("CREATE TABLE t (x CHECK (ours(x) > 0))")
        made.execute("CREATE INDEX i ON t (ours(x))")
        made.execute("INSERT INTO t VALUES (1)")
        made.commit()
    facts = restore(opened(path, plan), tmp_path / "out.db")
    assert isinstance(facts["rows"], dict)
    assert "notes" not in facts["rows"]
    assert facts["rows"]["notes_content"] == 1


def test_an_empty_file_is_an_empty_database(tmp_path: Path, plan: SpoolPlan) -> None:
    (tmp_path / "zero.db").touch(mode=0o640)
    facts = restore(opened(tmp_path / "zero.db", plan), tmp_path / "out.db")
    assert facts["bytes"] == 0
    assert (tmp_path / "out.db").stat().st_size == 0


def test_a_path_with_any_character(tmp_path: Path, plan: SpoolPlan) -> None:
    for name in (b"a b?mode=rw#%41\xff.db", b"x&immutable=1"):
        path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
        make(tmp_path / "plain.db").rename(path)
        restore(opened(path, plan), tmp_path / "out.db", overwrite=True)
        assert everything(tmp_path / "out.db")["one"]


def test_what_is_no_database(tmp_path: Path, plan: SpoolPlan) -> None:
    (tmp_path / "text").write_text("hello " * 1000)
    (tmp_path / "encrypted.db").write_bytes(os.urandom(8192))
    for name in ("text", "encrypted.db"):
        with pytest.raises(NotADatabase, match="header"):
            opened(tmp_path / name, plan)
    with pytest.raises(NotADatabase, match="regular"):
        opened(tmp_path, plan)
    with pytest.raises(SourceMissing, match="No such file"):
        opened(tmp_path / "x", plan)
    with pytest.raises(SourceMissing, match="Not a directory"):
        opened(tmp_path / "text" / "x", plan)


def test_permission_denied(plain_user_folder: Path, plan: SpoolPlan) -> None:
    path = make(plain_user_folder / "a.db")
    path.chmod(0)
    with pytest.raises(SourceUnreadable, match="Permission denied"):
        opened(path, plan)
    path.chmod(0o600)
    plain_user_folder.chmod(0)
    with pytest.raises(SourceUnreadable, match="Permission denied"):
        opened(path, plan)
    plain_user_folder.chmod(0o700)


def test_a_log_without_its_shared_memory_in_a_folder_that_cannot_be_written(
    plain_user_folder: Path, plan: SpoolPlan
) -> None:
    folder = plain_user_folder / "data"
    folder.mkdir()
    path = make(folder / "w.db", "wal")
    folder.chmod(0o500)
    with pytest.raises(SourceUnreadable, match="read-only") as caught:
        opened(path, plan)
    assert "-shm" in caught.value.hint
    folder.chmod(0o700)


def test_a_journal_left_by_a_crash_is_left_to_the_application(
    tmp_path: Path, plan: SpoolPlan
) -> None:
    path = make(tmp_path / "a.db")
    crash = (
        "import os, sqlite3, sys; d = sqlite3.connect(sys.argv[1]); "
        "d.execute('PRAGMA cache_size=1'); d.execute('UPDATE other SET filler = 1'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", crash, path], check=True)
    assert (tmp_path / "a.db-journal").stat().st_size > 0
    before = path.read_bytes()
    with pytest.raises(SourceUnreadable, match="read-only") as caught:
        restore(opened(path, plan), tmp_path / "out.db")
    assert "journal" in caught.value.hint
    assert path.read_bytes() == before
    assert not (tmp_path / "out.db").exists()


def test_a_locked_database_is_waited_for_only_so_long(database: Path, plan: SpoolPlan) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as application:
        application.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceBusy, match="locked"):
            opened(database, replace(plan, busy_seconds_max=0.2))


def test_a_damaged_database_is_backed_up_and_the_facts_say_so(
    tmp_path: Path, plan: SpoolPlan
) -> None:
    path = make(tmp_path / "a.db")
    with open(path, "r+b") as file:
        file.seek(4096 * 5)
        file.write(os.urandom(4096 * 3))
    facts = restore(opened(path, plan), tmp_path / "out.db")
    assert facts["quick_check"] != "ok"
    assert (tmp_path / "out.db").read_bytes()[4096:] == path.read_bytes()[4096:]


def test_a_damaged_schema_is_backed_up_and_the_facts_say_so(
    tmp_path: Path, plan: SpoolPlan
) -> None:
    path = make(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA writable_schema=ON")
        made.execute("UPDATE sqlite_master SET sql = 'nonsense' WHERE name = 'one'")
        made.commit()
    facts = restore(opened(path, plan), tmp_path / "out.db")
    assert "malformed" in str(facts["quick_check"])
    assert facts["schema_blake3"] is None
    assert (tmp_path / "out.db").read_bytes()[4096:] == path.read_bytes()[4096:]


def test_the_source_is_not_changed(tmp_path: Path, plan: SpoolPlan) -> None:
    path = make(tmp_path / "a.db")
    before = (path.read_bytes(), path.stat().st_mtime_ns, sorted(os.listdir(tmp_path)))
    with closing(opened(path, plan)) as source:
        source.facts()
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(os.listdir(tmp_path))) == before


def test_mode_and_time_come_back(database: Path, tmp_path: Path, plan: SpoolPlan) -> None:
    database.chmod(0o640)
    os.utime(database, ns=(0, 1_234_567_890_123_456_789))
    restore(opened(database, plan), tmp_path / "out.db")
    info = (tmp_path / "out.db").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_mtime_ns) == (0o640, 1_234_567_890_123_456_789)


@pytest.mark.parametrize(
    ("name", "value"),
    [("bytes", 1), ("blake3", "0" * 64), ("schema_blake3", "0" * 64), ("rows", {"one": 299})],
)
def test_a_fact_that_does_not_hold_leaves_nothing(
    database: Path, tmp_path: Path, plan: SpoolPlan, name: str, value: str
) -> None:
    with closing(opened(database, plan)) as source:
        target = SqliteTarget(tmp_path / "out.db", token)
        fill(source, target)
        facts = {**source.facts(), name: value}
    with pytest.raises(Damaged, match=f"its {name} differ"):
        target.finish(facts)
    assert sorted(os.listdir(tmp_path)) == ["a.db"]


def test_a_stale_log_beside_the_destination(
    database: Path, tmp_path: Path, plan: SpoolPlan
) -> None:
    for suffix in ("-wal", "-shm", "-journal"):
        (tmp_path / f"out.db{suffix}").write_bytes(b"stale")
        with pytest.raises(Refused, match="exists"):
            SqliteTarget(tmp_path / "out.db", token)
    (tmp_path / "out.db").write_bytes(b"old")
    restore(opened(database, plan), tmp_path / "out.db", overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["a.db", "out.db"]
    assert everything(tmp_path / "out.db") == everything(database)


def test_spool_full_is_said_before_anything_is_written(database: Path, plan: SpoolPlan) -> None:
    with pytest.raises(SpoolFull, match=r"needs \d+ bytes, it has \d+"):
        open_spool_file(plan.folder, 1 << 60, token)
    assert os.listdir(plan.folder) == []


def test_spool_that_others_may_write_is_refused(database: Path, plan: SpoolPlan) -> None:
    plan.folder.mkdir()
    plan.folder.chmod(0o777)
    with (
        closing(opened(database, replace(plan, memory_bytes_max=0))) as source,
        pytest.raises(Refused, match="others may use it: its mode is 0777"),
    ):
        list(source.entries())
    with pytest.raises(TargetFailed, match="Not a directory"):
        open_spool_file(database / "spool", 1, token)


def test_spool_leftovers_are_swept_and_files_in_use_are_not(plan: SpoolPlan) -> None:
    assert sweep_spool(plan.folder) == 0
    in_use, handle = open_spool_file(plan.folder, 10, token)
    (plan.folder / (SPOOL_PREFIX.decode() + "dead")).write_bytes(b"plaintext")
    (plan.folder / "other").touch()
    assert sweep_spool(plan.folder) == 1
    assert sorted(os.listdir(plan.folder)) == ["other", os.path.basename(os.fsdecode(in_use))]
    os.close(handle)
    assert sweep_spool(plan.folder) == 1
    assert os.listdir(plan.folder) == ["other"]


def test_a_copy_that_fails_leaves_no_spool_file(database: Path, plan: SpoolPlan) -> None:
    def short(count: int) -> bytes:
        # The connection is closed behind the source's back, so that the copy fails.
        source.close()
        return b"x" * count

    source = opened(database, replace(plan, memory_bytes_max=0, token=short))
    with pytest.raises(SourceUnreadable, match="closed"):
        list(source.entries())
    assert os.listdir(plan.folder) == []


def test_closed_before_it_was_read(database: Path, plan: SpoolPlan) -> None:
    source = opened(database, plan)
    source.close()
    source.close()
    with pytest.raises(SourceUnreadable, match="closed"):
        list(source.entries())
