"""One install under the crash matrix: home, three locations, two clients, and what is known kept.

Commands run in processes of their own, so that a death is a death. What the locations, custodians
and the clock do meanwhile is said here; what may follow from it is judged in `machine`.
"""

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from strongroom.adapters.locations.directory import MARKER, DirectoryLocation
from strongroom.app import App
from strongroom.clients import Keep
from strongroom.clock import SystemClock
from strongroom.crypto.envelope import decode_envelope
from strongroom.errors import Damaged, StrongroomError
from strongroom.locations import Location, Stat
from strongroom.operations.acceptance import check_signed_by_one_of
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.back_up import back_up
from strongroom.operations.credentials import Credential
from strongroom.operations.deployment import Deployment, Tools
from strongroom.operations.recover import RecoveryPlan, read_kits
from strongroom.operations.restore import RestoreRequest, restore
from strongroom.operations.set_up import InstallPlan, set_up
from strongroom.settings import Settings
from tests.faults.matrix.blows import Blow, StruckLocation
from tests.faults.matrix.live import Content, look_at, write_live
from tests.support.apart import Ended, apart
from tests.support.misbehaving_location import Plan

CLIENTS: Final[dict[str, Literal["normal", "high"]]] = {"plain": "normal", "twice": "high"}
LOCATIONS: Final = ("loc1", "loc2", "loc3")
CUSTODIANS: Final = (1, 2, 3)
THRESHOLD: Final = 2
KEEP: Final = Keep(daily=2, weekly=0, monthly=0, floor=2)
_BEGAN: Final = datetime(2027, 1, 1, tzinfo=UTC)
_ORIGINS: Final = "SELECT origin FROM epoch WHERE origin IS NOT NULL"

Change = Callable[[Deployment], Deployment]
"""What a test puts into a deployment, to see that the matrix finds it."""


class TurnedClock(SystemClock):
    """A clock that somebody sets; it never stands still."""

    def __init__(self) -> None:
        self.at = _BEGAN

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


@dataclass(frozen=True)
class StruckApp(App):
    """The composition root, whose locations are wrapped as they are opened."""

    wrap: Callable[[Location], Location] = field(default=lambda location: location)

    def tools(self, settings: Settings) -> Tools:
        tools = super().tools(settings)

        def location(url: str, name: str, create: bool) -> Location:
            return self.wrap(tools.location(url, name, create))

        return replace(tools, location=location, location_as=self.location)

    def location(self, url: str, credential: Credential | None) -> Location:
        return self.wrap(super().location(url, credential))


@dataclass(slots=True)
class Kept:
    """What a snapshot holds, and whether it was ever told to be good, or that it goes."""

    content: Content
    state: str
    home: int
    """Which home made it: 0, and one more for each recovery."""
    buried_by: int | None = None
    """Which home announced first that it goes."""


def silent(_: object) -> None:
    """Take progress and say nothing."""


def names_a_culprit(err: StrongroomError) -> bool:
    """Say whether an error tells what is at fault, and what to do."""
    told = f"{err.what} {err.why}"
    culprits = (*LOCATIONS, "snapshot", "packs/", "keys object", "custodian", "segment")
    return bool(err.hint) and any(one in told for one in culprits)


def _is_signed(path: Path, writers: Sequence[bytes]) -> bool:
    """Say whether a file is an object that one of these writers has signed."""
    with suppress(Damaged):
        check_signed_by_one_of(decode_envelope(path.read_bytes(), "it").statement, writers, "it")
        return True
    return False


class MatrixWorld:
    """An install that can be struck, looked into, and put back to its beginning."""

    def __init__(self, root: Path, change: Change | None = None) -> None:
        """Make the install, with one good snapshot of each client, and keep a copy of it."""
        self.root = root / "world"
        self.counts: Counter[str] = Counter()
        self.findings: list[str] = []
        self.clock = TurnedClock()
        self.change = change
        self.app = StruckApp(self.clock, os.urandom, wrap=self._wrap)
        self._template = root / "template"
        self._plans: dict[str, Plan] = {}
        self.kept: dict[str, dict[str, Kept]] = {client: {} for client in CLIENTS}
        self.versions = dict.fromkeys(CLIENTS, 0)
        self._begin_anew()
        self.kits = self._make()
        shutil.copytree(self.root, self._template, symlinks=True)
        self._first = (dict(self.versions), self.clock.at, self._kept_now())

    @property
    def home(self) -> Path:
        return self.root / "home"

    def reset(self) -> None:
        """Put everything back as it was when it was made."""
        self.counts["examples"] += 1
        shutil.rmtree(self.root)
        shutil.copytree(self._template, self.root, symlinks=True)
        self._begin_anew()
        versions, self.clock.at, kept_first = self._first
        self.versions = dict(versions)
        self.kept = kept_first
        self.kept = self._kept_now()

    def _kept_now(self) -> dict[str, dict[str, Kept]]:
        return {
            client: {at: replace(one) for at, one in kept.items()}
            for client, kept in self.kept.items()
        }

    def begin_here(self) -> None:
        """Let this be the beginning from now on."""
        shutil.rmtree(self._template)
        shutil.copytree(self.root, self._template, symlinks=True)
        self._first = (dict(self.versions), self.clock.at, self._kept_now())

    def _begin_anew(self) -> None:
        self.clock.at = _BEGAN + timedelta(days=1)
        self.homes = 0
        self.stale: dict[str, Sequence[Stat]] = {}
        self.unsynced: dict[str, frozenset[Path]] = {}
        """What each location that lies about syncing held when it began to lie."""

    def _make(self) -> list[str]:
        install = self.app.new_install()
        urls = {name: f"file://{self.root / name}" for name in LOCATIONS}
        plan = InstallPlan(install, "operator", len(CUSTODIANS), THRESHOLD, urls)
        tools, registry = self.app.make_home(self.home, install, self._key_file())
        made = set_up(tools, registry, plan)
        registry.close()
        with self.open() as deployment:
            for name, vault_class in CLIENTS.items():
                self.next_version(name)
                client = add_client(deployment, NewClient(name, vault_class, KEEP))
                folder = self.root / "live" / name
                add_source(deployment, client, "tree", "tree", f"file://{folder / 'tree'}")
                if vault_class == "normal":
                    url = f"sqlite://{folder / 'rows.db'}"
                    add_source(deployment, client, "rows.db", "sqlite", url)
                assert back_up(deployment, client, silent).problems == []
        self.note(list(CLIENTS))
        return [kit.words for kit in made.kits]

    def _key_file(self) -> Path:
        return self.root / "keys" / f"home-{self.homes}.key"

    def next_version(self, client: str) -> None:
        """Let the application write."""
        self.versions[client] += 1
        folder = self.root / "live" / client
        write_live(folder, self.versions[client], database=CLIENTS[client] == "normal")

    @contextmanager
    def open(self) -> Iterator[Deployment]:
        """Open the home, with what a test has changed in it."""
        with self.app.open(self.home) as deployment:
            changed = self.change(deployment) if self.change else deployment
            try:
                yield changed
            finally:
                # What was recorded is still to be placed by those that are not another's.
                if changed.copies is not deployment.copies:
                    changed.copies.close()

    def run(self, action: Callable[[Deployment], Any], struck: dict[str, Blow]) -> Ended:
        """Run a command on the home in a process of its own; blows are by location."""

        def command() -> Any:
            with self.open() as deployment:
                return action(deployment)

        return self.apart(command, struck)

    def apart(self, command: Callable[[], Any], struck: dict[str, Blow]) -> Ended:
        """Run anything in a process of its own, in which these locations are struck."""

        def act(tell: Callable[[str], None]) -> Any:
            self._plans = {name: blow.plan(tell) for name, blow in struck.items()}
            return command()

        ended = apart(act)
        self.clock.at += timedelta(minutes=1)
        self.counts["commands"] += 1
        self.counts["processes killed"] += ended.died
        for one in ended.told:
            self.counts[f"fault: {one}"] += 1
        return ended

    def calls_of(
        self, action: Callable[[Deployment], Any], locations: Sequence[str]
    ) -> dict[str, Counter[str]]:
        """Run a command that nothing strikes; return how often it calls each method, where."""

        def counting(name: str, tell: Callable[[str], None]) -> Plan:
            return lambda method, _key, _number: tell(f"{name} {method}")

        def act(tell: Callable[[str], None]) -> Any:
            self._plans = {name: counting(name, tell) for name in locations}
            with self.open() as deployment:
                return action(deployment)

        ended = apart(act)
        assert ended.error is None, ended.error
        assert not ended.bug, ended.bug
        found: dict[str, Counter[str]] = {name: Counter() for name in locations}
        for one in ended.told:
            name, _, method = one.partition(" ")
            found[name][method] += 1
        return found

    def _wrap(self, location: Location) -> Location:
        name = location.url.rpartition("/")[2]
        plan = self._plans.get(name)
        stale = self.stale.get(name)
        if plan is None and stale is None:
            return location
        return StruckLocation(location, plan or (lambda _method, _key, _number: None), stale)

    def note(self, clients: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the state of each snapshot at home, and note what new ones of these must hold.

        A row that a command has begun holds what the sources held while it ran.
        """
        states: dict[str, dict[str, str]] = {}
        with self.app.open(self.home) as deployment:
            for client in CLIENTS:
                found = deployment.registry.client(client)
                with deployment.tools.history(found.id) as history:
                    shown = history.snapshots()
                states[client] = {one.hash: one.state for one in shown}
                for one in shown:
                    kept = self.kept[client].get(one.hash)
                    if one.goes_at is not None and kept is not None and kept.state != "buried":
                        kept.state, kept.buried_by = "buried", self.homes
        for client in clients:
            for at in states[client].keys() - self.kept[client].keys():
                content = look_at(self.root / "live" / client)
                self.kept[client][at] = Kept(content, "new", self.homes)
        for client, found_states in states.items():
            for at, state in found_states.items():
                if self.kept[client][at].state not in {"good", "buried"}:
                    self.kept[client][at].state = state
        return states

    def knowing(self, client: str) -> frozenset[int]:
        """Return the custodians here that know the writer which is this home's, once it has one.

        One that was down at the first backup after a recovery learns it at the next that meets it.
        """
        with self.app.open(self.home) as deployment:
            found = deployment.registry.client(client)
            with deployment.tools.history(found.id) as history:
                writers = {key for key, _ in history.writers()}
            pins = {one.card().index: one.pin(found.id) for one in deployment.embedded()}
        return frozenset(
            at for at, pin in pins.items() if pin and writers <= {one.key for one in pin.writers}
        )

    def waiting(self, client: str) -> list[str]:
        """Return the snapshots that this home has announced to go and not begun to delete.

        What an earlier home had announced it may have begun to delete before it was lost.
        """
        kept = self.kept[client]
        with self.app.open(self.home) as deployment:
            found = deployment.registry.client(client)
            with deployment.tools.history(found.id) as history:
                going = [one.hash for one in history.snapshots() if one.goes_at is not None]
        return [at for at in going if at in kept and kept[at].buried_by == self.homes]

    def restored(self, client: str, snapshot: str, struck: dict[str, Blow]) -> Content:
        """Restore a snapshot under blows that kill nobody, and return what came back."""
        folder = self.root / "restored"

        def tell(fault: str) -> None:
            self.counts[f"fault: {fault}"] += 1

        self._plans = {name: blow.plan(tell) for name, blow in struck.items()}
        try:
            with self.open() as deployment:
                found = deployment.registry.client(client)
                restore(deployment, found, RestoreRequest(snapshot, folder), silent)
            return look_at(folder)
        finally:
            self._plans = {}
            shutil.rmtree(folder, ignore_errors=True)

    def lose_home(self) -> None:
        """Lose the machine: its home, its key file, and the custodians that are down there."""
        for place in (self.home, self.root / "keys", self.root / "asleep"):
            shutil.rmtree(place, ignore_errors=True)

    def recover(self, kits: Sequence[int], struck: dict[str, Blow]) -> Ended:
        """Rebuild the home from the locations and these kits; its result: clients, problems."""
        self.homes += 1
        words = read_kits("\n".join(self.kits[index - 1] for index in kits))
        places = {name: f"file://{self.root / name}" for name in LOCATIONS}
        plan = RecoveryPlan(places, words, key_file=self._key_file())

        def command() -> tuple[list[str], list[str]]:
            found = self.app.recover(self.home, plan)
            return sorted(one.name for one in found.clients), found.problems

        return self.apart(command, struck)

    # -- what happens to places

    def away(self, name: str) -> None:
        """Take a location away."""
        (self.root / name).rename(self.root / f"{name}.away")

    def back(self, name: str) -> None:
        """Bring a location back as it was when it went."""
        (self.root / f"{name}.away").rename(self.root / name)

    def empty(self, name: str) -> None:
        """Put a new, empty location in the place of one that is lost."""
        shutil.rmtree(self.root / name)
        DirectoryLocation.create(self.root / name, os.urandom)
        self.unsynced.pop(name, None)

    def objects(self, name: str) -> list[Path]:
        """Return the files of all objects at a location."""
        place = self.root / name
        return sorted(
            path
            for path in place.rglob("*")
            if path.is_file() and path.name != MARKER and path.parent != place / "tmp"
        )

    def rot(self, name: str, which: int) -> bool:
        """Flip a bit of one object; say whether there was one."""
        found = self.objects(name)
        if not found:
            return False
        path = found[which % len(found)]
        data = bytearray(path.read_bytes())
        if not data:
            return False
        data[which % len(data)] ^= 1 << which % 8
        path.chmod(0o600)
        path.write_bytes(data)
        return True

    def list_stale(self, name: str) -> None:
        """Let a location list for ever what it holds now."""
        with self.app.open(self.home) as deployment:
            self.stale[name] = tuple(deployment.copies.locations[name].list(""))

    def held(self, name: str) -> frozenset[Path]:
        """Return the files of all objects at a location."""
        return frozenset(self.objects(name))

    def logs(self) -> frozenset[str]:
        """Return the ids of all logs that the home knows, those of earlier epochs too."""
        origins: set[str] = set()
        for path in (self.home / "server.db", *self.home.glob("clients/*/client.db")):
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                origins.update(origin for (origin,) in connection.execute(_ORIGINS))
        return frozenset(origin.rpartition("/")[2] for origin in origins)

    def held_of_vaults(self) -> dict[str, frozenset[Path]]:
        """Return the files of all vaults at each location that is there."""
        return {
            name: frozenset(path for path in self.held(name) if "vaults" in path.parts)
            for name in LOCATIONS
            if (self.root / name).exists()
        }

    def signed_here(self, keys: Iterable[str]) -> list[str]:
        """Return those of these keys under which any location has what a writer of ours signed."""
        writers: list[bytes] = []
        with self.app.open(self.home) as deployment:
            for client in deployment.registry.clients():
                with deployment.tools.history(client.id) as history:
                    writers += [key for key, _ in history.writers()]
        places = [self.root / name / key for key in keys for name in LOCATIONS]
        return [str(one) for one in places if one.exists() and _is_signed(one, writers)]

    def altered(self, name: str) -> list[str]:
        """Return the keys under which a location holds other bytes than some other one does.

        Logs of other homes are left out: their keys are known to nobody here.
        """
        found: list[str] = []
        logs = self.logs()
        for path in self.objects(name):
            key = path.relative_to(self.root / name)
            if key.parts[1] == "ledger" and key.parts[2] not in logs:
                continue
            others = [self.root / other / key for other in LOCATIONS if other != name]
            data = path.read_bytes()
            if any(other.exists() and other.read_bytes() != data for other in others):
                found.append(str(key))
        return found

    def lie(self, name: str) -> None:
        """Let a location answer from now on before it has synced."""
        self.unsynced[name] = self.held(name)

    def forget(self, name: str, synced: frozenset[Path]) -> int:
        """Lose what a location has not synced, and count it."""
        lost = self.held(name) - synced
        for path in lost:
            path.unlink()
        return len(lost)

    def keep_indexes(self) -> None:
        """Remember the indexes as a disk has them: their last commits are not synced."""
        for path in (self.root / "indexes", self.root / "indexes.new"):
            shutil.rmtree(path, ignore_errors=True)
        for path in sorted((self.home / "clients").glob("*/index.db")):
            kept = self.root / "indexes" / path.parent.name
            kept.mkdir(parents=True)
            shutil.copy2(path, kept / path.name)

    def put_indexes_back(self) -> None:
        """Let a power cut take what the last command committed to the indexes."""
        for folder in sorted((self.home / "clients").iterdir()):
            for path in folder.glob("index.db*"):
                path.unlink()
            kept = self.root / "indexes" / folder.name / "index.db"
            if kept.exists():
                shutil.copy2(kept, folder / kept.name)

    def lose_index(self, client: str) -> None:
        """Lose the index of one client."""
        with self.app.open(self.home) as deployment:
            folder = self.home / "clients" / deployment.registry.client(client).id
        for path in folder.glob("index.db*"):
            path.unlink()

    def sleep(self, index: int) -> None:
        """Take a custodian down."""
        (self.root / "asleep").mkdir(exist_ok=True)
        self._custodian(index).rename(self.root / "asleep" / str(index))

    def wake(self, index: int) -> None:
        """Bring a custodian back."""
        (self.root / "asleep" / str(index)).rename(self._custodian(index))

    def _custodian(self, index: int) -> Path:
        return self.home / "custodians" / f"custodian-{index}"
