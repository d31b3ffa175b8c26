"""What is sealed to a kit that is not here can be compared by nobody: it is unknown."""

import os
import shutil
from pathlib import Path

from strongroom.adapters.locations.directory import DirectoryLocation
from strongroom.operations.check_vault import CheckOutcome, CheckRequest, check_vault
from strongroom.operations.fill_locations import repair_client
from strongroom.operations.scrub import ScrubReport, ScrubRequest, scrub_vault
from tests.journeys.world import NORMAL, World, files_below, make_world, silent


def repair(world: World) -> dict[str, list[str]]:
    with world.open() as deployment:
        filled = repair_client(deployment, deployment.registry.client(NORMAL))
    return {name: one.left_out for name, one in filled.items()}


def check(world: World) -> CheckOutcome:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        return check_vault(deployment, client, CheckRequest(read=True), silent)


def scrub(world: World) -> ScrubReport:
    with world.open() as deployment:
        return scrub_vault(deployment, deployment.registry.client(NORMAL), ScrubRequest(1), silent)


def kit_entries(world: World, location: str) -> set[str]:
    place = world.locations[location]
    return {str(one.relative_to(place)) for one in files_below(*place.glob("*/kits"))}


def test_it_is_unknown_until_all_kits_are_given(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", clients=(NORMAL,))
    assert world.back_up().problems == []
    world.lose_home()
    world.recover(world.kits[:2])
    assert world.back_up().problems == []
    lost = kit_entries(world, "loc2")
    shutil.rmtree(world.locations["loc2"])
    DirectoryLocation.create(world.locations["loc2"], os.urandom)

    left_out = repair(world)
    assert (left_out["loc1"], left_out["loc3"]) == ([], [])
    absent = lost - kit_entries(world, "loc2")
    assert {one.partition(": ")[0] for one in left_out["loc2"]} == absent != set()
    assert all("recover with all kits" in one for one in left_out["loc2"])
    found = check(world).problems
    assert {(one.kind, one.location, one.object) for one in found} == {
        ("unknown", "loc2", key) for key in absent
    }
    assert all("recover with all kits" in one.why for one in found)
    report = scrub(world)
    assert (report.problems, report.not_judged) == ([], len(absent))

    world.lose_home()
    world.recover(world.kits)
    assert world.back_up().problems == []
    assert set(map(tuple, repair(world).values())) == {()}
    assert lost <= kit_entries(world, "loc2")
    assert (check(world).problems, scrub(world).not_judged) == ([], 0)
