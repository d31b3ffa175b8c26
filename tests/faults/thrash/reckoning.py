"""The reckoning after a thrash: is every snapshot that was ever good still there, and equal?"""

import json
import random
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.thrash.people import compare, find_vanished, look
from tests.faults.thrash.world import Ended, Kept, ThrashWorld

_ID = "[0-9a-f]{32}"
# Everything that may lie in a home when nobody is at work; home-v1 names it.
HOME_FILES = re.compile(
    rf"strongroom\.toml|(server|disclosures|search)\.db"
    rf"|clients/{_ID}/(client|disclosures|index|search)\.db"
    rf"|secrets/[a-z]+(-[a-z0-9]+)?|custodians/custodian-\d/custodian\.db|run/{_ID}\.lock"
)


def reckon(world: ThrashWorld, chance: random.Random, sample: int) -> None:
    """Mend, check, restore `sample` snapshots of each client, recover, restore them again."""
    for client in world.clients:
        world.well("vault", "repair", client, "--json")
        world.back_up_well(client)
        world.well("vault", "repair", client, "--json")
        checked = world.well("vault", "check", client, "--read", "--read-data", "--json")
        _tell_problems(world, checked)
    chosen = [one for client in world.clients for one in _choose(world, client, chance, sample)]
    _restore_all(world, chosen, world.home)
    world.findings += strays(world)
    _recover(world, chosen)


def _tell_problems(world: ThrashWorld, checked: Ended) -> None:
    try:
        problems = json.loads(checked.out)["problems"]
    except ValueError:
        return
    for one in problems:
        world.findings.append(f"{one['kind']} at {one['location']}: {one['object']}: {one['why']}")


def _choose(
    world: ThrashWorld, client: str, chance: random.Random, sample: int
) -> list[tuple[str, Kept]]:
    """Return the snapshots of a client to be restored: what is listed, told of or not."""
    ended = world.well("snapshots", client, "--json")
    find_vanished(world, client, ended)
    known: list[tuple[str, Kept]] = []
    for one in json.loads(ended.out):
        if one["state"] != "good":
            world.find(ended, f"says {one['snapshot']} is {one['state']}, and all are at work")
        told = world.kept.get((client, one["snapshot"]))
        # Killed after it was good and before it could say so: whole all the same.
        world.counts["snapshots good in the end"] += 1
        world.counts["of them never told of"] += told is None
        kept = told or Kept("good", world.any_window(client, one["sources"]), time.monotonic())
        known.append((f"{client} {one['snapshot']}", kept))
    if len(known) <= sample:
        return known
    return [known[0], *chance.sample(known[1:-1], sample - 2), known[-1]]


def _restore_all(world: ThrashWorld, chosen: Sequence[tuple[str, Kept]], home: Path) -> None:
    for name, kept in chosen:
        client, snapshot = name.split()
        folder = world.fresh()
        ended = world.run(["restore", client, snapshot, "--to", str(folder), "--json"], home=home)
        look(world, ended)
        if ended.code in {0, 3}:
            compare(world, ended, kept, folder)
            world.counts["restored in the reckoning"] += 1
        else:
            world.find(ended, "is lost")
        shutil.rmtree(folder, ignore_errors=True)


def strays(world: ThrashWorld) -> list[str]:
    """Name every file that nobody at work would have left."""
    found = [path for place in world.locations for path in (place / "tmp").iterdir()]
    for name in ("runtime", "temporary", "restored"):
        found += [path for path in (world.root / name).rglob("*") if not path.is_dir()]
    found += [path for path in (world.home / "run").iterdir() if path.stat().st_size]
    found += [
        path
        for path in world.home.rglob("*")
        if path.is_file() and not HOME_FILES.fullmatch(str(path.relative_to(world.home)))
    ]
    return [f"left behind: {path.relative_to(world.root)}" for path in found]


def _recover(world: ThrashWorld, chosen: Sequence[tuple[str, Kept]]) -> None:
    """Lose the home, rebuild it from the locations and two kits, and restore again."""
    world.home.rename(world.root / "lost")
    (world.root / "config").rename(world.root / "lost-config")
    kits = "\n".join(world.kits.splitlines()[:2])
    places = [word for place in world.locations for word in ("--location", str(place))]
    rebuilt = world.root / "rebuilt"
    world.well("recover", *places, "--kits", "-", "--json", stdin=kits, home=rebuilt)
    _restore_all(world, chosen, rebuilt)
