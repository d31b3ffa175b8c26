"""What the vault reads from and restores to.

A source yields entries in order and, for files, their bytes; a target takes the same back. Both
are implemented in `adapters/sources`. A tree is many entries, as is a dump in files; what is one
file or stream is one entry with the empty path.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal, Protocol

import msgspec
from msgspec import structs

from strongroom.errors import Damaged, StrongroomError

EntryKind = Literal["file", "directory", "symlink", "hardlink", "unreadable", "special"]
Fact = str | int | bool | None | dict[str, int] | dict[str, str] | list[str]
Facts = Mapping[str, Fact]
"""What was true of the source when it was read, so that a restore can be checked against it."""

BLOCK_BYTES_MAX = 4 << 20
_ZEROS = bytes(1 << 20)


class EntryUnreadable(StrongroomError):
    """One entry could not be read; the others still are, and the backup names it."""

    exit_code = 3
    code = "partly_done"
    hint = "Give the user that runs Strongroom the right to read it, or remove it."


# Not a dataclass: a tree has millions, and a frozen one is made twenty times more slowly. Bytes and
# numbers refer to nothing, so the collector of cycles need not know of them.
class Entry(msgspec.Struct, frozen=True, gc=False):
    """One thing in a source, named by raw bytes relative to its root.

    A recipe records the size that was read; before, that of a stream is not known and zero.
    """

    path: bytes
    kind: EntryKind
    size_bytes: int = 0
    mode: int = 0
    modified_ns: int = 0
    owner: int = 0
    group: int = 0
    link: bytes = b""
    fingerprint: bytes = b""
    """Equal fingerprints mean equal content and holes, so the entry is not read again; empty:
    always read."""
    attributes: tuple[tuple[bytes, bytes], ...] = ()
    """Extended attributes, POSIX ACLs among them: name and value, sorted by name."""
    holes: tuple[tuple[int, int], ...] = ()
    """Offset and length of what of a sparse file is not stored, sorted, never side by side."""

    PATH_BYTES_MAX: ClassVar[int] = 32 << 10
    ATTRIBUTES_MAX: ClassVar[int] = 1024
    ATTRIBUTE_NAME_BYTES_MAX: ClassVar[int] = 255
    ATTRIBUTE_VALUE_BYTES_MAX: ClassVar[int] = 64 << 10
    ATTRIBUTES_BYTES_MAX: ClassVar[int] = (64 << 10) + 255
    HOLES_MAX: ClassVar[int] = 4096

    @property
    def data_bytes(self) -> int:
        """How many bytes `read` yields of it: all but its holes."""
        return self.size_bytes - sum(length for _, length in self.holes)

    def with_data(self, data_bytes: int) -> "Entry":
        """Return the file that it is when only so many bytes of data could be read of it.

        Holes stay where they are; those behind the last byte go with the bytes that did not come.
        """
        if data_bytes == self.data_bytes:
            return self
        end = data_bytes
        kept = []
        for offset, length in self.holes:
            if offset >= end:
                break
            kept.append((offset, length))
            end += length
        return structs.replace(self, size_bytes=end, holes=tuple(kept))

    def filled(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the whole file, made of its data and of zeros for its holes.

        Raises Damaged when there is more data than room around the holes, or less.
        """
        some = filter(None, blocks)
        rest = memoryview(b"")
        at = 0
        for offset, length in (*self.holes, (self.size_bytes, 0)):
            while at < offset:
                rest = rest or memoryview(next(some, b""))
                if not rest:
                    raise Damaged("a sparse file holds less data than its recipe has room for")
                part, rest = rest[: offset - at], rest[offset - at :]
                at += len(part)
                yield bytes(part)
            while at < offset + length:
                zeros = _ZEROS[: offset + length - at]
                at += len(zeros)
                yield zeros
        if rest or any(some):
            raise Damaged("a sparse file holds more data than its recipe has room for")


class Source(Protocol):
    """Something to back up, open for one pass.

    `entries` may be asked for some hundred entries ahead of the one that `read` is called for.
    """

    @property
    def profile(self) -> str:
        """The chunk profile of its data stream, an id of docs/formats/vault-v1.md."""
        ...

    @property
    def bytes_expected(self) -> int | None:
        """How much there is to read where that is known cheaply, for the progress line."""
        ...

    def entries(self) -> Iterator[Entry]:
        """Yield every entry once, parents before children, in an order that repeats."""
        ...

    def read(self, entry: Entry) -> Iterator[bytes]:
        """Yield the bytes of a file entry, but its holes, in blocks of at most BLOCK_BYTES_MAX.

        Raises EntryUnreadable before the first block when this entry alone cannot be read.
        """
        ...

    def facts(self) -> Facts:
        """Return facts to restore by; called once, after the last entry."""
        ...

    def close(self) -> None:
        """Give back handles and remove what was spooled; safe to call twice."""
        ...


class Target(Protocol):
    """A place to restore one source to; nothing appears under the final name before `finish`."""

    def write(self, entry: Entry, blocks: Iterator[bytes]) -> None:
        """Write one entry; entries arrive in the order they were read, files with their blocks."""
        ...

    def finish(self, facts: Facts) -> None:
        """Compare what was written with the facts, then publish it by renaming.

        Raises Damaged, and leaves nothing behind, when a fact does not hold.
        """
        ...

    @property
    def compared(self) -> Sequence[str]:
        """The names of the facts that `finish` compared with what was restored."""
        ...

    @property
    def notes(self) -> Mapping[str, int]:
        """How much was left out or altered, by what it was; nothing that is zero."""
        ...

    def abandon(self) -> None:
        """Remove whatever was written and not published; safe to call after `finish`."""
        ...
