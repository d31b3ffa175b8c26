"""The index object: which segment lies where, signed by the writer and sealed for its peers.

Pure. Only objects that a snapshot names count, and of a pack only the segments they list: a pack
may also hold segments of a source that failed, whose session has no keys.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from strongroom.crypto.envelope import Envelope, decode_envelope, sign_envelope
from strongroom.crypto.framing import frame
from strongroom.crypto.sealing import SALT_BYTES, open_sealed, seal
from strongroom.crypto.signing import key_id
from strongroom.errors import Damaged, UsageError
from strongroom.ids import ID_BYTES
from strongroom.vault.codec import Zstandard
from strongroom.vault.index_rows import ReadSegment, SegmentPlace
from strongroom.vault.keys import WorkerKeys
from strongroom.vault.pack import MAGIC, PACK_BYTES_MAX, SEGMENTS_MAX
from strongroom.vault.place import VaultPlace
from strongroom.vault.segment import CHUNKS_MAX, PLAIN_BYTES_MAX, Codec

FORMAT: Final = "vault-v1"
INDEX_BYTES_MAX: Final = 256 << 20
"""About a hundred bytes a segment: enough for a first backup of a terabyte."""
_KIND: Final = "index"
_HASH_DIGITS: Final = 64
_HEX: Final = frozenset("0123456789abcdef")
_Row = tuple[str, str, int, int, int, int, int]


class _Pack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    bytes: int
    segments: tuple[_Row, ...]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    packs: tuple[_Pack, ...]


@dataclass(frozen=True, slots=True)
class ListedPack:
    """A pack as an index object lists it."""

    id: str
    size_bytes: int
    segments: tuple[ReadSegment, ...]


def encode_index(
    place: VaultPlace,
    keys: WorkerKeys,
    sequence: int,
    packs: Iterable[tuple[str, int, Sequence[SegmentPlace]]],
    salt: bytes,
) -> Envelope:
    """Return the signed index object of the packs of one snapshot."""
    table = _Table(
        tuple(
            _Pack(
                pack,
                size,
                tuple(
                    (
                        one.id.hex(),
                        one.session.hex(),
                        one.offset,
                        one.stored_bytes,
                        one.chunks,
                        one.plain_bytes,
                        one.stream,
                    )
                    for one in segments
                ),
            )
            for pack, size, segments in packs
        )
    )
    plain = msgspec.json.encode(table)
    if len(plain) > INDEX_BYTES_MAX:
        raise UsageError(
            "the snapshot stores too much for one index object",
            f"it takes {len(plain)} bytes, at most {INDEX_BYTES_MAX}",
            hint="Give the largest sources a client of their own.",
        )
    packed = Zstandard().compress(plain)
    context = frame(place.vault_bytes, keys.writer_public)
    body = salt + seal(keys.structure, _KIND, salt, context, packed)
    return sign_envelope(
        keys.writer_seed, _KIND, _header(place, keys.writer_public, sequence), body
    )


def decode_index(
    data: bytes, place: VaultPlace, structure: bytes, writer: bytes, sequence: int, codec: Codec
) -> tuple[bytes, tuple[ListedPack, ...]]:
    """Verify, open and parse an index object; return its hash and the packs. Raises Damaged."""
    culprit = f"the index object of snapshot {sequence}"
    envelope = decode_envelope(data, culprit)
    envelope.statement.verify(writer, culprit)
    if envelope.statement.fields(_KIND) != _header(place, writer, sequence):
        raise Damaged(f"{culprit} belongs elsewhere", "its header names another place")
    body = envelope.body
    context = frame(place.vault_bytes, writer)
    packed = open_sealed(structure, _KIND, body[:SALT_BYTES].ljust(SALT_BYTES), context, body[16:])
    try:
        table = msgspec.json.decode(codec.decompress(packed, INDEX_BYTES_MAX), type=_Table)
    except ValueError as err:
        raise Damaged(f"{culprit} cannot be read", str(err)) from err
    return envelope.statement.hash, tuple(_listed(pack, culprit) for pack in table.packs)


def _header(place: VaultPlace, writer: bytes, sequence: int) -> dict[str, object]:
    return {
        "format": FORMAT,
        "install": place.install,
        "vault": place.vault,
        "writer": key_id(writer),
        "sequence": sequence,
    }


def _listed(pack: _Pack, culprit: str) -> ListedPack:
    sized = len(MAGIC) < pack.bytes <= PACK_BYTES_MAX and len(pack.segments) <= SEGMENTS_MAX
    if not (sized and _is_hex(pack.id, _HASH_DIGITS)):
        raise Damaged(f"{culprit} is malformed", f"pack {pack.id!a:.80} of {pack.bytes} bytes")
    return ListedPack(
        pack.id, pack.bytes, tuple(_segment(row, pack, culprit) for row in pack.segments)
    )


def _segment(row: _Row, pack: _Pack, culprit: str) -> ReadSegment:
    segment, session, offset, stored, chunks, plain, stream = row
    inside = len(MAGIC) <= offset and 0 < stored <= pack.bytes - offset
    counted = 1 <= chunks <= CHUNKS_MAX and chunks <= plain <= PLAIN_BYTES_MAX
    named = all(_is_hex(one, 2 * ID_BYTES) for one in (segment, session))
    if not (inside and counted and named and stream in (1, 2)):
        raise Damaged(f"{culprit} is malformed", f"a segment of pack {pack.id}: {row!a:.120}")
    return ReadSegment(
        bytes.fromhex(segment), bytes.fromhex(session), offset, stored, chunks, plain, stream
    )


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and _HEX.issuperset(text)
