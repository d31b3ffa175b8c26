"""Restore a directory tree from entries that nobody here trusts.

Everything is made with a descriptor of its own directory, exclusively and without following
links, so no entry can reach outside the tree or through one written before. Directories keep mode
0700 until the end; their modes and times come last, deepest first. File contents are not synced one
by one: a restore is durable when the system has written it back.
"""

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from msgspec import structs

from strongroom.adapters.sources.attributes import AttributeWriter, child, forget_inherited
from strongroom.adapters.sources.errors import TargetFailed, printable, reason
from strongroom.adapters.sources.file_target import PLAIN_BITS
from strongroom.adapters.sources.folder import Folder, check_entry, check_name, leads_out
from strongroom.adapters.sources.holes import write_around
from strongroom.adapters.sources.partial import Destination, told, write_all
from strongroom.adapters.sources.restore_facts import Comparison, Facts
from strongroom.adapters.sources.scan import Scan, entry_number, sum_text
from strongroom.errors import Damaged, Refused
from strongroom.ids import Token
from strongroom.vault import Entry

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_HOSTILE = "Whoever made this snapshot is hostile, or its writer is broken."


@dataclass(slots=True)
class TreeReport:
    """What a restore left out or altered, for the face to tell."""

    bits_dropped: int = 0
    special_left_out: int = 0
    unreadable_left_out: int = 0
    links_left_out: int = 0
    times_differ: int = 0


class TreeTarget:
    """A tree at `destination`, which is absent or an empty directory unless `overwrite`.

    Owners, setuid, setgid and sticky bits, and attributes that give power come back only when
    `privileged`.
    """

    def __init__(
        self, destination: Path, token: Token, overwrite: bool = False, privileged: bool = False
    ) -> None:
        self.report = TreeReport()
        self.compared: Sequence[str] = ()
        self._entries = self._files = self._bytes = 0
        self._place = Destination(destination, token, overwrite)
        self._privileged = privileged
        self._attributes = AttributeWriter(privileged)
        self._directories: list[Entry] = []
        self._absent: set[bytes] = set()
        self._has_root = False
        # Two sums: of the entries as they came, to compare with the facts; and of the entries as
        # they were allowed on this disk, to compare with the disk.
        self._came = 0
        self._allowed = 0
        with told(self._place.final):
            os.mkdir(self._place.partial, 0o700)
            self._place.hold()
            self._folder = Folder(self._place.partial)
            # Else everything below would take on ACLs that the snapshot knows nothing of.
            forget_inherited(self._folder.directory(b""))

    def write(self, entry: Entry, blocks: Iterator[bytes]) -> None:
        """Write one entry; raise Refused when it could reach outside the tree."""
        check_entry(entry)
        self._entries += 1
        try:
            self._make(entry, blocks)
        except FileExistsError as error:
            raise Refused(
                f"{printable(entry.path)} is refused", "the snapshot names it twice", _HOSTILE
            ) from error
        except FileNotFoundError as error:
            raise Refused(
                f"{printable(entry.path)} is refused",
                "its folder, or the file that it is another name of, does not come before it",
                _HOSTILE,
            ) from error
        except OSError as error:
            if leads_out(error):
                raise Refused(
                    f"{printable(entry.path)} is refused",
                    "it would be written through a link or a file",
                    _HOSTILE,
                ) from error
            raise TargetFailed(
                f"{printable(entry.path)} cannot be written", reason(error)
            ) from error

    def finish(self, facts: Facts) -> None:
        """Set the directories' modes and times, compare, publish; leave nothing on failure."""
        try:
            with told(self._place.final):
                on_disk = self._sum_of_leaves() + self._settle_directories()
            if sum_text(on_disk) != sum_text(self._allowed):
                raise Damaged(
                    "the restored tree is not what was written", "an entry differs on the disk"
                )
            comparison = Comparison(facts, self._place.final)
            comparison.check("tree_blake3", sum_text(self._came))
            comparison.check("entries", self._entries)
            comparison.check("special", self.report.special_left_out)
            if not facts.get("unreadable") and not facts.get("changed_while_read"):
                # Otherwise these two say what was seen, and not what could be kept of it.
                comparison.check("files", self._files)
                comparison.check("bytes", self._bytes)
            self._folder.close()
            self._place.publish()
            self.compared = comparison.names
        finally:
            self.abandon()

    @property
    def notes(self) -> Mapping[str, int]:
        """What the report counts, where it is not zero."""
        counts = {name: count for name, count in asdict(self.report).items() if count}
        return {**counts, **self._attributes.notes}

    def abandon(self) -> None:
        """Remove what was not published."""
        self._folder.close()
        self._place.abandon()

    def _make(self, entry: Entry, blocks: Iterator[bytes]) -> None:
        match entry.kind:
            case "directory":
                self._make_directory(entry)
            case "file":
                self._make_file(entry, blocks)
            case "symlink":
                self._make_symlink(entry)
            case "hardlink":
                self._make_hardlink(entry)
            case "special":
                self.report.special_left_out += 1
            case "unreadable":
                self._absent.add(entry.path)
                self.report.unreadable_left_out += 1

    def _make_directory(self, entry: Entry) -> None:
        if entry.path:
            above, name = self._folder.parent(entry.path)
            os.mkdir(name, 0o700, dir_fd=above)
        elif self._has_root:
            raise FileExistsError
        self._has_root = self._has_root or not entry.path
        self._directories.append(entry)
        self._came += entry_number(entry)

    def _make_file(self, entry: Entry, blocks: Iterator[bytes]) -> None:
        above, name = self._named(entry)
        handle = os.open(name, _CREATE, 0o600, dir_fd=above)
        taken = 0
        try:
            if entry.holes:
                taken = write_around(handle, entry, blocks)
            else:
                for block in blocks:
                    write_all(handle, block)
                    taken += len(block)
            written = entry.with_data(taken)
            self._files += 1
            self._bytes += written.size_bytes
            number = entry_number(written)
            self._came += number
            found = self._dress(handle, written)
            self._allowed += number if found is written else entry_number(found)
        finally:
            os.close(handle)

    def _make_symlink(self, entry: Entry) -> None:
        above, name = self._named(entry)
        os.symlink(entry.link, name, dir_fd=above)
        if self._privileged:
            os.chown(name, entry.owner, entry.group, dir_fd=above, follow_symlinks=False)
        if entry.attributes:
            self._attributes.set(child(above, name), entry)
        times = (entry.modified_ns, entry.modified_ns)
        os.utime(name, ns=times, dir_fd=above, follow_symlinks=False)
        info = os.stat(name, dir_fd=above, follow_symlinks=False)
        self._came += entry_number(entry)
        self._allowed += entry_number(self._as_on_disk(entry, entry.mode, info))

    def _make_hardlink(self, entry: Entry) -> None:
        check_name(entry.link)
        if entry.link in self._absent:
            self._absent.add(entry.path)
            self.report.links_left_out += 1
            return
        above, name = self._named(entry)
        # A second walk to the first name, from the root: the one walked to before is kept open.
        above = os.dup(above)
        try:
            there, first = self._folder.parent(entry.link)
            if not stat.S_ISREG(os.stat(first, dir_fd=there, follow_symlinks=False).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "a hard link to what is no file")
            os.link(first, name, src_dir_fd=there, dst_dir_fd=above, follow_symlinks=False)
            info = os.stat(name, dir_fd=above, follow_symlinks=False)
        finally:
            os.close(above)
        self._came += entry_number(entry)
        self._allowed += entry_number(self._as_on_disk(entry, stat.S_IMODE(info.st_mode), info))

    def _named(self, entry: Entry) -> tuple[int, bytes]:
        if not entry.path:
            raise FileExistsError
        return self._folder.parent(entry.path)

    def _dress(self, handle: int, entry: Entry) -> Entry:
        """Set owner, mode and time of an open file or directory; return what must be on disk."""
        if self._privileged:
            # First the owner: changing it clears bits and capabilities that are set next.
            os.fchown(handle, entry.owner, entry.group)
        mode = self._attributes.set(handle, entry) if entry.attributes else entry.mode
        if not self._privileged and mode & ~PLAIN_BITS:
            mode &= PLAIN_BITS
            self.report.bits_dropped += 1
        os.fchmod(handle, mode)
        os.utime(handle, ns=(entry.modified_ns, entry.modified_ns))
        return self._as_on_disk(entry, mode, os.fstat(handle))

    def _as_on_disk(self, entry: Entry, mode: int, info: os.stat_result) -> Entry:
        # A file system with coarser times is no reason to refuse a restore; the report tells.
        if info.st_mtime_ns != entry.modified_ns:
            self.report.times_differ += 1
        elif mode == entry.mode and not (entry.attributes or entry.holes):
            # Most are as they came: for ten thousand small files a copy of each would show.
            return entry
        return structs.replace(
            entry, mode=mode, modified_ns=info.st_mtime_ns, attributes=(), holes=()
        )

    def _sum_of_leaves(self) -> int:
        """Return the sum over what is on the disk, but for directories, which are not done yet."""
        total = 0
        for entry in Scan(self._folder).entries():
            if entry.kind != "directory":
                total += entry_number(entry)
        return total

    def _settle_directories(self) -> int:
        total = 0
        for entry in reversed(self._directories):
            handle = self._folder.directory(entry.path)
            self._allowed += entry_number(self._dress(handle, entry))
            info = os.fstat(handle)
            mode = stat.S_IMODE(info.st_mode)
            found = structs.replace(entry, mode=mode, modified_ns=info.st_mtime_ns, attributes=())
            total += entry_number(found)
        return total
