"""What is found by which words: a leaf's words, and what a person asks for.

The search file and the full scan ask the same two questions here, so they cannot disagree. A word
is a run of letters and digits in lower case, or `field=value` for the fields known by name.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from strongroom.clock import format_instant
from strongroom.errors import Damaged, UsageError

FIELDS: Final = (
    "op", "out", "why", "who", "behalf", "client", "subject", "run", "phase", "ref", "id",
)  # fmt: skip
"""What can be asked for by name, as `out:denied`."""
TEXT_LENGTH_MAX: Final = 1000
TERMS_MAX: Final = 30
PREFIX_LENGTH_MIN: Final = 3
ID_DIGITS_MIN: Final = 8
"""So many digits of an id stand for all of it."""
_WORD: Final = re.compile(r"[^\W_]+")
_ODD: Final = re.compile(r"[^0-9a-z._-]")
_ID_BEGIN: Final = re.compile(rf"[0-9a-f]{{{ID_DIGITS_MIN},63}}")
_ID_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class Term:
    """One word that a leaf must have, or the beginning of one."""

    word: str
    prefix: bool = False

    def fits(self, words: frozenset[str]) -> bool:
        """Tell whether a leaf with these words has it."""
        if self.prefix:
            return any(word.startswith(self.word) for word in words)
        return self.word in words


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for: every term, and no earlier than an instant."""

    terms: tuple[Term, ...] = ()
    since: datetime | None = None

    @classmethod
    def parse(cls, text: str, since: datetime | None = None) -> "Query":
        """Read words, beginnings as `restor*` and fields as `out:denied`; all must be there."""
        if len(text) > TEXT_LENGTH_MAX:
            raise UsageError(
                "this is too long to be searched for", f"at most {TEXT_LENGTH_MAX} signs are taken"
            )
        terms = [term for part in text.split() for term in _terms(part)]
        if len(terms) > TERMS_MAX:
            raise UsageError(
                "these are too many words to be searched for", f"at most {TERMS_MAX} are taken"
            )
        if text.strip() and not terms:
            raise UsageError(f"{text!r:.60} has no word in it", "a word is of letters and digits")
        return cls(tuple(dict.fromkeys(terms)), since)

    def fits(self, words: frozenset[str], at: str) -> bool:
        """Tell whether a leaf with these words, of this time, is asked for."""
        if self.since is not None and at < format_instant(self.since):
            return False
        return all(term.fits(words) for term in self.terms)


@dataclass(frozen=True, slots=True)
class Words:
    """A leaf as it is searched: its words, and its time as text."""

    words: frozenset[str]
    at: str
    private: bool
    """Whether the fact has commitments, so that there may be something to disclose."""

    @classmethod
    def of(cls, leaf: bytes) -> "Words":
        """Read a leaf's bytes; raise Damaged for what is no fact."""
        try:
            fact = json.loads(leaf)
            words = set(_fact_words(fact))
            return cls(frozenset(words), _time(fact["at"]), bool(fact.get("sd")))
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as err:
            raise Damaged(
                "a leaf of the ledger cannot be read",
                "it holds no fact",
                hint="Run `strongroom ledger verify` to see what is hit.",
            ) from err

    def disclosing(self, values: Iterable[str]) -> "Words":
        """Return the same leaf with what its commitments open to."""
        more = frozenset(word for value in values for word in words_of(value))
        return Words(self.words | more, self.at, self.private)


def _time(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError
    return text


def words_of(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return _WORD.findall(text.casefold())


def _fact_words(fact: dict[str, Any]) -> Iterator[str]:
    told = {**fact, "who": fact["who"]["id"]}
    for field in FIELDS:
        value = told.get(field)
        if value:
            yield _named(field, value)
            yield from words_of(value)
    yield _named("op", fact["op"].partition(".")[0])
    yield from _value_words(fact["body"])


def _value_words(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from words_of(value)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _value_words(one)
    elif isinstance(value, list):
        for one in value:
            yield from _value_words(one)
    elif type(value) is int:
        yield str(abs(value))


def _named(field: str, value: str) -> str:
    return f"{field}={_ODD.sub('_', value.casefold())}"


def _terms(part: str) -> Iterator[Term]:
    field, colon, value = part.partition(":")
    begins = part.endswith("*")
    if colon and field in FIELDS and value.strip("*"):
        word = _named(field, value.rstrip("*"))
        yield Term(word, begins or _cut_short(value))
        return
    words = words_of(part)
    for word in words[:-1]:
        yield Term(word, _cut_short(word))
    for word in words[-1:]:
        if begins and len(word) < PREFIX_LENGTH_MIN:
            raise UsageError(
                f"{part!r:.40} is too short a beginning",
                f"wanted {PREFIX_LENGTH_MIN} signs or more before the star",
            )
        yield Term(word, begins or _cut_short(word))


def _cut_short(word: str) -> bool:
    """Tell whether a word may be an id or a hash of which a table showed the first digits."""
    return len(word) != _ID_LENGTH and _ID_BEGIN.fullmatch(word) is not None
