"""A segment: some chunks in a row, compressed and sealed together. The unit of sealing.

Pure: the codec and the keys are arguments. A reader trusts no number in a segment before it has
compared it with the limits of docs/formats/vault-v1.md, so a hostile one costs no memory.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import Bytes
from strongroom.crypto.sealing import Cipher, open_sealed, seal
from strongroom.errors import Damaged
from strongroom.vault.keys import SessionKeys

CHUNKS_MAX: Final = 8192
PLAIN_BYTES_MAX: Final = 8 << 20
CLOSE_AT_BYTES: Final = 512 << 10
STORED: Final = 0
ZSTD: Final = 1
_KIND: Final = "segment"
_ROOT: Final = "root"


class Codec(Protocol):
    """Compresses and decompresses one payload at a time; safe to share between threads."""

    def compress(self, data: Bytes) -> bytes:
        """Return one frame that names its content size."""
        ...

    def decompress(self, data: Bytes, most_bytes: int) -> bytes:
        """Return what one frame holds; raises Damaged before it takes memory for more."""
        ...


@dataclass(frozen=True, slots=True)
class Segment:
    """An opened segment: its chunks, one after another, and how long each is."""

    lengths: tuple[int, ...]
    payload: bytes


def encode_segment(lengths: Sequence[int], payload: Bytes, codec: Codec) -> bytes:
    """Return the plain form: lengths, method, payload, compressed only where that is shorter."""
    if not 1 <= len(lengths) <= CHUNKS_MAX or len(payload) > PLAIN_BYTES_MAX:
        raise ValueError(f"{len(lengths)} chunks of {len(payload)} bytes are no segment")
    packed = codec.compress(payload)
    method, body = (ZSTD, packed) if len(packed) < len(payload) else (STORED, payload)
    return b"".join((struct.pack(f"<I{len(lengths)}IB", len(lengths), *lengths, method), body))


def decode_segment(plain: bytes, codec: Codec) -> Segment:
    """Read the plain form; raise Damaged when a length or a limit does not hold."""
    if len(plain) < 5:
        raise Damaged("a segment is cut short", f"it has {len(plain)} bytes")
    (count,) = struct.unpack_from("<I", plain)
    start = 5 + 4 * count
    if not 1 <= count <= CHUNKS_MAX or len(plain) < start:
        raise Damaged("a segment is malformed", f"it claims {count} chunks")
    lengths: tuple[int, ...] = struct.unpack_from(f"<{count}I", plain, 4)
    total = sum(lengths)
    if 0 in lengths or total > PLAIN_BYTES_MAX:
        raise Damaged("a segment is malformed", f"its chunks claim {total} bytes")
    body = memoryview(plain)[start:]
    method = plain[start - 1]
    if method not in (STORED, ZSTD):
        raise Damaged("a segment is malformed", f"there is no method {method}")
    payload = codec.decompress(body, total) if method == ZSTD else bytes(body)
    if len(payload) != total:
        raise Damaged("a segment is malformed", f"it holds {len(payload)} of {total} bytes")
    return Segment(lengths, payload)


def seal_segment(vault: bytes, keys: SessionKeys, segment: bytes, plain: bytes) -> bytes:
    """Return the sealed segment: once in class normal, twice in class high."""
    return _seal(_KIND, vault, keys, segment, plain)


def open_segment(vault: bytes, keys: SessionKeys, segment: bytes, sealed: Bytes) -> bytes:
    """Return the plain form of a sealed segment; raises Damaged."""
    return _open(_KIND, vault, keys, segment, sealed)


def seal_root(vault: bytes, keys: SessionKeys, salt: bytes, plain: bytes) -> bytes:
    """Return the sealed root of one source, without its salt."""
    return _seal(_ROOT, vault, keys, salt, plain)


def open_root(vault: bytes, keys: SessionKeys, salt: bytes, sealed: Bytes) -> bytes:
    """Return the root of one source; raises Damaged."""
    return _open(_ROOT, vault, keys, salt, sealed)


def _seal(kind: str, vault: bytes, keys: SessionKeys, salt: bytes, plain: bytes) -> bytes:
    context = frame(vault, bytes.fromhex(keys.session))
    inner = seal(keys.inner, kind, salt, context, plain)
    if keys.outer is None:
        return inner
    return seal(keys.outer, kind, salt, context, inner, Cipher.CHACHA20_POLY1305)


def _open(kind: str, vault: bytes, keys: SessionKeys, salt: bytes, sealed: Bytes) -> bytes:
    context = frame(vault, bytes.fromhex(keys.session))
    inner = sealed
    if keys.outer is not None:
        inner = open_sealed(keys.outer, kind, salt, context, sealed, Cipher.CHACHA20_POLY1305)
    return open_sealed(keys.inner, kind, salt, context, inner)
