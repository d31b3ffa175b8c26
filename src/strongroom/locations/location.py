"""A location: a place that keeps objects which are written once.

Five methods, implemented in `adapters/locations` for directories and object stores, and one
contract suite in `tests/contracts`. Keys are the relative paths of docs/formats/vault-v1.md.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from strongroom.errors import StrongroomError

OBJECT_BYTES_MAX = 1 << 30
KEY_LENGTH_MAX = 400
_KEY = re.compile(r"[0-9a-z][0-9a-z._-]*(/[0-9a-z][0-9a-z._-]*)*")


class LocationUnavailable(StrongroomError):
    """The location did not answer, or answered that it cannot do this now."""

    code = "location_unavailable"
    hint = "See `strongroom location list`; the other locations are not affected."


class LocationFull(LocationUnavailable):
    """The location has no room left."""

    code = "location_full"
    hint = "Make room there; a backup needs all locations but one."


class LocationReadOnly(LocationUnavailable):
    """The location may be read but not written with this credential."""

    code = "location_read_only"
    hint = "Give the worker's credential the right to create objects there."


class ObjectMissing(StrongroomError):
    """There is no object of this key at this location."""

    code = "object_missing"
    hint = "Run `strongroom vault check CLIENT` to see what is missing and where."


class ObjectExists(StrongroomError):
    """There already is an object of this key; objects are written once."""

    code = "object_exists"
    hint = "Two writers met, or an earlier try had arrived; nothing was overwritten."


@dataclass(frozen=True, slots=True)
class Stat:
    """What a listing says of an object."""

    key: str
    size_bytes: int
    modified_at: datetime


class Location(Protocol):
    """A place that keeps objects which are written once. Safe to use from several threads."""

    @property
    def url(self) -> str:
        """The location's URL without any credential, as `location list` shows it."""
        ...

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Store the object if there is none of this key; durable when this returns.

        Raises ObjectExists when there is one, whatever its bytes; LocationUnavailable (or a
        child) when it cannot say, in which case the object may or may not have arrived.
        """
        ...

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes from `start` (negative: from the end), at most `length` of them.

        Raises ObjectMissing, LocationUnavailable.
        """
        ...

    def list(self, prefix: str) -> Iterator[Stat]:
        """Yield every object whose key starts with `prefix` (whole parts), in key order."""
        ...

    def stat(self, key: str) -> Stat:
        """Return what a listing would say of this object; raises ObjectMissing."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object with the janitor's credential; raises ObjectMissing."""
        ...


def check_key(key: str) -> str:
    """Return the key when it is one of ours; a key never climbs, hides or surprises a provider."""
    if len(key) <= KEY_LENGTH_MAX and _KEY.fullmatch(key):
        return key
    raise ValueError(f"not an object key: {key!r:.80}")
