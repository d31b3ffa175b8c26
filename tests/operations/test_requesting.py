"""What a team must approve waits for approvals and for its delay, and is then done once."""

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest

from strongroom.crypto import signing
from strongroom.errors import Refused, StrongroomError, UsageError, Waiting
from strongroom.ids import new_id
from strongroom.operations.add_location import remove_location
from strongroom.operations.log_keys import LogKeys
from strongroom.operations.policies import Team
from strongroom.operations.requesting import find_to_run, running, take, withdraw
from strongroom.procedures import Desk
from strongroom.quorum import Acts
from tests.operations.one_person import Home, make_home

PLACES = ("one", "two")
SEEDS = [secrets.token_bytes(32) for _ in range(3)]


def remove(home: Home) -> None:
    with home.open() as deployment:
        remove_location(deployment, "two")


def say(home: Home, number: int, decision: Literal["approve", "refuse"] = "approve") -> Desk.State:
    """Have an approver say a word about what was asked for last."""
    with home.open() as deployment:
        request = deployment.desk.find("latest").request
        word = Acts.Approval.sign(SEEDS[number], request, decision, home.clock.now())
        return take(deployment, word).state


@pytest.fixture(name="home")
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The home of a team of three, of whom two approve."""
    team = Team(tuple(signing.public_key(seed) for seed in SEEDS), 2)
    return make_home(tmp_path, monkeypatch, PLACES, team)


@pytest.fixture(name="alone")
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The home of one person, who decides."""
    return make_home(tmp_path, monkeypatch, PLACES)


def names(home: Home) -> list[str]:
    with home.open() as deployment:
        return [place.name for place in deployment.registry.locations()]


def waits(home: Home) -> str:
    with pytest.raises(Waiting) as caught:
        remove(home)
    return caught.value.code


def test_what_destroys_waits_for_approvals_and_then_for_its_delay(home: Home) -> None:
    assert waits(home) == waits(home) == "waiting_for_approval"
    assert say(home, 0) is Desk.State.ASKED
    assert waits(home) == "waiting_for_approval"
    assert say(home, 1) is Desk.State.APPROVED
    assert waits(home) == "too_early"
    home.clock.step(hours=23, minutes=59)
    assert waits(home) == "too_early"
    assert names(home) == ["one", "two"]
    home.clock.step(minutes=1)
    remove(home)
    assert names(home) == ["one"]
    with home.open() as deployment:
        assert [one.state for one in deployment.desk.acts()] == [Desk.State.DONE]


def test_a_veto_within_the_delay_stops_it(home: Home) -> None:
    waits(home)
    say(home, 0)
    say(home, 1)
    assert say(home, 2, "refuse") is Desk.State.REFUSED
    home.clock.step(days=2)
    assert waits(home) == "waiting_for_approval", "it is asked for anew"
    assert names(home) == ["one", "two"]


def test_what_nobody_ran_expires_and_is_asked_for_anew(home: Home) -> None:
    waits(home)
    say(home, 0)
    say(home, 1)
    home.clock.step(days=8)
    assert waits(home) == "waiting_for_approval"
    with home.open() as deployment:
        now = home.clock.now()
        states = [one.at(now).state for one in deployment.desk.acts()]
    assert states == [Desk.State.EXPIRED, Desk.State.ASKED]


def test_what_would_be_done_now_must_be_what_was_approved(home: Home) -> None:
    waits(home)
    say(home, 0)
    say(home, 1)
    home.clock.step(days=1)
    with home.open() as deployment, deployment.registry.database.transaction() as transaction:
        transaction.run("UPDATE location SET url = 'file:///elsewhere' WHERE name = 'two'")
    with pytest.raises(Refused, match="not what would be done now"):
        remove(home)


def test_one_person_approves_at_once_and_waits_for_the_delay(alone: Home) -> None:
    assert waits(alone) == waits(alone) == "too_early"
    with alone.open() as deployment:
        (act,) = deployment.desk.acts()
        (said,) = deployment.registry.facts("procedure.approved")
        assert act.request.requester in act.policy.approvers
    assert (said.body["approved"], said.body["enough"]) == ("unattended", True)
    alone.clock.step(hours=24)
    remove(alone)
    assert names(alone) == ["one"]


def test_what_one_person_took_back_is_asked_for_anew(alone: Home) -> None:
    waits(alone)
    with alone.open() as deployment:
        withdraw(deployment, deployment.desk.find("latest"), "a stranger asked")
    alone.clock.step(hours=24)
    assert waits(alone) == "too_early"
    assert names(alone) == ["one", "two"]


def test_a_run_that_was_killed_goes_on_until_it_expires_and_then_stands_in_no_way(
    home: Home,
) -> None:
    waits(home)
    say(home, 0)
    say(home, 1)
    home.clock.step(days=1)
    with home.open() as deployment:
        before = deployment.desk.find("latest")
        deployment.desk.change(before, before.decide(Desk.Begin(), home.clock.now()), [])
    home.clock.step(days=8)
    assert waits(home) == "waiting_for_approval"
    with home.open() as deployment:
        now = home.clock.now()
        states = [one.at(now).state for one in deployment.desk.acts()]
    assert states == [Desk.State.EXPIRED, Desk.State.ASKED]


def test_a_run_that_must_wait_has_not_failed(home: Home) -> None:
    waits(home)
    say(home, 0)
    say(home, 1)
    home.clock.step(days=1)
    with home.open() as deployment:
        act = deployment.desk.find("latest")
        with suppress(Waiting), running(deployment, act) as run:
            raise Waiting("a custodian counts the delay")
        assert deployment.desk.find("latest").state is Desk.State.APPROVED
        (begun, ended) = deployment.registry.facts("procedure.run")
    assert (begun.id, begun.phase) == (run.announced.id, "intent")
    assert begun.body["grant"] == Acts.Grant.digest(act.request, act.given)
    assert (ended.phase, ended.out, ended.why) == ("result", "denied", "waiting")
    remove(home)
    assert names(home) == ["one"]


def test_how_a_run_ended_is_told_also_where_it_was_withdrawn_meanwhile(home: Home) -> None:
    waits(home)
    say(home, 0)
    say(home, 1)
    home.clock.step(days=1)
    with home.open() as deployment:
        with running(deployment, deployment.desk.find("latest")):
            withdraw(deployment, deployment.desk.find("latest"), "too late")
        assert deployment.desk.find("latest").state is Desk.State.WITHDRAWN
        assert [one.phase for one in deployment.registry.facts("procedure.run")] == [
            "intent",
            "result",
        ]


def test_a_log_that_began_anew_ends_what_it_was_to_announce(home: Home) -> None:
    waits(home)
    say(home, 0)
    say(home, 1)
    home.clock.step(days=1)
    with home.open() as deployment:
        log = deployment.registry.log
        tools, now = deployment.tools, home.clock.now()
        keys = LogKeys.read(deployment.install, tools.secrets, tools.token)
        keys.begin_epoch(log, keys.origin(new_id(tools.token)), now, None)
    assert waits(home) == "waiting_for_approval"
    with home.open() as deployment:
        assert [one.state for one in deployment.desk.acts()] == [
            Desk.State.ENDED,
            Desk.State.ASKED,
        ]
        (ended,) = deployment.registry.facts("procedure.ended")
    assert ended.body["cause"] == "other_log"


def test_keys_to_answers_that_nobody_waits_for_are_removed_at_the_next_command(home: Home) -> None:
    with home.open() as deployment:
        deployment.tools.secrets.write(f"recipient-{'0' * 32}", b"of a request that was never made")
        deployment.tools.secrets.write("recipients", b"no such key")
    with home.open() as deployment:
        assert deployment.tools.secrets.names("recipient") == ["recipients"]


def test_words_about_nothing_that_was_asked_for_here_are_a_usage_error(home: Home) -> None:
    waits(home)
    with home.open() as deployment:
        act = deployment.desk.find("latest")
        withdraw(deployment, act, "")
        with pytest.raises(UsageError, match="not run by its request"):
            find_to_run(deployment, act.id)
        with pytest.raises(StrongroomError) as caught:
            withdraw(deployment, deployment.desk.find(act.id), "again")
        assert caught.value.code == "out_of_order"


def test_a_team_must_be_one(tmp_path: Path) -> None:
    keys = tuple(signing.public_key(seed) for seed in SEEDS)
    for team, why in ((Team(keys, 4), "cannot be reached"), (Team(keys[:1] * 2, 2), "twice")):
        with pytest.raises(UsageError, match=why):
            team.check()
