"""What every process that descends from this one shows of itself: arguments and environment."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

LOOK_SECONDS = 0.005


@dataclass(slots=True)
class Shown:
    """All that was seen so far; a process that lost its parent is watched on."""

    programs: set[str] = field(default_factory=set)
    texts: set[bytes] = field(default_factory=set)
    _known: set[int] = field(default_factory=lambda: {os.getpid()})

    def look(self) -> None:
        """Look at every process once."""
        parents: dict[int, int] = {}
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with suppress(OSError, IndexError):
                # The name, in parentheses, may hold anything; the parent is the second after it.
                status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
                parents[pid] = int(status.rpartition(")")[2].split()[1])
        while more := {pid for pid in parents.keys() - self._known if parents[pid] in self._known}:
            self._known |= more
        for pid in self._known & parents.keys() - {os.getpid()}:
            with suppress(OSError):
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
                self.programs.add(os.path.basename(arguments.split(b"\0")[0].decode()))
                self.texts.add(arguments + b"\0" + Path(f"/proc/{pid}/environ").read_bytes())


@contextmanager
def watched_processes() -> Iterator[Shown]:
    """Watch while the block runs."""
    shown, ended = Shown(), threading.Event()

    def watch() -> None:
        while not ended.is_set():
            shown.look()
            time.sleep(LOOK_SECONDS)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield shown
    finally:
        ended.set()
        watcher.join()
