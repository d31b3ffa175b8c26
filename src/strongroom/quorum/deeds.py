"""What a custodian does when an order tells it to, by procedure.

Each function runs in the order's own transaction, once the order was judged, journals what it
changes, and returns what the deed tells. It looks at the pinned state first: what was done already
by another way is told, not done again. Nothing else in a custodian may change these things later.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from strongroom.database import Transaction
from strongroom.ids import ClientId
from strongroom.quorum.client_seat import ClientSeat
from strongroom.quorum.deed import Told
from strongroom.quorum.erasure_seat import ErasureSeat
from strongroom.quorum.gate import Gate
from strongroom.quorum.order import Order
from strongroom.quorum.own import Own
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.redeal_seat import RedealSeat
from strongroom.quorum.refusals import OtherAct
from strongroom.quorum.roster_seat import RosterSeat


@dataclass(frozen=True, slots=True)
class Seats:
    """What sits at a custodian's side and an order may reach."""

    own: Own
    gate: Gate
    roster: RosterSeat
    clients: ClientSeat
    erasures: ErasureSeat
    redeals: RedealSeat


Do = Callable[[Seats, Transaction, Order], Mapping[str, Told]]


@dataclass(frozen=True, slots=True)
class Doing:
    """How a procedure is done, and how many objects an order for it encloses."""

    enclosed: int
    do: Do
    destroys: bool = False
    """Whether secrets go: then its deed leaves once no file of the database holds them."""


def _change_policy(seats: Seats, transaction: Transaction, order: Order) -> Mapping[str, Told]:
    params = order.grant.request.params
    roster = seats.own.roster(transaction)
    policy = seats.gate.change(transaction, roster, order.enclosed[0], params)
    return {"policy": policy.id, "version": policy.version}


def _follow_roster(seats: Seats, transaction: Transaction, order: Order) -> Mapping[str, Told]:
    params = order.grant.request.params
    roster = seats.roster.follow(transaction, order.enclosed[0], params)
    return {"roster": roster.id, "version": roster.version}


def _deal_anew(seats: Seats, transaction: Transaction, order: Order) -> Mapping[str, Told]:
    return seats.redeals.allow(transaction, order.grant.request)


def _erase_client(seats: Seats, transaction: Transaction, order: Order) -> Mapping[str, Told]:
    return seats.erasures.erase(transaction, ClientId(order.grant.request.client or "")).told


def _change_key(seats: Seats, transaction: Transaction, order: Order) -> Mapping[str, Told]:
    request, member = order.grant.request, seats.own.member
    if request.params["custodian"] != member.id:
        raise OtherAct(
            f"{member} refuses request {request.request[:8]}", "it is another custodian's key"
        )
    client, drop_to = ClientId(request.client or ""), request.params.get("drop_to")
    if isinstance(drop_to, int):
        return seats.clients.drop_former(transaction, client, drop_to).told
    return seats.clients.rotate(transaction, client).told


DEEDS: Final[Mapping[Procedure, Doing]] = {
    Procedure.POLICY_CHANGE: Doing(1, _change_policy),
    Procedure.CLIENT_ERASURE: Doing(0, _erase_client, destroys=True),
    Procedure.CUSTODIAN_ENROL: Doing(1, _follow_roster),
    Procedure.CUSTODIAN_REDEAL: Doing(0, _deal_anew),
    Procedure.CUSTODIAN_ROTATE: Doing(0, _change_key, destroys=True),
}
