"""Three buckets of a real S3 server that is killed and started again while it is in use."""

import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from strongroom.adapters.locations.object_store import open_object_store
from strongroom.app import App
from strongroom.clients import Client, Keep
from strongroom.errors import StrongroomError
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.back_up import back_up
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.credentials import Credential, Credentials
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import Filled, repair_client
from strongroom.operations.restore import RestoreRequest, restore
from strongroom.operations.scrub import ScrubRequest, scrub_vault
from strongroom.operations.set_up import InstallPlan, set_up
from strongroom.vault import Vault
from tests.support.seaweed import Seaweed, SeaweedAbsentError, running_seaweed

pytestmark = [pytest.mark.loopback, pytest.mark.long]

BUCKETS = ("one", "two", "three")
FILES = 12
FILE_BYTES = 3 << 20


@pytest.fixture(name="store")
def _store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    try:
        with running_seaweed(tmp_path_factory.mktemp("seaweed")) as running:
            yield running
    except SeaweedAbsentError as absent:
        pytest.skip(f"no S3 store to test with: {absent}")


@contextmanager
def opened(tmp_path: Path, store: Seaweed, parity: int = 0) -> Iterator[tuple[Deployment, Client]]:
    """Make a home with three buckets, a client and its data."""
    credential = Credential(store.key_id, store.secret)
    for bucket in BUCKETS:
        # A bucket of this store appears with its first object.
        open_object_store(store.url(bucket), credential).put("bucket", b"")
    (tmp_path / "live").mkdir()
    for number in range(FILES):
        (tmp_path / "live" / f"file-{number:02}").write_bytes(secrets.token_bytes(FILE_BYTES))
    app = App()
    install = app.new_install()
    urls = {bucket: store.url(bucket, "ours") for bucket in BUCKETS}
    plan = InstallPlan(install, "tester", 1, 1, urls, credentials=Credentials(credential))
    tools, registry = app.make_home(tmp_path / "home", install, tmp_path / "key")
    set_up(tools, registry, plan)
    registry.close()
    with app.open(tmp_path / "home") as deployment:
        client = add_client(deployment, NewClient("acme", "normal", Keep(), parity))
        add_source(deployment, client, "live", "tree", f"file://{tmp_path / 'live'}")
        yield deployment, client


@contextmanager
def restarting(store: Seaweed, share: float) -> Iterator[Callable[[Vault.Progress], None]]:
    """Kill the server when this share is done, from progress, and start it again beside."""
    restarts: list[threading.Thread] = []

    def again() -> None:
        time.sleep(0.2)
        store.start()

    def progress(done: Vault.Progress) -> None:
        if not restarts and done.done_bytes >= share * FILES * FILE_BYTES:
            store.kill()
            restarts.append(threading.Thread(target=again))
            restarts[0].start()

    yield progress
    for restart in restarts:
        restart.join(60)
    assert len(restarts) == 1


@contextmanager
def restarting_soon(store: Seaweed, seconds: float) -> Iterator[None]:
    """Kill the server after this time and start it again, whatever the block does meanwhile."""

    def again() -> None:
        time.sleep(seconds)
        store.kill()
        store.start()

    restart = threading.Thread(target=again)
    restart.start()
    yield
    restart.join(60)


def restored(
    tmp_path: Path,
    deployment: Deployment,
    client: Client,
    progress: Callable[[Vault.Progress], None],
) -> None:
    """Restore, and compare every byte with the live data."""
    restore(deployment, client, RestoreRequest("latest", tmp_path / "back"), progress)
    for number in range(FILES):
        name = f"file-{number:02}"
        was = (tmp_path / "live" / name).read_bytes()
        assert (tmp_path / "back" / "live" / name).read_bytes() == was
    shutil.rmtree(tmp_path / "back")


def all_healthy(deployment: Deployment, client: Client) -> None:
    outcome = check_vault(deployment, client, CheckRequest(read=True), silent)
    assert outcome.problems == []
    assert outcome.destroyable == "yes"


def silent(_progress: Vault.Progress) -> None:
    """Take progress and say nothing."""


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_server_restarted_during_a_backup_and_a_restore(
    tmp_path: Path, store: Seaweed, share: float
) -> None:
    with opened(tmp_path, store) as (deployment, client):
        with restarting(store, share) as progress:
            report = back_up(deployment, client, progress)
        assert (report.receipts, report.state) == (1, "good")
        assert deployment.copies.failures == {}
        with restarting(store, share) as progress:
            restored(tmp_path, deployment, client, progress)
        all_healthy(deployment, client)


@pytest.mark.parametrize("parity", [0, 1])
def test_a_bucket_is_emptied_and_a_tenth_of_another_altered_while_the_server_restarts(
    tmp_path: Path, store: Seaweed, parity: int
) -> None:
    """With three copies both at once; with 2 + 1 shards one after the other."""
    with opened(tmp_path, store, parity) as (deployment, client):
        back_up(deployment, client, silent)
        empty(deployment, "three")
        altered = 0 if parity else alter_a_tenth(deployment, "two")
        with restarting(store, 0.3) as progress:
            restored(tmp_path, deployment, client, progress)
    with keyless(tmp_path, parity) as (deployment, client):
        with restarting_soon(store, 0.3):
            filled = mended(deployment, client, store)
        assert filled["three"].copied > 0
    if parity:
        with reopened(tmp_path) as (deployment, client):
            mended(deployment, client, store)
            all_healthy(deployment, client)
            altered = alter_a_tenth(deployment, "two")
            with restarting(store, 0.3) as progress:
                restored(tmp_path, deployment, client, progress)
    with keyless(tmp_path, parity) as (deployment, client):
        with restarting(store, 0.3) as progress:
            report = scrub_vault(deployment, client, ScrubRequest(1), progress)
        damaged = [one for one in report.problems if one.kind == "damaged"]
        assert {one.location for one in damaged} == {"two"}
        with restarting_soon(store, 0.1):
            filled = mended(deployment, client, store)
        assert filled["two"].replaced == len(damaged) == altered
    with reopened(tmp_path) as (deployment, client):
        mended(deployment, client, store)
        all_healthy(deployment, client)
        restored(tmp_path, deployment, client, silent)


@contextmanager
def reopened(tmp_path: Path) -> Iterator[tuple[Deployment, Client]]:
    """Open the home as it is."""
    with App().open(tmp_path / "home") as deployment:
        yield deployment, deployment.registry.client("acme")


@contextmanager
def keyless(tmp_path: Path, parity: int) -> Iterator[tuple[Deployment, Client]]:
    """Open the home while custodians, and with full copies also the worker's keys, are elsewhere.

    Shards are sealed under the worker's structure key, which opens no content.
    """
    home, aside = tmp_path / "home", tmp_path / "elsewhere"
    aside.mkdir()
    worker = [] if parity else list((home / "secrets").glob("worker-*"))
    assert parity or worker
    taken = {path: aside / path.name for path in (home / "custodians", *worker)}
    for path, to in taken.items():
        path.rename(to)
    with reopened(tmp_path) as (deployment, client):
        assert not deployment.custodians
        with pytest.raises(StrongroomError):
            restored(tmp_path, deployment, client, silent)
        yield deployment, client
    for path, to in taken.items():
        to.rename(path)
    aside.rmdir()


def empty(deployment: Deployment, bucket: str) -> None:
    """Delete everything that a location holds."""
    location = deployment.copies.locations[bucket]
    for stat in list(location.list("")):
        location.delete(stat.key)


def alter_a_tenth(deployment: Deployment, bucket: str) -> int:
    """Put other bytes in the place of every tenth object in the vault's packs; return how many."""
    location = deployment.copies.locations[bucket]
    packs = [stat.key for stat in location.list("") if "/packs/" in stat.key]
    assert packs
    for key in packs[::10]:
        data = bytearray(location.get(key))
        data[len(data) // 2] ^= 1
        location.delete(key)
        location.put(key, data)
    return len(packs[::10])


def mended(deployment: Deployment, client: Client, store: Seaweed) -> dict[str, Filled]:
    """Repair with the janitor's credential given for this run.

    Nothing may be left out, but key tables while the custodian is not here that can compare them.
    """
    filled = repair_client(deployment, client, Credential(store.key_id, store.secret))
    assert filled.keys() == set(BUCKETS)
    left_out = [key for one in filled.values() for key in one.left_out]
    assert all("/kits/" in key and not deployment.custodians for key in left_out), left_out
    return filled
