"""A seat is given by a roster that follows the one of now, and what names another one is over."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from strongroom.errors import PartlyDone, Waiting
from strongroom.operations.deployment import Deployment
from strongroom.operations.enrol_custodian import (
    Enrolled,
    EnrolPlan,
    begin_enrolment,
    finish_enrolment,
    tell_stragglers,
)
from strongroom.operations.pending import acts_now, look_at_pending
from tests.operations.one_person import Home, away, make_home

FIRST = EnrolPlan("east", "custodian-3")
SECOND = EnrolPlan("west", "custodian-2")


@pytest.fixture(name="home")
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path, monkeypatch)


def enrol(deployment: Deployment, plan: EnrolPlan) -> Enrolled:
    return finish_enrolment(deployment, begin_enrolment(deployment, plan))


def asked(home: Home, *plans: EnrolPlan) -> None:
    """Ask for these seats, and let the custodians' delay pass."""
    for plan in plans:
        with home.open() as deployment, pytest.raises(Waiting, match="any approver may refuse"):
            enrol(deployment, plan)
    home.clock.step(days=1, seconds=5)


def waiting(deployment: Deployment) -> Sequence[str]:
    return [one.command for one in look_at_pending(deployment)]


def test_two_seats_are_given_one_after_the_other(home: Home) -> None:
    asked(home, FIRST, SECOND)
    with home.open() as deployment:
        assert len(waiting(deployment)) == 2
        assert enrol(deployment, FIRST).since == 2
    with home.open() as deployment:
        assert waiting(deployment) == []
        ends = {str(act.state): act.why for act in acts_now(deployment)}
        assert ends == {"done": "", "ended": "other_roster"}
    asked(home, SECOND)
    with home.open() as deployment:
        assert waiting(deployment) == ["custodian enrol west --replaces custodian-2"]
        assert enrol(deployment, SECOND).since == 3
    with home.open() as deployment:
        assert [one.name for one in deployment.roster.members] == ["custodian-1", "west", "east"]
        (ended,) = deployment.registry.log.facts("procedure.ended")
        assert ended.body["cause"] == "other_roster"


def test_who_was_away_is_still_to_be_told_of_a_roster_that_holds(home: Home) -> None:
    asked(home, FIRST)
    with home.open() as deployment, pytest.raises(PartlyDone, match="by 1 of 2 custodians"):
        enrol(away(deployment, 2), FIRST)
    with home.open() as deployment:
        assert len(deployment.desk.acts()) == 1
        (act,) = acts_now(deployment)
        assert act.is_open
        assert tell_stragglers(deployment, FIRST) is not None
        assert waiting(deployment) == []
