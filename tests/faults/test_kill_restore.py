"""SIGKILL in the middle of a restore: nothing half-made has its final name, the next one works."""

import os
import shutil
import signal
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from strongroom.adapters.sources.partial import Destination, sweep_partial
from strongroom.operations.add_client import add_source
from tests.adapters.sources.trees import portrait, token
from tests.faults.test_kill import drive, spread
from tests.journeys.world import NORMAL, World, change_live_data, make_world

POINTS = 8
MANY_POINTS = 80
NOTE = b"one file of its own\n" * 5000


@dataclass(frozen=True, slots=True)
class Prepared:
    """A world with a good snapshot of a database, a tree and a file; an older restore of it."""

    world: World
    older: dict[str, object]
    newer: dict[str, object]
    moments: dict[bool, int]

    @property
    def to(self) -> Path:
        """The folder that is restored to; its only sight."""
        return self.world.root / "restored"

    @property
    def old(self) -> Path:
        """A copy of the older restore."""
        return self.world.root / "older"

    def put_older(self) -> None:
        """Put the older restore where the next one goes."""
        shutil.rmtree(self.to, ignore_errors=True)
        shutil.copytree(self.old, self.to, symlinks=True, copy_function=shutil.copy2)


def contents(place: Path) -> object:
    """Return what lies at a final name, as plain values."""
    if place.is_dir():
        return {path: (row[0], row[3]) for path, row in portrait(place).items()}
    if place.suffix == ".db":
        with closing(sqlite3.connect(f"file:{place}?immutable=1", uri=True)) as connection:
            return tuple(connection.iterdump())
    return place.read_bytes()


def all_contents(folder: Path) -> dict[str, object]:
    return {name: contents(folder / name) for name in ("data.db", "note", "tree")}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("killed-restore")
    world = make_world(folder / "world", clients=[NORMAL])
    note = world.root / "live" / "note"
    note.write_bytes(NOTE)
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        add_source(deployment, client, "note", "file", f"file://{note}")
    found = Prepared(world, {}, {}, {})
    assert world.back_up().problems == []
    assert world.command("restore", NORMAL, "--to", str(found.old)).returncode == 0
    change_live_data(world, 1)
    note.write_bytes(NOTE[::-1])
    assert world.back_up().problems == []
    for overwrite in (False, True):
        if overwrite:
            found.put_older()
        count = folder / "count"
        done = drive(world, *command(found, overwrite), count_to=str(count))
        assert done.returncode == 0, done.stderr
        found.moments[overwrite] = int(count.read_text("ascii"))
        found.newer.update(all_contents(found.to))
        shutil.rmtree(found.to)
    found.older.update(all_contents(found.old))
    assert found.older != found.newer
    return found


def command(prepared: Prepared, overwrite: bool) -> list[str]:
    return [
        "restore",
        NORMAL,
        "--to",
        str(prepared.to),
        *(["--overwrite"] if overwrite else []),
    ]


@pytest.mark.parametrize("point", range(POINTS))
def test_killed_at_points_of_a_restore(prepared: Prepared, point: int) -> None:
    kill_new(prepared, spread(point, POINTS, prepared.moments[False]))


@pytest.mark.parametrize("point", range(POINTS))
def test_killed_at_points_of_a_restore_that_replaces(prepared: Prepared, point: int) -> None:
    kill_replacing(prepared, spread(point, POINTS, prepared.moments[True]))


@pytest.mark.long
@pytest.mark.parametrize("point", range(MANY_POINTS))
def test_killed_at_many_points_of_a_restore(prepared: Prepared, point: int) -> None:
    kill = kill_replacing if point % 2 else kill_new
    kill(prepared, spread(point, MANY_POINTS, prepared.moments[bool(point % 2)]))


def kill_new(prepared: Prepared, moment: int) -> None:
    shutil.rmtree(prepared.to, ignore_errors=True)
    killed = drive(prepared.world, *command(prepared, False), kill_at=moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    finished = [name for name in prepared.newer if (prepared.to / name).exists()]
    for name in finished:
        assert contents(prepared.to / name) == prepared.newer[name]
    done = prepared.world.command(*command(prepared, False))
    if finished:
        # What is whole is not replaced unasked, and it is named; what was half-made is gone.
        assert done.returncode == 4
        assert sorted(os.listdir(prepared.to)) == sorted(finished)
        assert repr(finished[0]) in done.stderr
        done = prepared.world.command(*command(prepared, True))
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(prepared.to)) == sorted(prepared.newer)
    assert all_contents(prepared.to) == prepared.newer


def kill_replacing(prepared: Prepared, moment: int) -> None:
    prepared.put_older()
    killed = drive(prepared.world, *command(prepared, True), kill_at=moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    for name in prepared.newer:
        place = prepared.to / name
        if place.exists():
            assert contents(place) in (prepared.older[name], prepared.newer[name])
        else:
            # Between the two names: the old one is whole, only aside.
            (aside,) = prepared.to.glob(f"{name}.replaced-*")
            assert contents_of_aside(aside, name) == prepared.older[name]
    done = prepared.world.command(*command(prepared, True))
    assert done.returncode == 0, done.stderr
    assert all_contents(prepared.to) == prepared.newer
    # Nothing that was somebody's is removed unasked; what is left is named.
    left = set(os.listdir(prepared.to)) - set(prepared.newer)
    assert all(".replaced-" in name for name in left)
    assert all(f"{prepared.to / name} is what a restore" in done.stderr for name in left)


def contents_of_aside(aside: Path, name: str) -> object:
    """Return what was put aside as if it still had its name."""
    named = aside.rename(aside.with_name("looked-at" + Path(name).suffix))
    try:
        return contents(named)
    finally:
        named.rename(aside)


def test_killed_while_a_table_is_taken_out(prepared: Prepared) -> None:
    shutil.rmtree(prepared.to, ignore_errors=True)
    only = ["restore", NORMAL, "--only", "data.db/person", "--to", str(prepared.to)]
    killed = drive(prepared.world, *only, kill_after_sql="VACUUM INTO")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (taken_out,) = prepared.to.glob("*-tables")
    assert taken_out.stat().st_size
    assert stat.S_IMODE(taken_out.stat().st_mode) == 0o600
    taken_out.with_name(taken_out.name + "-journal").write_bytes(b"half")
    done = prepared.world.command(*only)
    assert done.returncode == 0, done.stderr
    assert os.listdir(prepared.to) == ["data.db"]


def test_a_sweep_leaves_a_restore_alone_that_is_at_work(tmp_path: Path) -> None:
    place = tmp_path / "data.db"
    living = Destination(place, token, overwrite=False)
    partial = Path(os.fsdecode(living.partial))
    partial.write_bytes(b"half")
    living.hold()
    beside = partial.with_name(partial.name + "-journal")
    beside.write_bytes(b"half")
    dead = tmp_path / "data.db.partial-0123456789abcdef"
    dead.write_bytes(b"half")
    dead.with_name(dead.name + "-journal").write_bytes(b"half")
    aside = tmp_path / "data.db.replaced-0123456789abcdef"
    others = [
        aside,
        tmp_path / "data.db.partial-mine",
        tmp_path / "other.db.partial-0123456789abcdef",
    ]
    for other in others:
        other.write_bytes(b"somebody's")
    assert sweep_partial(place) == [aside]
    assert {*tmp_path.iterdir()} == {partial, beside, *others}
    # A file that takes the partial name is held from its making on.
    os.close(living.make_file(b"-tables"))
    partial.with_name(partial.name + "-tables").rename(partial)
    assert sweep_partial(place) == [aside]
    assert {*tmp_path.iterdir()} == {partial, beside, *others}
    living.abandon()
    assert sweep_partial(place) == [aside]
    assert {*tmp_path.iterdir()} == {*others}
