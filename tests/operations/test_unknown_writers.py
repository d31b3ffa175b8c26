"""What a home has written that other kits recovered: unknown here, and neither forged nor orphaned.

Of four custodians any two open a key, so a home can follow one whose custodians are all away.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.clients import Keep
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.fill_locations import repair_client
from strongroom.operations.prune import PruneOutcome, PruneRequest, prune
from strongroom.operations.prune_floor import BeyondFloor
from strongroom.operations.scrub import ScrubReport, ScrubRequest, scrub_vault
from tests.journeys.world import (
    NORMAL,
    LiveState,
    World,
    change_live_data,
    files_below,
    fresh_copy,
    keep_template,
    make_world,
    silent,
)
from tests.support.stepping_clock import SteppingClock


@dataclass(frozen=True, slots=True)
class Follower:
    """A home that follows one of whose writer its kits know nothing."""

    world: World
    clock: SteppingClock
    snapshot: str
    state: LiveState
    """What the home before it kept last, under which id."""
    strange: Mapping[str, bytes]
    """What a writer signed that this home does not know, by key below the vault."""

    def scrub(self) -> ScrubReport:
        with self.world.open() as deployment:
            client = deployment.registry.client(NORMAL)
            return scrub_vault(deployment, client, ScrubRequest(1), silent)

    def prune(self) -> PruneOutcome:
        with self.world.open() as deployment:
            return prune(deployment, deployment.registry.client(NORMAL), PruneRequest())

    def would_go(self) -> list[str]:
        """Return the snapshots that a prune would let go which keeps no more than it must."""
        with self.world.open() as deployment:
            client = deployment.registry.client(NORMAL)
            fact = deployment.fact("client.keep_set", client.id, before="7d", after="1d")
            keep = Keep(daily=1, weekly=0, monthly=0, floor=1)
            deployment.registry.set_keep(client, keep, fact)
            client = deployment.registry.client(NORMAL)
            return prune(deployment, client, PruneRequest(dry_run=True)).snapshots

    def path(self, key: str) -> Path:
        return self.world.vault_folder("loc1", NORMAL) / key


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Follower:
    folder = tmp_path_factory.mktemp("follower") / "world"
    first = make_world(folder, clients=(NORMAL,), custodians=4)
    assert first.back_up().problems == []
    before = objects(first)
    snapshot = recover_and_back_up(first, 1, 2)
    state, after = first.state(), objects(first)
    recover_and_back_up(first, 3, 4)
    keep_template(first)
    strange = {
        key: after[key]
        for key in after.keys() - before.keys()
        if key.partition("/")[0] not in ("packs", "receipts")
    }
    return Follower(first, SteppingClock(), snapshot, state, strange)


@pytest.fixture
def follower(made: Follower) -> Follower:
    fresh_copy(made.world)
    clock = SteppingClock()
    world = World(made.world.root, made.world.kits, App(clock=clock))
    return Follower(world, clock, made.snapshot, made.state, made.strange)


def objects(world: World) -> dict[str, bytes]:
    folder = world.vault_folder("loc1", NORMAL)
    return {str(one.relative_to(folder)): one.read_bytes() for one in files_below(folder)}


def recover_and_back_up(world: World, *kits: int) -> str:
    world.lose_home()
    world.recover([world.kits[number - 1] for number in kits])
    change_live_data(world, sum(kits))
    report = world.back_up()
    assert (report.state, report.problems) == ("good", [])
    return report.snapshot


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def test_it_is_unknown_and_not_called_forged(follower: Follower) -> None:
    parts = {key.partition("/")[0] for key in follower.strange}
    assert parts == {"config", "index", "keys", "snapshots"}
    report = follower.scrub()
    assert report.problems == []
    assert report.not_judged >= len(follower.strange)
    with follower.world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        found = check_vault(deployment, client, CheckRequest(read=True), silent)
        filled = repair_client(deployment, client)
    assert found.problems == []
    assert found.not_judged >= len(follower.strange)
    assert [one.left_out for one in filled.values()] == [[], [], []]


def test_what_is_ours_is_damaged_all_the_same(follower: Follower) -> None:
    ours = [
        key
        for key in objects(follower.world).keys() - follower.strange.keys()
        if key.startswith(("keys/", "index/", "snapshots/", "config/"))
    ]
    for key in ours:
        spoil(follower.path(key))
    found = follower.scrub().problems
    assert {one.object.split("/", 3)[3] for one in found} == set(ours) != set()
    assert {(one.kind, one.location) for one in found} == {("damaged", "loc1")}
    with follower.world.open() as deployment:
        repair_client(deployment, deployment.registry.client(NORMAL))
    assert follower.scrub().problems == []


def test_no_prune_takes_it_for_orphans_and_all_kits_bring_it_back(follower: Follower) -> None:
    before = objects(follower.world)
    for _ in range(2):
        follower.clock.step(days=10)
        outcome = follower.prune()
        assert (outcome.goes_orphans, outcome.deleted_objects) == (0, 0)
        assert outcome.snapshots == []
        assert any("recover with all kits" in one for one in outcome.notes)
    assert before.keys() <= objects(follower.world).keys()
    follower.world.lose_home()
    follower.world.recover(follower.world.kits)
    assert follower.world.restore(NORMAL, follower.snapshot) == follower.state
    assert follower.world.back_up().problems == []
    report = follower.scrub()
    assert (report.problems, report.not_judged) == ([], 0)


def test_no_snapshot_goes_on_which_an_unknown_one_may_rest(follower: Follower) -> None:
    """A source that failed is carried over: a snapshot of theirs may need packs of an older one."""
    assert follower.would_go() == []
    follower.world.lose_home()
    follower.world.recover(follower.world.kits)
    assert follower.world.back_up().problems == []
    with pytest.raises(BeyondFloor, match="of the 3 newest"):
        # Whoever knows all writers plans as ever, and comes as far as the floor.
        follower.would_go()


def test_where_no_unknown_writer_is_named_nothing_is_excused(tmp_path: Path) -> None:
    """A custodian that is away alone makes nothing unknown but what is sealed to its kit."""
    world = make_world(tmp_path / "world", clients=(NORMAL,))
    assert world.back_up().problems == []
    other = make_world(tmp_path / "other", clients=(NORMAL,))
    assert other.back_up().problems == []
    vault, foreign = world.vault_folder("loc1", NORMAL), other.vault_folder("loc1", NORMAL)
    planted = [next(foreign.glob(f"{part}/*")) for part in ("keys", "index")]
    for path in planted:
        (vault / path.relative_to(foreign)).write_bytes(path.read_bytes())
    world.custodian(3).rename(tmp_path / "away")
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        report = scrub_vault(deployment, client, ScrubRequest(1), silent)
    assert [(one.kind, one.location) for one in report.problems] == [
        ("unauthenticated", "loc1")
    ] * len(planted)
