"""Snapshot bodies and index objects: closed parsing of what a location hands out."""

import base64
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto.envelope import sign_envelope
from strongroom.crypto.framing import frame
from strongroom.crypto.sealing import seal
from strongroom.errors import Damaged, UsageError
from strongroom.vault.codec import Zstandard
from strongroom.vault.index_object import decode_index, encode_index
from strongroom.vault.index_rows import SegmentPlace
from strongroom.vault.keys import SessionKeys, WorkerKeys
from strongroom.vault.place import VaultPlace
from strongroom.vault.segment import seal_root
from strongroom.vault.structure import (
    STRUCTURE_BYTES_MAX,
    Carried,
    Root,
    decode_body,
    encode_body,
    facts_of,
    make_client,
    make_root,
    open_source_root,
    seal_source_root,
    structure_context,
)

CODEC = Zstandard()
KEY = b"\x02" * 32
SALT = b"\x07" * 16
VAULT = b"\x33" * 16
CONTEXT = structure_context(VAULT, b"\x04" * 32, 9)
SESSION = SessionKeys("55" * 16, b"\x01" * 32, None)
PLACE = VaultPlace("11" * 16, "22" * 16, VAULT.hex(), "normal")
WORKER = WorkerKeys(b"\x01" * 32, KEY, b"\x03" * 32)


def source(**changes: Any) -> dict[str, Any]:
    return {
        "id": "66" * 16,
        "name": "n",
        "url": "u",
        "kind": "tree",
        "session": "55" * 16,
        "profile": "cdc-1m",
        "entries": 1,
        "skipped": 0,
        "read_bytes": 1,
        "plain_bytes": 1,
        "stored_bytes": 1,
        "data": [0, 0, 1],
        "recipe": [0, 1, 1],
    } | changes


def table(**changes: Any) -> dict[str, Any]:
    return {
        "client": {"name": "Ann", "class": "normal", "keep": {"daily": 7}},
        "segments": base64.b64encode(b"\x09" * 16).decode(),
        "sources": [source()],
        "carried": [{"id": "77" * 16, "name": "c", "reason": "r"}],
    } | changes


def body(content: object, roots: int = 1) -> bytes:
    packed = CODEC.compress(msgspec.json.encode(content))
    sealed = SALT + seal(KEY, "structure", SALT, CONTEXT, packed)
    parts = [sealed, *[bytes(40)] * roots]
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def read(data: bytes) -> None:
    decode_body(data, KEY, CONTEXT, CODEC)


def test_the_table_of_these_tests_is_good() -> None:
    parsed = decode_body(body(table()), KEY, CONTEXT, CODEC)
    assert parsed.segment_count == 1
    assert parsed.segment(0) == b"\x09" * 16
    assert parsed.carried[0].name == "c"


@pytest.mark.parametrize(
    "content",
    [
        table(extra=1),
        table(segments="?"),
        table(segments="AAAA"),
        table(sources=[source(extra=1)]),
        table(sources=[source(id="66")]),
        table(sources=[source(session="Z" * 32)]),
        table(sources=[source(profile="cdc-9")]),
        table(sources=[source(entries=-1)]),
        table(sources=[source(entries=1 << 63)]),
        table(sources=[source(data=[1, 0, 1])]),
        table(sources=[source(recipe=[0, 0])]),
        table(sources=[]),
        table(client={"name": "Ann"}),
        table(carried=[{"id": "77", "name": "c", "reason": "r"}]),
        [],
    ],
)
def test_malformed_structures_are_damaged(content: object) -> None:
    with pytest.raises(Damaged):
        read(body(content))


def test_the_same_source_twice_is_damaged() -> None:
    with pytest.raises(Damaged, match="malformed"):
        read(body(table(sources=[source(), source()]), roots=2))


HOSTILE_NAMES = [
    "../../escaped/evil",
    "/absolute",
    "..",
    ".",
    "",
    "-rf",
    "a/b",
    "a\0b",
    "\x1b[2J",
    "\u202egnp.exe",
    "\n",
    "x" * 101,
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_leaves_the_target_is_damaged_and_named(name: str) -> None:
    for content in (
        table(sources=[source(name=name)]),
        table(carried=[{"id": "77" * 16, "name": name, "reason": "r"}]),
    ):
        with pytest.raises(Damaged, match="cannot be named") as caught:
            read(body(content))
        assert str(caught.value).isprintable()


def test_two_sources_of_one_name_are_damaged() -> None:
    twice = [source(), source(id="67" * 16)]
    with pytest.raises(Damaged, match="two sources are named n"):
        read(body(table(sources=twice), roots=2))
    carried = [{"id": "77" * 16, "name": "n", "reason": "r"}]
    with pytest.raises(Damaged, match="two sources are named n"):
        read(body(table(carried=carried)))


@pytest.mark.parametrize("field", ["url", "kind"])
def test_signs_that_cannot_be_printed_are_damaged(field: str) -> None:
    with pytest.raises(Damaged, match="cannot be printed") as caught:
        read(body(table(sources=[source(**{field: "a\x1b[2Jb"})])))
    assert str(caught.value).isprintable()


def test_a_writer_refuses_a_name_that_no_reader_takes() -> None:
    good = decode_body(body(table()), KEY, CONTEXT, CODEC)
    bad = replace(good, carried=(Carried("77" * 16, "../x", "r"),))
    with pytest.raises(Damaged, match="cannot be named"):
        encode_body(bad, KEY, CONTEXT, SALT, CODEC)


def test_a_structure_that_unpacks_to_more_than_the_limit_is_damaged() -> None:
    """A few kilobytes of compressed blanks must not take gigabytes of memory."""
    blanks = b'{"client":' + b" " * STRUCTURE_BYTES_MAX + b"}"
    sealed = SALT + seal(KEY, "structure", SALT, CONTEXT, CODEC.compress(blanks))
    assert len(sealed) < 1 << 20
    with pytest.raises(Damaged, match="they claim"):
        read(len(sealed).to_bytes(4, "little") + sealed)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff\xff\xff\xff", body(table())[:-1]])
def test_bodies_cut_short_are_damaged(data: bytes) -> None:
    with pytest.raises(Damaged):
        read(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_body_or_damaged(data: bytes) -> None:
    with pytest.raises(Damaged):
        read(data)


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.none()
        | st.booleans()
        | st.integers(-(1 << 63), (1 << 63) - 1)
        | st.text(max_size=9)
        | st.lists(st.text(max_size=5), max_size=3)
        | st.dictionaries(st.text(max_size=5), st.integers(0, 99), max_size=3)
        | st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
        max_size=5,
    )
)
def test_facts_come_back_from_a_root(facts: dict[str, Any]) -> None:
    root = make_root(facts, facts_salt="", recipe_bytes=1, recipe_blake3="", data_chunks=2)
    sealed = seal_source_root(VAULT, SESSION, SALT, root)
    assert facts_of(open_source_root(VAULT, SESSION, sealed)) == facts


def test_malformed_roots_are_damaged() -> None:
    with pytest.raises(Damaged, match="cannot be read"):
        open_source_root(VAULT, SESSION, SALT + seal_root(VAULT, SESSION, SALT, b"{}"))
    with pytest.raises(Damaged, match="mixes types"):
        facts_of(Root({"a": {"x": 1, "y": "z"}}, "", 0, "", 0))


def test_what_a_writer_may_not_write() -> None:
    with pytest.raises(UsageError):
        make_client({"name": 1})
    with pytest.raises(UsageError):
        make_root({"a": 1}, facts_salt=5)


def segment_place(number: int = 1) -> SegmentPlace:
    return SegmentPlace(number, b"\x09" * 16, b"\x55" * 16, "ab" * 32, 8, 100, 2, 900, 1)


def index_of(content: object) -> bytes:
    packed = CODEC.compress(msgspec.json.encode(content))
    context = frame(VAULT, WORKER.writer_public)
    sealed = SALT + seal(KEY, "index", SALT, context, packed)
    header = {
        "format": "vault-v1",
        "install": PLACE.install,
        "vault": PLACE.vault,
        "writer": WORKER.writer_id,
        "sequence": 3,
    }
    return sign_envelope(WORKER.writer_seed, "index", header, sealed).encode()


def read_index(data: bytes, sequence: int = 3) -> object:
    return decode_index(data, PLACE, KEY, WORKER.writer_public, sequence, CODEC)[1]


ROW = ["09" * 16, "55" * 16, 8, 100, 2, 900, 1]


def listed(*rows: list[Any], **changes: Any) -> object:
    return {"packs": [{"id": "ab" * 32, "bytes": 1000, "segments": rows} | changes]}


def test_index_objects_round_trip() -> None:
    packs = [("ab" * 32, 1000, [segment_place()])]
    envelope = encode_index(PLACE, WORKER, 3, packs, SALT)
    assert envelope.encode() == index_of(listed(ROW))
    assert read_index(envelope.encode()) == read_index(index_of(listed(ROW)))
    with pytest.raises(Damaged, match="elsewhere"):
        read_index(envelope.encode(), 4)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"packs": [1]},
        listed(id="ab"),
        listed(bytes=8),
        listed(bytes=1 << 40),
        *(
            listed([*ROW[:at], bad, *ROW[at + 1 :]])
            for at, bad in [
                (0, "09"),
                (1, "Z" * 32),
                (2, 7),
                (3, 0),
                (3, 993),
                (4, 0),
                (4, 8193),
                (5, 1),
                (5, (8 << 20) + 1),
                (6, 3),
            ]
        ),
    ],
)
def test_malformed_index_objects_are_damaged(content: object) -> None:
    with pytest.raises(Damaged):
        read_index(index_of(content))


@given(st.binary(max_size=60))
def test_any_bytes_are_no_index_object(data: bytes) -> None:
    with pytest.raises(Damaged):
        read_index(data)
