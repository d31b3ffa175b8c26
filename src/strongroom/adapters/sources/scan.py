"""Walk a tree in an order that repeats, and sum up what it holds.

The same walk serves the backup and the check after a restore, so both see the same order and the
same first name of a hard-linked file.
"""

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from strongroom.adapters.sources.attributes import Attributes, child, read_attributes
from strongroom.adapters.sources.folder import Folder
from strongroom.adapters.sources.holes import Holes, find_holes, may_have_holes
from strongroom.crypto.hashing import content_hash
from strongroom.vault import Entry

RACY_NS = 2_000_000_000
# A fifo that took a file's place must not hang the backup, nor a symlink lead it elsewhere.
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_NAME_BYTES_MAX = 255
_FINGERPRINT = struct.Struct("<QQQQQ")
_RECORD = struct.Struct("<cIQQI")
_PAIR = struct.Struct("<QQ")
_WORD = (1 << 64) - 1
_TIME_MAX = (1 << 63) - 1
_OtherKind = Literal["directory", "symlink", "hardlink", "special"]
_KIND_LETTER = {"file": b"f", "directory": b"d", "symlink": b"s", "hardlink": b"h"}


@dataclass(slots=True)
class Scan:
    """One walk: what to leave out, and what is known so far.

    A file whose times are not older than `started_ns` by RACY_NS gets no fingerprint: it may
    change again within the granularity of its file system's clock and look the same, as git's
    racily clean files do.

    `attributes_unread` gets the paths of entries with attributes that cannot be read; without the
    list the walk looks for neither attributes nor holes.
    """

    folder: Folder
    excluded: frozenset[tuple[int, int]] = frozenset()
    started_ns: int = 0
    left_out: list[bytes] = field(default_factory=list)
    attributes_unread: list[bytes] | None = None
    first_names: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def entries(self) -> Iterator[Entry]:
        """Yield the root, then for each directory its other entries before its directories."""
        waiting = [b""]
        while waiting:
            path = waiting.pop()
            if len(path) > Entry.PATH_BYTES_MAX - _NAME_BYTES_MAX - 1:
                # What lies in it could have a name that no recipe may hold.
                yield Entry(path, "unreadable")
                continue
            try:
                here = self.folder.directory(path)
                info = os.fstat(here)
                if self._leaves_out(path, info):
                    continue
                names, directories = _list(here)
            except FileNotFoundError:
                continue
            except OSError:
                yield Entry(path, "unreadable")
                continue
            attributes: Attributes = ()
            if self.attributes_unread is not None:
                attributes = read_attributes(here, path, self.attributes_unread)
            yield _entry(path, "directory", info, b"", attributes)
            prefix = path + b"/" if path else b""
            for name in names:
                found = self._leaf(here, name, prefix + name)
                if found is not None:
                    yield found
            waiting.extend(prefix + name for name in reversed(directories))

    def _leaf(self, here: int, name: bytes, path: bytes) -> Entry | None:
        try:
            info = os.stat(name, dir_fd=here, follow_symlinks=False)
            return None if self._leaves_out(path, info) else self._entry(here, name, path, info)
        except FileNotFoundError:
            # It vanished between the listing and this look: it is not there, which is no error.
            return None
        except OSError:
            return Entry(path, "unreadable")

    def _entry(self, here: int, name: bytes, path: bytes, info: os.stat_result) -> Entry:
        if stat.S_ISREG(info.st_mode):
            if info.st_nlink > 1:
                if not _may_read(here, name):
                    # Known before the first name goes out, so that no link refers to a lost file.
                    return Entry(path, "unreadable")
                first = self.first_names.setdefault((info.st_dev, info.st_ino), path)
                if first != path:
                    return _entry(path, "hardlink", info, first)
            return self._file(here, name, path, info)
        if stat.S_ISLNK(info.st_mode):
            target = os.readlink(name, dir_fd=here)
            return _entry(path, "symlink", info, target, self._attributes(here, name, path))
        return _entry(path, "special", info)

    def _file(self, here: int, name: bytes, path: bytes, info: os.stat_result) -> Entry:
        holes: Holes = ()
        if self.attributes_unread is not None and may_have_holes(info):
            holes = _look_for_holes(here, name, info.st_size)
        attributes = self._attributes(here, name, path)
        return file_entry(path, info, self.started_ns, attributes, holes)

    def _attributes(self, here: int, name: bytes, path: bytes) -> Attributes:
        if self.attributes_unread is None:
            return ()
        return read_attributes(child(here, name), path, self.attributes_unread)

    def _leaves_out(self, path: bytes, info: os.stat_result) -> bool:
        if (info.st_dev, info.st_ino) not in self.excluded:
            return False
        self.left_out.append(path)
        return True


def file_entry(
    path: bytes, info: os.stat_result, started_ns: int, attributes: Attributes, holes: Holes
) -> Entry:
    """Return the entry of a regular file, with a fingerprint where that is safe."""
    settled = max(info.st_mtime_ns, info.st_ctime_ns) < started_ns - RACY_NS
    return Entry(
        path,
        "file",
        info.st_size,
        stat.S_IMODE(info.st_mode),
        _nanoseconds(info),
        info.st_uid,
        info.st_gid,
        b"",
        _fingerprint(info, holes) if settled else b"",
        attributes,
        holes,
    )


def entry_number(entry: Entry) -> int:
    """Return a 256-bit number that stands for what a restore has to bring back of this entry.

    A tree's numbers are added modulo 2**256: order does not matter, and an entry that turned out
    to be unreadable is taken out again. The sum finds faults; forgers are kept out by the seal
    and the signature around the facts.
    """
    head = _RECORD.pack(
        _KIND_LETTER[entry.kind],
        entry.mode,
        entry.modified_ns & _WORD,
        entry.size_bytes,
        len(entry.path),
    )
    record = head + entry.path + entry.link
    if entry.attributes or entry.holes:
        record += _details(entry)
    return int.from_bytes(content_hash(record), "big")


def sum_text(total: int) -> str:
    """Return a sum of entry numbers as 64 hexadecimal digits."""
    return f"{total % (1 << 256):064x}"


def _details(entry: Entry) -> bytes:
    """Return attributes and holes behind a NUL, which ends a link and is in no name."""
    attributes = [
        part
        for name, value in entry.attributes
        for part in (_PAIR.pack(len(name), len(value)), name, value)
    ]
    return b"".join((b"\0", *attributes, b"\0", *(_PAIR.pack(*hole) for hole in entry.holes)))


def _entry(
    path: bytes,
    kind: _OtherKind,
    info: os.stat_result,
    link: bytes = b"",
    attributes: Attributes = (),
) -> Entry:
    return Entry(
        path,
        kind,
        0,
        stat.S_IMODE(info.st_mode),
        _nanoseconds(info),
        info.st_uid,
        info.st_gid,
        link,
        attributes=attributes,
    )


def _look_for_holes(here: int, name: bytes, size_bytes: int) -> Holes:
    """Return the holes of a file by name; none where it cannot be opened, which its read tells."""
    try:
        handle = os.open(name, READ_FLAGS, dir_fd=here)
    except OSError:
        return ()
    try:
        return find_holes(handle, size_bytes)
    finally:
        os.close(handle)


def _may_read(here: int, name: bytes) -> bool:
    return os.access(name, os.R_OK, dir_fd=here, effective_ids=True)


def _nanoseconds(info: os.stat_result) -> int:
    """Return the modification time within the 63 bits that the recipe has for it."""
    return max(-_TIME_MAX, min(info.st_mtime_ns, _TIME_MAX))


def _fingerprint(info: os.stat_result, holes: Holes) -> bytes:
    times = _FINGERPRINT.pack(
        info.st_dev,
        info.st_ino,
        info.st_size,
        info.st_mtime_ns & _WORD,
        info.st_ctime_ns & _WORD,
    )
    if not holes:
        return times
    # What was read is the data around the holes of then: a file system may find others later,
    # without a change of the file.
    return times + content_hash(b"".join(_PAIR.pack(*hole) for hole in holes))


def _list(here: int) -> tuple[list[bytes], list[bytes]]:
    """Return the names of an open directory, sorted by bytes: others, directories."""
    others: list[bytes] = []
    directories: list[bytes] = []
    with os.scandir(here) as listing:
        for item in listing:
            name = os.fsencode(item.name)
            (directories if item.is_dir(follow_symlinks=False) else others).append(name)
    others.sort()
    directories.sort()
    return others, directories
