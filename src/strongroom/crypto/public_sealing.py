"""Sealing to somebody's public key: HPKE base mode with X-Wing (RFC 9180, kem 0x647a).

X-Wing is ML-KEM-768 and X25519 together, so a recording made today stays closed to a quantum
computer of tomorrow. A private key is kept as its 32-byte seed and expanded with SHAKE256 as in
draft-connolly-cfrg-xwing-kem. There is no additional data; what a seal is bound to goes into
`info`.
"""

import hashlib
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from strongroom.errors import Damaged

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 1216
OVERHEAD_BYTES = 1120 + 16
_MLKEM_PUBLIC_BYTES = 1184


@lru_cache(maxsize=1)
def _suite() -> Suite:
    return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def _private(seed: bytes) -> MLKEM768X25519PrivateKey:
    if len(seed) != SEED_BYTES:
        raise ValueError("an X-Wing seed has 32 bytes")
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
        X25519PrivateKey.from_private_bytes(expanded[64:]),
    )


def public_key(seed: bytes) -> bytes:
    """Return the 1216 public bytes (ML-KEM-768 then X25519) that belong to a 32-byte seed."""
    if len(seed) != SEED_BYTES:
        raise ValueError("an X-Wing seed has 32 bytes")
    expanded = hashlib.shake_256(seed).digest(96)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]).public_key().public_bytes_raw()
    x25519 = X25519PrivateKey.from_private_bytes(expanded[64:]).public_key().public_bytes_raw()
    return mlkem + x25519


def seal_to(public: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Return `enc || ciphertext || tag`; raise Damaged when the public key is malformed."""
    if len(public) != PUBLIC_KEY_BYTES:
        raise Damaged("a public key is malformed", f"wanted 1216 bytes, got {len(public)}")
    try:
        key = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC_BYTES]),
            X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC_BYTES:]),
        )
    except ValueError as err:
        raise Damaged("a public key is malformed", str(err)) from err
    return _suite().encrypt(plaintext, key, info=info)


def open_from(seed: bytes, sealed: bytes, info: bytes) -> bytes:
    """Decrypt what `seal_to` returned for this seed and info; raise Damaged otherwise."""
    key = _private(seed)
    try:
        return _suite().decrypt(sealed, key, info=info)
    except (InvalidTag, ValueError) as err:
        raise Damaged(
            "a sealed message does not open",
            "made for another key or purpose, or altered since",
        ) from err
