"""One unambiguous way to put several byte strings into a hash, a key derivation or a signature.

Every part is preceded by its length, and the first part names the protocol and the role, so no
two different lists of parts give the same bytes (the attack of TSSHOCK and CVE-2022-47931).
"""

from typing_extensions import Buffer


def frame(*parts: Buffer) -> bytes:
    """Return `len32le(part) || part` for each part in order."""
    if not parts:
        raise ValueError("a frame needs at least its role")
    out = bytearray()
    for part in parts:
        view = memoryview(part).cast("B")
        out += len(view).to_bytes(4, "little")
        out += view
    return bytes(out)
