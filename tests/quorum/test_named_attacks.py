"""Every named attack of the field note that touches share-v1, each under its own name."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from strongroom.crypto import scalars
from strongroom.crypto.envelope import Envelope
from strongroom.crypto.framing import frame
from strongroom.crypto.signing import sign
from strongroom.errors import Damaged, Refused
from strongroom.ids import ClientId, SessionId, VaultId, new_id
from strongroom.quorum import Dealing, SnapshotHeader
from strongroom.quorum.dealing import Dealt
from strongroom.quorum.opening import SharesAltered
from strongroom.quorum.release import Release
from strongroom.quorum.rules import ALL_WRITERS_MAX, CLIENTS_MAX
from strongroom.quorum.shares import combine, split
from tests.quorum.ordering import Orders, newcomer
from tests.quorum.world import World, object_hash, resigned, seeded


def _ingest_one(world: World, keys_object: Envelope) -> Envelope:
    """Offer custodian 2 a first snapshot whose one fresh keys object is this."""
    session = keys_object.statement.fields("keys")["label"]["session"]
    header = world.header(
        [],
        fresh=((SessionId(session), object_hash(keys_object)),),
        sessions=(SessionId(session),),
    )
    statement = header.sign(world.writer_seed, b"").statement
    return world.custodians[1].ingest(statement, [keys_object])


def _with_dealings(world: World, dealt: Dealt, change: Any) -> Envelope:
    dealings = dealt.keys_object.statement.fields("keys")["dealings"]
    return resigned(dealt.keys_object, world.writer_seed, "keys", {"dealings": change(dealings)})


def test_static_dh_oracle_relabelling(world: World) -> None:
    """A share sealed for session A does not open as one of session B, whatever header it has."""
    first, second = world.deal(), world.deal()
    dealings = first.keys_object.statement.fields("keys")["dealings"]
    relabelled = resigned(second.keys_object, world.writer_seed, "keys", {"dealings": dealings})
    with pytest.raises(Damaged, match=r"custodian 2 \(name2\): the share sealed to it .* open"):
        _ingest_one(world, relabelled)


def test_share_index_zero_order_and_duplicates() -> None:
    token = seeded("attack")
    points = split(scalars.from_int(7), 2, 3, token)
    for bad in ((0, points[0][1]), (scalars.ORDER, points[0][1]), points[1], (255, points[0][1])):
        with pytest.raises(Damaged, match="shares cannot be combined"):
            combine([bad, points[1]], 2, 3)


def test_threshold_raise_by_longer_commitment_vector(world: World) -> None:
    def longer(dealings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        part = dealings[0]
        return [
            {
                "check": part["check"],
                "commitments": [*part["commitments"], part["commitments"][0]],
                "shares": [*part["shares"], part["shares"][0]],
            }
        ]

    with pytest.raises(Damaged, match="needs 3 commitments and 3 shares"):
        _ingest_one(world, _with_dealings(world, world.deal(), longer))


def test_threshold_comes_from_the_signed_roster(world: World) -> None:
    dealt = world.deal(world.label(threshold=3))
    with pytest.raises(Refused, match="not that of the header and roster"):
        _ingest_one(world, dealt.keys_object)


def test_ambiguous_hash_encoding(world: World) -> None:
    assert frame(b"ab", b"c") != frame(b"a", b"bc")
    assert frame(b"ab", b"") != frame(b"ab")
    label = world.label()
    moved = replace(label, vault=VaultId(label.session), session=SessionId(label.vault))
    assert moved.hash != label.hash


def test_empty_proof_list_passes(world: World) -> None:
    dealt = world.deal()
    with pytest.raises(Damaged, match="class normal does not have 0 dealings"):
        _ingest_one(world, _with_dealings(world, dealt, lambda _: []))

    def emptied(dealings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"check": dealings[0]["check"], "commitments": [], "shares": []}]

    with pytest.raises(Damaged, match="needs 3 commitments"):
        _ingest_one(world, _with_dealings(world, dealt, emptied))


def test_empty_list_of_fresh_keys_passes(world: World) -> None:
    statement, _, _ = world.snapshot()
    with pytest.raises(Refused, match="1 fresh keys objects are named by hash, and 0 came"):
        world.custodians[0].ingest(statement, [])


def test_receipt_without_shares_passes(world: World) -> None:
    statement, keys, _ = world.snapshot()
    receipt = world.custodians[0].ingest(statement, keys)
    seed = world.custodians[0]._own.seed
    emptied = resigned(receipt, seed, "receipt", {"shares": []})
    world.roster.check_receipt(emptied)
    with pytest.raises(Damaged, match="does not cover the snapshot"):
        world.roster.check_receipt(emptied, statement)


def test_cross_purpose_key_use(world: World) -> None:
    """A custodian's signature under one purpose is none under another, nor another type's."""
    statement, keys, _ = world.snapshot()
    receipt = world.custodians[0].ingest(statement, keys)
    with pytest.raises(Damaged, match="is not a client-key"):
        world.roster.check_client_key(receipt)
    signed = receipt.statement
    foreign = sign(
        world.custodians[0]._own.seed, "another purpose", signed.header + signed.body_hash
    )
    forged = Envelope(replace(signed, signature=foreign), b"")
    with pytest.raises(Damaged, match="wrong signature"):
        world.roster.check_receipt(forged)


def test_lowered_threshold_in_a_later_roster(world: World) -> None:
    """Not even what was approved for a new custodian lowers it."""
    orders = Orders(world)
    for threshold in (1, 3):
        lowered, request = orders.seat(newcomer(world), threshold=threshold)
        order = orders.waited(request, lowered)
        with pytest.raises(Refused, match=r"custodian 1 .* the threshold is 2 for ever"):
            world.custodians[0].obey(order)
        with pytest.raises(Refused, match=r"custodian 1 .* version 1 is pinned"):
            world.custodians[0].adopt_roster(lowered)


def test_unreduced_scalars(world: World) -> None:
    with pytest.raises(Damaged, match="not a reduced scalar"):
        scalars.parse_scalar((scalars.ORDER + 5).to_bytes(32, "little"), "it")
    label = world.label()
    dealing = Dealing.parse(world.deal(label).keys_object.statement)
    opened = (scalars.ORDER + 5).to_bytes(32, "little") + bytes(32)
    with pytest.raises(Damaged, match=r"custodian 2: its share is not a reduced scalar"):
        dealing.check_share(1, 2, opened, "custodian 2")


def test_wrong_share_gives_a_silently_wrong_key(world: World) -> None:
    """Shamir alone would not notice; the commitment does, and names the custodian."""
    statement, dealt = world.backed_up()
    opening = world.opening(statement)
    request = opening.request
    liar = world.custodians[1]
    honest = liar.release(request)
    member = liar.card()
    release = Release.parse(honest, member)
    shares = release.open(opening._seed, honest.body)
    off = scalars.add(shares[:32], scalars.from_int(1)) + shares[32:]
    altered = release.sign(liar._own.seed, request.recipient, [off])
    opening.take(world.custodians[0].card(), world.custodians[0].release(request))
    opening.take(member, altered)
    with pytest.raises(SharesAltered) as caught:
        opening.complete()
    assert "custodian 2 (name2): its share does not match its commitment" in str(caught.value)
    assert caught.value.exit_code == 40
    opening.take(world.custodians[2].card(), world.custodians[2].release(request))
    session = SnapshotHeader.read(statement).sessions[0]
    assert opening.complete() == {session: (dealt[0].inner, None)}
    reason = f"its share does not match its commitment: session {session}, dealing 1"
    assert opening.culprits == (f"custodian 2 (name2): {reason}",)


def test_a_dealer_that_lies_is_found_by_the_check_value(world: World) -> None:
    dealt = world.deal()

    def lied(dealings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**dealings[0], "check": "00" * 32}]

    keys_object = _with_dealings(world, dealt, lied)
    dealing = Dealing.parse(keys_object.statement)
    points = []
    for at, custodian in enumerate(world.custodians[:2], 1):
        with world.databases[at - 1].reading() as transaction:
            seed = custodian._own.entry(transaction, world.client).seed
        points.append((at, dealing.open_own(1, at, seed, "x")[:32]))
    with pytest.raises(Damaged, match="do not give its key"):
        dealing.content_key(1, points)


def test_biased_randomness(world: World) -> None:
    """The drawn bytes are 64 wide and reduced, and every seal draws a salt of its own."""
    asked: list[int] = []
    token = world.token

    def recording(length: int) -> bytes:
        asked.append(length)
        return token(length)

    Dealing.deal(world.label(), world.client_keys, world.writer_seed, bytes(32), recording)
    assert asked == [64, 64, 32, 32, 32, 16]


def test_a_key_object_of_another_client_is_refused(world: World) -> None:
    dealt = world.deal(world.label(client=new_id(world.token)))
    with pytest.raises(Refused, match="the label of session"):
        _ingest_one(world, dealt.keys_object)


def test_another_high_dealing_under_the_label_of_the_first(high: World) -> None:
    """The two dealings of class high are bound to their numbers: swapped, none opens."""

    def swapped(dealings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return dealings[::-1]

    with pytest.raises(Damaged, match="does not open"):
        _ingest_one(high, _with_dealings(high, high.deal(), swapped))


def test_share_of_another_custodian_in_my_place(world: World) -> None:
    def moved(dealings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        part = dealings[0]
        return [{**part, "shares": [part["shares"][1], part["shares"][0], part["shares"][2]]}]

    with pytest.raises(Damaged, match=r"custodian 2 \(name2\): the share sealed to it"):
        _ingest_one(world, _with_dealings(world, world.deal(), moved))


def test_base64_that_is_not_canonical(world: World) -> None:
    def padded(dealings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        share = dealings[0]["shares"][0]
        assert len(base64.b64decode(share)) == 1200
        return [{**dealings[0], "shares": [share + "\n", *dealings[0]["shares"][1:]]}]

    with pytest.raises(Damaged, match="1200 bytes in base64"):
        _ingest_one(world, _with_dealings(world, world.deal(), padded))


@pytest.mark.parametrize("full", ["clients", "writers"])
def test_a_stolen_server_fills_no_custodian(world: World, full: str) -> None:
    """Nobody approves an enrolment; those of before are served as ever."""
    custodian = world.custodians[0]
    with world.databases[0].transaction() as transaction:
        if full == "clients":
            rows = [(f"{number:032x}", "{}") for number in range(CLIENTS_MAX - 1)]
            transaction.run_many("INSERT INTO erased VALUES (?, ?)", rows)
        else:
            writers = [
                (world.client, f"{number:032x}", b"key") for number in range(ALL_WRITERS_MAX - 1)
            ]
            transaction.run_many(
                "INSERT INTO writer (client, writer, key, revoked_after) VALUES (?, ?, ?, 0)",
                writers,
            )
    client, vault = ClientId(new_id(world.token)), VaultId(new_id(world.token))
    most = {"clients": CLIENTS_MAX, "writers": ALL_WRITERS_MAX}[full]
    with pytest.raises(Refused, match=f"it has {most} {full}"):
        custodian.enrol(client, vault, "normal", bytes(32))
    custodian.enrol(world.client, world.vault, "normal", world.writer)
