"""The crash matrix: backups, repairs and recoveries under every fault that can be thought of.

STRONGROOM_MATRIX_SECONDS and STRONGROOM_MATRIX_SEED say how long the long run takes and with which
chance; its story is in docs/contributing/the-crash-matrix.md.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.matrix.machine import CrashMatrix
from tests.faults.matrix.world import MatrixWorld

SHORT_EXAMPLES = 12
SHORT_STEPS = 28
LONG_STEPS = 40
LONG_EXAMPLES = 25
LONG_SECONDS = 900.0
Record = Callable[[str, object], None]
# Examples take seconds: a failing one is told with its whole story, and made smaller by the long
# run only.
SHORT = settings(
    max_examples=SHORT_EXAMPLES,
    stateful_step_count=SHORT_STEPS,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(
    SHORT,
    max_examples=LONG_EXAMPLES,
    stateful_step_count=LONG_STEPS,
    derandomize=False,
    phases=(Phase.generate, Phase.shrink),
)


def run(world: MatrixWorld, how: settings, chance: int = 0) -> None:
    """Run examples of the machine on one install; raise the story of the last that failed."""

    class OnThisInstall(CrashMatrix):
        def __init__(self) -> None:
            super().__init__(world)

    try:
        run_state_machine_as_test(
            seed(chance)(OnThisInstall) if chance else OnThisInstall, settings=how
        )
    except Exception as err:
        # Whatever is made of it on the way: a replay of an example may end otherwise.
        raise AssertionError(world.findings[-1] if world.findings else str(err)) from err


def report(world: MatrixWorld, record: Record, title: str) -> None:
    record("counts", f"crash matrix, {title}")
    for what, count in sorted(world.counts.items()):
        record("counts", f"  {count:6}  {what}")


@pytest.mark.timeout(900)
def test_a_short_matrix(tmp_path: Path, record_property: Record) -> None:
    world = MatrixWorld(tmp_path)
    began = time.monotonic()
    try:
        run(world, SHORT)
    finally:
        report(world, record_property, f"{time.monotonic() - began:.0f} s")
    assert world.counts["restores compared and equal"] > SHORT_EXAMPLES * len(world.kept)


@pytest.mark.long
@pytest.mark.timeout(6 * 3600)
def test_a_long_matrix(tmp_path: Path, record_property: Record) -> None:
    seconds = float(os.environ.get("STRONGROOM_MATRIX_SECONDS") or LONG_SECONDS)
    chance = int(os.environ.get("STRONGROOM_MATRIX_SEED") or random.randrange(1, 10**6))
    world = MatrixWorld(tmp_path)
    began = time.monotonic()
    rounds = 0
    try:
        while rounds == 0 or time.monotonic() - began < seconds:
            run(world, LONG, chance + rounds)
            rounds += 1
    finally:
        title = f"seed {chance}, {rounds} rounds, {time.monotonic() - began:.0f} s"
        report(world, record_property, title)
