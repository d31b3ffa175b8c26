"""Custodians as processes of this machine: they serve within a block, and not a moment longer."""

import os
from pathlib import Path

import pytest

from strongroom.app.custodian_processes import CustodianProcesses
from strongroom.app.custodians import CustodianPlan, Custodians
from strongroom.clock import SystemClock
from strongroom.errors import StrongroomError
from tests.house.tree import ROOT

pytestmark = pytest.mark.loopback


@pytest.fixture(name="homes")
def _homes(tmp_path: Path, kept_port: int, monkeypatch: pytest.MonkeyPatch) -> dict[int, Path]:
    # What runs in another process must be what is tested here.
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    homes = {index: tmp_path / f"custodian-{index}" for index in (1, 2)}
    for index, home in homes.items():
        listen = ("127.0.0.1", kept_port if index == 1 else 0)
        plan = CustodianPlan(home, listen, key_file=tmp_path / f"{index}.key")
        Custodians(SystemClock(), os.urandom).make(plan)
    return homes


def test_they_serve_until_the_block_ends(homes: dict[int, Path], kept_port: int) -> None:
    with CustodianProcesses(homes) as processes:
        assert processes.places.keys() == {1, 2}
        assert processes.ended() == []
        assert processes.places[1] == ("127.0.0.1", kept_port)
        processes.kill(1)
        processes.start(1)
        assert processes.places[1] == ("127.0.0.1", kept_port)
        pid = processes._running[2].pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_one_that_cannot_serve_ends_all_and_says_why(homes: dict[int, Path]) -> None:
    (homes[2] / "custodian.toml").unlink()
    with pytest.raises(StrongroomError) as raised, CustodianProcesses(homes):
        pass
    assert raised.value.what == "custodian-2 does not serve"
    assert "there is no home of a custodian" in raised.value.why
