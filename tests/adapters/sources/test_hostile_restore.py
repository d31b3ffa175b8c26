"""Restoring is parsing hostile input: every named attack on a target, and what stops it."""

import os
import stat
from pathlib import Path

import pytest

from strongroom.adapters.sources.errors import TargetFailed
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


NAME_BYTES_MAX = 255


@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
def test_too_long(place: Path, kind: EntryKind) -> None:
    target = start(place)
    longest = b"x" * NAME_BYTES_MAX
    target.write(Entry(longest, "file", mode=0o600), iter((b"x",)))
    with pytest.raises(TargetFailed, match="cannot be written: File name too long") as caught:
        target.write(Entry(longest + b"y", kind, mode=0o700, link=b"z"), iter((b"x",)))
    assert len(str(caught.value)) < 300
    target.abandon()
    assert os.listdir(place.parent) == []


def test_too_long_a_link(place: Path) -> None:
    target = start(place)
    with pytest.raises(TargetFailed, match="cannot be written"):
        target.write(Entry(b"a", "symlink", link=b"x" * 5000), iter(()))
    target.abandon()
    assert os.listdir(place.parent) == []


def test_too_deep(place: Path) -> None:
    """Deeper than any path that a system call takes: it comes back, and it can be abandoned."""
    names = [b"d" * 200] * 30
    for give_up in (True, False):
        target = start(place)
        path = b"/".join(names)
        for count in range(1, len(names) + 1):
            folder = Entry(b"/".join(names[:count]), "directory", mode=0o700)
            target.write(folder, iter(()))
        target.write(Entry(path + b"/f", "file", mode=0o600), iter((b"deep",)))
        if give_up:
            target.abandon()
            assert os.listdir(place.parent) == []
        else:
            target.finish({"entries": len(names) + 2})
    here = os.open(place, os.O_RDONLY)
    for name in names:
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    assert os.listdir(here) == ["f"]
    os.close(here)


def test_case_tricks_stay_apart(place: Path, tmp_path: Path) -> None:
    """Names that some systems take for one: each is its own, and none is written through."""
    outside = tmp_path / "outside"
    outside.mkdir()
    target = start(place)
    target.write(Entry(b"Secret", "symlink", mode=0o777, link=os.fsencode(outside)), iter(()))
    target.write(Entry(b"secret", "directory", mode=0o755), iter(()))
    target.write(Entry(b"secret/x", "file", mode=0o600), iter((b"evil",)))
    target.finish({})
    assert os.listdir(outside) == []
    assert sorted(os.listdir(place)) == ["Secret", "secret"]


def test_unicode_tricks_stay_apart(place: Path, tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9".encode(), "cafe\u0301".encode()
    # Slashes and dots that only look like them, bytes that are no text, an overlong slash.
    odd = [
        "\uff0e\uff0e".encode(),
        "..\u2215x".encode(),
        b"..\xc0\xafx",
        b"\xff\xfe",
        b"\xe2\x80\xae",
    ]
    target = start(place)
    target.write(Entry(composed, "symlink", mode=0o777, link=os.fsencode(tmp_path)), iter(()))
    for name in (decomposed, *odd):
        target.write(Entry(name, "file", mode=0o600), iter((b"x",)))
    target.finish({})
    assert sorted(os.listdir(os.fsencode(place))) == sorted([composed, decomposed, *odd])
    assert os.listdir(tmp_path) == ["restore"]


@pytest.mark.parametrize("first", ["file", "directory", "symlink"])
@pytest.mark.parametrize("second", ["file", "directory", "symlink"])
def test_a_file_where_a_folder_was(place: Path, first: EntryKind, second: EntryKind) -> None:
    target = start(place)
    target.write(Entry(b"a", first, mode=0o700, link=b"x"), iter((b"first",)))
    assert "twice" in refused(target, Entry(b"a", second, mode=0o700, link=b"y"), place)


@pytest.mark.parametrize("link", ["/etc/passwd", "../../../etc/passwd", "a", ".", "link"])
def test_a_link_that_leads_out_is_made_and_never_followed(place: Path, link: str) -> None:
    target = start(place)
    target.write(Entry(b"link", "symlink", mode=0o777, link=link.encode()), iter(()))
    assert "through a link" in refused(target, Entry(b"link/x", "file"), place)


@pytest.mark.parametrize("maker", [TreeTarget, FileTarget, SqliteTarget])
def test_overwriting_a_link_leaves_what_it_leads_to(
    maker: type[TreeTarget] | type[FileTarget] | type[SqliteTarget], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"good")
    (tmp_path / "place").symlink_to(outside)
    target = maker(tmp_path / "place", token, overwrite=True)
    target.write(ROOT if maker is TreeTarget else Entry(b"", "file", mode=0o600), iter(()))
    target.finish({})
    assert not (tmp_path / "place").is_symlink()
    assert (outside / "x").read_bytes() == b"good"


def test_setuid_of_one_file_is_dropped(tmp_path: Path) -> None:
    target = FileTarget(tmp_path / "a", token)
    target.write(Entry(b"", "file", mode=0o6755), iter((b"x",)))
    target.finish({})
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o755
    assert target.notes == {"bits_dropped": 1}
