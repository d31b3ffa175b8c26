"""Restore one file: bytes to a partial name, synced, compared, renamed."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from strongroom.adapters.sources.attributes import AttributeWriter
from strongroom.adapters.sources.folder import check_entry
from strongroom.adapters.sources.holes import write_around
from strongroom.adapters.sources.partial import Destination, told, write_all
from strongroom.adapters.sources.restore_facts import Comparison, Facts
from strongroom.adapters.sources.scan import entry_number, sum_text
from strongroom.crypto.hashing import Digest
from strongroom.errors import Damaged, Refused
from strongroom.ids import Token
from strongroom.vault import Entry

PLAIN_BITS = 0o777


class FileTarget:
    """One file at `destination`; owner and special bits only when `privileged`."""

    def __init__(
        self, destination: Path, token: Token, overwrite: bool = False, privileged: bool = False
    ) -> None:
        self._place = Destination(destination, token, overwrite)
        self._privileged = privileged
        self._handle = -1
        self._entry: Entry | None = None
        self._digest = Digest()
        self._bits_dropped = 0
        self._attributes = AttributeWriter(privileged)
        self.compared: Sequence[str] = ()

    def write(self, entry: Entry, blocks: Iterator[bytes]) -> None:
        """Write the file; anything but one file with the empty path is refused."""
        check_entry(entry)
        if entry.kind != "file" or entry.path or self._entry is not None:
            raise Refused(
                "the snapshot is refused",
                "it was recorded as one file and holds something else",
                "Whoever made it is hostile.",
            )
        self._entry = entry
        self._handle = self._place.make_file()
        if entry.holes:
            with told(self._place.final):
                taken = write_around(self._handle, entry, self._digested(blocks))
        else:
            taken = 0
            for block in self._digested(blocks):
                taken += len(block)
                with told(self._place.final):
                    write_all(self._handle, block)
        self._entry = entry.with_data(taken)

    def finish(self, facts: Facts) -> None:
        """Compare content, size and sum with the facts, then publish; leave nothing otherwise."""
        try:
            entry = self.settle()
            comparison = Comparison(facts, self._place.final)
            comparison.check("tree_blake3", sum_text(entry_number(entry)))
            comparison.check("blake3", self._digest.hex())
            if not facts.get("changed_while_read"):
                comparison.check("bytes", entry.size_bytes)
            self._place.publish()
            self.compared = comparison.names
        finally:
            self.abandon()

    def settle(self) -> Entry:
        """Set mode, owner and time, sync, and return what was written; the file stays partial."""
        entry, handle = self._entry, self._handle
        if entry is None:
            raise Damaged("nothing was restored", "the snapshot holds no file for this source")
        with told(self._place.final):
            if self._privileged:
                os.fchown(handle, entry.owner, entry.group)
            mode = self._attributes.set(handle, entry)
            os.fchmod(handle, mode & (0o7777 if self._privileged else PLAIN_BITS))
            self._bits_dropped = int(not self._privileged and entry.mode & ~PLAIN_BITS != 0)
            os.utime(handle, ns=(entry.modified_ns, entry.modified_ns))
            os.fsync(handle)
            size_bytes = os.fstat(handle).st_size
        if size_bytes != entry.size_bytes:
            raise Damaged(
                "the restored file is not what was written",
                f"it has {size_bytes} bytes on disk, {entry.size_bytes} were written",
            )
        return entry

    @property
    def place(self) -> Destination:
        """Where it is being written."""
        return self._place

    @property
    def notes(self) -> Mapping[str, int]:
        """What was altered."""
        bits = {"bits_dropped": 1} if self._bits_dropped else {}
        return {**bits, **self._attributes.notes}

    @property
    def blake3(self) -> str:
        """The digest of the bytes written so far."""
        return self._digest.hex()

    def _digested(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._digest.update(block)
            yield block

    def abandon(self) -> None:
        """Close and remove what was not published."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        self._place.abandon()
