"""Identifiers: 16 random bytes written as 32 hexadecimal digits, one type per thing named.

Ids are opaque on purpose: they are the only names that leave the home, so no client's name reaches
a provider. Object keys are paths made of them. Randomness is an argument (`Token`), so that tests
repeat.
"""

import re
from collections.abc import Callable
from typing import NewType

from strongroom.errors import UsageError

Token = Callable[[int], bytes]
"""Return that many unpredictable bytes; `secrets.token_bytes` everywhere but in tests."""

InstallId = NewType("InstallId", str)
ClientId = NewType("ClientId", str)
SourceId = NewType("SourceId", str)
VaultId = NewType("VaultId", str)
SessionId = NewType("SessionId", str)
CustodianId = NewType("CustodianId", str)
LocationId = NewType("LocationId", str)
WriterId = NewType("WriterId", str)

ID_BYTES = 16
KEY_LENGTH_MAX = 400
FILE_NAME_BYTES_MAX = 100
_HEX_ID = re.compile(r"[0-9a-f]{32}")
_CANARY = re.compile(r"[0-9a-f]{32}/vaults/[0-9a-f]{32}/canary/[0-9a-f]{32}")
_KEY = re.compile(r"[0-9a-z][0-9a-z._-]*(/[0-9a-z][0-9a-z._-]*)*")


def new_id(token: Token) -> str:
    """Return a fresh id as 32 hexadecimal digits."""
    return token(ID_BYTES).hex()


def parse_id(text: object, what: str) -> str:
    """Return `text` when it is 32 lower-case hexadecimal digits; raise UsageError otherwise."""
    if isinstance(text, str) and _HEX_ID.fullmatch(text):
        return text
    raise UsageError(f"{what} is not an id", f"wanted 32 hexadecimal digits, got {text!r:.60}")


def check_file_name(name: str) -> str:
    """Return the name when it can be that of one file of a restore; raise ValueError saying why.

    It never climbs or names a folder, passes for no option, and shows on a terminal as it is.
    """
    why = ""
    if not name or name in (".", ".."):
        why = "it is empty, `.` or `..`"
    elif name.startswith("-"):
        why = "it begins with a hyphen, which commands take for an option"
    elif "/" in name or not name.isprintable():
        why = "it holds a slash or a sign that cannot be printed"
    elif len(name.encode()) > FILE_NAME_BYTES_MAX:
        why = f"it is longer than {FILE_NAME_BYTES_MAX} bytes"
    if why:
        raise ValueError(why)
    return name


def check_key(key: str) -> str:
    """Return the key of an object when it is one of ours; raise ValueError otherwise.

    A key never climbs (`..`), hides (a leading dot) or surprises a provider (case, blanks).
    """
    if len(key) <= KEY_LENGTH_MAX and _KEY.fullmatch(key):
        return key
    raise ValueError(f"not an object key: {key!r:.80}")


def is_canary_key(key: str) -> bool:
    """Tell whether this is the key of an object that is there to be destroyed by a check."""
    return _CANARY.fullmatch(key) is not None
