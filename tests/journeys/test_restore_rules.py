"""Who can open a backup, who cannot, and who is named: the promises a person would try first."""

import itertools
import json
import re
from functools import partial

import pytest

from strongroom.errors import Damaged, Refused, Stale
from strongroom.operations.receipts import OlderHome, RolledBack
from tests.journeys.world import (
    HIGH,
    NORMAL,
    World,
    change_live_data,
    copy_aside,
    fresh_copy,
    keep_template,
    make_world,
    put_back,
    refused,
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An install with two good snapshots of each client; the live data is that of the second."""
    made = make_world(tmp_path_factory.mktemp("install") / "world")
    for number in (0, 1):
        if number:
            change_live_data(made, number)
        for client in (NORMAL, HIGH):
            assert made.back_up(client).problems == []
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


def test_restored_data_is_equal(world: World) -> None:
    now = world.state()
    assert len(now.tree) > 15
    assert len(now.rows) > 200
    for client in (NORMAL, HIGH):
        assert world.restore(client) == now


@pytest.mark.parametrize("pair", list(itertools.combinations((1, 2, 3), 2)))
def test_any_two_custodians_are_enough(world: World, pair: tuple[int, int]) -> None:
    (absent,) = {1, 2, 3} - set(pair)
    world.custodian(absent).rename(world.root / "away")
    for client in (NORMAL, HIGH):
        assert world.restore(client) == world.state()


@pytest.mark.parametrize("present", [1, 2, 3])
def test_one_custodian_opens_nothing_and_the_absent_are_named(world: World, present: int) -> None:
    absent = sorted({1, 2, 3} - {present})
    for index in absent:
        world.custodian(index).rename(world.root / f"away-{index}")
    for client in (NORMAL, HIGH):
        found = refused(partial(world.restore, client))
        assert found.exit_code == Refused.exit_code
        assert all(f"custodian {index}" in str(found) for index in absent)
        assert f"custodian {present}" not in str(found)
    assert not (world.root / "restored").exists()


def test_the_command_line_says_it_in_one_line_with_a_hint(world: World) -> None:
    for index in (2, 3):
        world.custodian(index).rename(world.root / f"away-{index}")
    to = world.root / "restored"
    done = world.command("restore", NORMAL, "--to", str(to))
    assert done.returncode == 4
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "hint"]
    assert "custodian 2" in lines[0]
    assert "custodian 3" in lines[0]
    # Nothing that looks like a restore is left to be mistaken for one.
    assert not to.exists() or list(to.iterdir()) == []


def test_locations_rolled_back_while_the_home_lives(world: World) -> None:
    copy_aside(world, "before")
    second = world.state()
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            older = history.snapshots()[-1].hash
    change_live_data(world, 2)
    assert world.back_up().state == "good"
    put_back(world, "before", *world.locations.values())

    for action in (world.back_up, world.restore):
        found = refused(action)
        assert isinstance(found, RolledBack)
        assert found.exit_code == 20
        assert "3" in found.why
    # What the locations still hold can be brought back when it is asked for by its id.
    assert world.restore(NORMAL, older) == second
    # The command line gives the same code, also where other clients succeed, and `vault check`.
    assert world.command("backup", NORMAL).returncode == 20
    every = world.command("--json", "backup", "--all")
    assert every.returncode == 20, every.stderr
    rows = {row["client"]: row for row in json.loads(every.stdout)}
    assert rows[NORMAL]["code"] == "stale"
    assert rows[HIGH]["state"] == "good"
    checked = world.command("--json", "vault", "check", NORMAL)
    assert checked.returncode == 20
    assert "stale" in {row["kind"] for row in json.loads(checked.stdout)["problems"]}
    # With one location as it was, work goes on, and the others are filled or named.
    with pytest.raises(RolledBack):
        world.back_up()


def test_every_client_rolled_back_is_one_error_of_the_gravest(world: World) -> None:
    copy_aside(world, "before")
    change_live_data(world, 2)
    for client in (NORMAL, HIGH):
        assert world.back_up(client).state == "good"
    put_back(world, "before", *world.locations.values())
    every = world.command("--json", "backup", "--all")
    assert (every.returncode, every.stdout) == (20, "")
    assert json.loads(every.stderr)["error"]["code"] == "stale"


def test_two_of_three_locations_rolled_back_is_survived(world: World) -> None:
    copy_aside(world, "before")
    change_live_data(world, 2)
    assert world.back_up().state == "good"
    put_back(world, "before", world.locations["loc1"], world.locations["loc3"])
    assert world.restore() == world.state()


def test_an_old_home_that_custodians_know_better_than(world: World) -> None:
    copy_aside(world, "before")
    change_live_data(world, 2)
    assert world.back_up().state == "good"
    custodians = world.home / "custodians"
    custodians.rename(world.root / "custodians")
    put_back(world, "before", world.home)
    world_custodians = world.home / "custodians"
    for index in (1, 2, 3):
        old = world_custodians / f"custodian-{index}"
        old.rename(world.root / f"old-{index}")
        (world.root / "custodians" / old.name).rename(old)

    found = refused(world.back_up)
    assert isinstance(found, OlderHome)
    # They are asked side by side: whoever answers first is named.
    assert re.search("what custodian [123] has signed for", found.what)
    assert world.command("backup", NORMAL).returncode == 20


def test_an_old_home_with_its_old_custodians(world: World) -> None:
    copy_aside(world, "before")
    change_live_data(world, 2)
    assert world.back_up().state == "good"
    newest = world.state()
    kits = world.kits[:2]
    put_back(world, "before", world.home)

    for _ in range(2):
        found = refused(world.back_up)
        assert isinstance(found, OlderHome)
        assert found.exit_code == 20
    # The hint is true: the home is rebuilt from the locations, and has the newest snapshot.
    world.lose_home()
    world.recover(kits)
    assert world.restore() == newest
    assert world.back_up().state == "good"


def test_one_location_that_shows_a_later_snapshot_of_nobody_stops_no_backup(world: World) -> None:
    """A planted record that our writer did not sign is no proof that the home is old."""
    folder = next((world.vault_folder("loc1", NORMAL) / "snapshots").iterdir())
    (folder / "00000009").write_bytes((folder / "00000002").read_bytes())
    assert world.back_up().state == "good"


def test_stale_and_damaged_have_the_codes_of_the_design() -> None:
    assert (Stale.exit_code, Damaged.exit_code) == (20, 40)
