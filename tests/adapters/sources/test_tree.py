"""Backing up directory trees and single files, and restoring them equal."""

import os
import socket
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.adapters.sources.errors import SourceMissing, SourceUnreadable, TargetFailed
from strongroom.adapters.sources.file_target import FileTarget
from strongroom.adapters.sources.tree import FileSource, TreeSource
from strongroom.adapters.sources.tree_target import TreeTarget
from strongroom.errors import Damaged, Refused
from strongroom.vault.source import Entry, EntryUnreadable, Facts
from tests.adapters.sources.trees import LateClock, fill, portrait, token


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    path.mkdir()
    return path


def opened(root: Path, exclude: frozenset[bytes] = frozenset()) -> TreeSource:
    return TreeSource(os.fsencode(root), LateClock(), exclude)


def copy(root: Path, destination: Path, **options: bool) -> tuple[list[Entry], Facts, TreeTarget]:
    """Back up and restore without a vault between."""
    with closing(opened(root)) as source:
        target = TreeTarget(destination, token, **options)
        entries = fill(source, target)
        facts = source.facts()
    target.finish(facts)
    return entries, facts, target


def test_a_tree_comes_back_equal(root: Path, tmp_path: Path) -> None:
    (root / "empty").mkdir(mode=0o750)
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "file").write_bytes(b"x" * 3_000_000)
    (root / "nothing").touch(mode=0o640)
    (root / "link").symlink_to("deep/er/file")
    (root / "dangling").symlink_to("../nowhere")
    (root / "loop").symlink_to("loop")
    (root / "up").symlink_to("..")
    os.link(root / "nothing", root / "deep" / "other name")
    os.link(root / "deep" / "er" / "file", root / "also")
    Path(os.fsdecode(os.fsencode(root) + b"/na\xffme\n")).write_bytes(b"\xff")
    for number, path in enumerate([root / "deep", root / "nothing", root]):
        os.utime(path, ns=(0, 1_234_567_890_123_456_789 + number))
    os.utime(root / "link", ns=(0, 987_654_321), follow_symlinks=False)
    (root / "deep").chmod(0o555)
    before = portrait(root)
    _, facts, target = copy(root, tmp_path / "out")
    assert portrait(tmp_path / "out") == before
    assert sorted(os.listdir(tmp_path)) == ["out", "tree"]
    assert target.report == type(target.report)()
    assert (facts["files"], facts["entries"]) == (3, 13)
    (root / "deep").chmod(0o755)
    (tmp_path / "out" / "deep").chmod(0o755)


NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
NODES = st.recursive(
    st.one_of(
        st.binary(max_size=200),
        st.tuples(st.just("link"), st.binary(min_size=1, max_size=20)),
        st.tuples(st.just("mode"), st.integers(0, 0o777)),
        st.tuples(st.just("again"), st.just(b"")),
    ),
    lambda below: st.dictionaries(NAMES, below, max_size=5),
    max_leaves=25,
)


def plant(path: bytes, node: object, files: list[bytes], number: int = 0) -> None:
    match node:
        case dict():
            os.mkdir(path)
            for name, below in node.items():
                plant(os.path.join(path, name), below, files, number + 1)
        case bytes():
            Path(os.fsdecode(path)).write_bytes(node)
            files.append(path)
        case ("link", bytes(to)) if b"\0" not in to:
            os.symlink(to, path)
        case ("mode", int(mode)):
            Path(os.fsdecode(path)).write_bytes(b"m")
            # The owner keeps the right to read, as this test may run without root.
            os.chmod(path, mode | 0o400)
        case ("again", _) if files:
            os.link(files[-1], path)
        case _:
            return
    os.utime(path, ns=(0, 1_500_000_000_000_000_001 + number), follow_symlinks=False)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(node=st.dictionaries(NAMES, NODES, max_size=6))
def test_any_tree_comes_back_equal(
    node: dict[bytes, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("any")
    plant(os.fsencode(base / "tree"), node, [])
    before = portrait(base / "tree")
    copy(base / "tree", base / "out")
    assert portrait(base / "out") == before


def test_order_parents_first_and_links_after_their_file(root: Path) -> None:
    for name in ("b", "a", "c/z", "c/y", "d"):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    os.link(root / "c" / "z", root / "e")
    with closing(opened(root)) as source:
        entries = list(source.entries())
    assert [(entry.path, entry.kind, entry.link) for entry in entries] == [
        (b"", "directory", b""),
        (b"a", "file", b""),
        (b"b", "file", b""),
        (b"d", "file", b""),
        (b"e", "file", b""),
        (b"c", "directory", b""),
        (b"c/y", "file", b""),
        (b"c/z", "hardlink", b"e"),
    ]


def test_sockets_fifos_and_devices_are_named_and_not_read(root: Path, tmp_path: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(root / "door"))
        entries, facts, target = copy(root, tmp_path / "out")
    assert [entry.kind for entry in entries] == ["directory", "special", "special"]
    assert facts["special"] == target.report.special_left_out == 2
    assert os.listdir(tmp_path / "out") == []


def test_a_fifo_in_a_files_place_does_not_hang(root: Path) -> None:
    (root / "a").write_bytes(b"x")
    with closing(opened(root)) as source:
        entry = list(source.entries())[1]
        (root / "a").unlink()
        os.mkfifo(root / "a")
        with pytest.raises(EntryUnreadable, match="no file any more"):
            next(source.read(entry))


def test_a_symlink_in_a_folders_place_leads_nowhere(root: Path, tmp_path: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / "secret").write_bytes(b"ours")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret").write_bytes(b"theirs")
    with closing(opened(root)) as source:
        entry = list(source.entries())[-1]
        os.rename(root / "d", root / "was")
        (root / "d").symlink_to(tmp_path / "other")
        with pytest.raises(EntryUnreadable):
            list(source.read(entry))


def test_fingerprint_says_unchanged_and_changed(root: Path) -> None:
    (root / "a").write_bytes(b"one")
    (root / "b").write_bytes(b"two")

    def prints() -> dict[bytes, bytes]:
        with closing(opened(root)) as source:
            return {e.path: e.fingerprint for e in source.entries() if e.kind == "file"}

    first = prints()
    assert all(first.values())
    assert prints() == first
    # The same size, and a modification time set back: the change time gives it away.
    stamp = (root / "b").stat().st_mtime_ns
    (root / "b").write_bytes(b"TWO")
    os.utime(root / "b", ns=(stamp, stamp))
    second = prints()
    assert second[b"a"] == first[b"a"]
    assert second[b"b"] != first[b"b"]


def test_a_file_modified_just_now_has_no_fingerprint(root: Path) -> None:
    (root / "a").write_bytes(b"one")
    for ahead, expected in ((0.0, False), (1.0, False), (10.0, True)):
        source = TreeSource(os.fsencode(root), LateClock(ahead))
        with closing(source):
            assert bool(list(source.entries())[1].fingerprint) is expected


@pytest.mark.parametrize("change", [b"longer than it was", b"s", b"1234"])
def test_a_file_that_changes_while_it_is_read(root: Path, tmp_path: Path, change: bytes) -> None:
    (root / "a").write_bytes(b"abcd")
    with closing(opened(root)) as source:
        target = TreeTarget(tmp_path / "out", token)
        for entry in source.entries():
            if entry.kind == "file":
                (root / "a").write_bytes(change)
                os.utime(root / "a", ns=(1, 1))
            target.write(entry, source.read(entry) if entry.kind == "file" else iter(()))
        facts = source.facts()
    assert (facts["changed_while_read"], facts["changed_names"]) == (1, ["a"])
    target.finish(facts)
    assert (tmp_path / "out" / "a").read_bytes() == change[:4]


def test_a_file_that_vanishes_is_unreadable_and_the_rest_comes_back(
    root: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (root / name).write_bytes(b"x")
    with closing(opened(root)) as source:
        target = TreeTarget(tmp_path / "out", token)
        for entry in source.entries():
            if entry.path == b"a":
                (root / "a").unlink()
                with pytest.raises(EntryUnreadable, match="No such file"):
                    list(source.read(entry))
                target.write(Entry(b"a", "unreadable"), iter(()))
                continue
            target.write(entry, source.read(entry) if entry.kind == "file" else iter(()))
        facts = source.facts()
    assert (facts["unreadable"], facts["unreadable_names"]) == (1, ["a"])
    target.finish(facts)
    assert os.listdir(tmp_path / "out") == ["b"]


def test_what_may_not_be_read_is_named_and_the_rest_comes_back(plain_user_folder: Path) -> None:
    root = plain_user_folder / "tree"
    root.mkdir()
    (root / "good").write_bytes(b"x")
    (root / "closed").mkdir(mode=0)
    (root / "mode0").touch(mode=0)
    (root / "twice").touch()
    os.link(root / "twice", root / "twice again")
    (root / "twice").chmod(0)
    with closing(opened(root)) as source:
        target = TreeTarget(plain_user_folder / "out", token)
        kinds = {}
        for entry in source.entries():
            try:
                content = list(source.read(entry)) if entry.kind == "file" else []
            except EntryUnreadable:
                kinds[entry.path] = "raised"
                target.write(Entry(entry.path, "unreadable"), iter(()))
                continue
            kinds[entry.path] = entry.kind
            target.write(entry, iter(content))
        facts = source.facts()
    assert kinds == {
        b"": "directory",
        b"good": "file",
        b"mode0": "raised",
        b"twice": "unreadable",
        b"twice again": "unreadable",
        b"closed": "unreadable",
    }
    assert facts["unreadable"] == 4
    target.finish(facts)
    assert sorted(os.listdir(plain_user_folder / "out")) == ["good"]
    (root / "closed").chmod(0o700)


def test_modes_that_lock_the_owner_out(plain_user_folder: Path) -> None:
    target = TreeTarget(plain_user_folder / "out", token)
    target.write(Entry(b"", "directory", mode=0o500), iter(()))
    target.write(Entry(b"d", "directory", mode=0), iter(()))
    target.write(Entry(b"d/e", "directory", mode=0o111), iter(()))
    target.write(Entry(b"d/e/f", "file", mode=0), iter((b"x",)))
    target.finish({})
    assert (plain_user_folder / "out" / "d").stat().st_mode & 0o7777 == 0
    # Replaced by another restore, which has to remove it.
    target = TreeTarget(plain_user_folder / "out", token, overwrite=True)
    target.write(Entry(b"", "directory", mode=0o755), iter(()))
    target.finish({})
    assert os.listdir(plain_user_folder) == ["out"]
    assert os.listdir(plain_user_folder / "out") == []


def test_excluded_folders_are_left_out_by_what_they_are(root: Path, tmp_path: Path) -> None:
    for name in ("home", "data"):
        (root / name).mkdir()
        (root / name / "x").touch()
    (tmp_path / "alias").symlink_to(root / "home")
    exclude = frozenset([os.fsencode(tmp_path / "alias"), b"/nowhere/at/all"])
    with closing(opened(root, exclude)) as source:
        assert [entry.path for entry in source.entries()] == [b"", b"data", b"data/x"]
    with pytest.raises(Refused, match="cannot be a source"):
        opened(root, frozenset([os.fsencode(root)]))


def test_what_is_left_out_is_named_and_its_neighbours_are_kept(root: Path, tmp_path: Path) -> None:
    """The key file is left out wherever it lies, and nothing else of its folder."""
    (root / "config").mkdir()
    for name in ("install.key", "other.key", "settings"):
        (root / "config" / name).write_text(name)
    exclude = frozenset([os.fsencode(root / "config" / "install.key")])
    with closing(opened(root, exclude)) as source:
        paths = [entry.path for entry in source.entries()]
        facts = source.facts()
    assert paths == [b"", b"config", b"config/other.key", b"config/settings"]
    assert facts["left_out"] == 1
    assert facts["left_out_names"] == ["config/install.key"]


def test_a_restore_tells_what_it_compared_and_what_it_left_out(root: Path, tmp_path: Path) -> None:
    (root / "file").write_bytes(b"content")
    os.mkfifo(root / "pipe")
    with closing(opened(root)) as source:
        target = TreeTarget(tmp_path / "out", token)
        fill(source, target)
        target.write(Entry(b"lost", "unreadable"), iter(()))
        target.write(Entry(b"bits", "file", mode=0o4755), iter(()))
        facts = dict(source.facts())
        with pytest.raises(Damaged, match="its tree_blake3 differs"):
            target.finish(facts)
        target = TreeTarget(tmp_path / "out", token)
        fill(source, target)
        target.finish(facts)
    assert list(target.compared) == ["tree_blake3", "entries", "special", "files", "bytes"]
    assert dict(target.notes) == {"special_left_out": 1}
    target = TreeTarget(tmp_path / "again", token)
    target.write(Entry(b"lost", "unreadable"), iter(()))
    target.write(Entry(b"also", "hardlink", link=b"lost"), iter(()))
    target.write(Entry(b"bits", "file", mode=0o4755), iter(()))
    assert {**target.notes, "times_differ": 0} == {
        "bits_dropped": 1,
        "unreadable_left_out": 1,
        "links_left_out": 1,
        "times_differ": 0,
    }
    target.abandon()


def test_a_file_with_other_content_of_the_same_size_and_time_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with closing(FileSource(os.fsencode(tmp_path / "file"), LateClock())) as source:
        (entry,) = source.entries()
        assert "blake3" not in source.facts()
        for content, fine in ((b"content", True), (b"CONTENT", False)):
            assert b"".join(source.read(entry)) == b"content"
            target = FileTarget(tmp_path / "out", token, overwrite=True)
            target.write(entry, iter((content,)))
            if fine:
                target.finish(source.facts())
                assert list(target.compared) == ["tree_blake3", "blake3", "bytes"]
            else:
                with pytest.raises(Damaged, match="its blake3 differs"):
                    target.finish(source.facts())
    assert (tmp_path / "out").read_bytes() == b"content"


def test_no_such_folder(root: Path) -> None:
    with pytest.raises(SourceMissing, match="No such file"):
        opened(root / "x")
    (root / "file").touch()
    with pytest.raises(SourceMissing, match="Not a directory"):
        opened(root / "file")


def test_a_folder_that_may_not_be_listed(plain_user_folder: Path) -> None:
    (plain_user_folder / "d").mkdir(mode=0)
    with pytest.raises(SourceUnreadable, match="Permission denied"):
        opened(plain_user_folder / "d")


def test_an_empty_destination_is_filled(root: Path, tmp_path: Path) -> None:
    (root / "a").touch()
    (tmp_path / "out").mkdir()
    copy(root, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["a"]


@pytest.mark.parametrize("old", ["file", "folder", "link"])
def test_overwrite_replaces_what_was_there(root: Path, tmp_path: Path, old: str) -> None:
    (root / "new").touch()
    out = tmp_path / "out"
    if old == "file":
        out.touch()
    elif old == "link":
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "kept").touch()
        out.symlink_to(tmp_path / "elsewhere")
    else:
        (out / "below").mkdir(parents=True)
        (out / "below" / "old").touch()
    copy(root, out, overwrite=True)
    assert os.listdir(out) == ["new"]
    assert not out.is_symlink()
    assert not [name for name in os.listdir(tmp_path) if "." in name]
    assert old != "link" or (tmp_path / "elsewhere" / "kept").exists()


def test_abandon_leaves_nothing_and_keeps_the_old(root: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    target = TreeTarget(tmp_path / "out", token, overwrite=True)
    with closing(opened(root)) as source:
        fill(source, target)
    target.abandon()
    target.abandon()
    assert sorted(os.listdir(tmp_path)) == ["out", "tree"]
    assert os.listdir(tmp_path / "out") == ["old"]


def test_a_place_that_cannot_be_written(plain_user_folder: Path) -> None:
    (plain_user_folder / "closed").mkdir(mode=0o500)
    with pytest.raises(TargetFailed, match="Permission denied"):
        TreeTarget(plain_user_folder / "closed" / "out", token)
    target = FileTarget(plain_user_folder / "closed" / "out", token)
    with pytest.raises(TargetFailed, match="Permission denied"):
        target.write(Entry(b"", "file"), iter(()))


def test_one_file_comes_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "dump.sql"
    path.write_bytes(b"INSERT" * 500_000)
    path.chmod(0o640)
    os.utime(path, ns=(0, 1_234_567_890_123_456_789))
    source = FileSource(os.fsencode(path), LateClock())
    target = FileTarget(tmp_path / "out", token)
    (entry,) = fill(source, target)
    assert entry.fingerprint
    target.finish(source.facts())
    assert portrait(tmp_path / "out") == portrait(path)
    assert (source.profile, source.bytes_expected) == ("cdc-16k", 3_000_000)


def test_one_file_through_a_link_and_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"x")
    (tmp_path / "link").symlink_to("image")
    source = FileSource(os.fsencode(tmp_path / "link"), LateClock())
    assert [list(source.read(entry)) for entry in source.entries()] == [[b"x"]]
    assert source.profile == "cdc-1m"


def test_one_file_that_is_not_as_recorded(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    source = FileSource(os.fsencode(tmp_path / "a"), LateClock())
    for content in (b"", b"xx"):
        target = FileTarget(tmp_path / "out", token)
        (entry,) = source.entries()
        target.write(entry, iter((content,)))
        with pytest.raises(Damaged, match="not what was backed up"):
            target.finish(source.facts())
    assert os.listdir(tmp_path) == ["a"]


def test_a_source_of_one_file_that_is_gone_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        FileSource(os.fsencode(tmp_path / "x"), LateClock())
    with pytest.raises(SourceUnreadable, match="regular"):
        FileSource(os.fsencode(tmp_path), LateClock())
    (tmp_path / "x").touch()
    source = FileSource(os.fsencode(tmp_path / "x"), LateClock())
    (tmp_path / "x").unlink()
    with pytest.raises(SourceMissing):
        list(source.entries())
    with pytest.raises(SourceMissing):
        list(source.read(Entry(b"", "file", 1)))
