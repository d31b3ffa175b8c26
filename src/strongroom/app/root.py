"""The composition root: from a home to a deployment with everything plugged in."""

import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from strongroom import settings as settings_file
from strongroom.app.homes import check_new_home, free_name
from strongroom.app.members import open_members
from strongroom.app.plugs import plug
from strongroom.app.tools import make_tools, open_location
from strongroom.clients import Registry
from strongroom.clock import Clock, SystemClock
from strongroom.crypto.envelope import decode_envelope
from strongroom.errors import StrongroomError
from strongroom.ids import InstallId, Token, new_id
from strongroom.ledger import Disclosures, Log
from strongroom.locations import Copies, Location, LocationUnavailable
from strongroom.operations.asking import Asking
from strongroom.operations.conclude import conclude
from strongroom.operations.credentials import (
    Credential,
    check_credential,
    seal_credential,
    secret_name,
)
from strongroom.operations.deployment import Deployment, Tools
from strongroom.operations.device_key import nobody_agrees, nobody_to_ask
from strongroom.operations.notice_settings import notice_settings
from strongroom.operations.privacy import Author
from strongroom.operations.rebuild_custodian import Kept, find_kept
from strongroom.operations.recover import (
    RecoveryPlan,
    begin_recovered,
    find_install,
    rebuild_custodians,
)
from strongroom.operations.recover_clients import Recovery, recover_clients
from strongroom.operations.recover_elsewhere import (
    LivingPlan,
    begin_living,
    check_waits,
    find_rosters,
    recover_living,
)
from strongroom.operations.requesting import forget_recipients
from strongroom.operations.sealed_logs import Lookout, SealedLogs
from strongroom.operations.witnessing import watched, what_was_seen
from strongroom.procedures import Desk
from strongroom.quorum import Roster
from strongroom.settings import Settings


def _rosters(registry: Registry) -> Roster.Line:
    """Return the rosters that a registry holds; the install's own counts."""
    install = registry.install()
    parsed = [
        Roster.parse(decode_envelope(data, "the roster"), install.operator_key)
        for data in (*registry.rosters.former(), install.roster)
    ]
    return parsed[-1].after(parsed[:-1])


def _unheard(_problem: str) -> None:
    """Take a problem that shows in `status`, and say nothing."""


@dataclass(frozen=True, slots=True)
class App:
    """Ready tools for the faces; time and chance can be replaced by tests."""

    clock: Clock = field(default_factory=SystemClock)
    token: Token = secrets.token_bytes
    origin: Callable[[], tuple[str, str]] = settings_file.origin
    """Return the login and the host from which this acts."""
    behalf: str = ""
    """The name of the person on whose behalf this acts."""
    passphrase: Callable[[], str] = nobody_to_ask
    """Ask for the passphrase of the operator's key."""
    agree: Callable[[str], None] = nobody_agrees
    """Ask for a yes, where nothing is approved without one."""

    def tools(self, settings: Settings) -> Tools:
        """Return what operations may use of the world, for the home of these settings."""
        acting = (Disclosures.Origin(*self.origin()), self.behalf)
        return make_tools(settings, self.clock, self.token, acting, self.passphrase, self.agree)

    def location(self, url: str, credential: Credential | None) -> Location:
        """Open a location with this credential, or with none."""
        return open_location(url, credential, self.token)

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
        path = key_file or free_name(settings_file.default_key_file(install))
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
            tools = self.tools(settings_file.read_settings(home))
            return tools, Registry(plug("database")(home / "server.db"))
        except BaseException:
            self.remove_home(home, path)
            raise

    def check_new_home(self, home: Path) -> None:
        """Raise Refused where a home cannot be made because something is there."""
        check_new_home(home)

    def remove_home(self, home: Path, key_file: Path) -> None:
        """Remove a home that was just made and could not be finished."""
        shutil.rmtree(home, ignore_errors=True)
        key_file.unlink(missing_ok=True)

    @contextmanager
    def open(
        self, home: Path, warn: Callable[[str], None] = _unheard, *, concludes: bool = True
    ) -> Iterator[Deployment]:
        """Open a home with everything it needs; what is absent is in its place and says why.

        At the end, also of a command that failed, what was recorded is witnessed; `warn` hears in
        sentences what of that did not go well. One that helps another process leaves it to that.
        """
        settings = settings_file.read_settings(home)
        database = plug("database")(home / "server.db")
        try:
            with self.deployment(self.tools(settings), Registry(database)) as deployment:
                # A home that was put back only reads, and says so where it would write.
                with suppress(Log.Behind):
                    notice_settings(deployment.tools, deployment.author, deployment.install)
                # A secret that cannot be looked at is told of by whoever needs it.
                with suppress(StrongroomError):
                    forget_recipients(deployment)
                try:
                    yield deployment
                except BaseException:
                    # Its error is what must be seen; the rest shows in `status`.
                    if concludes:
                        conclude(deployment)
                    raise
                for problem in conclude(deployment) if concludes else []:
                    warn(problem)
        finally:
            database.close()

    @contextmanager
    def deployment(self, tools: Tools, registry: Registry) -> Iterator[Deployment]:
        """Open what a registry names: custodians, locations, roster."""
        install = registry.install()
        rosters = _rosters(registry)
        asking = Asking()
        author = Author(tools.privacy, registry, tools.privacy.operator(registry))
        with open_members(tools, registry, rosters.rosters[-1], asking) as members:
            missed_since = registry.note_missed(members.absent, self.clock.now())
            locations, absent_locations = self._locations(tools, registry)
            sealed = partial(SealedLogs.of, install.id, tools.secrets, self.token)
            seen = what_was_seen(members.custodians, asking, lambda: sealed().keys)
            lookout = Lookout(seen, sealed, locations)
            registry.log.watch(lookout.of(None))
            try:
                with Copies(locations) as copies:
                    yield Deployment(
                        tools=replace(tools, history=watched(tools.history, lookout.of)),
                        registry=registry,
                        desk=Desk(registry.database, registry.log),
                        install=install.id,
                        operator=author.operator,
                        rosters=rosters,
                        custodians=members.custodians,
                        absent_custodians=members.absent,
                        copies=copies,
                        absent_locations=absent_locations,
                        author=author,
                        missed_since=missed_since,
                        asking=asking,
                    )
            finally:
                tools.privacy.files.close()

    def recover(self, home: Path, plan: RecoveryPlan) -> Recovery:
        """Rebuild a lost home from locations and kits; writes nothing to any location.

        The home is removed again when this fails, so that the next try begins anew.
        """
        self.check_new_home(home)
        check_credential(plan.credential, plan.locations.values())
        with Copies(self._bare_locations(plan.locations, plan.credential)) as copies:
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
                    recovery.problems += conclude(deployment, places=False)
                    failures = {**deployment.copies.failures, **copies.failures}
            except BaseException:
                self.remove_home(home, tools.key_file)
                raise
            finally:
                registry.close()
            recovery.problems += [f"location {name}: {err}" for name, err in failures.items()]
            recovery.damages += [(name, str(err)) for name, _, err in copies.damages]
        return recovery

    def find_kept(self, plan: RecoveryPlan) -> Kept:
        """Return what locations keep of the custodian of one kit; writes nothing to any."""
        check_credential(plan.credential, plan.locations.values())
        with Copies(self._bare_locations(plan.locations, plan.credential)) as copies:
            return find_kept(copies, plan)

    def recover_living(self, home: Path, plan: LivingPlan) -> Recovery:
        """Rebuild a lost home whose custodians live, as far as it is approved already.

        What fails before they are joined leaves nothing. Then the home stays: `recover_more` goes
        on with it.
        """
        self.check_new_home(home)
        check_credential(plan.credential, plan.locations.values())
        with Copies(self._bare_locations(plan.locations, plan.credential)) as copies:
            listing = copies.list("")
            rosters = find_rosters(copies, listing, plan)
            rosters.check_invited(plan)
            tools, registry = self.make_home(home, rosters.install, plan.key_file)
            try:
                for name, url in plan.locations.items():
                    if plan.credential is not None:
                        seal_credential(tools.secrets, secret_name(name), url, plan.credential)
                notes = begin_living(tools, registry, copies, (listing, rosters), plan)
            except BaseException:
                self.remove_home(home, tools.key_file)
                raise
            finally:
                registry.close()
        with self.open(home) as deployment:
            recovery = recover_living(deployment)
            recovery.problems[:0] = notes
            return recovery

    def recover_more(self, home: Path) -> Recovery:
        """Go on with the recovery of a home whose custodians live; refuses where none waits."""
        with self.open(home) as deployment:
            check_waits(deployment)
            return recover_living(deployment)

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

    def _bare_locations(
        self, urls: Mapping[str, str], credential: Credential | None
    ) -> dict[str, Location]:
        """Open what can be opened; raises LocationUnavailable when nothing can."""
        opened: dict[str, Location] = {}
        absent: list[LocationUnavailable] = []
        for name, url in urls.items():
            try:
                opened[name] = self.location(url, credential)
            except LocationUnavailable as err:
                opened[name] = plug("absent")(url, err)
                absent.append(err)
        if len(absent) == len(opened) and absent:
            raise absent[0]
        return opened

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
