"""Another process that answers lines: real ones, that answer, end, or are stopped."""

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from strongroom.adapters.machine.companion import (
    ANSWER_SECONDS_MAX,
    CompanionProcess,
    as_trusting_as,
)

ECHO = "import sys\nfor line in sys.stdin:\n    print(line.strip().upper(), flush=True)"
SLEEP = "import sys, time\nsys.stdin.readline()\ntime.sleep(60)"
END = "import sys\nsys.stdin.readline()"


HALF = "import sys, time\nsys.stdin.readline()\nprint('half', end='', flush=True)\ntime.sleep(60)"
SOON = 0.5


def companion(script: str, answer_seconds: float = ANSWER_SECONDS_MAX) -> CompanionProcess:
    return CompanionProcess([sys.executable, "-IS", "-c", script], answer_seconds)


def test_each_line_is_answered() -> None:
    with companion(ECHO) as one:
        assert one.ask("first") == "FIRST\n"
        assert one.ask("second") == "SECOND\n"


def test_one_that_has_ended_answers_nothing() -> None:
    with companion(END) as one:
        assert one.ask("first") == ""
        assert one.ask("second") == ""


def test_stopped_while_it_is_asked() -> None:
    answers: list[str] = []
    started = time.monotonic()
    with companion(SLEEP) as one:
        thread = threading.Thread(target=lambda: answers.append(one.ask("anything")))
        thread.start()
        time.sleep(0.2)
        one.stop()
        thread.join()
    assert answers == [""]
    assert time.monotonic() - started < 30


def test_one_that_hangs_is_not_waited_for() -> None:
    """It is stopped while somebody asks: leaving the block ends both."""
    answers: list[str] = []
    with companion(SLEEP) as one:
        os.kill(one._process.pid, signal.SIGSTOP)
        thread = threading.Thread(target=lambda: answers.append(one.ask("anything")))
        thread.start()
        time.sleep(0.2)
        one.stop()
    thread.join()
    assert answers == [""]


def test_one_that_cannot_leave_is_killed_soon_after_it_was_stopped() -> None:
    with companion(SLEEP) as one:
        os.kill(one._process.pid, signal.SIGSTOP)
        one.stop()
        assert one.ask("anything") == ""
        # One that had not begun to listen to Ctrl-C dies of that.
        assert one._process.returncode in (-signal.SIGKILL, -signal.SIGINT)


@pytest.mark.parametrize(("script", "said"), [(SLEEP, ""), (HALF, "half")])
def test_one_that_does_not_answer_in_time_is_killed(script: str, said: str) -> None:
    with companion(script, SOON) as one:
        assert one.ask("anything") == said
        assert one._process.returncode == -signal.SIGKILL
        assert one.ask("again") == ""


def test_one_that_answers_in_time_is_asked_for_ever() -> None:
    with companion(ECHO, SOON) as one:
        for _ in range(3):
            assert one.ask("first") == "FIRST\n"
            time.sleep(SOON / 2)
        assert one._process.poll() is None


@pytest.mark.parametrize(
    ("own", "wanted"),
    [((), ["-P"]), (("-E",), ["-P", "-E"]), (("-s",), ["-P", "-s"]), (("-I",), ["-I"])],
)
def test_it_trusts_no_more_than_this_process(own: tuple[str, ...], wanted: list[str]) -> None:
    script = (
        "from sys import flags as own\n"
        "print(own.isolated, own.ignore_environment, own.no_user_site)"
    )
    done = subprocess.run(
        [sys.executable, *own, "-c", script], capture_output=True, text=True, check=True
    )
    isolated, environment, site = (int(one) for one in done.stdout.split())
    flags = SimpleNamespace(isolated=isolated, ignore_environment=environment, no_user_site=site)
    assert as_trusting_as(flags) == wanted  # type: ignore[arg-type]  # the flags that matter


def test_it_ends_with_the_process_that_asks() -> None:
    """Its stdin ends when the process that held the other end was killed."""
    script = (
        "import os, signal, sys\n"
        "from strongroom.adapters.machine.companion import CompanionProcess\n"
        f"one = CompanionProcess([sys.executable, '-IS', '-c', {ECHO!r}])\n"
        "print(one.ask('x').strip(), one._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    answer, pid = done.stdout.split()
    assert answer == "X"
    deadline = time.monotonic() + 30
    while running(int(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
