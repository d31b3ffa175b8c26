"""Restoring is parsing hostile input: every named attack on a target, and what stops it."""

import os
import stat
from pathlib import Path

import pytest

from strongroom.adapters.sources.file_target import FileTarget
from strongroom.adapters.sources.sqlite_target import SqliteTarget
from strongroom.adapters.sources.tree_target import TreeTarget
from strongroom.errors import Damaged, Refused
from strongroom.vault.source import Entry, EntryKind
from tests.adapters.sources.trees import token

ROOT = Entry(b"", "directory", mode=0o755)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "restore" / "tree"


def start(place: Path, **options: bool) -> TreeTarget:
    target = TreeTarget(place, token, **options)
    target.write(ROOT, iter(()))
    return target


def refused(target: TreeTarget, entry: Entry, place: Path) -> str:
    """The entry is refused; return the error; nothing is left behind."""
    with pytest.raises(Refused) as caught:
        target.write(entry, iter((b"evil",)))
    target.abandon()
    assert os.listdir(place.parent) == []
    return str(caught.value)


@pytest.mark.parametrize("path", [b"..", b"../x", b"a/../../x", b"a/..", b".", b"./x", b"a//b"])
@pytest.mark.parametrize("kind", ["file", "directory", "symlink", "hardlink"])
def test_dot_dot(place: Path, path: bytes, kind: EntryKind) -> None:
    assert "empty, `.` or `..`" in refused(start(place), Entry(path, kind, link=b"x"), place)


def test_absolute_name(place: Path, tmp_path: Path) -> None:
    outside = os.fsencode(tmp_path / "outside")
    assert "absolute" in refused(start(place), Entry(outside, "file"), place)
    assert not (tmp_path / "outside").exists()


def test_nul_in_name(place: Path) -> None:
    assert "NUL" in refused(start(place), Entry(b"a\0b", "file"), place)


def test_nul_in_link(place: Path) -> None:
    assert "NUL" in refused(start(place), Entry(b"a", "symlink", link=b"x\0y"), place)


def test_control_characters_in_a_name_are_not_printed(place: Path) -> None:
    assert "\x1b" not in refused(start(place), Entry(b"\x1b[2J/..", "file"), place)


def test_write_through_restored_symlink(place: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"good")
    target = start(place)
    target.write(Entry(b"a", "symlink", link=os.fsencode(victim)), iter(()))
    refused(target, Entry(b"a", "file", mode=0o644), place)
    assert victim.read_bytes() == b"good"


@pytest.mark.parametrize("kind", ["file", "directory", "symlink", "hardlink"])
def test_symlinked_parent(place: Path, tmp_path: Path, kind: EntryKind) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = start(place)
    target.write(Entry(b"f", "file", mode=0o644), iter((b"x",)))
    target.write(Entry(b"a", "symlink", link=os.fsencode(outside)), iter(()))
    assert "through a link" in refused(target, Entry(b"a/b", kind, link=b"f"), place)
    assert os.listdir(outside) == []


def test_symlinked_grandparent(place: Path, tmp_path: Path) -> None:
    (tmp_path / "outside" / "b").mkdir(parents=True)
    target = start(place)
    target.write(Entry(b"a", "symlink", link=os.fsencode(tmp_path / "outside")), iter(()))
    refused(target, Entry(b"a/b/c", "file"), place)
    assert os.listdir(tmp_path / "outside" / "b") == []


def test_hardlink_to_outside(place: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    target = start(place)
    for link in (os.fsencode(secret), b"../../secret", b""):
        with pytest.raises(Refused):
            target.write(Entry(b"a", "hardlink", link=link), iter(()))
    # Through a restored link to the folder outside.
    target.write(Entry(b"up", "symlink", link=os.fsencode(tmp_path)), iter(()))
    refused(target, Entry(b"a", "hardlink", link=b"up/secret"), place)
    assert secret.stat().st_nlink == 1


def test_hardlink_to_a_restored_symlink_stays_a_link(place: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    target = start(place)
    target.write(Entry(b"s", "symlink", link=os.fsencode(secret)), iter(()))
    refused(target, Entry(b"h", "hardlink", link=b"s"), place)
    assert secret.stat().st_nlink == 1


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o1777, 0o6777])
def test_setuid_dropped(place: Path, mode: int) -> None:
    target = start(place)
    target.write(Entry(b"d", "directory", mode=mode), iter(()))
    target.write(Entry(b"f", "file", mode=mode), iter((b"x",)))
    target.finish({})
    for name in ("f", "d"):
        assert stat.S_IMODE((place / name).stat().st_mode) == mode & 0o777
    assert target.report.bits_dropped == 2


def test_setuid_kept_when_privileged(place: Path) -> None:
    target = TreeTarget(place, token, privileged=True)
    owner, group = os.geteuid(), os.getegid()
    target.write(Entry(b"", "directory", mode=0o755, owner=owner, group=group), iter(()))
    target.write(Entry(b"f", "file", mode=0o4755, owner=owner, group=group), iter((b"x",)))
    target.finish({})
    assert stat.S_IMODE((place / "f").stat().st_mode) == 0o4755
    assert target.report.bits_dropped == 0


def test_device_refused(place: Path) -> None:
    target = start(place, privileged=True) if os.geteuid() == 0 else start(place)
    target.write(Entry(b"null", "special", mode=0o666), iter(()))
    target.finish({})
    assert os.listdir(place) == []
    assert target.report.special_left_out == 1


def test_duplicate_name(place: Path) -> None:
    kinds: list[EntryKind] = ["file", "directory", "symlink", "hardlink"]
    for kind in kinds:
        target = start(place)
        target.write(Entry(b"a", "file", mode=0o600), iter((b"first",)))
        entry = Entry(b"a", kind, mode=0o600, link=b"a")
        assert "twice" in refused(target, entry, place)


def test_duplicate_root(place: Path) -> None:
    assert "twice" in refused(start(place), ROOT, place)


def test_the_root_is_no_file(place: Path) -> None:
    refused(start(place), Entry(b"", "file"), place)


def test_a_child_of_a_file(place: Path) -> None:
    target = start(place)
    target.write(Entry(b"a", "file", mode=0o600), iter((b"x",)))
    assert "through a link or a file" in refused(target, Entry(b"a/b", "file"), place)


@pytest.mark.parametrize(
    "entry",
    [
        Entry(b"a", "file", mode=1 << 40),
        Entry(b"a", "file", mode=-1),
        Entry(b"a", "file", owner=1 << 40),
        Entry(b"a", "directory", group=(1 << 32) - 1),
    ],
)
def test_numbers_out_of_bounds(place: Path, entry: Entry) -> None:
    assert "no such number" in refused(start(place), entry, place)


@pytest.mark.parametrize("maker", [TreeTarget, FileTarget, SqliteTarget])
def test_existing_destination_refused(
    maker: type[TreeTarget] | type[FileTarget] | type[SqliteTarget], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = sorted(os.listdir(tmp_path))
    for name in ("file", "folder", "dangling"):
        with pytest.raises(Refused, match="exists"):
            maker(tmp_path / name, token)
    assert sorted(os.listdir(tmp_path)) == before


def test_destination_that_appears_meanwhile_is_kept(place: Path) -> None:
    target = start(place)
    place.write_bytes(b"someone else's")
    with pytest.raises(Refused, match="exists"):
        target.finish({})
    assert place.read_bytes() == b"someone else's"
    assert os.listdir(place.parent) == ["tree"]


@pytest.mark.parametrize("maker", [FileTarget, SqliteTarget])
def test_a_file_that_is_something_else(
    maker: type[FileTarget] | type[SqliteTarget], tmp_path: Path
) -> None:
    for entry in (ROOT, Entry(b"x", "file"), Entry(b"", "symlink", link=b"/etc/passwd")):
        target = maker(tmp_path / "a", token)
        with pytest.raises(Refused, match="something else"):
            target.write(entry, iter(()))
        with pytest.raises(Damaged, match="no file"):
            target.finish({})
    assert os.listdir(tmp_path) == []


def test_a_tree_altered_behind_our_back_is_damaged(place: Path) -> None:
    target = start(place)
    target.write(Entry(b"a", "file", mode=0o600), iter((b"x",)))
    (partial,) = place.parent.iterdir()
    (partial / "a").write_bytes(b"longer")
    with pytest.raises(Damaged, match="not what was written"):
        target.finish({})
    assert os.listdir(place.parent) == []


def test_a_tree_that_differs_from_its_facts_is_damaged(place: Path) -> None:
    target = start(place)
    with pytest.raises(Damaged, match="not what was backed up"):
        target.finish({"tree_blake3": "0" * 64})
    assert os.listdir(place.parent) == []
