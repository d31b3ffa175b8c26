"""A backup tells what it kept in part: changed files, attributes, sockets, pipes and devices."""

import os
import stat
import threading

import pytest

from strongroom.operations.back_up import NAMES_SHOWN, warnings_of
from tests.journeys.world import NORMAL, World, fresh_copy, keep_template, make_world


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_world(tmp_path_factory.mktemp("install") / "world")
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


def test_names_are_told_up_to_a_limit_and_the_rest_is_counted() -> None:
    names = [f"f{number:02}" for number in range(NAMES_SHOWN)]
    told = warnings_of(
        {
            "changed_while_read": NAMES_SHOWN + 5,
            "changed_names": names,
            "attributes_unread": 1,
            "attributes_unread_names": ["g"],
            "special": 3,
            "left_out_names": ["home"],
        }
    )
    assert told == [
        "home is Strongroom's own and was left out",
        *(f"{name} changed while it was read; kept as it was read" for name in names),
        "5 more changed while they were read; kept as they were read",
        "g is kept without some of its attributes",
        "3 sockets, pipes and devices are named in the snapshot and not kept",
    ]


def test_a_source_that_tells_nothing_is_no_news() -> None:
    assert warnings_of({}) == []
    assert warnings_of({"changed_while_read": 0, "special": 0, "left_out_names": []}) == []
    # One file as a source has no name of its own.
    assert warnings_of({"changed_while_read": 1, "changed_names": [""]}) == [
        "it changed while it was read; kept as it was read"
    ]


def test_a_file_that_changes_while_it_is_read_is_named(world: World) -> None:
    busy = world.tree / "busy.log"
    busy.write_bytes(os.urandom(8 << 20))
    done = threading.Event()

    def write() -> None:
        with busy.open("ab") as log:
            while not done.wait(0.0005):
                log.write(b"line\n")
                log.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        report = world.back_up()
    finally:
        done.set()
        writer.join()
    assert report.problems == []
    assert "source tree: busy.log changed while it was read; kept as it was read" in report.warnings
    assert {one.name: one.changed_while_read for one in report.sources}["tree"] == 1
    # What was kept of it is a state that it had, and comes back.
    world.command("restore", NORMAL, "--to", str(world.root / "out"))
    kept = (world.root / "out" / "tree" / "busy.log").read_bytes()
    assert len(kept) >= 8 << 20
    assert busy.read_bytes().startswith(kept)


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_sockets_pipes_and_devices_are_counted_and_not_kept(world: World, kind: str) -> None:
    before = {one.name: one.special for one in world.back_up().sources}["tree"]
    thing = world.tree / "thing"
    if kind == "pipe":
        os.mkfifo(thing)
    elif kind == "socket":
        # By mknod, as a path may be longer than a socket's address.
        os.mknod(thing, stat.S_IFSOCK | 0o600)
    else:
        try:
            os.mknod(thing, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices")
    report = world.back_up()
    assert report.problems == []
    assert {one.name: one.special for one in report.sources}["tree"] == before + 1
    assert any("named in the snapshot and not kept" in one for one in report.warnings)
    back = world.command("restore", NORMAL, "--to", str(world.root / "out"))
    assert back.returncode == 0
    assert "devices, pipes and sockets are not kept" in back.stderr
    assert not os.path.lexists(world.root / "out" / "tree" / "thing")
    assert os.path.lexists(thing)
