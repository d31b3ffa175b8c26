"""SIGKILL in the middle of an erasure: the same command again ends it, and loses nothing else."""

import signal
from dataclasses import dataclass

import pytest

from strongroom.app import App
from strongroom.facts import Fact
from strongroom.operations.deployment import Deployment
from tests.faults.test_kill import drive, spread
from tests.journeys.test_erasure import ANN, ANN_FROM, BO, CY, OF_ANN, holding, logs, operate, told
from tests.journeys.world import NORMAL, World, fresh_copy, keep_template, make_world

POINTS = 8
MANY_POINTS = 80
ERASE = ("--yes", "ledger", "erase", ANN, "--basis", "Art. 17, request 31", "--successor", CY)
# Search keeps the words of a name apart.
WORDS = [*OF_ANN, "smith"]
Values = dict[str, dict[str, str | None]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A world in which Ann is to be erased, its facts, and what is left of them afterwards."""

    world: World
    leaves: list[tuple[str, list[bytes]]]
    before: Values
    left: Values
    moments: int


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("erased")
    made = make_world(folder / "world", clients=[NORMAL])
    with made.open() as deployment:
        operate(deployment, ANN)
    ann = World(made.root, made.kits, App(origin=lambda: ANN_FROM, behalf=BO))
    with ann.open() as deployment:
        told(deployment, f"for {BO}", f"file:///srv/{ANN}/copies")
        told(deployment, "another", "file:///srv/another")
    world = World(made.root, made.kits, App())
    assert world.command("ledger", "search", "another").returncode == 0
    with world.open() as deployment:
        leaves = logs(deployment)
        before = values_of(deployment, leaves)
    keep_template(world)
    count = folder / "count"
    done = drive(world, *ERASE, count_to=str(count))
    assert done.returncode == 0, done.stderr
    with world.open() as deployment:
        left = values_of(deployment, leaves)
    return Prepared(world, leaves, before, left, int(count.read_text("ascii")))


def values_of(deployment: Deployment, leaves: list[tuple[str, list[bytes]]]) -> Values:
    """Return what is disclosed of these leaves, by the ids of their facts."""
    with deployment.tools.privacy.reading() as disclosed:
        facts = [Fact.parse(leaf) for _, some in leaves for leaf in some]
        return {fact.id: dict(disclosed(fact).values) for fact in facts if fact.sd}


@pytest.mark.parametrize("point", range(POINTS))
def test_killed_at_points_of_an_erasure(prepared: Prepared, point: int) -> None:
    kill_and_look(prepared, spread(point, POINTS, prepared.moments))


@pytest.mark.long
@pytest.mark.parametrize("point", range(MANY_POINTS))
def test_killed_at_many_points_of_an_erasure(prepared: Prepared, point: int) -> None:
    kill_and_look(prepared, spread(point, MANY_POINTS, prepared.moments))


def kill_and_look(prepared: Prepared, moment: int) -> None:
    world = fresh_copy(prepared.world)
    killed = drive(world, *ERASE, kill_at=moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with world.open() as deployment:
        begun = phases(deployment)
        # What is gone by now was announced before.
        assert begun or values_of(deployment, prepared.leaves) == prepared.before

    again = world.command(*ERASE)
    assert again.returncode == 0, again.stderr
    assert holding(world, WORDS) == []
    with world.open() as deployment:
        for (name, old), (_, new) in zip(prepared.leaves, logs(deployment), strict=True):
            assert new[: len(old)] == old, f"a leaf of the {name} log changed"
        assert values_of(deployment, prepared.leaves) == prepared.left
        assert phases(deployment) == [*begun, "intent", "result"]
    assert world.back_up().problems == []
    assert holding(world, WORDS) == []


def phases(deployment: Deployment) -> list[str]:
    return [fact.phase for fact in deployment.registry.facts("ledger.erased")]


def test_the_kills_are_in_the_middle(prepared: Prepared) -> None:
    """The tests above would prove nothing if Ann were nowhere, or the moments few."""
    assert prepared.moments > 4 * POINTS
    texts = [value for values in prepared.left.values() for value in values.values()]
    assert texts.count("file:///srv/another") == 2
    assert None in texts
    world = fresh_copy(prepared.world)
    assert {path.rpartition("/")[2] for path in holding(world, WORDS)} == {
        "disclosures.db",
        "search.db",
    }
