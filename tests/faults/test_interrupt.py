"""Ctrl-C in the middle of a backup: it says so, leaves with 130, and the vault is sound."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.operations.check_vault import CheckRequest, check_vault
from tests.faults.test_kill import drive
from tests.journeys.world import (
    NORMAL,
    World,
    change_live_data,
    files_below,
    fresh_copy,
    keep_template,
    make_world,
    silent,
)

LARGE_BYTES = 120_000_000
WAIT_SECONDS = 60


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One good snapshot, and changes that are not backed up yet."""
    world = make_world(tmp_path_factory.mktemp("interrupted") / "world", clients=[NORMAL])
    assert world.back_up().problems == []
    change_live_data(world, 1)
    keep_template(world)
    return world


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


def assert_sound(world: World) -> None:
    """Nothing is lost, the next backup is good, nothing is left behind."""
    report = world.back_up()
    assert (report.state, report.problems) == ("good", [])
    assert world.restore() == world.state()
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        assert check_vault(deployment, client, CheckRequest(read=True), silent).problems == []
    assert files_below(world.spool, *(place / "tmp" for place in world.locations.values())) == []


@pytest.mark.parametrize("moment", [1, 40, 90, 140, 190, 240])
def test_interrupted_at_a_storage_call(world: World, moment: int) -> None:
    done = drive(world, "backup", NORMAL, kill_at=moment, signal=int(signal.SIGINT))
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    # It ended by itself, so it cleaned up by itself.
    assert files_below(world.spool, *(place / "tmp" for place in world.locations.values())) == []
    assert_sound(world)


@pytest.mark.parametrize("moment", [30, 90, 150])
def test_interrupted_while_clients_are_side_by_side(tmp_path: Path, moment: int) -> None:
    world = make_world(tmp_path / "world")
    done = drive(world, "backup", "--all", kill_at=moment, signal=int(signal.SIGINT))
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    scratch = [place / "tmp" for place in world.locations.values()]
    assert files_below(world.spool, *scratch) == []
    assert_sound(world)


def test_interrupted_from_the_keyboard(world: World) -> None:
    """The whole foreground group gets the signal while packs are on their way."""
    large = world.tree / "large"
    with large.open("wb") as file:
        for _ in range(LARGE_BYTES // 1_000_000):
            file.write(os.urandom(1_000_000))
    packs = [path for place in world.locations.values() for path in place.glob("*/vaults/*/packs")]
    before = len(files_below(*packs))
    process = subprocess.Popen(
        [sys.executable, "-m", "strongroom", "--home", str(world.home), "backup", NORMAL],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=world.environment(),
        start_new_session=True,
    )
    deadline = time.monotonic() + WAIT_SECONDS
    while len(files_below(*packs)) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "interrupted: what was kept before is sound" in stderr
    large.unlink()
    assert_sound(world)


def test_interrupted_restore_leaves_nothing_under_the_final_name(world: World) -> None:
    to = world.root / "restored"
    done = drive(world, "restore", NORMAL, "--to", str(to), kill_at=60, signal=int(signal.SIGINT))
    assert done.returncode == 130, done.stderr
    partial = [path for path in Path(to).rglob("*") if ".partial-" in path.name]
    assert partial == []
    # What has its final name is whole; the rest is not there.
    database = to / "data.db"
    if database.exists():
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not (to / "tree").exists() or files_below(to / "tree")


@pytest.mark.parametrize("module", ["cyclopts", "strongroom.cli.status", "strongroom.app"])
def test_interrupted_while_the_program_loads(tmp_path: Path, module: str) -> None:
    """Whatever is loading when Ctrl-C comes, nobody is shown a traceback."""
    script = f"""
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["strongroom", "--home", {str(tmp_path)!r}, "status"]
runpy.run_module("strongroom", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in {-signal.SIGINT, 130}, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_interrupted_while_a_class_is_made(tmp_path: Path) -> None:
    """Python 3.11 makes another error of a Ctrl-C that comes just then."""
    script = f"""
import runpy, signal, sys

class Field:
    def __set_name__(self, owner, name):
        raise KeyboardInterrupt

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "strongroom.cli.status":
            class Made:
                field = Field()

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["strongroom", "--home", {str(tmp_path)!r}, "status"]
runpy.run_module("strongroom", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
