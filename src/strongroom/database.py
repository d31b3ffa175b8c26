"""What a room may ask of a database: a transaction to read and write rows in.

The implementations live in `adapters/database`; rooms take one as an argument and keep their SQL
in `store.py`. Placeholders are `?`. A transaction is `BEGIN IMMEDIATE`: it commits when its block
ends and rolls back when an exception leaves it. See docs/decisions/0002.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Value = str | bytes | int | float | None
Row = tuple[Any, ...]


class Transaction(Protocol):
    """Statements that stand or fall together."""

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Run one statement and return every row it yields."""
        ...

    def row(self, sql: str, values: Sequence[Value] = ()) -> Row | None:
        """Run one statement and return its first row, or None."""
        ...

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Run one statement and return how many rows it changed."""
        ...

    def run_many(self, sql: str, values: Iterable[Sequence[Value]]) -> None:
        """Run one statement once for each sequence of values."""
        ...


class Database(Protocol):
    """One database; safe to share between threads, which take turns."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin a writing transaction; durable when the block has ended."""
        ...

    def reading(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction that sees one state and writes nothing."""
        ...

    def sync(self) -> None:
        """Make every transaction durable that has ended, where the database does not by itself."""
        ...

    def migrate(self, steps: Sequence[str], room: str = "") -> None:
        """Bring the schema to `len(steps)`; refuse a database of a newer version.

        A room that has tables in a file which another room began numbers its steps by its name.
        """
        ...

    def scour(self) -> None:
        """Write the whole database anew, so that no file of it holds what was deleted."""
        ...

    def close(self) -> None:
        """Give the file or connection back."""
        ...
