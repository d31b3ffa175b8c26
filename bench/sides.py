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

ROOT = Path(__file__).resolve().parents[1]
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

    def prepare(self, work: Path, data: Path) -> list[Step]:
        """Return what is done once before the first backup; it is not measured."""
        ...

    def backup(self, work: Path, data: Path, number: int) -> Step:
        """Return the command that backs up `data`."""
        ...

    def restore(self, work: Path, data: Path) -> Step:
        """Return the command that restores the first backup."""
        ...

    def restored(self, work: Path, data: Path) -> Path:
        """Return where `data` lies after a restore."""
        ...

    def repository(self, work: Path) -> Path:
        """Return the folder whose size is what was stored."""
        ...


class Strongroom:
    """This product: one location, three custodians, the command line as it is."""

    name = "strongroom"

    def __init__(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        self.version = f"strongroom {project['version']}"

    def environment(self, work: Path) -> dict[str, str]:
        return _environment(work, PYTHONPATH=str(ROOT / "src"))

    def prepare(self, work: Path, data: Path) -> list[Step]:
        home = ("--home", str(work / "home"))
        return [
            Step(self._command(*home, "init", "--location", str(work / "repository")), work),
            Step(self._command(*home, "client", "add", "bench", "--source", str(data)), work),
        ]

    def backup(self, work: Path, data: Path, number: int) -> Step:
        return Step(self._command("--home", str(work / "home"), "backup", "bench"), work)

    def restore(self, work: Path, data: Path) -> Step:
        to = ("--to", str(work / "restored"))
        return Step(self._command("--home", str(work / "home"), "restore", "bench", *to), work)

    def restored(self, work: Path, data: Path) -> Path:
        return next((work / "restored").iterdir())

    def repository(self, work: Path) -> Path:
        return work / "repository"

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "strongroom", *arguments]


class Restic:
    """restic as it comes: AES-256-CTR with Poly1305, zstd at its automatic level."""

    name = "restic"

    def __init__(self) -> None:
        self.version = " ".join(_said(["restic", "version"]).split()[:2])

    def environment(self, work: Path) -> dict[str, str]:
        repository = str(work / "repository")
        return _environment(work, RESTIC_PASSWORD=_WORDS, RESTIC_REPOSITORY=repository)

    def prepare(self, work: Path, data: Path) -> list[Step]:
        return [Step(["restic", "init"], work)]

    def backup(self, work: Path, data: Path, number: int) -> Step:
        return Step(["restic", "backup", "--quiet", "."], data)

    def restore(self, work: Path, data: Path) -> Step:
        to = ("--target", str(work / "restored"))
        return Step(["restic", "restore", "latest", "--quiet", *to], work)

    def restored(self, work: Path, data: Path) -> Path:
        plain = work / "restored"
        whole = plain / data.relative_to("/")
        return whole if whole.exists() else plain

    def repository(self, work: Path) -> Path:
        return work / "repository"


class Borg:
    """BorgBackup with repokey-blake2: AES-256-CTR with keyed BLAKE2b."""

    def __init__(self, compression: str) -> None:
        self.name = f"borg {compression}"
        self.version = _said(["borg", "--version"]).strip()
        self._compression = compression

    def environment(self, work: Path) -> dict[str, str]:
        repository = str(work / "repository")
        return _environment(
            work, BORG_PASSPHRASE=_WORDS, BORG_REPO=repository, BORG_BASE_DIR=str(work)
        )

    def prepare(self, work: Path, data: Path) -> list[Step]:
        return [Step(["borg", "init", "--encryption", "repokey-blake2"], work)]

    def backup(self, work: Path, data: Path, number: int) -> Step:
        compression = ("--compression", self._compression)
        return Step(["borg", "create", *compression, f"::backup-{number}", "."], data)

    def restore(self, work: Path, data: Path) -> Step:
        (work / "restored").mkdir()
        return Step(["borg", "extract", "::backup-1"], work / "restored")

    def restored(self, work: Path, data: Path) -> Path:
        return work / "restored"

    def repository(self, work: Path) -> Path:
        return work / "repository"


def present() -> tuple[list[Side], list[str]]:
    """Return the sides this machine has, and a line for each that it has not."""
    sides: list[Side] = [Strongroom()]
    missing: list[str] = []
    if shutil.which("restic"):
        sides.append(Restic())
    else:
        missing.append("restic is not measured: there is no `restic` on PATH")
    if shutil.which("borg"):
        sides += [Borg("lz4"), Borg("zstd,3")]
    else:
        missing.append("BorgBackup is not measured: there is no `borg` on PATH")
    return sides, missing


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
