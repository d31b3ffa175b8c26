"""Shards over locations that lose, alter and hide: what is stored, and what is ever read."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.adapters.parity.raid6 import Raid6
from strongroom.crypto.hashing import content_hash
from strongroom.errors import Damaged
from strongroom.locations import Copies, Location, LocationUnavailable, ObjectMissing
from strongroom.placement import Parity, Shards, place_id
from tests.support.memory_location import MemoryLocation
from tests.support.misbehaving_location import Fault, MisbehavingLocation, always

KEY = b"\x07" * 32
DATA = random.Random(5).randbytes(1000)
PACK = f"v/packs/aa/{content_hash(DATA).hex()}"
NAMES = "abcdefg"


@dataclass
class Vault:
    """Some locations and the placement over them; opened again it has forgotten everything."""

    places: dict[str, MemoryLocation]
    parity: Parity

    def open(self, locations: Mapping[str, Location] | None = None) -> Shards:
        return Shards(Copies(locations or self.places), self.parity, KEY, Raid6())

    def lose(self, *indexes: int) -> None:
        for index in indexes:
            del self.places[NAMES[index]].objects[f"{PACK}.{index}"]

    def flip(self, index: int, at: int) -> None:
        objects = self.places[NAMES[index]].objects
        altered = bytearray(objects[f"{PACK}.{index}"])
        altered[at] ^= 1
        objects[f"{PACK}.{index}"] = bytes(altered)


def vault(data: int = 2, parity: int = 1, stored: bytes | None = DATA) -> Vault:
    places = {name: MemoryLocation(name) for name in NAMES[: data + parity]}
    ids = [place_id(KEY, one.url) for one in places.values()]
    made = Vault(places, Parity.over(ids, parity))
    if stored is not None:
        made.open().put_async(PACK, stored).result()
    return made


def judge(data: bytes) -> None:
    if data != DATA:
        raise Damaged("other bytes", "the test compared them")


def anything(_: bytes) -> None:
    pass


def test_each_location_holds_one_shard_and_all_three_are_one_and_a_half_packs() -> None:
    made = vault()
    held = {name: list(one.objects.items()) for name, one in made.places.items()}
    assert [[key for key, _ in each] for each in held.values()] == [
        [f"{PACK}.0"],
        [f"{PACK}.1"],
        [f"{PACK}.2"],
    ]
    sizes = [len(data) for each in held.values() for _, data in each]
    assert sizes == [580, 580, 580]
    assert made.open().sent_bytes(len(DATA)) == sum(sizes)


@pytest.mark.parametrize(("data", "parity"), [(2, 1), (2, 2), (3, 1), (5, 2)])
def test_any_loss_that_parity_survives_is_read_past(data: int, parity: int) -> None:
    for lost in itertools.combinations(range(data + parity), parity):
        made = vault(data, parity)
        made.lose(*lost)
        assert made.open().get(PACK, judge) == DATA
        assert len(made.places) - len(lost) == made.open().needed


@settings(deadline=None, max_examples=200)
@given(
    start=st.integers(-1100, 1100),
    length=st.none() | st.integers(0, 1100),
    lost=st.sets(st.integers(0, 4), max_size=2),
    altered=st.booleans(),
    at=st.integers(0, 100),
)
def test_any_range_is_that_of_the_pack(
    start: int, length: int | None, lost: set[int], altered: bool, at: int
) -> None:
    """With up to two shards of 3 + 2 lost or altered, and as a location would cut the range."""
    made = vault(3, 2)
    for index in lost:
        if altered:
            made.flip(index, at)
        else:
            made.lose(index)
    whole = MemoryLocation()
    whole.put("object", DATA)
    wanted = whole.get("object", start, length)

    def accept(data: bytes) -> None:
        if data != wanted:
            raise Damaged("other bytes", "the test compared them")

    assert made.open().get(PACK, accept, start, length) == wanted


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 255])
def test_a_pack_shorter_than_its_shards_are_many_comes_back(size: int) -> None:
    data = DATA[:size]
    key = f"v/packs/aa/{content_hash(data).hex()}"
    made = vault(4, 2, None)
    made.open().put_async(key, data).result()
    for name in "bd":
        made.places[name].objects.clear()
    assert made.open().get(key, anything) == data


def test_an_altered_shard_is_named_and_the_pack_still_comes() -> None:
    made = vault()
    made.flip(1, 400)
    shards = made.open()
    assert shards.get(PACK, judge) == DATA
    assert [(name, key) for name, key, _ in shards.copies.damages] == [("b", f"{PACK}.1")]
    assert shards.get(PACK, anything, 600, 10) == DATA[600:610]


def test_a_location_that_does_not_answer_is_read_past_and_named() -> None:
    made = vault()
    silent = MisbehavingLocation(made.places["a"], always("get", Fault.FAIL_BEFORE))
    shards = made.open({**made.places, "a": silent})
    for at in range(0, 500, 100):
        assert shards.get(PACK, anything, at, 10) == DATA[at : at + 10]
    assert list(shards.copies.failures) == ["a"]
    assert len(silent.calls) == 1


def test_a_bit_that_flips_on_the_way_is_never_returned() -> None:
    made = vault()
    flipping = MisbehavingLocation(made.places["b"], always("get", Fault.FLIP))
    assert made.open({**made.places, "b": flipping}).get(PACK, judge) == DATA


@pytest.mark.parametrize("parity", [1, 2])
def test_one_loss_too_many_is_damage_and_returns_nothing(parity: int) -> None:
    made = vault(2, parity)
    made.lose(*range(parity + 1))
    with pytest.raises(Damaged, match="1 good shards, 2 are needed"):
        made.open().get(PACK, anything)


def test_a_missing_pack_and_a_silent_majority_are_told_apart() -> None:
    made = vault(stored=None)
    with pytest.raises(ObjectMissing):
        made.open().get(PACK, anything)
    made = vault()
    made.lose(2)
    silent = MisbehavingLocation(made.places["a"], always("get", Fault.FAIL_BEFORE))
    with pytest.raises(LocationUnavailable, match="1 good shards, 2 are needed; a "):
        made.open({**made.places, "a": silent}).get(PACK, anything)


def test_bytes_that_nobody_accepts_are_refused_at_last() -> None:
    def refuse(_: bytes) -> None:
        raise Damaged("not these", "the test says so")

    with pytest.raises(Damaged, match="not these"):
        vault().open().get(PACK, refuse)


def test_all_shards_but_one_must_be_stored() -> None:
    made = vault(2, 2, None)
    full = {
        name: MisbehavingLocation(made.places[name], always("put", Fault.FULL)) for name in "bd"
    }
    shards = made.open({**made.places, "b": full["b"]})
    shards.put_async(PACK, DATA).result()
    assert list(shards.copies.failures) == ["b"]
    shards = made.open({**made.places, "b": full["b"], "d": full["d"]})
    with pytest.raises(LocationUnavailable, match="2 of 4 locations hold it, 3 are needed"):
        shards.put_async(PACK, DATA).result()


def test_without_a_location_for_its_shards_nothing_is_stored() -> None:
    made = vault(stored=None)
    with pytest.raises(LocationUnavailable, match="its 3 shards have 1 locations, 2 are needed"):
        made.open({"a": made.places["a"]}).put_async(PACK, DATA)
    made.open({name: made.places[name] for name in "ab"}).put_async(PACK, DATA).result()
    assert made.open().get(PACK, judge) == DATA


def test_putting_twice_is_harmless_and_another_shard_is_damage() -> None:
    made = vault()
    shards = made.open()
    shards.put_async(PACK, DATA).result()
    assert shards.copies.failures == {}
    made.flip(0, 99)
    shards = made.open()
    shards.put_async(PACK, DATA).result()
    assert [name for name, _, _ in shards.copies.damages] == ["a"]


def test_a_holding_is_judged_alone_and_made_again_from_the_others() -> None:
    made = vault(3, 2)
    holdings = made.open().holdings(PACK, len(DATA), judge)
    for index, name in enumerate("abcde"):
        held = made.places[name].objects[f"{PACK}.{index}"]
        assert (holdings[name].key, holdings[name].size_bytes) == (f"{PACK}.{index}", len(held))
        holdings[name].judge(held)
        with pytest.raises(Damaged):
            holdings[name].judge(held[:-1] + b"x")
        made.flip(index, 200)
        assert made.open().remake(name, PACK, len(DATA), judge) == held
        made.places[name].objects[f"{PACK}.{index}"] = held


def test_what_cannot_be_made_again_says_so() -> None:
    made = vault()
    made.lose(0, 1)
    with pytest.raises(Damaged, match="1 good shards"):
        made.open().remake("a", PACK, len(DATA), judge)
    made.flip(2, 100)
    with pytest.raises(Damaged, match="0 good shards"):
        made.open().remake("a", PACK, len(DATA), judge)


def test_a_new_location_holds_nothing_until_a_seat_is_free() -> None:
    made = vault()
    more = {**made.places, "new": MemoryLocation("new")}
    shards = made.open(more)
    assert set(shards.holdings(PACK, len(DATA), judge)) == {"a", "b", "c"}
    with pytest.raises(ObjectMissing, match="new holds no shard"):
        shards.remake("new", PACK, len(DATA), judge)
    lost = made.places["b"].objects[f"{PACK}.1"]
    shards = made.open({name: one for name, one in more.items() if name != "b"})
    assert shards.holdings(PACK, len(DATA), judge)["new"].key == f"{PACK}.1"
    assert shards.remake("new", PACK, len(DATA), judge) == lost
    assert shards.get(PACK, judge) == DATA


def test_a_shard_that_lies_elsewhere_is_found() -> None:
    made = vault()
    for index, (name, other) in enumerate([("a", "b"), ("b", "c"), ("c", "a")]):
        made.places[other].objects[f"{PACK}.{index}"] = made.places[name].objects.pop(
            f"{PACK}.{index}"
        )
    assert made.open().get(PACK, judge) == DATA


def test_keys_of_shards_lead_to_their_pack() -> None:
    shards = vault().open()
    assert shards.object_of(f"{PACK}.2") == PACK
    for key in (PACK, f"{PACK}.3", f"{PACK}.x", "v/index/00"):
        assert shards.object_of(key) == key
