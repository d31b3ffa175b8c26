"""What the worker's credential could destroy is tried on a canary, and on nothing else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from strongroom.adapters.locations.directory import DirectoryLocation
from strongroom.adapters.locations.object_store import open_object_store
from strongroom.app import App
from strongroom.cli.rights import tell_rights
from strongroom.ids import is_canary_key
from strongroom.locations import Copies, Location, LocationUnavailable, Stat
from strongroom.operations.check_credentials import (
    CANARIES,
    Answer,
    Rights,
    check_credentials,
    every_copy,
)
from strongroom.operations.credentials import Credential
from strongroom.operations.deployment import Deployment
from tests.support.first_home import FirstHome
from tests.support.transcript import at_home, strongroom

CANARY = f"{'1' * 32}/vaults/{'2' * 32}/canary/{'3' * 32}"
REAL = [
    f"{'1' * 32}/vaults/{'2' * 32}/snapshots/{'3' * 32}/00000001",
    f"{'1' * 32}/vaults/{'2' * 32}/packs/33/{'3' * 64}",
    f"{'1' * 32}/vaults/{'2' * 32}/canary/{'3' * 32}/00000001",
    f"{'1' * 32}/canary/{'3' * 32}",
    f"{CANARY}\n",
]


@pytest.fixture(name="first")
def _first(tmp_path: Path) -> Iterator[FirstHome]:
    with at_home(tmp_path):
        yield FirstHome.make(tmp_path, "one", "two")


@dataclass
class Guarded:
    """A location that answers what a test says to overwriting and to deleting."""

    inner: Location
    overwriting: LocationUnavailable | None = None
    deleting: LocationUnavailable | None = None
    versions: bool = False
    deaf: bool = False
    """Accept both and do neither."""
    tried: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.inner.url

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        self.inner.put(key, data)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return self.inner.get(key, start, length)

    def list(self, prefix: str) -> Iterator[Stat]:
        return self.inner.list(prefix)

    def stat(self, key: str) -> Stat:
        return self.inner.stat(key)

    def delete(self, key: str) -> None:
        self.tried.append(("delete", key))
        if self.deleting is not None:
            raise self.deleting
        if not self.deaf:
            self.inner.delete(key)

    def replace_canary(self, key: str, data: bytes) -> bool:
        self.tried.append(("overwrite", key))
        if self.overwriting is not None:
            raise self.overwriting
        if not self.deaf:
            self.inner.delete(key)
            self.inner.put(key, data)
        return self.versions


REFUSED = LocationUnavailable.read_only("refused", "by a policy")
SILENT = LocationUnavailable("no answer", "timed out")


@contextmanager
def guarded(first: FirstHome, **how: object) -> Iterator[tuple[Deployment, dict[str, Guarded]]]:
    """Open the home with both locations answering like this."""
    with App().open(first.home) as deployment:
        locations = {
            name: Guarded(location, **how)  # type: ignore[arg-type]  # fields by name
            for name, location in deployment.copies.locations.items()
        }
        with Copies(locations) as copies:
            yield replace(deployment, copies=copies), locations


def look(deployment: Deployment) -> dict[str, Rights]:
    client = deployment.registry.client("acme")
    return {one.location: one for one in check_credentials(deployment, client)}


def canaries(first: FirstHome) -> list[Path]:
    return [path for place in ("one", "two") for path in first.objects(place, "canary")]


def files(first: FirstHome) -> Mapping[Path, bytes]:
    return {
        path: path.read_bytes()
        for place in ("one", "two")
        for path in (first.folder / place).rglob("*")
        # What a check records goes there, too.
        if path.is_file() and "/ledger/" not in str(path)
    }


def test_folders_can_be_overwritten_and_emptied_and_nothing_is_left(first: FirstHome) -> None:
    before = files(first)
    for _ in range(2):
        done = strongroom("vault", "check", "acme")
        assert done.code == 0, done.err
        assert "  one: this machine can overwrite and delete." in done.out
        assert "Every copy can be destroyed from this machine: held with exceptions." in done.out
    assert files(first) == before
    with App().open(first.home) as deployment:
        found = deployment.registry.client("acme")
        with deployment.tools.history(found.id) as history:
            fact = history.facts("vault.checked")[-1]
        ids = [place.id for place in deployment.registry.locations()]
    assert fact.body["overwritten_at"] == fact.body["deleted_at"] == ids
    assert (fact.body["kept_at"], fact.body["every_copy_destroyable"]) == ([], "yes")


def test_one_that_cannot_be_deleted_stays_alone_and_is_nothing(first: FirstHome) -> None:
    with guarded(first, overwriting=REFUSED, deleting=REFUSED) as (deployment, _locations):
        found = [look(deployment) for _ in range(3)][-1]
    assert {(one.overwrite, one.delete, one.destroy) for one in found.values()} == {("no",) * 3}
    assert every_copy(list(found.values())) is Answer.NO
    assert len(canaries(first)) == 2

    # Nobody takes it for an orphan, for damage, or for something to copy.
    done = strongroom("--json", "vault", "check", "acme", "--read")
    assert done.code == 0, done.out
    assert '"orphans": 0' in done.out
    with guarded(first, deleting=REFUSED) as (deployment, _locations):
        look(deployment)
    done = strongroom("location", "add", "three")
    assert (done.code, done.err) == (0, "")
    assert first.objects("three", "canary") == []
    first.still_restores()


def test_one_that_was_overwritten_is_overwritten_again(first: FirstHome) -> None:
    for _ in range(2):
        with guarded(first, deleting=REFUSED) as (deployment, _locations):
            found = look(deployment)
            assert {(one.overwrite, one.delete) for one in found.values()} == {("yes", "no")}
        assert {path.read_bytes() for path in canaries(first)} <= set(CANARIES)


@pytest.mark.parametrize(
    ("how", "overwrite", "delete", "destroy"),
    [
        ({"deleting": SILENT}, "yes", "unknown", "yes"),
        ({"overwriting": SILENT, "deleting": REFUSED}, "unknown", "no", "unknown"),
        ({"overwriting": REFUSED}, "no", "yes", "yes"),
        ({"versions": True}, "yes", "yes", "unknown"),
        ({"deaf": True}, "unknown", "unknown", "unknown"),
    ],
)
def test_unknown_is_never_shown_as_no(
    first: FirstHome, how: dict[str, object], overwrite: str, delete: str, destroy: str
) -> None:
    with guarded(first, **how) as (deployment, _locations):
        for one in look(deployment).values():
            assert (one.overwrite, one.delete, one.destroy) == (overwrite, delete, destroy)
            assert ("unknown" in (overwrite, delete)) <= bool(one.why)
            (line, *_) = tell_rights([one])[1:]
            assert ("unknown whether" in line) == ("unknown" in (overwrite, delete))


def test_nothing_but_the_canary_is_tried(first: FirstHome) -> None:
    with guarded(first) as (deployment, locations):
        look(deployment)
    tried = [one for location in locations.values() for one in location.tried]
    assert {what for what, _ in tried} == {"overwrite", "delete"}
    assert all(is_canary_key(key) for _, key in tried)


def test_a_location_that_is_away_is_unknown(first: FirstHome) -> None:
    (first.folder / "two").rename(first.folder / "two-away")
    done = strongroom("vault", "check", "acme")
    assert done.code == 3
    assert "  two: unknown whether this machine can overwrite or delete (not tried: " in done.out
    assert "Unknown whether every copy can be destroyed from this machine." in done.out


def test_one_safe_copy_is_enough() -> None:
    def rights(delete: Answer, janitor: bool = False) -> Rights:
        return Rights("x", Answer.NO, delete, False, janitor, False, "")

    safe, lost, unknown = (rights(one) for one in (Answer.NO, Answer.YES, Answer.UNKNOWN))
    assert every_copy([lost, safe, unknown]) is Answer.NO
    assert every_copy([lost, unknown]) is Answer.UNKNOWN
    assert every_copy([lost, lost]) is Answer.YES
    # A credential that may delete and lies here is as good as the worker's.
    assert every_copy([lost, rights(Answer.NO, janitor=True)]) is Answer.YES


def test_attack_overwriting_what_is_no_canary(tmp_path: Path) -> None:
    folder = DirectoryLocation.create(tmp_path / "place", lambda size: b"\1" * size)
    # Nothing is ever sent: nobody listens there.
    store = open_object_store("s3://bucket?endpoint=http://127.0.0.1:9", Credential("key", "no"))
    for key in REAL[:2]:
        folder.put(key, b"real")
    for key in REAL:
        for location in (folder, store):
            with pytest.raises(ValueError, match="not a canary"):
                location.replace_canary(key, b"other")
    folder.put(CANARY, b"canary")
    assert folder.replace_canary(CANARY, b"other") is False
    assert [folder.get(key) for key in (REAL[0], REAL[1], CANARY)] == [b"real", b"real", b"other"]
