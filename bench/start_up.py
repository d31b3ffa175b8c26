"""Start-up: how long a person waits for a command that has next to nothing to do."""

from bench.data import Input
from bench.figures import Figures
from bench.goals import Goal
from bench.lane import Lane, Trial, lane
from bench.measure import say
from bench.sides import Side, Step, Strongroom

BACKUPS = 3
TIMES_A_RUN = 3
FIGURES = {
    "help_seconds": "--help",
    "snapshots_seconds": "list backups",
    "status_seconds": "status",
}
GOALS = (Goal("help_seconds", "--help in at most 0.4 s", limit=0.4),)


def start_up(trial: Trial) -> Figures:
    """Measure `--help`, the list of backups and, of ours, `status`."""
    figures = Figures()
    root = trial.folder / "data"
    root.mkdir()
    (root / "words.txt").write_text("a small file\n", encoding="utf-8")
    made = Input("data", root, 1, (root / "words.txt").stat().st_size)
    for side in [Strongroom(), *trial.some_peers()]:
        say(side.name)
        with lane(trial, side) as one:
            one.prepare(made)
            for number in range(BACKUPS):
                one.backup(made, number + 1)
            for _ in range(TIMES_A_RUN * trial.runs):
                figures.add(side.name, _measure_side(one, side))
    return figures


def _measure_side(one: Lane[Side], side: Side) -> dict[str, float]:
    listing = side.listing(one.work)
    program = listing.command[:1] if not isinstance(side, Strongroom) else listing.command[:3]
    helped = one.run(Step([*program, "--help"], one.work))
    found = {
        "help_seconds": helped.seconds,
        "snapshots_seconds": one.run(listing).seconds,
    }
    if isinstance(side, Strongroom):
        found["status_seconds"] = one.run(side.do(one.work, "status")).seconds
    return found
