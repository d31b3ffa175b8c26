"""A pack: segments back to back, and a sealed trailer that says what they are.

Pure. The trailers alone give back the index, so losing the index loses time and no data. A pack
is named by the hash of all its bytes.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from strongroom.crypto.hashing import content_hash
from strongroom.crypto.sealing import SALT_BYTES, TAG_BYTES, open_sealed, seal
from strongroom.errors import Damaged
from strongroom.ids import ID_BYTES, Token
from strongroom.vault.segment import CHUNKS_MAX, PLAIN_BYTES_MAX, Codec

MAGIC: Final = b"SRPACK\x01\n"
END: Final = b"SRPACKEND\n"
FOOT_BYTES: Final = 4 + len(END)
CLOSE_AT_BYTES: Final = 16 << 20
PACK_BYTES_MAX: Final = 64 << 20
TRAILER_BYTES_MAX: Final = 16 << 20
SEGMENTS_MAX: Final = 1 << 16
_KIND: Final = "trailer"
_SEGMENT: Final = struct.Struct("<16sIQIIB")
_CHUNK: Final = struct.Struct("<32sI")


class StreamType(IntEnum):
    """Which of a source's two streams a segment is cut from."""

    DATA = 1
    RECIPE = 2


@dataclass(frozen=True, slots=True)
class PackedSegment:
    """A segment in its pack, with the ids and lengths of its chunks."""

    id: bytes
    session: bytes
    offset: int
    stored_bytes: int
    stream: StreamType
    chunks: tuple[tuple[bytes, int], ...]

    @property
    def plain_bytes(self) -> int:
        """Return how many bytes its chunks have together."""
        return sum(length for _, length in self.chunks)


@dataclass(frozen=True, slots=True)
class Pack:
    """A finished pack: its name, its bytes and what lies in it."""

    id: str
    data: bytes
    segments: tuple[PackedSegment, ...]


class PackBuilder:
    """Collects sealed segments until there are enough for a pack."""

    def __init__(self) -> None:
        # Parts, joined once at the end: a growing buffer would copy every byte several times.
        self._parts: list[bytes] = [MAGIC]
        self._bytes = len(MAGIC)
        self._segments: list[PackedSegment] = []

    @property
    def full(self) -> bool:
        """Say whether the pack has passed the size at which it is closed."""
        return self._bytes >= CLOSE_AT_BYTES or len(self._segments) == SEGMENTS_MAX

    @property
    def empty(self) -> bool:
        """Say whether there is nothing in it yet."""
        return not self._segments

    def add(
        self,
        segment: bytes,
        session: bytes,
        stream: StreamType,
        sealed: bytes,
        chunks: Sequence[tuple[bytes, int]],
    ) -> PackedSegment:
        """Append one sealed segment."""
        packed = PackedSegment(segment, session, self._bytes, len(sealed), stream, tuple(chunks))
        self._parts.append(sealed)
        self._bytes += len(sealed)
        self._segments.append(packed)
        return packed

    def close(self, structure: bytes, vault: bytes, token: Token, codec: Codec) -> Pack:
        """Append the trailer and name the pack."""
        salt = token(SALT_BYTES)
        table = codec.compress(_encode_table(self._segments))
        sealed = seal(structure, _KIND, salt, vault, table)
        trailer = len(sealed) + SALT_BYTES
        data = b"".join((*self._parts, salt, sealed, trailer.to_bytes(4, "little"), END))
        self._parts.clear()
        return Pack(content_hash(data).hex(), data, tuple(self._segments))


def pack_key(pack: str) -> str:
    """Return where a pack lies below its vault."""
    return f"packs/{pack[:2]}/{pack}"


def trailer_bytes(foot: bytes, pack: str) -> int:
    """Return how long the tail of a pack is, foot included, from its last FOOT_BYTES bytes."""
    length = int.from_bytes(foot[:4], "little")
    if foot[4:] != END or not SALT_BYTES + TAG_BYTES <= length <= TRAILER_BYTES_MAX:
        raise Damaged(f"pack {pack} has no trailer", "its last bytes are not ours")
    return length + FOOT_BYTES


def read_trailer(
    tail: bytes, structure: bytes, vault: bytes, pack: str, codec: Codec
) -> tuple[PackedSegment, ...]:
    """Return what lies in a pack, from its tail as long as `trailer_bytes` says."""
    if trailer_bytes(tail[-FOOT_BYTES:], pack) != len(tail):
        raise Damaged(f"pack {pack} is cut short", f"its trailer has not {len(tail)} bytes")
    salt, sealed = tail[:SALT_BYTES], tail[SALT_BYTES:-FOOT_BYTES]
    table = open_sealed(structure, _KIND, salt, vault, sealed)
    return _decode_table(codec.decompress(table, TRAILER_BYTES_MAX), pack)


def _encode_table(segments: Sequence[PackedSegment]) -> bytes:
    sessions = list(dict.fromkeys(segment.session for segment in segments))
    number = {session: at for at, session in enumerate(sessions)}
    out = [len(sessions).to_bytes(4, "little"), *sessions, len(segments).to_bytes(4, "little")]
    for one in segments:
        out.append(
            _SEGMENT.pack(
                one.id,
                number[one.session],
                one.offset,
                one.stored_bytes,
                len(one.chunks),
                one.stream,
            )
        )
        out.extend(_CHUNK.pack(chunk, length) for chunk, length in one.chunks)
    return b"".join(out)


class _Cursor:
    """Reads a table from front to back and refuses to read past its end."""

    def __init__(self, data: bytes, pack: str) -> None:
        self._data = data
        self._at = 0
        self._pack = pack

    def take(self, length: int) -> bytes:
        if length > len(self._data) - self._at:
            raise self.malformed(f"it ends {length} bytes too early")
        self._at += length
        return self._data[self._at - length : self._at]

    def count(self, most: int) -> int:
        number = int.from_bytes(self.take(4), "little")
        if number > most:
            raise self.malformed(f"it claims {number} rows")
        return number

    def end(self) -> None:
        if self._at != len(self._data):
            raise self.malformed("bytes follow its last row")

    def malformed(self, why: str) -> Damaged:
        return Damaged(f"the trailer of pack {self._pack} is malformed", why)


def _decode_table(plain: bytes, pack: str) -> tuple[PackedSegment, ...]:
    cursor = _Cursor(plain, pack)
    sessions = [cursor.take(ID_BYTES) for _ in range(cursor.count(SEGMENTS_MAX))]
    segments: list[PackedSegment] = []
    end = len(MAGIC)
    for _ in range(cursor.count(SEGMENTS_MAX)):
        row = _SEGMENT.unpack(cursor.take(_SEGMENT.size))
        segment, session, offset, stored, count, stream = row
        if session >= len(sessions) or not 1 <= count <= CHUNKS_MAX or stream not in (1, 2):
            raise cursor.malformed(f"row {len(segments)} names what is not there")
        if offset != end or not 0 < stored <= PACK_BYTES_MAX:
            raise cursor.malformed(f"row {len(segments)} does not follow the one before")
        end = offset + stored
        chunks = tuple(_CHUNK.iter_unpack(cursor.take(_CHUNK.size * count)))
        if sum(length for _, length in chunks) > PLAIN_BYTES_MAX:
            raise cursor.malformed(f"row {len(segments)} is longer than a segment may be")
        segments.append(
            PackedSegment(segment, sessions[session], offset, stored, StreamType(stream), chunks)
        )
    cursor.end()
    return tuple(segments)
