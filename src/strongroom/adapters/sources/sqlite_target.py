"""Restore a SQLite database: the file, compared by digest, then opened and compared by content.

It is opened as immutable, so that the comparison writes nothing beside it. Where some tables are
wanted alone, the whole file is restored and compared first, still under its partial name, and a
database of just these tables takes its place.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from strongroom.adapters.sources.file_target import FileTarget
from strongroom.adapters.sources.restore_facts import Comparison, Facts
from strongroom.adapters.sources.sqlite_facts import database_uri, shape
from strongroom.adapters.sources.sqlite_tables import keep_tables
from strongroom.errors import Damaged
from strongroom.ids import Token
from strongroom.vault import Entry

COMPANIONS = (b"-wal", b"-shm", b"-journal")


class SqliteTarget:
    """One database file at `destination`; owner and special bits only when `privileged`.

    With `tables` the database holds only these, as facts name them, with their indexes.

    With `overwrite` the old database goes with its `-wal`, `-shm` and `-journal`; no application
    may have it open, which cannot be seen from here.
    """

    def __init__(
        self,
        destination: Path,
        token: Token,
        overwrite: bool = False,
        privileged: bool = False,
        tables: Sequence[str] = (),
    ) -> None:
        self._tables = tables
        self._triggers = 0
        self._file = FileTarget(destination, token, overwrite, privileged)
        self._file.place.refuse_companions(COMPANIONS)
        self.compared: Sequence[str] = ()

    def write(self, entry: Entry, blocks: Iterator[bytes]) -> None:
        """Write the file; anything but one file with the empty path is refused."""
        self._file.write(entry, blocks)

    def finish(self, facts: Facts) -> None:
        """Compare bytes, schema and rows with the facts, then publish; leave nothing otherwise."""
        try:
            entry = self._file.settle()
            comparison = Comparison(facts, self._file.place.final)
            comparison.check("bytes", entry.size_bytes)
            comparison.check("blake3", self._file.blake3)
            if entry.size_bytes:
                self._compare_content(comparison)
            if self._tables:
                self._triggers = keep_tables(self._file.place, self._tables)
            self._file.place.refuse_companions(COMPANIONS)
            self._file.place.publish(COMPANIONS)
            self.compared = comparison.names
        finally:
            self._file.abandon()

    @property
    def notes(self) -> Mapping[str, int]:
        """What was left out or altered."""
        left_out = {"triggers_left_out": self._triggers} if self._triggers else {}
        return {**self._file.notes, **left_out}

    def abandon(self) -> None:
        """Remove what was not published."""
        self._file.abandon()

    def _compare_content(self, comparison: Comparison) -> None:
        uri = database_uri(os.path.abspath(self._file.place.partial), "mode=ro&immutable=1")
        try:
            with closing(sqlite3.connect(uri, uri=True)) as restored:
                found = shape(restored)
        except sqlite3.Error as error:
            raise Damaged("the restored database cannot be opened", str(error)) from error
        for name, value in found.items():
            comparison.check(name, value)
