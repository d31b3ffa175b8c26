"""Reads the chunks of a stream back: fetches, opens and hands on segments in order.

Neighbours in a pack are fetched together and opened on a few threads, some spans ahead of the
reader; what is held is bounded in bytes, whatever the runs ask for. A copy that does not open is
as good as none: the next location is asked.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from types import TracebackType
from typing import Final, Self

from strongroom.errors import Damaged
from strongroom.placement import Placement
from strongroom.vault.index_rows import SegmentPlace
from strongroom.vault.keys import SessionKeys
from strongroom.vault.pack import pack_key
from strongroom.vault.place import VaultPlace
from strongroom.vault.runs import Run
from strongroom.vault.segment import Codec, decode_segment, open_segment

SPAN_STORED_BYTES: Final = 4 << 20
SPAN_PLAIN_BYTES: Final = 8 << 20
HELD_BYTES: Final = 32 << 20
AHEAD_SPANS: Final = 2


@dataclass(frozen=True, slots=True)
class Opened:
    """A segment in clear and where each of its chunks ends."""

    payload: bytes = field(repr=False)
    ends: tuple[int, ...]

    def slice(self, first: int, count: int) -> bytes:
        """Return chunks in a row; raises Damaged when there are not so many."""
        if first + count > len(self.ends):
            raise Damaged(
                "a snapshot refers to chunks that are not there",
                f"{first} to {first + count} of {len(self.ends)}",
            )
        start = self.ends[first - 1] if first else 0
        return self.payload[start : self.ends[first + count - 1]]


Span = tuple[SegmentPlace, ...]


class SegmentReader:
    """Opens segments of one vault with the keys at hand; use it in a `with` block."""

    def __init__(
        self,
        place: VaultPlace,
        placement: Placement,
        keys: Mapping[str, SessionKeys],
        codec: Codec,
        threads: int,
    ) -> None:
        self._place = place
        self._placement = placement
        self._keys = keys
        self._codec = codec
        self._ahead = threads + AHEAD_SPANS
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="open")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the threads back; what is under way is waited for and forgotten."""
        self._pool.shutdown(cancel_futures=True)

    def open_ahead(self, spans: Iterator[Span]) -> Iterator[tuple[Span, dict[bytes, Opened]]]:
        """Yield every span with its segments in clear, opening a few spans ahead."""
        pending: deque[tuple[Span, Future[dict[bytes, Opened]]]] = deque()
        for span in spans:
            pending.append((span, self._pool.submit(self.open_span, span)))
            if len(pending) > self._ahead:
                done, future = pending.popleft()
                yield done, future.result()
        while pending:
            done, future = pending.popleft()
            yield done, future.result()

    def each(
        self, work: Callable[[SegmentPlace], Opened | None], places: Span
    ) -> Iterator[Opened | None]:
        """Do the work for each place on the reader's threads, in order."""
        return self._pool.map(work, places)

    def open_span(self, span: Span) -> dict[bytes, Opened]:
        """Fetch and open segments that lie side by side in one pack."""
        try:
            return self._fetch(span)
        except Damaged:
            if len(span) == 1:
                raise
        # Different segments may be whole at different locations.
        opened: dict[bytes, Opened] = {}
        for one in span:
            opened.update(self._fetch((one,)))
        return opened

    def _fetch(self, span: Span) -> dict[bytes, Opened]:
        start = span[0].offset
        length = span[-1].offset + span[-1].stored_bytes - start
        opened: dict[bytes, Opened] = {}

        def accept(data: bytes) -> None:
            if len(data) != length:
                raise Damaged(f"pack {span[0].pack} is cut short", f"{len(data)} of {length} bytes")
            view = memoryview(data)
            for one in span:
                at = one.offset - start
                opened[one.id] = self._open(one, view[at : at + one.stored_bytes])

        key = f"{self._place.root}/{pack_key(span[0].pack)}"
        self._placement.get(key, accept, start, length)
        return opened

    def _open(self, one: SegmentPlace, sealed: memoryview) -> Opened:
        session = one.session.hex()
        keys = self._keys.get(session)
        if keys is None:
            raise Damaged(
                f"segment {one.id.hex()} cannot be opened",
                f"the snapshot does not list its session {session}",
            )
        plain = open_segment(self._place.vault_bytes, keys, one.id, sealed)
        segment = decode_segment(plain, self._codec)
        return Opened(segment.payload, tuple(accumulate(segment.lengths)))


def spans_of(places: Iterable[SegmentPlace]) -> Iterator[Span]:
    """Join places that lie side by side in one pack, up to a bound in bytes."""
    span: list[SegmentPlace] = []
    stored = plain = 0
    for one in places:
        beside = span and (
            span[-1].pack == one.pack and span[-1].offset + span[-1].stored_bytes == one.offset
        )
        room = stored + one.stored_bytes <= SPAN_STORED_BYTES
        room = room and plain + one.plain_bytes <= SPAN_PLAIN_BYTES
        if span and not (beside and room):
            yield tuple(span)
            span, stored, plain = [], 0, 0
        span.append(one)
        stored += one.stored_bytes
        plain += one.plain_bytes
    if span:
        yield tuple(span)


class StreamReader:
    """Hands on the chunks of one stream in order, as many at a time as the caller wants."""

    def __init__(
        self, reader: SegmentReader, runs: Sequence[Run], places: Mapping[int, SegmentPlace]
    ) -> None:
        self._reader = reader
        self._runs = runs
        self._places = places
        self._held: OrderedDict[bytes, Opened] = OrderedDict()
        self._held_bytes = 0
        self._coming: set[bytes] = set()
        self._planned_runs = 0
        self._ahead = reader.open_ahead(spans_of(self._wanted()))
        self._next_run = 0
        self._taken_of_run = 0

    @property
    def exhausted(self) -> bool:
        """Say whether every chunk was handed on."""
        return self._next_run == len(self._runs)

    def take(self, chunks: int) -> Iterator[bytes]:
        """Yield the bytes of the next chunks, neighbours together; raises Damaged at the end."""
        while chunks:
            if self.exhausted:
                raise Damaged("a recipe asks for chunks that are not there", f"{chunks} too many")
            segment, first, count = self._runs[self._next_run]
            part = min(chunks, count - self._taken_of_run)
            opened = self._opened(self._places[segment])
            yield opened.slice(first + self._taken_of_run, part)
            chunks -= part
            self._taken_of_run += part
            if self._taken_of_run == count:
                self._next_run += 1
                self._taken_of_run = 0

    def rest(self) -> Iterator[bytes]:
        """Yield everything that is left."""
        while not self.exhausted:
            yield from self.take(self._runs[self._next_run][2] - self._taken_of_run)

    def _wanted(self) -> Iterator[SegmentPlace]:
        """Yield the segments to fetch, those left out that are held or coming when asked."""
        for at, (segment, _, _) in enumerate(self._runs):
            self._planned_runs = at + 1
            place = self._places[segment]
            if place.id not in self._held and place.id not in self._coming:
                self._coming.add(place.id)
                yield place

    def _opened(self, place: SegmentPlace) -> Opened:
        while place.id not in self._held:
            if place.id in self._coming or self._planned_runs <= self._next_run:
                span, opened = next(self._ahead)
            else:
                # It was held, let go for want of room, and is wanted again after all.
                span, opened = (place,), self._reader.open_span((place,))
            for one in span:
                self._coming.discard(one.id)
                self._hold(one.id, opened[one.id])
        # Segments are often asked for many times in a row, so this must cost little.
        self._held.move_to_end(place.id)
        while self._held_bytes > HELD_BYTES and len(self._held) > 1:
            _, oldest = self._held.popitem(last=False)
            self._held_bytes -= len(oldest.payload)
        return self._held[place.id]

    def _hold(self, one: bytes, opened: Opened) -> None:
        if one not in self._held:
            self._held[one] = opened
            self._held_bytes += len(opened.payload)
