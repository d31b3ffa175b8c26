"""What a path holds."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.sources.errors import SourceMissing, SourceUnreadable, printable
from strongroom.adapters.sources.sniff import glance, sniff


def test_a_folder_a_database_and_a_file_are_told_apart(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.execute("CREATE TABLE t (x)")
    (tmp_path / "dump.sql").write_text("SELECT 1;")
    (tmp_path / "empty").touch()
    names = {name: sniff(os.fsencode(tmp_path / name)) for name in ("a.db", "dump.sql", "empty")}
    assert names == {"a.db": "sqlite", "dump.sql": "file", "empty": "file"}
    assert sniff(os.fsencode(tmp_path)) == "tree"


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="No such file"):
        sniff(os.fsencode(tmp_path / "x"))


def test_a_glance_counts_a_file_and_its_log(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(bytes(100))
    assert glance(os.fsencode(tmp_path / "a.db")) == 100
    (tmp_path / "a.db-wal").write_bytes(bytes(30))
    assert glance(os.fsencode(tmp_path / "a.db")) == 130
    assert glance(os.fsencode(tmp_path)) is None
    assert glance(os.fsencode(tmp_path / "x")) is None


def test_a_fifo_is_no_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceUnreadable, match="neither"):
        sniff(os.fsencode(tmp_path / "pipe"))


def test_an_unreadable_file(plain_user_folder: Path) -> None:
    (plain_user_folder / "x").touch(mode=0)
    with pytest.raises(SourceUnreadable, match="Permission denied"):
        sniff(os.fsencode(plain_user_folder / "x"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"a\x1b[31m", "a\\x1b[31m"), (b"\xff", "\\xff"), (b"x" * 300, "x" * 199 + "…")],
)
def test_a_name_cannot_play_tricks_on_a_terminal(name: bytes, shown: str) -> None:
    assert printable(name) == shown
