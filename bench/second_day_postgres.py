"""Second day of a PostgreSQL database, as each program's users back one up.

This product connects and reads it; the peers are given what pg_dump writes, through a pipe. All
sides back up one state before the next day's work is done, so all see the same.
"""

import hashlib
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack

from bench.data import SEED, Input
from bench.figures import Figures
from bench.lane import Lane, Trial, lane
from bench.measure import Cost, NotMeasured, say
from bench.orders import Day, Orders
from bench.second_day import DAYS, FIRST_AND_DAYS, RUNS_MAX, day_found
from bench.server import DATABASE, Server, running
from bench.sides import STREAM, Peer, Step, Strongroom

POSTGRES_BYTES = 1_000_000_000


def postgres(trial: Trial) -> Figures:
    """Measure a database of which a dump has about 1 GB."""
    figures = Figures()
    with running(trial.folder) as server:
        say("making the database")
        orders = Orders(SEED)
        size = server.create_origin(orders, int(POSTGRES_BYTES * trial.scale))
        figures.input = {"bytes": size}
        days = [orders.day(pattern) for pattern in DAYS]
        runs = min(trial.runs, RUNS_MAX)
        for number in range(1, runs + 1):
            say(f"run {number} of {runs}")
            server.begin()
            _measure_run(trial, server, days, figures)
    return figures


def _measure_run(trial: Trial, server: Server, days: Sequence[Day], figures: Figures) -> None:
    with ExitStack() as stack:
        ours = _Ours(stack.enter_context(lane(trial, Strongroom())), server)
        backers: list[_Ours | _Theirs] = [ours]
        backers += [_Theirs(stack.enter_context(lane(trial, peer)), server) for peer in trial.peers]
        found: list[dict[str, float]] = [{"peak_bytes": 0.0} for _ in backers]
        for number, name in enumerate(FIRST_AND_DAYS, 1):
            if number > 1:
                server.change(days[number - 2])
            for backer, row in zip(backers, found, strict=True):
                say(f"{name}: {backer.lane.side.name}")
                before = backer.lane.stored_bytes()
                cost = backer.backup(number)
                row.update(day_found(name, cost, backer.lane.stored_bytes() - before))
                row["peak_bytes"] = max(row["peak_bytes"], float(cost.peak_bytes))
        rows = _rows_digest(server, ["pg_dump", "--data-only", DATABASE])
        for backer, row in zip(backers, found, strict=True):
            row["restore_seconds"] = backer.restore(len(FIRST_AND_DAYS), rows)
            figures.add(backer.lane.side.name, row)


class _Ours:
    """This product and a PostgreSQL source."""

    def __init__(self, one: Lane[Strongroom], server: Server) -> None:
        self.lane = one
        self._server = server
        one.run(one.side.begin(one.work))
        secret = ("--password-file", str(server.password_file))
        self._run(one.side.add_client(one.work, "bench", f"{DATABASE}={server.url}", *secret))

    def backup(self, number: int) -> Cost:
        return self._run(self.lane.side.do(self.lane.work, "backup", "bench"))

    def restore(self, number: int, rows: str) -> float:
        """Restore into a folder for pg_restore, and compare every row."""
        to = self.lane.work / "restored"
        cost = self._run(self.lane.side.restore(self.lane.work, number))
        lister = ["pg_restore", "--data-only", "--file=-", str(to / DATABASE)]
        _compare(self._server, lister, rows, self.lane.side.name)
        return cost.seconds

    def _run(self, step: Step) -> Cost:
        return self.lane.run(step, PATH=self._server.environment()["PATH"])


class _Theirs:
    """A peer at the end of a pipe from pg_dump."""

    def __init__(self, one: Lane[Peer], server: Server) -> None:
        self.lane = one
        self._server = server
        one.prepare(Input("data", one.work, 1, 0))

    def backup(self, number: int) -> Cost:
        return self._run(f"pg_dump {DATABASE} | {shlex.join(self.lane.side.backup_stream(number))}")

    def restore(self, number: int, rows: str) -> float:
        """Restore the dump into a file, and compare every row."""
        to = self.lane.work / STREAM
        command = shlex.join(self.lane.side.restore_stream(number))
        cost = self._run(f"{command} > {shlex.quote(str(to))}")
        _compare(self._server, ["cat", str(to)], rows, self.lane.side.name)
        return cost.seconds

    def _run(self, script: str) -> Cost:
        step = Step(["bash", "-c", f"set -o pipefail; {script}"], self.lane.work)
        return self.lane.run(step, **self._server.environment())


def _compare(server: Server, lister: list[str], rows: str, name: str) -> None:
    if _rows_digest(server, lister) != rows:
        raise NotMeasured(f"{name} did not restore the rows it was given")


def _rows_digest(server: Server, command: list[str]) -> str:
    """Return the digest of all lines between a COPY and its end that a command writes."""
    digest, inside = hashlib.blake2b(), False
    program = shutil.which(command[0], path=server.environment()["PATH"]) or command[0]
    with subprocess.Popen(
        [program, *command[1:]], stdout=subprocess.PIPE, env=server.environment()
    ) as process:
        for line in process.stdout or ():
            if inside:
                digest.update(line)
                inside = line != b"\\.\n"
            else:
                inside = line.startswith(b"COPY ")
    if process.returncode:
        raise NotMeasured(f"{command[0]} ended with {process.returncode}")
    return digest.hexdigest()
