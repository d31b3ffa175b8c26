"""The unit on the page about custodians is one that systemd reads, and is as tight as it says."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.adapters.machine.attended import AttendedProcess
from strongroom.errors import StrongroomError
from tests.house.tree import ROOT

PAGE = (ROOT / "docs" / "how-to" / "custodians.md").read_text("utf-8")
NAME = "strongroom-custodian@north.service"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    (text,) = re.findall(r"^```ini\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / NAME
    # What it starts is elsewhere where a checkout is tried, and nothing starts it here.
    path.write_text(text.replace("/usr/bin/strongroom", "/bin/true"), encoding="utf-8")
    return path


# What the kernel grants a unit with MemoryDenyWriteExecute, NoNewPrivileges and LimitCORE=0.
TIGHTLY = """
import ctypes, resource, runpy, sys
kernel = ctypes.CDLL(None)
PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, REFUSE_EXEC_GAIN = 38, 65, 1
if kernel.prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit("this kernel cannot deny memory that is written and executed")
kernel.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
sys.argv[0] = "strongroom"
runpy.run_module("strongroom.cli.attended", run_name="__main__")
"""


def analyzed(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run systemd-analyze, or skip with the reason where it cannot look at a file."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze on this machine")
    done = subprocess.run(
        [program, "--no-pager", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    if "--offline" in done.stderr or "unrecognized option" in done.stderr:
        pytest.skip(f"this systemd-analyze cannot look at a file: {done.stderr.strip()}")
    return done


def test_the_score_of_the_unit_is_the_one_on_the_page(
    unit: Path, record_property: Callable[[str, object], None]
) -> None:
    done = analyzed("security", "--offline=true", unit)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+) (\w+)", done.stdout)
    assert found, done.stdout + done.stderr
    record_property("counts", f"systemd-analyze security {NAME}: {found[1]} {found[2]}")
    (promised,) = re.findall(r"`systemd-analyze security` gives it ([\d.]+) of 10", PAGE)
    # A later systemd looks at more, and may find something; it may not find much.
    assert float(found[1]) <= float(promised) + 0.3


def test_systemd_reads_every_line_of_the_unit(unit: Path) -> None:
    done = analyzed("verify", unit)
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert complaints == []


@pytest.mark.loopback
def test_a_custodian_serves_under_what_the_unit_forbids(tmp_path: Path) -> None:
    home, environment = tmp_path / "north", {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    strongroom = [sys.executable, "-m", "strongroom", "--home", str(home), "custodian"]
    options = ["--listen", "127.0.0.1:0", "--key-file", str(tmp_path / "key")]
    subprocess.run(
        [*strongroom, "init", *options],
        env=environment, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    serve = [sys.executable, "-c", TIGHTLY, "--home", str(home), "custodian", "serve"]
    with AttendedProcess("north", serve, "custodian listens") as north:
        try:
            assert "waits to be joined" in north.wait_until_it_serves(120)
        except StrongroomError as err:
            if "this kernel cannot" in err.why:
                pytest.skip(err.why)
            raise
