"""Many: 500 small SQLite databases as 500 clients, in one `backup --all`.

Separate clients need separate keys, so the peers get a repository for each, in a loop. They are
also given what is kinder to them and parts nothing: one repository, one command for each database.
A loop takes minutes and hardly varies, so it is measured once.
"""

import random
import shlex
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import measure
from bench.data import SEED, Input
from bench.figures import Figures
from bench.goals import Goal
from bench.lane import Lane, Trial, lane, put_aside
from bench.measure import say
from bench.orders import Orders, create_database
from bench.sides import Peer, Step, Strongroom

DATABASES = 500
SMALLEST_BYTES = 32 << 10
DOUBLINGS = 5
FIGURES = {
    "first_seconds": "first backup of all",
    "stored_bytes": "stored",
    "backup_peak_bytes": "peak",
}
GOALS = (
    Goal("first_seconds", "all clients 10 times as fast as a loop over the fastest peer", 10,
         plotted="500 databases of 500 clients"),
)  # fmt: skip


def many(trial: Trial) -> Figures:
    """Measure this product's one command against a loop over each peer, in two forms."""
    figures = Figures()
    inputs = _make(trial.folder / "data", max(4, int(DATABASES * trial.scale)))
    figures.input = {"files": len(inputs), "bytes": sum(one.size_bytes for one in inputs)}
    _ours(trial, inputs, figures)
    for peer in trial.some_peers():
        say(f"a loop over {peer.program}, a repository each (made first, not measured)")
        with lane(trial, peer) as one:
            figures.add(f"{peer.program}, a repository each", _loop_apart(one, inputs))
        say(f"a loop over {peer.program}, one repository")
        with lane(trial, peer) as one:
            figures.add(f"{peer.program}, one repository", _loop_together(one, inputs))
    return figures


def _make(root: Path, count: int) -> list[Input]:
    chance = random.Random(SEED)
    inputs: list[Input] = []
    for number in range(count):
        size = int(SMALLEST_BYTES * 2 ** chance.uniform(0, DOUBLINGS))
        folder = root / f"client-{number:03d}"
        folder.mkdir(parents=True)
        create_database(folder / "app.db", Orders(SEED + number), size)
        inputs.append(Input(folder.name, folder, 1, (folder / "app.db").stat().st_size, "app.db"))
    return inputs


def _ours(trial: Trial, inputs: Sequence[Input], figures: Figures) -> None:
    with lane(trial, Strongroom()) as one:
        side, work = one.side, one.work
        one.run(side.begin(work))
        say(f"strongroom: adding {len(inputs)} clients, not measured")
        for made in inputs:
            one.run(side.add_client(work, made.name, str(made.source)))
        # Every run begins at the same state: all clients are there, and nothing is backed up.
        prepared = trial.folder / "prepared"
        shutil.copytree(work, prepared, symlinks=True)
        for number in range(1, trial.runs + 1):
            say(f"run {number} of {trial.runs}: {side.name}")
            put_aside(work)
            shutil.copytree(prepared, work, symlinks=True)
            measure.warm(inputs[0].root.parent)
            before = one.stored_bytes()
            cost = one.run(side.do(work, "backup", "--all"))
            figures.add(side.name, _found(cost, one.stored_bytes() - before))
        for made in (inputs[0], inputs[-1]):
            one.run(side.do(work, "restore", made.name, "--to", str(work / made.name)))
            _compare(made, work / made.name / "app.db")
        put_aside(prepared)


def _loop_apart(one: Lane[Peer], inputs: Sequence[Input]) -> dict[str, float]:
    peer, work = one.side, one.work
    repositories = {made.name: work / "repository" / made.name for made in inputs}
    (work / "repository").mkdir()
    environment = peer.environment(work)

    def begin(made: Input) -> None:
        more = {peer.variable: str(repositories[made.name])}
        for step in peer.prepare(work, made):
            measure.output_of(step.command, environment | more)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(begin, inputs))
    before = one.stored_bytes()
    lines = [f"{peer.variable}={shlex.quote(str(repositories[made.name]))} " for made in inputs]
    cost = _run_loop(one, inputs, lines, [1] * len(inputs))
    found = _found(cost, one.stored_bytes() - before)
    for made in (inputs[0], inputs[-1]):
        _restore(one, made, 1, {peer.variable: str(repositories[made.name])})
    return found


def _loop_together(one: Lane[Peer], inputs: Sequence[Input]) -> dict[str, float]:
    one.prepare(inputs[0])
    before = one.stored_bytes()
    numbers = list(range(1, len(inputs) + 1))
    cost = _run_loop(one, inputs, [""] * len(inputs), numbers)
    found = _found(cost, one.stored_bytes() - before)
    _restore(one, inputs[-1], numbers[-1], {})
    return found


def _run_loop(
    one: Lane[Peer], inputs: Sequence[Input], settings: Sequence[str], numbers: Sequence[int]
) -> measure.Cost:
    """Run one shell that backs each database up with a command of its own."""
    script = ["set -e"]
    for made, setting, number in zip(inputs, settings, numbers, strict=True):
        step = one.side.backup(one.work, made, number)
        script.append(f"cd {shlex.quote(str(step.folder))}; {setting}{shlex.join(step.command)}")
    path = one.work / "loop.sh"
    path.write_text("\n".join(script) + "\n", encoding="utf-8")
    measure.warm(inputs[0].root.parent)
    return one.run(Step(["sh", str(path)], one.work))


def _restore(one: Lane[Peer], made: Input, number: int, more: dict[str, str]) -> None:
    one.run(one.side.restore(one.work, number), **more)
    _compare(made, one.side.restored(one.work, made) / "app.db")
    put_aside(one.work / "restored")


def _compare(made: Input, restored: Path) -> None:
    if measure.database_differences(made.source, restored):
        raise measure.NotMeasured(f"{restored} is not what was given")


def _found(cost: measure.Cost, stored: int) -> dict[str, float]:
    return {
        "first_seconds": cost.seconds,
        "first_cpu_seconds": cost.cpu_seconds,
        "stored_bytes": float(stored),
        "backup_peak_bytes": float(cost.peak_bytes),
    }
