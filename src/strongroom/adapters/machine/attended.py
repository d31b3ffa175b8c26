"""A process of this program that serves, and ends with the one that started it.

Its stdin is a pipe that nobody writes to. Whoever holds the other end attends it: when that process
ends, killed or not, the pipe ends and so does the one that serves. No daemon is left behind.
"""

import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from strongroom.adapters.machine.companion import as_trusting_as
from strongroom.errors import StrongroomError

READY_SECONDS_MAX: Final = 60.0
"""A start takes half a second; a machine with a hundred things to do takes longer."""
END_SECONDS_MAX: Final = 10.0
"""How long one that is let go of may take to end tidily; then it is killed."""
LINES_KEPT: Final = 20


class AttendedProcess:
    """A process that serves until it is let go of; one thread deals with it."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        ready: str,
        end_seconds: float = END_SECONDS_MAX,
    ) -> None:
        """Start it; it serves once it says a line that begins with `ready`.

        A group of its own keeps Ctrl-C for the process that attends it.
        """
        self._name = name
        self._ready = ready
        self._end_seconds = end_seconds
        self._said: deque[str] = deque(maxlen=LINES_KEPT)
        self._line = ""
        self._settled = threading.Event()
        self._process = subprocess.Popen(  # noqa: S603 - a list, no shell; our own program
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
        # It ends when the process has: nothing else holds the other end of that pipe.
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, and wait until it has ended."""
        self.end()

    @property
    def pid(self) -> int:
        """Return its number among the machine's processes."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait_until_it_serves(self, seconds: float = READY_SECONDS_MAX) -> str:
        """Return the line by which it said that it serves.

        Raises with what it said last when it has ended, or is not ready in time.
        """
        self._settled.wait(seconds)
        if self._line:
            return self._line
        why = "it has ended" if self._settled.is_set() else f"not ready in {seconds:.0f} s"
        said = "; ".join(line for line in self._said if line)
        raise StrongroomError(f"{self._name} does not serve", f"{why}: {said or 'without a word'}")

    def let_go(self) -> None:
        """Let it end, and wait for nothing."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def end(self) -> None:
        """Let go of it and wait until it has ended; one that hangs is killed."""
        self.let_go()
        try:
            self._process.wait(self._end_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._gone()

    def kill(self) -> None:
        """Kill it in the middle of whatever it does, and wait until it has ended."""
        self._process.send_signal(signal.SIGKILL)
        self._gone()

    def _gone(self) -> None:
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            said = line.rstrip("\n")
            self._said.append(said)
            if said.startswith(self._ready) and not self._line:
                self._line = said
                self._settled.set()
        self._settled.set()


def start_attended(name: str, arguments: Sequence[str], ready: str) -> AttendedProcess:
    """Run `strongroom` with these arguments in another process, which ends when this one does."""
    program = [sys.executable, *as_trusting_as(sys.flags), "-m", "strongroom.cli.attended"]
    return AttendedProcess(name, [*program, *arguments], ready)
