"""Extended attributes and POSIX ACLs: kept, brought back, and never more power than was asked."""

import errno
import os
import struct
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.adapters.sources.attributes import ACCESS_ACL, DEFAULT_ACL
from strongroom.adapters.sources.file_target import FileTarget
from strongroom.adapters.sources.tree import FileSource, TreeSource
from strongroom.adapters.sources.tree_target import TreeTarget
from strongroom.errors import Refused
from strongroom.vault.source import Entry, Facts
from tests.adapters.sources.trees import LateClock, fill, token

ROOT = Entry(b"", "directory", mode=0o755)
OWNER, NAMED_USER, GROUP, MASK, OTHER = 1, 2, 4, 16, 32
NO_ID = 0xFFFFFFFF
CAPABILITY = b"security.capability"
# cap_net_bind_service, effective and permitted: lets a program listen on port 80.
POWER = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)


def acl(*entries: tuple[int, int, int]) -> bytes:
    """Return an ACL as the system hands it out."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries)


def list_of(group: int, named: int = 4) -> bytes:
    """Return an ACL that gives a named user, and the owning group, what it says."""
    return acl(
        (OWNER, 7, NO_ID),
        (NAMED_USER, named, 1234),
        (GROUP, group, NO_ID),
        (MASK, named | group, NO_ID),
        (OTHER, 0, NO_ID),
    )


def attributes_of(path: Path) -> dict[bytes, bytes]:
    names = os.listxattr(path, follow_symlinks=False)
    return {os.fsencode(name): os.getxattr(path, name, follow_symlinks=False) for name in names}


def put(path: Path, found: Mapping[bytes, bytes]) -> None:
    """Set attributes; where the file system takes none of this kind, the test is skipped."""
    for name, value in found.items():
        try:
            os.setxattr(path, name, value, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise
            pytest.skip(f"{path.parent} takes no {name.decode()}: {error.strerror}")


def copy(root: Path, destination: Path, **options: bool) -> tuple[list[Entry], Facts, TreeTarget]:
    with closing(TreeSource(os.fsencode(root), LateClock())) as source:
        target = TreeTarget(destination, token, **options)
        entries = fill(source, target)
        facts = source.facts()
    target.finish(facts)
    return entries, facts, target


def restored(place: Path, *entries: Entry, **options: bool) -> TreeTarget:
    """Restore entries that no honest source made, and publish them."""
    target = TreeTarget(place, token, **options)
    target.write(ROOT, iter(()))
    for entry in entries:
        target.write(entry, iter(()))
    target.finish({})
    return target


def test_attributes_of_files_and_folders_come_back(folder: Path) -> None:
    root = folder / "tree"
    (root / "d").mkdir(parents=True)
    (root / "d" / "f").write_bytes(b"x")
    (root / "plain").touch()
    found = {b"user.\xff": b"", b"user.comment": bytes(range(256)), b"user.a": b"x" * 900}
    put(root / "d" / "f", found)
    put(root / "d", {b"user.folder": b"\x00"})
    (root / "d" / "f").chmod(0o400)
    entries, facts, target = copy(root, folder / "out")
    by_path = {entry.path: entry.attributes for entry in entries}
    assert by_path[b"d/f"] == tuple(sorted(found.items()))
    assert by_path[b"plain"] == ()
    assert attributes_of(folder / "out" / "d" / "f") == found
    assert attributes_of(folder / "out" / "d") == {b"user.folder": b"\x00"}
    assert (dict(target.notes), facts["attributes_unread"]) == ({}, 0)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    found=st.dictionaries(
        st.binary(min_size=1, max_size=40)
        .filter(lambda name: b"\x00" not in name)
        .map(lambda name: b"user." + name),
        st.binary(max_size=200),
        max_size=5,
    )
)
def test_any_attributes_come_back(
    found: dict[bytes, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("any")
    (base / "tree").mkdir()
    (base / "tree" / "f").touch()
    put(base / "tree" / "f", found)
    copy(base / "tree", base / "out")
    assert attributes_of(base / "out" / "f") == found


def test_an_acl_comes_back_with_the_mode_it_makes(folder: Path) -> None:
    root = folder / "tree"
    (root / "d").mkdir(parents=True)
    (root / "f").touch(mode=0o640)
    put(root / "f", {ACCESS_ACL: list_of(group=0)})
    put(root / "d", {ACCESS_ACL: list_of(group=5), DEFAULT_ACL: list_of(group=1)})
    (root / "d" / "below").touch()
    before = {name: attributes_of(root / name) for name in ("f", "d", "d/below")}
    assert before["f"][ACCESS_ACL] == list_of(group=0)
    copy(root, folder / "out")
    assert {name: attributes_of(folder / "out" / name) for name in before} == before
    for name in before:
        assert (folder / "out" / name).stat().st_mode == (root / name).stat().st_mode


def test_nothing_is_inherited_from_the_place_of_the_restore(folder: Path) -> None:
    (folder / "tree" / "d").mkdir(parents=True)
    (folder / "tree" / "d" / "f").touch()
    (folder / "place").mkdir()
    put(folder / "place", {DEFAULT_ACL: list_of(group=7, named=7)})
    copy(folder / "tree", folder / "place" / "out")
    for name in ("out", "out/d", "out/d/f"):
        assert attributes_of(folder / "place" / name) == {}
    with closing(FileSource(os.fsencode(folder / "tree" / "d" / "f"), LateClock())) as source:
        target = FileTarget(folder / "place" / "f", token)
        fill(source, target)
        target.finish(source.facts())
    assert attributes_of(folder / "place" / "f") == {}


def test_one_file_brings_its_attributes_back(folder: Path) -> None:
    (folder / "f").write_bytes(b"x")
    found = {b"user.a": b"1", ACCESS_ACL: list_of(group=0)}
    put(folder / "f", found)
    with closing(FileSource(os.fsencode(folder / "f"), LateClock())) as source:
        target = FileTarget(folder / "out", token)
        fill(source, target)
        target.finish(source.facts())
    assert attributes_of(folder / "out") == found
    assert dict(target.notes) == {}


def test_a_changed_attribute_is_seen_though_the_file_is_not_read_again(folder: Path) -> None:
    (folder / "tree").mkdir()
    (folder / "tree" / "f").touch()
    prints = []
    for value in (b"1", b"2"):
        put(folder / "tree" / "f", {b"user.a": value})
        with closing(TreeSource(os.fsencode(folder / "tree"), LateClock())) as source:
            _, entry = source.entries()
        prints.append((entry.attributes, entry.fingerprint))
    assert prints[0][0] != prints[1][0]


def test_what_cannot_be_read_is_counted_and_named(plain_user_folder: Path) -> None:
    root = plain_user_folder / "tree"
    root.mkdir()
    (root / "f").touch()
    (root / "g").touch()
    put(root / "f", {b"user.a": b"1"})
    (root / "f").chmod(0)
    with closing(TreeSource(os.fsencode(root), LateClock())) as source:
        entries = list(source.entries())
        facts = source.facts()
    assert [entry.attributes for entry in entries] == [(), (), ()]
    assert (facts["attributes_unread"], facts["attributes_unread_names"]) == (1, ["f"])


def test_more_attributes_than_a_recipe_holds_are_counted(folder: Path) -> None:
    (folder / "tree").mkdir()
    (folder / "tree" / "f").touch()
    try:
        for name in ("user.a", "user.b"):
            os.setxattr(folder / "tree" / "f", name, bytes(40 << 10))
    except OSError as error:
        pytest.skip(f"{folder} takes no attributes this large: {error.strerror}")
    entries, facts, _ = copy(folder / "tree", folder / "out")
    assert entries[1].attributes == ((b"user.a", bytes(40 << 10)),)
    assert facts["attributes_unread_names"] == ["f"]


# What hostile snapshots try.


def test_capability_needs_privileged(tmp_path: Path) -> None:
    put_probe = tmp_path / "probe"
    put_probe.touch()
    put(put_probe, {CAPABILITY: POWER})
    sharp = Entry(b"f", "file", mode=0o755, attributes=((CAPABILITY, POWER),))
    target = restored(tmp_path / "out", sharp)
    assert attributes_of(tmp_path / "out" / "f") == {}
    assert dict(target.notes)["attributes_dropped"] == 1
    target = restored(tmp_path / "power", sharp, privileged=True)
    assert attributes_of(tmp_path / "power" / "f") == {CAPABILITY: POWER}
    assert "attributes_dropped" not in target.notes


@pytest.mark.parametrize(
    "name",
    [b"trusted.x", b"security.selinux", b"system.nfs4_acl", b"btrfs.compression", b"user", b"x"],
)
def test_names_that_are_not_plain_need_privileged(tmp_path: Path, name: bytes) -> None:
    entry = Entry(b"f", "file", mode=0o644, attributes=((name, b"1"),))
    target = restored(tmp_path / "out", entry)
    assert attributes_of(tmp_path / "out" / "f") == {}
    assert dict(target.notes)["attributes_dropped"] == 1


@pytest.mark.parametrize("privileged", [False, True])
def test_an_attribute_of_a_symlink_is_not_set_on_what_it_leads_to(
    tmp_path: Path, privileged: bool
) -> None:
    if privileged and os.geteuid():
        pytest.skip("only root may restore with --privileged")
    victim = tmp_path / "victim"
    victim.touch()
    named = ((b"security.sharp", b"1"), (b"trusted.sharp", b"1"), (b"user.sharp", b"1"))
    link = Entry(b"l", "symlink", mode=0o777, link=os.fsencode(victim), attributes=named)
    restored(tmp_path / "out", link, privileged=privileged)
    assert (tmp_path / "out" / "l").is_symlink()
    assert attributes_of(victim) == {}


def test_nul_in_the_name_of_an_attribute(tmp_path: Path) -> None:
    target = TreeTarget(tmp_path / "out", token)
    target.write(ROOT, iter(()))
    with pytest.raises(Refused, match="NUL"):
        target.write(Entry(b"f", "file", attributes=((b"user.a\0b", b""),)), iter(()))
    target.abandon()


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        (b"\x02", 0o600),
        (b"\xff" * 60, 0o600),
        (acl((OWNER, 7, NO_ID)), 0o600),
        (list_of(group=6)[:-1], 0o600),
        (list_of(group=6)[1:], 0o600),
        (acl((GROUP, 0o177772, NO_ID)), 0o620),
    ],
)
def test_a_malformed_acl_gives_the_owning_group_no_more_than_it_says(
    tmp_path: Path, value: bytes, mode: int
) -> None:
    entry = Entry(b"f", "file", mode=0o660, attributes=((ACCESS_ACL, value),))
    target = restored(tmp_path / "out", entry)
    assert attributes_of(tmp_path / "out" / "f") == {}
    assert (tmp_path / "out" / "f").stat().st_mode & 0o7777 == mode
    assert dict(target.notes)["attributes_not_taken"] == 1


def test_without_its_acl_a_file_gives_its_group_no_more_than_it_had(tmp_path: Path) -> None:
    """The group bits beside an ACL are the mask, not what the owning group may do."""
    # Two lists of the same kind: the second makes it one that no system takes.
    broken = list_of(group=1, named=6) + struct.pack("<HHI", OWNER, 7, NO_ID)
    entry = Entry(b"f", "file", mode=0o670, attributes=((ACCESS_ACL, broken),))
    target = restored(tmp_path / "out", entry)
    assert (tmp_path / "out" / "f").stat().st_mode & 0o7777 == 0o610
    assert dict(target.notes)["attributes_not_taken"] == 1


def test_an_acl_gives_nobody_more_than_the_mode(tmp_path: Path) -> None:
    (tmp_path / "probe").touch()
    put(tmp_path / "probe", {ACCESS_ACL: list_of(group=0)})
    wide = acl(
        (OWNER, 7, NO_ID),
        (NAMED_USER, 7, 1),
        (GROUP, 7, NO_ID),
        (MASK, 7, NO_ID),
        (OTHER, 7, NO_ID),
    )
    restored(tmp_path / "out", Entry(b"f", "file", mode=0o600, attributes=((ACCESS_ACL, wide),)))
    assert (tmp_path / "out" / "f").stat().st_mode & 0o7777 == 0o600
    narrowed = struct.unpack_from(
        "<HHI", attributes_of(tmp_path / "out" / "f")[ACCESS_ACL], 4 + 3 * 8
    )
    assert narrowed == (MASK, 0, NO_ID)


def test_a_read_only_file_and_a_closed_folder_get_theirs(tmp_path: Path) -> None:
    (tmp_path / "probe").touch()
    put(tmp_path / "probe", {b"user.a": b"1"})
    entries = (
        Entry(b"f", "file", mode=0o400, attributes=((b"user.a", b"1"),)),
        Entry(b"d", "directory", mode=0o500, attributes=((b"user.a", b"2"),)),
    )
    target = restored(tmp_path / "out", *entries)
    assert attributes_of(tmp_path / "out" / "f") == {b"user.a": b"1"}
    assert attributes_of(tmp_path / "out" / "d") == {b"user.a": b"2"}
    assert dict(target.notes).get("attributes_not_taken") is None
