"""Gathers figures, and shows them: a table to read and a file to compare with later."""

import os
import platform
import statistics
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.data import Input

MINE = "strongroom"
FIGURES = {
    "first_seconds": "first backup",
    "again_seconds": "no change",
    "restore_seconds": "restore",
    "stored_bytes": "stored",
    "backup_peak_bytes": "peak, backup",
    "restore_peak_bytes": "peak, restore",
}
_PACKAGES = ("blake3", "cryptography", "msgspec", "pyfastcdc", "zstandard")


@dataclass(slots=True)
class Results:
    """Every figure of every side, by input."""

    about: dict[str, object]
    inputs: dict[str, dict[str, int]] = field(default_factory=dict)
    figures: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)

    def add(self, made: Input, side: str, found: dict[str, float]) -> None:
        """Note what one side took in one run."""
        self.inputs[made.name] = {"files": made.files, "bytes": made.size_bytes}
        rows = self.figures.setdefault(made.name, {}).setdefault(side, {})
        for name, value in found.items():
            rows.setdefault(name, []).append(value)

    def median(self, made: str, side: str, figure: str) -> float | None:
        """Return the middle of what was measured; None where a side has no such figure."""
        values = self.figures[made][side].get(figure)
        return statistics.median(values) if values else None


def begin(runs: int, scale: float, versions: list[str], missing: list[str]) -> Results:
    """Return empty results that say where and with what they are measured."""
    return Results(
        {
            "runs": runs,
            "scale": scale,
            "machine": {
                "processor": _processor(),
                "cores": len(os.sched_getaffinity(0)),
                "memory_gib": round(
                    os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
                ),
                "system": f"{platform.system()} {platform.machine()}",
                "python": platform.python_version(),
            },
            "versions": sorted(set(versions)),
            "packages": {name: version(name) for name in _PACKAGES},
            "missing": missing,
        }
    )


def encode(results: Results) -> bytes:
    """Return the results as JSON: min, median, max of each figure, and ratios to each peer."""
    inputs = {
        made: {
            **results.inputs[made],
            "sides": {
                side: {name: _spread(values) for name, values in sorted(rows.items())}
                for side, rows in sides.items()
            },
            "ratios": {
                side: _ratios(results, made, side)
                for side in sides
                if side not in {MINE, "ceiling"}
            },
        }
        for made, sides in results.figures.items()
    }
    plain = msgspec.json.encode({**results.about, "inputs": inputs})
    return msgspec.json.format(plain, indent=2) + b"\n"


def table(results: Results) -> str:
    """Return the medians as a table in Markdown, one for each input."""
    lines: list[str] = []
    for made, sides in results.figures.items():
        lines += ["", f"| {made} | " + " | ".join(FIGURES.values()) + " |"]
        lines.append("|---" * (len(FIGURES) + 1) + "|")
        for side in sides:
            cells = [_cell(figure, results.median(made, side, figure)) for figure in FIGURES]
            lines.append(f"| {side} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(figure: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} s" if figure.endswith("_seconds") else f"{value / 1e6:.0f} MB"


def _spread(values: list[float]) -> dict[str, float]:
    found = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: round(value, 3) for name, value in found.items()}


def _ratios(results: Results, made: str, peer: str) -> dict[str, float]:
    """Return what this product takes for each unit that a peer takes; below 1 is better."""
    found: dict[str, float] = {}
    for figure in FIGURES:
        mine, theirs = results.median(made, MINE, figure), results.median(made, peer, figure)
        if mine is not None and theirs:
            found[figure] = round(mine / theirs, 3)
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
