"""Scrubbing reads again what lies at the locations, in shares, and remembers what it saw."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from strongroom.app import App
from strongroom.clock import SystemClock
from strongroom.errors import UsageError
from strongroom.operations.deployment import Deployment
from strongroom.operations.scrub import Pace, ScrubReport, ScrubRequest, scrub_vault
from tests.support.first_home import FirstHome
from tests.support.transcript import at_home, strongroom

ROOT = Path(__file__).parents[2]
PLACES = ("one", "two", "three")
WHOLE = ("--share", "whole", "--rate", "none")


@pytest.fixture(name="first")
def _first(tmp_path: Path) -> Iterator[FirstHome]:
    with at_home(tmp_path):
        yield FirstHome.make(tmp_path, *PLACES)


def spoil(path: Path) -> None:
    """Flip a bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def found_by(*arguments: str) -> tuple[int, list[tuple[str, str, str]]]:
    """Run a command and return its exit code and problems: kind, location, part of the vault."""
    done = strongroom(*arguments, "--json")
    problems: list[dict[str, Any]] = json.loads(done.out)["problems"] if done.out else []
    rows = [(one["kind"], one["location"], one["object"].split("/")[3]) for one in problems]
    return done.code, sorted(rows)


@dataclass
class Steps:
    """Does something at each report of progress."""

    step: Callable[[int], None] = lambda _: None
    count: int = 0

    def __call__(self, _: object) -> None:
        self.count += 1
        self.step(self.count)


def scrubbed(
    first: FirstHome, request: ScrubRequest, *, app: App | None = None, steps: Steps | None = None
) -> ScrubReport:
    with (app or App()).open(first.home) as deployment:
        client = deployment.registry.client("acme")
        return scrub_vault(deployment, client, request, steps or Steps())


def test_what_scrub_finds_is_remembered_named_and_mended(first: FirstHome) -> None:
    assert found_by("vault", "scrub", "acme", *WHOLE) == (0, [])
    (pack, *_) = first.objects("one", "packs")
    spoil(pack)
    (record,) = first.objects("two", "snapshots")
    record.unlink()
    wanted = [("damaged", "one", "packs"), ("missing", "two", "snapshots")]
    assert found_by("vault", "check", "acme") == (3, wanted[1:])
    assert found_by("vault", "scrub", "acme", *WHOLE) == (40, wanted)
    # A check that only looks knows what scrubbing read, and which snapshot that hits.
    assert found_by("vault", "check", "acme") == (40, wanted)
    problems = json.loads(strongroom("vault", "check", "acme", "--json").out)["problems"]
    assert [one["hit"] for one in problems] == [[first.first], [first.first]]
    # The next share may be another one; what was found is said all the same.
    assert found_by("vault", "scrub", "acme", "--share", "1/1000") == (40, wanted)
    first.still_restores()
    done = strongroom("vault", "repair", "acme")
    assert done.code == 0, done.err
    assert "replaced 1 damaged" in done.out
    assert found_by("vault", "check", "acme", "--read") == (0, [])
    assert found_by("vault", "scrub", "acme") == (0, [])


def test_check_read_remembers_damage_and_what_was_mended_by_hand(first: FirstHome) -> None:
    (pack, *_) = first.objects("one", "packs")
    good = pack.read_bytes()
    spoil(pack)
    assert found_by("vault", "check", "acme") == (0, [])
    damage = [("damaged", "one", "packs")]
    assert found_by("vault", "scrub", "acme", *WHOLE) == (40, damage)
    pack.write_bytes(good)
    assert found_by("vault", "check", "acme") == (40, damage)
    assert found_by("vault", "check", "acme", "--read") == (0, [])
    assert found_by("vault", "check", "acme") == (0, [])


def test_planted_objects_are_unauthenticated_and_never_spread(first: FirstHome) -> None:
    (record,) = first.objects("one", "snapshots")
    vault = record.parents[2]
    planted = [
        vault / "keys" / ("1" * 32),
        vault / "packs" / "00" / ("0" * 64),
        vault / "index" / ("2" * 64),
        vault / "snapshots" / ("3" * 32) / "00000001",
        vault / "snapshots" / record.parent.name / "00000009",
        vault / "something" / "else",
        vault.parents[1] / "kits" / ("4" * 32) / "identity-00000001",
    ]
    for path in planted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record.read_bytes())
    before = at_two(first)
    code, problems = found_by("vault", "scrub", "acme", *WHOLE)
    assert code == 40
    assert {kind for kind, _, _ in problems} == {"unauthenticated"}
    assert {where for _, where, _ in problems} == {"one"}
    assert len(problems) == len(planted)
    code, problems = found_by("vault", "check", "acme", "--read")
    assert (code, len(problems)) == (40, len(planted))
    assert {(kind, where) for kind, where, _ in problems} == {("unauthenticated", "one")}
    strongroom("vault", "repair", "acme")
    assert at_two(first) == before
    for path in planted:
        path.unlink()
    assert found_by("vault", "scrub", "acme", *WHOLE) == (0, [])
    assert found_by("vault", "check", "acme") == (0, [])


def test_an_absent_location_is_unknown_and_never_fine(first: FirstHome) -> None:
    (first.folder / "two").rename(first.folder / "away")
    report = json.loads(strongroom("vault", "scrub", "acme", *WHOLE, "--json").out)
    assert strongroom("vault", "scrub", "acme", *WHOLE).code == 3
    assert report["locations"] == ["one", "three"]
    assert list(report["absent"]) == ["two"]
    code, problems = 3, json.loads(strongroom("vault", "check", "acme", "--json").out)["problems"]
    assert [(one["kind"], one["location"]) for one in problems] == [("unknown", "two")]
    assert strongroom("vault", "check", "acme").code == code
    for place in ("one", "three"):
        (first.folder / place).rename(first.folder / f"{place}-away")
    first.refused(1, "vault", "scrub", "acme")


def at_two(first: FirstHome) -> set[Path]:
    """Return the files of a location but those of the ledger, which grows with each command."""
    found = (path for path in (first.folder / "two").rglob("*") if path.is_file())
    return {path for path in found if "/ledger/" not in str(path)}


def test_shares_come_round_oldest_first(first: FirstHome) -> None:
    sizes = [path.stat().st_size for place in PLACES for path in all_objects(first, place)]
    total, largest = sum(sizes), max(sizes)
    request = ScrubRequest(share=3)
    reports = [scrubbed(first, request)]
    # Each run places what it recorded, which the next one reads first.
    while reports[-1].never_read and len(reports) < 9:
        reports.append(scrubbed(first, request))
    assert reports[-1].never_read == 0
    assert all(0 < one.read_bytes <= one.total_bytes // 3 + 1 + largest for one in reports)
    assert reports[0].total_bytes == total
    # All were read once; the ninth begins again with what the first has read.
    oldest = reports[-1].oldest_read_at
    later = scrubbed(first, request)
    assert oldest is not None
    assert later.oldest_read_at is not None
    assert later.oldest_read_at > oldest


def all_objects(first: FirstHome, place: str) -> list[Path]:
    root = first.folder / place
    return [path for path in root.rglob("*") if path.is_file() and path.parent != root]


def test_an_interrupted_run_is_gone_on_with(first: FirstHome) -> None:
    def stop(count: int) -> None:
        if count == 5:
            raise KeyboardInterrupt

    whole = ScrubRequest(share=1)
    with pytest.raises(KeyboardInterrupt):
        scrubbed(first, whole, steps=Steps(stop))
    total = sum(len(all_objects(first, place)) for place in PLACES)
    assert scrubbed(first, whole).read_objects == total - 5
    # That one ended, so the next begins anew.
    total = sum(len(all_objects(first, place)) for place in PLACES)
    assert scrubbed(first, whole).read_objects == total


def test_a_killed_run_is_gone_on_with(first: FirstHome) -> None:
    command = ["vault", "scrub", "acme", "--share", "whole", "--rate", "5kB"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen([sys.executable, "-m", "strongroom", *command], env=environment)
    (database,) = (first.home / "clients").glob("*/client.db")
    total = sum(len(all_objects(first, place)) for place in PLACES)
    try:
        until = time.monotonic() + 60
        while not (noted := count_notes(database)):
            assert time.monotonic() < until, "it never noted anything"
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    noted = count_notes(database)
    report = scrubbed(first, ScrubRequest(share=1))
    assert 0 < report.read_objects == total - noted < total


def count_notes(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM copy").fetchone()[0])


@dataclass
class SetClock(SystemClock):
    """A clock that shows what it was set to, and a wait that moves it."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    waits: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.time + timedelta(seconds=sum(self.waits))

    def monotonic(self) -> float:
        return sum(self.waits)

    def pause(self, seconds: float) -> None:
        self.waits.append(seconds)


def test_a_time_in_the_future_counts_as_never(first: FirstHome) -> None:
    later = datetime.now(UTC) + timedelta(days=400)
    scrubbed(first, ScrubRequest(share=1), app=App(clock=SetClock(later)))
    report = scrubbed(first, ScrubRequest(share=1000))
    # Nothing was read since now, so a share is read, and does not wait for that year to come.
    assert report.read_objects > 0


def test_an_old_interruption_does_not_shorten_a_new_round(first: FirstHome) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    total = sum(len(all_objects(first, place)) for place in PLACES)
    early = App(clock=SetClock(datetime.now(UTC) - timedelta(days=30)))
    with pytest.raises(KeyboardInterrupt):
        scrubbed(first, ScrubRequest(share=1), app=early, steps=Steps(stop))
    assert scrubbed(first, ScrubRequest(share=1)).read_objects == total


def test_a_reader_keeps_below_its_rate() -> None:
    clock = SetClock()
    pace = Pace(clock, clock.pause, 1000)
    for count in (500, 1500, 0):
        pace.spend(count)
    assert clock.waits == [0.5, 1.5]
    clock.waits.append(100.0)
    pace.spend(1000)
    assert clock.waits[-1] == 1.0, "idle time is not saved up"
    Pace(clock, clock.pause, None).spend(10**9)
    assert clock.waits[-1] == 1.0


def test_the_rate_is_kept_by_a_run(first: FirstHome) -> None:
    clock = SetClock()
    with App(clock=clock).open(first.home) as deployment:
        slow = replace(deployment, tools=replace(deployment.tools, pause=clock.pause))
        client = deployment.registry.client("acme")
        report = scrub_vault(slow, client, ScrubRequest(1, 10_000), Steps())
    assert sum(clock.waits) == pytest.approx(report.read_bytes / 10_000)


def without_secrets(first: FirstHome) -> None:
    """Remove the worker's keys and every custodian, as on a machine that only maintains."""
    for secret in (first.home / "secrets").glob("worker-*"):
        secret.unlink()
    shutil.rmtree(first.home / "custodians")


class NoSecrets:
    """Refuses to read any secret."""

    def read(self, name: str) -> bytes:
        raise AssertionError(f"{name} was read")

    def write(self, name: str, secret: bytes) -> None:
        raise AssertionError(f"{name} was written")

    def has(self, name: str) -> bool:
        return False

    def remove(self, name: str) -> None:
        raise AssertionError(f"{name} was removed")

    def names(self, prefix: str) -> list[str]:
        return []


def test_scrub_and_repair_use_no_key(first: FirstHome) -> None:
    """Without worker's keys, custodians or any sealed secret, damage is found and mended."""
    kits = len(list((first.folder / "one").glob("*/kits/**/*-*")))
    before = {place: contents(first, place) for place in PLACES}
    without_secrets(first)
    spoil(first.objects("one", "packs")[0])
    spoil(first.objects("one", "index")[0])
    spoil(first.objects("two", "keys")[0])
    first.objects("three", "snapshots")[0].unlink()
    spoil(next((first.folder / "three").glob("*/vaults/*/receipts/*/*/*")))

    def keyless(deployment: Deployment) -> Deployment:
        return replace(deployment, tools=replace(deployment.tools, secrets=NoSecrets()))

    with App().open(first.home) as deployment:
        client = deployment.registry.client("acme")
        report = scrub_vault(keyless(deployment), client, ScrubRequest(1), Steps())
    kinds = sorted((one.kind, one.location) for one in report.problems)
    wanted = [("damaged", name) for name in ("one", "one", "three", "two")]
    assert kinds == [*wanted, ("missing", "three")]
    assert report.not_judged == kits > 0
    done = strongroom("vault", "repair", "acme", "--json")
    assert done.code == 0, done.out
    assert {place: contents(first, place) for place in PLACES} == before
    assert strongroom("vault", "scrub", "acme", *WHOLE).code == 0


def contents(first: FirstHome, place: str) -> dict[str, bytes]:
    root = first.folder / place
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in all_objects(first, place)
        if "/ledger/" not in str(path)
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("scrub",),
        ("scrub", "acme", "--all"),
        ("scrub", "acme", "--share", "1/0"),
        ("scrub", "acme", "--share", "half"),
        ("scrub", "acme", "--share", "1/100000"),
        ("scrub", "acme", "--rate", "fast"),
        ("scrub", "acme", "--rate", "1"),
        ("scrub", "nobody"),
        ("repair",),
        ("repair", "acme", "--all"),
    ],
    ids=" ".join,
)
def test_wrong_words_are_refused(first: FirstHome, arguments: Sequence[str]) -> None:
    first.refused(2, "vault", *arguments)


def test_all_clients_are_scrubbed_and_repaired(first: FirstHome) -> None:
    assert strongroom("client", "add", "other", "--source", "app.db").code == 0
    assert strongroom("backup", "other").code == 0
    done = strongroom("vault", "scrub", "--all", *WHOLE, "--json")
    assert [one["client"] for one in json.loads(done.out)] == ["acme", "other"]
    done = strongroom("vault", "repair", "--all", "--read")
    assert done.code == 0, done.err
    assert "acme: one: copied 0 objects" in done.out
    assert "other: two: copied 0 objects" in done.out


def test_a_share_that_reads_nothing_is_no_request() -> None:
    for share, rate in ((0, None), (10_001, None), (1, 999)):
        with pytest.raises(UsageError):
            ScrubRequest(share, rate)
