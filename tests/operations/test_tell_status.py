"""`status` calls nothing fine that is not, and says the worst first."""

import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.clock import SystemClock
from strongroom.operations.tell_status import tell_status
from tests.support.first_home import FirstHome
from tests.support.transcript import at_home, strongroom


class Later(SystemClock):
    """The machine's clock, some time ahead."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


@pytest.fixture(name="first")
def _first(tmp_path: Path) -> Iterator[FirstHome]:
    with at_home(tmp_path):
        yield FirstHome.make(tmp_path, "one", "two")


def status(first: FirstHome, ahead: timedelta = timedelta()) -> tuple[dict[str, str], str]:
    with App(clock=Later(ahead)).open(first.home) as deployment:
        found = tell_status(deployment)
    return {client.name: client.state for client in found.clients}, "\n".join(found.warnings)


@pytest.mark.parametrize(
    ("hours", "state"), [(0, "backed up"), (23, "backed up"), (25, "TOO OLD"), (9999, "TOO OLD")]
)
def test_good_is_good_for_a_day(first: FirstHome, hours: int, state: str) -> None:
    states, warnings = status(first, timedelta(hours=hours))
    assert states == {"acme": state}
    assert ("client acme: too old" in warnings) == (state == "TOO OLD")


def test_client_without_a_backup_is_no_good_state(first: FirstHome) -> None:
    assert strongroom("client", "add", "new", "--source", "notes").code == 0
    states, warnings = status(first)
    assert states == {"acme": "backed up", "new": "NEVER BACKED UP"}
    assert "client new: never backed up" in warnings


def test_unconfirmed_kits_come_first(first: FirstHome) -> None:
    _, warnings = status(first)
    assert warnings.startswith("NOT RECOVERABLE IF THIS MACHINE IS LOST: 0 of 2 kits")
    with App().open(first.home) as deployment:
        for custodian in deployment.embedded()[:2]:
            custodian.confirm_kit(dict(enumerate(custodian.kit().words, start=1)))
    assert "NOT RECOVERABLE" not in status(first)[1]


def test_what_is_absent_is_named(first: FirstHome) -> None:
    shutil.rmtree(first.home / "custodians" / "custodian-2")
    shutil.rmtree(first.folder / "one")
    with App().open(first.home) as deployment:
        found = tell_status(deployment)
    assert [name for name, state in found.locations.items() if state != "answers"] == ["one"]
    assert [name for name, state in found.custodians.items() if state != "answers"] == [
        "custodian-2"
    ]
    assert any(warning.startswith("location one: ") for warning in found.warnings)
    assert any(warning.startswith("custodian 2 (custodian-2): ") for warning in found.warnings)
    assert found.who_can_read.startswith("Whoever has this home and its key file can read every")


def test_since_when_a_custodian_is_missed_is_told_until_it_is_back(first: FirstHome) -> None:
    home, aside = first.home / "custodians" / "custodian-3", first.folder / "aside"
    home.rename(aside)
    _, warnings = status(first)
    said = re.search(
        r"^custodian 3 \(custodian-3\): missed since (\d{4}-.* Z), it has no home", warnings, re.M
    )
    assert said
    _, later = status(first, timedelta(hours=5))
    assert f"custodian 3 (custodian-3): missed since {said[1]}, " in later
    aside.rename(home)
    assert "missed" not in status(first)[1]
    home.rename(aside)
    assert said[1] not in status(first, timedelta(hours=6))[1]


def test_below_the_threshold_nobody_reads_here(first: FirstHome) -> None:
    for number in (1, 2):
        shutil.rmtree(first.home / "custodians" / f"custodian-{number}")
    with App().open(first.home) as deployment:
        found = tell_status(deployment)
    assert found.who_can_read.endswith("has 1 of the 2 pieces needed.")


def test_one_location_is_degraded(tmp_path: Path) -> None:
    with at_home(tmp_path):
        _, warnings = status(FirstHome.make(tmp_path, "only"))
    assert "DEGRADED: one location" in warnings
