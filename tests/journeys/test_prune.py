"""Sixty days at three locations, then a deletion: what stays comes back, by every way back."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.errors import Stale
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.prune import PruneOutcome, PruneRequest, prune
from tests.journeys.world import (
    HIGH,
    NORMAL,
    ROOT,
    LiveState,
    World,
    change_live_data,
    files_below,
    look_at,
    make_world,
    refused,
    silent,
)
from tests.support.stepping_clock import SteppingClock

DAYS = 60


@dataclass(frozen=True, slots=True)
class Sixty:
    """An install after sixty days and a finished deletion, and what was kept each day."""

    world: World
    clock: SteppingClock
    states: dict[str, LiveState]
    kept: tuple[str, ...]
    planned: PruneOutcome
    done: PruneOutcome


def ids_of(world: World, client: str) -> tuple[str, ...]:
    with world.open() as deployment:
        found = deployment.registry.client(client)
        with deployment.tools.history(found.id) as history:
            return tuple(one.hash for one in history.snapshots())


def run(world: World, client: str) -> PruneOutcome:
    with world.open() as deployment:
        return prune(deployment, deployment.registry.client(client), PruneRequest())


@pytest.fixture(scope="module", params=[NORMAL, pytest.param(HIGH, marks=pytest.mark.long)])
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sixty:
    client = str(request.param)
    days = DAYS if client == NORMAL else 20
    clock = SteppingClock()
    made = make_world(tmp_path_factory.mktemp("sixty") / "world", clients=(client,))
    world = World(made.root, made.kits, App(clock=clock))
    states: dict[str, LiveState] = {}
    for day in range(days):
        change_live_data(world, day)
        report = world.back_up(client)
        assert report.problems == []
        states[report.snapshot] = world.state()
        clock.step(days=1)
    planned = run(world, client)
    assert (planned.state, planned.problems) == ("planned", [])
    clock.step(hours=73)
    report = world.back_up(client)
    states[report.snapshot] = world.state()
    done = run(world, client)
    assert done.problems == []
    kept = ids_of(world, client)
    # Keep a copy of all of it; the tests below lose and spoil what they like.
    shutil.copytree(world.root, world.root.with_name("kept"), symlinks=True)
    return Sixty(world, clock, states, kept, planned, done)


@pytest.fixture
def sixty(template: Sixty) -> Sixty:
    shutil.rmtree(template.world.root)
    shutil.copytree(template.world.root.with_name("kept"), template.world.root, symlinks=True)
    return template


def client_of(sixty: Sixty) -> str:
    with sixty.world.open() as deployment:
        return deployment.registry.clients()[0].name


def test_what_stays_comes_back_and_the_rest_is_gone(sixty: Sixty) -> None:
    client = client_of(sixty)
    assert len(sixty.kept) == len(sixty.states) - sixty.planned.goes_snapshots
    assert sixty.done.deleted_objects == 3 * sixty.planned.goes_objects
    assert sixty.done.deleted_bytes == 3 * sixty.planned.goes_bytes
    for snapshot in sixty.kept:
        assert sixty.world.restore(client, snapshot) == sixty.states[snapshot]
    for location in sixty.world.locations:
        folder = sixty.world.vault_folder(location, client)
        assert len(files_below(folder / "snapshots")) == len(sixty.kept)
    with sixty.world.open() as deployment:
        found = deployment.registry.client(client)
        outcome = check_vault(deployment, found, CheckRequest(read=True), silent)
    assert (outcome.problems, outcome.orphans) == ([], 0)


def test_two_kits_recover_all_that_stays_and_go_on(sixty: Sixty) -> None:
    client = client_of(sixty)
    sixty.world.lose_home()
    (recovered,), damaged = sixty.world.recover(sixty.world.kits[1:])
    assert (recovered.snapshots, recovered.pending, damaged) == (len(sixty.kept), 0, [])
    assert ids_of(sixty.world, client) == sixty.kept
    for snapshot in sixty.kept:
        assert sixty.world.restore(client, snapshot) == sixty.states[snapshot]
    report = sixty.world.back_up(client)
    assert (report.state, report.problems) == ("good", [])
    with sixty.world.open() as deployment:
        found = deployment.registry.client(client)
        assert check_vault(deployment, found, CheckRequest(read=True), silent).problems == []
    sixty.clock.step(days=40)
    sixty.world.back_up(client)
    assert run(sixty.world, client).state == "planned"
    sixty.clock.step(hours=73)
    assert run(sixty.world, client).problems == []
    assert sixty.world.restore(client) == sixty.world.state()


def test_the_rescue_file_reads_what_stays(sixty: Sixty) -> None:
    client = client_of(sixty)
    kits = sixty.world.root / "kits"
    kits.write_text("\n".join(sixty.world.kits[:2]), encoding="utf-8")
    to = sixty.world.root / "rescued"
    places = [part for path in sixty.world.locations.values() for part in ("--location", str(path))]
    script = str(ROOT / "rescue" / "strongroom_rescue.py")
    for snapshot in (sixty.kept[0], sixty.kept[-1]):
        done = subprocess.run(
            [
                *(sys.executable, "-I", "-B", script, *places, "--kits", str(kits)),
                *("restore", client, snapshot, "--to", str(to)),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={},
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert look_at(to / "data.db", to / "tree") == sixty.states[snapshot]
        shutil.rmtree(to)


def test_a_hole_that_no_tombstone_explains_is_still_a_rollback(sixty: Sixty) -> None:
    client = client_of(sixty)
    for location in sixty.world.locations:
        folder = sixty.world.vault_folder(location, client)
        records = files_below(folder / "snapshots")
        records[len(records) // 2].unlink()
    sixty.world.lose_home()
    error = refused(lambda: sixty.world.recover(sixty.world.kits[:2]))
    assert isinstance(error, Stale)
    assert "is at no location" in error.what


def test_without_its_tombstones_a_deletion_is_a_rollback(sixty: Sixty) -> None:
    client = client_of(sixty)
    for location in sixty.world.locations:
        shutil.rmtree(sixty.world.vault_folder(location, client) / "tombs")
    sixty.world.lose_home()
    assert isinstance(refused(lambda: sixty.world.recover(sixty.world.kits[:2])), Stale)


def test_a_tombstone_never_explains_that_the_newest_is_gone(sixty: Sixty) -> None:
    client = client_of(sixty)
    for location in sixty.world.locations:
        folder = sixty.world.vault_folder(location, client)
        files_below(folder / "snapshots")[-1].unlink()
    sixty.world.lose_home()
    error = refused(lambda: sixty.world.recover(sixty.world.kits[:2]))
    assert isinstance(error, Stale)
    assert "older state" in error.what


def test_shards_go_with_their_packs(tmp_path: Path) -> None:
    clock = SteppingClock()
    made = make_world(tmp_path / "world", clients=(NORMAL,), parity=1)
    world = World(made.root, made.kits, App(clock=clock))
    states: dict[str, LiveState] = {}
    for day in range(12):
        change_live_data(world, day)
        states[world.back_up().snapshot] = world.state()
        clock.step(days=1)
    before = {name: len(files_below(path)) for name, path in world.locations.items()}
    planned = run(world, NORMAL)
    assert planned.goes_snapshots > 0
    clock.step(hours=73)
    done = run(world, NORMAL)
    assert (done.problems, done.deleted_objects) == ([], 3 * planned.goes_objects)
    assert all(len(files_below(path)) < before[name] for name, path in world.locations.items())
    kept = ids_of(world, NORMAL)
    shutil.rmtree(world.locations["loc2"])
    for snapshot in (kept[0], kept[-1]):
        assert world.restore(NORMAL, snapshot) == states[snapshot]
