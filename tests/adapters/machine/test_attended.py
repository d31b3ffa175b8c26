"""A process that serves while somebody attends it: real ones, that end, hang, or are left alone."""

import os
import select
import signal
import subprocess
import sys

import pytest

from strongroom.adapters.machine.attended import AttendedProcess
from strongroom.errors import StrongroomError
from tests.house.tree import ROOT

LIMIT_SECONDS = 60
SERVE = "import sys\nprint('warms up\\nserves at last', flush=True)\nsys.stdin.read()"
FAIL = "import sys\nprint('no such place', file=sys.stderr)\nsys.exit(1)"
HANG = "import signal, time\nprint('serves', flush=True)\nwhile True: time.sleep(60)"
PARENT = """
import os, sys
from strongroom.adapters.machine.attended import AttendedProcess
one = AttendedProcess("one", [sys.executable, "-IS", "-c", sys.argv[1]], "serves")
one.wait_until_it_serves()
print(one.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def attended(script: str, end_seconds: float = 10.0) -> AttendedProcess:
    program = [sys.executable, "-IS", "-c", script]
    return AttendedProcess("one", program, "serves", end_seconds)


def test_serves_until_it_is_let_go_of() -> None:
    with attended(SERVE) as one:
        assert one.wait_until_it_serves() == "serves at last"
        assert one.running
    assert not one.running


def test_one_that_ends_at_once_says_why() -> None:
    with attended(FAIL) as one, pytest.raises(StrongroomError) as raised:
        one.wait_until_it_serves()
    assert raised.value.what == "one does not serve"
    assert raised.value.why == "it has ended: no such place"


def test_one_that_is_never_ready_is_not_waited_for() -> None:
    with attended("import sys; sys.stdin.read()") as one, pytest.raises(StrongroomError) as raised:
        one.wait_until_it_serves(0.05)
    assert "not ready in 0 s: without a word" in str(raised.value)


def test_killed_in_the_middle() -> None:
    with attended(HANG) as one:
        one.wait_until_it_serves()
        one.kill()
        assert not one.running


def test_one_that_hangs_is_killed() -> None:
    with attended(HANG, 0.05) as one:
        one.wait_until_it_serves()
    assert not one.running


def test_ends_when_the_process_that_attends_it_is_killed() -> None:
    """The pipe ends, whatever happened to who held it."""
    parent = subprocess.run(
        [sys.executable, "-c", PARENT, SERVE],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert parent.returncode == -signal.SIGKILL
    wait_until_gone(int(parent.stdout))


def wait_until_gone(pid: int) -> None:
    """Return when a process that is not our child has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], LIMIT_SECONDS)[0]
    finally:
        os.close(handle)
