"""The one nonce rule, and the only door to an AEAD.

Every sealed object draws a salt of 16 random bytes, which is also its id. Its key is
HKDF-Expand(parent, type || salt || context) and encrypts one message with nonce 0. There is no
counter to lose and no cap to count against, and a retry sends the same bytes. Because the context
(who, where, what for) is in the key, a sealed object moved elsewhere does not open; the additional
data is therefore empty. Specified in docs/formats/sealing-v1.md.
"""

from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import Bytes
from strongroom.errors import Damaged

SALT_BYTES: Final = 16
KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
_NONCE = bytes(12)
_ROLE = b"strongroom/sealing-v1"


class Cipher(StrEnum):
    """The two algorithms; class `high` uses both, each under a key dealt on its own."""

    AES_256_GCM = "AES-256-GCM"
    CHACHA20_POLY1305 = "ChaCha20-Poly1305"


def derive(parent: bytes, kind: str, salt: bytes = b"", context: bytes = b"") -> bytes:
    """Return 32 bytes: HKDF-Expand-SHA-512 (RFC 5869) of a uniform parent key of 32 bytes."""
    if len(parent) != KEY_BYTES:
        raise ValueError("a parent key has 32 bytes")
    info = frame(_ROLE, kind.encode(), salt, context)
    return HKDFExpand(algorithm=SHA512(), length=KEY_BYTES, info=info).derive(parent)


def derive_from_secret(secret: bytes, info: bytes) -> bytes:
    """Return a parent key of 32 bytes: HKDF-SHA-512 (RFC 5869) of a secret that is not uniform."""
    return HKDF(algorithm=SHA512(), length=KEY_BYTES, salt=None, info=info).derive(secret)


def seal(
    parent: bytes,
    kind: str,
    salt: bytes,
    context: bytes,
    plaintext: Bytes,
    cipher: Cipher = Cipher.AES_256_GCM,
) -> bytes:
    """Encrypt one message under a key of its own; returns ciphertext and tag, without the salt.

    The caller draws `salt` (16 random bytes) for this one message and never uses it again.
    """
    return _aead(parent, kind, salt, context, cipher).encrypt(_NONCE, plaintext, None)


def open_sealed(
    parent: bytes,
    kind: str,
    salt: bytes,
    context: bytes,
    sealed: Bytes,
    cipher: Cipher = Cipher.AES_256_GCM,
) -> bytes:
    """Decrypt what `seal` returned; raise Damaged when any bit, key or context differs."""
    try:
        return _aead(parent, kind, salt, context, cipher).decrypt(_NONCE, sealed, None)
    except InvalidTag as err:
        raise Damaged(
            f"a sealed {kind} does not open",
            f"{cipher} refused it: altered bytes, another key, or moved from its place",
        ) from err


def _aead(
    parent: bytes, kind: str, salt: bytes, context: bytes, cipher: Cipher
) -> AESGCM | ChaCha20Poly1305:
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 16 bytes")
    key = derive(parent, f"{kind}/{cipher}", salt, context)
    return AESGCM(key) if cipher is Cipher.AES_256_GCM else ChaCha20Poly1305(key)
