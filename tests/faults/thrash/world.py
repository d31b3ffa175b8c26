"""A home under thrash, how commands are run on it, and what is known to be kept there.

A finding is a sentence in `findings`; the run goes on, so that one run names all it met.
"""

import json
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.thrash.sources import Live, LiveBank, LiveCommand, LiveFile, LiveTree

ROOT = Path(__file__).parents[3]
LOCATIONS = ("loc1", "loc2", "loc3")
HANG_SECONDS = 240
SPOOL_ABOVE = 4096
HIGH = "twice"
LIVE: Mapping[str, Callable[[Path], list[Live]]] = {
    "trees": lambda folder: [LiveTree(folder / "tree", "tree")],
    "bank": lambda folder: [LiveBank(folder / "bank.db", "bank.db")],
    HIGH: lambda folder: [
        LiveBank(folder / "twice.db", "twice.db"),
        LiveFile(folder / "note", "note"),
        LiveCommand(folder / "spoken.txt", "spoken"),
    ],
}
"""The live sources of each client, made in a folder."""
Window = dict[str, tuple[int, int]]
"""For each source of a client the oldest and newest version that a snapshot may hold."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a backup that ended said it had kept, and what that may be."""

    state: str
    window: Window
    told: float


@dataclass(slots=True)
class Spell:
    """A time in which something was away or busy."""

    began: float
    ended: float = math.inf


@dataclass(frozen=True, slots=True)
class Ended:
    """How one command ended, and what was done to it."""

    arguments: Sequence[str]
    code: int
    out: str
    err: str
    began: float
    signals: Sequence[signal.Signals]
    starved: bool
    """Whether it had a small disk."""

    @property
    def disturbed(self) -> bool:
        return bool(self.signals) or self.starved

    @property
    def error(self) -> str:
        """The code of the JSON error on stderr, where there is one."""
        text = self.err[self.err.find('{\n  "error"') :]
        try:
            return str(json.loads(text)["error"]["code"]) if text.startswith("{") else ""
        except ValueError:
            return ""


class ThrashWorld:
    """One home, three locations, live sources, and the record of what is known to be kept."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clients: dict[str, list[Live]] = {}
        self.kept: dict[tuple[str, str], Kept] = {}
        self.counts: Counter[str] = Counter()
        self.findings: list[str] = []
        self.kits = ""
        self.lock = threading.Lock()
        self.usual: dict[str, float] = defaultdict(lambda: 1.0)
        self.weather: list[Spell] = []
        self.home = root / "home"
        self._restored = 0

    @property
    def locations(self) -> list[Path]:
        return [self.root / name for name in LOCATIONS]

    def environment(self) -> dict[str, str]:
        """Return what a command gets: nothing of the person who runs the tests."""
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.root / "user"),
            "XDG_CONFIG_HOME": str(self.root / "config"),
            "XDG_RUNTIME_DIR": str(self.root / "runtime"),
            "TMPDIR": str(self.root / "temporary"),
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONFAULTHANDLER": "1",
        }

    def make(self, *clients: str) -> None:
        """Make folders, live data, the home, and these clients."""
        for name in ("user", "runtime", "temporary", "restored", "live"):
            (self.root / name).mkdir(parents=True, mode=0o700)
        places = [word for place in self.locations for word in ("--location", str(place))]
        made = self.well("init", "--json", *places)
        self.kits = "\n".join(kit["words"] for kit in json.loads(made.out)["kits"])
        for client in clients:
            self.add(client, LIVE[client](self.root / "live"))

    def add(self, client: str, sources: list[Live], *options: str, stdin: str = "") -> None:
        """Add a client, and take its first snapshot, undisturbed."""
        self.clients[client] = sources
        named = [word for one in sources for word in ("--source", one.url)]
        vault_class = "high" if client == HIGH else "normal"
        added = ["client", "add", client, "--class", vault_class, *named, *options]
        self.well(*added, stdin=stdin)
        self.back_up_well(client)

    def fresh(self) -> Path:
        """Return a folder that is not there yet."""
        with self.lock:
            self._restored += 1
            return self.root / "restored" / str(self._restored)

    def well(self, *arguments: str, stdin: str = "", home: Path | None = None) -> Ended:
        """Run a command that nobody disturbs and that must end with 0."""
        ended = self.run(arguments, stdin=stdin, home=home)
        if ended.code:
            self.find(ended, f"exits {ended.code}, undisturbed")
        return ended

    def back_up_well(self, client: str) -> None:
        """Back up a client undisturbed, and remember the snapshot."""
        before = self.versions(begun=False)
        done = self.well("backup", client, "--json")
        if done.code == 0:
            self.keep(json.loads(done.out), before)

    def run(
        self,
        arguments: Sequence[str],
        *,
        plan: Sequence[tuple[float, signal.Signals]] = (),
        limit: int = 0,
        spooled: bool = False,
        stdin: str = "",
        home: Path | None = None,
    ) -> Ended:
        """Run a command under a plan: pauses, each with the signal that follows it.

        `limit` is the size in bytes at which this process finds the disk full; `spooled` lets every
        SQLite database go through the spool.
        """
        module = ["strongroom"]
        if spooled:
            module = ["tests.faults.driver", json.dumps({"kill_at": 0, "memory_max": SPOOL_ABOVE})]
        command = [sys.executable, "-m", *module, "--home", str(home or self.home), *arguments]
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
            cwd=self.root,
            start_new_session=True,
        )
        if limit:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        sent: list[signal.Signals] = []
        given: str | None = stdin
        for pause, number in plan:
            try:
                process.communicate(given, timeout=pause)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(number)
                sent.append(number)
                given = None
        try:
            out, err = process.communicate(given, timeout=HANG_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            out, err = process.communicate()
            err = f"it hung; where:\n{err}"
        ended = Ended(arguments, process.returncode, out, err, began, sent, bool(limit))
        with self.lock:
            self.counts["processes"] += 1
            self.counts["processes with a small disk"] += bool(limit)
            for number in sent:
                self.counts[f"sent {number.name}"] += 1
        return ended

    def find(self, ended: Ended, what: str) -> None:
        """Record what should not be."""
        said = ended.err.strip()[-1500:] or ended.out.strip()[-300:]
        signals = ", ".join(number.name for number in ended.signals) or "no signal"
        line = f"`{' '.join(ended.arguments)}` {what} ({signals}, starved: {ended.starved}): {said}"
        with self.lock:
            self.findings.append(line)

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def versions(self, *, begun: bool) -> dict[str, int]:
        """Return the version of each source, by name."""
        return {
            source.name: source.begun if begun else source.settled
            for sources in self.clients.values()
            for source in sources
        }

    def keep(self, report: dict[str, Any], before: dict[str, int]) -> None:
        """Remember a snapshot that a backup told of."""
        now = self.versions(begun=True)
        window = {
            one["name"]: (before[one["name"]], now[one["name"]])
            for one in report["sources"]
            if one["state"] == "kept"
        }
        with self.lock:
            self.kept[report["client"], report["snapshot"]] = Kept(
                report["state"], window, time.monotonic()
            )
            self.counts[f"backups {report['state']}"] += 1
            self.counts["sources not kept"] += len(report["sources"]) - len(window)

    def stormy(self, since: float) -> bool:
        """Say whether something was away or busy since a moment."""
        with self.lock:
            return any(spell.ended + 1 > since for spell in self.weather)

    def judge(self, client: str, folder: Path, window: Window) -> list[str]:
        """Compare all that was restored of a client with what it may be."""
        wrong = []
        for source in self.clients[client]:
            if source.name in window:
                place = folder / source.name
                if not place.exists():
                    wrong.append(f"{source.name} was not restored")
                elif said := source.judge(place, *window[source.name]):
                    wrong.append(f"{source.name}: {said}")
        return wrong

    def any_window(self, client: str, sources: int) -> Window:
        """Return the window of a snapshot whose backup could not tell of it."""
        found = self.clients[client]
        return {one.name: (0, one.begun) for one in found} if sources == len(found) else {}
