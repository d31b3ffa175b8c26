"""The file of results: what was measured, scenario by scenario, and with what.

A scenario that is measured again replaces its own part and leaves the others, so each part says
itself when, where and with which versions it was measured.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import msgspec.structs

from bench.figures import Figures, Spread
from bench.goals import Verdict, judge
from bench.lane import Trial
from bench.measure import ROOT
from bench.scenarios import SCENARIOS, Scenario
from bench.sides import Strongroom

FORMAT = 1
_PACKAGES = ("blake3", "cryptography", "msgspec", "obstore", "pyfastcdc", "zstandard")


class Measured(msgspec.Struct, frozen=True):
    """When, where and with what a scenario was measured."""

    at: str
    scale: float
    processor: str
    cores: int
    memory_gib: int
    system: str
    versions: list[str]
    packages: dict[str, str]
    missing: list[str]


class Part(msgspec.Struct, frozen=True):
    """One scenario's results."""

    title: str
    measured: Measured
    input: dict[str, int]
    sides: dict[str, dict[str, Spread]]
    goals: list[Verdict]


class Results(msgspec.Struct):
    """All scenarios' results."""

    format: int = FORMAT
    scenarios: dict[str, Part] = {}


def part(scenario: Scenario, figures: Figures, measured: Measured) -> Part:
    """Return a scenario's part, judged."""
    sides = figures.spreads()
    return Part(scenario.title, measured, figures.input, sides, judge(scenario.goals, sides))


def judged_again(results: Results) -> Results:
    """Return results with verdicts by the goals and under the titles of today."""
    scenarios = {
        name: msgspec.structs.replace(
            old, title=SCENARIOS[name].title, goals=judge(SCENARIOS[name].goals, old.sides)
        )
        for name, old in results.scenarios.items()
    }
    return Results(scenarios=scenarios)


def measured_now(trial: Trial, missing: Sequence[str]) -> Measured:
    """Say when, where and with what is measured now."""
    versions = [
        f"{Strongroom().version} {_commit()}".strip(),
        f"Python {platform.python_version()}",
    ]
    versions += [peer.version for peer in trial.peers]
    return Measured(
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        scale=trial.scale,
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        system=f"{platform.system()} {platform.machine()}",
        versions=list(dict.fromkeys(versions)),
        packages={name: version(name) for name in _PACKAGES},
        missing=list(missing),
    )


def read(path: Path) -> Results:
    """Return the results of a file, or none where there is no file."""
    if not path.exists():
        return Results()
    return msgspec.json.decode(path.read_bytes(), type=Results)


def write(path: Path, results: Results) -> None:
    """Write the results, readable, and whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")
    partial.replace(path)


def _commit() -> str:
    """Return which commit is measured, and whether the package differs from it."""
    commit = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", "src")
    return f"({commit}{', changed' if changed else ''})" if commit else ""


def _git(*arguments: str) -> str:
    if shutil.which("git") is None:
        return ""
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
