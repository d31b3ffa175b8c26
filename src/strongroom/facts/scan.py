"""The last look before something is kept for good: does it look like a secret?

The body of a fact is closed and holds no text that could be one. What is private is what people
typed: a URL may have a password in it, a command a token. Nobody is stopped from working by that:
the value is masked, and a fact of its own is the alarm. In our tests it is refused.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from strongroom.errors import StrongroomError

MASKED: Final = "[masked]"
_RANDOM_SIGNS: Final = 20
_CARD_DIGITS: Final = 13

_NAMES = r"pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|signature"
_LOOKS: Final[tuple[tuple[str, str], ...]] = (
    ("private_key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AGE-SECRET-KEY-1[0-9A-Z]{20}"),
    ("url_password", r"://[^/@:\s]*:[^/@\s]+@"),
    ("web_token", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."),
    ("access_key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}"),
    ("access_key", r"\b(?:xox[abprs]-|gh[pousr]_|github_pat_|glpat-|[sr]k_live_)[0-9A-Za-z_-]{10}"),
    ("authorization", r"(?i)\b(?:authorization\s*[:=]|bearer\s|basic\s)\s*[A-Za-z0-9+/=._~-]{8}"),
    ("named_secret", rf"(?i)(?:{_NAMES})[\"']?\s*[:=]\s*[\"']?[^\s\"'&;,/]"),
    ("named_secret", r"--(?:password|passwd|token|secret)[\s\"',]+[^\s-]"),
    ("named_secret", r"\bmysql\w*\b.*[\s\"']-p[^\s\"']"),
    ("kit_words", r"(?<![a-z])(?:[a-z]{3,8}[ ,\n]+){11}[a-z]{3,8}(?![a-z])"),
)
LOOKS: Final = tuple(sorted({code for code, _ in _LOOKS} | {"card_number", "random_text"}))
"""Every code there is."""
_PATTERNS: Final = tuple((code, re.compile(pattern).search) for code, pattern in _LOOKS)
_LONG_WORDS = re.compile(rf"[A-Za-z0-9+_=-]{{{_RANDOM_SIGNS},}}").findall
_DIGITS = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9][ -]?){12,18}[0-9](?![0-9A-Fa-f])").findall


class SecretInFact(StrongroomError):
    """A private value of a fact looks like a secret; only our tests refuse it."""

    code = "secret_in_fact"
    hint = "This is a mistake in Strongroom: please report it."


def looks_like(text: str) -> str:
    """Return as a code what kind of secret a text looks like, or nothing."""
    for code, search in _PATTERNS:
        if search(text):
            return code
    if any(map(_is_card, _DIGITS(text))):
        return "card_number"
    return "random_text" if any(map(_is_random, _LONG_WORDS(text))) else ""


def mask(private: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the values as they may be kept, and as codes what was masked in them."""
    found = {name: code for name, value in private.items() if (code := looks_like(value))}
    kept = {name: MASKED if name in found else value for name, value in private.items()}
    return kept, sorted(set(found.values()))


def _is_card(text: str) -> bool:
    digits = [int(sign) for sign in text if sign.isdigit()]
    doubled = [sum(divmod(digit * 2, 10)) for digit in digits[-2::-2]]
    return len(digits) >= _CARD_DIGITS and sum(digits[::-2] + doubled) % 10 == 0


def _is_random(word: str) -> bool:
    """Tell chance from words: small letters, capitals and digits follow each other at random.

    In `CustomerData2026` they change at one place in five, in text of chance at three in five.
    Hexadecimal text is not meant: ids and hashes are names here.
    """
    kinds = ["a" if sign.islower() else "A" if sign.isupper() else "0" for sign in word]
    changes = sum(left != right for left, right in pairwise(kinds))
    return len(set(kinds)) == len("aA0") and changes * 5 >= len(word) * 2
