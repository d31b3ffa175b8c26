"""Restoring is parsing hostile input: recipes that no honest writer makes publish nothing."""

from collections.abc import Sequence

import pytest

from strongroom.crypto.hashing import content_hash
from strongroom.errors import Damaged
from strongroom.locations import Copies
from strongroom.placement import FullCopies
from strongroom.vault import Entry, SessionKeys
from strongroom.vault.codec import Zstandard
from strongroom.vault.index_rows import SegmentPlace
from strongroom.vault.pack import PackBuilder, StreamType, pack_key
from strongroom.vault.place import Progress, VaultPlace
from strongroom.vault.reading import SegmentReader, StreamReader
from strongroom.vault.recipe import encode_line
from strongroom.vault.restore import Streams, restore_streams
from strongroom.vault.segment import encode_segment, seal_segment
from strongroom.vault.structure import Root
from tests.support.memory_location import MemoryLocation
from tests.support.vault_fixtures import ListTarget, counting_token

CODEC = Zstandard()
PLACE = VaultPlace("11" * 16, "22" * 16, "33" * 16, "normal")
KEYS = SessionKeys("55" * 16, b"\x01" * 32, None)
KEY = b"\x02" * 32


def open_reader(location: MemoryLocation, threads: int) -> SegmentReader:
    copies = FullCopies(Copies({"a": location}))
    return SegmentReader(PLACE, copies, {KEYS.session: KEYS}, CODEC, threads)


def store(location: MemoryLocation, segments: Sequence[Sequence[bytes]]) -> dict[int, SegmentPlace]:
    """Seal segments of chunks into one pack and return where each lies."""
    builder = PackBuilder()
    places = {}
    for at, chunks in enumerate(segments):
        one = at.to_bytes(16, "big")
        plain = encode_segment([*map(len, chunks)], b"".join(chunks), CODEC)
        sealed = seal_segment(PLACE.vault_bytes, KEYS, one, plain)
        ids = [(bytes(32), len(chunk)) for chunk in chunks]
        builder.add(one, bytes.fromhex(KEYS.session), StreamType.DATA, sealed, ids)
    pack = builder.close(KEY, PLACE.vault_bytes, counting_token(), CODEC)
    location.objects[f"{PLACE.root}/{pack_key(pack.id)}"] = pack.data
    for at, packed in enumerate(pack.segments):
        places[at] = SegmentPlace(
            at,
            packed.id,
            packed.session,
            pack.id,
            packed.offset,
            packed.stored_bytes,
            len(packed.chunks),
            packed.plain_bytes,
            1,
        )
    return places


def restore(
    lines: bytes, chunks: Sequence[bytes], data_chunks: int
) -> tuple[ListTarget, list[int]]:
    """Restore a hand-made recipe over hand-made chunks; raises what the vault raises."""
    location = MemoryLocation()
    places = store(location, [[lines], chunks])
    target = ListTarget()
    seen: list[int] = []

    def progress(one: Progress) -> None:
        seen.append(one.done_bytes)

    root = Root({}, "", len(lines), content_hash(lines).hex(), data_chunks)
    with open_reader(location, 2) as reader:
        recipe = StreamReader(reader, [(0, 0, 1)], places)
        data = StreamReader(reader, [(1, 0, len(chunks))], places)
        try:
            restore_streams(Streams(root, recipe, data, 9), target, progress)
        except Damaged:
            assert target.abandoned
            assert target.published is None
            raise
    return target, seen


def file(path: bytes, size: int, chunks: int) -> bytes:
    return encode_line(Entry(path, "file"), size, chunks)


def test_an_honest_recipe_is_restored() -> None:
    big = bytes(5 << 20)
    target, seen = restore(file(b"a", 3, 2) + file(b"b", len(big), 1), [b"x", b"yz", big], 3)
    assert target.files == {b"a": b"xyz", b"b": big}
    assert seen == [3 + len(big)] * 2


@pytest.mark.parametrize("path", [b"../a", b"/a", b"a\x00", b"a//b", b"x/y"])
def test_a_hostile_name_publishes_nothing(path: bytes) -> None:
    with pytest.raises(Damaged, match="refused"):
        restore(file(b"ok", 1, 1) + file(path, 1, 1), [b"x", b"y"], 2)


def test_a_file_of_another_length_is_refused() -> None:
    with pytest.raises(Damaged, match="another length"):
        restore(file(b"a", 2, 1), [b"x"], 1)


def test_a_sparse_file_takes_only_its_data() -> None:
    sparse = Entry(b"a", "file", 9, holes=((0, 4), (5, 2)))
    target, _ = restore(encode_line(sparse, 3, 1), [b"xyz"], 1)
    assert target.files == {b"a": b"xyz"}
    assert target.entries == [sparse]


@pytest.mark.parametrize("data", [b"xy", b"xyz+", b"xyz+holes"])
def test_a_sparse_file_of_another_length_is_refused(data: bytes) -> None:
    sparse = Entry(b"a", "file", 9, holes=((0, 4), (5, 2)))
    with pytest.raises(Damaged, match="another length"):
        restore(encode_line(sparse, 3, 1), [data], 1)


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_count_of_chunks_is_refused(count: int) -> None:
    with pytest.raises(Damaged, match="chunks"):
        restore(file(b"a", 2, 2), [b"x", b"y"], count)


def test_more_chunks_than_there_are_are_refused() -> None:
    with pytest.raises(Damaged, match="too many"):
        restore(file(b"a", 2, 3), [b"x", b"y"], 3)


def test_data_that_no_line_uses_is_refused() -> None:
    with pytest.raises(Damaged, match="does not use"):
        restore(file(b"a", 1, 1), [b"x", b"y"], 1)


def test_runs_beyond_a_segment_are_refused() -> None:
    location = MemoryLocation()
    places = store(location, [[b"a", b"b"]])
    with open_reader(location, 1) as reader:
        with pytest.raises(Damaged, match="not there"):
            list(StreamReader(reader, [(0, 1, 2)], places).rest())
        assert b"".join(StreamReader(reader, [(0, 1, 1), (0, 0, 2)], places).rest()) == b"bab"


def test_what_is_held_is_bounded() -> None:
    """A stream that jumps between more segments than may be held reads right, in bounded memory."""
    location = MemoryLocation()
    chunks = [bytes([n]) * (4 << 20) for n in range(12)]
    places = store(location, [[chunk] for chunk in chunks])
    order = [*range(12), *range(12), 0, 11, 0]
    with open_reader(location, 2) as reader:
        stream = StreamReader(reader, [(n, 0, 1) for n in order], places)
        for n in order:
            (block,) = stream.take(1)
            assert block == chunks[n]
            held = sum(len(one.payload) for one in stream._held.values())
            assert held == stream._held_bytes <= (32 << 20) + (8 << 20)
        assert stream.exhausted
