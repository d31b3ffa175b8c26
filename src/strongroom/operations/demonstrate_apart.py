"""`up --demo`, second act: custodians that are processes of their own, and some that are killed.

Three custodians with homes of their own are joined, and asked over mutual TLS. One is killed:
backups and restores go on, and `status` says which and since when. Two are killed: a backup is
pending, a restore is refused. They come back: the receipts are collected, and all is good.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

from strongroom.clients import Keep
from strongroom.errors import Damaged, StrongroomError
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.back_up import back_up
from strongroom.operations.compare_data import compare_databases
from strongroom.operations.deployment import Deployment, TargetOptions
from strongroom.operations.restore import RestoreRequest, restore
from strongroom.operations.tell_status import tell_status

CLIENT: Final = "database"


class Servers(Protocol):
    """Custodians that run as processes of this machine, by their index in the roster."""

    def kill(self, index: int) -> None:
        """Kill one in the middle of whatever it does."""
        ...

    def start(self, index: int) -> object:
        """Start one again on what it holds; returns when it serves."""
        ...


class ApartWorkshop(Protocol):
    """What makes and opens a home whose custodians are processes of their own."""

    def make_apart(self, home: Path, locations: Sequence[Path]) -> AbstractContextManager[Servers]:
        """Make a home and three custodians, two of which are enough; they run within the block."""
        ...

    def open(self, home: Path) -> AbstractContextManager[Deployment]:
        """Open a home."""
        ...


class ApartDemo:
    """The second act, in a folder of its own."""

    def __init__(
        self,
        workshop: ApartWorkshop,
        folder: Path,
        database: Path,
        prove: Callable[[str, int], None],
    ) -> None:
        """Take a folder to make, a SQLite file to keep, and who hears what was proved."""
        self._workshop = workshop
        self._folder = folder
        self._database = database
        self._prove = prove
        self._home = folder / "home"

    def run(self) -> None:
        """Run every step; raises at the first that does not hold."""
        self._folder.mkdir()
        locations = [self._folder / f"location-{number}" for number in (1, 2)]
        with self._workshop.make_apart(self._home, locations) as servers:
            self._add_client()
            self._prove("made a home whose 3 custodians are processes, asked over mutual TLS", 0)
            self._back_up("good", 3)
            self._prove("backed up: all 3 custodians signed", self._database.stat().st_size)
            servers.kill(3)
            self._back_up("good", 2)
            size = self._restore()
            self._check_missed("custodian-3")
            self._prove("killed custodian-3, as status says; backed up, restored, equal", size)
            servers.kill(2)
            self._back_up("pending", 1)
            refusal = self._refused()
            self._prove(f"killed custodian-2; the backup is pending, no restore ({refusal})", 0)
            for index in (2, 3):
                servers.start(index)
            self._back_up("good", 3)
            size = self._restore()
            self._check_missed()
            self._prove("started both again; all receipts collected, restored, equal", size)

    def _add_client(self) -> None:
        with self._workshop.open(self._home) as deployment:
            client = add_client(deployment, NewClient(CLIENT, "high", Keep()))
            add_source(deployment, client, "data.db", "sqlite", f"sqlite://{self._database}")

    def _back_up(self, state: str, receipts: int) -> None:
        with self._workshop.open(self._home) as deployment:
            report = back_up(deployment, deployment.registry.client(CLIENT), lambda _: None)
        if (report.state, report.receipts) != (state, receipts):
            raise Damaged(
                f"a backup is {report.state} with {report.receipts} receipts",
                f"it should be {state} with {receipts}",
            )

    def _restore(self) -> int:
        restored = self._folder / "restored"
        with self._workshop.open(self._home) as deployment:
            client = deployment.registry.client(CLIENT)
            request = RestoreRequest("latest", restored, options=TargetOptions())
            report = restore(deployment, client, request, lambda _: None)
        compare_databases(self._database, restored / "data.db")
        shutil.rmtree(restored)
        return sum(source.restored_bytes for source in report.sources)

    def _refused(self) -> str:
        try:
            self._restore()
        except StrongroomError as err:
            return err.what
        raise Damaged("one custodian alone opened a key", "the threshold does not hold")

    def _check_missed(self, *names: str) -> None:
        with self._workshop.open(self._home) as deployment:
            missed = tell_status(deployment).custodians_missed_since
        if sorted(missed) != sorted(names):
            raise Damaged("status misses other custodians", f"{sorted(missed)}, not {names}")
