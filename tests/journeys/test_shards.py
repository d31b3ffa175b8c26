"""Shards, 2 + 1: one location is lost and made again; then a tenth of another is spoilt.

Each time the data comes back equal, and scrub and repair make all three locations whole.
"""

import shutil
from pathlib import Path

from tests.journeys.test_three_copies import WHOLE, ledger, objects, problems, spoil_a_tenth
from tests.journeys.world import HIGH, NORMAL, World, change_live_data, files_below, make_world


def world_of_shards(root: Path) -> World:
    """Make a world whose clients keep packs as shards, with three snapshots each."""
    made = make_world(root, parity=1)
    for number in range(3):
        for client in (NORMAL, HIGH):
            assert made.back_up(client).problems == []
        if number < 2:
            change_live_data(made, number)
    return made


def test_shards_are_made_again_from_the_others(tmp_path: Path) -> None:
    world = world_of_shards(tmp_path / "world")
    state, clients = world.state(), (NORMAL, HIGH)
    good = {name: objects(world, name) for name in world.locations}
    placed = ledger(world, "loc1")
    assert placed
    packs = [path for one in clients for path in files_below(world.vault_folder("loc1", one))]
    assert any("/packs/" in str(path) for path in packs)
    assert good["loc1"] != good["loc2"], "each location holds shards of its own"

    shutil.rmtree(world.locations["loc1"])
    for client in clients:
        assert world.restore(client) == state
    assert world.command("location", "add", str(world.locations["loc1"])).returncode == 0
    done = world.command("vault", "repair", "--all")
    assert done.returncode == 0, done.stderr
    assert objects(world, "loc1") == good["loc1"]
    # The ledger is no shard: it is whole at each location, also what was placed before the loss.
    now = ledger(world, "loc1")
    assert placed.items() < now.items()
    assert [ledger(world, name) for name in world.locations] == [now] * 3

    spoilt = spoil_a_tenth(world, "loc2")
    for client in clients:
        assert world.restore(client) == state
    assert problems(world, "scrub", "--all", *WHOLE) == (40, {("damaged", "loc2")})
    done = world.command("vault", "repair", "--all")
    assert done.returncode == 0, done.stderr
    assert sum(int(row.split("replaced ")[1].split()[0]) for row in done.stdout.splitlines()
               if "replaced" in row) == len(spoilt)  # fmt: skip
    assert {name: objects(world, name) for name in world.locations} == good
    assert problems(world, "scrub", "--all", *WHOLE) == (0, set())
    for client in clients:
        assert problems(world, "check", client, "--read") == (0, set())
        assert world.restore(client) == state
