"""Segments: what goes in comes out, and nothing else is believed."""

import struct

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import Bytes
from strongroom.crypto.sealing import derive
from strongroom.errors import Damaged
from strongroom.vault.codec import Zstandard
from strongroom.vault.keys import SessionKeys, WorkerKeys
from strongroom.vault.segment import (
    CHUNKS_MAX,
    PLAIN_BYTES_MAX,
    decode_segment,
    encode_segment,
    open_root,
    open_segment,
    seal_root,
    seal_segment,
)

CODEC = Zstandard()
VAULT = b"\x33" * 16
ID = b"\x44" * 16
NORMAL = SessionKeys("55" * 16, b"\x01" * 32, None)
HIGH = SessionKeys("55" * 16, b"\x01" * 32, b"\x02" * 32)


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20))
def test_round_trip(chunks: list[bytes]) -> None:
    payload = b"".join(chunks)
    segment = decode_segment(encode_segment([*map(len, chunks)], payload, CODEC), CODEC)
    assert segment.payload == payload
    assert segment.lengths == tuple(map(len, chunks))


def test_what_does_not_shrink_is_stored() -> None:
    assert encode_segment([3], b"abc", CODEC) == struct.pack("<IIB", 1, 3, 0) + b"abc"
    assert encode_segment([999], b"a" * 999, CODEC)[8] == 1


@pytest.mark.parametrize(
    ("lengths", "payload"),
    [([], b""), ([1] * (CHUNKS_MAX + 1), b"a"), ([1], bytes(PLAIN_BYTES_MAX + 1))],
)
def test_what_is_over_a_limit_is_not_written(lengths: list[int], payload: bytes) -> None:
    with pytest.raises(ValueError, match="no segment"):
        encode_segment(lengths, payload, CODEC)


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"\x01\x00\x00\x00",
        struct.pack("<IB", 0, 0),
        struct.pack("<IB", CHUNKS_MAX + 1, 0),
        struct.pack("<IIB", 2, 1, 0),
        struct.pack("<IIB", 1, 0, 0),
        struct.pack("<IIB", 1, PLAIN_BYTES_MAX + 1, 0),
        struct.pack("<IIB", 1, 3, 2) + b"abc",
        struct.pack("<IIB", 1, 3, 0) + b"ab",
        struct.pack("<IIB", 1, 3, 0) + b"abcd",
        struct.pack("<IIB", 1, 3, 1) + b"abc",
        struct.pack("<IIB", 1, 3, 1) + CODEC.compress(b"ab"),
        struct.pack("<IIB", 1, 3, 1) + CODEC.compress(b"abcd"),
        struct.pack("<IIB", 1, 3, 1) + CODEC.compress(b"abc") + b"x",
    ],
)
def test_malformed_segments_are_damaged(plain: bytes) -> None:
    with pytest.raises(Damaged):
        decode_segment(plain, CODEC)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_segment_or_damaged(plain: bytes) -> None:
    try:
        segment = decode_segment(plain, CODEC)
    except Damaged:
        return
    assert sum(segment.lengths) == len(segment.payload)


def test_a_decompression_bomb_takes_no_memory() -> None:
    bomb = CODEC.compress(bytes(64 << 20))
    with pytest.raises(Damaged, match="they claim"):
        decode_segment(struct.pack("<IIB", 1, 100, 1) + bomb, CODEC)


@pytest.mark.parametrize("keys", [NORMAL, HIGH])
@given(flip=st.integers(0, 10_000))
def test_any_flipped_bit_of_a_sealed_segment_is_damaged(keys: SessionKeys, flip: int) -> None:
    sealed = bytearray(seal_segment(VAULT, keys, ID, b"plain"))
    sealed[flip // 8 % len(sealed)] ^= 1 << flip % 8
    with pytest.raises(Damaged):
        open_segment(VAULT, keys, ID, sealed)


def test_a_segment_opens_only_in_its_place() -> None:
    sealed = seal_segment(VAULT, NORMAL, ID, b"plain")
    assert open_segment(VAULT, NORMAL, ID, sealed) == b"plain"
    elsewhere = SessionKeys("66" * 16, NORMAL.inner, None)
    for vault, keys, segment in (
        (ID, NORMAL, ID),
        (VAULT, elsewhere, ID),
        (VAULT, NORMAL, VAULT),
        (VAULT, HIGH, ID),
    ):
        with pytest.raises(Damaged):
            open_segment(vault, keys, segment, sealed)
    with pytest.raises(Damaged):
        open_root(VAULT, NORMAL, ID, sealed)


def test_class_high_is_encrypted_twice_under_two_keys_with_two_ciphers() -> None:
    """Peel only the outer layer with primitives of our own choosing; the inner must still hold."""
    assert HIGH.outer is not None
    sealed = seal_segment(VAULT, HIGH, ID, b"plain")
    context = frame(VAULT, bytes.fromhex(HIGH.session))
    outer = derive(HIGH.outer, "segment/ChaCha20-Poly1305", ID, context)
    inner = ChaCha20Poly1305(outer).decrypt(bytes(12), sealed, None)
    assert inner == seal_segment(VAULT, NORMAL, ID, b"plain")
    with pytest.raises(InvalidTag):
        AESGCM(derive(HIGH.outer, "segment/AES-256-GCM", ID, context)).decrypt(
            bytes(12), inner, None
        )
    key = derive(HIGH.inner, "segment/AES-256-GCM", ID, context)
    assert AESGCM(key).decrypt(bytes(12), inner, None) == b"plain"


def test_root_round_trip() -> None:
    assert open_root(VAULT, HIGH, ID, seal_root(VAULT, HIGH, ID, b"root")) == b"root"


def test_keys_are_not_shown() -> None:
    worker = WorkerKeys(b"\x0a" * 32, b"\x0b" * 32, b"\x0c" * 32)
    for keys in (HIGH, worker):
        assert "\\x" not in repr(keys)
    assert len(worker.writer_id) == 32
    with pytest.raises(ValueError, match="32 bytes"):
        WorkerKeys(b"", b"\x0b" * 32, b"\x0c" * 32)


def test_codec_refuses_what_is_no_frame() -> None:
    empty: Bytes = b""
    with pytest.raises(Damaged):
        CODEC.decompress(empty, 10)
