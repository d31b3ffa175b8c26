"""Search in one log: by a file that is derived from it and may be deleted at any time.

Nothing is believed of that file. It says which leaves to look at; these are read from the log and
looked at again, so that a hit is what the log says. What it does not say may be there all the same:
only a full scan, which computes the tree of the log anew, shows that there is nothing. The file is
caught up when it is asked, and made anew where it is damaged or is of another log.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias

from strongroom.clock import format_instant
from strongroom.database import Database, Row, Transaction
from strongroom.errors import Damaged
from strongroom.ledger import search_words
from strongroom.ledger.log import Log
from strongroom.ledger.log_rows import LogDamaged
from strongroom.ledger.search_words import Query, Term, Words
from strongroom.ledger.tree import CompactRange, leaf_hash

LEAVES_AT_ONCE: Final = 4096
ROWS_AT_ONCE: Final = 64
# Positions of words are not kept: all that is asked is whether a leaf has a word.
_SCHEMA: Final = (
    """
    CREATE TABLE epoch (
      number INTEGER PRIMARY KEY, base INTEGER NOT NULL, size INTEGER NOT NULL, last BLOB NOT NULL
    ) STRICT;
    CREATE TABLE reached (at TEXT PRIMARY KEY, row INTEGER NOT NULL) STRICT;
    CREATE VIRTUAL TABLE word USING fts5 (
      words, content = '', detail = none, prefix = 3, tokenize = "ascii tokenchars '=._-'"
    );
    """,
    "CREATE VIRTUAL TABLE term USING fts5vocab (word, instance)",
)
"""Leaf n of an epoch has row base + n + 1. `reached` says up to which row no time is after `at`."""

OpenFile = Callable[[bool], Database]
"""Open a search file; with True a new and empty one in its place."""
Disclosed = Callable[[bytes], Iterable[str]]
"""Return the private values of a leaf's fact that are still kept."""


class _FileUnusableError(Exception):
    """A search file is damaged, or is not of this log; never leaves this module."""


class Search:
    """What finds leaves of one log. Safe to use while others append and search."""

    Query: TypeAlias = search_words.Query
    FIELDS = search_words.FIELDS

    @dataclass(frozen=True, slots=True)
    class Hit:
        """A leaf that was found, as the log has it."""

        epoch: int
        number: int
        at: str
        leaf: bytes

    def __init__(self, log: Log, open_file: OpenFile, disclosed: Disclosed) -> None:
        self._log = log
        self._open_file = open_file
        self._disclosed = disclosed
        self._file: Database | None = None

    def find(self, query: Query, limit: int) -> list[Hit]:
        """Return the newest leaves that are found, newest first, at most so many."""
        try:
            return self._find(query, limit)
        except _FileUnusableError:
            self.close()
        try:
            self._begin_anew()
            return self._find(query, limit)
        except _FileUnusableError as err:
            raise Damaged(
                "the search file cannot be used",
                "it was made anew, and that did not help",
                hint="Search without it: `strongroom ledger search TEXT --scan`.",
            ) from err

    def scan(self, query: Query, limit: int) -> tuple[list[Hit], int]:
        """Read every leaf without the file; return the newest hits and how many there are.

        Raises LogDamaged where the leaves do not make the tree of the log: then what was not found
        may be there.
        """
        found: list[Search.Hit] = []
        count = 0
        for epoch, view in self._views().items():
            head, tree = view.head(), CompactRange()
            for number, leaf in enumerate(view.leaves(0, head.size)):
                tree.append(leaf_hash(leaf))
                words = self._words(leaf)
                if query.fits(words.words, words.at):
                    count += 1
                    found.append(Search.Hit(epoch, number, words.at, leaf))
                    if len(found) > 2 * limit:
                        del found[:-limit]
            if tree.root() != head.root:
                raise LogDamaged(
                    "the leaves of the ledger do not make its tree", f"all {head.size} were read"
                )
        return found[: -limit - 1 : -1], count

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _views(self) -> dict[int, Log]:
        return {view.epoch().number: view for view in self._log.epochs()}

    def _words(self, leaf: bytes) -> Words:
        words = Words.of(leaf)
        return words.disclosing(self._disclosed(leaf)) if words.private else words

    # -- the search file

    def _find(self, query: Query, limit: int) -> list[Hit]:
        views = self._views()
        self._catch_up(views)
        hits: list[Search.Hit] = []
        with self._reading() as reading:
            epochs = reading.rows("SELECT base, number, size FROM epoch ORDER BY base")
            for row in _rows_found(reading, query):
                base, epoch, size = epochs[bisect_right(epochs, row - 1, key=_base) - 1]
                number = row - base - 1
                if not 0 <= number < size:
                    raise _FileUnusableError
                leaf = views[epoch].leaf(number)
                words = self._words(leaf)
                # A row may be wrong in a damaged file, or of a time before the one asked for.
                if query.fits(words.words, words.at):
                    hits.append(Search.Hit(epoch, number, words.at, leaf))
                if len(hits) == limit:
                    break
        return hits

    def _catch_up(self, views: dict[int, Log]) -> None:
        with self._reading() as reading:
            known = {row[0]: row for row in reading.rows(_EPOCHS)}
        if known.keys() - views.keys():
            raise _FileUnusableError
        for number, view in views.items():
            size = view.size()
            have = _rows_of(known.get(number), view, size)
            while have < size:
                have = self._take_up(number, view, min(have + LEAVES_AT_ONCE, size))

    def _take_up(self, epoch: int, view: Log, stop: int) -> int:
        """Write rows for the leaves of an epoch up to `stop`; return up to which there are rows."""
        with self._writing() as writing:
            # Another process may have taken some up meanwhile.
            rows = {row[0]: row for row in writing.rows(_EPOCHS)}
            total = sum(row[2] for row in rows.values())
            _, base, have, _ = rows.get(epoch, (epoch, total, 0, b""))
            if base + have != total:
                raise _FileUnusableError
            if have >= stop:
                return int(have)
            leaves = list(view.leaves(have, stop))
            words = [self._words(leaf) for leaf in leaves]
            writing.run_many(
                "INSERT INTO word (rowid, words) VALUES (?, ?)",
                [(total + n, " ".join(one.words)) for n, one in enumerate(words, 1)],
            )
            latest = writing.row("SELECT max(at) FROM reached") or ("",)
            writing.run_many(
                "INSERT OR REPLACE INTO reached (at, row) VALUES (?, ?)",
                _reached(latest[0] or "", total, [one.at for one in words]),
            )
            writing.run(
                "INSERT OR REPLACE INTO epoch (number, base, size, last) VALUES (?, ?, ?, ?)",
                (epoch, base, stop, sha256(leaves[-1]).digest()),
            )
        return stop

    def _begin_anew(self) -> None:
        with _usable():
            self._file = self._open_file(True)
            self._file.migrate(_SCHEMA)

    def _opened(self) -> Database:
        if self._file is None:
            self._file = self._open_file(False)
            self._file.migrate(_SCHEMA)
        return self._file

    @contextmanager
    def _reading(self) -> Iterator[Transaction]:
        with _usable(), self._opened().reading() as reading:
            yield reading

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        with _usable(), self._opened().transaction() as writing:
            yield writing


_OF_DAMAGE: Final = (Damaged, sqlite3.Error, LookupError, OverflowError, TypeError, ValueError)
"""What a damaged file raises: SQLite checks its pages, and not what is written on them."""
_ROW_MAX: Final = (1 << 63) - 1
_EPOCHS: Final = "SELECT number, base, size, last FROM epoch"


@contextmanager
def _usable() -> Iterator[None]:
    """Turn what a damaged file raises into the wish for a new one; a damaged log is told."""
    try:
        yield
    except LogDamaged:
        raise
    except _OF_DAMAGE as err:
        raise _FileUnusableError from err


def _rows_of(row: Row | None, view: Log, size: int) -> int:
    """Return how many leaves of an epoch have rows, where the file is of this log."""
    if row is None:
        return 0
    _, _, have, last = row
    if not 0 < have <= size or sha256(view.leaf(have - 1)).digest() != last:
        raise _FileUnusableError
    return int(have)


def _rows_found(reading: Transaction, query: Query) -> Iterator[int]:
    """Yield the rows that have all words, the newest first, from the time asked for on."""
    low = 0
    if query.since is not None:
        reached = reading.row(
            "SELECT row FROM reached WHERE at < ? ORDER BY at DESC LIMIT 1",
            (format_instant(query.since),),
        )
        low = reached[0] if reached else 0
    if not query.terms:
        total = reading.row("SELECT sum(size) FROM epoch")
        yield from range(total[0] or 0 if total else 0, low, -1)
        return
    asked = [found for one in query.terms if (found := _asked(reading, one))]
    if len(asked) != len(query.terms):
        return
    wanted = " AND ".join(asked)
    before = _ROW_MAX
    while rows := reading.rows(
        "SELECT rowid FROM word WHERE word MATCH ? AND rowid > ? AND rowid < ? "
        "ORDER BY rowid DESC LIMIT ?",
        (wanted, low, before, ROWS_AT_ONCE),
    ):
        yield from (row for (row,) in rows)
        before = rows[-1][0]


def _asked(reading: Transaction, term: Term) -> str | None:
    """Return how FTS5 is asked for a term; None where no word begins so.

    A beginning costs FTS5 all leaves that have one of its words, before the first is found. Where
    only one word begins so, as with the digits of an id, that word is asked for.
    """
    if not term.prefix:
        return f'"{term.word}"'
    first = reading.row("SELECT term FROM term WHERE term >= ? LIMIT 1", (term.word,))
    if first is None or not first[0].startswith(term.word):
        return None
    # A space sorts before everything that a longer word could go on with.
    second = reading.row("SELECT term FROM term WHERE term >= ? LIMIT 1", (f"{first[0]} ",))
    if second is None or not second[0].startswith(term.word):
        return f'"{first[0]}"'
    return f'"{term.word}" *'


def _reached(latest: str, row: int, times: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield the latest time up to a row for every few rows; the clock may have gone back."""
    for start in range(0, len(times), ROWS_AT_ONCE):
        few = times[start : start + ROWS_AT_ONCE]
        latest = max(latest, *few)
        row += len(few)
        yield latest, row


def _base(row: Sequence[int]) -> int:
    return row[0]
