"""Hashes: BLAKE3 for content, SHA-256 where a custodian or a stranger has to recompute."""

import hashlib
import hmac
from collections.abc import Callable

from blake3 import blake3

from strongroom.crypto.framing import frame

DIGEST_BYTES = 32

Bytes = bytes | bytearray | memoryview
KeyedHash = Callable[[Bytes], bytes]


class Digest:
    """A running BLAKE3-256 of a stream."""

    def __init__(self) -> None:
        self._hasher = blake3()

    def update(self, data: Bytes) -> None:
        """Take the next bytes of the stream."""
        self._hasher.update(data)

    def hex(self) -> str:
        """Return the digest of everything so far as 64 hexadecimal digits."""
        return self._hasher.hexdigest()


def content_hash(data: Bytes) -> bytes:
    """Return BLAKE3-256 of the bytes."""
    return blake3(data).digest()


def keyed_hash(key: bytes) -> KeyedHash:
    """Return a function that computes BLAKE3 keyed with these 32 bytes."""
    if len(key) != DIGEST_BYTES:
        raise ValueError("a keyed hash needs a key of 32 bytes")

    def digest(data: Bytes) -> bytes:
        return blake3(data, key=key).digest()

    return digest


def statement_hash(role: str, *parts: Bytes) -> bytes:
    """Return SHA-256 over the framed role and parts: the H of docs/formats/share-v1.md."""
    return hashlib.sha256(frame(role.encode(), *parts)).digest()


def same(left: bytes, right: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(left, right)
