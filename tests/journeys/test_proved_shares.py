"""Once a month custodians prove that their old shares still open; who cannot is named."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from strongroom.app import App
from strongroom.crypto.envelope import Envelope, Statement
from strongroom.errors import StrongroomError
from strongroom.operations.back_up import BackupReport, back_up
from strongroom.operations.deployment import Deployment
from strongroom.operations.prove_shares import PERIOD, SAMPLE, longest_ago
from strongroom.operations.tell_status import tell_status
from strongroom.quorum import Custodian
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
from tests.support.apart_custodians import apart
from tests.support.stand_in import StandIn
from tests.support.stepping_clock import SteppingClock


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_world(tmp_path_factory.mktemp("install") / "world")
    assert made.back_up().problems == []
    assert made.back_up(HIGH).problems == []
    keep_template(made)
    return made


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def world(template: World, clock: SteppingClock) -> World:
    fresh = fresh_copy(template)
    change_live_data(fresh, 1)
    return World(fresh.root, fresh.kits, App(clock=clock))


def facts(world: World, client: str = NORMAL) -> list[dict[str, object]]:
    with world.open() as deployment:
        found = deployment.registry.client(client)
        with deployment.tools.history(found.id) as history:
            return [dict(one.body) for one in history.facts("shares.proved")]


class Asked(StandIn):
    """Keeps what it was asked to prove."""

    def __init__(self, honest: Custodian) -> None:
        super().__init__(honest)
        self.asked: list[tuple[str, int]] = []

    def prove(self, challenge: str, keys: Sequence[Statement]) -> Envelope:
        self.asked.append((challenge, len(keys)))
        return self._honest.prove(challenge, keys)


class Away(StandIn):
    """Answers everything but this."""

    def prove(self, challenge: str, keys: Sequence[Statement]) -> Envelope:
        raise StrongroomError("the line is dead")


class Copying(StandIn):
    """Hands in the avowal of another."""

    def __init__(self, honest: Custodian, other: Custodian) -> None:
        super().__init__(honest)
        self._other = other

    def prove(self, challenge: str, keys: Sequence[Statement]) -> Envelope:
        return self._other.prove(challenge, keys)


def back_up_with(deployment: Deployment, instead: dict[int, Custodian]) -> BackupReport:
    others = replace(deployment, custodians={**deployment.custodians, **instead})
    return back_up(others, others.registry.client(NORMAL), silent)


def test_nobody_is_asked_in_the_first_month(world: World, clock: SteppingClock) -> None:
    clock.step(days=PERIOD.days - 1)
    assert world.back_up().problems == []
    assert facts(world) == []
    with world.open() as deployment:
        assert longest_ago(deployment) == {}
        assert [one.shares_proved_at for one in tell_status(deployment).clients] == [None, None]


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_after_a_month_every_custodian_proves_its_shares(
    world: World, clock: SteppingClock, client: str
) -> None:
    clock.step(days=PERIOD.days)
    assert world.back_up(client).problems == []
    (told,) = facts(world, client)
    assert (told["proved"], told["failed"]) == ([1, 2, 3], [])
    with world.open() as deployment:
        assert longest_ago(deployment).keys() == {1, 2, 3}
        status = {one.name: one.shares_proved_at for one in tell_status(deployment).clients}
    assert status.pop(client) is not None
    assert set(status.values()) == {None}
    change_live_data(world, 2)
    assert world.back_up(client).problems == []
    assert len(facts(world, client)) == 1
    clock.step(days=PERIOD.days)
    assert world.back_up(client).problems == []
    assert len(facts(world, client)) == 2


def test_the_sample_has_a_limit_and_another_challenge_each_time(
    world: World, clock: SteppingClock
) -> None:
    asked: list[tuple[str, int]] = []
    for number in range(2):
        clock.step(days=PERIOD.days)
        change_live_data(world, 2 + number)
        with world.open() as deployment:
            curious = Asked(deployment.custodians[1])
            assert back_up_with(deployment, {1: curious}).problems == []
        asked += curious.asked
    assert len({challenge for challenge, _ in asked}) == 2
    assert all(1 <= count <= SAMPLE for _, count in asked)


def test_a_custodian_that_does_not_answer_is_asked_by_the_next_backup(
    world: World, clock: SteppingClock
) -> None:
    clock.step(days=PERIOD.days)
    with world.open() as deployment:
        assert back_up_with(deployment, {2: Away(deployment.custodians[2])}).problems == []
    with world.open() as deployment:
        told = "\n".join(tell_status(deployment).warnings)
    assert "custodian 2 (custodian-2) has not proved yet" in told
    change_live_data(world, 2)
    assert world.back_up().problems == []
    assert [one["proved"] for one in facts(world)] == [[1, 3], [2]]
    with world.open() as deployment:
        assert "has not proved" not in "\n".join(tell_status(deployment).warnings)


def test_shares_not_proved_for_two_months_are_told(world: World, clock: SteppingClock) -> None:
    clock.step(days=PERIOD.days)
    assert world.back_up().problems == []
    clock.step(days=2 * PERIOD.days + 1)
    with world.open() as deployment:
        told = [one for one in tell_status(deployment).warnings if "has not proved since" in one]
    assert len(told) == 3


def test_custodians_elsewhere_prove_theirs(world: World, clock: SteppingClock) -> None:
    clock.step(days=PERIOD.days)
    with apart(world) as three:
        assert three.back_up(NORMAL).problems == []
    (told,) = facts(world)
    assert (told["proved"], told["failed"]) == ([1, 2, 3], [])


# -- named attacks


def lose_seed(world: World, index: int) -> None:
    """Put another seed in the place of a custodian's, as a database that was put back may have."""
    with world.open() as deployment:
        custodian = next(one for one in deployment.embedded() if one.card().index == index)
        client = deployment.registry.client(NORMAL).id
        sealed = custodian._own.safe.close(
            f"client/{client}", bytes(range(32)), custodian._own.token
        )
        with custodian._own.database.transaction() as transaction:
            transaction.run("UPDATE client SET seed_sealed = ? WHERE client = ?", (sealed, client))


def test_lost_seed(world: World, clock: SteppingClock) -> None:
    """A custodian that can open nothing any more is named while the others still can."""
    lose_seed(world, 3)
    clock.step(days=PERIOD.days)
    report = world.back_up()
    assert report.state == "good"
    (told,) = [
        one
        for one in report.problems
        if one.startswith("custodian 3 (custodian-3) cannot open old")
    ]
    assert "does not open" in told
    (fact,) = facts(world)
    assert (fact["proved"], fact["failed"]) == ([1, 2], [3])
    with world.open() as deployment:
        status = tell_status(deployment)
    assert "custodian 3 (custodian-3) cannot open old shares of" in status.warnings[0]
    assert status.clients[0].shares_proved_at is None


def test_replayed_avowal(world: World, clock: SteppingClock) -> None:
    """A custodian that hands in the avowal of another has proved nothing."""
    clock.step(days=PERIOD.days)
    with world.open() as deployment:
        liar = Copying(deployment.custodians[2], deployment.custodians[1])
        report = back_up_with(deployment, {2: liar})
    assert report.problems == [
        "custodian 2 (custodian-2) cannot open old shares: gave an avowal of custodian 1"
    ]
    (fact,) = facts(world)
    assert (fact["proved"], fact["failed"]) == ([1, 3], [2])
