"""A vault of shards: written, read past losses, checked, and mended from what is left."""

import random
import tracemalloc
from collections.abc import Iterator

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.errors import Damaged
from strongroom.locations import Copies
from strongroom.vault import Entry, Vault
from tests.support.memory_location import MemoryLocation
from tests.support.vault_fixtures import (
    BLOB,
    TEXT,
    ListTarget,
    TestVault,
    Written,
    structure,
    tree,
)

FILES = {b"a": BLOB, b"b": TEXT}
LARGE = {f"f{n}": random.Random(n).randbytes(4 << 20) for n in range(10)}
MIB = 1 << 20


def vault(places: int = 3, parity: int = 1, vault_class: str = "normal") -> TestVault:
    names = "abcdef"[:places]
    return TestVault(vault_class, {one: MemoryLocation(one) for one in names}, parity=parity)


def checked(made: TestVault, written: Written) -> list[Vault.Checked]:
    return [Vault.Checked(written.sequence, written.index_hash, structure(made, written))]


def packs_at(made: TestVault, name: str) -> list[str]:
    return sorted(key for key in made.locations[name].objects if "/packs/" in key)


@pytest.mark.parametrize("vault_class", ["normal", "high"])
@pytest.mark.parametrize(("places", "parity"), [(3, 1), (4, 2), (5, 1)])
def test_a_snapshot_comes_back_without_as_many_locations_as_there_is_parity(
    vault_class: str, places: int, parity: int
) -> None:
    made = vault(places, parity, vault_class)
    written = made.write({"s": tree(a=BLOB, b=TEXT)})
    assert made.restore(written, "s").files == FILES
    for name in list(made.locations)[:parity]:
        made.locations[name].objects.clear()
    fresh = made.open(open_sqlite(None))
    made.learn(written, fresh)
    assert made.restore(written, "s", fresh).files == FILES


def test_what_is_stored_and_sent_is_counted_as_it_is() -> None:
    made = vault()
    with made.vault.write(lambda _: None) as writer:
        writer.add(("11" * 16, "s", "file:///s", "tree"), tree(a=BLOB), made.deal())
        writer.flush()
        shards = sum(
            len(one.objects[key]) for one in made.locations.values() for key in one.objects
        )
        assert writer.sent_bytes == shards
        assert shards == pytest.approx(1.5 * writer.stored_bytes, abs=3 * 81)


def test_only_packs_are_cut_and_each_shard_lies_once() -> None:
    made = vault()
    written = made.write({"s": tree(a=BLOB)})
    for index, name in enumerate("abc"):
        assert [key[-2:] for key in packs_at(made, name)] == [f".{index}"]
        assert made.place.index_key(bytes.fromhex(written.index_hash)) in (
            made.locations[name].objects
        )
    report = made.vault.check(checked(made, written), read=True)
    assert (report.objects, report.findings, report.orphans) == (2, (), ())
    assert report.bytes_read == sum(
        len(data) for one in made.locations.values() for data in one.objects.values()
    )


def test_check_names_the_shard_that_is_damaged_or_missing_and_where() -> None:
    made = vault()
    written = made.write({"s": tree(a=BLOB)})
    (first,), (second,) = packs_at(made, "a"), packs_at(made, "b")
    del made.locations["a"].objects[first]
    altered = bytearray(made.locations["b"].objects[second])
    altered[-1] ^= 1
    made.locations["b"].objects[second] = bytes(altered)
    looked = made.vault.check(checked(made, written)).findings
    assert [(one.kind, one.location, one.object) for one in looked] == [("missing", "a", first)]
    read = made.vault.check(checked(made, written), read=True).findings
    assert [(one.kind, one.location, one.object) for one in read] == [
        ("missing", "a", first),
        ("damaged", "b", second),
    ]
    with pytest.raises(Damaged):
        made.restore(written, "s")


def test_a_tenth_of_the_shards_of_a_second_location_may_be_altered_when_no_two_meet() -> None:
    """Two losses of one pack are too many for one parity shard, one of each pack is not."""
    made = vault()
    written = made.write({"s": tree(**LARGE)})
    packs = packs_at(made, "a")
    assert len(packs) > 1
    del made.locations["a"].objects[packs[0]]
    for key in packs_at(made, "b")[1:]:
        made.locations["b"].objects[key] = made.locations["b"].objects[key][:-1] + b"?"
    assert len(made.restore(written, "s").files) == len(LARGE)


def test_every_location_is_made_whole_again_from_the_others() -> None:
    made = vault(4, 2)
    made.write({"s": tree(a=BLOB, b=TEXT)})
    for name in "abcd":
        before = dict(made.locations[name].objects)
        for key in packs_at(made, name):
            del made.locations[name].objects[key]
            pack = key.rpartition("/")[2].split(".")[0]
            size = made.vault._index.packs()[pack]
            holding = made.vault.holdings(pack, size)[name]
            data = made.open(made.database).remake(name, pack, size)
            holding.judge(data)
            made.locations[name].put(holding.key, data)
        assert made.locations[name].objects == before


def test_the_index_is_rebuilt_from_trailers_of_shards() -> None:
    made = vault()
    written = made.write({"s": tree(a=BLOB)})
    made.locations["c"].objects.clear()
    fresh = made.open(open_sqlite(None))
    made.learn(written, fresh)
    report = fresh.read_data(
        structure(made, written), made.worker.writer_public, made.keys, lambda _: None
    )
    assert (report.findings, report.not_recomputed) == ((), "")


def test_memory_is_bounded_while_every_pack_is_put_together() -> None:
    """40 MiB in packs of 16 MiB, all of one location lost and one shard of each other altered."""
    made = vault(4, 2)
    written = made.write({"s": tree(**LARGE)})
    made.locations["a"].objects.clear()
    for key in packs_at(made, "b"):
        made.locations["b"].objects[key] = made.locations["b"].objects[key][:-1] + b"?"
    copies = Copies(made.locations)
    used = Vault(made.place, made.placement(copies), made.database, made.worker, made.token)
    tracemalloc.start()
    try:
        with used.read(structure(made, written), made.keys) as reader:
            target = Forgetting()
            reader.restore(structure(made, written).sources[0].id, target, lambda _: None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(target.files) == len(LARGE)
    assert peak < 160 * MIB


class Forgetting(ListTarget):
    """Counts files and keeps none of their bytes."""

    def write(self, entry: Entry, blocks: Iterator[bytes]) -> None:
        self.files[entry.path] = b""
        for _ in blocks:
            pass
