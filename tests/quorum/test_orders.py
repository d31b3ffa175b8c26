"""Orders: a custodian does what was approved, once, and signs for it; who attacks that, by code."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Damaged, StrongroomError
from strongroom.facts import read_facts
from strongroom.ids import CustodianId
from strongroom.quorum import LocalCustodian, Roster
from strongroom.quorum.approval import Approval
from strongroom.quorum.deed import Deed, Told
from strongroom.quorum.grant import Grant
from strongroom.quorum.order import Order
from strongroom.quorum.procedure import Procedure, Value
from strongroom.quorum.request import ActRequest
from strongroom.quorum.roster import Member
from strongroom.quorum.team_policy import TeamPolicy
from tests.quorum.ordering import DAY, Orders, newcomer
from tests.quorum.world import KEK, World

ANNA, BEN, THIEF = (bytes([number]) * 32 for number in (11, 12, 66))


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture(name="orders")
def _orders(world: World) -> Orders:
    return Orders(world)


def next_policy(world: World, **changes: Any) -> Envelope:
    """Return a team's policy that follows the first one, signed by the one who approves."""
    values: dict[str, Any] = {
        "mode": "team",
        "approvers": [signing.public_key(seed) for seed in (ANNA, BEN)],
        "rules": TeamPolicy.team_rules(2),
        "previous": world.server.policy,
    }
    return world.sign_policy(**{**values, **changes})


def change_to(orders: Orders, policy: Envelope, **changes: Any) -> ActRequest:
    """Return the request to change to this policy."""
    version = TeamPolicy.parse(policy).version
    params: dict[str, Value] = {"policy": policy.statement.hash.hex(), "version": version}
    return orders.ask(Procedure.POLICY_CHANGE, params, **changes)


def code(custodian: LocalCustodian, order: Order) -> str:
    """Return the code of a custodian's refusal; it did nothing."""
    with pytest.raises(StrongroomError) as caught:
        custodian.obey(order)
    with custodian._own.database.reading() as reading:
        assert reading.rows("SELECT 1 FROM deed") == []
        assert read_facts(reading, "request.obeyed") == []
    return caught.value.code


def pinned(custodian: LocalCustodian) -> int:
    """Return the version of the policy that a custodian has pinned."""
    with custodian._own.database.reading() as reading:
        return custodian._gate.policy(reading).version


def test_a_policy_is_changed_by_what_was_approved(world: World, orders: Orders) -> None:
    policy = next_policy(world)
    request = change_to(orders, policy)
    order = orders.waited(request, policy)
    for custodian in world.custodians:
        answered = custodian.obey(order)
        assert custodian.obey(order) == answered
        deed = world.roster.check_deed(answered, request)
        assert deed.told == {"policy": policy.statement.hash.hex(), "version": 2}
        assert deed.grant == Grant.digest(request, order.grant.approvals)
        assert pinned(custodian) == 2
    with world.databases[0].reading() as reading:
        ops = [one.op for one in read_facts(reading)]
        (done,) = read_facts(reading, "request.obeyed")
    assert ops[-3:] == ["request.waits", "policy.adopted", "request.obeyed"]
    assert done.body == {"procedure": "policy-change", "deed": answered_hash(world, order)}


def answered_hash(world: World, order: Order) -> str:
    return world.custodians[0].obey(order).statement.hash.hex()


def test_the_deed_outlives_a_restart_and_the_end_of_the_request(
    world: World, orders: Orders
) -> None:
    policy = next_policy(world)
    order = orders.waited(change_to(orders, policy), policy)
    answered = world.custodians[0].obey(order)
    world.clock.at += 400 * DAY
    again = LocalCustodian.open(world.databases[0], KEK, world.clock, world.token)
    assert again.obey(order) == answered


def test_a_custodian_that_was_away_gets_the_same_order_later(world: World, orders: Orders) -> None:
    policy = next_policy(world)
    request = change_to(orders, policy)
    order = orders.waited(request, policy)
    world.custodians[0].obey(order)
    world.clock.at += 3 * DAY
    world.custodians[1].obey(orders.order(request, policy))
    assert [pinned(one) for one in world.custodians] == [2, 2, 1]


def test_after_the_change_only_the_new_approvers_count(world: World, orders: Orders) -> None:
    policy = next_policy(world)
    order = orders.waited(change_to(orders, policy), policy)
    custodian = world.custodians[0]
    custodian.obey(order)
    statement, _ = world.backed_up()
    asked = world.opening(statement).request
    with pytest.raises(StrongroomError) as caught:
        custodian.release(asked)
    assert caught.value.code == "other_policy"
    team = replace(world.server, policy=TeamPolicy.parse(policy), approvers=[ANNA, BEN])
    custodian.release(team.granted(asked))


Attack = Callable[[World, Orders, ActRequest, Envelope], Order]
ATTACKS: dict[str, tuple[str, Attack]] = {
    "nobody approved it": (
        "not_approved",
        lambda _, orders, request, policy: orders.order(request, policy, approvals=()),
    ),
    "the thief approves it": (
        "not_an_approver",
        lambda world, _, request, policy: Orders(world, [THIEF]).order(request, policy),
    ),
    "it is announced nowhere": (
        "unannounced",
        lambda _, orders, request, policy: orders.order(request, policy, digest="0" * 64),
    ),
    "another request is announced": (
        "unannounced",
        lambda _, orders, request, policy: orders.order(request, policy, subject="ab" * 16),
    ),
    "fewer approvals are announced": (
        "unannounced",
        lambda _, orders, request, policy: orders.order(
            request, policy, grant=Grant.digest(request, ())
        ),
    ),
    "a client's log announces it": (
        "unknown_log",
        lambda _, orders, request, policy: orders.order(request, policy, purpose="client"),
    ),
    "too few custodians saw it": (
        "too_few_witnesses",
        lambda world, orders, request, policy: orders.order(
            request, policy, witnesses=world.custodians[:1]
        ),
    ),
    "another policy is enclosed": (
        "other_policy",
        lambda world, orders, request, _: orders.order(
            request, next_policy(world, at=world.clock.now())
        ),
    ),
    "nothing is enclosed": (
        "other_act",
        lambda _, orders, request, _policy: orders.order(request),
    ),
    "something else is enclosed, too": (
        "other_act",
        lambda world, orders, request, policy: orders.order(request, policy, world.roster_envelope),
    ),
}


@pytest.mark.parametrize(("why", "attack"), ATTACKS.values(), ids=ATTACKS)
def test_a_stolen_server_gives_an_order(
    world: World, orders: Orders, why: str, attack: Attack
) -> None:
    policy = next_policy(world)
    request = change_to(orders, policy)
    waits = ("other_policy", "other_act")
    if why in waits:
        orders.waited(request, policy)
    custodian = world.custodians[0]
    assert code(custodian, attack(world, orders, request, policy)) == why
    assert pinned(custodian) == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"seed": THIEF}, "no approver of version 1 signed it"),
        ({"previous": None, "version": 2}, "it does not follow version 1"),
        ({"cosignatures": 1}, "it wants 1 cosignatures"),
        ({"install": "77" * 16}, "another install"),
    ],
)
def test_a_policy_that_may_not_follow_is_approved(
    world: World, orders: Orders, changes: dict[str, Any], why: str
) -> None:
    """Approvers may have been shown a hash alone: what it stands for is looked at all the same."""
    policy = next_policy(world, **changes)
    order = orders.waited(change_to(orders, policy), policy)
    with pytest.raises(StrongroomError, match=why) as caught:
        world.custodians[0].obey(order)
    assert caught.value.code == "other_policy"
    assert pinned(world.custodians[0]) == 1


def test_what_opens_keys_and_what_the_home_decides_is_no_order(
    world: World, orders: Orders
) -> None:
    statement, _ = world.backed_up()
    grant = world.opening(statement).request.grant
    assert grant is not None
    assert code(world.custodians[0], Order(grant)) == "other_act"
    removal = orders.ask(Procedure.LOCATION_REMOVAL, {"location": "31" * 16})
    assert code(world.custodians[0], orders.order(removal)) == "other_act"


def test_an_order_of_another_install(world: World, orders: Orders) -> None:
    policy, other = next_policy(world), "77" * 16
    origin = f"{other}.ledger.invalid/{'01' * 16}"
    request = change_to(orders, policy, install=other, origin=origin)
    assert code(world.custodians[0], orders.order(request, policy)) == "other_install"


def test_one_request_is_one_order(world: World, orders: Orders) -> None:
    policy = next_policy(world)
    order = orders.waited(change_to(orders, policy), policy)
    world.custodians[0].obey(order)
    used = order.grant.request
    with pytest.raises(StrongroomError) as caught:
        world.custodians[0].obey(orders.order(replace(used, nonce="0" * 32), policy))
    assert caught.value.code == "request_used"


def test_an_order_comes_too_late(world: World, orders: Orders) -> None:
    policy = next_policy(world)
    request = change_to(orders, policy)
    orders.waited(request, policy)
    world.clock.at += 8 * DAY
    assert code(world.custodians[0], orders.order(request, policy)) == "expired"


# -- refusals


def test_a_refusal_holds_whatever_is_approved(world: World, orders: Orders) -> None:
    policy = next_policy(world)
    request = change_to(orders, policy)
    order = orders.waited(request, policy)
    custodian = world.custodians[0]
    word = Approval.sign(world.operator_seed, request, "refuse", world.clock.now())
    custodian.refuse(request, word)
    custodian.refuse(request, word)
    assert code(custodian, order) == "vetoed"
    with world.databases[0].reading() as reading:
        (vetoed,) = read_facts(reading, "request.vetoed")
    assert vetoed.subject == request.request
    world.custodians[1].obey(order)


def test_a_refusal_stops_a_release(world: World) -> None:
    statement, _ = world.backed_up()
    asked, custodian = world.opening(statement).request, world.custodians[0]
    assert asked.grant is not None
    request = asked.grant.request
    word = Approval.sign(world.operator_seed, request, "refuse", world.clock.now())
    custodian.refuse(request, word)
    with pytest.raises(StrongroomError) as caught:
        custodian.release(asked)
    assert caught.value.code == "vetoed"


def test_who_is_no_approver_refuses_nothing(world: World, orders: Orders) -> None:
    policy = next_policy(world)
    request, custodian = change_to(orders, policy), world.custodians[0]
    now = world.clock.now()
    other = replace(request, request="0" * 32)
    said = {
        "not_an_approver": (request, Approval.sign(THIEF, request, "refuse", now)),
        "usage": (request, Approval.sign(world.operator_seed, request, "approve", now)),
        "other_request": (request, Approval.sign(world.operator_seed, other, "refuse", now)),
        "other_policy": (
            replace(request, policy="0" * 64),
            Approval.sign(world.operator_seed, request, "refuse", now),
        ),
    }
    for why, (of, word) in said.items():
        with pytest.raises(StrongroomError) as caught:
            custodian.refuse(of, word)
        assert caught.value.code == why
    custodian.obey(orders.waited(request, policy))


# -- rosters


def test_a_seat_is_taken_by_a_new_custodian(world: World, orders: Orders) -> None:
    new = newcomer(world)
    roster, request = orders.seat(new)
    order = orders.waited(request, roster)
    for custodian in world.custodians[:2]:
        deed = Deed.read(custodian.obey(order))
        assert deed.told == {"roster": roster.statement.hash.hex(), "version": 2}
        custodian.adopt_roster(roster)
        assert custodian.kit_entries("identity-00000002")
    with pytest.raises(StrongroomError, match="does not list this custodian"):
        world.custodians[2].obey(order)
    new.adopt_roster(roster)


Change = Callable[[World, list[Member]], dict[str, Any]]
ROSTERS: dict[str, tuple[str, Change]] = {
    "another operator": (
        "another operator signed it",
        lambda _world, _: {"operator_seed": THIEF},
    ),
    "another threshold": ("the threshold is 2 for ever", lambda _world, _: {"threshold": 1}),
    "a version left out": ("version 1 is pinned; 2 follows it", lambda _world, _: {"version": 3}),
    "another seat, too": (
        "it changes another seat than 3",
        lambda world, seats: {"members": [newcomer(world, 1).card(), *seats[1:]]},
    ),
    "one seat more": (
        "another number of seats",
        lambda world, seats: {"members": [*seats, newcomer(world, 4).card()]},
    ),
    "another key": (
        "another identity key than was approved",
        lambda world, seats: {"members": [*seats[:2], newcomer(world).card()]},
    ),
    "the same custodian": (
        "has an id of its own",
        lambda world, seats: {
            "members": [*seats[:2], replace(seats[2], id=world.roster.member(3).id)]
        },
    ),
}


@pytest.mark.parametrize(("why", "change"), ROSTERS.values(), ids=ROSTERS)
def test_a_roster_that_may_not_follow_is_approved(
    world: World, orders: Orders, why: str, change: Change
) -> None:
    new = newcomer(world)
    roster, _ = orders.seat(new)
    members = list(Roster.parse(roster, None).members)
    changed, _ = orders.seat(new, **change(world, members))
    order = orders.waited(orders.seating(new, changed), changed)
    with pytest.raises(StrongroomError, match=why):
        world.custodians[0].obey(order)
    world.custodians[0].adopt_roster(world.roster_envelope)


def test_one_request_seats_nobody_in_two_rosters(world: World, orders: Orders) -> None:
    """Whoever has the operator's key could split the custodians, with one enrolment approved."""
    new = newcomer(world)
    roster, request = orders.seat(new)
    card, seats = new.card(), list(world.roster.members)
    other, _ = orders.seat(new, members=[*seats[:2], replace(card, id=CustodianId("5" * 32))])
    order = orders.waited(request, roster)
    one, two = world.custodians[:2]
    one.obey(order)
    assert code(two, replace(order, enclosed=(other,))) == "other_act"
    two.obey(order)


def test_a_request_that_names_no_roster_seats_nobody(world: World, orders: Orders) -> None:
    """The form came before the roster's hash was among the parameters."""
    new = newcomer(world)
    roster, request = orders.seat(new)
    bare = {name: value for name, value in request.params.items() if name != "roster"}
    order = orders.waited(orders.ask(Procedure.CUSTODIAN_ENROL, bare), roster)
    assert code(world.custodians[0], order) == "other_act"


def test_old_roster_swapped_for_one_that_the_operators_key_signed(world: World) -> None:
    """The operator's key lies with the server: alone it makes no custodian follow another."""
    thieves = [newcomer(world, index) for index in (2, 3)]
    members = [world.roster.member(1), *(one.card() for one in thieves)]
    swapped = world.sign_roster(members=members, version=2)
    with pytest.raises(StrongroomError, match="version 1 is pinned") as caught:
        world.custodians[0].adopt_roster(swapped)
    assert caught.value.code == "refused"
    assert Roster.parse(swapped, None).version == 2
    world.custodians[0].adopt_roster(world.roster_envelope)


def test_a_delay_begins_when_a_custodian_first_judges_the_request(
    world: World, orders: Orders
) -> None:
    """Not when it was witnessed: an announcement that was kept back would shorten it."""
    policy = next_policy(world)
    request = change_to(orders, policy)
    kept_back = orders.order(request, policy)
    world.clock.at += timedelta(minutes=14)
    assert code(world.custodians[0], kept_back) == "veto_time"
    world.clock.at += DAY - timedelta(minutes=1)
    assert code(world.custodians[0], orders.order(request, policy)) == "veto_time"
    world.clock.at += timedelta(minutes=1)
    world.custodians[0].obey(orders.order(request, policy))


def test_a_deed_names_only_entries_of_its_own_client(world: World, orders: Orders) -> None:
    """Who drops one client's former keys could have the home delete what brings others back."""
    card = world.custodians[1].card()
    asked = orders.ask(
        Procedure.CUSTODIAN_ROTATE, {"custodian": card.id, "drop_to": 1}, world.client
    )
    told: dict[str, Told] = {"serial": 3, "dropped": 1, "entries": (f"{'e' * 32}-00000001",)}
    deed = Deed(
        install=world.install,
        custodian=card.id,
        index=card.index,
        request=asked.request,
        procedure=asked.procedure,
        client=world.client,
        grant="0" * 64,
        done_at=world.clock.now(),
        told=told,
    )
    with pytest.raises(Damaged, match="entries of another client"):
        deed.sign(THIEF)
    deed = replace(deed, told={**told, "entries": (f"{world.client}-00000001",)})
    assert Deed.read(deed.sign(THIEF)) == deed


TALES: dict[str, tuple[Procedure, dict[str, Value], dict[str, Told]]] = {
    "another policy": (
        Procedure.POLICY_CHANGE,
        {"policy": "a" * 64, "version": 2},
        {"policy": "b" * 64, "version": 2},
    ),
    "another version": (
        Procedure.POLICY_CHANGE,
        {"policy": "a" * 64, "version": 2},
        {"policy": "a" * 64, "version": 3},
    ),
    "another roster": (
        Procedure.CUSTODIAN_ENROL,
        {"index": 3, "identity": "a" * 64, "roster": "b" * 64},
        {"roster": "c" * 64, "version": 2},
    ),
    "tells of another roster": (
        Procedure.CUSTODIAN_REDEAL,
        {"custodian": "a" * 32, "roster": "b" * 64, "recipient": "d" * 64},
        {"roster": "c" * 64, "version": 2},
    ),
    "a custodian that was not asked": (
        Procedure.CUSTODIAN_ROTATE,
        {"custodian": "a" * 32},
        {"serial": 2, "dropped": 0, "entries": ()},
    ),
    "nobody asked it to drop": (
        Procedure.CUSTODIAN_ROTATE,
        {},
        {"serial": 2, "dropped": 1, "entries": ()},
    ),
}


@pytest.mark.parametrize("tale", TALES)
def test_a_deed_tells_of_what_was_asked_for(world: World, orders: Orders, tale: str) -> None:
    """A custodian that lies could have the home delete entries, or believe another policy."""
    procedure, params, told = TALES[tale]
    card = world.custodians[1].card()
    if procedure is Procedure.CUSTODIAN_ROTATE:
        params = {"custodian": card.id, **params}
    client = world.client if procedure.scope == "client" else None
    asked = orders.ask(procedure, params, client)
    place = (world.install, card.id, card.index)
    digest, now = Grant.digest(asked, ()), world.clock.now()
    deed = Deed(*place, asked.request, procedure, client, digest, now, told)
    with pytest.raises(Damaged, match=tale):
        deed.check_answers(asked)
