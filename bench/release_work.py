"""What the scenario of releases measures, in a process of its own that prints its figures.

A snapshot's keys are opened again and again, each time as a restore opens them: recorded and
witnessed first. The time that the custodians take, from the first question to the answer that
completes the threshold, is the release; the whole is beside it.
"""

import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from strongroom.app import App
from strongroom.operations.deployment import Deployment
from strongroom.operations.open_keys import open_keys
from strongroom.operations.receipts import fetch_record
from strongroom.quorum import Custodian


@dataclass(slots=True)
class Watch:
    """When the first custodian was asked, and when the last that was needed had answered."""

    needed: int
    asked: float = 0.0
    answered: list[float] = field(default_factory=list)

    def seconds(self) -> float:
        return sorted(self.answered)[self.needed - 1] - self.asked

    def begin(self) -> None:
        self.asked = 0.0
        self.answered.clear()


class Watched:
    """A custodian whose releases are watched; everything else goes to it as it is."""

    def __init__(self, custodian: Custodian, watch: Watch) -> None:
        self._custodian = custodian
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._custodian, name)

    def release(self, *arguments: Any) -> Any:
        self._watch.asked = self._watch.asked or time.perf_counter()
        answer = self._custodian.release(*arguments)
        self._watch.answered.append(time.perf_counter())
        return answer


def measure_client(home: Path, name: str, times: int) -> dict[str, float]:
    """Open the newest snapshot's keys so many times; return the figures in milliseconds."""
    releases, wholes = [], []
    for _ in range(times):
        # As each command does: nothing is kept from one opening to the next.
        with App().open(home) as deployment:
            watch = Watch(deployment.roster.threshold)
            release, whole = _open_once(_watched(deployment, watch), name, watch)
            releases.append(release)
            wholes.append(whole)
    return {
        "p50_milliseconds": statistics.median(releases),
        "p99_milliseconds": _percentile(releases, 0.99),
        "whole_p50_milliseconds": statistics.median(wholes),
        "whole_p99_milliseconds": _percentile(wholes, 0.99),
    }


def _watched(deployment: Deployment, watch: Watch) -> Deployment:
    custodians: dict[int, Any] = {
        index: Watched(custodian, watch) for index, custodian in deployment.custodians.items()
    }
    return replace(deployment, custodians=custodians)


def _open_once(deployment: Deployment, name: str, watch: Watch) -> tuple[float, float]:
    client = deployment.registry.client(name)
    with deployment.tools.history(client.id) as history:
        newest = history.newest_good()
        if newest is None:
            raise SystemExit(f"{name} has no good snapshot")
        statement = fetch_record(deployment, client, newest).statement
        started = time.perf_counter()
        opened = open_keys(deployment, client, history, statement)
        whole = time.perf_counter() - started
    print(f"{len(opened)} sessions in {whole * 1000:.1f} ms", file=sys.stderr)
    return watch.seconds() * 1000, whole * 1000


def _percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that so many of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


if __name__ == "__main__":
    print(json.dumps(measure_client(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
