"""Canonical JSON (RFC 8785): the one form in which a header is signed, hashed and read.

The package `rfc8785` is the authority, and pure Python: half of what a small backup computed were
its loops. The standard library writes the same bytes, in C, where all text is ASCII (code points
then sort as RFC 8785 wants) and every number is a short integer. Anything else goes to the
authority. Keys of objects are text.
"""

import json
from functools import partial
from typing import Any, Final, NoReturn

import rfc8785

_DIGITS_MAX: Final = 15
"""Integers of so many digits are below 2**53, where RFC 8785 writes them as they are."""

_write = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


class _Other(Exception):
    """A number of another kind: only the authority knows how it is written."""


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise _Other
    return int(digits)


def _other(text: str) -> NoReturn:
    raise _Other


_read = partial(json.loads, parse_int=_integer, parse_float=_other, parse_constant=_other)


def dumps(value: object) -> bytes:
    """Return the canonical bytes of a JSON value; raises ValueError where it has none."""
    try:
        text = _write(value)
        if text.isascii():
            _read(text)
            return text.encode("ascii")
    except (TypeError, ValueError, _Other):
        # The authority says it better, or can write it.
        pass
    return _by_authority(value)


def loads(data: bytes) -> Any:
    """Return the value of canonical bytes; raises ValueError for all others."""
    try:
        if data.isascii():
            value = _read(data.decode("ascii"))
            return _same(value, _write(value).encode(), data)
    except _Other:
        pass
    value = json.loads(data)
    return _same(value, _by_authority(value), data)


def _same(value: Any, canonical: bytes, data: bytes) -> Any:
    if canonical != data:
        raise NotCanonical("RFC 8785 writes it anew")
    return value


def _by_authority(value: Any) -> bytes:
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as err:
        raise ValueError(str(err)) from err


class NotCanonical(ValueError):
    """JSON, but not as RFC 8785 writes it."""
