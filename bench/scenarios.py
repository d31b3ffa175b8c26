"""The table of all scenarios, in the order in which they are measured and shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bench import (
    first_day,
    ledger,
    many,
    many_snapshots,
    release,
    second_day,
    second_day_postgres,
    sixty_days,
    start_up,
)
from bench.figures import Figures
from bench.goals import Goal
from bench.lane import Trial


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is measured, under which title, and what it is judged by."""

    title: str
    figures: Mapping[str, str]
    goals: Sequence[Goal]
    measure: Callable[[Trial], Figures]


SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType(
    {
        "start-up": Scenario(
            "Start-up", start_up.FIGURES, start_up.GOALS, start_up.start_up,
        ),
        "dump": Scenario(
            "A dump of 1 GB", first_day.FIGURES, first_day.DUMP_GOALS, first_day.dump,
        ),
        "tree": Scenario(
            "10,000 small files", first_day.FIGURES, first_day.TREE_GOALS, first_day.tree,
        ),
        "second-day-sqlite": Scenario(
            "Second day of a SQLite database", second_day.FIGURES,
            second_day.goals("SQLite of 1 GB"), second_day.sqlite,
        ),
        "second-day-postgres": Scenario(
            "Second day of a PostgreSQL database", second_day.FIGURES,
            second_day.goals("PostgreSQL of 1 GB"), second_day_postgres.postgres,
        ),
        "sixty-days": Scenario(
            "Sixty days of a SQLite database", sixty_days.FIGURES, sixty_days.GOALS,
            sixty_days.sixty_days,
        ),
        "large": Scenario(
            "A dump of 10 GB", first_day.FIGURES, first_day.LARGE_GOALS, first_day.large,
        ),
        "many": Scenario(
            "500 small databases of 500 clients", many.FIGURES, many.GOALS, many.many,
        ),
        "many-snapshots": Scenario(
            "10,000 snapshots and 1 million chunks in one vault", many_snapshots.FIGURES,
            many_snapshots.GOALS, many_snapshots.many_snapshots,
        ),
        "ledger": Scenario("The ledger", ledger.FIGURES, ledger.GOALS, ledger.ledger),
        "release": Scenario(
            "Releases by custodians of their own", release.FIGURES, release.GOALS, release.release,
        ),
    }
)  # fmt: skip
