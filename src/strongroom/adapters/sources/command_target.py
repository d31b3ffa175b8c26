"""Restore one stream into a command's stdin.

Every segment is authenticated before its bytes are fed, but only at the end are length and digest
known to be right; the command sees the end of its input after that and never else. When anything
fails before, Strongroom being killed included, the command is killed with its input open.
"""

from collections.abc import Iterator, Mapping, Sequence

from strongroom.adapters.sources.command_run import PATIENCE, Patience, RunningCommand, find_program
from strongroom.adapters.sources.folder import check_entry
from strongroom.adapters.sources.restore_facts import Comparison, Facts
from strongroom.clock import Clock
from strongroom.crypto.hashing import Digest
from strongroom.errors import Damaged, Refused
from strongroom.vault import Entry


class CommandTarget:
    """One command, named by `shown` in errors; it is started when the bytes come."""

    def __init__(
        self, arguments: Sequence[str], shown: str, clock: Clock, patience: Patience = PATIENCE
    ) -> None:
        find_program(arguments[0])
        self._arguments = arguments
        self._shown = shown
        self._clock = clock
        self._patience = patience
        self._running: RunningCommand | None = None
        self._digest = Digest()
        self._taken = 0
        self.compared: Sequence[str] = ()
        self.notes: Mapping[str, int] = {}

    def write(self, entry: Entry, blocks: Iterator[bytes]) -> None:
        """Feed the one file; anything but one file with the empty path is refused."""
        check_entry(entry)
        if entry.kind != "file" or entry.path or self._running is not None:
            raise Refused(
                "the snapshot is refused",
                "it was recorded as one stream and holds something else",
                "Whoever made it is hostile.",
            )
        self._running = running = RunningCommand(
            self._arguments, self._clock, self._patience, fed=True
        )
        stream = self._digested(blocks)
        for block in entry.filled(stream) if entry.holes else stream:
            self._taken += len(block)
            running.write(block)

    def finish(self, facts: Facts) -> None:
        """Compare length and digest, then let the command see the end, and wait for its own."""
        if self._running is None:
            raise Damaged("nothing was restored", "the snapshot holds no file for this source")
        try:
            comparison = Comparison(facts, self._shown.encode())
            comparison.check("blake3", self._digest.hex())
            if not facts.get("changed_while_read"):
                comparison.check("bytes", self._taken)
            self._running.complete()
            self.compared = comparison.names
        finally:
            self.abandon()

    def _digested(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        # Holes are outside of the digest, as they are not read at a backup.
        for block in blocks:
            self._digest.update(block)
            yield block

    def abandon(self) -> None:
        """Kill a command that still runs; it never sees the end of its input."""
        if self._running is not None:
            self._running.close()
