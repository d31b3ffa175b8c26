"""The settings of one home: a frozen dataclass read from `strongroom.toml`.

Every key is in the file `init` writes, with a comment. An unknown key is refused, because a
setting that is silently ignored is how encryption and retention get lost. This module is the only
reader of the environment.
"""

import os
import pwd
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from strongroom.errors import StrongroomError, UsageError

HOME_VERSION = 1
FILE_NAME = "strongroom.toml"
CUSTODIAN_FILE_NAME = "custodian.toml"
THREADS_MAX = 64
PRUNE_WAIT_HOURS = 72
PRUNE_WAIT_HOURS_MIN = 24
PRUNE_WAIT_HOURS_MAX = 24 * 366
DISCLOSURE_DAYS = 730
DISCLOSURE_DAYS_MIN = 7
DISCLOSURE_DAYS_MAX = 36_500

_TEMPLATE = """\
# Strongroom's settings for this home. An unknown key is refused.

# The version of this folder's layout. Strongroom raises it; do not edit it.
home_version = {home_version}

# The key file that opens this home's sealed secrets. It lies outside the home on purpose:
# a copy of the home alone opens nothing.
key_file = "{key_file}"

# Where a source that cannot stream is copied while it is read (SQLite above 64 MiB). Empty: the
# user's runtime folder, which is in memory on most systems, or the temporary folder.
spool = ""

# Threads that compress and seal during a backup, and open during a restore.
threads = {threads}

# Folders of PostgreSQL's programs (pg_dump and its fellows), such as "/usr/lib/postgresql/18/bin".
# Empty: those on PATH, and where distributions put them. The nearest version that fits is taken.
tool_folders = []

# The keep policy of a new client: newest of each day, week and month, and a floor of good ones.
keep = "7d5w12m3f"

# Hours between the announcement of a deletion and the deletion: time to notice, at least 24.
prune_wait_hours = 72

# Days for which the private side of the ledger is kept: names, URLs and paths to which its facts
# commit. What is older is deleted; the facts and their proofs stay. At least 7, or 0: no limit.
disclosure_days = {disclosure_days}
"""


_RATES: Final = (
    "releases_per_hour_of_client",
    "releases_per_hour",
    "questions_per_minute_of_peer",
    "writers_per_hour",
)
_WRITERS_PER_HOUR: Final = 1000
KeyKeeper = Literal["key-file", "passphrase", "systemd-creds"]
KEY_KEEPERS: Final[tuple[KeyKeeper, ...]] = ("key-file", "passphrase", "systemd-creds")
RATE_MAX = 1_000_000
PORT_MAX = 65_535

_CUSTODIAN_TEMPLATE = """\
# Settings of a custodian that is a process of its own. An unknown key is refused.

# The version of this folder's layout. Strongroom raises it; do not edit it.
home_version = {home_version}

# Where it listens: an address of this machine, and a port. Port 0 is any that is free when it is
# started first, and that one from then on.
listen_address = "{address}"
listen_port = {port}

# What keeps the key over its secrets while it does not run: "passphrase", "systemd-creds" or
# "key-file". It is chosen when the folder is made; do not edit it.
key_keeper = "{key_keeper}"

# The key file, outside this folder on purpose; empty for the other two.
key_file = "{key_file}"

# How often the keys of one client, and of all together, may be opened in an hour. Where nobody
# restores but in need, 5 and 20 are enough; drills and browsing are releases, too.
releases_per_hour_of_client = 60
releases_per_hour = 240

# How many questions one peer may ask in a minute.
questions_per_minute_of_peer = 6000

# How many writers of clients it takes in an hour; a client brings one, and its former ones. Whoever
# has the server asks nobody for it. Raise it while a fleet of more clients than this gets its keys
# at a custodian that took a seat: until it has one, a client is not backed up.
writers_per_hour = 1000
"""


class NewerHome(StrongroomError):
    """The home was made or migrated by a newer Strongroom."""

    code = "newer_home"
    hint = "Update this installation; nothing was changed."


@dataclass(frozen=True, slots=True)
class Settings:
    """What a home is set to. Paths are absolute."""

    home: Path
    key_file: Path
    spool: Path
    threads: int
    keep: str
    tool_folders: tuple[Path, ...] = ()
    prune_wait_hours: int = PRUNE_WAIT_HOURS
    disclosure_days: int = DISCLOSURE_DAYS


@dataclass(frozen=True, slots=True)
class CustodianSettings:
    """What the home of a custodian is set to. Paths are absolute."""

    home: Path
    listen: tuple[str, int]
    key_keeper: KeyKeeper
    key_file: Path | None = None
    rates: tuple[int, int, int, int] = (60, 240, 6000, _WRITERS_PER_HOUR)
    """Releases an hour of a client and of all, questions a minute of a peer, writers an hour."""

    @property
    def kek_path(self) -> Path:
        """Return where the sealed key lies, where no key file gives it."""
        return self.home / "kek"


def default_home() -> Path:
    """Return STRONGROOM_HOME, or the place for data of this user (root: /var/lib/strongroom)."""
    named = os.environ.get("STRONGROOM_HOME")
    if named:
        return Path(named).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/strongroom")
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local/share") / "strongroom"


def default_key_file(install: str) -> Path:
    """Return where the key file of a new install goes: outside the home."""
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "strongroom" / f"{install}.key"


def write_settings(home: Path, key_file: Path) -> None:
    """Write the commented file of a new home."""
    text = _TEMPLATE.format(
        home_version=HOME_VERSION,
        key_file=_in_quotes(key_file),
        threads=min(max(os.cpu_count() or 1, 1), 8),
        disclosure_days=DISCLOSURE_DAYS,
    )
    (home / FILE_NAME).write_text(text, encoding="utf-8")


def read_settings(home: Path) -> Settings:
    """Read a home's settings; raises for no home, a newer home, unknown or bad keys."""
    path = home / FILE_NAME
    return _parse(home, path, _values(path, home, "Strongroom home", "`strongroom init`"))


def write_custodian_settings(settings: CustodianSettings) -> None:
    """Write the commented file of a custodian's new home."""
    text = _CUSTODIAN_TEMPLATE.format(
        home_version=HOME_VERSION,
        address=settings.listen[0],
        port=settings.listen[1],
        key_keeper=settings.key_keeper,
        key_file=_in_quotes(settings.key_file or ""),
    )
    (settings.home / CUSTODIAN_FILE_NAME).write_text(text, encoding="utf-8")


def read_custodian_settings(home: Path) -> CustodianSettings:
    """Read the settings of a custodian's home; raises for no home, unknown or bad keys."""
    path = home / CUSTODIAN_FILE_NAME
    values = _values(path, home, "home of a custodian", "`strongroom custodian init --home DIR`")
    wanted: dict[str, type] = {
        "home_version": int,
        "listen_address": str,
        "listen_port": int,
        "key_keeper": str,
        "key_file": str,
        **dict.fromkeys(_RATES, int),
    }
    # A home that was made before there was this setting goes on.
    values = {"writers_per_hour": _WRITERS_PER_HOUR, **values}
    _check_kinds(path, values, wanted)
    for key, most in (("listen_port", PORT_MAX), *((rate, RATE_MAX) for rate in _RATES)):
        least = 0 if key == "listen_port" else 1
        if not least <= values[key] <= most:
            raise UsageError(f"the setting {key} in {path} is not {least} to {most}")
    keeper = next((one for one in KEY_KEEPERS if one == values["key_keeper"]), None)
    if keeper is None:
        raise UsageError(
            f"the setting key_keeper in {path} is not usable",
            f"it may be {', '.join(KEY_KEEPERS)}",
        )
    key_file = Path(values["key_file"]) if values["key_file"] else None
    if (key_file is None) == (keeper == "key-file") or (key_file and not key_file.is_absolute()):
        raise UsageError(f"the setting key_file in {path} is not usable", f"with {keeper}")
    first, second, third, fourth = (values[rate] for rate in _RATES)
    listen = values["listen_address"], values["listen_port"]
    return CustodianSettings(home, listen, keeper, key_file, (first, second, third, fourth))


def credentials_folder() -> Path | None:
    """Return where systemd has put the credentials of the unit that this runs in."""
    named = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(named) if named else None


def _values(path: Path, home: Path, what: str, command: str) -> dict[str, Any]:
    """Return what a settings file says, of a version that is known."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise UsageError(
            f"there is no {what} in {home}",
            f"{path.name} is not there",
            hint=f"Make one with {command}, or name another with --home.",
        ) from err
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise UsageError(f"{path} cannot be read", str(err)) from err
    version = values.get("home_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UsageError(f"{path} has no usable home_version", f"got {version!r:.40}")
    if version > HOME_VERSION:
        raise NewerHome(
            f"the home {home} is of version {version}",
            f"this Strongroom knows homes up to version {HOME_VERSION}",
        )
    return values


def _check_kinds(path: Path, values: Mapping[str, Any], wanted: Mapping[str, type]) -> None:
    """Raise UsageError for a setting that is unknown, missing or of another kind."""
    unknown = sorted(set(values) - set(wanted))
    if unknown:
        raise UsageError(
            f"{path} has an unknown setting {unknown[0]!r:.60}",
            f"known: {', '.join(wanted)}",
            hint="Remove it or mend its name; nothing was done.",
        )
    for key, kind in wanted.items():
        value = values.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UsageError(f"the setting {key} in {path} is not usable", f"got {value!r:.60}")


def _in_quotes(text: object) -> str:
    return str(text).replace("\\", "\\\\").replace('"', '\\"')


def _parse(home: Path, path: Path, values: Mapping[str, Any]) -> Settings:
    wanted: dict[str, type] = {
        "home_version": int,
        "key_file": str,
        "spool": str,
        "threads": int,
        "tool_folders": list,
        "keep": str,
        "prune_wait_hours": int,
        "disclosure_days": int,
    }
    # A home that was made before there were these settings goes on.
    newer = {"tool_folders": [], "prune_wait_hours": PRUNE_WAIT_HOURS}
    values = {**newer, "disclosure_days": DISCLOSURE_DAYS, **values}
    _check_kinds(path, values, wanted)
    if not 1 <= values["threads"] <= THREADS_MAX:
        raise UsageError(f"the setting threads in {path} is not 1 to {THREADS_MAX}")
    if not PRUNE_WAIT_HOURS_MIN <= values["prune_wait_hours"] <= PRUNE_WAIT_HOURS_MAX:
        raise UsageError(
            f"the setting prune_wait_hours in {path} is not usable",
            f"it may be {PRUNE_WAIT_HOURS_MIN} to {PRUNE_WAIT_HOURS_MAX} hours",
        )
    days = values["disclosure_days"]
    if days != 0 and not DISCLOSURE_DAYS_MIN <= days <= DISCLOSURE_DAYS_MAX:
        raise UsageError(
            f"the setting disclosure_days in {path} is not usable",
            f"it may be {DISCLOSURE_DAYS_MIN} to {DISCLOSURE_DAYS_MAX} days, or 0 for no limit",
        )
    if not all(isinstance(folder, str) for folder in values["tool_folders"]):
        raise UsageError(f"the setting tool_folders in {path} is no list of texts")
    tools = tuple(Path(folder) for folder in values["tool_folders"])
    spool = Path(values["spool"]) if values["spool"] else _default_spool()
    named = [("key_file", Path(values["key_file"])), ("spool", spool)]
    for key, folder in [*named, *(("tool_folders", one) for one in tools)]:
        if not folder.is_absolute():
            raise UsageError(f"the setting {key} in {path} is not an absolute path")
    return Settings(
        home,
        Path(values["key_file"]),
        spool,
        values["threads"],
        values["keep"],
        tools,
        values["prune_wait_hours"],
        days,
    )


def origin() -> tuple[str, str]:
    """Return the login under which this runs and the name of the host.

    Of somebody who became root by sudo the own login is returned: root is nobody's name.
    """
    user = os.geteuid()
    sudo = os.environ.get("SUDO_USER") if user == 0 else None
    try:
        login = sudo or pwd.getpwuid(user).pw_name
    except KeyError:
        login = str(user)
    return login, os.uname().nodename


def refuse_secrets() -> bool:
    """Tell whether a fact that seems to hold a secret fails the command, as in our tests."""
    return os.environ.get("STRONGROOM_REFUSE_SECRETS") == "1"


def path_folders() -> tuple[Path, ...]:
    """Return the absolute folders of PATH, in which a shell looks for programs."""
    named = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return tuple(Path(folder) for folder in named if os.path.isabs(folder))


def _default_spool() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime) / "strongroom-spool"
    return Path(tempfile.gettempdir()) / f"strongroom-spool-{os.geteuid()}"
