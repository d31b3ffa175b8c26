"""A plan: what a dry run showed of an act, as lines that a person reads before approving.

Names and places stand here and nowhere in the request, which holds the plan's digest: so no name
gets to a custodian, and still nobody can show one thing and have another approved. Pure. Format:
docs/formats/request-file-v1.md.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from mnemonic import Mnemonic

from strongroom.crypto.hashing import statement_hash
from strongroom.errors import Damaged, printable

LINES_MAX: Final = 200
LINE_LENGTH_MAX: Final = 500
CHECK_WORDS: Final = 6
_ROLE: Final = "strongroom/procedure-v1/plan"
_BITS_A_WORD: Final = 11


@dataclass(frozen=True, slots=True)
class Plan:
    """Lines for people; `digest` is what the request holds of them."""

    lines: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse lines that could not be shown as they are."""
        if not 1 <= len(self.lines) <= LINES_MAX:
            raise Damaged("a plan is malformed", f"wanted 1 to {LINES_MAX} lines")
        for line in self.lines:
            if len(line) > LINE_LENGTH_MAX or not line.isprintable():
                raise Damaged(
                    "a plan is malformed",
                    f"a line is over {LINE_LENGTH_MAX} signs, or holds some that cannot be shown",
                )

    @classmethod
    def of(cls, *lines: str) -> "Plan":
        """Return a plan of these lines; odd signs are escaped and what is too long is cut."""
        shown = [printable(line) for line in lines[:LINES_MAX]]
        return cls(
            tuple(
                line if len(line) <= LINE_LENGTH_MAX else f"{line[: LINE_LENGTH_MAX - 3]}..."
                for line in shown
            )
        )

    @property
    def digest(self) -> str:
        """Return SHA-256 over the framed lines, in hexadecimal."""
        return statement_hash(_ROLE, *(line.encode() for line in self.lines)).hex()


def check_words(digest: str) -> tuple[str, ...]:
    """Return the first 66 bits of a request's digest as six words of BIP-39's English list.

    Whoever asks and whoever approves compare them on two screens.
    """
    number = int(digest, 16) >> (len(digest) * 4 - CHECK_WORDS * _BITS_A_WORD)
    mask = (1 << _BITS_A_WORD) - 1
    places = [number >> (_BITS_A_WORD * at) & mask for at in reversed(range(CHECK_WORDS))]
    return tuple(_list()[place] for place in places)


@lru_cache(1)
def _list() -> list[str]:
    words: list[str] = Mnemonic("english").wordlist
    return words
