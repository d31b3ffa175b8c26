"""One unambiguous way to put several byte strings into a hash, a key derivation or a signature.

Every part is preceded by its length, and the first part names the protocol and the role, so no
two different lists of parts give the same bytes (the attack of TSSHOCK and CVE-2022-47931).
"""

from typing import Final

from typing_extensions import Buffer

_LENGTH_BYTES: Final = 4


def frame(*parts: Buffer) -> bytes:
    """Return `len32le(part) || part` for each part in order."""
    if not parts:
        raise ValueError("a frame needs at least its role")
    out = bytearray()
    for part in parts:
        view = memoryview(part).cast("B")
        out += len(view).to_bytes(_LENGTH_BYTES, "little")
        out += view
    return bytes(out)


def unframe(data: bytes, parts_max: int) -> list[bytes]:
    """Return the parts that `frame` put together; raise ValueError where it did not, or for more.

    No part is copied before its length is known to fit.
    """
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        if len(parts) == parts_max:
            raise ValueError(f"it has over {parts_max} parts")
        begin = at + _LENGTH_BYTES
        end = begin + int.from_bytes(data[at:begin], "little")
        if begin > len(data) or end > len(data):
            raise ValueError("a part is cut short")
        parts.append(bytes(data[begin:end]))
        at = end
    return parts
