"""A fault at every call that a deletion makes to its locations, and SIGKILL in the middle of it.

Whatever happens, every snapshot that stays comes back, nothing damaged is found, and the next run
ends with the same objects as one that was never disturbed.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from strongroom.app import App
from strongroom.clients import Keep
from strongroom.errors import StrongroomError
from strongroom.locations import Copies
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import repair_client
from strongroom.operations.prune import PruneOutcome, PruneRequest, prune
from tests.faults.test_kill import drive, spread
from tests.faults.test_location_faults import (
    NAMES,
    MemoryFolder,
    Objects,
    honest,
    objects_at,
    put_home_back,
)
from tests.journeys.world import (
    NORMAL,
    LiveState,
    World,
    change_live_data,
    copy_aside,
    make_world,
    restored_state,
    silent,
    template_of,
)
from tests.support.memory_location import MemoryLocation
from tests.support.misbehaving_location import Fault, MisbehavingLocation, Plan, once
from tests.support.stepping_clock import SteppingClock

DAYS = 5
GO = 2
Stage = Literal["announce", "delete"]
STAGES: tuple[Stage, ...] = ("announce", "delete")


@dataclass(frozen=True, slots=True)
class Bench:
    """A home of five days at both stages, its locations in memory, and what a good end is."""

    world: World
    clock: SteppingClock
    objects: dict[Stage, Objects]
    states: dict[str, LiveState]
    calls: dict[Stage, dict[str, int]]
    end: dict[str, set[str]]

    def reset(self, stage: Stage) -> dict[str, MemoryLocation]:
        """Put home and locations back as they were before this stage."""
        put_home_back(self.world, stage)
        found: dict[str, MemoryLocation] = {name: MemoryFolder(name) for name in NAMES}
        for name, location in found.items():
            location.objects.update(self.objects[stage][name])
        return found

    @contextmanager
    def open(
        self, memories: dict[str, MemoryLocation], plans: dict[str, Plan]
    ) -> Iterator[tuple[Deployment, dict[str, MisbehavingLocation]]]:
        wrapped = {
            name: MisbehavingLocation(memory, plans.get(name, honest))
            for name, memory in memories.items()
        }
        with self.world.open() as deployment, Copies(wrapped) as copies:
            yield replace(deployment, copies=copies), wrapped

    def look(self, memories: dict[str, MemoryLocation]) -> None:
        """Everything that stays comes back, and nothing of it is missing or damaged."""
        with self.open(memories, {}) as (deployment, _):
            client = deployment.registry.client(NORMAL)
            with deployment.tools.history(client.id) as history:
                ids = [one.hash for one in history.snapshots()]
            assert set(list(self.states)[GO:]) <= set(ids)
            folder = self.world.root / "restored"
            for snapshot in (ids[0], ids[-1]):
                assert restored_state(deployment, NORMAL, folder, snapshot) == self.states[snapshot]
            # A location that failed once may lack what was put then: said then, and repaired.
            assert all(not one.left_out for one in repair_client(deployment, client).values())
            assert check_vault(deployment, client, CheckRequest(read=True), silent).problems == []


def run(deployment: Deployment) -> PruneOutcome:
    return prune(deployment, deployment.registry.client(NORMAL), PruneRequest(oldest=GO))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    clock = SteppingClock()
    made = make_world(tmp_path_factory.mktemp("prune-faults") / "world", clients=(NORMAL,))
    world = World(made.root, made.kits, App(clock=clock))
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        fact = deployment.fact("client.keep_set", client.id, before="1d", after="1d")
        deployment.registry.set_keep(client, Keep.parse("1d0w0m3f"), fact)
    states = {}
    for day in range(DAYS):
        change_live_data(world, day)
        report = world.back_up()
        assert report.problems == []
        states[report.snapshot] = world.state()
        clock.step(days=1)
    found = Bench(world, clock, {}, states, {}, {})
    copy_aside(world, "announce")
    found.objects["announce"] = {name: objects_at(world.locations[name]) for name in NAMES}
    memories = found.reset("announce")
    for stage in STAGES:
        if stage == "delete":
            clock.step(hours=73)
            copy_aside(world, "delete")
            found.objects["delete"] = {name: dict(memories[name].objects) for name in NAMES}
        with found.open(memories, {}) as (deployment, wrapped):
            outcome = run(deployment)
            assert outcome.problems == []
            assert (outcome.deleted_objects > 20) == (stage == "delete")
            calls = [method for method, _ in wrapped["loc1"].calls]
            found.calls[stage] = {method: calls.count(method) for method in set(calls)}
    found.end.update({name: set(memories[name].objects) for name in NAMES})
    return found


def faults(calls: dict[str, int]) -> list[tuple[str, int, Fault]]:
    """Return every call of every kind with a failure before and after it took effect."""
    after = {"put", "delete"}
    return [
        (method, number, kind)
        for method, count in sorted(calls.items())
        for number in range(count)
        for kind in (
            [Fault.FAIL_BEFORE, Fault.FAIL_AFTER] if method in after else [Fault.FAIL_BEFORE]
        )
    ]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("everywhere", [True, False], ids=["everywhere", "one-location"])
def test_a_fault_at_every_call(bench: Bench, stage: Stage, everywhere: bool) -> None:
    injected = faults(bench.calls[stage])[:: 1 if everywhere else 3]
    refusals = 0
    hints: set[str] = set()
    for method, number, kind in injected:
        memories = bench.reset(stage)
        names = NAMES if everywhere else (NAMES[number % 3],)
        with bench.open(memories, dict.fromkeys(names, once(method, kind, number))) as (broken, _):
            try:
                refusals += bool(run(broken).problems)
            except StrongroomError as err:
                hints.add(err.hint)
                refusals += 1
        finish(bench, stage, memories)
    sys.stdout.write(f"{stage}: {len(injected)} faults, {refusals} were told\n")
    assert refusals > len(injected) / 4
    assert "" not in hints


def finish(bench: Bench, stage: Stage, memories: dict[str, MemoryLocation]) -> None:
    """Run again without faults: all that stays is whole, and the end is the undisturbed one."""
    with bench.open(memories, {}) as (deployment, _):
        again = run(deployment)
    assert again.problems == []
    if stage == "delete":
        found = {name: set(memories[name].objects) for name in NAMES}
        assert found == bench.end
    bench.look(memories)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stale_listing_deletes_nothing_that_stays(bench: Bench, stage: Stage) -> None:
    memories = bench.reset(stage)

    def empty(method: str, key: str, number: int) -> Fault | None:
        return Fault.STALE if method == "list" else None

    before = {name: dict(memories[name].objects) for name in NAMES}
    with (
        bench.open(memories, dict.fromkeys(NAMES, empty)) as (deployment, _),
        pytest.raises(StrongroomError),
    ):
        run(deployment)
    assert {name: dict(memories[name].objects) for name in NAMES} == before
    finish(bench, stage, memories)


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, list[str], LiveState]:
    """A world on disk whose tombstone is of four days ago by the machine's clock."""
    clock = SteppingClock()
    clock.step(days=-20)
    made = make_world(tmp_path_factory.mktemp("prune-killed") / "world", clients=(NORMAL,))
    past = World(made.root, made.kits, App(clock=clock))
    with past.open() as deployment:
        client = deployment.registry.client(NORMAL)
        fact = deployment.fact("client.keep_set", client.id, before="1d", after="1d")
        deployment.registry.set_keep(client, Keep.parse("1d0w0m3f"), fact)
    ids = []
    for day in range(DAYS):
        change_live_data(past, day)
        ids.append(past.back_up().snapshot)
        clock.step(days=1)
    with past.open() as deployment:
        assert run(deployment).goes_snapshots == GO
    subprocess.run(["cp", "-a", made.root, template_of(made)], check=True)
    return World(made.root, made.kits, App()), ids, past.state()


POINTS = 10


@pytest.mark.parametrize("point", range(POINTS))
def test_killed_while_it_deletes(waiting: tuple[World, list[str], LiveState], point: int) -> None:
    world, ids, newest = waiting
    command = ("vault", "prune", NORMAL, "--oldest", "1")
    count = world.root.with_name("count")
    if not count.exists():
        fresh(world)
        assert drive(world, *command, count_to=str(count)).returncode == 0
    fresh(world)
    moments = int(count.read_text("ascii"))
    killed = drive(world, *command, kill_at=spread(point, POINTS, moments))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert world.restore(NORMAL) == newest
    report = world.back_up()
    assert (report.state, report.problems) == ("good", [])
    done = world.command(*command)
    assert done.returncode == 0, done.stderr
    for snapshot in ids[GO:]:
        world.restore(NORMAL, snapshot)
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        found = check_vault(deployment, client, CheckRequest(read=True), silent)
    assert (found.problems, found.snapshots) == ([], DAYS - GO + 1)


def fresh(world: World) -> None:
    shutil.rmtree(world.root)
    subprocess.run(["cp", "-a", template_of(world), world.root], check=True)
