"""Three copies: one location is lost and a tenth of another spoilt at the same time.

Nothing is lost, and without a content key on the machine all three are whole again.
"""

import json
import random
import shutil
from pathlib import Path

import pytest

from tests.journeys.world import (
    CLIENTS,
    HIGH,
    NORMAL,
    World,
    change_live_data,
    files_below,
    make_world,
)

WHOLE = ("--share", "whole", "--rate", "none")
NAMES = [name for name, _ in CLIENTS]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = make_world(tmp_path / "world")
    for number in range(3):
        for client in NAMES:
            assert made.back_up(client).problems == []
        if number < 2:
            change_live_data(made, number)
    return made


def objects(world: World, location: str) -> dict[str, bytes]:
    """Return what a location holds but the ledger, which grows with every command."""
    return {name: data for name, data in _files(world, location).items() if not _is_ledger(name)}


def ledger(world: World, location: str) -> dict[str, bytes]:
    """Return the objects of the ledger that a location holds."""
    return {name: data for name, data in _files(world, location).items() if _is_ledger(name)}


def _files(world: World, location: str) -> dict[str, bytes]:
    root = world.locations[location]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files_below(root)}


def _is_ledger(name: str) -> bool:
    return "ledger" in Path(name).parts[1:2]


def spoil_a_tenth(world: World, location: str) -> list[Path]:
    """Flip a bit in every tenth object of every vault there, drawn by chance, packs first."""
    chance = random.Random(10)
    spoilt: list[Path] = []
    for client in NAMES:
        folder = world.vault_folder(location, client)
        packs, others = files_below(folder / "packs"), files_below(folder)
        tenth = max(1, len(others) // 10)
        spoilt += dict.fromkeys([chance.choice(packs), *chance.sample(others, tenth)])
    for path in spoilt:
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.chmod(0o600)
        path.write_bytes(data)
    return spoilt


def problems(world: World, *arguments: str) -> tuple[int, set[tuple[str, str]]]:
    """Run a command and return its exit code, and the kinds and places of what it found."""
    done = world.command("vault", *arguments, "--json")
    found = json.loads(done.stdout)
    reports = found if isinstance(found, list) else [found]
    rows = {(one["kind"], one["location"]) for each in reports for one in each["problems"]}
    return done.returncode, rows


def test_one_location_lost_and_a_tenth_of_another_spoilt(world: World) -> None:
    good, placed = objects(world, "loc3"), ledger(world, "loc3")
    assert placed
    state = world.state()
    shutil.rmtree(world.locations["loc1"])
    spoilt = spoil_a_tenth(world, "loc2")
    for client in NAMES:
        assert world.restore(client) == state
    code, found = problems(world, "scrub", "--all", *WHOLE)
    assert (code, found) == (40, {("damaged", "loc2")})
    for client in NAMES:
        code, found = problems(world, "check", client)
        assert (code, found) == (40, {("damaged", "loc2"), ("unknown", "loc1")})

    # The custodians and the worker's keys leave the machine: what follows needs none of them.
    kept = world.root / "elsewhere"
    shutil.copytree(world.home, kept)
    shutil.rmtree(world.home / "custodians")
    for secret in (world.home / "secrets").glob("worker-*"):
        secret.unlink()
    done = world.command("location", "add", str(world.locations["loc1"]))
    assert done.returncode == 3, done.stderr
    assert "Made location loc1 again" in done.stdout
    assert done.stderr.count("warning: not copied: ") == done.stderr.count("/kits/") > 0
    done = world.command("vault", "repair", "--all", "--json")
    rows = [row for one in json.loads(done.stdout) for row in one["locations"]]
    replaced = {row["location"]: 0 for row in rows}
    for row in rows:
        replaced[row["location"]] += row["replaced"]
    assert replaced == {"loc1": 0, "loc2": len(spoilt), "loc3": 0}
    assert all("/kits/" in key for row in rows for key in row["left_out"])
    scrubbed = world.command("vault", "scrub", "--all", *WHOLE, "--json")
    assert {one["kind"] for each in json.loads(scrubbed.stdout) for one in each["problems"]} <= {
        "missing"
    }

    # Back on the machine that has custodians, the sealed key tables follow.
    for part in ("custodians", "secrets"):
        shutil.rmtree(world.home / part, ignore_errors=True)
        shutil.copytree(kept / part, world.home / part)
    assert world.command("vault", "repair", "--all").returncode == 0
    assert [objects(world, name) for name in world.locations] == [good] * 3
    # So is the ledger: what was placed before a location was lost, and what came since.
    now = ledger(world, "loc3")
    assert placed.items() < now.items()
    assert [ledger(world, name) for name in world.locations] == [now] * 3
    assert problems(world, "scrub", "--all", *WHOLE) == (0, set())
    for client in NAMES:
        assert problems(world, "check", client, "--read") == (0, set())
    for name in ("loc2", "loc3"):
        shutil.rmtree(world.locations[name])
    for client in (NORMAL, HIGH):
        assert world.restore(client) == state
