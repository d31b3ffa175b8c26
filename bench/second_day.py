"""Second day: one row in a hundred has changed; what does the next backup store?

Three backups of one database: the first; one after a day whose work fell mostly on recent rows;
one after a day whose work fell anywhere. The last is restored. What is stored hardly varies, so
three runs are enough.
"""

import shutil
from pathlib import Path

from bench import measure
from bench.data import SEED, Input
from bench.figures import Figures
from bench.goals import Goal
from bench.lane import Lane, Trial, lane
from bench.measure import say
from bench.orders import Orders, Pattern, change_database, create_database
from bench.sides import Side

SQLITE_BYTES = 1_000_000_000
RUNS_MAX = 3
DAYS: tuple[Pattern, ...] = ("recent", "anywhere")
FIRST_AND_DAYS = ("first", *DAYS)
FIGURES = {
    "first_seconds": "first backup",
    "first_stored_bytes": "stored by it",
    "recent_seconds": "recent 1 %",
    "recent_stored_bytes": "stored by it",
    "anywhere_seconds": "1 % anywhere",
    "anywhere_stored_bytes": "stored by it",
    "restore_seconds": "restore",
    "peak_bytes": "peak",
}


def goals(what: str) -> tuple[Goal, ...]:
    """Return what a second day of this kind of database is to store."""
    return (
        Goal("recent_stored_bytes", "1 % changed, mostly recent: stores less than every peer", 1,
             plotted=f"{what}, 1 % changed, mostly recent: stored"),
        Goal("anywhere_stored_bytes", "1 % changed, anywhere: stores less than every peer", 1,
             plotted=f"{what}, 1 % changed, anywhere: stored"),
    )  # fmt: skip


def sqlite(trial: Trial) -> Figures:
    """Measure a SQLite file; the peers are given the same file, at rest."""
    figures = Figures()
    states = _make_states(trial)
    root = trial.folder / "data"
    root.mkdir()
    made = Input("data", root, 1, states[0].stat().st_size, "app.db")
    figures.input = {"bytes": made.size_bytes}
    runs = min(trial.runs, RUNS_MAX)
    for number in range(1, runs + 1):
        for side in trial.sides:
            say(f"run {number} of {runs}: {side.name}")
            with lane(trial, side) as one:
                figures.add(side.name, _measure_side(one, made, states))
    return figures


def _make_states(trial: Trial) -> list[Path]:
    """Return the database as it is on each day."""
    orders = Orders(SEED)
    states = [trial.folder / "day-1.db"]
    create_database(states[0], orders, int(SQLITE_BYTES * trial.scale))
    for pattern in DAYS:
        states.append(trial.folder / f"{pattern}.db")
        shutil.copyfile(states[-2], states[-1])
        change_database(states[-1], orders.day(pattern))
    return states


def _measure_side(one: Lane[Side], made: Input, states: list[Path]) -> dict[str, float]:
    found = {"peak_bytes": 0.0}
    held = 0
    for number, (name, state) in enumerate(zip(FIRST_AND_DAYS, states, strict=True), 1):
        shutil.copyfile(state, made.source)
        if number == 1:
            one.prepare(made)
            held = one.stored_bytes()
        cost = one.backup(made, number)
        now = one.stored_bytes()
        found |= day_found(name, cost, now - held)
        found["peak_bytes"] = max(found["peak_bytes"], float(cost.peak_bytes))
        held = now
    found["restore_seconds"] = one.restore(made, len(states)).seconds
    return found


def day_found(name: str, cost: measure.Cost, stored: int) -> dict[str, float]:
    """Return the figures of one day's backup."""
    return {
        f"{name}_seconds": cost.seconds,
        f"{name}_cpu_seconds": cost.cpu_seconds,
        f"{name}_stored_bytes": float(stored),
    }
