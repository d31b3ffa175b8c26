"""A database file made by an attacker: reading it ends, whatever its pages say."""

import os
import sqlite3
import struct
import time
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.sources.partial import Destination
from strongroom.adapters.sources.sqlite_facts import database_facts, shape
from strongroom.adapters.sources.sqlite_tables import keep_tables
from strongroom.errors import Damaged
from tests.adapters.sources.trees import token

PAGE = 4096
LEVELS = 6
CELLS = 400
INTERIOR = 5


def interior_page(child: int) -> bytes:
    """Return an inner page of a table all of whose children are the same page."""
    page = bytearray(PAGE)
    at = PAGE
    for number in range(CELLS):
        cell = struct.pack(">IB", child, number % 100 + 1)
        at -= len(cell)
        page[at : at + len(cell)] = cell
        page[12 + 2 * number : 14 + 2 * number] = struct.pack(">H", at)
    page[:12] = struct.pack(">BHHHBI", INTERIOR, 0, CELLS, at, 0, child)
    return bytes(page)


@pytest.fixture
def bomb(tmp_path: Path) -> Path:
    """A file of a quarter of a megabyte whose one large table has 400 ** 7 pages to count."""
    path = tmp_path / "bomb.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute(f"PRAGMA page_size={PAGE}")
        made.execute("CREATE TABLE small (x)")
        made.execute("INSERT INTO small VALUES (1)")
        made.execute("CREATE TABLE large (x)")
        made.executemany("INSERT INTO large VALUES (?)", [("y" * 500,) for _ in range(400)])
        made.execute("CREATE TABLE zero (x)")
        made.commit()
        found = made.execute("SELECT rootpage FROM sqlite_master WHERE name = 'large'").fetchone()
        pages = made.execute("PRAGMA page_count").fetchone()[0]
    data = bytearray(path.read_bytes())
    root = (found[0] - 1) * PAGE
    assert data[root] == INTERIOR
    (leaf,) = struct.unpack(">I", data[root + 8 : root + 12])
    data[root : root + PAGE] = interior_page(pages + 1)
    for level in range(1, LEVELS + 1):
        data += interior_page(leaf if level == LEVELS else pages + level + 1)
    data[28:32] = struct.pack(">I", pages + LEVELS)
    path.write_bytes(data)
    return path


def make_slow(path: Path, bytes_each: int) -> Path:
    """Make a file whose every row costs as much as making and reading that many bytes."""
    cost = f"length(hex(zeroblob({bytes_each} + x)))"
    with closing(sqlite3.connect(path)) as made, made:
        for table, rest in (
            ("checked", f"CHECK ({cost} > 0)"),
            ("computed", f"y AS ({cost}) NOT NULL"),
        ):
            made.execute(f"CREATE TABLE {table} (x)")
            rows = ((number,) for number in range(20_000))
            made.executemany(f"INSERT INTO {table} VALUES (?)", rows)
            # Written after the rows, which would cost as much to insert.
            made.execute("PRAGMA writable_schema=ON")
            statement = f"CREATE TABLE {table} (x, {rest})"
            made.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (statement, table))
    return path


@pytest.mark.parametrize("bytes_each", [400_000_000, 400_000], ids=["giant", "many"])
def test_costly_expressions_do_not_keep_a_backup_busy(tmp_path: Path, bytes_each: int) -> None:
    path = make_slow(tmp_path / "slow.db", bytes_each)
    began = time.monotonic()
    with closing(sqlite3.connect(path)) as connection:
        found = database_facts(connection, seconds_max=0.2)
    assert time.monotonic() - began < 10
    assert found["quick_check"] in ("string or blob too big", "interrupted")
    assert found["rows"] == {"checked": 20_000, "computed": 20_000}


@pytest.mark.parametrize(
    ("bytes_each", "why"),
    [(400_000_000, "too big"), (400_000, "longer than an honest database")],
    ids=["giant", "many"],
)
def test_costly_expressions_do_not_keep_a_restore_busy(
    tmp_path: Path, bytes_each: int, why: str
) -> None:
    place = restored(make_slow(tmp_path / "slow.db", bytes_each))
    began = time.monotonic()
    with pytest.raises(Damaged, match=why):
        keep_tables(place, ["computed"], seconds_max=0.2)
    assert time.monotonic() - began < 10
    place.abandon()


def test_rows_as_large_as_their_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "large.db"
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("CREATE TABLE large (x, digits AS (hex(x)) NOT NULL)")
        made.execute("INSERT INTO large VALUES (zeroblob(9000000))")
    with closing(sqlite3.connect(path)) as connection:
        found = database_facts(connection)
    assert (found["quick_check"], found["rows"]) == ("ok", {"large": 1})
    place = restored(path)
    assert keep_tables(place, ["large"]) == 0
    place.abandon()


def restored(path: Path) -> Destination:
    """Return the place of a restore that has written this file and not published it yet."""
    place = Destination(path.with_name("out.db"), token, overwrite=False)
    path.rename(os.fsdecode(place.partial))
    return place


def test_page_bomb_is_not_counted_for_ever(bomb: Path) -> None:
    began = time.monotonic()
    with closing(sqlite3.connect(bomb)) as connection:
        found = shape(connection, seconds_max=0.2)
    assert time.monotonic() - began < 10
    assert found["rows"] == {"small": 1}
    # What comes after it is not counted either: another one would take as long again.
    assert found["uncounted"] == ["large", "zero"]


def test_page_bomb_is_no_table_to_take_out(bomb: Path) -> None:
    place = restored(bomb)
    with pytest.raises(Damaged, match=r"is not sound: .*2nd reference to page"):
        keep_tables(place, ["small"])
    assert list(bomb.parent.iterdir()) == [Path(os.fsdecode(place.partial))]
    place.abandon()
