"""Every file of a home is searched for a word, in the forms in which names are written."""

import subprocess
import sys
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.adapters.machine.home_files import files_holding, remove_search_files

NAME = "zoë@example.org"


@pytest.mark.parametrize(
    "written",
    [
        NAME.encode(),
        b'{"name":"zo\\u00eb@example.org"}',
        b"file:///srv/zo%C3%AB%40example.org/x",
        "zoë@EXAMPLE.org".encode(),
        b"\0" * 100 + NAME.encode() + b"\xff",
    ],
)
def test_a_name_is_found_as_it_is_written(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients" / "a.db-wal").write_bytes(written)
    (tmp_path / "other").write_bytes(b"bo@example.org")
    assert files_holding(tmp_path, [NAME]) == ["clients/a.db-wal"]


@pytest.mark.parametrize("before", [(1 << 20) - 20, (1 << 20) - 8, (1 << 20) - 1, 1 << 20])
def test_a_name_is_found_across_the_blocks_that_are_read(tmp_path: Path, before: int) -> None:
    (tmp_path / "a").write_bytes(b"." * before + NAME.encode() + b"." * before)
    assert files_holding(tmp_path, [NAME]) == ["a"]


def test_part_of_a_longer_word_is_another_word(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"xbo.smith@example.orgx bo.smith@example.organic")
    assert files_holding(tmp_path, ["bo.smith@example.org"]) == []


def test_short_words_and_no_words_are_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bo")
    assert files_holding(tmp_path, ["bo"]) == files_holding(tmp_path, []) == []


def test_search_files_go_and_nothing_else(tmp_path: Path) -> None:
    client = tmp_path / "clients" / ("a" * 32)
    client.mkdir(parents=True)
    for folder in (tmp_path, client):
        for name in ("search.db", "search.db-wal", "search.db-shm", "client.db", "disclosures.db"):
            (folder / name).touch()
    remove_search_files(tmp_path)
    remove_search_files(tmp_path)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"client.db", "disclosures.db"}


def test_a_database_that_is_open_here_keeps_its_locks_and_what_it_writes(tmp_path: Path) -> None:
    """Another command that closes it last takes its journal away, and later rows with it."""
    database = open_sqlite(tmp_path / "a.db")
    database.migrate(["CREATE TABLE person (name TEXT) STRICT"])
    with database.transaction() as transaction:
        transaction.run("INSERT INTO person VALUES (?)", (NAME,))
    assert files_holding(tmp_path, [NAME]) == ["a.db-wal"]
    assert seen_by_another(tmp_path / "a.db") == 1
    with database.transaction() as transaction:
        transaction.run("INSERT INTO person VALUES ('another')")
    assert seen_by_another(tmp_path / "a.db") == 2
    database.close()


def seen_by_another(path: Path) -> int:
    """Return how many rows another process finds, which then closes the database."""
    program = (
        "import sqlite3, sys; one = sqlite3.connect(sys.argv[1]); "
        "print(*one.execute('SELECT count(*) FROM person').fetchone()); one.close()"
    )
    command = [sys.executable, "-c", program, str(path)]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


def test_a_file_that_is_open_here_for_writing_only_is_read(tmp_path: Path) -> None:
    with (tmp_path / "told").open("wb") as file:
        file.write(NAME.encode())
        file.flush()
        assert files_holding(tmp_path, [NAME]) == ["told"]
