"""Ed25519 (RFC 8032) over framed messages; a signature made for one purpose fits no other.

`sign_plain` and `verify_plain` are for the formats of the ledger, which others specified.
"""

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import content_hash
from strongroom.errors import Damaged
from strongroom.ids import ID_BYTES

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
_REMEMBERED_BYTES_MAX: Final = 16 << 10
_REMEMBERED_MAX: Final = 256


def public_key(seed: bytes) -> bytes:
    """Return the 32 public bytes that belong to a 32-byte seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def key_id(public: bytes) -> str:
    """Return the id of a public key: the first 16 bytes of its BLAKE3-256, in hexadecimal."""
    return content_hash(public)[:ID_BYTES].hex()


def sign(seed: bytes, purpose: str, message: bytes) -> bytes:
    """Return 64 bytes over the framed purpose and message."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(frame(purpose.encode(), message))


def sign_plain(seed: bytes, message: bytes) -> bytes:
    """Return 64 bytes over the message alone, where a format of others says what is signed.

    The key must sign nothing else: no purpose keeps its signatures apart.
    """
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def verify_plain(public: bytes, message: bytes, signature: bytes, culprit: str) -> None:
    """Raise Damaged naming the culprit unless this key signed this message alone."""
    _check(public, message, signature, culprit)


def verify(public: bytes, purpose: str, message: bytes, signature: bytes, culprit: str) -> None:
    """Raise Damaged naming the culprit unless this key signed this message for this purpose."""
    _check(public, frame(purpose.encode(), message), signature, culprit)


def _check(public: bytes, signed: bytes, signature: bytes, culprit: str) -> None:
    check = _verify if len(signed) <= _REMEMBERED_BYTES_MAX else _verify.__wrapped__
    try:
        check(public, signed, signature)
    except (InvalidSignature, ValueError) as err:
        raise Damaged(
            f"{culprit} carries a wrong signature",
            f"the key {public.hex()[:16]} did not sign it: forged, or altered since",
        ) from err


@lru_cache(_REMEMBERED_MAX)
def _verify(public: bytes, signed: bytes, signature: bytes) -> None:
    """Verify once what a backup reads at every step; only what verified is remembered."""
    Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
