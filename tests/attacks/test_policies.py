"""One approver, or who has the home, would choose the policy by which custodians judge."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Refused, StrongroomError
from strongroom.ids import new_id
from strongroom.locations import Copies
from strongroom.operations.placing import path_of_change, path_of_policy
from strongroom.operations.policies import policies_before
from strongroom.operations.rebuild_custodian import newest_policy
from strongroom.quorum import LocalCustodian
from strongroom.quorum.approval import Approval
from strongroom.quorum.deed import Deed, Told
from strongroom.quorum.grant import Grant
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.team_policy import Rule, TeamPolicy
from tests.quorum.granting import Ledger, Server
from tests.quorum.ordering import Orders, newcomer
from tests.quorum.world import World, resigned, seeded
from tests.support.memory_location import MemoryLocation

ANNA, BEN, EVE = (bytes([number]) * 32 for number in (11, 12, 66))
STRANGER = bytes([99]) * 32


class Team:
    """A team of three, two of whom approve; Eve is the third, and would decide alone."""

    def __init__(self) -> None:
        self.world = World()
        world = self.world
        self.keys = [signing.public_key(seed) for seed in (ANNA, BEN, EVE)]
        self.rules = TeamPolicy.team_rules(2)
        self.first = world.sign_policy(mode="team", approvers=self.keys, rules=self.rules)
        for custodian in world.custodians:
            custodian.adopt_policy(self.first)
        ledger = Ledger(world.install, world.client, world.clock, seeded("team"))
        self.policy = TeamPolicy.parse(self.first)
        world.server = Server(ledger, world.custodians, self.policy, [ANNA, BEN])
        self.orders = Orders(world, [ANNA, BEN])

    def next(self, seed: bytes, **changes: Any) -> Envelope:
        """Return a policy that follows, as two of the three would approve it."""
        values: dict[str, Any] = {"mode": "team", "approvers": self.keys, "rules": self.rules}
        return self.world.sign_policy(seed=seed, **{**values, "previous": self.policy, **changes})

    def of_eve(self) -> Envelope:
        """Return the policy that Eve would like: by it she alone decides, at once."""
        alone = {one: Rule(1, timedelta()) for one in Procedure}
        return self.next(EVE, approvers=[signing.public_key(EVE)], rules=alone)

    def by(self, *seeds: bytes, of: Envelope) -> PolicyChange:
        """Return a change that these have approved; nobody follows it."""
        self.orders.approvers = seeds
        change = self.orders.change(of)
        self.orders.approvers = [ANNA, BEN]
        return change

    def claims(self, policy: Envelope) -> Iterator[tuple[PolicyChange | None, str]]:
        """Yield what one approver can show for a policy, and how each is refused."""
        own = self.by(EVE, of=policy)
        yield None, "other_policy"
        yield own, "not_approved"
        yield replace(own, approvals=()), "not_approved"
        yield replace(own, approvals=own.approvals * 2), "damaged"
        yield self.by(EVE, STRANGER, of=policy), "not_an_approver"
        # What Anna and Ben have approved is another policy, or another thing.
        true = self.by(ANNA, BEN, of=self.next(ANNA))
        yield true, "not_approved"
        yield replace(own, approvals=true.approvals), "other_request"
        location = {"location": new_id(self.world.token)}
        other = self.orders.ask(Procedure.LOCATION_REMOVAL, location)
        yield PolicyChange(other, self.orders.approve(other), ()), "not_approved"
        anna = {"approver": signing.key_id(signing.public_key(ANNA))}
        posing = resigned(own.approvals[0], EVE, "approval", anna)
        both = sorted((posing, *own.approvals), key=lambda one: Approval.read(one).approver)
        yield replace(own, approvals=tuple(both)), "forged_approval"
        no = Approval.sign(ANNA, own.request, "refuse", self.world.clock.now())
        said = sorted((no, *own.approvals), key=lambda one: Approval.read(one).approver)
        yield replace(own, approvals=tuple(said)), "vetoed"

    def place(self, copies: Copies, policy: Envelope, change: PolicyChange | None = None) -> str:
        """Put a policy where it lies, and what is said to show that it was approved."""
        named = policy.statement.hash.hex()
        copies.put(path_of_policy(self.world.install, named), policy.encode())
        if change is not None:
            copies.put(path_of_change(self.world.install, named), change.encode())
        return named

    def found(self, copies: Copies) -> tuple[Envelope, list[str]]:
        """Return which policy one made again from its kit would follow, and what it names."""
        problems: list[str] = []
        return newest_policy(copies, copies.list(""), self.world.roster, problems), problems


@pytest.fixture(name="team")
def _team() -> Iterator[Team]:
    made = Team()
    yield made
    made.world.close()


def code(custodian: LocalCustodian, policy: Envelope, change: PolicyChange | None) -> str:
    """Return the code of a custodian's refusal; it follows what it did before."""
    before = custodian.pinned()
    with pytest.raises(StrongroomError) as caught:
        custodian.adopt_policy(policy, change)
    assert custodian.pinned() == before
    return caught.value.code


def test_one_approver_shows_a_newcomer_a_policy_of_his_own(team: Team) -> None:
    world, new = team.world, newcomer(team.world)
    with closing(new._own.database):
        members = [*(one.card() for one in world.custodians[:2]), new.card()]
        new.adopt_roster(world.sign_roster(members=members, version=2))
        new.adopt_policy(team.first)
        policy = team.of_eve()
        for change, refused in team.claims(policy):
            assert code(new, policy, change) == refused


def test_one_approver_shows_custodians_a_policy_of_his_own(team: Team) -> None:
    policy = team.of_eve()
    for change, refused in team.claims(policy):
        assert code(team.world.custodians[0], policy, change) == refused


def test_what_was_approved_is_shown_before_it_was_done(team: Team) -> None:
    """Who has the home has the approvals, and would skip announcement, delay and veto."""
    world, policy = team.world, team.next(ANNA)
    change = team.by(ANNA, BEN, of=policy)
    away = world.custodians[2]
    assert code(away, policy, change) == "other_policy"
    told: dict[str, Told] = {"policy": policy.statement.hash.hex(), "version": 2}
    deed = Deed(
        world.install,
        world.roster.member(1).id,
        1,
        change.request.request,
        Procedure.POLICY_CHANGE,
        None,
        Grant.digest(change.request, change.approvals),
        world.clock.now(),
        told,
    )
    one, other = (world.custodians[index]._own for index in (0, 1))
    mine = deed.sign(one.seed)
    second = replace(deed, custodian=other.member.id, index=2)
    lies = (
        second.sign(EVE),
        replace(second, told={**told, "policy": "77" * 32}).sign(other.seed),
        replace(second, request="77" * 16).sign(other.seed),
        replace(deed, done_at=world.clock.now()).sign(one.seed),
        replace(second, custodian=deed.custodian).sign(other.seed),
        replace(second, index=9).sign(other.seed),
    )
    for lie in lies:
        assert code(away, policy, replace(change, deeds=(mine, lie))) == "other_policy"
    # A custodian that signs for what it did not do would have to find t - 1 others that lie, too.
    away.adopt_policy(policy, replace(change, deeds=(mine, second.sign(other.seed))))


def test_a_policy_that_one_approver_plants_at_a_location(team: Team) -> None:
    """A custodian that is made again from its kit follows what was approved, and names the rest."""
    policy = team.of_eve()
    for change, _ in team.claims(policy):
        with Copies({"one": MemoryLocation()}) as copies:
            team.place(copies, team.first)
            planted = team.place(copies, policy, change)
            found, (problem,) = team.found(copies)
            assert found == team.first
            assert problem.startswith(f"policy version 2 ({planted[:12]}) is passed over: ")
            assert list(policies_before(TeamPolicy.parse(policy), copies, team.world.install)) == []


def test_a_refused_policy_at_a_location_hides_no_followed_one(team: Team) -> None:
    """Both were approved by the one before; the true one shows that custodians follow it."""
    world, refused, true = (
        team.world,
        team.next(ANNA),
        team.next(BEN, rules=TeamPolicy.team_rules(3)),
    )
    with Copies({"one": MemoryLocation()}) as copies:
        team.place(copies, team.first)
        team.place(copies, refused, team.by(ANNA, BEN, of=refused))
        change = team.orders.change(true, world.custodians[:2])
        team.place(copies, true, replace(change, deeds=change.deeds[:1]))
        with pytest.raises(Refused, match="cannot be told"):
            team.found(copies)
        two = MemoryLocation()
        with Copies({"two": two}) as other:
            team.place(other, true, change)
        with Copies({"one": MemoryLocation(), "two": two}) as both:
            team.place(both, team.first)
            team.place(both, refused, team.by(ANNA, BEN, of=refused))
            assert team.found(both) == (true, [])


def test_a_planted_change_hides_no_true_one(team: Team) -> None:
    policy, one, two = team.next(ANNA), MemoryLocation(), MemoryLocation()
    true = team.by(ANNA, BEN, of=policy)
    with Copies({"one": one}) as lying:
        team.place(lying, policy, replace(true, approvals=true.approvals[:1]))
    with Copies({"two": two}) as honest:
        team.place(honest, policy, true)
    with Copies({"one": one, "two": two}) as copies:
        team.place(copies, team.first)
        assert team.found(copies) == (policy, [])
        (before,) = policies_before(TeamPolicy.parse(policy), copies, team.world.install)
        assert before == team.policy
    with Copies({"one": one}) as copies:
        found, problems = team.found(copies)
        assert found == team.first
        assert "1 of 2 approvals that count" in problems[0]
