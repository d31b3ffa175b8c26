"""One private value of a fact, and the salted commitment that stands for it in the leaf.

The leaf is for ever and is read by witnesses and auditors; the value is not. So the leaf holds a
hash of the value with a salt, and value and salt lie elsewhere, where they can be deleted: without
the salt, nobody can test a guess against the leaf. See docs/formats/ledger-v1.md, "Private values".
"""

import re
from dataclasses import dataclass
from typing import Final

from strongroom.crypto.hashing import same, statement_hash
from strongroom.errors import Damaged, UsageError
from strongroom.ids import Token, parse_id

SALT_BYTES: Final = 16
VALUE_BYTES_MAX: Final = 16_384
_CUT: Final = b" [cut]"
_ROLE: Final = "strongroom/ledger-v1/commitment"
_FIELD: Final = re.compile(r"[a-z][a-z0-9_.]{0,39}")


class WrongDisclosure(Damaged):
    """A value that is said to be a fact's is not the one that was committed to."""

    code = "wrong_disclosure"
    hint = "Believe the leaf, not the value: it was altered, or belongs to another fact."


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What opens one commitment: of which fact, which field, the salt and the value."""

    fact: str
    field: str
    salt: bytes
    value: str

    def __post_init__(self) -> None:
        """Raise UsageError for what no fact has; a value without a UTF-8 form is refused, too."""
        parse_id(self.fact, "the fact of a private value")
        if not _FIELD.fullmatch(self.field):
            raise UsageError("a private value has no usable name", f"got {self.field!r:.60}")
        if len(self.salt) != SALT_BYTES:
            raise UsageError(f"the salt of {self.field} has not {SALT_BYTES} bytes")
        if not _is_value(self.value):
            raise UsageError(
                f"the private value {self.field} cannot be kept",
                f"wanted at most {VALUE_BYTES_MAX} bytes of UTF-8",
            )

    @classmethod
    def draw(cls, fact: str, field: str, value: str, token: Token) -> "Disclosure":
        """Return a disclosure with a fresh salt; a value that is too long is cut, and says so."""
        if not _is_value(value):
            kept = value.encode("utf-8", "replace")[: VALUE_BYTES_MAX - len(_CUT)]
            value = kept.decode("utf-8", "ignore") + _CUT.decode()
        return cls(fact, field, token(SALT_BYTES), value)

    @property
    def commitment(self) -> str:
        """Return what stands in the leaf: 64 hexadecimal digits."""
        parts = (bytes.fromhex(self.fact), self.field.encode(), self.salt, self.value.encode())
        return statement_hash(_ROLE, *parts).hex()

    def check(self, commitment: str) -> None:
        """Raise WrongDisclosure unless this is what the commitment was made of."""
        if not same(self.commitment.encode(), commitment.encode()):
            raise WrongDisclosure(
                f"the value shown for {self.field} is not that of fact {self.fact[:12]}",
                "its salted hash is not the one in the leaf",
            )


def _is_value(text: str) -> bool:
    try:
        return len(text.encode()) <= VALUE_BYTES_MAX
    except UnicodeEncodeError:
        return False
