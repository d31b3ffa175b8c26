"""Secret scalars modulo l, the prime order of ristretto255 and of ed25519's main subgroup.

l = 2**252 + 27742317777372353535851937790883648493 (RFC 9496 4.4). libsodium does the arithmetic
in constant time and, being lax, would take unreduced scalars; every scalar that arrives from
outside is therefore refused here unless it is below l (quorum.md 6: l+5 acts as 5).
"""

from nacl import bindings as sodium

from strongroom.errors import Damaged

SCALAR_BYTES = 32
WIDE_BYTES = 64
ORDER = 2**252 + 27742317777372353535851937790883648493
ZERO = bytes(SCALAR_BYTES)


def parse_scalar(data: bytes, culprit: str) -> bytes:
    """Return the 32 little-endian bytes when they are a scalar below l; raise Damaged otherwise."""
    if len(data) != SCALAR_BYTES:
        raise Damaged(f"{culprit} is not a scalar", f"wanted 32 bytes, got {len(data)}")
    if int.from_bytes(data, "little") >= ORDER:
        raise Damaged(f"{culprit} is not a reduced scalar", "its value is not below the order l")
    return bytes(data)


def from_wide(wide: bytes) -> bytes:
    """Reduce 64 uniform bytes to a uniform scalar (RFC 9496 4.4); zero is as likely as any."""
    if len(wide) != WIDE_BYTES:
        raise ValueError("a wide reduction takes 64 bytes")
    return sodium.crypto_core_ed25519_scalar_reduce(wide)


def from_int(value: int) -> bytes:
    """Return a small public number (an index) as a scalar."""
    return (value % ORDER).to_bytes(SCALAR_BYTES, "little")


def add(left: bytes, right: bytes) -> bytes:
    """Return left + right mod l."""
    return sodium.crypto_core_ed25519_scalar_add(left, right)


def multiply(left: bytes, right: bytes) -> bytes:
    """Return left * right mod l."""
    return sodium.crypto_core_ed25519_scalar_mul(left, right)
