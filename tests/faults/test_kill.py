"""SIGKILL in the middle of a backup: nothing good is lost, the next one works, nothing is left."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from strongroom.crypto.envelope import decode_envelope
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.deployment import Deployment
from strongroom.operations.tell_status import tell_status
from strongroom.quorum import SnapshotHeader
from strongroom.vault.codec import Zstandard
from strongroom.vault.index_object import decode_index
from strongroom.vault.place import VaultPlace
from tests.journeys.world import (
    HIGH,
    NORMAL,
    LiveState,
    World,
    change_live_data,
    files_below,
    fresh_copy,
    keep_template,
    make_world,
    silent,
)

POINTS = 20
MANY_POINTS = 200
SPOOL_ABOVE = 4096


@dataclass(frozen=True, slots=True)
class Prepared:
    """A world with two good snapshots of each client and changes that are not backed up yet."""

    world: World
    states: tuple[LiveState, LiveState]
    moments: dict[str, int]
    home_files: dict[str, set[str]]


def drive(
    world: World, *arguments: str, typed: str | None = None, **plan: Any
) -> "subprocess.CompletedProcess[str]":
    """Run the command line under the driver's plan; what is typed goes to its stdin."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.faults.driver",
            json.dumps({"kill_at": 0, "memory_max": SPOOL_ABOVE, **plan}),
            "--home",
            str(world.home),
            *arguments,
        ],
        input=typed,
        capture_output=True,
        text=True,
        env=world.environment(),
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("killed")
    world = make_world(folder / "world")
    states = []
    for number in (0, 1):
        if number:
            change_live_data(world, number)
        for client in (NORMAL, HIGH):
            assert world.back_up(client).problems == []
        states.append(world.state())
    change_live_data(world, 2)
    keep_template(world)
    moments: dict[str, int] = {}
    home_files: dict[str, set[str]] = {}
    for client in (NORMAL, HIGH):
        fresh_copy(world)
        count = folder / "count"
        done = drive(world, "backup", client, count_to=str(count))
        assert done.returncode == 0, done.stderr
        moments[client] = int(count.read_text("ascii"))
        home_files[client] = names_below(world.home)
        # Spooled once, and never to be seen again.
        assert files_below(world.spool) == []
    return Prepared(world, (states[0], states[1]), moments, home_files)


def names_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in files_below(folder)}


@pytest.mark.parametrize("point", range(POINTS))
def test_killed_at_twenty_points_of_a_backup(prepared: Prepared, point: int) -> None:
    kill_and_look(prepared, NORMAL, spread(point, POINTS, prepared.moments[NORMAL]))


@pytest.mark.parametrize("point", range(8))
def test_killed_at_points_of_a_backup_of_class_high(prepared: Prepared, point: int) -> None:
    kill_and_look(prepared, HIGH, spread(point, 8, prepared.moments[HIGH]))


@pytest.mark.long
@pytest.mark.parametrize("point", range(MANY_POINTS))
def test_killed_at_many_points(prepared: Prepared, point: int) -> None:
    client = (NORMAL, HIGH)[point % 2]
    kill_and_look(prepared, client, spread(point, MANY_POINTS, prepared.moments[client]))


def spread(point: int, points: int, moments: int) -> int:
    """Return a moment for each point, the first and the last moment included."""
    assert moments > points
    return 1 + round(point * (moments - 1) / (points - 1))


def kill_and_look(prepared: Prepared, client: str, moment: int) -> None:
    world = fresh_copy(prepared.world)
    killed = drive(world, "backup", client, kill_at=moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    # Whatever is left in the spool has been given no content yet.
    assert all(path.stat().st_size == 0 for path in files_below(world.spool))

    with world.open() as deployment:
        status = {one.name: one for one in tell_status(deployment).clients}
        assert status[client].good >= 2
        # Killed between the record and the receipts, a snapshot is pending, and that is said.
        assert status[client].pending <= 1
        ids = history_of(deployment, client)
    earlier = [one for one in ids if one[0] <= 2]
    assert len(earlier) == 2
    for (_, snapshot, state), wanted in zip(earlier, prepared.states, strict=True):
        assert state == "good"
        assert world.restore(client, snapshot) == wanted

    report = world.back_up(client)
    assert (report.state, report.problems) == ("good", [])
    assert report.receipts == 3
    assert world.restore(client) == world.state()

    assert names_below(world.home) == prepared.home_files[client]
    assert files_below(world.spool) == []
    for place in world.locations.values():
        assert list((place / "tmp").iterdir()) == []
    assert {path.read_bytes() for path in (world.home / "run").iterdir()} == {b""}
    assert_every_object_is_named_or_an_orphan(world, client)


def history_of(deployment: Deployment, client: str) -> list[tuple[int, str, str]]:
    found = deployment.registry.client(client)
    with deployment.tools.history(found.id) as history:
        return [(one.sequence, one.hash, one.state) for one in history.snapshots()]


def assert_every_object_is_named_or_an_orphan(world: World, client: str) -> None:
    """Follow the signed headers, without the package's own check, and compare with what it says."""
    with world.open() as deployment:
        found = deployment.registry.client(client)
        outcome = check_vault(deployment, found, CheckRequest(read=True, read_data=True), silent)
        named = named_objects(deployment, client)
        ids = history_of(deployment, client)
    assert outcome.problems == []
    assert [sequence for sequence, _, _ in ids] == list(range(1, len(ids) + 1))
    assert {state for _, _, state in ids} == {"good"}
    present: set[str] = set()
    for name in world.locations:
        folder = world.vault_folder(name, client)
        at_location = names_below(folder)
        assert named <= at_location
        present |= at_location
    assert len(present - named) == outcome.orphans


def named_objects(deployment: Deployment, client: str) -> set[str]:
    """Return every object of a vault that is named by its config, its chain, or an index object."""
    found = deployment.registry.client(client)
    keys = deployment.worker_keys(found)
    root = f"{deployment.install}/vaults/{found.vault}"
    place = VaultPlace(deployment.install, found.id, found.vault, found.vault_class)
    location = deployment.copies.locations["loc1"]
    named = {f"config/{keys.writer_id}-{0:08d}"}
    previous = "0" * 64
    for sequence, digest, _ in history_of(deployment, client):
        record = f"snapshots/{keys.writer_id}/{sequence:08d}"
        statement = decode_envelope(location.get(f"{root}/{record}"), record).statement
        header = SnapshotHeader.parse(statement, keys.writer_public)
        assert (header.previous, statement.hash.hex()) == (previous, digest)
        previous = digest
        named |= {record, f"index/{header.index}"}
        named |= {f"keys/{session}" for session, _ in header.fresh}
        named |= {
            f"receipts/{keys.writer_id}/{sequence:08d}/{member.id}"
            for member in deployment.roster.members
        }
        data = location.get(f"{root}/index/{header.index}")
        _, packs = decode_index(
            data, place, keys.structure, keys.writer_public, sequence, Zstandard()
        )
        named |= {f"packs/{pack.id[:2]}/{pack.id}" for pack in packs}
    return named


def test_the_driver_kills_and_counts(prepared: Prepared) -> None:
    """The tests above would prove nothing if the moments were few or never reached."""
    assert min(prepared.moments.values()) > 200
    world = fresh_copy(prepared.world)
    assert drive(world, "status", kill_at=10**6).returncode == 0


def test_a_second_backup_after_a_kill_needs_no_lock_removed(prepared: Prepared) -> None:
    world = fresh_copy(prepared.world)
    moment = prepared.moments[NORMAL] // 2
    assert drive(world, "backup", NORMAL, kill_at=moment).returncode == -signal.SIGKILL
    (lock,) = [path for path in (world.home / "run").iterdir() if path.stat().st_size]
    assert str(os.getpid()) not in lock.read_text("utf-8")
    done = world.command("backup", NORMAL)
    assert done.returncode == 0, done.stderr
    assert lock.read_bytes() == b""
