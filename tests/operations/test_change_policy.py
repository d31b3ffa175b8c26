"""A team policy follows another: approved, followed by custodians, kept and placed."""

import secrets
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import PartlyDone, Refused, Unavailable, UsageError, Waiting
from strongroom.operations.change_policy import (
    Change,
    change_policy,
    sign_next,
    tell_change,
)
from strongroom.operations.deployment import Deployment
from strongroom.operations.look_at_policies import behind, catch_up_policies
from strongroom.operations.pending import look_at_pending
from strongroom.operations.placing import path_of_change, path_of_policy
from strongroom.operations.policies import current_policy, kept_policies
from strongroom.operations.reconcile import reconcile
from strongroom.operations.requesting import needs_team, take
from strongroom.operations.tell_status import tell_status
from strongroom.procedures import Desk
from strongroom.quorum import Acts
from tests.operations.one_person import Home, away, make_home, standing_in
from tests.support.stand_in import StandIn

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


def seen(deployment: Deployment) -> list[tuple[int, int, str]]:
    """Return which custodians follow another policy, its version, and what it is to this home."""
    return [(one.index, one.version, one.state) for one in behind(deployment)]


def test_who_was_away_is_told_later(home: Home) -> None:
    policy = waited(home)
    with home.open() as deployment:
        orders = change_policy(away(deployment, 3), policy)
        with pytest.raises(PartlyDone, match="by 2 of 3 custodians"):
            orders.check_complete()
        assert current_policy(deployment).version == 2
    with home.open() as deployment:
        assert seen(deployment) == [(3, 1, "older")]
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
        assert seen(deployment) == [(1, 2, "newer")]
        assert change_policy(deployment, policy).custodians == [1, 2, 3]
        assert current_policy(deployment).version == 2


class Killed(BaseException):
    """The end of a process, wherever it is."""


class Unheard(StandIn):
    """A custodian whose answer to an order is lost on its way."""

    def obey(self, order: Acts.Order) -> Envelope:
        self._honest.obey(order)
        raise Unavailable(f"custodian {self.card().index} cannot be reached", "it took too long")


def kill(*_: object) -> None:
    """End the process instead."""
    raise Killed


def test_a_change_that_was_cut_off_is_finished_after_its_request_has_expired(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Custodians have followed, and do nothing under the policy before: the home must come too."""
    policy = waited(home)
    with home.open() as deployment, monkeypatch.context() as patched:
        patched.setattr("strongroom.operations.change_policy.keep_policy", kill)
        with pytest.raises(Killed):
            change_policy(deployment, policy)
    home.clock.step(days=40)
    with home.open() as deployment:
        assert seen(deployment) == [(index, 2, "newer") for index in (1, 2, 3)]
        assert "this home does not yet: `strongroom policy change" in str(behind(deployment)[0])
        assert change_policy(deployment, policy).custodians == [1, 2, 3]
        assert (current_policy(deployment).version, behind(deployment)) == (2, [])
        assert len(deployment.desk.acts()) == 1
        before, after = kept_policies(deployment.registry)
        assert after.change is not None
        after.change.check(before.policy, after.policy)
        assert after.change.followers(deployment.roster, after.policy) == {1, 2, 3}
        named = path_of_change(deployment.install, after.policy.id)
        assert (home.home.parent / "one" / named).read_bytes() == after.change.encode()


def test_deeds_that_were_lost_are_fetched_after_the_request_has_expired(home: Home) -> None:
    policy = waited(home)
    with home.open() as deployment:
        unheard = (Unheard(deployment.custodians[index]) for index in (2, 3))
        with pytest.raises(PartlyDone, match="by 1 of 3 custodians"):
            change_policy(standing_in(deployment, *unheard), policy)
    home.clock.step(days=9)
    with home.open() as deployment:
        # Nobody shows by which request they follow, and so the change is asked for anew.
        with pytest.raises(Refused, match="custodian 2 cannot be reached"):
            change_policy(away(deployment, 2, 3), policy)
        assert len(look_at_pending(deployment)) == 1
    with home.open() as deployment:
        assert change_policy(deployment, policy).custodians == [1, 2, 3]
        assert (current_policy(deployment).version, behind(deployment)) == (2, [])
        _, after = kept_policies(deployment.registry)
        assert after.change is not None
        assert after.change.followers(deployment.roster, after.policy) == {1, 2, 3}
        assert look_at_pending(deployment) == []


def test_a_change_that_too_few_followed_in_time_is_asked_for_anew(home: Home) -> None:
    """Who did not follow in time is not made to by a request that is over."""
    policy = waited(home)
    with home.open() as deployment, pytest.raises(PartlyDone):
        change_policy(away(deployment, 2, 3), policy)
    home.clock.step(days=9)
    with home.open() as deployment:
        with pytest.raises(Waiting, match="any approver may refuse it until"):
            change_policy(deployment, policy)
        assert seen(deployment) == [(1, 2, "newer")]
        over, anew = deployment.desk.acts()
        assert (sorted(deployment.desk.deeds(over.id)), anew.is_open) == ([1], True)
    home.clock.step(days=1, seconds=1)
    with home.open() as deployment:
        assert change_policy(deployment, policy).custodians == [2, 3]
        assert (current_policy(deployment).version, behind(deployment)) == (2, [])


def test_an_order_that_is_overtaken_by_a_change_says_what_to_do(home: Home) -> None:
    """Approved under one policy, it is done by nobody who follows the next already."""
    policy = waited(home)
    with home.open() as deployment, pytest.raises(PartlyDone):
        change_policy(away(deployment, 2, 3), policy)
    with home.open() as deployment:
        beside = signed(deployment, Change(delay=timedelta(hours=1)))
        with pytest.raises(Waiting):
            change_policy(deployment, beside)
    home.clock.step(days=1, seconds=1)
    with home.open() as deployment:
        followed = change_policy(deployment, beside)
        with pytest.raises(PartlyDone, match="followed by 2 of 3 custodians") as caught:
            followed.check_complete()
        assert "custodian 1 (custodian-1): refuses request" in caught.value.why
        assert "finish `strongroom policy change`, then run the same" in caught.value.hint
        # Two changes were approved, and this one has gone the other way for good.
        assert seen(deployment) == [(1, 2, "unknown")]
        assert catch_up_policies(deployment, "custodian-2") == []
        (why,) = catch_up_policies(deployment, "custodian-1")
        assert "custodian 1 (custodian-1) does not follow the team policy of this home" in why


def test_who_was_away_follows_when_it_is_next_asked_for_something(home: Home) -> None:
    policy = waited(home)
    with home.open() as deployment:
        change_policy(away(deployment, 3), policy)
    home.clock.step(days=40)
    with home.open() as deployment:
        after = signed(deployment, Change(delay=timedelta(hours=1)), ANN)
        with pytest.raises(Waiting):
            change_policy(deployment, after)
        (*_, act) = deployment.desk.acts()
        for seed in (ANN, BOB):
            word = Acts.Approval.sign(seed, act.request, "approve", deployment.tools.clock.now())
            take(deployment, word)
        with pytest.raises(Waiting, match="any approver may refuse it until"):
            change_policy(deployment, after)
        assert seen(deployment) == []


def test_a_home_that_lacks_the_first_policies_shows_them_from_the_locations(home: Home) -> None:
    """A home that was recovered from custodians that live has the newest alone."""
    policy = waited(home)
    with home.open() as deployment:
        change_policy(away(deployment, 3), policy)
    with home.open() as deployment:
        with deployment.registry._database.transaction() as transaction:
            transaction.run("DELETE FROM team_policy WHERE version = 1")
            transaction.run("UPDATE team_policy SET change = NULL")
        assert change_policy(deployment).custodians == [1, 2, 3]
        assert seen(deployment) == []


def test_reconcile_names_who_follows_a_policy_that_this_home_does_not_know(home: Home) -> None:
    """Somebody has used the approvers elsewhere, or a custodian that holds nothing yet."""
    with home.open() as deployment:
        policy = signed(deployment)
        first, now = current_policy(deployment), deployment.tools.clock.now()
        request = Acts.Request(
            install=deployment.install,
            request="71" * 16,
            procedure=Acts.Procedure.POLICY_CHANGE,
            params={"policy": policy.statement.hash.hex(), "version": 2},
            client=None,
            wanted=None,
            plan=None,
            requester=next(iter(first.approvers)),
            origin=f"{deployment.install}.ledger.invalid/{'72' * 16}",
            policy=first.id,
            not_before=now,
            expires=now + timedelta(days=1),
            nonce="73" * 16,
        )
        word = Acts.Approval.sign(deployment.tools.device.seed(), request, "approve", now)
        change = Acts.PolicyChange(request, (word,), ())
        deployment.custodians[2].adopt_policy(policy, change)
        found = reconcile(deployment)
        assert (found.state, [one.index for one in found.others]) == ("split", [2])
        assert "find out with the approvers who signed it" in str(found.others[0])


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
