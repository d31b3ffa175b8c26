"""`strongroom up`: a whole deployment on this machine, tried out or for one's own data."""

import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from strongroom.app import App
from strongroom.app.custodian_processes import CustodianProcesses
from strongroom.cli import output, sources
from strongroom.cli.backup import back_up_one
from strongroom.cli.credential_files import NONE_GIVEN
from strongroom.cli.face import Face, With
from strongroom.cli.init import InitOptions, make
from strongroom.cli.neighbours import Neighbours, show_kits, watch
from strongroom.clients import Keep
from strongroom.errors import PartlyDone, UsageError
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.demonstrate import Demo, Proof
from strongroom.operations.deployment import Deployment
from strongroom.operations.join_custodians import Invited
from strongroom.operations.recover import Kit, RecoveryPlan
from strongroom.operations.set_up import InstallPlan, SetUp, set_up

CUSTODIANS = 3
THRESHOLD = 2


def up(
    *,
    demo: bool = False,
    once: bool = False,
    separate: bool = False,
    source: list[str] | None = None,
    face: With,
) -> int:
    """Run a whole deployment on this machine: back up, prove, report.

    Parameters
    ----------
    demo
        Keep real data that is found here, in a temporary folder; then lose a location, a
        custodian and the whole home, and bring everything back. A second home has custodians that
        are processes; some are killed, and come back.
    once
        Do it once and leave. Needed without --separate: there is no daemon yet.
    separate
        Run the custodians as processes of their own, with homes beside this one. They serve until
        this command ends: by Ctrl-C, or with --once when the backup is made.
    source
        Keep this path or URL, in three folders beside the home; once for each.
    """
    if not (once or separate):
        raise UsageError("`up` runs once", "there is no daemon yet", hint="Pass --once.")
    if demo == bool(source):
        raise UsageError(
            "say what to keep",
            "demonstration data or your own, not both" if demo else "nothing is named",
            hint="Pass --demo, or --source PATH.",
        )
    if demo and separate:
        raise UsageError("--demo has separate custodians in it", "it runs once", "Pass --once.")
    if not source:
        return _demo(face)
    found = [sources.sniffed(face.app, one) for one in source]
    if not separate:
        return _own(face, found)
    return _own_separate(face, found, once=once)


def _own(face: Face, found: list[tuple[str, str, str]]) -> int:
    made: dict[str, object] | None = None
    if (face.home / "strongroom.toml").exists():
        face.tell(f"Using the home {face.home}.")
    else:
        made = make(face, _init_options(face))
    return _keep(face, found, made, face.command("kit confirm custodian-1"))


def _own_separate(face: Face, found: list[tuple[str, str, str]], *, once: bool) -> int:
    """Do the same with custodians that are processes beside the home, and end with this one."""
    neighbours = Neighbours(face.app, face.home, CUSTODIANS)
    shown: dict[str, object] | None = None
    with ExitStack() as undo:
        if (face.home / "strongroom.toml").exists():
            neighbours.check_there()
            face.tell(f"Using the home {face.home}, and the custodians beside it.")
            made = []
        else:
            face.app.check_new_home(face.home)
            made = neighbours.make()
            undo.callback(neighbours.remove, made)
        with neighbours.run() as processes:
            if made:
                shown = make(
                    face, _init_options(face), NONE_GIVEN, neighbours.invited(processes, made)
                )
                shown["kits"] = show_kits(face, made)
            undo.pop_all()
            code = _keep(face, found, shown, neighbours.confirm_command)
            if not once:
                face.tell("", "The custodians serve until Ctrl-C. Use another terminal meanwhile.")
                # Whoever started this may wait for that line.
                output.stdout().flush()
                watch(processes)
    return code


def _init_options(face: Face) -> InitOptions:
    locations = [str(face.home.parent / f"{face.home.name}-location-{n}") for n in (1, 2, 3)]
    return InitOptions(tuple(locations), CUSTODIANS, THRESHOLD)


def _keep(
    face: Face, found: list[tuple[str, str, str]], made: dict[str, object] | None, confirm: str
) -> int:
    """Back up what was found, and tell what to type next, such as how a kit is confirmed."""
    name = "mine"
    with face.deployment() as deployment:
        known = {client.name: client for client in deployment.registry.clients()}
        client = known.get(name) or add_client(deployment, NewClient(name, "normal", Keep()))
        with deployment.tools.history(client.id) as history:
            held = {source.url for source in history.sources()}
        for label, kind, url in found:
            if url not in held:
                add_source(deployment, client, label, kind, url)
        report = back_up_one(face, deployment, client)
    face.show({"init": made, "backup": report})
    face.tell(
        "",
        "On one machine this protects against mistakes, not against fire or theft: move the",
        "locations to other places, and give the kits to other people. Next:",
        f"  {face.command('status')}",
        f"  {confirm}",
        f"  {face.command(f'restore {name} --to ./restored')}",
        f"  {face.command('backup --all')}",
    )
    return PartlyDone.exit_code if report.problems else 0


def _demo(face: Face) -> int:
    data = (_find_database(), Path(os.__file__).parent)
    with tempfile.TemporaryDirectory(prefix="strongroom-demo-") as folder:
        workshop = _Workshop(face.app, Path(folder))
        demo = Demo(
            workshop, Path(folder), data, face.app.clock.monotonic, lambda one: _tell(face, one)
        )
        found = demo.run()
    face.show(found)
    face.tell(
        "",
        f"All of it held, in {output.duration(found.elapsed_seconds)}. "
        "The temporary folder is removed.",
        "",
        "What one machine cannot give:",
        *(f"  {sentence}" for sentence in found.not_given),
        "",
        "Your own data:  make up SOURCE=/path/to/database-or-folder",
    )
    return 0


def _tell(face: Face, proof: Proof) -> None:
    size = output.size(proof.bytes) if proof.bytes else ""
    face.tell(f"{output.duration(proof.elapsed_seconds):>7}  {size:>10}  {proof.what}")


def _find_database() -> Path:
    """Return a SQLite file of some megabytes: the coordinate systems that pyproj ships."""
    found = importlib.util.find_spec("pyproj")
    if found is not None and found.origin is not None:
        database = Path(found.origin).parent / "proj_dir" / "share" / "proj" / "proj.db"
        if database.is_file():
            return database
    raise UsageError(
        "the demonstration has no database to keep",
        "the package pyproj, whose proj.db it uses, is not installed",
        hint="Run `make up`, which installs it, or `pip install pyproj`.",
    )


@dataclass(frozen=True, slots=True)
class _Workshop:
    """Makes, opens and rebuilds the demonstration's homes; key files stay in its folder."""

    app: App
    folder: Path

    def make(self, home: Path, locations: Sequence[Path]) -> list[Kit]:
        """Make a home; return the kits."""
        made = self._set_up(home, locations, "demo.key")
        return [Kit.from_words(kit.words) for kit in made.kits]

    @contextmanager
    def make_apart(self, home: Path, locations: Sequence[Path]) -> Iterator[CustodianProcesses]:
        """Make a home whose custodians are processes within the block."""
        neighbours = Neighbours(self.app, home, CUSTODIANS)
        made = neighbours.make(self.folder)
        with neighbours.run() as processes:
            self._set_up(home, locations, "apart.key", neighbours.invited(processes, made))
            yield processes

    def open(self, home: Path) -> AbstractContextManager[Deployment]:
        """Open a home."""
        return self.app.open(home)

    def rebuild(self, home: Path, locations: Sequence[Path], kits: Sequence[Kit]) -> None:
        """Rebuild a home."""
        named = {path.name: f"file://{path}" for path in locations}
        key_file = self.folder / "rebuilt.key"
        self.app.recover(home, RecoveryPlan(named, kits, "demonstration", key_file=key_file))

    def _set_up(
        self,
        home: Path,
        locations: Sequence[Path],
        key_file: str,
        elsewhere: tuple[Invited, ...] = (),
    ) -> SetUp:
        install = self.app.new_install()
        named = {path.name: f"file://{path}" for path in locations}
        plan = InstallPlan(
            install, "demonstration", CUSTODIANS, THRESHOLD, named, elsewhere=elsewhere
        )
        tools, registry = self.app.make_home(home, install, self.folder / key_file)
        try:
            return set_up(tools, registry, plan)
        finally:
            registry.close()
