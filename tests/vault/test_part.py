"""A part of a source comes back alone, and nothing else of the data is fetched for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import Damaged, Refused, UsageError
from strongroom.vault import Entry, Vault
from strongroom.vault.part import Part, Paths, choose
from strongroom.vault.recipe import RecipeLine
from strongroom.vault.runs import ChunkRuns
from tests.support.memory_location import MemoryLocation
from tests.support.vault_fixtures import (
    RANDOM,
    ListSource,
    ListTarget,
    TestVault,
    source_id,
    structure,
)

MEBIBYTE = 1 << 20
FACTS = {"files": 1}


class CountingLocation(MemoryLocation):
    """Counts the bytes that are fetched of packs."""

    fetched = 0

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        data = super().get(key, start, length)
        self.fetched += len(data) if "/packs/" in key else 0
        return data


def folders(*paths: bytes) -> list[Entry]:
    return [Entry(path, "directory", mode=0o755) for path in (b"", *paths)]


def bring_part(
    vault: TestVault, source: ListSource, *paths: bytes
) -> tuple[ListTarget, Vault.Structure]:
    written = vault.write({"s": source})
    parsed = structure(vault, written)
    target = ListTarget()
    with vault.vault.read(parsed, vault.keys) as reader:
        part = reader.choose(source_id("s"), paths, FACTS)
        outcome = reader.restore(source_id("s"), target, lambda _: None, part)
    assert outcome.facts == FACTS
    assert target.published == FACTS
    assert outcome.bytes == sum(map(len, target.files.values()))
    return target, parsed


@pytest.mark.parametrize("vault_class", ["normal", "high"])
def test_a_file_alone_is_fetched_alone(vault_class: str) -> None:
    location = CountingLocation("a")
    vault = TestVault(vault_class, {"a": location})
    files: dict[bytes, bytes | None] = {
        b"folder/%d" % number: RANDOM.randbytes(MEBIBYTE) for number in range(40)
    }
    source = ListSource(files, folders(b"folder"), profile="cdc-1m")
    before = location.fetched
    target, _ = bring_part(vault, source, b"folder/20")
    assert target.files == {b"folder/20": files[b"folder/20"]}
    assert [entry.path for entry in target.entries] == [b"", b"folder", b"folder/20"]
    # A mebibyte of forty: the file's segments, of which the first and last are shared, and twice
    # the recipe.
    assert MEBIBYTE < location.fetched - before < 4 * MEBIBYTE


def test_a_folder_brings_all_below_and_nothing_beside() -> None:
    source = ListSource(
        {b"x": b"1", b"a/b": b"2", b"a/c/d": b"3", b"a/c/e": b"4", b"ab": b"5", b"a/z": b""},
        folders(b"a", b"a/c"),
    )
    target, _ = bring_part(TestVault(), source, b"a/c", b"x")
    assert target.files == {b"x": b"1", b"a/c/d": b"3", b"a/c/e": b"4"}
    assert {entry.path for entry in target.entries} == {b"", b"a", b"a/c", *target.files}


def test_a_path_that_is_not_there_publishes_nothing_and_names_what_is_near() -> None:
    vault = TestVault()
    source = ListSource({b"a/letter.txt": b"1"}, folders(b"a"))
    with pytest.raises(UsageError, match=r"a/lettr.txt.*near it: a/letter.txt") as caught:
        bring_part(vault, source, b"a/lettr.txt")
    assert "browse" in caught.value.hint
    with pytest.raises(UsageError, match=r"nothing at 'a/letter.txt/x'"):
        bring_part(vault, source, b"a/letter.txt/x")


@dataclass
class Linked:
    """A recipe of lines that were made by hand, and how often it was read."""

    lines: Sequence[RecipeLine]
    reads: list[int] = field(default_factory=list)

    def __call__(self) -> Iterator[RecipeLine]:
        self.reads.append(0)
        yield from self.lines


def line(path: bytes, chunks: int = 0, link: bytes = b"") -> RecipeLine:
    entry = Entry(path, "hardlink", link=link) if link else Entry(path, "file", chunks)
    return RecipeLine(entry, chunks)


def test_a_hard_link_without_its_first_name_becomes_the_file() -> None:
    recipe = Linked(
        [line(b"first", 2), line(b"other", 3), line(b"l1", 0, b"first"), line(b"l2", 0, b"first")]
    )
    part = choose(recipe, Paths([b"l1", b"l2", b"other"]))
    assert list(part.lines(recipe())) == [
        line(b"other", 3),
        line(b"l1", 2),
        line(b"l2", 0, b"l1"),
    ]
    assert list(part.ranges) == [(0, 2, 3), (0, 0, 2)]
    assert (part.chunks, part.size_bytes) == (5, 5)


def test_a_hard_link_with_its_first_name_stays_a_link_and_one_pass_is_enough() -> None:
    recipe = Linked([line(b"first", 2), line(b"link", 0, b"first")])
    part: Part = choose(recipe, Paths([b"link", b"first"]))
    assert len(recipe.reads) == 1
    assert list(part.lines(recipe())) == list(recipe.lines)


def test_a_hard_link_to_a_hard_link_is_refused() -> None:
    recipe = Linked([line(b"f", 1), line(b"l1", 0, b"f"), line(b"l2", 0, b"l1")])
    with pytest.raises(Refused, match="hard link to a hard link"):
        choose(recipe, Paths([b"l2"]))


def test_a_part_of_a_stream_of_another_length_is_refused() -> None:
    vault = TestVault()
    written = vault.write({"s": ListSource({b"a": b"1", b"b": RANDOM.randbytes(MEBIBYTE)})})
    parsed = structure(vault, written)
    source = parsed.sources[0]
    shorter = (*source.data[:-1], source.data[-1] - 1)
    lie = replace(parsed, sources=(msgspec.structs.replace(source, data=shorter),))
    target = ListTarget()
    with vault.vault.read(lie, vault.keys) as reader:
        part = reader.choose(source.id, [b"a"], {})
        with pytest.raises(Damaged, match="another length"):
            reader.restore(source.id, target, lambda _: None, part)
    assert target.published is None


COUNTS = st.lists(st.integers(1, 5), max_size=8)
WANTED = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)), max_size=5)


@given(COUNTS, WANTED)
def test_sliced_runs_name_the_very_chunks(counts: list[int], wanted: list[tuple[int, int]]) -> None:
    runs = [(number, 3 * number, count) for number, count in enumerate(counts)]
    chunks = [(run, first + at) for run, first, count in runs for at in range(count)]
    expected = [chunk for start, count in wanted for chunk in chunks[start : start + count]]
    if any(count and start + count > len(chunks) for start, count in wanted):
        with pytest.raises(Damaged):
            ChunkRuns(runs).slice(wanted)
        return
    sliced = ChunkRuns(runs).slice(wanted)
    assert [(run, first + at) for run, first, count in sliced for at in range(count)] == expected
