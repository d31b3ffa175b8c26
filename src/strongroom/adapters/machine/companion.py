"""A second process of this program, which answers one line with one line.

It ends when its stdin ends, so it never outlives the process that asks by more than one answer.
Whatever it hangs on, nobody waits for it longer than a limit: then it is killed.
"""

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ANSWER_SECONDS_MAX: Final = 600.0
"""A small database over a slow line takes minutes; whoever needs longer has stopped, or nearly."""
STOP_SECONDS_MAX: Final = 5.0
"""How long one that is interrupted may take to leave tidily."""


class CompanionProcess:
    """A process that is asked by one thread at a time, and stopped by any."""

    def __init__(
        self, arguments: Sequence[str], answer_seconds: float = ANSWER_SECONDS_MAX
    ) -> None:
        """Start it; a group of its own keeps Ctrl-C for the process that asks."""
        self._lock = threading.Lock()
        self._answer_seconds = answer_seconds
        self._process = subprocess.Popen(  # noqa: S603 - a list, no shell; our own program
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What it could complain of is met again by whoever asked, who does the work instead.
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, and wait until it has ended.

        What it may still be doing is cut off, as a power cut would; nobody waits for a process
        that hangs.
        """
        self._process.kill()
        # Nobody is asking any more. `Popen` closes its pipes, one of which may hold a line that
        # nobody will read, and waits.
        with self._lock, contextlib.suppress(BrokenPipeError), self._process:
            pass

    def ask(self, line: str) -> str:
        """Return the answer to one line, or nothing, or less than a line, when it has ended.

        It ends also when it has not answered in time. Then it holds no lock any more.
        """
        asking, answering = self._process.stdin, self._process.stdout
        answer = b""
        if asking is None or answering is None:
            return ""
        with self._lock:
            with self._killed_after(self._answer_seconds), contextlib.suppress(BrokenPipeError):
                asking.write(f"{line}\n".encode())
                asking.flush()
                answer = answering.readline()
            if not answer.endswith(b"\n"):
                # Its end of the pipe is closed a moment before its locks are.
                self._process.kill()
                self._process.wait()
        return answer.decode()

    def stop(self) -> None:
        """Interrupt what it does, as Ctrl-C would; `ask` then returns nothing.

        One that does not leave by that, as one that is stopped cannot, is killed soon after.
        """
        self._process.send_signal(signal.SIGINT)
        self._kill_after(STOP_SECONDS_MAX)

    @contextlib.contextmanager
    def _killed_after(self, seconds: float) -> Iterator[None]:
        timer = self._kill_after(seconds)
        try:
            yield
        finally:
            timer.cancel()

    def _kill_after(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._process.kill)
        # Whoever leaves has killed it already.
        timer.daemon = True
        timer.start()
        return timer


def start_companion(module: str, home: Path, behalf: str) -> CompanionProcess:
    """Run a module of ours in another process, with the home and for whom as its arguments."""
    program = [sys.executable, *as_trusting_as(sys.flags), "-m", module]
    return CompanionProcess([*program, str(home), behalf])


def as_trusting_as(flags: "sys._flags") -> list[str]:
    """Return the options by which another interpreter trusts no more than this one does.

    The current folder, where a `strongroom` might lie that is not ours, is never trusted.
    """
    if flags.isolated:
        return ["-I"]
    return [
        "-P",
        *(["-E"] if flags.ignore_environment else []),
        *(["-s"] if flags.no_user_site else []),
    ]
