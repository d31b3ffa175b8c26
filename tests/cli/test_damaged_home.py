"""A home whose own files are not right: it says which, and what is stored is not touched."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.cli import output
from tests.house.tree import ROOT
from tests.support.first_home import FirstHome
from tests.support.transcript import Done, strongroom


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda text: text + 'kepp = "7d"\n', "unknown setting 'kepp'", id="unknown"),
        pytest.param(lambda text: text + "threads = \n", "cannot be read", id="not-toml"),
        pytest.param(lambda text: text + '"', "cannot be read", id="open-string"),
        pytest.param(
            lambda text: text.replace("home_version = 1", 'home_version = "1"'),
            "no usable home_version",
            id="version-is-text",
        ),
        pytest.param(
            lambda text: text.replace('spool = ""', 'spool = "relative"'),
            "not an absolute path",
            id="relative-spool",
        ),
        pytest.param(
            lambda text: text.replace('keep = "7d5w12m3f"', "keep = 7"), "keep", id="number-as-text"
        ),
        pytest.param(
            lambda text: text.replace("key_file = ", "#key_file = "), "key_file", id="missing"
        ),
    ],
)
def test_settings_are_wrong(first: FirstHome, change: Callable[[str], str], said: str) -> None:
    settings = first.home / "strongroom.toml"
    before = settings.read_text(encoding="utf-8")
    edit(settings, change)
    assert said in first.refused(2, "backup", "acme").err
    settings.write_text(before, encoding="utf-8")
    first.still_restores()


def test_home_of_a_newer_strongroom(first: FirstHome) -> None:
    settings = first.home / "strongroom.toml"
    edit(settings, lambda text: text.replace("home_version = 1", "home_version = 2"))
    done = first.refused(1, "backup", "acme")
    assert "is of version 2" in done.err
    assert "Update" in done.err
    edit(settings, lambda text: text.replace("home_version = 2", "home_version = 1"))
    first.still_restores()


def test_database_of_a_newer_strongroom(first: FirstHome) -> None:
    with closing(sqlite3.connect(first.home / "server.db")) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("PRAGMA user_version = 99")
    assert "made by a newer Strongroom" in first.refused(1, "status").err
    with closing(sqlite3.connect(first.home / "server.db")) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    first.still_restores()


DATABASES = ["server.db", "client.db", "index.db", "custodian.db", "disclosures.db"]


@pytest.mark.parametrize("name", DATABASES)
@pytest.mark.parametrize("damage", ["overwritten", "torn", "empty", "folder"])
def test_database_of_the_home_is_damaged(first: FirstHome, name: str, damage: str) -> None:
    paths = [path for path in first.home.rglob(name) if path.is_file()]
    kept = {path: path.read_bytes() for path in paths}
    for path in paths:
        for beside in path.parent.glob(f"{name}-*"):
            beside.unlink()
        path.unlink()
        if damage == "overwritten":
            path.write_bytes(b"\x55" * len(kept[path]))
        elif damage == "torn":
            path.write_bytes(kept[path][:4096] + b"\x55" * (len(kept[path]) - 4096))
        elif damage == "empty":
            path.write_bytes(b"")
        else:
            path.mkdir()
    done = strongroom("backup", "acme")
    assert "Traceback" not in done.err
    assert done.code in {0, 1, 2, 3, 20, 40}
    check_told(done, name, damage)
    for path, data in kept.items():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        for beside in path.parent.glob(f"{name}-*"):
            beside.unlink()
        path.write_bytes(data)
    if done.code != 0:
        first.still_restores()


def check_told(done: Done, name: str, damage: str) -> None:
    """See that what is needed and damaged is told of."""
    if name == "disclosures.db" and damage != "folder":
        # An empty one is as good as a new one: names are lost, and nothing that was kept.
        assert (done.code, "Put the file aside" in done.err) in {(0, False), (40, True)}
    elif name != "index.db":
        assert done.code != 0
        assert "error: " in done.err or "warning: " in done.err


def test_key_file_is_gone(first: FirstHome) -> None:
    aside = first.key_file.rename(first.folder / "aside.key")
    done = first.refused(1, "backup", "acme")
    assert "the key file" in done.err
    assert "recover" in done.err
    aside.rename(first.folder / "config" / "strongroom" / "back.key")
    edit(
        first.home / "strongroom.toml",
        lambda text: "\n".join(
            f'key_file = "{first.key_file}"' if line.startswith("key_file") else line
            for line in text.splitlines()
        ),
    )
    first.still_restores()


def test_key_file_is_open_to_others(first: FirstHome) -> None:
    first.key_file.chmod(0o640)
    done = first.refused(1, "backup", "acme")
    assert "can be read by other users" in done.err
    assert "chmod 600" in done.err
    first.key_file.chmod(0o600)
    first.still_restores()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text.replace("-v1", "-v2"), id="version"),
        pytest.param(lambda text: text[:-2] + "\n", id="check-digits"),
        pytest.param(lambda text: text.split()[0] + " zz 00000000\n", id="not-hexadecimal"),
        pytest.param(lambda text: "", id="empty"),
    ],
)
def test_key_file_is_damaged(first: FirstHome, change: Callable[[str], str]) -> None:
    before = first.key_file.read_text(encoding="utf-8")
    edit(first.key_file, change)
    assert str(first.key_file) in first.refused(40, "backup", "acme").err
    first.key_file.write_text(before, encoding="utf-8")
    first.still_restores()


def test_key_file_of_another_home(first: FirstHome) -> None:
    before = first.key_file.read_text(encoding="utf-8")
    other = first.folder / "other.key"
    done = strongroom("--home", str(first.folder / "home2"), "init", "--location", "three")
    assert done.code == 0
    (second,) = set((first.folder / "config/strongroom").glob("*.key")) - {_named(first)}
    second.rename(other)
    first.key_file.write_text(other.read_text(encoding="utf-8"), encoding="utf-8")
    assert strongroom("backup", "acme").code == 40
    first.key_file.write_text(before, encoding="utf-8")
    first.still_restores()


def _named(first: FirstHome) -> Path:
    for line in (first.home / "strongroom.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("key_file"):
            return Path(line.split('"')[1])
    raise AssertionError("the settings name no key file")


def test_sealed_secret_is_damaged(first: FirstHome) -> None:
    (secret,) = (first.home / "secrets").glob("worker-*")
    before = secret.read_bytes()
    secret.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    first.refused(40, "backup", "acme")
    secret.write_bytes(before)
    first.still_restores()


def test_home_that_was_never_finished(folder: Path) -> None:
    assert strongroom("init", "--location", "one").code == 0
    with closing(sqlite3.connect(folder / "home/server.db")) as connection, connection:
        connection.execute("DELETE FROM install")
    done = FirstHome(folder).refused(2, "status")
    assert "was never finished" in done.err


def test_home_is_older_than_what_custodians_have_signed(first: FirstHome) -> None:
    saved = first.folder / "saved"
    shutil.copytree(first.home / "clients", saved)
    assert strongroom("backup", "acme").code == 0
    shutil.rmtree(first.home / "clients")
    shutil.copytree(saved, first.home / "clients")
    assert "older" in first.refused(20, "backup", "acme").err
    # No key is asked for without a trace, and this log takes no fact until it is resumed.
    to = first.folder / "back"
    assert "ledger resume" in first.refused(20, "restore", "acme", "--to", str(to)).err


@pytest.mark.parametrize(
    ("error", "what", "hint"),
    [
        (MemoryError(), "there is not enough memory", "threads"),
        (OSError(28, "No space left on device", "/x"), "/x cannot be used", "Make room"),
        (OSError(13, "Permission denied", "/x"), "/x cannot be used", "rights"),
        (OSError(5, "Input/output error"), "the machine refused", "--debug"),
        (sqlite3.OperationalError("disk I/O error"), "a database of this home", "--debug"),
    ],
)
def test_what_the_machine_reports_becomes_a_plain_error(
    error: Exception, what: str, hint: str
) -> None:
    plain = output.from_outside(error)
    assert what in plain.what
    assert hint in plain.hint
    assert plain.exit_code == 1


@pytest.mark.parametrize("command", ["status", "--help"])
def test_full_device_for_output(first: FirstHome, command: str) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "strongroom", command],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error: the machine refused: no space left on device"
    assert "Traceback" not in done.stderr
    first.still_restores()
