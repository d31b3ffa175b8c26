"""Databases and locations that count what is asked of them, and a deployment made of these."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.app import App
from strongroom.clients import History
from strongroom.database import Database, Row, Transaction, Value
from strongroom.ids import ClientId
from strongroom.locations import Location, Stat
from strongroom.operations.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Counting:
    """What was counted: statements and rows by database, calls and bytes by kind of object."""

    counts: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def deployment(self, home: Path) -> Iterator[Deployment]:
        """Open a home of which every database but the server's counts, and every location."""
        with App().open(home) as plain:
            tools = plain.tools
            folder = home / "clients"

            def custodian_home(index: int, create: bool) -> tuple[Database, bytes]:
                database, kek = tools.custodian_home(index, create)
                return _CountingDatabase(database, "custodian", self.counts), kek

            @contextmanager
            def opened(client: ClientId, name: str) -> Iterator[Database]:
                database = open_sqlite(folder / client / f"{name}.db")
                try:
                    yield _CountingDatabase(database, name, self.counts)
                finally:
                    database.close()

            @contextmanager
            def history(client: ClientId) -> Iterator[History]:
                with opened(client, "client") as database:
                    yield History(database)

            def location(url: str, name: str, create: bool) -> Location:
                return _CountingLocation(tools.location(url, name, create), self.counts)

            counted = replace(
                tools,
                custodian_home=custodian_home,
                history=history,
                index=lambda client: opened(client, "index"),
                location=location,
            )
            with App().deployment(counted, plain.registry) as deployment:
                yield deployment


@dataclass(frozen=True, slots=True)
class _CountingTransaction:
    inner: Transaction
    name: str
    counts: Counter[str]

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        return self._read(self.inner.rows(sql, values))

    def row(self, sql: str, values: Sequence[Value] = ()) -> Row | None:
        row = self.inner.row(sql, values)
        self._read([] if row is None else [row])
        return row

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        self._read([])
        return self.inner.run(sql, values)

    def run_many(self, sql: str, values: Iterable[Sequence[Value]]) -> None:
        self._read([])
        self.inner.run_many(sql, values)

    def _read(self, rows: list[Row]) -> list[Row]:
        self.counts[f"{self.name} statements"] += 1
        self.counts[f"{self.name} rows"] += len(rows)
        return rows


@dataclass(frozen=True, slots=True)
class _CountingDatabase:
    inner: Database
    name: str
    counts: Counter[str]

    def transaction(self) -> AbstractContextManager[Transaction]:
        self.counts[f"{self.name} commits"] += 1
        return self._counted(self.inner.transaction())

    def reading(self) -> AbstractContextManager[Transaction]:
        return self._counted(self.inner.reading())

    def sync(self) -> None:
        self.inner.sync()

    def migrate(self, steps: Sequence[str], room: str = "") -> None:
        self.inner.migrate(steps, room)

    def scour(self) -> None:
        self.inner.scour()

    def close(self) -> None:
        self.inner.close()

    @contextmanager
    def _counted(self, opened: AbstractContextManager[Transaction]) -> Iterator[Transaction]:
        with opened as transaction:
            yield _CountingTransaction(transaction, self.name, self.counts)


@dataclass(frozen=True, slots=True)
class _CountingLocation:
    inner: Location
    counts: Counter[str]

    @property
    def url(self) -> str:
        return self.inner.url

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        self.counts["objects put"] += 1
        self.inner.put(key, data)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.counts["objects read"] += 1
        return self.inner.get(key, start, length)

    def list(self, prefix: str) -> Iterator[Stat]:
        self.counts["listings"] += 1
        return self.inner.list(prefix)

    def stat(self, key: str) -> Stat:
        self.counts["objects looked at"] += 1
        return self.inner.stat(key)

    def delete(self, key: str) -> None:
        self.inner.delete(key)
