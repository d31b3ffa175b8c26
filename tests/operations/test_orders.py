"""Orders from the home: announced, proved to every custodian, done once, and each deed kept."""

import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import PartlyDone, StrongroomError, Waiting
from strongroom.operations.deployment import Deployment
from strongroom.operations.orders import Orders, give_order, kept_deeds
from strongroom.operations.policies import current_policy
from strongroom.operations.requesting import Wish, permitted
from strongroom.procedures import Desk, Plan
from strongroom.quorum import Acts, Custodian
from tests.operations.one_person import Home, away, make_home, standing_in
from tests.support.stand_in import StandIn

DEVICE = secrets.token_bytes(32)


class Borrowing(StandIn):
    """A custodian that hands in the deed of another."""

    def __init__(self, honest: Custodian, deed: bytes) -> None:
        super().__init__(honest)
        self._deed = deed

    def obey(self, order: Acts.Order) -> Envelope:
        return decode_envelope(self._deed, "a deed")


@pytest.fixture(name="home")
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path, monkeypatch)


def following(deployment: Deployment) -> Envelope:
    """Return a policy of another person, which follows this home's."""
    first = current_policy(deployment)
    draft = Acts.Policy.Draft(
        deployment.install,
        "single",
        first.cosignatures,
        [signing.public_key(DEVICE)],
        Acts.Policy.single_rules(),
        first,
    )
    return Acts.Policy.sign(deployment.tools.device.seed(), draft, first.created_at)


def order(deployment: Deployment, policy: Envelope) -> Orders:
    """Ask for another policy, and order it of the custodians when that is approved."""
    params: dict[str, str | int] = {"policy": policy.statement.hash.hex(), "version": 2}
    wish = Wish(Acts.Procedure.POLICY_CHANGE, params, Plan.of("another person"), "change")
    with permitted(deployment, None, wish) as permit:
        assert permit is not None
        orders = give_order(deployment, permit, [policy])
        orders.check_complete("the policy is changed")
        return orders


def waited(home: Home) -> Envelope:
    """Order it once, so that the custodians wait, and let their delay pass."""
    with home.open() as deployment:
        policy = following(deployment)
        with pytest.raises(Waiting, match="any approver may refuse it until") as caught:
            order(deployment, policy)
        assert caught.value.code == "veto_time"
        assert [one.state for one in deployment.desk.acts()] == [Desk.State.APPROVED]
    home.clock.step(days=1, seconds=1)
    return policy


def test_every_custodian_does_it_once_and_its_deed_is_kept(home: Home) -> None:
    policy = waited(home)
    with home.open() as deployment:
        orders = order(deployment, policy)
        assert sorted(orders.deeds) == [1, 2, 3]
        (act,) = deployment.desk.acts()
        assert act.state is Desk.State.DONE
        assert kept_deeds(deployment, act.request) == orders.deeds
        assert {one.told["version"] for one in orders.deeds.values()} == {2}
        told = deployment.registry.log.facts()
        deeds = [one for one in told if one.op == "procedure.obeyed"]
        assert {one.body["custodian"] for one in deeds} == {
            one.id for one in deployment.roster.members
        }


def test_who_is_away_gets_it_when_the_same_command_is_run_again(home: Home) -> None:
    policy = waited(home)
    with home.open() as deployment:
        with pytest.raises(PartlyDone, match="by 2 of 3 custodians") as caught:
            order(away(deployment, 3), policy)
        assert "custodian 3 (custodian-3): cannot be reached" in str(caught.value)
        (act,) = deployment.desk.acts()
        first = kept_deeds(deployment, act.request)
        assert sorted(first) == [1, 2]
    home.clock.step(days=3)
    with home.open() as deployment:
        orders = order(deployment, policy)
        assert sorted(orders.deeds) == [1, 2, 3]
        assert {index: orders.deeds[index] for index in first} == first


def test_a_deed_of_another_custodian_counts_for_nobody(home: Home) -> None:
    policy = waited(home)
    with home.open() as deployment:
        with pytest.raises(PartlyDone):
            order(away(deployment, 3), policy)
        (act,) = deployment.desk.acts()
        deeds = deployment.desk.deeds(act.id)
    with home.open() as deployment:
        liar = Borrowing(deployment.custodians[3], deeds[1])
        with pytest.raises(PartlyDone, match="gave no deed of its own"):
            order(standing_in(deployment, liar), policy)
        assert sorted(deployment.desk.deeds(act.id)) == [1, 2]


def test_a_deed_of_what_was_never_ordered_here_counts_for_nothing(home: Home) -> None:
    """A deed for the same request under approvals that this home did not announce."""
    policy = waited(home)
    with home.open() as deployment:
        with pytest.raises(PartlyDone):
            order(away(deployment, 3), policy)
        (act,) = deployment.desk.acts()
        deed = kept_deeds(deployment, act.request)[1]
    with home.open() as deployment:
        third = deployment.embedded()[2]
        own = replace(deed, custodian=third.card().id, index=3, grant="0" * 64)
        liar = Borrowing(third, own.sign(third._own.seed).encode())
        with pytest.raises(PartlyDone, match="gave a deed of what was not ordered here"):
            order(standing_in(deployment, liar), policy)
        assert sorted(deployment.desk.deeds(act.id)) == [1, 2]
        # Approvals that came after an earlier run change nothing of what was done by it.
        announced = Borrowing(third, replace(own, grant=deed.grant).sign(third._own.seed).encode())
        order(standing_in(deployment, announced), policy)
        assert sorted(deployment.desk.deeds(act.id)) == [1, 2, 3]


def test_nothing_is_ordered_where_too_few_custodians_saw_it(home: Home) -> None:
    policy = waited(home)
    with home.open() as deployment:
        alone = replace(deployment, custodians={1: deployment.custodians[1]})
        with pytest.raises(StrongroomError) as caught:
            order(alone, policy)
        assert caught.value.code == "unwitnessed"
        assert deployment.desk.deeds(deployment.desk.acts()[0].id) == {}
