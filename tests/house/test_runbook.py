"""The lines of docs/how-to/runbook.md run as they stand, each section on a damage of its kind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.clock import SystemClock
from strongroom.operations.back_up import back_up
from strongroom.operations.scrub import ScrubRequest, scrub_vault
from tests.house.test_first_day import kits, machine
from tests.house.tree import ROOT

PAGE = (ROOT / "docs" / "how-to" / "runbook.md").read_text("utf-8")
PLACES = ("one", "two", "three")
EXIT = re.compile(r"  # exit (\d+)$")


@dataclass(frozen=True, slots=True)
class Machine:
    """Somebody's home folder with a home, three locations and two snapshots."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "STRONGROOM_HOME": str(self.home),
        }

    def run(self, line: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", "-c", line],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def objects(self, place: str, part: str) -> list[Path]:
        found = (self.folder / place).glob(f"*/vaults/*/{part}/**/*")
        return sorted(path for path in found if path.is_file())


def sections() -> dict[str, list[str]]:
    """Return the lines of each section by its title."""
    found: dict[str, list[str]] = {}
    for part in PAGE.split("\n## ")[1:]:
        blocks = re.findall(r"^```\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
        found[part.splitlines()[0]] = [line for block in blocks for line in block.splitlines()]
    return found


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the machine once; `before` holds home and locations as after the first backup."""
    folder = tmp_path_factory.mktemp("runbook") / "user"
    folder.mkdir()
    machine(folder)
    made = Machine(folder)
    init = made.run("strongroom init" + "".join(f" --location ~/{place}" for place in PLACES))
    (folder / "kits").write_text("\n".join(kits(init.stdout)) + "\n", encoding="utf-8")
    assert made.run("strongroom client add mine --source ~/data").returncode == 0
    first = made.run("strongroom backup mine --json")
    found = re.search(r'"snapshot": "([0-9a-f]{64})"', first.stdout)
    assert found is not None, first.stderr
    (folder / "first-snapshot").write_text(found[1], encoding="utf-8")
    for name in ("home", *PLACES):
        shutil.copytree(folder / name, folder / "before" / name)
    (folder / "data" / "folder" / "later.txt").write_text("came later\n" * 100)
    assert made.run("strongroom backup mine").returncode == 0
    subprocess.run(["cp", "-a", folder, folder.with_name("kept")], check=True)
    return folder


@pytest.fixture
def user(template: Path) -> Machine:
    """Return the machine as it was made, at the same path."""
    shutil.rmtree(template)
    subprocess.run(["cp", "-a", template.with_name("kept"), template], check=True)
    return Machine(template)


def lose_a_location(user: Machine) -> None:
    shutil.rmtree(user.folder / "two")


def damage_objects(user: Machine) -> None:
    for place, part in (("one", "packs"), ("two", "keys"), ("three", "index"), ("one", "receipts")):
        path = user.objects(place, part)[0]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)


def lose_a_pack_everywhere(user: Machine) -> None:
    for path in user.objects("before/one", "packs"):
        for place in PLACES:
            (user.folder / place / path.relative_to(user.folder / "before" / "one")).unlink()


def lose_objects(user: Machine) -> None:
    user.objects("one", "packs")[0].unlink()
    user.objects("three", "snapshots")[-1].unlink()


def put_back(user: Machine, *names: str) -> None:
    for name in names:
        shutil.rmtree(user.folder / name)
        shutil.copytree(user.folder / "before" / name, user.folder / name)


def put_back_what_recorded_no_backup(user: Machine) -> None:
    aside = user.folder / "aside"
    shutil.copytree(user.home, aside)
    assert user.run("strongroom client set mine --keep 9d").returncode == 0
    assert user.run("strongroom vault check mine").returncode == 0
    shutil.rmtree(user.home)
    aside.rename(user.home)


def fill_the_disk(user: Machine) -> None:
    """As long as the large file is there, no file may grow beyond some blocks."""
    (user.folder / "something-large").write_bytes(bytes(1000))
    command = user.folder / "bin" / "strongroom"
    call = f'exec "{sys.executable}" -m strongroom "$@"'
    limit = "if [ -e ~/something-large ]; then trap '' XFSZ; ulimit -f 1000; fi"
    command.write_text(f"#!/bin/sh\n{limit}\n{call}\n")
    (user.folder / "data" / "new").write_bytes(os.urandom(2 << 20))


class WrongClock(SystemClock):
    """Four hundred days ahead."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=400)


def set_the_clock_wrong(user: Machine) -> None:
    with App(clock=WrongClock()).open(user.home) as deployment:
        client = deployment.registry.client("mine")
        assert back_up(deployment, client, lambda _: None).state == "good"
        scrub_vault(deployment, client, ScrubRequest(share=1), lambda _: None)


def lose_a_custodian(user: Machine) -> None:
    shutil.rmtree(user.home / "custodians" / "custodian-3")


def lose_the_key_file(user: Machine) -> None:
    for path in (user.folder / ".config" / "strongroom").glob("*.key"):
        path.unlink()


def lose_the_home(user: Machine) -> None:
    lose_the_key_file(user)
    shutil.rmtree(user.home)


def plant_an_object(user: Machine) -> None:
    key = user.objects("one", "keys")[0]
    (key.parent / ("1" * 32)).write_bytes(key.read_bytes())


def interrupt_a_backup(user: Machine) -> None:
    (user.folder / "data" / "new").write_bytes(os.urandom(64 << 20))
    before = len(user.objects("one", "packs"))
    process = subprocess.Popen(
        [sys.executable, "-m", "strongroom", "backup", "mine"],
        env=user.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while len(user.objects("one", "packs")) == before and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(10)


DAMAGES: dict[str, Callable[[Machine], None]] = {
    "A location is lost": lose_a_location,
    "Objects are damaged": damage_objects,
    "A pack is lost everywhere": lose_a_pack_everywhere,
    "Objects are missing": lose_objects,
    "A location is rolled back": lambda user: put_back(user, "two"),
    "All locations are rolled back": lambda user: put_back(user, *PLACES),
    "A disk is full": fill_the_disk,
    "The clock was wrong": set_the_clock_wrong,
    "A custodian is dead": lose_a_custodian,
    "The key file is lost": lose_the_key_file,
    "The home is lost": lose_the_home,
    "The home was put back by hand": lambda user: put_back(user, "home"),
    "The ledger only reads": put_back_what_recorded_no_backup,
    "Somebody has put objects there": plant_an_object,
    "Something was interrupted": interrupt_a_backup,
}


def test_every_section_has_its_damage() -> None:
    assert list(sections()) == list(DAMAGES)
    anchors = {title.lower().replace(" ", "-") for title in DAMAGES}
    assert set(re.findall(r"\(#([a-z-]+)\)", PAGE)) == anchors


SHORT = ("Objects are damaged", "A pack is lost everywhere", "Objects are missing")
"""What `make test` tries; the long run tries every section."""


@pytest.mark.parametrize(
    "title",
    [pytest.param(one, marks=() if one in SHORT else pytest.mark.long) for one in DAMAGES],
)
def test_the_runbook_runs_as_written(user: Machine, title: str) -> None:
    DAMAGES[title](user)
    said = ""
    for line in sections()[title]:
        found = EXIT.search(line)
        done = user.run(line)
        said += f"$ {line}\n{done.stdout}{done.stderr}[{done.returncode}]\n"
        assert done.returncode == int(found[1] if found else 0), said
        assert "Traceback" not in done.stderr
    # Whatever it was: what lies in the home now comes back equal, from a sound vault, or from one
    # in which only older snapshots are hit.
    whole = title != "All locations are rolled back"
    if whole:
        sound = 3 if title == "A pack is lost everywhere" else 0
        assert user.run("strongroom vault check mine --read").returncode == sound, said
        assert user.run("strongroom restore mine --to ~/at-the-end").returncode == 0, said
        assert user.run("diff -r ~/data ~/at-the-end/data").returncode == 0
    else:
        assert not (user.folder / "older" / "data" / "folder" / "later.txt").exists()
        assert (user.folder / "older" / "data" / "folder" / "file.txt").exists()
