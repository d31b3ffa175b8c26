"""Verifiers that others wrote, each as a program under a time limit: one that hangs has failed.

Each takes the folder of an exported log, with the keys beside it in a file named `<folder>.keys`
(one a line, the log's first), and numbers of leaves whose proofs it makes and checks. It says what
it found as JSON.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.support.go_judge import GoAbsentError, built_judge

VERIFIER_SECONDS = 120
PROGRAMS = ROOT / "tests" / "ledger" / "foreign"

Ran = subprocess.CompletedProcess[str]
Reader = Callable[[Path, Sequence[int]], Ran]
needs_scales = pytest.mark.skipif(
    find_spec("tlog_scales") is None, reason="tlog-scales is not here: `make test` installs it"
)


def go() -> Path:
    """Return the judge that uses Go's own code; skip the test where there is no Go."""
    try:
        return built_judge()
    except GoAbsentError as err:
        pytest.skip(f"{err}: `make test` installs it")


def ran(*command: str | Path, given: str = "") -> Ran:
    """Run a program with something on its stdin."""
    return subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        timeout=VERIFIER_SECONDS,
        check=False,
    )


def by_go(folder: Path, indexes: Sequence[int]) -> Ran:
    """Read an exported log with Go's `note` and `tlog`."""
    return ran(go(), "read", folder, f"{folder}.keys", *map(str, indexes))


def by_scales(folder: Path, indexes: Sequence[int]) -> Ran:
    """Read an exported log with tlog-scales."""
    program = PROGRAMS / "scales.py"
    return ran(sys.executable, program, folder, f"{folder}.keys", *map(str, indexes))


READERS = [
    pytest.param(by_go, id="go"),
    pytest.param(by_scales, id="tlog-scales", marks=needs_scales),
]
