"""What a command asks of databases and locations does not grow with the snapshots there are.

Exact counts, no clock: ten thousand snapshots are fast because each row that is read is wanted.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import pytest

from strongroom.clients import Client, Keep
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.back_up import back_up
from strongroom.operations.deployment import Deployment
from strongroom.operations.restore import RestoreRequest, restore
from strongroom.operations.tell_status import tell_status
from tests.journeys.world import World, make_world, silent
from tests.support.counting import Counting

FEW, MANY = 10, 100
NAME = "acme"
Act = Callable[[Deployment, Client, World], object]


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One client with one small database, that has FEW snapshots."""
    world = make_world(tmp_path_factory.mktemp("install") / "world", clients=[])
    with world.open() as deployment:
        client = add_client(deployment, NewClient(NAME, "normal", Keep()))
        add_source(deployment, client, "data.db", "sqlite", f"sqlite://{world.database}")
        change_and_back_up(world, deployment, FEW)
    return world


def change_and_back_up(world: World, deployment: Deployment, times: int) -> None:
    client = deployment.registry.client(NAME)
    for _ in range(times):
        with closing(sqlite3.connect(world.database)) as database, database:
            database.execute("UPDATE person SET photo = randomblob(99) WHERE id = 7")
        assert back_up(deployment, client, silent).state == "good"


def without_change(deployment: Deployment, client: Client, _: World) -> None:
    assert back_up(deployment, client, silent).stored_bytes < 1000


def restoring(deployment: Deployment, client: Client, world: World) -> None:
    to = world.root / f"restored-{len(list(world.root.iterdir()))}"
    for wanted in ("latest", "2099-01-01T00:00Z"):
        restore(deployment, client, RestoreRequest(wanted, to / wanted[:4]), silent)


def telling(deployment: Deployment, _client: Client, _world: World) -> None:
    assert [one.pending for one in tell_status(deployment).clients] == [0]


def counted(world: World, act: Act) -> Counter[str]:
    counting = Counting()
    with counting.deployment(world.home) as deployment:
        client = deployment.registry.client(NAME)
        # Once before, so that both times nothing has changed since the backup before.
        act(deployment, client, world)
        counting.counts.clear()
        act(deployment, client, world)
        return Counter(counting.counts)


def test_costs_the_same_with_ten_snapshots_and_with_a_hundred(world: World) -> None:
    acts: list[Act] = [without_change, restoring, telling]
    few = {act.__name__: counted(world, act) for act in acts}
    with world.open() as deployment:
        change_and_back_up(world, deployment, MANY - FEW)
    many = {act.__name__: counted(world, act) for act in acts}
    for act in ("without_change", "restoring"):
        # To sign a log the leaves of its last tile are read, which is full at 256.
        rows = [found[act].pop("client rows") for found in (few, many)]
        assert max(rows) - min(rows) <= 2 * 4 * 256, rows
        few[act]["client rows"] = many[act]["client rows"] = min(rows)
    assert many == few
    assert few["without_change"]["client rows"] > 5, "something was counted"
