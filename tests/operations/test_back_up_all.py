"""Several clients side by side: order, one failure that stops nobody, and a clean stop."""

import dataclasses
import fcntl
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.clients import Client, ClientSource, Keep
from strongroom.errors import StrongroomError
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.back_up import LARGE_BYTES, BackupReport
from strongroom.operations.back_up_all import back_up_all
from strongroom.operations.deployment import Deployment
from strongroom.vault import Source
from tests.journeys.world import World, files_below, make_world, silent

COUNT = 7
BROKEN = 3


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Seven clients of one small database each; that of the fourth is gone."""
    world = make_world(tmp_path / "world", clients=[])
    with world.open() as deployment:
        for number in range(COUNT):
            path = world.root / f"{number}.db"
            with closing(sqlite3.connect(path)) as database:
                database.execute("CREATE TABLE thing (name TEXT)")
                database.execute("INSERT INTO thing VALUES (?)", (f"thing {number}",))
                database.commit()
            client = add_client(deployment, NewClient(f"client-{number}", "normal", Keep()))
            add_source(deployment, client, path.name, "sqlite", f"sqlite://{path}")
    (world.root / f"{BROKEN}.db").unlink()
    return world


def run(deployment: Deployment) -> list[tuple[Client, BackupReport | StrongroomError]]:
    return list(back_up_all(deployment, deployment.registry.clients(), silent))


def test_each_is_told_of_in_order_and_one_failure_stops_no_other(world: World) -> None:
    with world.open() as deployment:
        for sequence in (1, 2):
            outcomes = run(deployment)
            assert [client.name for client, _ in outcomes] == [
                f"client-{number}" for number in range(COUNT)
            ]
            for number, (client, outcome) in enumerate(outcomes):
                if number == BROKEN:
                    assert isinstance(outcome, StrongroomError)
                    continue
                assert isinstance(outcome, BackupReport)
                assert (outcome.client, outcome.state, outcome.receipts, outcome.problems) == (
                    client.name,
                    "good",
                    3,
                    [],
                )
                with deployment.tools.history(client.id) as history:
                    assert len(history.snapshots()) == sequence


def test_a_caller_who_stops_ends_what_runs_and_begins_nothing(world: World) -> None:
    with world.open() as deployment:
        clients = deployment.registry.clients()
        outcomes = back_up_all(deployment, clients, silent)
        next(outcomes)
        outcomes.close()
        states: list[list[str]] = []
        for client in clients:
            # No backup holds a vault any more.
            with (
                deployment.tools.lock(client.vault),
                deployment.tools.history(client.id) as history,
            ):
                states.append([one.state for one in history.snapshots()])
    assert states[0] == ["good"]
    assert all(found in ([], ["good"]) for found in states)
    with world.open() as deployment:
        kept = [one.state for _, one in run(deployment) if isinstance(one, BackupReport)]
    assert kept == ["good"] * (COUNT - 1)
    scratch = [place / "tmp" for place in world.locations.values()]
    assert files_below(world.spool, *scratch) == []


@pytest.mark.parametrize("size", [LARGE_BYTES, None])
def test_what_may_be_large_is_left_to_the_thread_that_takes_ctrl_c(
    world: World, size: int | None
) -> None:
    read_by: dict[str, threading.Thread] = {}
    beside: set[str] = set()
    with world.open() as deployment:
        tools = deployment.tools

        def glance(source: ClientSource) -> int | None:
            return size if source.name in ("1.db", "5.db") else tools.glance(source)

        def source(one: ClientSource, places: Iterable[str]) -> Source:
            read_by[one.name] = threading.current_thread()
            if threading.current_thread() is threading.main_thread():
                # Reading it opens and closes files that a backup beside it may hold locks on.
                beside.update(lock.name for lock in (world.home / "run").iterdir() if held(lock))
            return tools.source(one, places)

        watched = dataclasses.replace(tools, glance=glance, source=source)
        outcomes = run(dataclasses.replace(deployment, tools=watched))
        assert [client.name for client, _ in outcomes] == [f"client-{n}" for n in range(COUNT)]
        kept = [one.state for _, one in outcomes if isinstance(one, BackupReport)]
        assert kept == ["good"] * (COUNT - 1)
    own = {name for name, thread in read_by.items() if thread is threading.current_thread()}
    # What cannot be seen may be large too.
    assert own == {"1.db", f"{BROKEN}.db", "5.db"}
    assert len(read_by) == COUNT
    assert len(beside) == len(own)


def held(lock: Path) -> bool:
    """Say whether some backup holds a vault's lock."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_mistake_of_ours_is_not_taken_for_a_clients_failure(world: World) -> None:
    def broken(progress: object) -> None:
        raise ZeroDivisionError

    with world.open() as deployment, pytest.raises(ZeroDivisionError):
        list(back_up_all(deployment, deployment.registry.clients(), broken))
