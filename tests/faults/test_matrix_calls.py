"""A failure at every storage call of a command, before and after it took effect, one by one.

Not by chance, as in the matrix, but all of them: the call fails, or the process dies there. Then
the command is run again, and must end well. `make test` takes some of the calls, `make test-long`
all. test_location_faults has more of it, in memory and without deaths.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from strongroom.clients import Registry
from strongroom.errors import StrongroomError, UsageError
from strongroom.operations.add_location import add_location
from strongroom.operations.credentials import Credentials
from strongroom.operations.deployment import Deployment
from tests.faults.matrix.blows import DEATHS, READS, WRITES, Blow
from tests.faults.matrix.commands import back_up_some, prune_one, repair_all, scrub_all
from tests.faults.matrix.mutations import MUTATIONS
from tests.faults.matrix.world import CLIENTS, LOCATIONS, MatrixWorld
from tests.support.misbehaving_location import Fault

SHORT_CALLS = 16
EVERY_CALL = 10**6
NEW: Final = "loc4"
_AT_WRITES: Final = (Fault.FAIL_BEFORE, Fault.FAIL_AFTER, Fault.DIE_BEFORE, Fault.DIE_AFTER)
Record = Callable[[str, object], None]


@dataclass(frozen=True, slots=True)
class Command:
    """A command, what must be so before it, and what must be so when it has ended well."""

    prepare: Callable[[MatrixWorld], None]
    run: Callable[[MatrixWorld], Callable[[Deployment], Any]]
    judge: Callable[[MatrixWorld], None]
    struck: tuple[str, ...]
    """The locations whose calls fail."""
    reads: bool = False
    """It writes nothing but what it recorded, at its end."""


def lose_a_location(world: MatrixWorld) -> None:
    """One of three locations is lost and replaced."""
    world.empty("loc2")


def add_one(world: MatrixWorld) -> Callable[[Deployment], Any]:
    def command(deployment: Deployment) -> Any:
        return add_location(
            deployment, (NEW, f"file://{world.root / NEW}"), Registry.Site(), Credentials()
        )

    return command


def names_of(world: MatrixWorld, location: str) -> set[str]:
    place = world.root / location
    return {str(path.relative_to(place)) for path in world.objects(location)}


def all_hold_the_same(world: MatrixWorld) -> None:
    """Every location holds every object, and what was good restores."""
    places = [name for name in (*LOCATIONS, NEW) if (world.root / name).exists()]
    held = [names_of(world, name) for name in places]
    assert all(one == held[0] for one in held)
    assert not list(world.root.glob("loc*/tmp/*")), "a draft of a crashed writer was left"
    for name in places[:2]:
        (world.root / name).rename(world.root / f"{name}.aside")
    try:
        every_snapshot_restores(world)
    finally:
        for name in places[:2]:
            (world.root / f"{name}.aside").rename(world.root / name)


def every_snapshot_restores(world: MatrixWorld) -> None:
    for client in CLIENTS:
        good = {at: kept for at, kept in world.kept[client].items() if kept.state == "good"}
        for snapshot, kept in good.items():
            assert world.restored(client, snapshot, {}) == kept.content
            world.counts["restores compared and equal"] += 1


def these_restore(world: MatrixWorld, waiting: list[str]) -> None:
    """What waits to be deleted restores like what stays."""
    for snapshot in waiting:
        assert world.restored("plain", snapshot, {}) == world.kept["plain"][snapshot].content
        world.counts["restores of what waits"] += 1


def nothing(_: MatrixWorld) -> None:
    """Prepare nothing."""


def any_location_can_be_lost(world: MatrixWorld) -> None:
    """Every good snapshot restores without any one location."""
    world.note(("plain",))
    for name in LOCATIONS:
        world.away(name)
        every_snapshot_restores(world)
        world.back(name)


def change(world: MatrixWorld) -> None:
    """The application writes."""
    world.next_version("plain")


def bury_some(world: MatrixWorld) -> None:
    """Snapshots of some days, of which the old ones have been announced to go, and may now."""
    for _ in range(4):
        world.next_version("plain")
        world.clock.at += timedelta(days=1)
        assert world.run(back_up_some(("plain",)), {}).error is None
        world.note(("plain",))
    planned = world.run(prune_one("plain", 2), {})
    assert planned.result.state == "planned", planned
    world.note(())
    world.clock.at += timedelta(days=4)


def what_stays_is_whole(world: MatrixWorld) -> None:
    """What was deleted long ago comes back live, and is kept; a new machine finds all of it."""
    world.note(())
    world.versions["plain"] = 0
    world.next_version("plain")
    kept = world.run(back_up_some(("plain",)), {})
    assert kept.error is None, kept
    assert kept.result[0][1].state == "good", kept
    world.note(("plain",))
    waiting = world.waiting("plain")
    assert waiting, "nothing was announced to go"
    every_snapshot_restores(world)
    these_restore(world, waiting)
    world.lose_home()
    recovered = world.recover((1, 3), {})
    assert recovered.error is None, recovered
    assert recovered.result == (sorted(CLIENTS), []), recovered
    every_snapshot_restores(world)
    these_restore(world, waiting)


def rot_some(world: MatrixWorld) -> None:
    """Objects of each kind are altered at one of three locations."""
    for which in range(0, len(world.objects(LOCATIONS[0])), 7):
        assert world.rot(LOCATIONS[0], which)


def what_rotted_is_known(world: MatrixWorld) -> None:
    """The next repair mends all of it, and reads nothing else to find it."""
    assert world.altered(LOCATIONS[0]), "a scrub changed a location"
    mended = world.run(repair_all, {})
    assert mended.result == {name: [] for name in LOCATIONS}, mended
    assert world.altered(LOCATIONS[0]) == []
    every_snapshot_restores(world)


COMMANDS: Final = {
    "backup": Command(
        change, lambda _: back_up_some(("plain",)), any_location_can_be_lost, LOCATIONS
    ),
    "prune": Command(bury_some, lambda _: prune_one("plain", None), what_stays_is_whole, LOCATIONS),
    "repair": Command(lose_a_location, lambda _: repair_all, all_hold_the_same, LOCATIONS),
    "scrub": Command(rot_some, lambda _: scrub_all(1), what_rotted_is_known, LOCATIONS, reads=True),
    "location add": Command(nothing, add_one, all_hold_the_same, (*LOCATIONS, NEW)),
}


@pytest.fixture
def world(tmp_path: Path) -> MatrixWorld:
    return MatrixWorld(tmp_path)


def blows(world: MatrixWorld, command: Command) -> Iterator[dict[str, Blow]]:
    """Yield blows to every storage call that the command makes when all goes well.

    One location is struck, or all but one, or all; a death needs only one, and at a read only where
    nothing is written, as it is a death between two writes otherwise.
    """
    command.prepare(world)
    world.begin_here()
    met = world.calls_of(command.run(world), command.struck)
    command.judge(world)
    names = command.struck
    at_reads = (Fault.FAIL_BEFORE, Fault.DIE_BEFORE) if command.reads else (Fault.FAIL_BEFORE,)
    for at, (name, calls) in enumerate(met.items()):
        for number in range(sum(calls[method] for method in WRITES)):
            for fault in _AT_WRITES:
                yield {name: Blow(fault, number)}
                others = dict.fromkeys(names, Blow(fault, number, lasting=True))
                if fault not in DEATHS:
                    yield {other: blow for other, blow in others.items() if other != name}
                if fault not in DEATHS and at == 0:
                    yield others
        for number in range(sum(calls[method] for method in READS)):
            for fault in at_reads:
                yield {name: Blow(fault, number, READS)}


def strike(world: MatrixWorld, command: Command, struck: dict[str, Blow]) -> None:
    """Run the command under blows, run it again in peace, and judge what there is then."""
    world.reset()
    ended = world.run(command.run(world), struck)
    assert not ended.bug, ended.bug
    world.note(("plain",))
    again = world.run(command.run(world), {})
    assert not again.bug, again.bug
    if again.error is not None:
        # What it came to do was done before it died.
        assert again.error.what.startswith(UsageError.__name__), (struck, again.error)
        world.run(repair_all, {})
    command.judge(world)
    world.counts["blows"] += 1


def strike_all(world: MatrixWorld, command: Command, every: list[dict[str, Blow]]) -> None:
    for struck in every:
        strike(world, command, struck)


def strike_until_found(world: MatrixWorld, command: Command, fault: Fault) -> None:
    every = blows(world, command)
    strike_all(
        world,
        command,
        [struck for struck in every if all(blow.fault is fault for blow in struck.values())],
    )


def is_of_writes(struck: dict[str, Blow]) -> bool:
    return all(blow.methods == WRITES for blow in struck.values())


def run_all(world: MatrixWorld, what: str, calls: int, record: Record) -> None:
    command = COMMANDS[what]
    world.counts.clear()
    every = list(blows(world, command))
    # The same ones each time; half of them to writes, which are fewer and matter more.
    writes = [struck for struck in every if is_of_writes(struck)]
    reads = [struck for struck in every if not is_of_writes(struck)]
    chosen = random.Random(0)
    for part in (writes, reads):
        strike_all(world, command, chosen.sample(part, min(len(part), calls // 2)))
    record("counts", f"{what}: {len(every)} blows to storage calls are possible")
    for line, count in sorted(world.counts.items()):
        record("counts", f"  {count:6}  {line}")
    assert world.counts["blows"] >= min(calls, len(every)) // 2
    assert world.counts["processes killed"]


@pytest.mark.parametrize("what", COMMANDS)
def test_a_failure_at_some_storage_calls(
    world: MatrixWorld, what: str, record_property: Record
) -> None:
    run_all(world, what, SHORT_CALLS, record_property)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", COMMANDS)
def test_a_failure_at_every_storage_call(
    world: MatrixWorld, what: str, record_property: Record
) -> None:
    run_all(world, what, EVERY_CALL, record_property)


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_product_that_is_wrong_is_found(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """The test of the test: it would prove nothing if it did not fail here."""
    mutation = MUTATIONS[what]
    mutation.patch(monkeypatch)
    world = MatrixWorld(tmp_path, mutation.change)
    command = COMMANDS[mutation.command]
    with pytest.raises((AssertionError, StrongroomError)) as found:
        strike_until_found(world, command, mutation.fault)
    story = str(found.value).partition("\n")[0][:200]
    record_property("counts", f"mutation: {what}: found at blow {world.counts['blows']}: {story}")
