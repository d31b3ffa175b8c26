"""What goes wrong outside: one line of reason, a hint, the right exit code, and nothing is lost."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.support.first_home import FirstHome, make_database
from tests.support.transcript import Done, strongroom

NOBODY = 65534


@contextmanager
def as_nobody(*given: Path) -> Iterator[None]:
    """Run the block without the rights of root, owning what is given."""
    if os.geteuid() != 0:
        yield
        return
    for path in given:
        for each in (path, *path.rglob("*")):
            os.chown(each, NOBODY, NOBODY)
    above = [parent for path in given for parent in path.parents if parent.owner() == "root"]
    before = {parent: parent.stat().st_mode for parent in above}
    for parent, mode in before.items():
        parent.chmod(mode | 0o111)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        for parent, mode in before.items():
            parent.chmod(mode)


def partly(*arguments: str) -> Done:
    done = strongroom(*arguments)
    assert done.code == 3, done
    assert "Traceback" not in done.err
    return done


def test_source_file_is_gone(first: FirstHome) -> None:
    (first.folder / "app.db").unlink()
    assert "source app.db: there is no" in partly("backup", "acme").err
    first.still_restores()


def test_every_source_is_gone(first: FirstHome) -> None:
    (first.folder / "app.db").unlink()
    shutil.rmtree(first.folder / "notes")
    assert "app.db" in first.refused(1, "backup", "acme").err
    first.still_restores()


def test_source_is_no_database(first: FirstHome) -> None:
    (first.folder / "app.db").write_bytes(b"This was a database once. " * 100)
    assert "is no SQLite database" in partly("backup", "acme").err
    first.still_restores()


def test_source_is_no_database_any_more(first: FirstHome) -> None:
    path = first.folder / "text.db"
    make_database(path)
    assert strongroom("client", "add", "bad", "--source", f"sqlite://{path}").code == 0
    path.write_text("no database", encoding="utf-8")
    assert "is no SQLite database" in first.refused(1, "backup", "bad").err
    first.still_restores()


def test_source_file_may_not_be_read(first: FirstHome) -> None:
    secret = first.folder / "notes" / "secret.txt"
    secret.write_text("for others", encoding="utf-8")
    with as_nobody(first.folder):
        secret.chmod(0)
        done = partly("backup", "acme", "--json")
        report = json.loads(done.out)
        assert [one["unreadable"] for one in report["sources"]] == [0, 1]
        assert "secret.txt" in " ".join(report["problems"])
        first.still_restores()


def test_location_is_gone(first: FirstHome) -> None:
    shutil.rmtree(first.folder / "one")
    assert "location one" in partly("backup", "acme").err
    first.still_restores()


def test_every_location_is_gone(first: FirstHome) -> None:
    aside = first.folder / "aside"
    aside.mkdir()
    for place in ("one", "two"):
        (first.folder / place).rename(aside / place)
    first.refused(1, "backup", "acme")
    first.refused(1, "restore", "acme", "--to", "x")
    assert strongroom("status").code == 0
    for place in ("one", "two"):
        (aside / place).rename(first.folder / place)
    first.still_restores()


def test_location_is_read_only(first: FirstHome) -> None:
    with as_nobody(first.folder):
        for path in (first.folder / "two", *(first.folder / "two").rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        (first.folder / "notes" / "new.txt").write_text("new", encoding="utf-8")
        done = partly("backup", "acme")
        assert "location two" in done.err
        assert "denied" in done.err.lower()
        first.still_restores()


def test_disk_is_full(first: FirstHome) -> None:
    # A limit on the size of files stands for a full disk: the write fails in the same places.
    (first.folder / "notes" / "large.bin").write_bytes(os.urandom(3 << 20))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        done = first.refused(1, "backup", "acme")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "large" in done.err or "full" in done.err
    first.still_restores()
    assert strongroom("backup", "acme").code == 0
    assert not list(first.folder.glob("*/tmp/*"))


def test_nothing_of_a_restore_stays_when_the_disk_is_full(first: FirstHome) -> None:
    (first.folder / "notes" / "large.bin").write_bytes(os.urandom(3 << 20))
    assert strongroom("backup", "acme").code == 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        first.refused(1, "restore", "acme", "--to", "full", "--source", "notes")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not (first.folder / "full" / "notes").exists()
    first.still_restores()


def test_disk_is_full_at_init(folder: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        done = FirstHome(folder).refused(1, "init", "--location", "one")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert done.out == ""
    assert not (folder / "home").exists()
    assert not list(folder.glob("config/strongroom/*.key"))
    assert strongroom("init", "--location", "one").code == 0


def test_second_backup_at_once_names_the_first(first: FirstHome) -> None:
    holder = _holding_the_lock(first)
    try:
        done = first.refused(1, "backup", "acme")
        assert f"process {holder.pid} " in done.err
    finally:
        holder.kill()
        holder.wait(10)
    # The kernel drops the lock of a process that was killed.
    assert strongroom("backup", "acme").code == 0
    first.still_restores()


def _holding_the_lock(first: FirstHome) -> "subprocess.Popen[bytes]":
    """Start a process that holds the vault's lock as a backup does."""
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from strongroom.adapters.machine.lock import vault_lock\n"
        "from strongroom.clock import SystemClock\n"
        "with vault_lock(Path(sys.argv[1]), SystemClock()):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    (lock,) = (first.home / "run").glob("*.lock")
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(lock)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    process.stdout.close()
    return process


@pytest.mark.parametrize("given", [(), ("--json",)], ids=["text", "json"])
def test_backup_that_is_interrupted_says_so(first: FirstHome, given: tuple[str, ...]) -> None:
    # A pipe nobody writes to would block; a large random file keeps the backup busy instead.
    (first.folder / "notes" / "large.bin").write_bytes(os.urandom(64 << 20))
    process = subprocess.Popen(
        [sys.executable, "-m", "strongroom", "backup", "acme", *given],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    (lock,) = (first.home / "run").glob("*.lock")
    while not lock.read_text(encoding="utf-8") and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    if given:
        assert json.loads(err)["error"]["code"] == "interrupted"
    else:
        assert "interrupted: what was kept before is sound" in err
    first.still_restores()


def test_what_is_no_database_is_refused_at_once(first: FirstHome) -> None:
    path = first.folder / "notes.txt"
    path.write_text("no database", encoding="utf-8")
    first.refused(2, "client", "add", "other", "--source", f"sqlite://{path}")
    assert "other" not in strongroom("client", "list").out
    first.refused(2, "source", "add", "acme", f"more=sqlite://{path.parent}")


def test_reader_of_the_output_leaves(first: FirstHome) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m strongroom client show acme | true"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.stderr == ""
    first.still_restores()


@pytest.mark.parametrize(
    ("part", "named"),
    [("packs", "pack"), ("snapshots", "snapshot"), ("keys", "keys object"), ("index", "index")],
)
def test_tampered_object_is_named(first: FirstHome, part: str, named: str) -> None:
    objects = [first.objects(place, part) for place in ("one", "two")]
    assert objects[0]
    for path in (path for found in objects for path in found):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)
    done = strongroom("vault", "check", "acme", "--read")
    assert done.code == 40, done
    assert f"  {part}/" in done.out
    assert "damaged" in done.out
    if part != "index":
        restoring = first.refused(40, "restore", "acme", "--to", "x")
        assert named in restoring.err or part in restoring.err


@pytest.mark.parametrize("part", ["packs", "snapshots", "keys", "index"])
def test_one_tampered_copy_costs_nothing(first: FirstHome, part: str) -> None:
    for path in first.objects("one", part):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)
    assert strongroom("vault", "check", "acme", "--read").code == 40
    first.still_restores()


def test_restore_into_a_folder_that_is_not_empty(first: FirstHome) -> None:
    (first.folder / "full").mkdir()
    (first.folder / "full" / "mine.txt").write_text("mine", encoding="utf-8")
    first.refused(4, "restore", "acme", "--to", "full")
    assert [path.name for path in (first.folder / "full").iterdir()] == ["mine.txt"]
    first.still_restores()


def test_restore_to_a_file(first: FirstHome) -> None:
    (first.folder / "taken").write_text("mine", encoding="utf-8")
    first.refused(2, "restore", "acme", "--to", "taken")
    assert (first.folder / "taken").read_text(encoding="utf-8") == "mine"
    first.refused(1, "restore", "acme", "--to", "/proc/nowhere")


def test_prefix_that_fits_two_snapshots(first: FirstHome) -> None:
    done = first.refused(2, "restore", "acme", first.first[:3], "--to", "x")
    assert "wanted `latest`" in done.err
    assert strongroom("restore", "acme", first.first[:4], "--to", "by-prefix").code == 0
