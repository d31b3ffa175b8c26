"""SQLite as a database: transactions, migrations, private files, and what goes wrong around it."""

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.database import Database
from strongroom.errors import Damaged, StrongroomError

TABLE = "CREATE TABLE thing (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT"
CHILD = "CREATE TABLE part (thing INTEGER NOT NULL REFERENCES thing (number)) STRICT"


@pytest.fixture(params=["memory", "file"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = open_sqlite(None if request.param == "memory" else tmp_path / "a.db")
    opened.migrate([TABLE, CHILD])
    yield opened
    opened.close()


def names(database: Database) -> list[str]:
    with database.reading() as transaction:
        return [name for (name,) in transaction.rows("SELECT name FROM thing ORDER BY number")]


def test_what_was_committed_is_read(database: Database) -> None:
    with database.transaction() as transaction:
        assert transaction.run("INSERT INTO thing (name) VALUES (?)", ("one",)) == 1
        transaction.run_many("INSERT INTO thing (name) VALUES (?)", [("two",), ("three",)])
        assert transaction.row("SELECT count(*) FROM thing") == (3,)
        assert transaction.row("SELECT name FROM thing WHERE number = 99") is None
    assert names(database) == ["one", "two", "three"]


def test_an_exception_takes_everything_back(database: Database) -> None:
    def add_twice(second: str) -> None:
        with database.transaction() as transaction:
            for name in ("one", second):
                transaction.run("INSERT INTO thing (name) VALUES (?)", (name,))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        add_twice("two")
    with pytest.raises(sqlite3.IntegrityError):
        add_twice("one")
    assert names(database) == []


def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as transaction:
        transaction.run("INSERT INTO part (thing) VALUES (7)")


def test_reading_cannot_write(database: Database) -> None:
    with (
        pytest.raises(StrongroomError, match="may not be written"),
        database.reading() as transaction,
    ):
        transaction.run("INSERT INTO thing (name) VALUES ('one')")
    with (
        pytest.raises(StrongroomError, match="may not be written"),
        database.reading() as transaction,
    ):
        transaction.run_many("INSERT INTO thing (name) VALUES (?)", [("one",)])
    with database.reading() as transaction:
        # What slips through a reading statement is taken back with the transaction.
        transaction.rows("INSERT INTO thing (name) VALUES ('one') RETURNING number")
    with database.transaction() as transaction:
        transaction.run("INSERT INTO thing (name) VALUES ('two')")
    assert names(database) == ["two"]


def test_transactions_do_not_nest(database: Database) -> None:
    with (
        pytest.raises(sqlite3.OperationalError, match="within a transaction"),
        database.transaction(),
        database.transaction(),
    ):
        pass
    assert names(database) == []


def test_threads_take_turns(database: Database) -> None:
    def add(first: int) -> None:
        for number in range(50):
            with database.transaction() as transaction:
                row = transaction.row("SELECT count(*) FROM thing")
                assert row is not None
                transaction.run("INSERT INTO thing VALUES (?, ?)", (row[0], f"{first}.{number}"))

    threads = [threading.Thread(target=add, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(database)) == 200


def test_migrations_run_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    two = TABLE + ";\nINSERT INTO thing (name) VALUES ('a;b');\n-- the end\n"
    for steps in ([two], [two], [two, CHILD], [two, CHILD]):
        database = open_sqlite(path)
        database.migrate(steps)
        assert names(database) == ["a;b"]
        database.close()


def test_a_failing_migration_leaves_the_old_version(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "a.db")
    database.migrate([TABLE])
    with pytest.raises(sqlite3.OperationalError):
        database.migrate([TABLE, CHILD, "CREATE NONSENSE"])
    with database.reading() as transaction:
        assert transaction.row("PRAGMA user_version") == (1,)
        assert transaction.row("SELECT name FROM sqlite_master WHERE name = 'part'") is None
    database.migrate([TABLE, CHILD])
    database.close()


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "a.db")
    database.migrate([TABLE, CHILD])
    with pytest.raises(StrongroomError) as caught:
        database.migrate([TABLE])
    assert (caught.value.code, caught.value.exit_code) == ("made_by_newer", 1)
    assert "made by a newer Strongroom" in caught.value.what
    assert "version 2, this one knows 1" in caught.value.why
    assert "newer" in caught.value.hint
    database.close()


def test_files_are_private_from_the_start(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        database = open_sqlite(tmp_path / "a.db")
        database.migrate([TABLE])
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    database.close()
    assert modes == {"a.db": 0o600, "a.db-wal": 0o600, "a.db-shm": 0o600}


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_settings(tmp_path: Path, durable: bool, level: int) -> None:
    database = open_sqlite(tmp_path / "a.db", durable=durable)
    wanted = {
        "journal_mode": "wal",
        "synchronous": level,
        "foreign_keys": 1,
        "secure_delete": 1,
        "trusted_schema": 0,
    }
    with database.reading() as transaction:
        assert {name: (transaction.row(f"PRAGMA {name}") or ("?",))[0] for name in wanted} == wanted
    database.close()


def test_a_sync_writes_where_something_is_not_durable_yet_and_only_there(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "a.db", durable=False)
    database.migrate([TABLE])
    database.sync()
    journal = tmp_path / "a.db-wal"
    synced = journal.stat().st_size
    database.sync()
    assert journal.stat().st_size == synced
    with database.transaction() as transaction:
        transaction.run("INSERT INTO thing (name) VALUES ('one')")
    written = journal.stat().st_size
    database.sync()
    assert journal.stat().st_size > written > synced
    with database.reading() as transaction:
        assert transaction.row("PRAGMA synchronous") == (1,)
        assert transaction.row("PRAGMA user_version") == (1,)
    database.close()


def test_a_durable_database_has_nothing_to_sync(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "a.db")
    database.migrate([TABLE])
    journal = tmp_path / "a.db-wal"
    written = journal.stat().st_size
    database.sync()
    assert journal.stat().st_size == written
    database.close()


def test_deleted_rows_are_wiped(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "a.db")
    database.migrate([TABLE])
    with database.transaction() as transaction:
        transaction.run("INSERT INTO thing (name) VALUES ('canary-in-a-row')")
    with database.transaction() as transaction:
        transaction.run("DELETE FROM thing")
    database.close()
    for path in tmp_path.iterdir():
        assert b"canary-in-a-row" not in path.read_bytes()


def hold(
    path: str, held: "multiprocessing.synchronize.Event", done: "multiprocessing.synchronize.Event"
) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    held.set()
    done.wait(30)
    connection.close()


def test_database_another_process_writes_to_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database = open_sqlite(path, busy_seconds=0.1)
    database.migrate([TABLE])
    spawn = multiprocessing.get_context("spawn")
    held, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=hold, args=(str(path), held, done))
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(StrongroomError, match="another process"), database.transaction():
            pass
        assert names(database) == []
    finally:
        done.set()
        other.join(30)
    with database.transaction() as transaction:
        transaction.run("INSERT INTO thing (name) VALUES ('one')")
    database.close()


@pytest.mark.parametrize(
    "content", [b"not a database " * 1000, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_what_is_no_database_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(content)
    with pytest.raises(Damaged) as caught:
        open_sqlite(path).migrate([TABLE])
    assert (caught.value.code, caught.value.exit_code) == ("database_damaged", 40)
    assert path.read_bytes() == content


def test_flipped_page_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database = open_sqlite(path)
    database.migrate([TABLE])
    with database.transaction() as transaction:
        rows = [(f"name {number:060}",) for number in range(2000)]
        transaction.run_many("INSERT INTO thing (name) VALUES (?)", rows)
    database.close()
    content = bytearray(path.read_bytes())
    for page in range(2 * 4096, len(content), 4096):
        content[page : page + 16] = b"\xff" * 16
    path.write_bytes(content)
    database = open_sqlite(path)
    with pytest.raises(Damaged):
        names(database)
    database.close()


def test_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StrongroomError) as caught:
        open_sqlite(tmp_path / "absent" / "a.db")
    assert (caught.value.code, caught.value.exit_code) == ("database_unavailable", 1)
    with pytest.raises(StrongroomError):
        open_sqlite(tmp_path)


def test_full_disk_keeps_what_was_committed(tmp_path: Path) -> None:
    # A limit on file size stands in for a full disk, in a child that limits itself.
    path = tmp_path / "a.db"
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from strongroom.adapters.database.sqlite import open_sqlite\n"
        "from strongroom.errors import StrongroomError\n"
        "database = open_sqlite(Path(sys.argv[1]))\n"
        f"database.migrate(['{TABLE}'])\n"
        "with database.transaction() as transaction:\n"
        "    transaction.run(\"INSERT INTO thing (name) VALUES ('kept')\")\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try:\n"
        "    with database.transaction() as transaction:\n"
        "        transaction.run('INSERT INTO thing (name) VALUES (?)', ('x' * 1_000_000,))\n"
        "except StrongroomError as error:\n"
        "    print(error.code)\n"
        "with database.reading() as transaction:\n"
        "    print(transaction.rows('SELECT name FROM thing'))\n"
        "database.close()\n"
    )
    source = str(Path(__file__).resolve().parents[3] / "src")
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["database_unavailable", "[('kept',)]"]


def test_a_mistake_in_a_statement_stays_a_bug(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"), database.reading() as each:
        each.rows("SELECT * FROM absent")


def test_what_was_deleted_is_in_no_file_after_scouring(tmp_path: Path) -> None:
    opened = open_sqlite(tmp_path / "a.db")
    opened.migrate([TABLE])
    with opened.transaction() as transaction:
        names_ = [(f"secret {number} {'x' * (number % 90)}",) for number in range(500)]
        transaction.run_many("INSERT INTO thing (name) VALUES (?)", names_)
        transaction.run("DELETE FROM thing WHERE number % 2")
    opened.scour()
    # Half of them stay, and the journal is open: the search looks where something is.
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"secret 1 " in held
    assert b"secret 2 " not in held
    assert len(names(opened)) == 250
    opened.close()


def test_scouring_under_the_eyes_of_a_reader_is_refused(tmp_path: Path) -> None:
    opened = open_sqlite(tmp_path / "a.db", busy_seconds=0)
    opened.migrate([TABLE])
    other = open_sqlite(tmp_path / "a.db")
    with other.reading() as reading:
        reading.rows("SELECT * FROM thing")
        with pytest.raises(StrongroomError, match="still holds what was deleted"):
            opened.scour()
    opened.scour()
    other.close()
    opened.close()


def test_rooms_that_share_a_file_number_their_steps_apart(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "a.db")
    database.migrate([TABLE])
    for steps in ([CHILD], [CHILD], [CHILD, "CREATE TABLE third (name TEXT) STRICT"]):
        database.migrate(steps, "other")
        database.migrate([TABLE])
    with database.reading() as transaction:
        assert transaction.row("PRAGMA user_version") == (1,)
        assert transaction.rows("SELECT room, version FROM room_schema") == [("other", 2)]
    with pytest.raises(StrongroomError, match="newer Strongroom"):
        database.migrate([CHILD], "other")
    database.close()
