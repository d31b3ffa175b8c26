"""A directory as a location: durability, leftovers, hostile links, disks that are not there."""

import errno
import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from strongroom.adapters.locations.directory import MARKER, DirectoryLocation, open_directory
from strongroom.errors import Damaged, UsageError
from strongroom.locations import LocationUnavailable, ObjectExists, ObjectMissing

KEY = "vaults/v/packs/aa/object"
NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "some" / "location"


@pytest.fixture
def location(root: Path) -> DirectoryLocation:
    return DirectoryLocation.create(root, secrets.token_bytes)


def in_child(code: str, *arguments: str, as_nobody: bool = False) -> str:
    """Run code in another process, which may drop its rights or limit itself."""
    source = str(Path(__file__).resolve().parents[3] / "src")
    setup = (
        "import os, resource, secrets, signal, sys\n"
        "from pathlib import Path\n"
        "from strongroom.adapters.locations.directory import DirectoryLocation\n"
        "from strongroom.errors import StrongroomError\n"
        "from strongroom.locations import LocationUnavailable\n"
    )
    if as_nobody and os.geteuid() == 0:
        setup += f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    setup += "location = DirectoryLocation.open(Path(sys.argv[1]), secrets.token_bytes)\n"
    done = subprocess.run(
        [sys.executable, "-c", setup + code, *arguments],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.stdout.strip()


def test_everything_is_private(location: DirectoryLocation, root: Path) -> None:
    location.put(KEY, b"bytes")
    for path in [root, *root.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_creating_twice_is_harmless(location: DirectoryLocation, root: Path) -> None:
    location.put(KEY, b"bytes")
    again = DirectoryLocation.create(root, secrets.token_bytes)
    assert again.get(KEY) == b"bytes"


def test_creating_is_finished_after_a_crash(root: Path) -> None:
    (root / "tmp").mkdir(parents=True)
    (root / "tmp" / MARKER).write_bytes(b"half")
    DirectoryLocation.create(root, secrets.token_bytes).put(KEY, b"bytes")
    assert b"half" not in (root / MARKER).read_bytes()
    assert list((root / "tmp").iterdir()) == []


def test_a_directory_of_others_is_not_taken(root: Path) -> None:
    root.mkdir(parents=True)
    (root / "photo.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="not empty"):
        DirectoryLocation.create(root, secrets.token_bytes)
    assert [path.name for path in root.iterdir()] == ["photo.jpg"]


def test_a_place_where_nothing_can_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(LocationUnavailable, match="cannot be made"):
            DirectoryLocation.create(root, secrets.token_bytes)


def test_a_name_that_loops_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(LocationUnavailable, match="cannot be looked at"):
        DirectoryLocation.open(tmp_path / "loop", secrets.token_bytes)


def test_locks_that_do_not_work_fail_and_leave_no_open_file(
    location: DirectoryLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_handle: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LocationUnavailable, match="No locks available"):
        location.put(KEY, b"bytes")
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_call_leaves_a_file_open(location: DirectoryLocation) -> None:
    before = len(os.listdir("/proc/self/fd"))
    location.put(KEY, b"bytes")
    for key in (KEY, "absent", "vaults"):
        for ask in (location.get, location.stat):
            with suppress(ObjectMissing):
                ask(key)
    with pytest.raises(ObjectExists):
        location.put(KEY, b"bytes")
    list(location.list(""))
    location.delete(KEY)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_unmarked_root_is_unavailable(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent", Path("/dev/null")):
        with pytest.raises(LocationUnavailable, match="not a location") as caught:
            DirectoryLocation.open(path, secrets.token_bytes)
        assert "mounted" in caught.value.hint


@pytest.mark.parametrize("empty_mount_point_stays", [False, True])
def test_vanished_disk_is_not_an_empty_location(
    location: DirectoryLocation, root: Path, empty_mount_point_stays: bool
) -> None:
    location.put(KEY, b"bytes")
    shutil.rmtree(root)
    if empty_mount_point_stays:
        root.mkdir()
    asked: list[Callable[[], object]] = [
        lambda: location.put("new", b""),
        lambda: location.put(KEY, b""),
        lambda: location.get(KEY),
        lambda: location.stat(KEY),
        lambda: location.delete(KEY),
        lambda: list(location.list("")),
        lambda: list(location.list("vaults")),
        location.sweep,
    ]
    for ask in asked:
        with pytest.raises(LocationUnavailable):
            ask()
    assert not root.exists() or list(root.iterdir()) == []


def test_a_disk_that_vanishes_while_listing_gives_no_half_listing(
    location: DirectoryLocation, root: Path
) -> None:
    for key in ("a/1", "b/1", "c/1"):
        location.put(key, b"")
    listing = location.list("")
    assert next(listing).key == "a/1"
    shutil.rmtree(root)
    with pytest.raises(LocationUnavailable):
        list(listing)


def test_file_and_folders_are_synced_before_put_returns(
    location: DirectoryLocation, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def noting(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    monkeypatch.setattr(os, "fsync", noting)
    location.put("new/folder/object", b"bytes")
    drafts = [path for path in synced if Path(path).parent.name == "tmp"]
    assert len(drafts) == 1
    for folder in (root, root / "new", root / "new/folder"):
        assert str(folder) in synced
    assert synced.index(drafts[0]) < len(synced) - 1
    assert synced[-1] == str(root / "new/folder")
    # An object found to exist may have been linked by a process that died before its sync.
    synced.clear()
    with pytest.raises(ObjectExists):
        location.put("new/folder/object", b"bytes")
    assert synced[-1] == str(root / "new/folder")
    synced.clear()
    location.delete("new/folder/object")
    assert synced == [str(root / "new/folder")]


def test_create_syncs_the_marker_and_every_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda handle: synced.append(os.readlink(f"/proc/self/fd/{handle}"))
    )
    root = tmp_path / "one" / "two"
    DirectoryLocation.create(root, secrets.token_bytes)
    wanted = {str(tmp_path), str(tmp_path / "one"), str(root), str(root / "tmp" / MARKER)}
    assert wanted <= set(synced)


def test_nothing_is_left_in_tmp(location: DirectoryLocation, root: Path) -> None:
    location.put(KEY, b"bytes")
    with pytest.raises(ObjectExists):
        location.put(KEY, b"bytes")
    assert list((root / "tmp").iterdir()) == []


def test_leftovers_of_a_killed_writer_are_swept_by_the_next_put(root: Path) -> None:
    DirectoryLocation.create(root, secrets.token_bytes)
    code = (
        "os.link = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"location.put('{KEY}', b'x' * 100000)\n"
    )
    in_child(code, str(root))
    left = list((root / "tmp").iterdir())
    assert [path.stat().st_size for path in left] == [100000]
    location = DirectoryLocation.open(root, secrets.token_bytes)
    with pytest.raises(ObjectMissing):
        location.get(KEY)
    location.put("another", b"")
    assert list((root / "tmp").iterdir()) == []


def test_the_file_of_a_live_writer_is_not_swept(location: DirectoryLocation, root: Path) -> None:
    (root / "tmp" / "dead").write_bytes(b"")
    with (root / "tmp" / "alive").open("wb") as live:
        fcntl.flock(live, fcntl.LOCK_EX)
        assert location.sweep() == 1
        assert [path.name for path in (root / "tmp").iterdir()] == ["alive"]
    assert location.sweep() == 1


def test_a_draft_swept_before_it_was_locked_is_drawn_again(
    location: DirectoryLocation, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location.put("first", b"")
    real = fcntl.flock
    seen: list[Path] = []

    def swept(handle: int, operation: int) -> None:
        if not seen:
            seen.extend((root / "tmp").iterdir())
            seen[0].unlink()
        real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", swept)
    location.put(KEY, b"bytes")
    assert len(seen) == 1
    assert location.get(KEY) == b"bytes"


def test_symlink_for_an_object_is_not_followed(
    location: DirectoryLocation, root: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"not yours")
    location.put("folder/real", b"")
    (root / "folder" / "link").symlink_to(secret)
    for ask in (location.get, location.stat):
        with pytest.raises(Damaged, match="no plain file"):
            ask("folder/link")
    with pytest.raises(ObjectExists):
        location.put("folder/link", b"overwritten")
    assert [stat.key for stat in location.list("")] == ["folder/real"]
    location.delete("folder/link")
    assert secret.read_bytes() == b"not yours"


def test_symlink_for_a_folder_is_not_followed(
    location: DirectoryLocation, root: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "object").write_bytes(b"not yours")
    (root / "vaults").symlink_to(elsewhere)
    for ask in (location.get, location.stat, location.delete):
        with pytest.raises(Damaged):
            ask("vaults/object")
    with pytest.raises(Damaged):
        location.put("vaults/new", b"")
    assert list(location.list("")) == []
    assert [path.name for path in elsewhere.iterdir()] == ["object"]


def test_symlink_for_tmp_is_not_followed(
    location: DirectoryLocation, root: Path, tmp_path: Path
) -> None:
    (root / "tmp").rmdir()
    (root / "tmp").symlink_to(tmp_path)
    with pytest.raises(Damaged):
        location.put(KEY, b"bytes")


def test_fifo_and_folder_in_the_place_of_an_object(location: DirectoryLocation, root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()
    with pytest.raises(Damaged, match="not a file"):
        location.get("pipe")
    with pytest.raises(ObjectMissing):
        location.get("folder")
    assert list(location.list("")) == []


def test_what_is_not_ours_is_not_listed(location: DirectoryLocation, root: Path) -> None:
    location.put("object", b"")
    for name in (".DS_Store", "Thumbs.db", "lost+found", "a b"):
        (root / name).write_bytes(b"")
    (root / "tmp" / "draft").write_bytes(b"")
    assert [stat.key for stat in location.list("")] == ["object"]


@pytest.mark.parametrize("key", [MARKER, "tmp", "tmp/object"])
def test_names_of_the_location_itself_are_no_keys(location: DirectoryLocation, key: str) -> None:
    for ask in (location.get, location.stat, location.delete):
        with pytest.raises(ValueError, match="keeps this name"):
            ask(key)
    with pytest.raises(ValueError, match="keeps this name"):
        location.put(key, b"")


def test_read_only_location_is_said_to_be_read_only() -> None:
    # Root may write anywhere, so the child becomes nobody, who must be able to walk to the root:
    # pytest's own temporary folders are closed to others.
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "location"
        DirectoryLocation.create(root, secrets.token_bytes).put(KEY, b"bytes")
        found = [Path(folder), root, *root.rglob("*")]
        folders = [path for path in found if path.is_dir()]
        for path in set(found) - set(folders):
            path.chmod(0o444)
        for path in folders:
            path.chmod(0o555)
        code = (
            f"print(location.get('{KEY}').decode(), len(list(location.list(''))))\n"
            f"for ask in (lambda: location.put('new', b''), lambda: location.delete('{KEY}')):\n"
            "    try:\n"
            "        ask()\n"
            "    except LocationUnavailable as error:\n"
            "        print(error.code)\n"
        )
        said = in_child(code, str(root), as_nobody=True)
        for path in folders:
            path.chmod(0o755)
    assert said.splitlines() == ["bytes 1", "location_read_only", "location_read_only"]


def test_full_location_is_said_to_be_full_and_keeps_nothing_torn(
    location: DirectoryLocation, root: Path
) -> None:
    # A limit on file size stands in for a full disk: the write fails half way, without root.
    location.put(KEY, b"earlier")
    code = (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    location.put('large', b'x' * 200_000)\n"
        "except LocationUnavailable as error:\n"
        "    print(error.code)\n"
    )
    assert in_child(code, str(root)) == "location_full"
    assert [stat.key for stat in location.list("")] == [KEY]
    assert list((root / "tmp").iterdir()) == []


def test_out_of_space_on_a_real_file_system_is_full(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    command = [unshare or "unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "none"]
    if unshare is None or subprocess.run([*command, tmp_path], check=False).returncode:
        pytest.skip("this machine lets nobody mount a small tmpfs")
    code = (
        "import secrets, sys\n"
        "from pathlib import Path\n"
        "from strongroom.adapters.locations.directory import DirectoryLocation\n"
        "from strongroom.locations import LocationUnavailable\n"
        "root = Path(sys.argv[1]) / 'location'\n"
        "location = DirectoryLocation.create(root, secrets.token_bytes)\n"
        "try:\n"
        "    location.put('large', b'x' * 3_000_000)\n"
        "except LocationUnavailable as error:\n"
        "    print(error.code, [path.name for path in (root / 'tmp').iterdir()])\n"
    )
    source = str(Path(__file__).resolve().parents[3] / "src")
    mounted = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        [unshare, "-rm", "sh", "-c", mounted, "sh", str(tmp_path), sys.executable, code],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("location_full []", "")


def test_a_file_system_without_hard_links_is_said_so(
    location: DirectoryLocation, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(LocationUnavailable, match="no hard links") as caught:
        location.put(KEY, b"bytes")
    assert caught.value.code == "location_unavailable"
    assert list((root / "tmp").iterdir()) == []


def test_opening_by_url(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/by%20url"
    with pytest.raises(LocationUnavailable):
        open_directory(url, secrets.token_bytes)
    made = open_directory(url, secrets.token_bytes, create=True)
    made.put(KEY, b"bytes")
    assert made.url == url
    assert open_directory(str(tmp_path / "by url"), secrets.token_bytes).get(KEY) == b"bytes"
    with pytest.raises(UsageError):
        open_directory("s3://bucket", secrets.token_bytes)
