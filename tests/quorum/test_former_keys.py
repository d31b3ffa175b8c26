"""Keys that were rotated away: what was dealt to them opens until they are dropped."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto import public_sealing, signing
from strongroom.crypto.envelope import decode_envelope
from strongroom.database import Database
from strongroom.errors import Damaged, Refused, Waiting
from strongroom.ids import ClientId
from strongroom.quorum import Dealing, LocalCustodian, SnapshotHeader
from strongroom.quorum.avowal import Avowal
from strongroom.quorum.client_key import FORMER_MAX, ClientKey
from strongroom.quorum.client_seat import KeyChange
from strongroom.quorum.deed import Deed
from strongroom.quorum.key_table import ClientEntry, FormerKey
from strongroom.quorum.kit import EntryPlace, Kit
from strongroom.quorum.order import Order
from strongroom.quorum.procedure import Procedure, Value
from strongroom.quorum.request import ActRequest
from tests.properties.test_rescue import RESCUE
from tests.quorum.ordering import DAY, Orders
from tests.quorum.world import KEK, START, World, resigned
from tests.vectors import build_former_keys_v1 as vector

CHALLENGE = "5c" * 32


@pytest.fixture
def empty() -> Iterator[Database]:
    database = open_sqlite(None)
    yield database
    database.close()


@pytest.fixture(scope="module")
def frozen() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(vector.PATH.read_text(encoding="utf-8"))
    return found


def entry_of(world: World, index: int) -> ClientEntry:
    with world.databases[index - 1].reading() as transaction:
        return world.custodians[index - 1]._own.entry(transaction, world.client)


def opened_by(world: World, statement: Any, *custodians: LocalCustodian) -> list[bytes]:
    """Return the inner keys that these custodians give of a snapshot."""
    opening = world.opening(statement)
    world.server.ledger.cosign(list(custodians))
    for custodian in custodians:
        opening.take(custodian.card(), custodian.release(opening.request))
    assert opening.culprits == ()
    return [inner for inner, _ in opening.complete().values()]


def test_what_chance_does_not_touch_is_made_as_it_was_frozen(frozen: dict[str, Any]) -> None:
    assert vector.build()["fixed"] == frozen["fixed"]


def test_frozen_sessions_open_with_the_key_they_were_dealt_to(frozen: dict[str, Any]) -> None:
    fixed = frozen["fixed"]
    place = EntryPlace.parse(fixed["entry_path"])
    inside = place.open(Kit.from_words(fixed["kit_words"]).key(place.install), raw(fixed["entry"]))
    assert inside == fixed["inside"][0]
    rotated = ClientEntry.parse(inside, place)
    assert [key.serial for key in rotated.former] == [1, 2]
    assert rotated.to_json(place.install, place.custodian) == inside
    identity = raw(fixed["identity"])
    certified = [
        ClientKey.parse(decode_envelope(raw(data), "it"), identity)
        for data in fixed["certificates"]
    ]
    assert [(key.serial, key.former) for key in certified] == [(2, (1,)), (3, (1, 2))]
    assert certified[-1].public == rotated.pin.public
    seeds = [key.seed for key in (*rotated.former, FormerKey(3, rotated.seed))]
    for at, data in enumerate(frozen["keys_objects"]):
        dealing = Dealing.parse(decode_envelope(raw(data), "it").statement)
        for other, seed in enumerate(seeds):
            if other != at:
                with pytest.raises(Damaged, match="does not open"):
                    dealing.open_own(1, 1, seed, "it")
        dealing.open_own(1, 1, seeds[at], "it")
    avowal = Avowal.read(decode_envelope(raw(frozen["avowal"]), "it"))
    avowal.check_answers(
        frozen["challenge"],
        [decode_envelope(raw(data), "it").statement for data in frozen["keys_objects"]],
    )
    assert avowal.former == (1, 2)


def test_the_rescue_file_opens_the_frozen_sessions(frozen: dict[str, Any]) -> None:
    """It was written from the format's page: a second reader of entries with former keys."""
    inside = frozen["fixed"]["inside"]
    client = inside[0]["client"]
    roster = {"line": {}, "threshold": 2}
    for pair in ([0, 1], [0, 2]):
        custodians = [RESCUE.Custodian(at + 1, "0" * 64, {client: inside[at]}) for at in pair]
        (found,) = RESCUE.clients_of(custodians, roster)
        wanted = frozen["fixed"]["content_keys"]
        for keys, data in zip(wanted, frozen["keys_objects"], strict=True):
            of = RESCUE.envelope(raw(data), "keys")
            assert [opened.hex() for opened in RESCUE.open_keys(found, of)] == keys
    lost = {**inside[0], "former": inside[0]["former"][1:]}
    custodians = [RESCUE.Custodian(at + 1, "0" * 64, {client: one}) for at, one in [(0, lost)]]
    custodians.append(RESCUE.Custodian(2, "0" * 64, {client: inside[1]}))
    (found,) = RESCUE.clients_of(custodians, roster)
    header = json.loads(decode_envelope(raw(frozen["keys_objects"][0]), "it").statement.header)
    with pytest.raises(RESCUE.Problem, match="2 custodians are needed, 1 opened"):
        RESCUE.open_dealing(found, header["label"], header["dealings"][0], 1)


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize("vault_class", ["normal", "high"])
def test_sessions_of_before_and_after_a_rotation_are_released_together(vault_class: str) -> None:
    world = World(vault_class="high" if vault_class == "high" else "normal")
    before = world.client_keys[0]
    _, first = world.backed_up()
    world.rotate(1)
    _, second = world.backed_up()
    world.rotate(1)
    statement, third = world.backed_up()
    assert len({before, entry_of(world, 1).pin.public, world.client_keys[0]}) == 2
    inner = {one.inner for one in (*first, *second, *third)}
    for other in (1, 2):
        found = opened_by(world, statement, world.custodians[0], world.custodians[other])
        assert set(found) == inner
    world.close()


def test_a_new_key_has_a_certificate_and_an_entry_of_the_next_serial(world: World) -> None:
    custodian = world.custodians[0]
    pin = world.rotate(1)
    assert pin.serial == 2
    certificate = custodian.enrol(world.client, world.vault, "normal", world.writer)
    certified = world.roster.check_client_key(certificate)
    assert (certified.serial, certified.public, certified.former) == (2, pin.public, (1,))
    assert [path[-8:] for path, _ in custodian.kit_entries(world.client)] == [
        "00000001",
        "00000002",
    ]
    told = custodian.journal(0)[-1]
    assert (told.op, told.subject, told.body) == (
        "client.key_rotated",
        world.client,
        {"serial": 2},
    )


def test_a_snapshot_that_was_dealt_before_a_rotation_is_still_receipted(world: World) -> None:
    """It was on its way: its writer could not know the new key."""
    statement, keys, _ = world.snapshot()
    world.rotate(1)
    receipt = world.custodians[0].ingest(statement, keys)
    assert world.roster.check_receipt(receipt, statement).index == 1


def test_an_avowal_names_the_former_keys_that_are_still_needed(world: World) -> None:
    dealt = []
    for _ in range(3):
        dealt.append(world.backed_up()[1][0])
        world.rotate(1)
    keys = [one.keys_object.statement for one in dealt]

    def former(*chosen: int) -> tuple[int, ...]:
        asked = [keys[at] for at in chosen]
        envelope = world.custodians[0].prove(CHALLENGE, asked)
        return world.roster.check_avowal(envelope, CHALLENGE, asked).former

    assert former(0, 1, 2) == (1, 2, 3)
    assert former(1) == (2,)
    assert former(2, 1, 2) == (2, 3)
    keys.append(world.backed_up()[1][0].keys_object.statement)
    assert former(3) == ()
    avowal = world.custodians[0].prove(CHALLENGE, keys[:1])
    for wrong in ([], [0], [1, 1], [2, 1], [True], ["1"], list(range(1, FORMER_MAX + 2)), 1):
        altered = resigned(avowal, world.custodians[0]._own.seed, "avowal", {"former": wrong})
        with pytest.raises(Damaged, match="former must"):
            Avowal.read(altered)
    certificate = world.custodians[0].enrol(world.client, world.vault, "normal", world.writer)
    assert world.roster.check_client_key(certificate).former == (1, 2, 3)
    for wrong in ([], [1, 1], [4], [3, 5]):
        seed = world.custodians[0]._own.seed
        with pytest.raises(Damaged, match="former must"):
            ClientKey.read(resigned(certificate, seed, "client-key", {"former": wrong}))


def test_what_was_dealt_to_a_dropped_key_opens_at_this_custodian_no_more(world: World) -> None:
    old, dealt = world.backed_up()
    world.rotate(1)
    _, second = world.backed_up()
    world.rotate(1)
    before = entry_of(world, 1)
    assert world.drop_former(1, 1) == KeyChange(4, 1, names(world, 1, 2, 3))
    after = entry_of(world, 1)
    assert after.former == before.former[1:]
    pin = replace(before.pin, serial=4, created_at=after.pin.created_at, former=(2,))
    assert after.pin == pin
    keys = [one.keys_object.statement for one in (*dealt, *second)]
    world.custodians[0].prove(CHALLENGE, keys[1:])
    with pytest.raises(Damaged, match=r"custodian 1 .* does not open"):
        world.custodians[0].prove(CHALLENGE, keys[:1])
    assert set(opened_by(world, old, *world.custodians[1:])) == {dealt[0].inner}
    entries = world.custodians[0].kit_entries()
    assert [path[-8:] for path, _ in world.custodians[0].kit_entries(world.client)] == ["00000004"]
    assert world.drop_former(1, 1) == KeyChange(4)
    assert world.custodians[0].kit_entries() == entries
    told = [fact.body for fact in world.custodians[0].journal(0) if fact.op.endswith("_dropped")]
    assert told == [{"serial": 4, "dropped": 1}]


def test_a_dropped_key_is_nowhere_in_the_database(world: World) -> None:
    former = entry_of(world, 1).seed
    world.rotate(1)
    with world.databases[0].reading() as transaction:
        (row,) = transaction.rows("SELECT serial, seed_sealed FROM former_key")
    assert world.custodians[0]._own.safe.open(f"former/{world.client}/00000001", row[1]) == former
    world.drop_former(1, 1)
    with world.databases[0].reading() as transaction:
        assert transaction.rows("SELECT serial FROM former_key") == []


def test_a_custodian_comes_back_from_its_kit_with_every_key(world: World, empty: Database) -> None:
    dealt = []
    for _ in range(2):
        dealt += world.backed_up()[1]
        world.rotate(1)
    statement, last = world.backed_up()
    entries = [one for custodian in world.custodians for one in custodian.kit_entries()]
    restored = LocalCustodian.restore(
        empty, KEK[::-1], entries, Kit(world.kit_secrets[0]), world.clock, world.token
    )
    assert restored.pins() == world.custodians[0].pins()
    restored.adopt_roster(world.roster_envelope)
    restored.adopt_policy(world.policy_envelope)
    found = opened_by(world, statement, restored, world.custodians[2])
    assert set(found) == {one.inner for one in (*dealt, *last)}


def test_a_new_writer_and_adopted_writers_leave_every_key(world: World) -> None:
    dealt = world.backed_up()[1]
    world.rotate(1)
    before = entry_of(world, 1)
    writer = signing.public_key(bytes(32))
    world.custodians[0].succeed(world.client, writer, {SnapshotHeader.writer_id(world.writer): 1})
    after = entry_of(world, 1)
    assert (after.seed, after.former) == (before.seed, before.former)
    assert (after.pin.serial, after.pin.public) == (3, before.pin.public)
    world.rotate(2)
    late = entry_of(world, 2)
    world.custodians[1].adopt_writers(world.client, after.pin.writers)
    adopted = entry_of(world, 2)
    assert (adopted.seed, adopted.former, adopted.pin.public) == (
        late.seed,
        late.former,
        late.pin.public,
    )
    world.custodians[1].prove(CHALLENGE, [dealt[0].keys_object.statement])


def test_no_more_former_keys_are_kept_than_a_share_is_tried_with(world: World) -> None:
    full = replace(
        entry_of(world, 1), former=tuple(FormerKey(at, bytes(32)) for at in range(FORMER_MAX))
    )
    with pytest.raises(Refused, match="32 former ones are kept already"):
        full.rotated(bytes(32), START)


def test_former_keys_of_a_strange_form_are_refused(world: World) -> None:
    pin = world.rotate(1)
    place = EntryPlace(world.install, world.custodians[0].card().id, f"{pin.client}-00000002")
    good = entry_of(world, 1).to_json(place.install, place.custodian)
    assert ClientEntry.parse(good, place) == entry_of(world, 1)
    (key,) = good["former"]
    seed = public_sealing.SEED_BYTES
    for wrong, why in (
        ([], "rising serials"),
        ([key, key], "rising serials"),
        ([{**key, "serial": 2}], "rising serials"),
        ([{**key, "serial": 0}], "serial must be"),
        ([{**key, "more": 1}], "unknown field"),
        ([{**key, "seed": "AAAA"}], f"seed must be {seed} bytes"),
        ([key] * (FORMER_MAX + 1), "a list of at most 32"),
        (None, "a list of at most 32"),
    ):
        with pytest.raises(Damaged, match=why):
            ClientEntry.parse({**good, "former": wrong}, place)


# -- by an order


def obeyed(custodian: LocalCustodian, order: Order) -> dict[str, object]:
    deed = Deed.read(custodian.obey(order))
    assert custodian.obey(order) == custodian.obey(order)
    return dict(deed.told)


def test_a_key_is_rotated_and_dropped_by_what_was_approved(world: World) -> None:
    world.backed_up()
    first, second = world.custodians[:2]
    before = entry_of(world, 1)
    orders = Orders(world)
    asked: dict[str, Value] = {"custodian": first.card().id}
    request = orders.ask(Procedure.CUSTODIAN_ROTATE, asked, world.client)
    order = waited(orders, request, first)
    assert obeyed(first, order) == {"serial": 2, "dropped": 0, "entries": ()}
    assert entry_of(world, 1).former == (FormerKey(1, before.seed),)
    order = waited(orders, request, second)
    with pytest.raises(Refused) as caught:
        second.obey(order)
    assert caught.value.code == "other_act"
    assert entry_of(world, 2).former == ()
    request = orders.ask(Procedure.CUSTODIAN_ROTATE, {**asked, "drop_to": 1}, world.client)
    dropped = obeyed(first, waited(orders, request, first))
    assert dropped == {"serial": 3, "dropped": 1, "entries": names(world, 1, 2)}
    assert entry_of(world, 1).former == ()
    request = orders.ask(Procedure.CUSTODIAN_ROTATE, {**asked, "drop_to": 2}, world.client)
    again = obeyed(first, waited(orders, request, first))
    assert again == {"serial": 3, "dropped": 0, "entries": ()}


def test_a_client_that_is_unknown_has_no_key_to_rotate(world: World) -> None:
    orders = Orders(world)
    params: dict[str, Value] = {"custodian": world.custodians[0].card().id}
    request = orders.ask(Procedure.CUSTODIAN_ROTATE, params, ClientId("0" * 32))
    order = waited(orders, request, world.custodians[0])
    with pytest.raises(Refused, match="does not know client"):
        world.custodians[0].obey(order)


def test_an_erasure_names_the_entries_that_were_wiped_before(world: World) -> None:
    """They were handed out, so they may lie somewhere still."""
    world.rotate(1)
    world.drop_former(1, 1)
    orders = Orders(world)
    request = orders.ask(Procedure.CLIENT_ERASURE, {}, world.client)
    told = obeyed(world.custodians[0], waited(orders, request, world.custodians[0]))
    assert told["entries"] == names(world, 1, 2, 3)


def names(world: World, *serials: int) -> tuple[str, ...]:
    return tuple(f"{world.client}-{serial:08d}" for serial in serials)


def waited(orders: Orders, request: ActRequest, custodian: LocalCustodian) -> Order:
    """Return the order once this custodian has waited for a veto."""
    with pytest.raises(Waiting) as caught:
        custodian.obey(orders.order(request))
    assert caught.value.code == "veto_time"
    orders.world.clock.at += DAY
    return orders.order(request)
