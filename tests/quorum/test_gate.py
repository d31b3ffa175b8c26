"""The gate of a custodian: which policy it pins."""

from contextlib import closing
from typing import Any

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Refused
from strongroom.facts import read_facts
from strongroom.ids import new_id
from strongroom.quorum import LocalCustodian
from strongroom.quorum.kit import Kit
from strongroom.quorum.refusals import OtherPolicy
from strongroom.quorum.team_policy import TeamPolicy
from tests.quorum.world import KEK, World


def refused(custodian: LocalCustodian, policy: Envelope) -> OtherPolicy:
    """Return why a custodian does not pin a policy."""
    with pytest.raises(OtherPolicy) as caught:
        custodian.adopt_policy(policy)
    return caught.value


def test_the_first_policy_is_pinned_and_journalled_once(world: World) -> None:
    custodian = world.custodians[0]
    policy = custodian.adopt_policy(world.policy_envelope)
    assert custodian.adopt_policy(world.policy_envelope) == policy
    with world.databases[0].reading() as reading:
        facts = read_facts(reading, "policy.adopted")
    assert [(one.subject, dict(one.body)) for one in facts] == [(policy.id, {"version": 1})]
    again = LocalCustodian.open(world.databases[0], KEK, world.clock, world.token)
    assert again.adopt_policy(world.policy_envelope) == policy


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"seed": bytes([7]) * 32}, "the roster's operator did not sign it"),
        ({"version": 2}, "it is not the first"),
        ({"cosignatures": 1}, "it wants 1 cosignatures: 2 to 3"),
        ({"cosignatures": 4}, "2 to 3 are allowed"),
        ({"install": "77" * 16}, "it is of another install"),
    ],
)
def test_a_policy_that_is_not_the_first(world: World, changes: dict[str, Any], why: str) -> None:
    assert why in str(refused(world.custodians[0], world.sign_policy(**changes)))


def test_a_policy_is_swapped_for_another_one(world: World) -> None:
    """Also one that the operator signed: the first stays until its own rule changes it."""
    custodian = world.custodians[0]
    custodian.adopt_policy(world.policy_envelope)
    thief = signing.public_key(bytes([7]) * 32)
    swapped = world.sign_policy(approvers=[thief])
    first = TeamPolicy.parse(world.policy_envelope)
    following = world.sign_policy(previous=first)
    for policy in (swapped, following):
        assert refused(custodian, policy).code == "other_policy"


def test_no_policy_before_the_roster(world: World) -> None:
    with closing(open_sqlite(None)) as database:
        seat = (world.install, 1, "new")
        bare = LocalCustodian.create(database, KEK, seat, world.token(32), world.clock, world.token)
        with pytest.raises(Refused, match="has adopted no roster yet"):
            bare.adopt_policy(world.policy_envelope)


def test_who_holds_the_kit_gives_a_rebuilt_custodian_its_policy(world: World) -> None:
    """A kit holds the keys themselves: it stands above the policy, once."""
    device = world.token(32)
    given = world.sign_policy(seed=device)
    with closing(open_sqlite(None)) as database:
        rebuilt = LocalCustodian.restore(
            database,
            KEK,
            world.custodians[0].kit_entries(),
            Kit(world.kit_secrets[0]),
            world.clock,
            world.token,
        )
        rebuilt.adopt_roster(world.roster_envelope)
        assert refused(rebuilt, given).code == "other_policy"
        with pytest.raises(OtherPolicy, match="another install"):
            rebuilt.take_policy(world.sign_policy(seed=device, install=new_id(world.token)))
        assert rebuilt.take_policy(given).approvers.keys() == {
            signing.key_id(signing.public_key(device))
        }
        with pytest.raises(OtherPolicy, match="it was not rebuilt just now"):
            rebuilt.take_policy(world.sign_policy(seed=device, at=world.clock.now()))


def test_a_custodian_that_has_one_takes_none(world: World) -> None:
    world.custodians[0].adopt_policy(world.policy_envelope)
    with pytest.raises(OtherPolicy):
        world.custodians[0].take_policy(world.sign_policy(seed=bytes([7]) * 32))
