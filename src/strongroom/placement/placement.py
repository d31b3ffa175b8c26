"""What the vault and its maintenance may ask, however packs are spread over locations."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from strongroom.locations import Copies

Judge = Callable[[bytes], object]
"""Raises Damaged for bytes that are not the object's; needs no content key."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one location should hold of an object: under which key, how long, and who judges it."""

    key: str
    size_bytes: int | None
    """None where the size of the object is not known."""
    judge: Judge = field(repr=False)


class Placement(Protocol):
    """How objects of one vault lie over its locations. Safe to use from several threads.

    Keys are those of whole objects; where it takes `size_bytes` and `judge`, they are of the whole
    object too.
    """

    @property
    def copies(self) -> Copies:
        """The locations themselves; what is no pack lies at all of them in full."""
        ...

    @property
    def needed(self) -> int:
        """How many holdings of an object are enough to have it whole."""
        ...

    def put_async(self, key: str, data: bytes | bytearray | memoryview) -> Future[None]:
        """Begin to store an object; wait while too many are under way.

        The outcome is settled when enough locations hold their part of it, or raises as
        `Copies.put` does. The caller leaves `data` unchanged until then.
        """
        ...

    def get(self, key: str, accept: Judge, start: int = 0, length: int | None = None) -> bytes:
        """Return bytes that `accept` does not refuse, from whichever locations have them.

        Raises as `Copies.get` does.
        """
        ...

    def holdings(self, key: str, size_bytes: int | None, judge: Judge) -> Mapping[str, Holding]:
        """Return what each location should hold of an object; one that holds nothing is absent."""
        ...

    def object_of(self, key: str) -> str:
        """Return the key of the object that what is stored under this key belongs to."""
        ...

    def remake(self, name: str, key: str, size_bytes: int | None, judge: Judge) -> bytes:
        """Return what the location of this name should hold, made from what is good elsewhere.

        What that location has itself is never used. Raises as `Copies.get` does.
        """
        ...

    def sent_bytes(self, size_bytes: int) -> int:
        """Return how much is sent for an object of this size, to the locations that answer."""
        ...
