"""Sparse files: their holes are neither read nor stored, and are holes again after a restore."""

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.adapters.sources.errors import TargetFailed
from strongroom.adapters.sources.file_target import FileTarget
from strongroom.adapters.sources.holes import HOLE_BYTES_MIN, data_of, find_holes, may_have_holes
from strongroom.adapters.sources.tree import FileSource, TreeSource
from strongroom.adapters.sources.tree_target import TreeTarget
from strongroom.errors import Damaged
from strongroom.vault.source import Entry
from tests.adapters.sources.trees import LateClock, fill, token
from tests.support.vault_fixtures import TestVault, bring_back, source_id, source_name, structure

PIECE = HOLE_BYTES_MIN
ROOT = Entry(b"", "directory", mode=0o755)


def make(path: Path, size: int, *data: tuple[int, bytes]) -> None:
    """Write a file of this size that is a hole but for the data at these offsets."""
    with path.open("wb") as made:
        made.truncate(size)
        for offset, content in data:
            made.seek(offset)
            made.write(content)
    if not may_have_holes(path.stat()):
        pytest.skip(f"the file system of {path.parent} makes no holes")


def copy(root: Path, destination: Path) -> list[Entry]:
    with closing(TreeSource(os.fsencode(root), LateClock())) as source:
        target = TreeTarget(destination, token)
        entries = fill(source, target)
        target.finish(source.facts())
    return entries


def blocks_of(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_a_sparse_file_comes_back_equal_and_as_small(folder: Path) -> None:
    (folder / "tree").mkdir()
    path = folder / "tree" / "image"
    make(path, 40 * PIECE + 17, (0, b"head"), (20 * PIECE, os.urandom(3 * PIECE)))
    entries = copy(folder / "tree", folder / "out")
    assert entries[1].data_bytes < 6 * PIECE
    assert (folder / "out" / "image").read_bytes() == path.read_bytes()
    assert abs(blocks_of(folder / "out" / "image") - blocks_of(path)) <= 2 * PIECE


def test_a_terabyte_of_nothing_costs_nothing(folder: Path) -> None:
    (folder / "tree").mkdir()
    make(folder / "tree" / "empty", 1 << 40)
    make(folder / "tree" / "image", 1 << 40, ((1 << 39) + 5, b"here"))
    entries = copy(folder / "tree", folder / "out")
    assert [entry.size_bytes for entry in entries] == [0, 1 << 40, 1 << 40]
    assert sum(entry.data_bytes for entry in entries) <= PIECE
    assert (folder / "out" / "empty").stat().st_size == 1 << 40
    with (folder / "out" / "image").open("rb") as image:
        assert os.pread(image.fileno(), 6, (1 << 39) + 4) == b"\0here\0"
    assert blocks_of(folder / "out" / "image") <= PIECE


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    parts=st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=50)), max_size=6),
    tail=st.integers(0, 3 * PIECE),
)
def test_any_sparse_file_comes_back_equal(
    parts: list[tuple[int, bytes]], tail: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("any")
    (base / "tree").mkdir()
    path = base / "tree" / "f"
    with path.open("wb") as made:
        for place, content in parts:
            made.seek(place * 4096)
            made.write(content)
        made.seek(0, os.SEEK_END)
        made.truncate(made.tell() + tail)
    copy(base / "tree", base / "out")
    assert (base / "out" / "f").read_bytes() == path.read_bytes()


def test_one_file_brings_its_holes_back(folder: Path) -> None:
    make(folder / "image", 30 * PIECE, (PIECE, b"x"))
    with closing(FileSource(os.fsencode(folder / "image"), LateClock())) as source:
        target = FileTarget(folder / "out", token)
        (entry,) = fill(source, target)
        target.finish(source.facts())
    assert list(target.compared) == ["tree_blake3", "blake3", "bytes"]
    assert entry.data_bytes <= PIECE
    assert (folder / "out").read_bytes() == (folder / "image").read_bytes()
    assert blocks_of(folder / "out") <= 2 * PIECE


def test_through_a_vault_a_hole_stores_nothing(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    make(root / "image", 1 << 36, (1 << 35, os.urandom(3 * PIECE)))
    vault = TestVault()
    for attempt in range(2):
        with (
            closing(TreeSource(os.fsencode(root), LateClock())) as source,
            vault.vault.write(lambda _: None) as writer,
        ):
            outcome = writer.add(source_name("s"), source, vault.deal())
            written = vault.finish(writer, {"s": outcome})
        assert (outcome.plain_bytes, outcome.read_bytes) == (3 * PIECE, 3 * PIECE * (not attempt))
        target = TreeTarget(tmp_path / f"out-{attempt}", token)
        keys = {session: vault.keys[session] for session in written.sessions}
        bring_back(vault.vault, structure(vault, written), source_id("s"), keys, target)
        restored = tmp_path / f"out-{attempt}" / "image"
        assert restored.stat().st_size == 1 << 36
        with restored.open("rb") as one, (root / "image").open("rb") as other:
            assert os.pread(one.fileno(), 4 * PIECE, 1 << 35) == os.pread(
                other.fileno(), 4 * PIECE, 1 << 35
            )


def test_a_sparse_file_with_attributes_that_cannot_be_read_is_named_and_nothing_else_is_lost(
    tmp_path: Path,
) -> None:
    """Its line says that it is not readable, and nothing that only a file may say."""
    root = tmp_path / "tree"
    root.mkdir()
    make(root / "gone", 20 * PIECE, (0, b"x"))
    with suppress(OSError):  # where there are no attributes, its holes alone are tested
        os.setxattr(root / "gone", "user.a", b"1")
    (root / "kept").write_bytes(b"kept")

    class Vanishing(TreeSource):
        def entries(self) -> Iterator[Entry]:
            found = list(super().entries())
            (root / "gone").unlink()
            yield from found

    vault = TestVault()
    with (
        closing(Vanishing(os.fsencode(root), LateClock())) as source,
        vault.vault.write(lambda _: None) as writer,
    ):
        outcome = writer.add(source_name("s"), source, vault.deal())
        written = vault.finish(writer, {"s": outcome})
    assert [path for path, _ in outcome.unreadable] == [b"gone"]
    target = TreeTarget(tmp_path / "out", token)
    keys = {session: vault.keys[session] for session in written.sessions}
    bring_back(vault.vault, structure(vault, written), source_id("s"), keys, target)
    assert os.listdir(tmp_path / "out") == ["kept"]


def test_other_holes_are_another_fingerprint(folder: Path) -> None:
    """Else data that was read around the holes of then would be put around those of now."""
    (folder / "tree").mkdir()
    make(folder / "tree" / "f", 20 * PIECE, (0, b"x"))
    stamps = (folder / "tree" / "f").stat()
    found = []
    for _ in range(2):
        with closing(TreeSource(os.fsencode(folder / "tree"), LateClock())) as source:
            found.append(list(source.entries())[1])
        # Zeros are written where a hole was; then the times say that nothing happened.
        with (folder / "tree" / "f").open("r+b") as changed:
            changed.seek(10 * PIECE)
            changed.write(bytes(4096))
        os.utime(folder / "tree" / "f", ns=(0, stamps.st_mtime_ns))
    assert found[0].holes != found[1].holes
    assert found[0].fingerprint[40:] != found[1].fingerprint[40:]
    assert len(found[0].fingerprint) == len(found[1].fingerprint) == 72


@pytest.mark.parametrize("end", [0, 5, 4096, 10 * PIECE, 10 * PIECE + 5, 15 * PIECE, 30 * PIECE])
def test_a_sparse_file_that_changes_while_it_is_read(tmp_path: Path, end: int) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    make(root / "f", 20 * PIECE, (0, b"a" * 4096), (10 * PIECE, b"b" * 4096))
    with closing(TreeSource(os.fsencode(root), LateClock())) as source:
        target = TreeTarget(tmp_path / "out", token)
        for entry in source.entries():
            if entry.kind == "file":
                os.truncate(root / "f", end)
                os.utime(root / "f", ns=(1, 1))
                blocks = list(source.read(entry))
                target.write(entry.with_data(sum(map(len, blocks))), iter(blocks))
            else:
                target.write(entry, iter(()))
        facts = source.facts()
    assert (facts["changed_while_read"], facts["changed_names"]) == (1, ["f"])
    target.finish(facts)
    was = (root / "f").read_bytes()
    now = (tmp_path / "out" / "f").read_bytes()
    assert now.startswith(was[: 10 * PIECE].rstrip(b"\0")) or was.startswith(now)
    assert len(now) <= 20 * PIECE


def test_the_longest_holes_are_kept_where_there_are_too_many(folder: Path) -> None:
    count = Entry.HOLES_MAX + 10
    size = 2 * PIECE * count + (1 << 30)
    make(folder / "f", size, *((2 * PIECE * at, b"x") for at in range(count)))
    with (folder / "f").open("rb") as opened:
        holes = find_holes(opened.fileno(), size)
    assert 1 <= len(holes) <= Entry.HOLES_MAX
    assert max(length for _, length in holes) >= 1 << 30
    entry = Entry(b"f", "file", size, holes=holes)
    assert sum(length for _, length in data_of(entry)) == entry.data_bytes


def test_a_short_hole_is_read(folder: Path) -> None:
    make(folder / "f", 3 * PIECE, (PIECE - 4096, b"x" * 4096), (2 * PIECE - 8192, b"x" * 4096))
    with (folder / "f").open("rb") as opened:
        for offset, length in find_holes(opened.fileno(), 3 * PIECE):
            assert length >= HOLE_BYTES_MIN
            assert offset in (0, 2 * PIECE - 4096)


# What hostile snapshots try.


def test_more_data_than_there_is_room_for(tmp_path: Path) -> None:
    target = TreeTarget(tmp_path / "out", token)
    target.write(ROOT, iter(()))
    with pytest.raises(Damaged, match="more data"):
        target.write(Entry(b"f", "file", 9, 0o644, holes=((0, 8),)), iter([b"x", b"y"]))
    target.abandon()
    assert os.listdir(tmp_path) == []


def test_less_data_than_there_is_room_for(tmp_path: Path) -> None:
    """The vault refuses it by its count; a target alone makes the shorter file, as for any file."""
    target = TreeTarget(tmp_path / "out", token)
    target.write(ROOT, iter(()))
    target.write(Entry(b"f", "file", 9, 0o644, holes=((1, 2), (4, 5))), iter([b"x"]))
    target.finish({})
    assert (tmp_path / "out" / "f").read_bytes() == b"x"


def test_a_hole_that_no_file_system_can_make(tmp_path: Path) -> None:
    size = (1 << 63) - 1
    target = TreeTarget(tmp_path / "out", token)
    target.write(ROOT, iter(()))
    try:
        target.write(Entry(b"f", "file", size, 0o644, holes=((0, size),)), iter(()))
    except TargetFailed:
        target.abandon()
        assert os.listdir(tmp_path) == []
    else:
        # XFS, ZFS and others make it; it takes no room.
        target.finish({})
        assert (tmp_path / "out" / "f").stat().st_blocks < 100
