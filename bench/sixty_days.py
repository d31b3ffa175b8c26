"""Sixty days: a SQLite database that changes by 1 to 2 % a day, backed up daily, nothing deleted.

A snapshot refers to segments that hold chunks together, some of which later days no longer need.
What they hold beyond what the newest snapshot needs is the price of sealing chunks together:
reachable bytes (the segments the newest snapshot refers to) over live bytes (the chunks in them
that it needs, compressed, by their share of the segment). It is to stay under two.
"""

import random
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from bench.data import SEED, Input
from bench.figures import MINE, Figures
from bench.goals import Goal
from bench.lane import Lane, Trial, lane
from bench.measure import say
from bench.orders import Orders, Pattern, change_database, create_database
from bench.sides import Side, Strongroom

SQLITE_BYTES = 256_000_000
DAYS = 60
SHARES = (0.01, 0.02)
RECENT_OF_TEN = 9
FIGURES = {
    "reachable_over_live_ratio": "reachable / live",
    "held_over_fresh_ratio": "held / a first backup of day 60",
    "held_bytes": "held",
    "a_day_stored_bytes": "stored a day",
    "a_day_seconds": "a day's backup",
    "restore_day_1_bytes_a_second": "restore, day 1",
    "restore_day_60_bytes_a_second": "restore, day 60",
}
GOALS = (
    Goal("reachable_over_live_ratio", "reachable / live under 2 after sixty days", limit=2),
)  # fmt: skip


def sixty_days(trial: Trial) -> Figures:
    """Measure what sixty days hold, and how fast the newest snapshot comes back."""
    figures = Figures()
    root = trial.folder / "data"
    root.mkdir()
    path = root / "app.db"
    orders, chance = Orders(SEED), random.Random(SEED)
    create_database(path, orders, int(SQLITE_BYTES * trial.scale))
    made = Input("data", root, 1, path.stat().st_size, path.name)
    sides = [Strongroom(), *trial.some_peers()]
    with ExitStack() as stack:
        lanes = [stack.enter_context(lane(trial, side)) for side in sides]
        for day in range(1, DAYS + 1):
            if day > 1:
                pattern: Pattern = "recent" if chance.randrange(10) < RECENT_OF_TEN else "anywhere"
                change_database(path, orders.day(pattern, chance.uniform(*SHARES)))
            made = replace(made, size_bytes=path.stat().st_size)
            if day % 10 == 1:
                say(f"day {day} of {DAYS}: {made.size_bytes / 1e6:.0f} MB")
            for one in lanes:
                _one_day(trial, one, made, day, figures)
        figures.input = {"bytes": made.size_bytes, "days": DAYS}
        for one in lanes:
            _last_day(trial, one, made, figures)
    return figures


def _one_day(trial: Trial, one: Lane[Side], made: Input, day: int, figures: Figures) -> None:
    name = one.side.name
    if day == 1:
        one.prepare(made)
        one.backup(made, day)
        _restores(trial, one, made, day, figures)
        return
    before = one.stored_bytes()
    cost = one.backup(made, day)
    stored = float(one.stored_bytes() - before)
    figures.add(name, {"a_day_seconds": cost.seconds, "a_day_stored_bytes": stored})


def _restores(trial: Trial, one: Lane[Side], made: Input, day: int, figures: Figures) -> None:
    for _ in range(trial.runs):
        seconds = one.restore(made, day).seconds
        name = f"restore_day_{day}_bytes_a_second"
        figures.add(one.side.name, {name: made.size_bytes / seconds})


def _last_day(trial: Trial, one: Lane[Side], made: Input, figures: Figures) -> None:
    _restores(trial, one, made, DAYS, figures)
    held = float(one.stored_bytes())
    figures.add(one.side.name, {"held_bytes": held})
    if one.side.name == MINE:
        reachable, live = _reachable_and_live(one.work / "home")
        figures.add(MINE, {"reachable_bytes": reachable, "live_bytes": live})
        figures.add(MINE, {"reachable_over_live_ratio": reachable / live})
    again = Path(f"{one.work}-fresh")
    again.mkdir()
    fresh = Lane(one.side, again)
    fresh.prepare(made)
    fresh.backup(made, 1)
    whole = float(fresh.stored_bytes())
    figures.add(one.side.name, {"fresh_stored_bytes": whole, "held_over_fresh_ratio": held / whole})


def _reachable_and_live(home: Path) -> tuple[float, float]:
    """Read from the vault's own index what the newest snapshot refers to, and what of it lives."""
    index = next(home.glob("clients/*/index.db"))
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True)) as database:
        reachable, live = database.execute(
            "SELECT sum(stored_bytes), sum(1.0 * stored_bytes * live_bytes / plain_bytes) "
            "FROM segment WHERE live_bytes > 0"
        ).fetchone()
    return float(reachable), float(live)
