"""A world whose third custodian lost its seat, and whose sessions are dealt anew since."""

import hashlib
from collections.abc import Sequence
from typing import Any

from strongroom.crypto import public_sealing, signing
from strongroom.crypto.envelope import Envelope
from strongroom.ids import SessionId
from strongroom.quorum import Custodian, Dealing, Roster
from strongroom.quorum.procedure import Procedure, Value
from strongroom.quorum.reopened import RedealReceipt, Reopened
from strongroom.quorum.request import ActRequest
from strongroom.quorum.roster import Member
from strongroom.quorum.rules import Past, Standing
from strongroom.quorum.shares import Point
from tests.quorum.ordering import Orders, newcomer
from tests.quorum.world import World


class Redealing:
    """What the process that deals anew does, one step at a time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.before, self.dealt = world.backed_up(sessions=2)
        self.first = world.roster
        self.lost = world.custodians[2]
        self.orders = Orders(world)
        self.newcomer = newcomer(world)
        self.seed = world.token(public_sealing.SEED_BYTES)
        self.recipient = public_sealing.public_key(self.seed)
        self._replace()

    def _replace(self) -> None:
        world = self.world
        envelope, request = self.orders.seat(self.newcomer)
        order = self.orders.waited(request, envelope)
        for custodian in world.custodians[:2]:
            custodian.obey(order)
        self.newcomer.adopt_roster(envelope)
        self.newcomer.adopt_policy(world.policy_envelope)
        past = Past(Standing(world.sequence, world.last))
        certificate = self.newcomer.enrol(
            world.client, world.vault, world.vault_class, world.writer, past
        )
        world.roster = Roster.parse(envelope, signing.public_key(world.operator_seed))
        world.custodians[2] = self.newcomer
        world.client_keys[2] = world.roster.check_client_key(certificate).public

    def ask(self, params: dict[str, Value] | None = None, **changes: Any) -> ActRequest:
        """Return the request to deal anew, to the key that was made for it."""
        wanted: dict[str, Value] = {
            "custodian": self.lost.card().id,
            "roster": self.world.roster.id,
            "recipient": hashlib.sha256(self.recipient).hexdigest(),
        }
        return self.orders.ask(Procedure.CUSTODIAN_REDEAL, {**wanted, **(params or {})}, **changes)

    def ordered(self, **changes: Any) -> str:
        """Have every custodian allow it; return the id of the request."""
        request = self.ask(**changes)
        order = self.orders.waited(request)
        for custodian in self.world.custodians:
            deed = self.world.roster.check_deed(custodian.obey(order), request)
            assert deed.told == {"roster": self.world.roster.id, "version": 2}
        return request.request

    def objects(self) -> list[Envelope]:
        return [one.keys_object for one in self.dealt]

    def points(
        self, request: str, keys: Envelope, custodians: Sequence[tuple[Member, Custodian]]
    ) -> list[tuple[Point, ...]]:
        """Return the shares of a session that these custodians give."""
        dealing = Dealing.parse(keys.statement)
        given: list[tuple[Point, ...]] = []
        for member, custodian in custodians:
            answer = custodian.reopen(request, keys.statement, self.recipient)
            said = Reopened.parse(answer, member)
            given.append(said.points(dealing, request, self.seed, answer.body))
        return given

    def deal(self, request: str, keys: Envelope) -> Envelope:
        """Open one session by those that stay, and deal it anew."""
        world, dealing = self.world, Dealing.parse(keys.statement)
        stay = [(one.card(), one) for one in world.custodians[:2]]
        given = self.points(request, keys, stay)
        secrets = [
            dealing.secret(number, [one[number - 1] for one in given])
            for number in range(1, len(dealing.parts) + 1)
        ]
        seats = (world.client_keys, world.writer_seed)
        return dealing.deal_anew(keys, world.roster.id, secrets, seats, world.token)

    def redeal(self, request: str, keys: Envelope) -> Envelope:
        """Deal a session anew, and have it signed for by everybody; it counts from then on."""
        world, anew = self.world, self.deal(request, keys)
        dealing = Dealing.parse(anew.statement)
        for custodian in world.custodians:
            receipt = custodian.rehold(request, keys, anew)
            RedealReceipt.parse(receipt, custodian.card(), dealing)
        world.keys[SessionId(dealing.label.session)] = anew
        return anew
