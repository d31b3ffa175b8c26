"""A location: a place that keeps objects which are written once.

Five methods, implemented in `adapters/locations` for directories and object stores, and one
contract suite in `tests/contracts`. Keys are the relative paths of docs/formats/vault-v1.md;
`strongroom.ids.check_key` says which texts are keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from strongroom.errors import StrongroomError


class LocationUnavailable(StrongroomError):
    """The location did not answer, or answered that it cannot do this now."""

    code = "location_unavailable"
    hint = "See `strongroom location list`; the other locations are not affected."

    @staticmethod
    def full(what: str, why: str) -> "LocationUnavailable":
        """Return the error of a location that has no room left; its code is `location_full`."""
        return _LocationFull(what, why)

    @staticmethod
    def read_only(what: str, why: str) -> "LocationUnavailable":
        """Return the error of a location that may not be written; code `location_read_only`."""
        return _LocationReadOnly(what, why)


class _LocationFull(LocationUnavailable):
    """The location has no room left."""

    code = "location_full"
    hint = "Make room there; a backup needs all locations but one."


class _LocationReadOnly(LocationUnavailable):
    """The location may be read but not written with this credential."""

    code = "location_read_only"
    hint = "Give the worker the right to create objects there."


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
    """A place that keeps objects which are written once. Safe to use from several threads.

    Every method raises ValueError for a text that is not a key, and LocationUnavailable when the
    location cannot say; an absent location is never taken for an empty one.
    """

    @property
    def url(self) -> str:
        """The location's URL without any credential, as `location list` shows it."""
        ...

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Store the object if there is none of this key; durable when this returns.

        Raises ObjectExists when there is one, whatever its bytes, and then that one is durable;
        after LocationUnavailable the object may or may not have arrived.
        """
        ...

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes from `start` (negative: from the end), at most `length` of them.

        A range beyond the end gives what there is, down to nothing. Raises ObjectMissing.
        """
        ...

    def list(self, prefix: str) -> Iterator[Stat]:
        """Yield every object below `prefix` (whole parts; empty: all of them), in key order.

        A listing may lag behind: absence from it proves nothing, `get` does.
        """
        ...

    def stat(self, key: str) -> Stat:
        """Return what a listing would say of this object; raises ObjectMissing."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object with the janitor's credential; raises ObjectMissing."""
        ...
