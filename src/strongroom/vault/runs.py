"""Runs: the chunks of a stream in order, as (segment, first chunk, count) triples.

Pure. Neighbours in one segment join, so a stream that is stored in order costs three integers for
each segment, and a reader of a million chunks holds kilobytes.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

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
            why = f"({segment}, {first}, {count})"
            raise Damaged(f"{culprit} has malformed runs", f"{why:.120}")
    return runs


class ChunkRuns:
    """The runs of a stream, to be asked for some of its chunks by their ordinals."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._ends = list(accumulate(count for _, _, count in runs))

    def slice(self, ranges: Iterable[tuple[int, int]]) -> Runs:
        """Return the runs of chunks given as (ordinal of the first, how many).

        Raises Damaged where the stream has no such chunks.
        """
        ends = self._ends
        sliced = Runs()
        for start, wanted in ranges:
            if wanted and start + wanted > (ends[-1] if ends else 0):
                raise Damaged("a recipe asks for chunks that are not there", f"{start}, {wanted}")
            at = bisect_right(ends, start)
            begin, left = start, wanted
            while left:
                segment, first, count = self._runs[at]
                skipped = begin - (ends[at] - count)
                part = min(left, count - skipped)
                sliced.add(segment, first + skipped, part)
                begin, left, at = begin + part, left - part, at + 1
        return sliced
