"""What a scenario measures: figures by side, each a list with one value a run."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

MINE = "strongroom"
CEILING = "ceiling"


class Spread(msgspec.Struct, frozen=True):
    """The lowest, middle and highest of a figure's runs, and how many there were."""

    min: float
    median: float
    max: float
    runs: int


@dataclass(slots=True)
class Figures:
    """All figures of one scenario, and what they were measured on."""

    input: dict[str, int] = field(default_factory=dict)
    sides: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, side: str, found: Mapping[str, float]) -> None:
        """Note what one side took in one run."""
        for name, value in found.items():
            self.sides.setdefault(side, {}).setdefault(name, []).append(value)

    def spreads(self) -> dict[str, dict[str, Spread]]:
        """Return every figure's spread, by side."""
        return {
            side: {name: _spread(values) for name, values in sorted(found.items())}
            for side, found in self.sides.items()
        }


def is_peer(side: str) -> bool:
    """Say whether a side is another program: neither this one in some form nor the ceiling."""
    return not side.startswith(MINE) and side != CEILING


def _spread(values: list[float]) -> Spread:
    found = (min(values), statistics.median(values), max(values))
    low, middle, high = (round(value, 4) for value in found)
    return Spread(low, middle, high, len(values))


def shown(figure: str, value: float) -> str:
    """Return a value as a person reads it; the end of the figure's name is its unit."""
    if figure.endswith("_bytes"):
        return f"{value / 1e6:.0f} MB" if value >= 10e6 else f"{value / 1e6:.1f} MB"
    if figure.endswith("_ratio"):
        return f"{value:.2f}"
    if figure.endswith("_bytes_a_second"):
        return f"{value / 1e6:.0f} MB/s"
    if figure.endswith("_a_second"):
        return f"{value:,.0f}/s"
    if figure.endswith("_milliseconds"):
        return f"{value:,.0f} ms" if value >= 10 else f"{value:.2f} ms"
    return f"{value:.0f} s" if value >= 100 else f"{value:.2f} s"
