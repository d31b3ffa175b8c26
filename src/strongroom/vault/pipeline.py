"""Seals segments on a few threads and places packs, in order and in bounded memory.

One thread reads, cuts and looks up; the others compress, seal, and open again what they sealed,
from the very bytes that will be sent: a faulty compressor or bad memory is found before a bad
backup exists. Results are taken in the order in which they were submitted.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from strongroom.crypto.hashing import Bytes
from strongroom.errors import Damaged
from strongroom.placement import Placement
from strongroom.vault.keys import SessionKeys
from strongroom.vault.pack import Pack, PackBuilder, StreamType, pack_key
from strongroom.vault.segment import (
    Codec,
    decode_segment,
    encode_segment,
    open_segment,
    seal_segment,
)

AHEAD_SEGMENTS: Final = 2
"""How many segments wait for each thread beside the one it works on."""


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """Chunks on their way to be sealed."""

    number: int
    id: bytes
    stream: StreamType
    keys: SessionKeys = field(repr=False)
    ids: list[bytes] = field(default_factory=list, repr=False)
    lengths: list[int] = field(default_factory=list, repr=False)
    parts: list[Bytes] = field(default_factory=list, repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed segment and what the trailer says of it."""

    segment: OpenSegment
    data: bytes = field(repr=False)


class SealingLine:
    """Takes segments, hands sealed ones on in the same order; used by one thread."""

    def __init__(
        self, vault: bytes, codec: Codec, threads: int, take: Callable[[Sealed], None]
    ) -> None:
        self._vault = vault
        self._codec = codec
        self._take = take
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="seal")
        self._ahead = threads * (1 + AHEAD_SEGMENTS)
        self._pending: deque[Future[Sealed]] = deque()

    def submit(self, segment: OpenSegment) -> None:
        """Queue one segment; waits while too many are under way."""
        self._pending.append(self._pool.submit(self._seal, segment))
        while len(self._pending) > self._ahead:
            self._take(self._pending.popleft().result())

    def drain(self) -> None:
        """Hand on everything that is queued."""
        while self._pending:
            self._take(self._pending.popleft().result())

    def discard(self) -> None:
        """Wait for everything that is queued and forget it."""
        while self._pending:
            self._pending.popleft().exception()

    def close(self) -> None:
        """Give the threads back; what is queued and not begun is given up."""
        self._pool.shutdown(cancel_futures=True)
        self._pending.clear()

    def _seal(self, segment: OpenSegment) -> Sealed:
        payload = b"".join(segment.parts)
        plain = encode_segment(segment.lengths, payload, self._codec)
        data = seal_segment(self._vault, segment.keys, segment.id, plain)
        opened = open_segment(self._vault, segment.keys, segment.id, data)
        again = decode_segment(opened, self._codec)
        if again.payload != payload or again.lengths != tuple(segment.lengths):
            raise Damaged(
                "a segment did not survive being compressed and opened again",
                "nothing of it was stored",
                "Suspect this machine's memory; run a memory test before the next backup.",
            )
        return Sealed(segment, data)


class PackLine:
    """Fills packs with sealed segments and places each as it closes."""

    def __init__(
        self, place: str, placement: Placement, close: Callable[[PackBuilder], Pack]
    ) -> None:
        self._place = place
        self._placement = placement
        self._close = close
        self._builder = PackBuilder()
        self._placing: deque[Future[None]] = deque()
        self._sizes: list[int] = []

    @property
    def stored_bytes(self) -> int:
        """Return the bytes of all packs, counted once."""
        return sum(self._sizes)

    @property
    def sent_bytes(self) -> int:
        """Return the bytes sent for all packs, to all locations that answered."""
        return sum(map(self._placement.sent_bytes, self._sizes))

    def add(self, sealed: Sealed) -> Pack | None:
        """Append one segment; return the pack it filled, which is on its way."""
        segment = sealed.segment
        chunks = tuple(zip(segment.ids, segment.lengths, strict=True))
        self._builder.add(
            segment.id, bytes.fromhex(segment.keys.session), segment.stream, sealed.data, chunks
        )
        return self.finish_pack() if self._builder.full else None

    def finish_pack(self) -> Pack | None:
        """Close the pack that is being filled and send it; None when it is empty."""
        if self._builder.empty:
            return None
        pack = self._close(self._builder)
        self._builder = PackBuilder()
        self._sizes.append(len(pack.data))
        # `put_async` itself waits while the locations are behind: the limit on packs in memory.
        key = f"{self._place}/{pack_key(pack.id)}"
        self._placing.append(self._placement.put_async(key, pack.data))
        while self._placing and self._placing[0].done():
            self._settle()
        return pack

    def wait(self) -> None:
        """Return when every pack is stored at the locations; raises what stopped one."""
        while self._placing:
            self._settle()

    def _settle(self) -> None:
        # The future stays first in line when it failed, so that the failure is met again.
        self._placing[0].result()
        self._placing.popleft()
