"""Lanes: where clients are backed up side by side, in this process and in others.

Python computes in one thread at a time, so a second process is what uses a second core. It gets
names and gives reports; whatever it cannot do is done here, so it may fail or die at any moment.
"""

import json
import queue
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Final

from strongroom.clients import Client
from strongroom.errors import Damaged
from strongroom.operations.back_up import BackupReport, SourceReport
from strongroom.operations.deployment import Companion

Lane = Callable[[Client], BackupReport]

IN_THIS_PROCESS: Final = 2
"""One computes while the other waits; a third would only wait for its turn to compute."""


class Lanes:
    """As many backups at a time as there are lanes; safe to use from several threads."""

    def __init__(self, here: Lane, companions: Sequence[Companion]) -> None:
        self._here = here
        self._companions = companions
        self._free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        self.count = IN_THIS_PROCESS + len(companions)
        for _ in range(IN_THIS_PROCESS):
            self._free.put(here)
        for companion in companions:
            self._free.put(partial(self._ask, companion))

    def back_up(self, client: Client) -> BackupReport:
        """Back a client up in the next free lane."""
        lane = self._free.get()
        try:
            return lane(client)
        finally:
            self._free.put(lane)

    def stop(self) -> None:
        """End what other processes do; only the lanes here are left."""
        for companion in self._companions:
            companion.stop()

    def _ask(self, companion: Companion, client: Client) -> BackupReport:
        try:
            report = read_answer(companion.ask(client.name), client.name)
        except Damaged:
            # Whatever it is that answers, it is not what was asked.
            companion.stop()
            report = None
        return self._here(client) if report is None else report


def write_answer(report: BackupReport | None) -> str:
    """Return a report, or that there is none, as one line."""
    return json.dumps(None if report is None else asdict(report)) + "\n"


def read_answer(line: str, name: str) -> BackupReport | None:
    """Read what `write_answer` wrote of the client of this name.

    None for a report that there is none, and for one that was not finished; raises Damaged for
    anything else.
    """
    if not line.endswith("\n"):
        return None
    try:
        fields = json.loads(line)
        if fields is None:
            return None
        sources = [SourceReport(**source) for source in fields.pop("sources")]
        report = BackupReport(**fields, sources=sources)
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise Damaged("another process of this program gave an odd answer", str(err)) from err
    if report.client != name:
        raise Damaged("another process of this program told of another client than was asked")
    return report
