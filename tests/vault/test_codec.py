"""Zstandard as the vault uses it: frames anybody can read, no larger than the level's own."""

import random

import pytest
import zstandard

from strongroom.errors import Damaged
from strongroom.vault.codec import LEVEL, Zstandard

_WORDS = [f"{number:x}".encode() for number in range(0, 1 << 20, 997)]


def _text(size_bytes: int) -> bytes:
    chance = random.Random(7)
    words = b" ".join(chance.choice(_WORDS) for _ in range(size_bytes // 4 + 1))
    return words[:size_bytes]


@pytest.mark.parametrize("size_bytes", [0, 1, 100, 16 << 10, 512 << 10, 2 << 20])
def test_a_frame_names_its_size_and_anybody_can_read_it(size_bytes: int) -> None:
    data = _text(size_bytes)
    packed = Zstandard().compress(data)
    assert zstandard.get_frame_parameters(packed).content_size == size_bytes
    assert zstandard.ZstdDecompressor().decompress(packed) == data
    assert Zstandard().decompress(packed, size_bytes) == data


def test_small_tables_cost_next_to_nothing_in_size() -> None:
    data = _text(512 << 10)
    plain = zstandard.ZstdCompressor(level=LEVEL).compress(data)
    assert len(Zstandard().compress(data)) <= len(plain) * 1.02


def test_a_frame_that_claims_more_than_is_allowed_is_refused() -> None:
    packed = Zstandard().compress(bytes(1000))
    with pytest.raises(Damaged, match="malformed"):
        Zstandard().decompress(packed, 999)


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(Damaged, match="malformed"):
        Zstandard().decompress(b"no frame at all", 100)
