"""What custodians allow while sessions are dealt anew, and what they never do."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from strongroom.crypto import public_sealing, signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Damaged, Refused, Stale
from strongroom.facts import read_facts
from strongroom.quorum import Dealing, LocalCustodian, SnapshotHeader
from strongroom.quorum.approval import Approval
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.reopened import RedealReceipt, Reopened
from tests.quorum.redealing import Redealing
from tests.quorum.test_policy_change import first_change
from tests.quorum.world import World, resigned

LONG = timedelta(days=8)


@pytest.fixture(name="redealing")
def _redealing(world: World) -> Redealing:
    return Redealing(world)


def test_sessions_dealt_anew_are_opened_by_the_newcomer_with_another() -> None:
    world = World(vault_class="high", seed="redeal seat")
    redealing = Redealing(world)
    request = redealing.ordered()
    for keys in redealing.objects():
        redealing.redeal(request, keys)
    opening = world.opening(redealing.before)
    for custodian in world.custodians[1:]:
        opening.take(custodian.card(), custodian.release(opening.request))
    assert opening.culprits == ()
    opened = opening.complete()
    for one in redealing.dealt:
        session = Dealing.parse(one.keys_object.statement).label.session
        assert opened[session] == (one.inner, one.outer)
    world.close()


def test_each_session_is_in_the_journal_before_its_shares_leave(redealing: Redealing) -> None:
    request = redealing.ordered()
    keys = redealing.objects()[0]
    anew = redealing.redeal(request, keys)
    with redealing.world.databases[0].reading() as reading:
        (left,) = read_facts(reading, "share.reopened")
        (came,) = read_facts(reading, "share.reheld")
    session = Dealing.parse(keys.statement).label.session
    assert (left.subject, came.subject) == (session, session)
    assert left.body == {"request": request, "keys": keys.statement.hash.hex()}
    assert came.body == {"request": request, "keys": anew.statement.hash.hex()}


def test_without_an_order_nothing_is_opened(redealing: Redealing) -> None:
    keys = redealing.objects()[0]
    for custodian in redealing.world.custodians:
        with pytest.raises(Refused, match="no order of it") as caught:
            custodian.reopen("7" * 32, keys.statement, redealing.recipient)
        assert caught.value.code == "no_grant"
        with pytest.raises(Refused) as caught:
            custodian.rehold("7" * 32, keys, keys)
        assert caught.value.code == "no_grant"


def test_shares_go_to_the_approved_key_alone(redealing: Redealing) -> None:
    request = redealing.ordered()
    thief = public_sealing.public_key(bytes(32))
    with pytest.raises(Refused, match="the approved key alone") as caught:
        redealing.world.custodians[0].reopen(request, redealing.objects()[0].statement, thief)
    assert caught.value.code == "other_act"


def test_what_was_signed_for_stays_closed(redealing: Redealing) -> None:
    request = redealing.ordered()
    keys = redealing.objects()[0]
    anew = redealing.redeal(request, keys)
    custodian = redealing.world.custodians[0]
    again = redealing.ordered()
    for one in (request, again):
        with pytest.raises(Refused):
            custodian.reopen(one, keys.statement, redealing.recipient)
    with pytest.raises(Refused, match="is dealt to that roster already"):
        custodian.reopen(again, anew.statement, redealing.recipient)


def test_a_later_order_ends_the_one_before(redealing: Redealing) -> None:
    request = redealing.ordered()
    redealing.ordered()
    with pytest.raises(Refused, match="a later one does"):
        redealing.deal(request, redealing.objects()[0])


def test_it_ends_with_its_request(redealing: Redealing) -> None:
    request = redealing.ordered()
    redealing.world.clock.at += LONG
    with pytest.raises(Refused) as caught:
        redealing.deal(request, redealing.objects()[0])
    assert caught.value.code == "expired"


def test_an_approver_stops_it_while_it_runs(redealing: Redealing) -> None:
    world, asked = redealing.world, redealing.ask()
    order = redealing.orders.waited(asked)
    custodian = world.custodians[0]
    custodian.obey(order)
    word = Approval.sign(world.operator_seed, asked, "refuse", world.clock.now())
    custodian.refuse(asked, word)
    with pytest.raises(Refused) as caught:
        redealing.deal(asked.request, redealing.objects()[0])
    assert caught.value.code == "vetoed"


def test_another_policy_ends_it(redealing: Redealing) -> None:
    """An approver whose device was stolen is put out; what it approved opens nothing later."""
    world, asked = redealing.world, redealing.ask()
    order = redealing.orders.waited(asked)
    for custodian in world.custodians:
        custodian.obey(order)
    keys = redealing.objects()[0]
    anew = redealing.deal(asked.request, keys)
    policy, change = first_change(world, redealing.orders)
    # Who was away from the change takes it with what shows that it was approved.
    world.custodians[2].adopt_policy(policy, change)
    for custodian in world.custodians:
        # The order is done, and shown again it is not done again.
        custodian.obey(order)
        assert closed(redealing, custodian, asked.request, anew) == {"no_grant"}


def test_another_writer_ends_it(redealing: Redealing) -> None:
    """A home was lost, with the key to which custodians open; its client was recovered."""
    world, request = redealing.world, redealing.ordered()
    anew = redealing.deal(request, redealing.objects()[0])
    writer = SnapshotHeader.writer_id(world.writer)
    for custodian in world.custodians:
        custodian.succeed(world.client, signing.public_key(bytes([7]) * 32), {writer: 99})
        assert closed(redealing, custodian, request, anew) == {"no_grant"}


def closed(
    redealing: Redealing, custodian: LocalCustodian, request: str, anew: Envelope
) -> set[str]:
    """Return the codes with which a custodian opens nothing, and signs for nothing, of a session.

    It has journalled nothing of it.
    """
    keys, codes = redealing.objects()[0], set()
    before = custodian.journal(0)
    questions: tuple[Callable[[], Envelope], ...] = (
        lambda: custodian.reopen(request, keys.statement, redealing.recipient),
        lambda: custodian.rehold(request, keys, anew),
    )
    for question in questions:
        with pytest.raises(Refused) as caught:
            question()
        codes.add(caught.value.code)
    assert custodian.journal(0) == before
    return codes


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"roster": "6" * 64}, "follows roster version 2"),
        ({"custodian": "6" * 32}, "never had a seat"),
    ],
)
def test_an_order_of_something_else_is_refused(
    redealing: Redealing, params: dict[str, str | int], why: str
) -> None:
    order = redealing.orders.waited(redealing.ask(params))
    with pytest.raises(Refused, match=why) as caught:
        redealing.world.custodians[0].obey(order)
    assert caught.value.code == "other_act"


def test_who_has_its_seat_is_not_dealt_around(redealing: Redealing) -> None:
    sitting = redealing.world.custodians[1].card().id
    order = redealing.orders.waited(redealing.ask({"custodian": sitting}))
    with pytest.raises(Refused, match="has not lost its seat"):
        redealing.world.custodians[0].obey(order)


def test_an_order_that_names_no_key_is_not_obeyed(redealing: Redealing) -> None:
    asked = redealing.ask()
    params = {name: one for name, one in asked.params.items() if name != "recipient"}
    without = redealing.orders.ask(asked.procedure, params)
    order = redealing.orders.waited(without)
    with pytest.raises(Refused, match="names no key"):
        redealing.world.custodians[0].obey(order)


def test_the_newcomer_holds_nothing_of_before(redealing: Redealing) -> None:
    request = redealing.ordered()
    with pytest.raises(Refused, match="a roster that it never followed"):
        redealing.newcomer.reopen(request, redealing.objects()[0].statement, redealing.recipient)


def test_keys_objects_of_nobody_are_not_opened(redealing: Redealing) -> None:
    request = redealing.ordered()
    forged = resigned(redealing.objects()[0], bytes(32), "keys", {})
    with pytest.raises(Damaged, match="no writer pinned"):
        redealing.deal(request, forged)


def test_the_same_object_has_the_same_receipt_and_another_one_none(redealing: Redealing) -> None:
    request = redealing.ordered()
    keys = redealing.objects()[0]
    anew, other = redealing.deal(request, keys), redealing.deal(request, keys)
    custodian = redealing.world.custodians[0]
    receipt = custodian.rehold(request, keys, anew)
    assert custodian.rehold(request, keys, anew) == receipt
    with pytest.raises(Stale, match="by another object"):
        custodian.rehold(request, keys, other)


def test_only_what_the_current_writer_dealt_anew_is_signed_for(redealing: Redealing) -> None:
    request, keys = redealing.ordered(), redealing.objects()[0]
    anew, custodian = redealing.deal(request, keys), redealing.world.custodians[0]

    def refused(changed: Envelope, why: str, former: Envelope = keys) -> None:
        with pytest.raises((Damaged, Refused), match=why):
            custodian.rehold(request, former, changed)

    writer = redealing.world.writer_seed
    refused(resigned(anew, bytes(32), "keys", {}), "signature")
    refused(resigned(anew, writer, "keys", {"redealt": None}), "does not name what was first")
    refused(anew, "does not name what was first", redealing.objects()[1])
    label = {**anew.statement.fields("keys")["label"], "roster": "6" * 64}
    refused(resigned(anew, writer, "keys", {"label": label}), "to another roster")
    dealings = anew.statement.fields("keys")["dealings"]
    moved = [{**one, "shares": one["shares"][::-1]} for one in dealings]
    refused(resigned(anew, writer, "keys", {"dealings": moved}), "does not open")


def test_answers_and_receipts_of_others_are_told_apart(redealing: Redealing) -> None:
    world, request, keys = redealing.world, redealing.ordered(), redealing.objects()[0]
    one, two = world.custodians[:2]
    answer = one.reopen(request, keys.statement, redealing.recipient)
    with pytest.raises(Damaged):
        Reopened.parse(answer, two.card())
    said = Reopened.parse(answer, one.card())
    dealing, other = (Dealing.parse(each.statement) for each in redealing.objects())
    with pytest.raises(Damaged, match="to another question"):
        said.points(other, request, redealing.seed, answer.body)
    with pytest.raises(Damaged, match="to another question"):
        said.points(dealing, "7" * 32, redealing.seed, answer.body)
    with pytest.raises(Damaged):
        said.points(dealing, request, bytes(32), answer.body)
    anew = redealing.deal(request, keys)
    receipt, of = one.rehold(request, keys, anew), Dealing.parse(anew.statement)
    for member, about in ((two.card(), of), (one.card(), dealing)):
        with pytest.raises(Damaged):
            RedealReceipt.parse(receipt, member, about)
    identity = one._own.seed
    assert signing.public_key(identity) == one.card().identity
    other_fields: list[dict[str, object]] = [
        {"client": "7" * 32},
        {"shares": []},
        {"index": 2},
        {"more": 1},
    ]
    for changes in other_fields:
        with pytest.raises(Damaged):
            RedealReceipt.parse(
                resigned(receipt, identity, "redeal-receipt", changes), one.card(), of
            )


def test_a_snapshot_names_nothing_as_fresh_that_was_dealt_before(redealing: Redealing) -> None:
    request, keys = redealing.ordered(), redealing.objects()[0]
    anew = redealing.deal(request, keys)
    world = redealing.world
    session = Dealing.parse(anew.statement).label.session
    header = world.header([], fresh=((session, anew.statement.hash.hex()),))
    statement = header.sign(world.writer_seed, b"").statement
    with pytest.raises(Refused, match="was dealt before"):
        world.custodians[0].ingest(statement, [anew])


def test_an_erased_client_leaves_no_word_of_what_was_dealt_anew(redealing: Redealing) -> None:
    world, request = redealing.world, redealing.ordered()
    keys = redealing.objects()[0]
    anew = redealing.redeal(request, keys)
    erasing = redealing.orders.ask(Procedure.CLIENT_ERASURE, {}, world.client)
    custodian = world.custodians[0]
    custodian.obey(redealing.orders.waited(erasing))
    with world.databases[0].reading() as reading:
        assert reading.rows("SELECT 1 FROM reheld") == []
    questions: tuple[Callable[[], Envelope], ...] = (
        lambda: custodian.reopen(request, keys.statement, redealing.recipient),
        lambda: custodian.rehold(request, keys, anew),
    )
    for question in questions:
        with pytest.raises(Refused) as caught:
            question()
        assert caught.value.code == "erased_client"
