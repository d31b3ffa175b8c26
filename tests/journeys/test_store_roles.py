"""Worker and janitor apart at a real S3 store: what the one cannot destroy, the other removes."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.adapters.locations.object_store import Patience, open_object_store
from strongroom.app import App
from strongroom.locations import LocationUnavailable, ObjectMissing
from strongroom.operations.credentials import Credential
from tests.support.first_home import FirstHome
from tests.support.seaweed import Identity, Seaweed, SeaweedAbsentError, running_seaweed
from tests.support.signed_request import ask
from tests.support.transcript import at_home, strongroom
from tests.support.troubled_proxy import Proxy, troubled

pytestmark = pytest.mark.loopback

WORKER = Identity("worker", ("Read", "List", "Write"))
JANITOR = Identity("janitor", ("Admin", "Read", "List", "Write"))
VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
LOCK = (
    b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
    b"<DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule>"
    b"</ObjectLockConfiguration>"
)


@pytest.fixture(name="store", scope="module")
def _store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    try:
        with running_seaweed(tmp_path_factory.mktemp("seaweed"), WORKER, JANITOR) as running:
            yield running
    except SeaweedAbsentError as absent:
        pytest.skip(f"no S3 store to test with: {absent}")


@pytest.fixture(name="proxy")
def _proxy(store: Seaweed) -> Iterator[Proxy]:
    with troubled(store.endpoint) as running:
        yield running


@pytest.fixture(name="first")
def _first(tmp_path: Path) -> Iterator[FirstHome]:
    with at_home(tmp_path):
        for one in (WORKER, JANITOR):
            path = tmp_path / one.name
            path.write_text(f"{one.key_id}\n{one.secret}\n", encoding="utf-8")
            path.chmod(0o600)
        yield FirstHome.make(tmp_path, "one")


def make_bucket(store: Seaweed, name: str, *, lock: bool = False) -> None:
    headers = {"x-amz-bucket-object-lock-enabled": "true"} if lock else {}
    send(store, "PUT", f"/{name}", {}, b"", headers)


def send(
    store: Seaweed,
    method: str,
    path: str,
    query: dict[str, str],
    body: bytes,
    headers: dict[str, str] | None = None,
) -> bytes:
    key = (store.key_id, store.secret)
    status, answer = ask(store.endpoint, key, (method, path, query, body), headers)
    assert 200 <= status < 300, answer
    return answer


def forbid_deleting(store: Seaweed, bucket: str) -> None:
    """Set the policy of docs/how-to/object-stores.md."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "object-stores.md"
    text = page.read_text("utf-8").split("<!-- seaweedfs policy -->")[1]
    policy = text.split("```json")[1].split("```")[0].replace("BUCKET", bucket)
    json.loads(policy)
    send(store, "PUT", f"/{bucket}", {"policy": ""}, policy.encode())


def add(endpoint: str, bucket: str) -> None:
    url = f"s3://{bucket}/ours?endpoint={endpoint}&region=us-east-1"
    done = strongroom("location", "add", url, "--name", "cloud", "--credential-file", "worker")
    assert done.code == 0, done.err


def told(first: FirstHome) -> str:
    """Return what `vault check` says of the store, which must be whole."""
    done = strongroom("vault", "check", "acme", "--read")
    assert done.code == 0, done.out
    assert "orphan" not in done.out
    (line,) = [line for line in done.out.splitlines() if line.startswith("  cloud: ")]
    return line + done.out.splitlines()[-1]


def test_a_writer_of_this_store_can_destroy_until_a_policy_forbids_it(
    first: FirstHome, store: Seaweed, proxy: Proxy
) -> None:
    make_bucket(store, "roles")
    add(proxy.endpoint, "roles")
    line = told(first)
    assert "the worker's credential can overwrite and delete." in line
    assert "Every copy can be destroyed from this machine" in line

    forbid_deleting(store, "roles")
    line = told(first)
    assert "can overwrite; the worker's credential cannot delete." in line
    assert "Every copy can be destroyed from this machine" in line

    # This store knows no policy about If-None-Match; the proxy refuses what AWS's would.
    proxy.create_only = True
    for _ in range(3):
        line = told(first)
        assert "the worker's credential cannot overwrite or delete." in line
        assert "Not every copy can be destroyed from this machine: safe at cloud." in line
    assert strongroom("backup", "acme").code == 0
    names = send(store, "GET", "/roles", {"list-type": "2"}, b"").decode().split("<Key>")
    assert sum("/canary/" in name for name in names) == 1

    # A janitor's credential that lies here ends that; it deletes what the worker could not.
    done = strongroom("location", "set", "cloud", "--janitor-credential-file", "janitor")
    assert done.code == 0, done.err
    line = told(first)
    assert "a credential that may delete is sealed here" in line
    assert "Every copy can be destroyed from this machine" in line
    with App().open(first.home) as deployment, deployment.janitor(["cloud"]) as copies:
        (canary,) = [
            stat.key for stat in copies.locations["cloud"].list("") if "/canary/" in stat.key
        ]
        with pytest.raises(LocationUnavailable) as caught:
            deployment.copies.locations["cloud"].delete(canary)
        assert caught.value.code == "location_read_only"
        copies.locations["cloud"].delete(canary)
        with pytest.raises(ObjectMissing):
            deployment.copies.locations["cloud"].stat(canary)
    (first.folder / "one").rename(first.folder / "one-lost")
    first.still_restores()


def test_versions_and_locks_hide_and_do_not_break(first: FirstHome, store: Seaweed) -> None:
    make_bucket(store, "locked", lock=True)
    send(store, "PUT", "/locked", {"versioning": ""}, VERSIONING)
    send(store, "PUT", "/locked", {"object-lock": ""}, LOCK)
    add(store.endpoint, "locked")
    for _ in range(2):
        line = told(first)
        assert "can overwrite and delete, older versions are kept." in line
        assert "Unknown whether every copy can be destroyed" in line
        assert strongroom("backup", "acme").code == 0
    (first.folder / "one").rename(first.folder / "one-lost")
    first.still_restores()


def test_a_clock_that_is_wrong_is_refused_by_the_store(store: Seaweed) -> None:
    make_bucket(store, "clock")
    for skew in (timedelta(hours=1), timedelta(hours=-1)):
        key = (store.key_id, store.secret)
        status, answer = ask(store.endpoint, key, ("GET", "/clock", {}, b""), skew=skew)
        assert status == 403
        assert b"<Code>RequestTimeTooSkewed</Code>" in answer


def test_who_may_not_read_is_told_so(store: Seaweed) -> None:
    make_bucket(store, "others")
    nobody = Credential(WORKER.key_id, "wrong")
    location = open_object_store(store.url("others"), nobody, Patience(again_seconds=()))
    for ask_it in (lambda: location.get("one"), lambda: list(location.list(""))):
        with pytest.raises(LocationUnavailable, match="SignatureDoesNotMatch"):
            ask_it()
