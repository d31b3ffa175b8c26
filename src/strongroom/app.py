"""The composition root: from settings to a deployment with everything plugged in.

The only importer of adapters and settings. `_PLUGS` is the only lazy import in the house: each
adapter is loaded when it is first used, so that a backup of a directory never loads an object
store's client.
"""

import importlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from strongroom import settings as settings_file
from strongroom.clients import ClientSource, History, Registry, parse_source_url
from strongroom.clock import Clock, SystemClock, pause
from strongroom.crypto.envelope import decode_envelope
from strongroom.database import Database
from strongroom.errors import Damaged, Refused, StrongroomError, UsageError
from strongroom.ids import ClientId, InstallId, Token, VaultId, new_id
from strongroom.locations import Copies, Location, LocationUnavailable, parse_location_url
from strongroom.operations.credentials import (
    Credential,
    Secrets,
    check_credential,
    needs_credential,
    password_name,
    seal_credential,
    secret_name,
    unseal_credential,
)
from strongroom.operations.deployment import (
    CommandPlace,
    DatabasePlace,
    Deployment,
    Place,
    TargetOptions,
    Tools,
)
from strongroom.operations.recover import (
    RecoveryPlan,
    begin_recovered,
    find_install,
    rebuild_custodians,
)
from strongroom.operations.recover_clients import Recovery, recover_clients
from strongroom.quorum import Custodian, LocalCustodian, Roster
from strongroom.settings import Settings
from strongroom.vault import Source, Target

_PLUGS: Final[Mapping[str, str]] = {
    "database": "strongroom.adapters.database.sqlite:open_sqlite",
    "key_file": "strongroom.adapters.secrets.key_file:KeyFile",
    "sealed_files": "strongroom.adapters.secrets.key_file:SealedFiles",
    "lock": "strongroom.adapters.machine.lock:vault_lock",
    "companion": "strongroom.adapters.machine.companion:start_companion",
    "directory": "strongroom.adapters.locations.directory:open_directory",
    "file_system": "strongroom.adapters.locations.directory:file_system_of",
    "object_store": "strongroom.adapters.locations.object_store:open_object_store",
    "parity_code": "strongroom.adapters.parity.raid6:Raid6",
    "absent": "strongroom.adapters.locations.absent:AbsentLocation",
    "sniff": "strongroom.adapters.sources.sniff:sniff",
    "glance": "strongroom.adapters.sources.sniff:glance",
    "sweep": "strongroom.adapters.sources.postgres_spool:sweep_spool_folders",
    "sweep_partial": "strongroom.adapters.sources.partial:sweep_partial",
    "spool_plan": "strongroom.adapters.sources.sqlite:SpoolPlan",
    "tool_folders": "strongroom.adapters.sources.postgres_tools:known_folders",
    "postgres_place": "strongroom.adapters.sources.postgres_connection:PostgresPlace",
    "wants_password": "strongroom.adapters.sources.postgres_connection:wants_password",
    "dump_plan": "strongroom.adapters.sources.postgres:DumpPlan",
    "find_program": "strongroom.adapters.sources.command_run:find_program",
    "source.sqlite": "strongroom.adapters.sources.sqlite:SqliteSource",
    "source.tree": "strongroom.adapters.sources.tree:TreeSource",
    "source.file": "strongroom.adapters.sources.tree:FileSource",
    "source.postgresql": "strongroom.adapters.sources.postgres:PostgresSource",
    "source.command": "strongroom.adapters.sources.command:CommandSource",
    "target.sqlite": "strongroom.adapters.sources.sqlite_target:SqliteTarget",
    "target.tree": "strongroom.adapters.sources.tree_target:TreeTarget",
    "target.file": "strongroom.adapters.sources.file_target:FileTarget",
    "target.command": "strongroom.adapters.sources.file_target:FileTarget",
    "target.command_stdin": "strongroom.adapters.sources.command_target:CommandTarget",
    "target.postgresql": "strongroom.adapters.sources.postgres_folder:PostgresFolderTarget",
    "target.postgresql_database": (
        "strongroom.adapters.sources.postgres_target:PostgresDatabaseTarget"
    ),
}
TARGET_KINDS: Final = ("sqlite", "tree", "file", "postgresql", "command")
STREAM_KINDS: Final = ("file", "command")


@cache
def plug(name: str) -> Any:
    """Return what the table names, loaded on first use."""
    module, _, attribute = _PLUGS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True, slots=True)
class App:
    """Ready tools for the faces; time and chance can be replaced by tests."""

    clock: Clock = field(default_factory=SystemClock)
    token: Token = secrets.token_bytes

    def default_home(self) -> Path:
        """Return the home that is used when none is named."""
        return settings_file.default_home()

    def new_install(self) -> InstallId:
        """Return the id of an install to be made."""
        return InstallId(new_id(self.token))

    def make_home(
        self, home: Path, install: InstallId, key_file: Path | None = None
    ) -> tuple[Tools, Registry]:
        """Make an empty home and its key file, and return the tools to fill it with.

        Refuses a folder that holds anything; leaves nothing where it fails.
        """
        self.check_new_home(home)
        path = key_file or _free_name(settings_file.default_key_file(install))
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            home.chmod(0o700)
            for part in ("clients", "secrets", "custodians", "run"):
                (home / part).mkdir(mode=0o700)
        except OSError as err:
            raise StrongroomError(
                f"{home} cannot be made",
                (err.strerror or type(err).__name__).lower(),
                hint="Name another with --home.",
            ) from err
        try:
            plug("key_file").create(path, self.token)
        except BaseException:
            # The key file that is in the way, if it is that, is another home's: it stays.
            shutil.rmtree(home, ignore_errors=True)
            raise
        try:
            settings_file.write_settings(home, path)
            tools = self._tools(settings_file.read_settings(home))
            return tools, Registry(plug("database")(home / "server.db"))
        except BaseException:
            self.remove_home(home, path)
            raise

    def check_new_home(self, home: Path) -> None:
        """Raise Refused where a home cannot be made because something is there."""
        if os.path.lexists(home) and (not home.is_dir() or any(home.iterdir())):
            raise Refused(
                f"{home} is not empty",
                "a home is made in a new or empty folder",
                hint="Name another with --home, or use the home that is there.",
            )

    def remove_home(self, home: Path, key_file: Path) -> None:
        """Remove a home that was just made and could not be finished."""
        shutil.rmtree(home, ignore_errors=True)
        key_file.unlink(missing_ok=True)

    @contextmanager
    def open(self, home: Path) -> Iterator[Deployment]:
        """Open a home with everything it needs; what is absent is in its place and says why."""
        settings = settings_file.read_settings(home)
        database = plug("database")(home / "server.db")
        try:
            with self.deployment(self._tools(settings), Registry(database)) as deployment:
                yield deployment
        finally:
            database.close()

    @contextmanager
    def deployment(self, tools: Tools, registry: Registry) -> Iterator[Deployment]:
        """Open what a registry names: custodians, locations, roster."""
        install = registry.install()
        roster = Roster.parse(decode_envelope(install.roster, "the roster"), install.operator_key)
        custodians: dict[int, Custodian] = {}
        absent_custodians: dict[int, StrongroomError] = {}
        opened: list[Database] = []
        for member in roster.members:
            try:
                custodian_database, kek = tools.custodian_home(member.index, False)
                opened.append(custodian_database)
                custodian = LocalCustodian.open(custodian_database, kek, self.clock, self.token)
                custodians[member.index] = custodian
            except StrongroomError as err:
                absent_custodians[member.index] = err
        locations, absent_locations = self._locations(tools, registry)
        try:
            with Copies(locations) as copies:
                yield Deployment(
                    tools=tools,
                    registry=registry,
                    install=install.id,
                    operator=install.operator,
                    roster=roster,
                    custodians=custodians,
                    absent_custodians=absent_custodians,
                    copies=copies,
                    absent_locations=absent_locations,
                )
        finally:
            for custodian_database in opened:
                custodian_database.close()

    def recover(self, home: Path, plan: RecoveryPlan) -> Recovery:
        """Rebuild a lost home from locations and kits; writes nothing to any location.

        The home is removed again when this fails, so that the next try begins anew.
        """
        self.check_new_home(home)
        check_credential(plan.credential, plan.locations.values())
        with Copies(self._bare_locations(plan)) as copies:
            listing = copies.list("")
            install = find_install(copies, listing, plan)
            tools, registry = self.make_home(home, install, plan.key_file)
            try:
                for name, url in plan.locations.items():
                    if plan.credential is not None:
                        seal_credential(tools.secrets, secret_name(name), url, plan.credential)
                found = rebuild_custodians(tools, copies, listing, plan.kits, install)
                begin_recovered(tools, registry, copies, found, plan.operator)
                with self.deployment(tools, registry) as deployment:
                    recovery = recover_clients(deployment, found)
                    failures = {**deployment.copies.failures, **copies.failures}
            except BaseException:
                self.remove_home(home, tools.key_file)
                raise
            finally:
                registry.close()
            recovery.problems += [f"location {name}: {err}" for name, err in failures.items()]
            recovery.damages += [(name, str(err)) for name, _, err in copies.damages]
        return recovery

    def sniff(self, path: bytes) -> Literal["sqlite", "tree", "file"]:
        """Say what kind of source lies at a path."""
        kind: Literal["sqlite", "tree", "file"] = plug("sniff")(path)
        return kind

    def check_database_url(self, url: str) -> None:
        """Raise UsageError or Refused for a URL of a database that could not be connected to."""
        plug("postgres_place").parse(url)

    def check_command(self, arguments: Sequence[str]) -> None:
        """Raise ProgramMissing for a command whose program is not on this machine."""
        plug("find_program")(arguments[0])

    def wants_password(self, url: str, password: str | None = None) -> bool:
        """Ask a database's server whether it wants a password, or another than this.

        Raises what else keeps us from it.
        """
        wanted: bool = plug("wants_password")(url, password)
        return wanted

    def _bare_locations(self, plan: RecoveryPlan) -> dict[str, Location]:
        """Open what can be opened; raises LocationUnavailable when nothing can."""
        opened: dict[str, Location] = {}
        absent: list[LocationUnavailable] = []
        for name, url in plan.locations.items():
            try:
                opened[name] = self._bare(url, plan.credential)
            except LocationUnavailable as err:
                opened[name] = plug("absent")(url, err)
                absent.append(err)
        if len(absent) == len(opened) and absent:
            raise absent[0]
        return opened

    def _bare(self, url: str, credential: Credential | None) -> Location:
        """Open a location with this credential, or with none."""
        if not needs_credential(url):
            directory: Location = plug("directory")(url, self.token)
            return directory
        store: Location = plug("object_store")(url, credential)
        return store

    def _locations(
        self, tools: Tools, registry: Registry
    ) -> tuple[dict[str, Location], dict[str, StrongroomError]]:
        locations: dict[str, Location] = {}
        absent: dict[str, StrongroomError] = {}
        for place in registry.locations():
            try:
                locations[place.name] = tools.location(place.url, place.name, False)
            except LocationUnavailable as err:
                absent[place.name] = err
                locations[place.name] = plug("absent")(place.url, err)
        return locations, absent

    def _tools(self, settings: Settings) -> Tools:
        home = settings.home
        key_file = plug("key_file").open(settings.key_file)
        sealed = plug("sealed_files")(home / "secrets", key_file.derive("secrets"), self.token)

        def location(url: str, name: str, create: bool) -> Location:
            if parse_location_url(url).scheme == "file":
                found: Location = plug("directory")(url, self.token, create=create)
                return found
            store: Location = plug("object_store")(
                url, unseal_credential(sealed, secret_name(name))
            )
            return store

        def custodian_home(index: int, create: bool) -> tuple[Database, bytes]:
            folder = home / "custodians" / f"custodian-{index}"
            if create:
                folder.mkdir(mode=0o700, exist_ok=True)
            elif not (folder / "custodian.db").exists():
                raise Refused(
                    "it has no home on this machine",
                    f"{folder.parent.name}/{folder.name} is not in {home}",
                    hint="Put it back, or recover again with all kits into a new home.",
                )
            database: Database = plug("database")(folder / "custodian.db")
            return database, key_file.derive(f"custodian-{index}")

        return Tools(
            clock=self.clock,
            pause=pause,
            token=self.token,
            threads=settings.threads,
            keep=settings.keep,
            wait=timedelta(hours=settings.prune_wait_hours),
            key_file=settings.key_file,
            secrets=sealed,
            history=_histories(home),
            index=_indexes(home),
            lock=lambda vault: _lock(home, vault, self.clock),
            source=lambda source, places: self._source(settings, sealed, source, places),
            glance=_glance,
            target=lambda kind, place, options, only: self._target(
                settings, kind, place, options, only
            ),
            sweep=lambda: plug("sweep")(settings.spool),
            sweep_partial=_sweep_partial,
            location=location,
            location_as=self._bare,
            companion=lambda: plug("companion")("strongroom.cli.companion", home),
            file_system=plug("file_system"),
            parity_code=lambda: _made("parity_code"),
            custodian_home=custodian_home,
        )

    def _source(
        self, settings: Settings, sealed: Secrets, source: ClientSource, places: Iterable[str]
    ) -> Source:
        opened: Source
        if source.kind == "postgresql":
            name = password_name(source)
            password = sealed.read(name).decode() if sealed.has(name) else None
            server = plug("postgres_place").parse(source.url, password)
            opened = plug("source.postgresql")(server, self._dump_plan(settings))
            return opened
        url = parse_source_url(source.url)
        if source.kind == "command" and url.arguments:
            opened = plug("source.command")(url.arguments, self.clock)
            return opened
        path = url.path
        if source.kind == "sqlite":
            spool = plug("spool_plan")(settings.spool, self.clock, self.token)
            opened = plug("source.sqlite")(path, spool)
        elif source.kind == "tree":
            # A backup of the home or of a location would contain itself.
            own = [bytes(settings.home), bytes(settings.key_file)]
            own += [
                os.fsencode(place.place)
                for place in map(parse_location_url, places)
                if place.scheme == "file"
            ]
            opened = plug("source.tree")(path, self.clock, frozenset(own))
        elif source.kind == "file":
            opened = plug("source.file")(path, self.clock)
        else:
            raise UsageError(f"{source.name} is of an unknown kind", source.kind)
        return opened

    def _dump_plan(self, settings: Settings) -> Any:
        folders = settings.tool_folders or (
            *settings_file.path_folders(),
            *plug("tool_folders")(),
        )
        return plug("dump_plan")(settings.spool, self.token, folders)

    def _target(
        self,
        settings: Settings,
        kind: str,
        place: Place,
        options: TargetOptions,
        only: Sequence[str],
    ) -> Target:
        if kind not in TARGET_KINDS:
            raise Damaged(f"a snapshot holds a source of an unknown kind {kind!r:.40}")
        target: Target
        if isinstance(place, DatabasePlace):
            if kind != "postgresql":
                raise UsageError(
                    "only a PostgreSQL source can be restored into a database of a server",
                    f"this source is of kind {kind}",
                    hint="Name a folder or a file with --to.",
                )
            server = plug("postgres_place").parse(place.url, place.password)
            target = plug("target.postgresql_database")(
                server, self._dump_plan(settings), options.privileged, only
            )
            return target
        if isinstance(place, CommandPlace):
            if kind not in STREAM_KINDS:
                raise UsageError(
                    "only one stream of bytes can be restored to a command",
                    f"this source is of kind {kind}",
                    hint="Name a folder or a file with --to.",
                )
            target = plug("target.command_stdin")(place.arguments, str(place), self.clock)
            return target
        how = (options.overwrite, options.privileged)
        if kind in ("sqlite", "postgresql"):
            target = plug(f"target.{kind}")(place, self.token, *how, only)
        else:
            target = plug(f"target.{kind}")(place, self.token, *how)
        return target


def _made(name: str) -> Any:
    return plug(name)()


def _glance(source: ClientSource) -> int | None:
    if source.kind != "sqlite":
        return None
    found: int | None = plug("glance")(parse_source_url(source.url).path)
    return found


@contextmanager
def _lock(home: Path, vault: VaultId, clock: Clock) -> Iterator[None]:
    with plug("lock")(home / "run" / f"{vault}.lock", clock):
        yield


def _sweep_partial(place: Path) -> Sequence[Path]:
    aside: Sequence[Path] = plug("sweep_partial")(place)
    return aside


def _free_name(key_file: Path) -> Path:
    """Return a path where no file is: a rebuilt home never takes the key file of the old one."""
    number = 1
    found = key_file
    while os.path.lexists(found):
        number += 1
        found = key_file.with_name(f"{key_file.stem}-{number}{key_file.suffix}")
    return found


def _client_folder(home: Path, client: ClientId) -> Path:
    folder = home / "clients" / client
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _histories(home: Path) -> Callable[[ClientId], AbstractContextManager[History]]:
    @contextmanager
    def opened(client: ClientId) -> Iterator[History]:
        database = plug("database")(_client_folder(home, client) / "client.db")
        try:
            yield History(database)
        finally:
            database.close()

    return opened


def _indexes(home: Path) -> Callable[[ClientId], AbstractContextManager[Database]]:
    @contextmanager
    def opened(client: ClientId) -> Iterator[Database]:
        # The index can be rebuilt from the locations, so its last commits may be lost.
        database = plug("database")(_client_folder(home, client) / "index.db", durable=False)
        try:
            yield database
        finally:
            database.close()

    return opened
