"""`up --demo`: the main job, end to end, on real data, with real losses; and what it proved.

Two clients (a database of class high, a tree of class normal), three custodians of which two are
enough, three locations. Back up, change, back up again, restore both states; lose a location and
a custodian and restore again; delete the whole home and rebuild it from locations and two kits.
The second act is in `demonstrate_apart`.
"""

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from strongroom.clients import Keep
from strongroom.errors import Damaged, StrongroomError
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.back_up import BackupReport, back_up
from strongroom.operations.compare_data import compare_databases, compare_trees
from strongroom.operations.demonstrate_apart import ApartDemo, Servers
from strongroom.operations.deployment import Deployment, TargetOptions
from strongroom.operations.reconcile import reconcile
from strongroom.operations.recover import Kit
from strongroom.operations.restore import RestoreRequest, restore

DATABASE_CLIENT = "database"
TREE_CLIENT = "tree"


class Workshop(Protocol):
    """What makes, opens and rebuilds homes."""

    def make(self, home: Path, locations: Sequence[Path]) -> list[Kit]:
        """Make a home with three custodians, two of which are enough; return the kits."""
        ...

    def open(self, home: Path) -> AbstractContextManager[Deployment]:
        """Open a home."""
        ...

    def rebuild(self, home: Path, locations: Sequence[Path], kits: Sequence[Kit]) -> None:
        """Rebuild a home from locations and kits."""
        ...

    def make_apart(self, home: Path, locations: Sequence[Path]) -> AbstractContextManager[Servers]:
        """Make a home and three custodians, processes that run within the block; two are enough."""
        ...


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that was shown to be true, with what it took."""

    what: str
    elapsed_seconds: float
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What was proved, and what one machine cannot give."""

    proofs: list[Proof]
    elapsed_seconds: float
    not_given: list[str]


NOT_GIVEN = [
    "Distribution: all three custodians ran here, so whoever takes this machine takes them all.",
    "Facilities: the three locations are folders of one disk; one fire takes them together.",
    "Witnesses: the custodians signed the record of what happened, and all of them ran here.",
    "Protection of the present: whoever is root here reads the live data and today's keys.",
]


class Demo:
    """One demonstration in a folder of its own."""

    def __init__(
        self,
        workshop: Workshop,
        folder: Path,
        data: tuple[Path, Path],
        monotonic: Callable[[], float],
        tell: Callable[[Proof], None],
    ) -> None:
        """Take an empty folder, and data to copy: a SQLite file and a directory."""
        self._workshop = workshop
        self._folder = folder
        self._data = data
        self._monotonic = monotonic
        self._tell = tell
        self._proofs: list[Proof] = []
        self._home = folder / "home"
        self._locations = [folder / f"location-{number}" for number in (1, 2, 3)]
        self._database = folder / "live" / "data.db"
        self._tree = folder / "live" / "tree"

    def run(self) -> Demonstration:
        """Run every step; raises at the first that does not hold."""
        started = self._monotonic()
        self._copy_live_data()
        kits = self._workshop.make(self._home, self._locations)
        self._prove(f"made a home: 3 custodians, 2 open a key; 3 locations; {len(kits)} kits")
        with self._workshop.open(self._home) as deployment:
            self._add_clients(deployment)
            first = self._back_up(deployment, "first backup")
            self._keep_copy("before")
            self._change_live_data()
            self._back_up(deployment, "second backup, after changes")
            self._keep_copy("after")
            self._restore(deployment, "latest", "after", "restored the second state, equal")
            self._restore(deployment, first, "before", "restored the first state, equal")
        self._lose_location_and_custodian()
        self._refuse_with_one_custodian()
        self._reconcile()
        shutil.rmtree(self._home)
        self._prove("deleted the whole home")
        self._refuse_with_one_kit(kits)
        self._workshop.rebuild(self._home, self._locations, kits[:2])
        self._prove("rebuilt the home from the locations and 2 kits")
        with self._workshop.open(self._home) as deployment:
            self._restore(deployment, "latest", "after", "restored from the rebuilt home, equal")
            self._back_up(deployment, "backup by the rebuilt home (a full one)")
        ApartDemo(self._workshop, self._folder / "apart", self._database, self._prove).run()
        return Demonstration(self._proofs, self._monotonic() - started, NOT_GIVEN)

    # -- the live data

    def _copy_live_data(self) -> None:
        self._mark = self._monotonic()
        database, tree = self._data
        self._database.parent.mkdir()
        shutil.copyfile(database, self._database)
        shutil.copytree(tree, self._tree, symlinks=True, ignore=_not_for_a_demo)
        self._prove(
            f"copied real data: {database.name} and {tree.name}",
            self._database.stat().st_size + _size_of(self._tree),
        )

    def _change_live_data(self) -> None:
        with closing(sqlite3.connect(self._database)) as connection:
            connection.execute("CREATE TABLE demo_change (number INTEGER PRIMARY KEY, text TEXT)")
            rows = [(number, f"row {number} of the demonstration") for number in range(2000)]
            connection.executemany("INSERT INTO demo_change VALUES (?, ?)", rows)
            connection.commit()
        files = sorted(path for path in self._tree.rglob("*.py") if path.is_file())
        for path in files[::10]:
            path.chmod(0o644)
            with path.open("a", encoding="utf-8") as file:
                file.write("\n# changed by the demonstration\n")
        files[1].unlink()
        (self._tree / "new-file.txt").write_text("new\n", encoding="utf-8")
        self._prove(f"changed the data: 2000 rows, {len(files[::10])} files, one removed, one new")

    def _keep_copy(self, name: str) -> None:
        kept = self._folder / name
        kept.mkdir()
        shutil.copyfile(self._database, kept / "data.db")
        shutil.copytree(self._tree, kept / "tree", symlinks=True)
        self._mark = self._monotonic()

    # -- the job

    def _add_clients(self, deployment: Deployment) -> None:
        database = add_client(deployment, NewClient(DATABASE_CLIENT, "high", Keep()))
        add_source(deployment, database, "data.db", "sqlite", f"sqlite://{self._database}")
        tree = add_client(deployment, NewClient(TREE_CLIENT, "normal", Keep()))
        add_source(deployment, tree, "tree", "tree", f"file://{self._tree}")
        self._prove("added two clients: a database of class high, a tree of class normal")

    def _back_up(self, deployment: Deployment, what: str) -> dict[str, str]:
        reports: list[BackupReport] = []
        for client in deployment.registry.clients():
            report = back_up(deployment, client, lambda _: None)
            if report.state != "good" or any("location" in one for one in report.problems):
                raise Damaged(f"the {what} is not good", "; ".join(report.problems))
            reports.append(report)
        read = sum(report.read_bytes for report in reports)
        stored = sum(report.stored_bytes for report in reports)
        self._prove(f"{what}: {_mib(stored)} stored new, at 3 locations each", read)
        return {report.client: report.snapshot for report in reports}

    def _restore(
        self, deployment: Deployment, wanted: dict[str, str] | str, state: str, what: str
    ) -> None:
        total = 0
        for client in deployment.registry.clients():
            folder = self._folder / "restored" / client.name
            snapshot = wanted if isinstance(wanted, str) else wanted[client.name]
            report = restore(
                deployment,
                client,
                RestoreRequest(snapshot, folder, options=TargetOptions()),
                lambda _: None,
            )
            total += sum(source.restored_bytes for source in report.sources)
        compare_databases(
            self._folder / state / "data.db",
            self._folder / "restored" / DATABASE_CLIENT / "data.db",
        )
        compare_trees(
            self._folder / state / "tree", self._folder / "restored" / TREE_CLIENT / "tree"
        )
        shutil.rmtree(self._folder / "restored")
        self._prove(what, total)

    # -- the losses

    def _lose_location_and_custodian(self) -> None:
        custodian = self._home / "custodians" / "custodian-3"
        away = [(self._locations[0], self._folder / "away-1"), (custodian, self._folder / "away-2")]
        for place, aside in away:
            place.rename(aside)
        with self._workshop.open(self._home) as deployment:
            self._restore(
                deployment, "latest", "after", "lost a location and a custodian; restored, equal"
            )
        for place, aside in away:
            aside.rename(place)

    def _refuse_with_one_custodian(self) -> None:
        away = [
            (self._home / "custodians" / f"custodian-{number}", self._folder / f"away-{number}")
            for number in (2, 3)
        ]
        for place, aside in away:
            place.rename(aside)
        try:
            with self._workshop.open(self._home) as deployment:
                self._restore(deployment, "latest", "after", "")
        except StrongroomError as err:
            refusal = err.what
        else:
            raise Damaged("one custodian alone opened a key", "the threshold does not hold")
        for place, aside in away:
            aside.rename(place)
        self._prove(f"one custodian alone opens nothing ({refusal})")

    def _reconcile(self) -> None:
        with self._workshop.open(self._home) as deployment:
            found = reconcile(deployment)
        if found.findings:
            raise Damaged(
                "the custodians tell another story than the ledger", found.findings[0].text
            )
        releases = sum(len(one.releases) for one in found.journals)
        self._prove(f"asked the custodians what they released: {releases} pieces, all announced")

    def _refuse_with_one_kit(self, kits: Sequence[Kit]) -> None:
        try:
            self._workshop.rebuild(self._home, self._locations, kits[:1])
        except StrongroomError as err:
            self._prove(f"one kit alone rebuilds nothing ({err.what})")
        else:
            raise Damaged("one kit alone rebuilt the home", "the threshold does not hold")

    def _prove(self, what: str, size: int = 0) -> None:
        now = self._monotonic()
        proof = Proof(what, round(now - self._mark, 3), size)
        self._proofs.append(proof)
        self._tell(proof)
        self._mark = self._monotonic()


def _not_for_a_demo(folder: str, names: list[str]) -> set[str]:
    """Leave out what is not the library itself."""
    return {"site-packages", "dist-packages", "__pycache__", "test", "tests"} & set(names)


def _size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"
