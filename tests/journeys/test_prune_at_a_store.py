"""A deletion at three buckets of a real S3 server: who may do it, and a server that comes and goes.

One bucket forbids the worker to delete, one keeps locked versions of everything, and one lets
nobody delete until its policy is lifted.
"""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from strongroom.app import App
from strongroom.clients import Client, Keep
from strongroom.errors import Refused
from strongroom.locations import Location, LocationUnavailable
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.back_up import back_up
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.credentials import Credential, Credentials
from strongroom.operations.deployment import Deployment
from strongroom.operations.prune import PruneOutcome, PruneRequest, prune
from strongroom.operations.restore import RestoreRequest, restore
from strongroom.operations.set_up import InstallPlan, set_up
from strongroom.vault import Vault
from tests.support.misbehaving_location import Fault, MisbehavingLocation
from tests.support.seaweed import Identity, Seaweed, SeaweedAbsentError, running_seaweed
from tests.support.signed_request import ask
from tests.support.stepping_clock import SteppingClock

pytestmark = [pytest.mark.loopback, pytest.mark.long]

WORKER: Final = Identity("worker", ("Read", "List", "Write"))
# Not Admin: no policy would bind that one.
JANITOR: Final = Identity("janitor", ("Read", "List", "Write"))
APART, LOCKED, RETAINING = "apart", "locked", "retaining"
BUCKETS: Final = (APART, LOCKED, RETAINING)
VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
LOCK = (
    b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
    b"<DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule>"
    b"</ObjectLockConfiguration>"
)
DAYS = 5
KEPT = 3
RESTART_BEFORE_DELETES: Final = (4, 20)
RUNS_MAX = 4


@pytest.fixture(name="store")
def _store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    try:
        with running_seaweed(tmp_path_factory.mktemp("seaweed"), WORKER, JANITOR) as running:
            yield running
    except SeaweedAbsentError as absent:
        pytest.skip(f"no S3 store to test with: {absent}")


@dataclass(slots=True)
class Buckets:
    """Three buckets, and what their owner sees and says there."""

    store: Seaweed

    def make(self) -> None:
        for bucket in BUCKETS:
            headers = {"x-amz-bucket-object-lock-enabled": "true"} if bucket == LOCKED else {}
            self.ask("PUT", f"/{bucket}", {}, b"", headers)
        self.ask("PUT", f"/{LOCKED}", {"versioning": ""}, VERSIONING)
        self.ask("PUT", f"/{LOCKED}", {"object-lock": ""}, LOCK)
        self.forbid(APART, WORKER)
        self.forbid(LOCKED, WORKER)
        self.forbid(RETAINING, WORKER, JANITOR)

    def forbid(self, bucket: str, *whom: Identity) -> None:
        """Let none of these delete in a bucket."""
        statements = [
            {
                "Effect": "Deny",
                "Principal": {"AWS": f"arn:aws:iam::*:user/{one.name}"},
                "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
                "Resource": [f"arn:aws:s3:::{bucket}/*"],
            }
            for one in whom
        ]
        policy = {"Version": "2012-10-17", "Statement": statements}
        self.ask("PUT", f"/{bucket}", {"policy": ""}, json.dumps(policy).encode())

    def keys(self, bucket: str) -> set[str]:
        """Return what a bucket lists."""
        return _names(self.ask("GET", f"/{bucket}", {"list-type": "2"}, b""))

    def versions(self, bucket: str) -> set[str]:
        """Return the keys of all versions that a bucket still holds, also of what was deleted."""
        told = self.ask("GET", f"/{bucket}", {"versions": ""}, b"")
        return _names(b"".join(told.split(b"<Version>")[1:]))

    def ask(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: bytes,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        key = (self.store.key_id, self.store.secret)
        status, answer = ask(self.store.endpoint, key, (method, path, query, body), headers)
        assert 200 <= status < 300, answer
        assert b"<IsTruncated>true" not in answer
        return answer


def _names(told: bytes) -> set[str]:
    return {part.partition("<")[0] for part in told.decode().split("<Key>")[1:]}


def silent(_progress: Vault.Progress) -> None:
    """Take progress and say nothing."""


def make_home(tmp_path: Path, store: Seaweed, clock: SteppingClock) -> App:
    app = App(clock=clock)
    install = app.new_install()
    urls = {bucket: store.url(bucket, "ours") for bucket in BUCKETS}
    worker = Credentials(Credential(WORKER.key_id, WORKER.secret))
    tools, registry = app.make_home(tmp_path / "home", install, tmp_path / "key")
    set_up(tools, registry, InstallPlan(install, "tester", 1, 1, urls, credentials=worker))
    registry.close()
    return app


def some_days(
    tmp_path: Path, deployment: Deployment, client: Client, clock: SteppingClock
) -> dict[str, dict[str, bytes]]:
    """Back up each day; return what the live folder held at each snapshot."""
    live = tmp_path / "live"
    held: dict[str, dict[str, bytes]] = {}
    for day in range(DAYS):
        (live / "each").write_bytes(f"day {day}".encode() * 4000)
        (live / f"of-{day}").write_bytes(bytes([day]) * 5000)
        if day:
            (live / f"of-{day - 1}").unlink()
        report = back_up(deployment, client, silent)
        assert (report.state, report.problems) == ("good", [])
        held[report.snapshot] = {path.name: path.read_bytes() for path in live.iterdir()}
        clock.step(days=1)
    return held


def with_restarts(deployment: Deployment, store: Seaweed) -> tuple[Deployment, list[int]]:
    """Return a deployment whose server is killed and started again between calls to delete."""
    lock, met = threading.Lock(), [0, 0]

    def planned(method: str, _key: str, _number: int) -> Fault | None:
        if method == "delete":
            with lock:
                met[0] += 1
                if met[0] in RESTART_BEFORE_DELETES:
                    store.kill()
                    store.start()
                    met[1] += 1
        return None

    def as_janitor(url: str, credential: Credential | None) -> Location:
        return MisbehavingLocation(deployment.tools.location_as(url, credential), planned)

    return replace(deployment, tools=replace(deployment.tools, location_as=as_janitor)), met


def what_stays_is_whole(
    tmp_path: Path,
    deployment: Deployment,
    client: Client,
    held: dict[str, dict[str, bytes]],
    retained: int = 0,
) -> None:
    found = check_vault(deployment, client, CheckRequest(read=True), silent)
    assert (found.problems, found.orphans) == ([], retained)
    with deployment.tools.history(client.id) as history:
        kept = [one.hash for one in history.snapshots() if one.goes_at is None]
    assert kept == list(held)[-KEPT:]
    for snapshot in kept:
        back = tmp_path / "back"
        restore(deployment, client, RestoreRequest(snapshot, back), silent)
        files = {path.name: path.read_bytes() for path in (back / "live").iterdir()}
        assert files == held[snapshot]
        shutil.rmtree(back)


def test_a_deletion_while_the_server_restarts(
    tmp_path: Path, store: Seaweed, record_property: Callable[[str, object], None]
) -> None:
    buckets, clock = Buckets(store), SteppingClock()
    buckets.make()
    app = make_home(tmp_path, store, clock)
    (tmp_path / "live").mkdir()
    janitor = PruneRequest(credential=Credential(JANITOR.key_id, JANITOR.secret))
    with app.open(tmp_path / "home") as deployment:
        keep = Keep(daily=1, weekly=0, monthly=0, floor=KEPT)
        client = add_client(deployment, NewClient("acme", "normal", keep))
        add_source(deployment, client, "live", "tree", f"file://{tmp_path / 'live'}")
        held = some_days(tmp_path, deployment, client, clock)
        planned = prune(deployment, client, PruneRequest())
        assert (planned.state, planned.goes_snapshots) == ("planned", DAYS - KEPT)
        assert planned.problems == []
        going = {one for one in buckets.keys(APART) if "/tombs/" not in one}

        store.kill()
        clock.step(hours=73)
        store.start()
        the_worker_deletes_nothing(deployment, client, buckets)
        faulty, met = with_restarts(deployment, store)
        done = prune(faulty, client, janitor)
        assert met[1] == len(RESTART_BEFORE_DELETES)
        assert done.retained == planned.goes_objects, "one bucket lets nothing go"
        assert any("does not let them go yet" in note for note in done.notes)
        deleted = run_until_done(deployment, client, janitor, done)
        going -= buckets.keys(APART)
        assert len(going) == planned.goes_objects
        assert deleted <= 2 * len(going), "what was deleted when its answer was lost is not counted"
        assert going <= buckets.keys(RETAINING)
        assert not going & buckets.keys(LOCKED)
        assert going <= buckets.versions(LOCKED)
        what_stays_is_whole(tmp_path, deployment, client, held, retained=len(going))

        buckets.forbid(RETAINING, WORKER)
        last = prune(deployment, client, janitor)
        assert (last.retained, last.problems) == (0, [])
        assert last.deleted_objects == len(going)
        assert not going & buckets.keys(RETAINING)
        what_stays_is_whole(tmp_path, deployment, client, held)
    told = (
        f"{len(going)} objects deleted at each of {len(BUCKETS)} buckets; server restarted during"
    )
    record_property("counts", f"{told} the wait and {met[1]} times between deletes")
    record_property(
        "counts",
        "a lock of this store keeps versions, as S3's does: a delete without a version hides the "
        "object and is not refused, so what was retained was so by a policy of its bucket",
    )


def the_worker_deletes_nothing(deployment: Deployment, client: Client, buckets: Buckets) -> None:
    """Neither by a prune, which does not take its credential, nor by asking the store itself."""
    before = {bucket: buckets.keys(bucket) for bucket in BUCKETS}
    with pytest.raises(Refused, match="nothing may be deleted at location") as refused:
        prune(deployment, client, PruneRequest())
    assert "--janitor-credential-file" in refused.value.hint
    for location in deployment.copies.locations.values():
        key = next(location.list(f"{deployment.install}/vaults")).key
        with pytest.raises(LocationUnavailable) as denied:
            location.delete(key)
        assert denied.value.code == "location_read_only"
    assert {bucket: buckets.keys(bucket) for bucket in BUCKETS} == before


def run_until_done(
    deployment: Deployment, client: Client, request: PruneRequest, last: PruneOutcome
) -> int:
    """Run it again, as people do, while a location says that it stopped answering."""
    deleted = last.deleted_objects
    for _ in range(RUNS_MAX):
        if not last.problems:
            return deleted
        last = prune(deployment, client, request)
        deleted += last.deleted_objects
    pytest.fail(f"not done after {RUNS_MAX} runs: {last.problems}")
