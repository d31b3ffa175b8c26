"""What the index of a vault holds, as values: places, remembered files, packs to learn."""

import struct
from dataclasses import dataclass

from strongroom.database import Row
from strongroom.vault.pack import PackedSegment
from strongroom.vault.runs import Runs


@dataclass(frozen=True, slots=True)
class SegmentPlace:
    """Where a segment lies, and what is known of it without opening it."""

    number: int
    id: bytes
    session: bytes
    pack: str
    offset: int
    stored_bytes: int
    chunks: int
    plain_bytes: int
    stream: int


@dataclass(frozen=True, slots=True)
class CachedFile:
    """What a file held when it had this fingerprint."""

    fingerprint: bytes
    size_bytes: int
    chunks: int
    runs: Runs


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file to remember, under the keyed hash of its name."""

    key: bytes
    source: str
    file: CachedFile


@dataclass(frozen=True, slots=True)
class SourceRuns:
    """All runs of a source in one snapshot, by segment number of this index."""

    source: str
    entries: int
    runs: Runs


def segment_row(one: PackedSegment, pack: int, attempt: int) -> Row:
    """Return the columns of a packed segment after its number."""
    lengths = struct.pack(f"<{len(one.chunks)}I", *(length for _, length in one.chunks))
    sizes = (one.offset, one.stored_bytes, len(one.chunks), one.plain_bytes, int(one.stream))
    return (one.id, one.session, pack, *sizes, lengths, attempt)


@dataclass(frozen=True, slots=True)
class OwnSegment:
    """A segment whose chunks this worker's dedup key names."""

    packed: PackedSegment

    def row(self, pack: int, attempt: int) -> Row:
        """Return its columns after the number."""
        return segment_row(self.packed, pack, attempt)


@dataclass(frozen=True, slots=True)
class ReadSegment:
    """A segment that is known for reading only."""

    id: bytes
    session: bytes
    offset: int
    stored_bytes: int
    chunks: int
    plain_bytes: int
    stream: int

    def row(self, pack: int, attempt: int) -> Row:
        """Return its columns after the number."""
        sizes = (self.offset, self.stored_bytes, self.chunks, self.plain_bytes, self.stream)
        return (self.id, self.session, pack, *sizes, None, attempt)


@dataclass(frozen=True, slots=True)
class ForeignPack:
    """A pack as an index object of some snapshot names it."""

    id: str
    size_bytes: int
    segments: tuple[OwnSegment | ReadSegment, ...]
