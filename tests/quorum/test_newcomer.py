"""A custodian that takes the seat of another: what it signs and opens, and who counts since."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, Statement
from strongroom.database import Database
from strongroom.errors import Damaged, Refused, UsageError
from strongroom.ids import ClientId, VaultId, new_id
from strongroom.quorum import (
    Dealing,
    LocalCustodian,
    Roster,
    SnapshotHeader,
    recovery_messages,
)
from strongroom.quorum.key_table import WRITERS_MAX, PinnedWriter
from strongroom.quorum.order import Order
from strongroom.quorum.rules import Past, Standing
from tests.quorum.ordering import Orders
from tests.quorum.world import KEK, World


@dataclass
class Replaced:
    """A world whose third custodian gave its seat to another after some snapshots."""

    world: World
    newcomer: LocalCustodian
    lost: LocalCustodian
    first: Roster
    second: Roster
    envelope: Envelope

    @property
    def line(self) -> Roster.Line:
        return self.second.after([self.first])

    def enrol(self, past: Past) -> Envelope:
        world = self.world
        return self.newcomer.enrol(world.client, world.vault, "normal", world.writer, past)

    @cached_property
    def orders(self) -> Orders:
        return Orders(self.world)

    def order(self) -> Order:
        """Return the order to follow the new roster, approved and waited for."""
        asked = self.orders.seating(self.newcomer, self.envelope)
        return self.orders.waited(asked, self.envelope)

    def follow(self) -> None:
        """Let everybody that stays follow, and deal to the new roster from here on."""
        world, order = self.world, self.order()
        for custodian in world.custodians[:2]:
            custodian.obey(order)
        self.newcomer.adopt_policy(world.policy_envelope)
        certificate = self.enrol(Past(Standing(world.sequence, world.last)))
        world.roster = self.second
        world.custodians[2] = self.newcomer
        world.client_keys[2] = self.second.check_client_key(certificate).public


@pytest.fixture(name="spare")
def _spare() -> Iterator[Database]:
    database = open_sqlite(None)
    yield database
    database.close()


@pytest.fixture(name="replaced")
def _replaced(world: World, spare: Database) -> Replaced:
    secret = world.token(32)
    seat = (world.install, 3, "name3")
    newcomer = LocalCustodian.create(spare, KEK, seat, secret, world.clock, world.token)
    first, lost = world.roster, world.custodians[2]
    members = [*(one.card() for one in world.custodians[:2]), newcomer.card()]
    envelope = world.sign_roster(version=2, members=members)
    second = Roster.parse(envelope, signing.public_key(world.operator_seed))
    newcomer.adopt_roster(envelope)
    return Replaced(world, newcomer, lost, first, second, envelope)


def receipts(world: World, shown: tuple[Statement, list[Envelope], object]) -> list[Envelope]:
    statement, keys, _ = shown
    return [custodian.ingest(statement, keys) for custodian in world.custodians]


def test_it_signs_from_where_the_writer_stands(replaced: Replaced) -> None:
    world = replaced.world
    world.backed_up()
    before = Standing(world.sequence, world.last)
    replaced.follow()
    assert replaced.newcomer.standing(world.vault) == before
    shown = world.snapshot()
    for receipt in receipts(world, shown):
        replaced.line.check_receipt(receipt, shown[0])
    assert replaced.newcomer.standing(world.vault).sequence == before.sequence + 1


def test_a_clients_past_is_told_once(replaced: Replaced) -> None:
    world = replaced.world
    world.backed_up()
    replaced.follow()
    began = Standing(world.sequence, world.last)
    certificate = replaced.enrol(Past(began))
    pin = replaced.newcomer.pin(world.client)
    stranger = (PinnedWriter(bytes(32), 1),)
    assert replaced.enrol(Past(Standing(9, "9" * 64), stranger)) == certificate
    assert replaced.newcomer.standing(world.vault) == began
    assert replaced.newcomer.pin(world.client) == pin
    receipts(world, world.snapshot())


def test_a_far_beginning_where_nobody_was_replaced(world: World) -> None:
    """It would refuse every backup of the client for ever, as rolled back."""
    stranger = ClientId(new_id(world.token)), VaultId(new_id(world.token))
    writer = signing.public_key(bytes([7]) * 32)
    far = Past(Standing(1_000_000, "f" * 64))
    for past in (far, Past.of(0, SnapshotHeader.NO_PREVIOUS, [(bytes(32), 4)])):
        with pytest.raises(Refused, match="it took nobody's seat"):
            world.custodians[0].enrol(*stranger, "normal", writer, past)
    assert world.custodians[0].pin(stranger[0]) is None
    world.custodians[0].enrol(world.client, world.vault, "normal", world.writer, far)
    receipts(world, world.snapshot())


def test_a_beginning_that_no_snapshot_can_have(replaced: Replaced) -> None:
    with pytest.raises(UsageError, match="99999999 are the most"):
        replaced.enrol(Past(Standing(100_000_000, "f" * 64)))
    assert replaced.newcomer.pins() == []


def test_more_writers_than_a_kit_can_hold_are_refused(replaced: Replaced) -> None:
    """One entry that nobody can read would stop every recovery of that custodian."""
    many = tuple(PinnedWriter(number.to_bytes(32, "big"), 1) for number in range(WRITERS_MAX))
    with pytest.raises(UsageError, match="too many writers"):
        replaced.enrol(Past(Standing(1, "a" * 64), many))
    assert replaced.newcomer.pins() == []
    replaced.enrol(Past(Standing(1, "a" * 64), many[1:]))
    pins = replaced.newcomer.pins()
    assert recovery_messages.read_pins_answer(recovery_messages.pins_answer(pins)) == pins


def test_a_former_writer_that_could_still_write_is_refused(replaced: Replaced) -> None:
    with pytest.raises(UsageError, match="is not revoked"):
        replaced.enrol(Past.of(1, "1" * 64, [(signing.public_key(bytes(32)), None)]))
    replaced.enrol(Past.of(1, "1" * 64, [(signing.public_key(bytes(32)), 4)]))
    pin = replaced.newcomer.pin(replaced.world.client)
    assert pin is not None
    assert [one.revoked_after for one in pin.writers] == [4, None]


def test_what_was_dealt_before_is_opened_by_those_of_that_time(replaced: Replaced) -> None:
    world = replaced.world
    statement, dealt = world.backed_up()
    replaced.follow()
    after, fresh = world.backed_up()
    opening = world.opening(after)
    with pytest.raises(Refused, match="was dealt to a roster that it never followed"):
        replaced.newcomer.release(opening.request)
    for custodian in world.custodians[:2]:
        opening.take(custodian.card(), custodian.release(opening.request))
    keys = opening.complete()
    for one in (*dealt, *fresh):
        session = Dealing.parse(one.keys_object.statement).label.session
        assert keys[session][0] == one.inner
    assert statement.hash != after.hash


def test_a_share_that_was_lost_is_still_named(replaced: Replaced) -> None:
    world = replaced.world
    replaced.follow()
    statement, _ = world.backed_up()
    world.lose_seed(2)
    with pytest.raises(Damaged, match="does not open"):
        world.custodians[1].release(world.opening(statement).request)


def test_what_was_under_way_is_signed_for_and_nothing_later(replaced: Replaced) -> None:
    world = replaced.world
    pending = world.snapshot()
    stays = world.custodians[0]
    stays.obey(replaced.order())
    replaced.first.check_receipt(stays.ingest(*pending[:2]), pending[0])
    replaced.follow()
    shown = world.snapshot()
    replaced.second.check_receipt(stays.ingest(*shown[:2]), shown[0])
    # Whoever lost the seat could open this one.
    world.roster = replaced.first
    late = world.snapshot()
    with pytest.raises(Refused, match="dealt to another roster"):
        stays.ingest(*late[:2])


def test_who_lost_the_seat_signs_nothing_of_the_new_roster(replaced: Replaced) -> None:
    world = replaced.world
    old = world.snapshot()
    signed = receipts(world, old)[2]
    certificate = replaced.lost.enrol(world.client, world.vault, "normal", world.writer)
    replaced.follow()
    line = replaced.line
    assert line.check_receipt(signed, old[0]).custodian == replaced.lost.card().id
    assert line.check_client_key(certificate).custodian == replaced.lost.card().id
    assert line.check_witness(replaced.lost.witness_card()).index == 3
    with pytest.raises(Damaged):
        replaced.second.check_client_key(certificate)
    with pytest.raises(Damaged):
        replaced.second.check_witness(replaced.lost.witness_card())
    new = world.snapshot()
    with pytest.raises(Refused, match="dealt to another roster"):
        replaced.lost.ingest(*new[:2])


def test_a_card_of_somebody_unknown_counts_for_nothing(replaced: Replaced) -> None:
    world = replaced.world
    statement, _ = world.backed_up()
    world.custodians[2] = replaced.newcomer
    opening = world.opening(statement)
    opening.take(world.custodians[0].card(), world.custodians[0].release(opening.request))
    assert opening.lacking == 1


def test_a_line_is_of_one_install_and_operator(replaced: Replaced) -> None:
    world = replaced.world
    assert replaced.line.version(1) == replaced.first
    assert replaced.line.holds(replaced.first.id, replaced.lost.card())
    assert not replaced.line.holds(replaced.second.id, replaced.lost.card())
    with pytest.raises(Damaged, match="is not known"):
        replaced.line.version(3)
    for changes in ({"operator_seed": bytes(32)}, {"threshold": 3}, {"version": 2}):
        other = Roster.parse(world.sign_roster(**changes), None)
        with pytest.raises(Damaged):
            replaced.second.after([other])


def test_a_recovery_takes_a_later_roster_than_the_kit_names(
    replaced: Replaced,
) -> None:
    world = replaced.world
    entries = world.custodians[0].kit_entries()
    database = open_sqlite(None)
    kit = LocalCustodian.Kit(world.kit_secrets[0])
    restored = LocalCustodian.restore(database, KEK, entries, kit, world.clock, world.token)
    with pytest.raises(Refused, match="its kit names another roster"):
        restored.adopt_roster(replaced.envelope)
    assert restored.take_roster(replaced.envelope) == replaced.second
    assert len(restored.kit_entries("identity")) == 2
    with pytest.raises(Refused, match="not rebuilt just now"):
        restored.take_roster(replaced.envelope)
    database.close()
