"""Back up a directory tree, or one file, as it is.

Unchanged files carry a fingerprint, so the vault need not read them again. A file that changes
while it is read is taken as far as its scanned size and named in the facts: a backup of a live
tree is not a snapshot in time, and says so.
"""

import os
import stat
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

from strongroom.adapters.sources.attributes import read_attributes
from strongroom.adapters.sources.errors import (
    SourceMissing,
    SourceUnreadable,
    printable,
    reason,
)
from strongroom.adapters.sources.folder import Folder
from strongroom.adapters.sources.holes import data_of, find_holes, may_have_holes
from strongroom.adapters.sources.restore_facts import Fact, Facts
from strongroom.adapters.sources.scan import (
    READ_FLAGS,
    Scan,
    entry_number,
    file_entry,
    sum_text,
)
from strongroom.clock import Clock
from strongroom.crypto.hashing import Digest
from strongroom.errors import Refused
from strongroom.vault import Entry, EntryUnreadable

BLOCK_BYTES = 1 << 20
NAMES_SHOWN_MAX = 20
_TEXT_NAMES = (
    b".sql",
    b".csv",
    b".tsv",
    b".json",
    b".jsonl",
    b".ndjson",
    b".xml",
    b".ldif",
    b".txt",
    b".log",
    b".dump",
)


class _Tally:
    """What one pass saw; corrections come from `read`, which may run on another thread."""

    def __init__(self) -> None:
        self.total = 0
        self.entries = self.files = self.bytes = self.special = 0
        self.hardlinks: list[Entry] = []
        self.unreadable: set[bytes] = set()
        self.changed: set[bytes] = set()
        self.left_out: list[bytes] = []
        self.attributes_unread: list[bytes] = []
        self._correction = 0
        self._lock = threading.Lock()

    def take(self, entry: Entry) -> None:
        self.entries += 1
        if entry.kind == "special":
            self.special += 1
            return
        if entry.kind == "unreadable":
            with self._lock:
                self.unreadable.add(entry.path)
            return
        if entry.kind == "hardlink":
            self.hardlinks.append(entry)
        elif entry.kind == "file":
            self.files += 1
            self.bytes += entry.size_bytes
        self.total += entry_number(entry)

    def drop(self, entry: Entry) -> None:
        """Take a file out that cannot be read."""
        with self._lock:
            if entry.path not in self.unreadable:
                self.unreadable.add(entry.path)
                self._correction -= entry_number(entry)

    def note_change(self, entry: Entry, data_bytes: int) -> None:
        """Remember a file that changed under the reader, and how much of it was taken."""
        with self._lock:
            if entry.path not in self.changed:
                self.changed.add(entry.path)
                self._correction -= entry_number(entry)
                self._correction += entry_number(entry.with_data(data_bytes))

    def facts(self) -> dict[str, Fact]:
        total = self.total + self._correction
        for entry in self.hardlinks:
            if entry.link in self.unreadable:
                # Its content was to come from a file that could not be read.
                total -= entry_number(entry)
        return {
            "entries": self.entries,
            "files": self.files,
            "bytes": self.bytes,
            "special": self.special,
            "unreadable": len(self.unreadable),
            "unreadable_names": _shown(self.unreadable),
            "changed_while_read": len(self.changed),
            "changed_names": _shown(self.changed),
            "attributes_unread": len(self.attributes_unread),
            "attributes_unread_names": _shown(set(self.attributes_unread)),
            "left_out": len(self.left_out),
            "left_out_names": _shown(set(self.left_out)),
            "tree_blake3": sum_text(total),
        }


class TreeSource:
    """A directory and all below it; `exclude` names folders and files by absolute path.

    What was left out for that is named in the facts.
    """

    profile = "cdc-1m"
    bytes_expected: int | None = None

    def __init__(self, root: bytes, clock: Clock, exclude: frozenset[bytes] = frozenset()) -> None:
        self._clock = clock
        self._excluded = frozenset(_identities(exclude))
        self._reading = threading.Lock()
        self._tally = _Tally()
        try:
            self._scanned = Folder(root)
        except OSError as error:
            raise _cannot_open(root, error) from error
        self._read = Folder(root)
        info = os.fstat(self._scanned.directory(b""))
        if (info.st_dev, info.st_ino) in self._excluded:
            self.close()
            raise Refused(
                f"{printable(root)} cannot be a source",
                "it holds Strongroom's own home or a location",
                "Name the folders with your data instead.",
            )

    def entries(self) -> Iterator[Entry]:
        """Yield every entry once, parents before children; a new call begins a new pass."""
        self._tally = tally = _Tally()
        scan = Scan(
            self._scanned,
            self._excluded,
            _nanoseconds(self._clock),
            tally.left_out,
            tally.attributes_unread,
        )
        for found in scan.entries():
            if found.kind == "unreadable" and not found.path:
                raise SourceUnreadable("the folder cannot be listed", "no right to read it")
            lost = found.kind == "hardlink" and found.link in tally.unreadable
            entry = Entry(found.path, "unreadable") if lost else found
            tally.take(entry)
            yield entry

    def read(self, entry: Entry) -> Iterator[bytes]:
        """Yield the file's data up to its scanned size, 1 MiB at a time."""
        try:
            with self._reading:
                here, name = self._read.parent(entry.path)
                handle = _open(name, here)
        except OSError as error:
            self._tally.drop(entry)
            raise EntryUnreadable(f"{printable(entry.path)} was not read", reason(error)) from error
        yield from _read_open_file(handle, entry, self._tally)

    def facts(self) -> Facts:
        """Return the counts and the sum over all entries."""
        return {"kind": "tree", **self._tally.facts()}

    def close(self) -> None:
        """Close the directories."""
        self._scanned.close()
        self._read.close()


class FileSource:
    """One regular file; its only entry has the empty path."""

    def __init__(self, path: bytes, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._tally = _Tally()
        self._blake3 = ""
        try:
            info = os.stat(path)
        except OSError as error:
            raise _cannot_open(path, error) from error
        if not stat.S_ISREG(info.st_mode):
            raise SourceUnreadable(f"{printable(path)} cannot be read", "it is not a regular file")
        self.bytes_expected: int | None = info.st_size
        # Text dumps change in small places, so small chunks pay; for anything else they cost.
        self.profile = "cdc-16k" if path.lower().endswith(_TEXT_NAMES) else "cdc-1m"

    def entries(self) -> Iterator[Entry]:
        """Yield the file."""
        self._tally = _Tally()
        self._blake3 = ""
        try:
            entry = self._look()
        except OSError as error:
            raise _cannot_open(self._path, error) from error
        self._tally.take(entry)
        yield entry

    def read(self, entry: Entry) -> Iterator[bytes]:
        """Yield the file's data up to its scanned size."""
        try:
            handle = self._open()
        except OSError as error:
            raise _cannot_open(self._path, error) from error
        digest = Digest()
        with closing(_read_open_file(handle, entry, self._tally)) as blocks:
            for block in blocks:
                digest.update(block)
                yield block
        self._blake3 = digest.hex()

    def _look(self) -> Entry:
        handle = self._open()
        try:
            info = os.fstat(handle)
            attributes = read_attributes(handle, b"", self._tally.attributes_unread)
            holes = find_holes(handle, info.st_size) if may_have_holes(info) else ()
        finally:
            os.close(handle)
        return file_entry(b"", info, _nanoseconds(self._clock), attributes, holes)

    def _open(self) -> int:
        # Resolved once here, as the user may have named a symlink.
        return _open(os.path.realpath(self._path), None)

    def facts(self) -> Facts:
        """Return the size, the sum over the one entry, and the digest where it was read."""
        read: dict[str, Fact] = {"blake3": self._blake3} if self._blake3 else {}
        return {"kind": "file", **self._tally.facts(), **read}

    def close(self) -> None:
        """Nothing is held open."""


def _read_open_file(handle: int, entry: Entry, tally: _Tally) -> Generator[bytes, None, None]:
    """Yield the data up to the scanned size and close the handle."""
    taken = 0
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            tally.drop(entry)
            raise EntryUnreadable(f"{printable(entry.path)} was not read", "it is no file any more")
        try:
            for block in _blocks(handle, entry):
                taken += len(block)
                yield block
        except OSError as error:
            raise _broken_off(entry, taken, error, tally) from error
        after = os.fstat(handle)
        if (after.st_size, after.st_mtime_ns) != (entry.size_bytes, entry.modified_ns) or (
            taken != entry.data_bytes
        ):
            tally.note_change(entry, taken)
    finally:
        os.close(handle)


def _blocks(handle: int, entry: Entry) -> Iterator[bytes]:
    """Yield what lies around the holes, until the file ends sooner than it was scanned."""
    for start, length in data_of(entry):
        at, end = start, start + length
        while at < end:
            block = os.pread(handle, min(BLOCK_BYTES, end - at), at)
            if not block:
                return
            at += len(block)
            yield block


def _broken_off(
    entry: Entry, taken: int, error: OSError, tally: _Tally
) -> EntryUnreadable | SourceUnreadable:
    if taken == 0:
        tally.drop(entry)
        return EntryUnreadable(f"{printable(entry.path)} was not read", reason(error))
    # Half a file must never pass for a whole one, so the whole source fails.
    return SourceUnreadable(
        f"reading {printable(entry.path)} broke off after {taken} bytes",
        reason(error),
        "Look at the disk's health first; then move the file away.",
    )


def _open(name: bytes, directory: int | None) -> int:
    """Open a file to read without touching its access time, where we may."""
    try:
        return os.open(name, READ_FLAGS | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        # O_NOATIME is for the owner and for root only; reading may still be allowed.
        return os.open(name, READ_FLAGS, dir_fd=directory)


def _cannot_open(path: bytes, error: OSError) -> SourceMissing | SourceUnreadable:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return SourceMissing(f"there is no {printable(path)}", reason(error))
    return SourceUnreadable(f"{printable(path)} cannot be read", reason(error))


def _identities(paths: Iterable[bytes]) -> Iterator[tuple[int, int]]:
    """Yield device and inode of each path that exists: names differ, what they lead to does not."""
    for path in paths:
        try:
            info = os.stat(path)
        except OSError:
            continue
        yield info.st_dev, info.st_ino


def _nanoseconds(clock: Clock) -> int:
    return int(clock.now().timestamp() * 1_000_000) * 1000


def _shown(paths: set[bytes]) -> list[str]:
    return [printable(path) for path in sorted(paths)[:NAMES_SHOWN_MAX]]
