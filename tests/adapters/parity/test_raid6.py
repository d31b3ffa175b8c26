"""The arithmetic against a slow one of a few lines, over every loss that parity survives."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.adapters.parity.raid6 import Raid6


def times(a: int, b: int) -> int:
    """Multiply in GF(2^8) modulo 0x11d, one bit after the other."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def slow_parity(slices: list[bytes]) -> list[bytes]:
    p, q = bytearray(len(slices[0])), bytearray(len(slices[0]))
    for at in range(len(p)):
        power = 1
        for one in slices:
            p[at] ^= one[at]
            q[at] ^= times(power, one[at])
            power = times(power, 2)
    return [bytes(p), bytes(q)]


def slices_of(data: int, length: int, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    return [chance.randbytes(length) for _ in range(data)]


@settings(deadline=None, max_examples=60)
@given(data=st.integers(2, 30), length=st.integers(1, 40), seed=st.integers(0, 99))
def test_parity_is_that_of_the_slow_arithmetic(data: int, length: int, seed: int) -> None:
    slices = slices_of(data, length, seed)
    made = [bytes(one) for one in Raid6().parity(slices, 2)]
    assert made == slow_parity(slices)
    assert bytes(*Raid6().parity(slices, 1)) == made[0]


@pytest.mark.parametrize("data", [2, 3, 4, 7, 30])
@pytest.mark.parametrize("parity", [1, 2])
def test_every_loss_that_parity_survives_is_made_good(data: int, parity: int) -> None:
    slices = slices_of(data, 33, data)
    shards = dict(enumerate([*slices, *slow_parity(slices)[:parity]]))
    for lost in itertools.combinations(shards, parity):
        known = {index: one for index, one in shards.items() if index not in lost}
        assert [bytes(one) for one in Raid6().restore(known, data)] == slices


def test_slices_longer_than_a_block_are_whole() -> None:
    slices = slices_of(3, (1 << 18) + 5, 3)
    p, q = Raid6().parity(slices, 2)
    assert [bytes(one) for one in Raid6().restore({1: slices[1], 3: p, 4: q}, 3)] == slices
    ends = [one[-7:] for one in slices]
    assert [bytes(p)[-7:], bytes(q)[-7:]] == slow_parity(ends)


def test_bytes_of_every_value_are_multiplied() -> None:
    slices = [bytes(range(256)), bytes(reversed(range(256)))]
    _, q = slow_parity(slices)
    assert [bytes(one) for one in Raid6().restore({1: slices[1], 3: q}, 2)] == slices


@pytest.mark.parametrize("known", [(), (0,), (0, 3), (3, 4), (2, 3)])
def test_too_few_slices_are_refused(known: tuple[int, ...]) -> None:
    slices = slices_of(3, 8, 1)
    shards = [*slices, *slow_parity(slices)]
    with pytest.raises(ValueError, match="are needed"):
        Raid6().restore({index: shards[index] for index in known}, 3)
