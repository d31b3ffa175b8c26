"""Three buckets of a real S3 server that is killed and started again while it is in use."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from strongroom.adapters.locations.object_store import open_object_store
from strongroom.app import App
from strongroom.clients import Keep
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.back_up import back_up
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.credentials import Credential
from strongroom.operations.deployment import Deployment
from strongroom.operations.restore import RestoreRequest, restore
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


@pytest.fixture(name="deployment")
def _deployment(tmp_path: Path, store: Seaweed) -> Iterator[Deployment]:
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
    plan = InstallPlan(install, "tester", 1, 1, urls, credential=credential)
    tools, registry = app.make_home(tmp_path / "home", install, tmp_path / "key")
    set_up(tools, registry, plan)
    registry.close()
    with app.open(tmp_path / "home") as deployment:
        client = add_client(deployment, NewClient("acme", "normal", Keep()))
        add_source(deployment, client, "live", "tree", f"file://{tmp_path / 'live'}")
        yield deployment


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


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_server_restarted_during_a_backup_and_a_restore(
    tmp_path: Path, store: Seaweed, deployment: Deployment, share: float
) -> None:
    client = deployment.registry.client("acme")
    with restarting(store, share) as progress:
        report = back_up(deployment, client, progress)
    assert (report.receipts, report.state) == (1, "good")
    assert deployment.copies.failures == {}
    with restarting(store, share) as progress:
        restore(deployment, client, RestoreRequest("latest", tmp_path / "back"), progress)
    for number in range(FILES):
        name = f"file-{number:02}"
        was = (tmp_path / "live" / name).read_bytes()
        assert (tmp_path / "back" / "live" / name).read_bytes() == was
    outcome = check_vault(deployment, client, CheckRequest(read=True), lambda _: None)
    assert outcome.problems == []
    assert outcome.destroyable == "yes"
