"""From `init` to `recover` with an object store, whose credential is given in a file."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.adapters.locations.object_store import open_object_store
from strongroom.operations.credentials import Credential
from tests.support.first_home import FirstHome, make_database
from tests.support.seaweed import Seaweed, SeaweedAbsentError, running_seaweed
from tests.support.transcript import strongroom

pytestmark = pytest.mark.loopback


@pytest.fixture(name="store", scope="module")
def _store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    try:
        with running_seaweed(tmp_path_factory.mktemp("seaweed")) as running:
            # A bucket of this store appears with its first object.
            key = Credential(running.key_id, running.secret)
            open_object_store(running.url("backups"), key).put("bucket", b"")
            yield running
    except SeaweedAbsentError as absent:
        pytest.skip(str(absent))


def credential(folder: Path, store: Seaweed) -> str:
    path = folder / "credential"
    path.write_text(f"{store.key_id}\n{store.secret}\n", encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def test_backup_restore_check_and_recover(folder: Path, store: Seaweed) -> None:
    make_database(folder / "app.db")
    (folder / "notes").mkdir()
    (folder / "notes" / "today.txt").write_text("Buy locks.", encoding="utf-8")
    secret = ("--credential-file", credential(folder, store))
    places = ("--location", store.url("backups", "ours"), "--location", "one")
    made = strongroom("init", *places, *secret, "--json")
    assert made.code == 0, made.err
    assert strongroom("client", "add", "acme", "--source", "app.db", "--source", "notes").code == 0
    done = strongroom("backup", "acme", "--json")
    assert done.code == 0, done.err
    (folder / "first").write_text(json.loads(done.out)["snapshot"], encoding="utf-8")
    first = FirstHome(folder)
    shutil.rmtree(folder / "one")
    first.still_restores()
    assert strongroom("vault", "check", "acme", "--read").code == 3

    # The store's secret is in no file of the home in clear.
    everything = b"".join(path.read_bytes() for path in first.home.rglob("*") if path.is_file())
    assert store.secret.encode() not in everything

    # The home is lost, and its other location too: the store and two kits bring it back.
    kits = "\n".join(kit["words"] for kit in json.loads(made.out)["kits"][:2])
    shutil.rmtree(first.home)
    arguments = ("recover", "--location", store.url("backups", "ours"), "--kits", "-")
    assert strongroom(*arguments, stdin=kits).code == 1
    done = strongroom(*arguments, *secret, stdin=kits)
    assert done.code == 0, done.err
    first.still_restores()
    assert strongroom("backup", "acme").code == 0


def test_wrong_credential_makes_nothing(folder: Path, store: Seaweed) -> None:
    (folder / "credential").write_text("nobody\nwrong\n", encoding="utf-8")
    url = store.url("backups", "refused")
    done = FirstHome(folder).refused(
        1, "init", "--location", url, "--credential-file", "credential"
    )
    assert "403 Forbidden" in done.err or "refuses this credential" in done.err
    assert "wrong" not in done.err
    assert not (folder / "home").exists()


def test_init_takes_both_credentials(folder: Path, store: Seaweed) -> None:
    right = credential(folder, store)
    (folder / "wrong").write_text("nobody\nwrong\n", encoding="utf-8")
    places = ("--location", store.url("backups", "both"), "--location", "one")
    first = FirstHome(folder)
    for refused, janitor in ((1, "wrong"), (2, "-")):
        secrets = ("--credential-file", right if refused == 1 else "-")
        first.refused(refused, "init", *places, *secrets, "--janitor-credential-file", janitor)
        assert not first.home.exists()
    done = strongroom(
        "init", *places, "--credential-file", right, "--janitor-credential-file", right
    )
    assert done.code == 0, done.err
    rows = json.loads(strongroom("location", "list", "--json").out)
    assert [row["janitor"] for row in rows] == ["sealed here", "folder"]
    everything = b"".join(path.read_bytes() for path in first.home.rglob("*") if path.is_file())
    assert store.secret.encode() not in everything


def test_store_is_added_later_after_a_wrong_try(folder: Path, store: Seaweed) -> None:
    first = FirstHome.make(folder, "one")
    url = store.url("backups", "later")
    (folder / "wrong").write_text("nobody\nwrong\n", encoding="utf-8")
    first.refused(1, "location", "add", url, "--credential-file", "wrong")
    right = credential(folder, store)
    janitor = ("--credential-file", right, "--janitor-credential-file", "wrong")
    first.refused(1, "location", "add", url, *janitor)
    done = strongroom("location", "add", url, "--credential-file", right, "--name", "cloud")
    assert done.code == 0, done.err
    (folder / "one").rename(folder / "one-lost")
    first.still_restores()


def test_worker_and_janitor_have_credentials_of_their_own(folder: Path, store: Seaweed) -> None:
    first = FirstHome.make(folder, "one")
    url = store.url("backups", "two-roles")
    right = credential(folder, store)
    done = strongroom("location", "add", url, "--credential-file", right, "--name", "cloud")
    assert done.code == 0, done.err
    assert "not here" in strongroom("location", "list").out

    # One that the store refuses changes nothing; one thing at most comes through stdin.
    (folder / "wrong").write_text("nobody\nwrong\n", encoding="utf-8")
    first.refused(1, "location", "set", "cloud", "--janitor-credential-file", "wrong")
    both = ("--credential-file", "-", "--janitor-credential-file", "-")
    first.refused(2, "location", "set", "cloud", *both)
    first.refused(2, "location", "set", "cloud")
    assert "not here" in strongroom("location", "list").out

    words = Path(right).read_text(encoding="utf-8")
    done = strongroom("location", "set", "cloud", "--janitor-credential-file", "-", stdin=words)
    assert done.code == 0, done.err
    assert "worker and janitor of cloud have the same key" in done.err
    assert "sealed here" in strongroom("location", "list").out
    everything = b"".join(path.read_bytes() for path in first.home.rglob("*") if path.is_file())
    assert store.secret.encode() not in everything

    assert strongroom("location", "set", "cloud", "--forget-janitor").code == 0
    assert "not here" in strongroom("location", "list").out
    assert strongroom("backup", "acme").code == 0
