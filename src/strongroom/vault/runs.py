"""Runs: the chunks of a stream in order, as (segment, first chunk, count) triples.

Pure. Neighbours in one segment join, so a stream that is stored in order costs three integers for
each segment, and a reader of a million chunks holds kilobytes.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence

from strongroom.errors import Damaged

Run = tuple[int, int, int]
"""Number of a segment, its first chunk that belongs to the stream, how many from there."""


class Runs:
    """A growing list of runs; equal neighbours join as they are added."""

    def __init__(self, flat: Iterable[int] = ()) -> None:
        self._flat = array("Q", flat)

    def add(self, segment: int, first: int, count: int = 1) -> None:
        """Append chunks of one segment."""
        flat = self._flat
        if flat and flat[-3] == segment and flat[-2] + flat[-1] == first:
            flat[-1] += count
        else:
            flat.extend((segment, first, count))

    def extend(self, other: "Runs") -> None:
        """Append all runs of another list."""
        if len(other._flat) == 3:
            self.add(*other._flat)
            return
        for run in other:
            self.add(*run)

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs in order."""
        numbers = iter(self._flat)
        return zip(numbers, numbers, numbers, strict=True)

    def encode(self) -> bytes:
        """Return the runs as bytes for this machine's index; never stored elsewhere."""
        return self._flat.tobytes()

    @classmethod
    def decode(cls, data: bytes) -> "Runs":
        """Read what `encode` wrote."""
        runs = cls()
        runs._flat.frombytes(data)
        return runs


def read_runs(flat: Sequence[int], segments: int, culprit: str) -> tuple[Run, ...]:
    """Return foreign runs after checking them against the number of segments; raises Damaged."""
    if len(flat) % 3:
        raise Damaged(f"{culprit} has malformed runs", f"{len(flat)} integers are no triples")
    numbers = iter(flat)
    runs = tuple(zip(numbers, numbers, numbers, strict=True))
    for segment, first, count in runs:
        if not (0 <= segment < segments and 0 <= first < 8192 and 1 <= count <= 8192 - first):
            raise Damaged(f"{culprit} has malformed runs", f"({segment}, {first}, {count})")
    return runs
