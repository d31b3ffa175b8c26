"""Cuts a stream into chunks where its content says so, or at fixed places.

Pure. A cut depends only on the bytes of the stream, never on how they arrived in blocks. The
profiles are those of docs/formats/vault-v1.md; a reader never needs to cut.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pyfastcdc import FastCDC

from strongroom.crypto.hashing import Bytes
from strongroom.errors import UsageError

_WINDOW_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Profile:
    """How long chunks are; fixed when all three lengths are equal."""

    minimum_bytes: int
    average_bytes: int
    maximum_bytes: int


def _fixed(size: int) -> Profile:
    return Profile(size, size, size)


PROFILES: Final = {
    **{f"pages-{size}": _fixed(size) for size in (4096, 8192, 16384, 32768, 65536)},
    "cdc-16k": Profile(8 << 10, 16 << 10, 64 << 10),
    "cdc-1m": Profile(256 << 10, 1 << 20, 4 << 20),
}
RECIPE_PROFILE: Final = "cdc-16k"


class Chunker:
    """Cuts one stream after another by one profile; not to be shared between threads."""

    def __init__(self, profile: str) -> None:
        if profile not in PROFILES:
            raise UsageError(f"no chunk profile is called {profile!r:.40}")
        self._profile = PROFILES[profile]
        self._fast = (
            FastCDC(
                self._profile.average_bytes,
                min_size=self._profile.minimum_bytes,
                max_size=self._profile.maximum_bytes,
            )
            if self._profile.minimum_bytes < self._profile.maximum_bytes
            else None
        )

    def cut(self, blocks: Iterable[bytes]) -> Iterator[list[Bytes]]:
        """Yield the chunks of one stream in order, in lists, as the blocks arrive.

        A chunk is a view into at most the last few blocks; whoever keeps it copies it.
        """
        window = max(self._profile.maximum_bytes, _WINDOW_BYTES)
        held: list[bytes] = []
        held_bytes = 0
        for block in blocks:
            held.append(block)
            held_bytes += len(block)
            if held_bytes >= window:
                data = held[0] if len(held) == 1 else b"".join(held)
                chunks, taken = self._split(data, last=False)
                held = [data[taken:]]
                held_bytes = len(held[0])
                yield chunks
        if held_bytes:
            data = held[0] if len(held) == 1 else b"".join(held)
            yield self._split(data, last=True)[0]

    def _split(self, data: bytes, *, last: bool) -> tuple[list[Bytes], int]:
        """Return the chunks that more bytes could not change, and where they end."""
        if last and len(data) <= self._profile.minimum_bytes:
            return [data], len(data)
        if self._fast is None:
            return self._split_fixed(data, last=last)
        chunks: list[Bytes] = []
        taken = 0
        for chunk in self._fast.cut_buf(data):
            # A cut before the end was found in the content; one at the end may only be the end,
            # unless the chunk has the greatest length it may have.
            reaches_end = taken + chunk.length == len(data)
            if reaches_end and not last and chunk.length < self._profile.maximum_bytes:
                break
            taken += chunk.length
            chunks.append(data if chunk.length == len(data) else chunk.data)
        return chunks, taken

    def _split_fixed(self, data: bytes, *, last: bool) -> tuple[list[Bytes], int]:
        size = self._profile.maximum_bytes
        taken = len(data) if last else len(data) - len(data) % size
        view = memoryview(data)
        return [view[at : min(at + size, taken)] for at in range(0, taken, size)], taken
