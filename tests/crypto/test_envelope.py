"""The envelope: what was signed is what is read, and every flipped bit is refused."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto import signing
from strongroom.crypto.envelope import (
    HEADER_BYTES_MAX,
    MAGIC,
    Envelope,
    Statement,
    decode_envelope,
    decode_statement,
    sign_envelope,
)
from strongroom.errors import Damaged

SEED = bytes(range(32))
PUBLIC = signing.public_key(SEED)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
headers = st.dictionaries(
    st.text(max_size=8).filter(lambda name: name != "type"), values, max_size=4
)


def _read(data: bytes) -> Envelope:
    envelope = decode_envelope(data, "it")
    envelope.statement.verify(PUBLIC, "it")
    envelope.statement.fields("thing")
    return envelope


@given(headers, st.binary(max_size=60))
def test_round_trip(fields: dict[str, Any], body: bytes) -> None:
    envelope = sign_envelope(SEED, "thing", fields, body)
    assert _read(envelope.encode()) == envelope
    assert envelope.statement.fields("thing") == fields
    statement = envelope.statement
    assert decode_statement(statement.encode(), "it") == statement


@given(headers, st.binary(max_size=20), st.data())
def test_a_flipped_bit_is_refused(fields: dict[str, Any], body: bytes, data: st.DataObject) -> None:
    encoded = sign_envelope(SEED, "thing", fields, body).encode()
    bit = data.draw(st.integers(0, len(encoded) * 8 - 1))
    flipped = bytearray(encoded)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Damaged):
        _read(bytes(flipped))


@given(headers, st.binary(max_size=20), st.data())
def test_a_cut_object_is_refused(fields: dict[str, Any], body: bytes, data: st.DataObject) -> None:
    encoded = sign_envelope(SEED, "thing", fields, body).encode()
    with pytest.raises(Damaged):
        _read(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(Damaged):
        _read(noise)
    with pytest.raises(Damaged):
        _read(MAGIC + noise)


@given(st.data())
def test_a_statement_with_parts_of_other_lengths_is_refused(data: st.DataObject) -> None:
    encoded = sign_envelope(SEED, "thing", {}).statement.encode()
    with pytest.raises(Damaged, match="it is not a statement"):
        decode_statement(encoded[: data.draw(st.integers(0, len(encoded) - 1))], "it")
    with pytest.raises(Damaged, match="it is not a statement"):
        decode_statement(encoded + data.draw(st.binary(min_size=1, max_size=9)), "it")


@pytest.mark.parametrize(
    "header",
    [
        b'{"type": "thing"}',
        b'{"type":"thing","a":1}',
        b'{"type":"thing","type":"thing"}',
        b'{"a":1.0,"type":"thing"}',
        b'{"type":"thing"}\n',
        b'["thing"]',
        b'"thing"',
        b"\xff",
        b"",
        b"{",
        b'{"a":NaN,"type":"thing"}',
        b'{"a":9007199254740993,"type":"thing"}',
        b"[" * 100_000,
    ],
)
def test_only_canonical_headers_are_read(header: bytes) -> None:
    with pytest.raises(Damaged, match=r"cannot be read|is not canonical"):
        Statement(header, bytes(32), bytes(64)).fields("thing")


def test_another_type_is_refused() -> None:
    statement = sign_envelope(SEED, "thing", {}).statement
    with pytest.raises(Damaged, match="an object is not a other"):
        statement.fields("other")


def test_another_key_another_body_another_header() -> None:
    envelope = sign_envelope(SEED, "thing", {"a": 1}, b"body")
    statement = envelope.statement
    # What verified once is remembered, and helps none of its neighbours.
    statement.verify(PUBLIC, "it")
    for other in (
        replace(statement, body_hash=bytes(32)),
        replace(statement, header=statement.header[:-1]),
        replace(statement, signature=bytes(64)),
    ):
        with pytest.raises(Damaged, match="it carries a wrong signature"):
            other.verify(PUBLIC, "it")
    with pytest.raises(Damaged, match="it carries a wrong signature"):
        statement.verify(signing.public_key(bytes(32)), "it")
    # The hash names header and body, not the signature.
    assert replace(statement, signature=bytes(64)).hash == statement.hash
    assert replace(statement, body_hash=bytes(32)).hash != statement.hash


def test_a_header_over_the_limit() -> None:
    with pytest.raises(ValueError, match="over the limit"):
        sign_envelope(SEED, "thing", {"a": "x" * HEADER_BYTES_MAX})
    claimed = MAGIC + (HEADER_BYTES_MAX + 1).to_bytes(4, "little") + bytes(HEADER_BYTES_MAX + 99)
    with pytest.raises(Damaged, match="is cut short"):
        decode_envelope(claimed, "it")
