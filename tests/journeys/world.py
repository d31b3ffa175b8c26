"""A whole install in one folder: home, key file, spool, three locations, live data, two clients.

Made in this process with real files; `command` runs the real command line in a process of its own.
Every random byte that the install draws can be recorded, so that a test knows its secrets.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from strongroom.app import App
from strongroom.clients import Client, Keep
from strongroom.errors import StrongroomError
from strongroom.ids import Token
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.back_up import BackupReport, back_up
from strongroom.operations.deployment import Deployment
from strongroom.operations.recover import RecoveryPlan, read_kits
from strongroom.operations.recover_clients import RecoveredClient
from strongroom.operations.restore import RestoreRequest, restore
from strongroom.operations.set_up import InstallPlan, set_up
from tests.adapters.sources.trees import Row, portrait

ROOT = Path(__file__).parents[2]
NORMAL = "plainclient"
HIGH = "doubleclient"
CLIENTS: Sequence[tuple[str, Literal["normal", "high"]]] = ((NORMAL, "normal"), (HIGH, "high"))
OPERATOR_WORDS = "correct-horse-battery-staple-9157"


@dataclass(frozen=True, slots=True)
class LiveState:
    """What the live data is: every row and the schema, every byte and the metadata."""

    rows: tuple[str, ...]
    schema: tuple[tuple[object, ...], ...]
    settings: tuple[object, ...]
    tree: Mapping[bytes, Row]


@dataclass(frozen=True, slots=True)
class World:
    """One install and its live data below `root`."""

    root: Path
    kits: tuple[str, ...]
    app: App

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def keys(self) -> Path:
        """The folder of the key file; the command line finds it through XDG_CONFIG_HOME."""
        return self.root / "config" / "strongroom"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def locations(self) -> dict[str, Path]:
        return {f"loc{number}": self.root / f"loc{number}" for number in (1, 2, 3)}

    @property
    def database(self) -> Path:
        return self.root / "live" / "data.db"

    @property
    def tree(self) -> Path:
        return self.root / "live" / "tree"

    def custodian(self, index: int) -> Path:
        return self.home / "custodians" / f"custodian-{index}"

    def vault_folder(self, location: str, client: str) -> Path:
        """Return where a client's vault lies at a location."""
        with self.open() as deployment:
            vault = deployment.registry.client(client).vault
            return self.locations[location] / deployment.install / "vaults" / vault

    @contextmanager
    def open(self) -> Iterator[Deployment]:
        with self.app.open(self.home) as deployment:
            yield deployment

    def back_up(self, client: str = NORMAL) -> BackupReport:
        with self.open() as deployment:
            return back_up(deployment, deployment.registry.client(client), silent)

    def restore(self, client: str = NORMAL, snapshot: str = "latest") -> LiveState:
        """Restore into a fresh folder, look at what is there, remove it."""
        with self.open() as deployment:
            return restored_state(deployment, client, self.root / "restored", snapshot)

    def state(self) -> LiveState:
        """Return what the live data is now."""
        return look_at(self.database, self.tree)

    def command(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run the command line on this home."""
        return subprocess.run(
            [sys.executable, "-m", "strongroom", "--home", str(self.home), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=120,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """Return what a child process gets: nothing of the person who runs the tests."""
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.root / "user"),
            "XDG_CONFIG_HOME": str(self.root / "config"),
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def recover(
        self, kits: Sequence[str], locations: Sequence[str] = ("loc1", "loc2", "loc3")
    ) -> tuple[list[RecoveredClient], list[str]]:
        """Rebuild the home as `recover` does; return the clients and the damaged copies met."""
        named = {name: f"file://{self.locations[name]}" for name in locations}
        key_file = self.keys / "rebuilt.key"
        plan = RecoveryPlan(named, read_kits("\n".join(kits)), key_file=key_file)
        found = self.app.recover(self.home, plan)
        return found.clients, [name for name, _ in found.damages]

    def lose_home(self) -> None:
        """Lose the machine: the home and the key file."""
        shutil.rmtree(self.home)
        shutil.rmtree(self.keys)


def silent(_: object) -> None:
    """Take progress and say nothing."""


def make_world(
    root: Path,
    *,
    token: Token = os.urandom,
    clients: Sequence[str] = (NORMAL, HIGH),
    parity: int = 0,
    custodians: int = 3,
    words: str | None = None,
) -> World:
    """Make an install of custodians (two open a key) and three locations, and live data.

    With a parity the clients' packs are cut into shards. `words` are the passphrase of the
    operator's key; without them the key file opens it, and nobody is asked.
    """
    root.mkdir(parents=True, exist_ok=True)
    (root / "user").mkdir()
    app = App(token=token) if words is None else App(token=token, passphrase=lambda: words)
    world = World(root, (), app)
    install = app.new_install()
    urls = {name: f"file://{path}" for name, path in world.locations.items()}
    plan = InstallPlan(install, "operator", custodians, 2, urls, words, delay=timedelta())
    tools, registry = app.make_home(world.home, install, world.keys / f"{install}.key")
    settings = world.home / "strongroom.toml"
    text = settings.read_text("utf-8").replace('spool = ""', f'spool = "{world.spool}"')
    settings.write_text(text, encoding="utf-8")
    made = set_up(tools, registry, plan)
    # One left open would lose its locks when a test copies the home, and then read a mixture.
    registry.close()
    make_live_data(world)
    with world.open() as deployment:
        for name, vault_class in CLIENTS:
            if name in clients:
                client = add_client(deployment, NewClient(name, vault_class, Keep(), parity))
                add_sources(deployment, client, world)
    return World(root, tuple(kit.words for kit in made.kits), app)


def keep_template(world: World) -> None:
    """Keep a copy of the world as it is now, links and times included."""
    subprocess.run(["cp", "-a", world.root, template_of(world)], check=True)


def fresh_copy(world: World) -> World:
    """Put the whole world back as `keep_template` found it; paths stay the same."""
    shutil.rmtree(world.root)
    subprocess.run(["cp", "-a", template_of(world), world.root], check=True)
    return world


def template_of(world: World) -> Path:
    """Return where the copy is kept."""
    return world.root.with_name(world.root.name + "-template")


def add_sources(deployment: Deployment, client: Client, world: World) -> None:
    """Add the live database and the live tree to a client."""
    add_source(deployment, client, "data.db", "sqlite", f"sqlite://{world.database}")
    add_source(deployment, client, "tree", "tree", f"file://{world.tree}")


def make_live_data(world: World) -> None:
    """Make a database with an index, a view and a trigger, and a tree of every kind of entry."""
    world.tree.mkdir(parents=True)
    with closing(sqlite3.connect(world.database)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA user_version = 7;"
            "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, weight REAL, photo BLOB);"
            "CREATE INDEX person_name ON person (name);"
            "CREATE VIEW heavy AS SELECT * FROM person WHERE weight > 50;"
            "CREATE TABLE log (line TEXT);"
            "CREATE TRIGGER kept AFTER DELETE ON person BEGIN"
            " INSERT INTO log VALUES ('deleted ' || old.name); END;"
        )
        rows = [(n, f"person {n * 7919}", n / 3, bytes([n % 256]) * n) for n in range(300)]
        connection.executemany("INSERT INTO person VALUES (?, ?, ?, ?)", rows)
        connection.commit()
    folder = world.tree / "folder" / "below"
    folder.mkdir(parents=True)
    for number in range(12):
        file = folder / f"file-{number}"
        file.write_bytes(f"{number} of the files\n".encode() * 200 * number)
        file.chmod(0o640 if number % 2 else 0o755)
        os.utime(file, ns=(10**18 + number, 10**18 + 7 * number))
    os.link(folder / "file-3", world.tree / "hard-link")
    (world.tree / "soft-link").symlink_to("folder/below/file-4")
    (world.tree / "dangling").symlink_to("/nowhere/at/all")
    (world.tree / "empty").mkdir(mode=0o750)
    Path(os.fsdecode(os.fsencode(world.tree) + b"/not-utf-8-\xff")).write_bytes(b"named oddly")
    os.utime(world.tree / "folder", ns=(10**18, 10**18 + 5))


def change_live_data(world: World, number: int) -> None:
    """Change some rows and files; another number, another change."""
    with closing(sqlite3.connect(world.database)) as connection:
        connection.execute("DELETE FROM person WHERE id % 29 = ?", (number,))
        connection.execute(f"CREATE TABLE extra_{number} (value BLOB)")
        connection.execute(f"INSERT INTO extra_{number} VALUES (?)", (b"new" * 5000,))
        connection.commit()
    folder = world.tree / "folder" / "below"
    (folder / "file-5").write_bytes(f"changed {number}\n".encode() * 3000)
    (folder / f"added-{number}").write_bytes(os.urandom(20_000))
    (folder / f"file-{6 + number % 6}").unlink(missing_ok=True)


def look_at(database: Path, tree: Path) -> LiveState:
    """Return everything a restore must bring back, read without the package's own code."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = tuple(connection.iterdump())
        found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
        schema = tuple(sorted(found.fetchall(), key=repr))
        settings = tuple(
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("user_version", "page_size", "encoding", "application_id")
        )
    return LiveState(rows, schema, settings, portrait(tree))


def restored_state(
    deployment: Deployment, client: str, folder: Path, snapshot: str = "latest"
) -> LiveState:
    """Restore a client's snapshot into a folder, look at it, remove it."""
    found = deployment.registry.client(client)
    try:
        restore(deployment, found, RestoreRequest(snapshot, folder), silent)
        return look_at(folder / "data.db", folder / "tree")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refused(action: Callable[[], object]) -> StrongroomError:
    """Return the error that an action raises; it must raise one."""
    try:
        action()
    except StrongroomError as err:
        return err
    raise AssertionError("nothing was refused")


def files_below(*roots: Path) -> list[Path]:
    """Return every file below the folders."""
    return sorted(path for root in roots for path in root.rglob("*") if path.is_file())


def copy_aside(world: World, name: str) -> None:
    """Keep a copy of the home and all locations under a name."""
    for place in (world.home, *world.locations.values()):
        shutil.copytree(place, world.root / name / place.name, symlinks=True)


def put_back(world: World, name: str, *places: Path) -> None:
    """Put kept copies of these places back."""
    for place in places:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(world.root / name / place.name, place, symlinks=True)
