"""Parity as a config names it: what is refused, whose seat is whose, and the shape of a shard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import Damaged, UsageError
from strongroom.placement import Parity, place_id
from strongroom.placement.parity import HEADER_BYTES, shard_check

IDS = [f"{number:032x}" for number in range(40)]
KEY = b"\x07" * 32
PACK = bytes(range(32))
TWO_AND_ONE = Parity.over(IDS[:3], 1)


@pytest.mark.parametrize(("places", "parity"), [(3, 1), (4, 2), (32, 2), (32, 1)])
def test_what_a_config_says_is_read_again(places: int, parity: int) -> None:
    made = Parity.over(IDS[:places], parity)
    assert (made.data, made.parity, made.shards) == (places - parity, parity, places)
    assert Parity.parse(made.encode()) == made


@pytest.mark.parametrize(
    ("places", "parity"), [(2, 1), (3, 2), (0, 1), (33, 1), (4, 0), (5, 3), (4, -1)]
)
def test_numbers_that_cannot_be_are_refused(places: int, parity: int) -> None:
    with pytest.raises(UsageError):
        Parity.over(IDS[:places], parity)


def test_one_location_for_two_shards_is_refused() -> None:
    with pytest.raises(UsageError, match="not different"):
        Parity.over([IDS[0], IDS[1], IDS[0]], 1)


@pytest.mark.parametrize(
    "change",
    [
        {"data": 1},
        {"data": 3},
        {"data": "2"},
        {"parity": 2},
        {"parity": 0},
        {"locations": IDS[:2]},
        {"locations": [*IDS[:2], "x" * 32]},
        {"locations": [*IDS[:2], 7]},
        {"locations": [*IDS[:2], IDS[0]]},
        {"more": 1},
    ],
)
def test_a_malformed_config_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Damaged):
        Parity.parse({**TWO_AND_ONE.encode(), **change})
    with pytest.raises(Damaged):
        Parity.parse([change])


def test_a_seat_does_not_depend_on_names_or_order() -> None:
    one, two, three, four = IDS[:4]
    assert TWO_AND_ONE.seats({"a": one, "b": two, "c": three}) == ("a", "b", "c")
    assert TWO_AND_ONE.seats({"x": three, "y": one, "z": two}) == ("y", "z", "x")
    assert TWO_AND_ONE.seats({"a": four, "b": one, "c": two, "d": three}) == ("b", "c", "d")


def test_a_new_location_takes_the_seat_of_one_that_is_gone() -> None:
    one, _, three, four, five = IDS[:5]
    assert TWO_AND_ONE.seats({"a": one, "c": three}) == ("a", "", "c")
    assert TWO_AND_ONE.seats({"a": one, "c": three, "new": four}) == ("a", "new", "c")
    assert TWO_AND_ONE.seats({"z": five, "b": four, "c": three}) == ("b", "z", "c")
    assert TWO_AND_ONE.seats({}) == ("", "", "")


def test_ids_of_places_differ_by_vault_and_url() -> None:
    ids = {place_id(key, url) for key in (KEY, PACK) for url in ("file:///a", "file:///b")}
    assert len(ids) == 4
    assert all(len(one) == 32 for one in ids)


def shard(index: int = 1, size: int = 7, body: bytes = b"abcd") -> bytes:
    header = TWO_AND_ONE.header(PACK, index, size)
    return header + shard_check(KEY, header, body) + body


def test_a_shard_is_taken_only_as_it_was_made() -> None:
    assert len(shard()) == HEADER_BYTES + 4 == 84
    assert TWO_AND_ONE.check(shard(), PACK, 1, KEY) == 7


@given(at=st.integers(0, 83), bit=st.integers(0, 7))
def test_no_altered_bit_of_a_shard_is_taken(at: int, bit: int) -> None:
    altered = bytearray(shard())
    altered[at] ^= 1 << bit
    with pytest.raises(Damaged):
        TWO_AND_ONE.check(bytes(altered), PACK, 1, KEY)


def test_another_shard_key_pack_or_length_is_refused() -> None:
    whole = shard()
    for taken, pack, index, key in (
        (whole, PACK, 0, KEY),
        (whole, bytes(32), 1, KEY),
        (whole, PACK, 1, bytes(32)),
        (whole[:-1], PACK, 1, KEY),
        (whole + b"x", PACK, 1, KEY),
        (whole[:79], PACK, 1, KEY),
        (b"", PACK, 1, KEY),
        (shard(size=9), PACK, 1, KEY),
        (shard(size=0, body=b""), PACK, 1, KEY),
        (shard(size=(64 << 20) + 1), PACK, 1, KEY),
    ):
        with pytest.raises(Damaged):
            TWO_AND_ONE.check(taken, pack, index, key)
    with pytest.raises(Damaged):
        Parity.over(IDS[:4], 2).check(whole, PACK, 1, KEY)
