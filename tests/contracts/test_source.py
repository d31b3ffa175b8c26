"""What every source keeps, whatever it reads: one suite over all of them."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from strongroom.adapters.sources.command import CommandSource
from strongroom.adapters.sources.errors import SourceUnreadable
from strongroom.adapters.sources.file_target import FileTarget
from strongroom.adapters.sources.postgres import DumpPlan, PostgresSource
from strongroom.adapters.sources.postgres_folder import PostgresFolderTarget
from strongroom.adapters.sources.sqlite import SpoolPlan, SqliteSource
from strongroom.adapters.sources.sqlite_target import SqliteTarget
from strongroom.adapters.sources.tree import FileSource, TreeSource
from strongroom.adapters.sources.tree_target import TreeTarget
from strongroom.clock import SystemClock
from strongroom.errors import Damaged
from strongroom.vault.source import BLOCK_BYTES_MAX, Source, Target
from tests.adapters.sources.trees import LateClock, fill, token
from tests.support.postgres import Postgres
from tests.support.postgres_rows import EVERYTHING

Maker = Callable[[], Source]
TargetMaker = Callable[[Path], Target]
# What may be there when nothing of a restore is: the source, and an empty spool.
LEFT = (["source"], ["source", "spool"], ["spool"])
PROFILES = {f"pages-{size}" for size in (4096, 8192, 16384, 32768, 65536)} | {"cdc-16k", "cdc-1m"}


def database(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA synchronous=OFF")
        made.execute("CREATE TABLE t (x)")
        made.execute("INSERT INTO t VALUES (randomblob(9000000))")
        made.commit()
    return os.fsencode(path)


def tree(path: Path) -> bytes:
    (path / "a" / "b").mkdir(parents=True)
    (path / "a" / "large").write_bytes(os.urandom(5_000_000))
    (path / "a" / "b" / "empty").touch()
    (path / "link").symlink_to("a")
    os.link(path / "a" / "large", path / "a" / "second")
    os.mkfifo(path / "fifo")
    with (path / "sparse").open("wb") as sparse:
        sparse.write(b"data")
        sparse.truncate(9_000_000)
    with suppress(OSError):  # a file system may take none; the tests of attributes say so
        os.setxattr(path / "sparse", "user.comment", b"mostly nothing")
    return os.fsencode(path)


def one_file(path: Path) -> bytes:
    path.write_bytes(os.urandom(5_000_000))
    return os.fsencode(path)


class SteadyClock(SystemClock):
    """A clock on which it is always the same second."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite-memory", "sqlite-spool", "tree", "file", "command", "postgresql"])
def makers(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Maker, TargetMaker]:
    plan = SpoolPlan(tmp_path / "spool", LateClock(), token)
    match request.param:
        case "sqlite-memory":
            path = database(tmp_path / "source")
            return lambda: SqliteSource(path, plan), lambda out: SqliteTarget(out, token)
        case "sqlite-spool":
            path = database(tmp_path / "source")
            small = replace(plan, memory_bytes_max=0)
            return lambda: SqliteSource(path, small), lambda out: SqliteTarget(out, token)
        case "tree":
            path = tree(tmp_path / "source")
            return lambda: TreeSource(path, LateClock()), lambda out: TreeTarget(out, token)
        case "command":
            arguments = ("cat", os.fsdecode(one_file(tmp_path / "source")))
            clock = SteadyClock()
            return lambda: CommandSource(arguments, clock), lambda out: FileTarget(out, token)
        case "postgresql":
            server: Postgres = request.getfixturevalue("server")
            place = server.make("everything", *EVERYTHING)
            dumps = DumpPlan(tmp_path / "spool", token, (server.tools,))
            return (
                lambda: PostgresSource(place, dumps),
                lambda out: PostgresFolderTarget(out, token),
            )
        case _:
            path = one_file(tmp_path / "source")
            return lambda: FileSource(path, LateClock()), lambda out: FileTarget(out, token)


@pytest.fixture
def source(makers: tuple[Maker, TargetMaker]) -> Iterator[Source]:
    made = makers[0]()
    yield made
    # Closed by some tests already: twice must be safe.
    made.close()
    made.close()


def can_be_read_once(source: Source) -> bool:
    """Say whether a source gives each file up when it is read: a dump in the spool does."""
    return isinstance(source, PostgresSource)


def test_entries_repeat(makers: tuple[Maker, TargetMaker], source: Source) -> None:
    first = list(source.entries())
    assert list(source.entries()) == first
    with closing(makers[0]()) as again:
        assert list(again.entries()) == first


def test_paths_are_relative_unique_and_parents_first(source: Source) -> None:
    seen: dict[bytes, str] = {}
    for entry in source.entries():
        assert entry.path not in seen
        if entry.path:
            assert seen[entry.path.rpartition(b"/")[0]] == "directory"
        assert not {b".", b"..", b""} & set(entry.path.split(b"/")) or not entry.path
        if entry.kind == "hardlink":
            assert seen[entry.link] == "file"
        if entry.kind != "file":
            assert entry.size_bytes == 0
        seen[entry.path] = entry.kind
    assert b"" in seen


def test_blocks_are_bounded_and_add_up(source: Source) -> None:
    for entry in source.entries():
        if entry.kind == "file":
            sizes = [len(block) for block in source.read(entry)]
            # What streams has no size before it was read.
            assert sum(sizes) == entry.data_bytes or source.bytes_expected is None
            assert all(0 < size <= BLOCK_BYTES_MAX for size in sizes)


def test_reading_twice_gives_the_same(source: Source) -> None:
    for entry in source.entries():
        if entry.kind == "file":
            first = b"".join(source.read(entry))
            if can_be_read_once(source):
                with pytest.raises(SourceUnreadable):
                    next(source.read(entry))
            else:
                assert b"".join(source.read(entry)) == first


def test_an_abandoned_read_gives_its_handle_back(source: Source) -> None:
    entries = [entry for entry in source.entries() if entry.kind == "file"]
    before = len(os.listdir("/proc/self/fd"))
    for entry in entries:
        for _ in range(1 if can_be_read_once(source) else 5):
            blocks = source.read(entry)
            next(blocks, b"")
            del blocks
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_profile_and_expectation(source: Source) -> None:
    assert source.profile in PROFILES
    total = sum(entry.size_bytes for entry in source.entries())
    assert source.bytes_expected in (None, total)


def test_facts_are_plain_and_repeat(makers: tuple[Maker, TargetMaker], source: Source) -> None:
    list(source.entries())
    facts = dict(source.facts())
    assert facts["kind"] in ("sqlite", "tree", "file", "command", "postgresql")
    for value in facts.values():
        assert value is None or isinstance(value, (str, int, dict, list))
    with closing(makers[0]()) as again:
        list(again.entries())
        assert dict(again.facts()) == facts


def test_handles_are_given_back(makers: tuple[Maker, TargetMaker]) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    made = makers[0]()
    for entry in made.entries():
        if entry.kind == "file":
            for _ in made.read(entry):
                pass
    made.facts()
    made.close()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_restored_content_gives_the_same_entries(
    makers: tuple[Maker, TargetMaker], source: Source, tmp_path: Path
) -> None:
    target = makers[1](tmp_path / "out")
    fill(source, target)
    assert not (tmp_path / "out").exists()
    target.finish(source.facts())
    target.abandon()
    assert (tmp_path / "out").exists()
    assert not [name for name in os.listdir(tmp_path) if "partial" in name or "replaced" in name]


def test_wrong_facts_leave_nothing(
    makers: tuple[Maker, TargetMaker], source: Source, tmp_path: Path
) -> None:
    target = makers[1](tmp_path / "out")
    fill(source, target)
    facts = dict(source.facts())
    key = next(name for name in ("blake3", "tree_blake3", "dump_blake3") if name in facts)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(Damaged):
        target.finish({**facts, key: "0" * 64})
    assert sorted(os.listdir(tmp_path)) in LEFT
    assert len(os.listdir("/proc/self/fd")) < len(before)


def test_abandon_leaves_nothing(
    makers: tuple[Maker, TargetMaker], source: Source, tmp_path: Path
) -> None:
    target = makers[1](tmp_path / "out")
    fill(source, target)
    target.abandon()
    target.abandon()
    assert sorted(os.listdir(tmp_path)) in LEFT
