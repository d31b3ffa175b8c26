"""kill -9 thrash: many processes at once on one home, killed at random; nothing good is lost.

STRONGROOM_THRASH_SECONDS and STRONGROOM_THRASH_SEED say how long and with which chance.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.faults.thrash.people import Person
from tests.faults.thrash.reckoning import reckon
from tests.faults.thrash.server import ServedBank
from tests.faults.thrash.weather import Weather
from tests.faults.thrash.world import LIVE, ThrashWorld
from tests.support.postgres import (
    SUPERUSER_PASSWORD,
    Postgres,
    PostgresAbsentError,
    running_postgres,
)
from tests.support.postgres_home import use_tools

SHORT_SECONDS = 8.0
LONG_SECONDS = 1800.0
PEOPLE = 4
PAUSE_SECONDS = 0.15
# The reckoning restores so few of each client's snapshots, twice, that it stays short.
SECONDS_A_RESTORE = 30


def thrash(world: ThrashWorld, seed: int, seconds: float) -> None:
    """Let people, weather and applications at a home for a time; raises what any of them did."""
    stop = threading.Event()
    people = [Person(world, random.Random(f"{seed} {n}"), stop).work for n in range(PEOPLE)]
    weather = Weather(world, random.Random(f"{seed} weather"), stop).blow
    tasks: list[Callable[[], None]] = [*people, weather, lambda: write(world, seed, stop)]
    with ThreadPoolExecutor(len(tasks)) as pool:
        running = [pool.submit(task) for task in tasks]
        deadline = time.monotonic() + seconds
        # On a slow machine a short time may see nobody killed: then it takes longer.
        while not any(task.done() for task in running) and (
            time.monotonic() < deadline or not world.counts["killed by SIGKILL"]
        ):
            time.sleep(0.1)
        stop.set()
        for task in running:
            task.result()


def write(world: ThrashWorld, seed: int, stop: threading.Event) -> None:
    """Write the live sources as their applications do, in spurts."""
    chance = random.Random(f"{seed} writing")
    sources = [source for of_client in world.clients.values() for source in of_client]
    while not stop.wait(chance.choice((0.01, 0.01, PAUSE_SECONDS, 1.5))):
        for source in chance.sample(sources, chance.randint(1, len(sources))):
            source.step()


@pytest.fixture(autouse=True)
def heeds_interrupts() -> Iterator[None]:
    """A shell that runs this in the background lets all its children ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def run_whole(
    root: Path,
    seconds: float,
    record: Callable[[str, object], None],
    server: Postgres | None = None,
) -> None:
    seed = int(os.environ.get("STRONGROOM_THRASH_SEED") or random.randrange(10**6))
    world = ThrashWorld(root)
    served = "with a server" if server else "without a server"
    record("counts", f"thrash, seed {seed}, {seconds:.0f} s, {served}")
    world.make(*LIVE)
    if server:
        use_tools(root, server.tools)
        source = ServedBank(server, "served")
        world.add("served", [source], "--password-file", "-", stdin=f"{SUPERUSER_PASSWORD}\n")
    assert world.findings == []
    began = time.monotonic()
    thrash(world, seed, seconds)
    world.counts["seconds of thrash"] = round(time.monotonic() - began)
    reckon(world, random.Random(f"{seed} reckoning"), max(2, round(seconds / SECONDS_A_RESTORE)))
    world.counts["seconds with the reckoning"] = round(time.monotonic() - began)
    for what, count in sorted(world.counts.items()):
        record("counts", f"  {count:6}  {what}")
    assert not world.findings, "\n\n".join([f"seed {seed}", *world.findings])
    # Proves that there was something to lose.
    assert world.counts["restores equal"] >= len(world.clients) * 2
    assert world.counts["killed by SIGKILL"]


def test_a_short_thrash(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    run_whole(tmp_path, SHORT_SECONDS, record_property)


@pytest.mark.long
@pytest.mark.timeout(3 * 3600)
def test_a_long_thrash(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    seconds = float(os.environ.get("STRONGROOM_THRASH_SECONDS") or LONG_SECONDS)
    with ExitStack() as stack:
        server = None
        with suppress(PostgresAbsentError):
            server = stack.enter_context(running_postgres(18))
        run_whole(tmp_path, seconds, record_property, server)


def test_a_lost_pack_is_named(tmp_path: Path) -> None:
    """The tests above would prove nothing if a loss were not found, and found by name."""
    world = ThrashWorld(tmp_path)
    world.make("bank")
    world.clients["bank"][0].step()
    world.back_up_well("bank")
    pack = sorted(tmp_path.glob("loc1/*/vaults/*/packs/*/*"))[0]
    for place in world.locations:
        (place / pack.relative_to(tmp_path / "loc1")).unlink()
    forgotten = ("bank", "0" * 64)
    world.kept[forgotten] = world.kept[next(iter(world.kept))]
    # Which of the snapshots had that pack is chance, so the reckoning restores all three of them.
    reckon(world, random.Random(0), 3)
    found = "\n".join(world.findings)
    assert f"packs/{pack.parent.name}/{pack.name}: " in found
    assert "is lost" in found
    assert f"no longer lists {forgotten[1]}" in found
