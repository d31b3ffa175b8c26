"""Two shards and one of parity over three locations, from `client add` to a rebuilt home."""

import json
import os
import shutil
from pathlib import Path

import pytest

from strongroom.errors import Damaged
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.vault_config import check_config
from tests.journeys.test_rescue import kits_file, rescued
from tests.journeys.world import (
    HIGH,
    NORMAL,
    World,
    change_live_data,
    fresh_copy,
    keep_template,
    make_world,
    silent,
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An install with two good snapshots of each client, their packs in 2 + 1 shards."""
    made = make_world(tmp_path_factory.mktemp("parity") / "world", parity=1)
    for number in range(2):
        if number:
            change_live_data(made, number)
        for client in (NORMAL, HIGH):
            assert made.back_up(client).problems == []
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


def shards_at(world: World, place: str, client: str = NORMAL) -> list[Path]:
    return sorted(world.vault_folder(place, client).glob("packs/*/*"))


def empty(world: World, place: str) -> None:
    """Lose everything a location holds; what marks it as a location stays."""
    for folder in world.locations[place].iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)


def problems(world: World, client: str = NORMAL) -> list[tuple[str, str]]:
    with world.open() as deployment:
        found = deployment.registry.client(client)
        outcome = check_vault(deployment, found, CheckRequest(read=True), silent)
    return sorted({(one.kind, one.location) for one in outcome.problems})


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_each_location_holds_one_shard_of_every_pack_and_nothing_whole(
    world: World, client: str
) -> None:
    names = {place: shards_at(world, place, client) for place in world.locations}
    packs = {path.name.removesuffix(".0") for path in names["loc1"]}
    assert packs
    for index, place in enumerate(world.locations):
        assert {path.name for path in names[place]} == {f"{pack}.{index}" for pack in packs}
    assert problems(world, client) == []


@pytest.mark.parametrize("client", [NORMAL, HIGH])
@pytest.mark.parametrize("lost", ["loc1", "loc2", "loc3"])
def test_any_location_may_be_lost(world: World, client: str, lost: str) -> None:
    wanted = world.state()
    shutil.rmtree(world.locations[lost])
    assert world.restore(client) == wanted


def test_a_backup_goes_on_with_all_locations_but_one(world: World) -> None:
    away = world.locations["loc2"]
    away.rename(world.root / "away")
    change_live_data(world, 2)
    report = world.back_up()
    assert report.state == "good"
    assert [one.partition(":")[0] for one in report.problems][-1:] == ["location loc2"]
    assert report.stored_bytes < report.sent_bytes < 2 * report.stored_bytes
    assert world.restore() == world.state()


def test_what_is_sent_is_one_and_a_half_of_what_is_stored(world: World) -> None:
    (world.tree / "large").write_bytes(b"".join(n.to_bytes(4, "big") for n in range(1 << 19)))
    report = world.back_up()
    # Index objects lie everywhere in full, and are small beside two megabytes.
    assert 1.5 * report.stored_bytes < report.sent_bytes < 1.8 * report.stored_bytes


def test_a_lost_machine_and_a_lost_location_are_recovered_together(world: World) -> None:
    wanted = world.state()
    world.lose_home()
    shutil.rmtree(world.locations["loc1"])
    clients, damages = world.recover(world.kits[:2], ("loc2", "loc3"))
    assert ([one.snapshots for one in clients], damages) == ([2, 2], [])
    assert world.restore(NORMAL) == wanted
    assert world.restore(HIGH) == wanted


def test_a_rebuilt_home_goes_on_with_the_same_shards(world: World) -> None:
    world.lose_home()
    world.recover(world.kits)
    change_live_data(world, 3)
    for client in (NORMAL, HIGH):
        report = world.back_up(client)
        assert (report.state, report.problems) == ("good", [])
        for index, place in enumerate(world.locations):
            assert {path.suffix for path in shards_at(world, place, client)} == {f".{index}"}
        assert problems(world, client) == []
    empty(world, "loc3")
    assert world.restore(NORMAL) == world.state()


@pytest.mark.parametrize("client", [NORMAL, HIGH])
@pytest.mark.parametrize("lost", ["loc1", "loc2", "loc3"])
def test_the_rescue_file_needs_two_locations_of_three(world: World, client: str, lost: str) -> None:
    wanted = world.state()
    world.lose_home()
    empty(world, lost)
    assert rescued(world, client, "--kits", kits_file(world, 0, 2)) == wanted


def test_two_losses_one_after_the_other_are_mended_from_what_is_left(world: World) -> None:
    """Lose a location whole, mend it; alter a tenth of another, find it, mend it."""
    (world.tree / "large").write_bytes(os.urandom(17 << 20))
    assert world.back_up().state == "good"
    wanted = world.state()
    shutil.rmtree(world.locations["loc1"])
    assert world.restore() == wanted
    done = world.command("location", "add", str(world.locations["loc1"]))
    assert (done.returncode, done.stderr) == (0, "")
    assert "vault repair --all" in done.stdout
    for client in (NORMAL, HIGH):
        assert problems(world, client) == [("missing", "loc1")]
        done = world.command("vault", "repair", client)
        assert (done.returncode, done.stderr) == (0, "")
        assert problems(world, client) == []
    shards = shards_at(world, "loc2")
    hurt = shards[:: max(1, len(shards) // 3)]
    for path in hurt:
        alter_a_tenth(path)
    assert world.restore() == wanted
    done = world.command("vault", "scrub", NORMAL, "--share", "whole", "--json")
    assert done.returncode == 40
    troubles = json.loads(done.stdout)["problems"]
    assert {one["object"].rpartition("/")[2] for one in troubles} == {path.name for path in hurt}
    assert {(one["kind"], one["location"]) for one in troubles} == {("damaged", "loc2")}
    done = world.command("vault", "repair", NORMAL)
    assert (done.returncode, done.stderr) == (0, "")
    assert problems(world) == []
    shutil.rmtree(world.locations["loc3"])
    assert world.restore() == wanted


def test_another_location_takes_the_seat_of_one_that_is_gone(world: World) -> None:
    lost = {path.name: path.read_bytes() for path in shards_at(world, "loc2")}
    shutil.rmtree(world.locations["loc2"])
    assert world.command("location", "remove", "loc2", "--yes").returncode == 0
    done = world.command("location", "add", str(world.root / "another"))
    assert (done.returncode, done.stderr) == (0, "")
    assert world.command("vault", "repair", NORMAL).returncode == 0
    (vault,) = (world.root / "another").glob(f"*/vaults/{world.vault_folder('loc1', NORMAL).name}")
    assert {path.name: path.read_bytes() for path in vault.glob("packs/*/*")} == lost
    assert problems(world) == []
    done = world.command("location", "add", str(world.root / "fourth"))
    assert done.returncode == 0
    assert not list((world.root / "fourth").glob("*/vaults/*/packs/*/*"))
    shutil.rmtree(world.locations["loc3"])
    assert world.restore() == world.state()


def alter_a_tenth(path: Path) -> None:
    """Write other bytes over a tenth of a file."""
    data = bytearray(path.read_bytes())
    begin, length = len(data) // 3, len(data) // 10
    data[begin : begin + length] = os.urandom(length)
    path.chmod(0o600)
    path.write_bytes(data)


def test_an_older_program_refuses_by_the_config(world: World) -> None:
    (path,) = world.vault_folder("loc1", NORMAL).glob("config/*")
    data = path.read_bytes()
    header = json.loads(data[12 : 12 + int.from_bytes(data[8:12], "little")])
    assert header["copies"] == "parity"
    assert (header["parity"]["data"], header["parity"]["parity"]) == (2, 1)
    assert len(set(header["parity"]["locations"])) == 3
    assert set(map(tuple, header["features"].values())) == {("parity",)}


def test_a_home_that_forgot_its_parity_writes_nothing(world: World) -> None:
    with world.open() as deployment:
        found = deployment.registry.client(NORMAL)
        forgetful = type(found)(
            found.id, found.name, found.vault, found.vault_class, found.keep, found.created_at
        )
        with deployment.tools.history(found.id) as history:
            check_config(deployment, forgetful, history, "read")
            with pytest.raises(Damaged, match="another parity"):
                check_config(deployment, forgetful, history, "write")
