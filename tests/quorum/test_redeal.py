"""A session that is dealt anew: to another roster, and with the keys that it always had."""

import json
from dataclasses import replace

import pytest

from strongroom.crypto import public_sealing
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged
from strongroom.ids import ClientId, SessionId
from strongroom.quorum import Dealing
from strongroom.quorum.dealing import unwrap_structure_key
from strongroom.quorum.shares import Point
from tests.quorum.world import World, object_hash, resigned
from tests.vectors import build_redealt_v1 as vector

NEXT = "4e" * 32
THIRD = "5e" * 32


class Seats:
    """The client keys of a roster, with their seeds."""

    def __init__(self, world: World, seeds: list[bytes] | None = None) -> None:
        self.seeds = seeds or [world.token(public_sealing.SEED_BYTES) for _ in range(world.count)]
        self.keys = [public_sealing.public_key(seed) for seed in self.seeds]

    def points(self, dealing: Dealing, number: int, *indices: int) -> list[Point]:
        return [
            (one, dealing.open_own(number, one, self.seeds[one - 1], f"custodian {one}")[:32])
            for one in indices
        ]

    def secrets(self, dealing: Dealing, *indices: int) -> list[bytes]:
        numbers = range(1, len(dealing.parts) + 1)
        return [dealing.secret(one, self.points(dealing, one, *indices)) for one in numbers]


def dealt(world: World, seats: Seats) -> tuple[Envelope, bytes, bytes | None]:
    world.client_keys = seats.keys
    made = world.deal()
    return made.keys_object, made.inner, made.outer


def read(keys_object: Envelope) -> Dealing:
    return Dealing.parse(keys_object.statement)


def anew(
    world: World, keys_object: Envelope, old: Seats, new: Seats, roster: str = NEXT
) -> Envelope:
    dealing = read(keys_object)
    secrets = old.secrets(dealing, 1, 2)
    return dealing.deal_anew(
        keys_object, roster, secrets, (new.keys, world.writer_seed), world.token
    )


@pytest.mark.parametrize("vault_class", ["normal", "high"])
def test_what_was_dealt_anew_has_the_keys_that_it_had(vault_class: str) -> None:
    world = World(vault_class="high" if vault_class == "high" else "normal", seed="redeal")
    old, new, last = Seats(world), Seats(world), Seats(world)
    first, inner, outer = dealt(world, old)
    second = anew(world, first, old, new)
    third = anew(world, second, new, last, THIRD)
    for keys_object, seats in ((second, new), (third, last)):
        dealing = read(keys_object)
        assert dealing.first.keys == object_hash(first)
        assert dealing.first_label == read(first).label
        for pair in ((1, 2), (1, 3), (2, 3)):
            keys = [
                dealing.content_key(number, seats.points(dealing, number, *pair))
                for number in range(1, len(dealing.parts) + 1)
            ]
            assert keys == [one for one in (inner, outer) if one is not None]
        assert unwrap_structure_key(keys_object, inner) == world.structure_key
    assert read(third).label.roster_id == THIRD
    world.close()


def test_shares_of_before_and_of_after_never_meet(world: World) -> None:
    old, new = Seats(world), Seats(world)
    first, _, _ = dealt(world, old)
    second = read(anew(world, first, old, new))
    with pytest.raises(Damaged, match="does not open"):
        second.open_own(1, 1, old.seeds[0], "the one who lost its seat")
    mixed = [*old.points(read(first), 1, 1), *new.points(second, 1, 2)]
    for dealing in (read(first), second):
        with pytest.raises(Damaged, match="do not give its key"):
            dealing.content_key(1, mixed)
    stolen = old.points(read(first), 1, 3)[0][1] + bytes(32)
    with pytest.raises(Damaged, match="does not match its commitment"):
        second.check_share(1, 3, stolen, "the thief")


def test_nothing_is_dealt_of_secrets_that_do_not_open_it(world: World) -> None:
    old, new = Seats(world), Seats(world)
    first, _, _ = dealt(world, old)
    other, _, _ = dealt(world, old)
    secrets = old.secrets(read(other), 1, 2)
    with pytest.raises(Damaged, match="do not give its key"):
        read(first).deal_anew(first, NEXT, secrets, (new.keys, world.writer_seed), world.token)
    # Its own secrets, with the body of another: what nobody could read is not dealt either.
    swapped = Envelope(first.statement, other.body)
    with pytest.raises(Damaged):
        anew(world, swapped, old, new)


def test_to_the_roster_that_has_it_nothing_is_dealt_anew(world: World) -> None:
    old, new = Seats(world), Seats(world)
    first, _, _ = dealt(world, old)
    with pytest.raises(Damaged, match="dealt anew to the roster that had it"):
        anew(world, first, old, new, read(first).label.roster_id)


def test_what_is_not_the_same_session_is_told_from_what_was_dealt_anew(world: World) -> None:
    old, new = Seats(world), Seats(world)
    first, _, _ = dealt(world, old)
    second = anew(world, first, old, new)
    other, _, _ = dealt(world, old)

    def check(keys_object: Envelope) -> None:
        read(first).check_anew(first, read(keys_object), keys_object)

    check(second)
    label = read(second).label
    for changes, why in (
        ({"redealt": {"roster": read(first).label.roster_id, "keys": "6" * 64}}, "does not name"),
        ({"redealt": {"roster": THIRD, "keys": object_hash(first)}}, "does not name"),
        ({"redealt": None}, "does not name"),
        ({"label": replace(label, client=ClientId("7" * 32)).to_json()}, "of something else"),
        ({"label": replace(label, session=SessionId("7" * 32)).to_json()}, "of something else"),
        ({"label": replace(label, threshold=3).to_json()}, "of something else"),
        ({"label": replace(label, created_at=world.clock.now()).to_json()}, "of something else"),
    ):
        with pytest.raises(Damaged, match=why):
            check(resigned(second, world.writer_seed, "keys", changes))
    with pytest.raises(Damaged, match="its body is another one"):
        check(resigned(second, world.writer_seed, "keys", {}, other.body))


@pytest.mark.parametrize(
    "redealt",
    [
        {"roster": NEXT},
        {"keys": "1" * 64},
        {"roster": "short", "keys": "1" * 64},
        {"roster": THIRD, "keys": "1" * 63 + "X"},
        {"roster": THIRD, "keys": "1" * 64, "more": 1},
        "no object",
        [],
    ],
)
def test_a_malformed_word_of_what_was_first_dealt_is_refused(world: World, redealt: object) -> None:
    old, new = Seats(world), Seats(world)
    first, _, _ = dealt(world, old)
    second = anew(world, first, old, new)
    with pytest.raises(Damaged, match="malformed"):
        read(resigned(second, world.writer_seed, "keys", {"redealt": redealt}))


def test_frozen_sessions_open_with_whichever_was_dealt(world: World) -> None:
    frozen = json.loads(vector.PATH.read_text(encoding="utf-8"))
    fixed = frozen["fixed"]
    assert vector.build()["fixed"] == fixed
    objects = [decode_envelope(bytes.fromhex(one), "it") for one in frozen["keys_objects"]]
    for at, (keys_object, seeds) in enumerate(zip(objects, fixed["seeds"], strict=True)):
        dealing, seats = read(keys_object), Seats(world, [bytes.fromhex(one) for one in seeds])
        assert dealing.label.to_json() == fixed["labels"][at]
        assert dealing.first.keys == object_hash(objects[0])
        for number, wanted in enumerate(fixed["content_keys"], 1):
            found = dealing.content_key(number, seats.points(dealing, number, 2, 3))
            assert found.hex() == wanted
        inner = bytes.fromhex(fixed["content_keys"][0])
        assert unwrap_structure_key(keys_object, inner).hex() == fixed["structure_key"]
