"""A command from `client add` to `restore`: nothing of its stream is anywhere in clear."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.sources.test_command import wait_for_pid, wait_until_gone
from tests.journeys.world import files_below
from tests.support.transcript import Done, at_home, strongroom

LINES = 50_000


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with at_home(tmp_path):
        run("init", "--location", str(tmp_path / "one"), "--location", str(tmp_path / "two"))
        settings = tmp_path / "home" / "strongroom.toml"
        written = settings.read_text(encoding="utf-8")
        spool = f'spool = "{tmp_path}/spool"'
        settings.write_text(written.replace('spool = ""', spool), encoding="utf-8")
        yield tmp_path


def run(*arguments: str, code: int = 0) -> Done:
    done = strongroom(*arguments)
    assert done.code == code, (arguments, done.err)
    return done


def holding(marker: str, folder: Path) -> list[Path]:
    return [path for path in files_below(folder) if marker.encode() in path.read_bytes()]


def test_canary_of_a_stream_and_its_stderr_is_nowhere(folder: Path) -> None:
    marker = secrets.token_hex(16)
    live = folder / "live"
    live.write_text(f"{marker}\n" * LINES, encoding="ascii")
    fine = f'fine=command:["sh","-c","cat {live}; head -n 1 {live} >&2"]'
    bad = f'bad=command:["sh","-c","cat {live}; head -n 1 {live} >&2; exit 7"]'
    run("client", "add", "acme", "--source", fine, "--source", bad)
    # A person sees the last words; they are written nowhere.
    assert f"exit code 7: {marker}" in run("backup", "acme", code=3).err
    taken = folder / "taken"
    to = f'command:["sh","-c","cat > {taken}"]'
    run("restore", "acme", "--source", "fine", "--to", to)
    assert taken.read_bytes() == live.read_bytes()
    assert sorted(holding(marker, folder)) == [live, taken]


def test_killing_a_backup_ends_its_command_and_the_next_one_is_whole(folder: Path) -> None:
    pid = folder / "pid"
    script = f"seq 1 {LINES}; test -e {folder}/go || exec sleep 600"
    source = f'slow=command:["sh","-c","echo $$ > {pid}; {script}"]'
    run("client", "add", "acme", "--source", source)
    backup = subprocess.Popen(
        [sys.executable, "-m", "strongroom", "backup", "acme", "--quiet"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    command = wait_for_pid(pid)
    backup.send_signal(signal.SIGKILL)
    backup.wait()
    wait_until_gone(command)
    (folder / "go").touch()
    run("backup", "acme")
    run("restore", "acme", "--to", str(folder / "back"))
    restored = (folder / "back" / "slow").read_text("ascii")
    assert restored.split() == [str(number) for number in range(1, LINES + 1)]


def test_an_interrupted_backup_ends_its_command(folder: Path) -> None:
    pid = folder / "pid"
    run("client", "add", "acme", "--source", f'x=command:["sh","-c","echo $$ > {pid}; yes"]')
    backup = subprocess.Popen(
        [sys.executable, "-m", "strongroom", "backup", "acme"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    command = wait_for_pid(pid)
    backup.send_signal(signal.SIGINT)
    _, said = backup.communicate()
    assert backup.returncode == 130, said
    assert "what was kept before is sound" in said
    wait_until_gone(command)


def test_ctrl_c_ends_commands_that_say_nothing_in_a_backup_of_all(folder: Path) -> None:
    for number in (1, 2):
        source = f'x=command:["sh","-c","echo $$ > {folder}/pid-{number}; exec sleep 600"]'
        run("client", "add", f"acme-{number}", "--source", source)
    backup = subprocess.Popen(
        [sys.executable, "-m", "strongroom", "backup", "--all"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    command = wait_for_pid(folder / "pid-1")
    backup.send_signal(signal.SIGINT)
    _, said = backup.communicate(timeout=30)
    assert backup.returncode == 130, said
    wait_until_gone(command)
    assert not (folder / "pid-2").exists()
