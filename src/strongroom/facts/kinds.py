"""The kinds of values that a fact may hold, each closed: nothing else has a place in a leaf.

Nothing here is free text. What a person typed or named (a URL, a path, a name) is a *private* field
of a fact: only a salted commitment to it is in the leaf, and the value can be erased.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

INTEGER_MAX: Final = (1 << 53) - 1
"""The greatest integer that every reader of JSON takes for itself."""
LIST_MAX: Final = 256
"""How many values one list may hold: a leaf has a largest size."""

FactValue = str | int | bool | list[str] | list[int]


@dataclass(frozen=True, slots=True)
class Kind:
    """A set of values; `says` is how the reference names it, `fits` judges one value."""

    says: str
    fits: Callable[[object], bool]


def _text(says: str, pattern: str) -> Kind:
    matches = re.compile(pattern).fullmatch
    return Kind(says, lambda value: type(value) is str and matches(value) is not None)


def one_of(*words: str) -> Kind:
    """Return the kind of these words and no others."""
    known = frozenset(words)
    says = " or ".join(f"`{word}`" for word in words)
    return Kind(says, lambda value: type(value) is str and value in known)


def many(kind: Kind) -> Kind:
    """Return the kind of lists of another kind."""
    fits = kind.fits
    return Kind(
        f"list of {kind.says}, at most {LIST_MAX}",
        lambda value: type(value) is list and len(value) <= LIST_MAX and all(map(fits, value)),
    )


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= INTEGER_MAX


ID: Final = _text("id", "[0-9a-f]{32}")
HASH: Final = _text("hash", "[0-9a-f]{64}")
PUBLIC_KEY: Final = _text("public key", "[0-9a-f]{64}")
COMMITMENT: Final = _text("id and hash", "[0-9a-f]{32} [0-9a-f]{64}")
ANCHOR: Final = _text("id, size and root", "[0-9a-f]{32} [0-9]{1,16} [0-9a-f]{64}")
KEEP: Final = _text("keep policy", "(?:[0-9]{1,5}[dwmf]){1,4}")
COUNT: Final = Kind("count", _is_count)
FLAG: Final = Kind("true or false", lambda value: type(value) is bool)
CLASS: Final = one_of("normal", "high")
ANSWER: Final = one_of("yes", "no", "unknown")
