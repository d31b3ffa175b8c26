"""People who run commands until told to stop; any of them may be killed; all they see is judged."""

import json
import random
import re
import shutil
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.thrash.world import Ended, Kept, ThrashWorld

COMMANDS = {
    "backup": 30,
    "backup --all": 8,
    "restore": 25,
    "vault check": 5,
    "vault check --read": 4,
    "vault check --read-data": 5,
    "vault repair": 6,
    "browse": 3,
    "snapshots": 5,
    "status": 4,
    "location list": 2,
}
OF_A_CLIENT = ("backup", "browse", "snapshots", "vault")
DISTURBED = 0.45
STARVED = 0.08
SMALL_DISKS = (4096, 65_536, 400_000)
NOT_BEGUN = ("Could not import runpy module", "Fatal Python error: init_import_site")
"""How the interpreter begins when Ctrl-C comes before it has found the program."""
DEADLY = (signal.SIGKILL,) * 6 + (signal.SIGINT, signal.SIGTERM)
# What a command may end with, beside failing for a good reason, while things come and go.
BUSY_CODES = {0, 3}


@dataclass(slots=True)
class Person:
    """Runs one command after the other."""

    world: ThrashWorld
    chance: random.Random
    stop: threading.Event

    def work(self) -> None:
        """Go on until told to stop."""
        while not self.stop.is_set():
            kind = self.chance.choices(list(COMMANDS), list(COMMANDS.values()))[0]
            client = self.chance.choice(list(self.world.clients))
            if kind == "restore":
                self._restore(client)
            else:
                self._command(kind, client)

    def _command(self, kind: str, client: str) -> None:
        words = kind.split()
        if words[0] in OF_A_CLIENT and kind != "backup --all":
            words.append(client)
        before = self.world.versions(begun=False)
        ended = self._run(kind, words)
        look(self.world, ended)
        if ended.code not in {0, 3}:
            return
        if words[0] == "backup":
            self._keep(ended, before)
        elif words[:2] == ["vault", "check"]:
            self.world.count("checks done")
            for problem in json.loads(ended.out)["problems"]:
                if problem["kind"] not in {"missing", "unknown"}:
                    self.world.find(ended, f"says {problem}")
        elif kind == "snapshots":
            find_vanished(self.world, client, ended)

    def _keep(self, ended: Ended, before: dict[str, int]) -> None:
        """Remember what a backup of one client or of all told of."""
        found = json.loads(ended.out)
        for report in found if isinstance(found, list) else [found]:
            if "snapshot" not in report:
                self.world.count(f"backups not made: {report['code']}")
                continue
            self.world.keep(report, before)
            left_out = [one for one in report["sources"] if one["state"] != "kept"]
            if left_out and not ended.disturbed and not self.world.stormy(ended.began):
                self.world.find(ended, f"left out for no reason: {left_out}")

    def _restore(self, client: str) -> None:
        """Restore a snapshot that a backup told of, and compare."""
        with self.world.lock:
            known = [one for one, kept in self.world.kept.items()
                     if one[0] == client and kept.state == "good"]  # fmt: skip
        if not known:
            return
        _, snapshot = self.chance.choice(known)
        folder = self.world.fresh()
        ended = self._run("restore", ["restore", client, snapshot, "--to", str(folder)])
        look(self.world, ended)
        if ended.code in {0, 3}:
            compare(self.world, ended, self.world.kept[client, snapshot], folder)
        shutil.rmtree(folder, ignore_errors=True)

    def _run(self, kind: str, words: Sequence[str]) -> Ended:
        """Run a command; perhaps kill it at a moment of its usual life, or let the disk be full."""
        plan: list[tuple[float, signal.Signals]] = []
        chance, usual = self.chance, self.world.usual[kind]
        spooled = words[0] == "backup" and chance.random() < 0.3
        if chance.random() < DISTURBED:
            if chance.random() < 0.3:
                plan.append((chance.uniform(0, usual), signal.SIGSTOP))
                plan.append((chance.uniform(0.1, 3), signal.SIGCONT))
            if not plan or chance.random() < 0.5:
                # What lets a backup spool is a program of tests: it is not built for Ctrl-C.
                deadly = signal.SIGKILL if spooled else chance.choice(DEADLY)
                plan.append((chance.uniform(0, 1.3 * usual), deadly))
        limit = chance.choice(SMALL_DISKS) if chance.random() < STARVED else 0
        ended = self.world.run([*words, "--json"], plan=plan, limit=limit, spooled=spooled)
        if not ended.disturbed:
            took = time.monotonic() - ended.began
            self.world.usual[kind] += 0.2 * (took - self.world.usual[kind])
        return ended


def look(world: ThrashWorld, ended: Ended) -> None:
    """Judge how a command ended, whatever it was."""
    if -ended.code in ended.signals:
        world.count(f"killed by {signal.Signals(-ended.code).name}")
        # Before the program has set the signal only the interpreter can speak.
        frames = re.findall(r'^ *File ".*/strongroom/.*$', ended.err, re.MULTILINE)
        if "cli.main import run" in ended.err or any("__main__" not in line for line in frames):
            world.find(ended, "shows a traceback")
        return
    if signal.SIGINT in ended.signals and ended.err.startswith(NOT_BEGUN):
        world.count("interrupted before the program began")
        return
    if ended.code == 130 and signal.SIGINT in ended.signals:
        world.count("interrupted")
    elif ended.code == 1 or (ended.starved and ended.error == "too_few_shares"):
        # A custodian that cannot journal gives no share.
        _excuse(world, ended)
    elif ended.code not in BUSY_CODES:
        world.find(ended, f"exits {ended.code}")
    if "Traceback" in ended.err or "it hung" in ended.err:
        world.find(ended, "shows a traceback")
    if "database is locked" in ended.err + ended.out:
        world.find(ended, "speaks of a locked database")


def _excuse(world: ThrashWorld, ended: Ended) -> None:
    """Accept a failure that the vault's lock, the weather or a full disk explains."""
    if ended.error == "already_running":
        world.count("refused by the lock")
    elif ended.starved:
        world.count(f"failed by a small disk: {ended.error}")
    elif world.stormy(ended.began):
        world.count(f"failed by the weather: {ended.error}")
    else:
        world.find(ended, "fails for no reason")


def find_vanished(world: ThrashWorld, client: str, ended: Ended) -> None:
    """Look for snapshots that were told of before the list was asked for."""
    listed = {one["snapshot"] for one in json.loads(ended.out)}
    with world.lock:
        older = {
            snapshot
            for (of, snapshot), kept in world.kept.items()
            if of == client and kept.told < ended.began
        }
    for snapshot in sorted(older - listed):
        world.find(ended, f"no longer lists {snapshot}")


def compare(world: ThrashWorld, ended: Ended, kept: Kept, folder: Path) -> None:
    """Judge what a restore that ended brought back."""
    wrong = world.judge(ended.arguments[1], folder, kept.window)
    if wrong:
        world.find(ended, f"is not equal: {'; '.join(wrong)}")
    else:
        world.count("restores equal")
