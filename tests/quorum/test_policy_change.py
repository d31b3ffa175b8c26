"""Changes of policy: what shows that a policy was approved, and who takes it by that."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, StrongroomError
from strongroom.facts import read_facts
from strongroom.quorum import LocalCustodian
from strongroom.quorum.approval import Approval
from strongroom.quorum.deed import Deed
from strongroom.quorum.policy_change import CHANGE_BYTES_MAX, PolicyChange
from strongroom.quorum.refusals import OtherPolicy
from strongroom.quorum.team_policy import TeamPolicy
from tests.quorum.ordering import DAY, Orders, newcomer
from tests.quorum.world import World
from tests.vectors import build_procedure_v1 as vector

ANNA, BEN, CEM = (bytes([number]) * 32 for number in (11, 12, 13))


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def next_policy(world: World, before: TeamPolicy, seed: bytes, **changes: Any) -> Envelope:
    """Return a team's policy that follows another, signed by one who approves there."""
    values: dict[str, Any] = {
        "mode": "team",
        "approvers": [signing.public_key(one) for one in (ANNA, BEN, CEM)],
        "rules": TeamPolicy.team_rules(2),
        "previous": before,
    }
    return world.sign_policy(seed=seed, **{**values, **changes})


def first_change(world: World, given: Orders | None = None) -> tuple[Envelope, PolicyChange]:
    """Return the policy after the first, with its change; custodian 3 is away from it."""
    orders = given or Orders(world)
    policy = next_policy(world, orders.policy, world.operator_seed)
    return policy, orders.change(policy, world.custodians[:2])


def pinned(custodian: LocalCustodian) -> Envelope | None:
    return custodian.pinned()[1]


def code(custodian: LocalCustodian, policy: Envelope, change: PolicyChange | None) -> str:
    """Return the code of a custodian's refusal; it follows what it did before."""
    before = pinned(custodian)
    with pytest.raises(StrongroomError) as caught:
        custodian.adopt_policy(policy, change)
    assert pinned(custodian) == before
    return caught.value.code


def test_who_was_away_takes_the_next_policy_long_after_its_request_has_ended(world: World) -> None:
    policy, change = first_change(world)
    away = world.custodians[2]
    world.clock.at += 400 * DAY
    away.adopt_policy(policy, PolicyChange.decode(change.encode()))
    away.adopt_policy(policy, change)
    assert pinned(away) == policy
    with world.databases[2].reading() as reading:
        facts = read_facts(reading, "policy.adopted")
    assert [dict(one.body) for one in facts] == [{"version": 1}, {"version": 2}]


def test_who_was_away_from_two_changes_takes_one_after_the_other(world: World) -> None:
    orders = Orders(world)
    second, first = first_change(world, orders)
    team = TeamPolicy.parse(second)
    orders.server, orders.approvers = replace(orders.server, policy=team), [ANNA, BEN]
    third = next_policy(world, team, ANNA, rules=TeamPolicy.team_rules(3))
    away = world.custodians.pop()
    next_one = orders.change(third, world.custodians)
    assert code(away, third, next_one) == "other_policy"
    for policy, change in ((second, first), (third, next_one)):
        away.adopt_policy(policy, change)
    assert pinned(away) == third
    # An older one is none that follows.
    assert code(away, second, first) == "other_policy"


def test_a_newcomer_takes_what_was_approved_and_needs_no_deed(world: World) -> None:
    policy, change = first_change(world)
    new = newcomer(world)
    with closing(new._own.database):
        members = [*(one.card() for one in world.custodians[:2]), new.card()]
        new.adopt_roster(world.sign_roster(members=members, version=2))
        new.adopt_policy(world.policy_envelope)
        assert code(new, policy, None) == "other_policy"
        new.adopt_policy(policy, replace(change, deeds=()))
        assert pinned(new) == policy


def test_a_refusal_that_was_kept_here_holds_against_deeds(world: World) -> None:
    policy, change = first_change(world)
    away = world.custodians[2]
    veto = Approval.sign(world.operator_seed, change.request, "refuse", world.clock.now())
    away.refuse(change.request, veto)
    assert code(away, policy, change) == "vetoed"


def test_the_frozen_change_shows_that_the_second_policy_follows_the_first() -> None:
    frozen = json.loads(vector.PATH.read_text(encoding="utf-8"))
    change = PolicyChange.decode(bytes.fromhex(frozen["policy_change"]))
    before, after = (
        TeamPolicy.parse(decode_envelope(bytes.fromhex(one), "a policy"))
        for one in frozen["policies"]
    )
    change.check(before, after)
    assert [Deed.read(one).index for one in change.deeds] == [1, 2]
    with pytest.raises(OtherPolicy, match="it does not follow version 2"):
        change.check(after, before)


@pytest.fixture(name="encoded", scope="module")
def _encoded() -> bytes:
    world = World()
    _, change = first_change(world)
    world.close()
    return change.encode()


@given(data=st.data())
def test_what_is_read_is_what_was_written_or_damaged(encoded: bytes, data: st.DataObject) -> None:
    """Bytes that somebody altered are no change, or one that is written in the same bytes."""
    at = data.draw(st.integers(0, len(encoded) - 1))
    length = data.draw(st.integers(0, 8))
    altered = encoded[:at] + data.draw(st.binary(max_size=8)) + encoded[at + length :]
    try:
        change = PolicyChange.decode(altered)
    except Damaged:
        return
    assert change.encode() == altered


@given(st.binary(max_size=200))
def test_noise_is_no_change(noise: bytes) -> None:
    with pytest.raises(Damaged):
        PolicyChange.decode(noise)


def test_every_limit_holds(encoded: bytes) -> None:
    change = PolicyChange.decode(encoded)
    with pytest.raises(Damaged, match=f"over {CHANGE_BYTES_MAX} bytes"):
        PolicyChange.decode(encoded + bytes(CHANGE_BYTES_MAX))
    for many in (
        replace(change, approvals=change.approvals * 33),
        replace(change, deeds=change.deeds * 17),
    ):
        with pytest.raises(Damaged, match="it has over 32 parts"):
            PolicyChange.decode(many.encode())
        with pytest.raises(Damaged, match="one of its lists is too long"):
            many.check_limits()
