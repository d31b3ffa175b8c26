"""Tiles: the paths and widths of the specification's examples, bundles, proofs read from tiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import Damaged, UsageError
from strongroom.ledger.tiles import (
    ENTRY_BYTES_MAX,
    WIDTH,
    TilePlace,
    encode_bundle,
    entries_path,
    parse_bundle,
    parse_path,
    read_from,
    split_tile,
    tile_path,
    tile_width,
    tiles_of,
)
from strongroom.ledger.tree import (
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tests.ledger.static_log import files_of

SIZES = [0, 1, 255, 256, 257, 700]
ENTRIES = [b"entry %d" % number for number in range(max(SIZES))]


def test_paths_are_those_of_the_specification() -> None:
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(63, 0, 255) == "tile/63/000.p/255"
    assert tile_path(2, 999) == "tile/2/999"
    assert tile_path(2, 1000) == "tile/2/x001/000"
    assert entries_path(1234067, 1) == "tile/entries/x001/x234/067.p/1"


@given(st.one_of(st.none(), st.integers(0, 63)), st.integers(0, 2**62), st.integers(1, WIDTH))
def test_every_path_reads_back(level: int | None, number: int, width: int) -> None:
    place = TilePlace(level, number, width)
    assert parse_path(place.path) == place


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "tile/0/1",
        "tile/00/001",
        "tile/64/001",
        "tile/-1/001",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001/x002",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001.p/",
        "tile/0/../001",
        "/tile/0/001",
        "tile/0/001\n",
        "tile/0/\u0661\u0661\u0661",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/" + "x001/" * 1000 + "001",
    ],
)
def test_any_other_path_is_refused(path: str) -> None:
    with pytest.raises(Damaged, match="not the path of a tile"):
        parse_path(path)


def test_a_log_of_70000_has_the_tiles_of_the_specification() -> None:
    places = list(tiles_of(70_000))
    tiles = [place for place in places if place.level is not None]
    assert len([place for place in tiles if place.level == 0]) == 274
    assert [place.path for place in tiles if place.width < WIDTH] == [
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert [one for one in places if one.level is None] == [
        TilePlace(None, one.number, one.width) for one in tiles if one.level == 0
    ]
    assert [place.path for place in tiles_of(256)] == [
        "tile/entries/000",
        "tile/0/000",
        "tile/1/000.p/1",
    ]
    assert list(tiles_of(0)) == []
    assert tile_width(0, 274, 70_000) == 0


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bundles_read_back_and_only_with_their_count(entries: list[bytes]) -> None:
    data = encode_bundle(entries)
    assert parse_bundle(data, len(entries)) == entries
    for count in (len(entries) - 1, len(entries) + 1):
        with pytest.raises(Damaged, match="malformed"):
            parse_bundle(data, count)
    with pytest.raises(Damaged, match="malformed"):
        parse_bundle(data + b"\0", len(entries))
    if data:
        with pytest.raises(Damaged, match="malformed"):
            parse_bundle(data[:-1], len(entries))


def test_an_entry_has_at_most_65535_bytes() -> None:
    longest = bytes(ENTRY_BYTES_MAX)
    assert parse_bundle(encode_bundle([longest]), 1) == [longest]
    with pytest.raises(UsageError, match="65536 bytes"):
        encode_bundle([longest + b"\0"])


def test_a_tile_has_exactly_its_width() -> None:
    assert split_tile(bytes(64), 2) == [bytes(32), bytes(32)]
    for data in (bytes(63), bytes(32), bytes(96)):
        with pytest.raises(Damaged, match="wrong length"):
            split_tile(data, 2)


@pytest.mark.parametrize("size", SIZES)
def test_proofs_read_from_tiles_verify(size: int) -> None:
    files = files_of(ENTRIES[:size])
    leaves = [leaf_hash(entry) for entry in ENTRIES[:size]]
    read = read_from(lambda level, number, width: files[tile_path(level, number, width)], size)
    root = root_of(leaves)
    assert CompactRange.of(read, size).root() == root
    for index in {*range(0, size, 41), size - 1, 255, 256} & set(range(size)):
        proof = inclusion_proof(read, index, size)
        verify_inclusion(leaves[index], index, size, proof, root)
    for old in {*range(0, size, 37), size - 1, 255, 256, size} & set(range(size + 1)):
        proof = consistency_proof(read, old, size)
        verify_consistency(old, size, proof, root_of(leaves[:old]), root)


def test_tiles_give_no_subtree_that_is_not_full() -> None:
    read = read_from(lambda *_: pytest.fail("no tile is needed to say so"), 257)
    for level, index in ((0, 257), (1, 128), (8, 1), (9, 0), (16, 0)):
        with pytest.raises(ValueError, match="no full subtree"):
            read(level, index)
