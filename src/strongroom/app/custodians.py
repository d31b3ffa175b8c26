"""A custodian that is a process of its own: its home made, opened, joined and served."""

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from strongroom import settings as settings_file
from strongroom.app.homes import check_new_home, free_name
from strongroom.app.plugs import plug
from strongroom.clock import Clock
from strongroom.crypto.certificates import SEED_BYTES
from strongroom.crypto.join_code import JoinCode, JoinKey
from strongroom.database import Database
from strongroom.errors import StrongroomError, UsageError
from strongroom.ids import Token
from strongroom.operations.rebuild_custodian import Kept, Rebuilt, rebuild_custodian
from strongroom.quorum import LocalCustodian
from strongroom.settings import CustodianSettings

KeyKeeper = settings_file.KeyKeeper
KIT_BYTES: Final = 32
OWN: Final = "custodian.db"
LOOK_SECONDS: Final = 0.5
"""How often a custodian that waits looks whether it was joined, stopped, or given another code."""


@dataclass(frozen=True, slots=True)
class CustodianPlan:
    """What `custodian init` was asked for; with an empty name it takes any."""

    home: Path
    listen: tuple[str, int]
    key_keeper: KeyKeeper = "key-file"
    key_file: Path | None = None
    """Where the key file goes; otherwise into this user's configuration."""
    name: str = ""
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NewCustodian:
    """What `custodian init` shows once; of one that was rebuilt somebody has the words."""

    words: tuple[str, ...] = field(repr=False)
    code: str = field(repr=False)
    until: datetime
    key_file: Path | None


@dataclass(frozen=True, slots=True)
class Custodians:
    """Makes and serves custodians on this machine."""

    clock: Clock
    token: Token

    def make(self, plan: CustodianPlan) -> NewCustodian:
        """Make the home of a custodian; leaves nothing where it fails."""
        code = JoinCode.draw(self.token)
        kit = LocalCustodian.Kit(self.token(KIT_BYTES))
        settings, kek = self._new_home(plan)
        with self._opened(plan.home, kek) as opened:
            until = opened.begin(plan.name, kit.secret, code.key().secret).until
        return NewCustodian(tuple(kit.words), code.text(), until, settings.key_file)

    def rebuild(self, plan: CustodianPlan, kept: Kept) -> tuple[NewCustodian, Rebuilt]:
        """Make the home of a custodian again, of what the locations kept of it.

        It is who it was and waits to be joined again. Leaves nothing where it fails.
        """
        code = JoinCode.draw(self.token)
        settings, kek = self._new_home(plan)
        try:
            with contextlib.closing(plug("database")(plan.home / OWN)) as own:
                rebuilt = rebuild_custodian(own, kek, kept, self.clock, self.token)
            with self._opened(plan.home, kek) as opened:
                until = opened.begin(rebuilt.card.name, None, code.key().secret).until
        except BaseException:
            shutil.rmtree(plan.home, ignore_errors=True)
            if settings.key_file is not None:
                settings.key_file.unlink(missing_ok=True)
            raise
        return NewCustodian((), code.text(), until, settings.key_file), rebuilt

    def _new_home(self, plan: CustodianPlan) -> tuple[CustodianSettings, bytes]:
        home = plan.home
        check_new_home(home)
        settings = self._planned(plan)
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            home.chmod(0o700)
            settings_file.write_custodian_settings(settings)
            kek = self._new_kek(settings, plan.passphrase)
        except BaseException as err:
            # A key file that is in the way is another home's: it stays.
            shutil.rmtree(home, ignore_errors=True)
            if isinstance(err, OSError):
                why = (err.strerror or type(err).__name__).lower()
                raise StrongroomError(f"{home} cannot be made", why, _ANOTHER) from err
            raise
        return settings, kek

    def settings(self, home: Path) -> CustodianSettings:
        """Return what a custodian's home is set to."""
        return settings_file.read_custodian_settings(home)

    @contextmanager
    def open(self, settings: CustodianSettings, passphrase: str | None) -> Iterator[Any]:
        """Open the home of a custodian with its key."""
        with self._opened(settings.home, self._kek(settings, passphrase)) as opened:
            yield opened

    def new_code(self, opened: Any, *, new_server: bool = False) -> tuple[str, datetime]:
        """Give a custodian that waits another join code; return it, and until when it counts.

        With `new_server` one that was joined gets a code for a server in the place of its own.
        """
        code = JoinCode.draw(self.token)
        give = opened.allow_server if new_server else opened.set_code
        return code.text(), give(code.key().secret).until

    def serve(
        self,
        settings: CustodianSettings,
        opened: Any,
        stop: threading.Event,
        tell: Callable[[str], None],
    ) -> None:
        """Wait to be joined where that is to be, and serve until `stop` is set.

        `tell` hears in one line each that it listens, that it was joined, and what fails.
        """
        host, wanted = settings.listen
        with plug("bind")((host, opened.port(wanted))) as listening:
            port = listening.getsockname()[1]
            opened.keep_port(port)
            while not stop.is_set():
                if opened.code() is not None:
                    tell(f"listens at {host} port {port}, and waits to be joined")
                    self._wait(listening, opened, stop, tell)
                    continue
                served = plug("serving")(opened, plug("allowed")(*settings.rates), self.clock, tell)
                limits = plug("limits")(body_bytes=LocalCustodian.Wire.BYTES_MAX)
                with plug("listener")(
                    listening, opened.badge(), served, self.clock, limits, tell
                ) as listener:
                    served.shown_by(listener)
                    tell(f"listens at {host} port {port}, and serves {served.card}")
                    while not (stop.wait(LOOK_SECONDS) or opened.code() is not None):
                        continue

    def _wait(
        self, listening: Any, opened: Any, stop: threading.Event, tell: Callable[[str], None]
    ) -> None:
        """Listen for a server until it has joined this custodian, or is waited for no more."""
        before, joined = None, False
        while not stop.is_set() and (code := opened.code()) is not None:
            waiting = plug("waiting")(
                JoinKey(code.secret),
                code.until,
                opened.count_try,
                opened.answer,
                opened.finish,
                opened.spend,
            )
            seed = self.token(SEED_BYTES)
            with plug("join_listener")(
                listening, seed, waiting, self.clock, self.token, tell
            ) as listener:
                if before is not None:
                    tell("takes another join code from now on")
                before = code
                while not ((joined := listener.wait(LOOK_SECONDS)) or stop.is_set()):
                    if opened.has_other_code(code):
                        break
        if not (joined or stop.is_set()):
            tell("waits for no other server any more: its code was not proved in time and tries")

    def _planned(self, plan: CustodianPlan) -> CustodianSettings:
        key_file = None
        if plan.key_keeper == "key-file":
            number = self.token(4).hex()
            path = plan.key_file or settings_file.default_key_file(f"custodian-{number}")
            key_file = free_name(path)
        return CustodianSettings(plan.home, plan.listen, plan.key_keeper, key_file)

    def _new_kek(self, settings: CustodianSettings, passphrase: str | None) -> bytes:
        keep: Any = plug(f"keep.{settings.key_keeper}")
        if settings.key_keeper == "passphrase":
            kek = keep(settings.kek_path, _needed(passphrase), self.token)
        else:
            kek = keep(settings.key_file or settings.kek_path, self.token)
        return bytes(kek)

    def _kek(self, settings: CustodianSettings, passphrase: str | None) -> bytes:
        take: Any = plug(f"take.{settings.key_keeper}")
        if settings.key_keeper == "passphrase":
            return bytes(take(settings.kek_path, _needed(passphrase)))
        if settings.key_keeper == "systemd-creds":
            return bytes(take(settings.kek_path, settings_file.credentials_folder()))
        return bytes(take(settings.key_file))

    @contextmanager
    def _opened(self, home: Path, kek: bytes) -> Iterator[Any]:
        own = home / OWN

        def open_own(anew: bool) -> Database:
            if anew:
                for end in ("", "-wal", "-shm"):
                    own.with_name(own.name + end).unlink(missing_ok=True)
            database: Database = plug("database")(own)
            return database

        world = plug("custodian_world")(self.clock, self.token, plug("machine_marks"), open_own)
        with contextlib.closing(
            plug("custodian_home")(plug("database")(home / "service.db"), kek, world)
        ) as opened:
            yield opened


_ANOTHER: Final = "Name another with --home."


def _needed(passphrase: str | None) -> str:
    if passphrase is None:
        raise UsageError(
            "this custodian is locked",
            "its key is under a passphrase, and nobody can be asked here",
            hint="Run it on a terminal, or pass --passphrase-file.",
        )
    return passphrase
