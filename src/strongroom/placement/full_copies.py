"""Full copies: every location holds every object whole."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from strongroom.locations import Copies
from strongroom.placement.placement import Holding, Judge


@dataclass(frozen=True, slots=True)
class FullCopies:
    """The placement of a vault without parity."""

    copies: Copies

    @property
    def needed(self) -> int:
        """One copy is enough."""
        return 1

    def put_async(self, key: str, data: bytes | bytearray | memoryview) -> Future[None]:
        """Begin to store the object at every location."""
        return self.copies.put_async(key, data)

    def get(self, key: str, accept: Judge, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes of the first copy that `accept` does not refuse."""
        return self.copies.get(key, accept, start, length)

    def holdings(self, key: str, size_bytes: int | None, judge: Judge) -> Mapping[str, Holding]:
        """Return the same for every location: the object itself."""
        return dict.fromkeys(self.copies.locations, Holding(key, size_bytes, judge))

    def object_of(self, key: str) -> str:
        """Return the key itself."""
        return key

    def remake(self, name: str, key: str, size_bytes: int | None, judge: Judge) -> bytes:
        """Return the first good copy of another location."""
        return self.copies.get(key, judge, besides=name)

    def sent_bytes(self, size_bytes: int) -> int:
        """Return the size, once for every location that answers."""
        return size_bytes * (len(self.copies.locations) - len(self.copies.failures))
