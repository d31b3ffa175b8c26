"""Taking a header's fields one by one, so that what nobody asked for is refused.

Every reader of this room parses foreign bytes through this class: each field has a type and a
limit, none may be missing, and `done` refuses what is left over. The culprit is part of each error.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from strongroom.clock import parse_instant
from strongroom.errors import Damaged

ID_DIGITS = 32
HASH_DIGITS = 64
NAME_LENGTH_MAX = 64
NUMBER_MAX = (1 << 53) - 1
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


class Fields:
    """The fields of one object, each taken exactly once; every error is Damaged and names both."""

    def __init__(self, raw: object, what: str) -> None:
        """Take over an object; refuse anything but a mapping."""
        if not isinstance(raw, Mapping):
            raise Damaged(f"{what} is malformed", "it is not a JSON object")
        self.what = what
        self._left: dict[str, Any] = dict(raw)

    def refuse(self, why: str) -> Damaged:
        """Return the error that names this object."""
        return Damaged(f"{self.what} is malformed", why)

    def take(self, name: str) -> Any:
        """Return a field of any type; refuse the object when it is missing."""
        if name not in self._left:
            raise self.refuse(f"the field {name!r} is missing")
        return self._left.pop(name)

    def has(self, name: str) -> bool:
        """Return whether a field that may be left out is there and was not taken yet."""
        return name in self._left

    def text(self, name: str) -> str:
        """Return a printable name of 1 to 64 characters."""
        value = self.take(name)
        if not isinstance(value, str) or not 1 <= len(value) <= NAME_LENGTH_MAX:
            raise self.refuse(f"{name} must be a text of 1 to {NAME_LENGTH_MAX} characters")
        if not value.isprintable():
            raise self.refuse(f"{name} holds characters that cannot be printed")
        return value

    def exact(self, name: str, wanted: str) -> None:
        """Take a field that must have this one value."""
        value = self.take(name)
        if value != wanted:
            raise self.refuse(f"{name} must be {wanted!r}, it is {value!r:.80}")

    def choice(self, name: str, *allowed: str) -> str:
        """Return a text that is one of these."""
        value = self.take(name)
        if not isinstance(value, str) or value not in allowed:
            raise self.refuse(f"{name} must be one of {', '.join(allowed)}")
        return value

    def id(self, name: str) -> str:
        """Return an id as 32 hexadecimal digits."""
        return self.hex(name, ID_DIGITS)

    def hash(self, name: str) -> str:
        """Return a hash as 64 hexadecimal digits."""
        return self.hex(name, HASH_DIGITS)

    def key(self, name: str) -> bytes:
        """Return the 32 bytes of an Ed25519 key."""
        return bytes.fromhex(self.hex(name, HASH_DIGITS))

    def hex(self, name: str, digits: int) -> str:
        """Return exactly that many lower-case hexadecimal digits."""
        return checked_hex(self.take(name), digits, name, self.what)

    def number(self, name: str, least: int, most: int = NUMBER_MAX) -> int:
        """Return an integer within both limits; true and false are no integers."""
        value = self.take(name)
        if type(value) is not int or not least <= value <= most:
            raise self.refuse(f"{name} must be an integer from {least} to {most}")
        return value

    def instant(self, name: str) -> datetime:
        """Return an instant in the one form we write."""
        value = self.take(name)
        try:
            return parse_instant(value)
        except Damaged as err:
            raise self.refuse(f"{name} is not an instant") from err

    def bytes(self, name: str, length: int) -> bytes:
        """Return exactly that many bytes from canonical standard base64."""
        return checked_base64(self.take(name), length, name, self.what)

    def list(self, name: str, most: int) -> list[Any]:
        """Return a list of at most that many items of any type."""
        value = self.take(name)
        if not isinstance(value, list) or len(value) > most:
            raise self.refuse(f"{name} must be a list of at most {most}")
        return value

    def done(self) -> None:
        """Refuse the object when a field is left that nobody asked for."""
        if self._left:
            raise self.refuse(f"unknown field {min(self._left)!r:.80}")


def checked_hex(value: object, digits: int, name: str, what: str) -> str:
    """Return the value when it is exactly that many lower-case hexadecimal digits."""
    if not isinstance(value, str) or len(value) != digits or not _HEX.fullmatch(value):
        raise Damaged(f"{what} is malformed", f"{name} must be {digits} hexadecimal digits")
    return value


def checked_base64(value: object, length: int, name: str, what: str) -> bytes:
    """Return exactly that many bytes; base64 that encodes back differently is refused."""
    try:
        data = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != length or base64.b64encode(data).decode() != value:
        raise Damaged(f"{what} is malformed", f"{name} must be {length} bytes in base64")
    return data


def to_base64(data: bytes) -> str:
    """Return standard base64 with padding."""
    return base64.b64encode(data).decode()
