"""The programs that are compared: how each makes a repository, backs up and restores.

Every side has one local repository, its own default encryption and a home of its own, so that
nothing of the machine's user is read or touched.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.data import Input
from bench.figures import MINE
from bench.measure import ROOT

STREAM = "shop.sql"
_WORDS = "a passphrase for a benchmark"


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and the folder it is started in."""

    command: Sequence[str]
    folder: Path


class Side(Protocol):
    """One program in one configuration, with a repository in a folder of its own."""

    name: str
    version: str

    def environment(self, work: Path) -> dict[str, str]:
        """Return the variables its commands run with."""
        ...

    def prepare(self, work: Path, made: Input) -> list[Step]:
        """Return what is done once before the first backup; it is not measured."""
        ...

    def backup(self, work: Path, made: Input, number: int) -> Step:
        """Return the command of the backup with this number, which grows from 1 on."""
        ...

    def restore(self, work: Path, number: int) -> Step:
        """Return the command that restores the last backup, which has this number."""
        ...

    def restored(self, work: Path, made: Input) -> Path:
        """Return where the input's folder, or its one database, lies after a restore."""
        ...

    def listing(self, work: Path) -> Step:
        """Return the command that lists the backups there are."""
        ...

    def repository(self, work: Path) -> Path:
        """Return the folder whose size is what was stored."""
        return work / "repository"


class Peer(Side, Protocol):
    """Another program: it also takes one stream from a pipe, and any repository is named to it."""

    variable: str
    program: str

    def backup_stream(self, number: int) -> list[str]:
        """Return the command that backs up its standard input."""
        ...

    def restore_stream(self, number: int) -> list[str]:
        """Return the command that writes the last such backup to its standard output."""
        ...


class Strongroom(Side):
    """This product: one location or several, three custodians, the command line as it is.

    With a parity the locations hold shards instead of full copies.
    """

    def __init__(self, locations: int = 1, parity: int = 0) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        kept = f"{locations - parity} + {parity} shards" if parity else f"{locations} copies"
        self.name = MINE if locations == 1 else f"{MINE}, {kept}"
        self.version = f"strongroom {project['version']}"
        self._locations = locations
        self._options = ("--parity", str(parity)) if parity else ()

    def environment(self, work: Path) -> dict[str, str]:
        return _environment(work, PYTHONPATH=str(ROOT / "src"))

    def prepare(self, work: Path, made: Input) -> list[Step]:
        client = self.add_client(work, "bench", str(made.source), *self._options)
        return [self.begin(work), client]

    def begin(self, work: Path) -> Step:
        """Return the command that makes a home."""
        places = [str(self.repository(work) / str(one + 1)) for one in range(self._locations)]
        locations = [part for place in places for part in ("--location", place)]
        self.repository(work).mkdir()
        return self.do(work, "init", *locations)

    def add_client(self, work: Path, client: str, source: str, *options: str) -> Step:
        """Return the command that adds a client with one source."""
        return self.do(work, "client", "add", client, "--source", source, *options)

    def backup(self, work: Path, made: Input, number: int) -> Step:
        return self.do(work, "backup", "bench")

    def restore(self, work: Path, number: int) -> Step:
        return self.do(work, "restore", "bench", "--to", str(work / "restored"))

    def restored(self, work: Path, made: Input) -> Path:
        return next((work / "restored").iterdir())

    def listing(self, work: Path) -> Step:
        return self.do(work, "snapshots", "bench")

    def do(self, work: Path, *arguments: str) -> Step:
        """Return any command on this home."""
        home = ("--home", str(work / "home"))
        return Step([sys.executable, "-m", "strongroom", *home, *arguments], work)


class Restic(Peer):
    """restic as it comes: AES-256-CTR with Poly1305, zstd at its automatic level."""

    name = program = "restic"
    variable = "RESTIC_REPOSITORY"

    def __init__(self) -> None:
        self.version = " ".join(_said(["restic", "version"]).split()[:2])

    def environment(self, work: Path) -> dict[str, str]:
        repository = str(self.repository(work))
        return _environment(work, RESTIC_PASSWORD=_WORDS, RESTIC_REPOSITORY=repository)

    def prepare(self, work: Path, made: Input) -> list[Step]:
        return [Step(["restic", "init"], work)]

    def backup(self, work: Path, made: Input, number: int) -> Step:
        return Step(["restic", "backup", "--quiet", "."], made.root)

    def restore(self, work: Path, number: int) -> Step:
        to = ("--target", str(work / "restored"))
        return Step(["restic", "restore", "latest", "--quiet", *to], work)

    def restored(self, work: Path, made: Input) -> Path:
        plain = work / "restored"
        whole = plain / made.root.relative_to("/")
        return whole if whole.exists() else plain

    def listing(self, work: Path) -> Step:
        return Step(["restic", "snapshots"], work)

    def backup_stream(self, number: int) -> list[str]:
        return ["restic", "backup", "--quiet", "--stdin", "--stdin-filename", STREAM]

    def restore_stream(self, number: int) -> list[str]:
        return ["restic", "dump", "latest", STREAM]


class Borg(Peer):
    """BorgBackup with repokey-blake2: AES-256-CTR with keyed BLAKE2b."""

    program = "borg"
    variable = "BORG_REPO"

    def __init__(self, compression: str) -> None:
        self.name = f"borg {compression}"
        self.version = _said(["borg", "--version"]).strip()
        self._compression = compression

    def environment(self, work: Path) -> dict[str, str]:
        repository = str(self.repository(work))
        return _environment(
            work, BORG_PASSPHRASE=_WORDS, BORG_REPO=repository, BORG_BASE_DIR=str(work)
        )

    def prepare(self, work: Path, made: Input) -> list[Step]:
        return [Step(["borg", "init", "--encryption", "repokey-blake2"], work)]

    def backup(self, work: Path, made: Input, number: int) -> Step:
        return Step([*self._create(number), "."], made.root)

    def restore(self, work: Path, number: int) -> Step:
        (work / "restored").mkdir()
        return Step(["borg", "extract", f"::backup-{number}"], work / "restored")

    def restored(self, work: Path, made: Input) -> Path:
        return work / "restored"

    def listing(self, work: Path) -> Step:
        return Step(["borg", "list"], work)

    def backup_stream(self, number: int) -> list[str]:
        return [*self._create(number), "-"]

    def restore_stream(self, number: int) -> list[str]:
        return ["borg", "extract", "--stdout", f"::backup-{number}"]

    def _create(self, number: int) -> list[str]:
        return ["borg", "create", "--compression", self._compression, f"::backup-{number}"]


def peers() -> tuple[list[Peer], list[str]]:
    """Return the peers this machine has, and a line for each that it has not."""
    found: list[Peer] = []
    missing: list[str] = []
    if shutil.which("restic"):
        found.append(Restic())
    else:
        missing.append("restic is not measured: there is no `restic` on PATH")
    if shutil.which("borg"):
        found += [Borg("lz4"), Borg("zstd,3")]
    else:
        missing.append("BorgBackup is not measured: there is no `borg` on PATH")
    return found, missing


def ceiling_command(root: Path) -> list[str]:
    """Return the command that measures the ceiling on a folder."""
    return [sys.executable, "-m", "bench.ceiling", str(root)]


def _environment(work: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(work),
        "XDG_CONFIG_HOME": str(work / "config"),
        "XDG_CACHE_HOME": str(work / "cache"),
        **more,
    }


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
