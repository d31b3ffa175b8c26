"""The ledger: appending, verifying offline, searching, and what it adds to a backup.

Each figure comes from a process of its own. A rate is judged by the time that so many facts take,
so that less is better here as everywhere.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

from bench import measure
from bench.data import make_dump
from bench.figures import CEILING, MINE, Figures
from bench.goals import Goal
from bench.lane import Lane, Trial, lane
from bench.measure import ROOT, say
from bench.sides import Step, Strongroom

FACTS = 1_000_000
BULK = 100_000
OTHERS = 20_000
BACKUPS = 3
FIGURES = {
    "append_milliseconds": "one writer: a fact",
    "append_ratio": "beside a bare insert",
    "private_milliseconds": "one writer: a fact with private values",
    "private_ratio": "beside a bare insert, too",
    "writers_a_second": "64 writers",
    "writers_longest_milliseconds": "longest wait of theirs",
    "many_seconds": "20,000 facts, 1,000 at once",
    "verify_seconds": "1,000,000 facts verified offline",
    "search_milliseconds": "search in them, p95",
    "backup_ratio": "backup of a dump, with and without",
    "unchanged_ratio": "backup without changes",
}
GOALS = (
    Goal("append_ratio", "one writer at 40 % of the rate of a bare insert and commit", limit=2.5),
    Goal("private_ratio", "the same with private values", limit=2.5),
    Goal("writers_longest_milliseconds", "of 64 writers none waits a second", limit=1000),
    Goal("many_seconds", "20,000 facts a second, a thousand at once", limit=1.0),
    Goal("verify_seconds", "1,000,000 facts verified offline in 10 s", limit=10.0),
    Goal("search_milliseconds", "search in 1,000,000 facts in 50 ms (p95)", limit=50.0),
    Goal("backup_ratio", "3 % of the time of a backup at most", limit=1.03),
)


def ledger(trial: Trial) -> Figures:
    """Measure the ledger alone, then within backups."""
    figures = Figures()
    facts = max(1_000, int(FACTS * trial.scale))
    figures.input = {"facts": facts}
    for number in range(1, trial.runs + 1):
        say(f"run {number} of {trial.runs}: appending")
        _append(trial, figures)
    say(f"verifying and searching {facts:,} facts")
    _large(trial, facts, figures)
    _backups(trial, figures)
    return figures


def _append(trial: Trial, figures: Figures) -> None:
    one = _work(trial.folder, "one")
    bare = one.pop("bare_milliseconds")
    figures.add(MINE, one)
    figures.add(CEILING, {"append_milliseconds": bare})
    figures.add(MINE, _work(trial.folder, "writers"))
    figures.add(MINE, _work(trial.folder, "many", max(1_000, int(BULK * trial.scale))))
    if find_spec("pymerkle"):
        figures.add("pymerkle", _work(trial.folder, "pymerkle", OTHERS))
    else:
        say("pymerkle is not installed, and is left out")


def _large(trial: Trial, count: int, figures: Figures) -> None:
    folder = trial.folder / "large"
    folder.mkdir()
    figures.add(MINE, _work(folder, "large", count))
    measure.warm(folder / "site")
    verifier = str(ROOT / "rescue" / "strongroom_verify.py")
    command = [sys.executable, verifier, "log", str(folder / "site")]
    command += ["--policy", str(folder / "policy")]
    for _ in range(trial.runs):
        cost = measure.run(command, {}, folder, folder / "log")
        figures.add(MINE, {"verify_seconds": cost.seconds})


def _work(folder: Path, name: str, count: int = 0) -> dict[str, float]:
    """Run one measurement in a folder of its own and return its figures."""
    place = folder / name
    measure.output_of(["rm", "-rf", str(place)])
    place.mkdir()
    path = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    command = [sys.executable, "-m", "bench.ledger_work", name, str(place), str(count)]
    told = json.loads(measure.output_of(command, path))
    if name == "large":
        for kept in ("site", "policy"):
            (place / kept).rename(folder / kept)
    measure.output_of(["rm", "-rf", str(place)])
    return {figure: float(value) for figure, value in told.items()}


def _backups(trial: Trial, figures: Figures) -> None:
    made = make_dump(trial.folder / "dump", trial.scale)
    for number in range(1, trial.runs + 1):
        say(f"run {number} of {trial.runs}: backups")
        with lane(trial, Strongroom()) as one:
            one.prepare(made)
            measure.warm(made.root)
            first = _ratio(one)
            again = [_ratio(one) for _ in range(BACKUPS)]
            figures.add(MINE, {"backup_ratio": first, "unchanged_ratio": min(again)})


def _ratio(one: Lane[Strongroom]) -> float:
    """Back up; return how much longer it took than without what went into the ledger."""
    step = one.side.do(one.work, "backup", "bench")
    told = one.work / "told.json"
    program = [sys.executable, str(ROOT / "bench" / "ledger_backup.py"), str(told)]
    one.run(Step([*program, *step.command[3:]], step.folder))
    found = json.loads(told.read_text("utf-8"))
    return float(found["all"] / (found["all"] - found["ledger"]))
