"""The server's log in memory, and the orders that an honest server gives from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto.envelope import Envelope
from strongroom.errors import StrongroomError
from strongroom.facts import Fact
from strongroom.ids import ClientId, new_id
from strongroom.quorum import LocalCustodian
from strongroom.quorum.approval import Approval
from strongroom.quorum.grant import Grant
from strongroom.quorum.order import Order
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.procedure import Procedure, Value
from strongroom.quorum.request import ActRequest
from strongroom.quorum.team_policy import TeamPolicy
from tests.quorum.granting import HOUR, Ledger
from tests.quorum.world import KEK, World, seeded

DAY = timedelta(days=1)


@dataclass
class Orders:
    """An honest server: it asks, has it approved, announces it in its own log, and proves that."""

    world: World
    approvers: Sequence[bytes] = ()
    requester: str = "77" * 16

    def __post_init__(self) -> None:
        world = self.world
        self.server = world.server
        self.approvers = self.approvers or [world.operator_seed]
        token = seeded(f"{world.seed}/orders")
        self.ledger = Ledger(world.install, world.client, world.clock, token, number=2)

    @property
    def policy(self) -> TeamPolicy:
        return self.server.policy

    def ask(
        self,
        procedure: Procedure,
        params: Mapping[str, Value],
        client: ClientId | None = None,
        **changes: Any,
    ) -> ActRequest:
        """Return the request for exactly that."""
        now = self.world.clock.now()
        fields: dict[str, Any] = {
            "install": self.world.install,
            "request": new_id(self.ledger.token),
            "procedure": procedure,
            "params": params,
            "client": client,
            "wanted": None,
            "plan": None,
            "requester": self.requester,
            "origin": self.ledger.origin,
            "policy": self.policy.id,
            "not_before": now,
            "expires": now + 24 * 7 * HOUR,
            "nonce": new_id(self.ledger.token),
        }
        return ActRequest(**{**fields, **changes}).check()

    def approve(self, request: ActRequest) -> tuple[Envelope, ...]:
        now = self.world.clock.now()
        given = [Approval.sign(seed, request, "approve", now) for seed in self.approvers]
        return tuple(sorted(given, key=lambda one: Approval.read(one).approver))

    def announce(
        self, request: ActRequest, approvals: tuple[Envelope, ...], **changes: Any
    ) -> Fact:
        """Announce that it is run; `changes` replace what the body says."""
        body = {
            "procedure": str(request.procedure),
            "digest": request.digest,
            "grant": Grant.digest(request, approvals),
        }
        subject = changes.pop("subject", request.request)
        return self.ledger.announce_run(subject, **{**body, **changes})

    def grant(
        self,
        request: ActRequest,
        *,
        witnesses: Sequence[LocalCustodian] | None = None,
        approvals: tuple[Envelope, ...] | None = None,
        purpose: str = "server",
        **announced: Any,
    ) -> Grant:
        """Return a grant of the request, every step of it as it should be."""
        given = self.approve(request) if approvals is None else approvals
        fact = self.announce(request, given, **announced)
        asked = self.world.custodians if witnesses is None else witnesses
        note = self.ledger.cosign(asked, purpose)
        cards = [custodian.witness_card() for custodian in asked]
        return Grant(request, given, self.ledger.prove(fact, note, cards))

    def order(self, request: ActRequest, *enclosed: Envelope, **changes: Any) -> Order:
        """Return an order of the request, with these objects."""
        return Order(self.grant(request, **changes), enclosed)

    def waited(self, request: ActRequest, *enclosed: Envelope, **changes: Any) -> Order:
        """Return an order that every custodian was shown, after the delay of its rule."""
        for custodian in self.world.custodians:
            with pytest.raises(StrongroomError) as caught:
                custodian.obey(self.order(request, *enclosed, **changes))
            assert caught.value.code == "veto_time"
        self.world.clock.at += DAY
        return self.order(request, *enclosed, **changes)

    def change(
        self, policy: Envelope, following: Sequence[LocalCustodian] = (), **changes: Any
    ) -> PolicyChange:
        """Return what shows that a policy was approved; those custodians follow it, and sign."""
        version = TeamPolicy.parse(policy).version
        params: dict[str, Value] = {"policy": policy.statement.hash.hex(), "version": version}
        request = self.ask(Procedure.POLICY_CHANGE, params, **changes)
        if not following:
            return PolicyChange(request, self.approve(request), ())
        order = self.waited(request, policy)
        deeds = tuple(custodian.obey(order) for custodian in following)
        return PolicyChange(request, order.grant.approvals, deeds)

    def seat(self, new: LocalCustodian, **changes: Any) -> tuple[Envelope, ActRequest]:
        """Return the roster in which a new custodian has its seat, and the request for it."""
        card, members = new.card(), list(self.world.roster.members)
        members[card.index - 1] = card
        roster = self.world.sign_roster(**{"members": members, "version": 2, **changes})
        return roster, self.seating(new, roster)

    def seating(self, new: LocalCustodian, roster: Envelope) -> ActRequest:
        """Return the request for a new custodian's seat in this very roster."""
        card = new.card()
        params: dict[str, Value] = {
            "index": card.index,
            "identity": card.identity.hex(),
            "roster": roster.statement.hash.hex(),
        }
        return self.ask(Procedure.CUSTODIAN_ENROL, params)


def newcomer(world: World, index: int = 3) -> LocalCustodian:
    """Return a new custodian for the seat of another."""
    seat = (world.install, index, f"new{index}")
    secret = world.token(32)
    return LocalCustodian.create(open_sqlite(None), KEK, seat, secret, world.clock, world.token)
