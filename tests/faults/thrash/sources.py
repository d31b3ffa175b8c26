"""Live data that changes all the time, and whose every state is known beforehand.

Version n of a source is a function of n alone, so whatever a restore brings back can be judged
without having kept a copy: it must be a state that the source was in between two versions.
"""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

ACCOUNTS = 50
OPENING = 1000
ENTRIES_KEPT = 3000
TREE_FILES = 40
LINE = 100
FILE_BYTES_MAX = 30_000


class Live(Protocol):
    """A source that an application writes."""

    name: str
    url: str
    begun: int
    """The last version that was begun."""
    settled: int
    """The last version that was written whole."""

    def step(self) -> None:
        """Write the next version."""

    def judge(self, restored: Path, oldest: int, newest: int) -> str:
        """Say what is wrong with what was restored, in words; nothing when nothing is."""


def drawn(*seed: object, size: int) -> bytes:
    """Return bytes that depend on the seed alone and do not compress."""
    return hashlib.shake_128(repr(seed).encode()).digest(size)


class LiveTree:
    """A folder whose files are replaced, removed and made, and a log that only grows."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.url = name, f"{name}={folder}"
        self.begun = self.settled = 0
        self._folder = folder
        self._drafts = folder.with_name(folder.name + "-drafts")
        self._drafts.mkdir(parents=True)
        for number in range(TREE_FILES):
            (folder / self._path(number)).parent.mkdir(parents=True, exist_ok=True)
        self._write(range(TREE_FILES))

    def step(self) -> None:
        """Replace the files whose turn it is, each at once, and append to the log in two bits."""
        self.begun += 1
        self._write(number for number in range(TREE_FILES) if self.begun % (number + 2) == 0)
        self.settled = self.begun

    def judge(self, restored: Path, oldest: int, newest: int) -> str:
        """Compare every file with its states between two versions, and look for others."""
        found = {
            str(path.relative_to(restored)): path.read_bytes()
            for path in restored.rglob("*")
            if path.is_file()
        }
        log = found.pop("log", b"")
        lines = b"".join(map(_line, range(1, newest + 1)))
        if not lines.startswith(log) or len(log) < oldest * LINE:
            return f"the log is not its own beginning of {oldest} to {newest} lines"
        for number in range(TREE_FILES):
            content = found.pop(self._path(number), None)
            since = self._changed(number, oldest)
            states = range(since, newest + 1, number + 2)
            # From the newest on: most often it is the one.
            if all(content != self._content(number, state) for state in reversed(states)):
                return f"{self._path(number)} has no content of versions {oldest} to {newest}"
        return f"{sorted(found)} were never there" if found else ""

    def _write(self, numbers: Iterator[int] | range) -> None:
        for number in numbers:
            path, content = self._folder / self._path(number), self._content(number, self.begun)
            if content is None:
                path.unlink(missing_ok=True)
                continue
            draft = self._drafts / str(number)
            draft.write_bytes(content)
            draft.rename(path)
        if self.begun:
            line = _line(self.begun)
            with (self._folder / "log").open("ab", buffering=0) as log:
                log.write(line[:37])
                log.write(line[37:])

    def _content(self, number: int, version: int) -> bytes | None:
        """Return a file's bytes at a version; some versions have no such file."""
        since = self._changed(number, version)
        if since % 7 == 3:
            return None
        size = drawn(number, since, size=4)
        return drawn("file", number, since, size=int.from_bytes(size, "big") % FILE_BYTES_MAX)

    @staticmethod
    def _changed(number: int, version: int) -> int:
        return version - version % (number + 2)

    @staticmethod
    def _path(number: int) -> str:
        return f"part-{number % 4}/deep/file-{number}"


def _line(version: int) -> bytes:
    return f"{version:09d} {drawn('line', version, size=LINE).hex()}"[: LINE - 1].encode() + b"\n"


class LiveFile:
    """One file that is replaced at once."""

    def __init__(self, path: Path, name: str) -> None:
        self.name, self.url = name, f"{name}={path}"
        self.begun = self.settled = 0
        self._path = path
        self._write()

    def step(self) -> None:
        """Replace it."""
        self.begun += 1
        self._write()
        self.settled = self.begun

    def judge(self, restored: Path, oldest: int, newest: int) -> str:
        """Compare with each version in question."""
        content = restored.read_bytes()
        if any(content == self._content(version) for version in range(newest, oldest - 1, -1)):
            return ""
        return f"{restored.name} has no content of versions {oldest} to {newest}"

    def _write(self) -> None:
        draft = self._path.with_name(self._path.name + ".draft")
        draft.write_bytes(self._content(self.begun))
        draft.rename(self._path)

    @staticmethod
    def _content(version: int) -> bytes:
        return f"version {version}\n".encode() + drawn("one file", version, size=20_000)


class LiveCommand(LiveFile):
    """The same file, as a program writes it to its stdout."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path, name)
        self.url = f"{name}=command:{json.dumps([shutil.which('cat'), str(path)])}"


class LiveBank:
    """A SQLite database of accounts, each version one transfer in one transaction."""

    def __init__(self, path: Path, name: str) -> None:
        self.name, self.url = name, f"{name}={path}"
        self.begun = self.settled = 0
        self._path = path
        with closing(self._connect()) as connection:
            connection.executescript(
                "PRAGMA journal_mode = WAL;"
                "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);"
                "CREATE TABLE transfer (version INTEGER PRIMARY KEY, giver INTEGER,"
                " taker INTEGER, amount INTEGER, words BLOB);"
                "CREATE INDEX by_giver ON transfer (giver);"
            )
            rows = [(account, OPENING) for account in range(ACCOUNTS)]
            connection.executemany("INSERT INTO account VALUES (?, ?)", rows)

    def step(self) -> None:
        """Transfer an amount; now and then compact the whole database."""
        self.begun += 1
        giver, taker, amount = transfer(self.begun)
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            change = "UPDATE account SET balance = balance + ? WHERE id = ?"
            connection.execute(change, (-amount, giver))
            connection.execute(change, (amount, taker))
            connection.execute(
                "INSERT INTO transfer VALUES (?, ?, ?, ?, ?)",
                (self.begun, giver, taker, amount, words(self.begun)),
            )
            connection.execute(
                "DELETE FROM transfer WHERE version <= ?", (self.begun - ENTRIES_KEPT,)
            )
            connection.execute("COMMIT")
            if self.begun % 997 == 0:
                connection.execute("VACUUM")
        self.settled = self.begun

    def judge(self, restored: Path, oldest: int, newest: int) -> str:
        """Replay every transfer up to the newest in it, and compare each row."""
        with closing(sqlite3.connect(f"file:{restored}?mode=ro", uri=True)) as connection:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return "SQLite finds the restored database damaged"
            rows = connection.execute("SELECT * FROM transfer ORDER BY version").fetchall()
            balances = connection.execute("SELECT * FROM account ORDER BY id").fetchall()
        return judge_bank(rows, balances, oldest, newest)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=60)
        # The application's own durability is not what is tested.
        connection.execute("PRAGMA synchronous = OFF")
        return connection


def transfer(version: int) -> tuple[int, int, int]:
    """Return giver, taker and amount of a version."""
    found = drawn("transfer", version, size=4)
    return found[0] % ACCOUNTS, found[1] % ACCOUNTS, 1 + found[2]


def words(version: int) -> bytes:
    """Return what is written beside a transfer."""
    return drawn("words", version, size=150)


def judge_bank(
    rows: list[tuple[Any, ...]],
    balances: list[tuple[Any, ...]],
    oldest: int,
    newest: int,
) -> str:
    """Compare all rows of a bank with the one version that they claim to be."""
    version = rows[-1][0] if rows else 0
    if not oldest <= version <= newest:
        return f"the bank is of version {version}, it was between {oldest} and {newest}"
    first = max(1, version - ENTRIES_KEPT + 1)
    if rows != [(one, *transfer(one), words(one)) for one in range(first, version + 1)]:
        return f"a transfer up to version {version} is missing or altered"
    wanted = [OPENING] * ACCOUNTS
    for one in range(1, version + 1):
        giver, taker, amount = transfer(one)
        wanted[giver] -= amount
        wanted[taker] += amount
    if balances != list(enumerate(wanted)):
        return f"the balances are not those of version {version}"
    return ""
