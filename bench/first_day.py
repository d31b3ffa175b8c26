"""First day: a first backup, one without changes, a restore; of a dump, a tree, a large dump."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from bench import measure
from bench.data import LARGE_TIMES, Input, make_dump, make_large, make_tree
from bench.figures import CEILING, Figures
from bench.goals import Goal
from bench.lane import Trial, lane
from bench.measure import say
from bench.sides import Side, Strongroom, ceiling_command

MEGABYTE = 1_000_000
PEAK_MAX = 400 * MEGABYTE
THREE = 3
FIGURES = {
    "first_seconds": "first backup",
    "again_seconds": "no change",
    "restore_seconds": "restore",
    "stored_bytes": "stored",
    "backup_peak_bytes": "peak, backup",
    "restore_peak_bytes": "peak, restore",
}
_BACKUP_PEAK = Goal("backup_peak_bytes", "peak memory of a backup under 400 MB", limit=PEAK_MAX)
_RESTORE_PEAK = Goal("restore_peak_bytes", "peak memory of a restore under 400 MB", limit=PEAK_MAX)
_STORED = Goal("stored_bytes", "stored within 3 % of the smallest", times=1 / 1.03)
DUMP_GOALS = (
    Goal("first_seconds", "first backup 2 times as fast as the fastest peer", 2,
         plotted="Dump of 1 GB: first backup"),
    Goal("restore_seconds", "restore 1.5 times as fast as the fastest peer", 1.5,
         plotted="Dump of 1 GB: restore"),
    replace(_BACKUP_PEAK, plotted="Dump of 1 GB: peak memory of a backup"),
    _RESTORE_PEAK,
    _STORED,
)  # fmt: skip
TREE_GOALS = (
    Goal("first_seconds", "first backup 1.5 times as fast as the fastest peer", 1.5,
         plotted="10,000 files: first backup"),
    Goal("restore_seconds", "restore 1.5 times as fast as the fastest peer", 1.5,
         plotted="10,000 files: restore"),
    Goal("again_seconds", "backup without changes faster than the fastest peer", 1,
         plotted="10,000 files: no change"),
    _BACKUP_PEAK,
    _RESTORE_PEAK,
    _STORED,
)  # fmt: skip
LARGE_GOALS = (
    replace(_BACKUP_PEAK, plotted="Dump of 10 GB: peak memory of a backup"),
    _RESTORE_PEAK,
)


def dump(trial: Trial) -> Figures:
    """Measure one large file of text."""
    sides = [*trial.sides, Strongroom(THREE), Strongroom(THREE, parity=1)]
    return _measure(trial, make_dump, sides, trial.runs)


def tree(trial: Trial) -> Figures:
    """Measure many small files."""
    sides = [*trial.sides, Strongroom(THREE), Strongroom(THREE, parity=1)]
    return _measure(trial, make_tree, sides, trial.runs)


def large(trial: Trial) -> Figures:
    """Measure a dump ten times as large, once, where there is room for it twice over."""
    needed = int(2.5 * LARGE_TIMES * trial.scale * 1e9)
    free = shutil.disk_usage(trial.folder).free
    if free < needed:
        raise measure.NotMeasured(
            f"it needs {needed / 1e9:.0f} GB of space, and there are {free / 1e9:.0f} GB"
        )
    return _measure(trial, make_large, [Strongroom(), *trial.some_peers()], 1)


def _measure(
    trial: Trial, make: Callable[[Path, float], Input], sides: Sequence[Side], runs: int
) -> Figures:
    figures = Figures()
    made = make(trial.folder / "data", trial.scale)
    figures.input = {"files": made.files, "bytes": made.size_bytes}
    for number in range(1, runs + 1):
        measure.warm(made.root)
        figures.add(CEILING, _ceiling(made.root))
        for side in sides:
            say(f"run {number} of {runs}: {side.name}")
            figures.add(side.name, _measure_side(trial, side, made))
    return figures


def _measure_side(trial: Trial, side: Side, made: Input) -> dict[str, float]:
    with lane(trial, side) as one:
        one.prepare(made)
        first = one.backup(made, 1)
        stored = one.stored_bytes()
        again = one.backup(made, 2)
        restore = one.restore(made, 2)
    return {
        "first_seconds": first.seconds,
        "again_seconds": again.seconds,
        "restore_seconds": restore.seconds,
        "first_cpu_seconds": first.cpu_seconds,
        "again_cpu_seconds": again.cpu_seconds,
        "restore_cpu_seconds": restore.cpu_seconds,
        "stored_bytes": float(stored),
        "backup_peak_bytes": float(max(first.peak_bytes, again.peak_bytes)),
        "restore_peak_bytes": float(restore.peak_bytes),
    }


def _ceiling(root: Path) -> dict[str, float]:
    done = measure.output_of(ceiling_command(root))
    return msgspec.json.decode(done, type=dict[str, float])
