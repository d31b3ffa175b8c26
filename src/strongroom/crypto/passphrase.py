"""From a person's passphrase to a key: Argon2id (RFC 9106), 64 MiB, three passes."""

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

SALT_BYTES = 16
MEMORY_KIB = 64 * 1024
PASSES = 3
LANES = 1


def stretch(passphrase: str, salt: bytes) -> bytes:
    """Return 32 bytes; takes about a quarter of a second on purpose."""
    return Argon2id(
        salt=salt, length=32, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB
    ).derive(passphrase.encode())
