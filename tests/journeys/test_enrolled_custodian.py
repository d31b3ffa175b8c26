"""A custodian is lost, and a new one takes its seat: nothing stops, and nothing is lost."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.adapters.locations.absent import AbsentLocation
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import PartlyDone, Unavailable, UsageError
from strongroom.locations import Copies, LocationUnavailable
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.deployment import Deployment
from strongroom.operations.enrol_custodian import (
    Enrolled,
    EnrolPlan,
    begin_enrolment,
    finish_enrolment,
    tell_stragglers,
)
from strongroom.operations.tell_status import tell_status
from strongroom.procedures import Desk
from strongroom.quorum import Acts, Roster
from tests.journeys.test_rescue import rescue, rescued
from tests.journeys.world import (
    NORMAL,
    World,
    change_live_data,
    look_at,
    make_world,
    refused,
    silent,
)
from tests.support.stand_in import StandIn

PLAN = EnrolPlan("newcomer", "custodian-3")


class Deaf(StandIn):
    """A custodian that witnesses, and does not answer an order."""

    def obey(self, order: Acts.Order) -> Envelope:
        raise Unavailable("custodian 2 cannot be reached", "it was turned off")


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    world = make_world(tmp_path / "world", clients=(NORMAL,))
    assert world.back_up().receipts == 3
    return world


def lose(world: World, index: int) -> None:
    shutil.rmtree(world.custodian(index))


def enrol(world: World, plan: EnrolPlan = PLAN) -> tuple[Enrolled, str]:
    """Enrol a newcomer in one go; return what came of it, and the words of its kit."""
    with world.open() as deployment:
        begun = begin_enrolment(deployment, plan)
        return finish_enrolment(deployment, begun), " ".join(begun.words)


@contextmanager
def standing_in(deployment: Deployment, stand_in: StandIn) -> Iterator[Deployment]:
    custodians = {**deployment.custodians, stand_in.card().index: stand_in}
    yield replace(deployment, custodians=custodians)


def kits(world: World, *words: str) -> Sequence[str]:
    return [*world.kits[:2], *words]


def test_the_seat_of_a_lost_custodian_is_taken(world: World) -> None:
    before = world.state()
    lose(world, 3)
    change_live_data(world, 1)
    assert world.back_up().receipts == 2
    enrolled, _ = enrol(world)
    assert (enrolled.index, enrolled.replaces, enrolled.since) == (3, "custodian-3", 2)
    assert enrolled.problems == []
    change_live_data(world, 2)
    report = world.back_up()
    assert (report.state, report.receipts, report.problems) == ("good", 3, [])
    assert world.restore() == world.state()
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        assert [member.name for member in deployment.roster.members][2] == "newcomer"
        assert deployment.absent_custodians == {}
        outcome = check_vault(deployment, client, CheckRequest(read_data=True), silent)
        assert (outcome.problems, outcome.orphans, outcome.not_judged) == ([], 0, 0)
        with deployment.tools.history(client.id) as history:
            first = history.snapshots()[0].hash
    assert world.restore(NORMAL, first) == before
    # What was kept before is opened by the others alone.
    lose(world, 2)
    error = refused(world.restore)
    assert error.code == "too_few_shares"
    assert "dealt to a roster that it never followed" in str(error)


def test_the_rosters_and_kits_at_the_locations_are_those_of_now(world: World) -> None:
    before = world.state()
    lose(world, 3)
    _, words = enrol(world)
    change_live_data(world, 1)
    world.back_up()
    state = world.state()
    with world.open() as deployment:
        folder = world.locations["loc1"] / deployment.install / "roster"
    line = [
        Roster.parse(decode_envelope(path.read_bytes(), "a roster"), None)
        for path in sorted(folder.iterdir())
    ]
    assert [(one.version, one.members[2].name) for one in line] == [
        (1, "custodian-3"),
        (2, "newcomer"),
    ]
    # The second reader opens each session with whoever had the seat when it was dealt.
    (world.root / "kits").write_text("\n".join([world.kits[0], world.kits[2], words]), "utf-8")
    assert rescue(world, "--kits", "kits", "list").stdout.count(" good: data.db, tree\n") == 2
    assert rescued(world, NORMAL, "--kits", "kits") == state
    # With kits that open what was kept before alone it restores that, and says whose are lacking.
    (world.root / "kits").write_text("\n".join(world.kits[1:]), "utf-8")
    arguments = ["--kits", "kits", "restore", NORMAL, "--to", "rescued"]
    done = rescue(world, *arguments)
    assert done.returncode == 0, done.stderr
    assert "it needs kits of 2 of custodian-1, custodian-2, newcomer;" in done.stderr
    assert look_at(world.root / "rescued" / "data.db", world.root / "rescued" / "tree") == before
    shutil.rmtree(world.root / "rescued")
    # With kits that open what came after alone nothing is whole, for it needs what was before.
    (world.root / "kits").write_text("\n".join([world.kits[1], words]), "utf-8")
    done = rescue(world, *arguments)
    assert done.returncode == 1
    assert "it needs kits of 2 of custodian-1, custodian-2, custodian-3;" in done.stderr
    shutil.rmtree(world.root / "rescued")
    world.lose_home()
    void = refused(lambda: world.recover([world.kits[0], world.kits[2]]))
    assert "another custodian took its seat" in str(void.hint)
    clients, damages = world.recover(kits(world, words))
    assert (len(clients), damages) == (1, [])
    assert world.restore() == state
    assert world.back_up().receipts == 3


def test_kits_that_recover_nothing_of_before_do_not_count(world: World) -> None:
    """Two kits are confirmed and two are needed: one of them is the newcomer's."""

    def warned() -> list[str]:
        with world.open() as deployment:
            return [one for one in tell_status(deployment).warnings if "NOT RECOVERABLE" in one]

    def confirm(index: int) -> None:
        with world.open() as deployment:
            custodian = deployment.embedded()[index - 1]
            shown = custodian.kit().words
            custodian.confirm_kit({1: shown[0], 24: shown[23]})

    lose(world, 3)
    _, words = enrol(world)
    assert world.back_up().receipts == 3
    confirm(3)
    assert "1 of 2 kits are confirmed" in str(warned())
    confirm(2)
    (told,) = warned()
    assert "needs 2 kits of custodian-1, custodian-2, and 1 of them are confirmed" in told
    confirm(1)
    assert warned() == []
    world.lose_home()
    assert refused(lambda: world.recover([world.kits[1], words])).code == "too_few_shares"


def test_a_custodian_that_stays_and_was_away_is_told_later(world: World) -> None:
    with world.open() as deployment:
        begun = begin_enrolment(deployment, PLAN)
        with (
            standing_in(deployment, Deaf(deployment.custodians[2])) as deaf,
            pytest.raises(PartlyDone, match="newcomer has its seat") as caught,
        ):
            finish_enrolment(deaf, begun)
        assert "custodian 2" in str(caught.value)
        assert deployment.registry.rosters.newcomers() == {}
    # Who follows the roster of before signs for nothing that is dealt to the next.
    change_live_data(world, 1)
    report = world.back_up()
    assert (report.state, report.receipts) == ("good", 2)
    with world.open() as deployment:
        enrolled = tell_stragglers(deployment, PLAN)
        assert enrolled is not None
        assert enrolled.since == 2
        assert [one.state for one in deployment.desk.acts()] == [Desk.State.DONE]
        assert tell_stragglers(deployment, PLAN) == enrolled
    assert world.back_up().receipts == 3


def test_nobody_is_seated_where_too_few_follow(world: World) -> None:
    with world.open() as deployment:
        begun = begin_enrolment(deployment, EnrolPlan("another", "custodian-3"))
        assert len(begun.words) == 24
        again = begin_enrolment(deployment, EnrolPlan("another", "custodian-3"))
        assert (again.newcomer, again.words) == (begun.newcomer, ())
        # Nobody asks for it yet, so it gives way to the next.
        begun = begin_enrolment(deployment, PLAN)
        assert begun.newcomer.id != again.newcomer.id
        with pytest.raises(UsageError, match="there is no custodian 'nobody'"):
            begin_enrolment(deployment, EnrolPlan("another", "nobody"))
        with pytest.raises(UsageError, match="there is, or was, a custodian"):
            begin_enrolment(deployment, EnrolPlan("custodian-3", "custodian-3"))
        with pytest.raises(UsageError, match="cannot take a seat of this home"):
            begin_enrolment(deployment, EnrolPlan("east", "custodian-3", "https://127.0.0.1:9"))
        assert tell_stragglers(deployment, PLAN) is None
        alone = replace(
            deployment,
            custodians={1: Deaf(deployment.custodians[1]), 2: Deaf(deployment.custodians[2])},
        )
        with pytest.raises(Unavailable):
            finish_enrolment(alone, begun)
        assert deployment.registry.rosters.former() == []
        with pytest.raises(UsageError, match="newcomer is to take that seat already"):
            begin_enrolment(deployment, EnrolPlan("another", "custodian-3"))
    with world.open() as deployment:
        # Cut off after they follow and before it has its seat: the roster is signed once.
        gone = LocationUnavailable("every location is away")
        nowhere = Copies({"loc1": AbsentLocation("file:///nowhere", gone)})
        with nowhere, pytest.raises(LocationUnavailable):
            finish_enrolment(replace(deployment, copies=nowhere), begun)
        (kept,) = deployment.registry.rosters.newcomers().values()
        with pytest.raises(UsageError, match="custodians follow a roster in which newcomer"):
            begin_enrolment(deployment, EnrolPlan("another", "custodian-3"))
    change_live_data(world, 1)
    assert world.back_up().state == "good"
    assert enrol(world)[0].since == 2
    with world.open() as deployment:
        assert deployment.registry.install().roster == kept.roster
    assert world.back_up().receipts == 3
