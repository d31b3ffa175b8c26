"""The signed objects of this room are closed: nothing missing, nothing added, every limit held."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, sign_envelope
from strongroom.errors import Damaged, Refused
from strongroom.quorum import Dealing, Roster, SnapshotHeader
from strongroom.quorum.client_key import ClientKey
from strongroom.quorum.fields import Fields
from strongroom.quorum.receipt import Receipt
from strongroom.quorum.release import Release
from strongroom.quorum.witness_card import WitnessCard
from tests.quorum.world import World, resigned

Reader = Callable[[Envelope], object]


def _objects(world: World) -> dict[str, tuple[Envelope, bytes, Reader]]:
    statement, keys, _ = world.snapshot()
    custodian = world.custodians[0]
    seed = custodian._own.seed
    member = custodian.card()
    receipt = custodian.ingest(statement, keys)
    certificate = custodian.enrol(world.client, world.vault, "normal", world.writer)
    answer = custodian.release(world.opening(statement).request)
    header = SnapshotHeader.read(statement).sign(world.writer_seed, b"")
    return {
        "roster": (world.roster_envelope, world.operator_seed, lambda e: Roster.parse(e, None)),
        "client-key": (certificate, seed, lambda e: ClientKey.parse(e, member.identity)),
        "receipt": (receipt, seed, lambda e: Receipt.parse(e, member.identity)),
        "keys": (keys[0], world.writer_seed, lambda e: Dealing.parse(e.statement)),
        "snapshot": (
            header,
            world.writer_seed,
            lambda e: SnapshotHeader.parse(e.statement, world.writer),
        ),
        "avowal": (
            custodian.prove("5c" * 32, [keys[0].statement]),
            seed,
            lambda e: world.roster.check_avowal(e, "5c" * 32, [keys[0].statement]),
        ),
        "release": (answer, seed, lambda e: Release.parse(e, member)),
        "witness-card": (
            custodian.witness_card(),
            seed,
            lambda e: WitnessCard.parse(e, member.identity),
        ),
    }


def test_no_field_may_be_missing_or_added_or_of_another_type(world: World) -> None:
    for kind, (envelope, seed, read) in _objects(world).items():
        read(envelope)
        with pytest.raises(Damaged, match="unknown field 'zzz'"):
            read(resigned(envelope, seed, kind, {"zzz": 1}))
        for name in envelope.statement.fields(kind):
            with pytest.raises(Damaged, match=f"the field '{name}' is missing"):
                read(resigned(envelope, seed, kind, {name: None}))
            wrong: Any
            for wrong in (True, -1, 1.5, "\u0000", "x" * 70, {}, [7] * 3):
                with pytest.raises(Damaged):
                    read(resigned(envelope, seed, kind, {name: wrong}))


def test_every_object_names_who_signed_it(world: World) -> None:
    for kind, (envelope, _, read) in _objects(world).items():
        if kind == "keys":
            continue  # Whoever reads a keys object asks for the signature it needs.
        with pytest.raises(Damaged):
            read(resigned(envelope, bytes(32), kind, {}))


def test_objects_without_a_body(world: World) -> None:
    for kind, (envelope, seed, read) in _objects(world).items():
        if kind in ("roster", "client-key", "receipt"):
            with pytest.raises(Damaged, match="it has a body"):
                read(resigned(envelope, seed, kind, {}, body=b"x"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sessions": ["b" * 32, "a" * 32]}, "sorted and distinct"),
        ({"sessions": ["a" * 32, "a" * 32]}, "sorted and distinct"),
        ({"sessions": []}, "fresh must name"),
        ({"fresh": [{"session": "c" * 32, "keys": "0" * 64}]}, "fresh must name"),
        ({"previous": "1" * 64}, "only the first snapshot"),
        ({"sequence": 2}, "only the first snapshot"),
        ({"sequence": 0}, "an integer from 1"),
        ({"sequence": 1.5}, "an integer from 1"),
        ({"writer": "a" * 32}, "its writer is not the key that signed it"),
        ({"class": "other"}, "one of normal, high"),
    ],
)
def test_a_snapshot_header(world: World, changes: dict[str, Any], reason: str) -> None:
    header = world.header([world.deal()]).sign(world.writer_seed, b"")
    with pytest.raises(Damaged, match=reason):
        SnapshotHeader.parse(
            resigned(header, world.writer_seed, "snapshot", changes).statement, world.writer
        )


def test_a_header_is_read_back_before_it_leaves(world: World) -> None:
    with pytest.raises(Damaged, match="sorted and distinct"):
        world.header([], sessions=("b" * 32, "a" * 32)).sign(world.writer_seed, b"")


def test_too_many_sessions(world: World) -> None:
    sessions = tuple(f"{number:032x}" for number in range(10_001))
    world.header([], sessions=sessions[:-1]).sign(world.writer_seed, b"")
    with pytest.raises(Damaged, match="a list of at most 10000"):
        world.header([], sessions=sessions).sign(world.writer_seed, b"")


def test_a_keys_object_over_its_limit(world: World) -> None:
    dealt = world.deal().keys_object
    long = resigned(dealt, world.writer_seed, "keys", {"zzz": "x" * (256 << 10)})
    with pytest.raises(Damaged, match="over 262144 bytes"):
        Dealing.parse(long.statement)


def test_a_dealing_needs_a_key_of_every_member(world: World) -> None:
    with pytest.raises(ValueError, match="3 client keys are needed, got 2"):
        Dealing.deal(
            world.label(), world.client_keys[:2], world.writer_seed, bytes(32), world.token
        )


def test_rosters(world: World) -> None:
    members = world.roster.members
    assert world.roster.member(3).name == "name3"
    for index in (0, 4):
        with pytest.raises(Damaged, match="is not in the roster"):
            world.roster.member(index)
    with pytest.raises(Damaged, match="another operator key"):
        Roster.parse(world.roster_envelope, world.writer)
    for broken in (members[::-1], members[1:], (members[0], replace(members[1], index=3))):
        with pytest.raises(Damaged, match="indices are not 1 to n"):
            world.sign_roster(members=broken, threshold=1)
    for changes in ({"id": members[0].id}, {"name": "name1"}, {"identity": members[0].identity}):
        with pytest.raises(Damaged, match="two members share"):
            world.sign_roster(members=[members[0], replace(members[1], **changes), members[2]])
    with pytest.raises(Damaged, match="impossible threshold"):
        world.sign_roster(threshold=4)
    with pytest.raises(Damaged, match="cannot be printed"):
        world.sign_roster(members=[replace(members[0], name="a\nb")], threshold=1)


def test_adopting_rosters(world: World) -> None:
    custodian = world.custodians[0]
    members = world.roster.members
    assert custodian.adopt_roster(world.roster_envelope) == world.roster
    with pytest.raises(Refused, match="version 1 is pinned"):
        custodian.adopt_roster(world.sign_roster())
    with pytest.raises(Refused, match="another install"):
        custodian.adopt_roster(world.sign_roster(version=2, install="a" * 32))
    renamed = [replace(members[0], name="other"), *members[1:]]
    with pytest.raises(Refused, match="does not list this custodian"):
        custodian.adopt_roster(world.sign_roster(version=2, members=renamed))
    with pytest.raises(Refused, match="version 1 is pinned") as caught:
        custodian.adopt_roster(world.sign_roster(version=2))
    assert "only by an order that was approved" in caught.value.hint


def test_a_borrowed_name(world: World) -> None:
    certificate = world.custodians[0].enrol(world.client, world.vault, "normal", world.writer)
    seed = world.custodians[0]._own.seed
    with pytest.raises(Damaged, match=r"custodian 2 \(name2\) did not make this object"):
        world.roster.check_client_key(resigned(certificate, seed, "client-key", {"index": 2}))
    other = {"index": 2, "custodian": world.roster.member(2).id}
    with pytest.raises(Damaged, match="the client key of custodian 2 carries a wrong signature"):
        world.roster.check_client_key(resigned(certificate, seed, "client-key", other))


def test_a_receipt_for_another_snapshot(world: World) -> None:
    statement, keys, _ = world.snapshot()
    receipt = world.custodians[0].ingest(statement, keys)
    other = world.header([], sequence=9, previous="1" * 64).sign(world.writer_seed, b"").statement
    with pytest.raises(Damaged, match="the receipt of custodian 1 is for another snapshot"):
        world.roster.check_receipt(receipt, other)
    body = replace(statement, body_hash=bytes(32))
    with pytest.raises(Damaged, match="is for another snapshot"):
        world.roster.check_receipt(receipt, body)
    with pytest.raises(ValueError, match="median of no receipts"):
        Roster.received_at([])


def test_fields_refuse_what_is_not_an_object() -> None:
    with pytest.raises(Damaged, match="it is not a JSON object"):
        Fields([], "a thing")
    fields = Fields({"name": "", "when": "yesterday"}, "a thing")
    with pytest.raises(Damaged, match="1 to 64 characters"):
        fields.text("name")
    with pytest.raises(Damaged, match="when is not an instant"):
        fields.instant("when")


def test_an_object_of_another_type(world: World) -> None:
    other = sign_envelope(world.writer_seed, "other", {})
    with pytest.raises(Damaged, match="an object is not a snapshot"):
        SnapshotHeader.read(other.statement)
    assert signing.public_key(world.writer_seed) == world.writer
