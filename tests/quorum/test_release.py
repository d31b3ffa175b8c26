"""The checks of a release, each failed in turn, and what the asker does with the answers."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from strongroom.crypto import signing
from strongroom.errors import Damaged, Refused, Stale, StrongroomError
from strongroom.facts import read_facts
from strongroom.ids import new_id
from strongroom.quorum import Dealing, LocalCustodian, Opening, SnapshotHeader
from strongroom.quorum.opening import SharesAltered, TooFewShares
from strongroom.quorum.refusals import Expired
from strongroom.quorum.release import Release, ReleaseRequest
from tests.quorum.world import KEK, World, resigned


def _released(world: World, opening: Opening, *indices: int) -> Opening:
    for index in indices:
        custodian = world.custodians[index - 1]
        opening.take(custodian.card(), custodian.release(opening.request))
    return opening


@pytest.mark.parametrize("indices", [(1, 2), (2, 3), (3, 1), (1, 2, 3)])
def test_any_two_of_three_open(world: World, indices: tuple[int, ...]) -> None:
    _, first = world.backed_up(sessions=2)
    statement, second = world.backed_up()
    opening = _released(world, world.opening(statement), *indices)
    assert opening.enough
    keys = opening.complete()
    assert sorted(keys.values(), key=str) == sorted(
        [(one.inner, None) for one in (*first, *second)], key=str
    )
    assert opening.culprits == ()


def test_class_high_has_two_independent_keys(high: World) -> None:
    statement, dealt = high.backed_up()
    keys = _released(high, high.opening(statement), 1, 3).complete()
    ((inner, outer),) = keys.values()
    assert (inner, outer) == (dealt[0].inner, dealt[0].outer)
    assert inner != outer
    assert Opening.unwrap_structure_key(dealt[0].keys_object, inner) == high.structure_key


def test_one_of_three_does_not_open_and_every_reason_is_named(world: World) -> None:
    statement, _ = world.backed_up()
    opening = _released(world, world.opening(statement), 3)
    opening.miss(world.roster.member(1), StrongroomError("its home is gone"))
    opening.miss(world.roster.member(2), Refused("custodian 2 (name2) refuses", "locked"))
    with pytest.raises(TooFewShares) as caught:
        opening.complete()
    assert caught.value.exit_code == 4
    assert str(caught.value) == (
        "1 of 2 custodians needed gave their shares: custodian 1 (name1): its home is gone; "
        "custodian 2 (name2) refuses: locked"
    )
    with pytest.raises(TooFewShares, match="no other custodian was asked"):
        world.opening(statement).complete()


def test_damage_that_a_custodian_reports_counts_as_altered(world: World) -> None:
    statement, _ = world.backed_up()
    opening = world.opening(statement)
    opening.miss(world.roster.member(1), Damaged("a sealed custodian-row does not open"))
    with pytest.raises(SharesAltered, match=r"custodian 1 \(name1\): a sealed custodian-row"):
        opening.complete()


def test_nothing_to_open_needs_nobody(world: World) -> None:
    statement = world.header([], sessions=()).sign(world.writer_seed, b"").statement
    assert Opening.begin(statement, [], world.token, world.clock.now()).complete() == {}


def test_the_same_request_again_gives_the_stored_answer(world: World) -> None:
    statement, _ = world.backed_up()
    opening = world.opening(statement)
    custodian = world.custodians[0]
    first = custodian.release(opening.request)
    assert custodian.release(opening.request) == first
    with world.databases[0].reading() as transaction:
        released = read_facts(transaction, "share.released")
        assert transaction.rows("SELECT request, sessions, answer FROM release") == [
            (opening.request.request, 1, first.encode())
        ]
    assert [fact.subject for fact in released] == [opening.request.request]


def test_an_answer_that_nobody_asks_for_again_is_wiped_where_the_custodian_opens(
    world: World,
) -> None:
    statement, _ = world.backed_up()
    request = world.opening(statement).request
    world.custodians[0].release(request)

    def answers() -> list[bytes]:
        with world.databases[0].reading() as reading:
            return [answer for (answer,) in reading.rows("SELECT answer FROM release")]

    def opened() -> LocalCustodian:
        return LocalCustodian.open(world.databases[0], KEK, world.clock, world.token)

    opened()
    assert all(answers())
    assert request.grant is not None
    world.clock.at = request.grant.request.expires + timedelta(minutes=16)
    custodian = opened()
    assert answers() == [b""]
    with pytest.raises(Expired):
        custodian.release(request)


def test_a_used_request_id_is_refused_to_anybody_else(world: World) -> None:
    statement, _ = world.backed_up()
    first = world.opening(statement).request
    world.custodians[0].release(first)
    thief = replace(world.opening(statement).request, request=first.request)
    with pytest.raises(Refused, match="to another recipient"):
        world.custodians[0].release(thief)
    later, _ = world.backed_up()
    other = replace(world.opening(later).request, request=first.request, recipient=first.recipient)
    with pytest.raises(Refused, match="for another snapshot"):
        world.custodians[0].release(other)


def test_the_row_is_durable_before_the_answer_leaves(world: World) -> None:
    """A journal that cannot be written means no answer, and nothing half done."""
    statement, _ = world.backed_up()
    request = world.opening(statement).request
    with world.databases[0].transaction() as transaction:
        transaction.run(
            "CREATE TRIGGER full BEFORE INSERT ON release BEGIN "
            "SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    with pytest.raises(Exception, match="the disk is full"):
        world.custodians[0].release(request)
    with world.databases[0].transaction() as transaction:
        transaction.run("DROP TRIGGER full")
        assert transaction.rows("SELECT * FROM release") == []
    world.custodians[0].release(request)


def _ask(world: World, request: ReleaseRequest) -> None:
    world.custodians[0].release(request)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"request": "xyz"}, "the request's id must be 32 hexadecimal digits"),
        ({"recipient": bytes(10)}, "its recipient is no X-Wing key"),
    ],
)
def test_limits(world: World, change: dict[str, Any], reason: str) -> None:
    statement, _ = world.backed_up()
    with pytest.raises(Damaged, match=reason):
        _ask(world, replace(world.opening(statement).request, **change))


def test_too_many_keys_objects(world: World) -> None:
    statement, _ = world.backed_up()
    request = world.opening(statement).request
    with pytest.raises(Damaged, match="over 10000 keys objects"):
        _ask(world, replace(request, keys=request.keys * 10_001))


def test_a_writer_that_is_not_pinned(world: World) -> None:
    stranger = world.token(32)
    writer = SnapshotHeader.writer_id(signing.public_key(stranger))
    header = world.header([], writer=writer, sessions=())
    request = Opening.begin(
        header.sign(stranger, b"").statement, [], world.token, world.clock.now()
    ).request
    with pytest.raises(Refused, match="is not pinned for this client"):
        _ask(world, world.granted(request))


def test_a_revoked_writer_counts_up_to_its_last_snapshot(world: World) -> None:
    kept, _ = world.backed_up()
    later, _, _ = world.snapshot()
    old = SnapshotHeader.writer_id(world.writer)
    for custodian in world.custodians:
        custodian.succeed(world.client, signing.public_key(world.token(32)), {old: 1})
    _released(world, world.opening(kept), 1, 2).complete()
    with pytest.raises(Refused, match="is revoked after snapshot 1"):
        _ask(world, world.opening(later).request)


def test_a_wrong_signature(world: World) -> None:
    statement, _ = world.backed_up()
    request = world.opening(statement).request
    forged = replace(statement, signature=bytes(64))
    with pytest.raises(Damaged, match="carries a wrong signature"):
        _ask(world, replace(request, snapshot=forged))


def test_another_snapshot_under_a_receipted_number(world: World) -> None:
    world.backed_up()
    forked = world.header([], sequence=1, previous="0" * 64, sessions=())
    request = Opening.begin(
        forked.sign(world.writer_seed, b"").statement, [], world.token, world.clock.now()
    ).request
    with pytest.raises(Stale, match="it has receipted"):
        _ask(world, world.granted(request))


def test_a_snapshot_without_a_receipt_is_released(world: World) -> None:
    """A pending snapshot, or one from before a custodian was rebuilt, can still be opened."""
    statement, _, dealt = world.snapshot()
    keys = _released(world, world.opening(statement), 2, 3).complete()
    assert [inner for inner, _ in keys.values()] == [dealt[0].inner]


def test_keys_objects_that_are_not_exactly_the_headers(world: World) -> None:
    first, _ = world.backed_up()
    statement, _ = world.backed_up()
    others = world.opening(first).request.keys
    request = world.opening(statement).request
    for keys in (request.keys[:1], request.keys * 2, others * 2):
        with pytest.raises(Damaged, match="are not those of the snapshot"):
            _ask(world, replace(request, keys=keys))


def test_a_keys_object_of_another_signer(world: World) -> None:
    world.backed_up()
    statement, _ = world.backed_up()
    header = SnapshotHeader.read(statement)
    (fresh,) = [session for session, _ in header.fresh]
    (older,) = [session for session in header.sessions if session != fresh]
    stranger = world.token(32)
    for session, reason in ((fresh, "is another one"), (older, "carries a wrong signature")):
        forged = resigned(world.keys[session], stranger, "keys", {}, body=b"x").statement
        keys = tuple(
            forged if one == session else world.keys[one].statement for one in header.sessions
        )
        with pytest.raises(Damaged, match=f"the keys object of session {session} {reason}"):
            _ask(world, replace(world.opening(statement).request, keys=keys))


def test_a_label_of_another_vault(world: World) -> None:
    dealt = world.deal(world.label(vault=new_id(world.token)))
    statement = world.header([dealt]).sign(world.writer_seed, b"").statement
    request = ReleaseRequest(
        request=new_id(world.token),
        snapshot=statement,
        keys=(dealt.keys_object.statement,),
        recipient=world.client_keys[0],
        requested_at=world.clock.now(),
    )
    with pytest.raises(Damaged, match="belongs elsewhere"):
        _ask(world, world.granted(request))


def test_a_session_dealt_before_it_was_a_custodian(world: World) -> None:
    label = world.label(members=2)
    world.client_keys, every = world.client_keys[:2], world.client_keys
    dealt = world.deal(label)
    world.client_keys = every
    world.keys[label.session] = dealt.keys_object
    statement = world.header([dealt]).sign(world.writer_seed, b"").statement
    opening = world.opening(statement)
    with pytest.raises(Refused, match=r"custodian 3 .* was dealt before it was a custodian"):
        world.custodians[2].release(opening.request)
    made = _answer(world, opening, 3, [bytes(64)])
    opening.take(world.roster.member(3), made)
    assert opening.culprits[0].startswith("custodian 3 (name3) holds no share")


def _answer(world: World, opening: Opening, at: int, opened: list[bytes], **changes: Any) -> Any:
    custodian = world.custodians[at - 1]
    release = Release(
        request=opening.request.request,
        custodian=custodian.card().id,
        index=at,
        snapshot=opening.request.snapshot.hash.hex(),
        sessions=opening.header.sessions,
        released_at=world.clock.now(),
    )
    changed = replace(release, **changes)
    return changed.sign(custodian._own.seed, opening.request.recipient, opened)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"request": "a" * 32}, "is to another question"),
        ({"snapshot": "a" * 64}, "is to another question"),
        ({"sessions": ()}, "is to another question"),
        ({"custodian": "a" * 32}, "custodian must be"),
        ({"index": 2}, "it is for index 2"),
    ],
)
def test_an_answer_to_another_question(world: World, changes: dict[str, Any], reason: str) -> None:
    statement, _ = world.backed_up()
    opening = world.opening(statement)
    opening.take(world.roster.member(1), _answer(world, opening, 1, [bytes(64)], **changes))
    assert len(opening.culprits) == 1
    assert "custodian 1 (name1)" in opening.culprits[0]
    assert reason in opening.culprits[0]


def test_an_answer_that_is_not_for_us_or_not_whole(world: World) -> None:
    statement, _ = world.backed_up()
    opening, other = world.opening(statement), world.opening(statement)
    elsewhere = world.granted(replace(other.request, request=opening.request.request))
    for answer, reason in (
        (world.custodians[0].release(elsewhere), "does not open"),
        (_answer(world, opening, 1, [bytes(63)]), "has the wrong length"),
        (_answer(world, opening, 1, [bytes(64)]), "does not match its commitment"),
        (_answer(world, opening, 2, [bytes(64)]), "carries a wrong signature"),
    ):
        opening.take(world.roster.member(1), answer)
        assert reason in opening.culprits[0]


def test_secrets_are_not_shown(world: World) -> None:
    statement, dealt = world.backed_up()
    opening = _released(world, world.opening(statement), 1, 2)
    shown = repr(opening) + repr(dealt[0]) + repr(world.kit_secrets[0:0])
    assert dealt[0].inner.hex() not in shown
    assert repr(dealt[0].inner) not in shown
    assert repr(opening._seed) not in shown


def test_requests_travel(world: World) -> None:
    world.backed_up()
    statement, _ = world.backed_up()
    request = world.opening(statement).request
    assert ReleaseRequest.decode(request.encode()) == request
    encoded = request.encode()
    for wrong in (b"", encoded[:-1], encoded[4:], encoded + b"\0", encoded + b"\5\0\0\0abc"):
        with pytest.raises(Damaged):
            ReleaseRequest.decode(wrong)
    with pytest.raises(Damaged, match="over 10006 parts"):
        ReleaseRequest.decode(bytes(4) * 10_007)


def test_a_structure_key_of_the_wrong_shape(world: World) -> None:
    statement, dealt = world.backed_up()
    keys_object, inner = dealt[0].keys_object, dealt[0].inner
    assert Opening.unwrap_structure_key(keys_object, inner) == world.structure_key
    with pytest.raises(Damaged, match="no body"):
        Opening.unwrap_structure_key(replace(keys_object, body=b""), inner)
    with pytest.raises(Damaged, match="does not open"):
        Opening.unwrap_structure_key(keys_object, bytes(32))
    world.structure_key = b"short"
    short = world.deal()
    with pytest.raises(Damaged, match="its length"):
        Opening.unwrap_structure_key(short.keys_object, short.inner)
    assert statement.hash


def test_an_opened_share_of_a_strange_length(world: World) -> None:
    dealing = Dealing.parse(world.deal().keys_object.statement)
    with pytest.raises(Damaged, match="custodian 2: its share has the wrong length: 65 bytes"):
        dealing.check_share(1, 2, bytes(65), "custodian 2")
