"""The way into packs: in order, few at a time, opened again before they are sent."""

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.errors import Damaged
from strongroom.locations import Copies, LocationUnavailable
from strongroom.placement import FullCopies
from strongroom.vault import SessionKeys, Vault
from strongroom.vault.codec import Zstandard
from strongroom.vault.index import Index
from strongroom.vault.pack import StreamType
from strongroom.vault.pipeline import OpenSegment, Sealed, SealingLine
from strongroom.vault.streams import RECENT_CHUNKS_MAX, KnownChunks
from tests.support.memory_location import MemoryLocation
from tests.support.misbehaving_location import Fault, MisbehavingLocation, always
from tests.support.vault_fixtures import (
    RANDOM,
    TEXT,
    TestVault,
    objects_of,
    source_name,
    tree,
)


class Lying(Zstandard):
    """A compressor that now and then gives another text, as bad memory does."""

    def compress(self, data: bytes | bytearray | memoryview) -> bytes:
        changed = bytearray(data)
        changed[len(changed) // 2] ^= 4
        return super().compress(bytes(changed))


def test_a_faulty_compressor_is_caught_before_anything_is_stored() -> None:
    taken: list[Sealed] = []
    line = SealingLine(b"\x33" * 16, Lying(), 2, taken.append)
    segment = OpenSegment(1, b"\x01" * 16, StreamType.DATA, SessionKeys("1" * 32, b"k" * 32, None))
    segment.ids.append(b"c" * 32)
    segment.lengths.append(1000)
    segment.parts.append(bytes(1000))
    line.submit(segment)
    with pytest.raises(Damaged, match="did not survive"):
        line.drain()
    line.close()
    assert not taken


def test_the_sealing_line_holds_few_segments_and_keeps_their_order() -> None:
    taken: list[int] = []
    line = SealingLine(b"\x33" * 16, Zstandard(), 2, lambda one: taken.append(one.segment.number))
    keys = SessionKeys("1" * 32, b"k" * 32, None)
    for number in range(50):
        segment = OpenSegment(number, number.to_bytes(16, "little"), StreamType.DATA, keys)
        segment.ids.append(b"c" * 32)
        segment.lengths.append(9)
        segment.parts.append(b"123456789")
        line.submit(segment)
        assert number - len(taken) < 6
    line.drain()
    line.close()
    assert taken == list(range(50))


def test_no_segment_id_is_drawn_twice() -> None:
    """The one nonce rule: a salt is the id of what it seals and seals one message."""
    vault = TestVault()
    for _ in range(2):
        vault.write({"s": tree(a=RANDOM.randbytes(3 << 20))})
    ids = [
        one.id
        for key in objects_of(vault, "packs")
        for one in vault.vault._trailer(key.rpartition("/")[2])
    ]
    assert len(ids) == len(set(ids)) > 8


def test_many_chunks_go_to_the_index_while_the_attempt_runs() -> None:
    index = Index(open_sqlite(None))
    _, first = index.begin("w")
    known = KnownChunks(index, first, shared=True)
    ids = [n.to_bytes(32, "big") for n in range(RECENT_CHUNKS_MAX + 1)]
    for at, one in enumerate(ids):
        known.remember(one, (first, at))
    assert known.find([ids[0], ids[-1], b"?" * 32]) == {
        ids[0]: (first, 0),
        ids[-1]: (first, RECENT_CHUNKS_MAX),
    }
    known.drop(first, first + 1)
    assert known.find(ids[:2] + ids[-1:]) == {}
    private = KnownChunks(index, first, shared=False)
    private.remember(ids[0], (first, 0))
    private.flush()
    assert private.find(ids[:1]) == {}


def test_a_whole_backup_stops_where_no_pack_can_be_placed() -> None:
    vault = TestVault()
    bad = MisbehavingLocation(MemoryLocation("a"), always("put", Fault.FAIL_BEFORE))
    used = Vault(
        vault.place, FullCopies(Copies({"a": bad})), vault.database, vault.worker, vault.token
    )
    with used.write(lambda _: None) as writer:
        writer.add(source_name("s"), tree(a=TEXT), vault.deal())
        for _ in range(2):
            with pytest.raises(LocationUnavailable):
                writer.flush()
    source = tree(a=TEXT)
    assert vault.write({"s": source}).outcomes["s"].new_bytes >= len(TEXT)
