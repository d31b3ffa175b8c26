"""Cuts depend on the bytes of a stream and on nothing else."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyfastcdc import FastCDC

from strongroom.errors import UsageError
from strongroom.vault.chunker import PROFILES, Chunker

DATA = random.Random(7).randbytes(9 << 20)


def lengths(profile: str, blocks: list[bytes]) -> list[int]:
    return [len(chunk) for pieces in Chunker(profile).cut(blocks) for chunk in pieces]


def blocks_of(data: bytes, sizes: list[int]) -> list[bytes]:
    blocks: list[bytes] = []
    at = 0
    while at < len(data):
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(data[at : at + size])
        at += size
    return blocks


@pytest.mark.parametrize("profile", sorted(PROFILES))
@given(
    size=st.integers(0, len(DATA)),
    sizes=st.lists(st.integers(30_000, 4 << 20), min_size=1, max_size=3),
)
def test_cuts_do_not_depend_on_blocks(profile: str, size: int, sizes: list[int]) -> None:
    data = DATA[:size]
    whole = lengths(profile, [data])
    assert lengths(profile, blocks_of(data, sizes)) == whole
    assert sum(whole) == size


@pytest.mark.parametrize("profile", ["cdc-16k", "cdc-1m"])
def test_cuts_are_those_of_fastcdc(profile: str) -> None:
    kind = PROFILES[profile]
    fast = FastCDC(kind.average_bytes, min_size=kind.minimum_bytes, max_size=kind.maximum_bytes)
    expected = [chunk.length for chunk in fast.cut_buf(DATA)]
    assert lengths(profile, blocks_of(DATA, [1 << 20])) == expected


def test_a_run_of_equal_bytes_is_cut_at_the_maximum() -> None:
    assert lengths("cdc-16k", [bytes(1 << 20)] * 2)[:3] == [65536] * 3


def test_chunks_join_to_the_stream() -> None:
    pieces = Chunker("cdc-16k").cut(blocks_of(DATA, [1 << 20, 3]))
    assert b"".join(bytes(chunk) for chunks in pieces for chunk in chunks) == DATA


@pytest.mark.parametrize("profile", ["pages-4096", "pages-65536"])
def test_pages_are_equal_but_the_last(profile: str) -> None:
    page = PROFILES[profile].average_bytes
    assert lengths(profile, [DATA[: 3 * page + 1]]) == [page] * 3 + [1]


def test_a_small_file_is_one_chunk_and_is_not_copied() -> None:
    data = b"hello"
    (pieces,) = Chunker("cdc-16k").cut([data])
    assert pieces[0] is data


def test_an_empty_stream_has_no_chunk() -> None:
    assert not list(Chunker("cdc-16k").cut([]))
    assert not list(Chunker("cdc-16k").cut([b""]))


def test_unknown_profile() -> None:
    with pytest.raises(UsageError):
        Chunker("cdc-9")
