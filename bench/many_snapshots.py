"""Many snapshots: one vault with 10,000 snapshots and 1 million chunks, and what commands take.

The chunks are a million small files, each one chunk, as in a mail folder: backed up, backed up
again, and then no source any more, so that the vault holds them and no later backup reads them.
The snapshots are of a small SQLite database that gets a row before each, made by `many_backups`.
Commands are measured after ten snapshots and after all, each as a whole process: what grows with
the number of snapshots is the difference. One location; there is nothing to compare with.
"""

import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec

from bench import measure
from bench.data import SEED
from bench.figures import MINE, Figures
from bench.goals import Goal
from bench.lane import Lane, Trial, lane, put_aside
from bench.many_backups import add_note, make_notes
from bench.measure import Cost, NotMeasured, say
from bench.sides import Step, Strongroom

SNAPSHOTS = 10_000
FILES = 1_000_000
FILES_IN_A_FOLDER = 1000
FEW = 10
RUNS = 3
REFUSED = 4
CLIENT = "bench"
FIGURES = {
    "files_first_seconds": "1,000,000 new files",
    "files_again_seconds": "again, no change",
    "unchanged_seconds": "small backup, no change",
    "changed_seconds": "a row more",
    "list_seconds": "snapshots",
    "restore_seconds": "restore",
    "check_seconds": "vault check",
    "prune_plan_seconds": "vault prune --dry-run",
    "rebuild_seconds": "backup, index lost",
    "recover_seconds": "recover",
    "peak_bytes": "most memory of all",
}
GOALS = (
    Goal("peak_bytes", "peak memory of every command under 400 MB", limit=400e6),
)  # fmt: skip


def many_snapshots(trial: Trial) -> Figures:
    """Measure the first and second backup of the files, then every command, early and late."""
    figures = Figures()
    snapshots = max(2 * FEW, int(SNAPSHOTS * trial.scale))
    files = trial.folder / "files"
    notes = trial.folder / "notes.db"
    say(f"making {int(FILES * trial.scale):,} files")
    figures.input = {"files": _make_files(files, int(FILES * trial.scale))}
    make_notes(notes)
    with lane(trial, Strongroom()) as one:
        vault = _Vault(one, notes, _begin(one))
        most = vault.back_up_files(files, figures)
        # What commands before it have stored is in both.
        for side, count in ((f"{MINE}, {FEW} snapshots", FEW), (MINE, snapshots)):
            vault.grow(count)
            found = vault.measure_all(min(RUNS, trial.runs), side, figures)
            most = max(most, found)
            figures.add(side, {"peak_bytes": most if side == MINE else found})
        figures.input |= {"snapshots": vault.count("attempt"), "chunks": vault.count("chunk")}
    return figures


def _make_files(root: Path, count: int) -> int:
    """Write files of some dozens of bytes that all differ, a thousand to a folder."""
    chance = random.Random(SEED)
    for number in range(count):
        folder = root / f"folder-{number // FILES_IN_A_FOLDER:04d}"
        if number % FILES_IN_A_FOLDER == 0:
            folder.mkdir(parents=True)
        text = f"message {number}\n{chance.getrandbits(240):060x}\n"
        (folder / f"message-{number:07d}").write_text(text, encoding="ascii")
    return count


def _begin(one: Lane[Strongroom]) -> str:
    """Make a home and return its kits, one a line."""
    made = one.side.begin(one.work)
    one.run(Step([*made.command, "--json"], made.folder))
    told = msgspec.json.decode((one.work / "log").read_bytes())
    return "".join(f"{kit['words']}\n" for kit in told["kits"])


class _Vault:
    """The one vault at work, and how many snapshots it should have."""

    def __init__(self, one: Lane[Strongroom], notes: Path, kits: str) -> None:
        self._one = one
        self._notes = notes
        self._kits = one.work / "kits"
        self._kits.write_text(kits, encoding="ascii")

    def back_up_files(self, files: Path, figures: Figures) -> float:
        """Back the files up twice, then give the client the database instead."""
        self._do("client", "add", CLIENT, "--source", f"files={files}")
        say("backing the files up, and again")
        first, again = self._do("backup", CLIENT), self._do("backup", CLIENT)
        _note(figures, MINE, "files_first", first)
        _note(figures, MINE, "files_again", again)
        self._do("source", "remove", CLIENT, "files", "--yes")
        self._do("source", "add", CLIENT, f"notes={self._notes}")
        self._do("backup", CLIENT)
        return float(max(first.peak_bytes, again.peak_bytes))

    def grow(self, count: int) -> None:
        """Make backups until there are so many."""
        missing = count - self.count("attempt")
        say(f"making {missing:,} snapshots")
        module = (sys.executable, "-m", "bench.many_backups")
        arguments = (str(self._one.work / "home"), CLIENT, str(self._notes), str(missing))
        environment = self._one.side.environment(self._one.work)
        measure.output_of([*module, *arguments], environment)

    def measure_all(self, runs: int, side: str, figures: Figures) -> float:
        """Measure every command; return the most memory that one of them took."""
        costs: list[Cost] = []
        say(f"measuring with {self.count('attempt'):,} snapshots")
        for _ in range(runs):
            for figure, cost in self._quick():
                costs.append(cost)
                _note(figures, side, figure, cost)
        for figure, cost in self._slow():
            costs.append(cost)
            _note(figures, side, figure, cost)
        return float(max(cost.peak_bytes for cost in costs))

    def count(self, table: Literal["attempt", "chunk"]) -> int:
        """Return how many rows the vault's index has in a table: an attempt is a snapshot."""
        counts = {
            "attempt": "SELECT count(*) FROM attempt",
            "chunk": "SELECT count(*) FROM chunk",
        }
        with closing(sqlite3.connect(f"file:{self._index()}?mode=ro", uri=True)) as database:
            (found,) = database.execute(counts[table]).fetchone()
        return int(found)

    def _quick(self) -> list[tuple[str, Cost]]:
        found = [("unchanged", self._do("backup", CLIENT))]
        add_note(self._notes)
        found.append(("changed", self._do("backup", CLIENT)))
        found.append(("list", self._do("snapshots", CLIENT)))
        found.append(("list_json", self._do("snapshots", CLIENT, "--json")))
        found.append(("status", self._do("status")))
        to = self._one.work / "restored"
        found.append(("restore", self._do("restore", CLIENT, "--to", str(to))))
        if measure.database_differences(self._notes, to / "notes"):
            raise NotMeasured("a restore is not what was given")
        put_aside(to)
        return found

    def _slow(self) -> list[tuple[str, Cost]]:
        found = [("check", self._do("vault", "check", CLIENT))]
        # Nearly everything would go. It plans all of that before it refuses to take so much.
        work = self._one.work
        plan = self._one.side.do(work, "vault", "prune", CLIENT, "--dry-run")
        environment = self._one.side.environment(work)
        cost = measure.run(plan.command, environment, work, work / "log", (REFUSED,))
        found.append(("prune_plan", cost))
        self._index().unlink()
        found.append(("rebuild", self._do("backup", CLIENT)))
        location = str(self._one.side.repository(work) / "1")
        home = work / "recovered"
        recover = self._one.side.do(work, "recover", "--location", location)
        command = [str(home) if part == str(work / "home") else part for part in recover.command]
        step = Step([*command, "--kits", str(self._kits)], work)
        found.append(("recover", self._one.run(step)))
        put_aside(home)
        return found

    def _do(self, *arguments: str) -> Cost:
        return self._one.run(self._one.side.do(self._one.work, *arguments))

    def _index(self) -> Path:
        return next((self._one.work / "home").glob("clients/*/index.db"))


def _note(figures: Figures, side: str, figure: str, cost: Cost) -> None:
    seconds = {f"{figure}_seconds": cost.seconds, f"{figure}_cpu_seconds": cost.cpu_seconds}
    figures.add(side, {**seconds, f"{figure}_peak_bytes": float(cost.peak_bytes)})
