"""A command as a source: what it writes is kept whole, or not at all; and it never outlives us."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.sources import command_keeper
from strongroom.adapters.sources.command import CommandSource
from strongroom.adapters.sources.command_run import (
    BLOCK_BYTES,
    STDERR_BYTES_MAX,
    STDERR_LINES_MAX,
    Patience,
    RunningCommand,
)
from strongroom.adapters.sources.errors import CommandFailed, ProgramMissing
from strongroom.clock import SystemClock
from strongroom.vault import Entry

WAIT_SECONDS_MAX = 20.0


def shell(script: str, *arguments: str, limit: float = 10, grace: float = 10) -> CommandSource:
    return CommandSource(
        ("sh", "-c", script, "sh", *arguments), SystemClock(), Patience(limit, grace)
    )


def read_all(source: CommandSource) -> bytes:
    with closing(source):
        (entry,) = source.entries()
        return b"".join(source.read(entry))


def is_running(pid: int) -> bool:
    """Say whether a process is there and no mere entry of a dead one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid: int) -> None:
    until = time.monotonic() + WAIT_SECONDS_MAX
    while is_running(pid):
        assert time.monotonic() < until, "it still runs"
        time.sleep(0.01)


def wait_for_pid(path: Path) -> int:
    until = time.monotonic() + WAIT_SECONDS_MAX
    while not (path.exists() and path.read_text("ascii").endswith("\n")):
        assert time.monotonic() < until, "it never wrote its number"
        time.sleep(0.01)
    return int(path.read_text("ascii"))


def test_stdout_is_kept_with_its_facts() -> None:
    source = shell("seq 1 5; echo all well >&2")
    assert read_all(source) == b"1\n2\n3\n4\n5\n"
    facts = dict(source.facts())
    assert facts.pop("arguments") == ["sh", "-c", "seq 1 5; echo all well >&2", "sh"]
    assert len(str(facts.pop("blake3"))) == 64
    assert facts == {
        "kind": "command",
        "exit_code": 0,
        "bytes": 10,
        "stderr": ["all well"],
        "stderr_bytes": 9,
    }


def test_a_large_stream_comes_in_bounded_blocks() -> None:
    with closing(shell("head -c 20000000 /dev/zero")) as source:
        (entry,) = source.entries()
        sizes = [len(block) for block in source.read(entry)]
    assert sum(sizes) == 20_000_000
    assert max(sizes) <= BLOCK_BYTES


def test_nothing_is_an_empty_stream() -> None:
    assert read_all(shell("exit 0")) == b""


def test_arguments_reach_it_as_they_are_without_a_shell() -> None:
    arguments = ("printf", r"%s\n", "$HOME", "a b", "*", "é", "", "`id`")
    found = read_all(CommandSource(arguments, SystemClock()))
    assert found.decode() == "$HOME\na b\n*\né\n\n`id`\n"


def test_its_environment_is_short_and_ours_is_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRONGROOM_CANARY", "secret")
    found = dict(
        line.split("=", 1)
        for line in read_all(CommandSource(("env",), SystemClock())).decode().splitlines()
    )
    assert sorted(found) == ["HOME", "LANG", "PATH"]
    assert found["LANG"] == "C.UTF-8"


def test_it_has_no_stdin_no_other_handle_and_the_root_as_its_folder() -> None:
    assert read_all(shell("cat; pwd")) == b"/\n"
    listing = read_all(CommandSource(("ls", "/proc/self/fd"), SystemClock())).split()
    # The fourth is that of the listing itself.
    assert listing == [b"0", b"1", b"2", b"3"]


def test_it_has_a_group_of_its_own() -> None:
    group = int(read_all(shell("cut -d' ' -f5 /proc/$$/stat; sleep 0")))
    assert group != os.getpgrp()


@pytest.mark.parametrize(
    ("script", "what", "why"),
    [
        ("echo half; echo no such table >&2; exit 2", "ended with exit code 2", "no such table"),
        ("echo half; exit 1", "ended with exit code 1", "it said nothing on stderr"),
        ("echo half; kill -9 $$", "was killed by SIGKILL", "it said nothing"),
        ("kill -35 $$", "was killed by signal 35", "it said nothing"),
        ("for n in 1 2 3 4 5; do echo $n >&2; done; exit 9", "exit code 9", "3 / 4 / 5"),
        (r"printf 'a\033[31mb\n' >&2; exit 9", "exit code 9", r"a\\x1b\[31mb"),
    ],
)
def test_a_command_that_fails_is_an_error_with_code_and_last_words(
    script: str, what: str, why: str
) -> None:
    with pytest.raises(CommandFailed, match=f"sh .*{what}.*{why}"):
        read_all(shell(script))


def test_one_that_closes_its_output_and_hangs_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(CommandFailed, match="goes on: it did not end within 0 seconds"):
        read_all(shell('echo $$ > "$1"; exec >&-; sleep 600', str(pid), limit=0.2))
    assert not is_running(wait_for_pid(pid))


def test_one_that_leaves_its_output_open_behind_it_is_an_error(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(CommandFailed, match="its output stays open"):
        read_all(shell('echo half; sleep 600 & echo $! > "$1"', str(pid), limit=0.2))
    wait_until_gone(wait_for_pid(pid))


def test_much_on_stderr_blocks_nothing_and_only_its_end_is_kept() -> None:
    source = shell("yes noise | head -c 30000000 >&2; echo ok; echo last >&2")
    assert read_all(source) == b"ok\n"
    facts = source.facts()
    assert facts["stderr_bytes"] == 30_000_005
    kept = facts["stderr"]
    assert isinstance(kept, list)
    assert kept[-1] == "last"
    assert len(kept) == STDERR_LINES_MAX
    assert sum(map(len, kept)) <= STDERR_BYTES_MAX


def test_a_missing_program_is_named() -> None:
    with pytest.raises(ProgramMissing, match="there is no program no-such-program"):
        CommandSource(("no-such-program",), SystemClock())
    with pytest.raises(ProgramMissing, match="/no/such cannot be run: No such file"):
        CommandSource(("/no/such",), SystemClock())


def test_a_file_that_is_not_executable_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "dump"
    script.write_text("#!/bin/sh\n", encoding="ascii")
    with pytest.raises(ProgramMissing, match="it may not be executed"):
        CommandSource((str(script),), SystemClock())
    with pytest.raises(ProgramMissing, match="it may not be executed"):
        CommandSource((str(tmp_path),), SystemClock())


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "dump"
    script.write_text("#!/no/such/interpreter\n", encoding="ascii")
    script.chmod(0o700)
    with pytest.raises(CommandFailed, match="dump cannot be started: No such file"):
        read_all(CommandSource((str(script),), SystemClock()))


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[tuple[CommandSource, Path]]:
    pid = tmp_path / "pid"
    source = shell('echo $$ > "$1"; yes', str(pid))
    yield source, pid
    source.close()


def test_closing_ends_the_command(endless: tuple[CommandSource, Path]) -> None:
    source, pid = endless
    blocks = source.read(Entry(b"", "file"))
    assert next(blocks)
    source.close()
    source.close()
    assert not is_running(wait_for_pid(pid))


def test_an_abandoned_read_ends_the_command(endless: tuple[CommandSource, Path]) -> None:
    source, pid = endless
    blocks = source.read(Entry(b"", "file"))
    assert next(blocks)
    del blocks
    assert not is_running(wait_for_pid(pid))


def test_one_that_ignores_the_asking_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    source = shell("trap '' TERM; echo $$ > \"$1\"; yes", str(pid), grace=0.1)
    assert next(source.read(Entry(b"", "file")))
    source.close()
    assert not is_running(wait_for_pid(pid))


def test_it_may_tidy_up_when_it_is_ended(tmp_path: Path) -> None:
    pid, tidied = tmp_path / "pid", tmp_path / "tidied"
    script = 'trap \'touch "$2"; exit\' TERM; echo $$ > "$1"; while :; do echo x; done'
    source = shell(script, str(pid), str(tidied))
    blocks = source.read(Entry(b"", "file"))
    assert next(blocks)
    source.close()
    assert tidied.exists()


_ALONE = """
import sys
from strongroom.adapters.sources.command import CommandSource
from strongroom.clock import SystemClock
from strongroom.vault import Entry
arguments = ("sh", "-c", "echo $$ > '" + sys.argv[1] + "'; " + sys.argv[2])
source = CommandSource(arguments, SystemClock())
for _ in source.read(Entry(b"", "file")):
    pass
"""


@pytest.mark.parametrize("script", ["yes", "exec sleep 600", "sleep 600 & wait"])
def test_killing_strongroom_leaves_no_command_running(tmp_path: Path, script: str) -> None:
    pid = tmp_path / "pid"
    alone = subprocess.Popen(
        [sys.executable, "-c", _ALONE, str(pid), script],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    command = wait_for_pid(pid)
    assert is_running(command)
    alone.kill()
    alone.wait()
    wait_until_gone(command)


def test_killing_the_keeper_is_an_error_and_ends_the_command(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    running = RunningCommand(("sh", "-c", f"echo $$ > {pid}; sleep 600"), SystemClock(), Patience())
    command = wait_for_pid(pid)
    keeper = int(Path(f"/proc/{command}/stat").read_text("ascii").rpartition(")")[2].split()[1])
    assert command_keeper.__file__.encode() in Path(f"/proc/{keeper}/cmdline").read_bytes()
    os.kill(keeper, 9)
    with pytest.raises(CommandFailed, match="the process that kept it was killed"):
        running.read()
    running.close()
    wait_until_gone(command)
