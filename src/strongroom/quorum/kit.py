"""Recovery kits: a custodian's 24 words, and its key table sealed to them.

The words are the recovery key itself (BIP-39, English list). Entries of the key table lie at
every location; they open under a key derived from the words, and each is bound to its place, so
none can be moved to another name or custodian. A wrong word is never repeated in an error.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mnemonic import Mnemonic

from strongroom.crypto import canonical
from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import same
from strongroom.crypto.sealing import KEY_BYTES, SALT_BYTES, derive, open_sealed, seal
from strongroom.errors import Damaged, UsageError
from strongroom.ids import CustodianId, InstallId, Token, parse_id

MAGIC = b"SRKIT\x01"
ENTRY_KIND = "kit-entry"
ENTRY_BYTES_MAX = 1 << 20
PAGE_ENTRIES = 500
PAGE_BYTES = 16 << 20
WORDS = 24
CONFIRMED_POSITIONS_MIN = 2


@dataclass(frozen=True, slots=True)
class Kit:
    """The recovery key R of one custodian, 32 random bytes."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a key of another length."""
        if len(self.secret) != KEY_BYTES:
            raise ValueError("a recovery key has 32 bytes")

    @classmethod
    def from_words(cls, text: str) -> "Kit":
        """Read 24 typed words; raise UsageError that says which is wrong without repeating it."""
        words = [_plain(word) for word in text.split()]
        if len(words) != WORDS:
            raise UsageError("a kit has 24 words", f"{len(words)} were given", _HINT)
        known = frozenset(_list().wordlist)
        wrong = [str(at) for at, word in enumerate(words, 1) if word not in known]
        if wrong:
            which = f"word {wrong[0]} is" if len(wrong) == 1 else f"words {', '.join(wrong)} are"
            raise UsageError("the words are not those of a kit", f"{which} not in the list", _HINT)
        try:
            return cls(bytes(_list().to_entropy(words)))
        except ValueError as err:
            raise UsageError(
                "the words are not those of a kit",
                "every word is in the list but the checksum fails: one is wrong or out of place",
                _HINT,
            ) from err

    @property
    def words(self) -> tuple[str, ...]:
        """Return the 24 words; show them once and never write them down by machine."""
        return tuple(_list().to_mnemonic(self.secret).split())

    def check_words(self, typed: Mapping[int, str]) -> None:
        """Raise UsageError unless each typed word is the one at its position, from 1."""
        if len(typed) < CONFIRMED_POSITIONS_MIN or not all(1 <= at <= WORDS for at in typed):
            raise UsageError("a kit is confirmed by two of its words", "positions are 1 to 24")
        words = self.words
        verdicts = [same(_padded(words[at - 1]), _padded(word)) for at, word in typed.items()]
        if verdicts.count(True) != len(typed):
            which = f"those at positions {', '.join(map(str, typed))}"
            raise UsageError(
                "the kit is not confirmed",
                f"the words typed are not {which if len(typed) < WORDS else 'those of this kit'}",
                _HINT,
            )

    def key(self, install: InstallId) -> bytes:
        """Return the key that the entries of this kit are sealed under."""
        return derive(self.secret, "kit", b"", install_bytes(install))

    def check_entry(self, path: str, data: bytes) -> None:
        """Raise Damaged unless these bytes are an entry of this kit's key table at this path."""
        place = EntryPlace.parse(path)
        place.open(self.key(place.install), data)


_HINT = "Read the words from the kit again, in order; capital letters do not matter."


@dataclass(frozen=True, slots=True)
class EntryPlace:
    """Where an entry of a key table lies: `<install>/kits/<custodian>/<name>`."""

    install: InstallId
    custodian: CustodianId
    name: str

    @property
    def path(self) -> str:
        """Return the entry's key at every location."""
        return f"{self.install}/kits/{self.custodian}/{self.name}"

    @classmethod
    def parse(cls, path: str) -> "EntryPlace":
        """Read a path; raise Damaged when it is not that of an entry."""
        parts = path.split("/")
        try:
            if len(parts) != 4 or parts[1] != "kits" or not parts[3]:
                raise UsageError("it is not <install>/kits/<custodian>/<name>")
            install = InstallId(parse_id(parts[0], "the install"))
            custodian = CustodianId(parse_id(parts[2], "the custodian"))
        except UsageError as err:
            raise Damaged(f"{path!r:.120} is not the path of a kit entry", str(err)) from err
        return cls(install, custodian, parts[3])

    def seal(self, kit_key: bytes, fields: Mapping[str, Any], token: Token) -> bytes:
        """Return the entry's bytes; keep them, a retry sends the same."""
        salt = token(SALT_BYTES)
        plain = canonical.dumps(dict(fields))
        return MAGIC + salt + seal(kit_key, ENTRY_KIND, salt, self._context(), plain)

    def open(self, kit_key: bytes, data: bytes) -> Any:
        """Return what an entry holds; raise Damaged naming it when it is not ours."""
        body = data[len(MAGIC) + SALT_BYTES :]
        if data[: len(MAGIC)] != MAGIC or not body or len(data) > ENTRY_BYTES_MAX:
            raise Damaged(f"the kit entry {self.path} is not one", "its first bytes or its length")
        salt = data[len(MAGIC) : len(MAGIC) + SALT_BYTES]
        try:
            return json.loads(open_sealed(kit_key, ENTRY_KIND, salt, self._context(), body))
        except Damaged as err:
            raise Damaged(f"the kit entry {self.path} does not open", err.why) from err
        except (ValueError, RecursionError) as err:
            raise Damaged(f"the kit entry {self.path} cannot be read", "it is not JSON") from err

    def _context(self) -> bytes:
        return frame(install_bytes(self.install), bytes.fromhex(self.custodian), self.name.encode())


def first_page(entries: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Return as many of these, from the first on, as are told at once."""
    total = 0
    for number, (_, data) in enumerate(entries[:PAGE_ENTRIES], 1):
        total += len(data)
        if total >= PAGE_BYTES:
            return entries[:number]
    return entries[:PAGE_ENTRIES]


def is_last_page(page: Sequence[tuple[str, bytes]]) -> bool:
    """Return whether nothing comes after a page: more would have been in it."""
    return len(page) < PAGE_ENTRIES and sum(len(data) for _, data in page) < PAGE_BYTES


def find_custodian(
    kit: Kit, entries: Sequence[tuple[EntryPlace, bytes]]
) -> tuple[InstallId, CustodianId]:
    """Return whose kit this is: the custodian with an identity entry that these words open."""
    for place, data in entries:
        if not place.name.startswith("identity-"):
            continue
        try:
            place.open(kit.key(place.install), data)
        except Damaged:
            # An entry of another custodian does not open under these words; that is no damage.
            continue
        return place.install, place.custodian
    raise Damaged(
        "the words open no custodian's key table",
        f"{len(entries)} kit entries were found; none is this kit's, or its entry was altered",
        "Check that the kit and the locations are of the same install.",
    )


def install_bytes(install: InstallId) -> bytes:
    """Return the 16 bytes of an install's id."""
    return bytes.fromhex(install)


@lru_cache(maxsize=1)
def _list() -> Mnemonic:
    return Mnemonic("english")


def _plain(word: str) -> str:
    return word.strip().lower()


def _padded(word: str) -> bytes:
    return _plain(word).encode().ljust(64, b"\0")
