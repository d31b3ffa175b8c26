"""A custodian that is slow, hangs, or hands in the receipt of another."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from strongroom.crypto.envelope import Envelope, Statement
from strongroom.errors import StrongroomError
from strongroom.operations.acceptance import Acceptance
from strongroom.operations.asking import Asking
from strongroom.operations.back_up import BackupReport, back_up
from strongroom.operations.deployment import Deployment
from strongroom.quorum import Custodian
from tests.journeys.world import (
    NORMAL,
    World,
    change_live_data,
    fresh_copy,
    keep_template,
    make_world,
    restored_state,
    silent,
)
from tests.support.stand_in import StandIn

GENEROUS_SECONDS = 60.0


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_world(tmp_path_factory.mktemp("install") / "world", clients=(NORMAL,))
    assert made.back_up().problems == []
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


class Waiting(StandIn):
    """Signs once so many others have signed."""

    def __init__(self, honest: Custodian, others: threading.Semaphore, count: int) -> None:
        super().__init__(honest)
        self._others = others
        self._count = count

    def ingest(self, snapshot: Statement, keys: Sequence[Envelope]) -> Envelope:
        for _ in range(self._count):
            assert self._others.acquire(timeout=GENEROUS_SECONDS)
        receipt = self._honest.ingest(snapshot, keys)
        self._others.release()
        return receipt


class Copying(StandIn):
    """Hands in a receipt that another custodian signed."""

    def __init__(self, honest: Custodian, other: Custodian) -> None:
        super().__init__(honest)
        self._other = other

    def ingest(self, snapshot: Statement, keys: Sequence[Envelope]) -> Envelope:
        return self._other.ingest(snapshot, keys)


class Failing(StandIn):
    """Shows its sealed key table to nobody: the line is dead by then."""

    def kit_entries(self, of: str = "") -> list[tuple[str, bytes]]:
        raise StrongroomError("the line is dead")


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Set when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def given_up(index: int, over: threading.Event) -> Asking:
    """Return what asks custodians and has given up this one; it waits for the others."""
    asking = Asking(patience_seconds=0.05)
    assert [late for late, _ in asking.each({index: over.wait})] == [index]
    asking._patience_seconds = GENEROUS_SECONDS
    return asking


def back_up_with(
    deployment: Deployment, instead: dict[int, Custodian], asking: Asking | None = None
) -> BackupReport:
    others = replace(
        deployment,
        custodians={**deployment.custodians, **instead},
        asking=asking or deployment.asking,
    )
    return back_up(others, others.registry.client(NORMAL), silent)


def test_a_slow_custodian_does_not_keep_the_others_waiting(world: World) -> None:
    """The first one signs only when the others have: asked in turn, they would never be asked."""
    change_live_data(world, 1)
    signed = threading.Semaphore(0)
    with world.open() as deployment:
        instead: dict[int, Custodian] = {
            index: Waiting(one, signed, 2 if index == 1 else 0)
            for index, one in deployment.custodians.items()
        }
        report = back_up_with(deployment, instead)
    assert (report.state, report.receipts, report.problems) == ("good", 3, [])


def test_a_custodian_that_hangs_is_told_and_signs_at_the_next_backup(
    world: World, over: threading.Event
) -> None:
    change_live_data(world, 1)
    asking = given_up(3, over)
    with world.open() as deployment:
        report = back_up_with(deployment, {}, asking)
    assert (report.state, report.receipts, report.problems) == ("good", 2, [])
    assert len(report.warnings) == 1
    assert "custodian 3" in report.warnings[0]
    assert "does not answer" in report.warnings[0]
    again = world.back_up()
    assert (again.state, again.receipts, again.warnings) == ("good", 3, [])
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            assert history.custodians_of()[report.snapshot] == [1, 2, 3]


def test_a_restore_asks_another_custodian_in_place_of_one_that_hangs(
    world: World, over: threading.Event
) -> None:
    asking = given_up(1, over)
    with world.open() as deployment:
        others = replace(deployment, asking=asking)
        assert restored_state(others, NORMAL, world.root / "restored") == world.state()
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            told = [one for one in history.facts("keys.opened") if one.phase == "result"][-1]
    assert told.body["absent"] == [1]


def test_what_only_a_custodian_that_fails_could_compare_is_unknown(world: World) -> None:
    """A look at the locations goes on without it, and spreads nothing of its own."""
    with world.open() as deployment:
        failing: dict[int, Custodian] = {2: Failing(deployment.custodians[2])}
        others = replace(deployment, custodians={**deployment.custodians, **failing})
        acceptance = Acceptance.of(others)
        keys = {
            index: f"{deployment.install}/kits/{deployment.roster.member(index).id}"
            "/identity-00000001"
            for index in (1, 2)
        }
    assert acceptance.of_key(keys[1]) is not None
    assert acceptance.of_key(keys[2]) is None
    assert acceptance.why_none(keys[2])[0] == "unknown"


def test_replayed_receipt(world: World) -> None:
    """A custodian that hands in the receipt of another is named, and counts for nobody."""
    change_live_data(world, 1)
    with world.open() as deployment:
        report = back_up_with(
            deployment, {2: Copying(deployment.custodians[2], deployment.custodians[1])}
        )
    assert (report.state, report.receipts) == ("good", 2)
    assert report.problems == ["custodian 2 (custodian-2): gave a receipt of custodian 1"]
    assert world.back_up().problems == []
