"""A fault at every call that a backup makes to its locations, before and after it took effect.

Whatever happens, no good snapshot is lost, the next backup is good and what it keeps is equal.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from strongroom.errors import StrongroomError
from strongroom.locations import Copies
from strongroom.operations.back_up import BackupReport, back_up
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import repair_client
from tests.journeys.world import (
    HIGH,
    NORMAL,
    LiveState,
    World,
    change_live_data,
    copy_aside,
    make_world,
    put_back,
    restored_state,
    silent,
)
from tests.support.memory_location import MemoryLocation
from tests.support.misbehaving_location import Fault, MisbehavingLocation, Plan, once

NAMES = ("loc1", "loc2", "loc3")
KEPT = "kept"
Objects = dict[str, dict[str, bytes]]


class MemoryFolder(MemoryLocation):
    """A location in memory under the URL of a folder that is not there."""

    @property
    def url(self) -> str:
        return f"file:///memory/{self.name}"


def honest(method: str, key: str, number: int) -> Fault | None:
    return None


@dataclass(frozen=True, slots=True)
class Bench:
    """A home with one good snapshot of each client, its locations in memory, and a change."""

    world: World
    objects: Objects
    before: LiveState
    now: LiveState
    calls: dict[str, dict[str, int]]

    def reset(self) -> dict[str, MemoryLocation]:
        """Put home and locations back as they were."""
        put_home_back(self.world, KEPT)
        found: dict[str, MemoryLocation] = {name: MemoryFolder(name) for name in NAMES}
        for name, location in found.items():
            location.objects.update(self.objects[name])
        return found

    @contextmanager
    def open(
        self, memories: dict[str, MemoryLocation], plans: dict[str, Plan]
    ) -> Iterator[tuple[Deployment, dict[str, MisbehavingLocation]]]:
        """Open the home on these locations, which misbehave by plan."""
        wrapped = {
            name: MisbehavingLocation(memory, plans.get(name, honest))
            for name, memory in memories.items()
        }
        with self.world.open() as deployment, Copies(wrapped) as copies:
            yield replace(deployment, copies=copies), wrapped


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    world = make_world(tmp_path_factory.mktemp("faults") / "world")
    for client in (NORMAL, HIGH):
        assert world.back_up(client).problems == []
    before = world.state()
    change_live_data(world, 1)
    copy_aside(world, KEPT)
    objects = {name: objects_at(world.locations[name]) for name in NAMES}
    made = Bench(world, objects, before, world.state(), {})
    for client in (NORMAL, HIGH):
        with made.open(made.reset(), {}) as (deployment, wrapped):
            assert run(deployment, client).state == "good"
            calls = [method for method, _ in wrapped["loc1"].calls]
            made.calls[client] = {method: calls.count(method) for method in set(calls)}
    return made


def put_home_back(world: World, name: str) -> None:
    """Put the home that `copy_aside` kept back, and the ledger that the folders had then.

    What is recorded goes to the folders also where everything else goes to a location in memory;
    a home that knows of less than they hold only reads.
    """
    put_back(world, name, world.home)
    for folder in world.locations.values():
        for kept in (world.root / name / folder.name).glob("*/ledger"):
            ledger = folder / kept.parent.name / kept.name
            shutil.rmtree(ledger)
            shutil.copytree(kept, ledger)


def objects_at(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.parent != root
    }


def run(deployment: Deployment, client: str) -> BackupReport:
    return back_up(deployment, deployment.registry.client(client), silent)


MORE = {"put": [Fault.FULL, Fault.READ_ONLY], "get": [Fault.FLIP], "list": [Fault.STALE]}


def faults(calls: dict[str, int], every: bool = False) -> list[tuple[str, int, Fault]]:
    """Return every call with a failure before and after it took effect, or every fault it has."""
    found = []
    for method, count in sorted(calls.items()):
        if method == "stat" and not every:
            continue  # Asked only whether something is to be put; the put is tried.
        kinds = [Fault.FAIL_BEFORE]
        kinds += [Fault.FAIL_AFTER] if method == "put" else []
        kinds += MORE.get(method, []) if every else []
        found += [(method, number, kind) for number in range(count) for kind in kinds]
    return found


def assert_next_backup_is_good(
    bench: Bench, memories: dict[str, MemoryLocation], client: str
) -> None:
    with bench.open(memories, {}) as (deployment, _):
        found = deployment.registry.client(client)
        with deployment.tools.history(found.id) as history:
            first = history.snapshots()[0]
        folder = bench.world.root / "restored"
        assert restored_state(deployment, client, folder, first.hash) == bench.before
        report = run(deployment, client)
        assert report.state == "good"
        # A location that failed once may lack a snapshot; that is said, and repair fills it.
        assert all("repair" in problem for problem in report.problems)
        assert restored_state(deployment, client, folder) == bench.now
        assert all(not filled.left_out for filled in repair_client(deployment, found).values())
        assert check_vault(deployment, found, CheckRequest(read=True), silent).problems == []


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_all_locations_fail_at_the_same_call(bench: Bench, client: str) -> None:
    fail_everywhere(bench, client, faults(bench.calls[client]))


@pytest.mark.long
@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_all_locations_have_every_fault_at_the_same_call(bench: Bench, client: str) -> None:
    fail_everywhere(bench, client, faults(bench.calls[client], every=True))


def fail_everywhere(bench: Bench, client: str, injected: list[tuple[str, int, Fault]]) -> None:
    outcomes = {"kept": 0, "refused": 0}
    hints: set[str] = set()
    for method, number, kind in injected:
        memories = bench.reset()
        plan = once(method, kind, number)
        with bench.open(memories, dict.fromkeys(NAMES, plan)) as (deployment, _):
            try:
                run(deployment, client)
            except StrongroomError as err:
                outcomes["refused"] += 1
                hints.add(err.hint)
            else:
                outcomes["kept"] += 1
        assert_next_backup_is_good(bench, memories, client)
    sys.stdout.write(f"{client}: one fault at all locations at once, each time: {outcomes}\n")
    assert outcomes["refused"] >= len(injected) / 4
    assert "" not in hints


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_one_location_fails_at_any_call(bench: Bench, client: str) -> None:
    injected = 0
    for method, number, kind in faults(bench.calls[client]):
        name = NAMES[number % 3]
        memories = bench.reset()
        with bench.open(memories, {name: once(method, kind, number)}) as (deployment, wrapped):
            report = run(deployment, client)
            assert report.state == "good"
            happened = len([one for one, _ in wrapped[name].calls if one == method]) > number
            if happened and kind in {Fault.FAIL_BEFORE, Fault.FAIL_AFTER}:
                assert any(name in problem for problem in report.problems)
            injected += happened
        assert_next_backup_is_good(bench, memories, client)
    sys.stdout.write(f"{client}: faults at one location: {injected}\n")
    assert injected > 15


@pytest.mark.long
@pytest.mark.parametrize("client", [NORMAL, HIGH])
@pytest.mark.parametrize("name", NAMES)
def test_each_location_fails_at_each_call(bench: Bench, client: str, name: str) -> None:
    for method, number, kind in faults(bench.calls[client], every=True):
        memories = bench.reset()
        with bench.open(memories, {name: once(method, kind, number)}) as (deployment, _):
            assert run(deployment, client).state == "good"
        assert_next_backup_is_good(bench, memories, client)


def test_a_disk_that_lies_about_syncing_at_one_location(bench: Bench) -> None:
    """One location forgets everything of one backup in a power cut; the others have it."""

    def forget(method: str, key: str, number: int) -> Fault | None:
        return Fault.FORGET if method == "put" else None

    memories = bench.reset()
    with bench.open(memories, {"loc2": cast("Plan", forget)}) as (deployment, wrapped):
        assert run(deployment, NORMAL).state == "good"
        wrapped["loc2"].crash()
    assert len(memories["loc2"].objects) < len(memories["loc1"].objects)
    with bench.open(memories, {}) as (deployment, _):
        folder = bench.world.root / "restored"
        assert restored_state(deployment, NORMAL, folder) == bench.now
