"""Releases: what it takes three custodians to open a snapshot's keys, each asked over mutual TLS.

The custodians are processes of this machine with homes of their own, so the network costs nothing
and everything else is as it is between machines. One client has a snapshot of one session, the
other one of a thousand sources, and so a thousand sessions under one approval.
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import measure
from bench.figures import MINE, Figures
from bench.goals import Goal
from bench.lane import Trial
from bench.measure import ROOT, say
from strongroom.adapters.machine.attended import AttendedProcess, start_attended

CUSTODIANS = 3
OPENINGS = 200
SESSIONS = 1_000
RATE = 1_000_000
FIGURES = {
    "one_p50_milliseconds": "one session, p50",
    "one_p99_milliseconds": "p99",
    "many_milliseconds": "1,000 sessions",
    "one_whole_milliseconds": "one, with request and witnesses, p50",
    "many_whole_milliseconds": "1,000, with request and witnesses",
}
GOALS = (
    Goal("one_p50_milliseconds", "a release of one session in 25 ms (p50)", limit=25.0),
    Goal("one_p99_milliseconds", "a release of one session in 100 ms (p99)", limit=100.0),
    Goal("many_milliseconds", "1,000 sessions under one approval in 3 s", limit=3000.0),
)


def release(trial: Trial) -> Figures:
    """Measure releases of one session and of many."""
    figures = Figures()
    sessions = max(10, int(SESSIONS * trial.scale))
    figures.input = {"sessions": sessions}
    home = trial.folder / "home"
    with custodians(trial.folder) as (places, codes):
        _prepare(trial.folder, home, places, codes, sessions)
        for number in range(1, trial.runs + 1):
            say(f"run {number} of {trial.runs}: releases")
            one = _work(home, "one", max(20, int(OPENINGS * trial.scale)))
            many = _work(home, "many", 1)
            figures.add(
                MINE,
                {
                    "one_p50_milliseconds": one["p50_milliseconds"],
                    "one_p99_milliseconds": one["p99_milliseconds"],
                    "one_whole_milliseconds": one["whole_p50_milliseconds"],
                    "many_milliseconds": many["p50_milliseconds"],
                    "many_whole_milliseconds": many["whole_p50_milliseconds"],
                },
            )
    return figures


@contextmanager
def custodians(folder: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Run custodians that wait to be joined; yield where they are and by which codes."""
    places, codes = [], []
    with ExitStack() as stack:
        for number in range(1, CUSTODIANS + 1):
            name = f"custodian-{number}"
            home = folder / name
            key_file = folder / f"{name}.key"
            made = _strongroom(
                home, "custodian", "init", "--listen", "127.0.0.1:0", "--key-file", str(key_file)
            )
            codes.append(str(json.loads(made)["join_code"]))
            _lift_limits(home / "custodian.toml")
            served = stack.enter_context(serving(name, home))
            port = re.search(r"port (\d+)", served.wait_until_it_serves())
            if port is None:
                raise measure.NotMeasured(f"{name} does not say where it listens")
            places.append(f"{name}=https://127.0.0.1:{port[1]}")
        yield places, codes


def serving(name: str, home: Path) -> AttendedProcess:
    """Serve a custodian until the block ends."""
    return start_attended(name, ["--home", str(home), "custodian", "serve"], "custodian listens")


def _lift_limits(settings: Path) -> None:
    """Let the custodian open as often as it is measured; its limits are of no interest here."""
    text = settings.read_text("utf-8")
    settings.write_text(re.sub(r"(?m)^((?:releases|questions)_\w+ = )\d+", rf"\g<1>{RATE}", text))


def _prepare(folder: Path, home: Path, places: list[str], codes: list[str], sessions: int) -> None:
    say(f"making a home, and a snapshot of {sessions:,} sessions")
    named = folder / "codes"
    named.write_text("".join(f"{code}\n" for code in codes), encoding="utf-8")
    options = [part for place in places for part in ("--custodian", place)]
    location = str(folder / "location")
    _strongroom(home, "init", "--location", location, *options, "--join-codes", str(named))
    for client, count in (("one", 1), ("many", sessions)):
        sources = []
        for number in range(count):
            source = folder / client / f"file-{number:04d}"
            source.parent.mkdir(exist_ok=True)
            source.write_text(f"{client} {number}\n", encoding="utf-8")
            sources += ["--source", str(source)]
        _strongroom(home, "client", "add", client, *sources)
        _strongroom(home, "backup", client)


def _strongroom(home: Path, *arguments: str) -> bytes:
    """Run a command and return what it shows as JSON."""
    command = [sys.executable, "-m", "strongroom", "--home", str(home), "--json", *arguments]
    # Its key file goes beside the home, and not into the configuration of whoever measures.
    environment = {"PYTHONPATH": str(ROOT / "src"), "XDG_CONFIG_HOME": str(home.parent)}
    return measure.output_of(command, environment)


def _work(home: Path, client: str, times: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.release_work", str(home), client, str(times)]
    told = json.loads(measure.output_of(command, {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}))
    return {figure: float(value) for figure, value in told.items()}
