"""What a custodian checks before it signs a receipt, each check failed in turn."""

from typing import Any

import pytest

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Damaged, Refused, Stale, StrongroomError
from strongroom.facts import read_facts
from strongroom.ids import ClientId, SessionId, VaultId, WriterId, new_id
from strongroom.quorum import LocalCustodian, SnapshotHeader
from strongroom.quorum.rules import Standing
from tests.quorum.world import KEK, World, object_hash, resigned


def test_a_receipt_covers_every_fresh_share(high: World) -> None:
    statement, keys, _ = high.snapshot(sessions=2)
    receipts = [
        high.roster.check_receipt(custodian.ingest(statement, keys), statement)
        for custodian in high.custodians
    ]
    for receipt in receipts:
        assert [share.dealing for share in receipt.shares] == [1, 2, 1, 2]
    times = [one.received_at for one in receipts]
    assert high.roster.received_at(times) == sorted(times)[1]
    assert high.roster.received_at(times[:2]) == min(times[:2])
    with high.databases[0].reading() as transaction:
        kinds = [fact.op for fact in read_facts(transaction)]
    assert kinds == ["roster.adopted", "client.enrolled", "snapshot.receipted"]


def test_the_same_snapshot_again_gives_the_same_receipt(world: World) -> None:
    statement, keys, _ = world.snapshot()
    first, *_ = [custodian.ingest(statement, keys) for custodian in world.custodians]
    world.backed_up()
    assert world.custodians[0].ingest(statement, keys) == first


def test_standing_is_zero_first_and_then_the_highest(world: World) -> None:
    custodian = world.custodians[0]
    assert custodian.standing(world.vault) == Standing(0, "0" * 64)
    world.backed_up()
    statement, _ = world.backed_up()
    assert custodian.standing(world.vault) == Standing(2, statement.hash.hex())
    with pytest.raises(Refused, match="does not know vault"):
        custodian.standing(VaultId(new_id(world.token)))


def _offer(world: World, **changes: Any) -> Envelope:
    dealt = world.deal()
    statement = world.header([dealt], **changes).sign(world.writer_seed, b"").statement
    return world.custodians[0].ingest(statement, [dealt.keys_object])


@pytest.mark.parametrize(
    ("field", "error", "reason"),
    [
        ("client", Refused, "does not know client"),
        ("install", Refused, "another install"),
        ("vault", Refused, "this client's vault is"),
        ("vault_class", Refused, "this client's class is normal"),
        ("roster", Refused, "dealt to another roster"),
        ("sequence", Refused, "it has receipted up to 0; 1 is next"),
    ],
)
def test_a_header_that_is_not_ours(
    world: World, field: str, error: type[StrongroomError], reason: str
) -> None:
    every: dict[str, dict[str, Any]] = {
        "client": {"client": "c" * 32},
        "install": {"install": "d" * 32},
        "vault": {"vault": "e" * 32},
        "vault_class": {"vault_class": "high"},
        "roster": {"roster": "f" * 64},
        "sequence": {"sequence": 3, "previous": "1" * 64},
    }
    with pytest.raises(error, match=reason) as caught:
        _offer(world, **every[field])
    assert "custodian 1 (name1)" in str(caught.value)


def test_a_writer_that_is_not_pinned(world: World) -> None:
    stranger = world.token(32)
    public = signing.public_key(stranger)
    header = world.header([], writer=SnapshotHeader.writer_id(public))
    with pytest.raises(Refused, match="is not pinned for this client"):
        world.custodians[0].ingest(header.sign(stranger, b"").statement, [])


def test_a_revoked_writer(world: World) -> None:
    statement, keys, _ = world.snapshot()
    old = SnapshotHeader.writer_id(world.writer)
    world.custodians[0].succeed(world.client, signing.public_key(world.token(32)), {old: 9})
    with pytest.raises(Refused, match="is revoked after snapshot 9"):
        world.custodians[0].ingest(statement, keys)


def test_a_wrong_signature(world: World) -> None:
    statement, keys, _ = world.snapshot()
    header = SnapshotHeader.read(statement)
    forged = Envelope(statement, b"").statement
    broken = type(forged)(forged.header, forged.body_hash, bytes(64))
    with pytest.raises(Damaged, match=rf"snapshot 1 of vault {header.vault[:8]} carries a wrong"):
        world.custodians[0].ingest(broken, keys)


def test_no_roster_yet(world: World) -> None:
    with world.databases[0].transaction() as transaction:
        transaction.run("DELETE FROM roster")
    with pytest.raises(Refused, match="has adopted no roster yet"):
        _offer(world)


def test_another_snapshot_under_a_receipted_number_is_a_rollback(world: World) -> None:
    world.backed_up()
    with pytest.raises(Stale, match="holds another history") as caught:
        _offer(world, sequence=1, previous="0" * 64, sessions=(), fresh=())
    assert caught.value.exit_code == 20


def test_an_older_number_without_its_receipt_is_a_rollback(world: World) -> None:
    world.backed_up()
    world.backed_up()
    with world.databases[0].transaction() as transaction:
        transaction.run("DELETE FROM receipt WHERE sequence = 1")
    with pytest.raises(Stale, match="it has receipted 2 already"):
        _offer(world, sequence=1, previous="0" * 64)


def test_a_snapshot_that_does_not_follow(world: World) -> None:
    world.backed_up()
    with pytest.raises(Stale, match="does not follow"):
        _offer(world, previous="1" * 64)


def test_a_gap_names_the_next(world: World) -> None:
    statement, keys, _ = world.snapshot()
    later, later_keys, _ = world.snapshot()
    with pytest.raises(Refused, match="1 is next"):
        world.custodians[0].ingest(later, later_keys)
    world.custodians[0].ingest(statement, keys)
    world.custodians[0].ingest(later, later_keys)


def test_keys_objects_that_are_not_just_the_fresh_ones(world: World) -> None:
    statement, keys, _ = world.snapshot()
    other = world.deal().keys_object
    for wrong in ([], [other], [*keys, other], [*keys, *keys]):
        with pytest.raises(Refused, match="1 fresh keys objects are named by hash"):
            world.custodians[0].ingest(statement, wrong)
    assert world.custodians[0].standing(world.vault).sequence == 0


def test_a_keys_object_of_another_signer(world: World) -> None:
    dealt = world.deal()
    forged = resigned(dealt.keys_object, world.token(32), "keys", {})
    session = SessionId(forged.statement.fields("keys")["label"]["session"])
    header = world.header([], fresh=((session, object_hash(forged)),), sessions=(session,))
    with pytest.raises(Damaged, match=f"the keys object of session {session} carries a wrong"):
        world.custodians[0].ingest(header.sign(world.writer_seed, b"").statement, [forged])


@pytest.mark.parametrize(
    "changes",
    [
        {"install": "a" * 32},
        {"client": "a" * 32},
        {"vault": "a" * 32},
        {"roster_id": "a" * 64},
        {"threshold": 1},
    ],
)
def test_a_label_that_is_not_the_headers(world: World, changes: dict[str, Any]) -> None:
    dealt = world.deal(world.label(**changes))
    statement = world.header([dealt]).sign(world.writer_seed, b"").statement
    with pytest.raises(Refused, match="the label of session"):
        world.custodians[0].ingest(statement, [dealt.keys_object])


def test_a_share_that_does_not_match_its_commitment(world: World) -> None:
    dealt = world.deal()
    dealings = dealt.keys_object.statement.fields("keys")["dealings"]
    dealings[0]["commitments"][0] = "00" * 32
    forged = resigned(dealt.keys_object, world.writer_seed, "keys", {"dealings": dealings})
    session = SessionId(forged.statement.fields("keys")["label"]["session"])
    header = world.header([], fresh=((session, object_hash(forged)),), sessions=(session,))
    statement = header.sign(world.writer_seed, b"").statement
    reason = r"custodian 1 \(name1\): its share does not match its commitment"
    with pytest.raises(Damaged, match=reason):
        world.custodians[0].ingest(statement, [forged])
    # The other custodians' shares are as they were committed to.
    world.custodians[1].ingest(statement, [forged])


def test_enrolling_again(world: World) -> None:
    custodian = world.custodians[0]
    first = custodian.enrol(world.client, world.vault, "normal", world.writer)
    assert custodian.enrol(world.client, world.vault, "normal", world.writer) == first
    other = signing.public_key(world.token(32))
    with pytest.raises(Refused, match="refuses another writer"):
        custodian.enrol(world.client, world.vault, "normal", other)
    with pytest.raises(Refused, match="of class normal"):
        custodian.enrol(world.client, world.vault, "high", world.writer)
    client, vault = ClientId(new_id(world.token)), VaultId(new_id(world.token))
    with pytest.raises(Refused, match="its vault is taken"):
        custodian.enrol(client, world.vault, "normal", other)
    with pytest.raises(Refused, match="another client has it"):
        custodian.enrol(client, vault, "normal", world.writer)
    with pytest.raises(StrongroomError, match="a writer key is malformed"):
        custodian.enrol(client, vault, "normal", b"short")


def test_a_successor(world: World) -> None:
    custodian = world.custodians[0]
    world.backed_up()
    old = SnapshotHeader.writer_id(world.writer)
    new = signing.public_key(world.token(32))
    with pytest.raises(Refused, match="cannot be revoked after snapshot 0"):
        custodian.succeed(world.client, new, {old: 0})
    with pytest.raises(StrongroomError, match="must be named"):
        custodian.succeed(world.client, new, {})
    with pytest.raises(StrongroomError, match="must be named"):
        custodian.succeed(world.client, new, {old: 1, WriterId("a" * 32): 1})
    with pytest.raises(Refused, match="does not know client"):
        custodian.succeed(ClientId(new_id(world.token)), new, {old: 1})
    certificate = custodian.succeed(world.client, new, {old: 1})
    assert custodian.succeed(world.client, new, {old: 1}) == certificate
    assert custodian.enrol(world.client, world.vault, "normal", new) == certificate
    key = world.roster.check_client_key(certificate)
    assert (key.serial, key.public) == (2, world.client_keys[0])
    assert custodian.standing(world.vault) == Standing()
    with pytest.raises(StrongroomError, match="a new writer needs a new key"):
        custodian.succeed(world.client, world.writer, {SnapshotHeader.writer_id(new): 0})
    third = signing.public_key(world.token(32))
    custodian.succeed(world.client, third, {SnapshotHeader.writer_id(new): 0})
    assert [one.revoked_after for one in custodian.pins()[0].writers] == [1, 0, None]


def test_a_custodian_is_opened_again(world: World) -> None:
    statement, _ = world.backed_up()
    again = LocalCustodian.open(world.databases[0], KEK, world.clock, world.token)
    assert again.card() == world.custodians[0].card()
    assert again.standing(world.vault).hash == statement.hash.hex()
    with pytest.raises(Damaged, match="a sealed custodian-row does not open"):
        LocalCustodian.open(world.databases[0], bytes(32), world.clock, world.token)
    with world.databases[0].transaction() as transaction:
        transaction.run("UPDATE custodian SET identity = ?", (bytes(32),))
    with pytest.raises(Damaged, match="its identity key is another one"):
        LocalCustodian.open(world.databases[0], KEK, world.clock, world.token)
    with pytest.raises(StrongroomError, match="holds a custodian already"):
        LocalCustodian.create(
            world.databases[1], KEK, (world.install, 1, "x"), bytes(32), world.clock, world.token
        )


def test_an_empty_database_holds_no_custodian(world: World) -> None:
    with world.databases[0].transaction() as transaction:
        transaction.run("DELETE FROM custodian")
    with pytest.raises(StrongroomError, match="holds no custodian"):
        LocalCustodian.open(world.databases[0], KEK, world.clock, world.token)


def test_a_secret_copied_to_another_row_does_not_open(world: World) -> None:
    with world.databases[0].transaction() as transaction:
        transaction.run("UPDATE custodian SET kit_key_sealed = identity_sealed")
    with pytest.raises(Damaged, match="does not open"):
        LocalCustodian.open(world.databases[0], KEK, world.clock, world.token)


def test_a_secret_that_was_cut_short_does_not_open(world: World) -> None:
    with world.databases[0].transaction() as transaction:
        transaction.run("UPDATE custodian SET kit_key_sealed = ?", (b"short",))
    with pytest.raises(Damaged, match="kit-key does not open: it was cut short"):
        LocalCustodian.open(world.databases[0], KEK, world.clock, world.token)
