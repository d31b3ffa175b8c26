"""Custodians as processes: joined, asked over mutual TLS, killed, and back again."""

import json
import os
import secrets
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from strongroom.adapters.machine.attended import start_attended
from strongroom.app.custodian_processes import CustodianProcesses
from strongroom.clock import parse_instant
from tests.journeys.world import ROOT

LIMIT_SECONDS = 120
NAMES = ("custodian-1", "custodian-2", "custodian-3")


@dataclass(frozen=True, slots=True)
class Deployed:
    """A home, the processes of its custodians, and what is backed up."""

    root: Path
    servers: CustodianProcesses

    def run(self, *arguments: str, code: int = 0) -> Any:
        """Run a command that ends with this code; return what it shows, or its error."""
        return run(self.root, "home", *arguments, code=code)

    def change(self, text: str) -> None:
        (self.root / "data" / "file").write_text(text, encoding="utf-8")

    def restored(self) -> str:
        """Restore the newest good snapshot; return what came back, and remove it."""
        self.run("restore", "mine", "--to", str(self.root / "back"))
        found = (self.root / "back" / "data" / "file").read_text(encoding="utf-8")
        shutil.rmtree(self.root / "back")
        return found


def environment(root: Path) -> dict[str, str]:
    """Return what a process gets: nothing of the person who runs the tests."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(root),
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def program(root: Path, home: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "strongroom", "--home", str(root / home), *arguments]


def run(root: Path, home: str, *arguments: str, code: int = 0) -> Any:
    """Run a command that ends with this code; return what it shows, or its error."""
    done = subprocess.run(
        program(root, home, "--json", *arguments),
        env=environment(root),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout or done.stderr)


@pytest.fixture(name="deployed")
def _deployed(tmp_path: Path) -> Iterator[Deployed]:
    # Nobody else's connections begin at an address like this, so that the ports stay free while a
    # custodian is down.
    host = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
    homes = {index: tmp_path / name for index, name in enumerate(NAMES, start=1)}
    codes = [
        run(tmp_path, name, "custodian", "init", "--name", name, "--listen", f"{host}:0")
        for name in NAMES
    ]
    (tmp_path / "codes").write_text("".join(f"{one['join_code']}\n" for one in codes))
    (tmp_path / "data").mkdir()
    with CustodianProcesses(homes) as servers:
        places = [
            part
            for index, name in enumerate(NAMES, start=1)
            for part in ("--custodian", f"{name}=https://{host}:{servers.places[index][1]}")
        ]
        location = str(tmp_path / "location")
        codes_file = str(tmp_path / "codes")
        run(tmp_path, "home", "init", "--location", location, *places, "--join-codes", codes_file)
        deployed = Deployed(tmp_path, servers)
        deployed.change("first")
        deployed.run("client", "add", "mine", "--source", str(tmp_path / "data"))
        yield deployed


def test_one_killed_two_killed_and_back(deployed: Deployed) -> None:
    first = deployed.run("backup", "mine")
    assert (first["state"], first["receipts"]) == ("good", 3)

    before = datetime.now(UTC)
    deployed.servers.kill(3)
    deployed.change("second")
    second = deployed.run("backup", "mine")
    assert (second["state"], second["receipts"]) == ("good", 2)
    assert deployed.restored() == "second"
    status = deployed.run("status")
    assert [name for name, one in status["custodians"].items() if one != "answers"] == [NAMES[2]]
    since = parse_instant(status["custodians_missed_since"][NAMES[2]])
    assert before <= since <= datetime.now(UTC)

    deployed.servers.kill(2)
    deployed.change("third")
    third = deployed.run("backup", "mine", code=3)
    assert (third["state"], third["receipts"]) == ("pending", 1)
    error = deployed.run("restore", "mine", "--to", str(deployed.root / "back"), code=4)["error"]
    assert error["what"] == "1 of 2 custodians needed witnessed the announcement"
    assert error["why"].count("does not answer: connection refused") == 2
    assert not (deployed.root / "back").exists()
    status = deployed.run("status")
    assert status["custodians_missed_since"].keys() == {NAMES[1], NAMES[2]}
    assert parse_instant(status["custodians_missed_since"][NAMES[2]]) == since
    assert status["clients"][0]["pending"] == 1

    deployed.servers.start(2)
    deployed.servers.start(3)
    again = deployed.run("backup", "mine")
    assert (again["state"], again["receipts"]) == ("good", 3)
    assert deployed.restored() == "third"
    status = deployed.run("status")
    assert status["custodians_missed_since"] == {}
    assert [(one["good"], one["pending"]) for one in status["clients"]] == [(4, 0)]
    deployed.run("ledger", "verify")


def serving(root: Path) -> list[int]:
    """Return the processes that serve a custodian below a folder."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            said = Path("/proc", name, "cmdline").read_bytes()
            if os.fsencode(root) in said and said.endswith(b"\0custodian\0serve\0"):
                found.append(int(name))
    return found


def wait_until_gone(pids: Sequence[int]) -> None:
    """Return when processes that are not our children have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                assert select.select([handle], [], [], LIMIT_SECONDS)[0]
            finally:
                os.close(handle)


@pytest.fixture(name="mine")
def _mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with something to keep, and the environment of what a test starts there."""
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("mine", encoding="utf-8")
    return tmp_path


def test_up_serves_custodians_and_takes_them_along_when_it_is_killed(mine: Path) -> None:
    up = ("up", "--separate", "--source", str(mine / "data"))
    home = ("--home", str(mine / "home"))
    # It ends with this test, however the test ends.
    with start_attended("up", (*home, *up), "The custodians serve until Ctrl-C.") as running:
        running.wait_until_it_serves(LIMIT_SECONDS)
        pids = serving(mine)
        assert len(pids) == 3
        run(mine, "home", "restore", "mine", "--to", str(mine / "back"))
        assert (mine / "back" / "data" / "file").read_text(encoding="utf-8") == "mine"
        running.kill()
        wait_until_gone(pids)
    assert len(run(mine, "home", "status")["custodians_missed_since"]) == 3
    again = run(mine, "home", *up, "--once")
    assert (again["init"], again["backup"]["receipts"]) == (None, 3)
    assert serving(mine) == []
