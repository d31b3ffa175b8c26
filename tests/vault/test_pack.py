"""Packs: the trailer gives back what went in, and a changed byte is noticed."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto.hashing import content_hash
from strongroom.crypto.sealing import seal
from strongroom.errors import Damaged
from strongroom.vault.codec import Zstandard
from strongroom.vault.pack import (
    CLOSE_AT_BYTES,
    END,
    FOOT_BYTES,
    MAGIC,
    SEGMENTS_MAX,
    TRAILER_BYTES_MAX,
    Pack,
    PackBuilder,
    PackedSegment,
    StreamType,
    pack_key,
    read_trailer,
    trailer_bytes,
)
from strongroom.vault.segment import PLAIN_BYTES_MAX
from tests.support.vault_fixtures import counting_token

CODEC = Zstandard()
KEY = b"\x05" * 32
VAULT = b"\x33" * 16


def build(count: int = 3) -> Pack:
    builder = PackBuilder()
    assert builder.empty
    for at in range(count):
        chunks = [(bytes([at, n]) * 16, 100 + n) for n in range(at + 1)]
        builder.add(
            bytes([at]) * 16, bytes([at // 2]) * 16, StreamType(1 + at % 2), b"s" * (at + 9), chunks
        )
    return builder.close(KEY, VAULT, counting_token(), CODEC)


def tail_of(data: bytes) -> bytes:
    return data[-trailer_bytes(data[-FOOT_BYTES:], "p") :]


def read(data: bytes) -> tuple[PackedSegment, ...]:
    return read_trailer(tail_of(data), KEY, VAULT, "p", CODEC)


def with_table(table: bytes) -> bytes:
    sealed = bytes(16) + seal(KEY, "trailer", bytes(16), VAULT, CODEC.compress(table))
    return sealed + len(sealed).to_bytes(4, "little") + END


def test_the_trailer_gives_back_the_segments() -> None:
    pack = build()
    assert read(pack.data) == pack.segments
    assert pack.id == content_hash(pack.data).hex()
    assert pack_key(pack.id) == f"packs/{pack.id[:2]}/{pack.id}"
    assert pack.data.startswith(MAGIC)
    assert [one.plain_bytes for one in pack.segments] == [100, 201, 303]
    first = pack.segments[0]
    assert pack.data[first.offset : first.offset + first.stored_bytes] == b"s" * 9


def test_a_pack_is_full_at_its_size_or_its_count() -> None:
    builder = PackBuilder()
    builder.add(b"i" * 16, b"s" * 16, StreamType.DATA, bytes(CLOSE_AT_BYTES), [(b"c" * 32, 1)])
    assert builder.full
    many = PackBuilder()
    assert not many.full
    for _ in range(SEGMENTS_MAX):
        many.add(b"i" * 16, b"s" * 16, StreamType.DATA, b"x", [(b"c" * 32, 1)])
    assert many.full


@given(st.data())
def test_any_flipped_bit_of_the_tail_is_damaged(data: st.DataObject) -> None:
    pack = bytearray(build().data)
    at = len(pack) - 1 - data.draw(st.integers(0, len(tail_of(bytes(pack))) - 1))
    pack[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Damaged):
        read(bytes(pack))


def test_a_trailer_opens_only_in_its_vault_and_whole() -> None:
    tail = tail_of(build().data)
    for other in (b"\x34" * 16, b""):
        with pytest.raises(Damaged):
            read_trailer(tail, KEY, other, "p", CODEC)
    with pytest.raises(Damaged, match="cut short"):
        read_trailer(tail[1:], KEY, VAULT, "p", CODEC)
    for length in (0, TRAILER_BYTES_MAX + 1):
        with pytest.raises(Damaged, match="no trailer"):
            trailer_bytes(length.to_bytes(4, "little") + END, "p")


ROW = struct.Struct("<16sIQIIB")
ONE = b"\x01\x00\x00\x00" + b"s" * 16
CHUNK = b"c" * 32 + (5).to_bytes(4, "little")
GOOD = ONE + b"\x01\x00\x00\x00" + ROW.pack(b"i" * 16, 0, len(MAGIC), 9, 1, 1) + CHUNK


def row(**changes: int) -> bytes:
    fields = {"session": 0, "offset": len(MAGIC), "stored": 9, "chunks": 1, "stream": 1} | changes
    return ONE + b"\x01\x00\x00\x00" + ROW.pack(b"i" * 16, *fields.values()) + CHUNK


def test_the_table_of_these_tests_is_good() -> None:
    assert row() == GOOD
    assert len(read(with_table(GOOD))) == 1


@pytest.mark.parametrize(
    "table",
    [
        b"",
        GOOD[:-1],
        GOOD + b"x",
        (SEGMENTS_MAX + 1).to_bytes(4, "little"),
        row(session=1),
        row(chunks=0),
        row(chunks=8193),
        row(stream=3),
        row(offset=0),
        row(stored=0),
        GOOD[:-4] + (PLAIN_BYTES_MAX + 1).to_bytes(4, "little"),
    ],
)
def test_malformed_tables_are_damaged(table: bytes) -> None:
    with pytest.raises(Damaged, match="malformed"):
        read(with_table(table))


@given(st.binary(max_size=120))
def test_any_table_is_read_or_damaged(table: bytes) -> None:
    try:
        read(with_table(table))
    except Damaged:
        return
