"""A team policy follows another: approved, followed by custodians, kept and placed."""

import secrets
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import PartlyDone, Refused, UsageError, Waiting
from strongroom.operations.change_policy import (
    Change,
    change_policy,
    sign_next,
    tell_change,
)
from strongroom.operations.deployment import Deployment
from strongroom.operations.look_at_policies import behind
from strongroom.operations.placing import path_of_change, path_of_policy
from strongroom.operations.policies import current_policy, kept_policies
from strongroom.operations.requesting import needs_team, take
from strongroom.operations.tell_status import tell_status
from strongroom.procedures import Desk
from strongroom.quorum import Acts
from tests.operations.one_person import Home, away, make_home

ANN, BOB, CEM = (secrets.token_bytes(32) for _ in range(3))
TEAM = Change((signing.public_key(ANN), signing.public_key(BOB)))


@pytest.fixture(name="home")
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path, monkeypatch)


def signed(deployment: Deployment, change: Change = TEAM, seed: bytes | None = None) -> Envelope:
    """Return the policy that is to follow, signed by the one who approves now."""
    own = seed or deployment.tools.device.seed()
    return sign_next(own, current_policy(deployment), change, deployment.tools.clock.now())


def waited(home: Home) -> Envelope:
    """Ask for a team, and let the custodians' delay pass."""
    with home.open() as deployment:
        policy = signed(deployment)
        with pytest.raises(Waiting, match="any approver may refuse it until"):
            change_policy(deployment, policy)
        assert current_policy(deployment).version == 1
    home.clock.step(days=1, seconds=1)
    return policy


def test_one_person_makes_a_team_and_a_day_later_it_decides(home: Home) -> None:
    policy = waited(home)
    with home.open() as deployment:
        orders = change_policy(deployment, policy)
        orders.check_complete()
        assert orders.custodians == [1, 2, 3]
        assert current_policy(deployment).id == policy.statement.hash.hex()
        assert needs_team(deployment)
        assert behind(deployment) == []
        (act,) = deployment.desk.acts()
        assert act.state is Desk.State.DONE
        named = policy.statement.hash.hex()
        placed = home.home.parent / "one" / path_of_policy(deployment.install, named)
        assert placed.read_bytes() == policy.encode()
        beside = home.home.parent / "one" / path_of_change(deployment.install, named)
        change = Acts.PolicyChange.decode(beside.read_bytes())
        before, after = (shown.policy for shown in kept_policies(deployment.registry))
        change.check(before, after)
        assert change.followers(deployment.roster, after) == {1, 2, 3}
    with home.open() as deployment:
        assert change_policy(deployment, policy).custodians == [1, 2, 3]
        team = current_policy(deployment)
        assert (team.mode, team.version) == ("team", 2)
        assert {rule.approvals for rule in team.rules.values()} == {2}
        assert team.rules[Acts.Procedure.POLICY_CHANGE].delay == timedelta(days=1)


def test_a_team_changes_itself_by_its_own_rules(home: Home) -> None:
    policy = waited(home)
    with home.open() as deployment:
        change_policy(deployment, policy)
    change = Change((signing.public_key(ANN), signing.public_key(CEM)), 1, timedelta())
    with home.open() as deployment:
        after = signed(deployment, change, BOB)
        with pytest.raises(Refused, match="may not sign the next policy"):
            signed(deployment, change, CEM)
        for seed in (ANN, BOB):
            with pytest.raises(Waiting) as caught:
                change_policy(deployment, after)
            assert caught.value.code == "waiting_for_approval"
            (*_, act) = deployment.desk.acts()
            now = deployment.tools.clock.now()
            take(deployment, Acts.Approval.sign(seed, act.request, "approve", now))
        with pytest.raises(Waiting) as caught:
            change_policy(deployment, after)
        assert caught.value.code == "veto_time"
    home.clock.step(days=1, seconds=1)
    with home.open() as deployment:
        assert change_policy(deployment, after).custodians == [1, 2, 3]
        team = current_policy(deployment)
        assert sorted(team.approvers.values()) == sorted(change.approvers or ())


def test_who_was_away_is_told_later(home: Home) -> None:
    policy = waited(home)
    with home.open() as deployment:
        orders = change_policy(away(deployment, 3), policy)
        with pytest.raises(PartlyDone, match="by 2 of 3 custodians"):
            orders.check_complete()
        assert current_policy(deployment).version == 2
    with home.open() as deployment:
        assert [(one.index, one.version, one.known) for one in behind(deployment)] == [(3, 1, True)]
        (warning,) = (one for one in tell_status(deployment).warnings if "team policy" in one)
        assert warning.startswith("custodian 3 (custodian-3) follows another team policy")
    home.clock.step(days=40)
    with home.open() as deployment:
        assert change_policy(deployment).custodians == [1, 2, 3]
        assert behind(deployment) == []


def test_the_home_stays_with_those_that_can_open_something(home: Home) -> None:
    """One custodian alone under the new policy, and the home with it, could open nothing."""
    policy = waited(home)
    with home.open() as deployment:
        with pytest.raises(PartlyDone, match="by 1 of 3 custodians"):
            change_policy(away(deployment, 2, 3), policy)
        assert current_policy(deployment).version == 1
    with home.open() as deployment:
        assert change_policy(deployment, policy).custodians == [1, 2, 3]
        assert current_policy(deployment).version == 2


def test_a_policy_that_leaves_one_out_is_not_asked_for(home: Home) -> None:
    policy = waited(home)
    with home.open() as deployment:
        beside = signed(deployment, Change(delay=timedelta(hours=1)))
        change_policy(deployment, policy)
        with pytest.raises(Refused, match="does not follow version 2"):
            change_policy(deployment, beside)
        assert len(deployment.desk.acts()) == 1


def test_what_cannot_be_a_policy_is_said_before_it_is_signed(home: Home) -> None:
    with home.open() as deployment:
        with pytest.raises(UsageError, match="who approves alone"):
            signed(deployment, Change(approvals=2))
        with pytest.raises(UsageError, match="3 approvals cannot be reached"):
            signed(deployment, Change(TEAM.approvers, 3))
        with pytest.raises(UsageError, match="an approver is named twice"):
            signed(deployment, Change((signing.public_key(ANN),) * 2))
        with pytest.raises(UsageError, match="holds already"):
            change_policy(deployment)


def test_who_approves_reads_what_is_otherwise(home: Home) -> None:
    with home.open() as deployment:
        before = current_policy(deployment)
        after = Acts.Policy.parse(signed(deployment))
        lines = tell_change(before, after)
    assert lines[0] == "team policy version 2 after version 1"
    assert sum("is added, with the key" in line for line in lines) == 2
    assert sum("is removed" in line for line in lines) == 1
    alike = "1 must approve, at once -> 2 must approve, at once"
    assert f"{alike}: restore, browse, drill-authorisation" in lines
    delayed = "1 must approve, at once -> 2 must approve, then 24 h"
    assert f"{delayed}: recovery" in lines
