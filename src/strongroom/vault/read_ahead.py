"""Reads, cuts and names the chunks of files a little ahead of the thread that stores them.

Opening, reading and hashing ten thousand small files is half of what their first backup takes, and
it needs nothing of what the storing thread knows. Files come in the order they were asked for, an
error where it happened, and at most a few portions of some megabytes wait.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, wait
from itertools import chain
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

from strongroom.crypto.hashing import Bytes
from strongroom.vault.chunker import Chunker
from strongroom.vault.source import Entry, EntryUnreadable

PORTION_BYTES: Final = 1 << 20
PORTIONS_AHEAD: Final = 4

Identify = Callable[[Sequence[Bytes]], list[bytes]]
_Step = TypeVar("_Step")


class Cut(NamedTuple):
    """Some chunks of a file in a row, and their ids."""

    chunks: list[Bytes]
    ids: list[bytes]


_Event = Cut | EntryUnreadable | None
"""What comes of a file: its cuts, then None, or the reason why it ends there."""


class FileReader:
    """Reads the files of one batch, once and in order; use it in a `with` block.

    One file alone is read by the caller's own thread: a reader ahead would gain little, and a
    source that waits for a command must be left when the user says so.
    """

    def __init__(
        self, read: Callable[[Entry], Iterator[bytes]], chunker: Chunker, identify: Identify
    ) -> None:
        self._read = read
        self._chunker = chunker
        self._identify = identify
        self._portions: Generator[list[_Event], None, None] | None = None
        self._events: Iterator[_Event] = iter(())

    def begin(self, files: Sequence[Entry], reader: Executor) -> Self:
        """Take the files that `next_file` will be called for; begin to read them."""
        portions = self._read_portions(files)
        self._portions = run_ahead(portions, reader, PORTIONS_AHEAD) if files[1:] else portions
        self._events = chain.from_iterable(self._portions)
        return self

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Read no further; what is being read is waited for."""
        if self._portions is not None:
            self._portions.close()

    def next_file(self) -> Iterator[Cut]:
        """Yield the cuts of the next file; raises what `read` raised for it."""
        for event in self._events:
            if event is None:
                return
            if isinstance(event, EntryUnreadable):
                raise event
            yield event

    def _read_portions(self, files: Iterable[Entry]) -> Generator[list[_Event], None, None]:
        portion: list[_Event] = []
        size = 0
        for entry in files:
            try:
                for chunks in self._chunker.cut(self._read(entry)):
                    portion.append(Cut(chunks, self._identify(chunks)))
                    size += sum(map(len, chunks))
                    if size >= PORTION_BYTES:
                        yield portion
                        portion, size = [], 0
            except EntryUnreadable as error:
                portion.append(error)
            except Exception:
                # It ends the source, but what was read before it comes first.
                yield portion
                raise
            else:
                portion.append(None)
        yield portion


def run_ahead(
    steps: Generator[_Step, None, None], worker: Executor, ahead: int
) -> Generator[_Step, None, None]:
    """Yield what `steps` yields, which is made on a worker of one thread, some steps ahead.

    What `steps` raises is raised in its place. When this ends or is closed, nothing of `steps` is
    running and it is closed. No step is None.
    """
    pending = deque(worker.submit(next, steps, None) for _ in range(ahead))
    try:
        while (step := pending.popleft().result()) is not None:
            pending.append(worker.submit(next, steps, None))
            yield step
    finally:
        for one in pending:
            one.cancel()
        wait(pending)
        steps.close()
