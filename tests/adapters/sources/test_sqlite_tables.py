"""A table of a SQLite database comes back alone, as it was, and nothing else with it."""

import os
import sqlite3
import stat
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.sources.sqlite import SpoolPlan, SqliteSource
from strongroom.adapters.sources.sqlite_target import SqliteTarget
from strongroom.clock import SystemClock
from strongroom.errors import Damaged
from tests.adapters.sources.trees import token

SCHEMA = """
    PRAGMA journal_mode = WAL; PRAGMA user_version = 7; PRAGMA application_id = 99;
    CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, loud AS (name || '!'),
        owner REFERENCES person (id), photo BLOB);
    CREATE INDEX item_name ON item (name) WHERE name > 'item 5';
    CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE "odd ""name" (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID;
    CREATE VIRTUAL TABLE search USING fts5 (words);
    CREATE VIEW loud AS SELECT loud FROM item;
    CREATE TRIGGER seen AFTER INSERT ON item BEGIN INSERT INTO search VALUES (new.name); END;
    CREATE TRIGGER other AFTER INSERT ON person BEGIN DELETE FROM item; END;
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "source.db"
    with closing(sqlite3.connect(path)) as made, made:
        made.executescript(SCHEMA)
        rows = [(f"item {n}", n, bytes([n % 256]) * 900) for n in range(500)]
        made.executemany("INSERT INTO item (name, owner, photo) VALUES (?, ?, ?)", rows)
        made.execute("DELETE FROM item WHERE id % 3 = 0")
        made.executemany('INSERT INTO "odd ""name" VALUES (?, ?)', [(n, -n) for n in range(50)])
    path.chmod(0o640)
    return path


def restore(database: Path, tables: Sequence[str], to: Path) -> SqliteTarget:
    plan = SpoolPlan(to.parent / "spool", SystemClock(), token)
    source = SqliteSource(os.fsencode(database), plan)
    target = SqliteTarget(to, token, tables=tables)
    for entry in source.entries():
        target.write(entry, source.read(entry))
    target.finish(source.facts())
    source.close()
    return target


def names(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as found:
        return {name for (name,) in found.execute("SELECT name FROM sqlite_master")}


def rows(path: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as found:
        return found.execute(question).fetchall()


def test_a_table_alone_is_the_table_as_it_was(database: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "back.db"
    target = restore(database, ["item"], out)
    assert names(out) == {"item", "item_name", "sqlite_sequence"}
    for question in (
        "SELECT rowid, * FROM item",
        "SELECT sql FROM sqlite_master WHERE tbl_name = 'item' AND type != 'trigger'",
        "SELECT * FROM sqlite_sequence WHERE name = 'item'",
        "PRAGMA user_version",
        "PRAGMA application_id",
        "PRAGMA journal_mode",
    ):
        assert rows(out, question) == rows(database, question)
    assert rows(out, "PRAGMA integrity_check") == [("ok",)]
    assert target.notes == {"triggers_left_out": 1}
    assert {"rows", "blake3", "schema_blake3", "bytes"} <= set(target.compared)
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert {path.name for path in out.parent.iterdir()} <= {"back.db", "spool"}


@pytest.mark.parametrize("tables", [['odd "name'], ["search_content"], ["item", "person"]])
def test_odd_names_shadow_tables_and_several(
    database: Path, tmp_path: Path, tables: list[str]
) -> None:
    out = tmp_path / "out" / "back.db"
    restore(database, tables, out)
    kept = {name for name in names(out) if not name.startswith(("sqlite_", "item_"))}
    assert kept == set(tables)


def test_nothing_of_the_other_tables_is_in_the_file(database: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(database)) as made, made:
        made.execute("INSERT INTO person (name) VALUES ('canary in another table')")
    out = tmp_path / "out" / "back.db"
    restore(database, ["item"], out)
    assert b"canary in another table" not in out.read_bytes()


def test_a_name_that_is_no_text(database: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / os.fsdecode(b"back-\xff?.db")
    restore(database, ["person"], out)
    assert out.read_bytes()[:6] == b"SQLite"


def test_a_schema_that_sqlite_cannot_read_publishes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "source.db"
    with closing(sqlite3.connect(path)) as made, made:
        made.executescript("CREATE TABLE a (x); CREATE TABLE b (x); INSERT INTO a VALUES (1);")
        made.execute("PRAGMA writable_schema=ON")
        made.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE b (' WHERE name = 'b'")
    out = tmp_path / "out" / "back.db"
    with pytest.raises(Damaged):
        restore(path, ["a"], out)
    assert list(out.parent.iterdir()) in ([], [out.parent / "spool"])
