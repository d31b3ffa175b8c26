"""The command line in a process that has a terminal of its own, and somebody who types."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.house.tree import ROOT


@dataclass
class Terminal:
    """A command with a terminal of its own."""

    process: "subprocess.Popen[bytes]"
    screen: int
    seen: str = ""

    def wait_for(self, text: str) -> str:
        """Read until the text is on the screen; returns all that is."""
        while text not in self.seen:
            self.seen += self._read()
        return self.seen

    def type(self, text: str) -> None:
        """Type a line; what was on the screen counts no more."""
        self.seen = ""
        os.write(self.screen, text.encode() + b"\n")

    def end(self) -> tuple[int, str]:
        """Read to the end; returns exit code and what was on the screen since the last line."""
        while more := self._read(at_end=True):
            self.seen += more
        return self.process.wait(30), self.seen

    def _read(self, *, at_end: bool = False) -> str:
        try:
            data = os.read(self.screen, 65536)
        except OSError:
            data = b""
        if not data and not at_end:
            raise AssertionError(f"the command ended: {self.seen}")
        return data.decode().replace("\r\n", "\n")


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    """Start a command on a new terminal; it is killed where the block ends before it."""
    screen, keyboard = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "strongroom", *arguments],
        stdin=keyboard,
        stdout=keyboard,
        stderr=keyboard,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    os.close(keyboard)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait(10)
        os.close(screen)
