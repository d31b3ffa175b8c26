"""A fault at any call that scrubbing and repairing make to the locations, before and after it.

Whatever happens: no object is lost that had a whole copy, no location gets bytes that are not the
object's, and the next scrub and repair, without faults, make all copies whole.
"""

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.errors import StrongroomError
from strongroom.locations import Copies
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import repair_client
from strongroom.operations.scrub import ScrubRequest, scrub_vault
from tests.faults.test_location_faults import (
    KEPT,
    NAMES,
    MemoryFolder,
    honest,
    objects_at,
    put_home_back,
)
from tests.journeys.world import (
    NORMAL,
    World,
    change_live_data,
    copy_aside,
    make_world,
    silent,
)
from tests.support.misbehaving_location import Fault, MisbehavingLocation, Plan, once

FAULTS = {
    "get": (Fault.FAIL_BEFORE, Fault.FLIP),
    "put": (Fault.FAIL_BEFORE, Fault.FAIL_AFTER, Fault.TEAR, Fault.FULL),
    "delete": (Fault.FAIL_BEFORE, Fault.FAIL_AFTER),
    "list": (Fault.FAIL_BEFORE, Fault.STALE),
    "stat": (Fault.FAIL_BEFORE,),
}
EVERY = [(method, fault) for method, faults in FAULTS.items() for fault in faults]
CALLS_MAX = 40


@dataclass(frozen=True, slots=True)
class Kept:
    """A home with two snapshots, and what every location should hold."""

    world: World
    objects: Mapping[str, bytes] = field(repr=False)

    def reset(self) -> dict[str, MemoryFolder]:
        """Put home and locations back as they were."""
        put_home_back(self.world, KEPT)
        found = {name: MemoryFolder(name) for name in NAMES}
        for location in found.values():
            location.objects.update(self.objects)
        return found

    @contextmanager
    def open(
        self, memories: Mapping[str, MemoryFolder], plans: Mapping[str, Plan]
    ) -> Iterator[Deployment]:
        """Open the home on these locations, which misbehave by plan."""
        wrapped = {
            name: MisbehavingLocation(memory, plans.get(name, honest))
            for name, memory in memories.items()
        }
        with self.world.open() as deployment, Copies(wrapped) as copies:
            yield replace(deployment, copies=copies)

    def mend(self, memories: Mapping[str, MemoryFolder], plans: Mapping[str, Plan]) -> None:
        """Scrub everything and repair."""
        with self.open(memories, plans) as deployment:
            scrub_and_repair(deployment)


def scrub_and_repair(deployment: Deployment) -> None:
    """Scrub everything and repair."""
    client = deployment.registry.client(NORMAL)
    scrub_vault(deployment, client, ScrubRequest(share=1), silent)
    repair_client(deployment, client)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    world = make_world(tmp_path_factory.mktemp("mend") / "world", clients=(NORMAL,))
    for number in (1, 2):
        assert world.back_up().problems == []
        change_live_data(world, number)
    copy_aside(world, KEPT)
    objects = {name: objects_at(world.locations[name]) for name in NAMES}
    assert objects["loc1"] == objects["loc2"] == objects["loc3"]
    return Kept(world, objects["loc1"])


def do_damage(memories: Mapping[str, MemoryFolder], chance: random.Random) -> set[tuple[str, str]]:
    """Spoil or lose about a fifth of all copies, and leave each object one that is whole."""
    hit: set[tuple[str, str]] = set()
    for key in sorted(memories[NAMES[0]].objects):
        whole = chance.choice(NAMES)
        for name in NAMES:
            if name == whole or chance.random() > 0.2:
                continue
            data = memories[name].objects.pop(key)
            hit.add((name, key))
            kind = chance.choice(("flip", "cut", "lose"))
            if kind == "flip":
                middle = len(data) // 2
                flipped = bytes([data[middle] ^ 1])
                memories[name].objects[key] = data[:middle] + flipped + data[middle + 1 :]
            elif kind == "cut":
                memories[name].objects[key] = data[: len(data) // 2]
    return hit


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    plans=st.dictionaries(
        st.sampled_from(NAMES),
        st.tuples(st.sampled_from(EVERY), st.integers(0, CALLS_MAX)),
        min_size=1,
    ),
)
def test_a_fault_at_any_call_neither_loses_nor_spreads(
    kept: Kept, seed: int, plans: dict[str, tuple[tuple[str, Fault], int]]
) -> None:
    memories = kept.reset()
    hit = do_damage(memories, random.Random(seed))
    faulty = {name: once(method, fault, at) for name, ((method, fault), at) in plans.items()}
    with suppress(StrongroomError):
        kept.mend(memories, faulty)
    torn = Fault.TEAR in {fault for (_, fault), _ in plans.values()}
    for key, data in kept.objects.items():
        copies = {name: memory.objects.get(key) for name, memory in memories.items()}
        assert data in copies.values(), f"{key} is lost"
        for name, copy in copies.items():
            was_spoilt = (name, key) in hit or torn
            assert copy == data or was_spoilt, f"{name} has other bytes of {key} than before"
    with kept.open(memories, {}) as deployment:
        scrub_and_repair(deployment)
        assert all(memory.objects == kept.objects for memory in memories.values())
        client = deployment.registry.client(NORMAL)
        assert check_vault(deployment, client, CheckRequest(read=True), silent).problems == []


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), stop=st.integers(0, 60))
def test_a_repair_stopped_anywhere_is_gone_on_with(kept: Kept, seed: int, stop: int) -> None:
    memories = kept.reset()
    do_damage(memories, random.Random(seed))

    def killed(method: str, key: str, number: int) -> Fault | None:
        # As a kill is: nothing more happens after the call of this number.
        if method in ("put", "delete") and number >= stop:
            raise KeyboardInterrupt
        return None

    with suppress(KeyboardInterrupt):
        kept.mend(memories, dict.fromkeys(NAMES, killed))
    assert all(
        any(memory.objects.get(key) == data for memory in memories.values())
        for key, data in kept.objects.items()
    )
    kept.mend(memories, {})
    assert all(memory.objects == kept.objects for memory in memories.values())


def test_nothing_whole_is_left_and_nothing_is_touched(kept: Kept) -> None:
    """An object that is spoilt everywhere is named, and no copy of it is deleted."""
    memories = kept.reset()
    key = next(key for key in sorted(kept.objects) if "/packs/" in key)
    spoilt = os.urandom(len(kept.objects[key]))
    for memory in memories.values():
        memory.objects[key] = spoilt
    kept.mend(memories, {})
    assert all(memory.objects[key] == spoilt for memory in memories.values())
