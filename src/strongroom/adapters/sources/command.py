"""Back up what a command writes to its stdout.

It streams: nothing is spooled, and the command is consistent as far as it is itself. Only a command
that ended by itself, with exit code 0 and its output closed, is kept; of any other nothing is.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Final

from strongroom.adapters.sources.command_run import PATIENCE, Patience, RunningCommand, find_program
from strongroom.adapters.sources.restore_facts import Fact, Facts
from strongroom.clock import Clock
from strongroom.crypto.hashing import Digest
from strongroom.vault import Entry

_FILE_MODE: Final = 0o600


class CommandSource:
    """One command; its one entry has the empty path, and each read runs it."""

    def __init__(
        self, arguments: Sequence[str], clock: Clock, patience: Patience = PATIENCE
    ) -> None:
        find_program(arguments[0])
        self._arguments = arguments
        self._clock = clock
        self._patience = patience
        self._running: RunningCommand | None = None
        self._facts: dict[str, Fact] = {}
        began = int(clock.now().timestamp()) * 1_000_000_000
        self._entry = Entry(
            b"", "file", mode=_FILE_MODE, modified_ns=began, owner=os.geteuid(), group=os.getegid()
        )

    @property
    def profile(self) -> str:
        """The chunk profile: small chunks, cut by content, as for dumps."""
        return "cdc-16k"

    @property
    def bytes_expected(self) -> int | None:
        """Unknown: a command does not say how much it will write."""
        return None

    def entries(self) -> Iterator[Entry]:
        """Yield the one entry; its size is known when it was read."""
        yield self._entry

    def read(self, entry: Entry) -> Iterator[bytes]:
        """Run the command and yield its stdout; raises CommandFailed where it fails, at its end."""
        digest = Digest()
        size_bytes = 0
        self.close()
        self._running = running = RunningCommand(self._arguments, self._clock, self._patience)
        try:
            while block := running.read():
                digest.update(block)
                size_bytes += len(block)
                yield block
            running.wait()
        finally:
            running.close()
        self._facts = {
            "kind": "command",
            "arguments": list(self._arguments),
            "exit_code": 0,
            "bytes": size_bytes,
            "blake3": digest.hex(),
            "stderr": running.stderr,
            "stderr_bytes": running.stderr_bytes,
        }

    def facts(self) -> Facts:
        """Return what was true of the command's last run."""
        if not self._facts:
            for _ in self.read(self._entry):
                pass
        return self._facts

    def close(self) -> None:
        """End a command that still runs."""
        if self._running is not None:
            self._running.close()
            self._running = None
