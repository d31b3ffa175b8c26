"""Write small files on a thread of its own while the next ones are opened and made.

A file is handed over open, so what its name could do wrong has shown by then; the rest concerns
its descriptor alone. Files go over some at a time, a few megabytes wait at most, and a failure
names its own file however late it is met.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from strongroom.adapters.sources.errors import TargetFailed, printable, reason
from strongroom.adapters.sources.partial import write_all
from strongroom.vault import Entry

LATE_BYTES_MAX: Final = 1 << 20
"""Larger files are written at once, by whoever makes them."""

BATCH_BYTES: Final = 1 << 20
BATCH_FILES: Final = 32
WAITING_BATCHES: Final = 3


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A new file: its descriptor, what belongs into it, and how it has to look in the end."""

    handle: int
    entry: Entry
    blocks: Sequence[bytes] = field(repr=False)
    mode: int
    owned: bool
    """Whether the owner is to be set too."""

    def complete(self) -> os.stat_result:
        """Write content, owner, mode and time; return what the system says of it then."""
        for block in self.blocks:
            write_all(self.handle, block)
        if self.owned:
            # First the owner: changing it clears bits that are set next.
            os.fchown(self.handle, self.entry.owner, self.entry.group)
        os.fchmod(self.handle, self.mode)
        os.utime(self.handle, ns=(self.entry.modified_ns, self.entry.modified_ns))
        return os.fstat(self.handle)


_Batch = list[OpenFile]


def first_blocks(blocks: Iterator[bytes]) -> list[bytes]:
    """Return all blocks of a small file, or the first of a larger one, over LATE_BYTES_MAX."""
    held: list[bytes] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += len(block)
        if size > LATE_BYTES_MAX:
            break
    return held


class FileWriter:
    """Completes and closes files in the order they are added; used by one thread."""

    def __init__(self, note: Callable[[OpenFile, os.stat_result], None]) -> None:
        """Take what to do, on the caller's thread, with each completed file."""
        self._note = note
        self._batch: _Batch = []
        self._batch_bytes = 0
        self._waiting: deque[tuple[_Batch, Future[list[os.stat_result]]]] = deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write")

    def add(self, file: OpenFile) -> None:
        """Take a file over, its descriptor included; raises TargetFailed of an earlier one."""
        self._batch.append(file)
        self._batch_bytes += file.entry.size_bytes
        if self._batch_bytes >= BATCH_BYTES or len(self._batch) == BATCH_FILES:
            self._send()
            while len(self._waiting) > WAITING_BATCHES:
                self._settle()

    def wait(self) -> None:
        """Return when every file is complete; raises TargetFailed."""
        self._send()
        while self._waiting:
            self._settle()

    def close(self) -> None:
        """Close every descriptor, complete or not; safe to call twice."""
        self._pool.shutdown(cancel_futures=True)
        unwritten = [batch for batch, future in self._waiting if future.cancelled()]
        for file in [*self._batch, *(file for batch in unwritten for file in batch)]:
            os.close(file.handle)
        self._batch.clear()
        self._waiting.clear()

    def _send(self) -> None:
        if self._batch:
            self._waiting.append((self._batch, self._pool.submit(_complete, self._batch)))
            self._batch, self._batch_bytes = [], 0

    def _settle(self) -> None:
        batch, future = self._waiting.popleft()
        for file, info in zip(batch, future.result(), strict=True):
            self._note(file, info)


def _complete(batch: _Batch) -> list[os.stat_result]:
    try:
        return [_completed(file) for file in batch]
    finally:
        for file in batch:
            os.close(file.handle)


def _completed(file: OpenFile) -> os.stat_result:
    try:
        return file.complete()
    except OSError as error:
        what = f"{printable(file.entry.path)} cannot be written"
        raise TargetFailed(what, reason(error)) from error
