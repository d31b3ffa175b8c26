"""Custodians of this machine, each served by a process of its own that ends with this one."""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from strongroom.app.plugs import plug
from strongroom.errors import StrongroomError

_SERVES: Final = "custodian listens"
_PLACE: Final = re.compile(r" at (\S+) port (\d+)\b")


class CustodianProcesses(AbstractContextManager["CustodianProcesses"]):
    """Serves the custodians of these homes, by their index in the roster, within a block."""

    def __init__(self, homes: Mapping[int, Path]) -> None:
        self._homes = homes
        self._running: dict[int, Any] = {}
        self.places: dict[int, tuple[str, int]] = {}
        """Where each listens, once it does."""

    def __enter__(self) -> Self:
        """Start all of them, side by side; raises where one does not serve."""
        try:
            for index in self._homes:
                self._begin(index)
            for index in self._homes:
                self._wait(index)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all of them, and wait until they have ended."""
        self._end()

    def start(self, index: int) -> None:
        """Start one again on what it holds; returns when it serves."""
        self._begin(index)
        self._wait(index)

    def kill(self, index: int) -> None:
        """Kill one in the middle of whatever it does."""
        self._running.pop(index).kill()

    def ended(self) -> list[int]:
        """Return those that run no more though nobody ended them."""
        return [index for index, process in self._running.items() if not process.running]

    def _begin(self, index: int) -> None:
        arguments = ["--home", str(self._homes[index]), "custodian", "serve"]
        self._running[index] = plug("attended")(f"custodian-{index}", arguments, _SERVES)

    def _wait(self, index: int) -> None:
        line = self._running[index].wait_until_it_serves()
        found = _PLACE.search(line)
        if found is None:
            raise StrongroomError(f"custodian-{index} does not say where it listens", line)
        self.places[index] = found[1], int(found[2])

    def _end(self) -> None:
        for process in self._running.values():
            process.let_go()
        for process in self._running.values():
            process.end()
        self._running.clear()
