"""Turns the chunks of a source's two streams into runs, storing only what is not there yet.

A chunk that a good snapshot holds in a segment at least half alive is referred to; so is one that
this very attempt has stored. Everything else goes into the open segment of its stream.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.crypto.hashing import Bytes, keyed_hash
from strongroom.crypto.sealing import derive
from strongroom.ids import ID_BYTES, Token
from strongroom.vault.index import Index
from strongroom.vault.keys import SessionKeys
from strongroom.vault.pack import StreamType
from strongroom.vault.pipeline import OpenSegment
from strongroom.vault.runs import Runs
from strongroom.vault.segment import CHUNKS_MAX, CLOSE_AT_BYTES

RECENT_CHUNKS_MAX: Final = 1 << 16
"""How many chunks an attempt remembers in memory before they go to the index: some 10 MB."""

At = tuple[int, int]


class KnownChunks:
    """What is stored already: by good snapshots (the index), and by this attempt."""

    def __init__(self, index: Index, first_segment: int, *, shared: bool) -> None:
        self._index = index
        self._first = first_segment
        # In class high the ids of one session mean nothing to another, so none goes to the index.
        self._shared = shared
        self._look_up = shared and not index.is_empty()
        self._recent: dict[bytes, At] = {}
        self._usable: dict[int, bool] = {}

    def find(self, ids: Sequence[bytes]) -> dict[bytes, At]:
        """Return where those chunks lie that may be used."""
        recent = self._recent
        found = {one: recent[one] for one in ids if one in recent}
        if self._look_up and len(found) < len(ids):
            rows = self._index.find_chunks([one for one in ids if one not in found])
            self.learn_usable(segment for segment, _ in rows.values())
            found.update((one, at) for one, at in rows.items() if self.is_usable(at[0]))
        return found

    def learn_usable(self, segments: Iterable[int]) -> None:
        """Ask the index about segments of earlier attempts, once for each."""
        unknown = {one for one in segments if one < self._first and one not in self._usable}
        if unknown:
            self._usable.update(self._index.usable(unknown))

    def is_usable(self, segment: int) -> bool:
        """Say whether dedup may use a segment that `learn_usable` was asked for."""
        return segment >= self._first or self._usable.get(segment, False)

    def remember(self, chunk: bytes, at: At) -> None:
        """Note a chunk that this attempt stores."""
        self._recent[chunk] = at
        if len(self._recent) >= RECENT_CHUNKS_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what is remembered to the index, where it does not count yet."""
        if self._shared and self._recent:
            self._index.add_chunks((one, *at) for one, at in self._recent.items())
            self._look_up = True
        self._recent.clear()

    def drop(self, first: int, end: int) -> None:
        """Forget the chunks of these segments: their source has failed."""
        self._recent = {one: at for one, at in self._recent.items() if not first <= at[0] < end}
        self._index.drop_segments(first, end)


@dataclass(frozen=True, slots=True)
class Sink:
    """Where a stream's segments come from and go to."""

    known: KnownChunks
    number: Callable[[], int]
    submit: Callable[[OpenSegment], None]
    token: Token


class Stream:
    """One stream of one source on its way into segments."""

    def __init__(self, sink: Sink, keys: SessionKeys, kind: StreamType, dedup: bytes) -> None:
        self._sink = sink
        self._keys = keys
        self._kind = kind
        self._chunk_id = keyed_hash(derive(dedup, "chunk-id", b"", kind.name.lower().encode()))
        self._open: OpenSegment | None = None
        self._open_bytes = 0
        self._owned = 0
        self.new_bytes = 0

    def add(self, chunks: Sequence[Bytes], runs: Runs) -> None:
        """Append chunks to `runs`, storing those that are new."""
        ids = [self._chunk_id(chunk) for chunk in chunks]
        known = self._sink.known.find(ids)
        for one, chunk in zip(ids, chunks, strict=True):
            at = known.get(one)
            if at is None:
                at = known[one] = self._store(one, chunk)
            runs.add(*at)
        self._own_parts()

    def close(self) -> None:
        """Send the last segment on its way."""
        if self._open is not None:
            self._sink.submit(self._open)
            self._open = None

    def _store(self, one: bytes, chunk: Bytes) -> At:
        segment = self._open
        if segment is None:
            number = self._sink.number()
            segment = OpenSegment(number, self._sink.token(ID_BYTES), self._kind, self._keys)
            self._open, self._open_bytes, self._owned = segment, 0, 0
        at = (segment.number, len(segment.ids))
        segment.ids.append(one)
        segment.lengths.append(len(chunk))
        segment.parts.append(chunk)
        self._open_bytes += len(chunk)
        self.new_bytes += len(chunk)
        self._sink.known.remember(one, at)
        if self._open_bytes >= CLOSE_AT_BYTES or len(segment.ids) == CHUNKS_MAX:
            self.close()
        return at

    def _own_parts(self) -> None:
        """Copy what is a view, so that no chunk of kilobytes keeps its block of megabytes."""
        if self._open is not None:
            parts = self._open.parts
            parts[self._owned :] = [bytes(part) for part in parts[self._owned :]]
            self._owned = len(parts)
