"""Packs and keys objects that no location has any more: found, and nothing builds on them."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.errors import StrongroomError
from strongroom.facts import Fact
from strongroom.locations import Copies
from strongroom.operations.check_vault import CheckOutcome, CheckRequest, check_vault
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import repair_client
from strongroom.operations.prune import PruneOutcome, PruneRequest, ShortListing, prune
from strongroom.operations.scrub import ScrubRequest, scrub_vault
from tests.journeys.world import (
    NORMAL,
    World,
    change_live_data,
    files_below,
    fresh_copy,
    keep_template,
    make_world,
    silent,
    template_of,
)
from tests.support.misbehaving_location import Fault, MisbehavingLocation

PLACES = ("loc1", "loc2", "loc3")
Damage = Callable[[Path], None]


def spoil(path: Path) -> None:
    """Flip a bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


KINDS: dict[str, Damage] = {"missing": Path.unlink, "damaged": spoil}


@pytest.fixture(scope="module", params=[0, 1], ids=["three copies", "2 + 1 shards"])
def template(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> World:
    root = tmp_path_factory.mktemp("lost") / "world"
    made = make_world(root, clients=(NORMAL,), parity=request.param)
    (made.tree / "large").write_bytes(os.urandom(300_000))
    assert made.back_up().problems == []
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    """Return a home with two snapshots, whose remembered files lie in the pack of the first."""
    made = fresh_copy(template)
    change_live_data(made, 0)
    assert made.back_up().problems == []
    return made


def large_pack(world: World) -> list[Path]:
    """Return the copies or shards of the pack that the first snapshot brought, place by place."""
    found = []
    for place in PLACES:
        packs = files_below(world.vault_folder(place, NORMAL) / "packs")
        found.append(max(packs, key=lambda path: path.stat().st_size))
    assert len({path.name.partition(".")[0] for path in found}) == 1
    return found


def lose(world: World, damage: Damage) -> None:
    """Leave no copy whole, or one shard of the two that it takes."""
    parts = large_pack(world)
    sharded = "." in parts[0].name
    for path in parts[: 2 if sharded else 3]:
        damage(path)


def check(world: World, *, read: bool = False) -> CheckOutcome:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        return check_vault(deployment, client, CheckRequest(read=read), silent)


def snapshots(world: World) -> list[str]:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            return [one.hash for one in history.snapshots()]


def noted(world: World) -> list[Fact]:
    """Return what is told of lost packs, after comparing it with what is noted."""
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            facts = history.facts("vault.objects_lost")
            assert len(history.copies.lost()) == sum(
                int(str(one.body[part])) for one in facts for part in ("packs", "keys")
            )
            return facts


def lose_keys(world: World, damage: Damage, places: Sequence[str] = PLACES) -> int:
    """Leave no keys object of the first snapshot whole at these places; return how many it had."""
    keys = world.vault_folder("loc1", NORMAL).relative_to(world.locations["loc1"]) / "keys"
    first = files_below(template_of(world) / "loc1" / keys)
    for place in places:
        for path in first:
            damage(world.locations[place] / keys / path.name)
    return len(first)


def assert_backups_go_on(world: World, before: Sequence[str], lost: int = 1) -> None:
    """Back up what has not changed: the newest restores, and what was made before does not."""
    state = world.state()
    first, second = world.back_up(), world.back_up()
    assert (first.state, first.problems, second.state) == ("good", [], "good")
    for newer in (first, second):
        assert world.restore(NORMAL, newer.snapshot) == state
    assert second.stored_bytes < first.stored_bytes / 2, "stored anew once, and shared since"
    for older in before:
        with pytest.raises(StrongroomError):
            world.restore(NORMAL, older)
    found = check(world, read=True)
    assert found.lost_objects == lost
    assert {tuple(one.hit) for one in found.problems} == {tuple(before)}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_lost_everywhere_is_stored_anew(world: World, kind: str) -> None:
    before = snapshots(world)
    lose(world, KINDS[kind])
    found = check(world, read=True)
    assert {one.kind for one in found.problems} == {kind}
    assert {tuple(one.hit) for one in found.problems} == {tuple(before)}
    assert found.lost_objects == 1
    assert check(world, read=True).lost_objects == 1
    assert len(noted(world)) == 1, "told once"
    assert_backups_go_on(world, before)


@pytest.mark.parametrize("kind", KINDS)
def test_what_nobody_can_open_is_stored_anew(world: World, kind: str) -> None:
    before = snapshots(world)
    lost = lose_keys(world, KINDS[kind])
    found = check(world)
    assert {one.kind for one in found.problems} == {kind}
    assert {tuple(one.hit) for one in found.problems} == {tuple(before)}
    assert (found.lost_objects, check(world).lost_objects) == (lost, lost)
    assert len(noted(world)) == 1, "told once"
    assert_backups_go_on(world, before, lost)


def scrub(deployment: Deployment, progress: Callable[[object], None] = silent) -> int:
    client = deployment.registry.client(NORMAL)
    return scrub_vault(deployment, client, ScrubRequest(share=1), progress).lost_objects


def repair(deployment: Deployment) -> int:
    filled = repair_client(deployment, deployment.registry.client(NORMAL))
    assert any(one.left_out for one in filled.values())
    return max(one.lost_objects for one in filled.values())


@pytest.mark.parametrize("look", [scrub, repair])
def test_scrub_and_repair_find_it_too(world: World, look: Callable[[Deployment], int]) -> None:
    before = snapshots(world)
    lose(world, KINDS["missing"])
    with world.open() as deployment:
        assert look(deployment) == 1
    assert_backups_go_on(world, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("look", [scrub, repair])
def test_scrub_and_repair_find_keys_too(
    world: World, look: Callable[[Deployment], int], kind: str
) -> None:
    before = snapshots(world)
    lost = lose_keys(world, KINDS[kind])
    with world.open() as deployment:
        if look is repair and kind == "damaged":
            scrub(deployment)
        assert look(deployment) == lost
    assert_backups_go_on(world, before, lost)
    with world.open() as deployment:
        assert scrub(deployment) == lost


def test_keys_that_are_lost_stop_no_deletion(world: World) -> None:
    lose_keys(world, KINDS["missing"])
    with pytest.raises(ShortListing):
        plan(world)
    assert check(world).lost_objects
    assert world.back_up().state == "good"
    assert plan(world).problems == []


def plan(world: World) -> PruneOutcome:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        return prune(deployment, client, PruneRequest(dry_run=True))


def test_keys_that_one_location_still_has_are_not_lost(world: World) -> None:
    before = snapshots(world)
    kept = world.root / "kept"
    shutil.copytree(world.locations["loc3"], kept)
    lost = lose_keys(world, KINDS["missing"], PLACES[:2])
    assert check(world).lost_objects == 0
    assert lose_keys(world, KINDS["missing"], PLACES[2:]) == check(world).lost_objects == lost
    assert world.back_up().state == "good"
    # An old copy of a location is found: the snapshots are whole again, and nothing builds on them.
    for path in files_below(kept):
        to = world.locations["loc3"] / path.relative_to(kept)
        if not to.exists():
            shutil.copy2(path, to)
    with world.open() as deployment:
        filled = repair_client(deployment, deployment.registry.client(NORMAL))
    assert [one.left_out for one in filled.values()] == [[], [], []]
    assert check(world, read=True).problems == []
    assert world.restore(NORMAL, before[-1]) == world.state()


@pytest.mark.parametrize("kind", KINDS)
def test_what_one_location_still_has_is_not_lost(world: World, kind: str) -> None:
    part = large_pack(world)[0]
    KINDS[kind](part)
    assert check(world, read=True).lost_objects == 0
    assert noted(world) == []
    assert world.restore() == world.state()


@pytest.mark.parametrize("kind", KINDS)
def test_a_location_that_is_away_leaves_it_unknown(world: World, kind: str) -> None:
    lose(world, KINDS[kind])
    place = world.locations["loc3"]
    place.rename(place.with_name("away"))
    found = check(world, read=True)
    assert ("unknown", "loc3") in {(one.kind, one.location) for one in found.problems}
    assert (found.lost_objects, noted(world)) == (0, [])
    place.with_name("away").rename(place)
    assert check(world, read=True).lost_objects == 1


def test_a_location_that_lists_and_does_not_answer_leaves_it_unknown(world: World) -> None:
    lose(world, KINDS["missing"])

    def silent_pack(method: str, key: str, number: int) -> Fault | None:
        return Fault.FAIL_BEFORE if method == "get" and "/packs/" in key else None

    with world.open() as deployment:
        locations = dict(deployment.copies.locations)
        locations["loc3"] = MisbehavingLocation(locations["loc3"], silent_pack)
        with Copies(locations) as copies:
            client = deployment.registry.client(NORMAL)
            faulty = replace(deployment, copies=copies)
            assert check_vault(faulty, client, CheckRequest(), silent).lost_objects == 0
    assert noted(world) == []


def test_what_an_interrupted_look_did_not_note_the_next_one_does(world: World) -> None:
    before = snapshots(world)
    lose(world, KINDS["damaged"])

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with world.open() as deployment, pytest.raises(KeyboardInterrupt):
        scrub(deployment, stop)
    assert noted(world) == []
    with world.open() as deployment:
        assert scrub(deployment) == 1
    assert_backups_go_on(world, before)


@pytest.mark.parametrize("what", ["a pack", "keys"])
@pytest.mark.parametrize("index", ["older", "gone"])
def test_an_index_that_lost_what_it_retired_retires_it_again(
    world: World, index: str, what: str
) -> None:
    before = snapshots(world)
    (database,) = (world.home / "clients").glob("*/index.db")
    shutil.copytree(database.parent, world.root / "older")
    if what == "keys":
        lose_keys(world, KINDS["damaged"])
    else:
        lose(world, KINDS["damaged"])
    assert check(world, read=True).lost_objects
    assert world.back_up().state == "good"
    for path in database.parent.glob("index.db*"):
        path.unlink()
    if index == "older":
        for path in (world.root / "older").glob("index.db*"):
            shutil.copy2(path, database.parent)
    change_live_data(world, 1)
    assert world.back_up().state == "good"
    assert world.restore() == world.state()
    with pytest.raises(StrongroomError):
        world.restore(NORMAL, before[0])


def test_an_index_that_is_lost_together_with_a_pack_is_rebuilt_without_it(world: World) -> None:
    before = snapshots(world)
    lose(world, KINDS["missing"])
    for path in world.home.glob("clients/*/index.db*"):
        path.unlink()
    assert check(world).lost_objects == 1
    assert_backups_go_on(world, before)
