"""Restore a dump into a directory for `pg_restore`, its roles as SQL beside it.

Of a part of it, `pg_restore --table=NAME` finds the rows of the chosen tables; those of the others
and the roles are not there.

Nothing is executed here. `pg_restore --dbname=NEW DIR` reads the directory; `roles.sql` is for
somebody to read first, because it makes whatever roles it says.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from strongroom.adapters.sources.postgres_files import DumpDigest, check_dump_entry
from strongroom.adapters.sources.restore_facts import Facts
from strongroom.adapters.sources.tree_target import TreeTarget
from strongroom.ids import Token
from strongroom.vault import Entry


class PostgresFolderTarget:
    """A dump at `destination`, which is absent or an empty directory unless `overwrite`.

    With `tables` only the files of these are expected.
    """

    def __init__(
        self,
        destination: Path,
        token: Token,
        overwrite: bool = False,
        privileged: bool = False,
        tables: Sequence[str] = (),
    ) -> None:
        self._part = bool(tables)
        self._tree = TreeTarget(destination, token, overwrite, privileged)
        self._digest = DumpDigest()
        self.compared: Sequence[str] = ()

    def write(self, entry: Entry, blocks: Iterator[bytes]) -> None:
        """Write a file of the dump; anything that is none is refused."""
        check_dump_entry(entry)
        self._tree.write(entry, self._digest.of(entry.path, blocks))

    def finish(self, facts: Facts) -> None:
        """Compare the files with the facts, then publish; leave nothing behind otherwise."""
        try:
            if self._part:
                # The digest is one over all files.
                self._tree.finish({})
                return
            self._digest.check(facts)
            self._tree.finish(facts)
            self.compared = ["dump_blake3", *self._tree.compared]
        finally:
            self._tree.abandon()

    @property
    def notes(self) -> Mapping[str, int]:
        """What was left out or altered."""
        return self._tree.notes

    def abandon(self) -> None:
        """Remove what was not published."""
        self._tree.abandon()
