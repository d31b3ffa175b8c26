"""PostgreSQL's own tools: found, matched with the server's version, and run.

A tool gets a closed environment and a connection string without a password. The password goes
through a memory file without a name (libpq's passfile), so it is in no argument, no environment
variable and no file system.
"""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from strongroom.adapters.sources.errors import SpoolFull, printable, reason
from strongroom.adapters.sources.postgres_errors import (
    ServerRefused,
    ToolFailed,
    ToolsMissing,
    ToolsTooOld,
    is_disk_full,
    tidy,
)
from strongroom.errors import Refused

NEEDED = ("pg_dump", "pg_dumpall", "pg_restore")
# Where distributions put the tools of each version beside those on PATH.
KNOWN_FOLDERS = (("/usr/lib/postgresql", "bin"), ("/usr", "bin"))
WORDS_BYTES_MAX = 1 << 16
ASK_SECONDS_MAX = 20
GRACE_SECONDS = 5
_VERSION = re.compile(rb"\(PostgreSQL\) (\d{2})")
_FOLDER = re.compile(r"(pgsql-)?\d{2}")
_ERROR_LINE = re.compile(r"^\S*pg_\w+: (?:error|detail): (.*)$", re.MULTILINE)
_SAID_BY_SERVER = re.compile(r"Error message from server: (?:ERROR|FATAL): +(.*)")


@dataclass(frozen=True, slots=True)
class ServerTools:
    """One folder of tools of one major version."""

    folder: Path
    major: int

    def program(self, name: str) -> str:
        """Return the full path of a tool."""
        return str(self.folder / name)


def known_folders() -> list[Path]:
    """Return where distributions put the tools of each version, as far as they are here."""
    found: list[Path] = []
    for top, below in KNOWN_FOLDERS:
        with contextlib.suppress(OSError):
            found += [
                Path(top, name, below)
                for name in sorted(os.listdir(top))
                if _FOLDER.fullmatch(name)
            ]
    return found


def find_tools(folders: Sequence[Path], at_least: int, best: int | None = None) -> ServerTools:
    """Return the tools of the smallest major version that is not below `at_least`.

    `best` is preferred where it is among them: a restore is written for the server it goes to.
    """
    found = list(_look(folders))
    if not found:
        raise ToolsMissing(
            "PostgreSQL's tools are not here",
            f"no folder holds {', '.join(NEEDED)}: "
            + printable(os.fsencode(":".join(map(str, folders)) or "no folder was named")),
        )
    usable = [tools for tools in found if tools.major >= at_least]
    if not usable:
        newest = max(found, key=lambda tools: tools.major)
        raise ToolsTooOld(
            f"PostgreSQL's tools are older than {at_least}",
            f"the newest, of version {newest.major}, are in {newest.folder}",
        )
    return min(usable, key=lambda tools: (tools.major != best, tools.major))


class Passfile:
    """A password in a memory file without a name; use it in a `with` block."""

    def __init__(self, password: str | None) -> None:
        text = ""
        if password is not None:
            if "\n" in password or "\0" in password or "\r" in password:
                raise Refused(
                    "the password is refused",
                    "libpq's password file cannot hold a line break",
                    "Choose a password of one line.",
                )
            # The tools only go where their connection string sends them, so any host may match.
            text = "*:*:*:*:" + password.replace("\\", "\\\\").replace(":", "\\:") + "\n"
        self.handle = os.memfd_create("strongroom", os.MFD_CLOEXEC)
        # libpq ignores a password file that others could read.
        os.fchmod(self.handle, 0o600)
        os.write(self.handle, text.encode())

    @property
    def path(self) -> str:
        """The name under which this process, and a child that inherits the handle, can open it."""
        return f"/proc/self/fd/{self.handle}"

    def close(self) -> None:
        """Give the memory back; safe to call twice."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


class Running:
    """A tool at work; in a `with` block it is ended when the block ends."""

    def __init__(
        self, command: Sequence[str], passfile: Passfile, output: int = subprocess.DEVNULL
    ) -> None:
        self._name = os.path.basename(command[0])
        self._words = os.memfd_create("strongroom-words", os.MFD_CLOEXEC)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a list, no shell, a path we chose
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=self._words,
                pass_fds=(passfile.handle,),
                env=_environment(passfile),
                # A group of its own, so that parallel workers end with their leader.
                start_new_session=True,
                cwd="/",
                umask=0o077,
            )
        except OSError as error:
            os.close(self._words)
            raise ToolFailed(f"{self._name} cannot be started", reason(error)) from error

    def ends_within(self, seconds: float) -> bool:
        """Wait so long at most, and say whether it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def wait(self) -> None:
        """Wait until it is done; raise what it says where it failed."""
        code = self._process.wait()
        if code != 0:
            raise _failure(self._name, code, self._said())

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what still runs, its workers included."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait()
        os.close(self._words)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _said(self) -> str:
        size = os.fstat(self._words).st_size
        start = max(0, size - WORDS_BYTES_MAX)
        return os.pread(self._words, WORDS_BYTES_MAX, start).decode("utf-8", "surrogateescape")


def run_tool(command: Sequence[str], passfile: Passfile, output: int = subprocess.DEVNULL) -> None:
    """Run a tool to its end."""
    with Running(command, passfile, output) as running:
        running.wait()


def _environment(passfile: Passfile) -> dict[str, str]:
    # Nothing is inherited: a PGOPTIONS or PGSERVICE of the caller would change what is read.
    # Messages in English can be understood below; pg_dump needs PATH for nothing.
    return {
        "LC_ALL": "C",
        "PATH": os.defpath,
        "PGPASSFILE": passfile.path,
        "PGCONNECT_TIMEOUT": "15",
    }


def _failure(name: str, code: int, said: str) -> ToolFailed | SpoolFull | ServerRefused:
    """Return one line of why; what follows the first line could repeat rows, and is left out."""
    if is_disk_full(said):
        return SpoolFull("there is no room left for the dump", f"{name}: no space left on device")
    by_server = _SAID_BY_SERVER.search(said)
    first = _ERROR_LINE.search(said)
    if by_server:
        why = by_server[1]
    elif first:
        why = first[1]
    else:
        why = said or ("it was killed" if code < 0 else f"it ended with code {code}")
    if "permission denied" in said:
        return ServerRefused(f"{name} may not read everything", tidy(why))
    hint = None
    if "unrecognized configuration parameter" in said:
        hint = (
            "The server is older than the tools that made the dump or restore it: restore into a "
            "server of their version."
        )
    return ToolFailed(f"{name} failed", tidy(why), hint)


def _look(folders: Sequence[Path]) -> Iterator[ServerTools]:
    seen: set[str] = set()
    for folder in folders:
        real = os.path.realpath(folder / NEEDED[0])
        # Debian's pg_wrapper asks an environment and files that we do not hand over.
        if real in seen or os.path.basename(real) == "pg_wrapper":
            continue
        seen.add(real)
        if not all(os.access(folder / name, os.X_OK) for name in NEEDED):
            continue
        major = _ask_version(real)
        if major is not None:
            yield ServerTools(folder.absolute(), major)


def _ask_version(program: str) -> int | None:
    try:
        told = subprocess.run(  # noqa: S603 - a path that we found, and one fixed argument
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={"LC_ALL": "C"},
            timeout=ASK_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = _VERSION.search(told.stdout)
    return int(version[1]) if version else None
