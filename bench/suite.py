"""The benchmark: every side does the same to the same bytes, in turn, several times.

Sides take turns within one run (A B C, A B C), so that a machine which slows down on the way slows
all of them. Every restore is compared with the original, byte by byte. docs/benchmarks.md tells
what the figures mean.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench import measure, report
from bench.data import Input, make_dump, make_tree
from bench.sides import ROOT, Side, Step, present

INPUTS: dict[str, Callable[[Path, float], Input]] = {"dump": make_dump, "tree": make_tree}


def main() -> None:
    """Measure, print the table, write the results."""
    options = _options()
    sides, missing = present()
    results = report.begin(options.runs, options.scale, [side.version for side in sides], missing)
    for line in missing:
        print(line)
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-", dir=options.work) as folder:
        for name in options.input or INPUTS:
            made = INPUTS[name](Path(folder) / name, options.scale)
            print(f"{name}: {made.files} files, {made.size_bytes / 1e6:.0f} MB", flush=True)
            _measure_input(results, sides, made, Path(folder), options.runs)
            shutil.rmtree(made.root)
    print(report.table(results))
    options.output.write_bytes(report.encode(results))
    print(f"\nwritten to {options.output}")


def _measure_input(
    results: report.Results, sides: list[Side], made: Input, folder: Path, runs: int
) -> None:
    for number in range(1, runs + 1):
        measure.warm(made.root)
        results.add(made, "ceiling", _ceiling(made.root))
        for side in sides:
            print(f"  run {number} of {runs}: {side.name}", flush=True)
            work = folder / "work"
            work.mkdir()
            try:
                results.add(made, side.name, _measure_side(side, work, made.root))
            finally:
                shutil.rmtree(work)


def _measure_side(side: Side, work: Path, data: Path) -> dict[str, float]:
    """Take one side through a first backup, one without changes, and a restore."""
    environment = side.environment(work)

    def run(step: Step) -> measure.Cost:
        return measure.run(step.command, environment, step.folder, work / "log")

    for step in side.prepare(work, data):
        run(step)
    measure.warm(data)
    first = run(side.backup(work, data, 1))
    stored = measure.stored_bytes(side.repository(work))
    again = run(side.backup(work, data, 2))
    restore = run(side.restore(work, data))
    differences = measure.differences(data, side.restored(work, data))
    if differences:
        raise SystemExit(f"{side.name} did not restore what it was given: {differences[:5]}")
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
    command = [sys.executable, "-m", "bench.ceiling", str(root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return msgspec.json.decode(done.stdout, type=dict[str, float])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Strongroom against its peers.")
    parser.add_argument("--runs", type=int, default=3, help="how often each side is measured")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the inputs, 0.1 to try")
    parser.add_argument("--input", action="append", choices=sorted(INPUTS), help="only this input")
    parser.add_argument("--work", type=Path, help="where to work; needs 4 GB at full scale")
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results.json")
    options = parser.parse_args()
    if options.runs < 1 or not 0 < options.scale <= 1:
        parser.error("--runs is at least 1, --scale above 0 and at most 1")
    return options


if __name__ == "__main__":
    main()
