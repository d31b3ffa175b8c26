"""What every custodian must do, in this process and asked from elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from strongroom.adapters.custodians.remote import remote_custodian
from strongroom.adapters.custodians.served import ServedCustodian
from strongroom.crypto import signing
from strongroom.errors import Damaged, Refused, Stale, UsageError, Waiting
from strongroom.facts import record
from strongroom.ids import VaultId
from strongroom.ledger import Witness
from strongroom.quorum import Custodian, Dealing, LocalCustodian, Opening, SnapshotHeader, store
from strongroom.quorum.approval import Approval
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.refusals import Unheard
from strongroom.quorum.reopened import RedealReceipt
from strongroom.quorum.rules import Standing
from strongroom.quorum.store import JOURNAL_PAGE
from strongroom.quorum.wire import Wire
from strongroom.transport import Link, Peer
from strongroom.transport.edge import Limits
from strongroom.transport.listener import Listener, bind
from strongroom.transport.peer import Role
from tests.ledger.seat import ORIGIN, Tree, log_key
from tests.quorum.ordering import DAY, Orders, newcomer
from tests.quorum.redealing import Redealing
from tests.quorum.world import World
from tests.support.peers import CLOCK, PATIENCE_SECONDS, badge_of, new_authority, somebody

pytestmark = pytest.mark.loopback

LOG = Witness.Log(ORIGIN, str(log_key()), "client")
CHALLENGE = "5c" * 32
TEXT = "text/plain; charset=utf-8"


def in_this_process(custodian: LocalCustodian, _kept: ExitStack) -> Custodian:
    return custodian


def by_messages(custodian: LocalCustodian, _kept: ExitStack) -> Custodian:
    """Return the same custodian asked in bytes, with errors that travel as bytes, too."""

    def ask(name: str, question: bytes) -> bytes:
        try:
            Wire.check_asker("server", name)
            return Wire.answer(custodian, name, question)
        except Exception as err:
            raise Wire.read_report(Wire.report(err)[1], str(custodian.card())) from err

    asked = Wire.Asked(custodian.card(), ask)
    asked.meet()
    return asked


def over_tls(custodian: LocalCustodian, kept: ExitStack) -> Custodian:
    """Return the same custodian, served to a link of mutual TLS."""
    authority = new_authority()
    served = ServedCustodian(custodian, authority.install, CLOCK)
    me = Peer.custodian(custodian.card().id)
    listening = kept.enter_context(bind(("127.0.0.1", 0)))
    badge = badge_of(authority, me)
    limits = Limits(body_bytes=Wire.BYTES_MAX)
    listener = kept.enter_context(Listener(listening, badge, served, CLOCK, limits))
    asker = badge_of(authority, somebody(Role.SERVER))
    address = ("127.0.0.1", listener.port)
    link = kept.enter_context(Link(address, asker, me, CLOCK, PATIENCE_SECONDS))
    asked = remote_custodian(link, custodian.card())
    asked.meet()
    return asked


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture(params=[in_this_process, by_messages, over_tls])
def asked(request: pytest.FixtureRequest, world: World) -> Iterator[Custodian]:
    make: Callable[[LocalCustodian, ExitStack], Custodian] = request.param
    with ExitStack() as kept:
        yield make(world.custodians[0], kept)


def test_it_says_who_it_is(world: World, asked: Custodian) -> None:
    assert asked.card() == world.roster.member(1)
    assert world.roster.check_witness(asked.witness_card()).custodian == asked.card().id


def test_a_roster_is_pinned_once(world: World, asked: Custodian) -> None:
    asked.adopt_roster(world.roster_envelope)
    with pytest.raises(Refused, match="version 1 is pinned"):
        asked.adopt_roster(world.sign_roster(version=2))


def test_a_team_policy_is_pinned_once(world: World, asked: Custodian) -> None:
    asked.adopt_policy(world.policy_envelope)
    asked.adopt_policy(world.policy_envelope)
    with pytest.raises(Refused, match="version 1 is pinned, and this is not it"):
        asked.adopt_policy(world.sign_policy(at=world.clock.now()))


def test_an_order_is_done_once_and_signed_for(world: World, asked: Custodian) -> None:
    orders = Orders(world)
    roster, request = orders.seat(newcomer(world))
    with pytest.raises(Waiting, match="any approver may refuse it until") as caught:
        asked.obey(orders.order(request, roster))
    assert caught.value.code == "veto_time"
    world.clock.at += DAY
    order = orders.order(request, roster)
    deed = asked.obey(order)
    assert asked.obey(order) == deed
    told = world.roster.check_deed(deed, request)
    assert (told.index, told.told["version"]) == (1, 2)
    asked.adopt_roster(roster)


def test_a_client_is_erased_by_order_and_never_served_again(world: World, asked: Custodian) -> None:
    statement, _ = world.backed_up()
    opening = world.opening(statement)
    asked.release(opening.request)
    orders = Orders(world)
    request = orders.ask(Procedure.CLIENT_ERASURE, {}, world.client)
    order = orders.waited(request)
    deed = asked.obey(order)
    assert asked.obey(order) == deed
    told = world.roster.check_deed(deed, request).told
    assert told["entries"] == (f"{world.client}-00000001",)
    assert asked.kit_entries(world.client) == []
    refused: tuple[Callable[[], object], ...] = (
        lambda: asked.enrol(world.client, world.vault, "normal", world.writer),
        lambda: asked.release(opening.request),
    )
    for question in refused:
        with pytest.raises(Refused, match="has erased client") as caught:
            question()
        assert caught.value.code == "erased_client"


def test_a_rotated_key_is_certified_and_what_was_dealt_before_opens(
    world: World, asked: Custodian
) -> None:
    _, dealt = world.backed_up()
    orders = Orders(world)
    params: dict[str, str | int] = {"custodian": asked.card().id}
    request = orders.ask(Procedure.CUSTODIAN_ROTATE, params, world.client)
    with pytest.raises(Waiting):
        asked.obey(orders.order(request))
    world.clock.at += DAY
    deed = world.roster.check_deed(asked.obey(orders.order(request)), request)
    assert deed.told == {"serial": 2, "dropped": 0, "entries": ()}
    certificate = asked.enrol(world.client, world.vault, "normal", world.writer)
    certified = world.roster.check_client_key(certificate)
    assert (certified.serial, certified.former) == (2, (1,))
    (pin,) = asked.pins()
    assert (pin.public, pin.former) == (certified.public, (1,))
    keys = [dealt[0].keys_object.statement]
    avowal = world.roster.check_avowal(asked.prove(CHALLENGE, keys), CHALLENGE, keys)
    assert avowal.former == (1,)


def test_a_session_is_dealt_anew_by_order(world: World, asked: Custodian) -> None:
    redealing = Redealing(world)
    keys = redealing.objects()[0]
    with pytest.raises(Refused) as caught:
        asked.reopen("7" * 32, keys.statement, redealing.recipient)
    assert caught.value.code == "no_grant"
    request = redealing.ordered()
    stay = world.custodians[1]
    given = redealing.points(request, keys, [(asked.card(), asked), (stay.card(), stay)])
    dealing = Dealing.parse(keys.statement)
    secret = dealing.secret(1, [one[0] for one in given])
    seats = (world.client_keys, world.writer_seed)
    anew = dealing.deal_anew(keys, world.roster.id, [secret], seats, world.token)
    receipt = asked.rehold(request, keys, anew)
    assert asked.rehold(request, keys, anew) == receipt
    RedealReceipt.parse(receipt, asked.card(), Dealing.parse(anew.statement))
    with pytest.raises(Stale, match="by another object"):
        asked.rehold(
            request, keys, dealing.deal_anew(keys, world.roster.id, [secret], seats, world.token)
        )


def test_a_refusal_is_kept(world: World, asked: Custodian) -> None:
    orders = Orders(world)
    roster, request = orders.seat(newcomer(world))
    word = Approval.sign(world.operator_seed, request, "refuse", world.clock.now())
    asked.refuse(request, word)
    asked.refuse(request, word)
    with pytest.raises(Refused, match="an approver has refused it") as caught:
        asked.obey(orders.order(request, roster))
    assert caught.value.code == "vetoed"


def test_enrolling_again_gives_the_same_certificate(world: World, asked: Custodian) -> None:
    first = asked.enrol(world.client, world.vault, "normal", world.writer)
    assert first == asked.enrol(world.client, world.vault, "normal", world.writer)
    assert world.roster.check_client_key(first).public == world.client_keys[0]
    other = signing.public_key(bytes(32))
    with pytest.raises(Refused, match="another writer for client") as caught:
        asked.enrol(world.client, world.vault, "normal", other)
    assert caught.value.exit_code == 4


def test_a_receipt_is_the_same_bytes_each_time(world: World, asked: Custodian) -> None:
    assert asked.standing(world.vault) == Standing()
    statement, keys, _ = world.snapshot(sessions=2)
    receipt = asked.ingest(statement, keys)
    assert asked.ingest(statement, keys) == receipt
    assert world.roster.check_receipt(receipt, statement).index == 1
    assert asked.standing(world.vault) == Standing(1, statement.hash.hex())
    with pytest.raises(Refused, match="never enrolled"):
        asked.standing(VaultId("0" * 32))


def test_a_forked_history_is_stale(world: World, asked: Custodian) -> None:
    statement, keys, _ = world.snapshot()
    asked.ingest(statement, keys)
    world.sequence, world.last = 0, "0" * 64
    other, keys, _ = world.snapshot()
    with pytest.raises(Stale, match="holds another history") as caught:
        asked.ingest(other, keys)
    assert caught.value.exit_code == 20
    assert caught.value.hint.startswith("The home or a location was rolled back")


def test_a_release_opens_and_is_the_same_bytes_each_time(world: World, asked: Custodian) -> None:
    statement, dealt = world.backed_up(sessions=2)
    opening = world.opening(statement)
    answer = asked.release(opening.request)
    assert asked.release(opening.request) == answer
    opening.take(asked.card(), answer)
    second = world.custodians[1]
    opening.take(second.card(), second.release(opening.request))
    assert sorted(opening.complete().values()) == sorted((one.inner, None) for one in dealt)
    thief = Opening.begin(statement, opening.request.keys, world.token, world.clock.now()).request
    with pytest.raises(Refused, match="answered already, to another recipient"):
        asked.release(replace(thief, request=opening.request.request))


def test_it_hears_of_a_recovery_and_gives_the_same_word_each_time(
    world: World, asked: Custodian
) -> None:
    statement, _ = world.backed_up()
    server, opening = world.server, world.opening(statement)
    act = server.ask(opening.request, procedure=Procedure.RECOVERY)
    given = server.approve(act)
    word = asked.hear(act, given)
    assert asked.hear(act, given) == word
    hearing = world.roster.check_hearing(word)
    assert (hearing.index, hearing.request) == (1, act.digest)
    assert [one.op for one in asked.journal(0)].count("recovery.heard") == 1
    grant = server.proven(act, given, server.announce(act, given))
    answer = asked.release(replace(opening.request, grant=grant))
    opening.take(asked.card(), answer)
    assert opening.culprits == ()
    again = world.opening(statement).request
    silent = replace(server.grant(again, procedure=Procedure.RECOVERY), hearings=())
    with pytest.raises(Unheard, match="0 of 2 custodians needed were told of it") as caught:
        asked.release(replace(again, grant=silent))
    assert caught.value.exit_code == 4


def test_it_says_what_it_has_pinned_and_nothing_secret(world: World, asked: Custodian) -> None:
    assert asked.pinned() == (world.roster_envelope, None)
    asked.adopt_policy(world.policy_envelope)
    assert asked.pinned() == (world.roster_envelope, world.policy_envelope)
    (pin,) = asked.pins()
    assert pin == world.custodians[0].pin(world.client)
    assert pin.current is not None
    assert (pin.public, pin.current.key) == (world.client_keys[0], world.writer)


def test_a_recovery_allows_one_new_writer(world: World, asked: Custodian) -> None:
    statement, _ = world.backed_up()
    server, old = world.server, SnapshotHeader.writer_id(world.writer)
    writer, other = (signing.public_key(bytes([number]) * 32) for number in (7, 8))

    def refused(key: bytes) -> str:
        with pytest.raises(Refused) as caught:
            asked.replace_writer(world.client, key, {old: 1})
        return caught.value.code

    asked.release(world.opening(statement).request)
    assert refused(writer) == "not_recovered"
    again = world.opening(statement).request
    asked.release(replace(again, grant=server.grant(again, procedure=Procedure.RECOVERY)))
    with pytest.raises(Refused, match="snapshot 1 has a receipt"):
        asked.replace_writer(world.client, writer, {old: 0})
    certificate = asked.replace_writer(world.client, writer, {old: 1})
    assert asked.replace_writer(world.client, writer, {old: 1}) == certificate
    assert world.roster.check_client_key(certificate).serial == 2
    (pin,) = asked.pins()
    assert [(one.key, one.revoked_after) for one in pin.writers] == [
        (world.writer, 1),
        (writer, None),
    ]
    assert refused(other) == "not_recovered"
    assert [one.op for one in asked.journal(0)].count("writer.succeeded") == 1


def test_it_proves_that_its_shares_still_open(world: World, asked: Custodian) -> None:
    statement, _ = world.backed_up(sessions=3)
    keys = world.opening(statement).request.keys
    avowal = world.roster.check_avowal(asked.prove(CHALLENGE, keys), CHALLENGE, keys)
    assert (avowal.index, avowal.client, len(avowal.shares)) == (1, world.client, 3)
    with pytest.raises(UsageError, match="0 keys objects"):
        asked.prove(CHALLENGE, [])
    world.lose_seed(1)
    with pytest.raises(Damaged, match="does not open"):
        asked.prove(CHALLENGE, keys)


def test_its_journal_is_read_page_by_page(world: World, asked: Custodian) -> None:
    statement, _ = world.backed_up()
    asked.release(world.opening(statement).request)
    first = asked.journal(0)
    assert [one.op for one in first] == [
        "roster.adopted",
        "client.enrolled",
        "snapshot.receipted",
        "policy.adopted",
        "log.registered",
        "log.pinned",
        "share.released",
    ]
    assert first[-1].client == world.client
    assert first[-1].body == {"snapshot": statement.hash.hex(), "sessions": 1}
    assert asked.journal(1) == first[1:]
    assert asked.journal(len(first)) == []
    with world.databases[0].transaction() as transaction:
        for _ in range(JOURNAL_PAGE):
            record(transaction, first[0])
    assert len(asked.journal(0)) == JOURNAL_PAGE
    assert asked.journal(JOURNAL_PAGE) == [first[0]] * len(first)


def test_its_key_table_comes_sealed(world: World, asked: Custodian) -> None:
    assert asked.kit_entries() == world.custodians[0].kit_entries()
    (entry,) = asked.kit_entries(world.client)
    assert f"/{world.client}-00000001" in entry[0]
    assert asked.kit_entries("nothing") == []
    assert not asked.kit_confirmed
    kit = world.custodians[0].kit()
    world.custodians[0].confirm_kit({1: kit.words[0], 24: kit.words[23]})
    assert asked.kit_confirmed


def test_a_key_table_of_many_entries_comes_page_by_page(world: World, asked: Custodian) -> None:
    """Over what one answer holds, and with entries so large that few of them fill a page."""
    custodian = world.custodians[0]
    first = custodian.kit_entries(world.client)[0][0].removesuffix("00000001")
    many = [(f"{first}{serial:08d}", b"sealed") for serial in range(2, 1003)]
    large = [(f"{first}{serial:08d}", bytes(1 << 20)) for serial in range(2000, 2020)]
    with custodian._own.database.transaction() as transaction:
        store.write_kit_entries(transaction, [*many, *large])
    found = asked.kit_entries(world.client)
    assert found[1:] == [*many, *large]
    page = asked.kit_page(world.client, "")
    assert page == found[:500]
    assert asked.kit_page(world.client, page[-1][0]) == found[500:1000]
    assert [len(data) for _, data in asked.kit_page(world.client, large[0][0])] == [1 << 20] * 16
    assert asked.kit_page(world.client, large[-1][0]) == []


def test_its_witness_cosigns_what_goes_on_and_keeps_what_does_not(asked: Custodian) -> None:
    witness, tree = asked.witness, Tree().grow(30)
    assert witness.registered([ORIGIN]) == [False]
    assert witness.latest([ORIGIN]) == [None]
    witness.register([LOG])
    witness.register([LOG])
    assert witness.registered([ORIGIN, "another"]) == [True, False]
    good, late = witness.add_checkpoints([tree.request(0, 20), tree.request(0, 30)])
    assert (good.status, good.content_type) == (200, TEXT)
    assert (late.status, late.content_type, late.body) == (409, "text/x.tlog.size", b"20\n")
    (seen,) = witness.latest([ORIGIN])
    assert seen is not None
    assert (seen.size, seen.root) == (20, tree.root(20))
    fork = Tree("another ").grow(20)
    (answer,) = witness.add_checkpoints([b"old 20\n\n" + fork.note(20)])
    assert answer.status == 422
    (kept,) = witness.evidence(ORIGIN)
    assert (kept.fork, witness.evidence("another")) == (True, [])
    assert witness.evidence() == [kept]
    with pytest.raises(Refused, match="is not the key of a log"):
        witness.register([replace(LOG, vkey=str(log_key()), origin="another")])


def test_nothing_is_asked_where_there_is_nothing_to_ask(asked: Custodian) -> None:
    assert asked.witness.registered([]) == []
    assert asked.witness.latest([]) == []
    assert asked.witness.add_checkpoints([]) == []
    asked.witness.register([])
