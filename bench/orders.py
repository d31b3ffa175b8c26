"""A shop's orders as a database holds them, and what a day of work changes in them.

A day touches one row in a hundred: half of these are updated, four tenths are new, one tenth is
deleted. Most work touches what is recent, so in the pattern `recent` nine of ten updates and
deletions fall on the newest twentieth; in the pattern `anywhere` all rows are equally likely.
"""

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from bench.data import STATES, Row, rows

Pattern = Literal["recent", "anywhere"]
SHARE_A_DAY = 0.01
_BATCH_ROWS = 20_000
_TABLE = (
    (
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, at TEXT, status TEXT, customer TEXT, "
        "mail TEXT, city TEXT, item TEXT, units INTEGER, cents INTEGER, note TEXT)"
    ),
    "CREATE INDEX orders_customer ON orders (customer, id)",
)


@dataclass(frozen=True, slots=True)
class Day:
    """What one day changes: updates as (status, cents, id), deleted ids, new rows."""

    updated: Sequence[tuple[str, int, int]]
    deleted: Sequence[int]
    added: Sequence[Row]


class Orders:
    """Endless orders, the same for the same seed, and the days that change them."""

    def __init__(self, seed: int) -> None:
        self._rows = rows(random.Random(seed))
        self._chance = random.Random(seed + 1)
        self._last = 0

    def take(self, count: int) -> list[Row]:
        """Return the next new rows."""
        self._last += count
        return list(islice(self._rows, count))

    def day(self, pattern: Pattern, share: float = SHARE_A_DAY) -> Day:
        """Return what the next day changes: this share of the rows there are."""
        touched, chance = max(10, round(self._last * share)), self._chance

        def which() -> int:
            span = self._last // 20 if pattern == "recent" and chance.random() < 0.9 else self._last
            return self._last - int(chance.random() * span)

        updated = [
            (chance.choice(STATES), chance.randrange(10_000), which()) for _ in range(touched // 2)
        ]
        deleted = [which() for _ in range(touched // 10)]
        return Day(updated, deleted, self.take(touched * 4 // 10))


def create_database(path: Path, orders: Orders, size_bytes: int) -> None:
    """Write a SQLite database of about this size, with one index."""
    with closing(_open(path)) as database:
        for statement in _TABLE:
            database.execute(statement)
        batch = max(1, min(_BATCH_ROWS, size_bytes // 1000))
        while _size(database) < size_bytes:
            _insert(database, orders.take(batch))
        database.commit()


def change_database(path: Path, day: Day) -> None:
    """Do a day's work in a SQLite database."""
    with closing(_open(path)) as database:
        database.executemany("UPDATE orders SET status = ?, cents = ? WHERE id = ?", day.updated)
        database.executemany("DELETE FROM orders WHERE id = ?", [(one,) for one in day.deleted])
        _insert(database, day.added)
        database.commit()


def _insert(database: sqlite3.Connection, added: Sequence[Row]) -> None:
    database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", added)


def _size(database: sqlite3.Connection) -> int:
    pages: int = database.execute("PRAGMA page_count").fetchone()[0]
    page: int = database.execute("PRAGMA page_size").fetchone()[0]
    return pages * page


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    # Nothing of a benchmark's input must outlive a power cut.
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -262144")
    return database
