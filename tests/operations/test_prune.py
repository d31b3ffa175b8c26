"""`vault prune` on a real home: what it refuses, what it waits for, what it never touches."""

import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from strongroom.app import App
from strongroom.clients import Keep, Snapshot
from strongroom.crypto.hashing import content_hash
from strongroom.errors import Damaged, Refused, Stale
from strongroom.locations import Copies, Location, LocationUnavailable
from strongroom.operations import vault_config
from strongroom.operations.add_client import add_source
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import repair_client
from strongroom.operations.prune import PruneOutcome, PruneRequest, prune
from strongroom.operations.receipts import OlderHome, fetch_record
from strongroom.operations.vault_config import NewerVault
from tests.journeys.world import (
    NORMAL,
    LiveState,
    World,
    change_live_data,
    files_below,
    make_world,
    refused,
    silent,
    template_of,
)
from tests.support.stepping_clock import SteppingClock
from tests.support.telling import told
from tests.support.wrong_tombs import bury

DAYS = 12
KEEP = "2d1w1m2f"


@dataclass(frozen=True, slots=True)
class Kept:
    """A home of twelve days, of which the policy keeps few, with what was kept each day."""

    world: World
    clock: SteppingClock
    states: dict[str, LiveState]

    def prune(
        self, *, dry_run: bool = False, oldest: int | None = None, below_floor: bool = False
    ) -> PruneOutcome:
        asked = PruneRequest(dry_run, oldest, below_floor=below_floor)
        with self.world.open() as deployment:
            return prune(deployment, deployment.registry.client(NORMAL), asked)

    def snapshots(self) -> list[str]:
        with self.world.open() as deployment:
            client = deployment.registry.client(NORMAL)
            with deployment.tools.history(client.id) as history:
                return [one.hash for one in history.snapshots()]

    def problems(self) -> list[tuple[str, str]]:
        with self.world.open() as deployment:
            client = deployment.registry.client(NORMAL)
            found = check_vault(deployment, client, CheckRequest(read=True), silent)
        return [(one.kind, one.object) for one in found.problems]

    def back_up(self) -> str:
        report = self.world.back_up()
        assert (report.state, report.problems) == ("good", [])
        self.states[report.snapshot] = self.world.state()
        return report.snapshot

    def assert_all_restore(self) -> None:
        for snapshot in self.snapshots():
            assert self.world.restore(NORMAL, snapshot) == self.states[snapshot]

    def set_keep(self, keep: str) -> None:
        with self.world.open() as deployment:
            client = deployment.registry.client(NORMAL)
            fact = deployment.fact("client.keep_set", client.id, before="1d", after="1d")
            deployment.registry.set_keep(client, Keep.parse(keep), fact)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    clock = SteppingClock()
    made = make_world(tmp_path_factory.mktemp("prune") / "world", clients=(NORMAL,))
    kept = Kept(World(made.root, made.kits, App(clock=clock)), clock, {})
    kept.set_keep(KEEP)
    for day in range(DAYS):
        change_live_data(kept.world, day)
        kept.back_up()
        clock.step(days=1)
    subprocess.run(["cp", "-a", made.root, template_of(made)], check=True)
    return kept


@pytest.fixture
def kept(template: Kept) -> Kept:
    shutil.rmtree(template.world.root)
    subprocess.run(["cp", "-a", template_of(template.world), template.world.root], check=True)
    clock = SteppingClock()
    clock.at = template.clock.at
    world = World(template.world.root, template.world.kits, App(clock=clock))
    return Kept(world, clock, dict(template.states))


def objects(world: World, location: str = "loc1") -> dict[str, bytes]:
    folder = world.vault_folder(location, NORMAL)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files_below(folder)}


def test_it_announces_waits_and_deletes(kept: Kept) -> None:
    before, ids = objects(kept.world), kept.snapshots()
    planned = kept.prune(oldest=6)
    assert (planned.state, planned.goes_snapshots, planned.deleted_objects) == ("planned", 6, 0)
    assert planned.snapshots == ids[:6]
    assert (
        objects(kept.world).keys() - before.keys()
        == {key for key in objects(kept.world) if key.startswith(("tombs/", "config/"))}
        - before.keys()
    )

    kept.clock.step(hours=71)
    assert kept.prune(oldest=1).deleted_objects == 0
    assert set(kept.snapshots()) == set(ids)
    # Until it is deleted, what was announced is whole and comes back.
    assert kept.world.restore(NORMAL, ids[0]) == kept.states[ids[0]]
    assert kept.problems() == []

    kept.clock.step(hours=2)
    done = kept.prune(oldest=1)
    assert done.deleted_objects == 3 * planned.goes_objects
    assert done.problems == []
    gone = before.keys() - objects(kept.world).keys()
    assert len(gone) == planned.goes_objects
    assert kept.snapshots() == ids[6:]
    assert kept.problems() == []
    kept.back_up()
    kept.assert_all_restore()


def test_a_wait_that_was_made_shorter_meanwhile_is_no_wrong_clock(kept: Kept) -> None:
    settings = kept.world.home / "strongroom.toml"
    text = settings.read_text(encoding="utf-8")
    hours = "prune_wait_hours = 72"
    assert hours in text
    settings.write_text(text.replace(hours, "prune_wait_hours = 240"), encoding="utf-8")
    planned = kept.prune(oldest=2)
    settings.write_text(text.replace(hours, "prune_wait_hours = 24"), encoding="utf-8")
    kept.clock.step(hours=25)
    # What was announced keeps the wait that was announced with it.
    assert kept.prune(oldest=1).deleted_objects == 0
    kept.clock.step(hours=216)
    assert kept.prune(oldest=1).deleted_objects >= 3 * planned.goes_objects


def test_a_dry_run_changes_nothing_anywhere(kept: Kept) -> None:
    before = {name: objects(kept.world, name) for name in kept.world.locations}
    ids = kept.snapshots()
    found = kept.prune(dry_run=True, oldest=6)
    assert (found.state, found.goes_snapshots, found.not_before_at) == ("planned", 6, None)
    assert {name: objects(kept.world, name) for name in kept.world.locations} == before
    assert kept.snapshots() == ids
    assert kept.prune(dry_run=True, oldest=6) == found


def test_more_than_half_within_one_wait_is_refused(kept: Kept) -> None:
    kept.set_keep("1d0w0m1f")
    with kept.world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        small = kept.world.root / "small"
        small.write_text("all that is left", encoding="utf-8")
        with deployment.tools.history(client.id) as history:
            for source in history.sources():
                history.remove_source(source, told())
        add_source(deployment, client, "small", "file", f"file://{small}")
    assert kept.world.back_up().state == "good"
    (kept.world.vault_folder("loc2", NORMAL) / "planted").write_bytes(bytes(10_000_000))
    error = refused(kept.prune)
    assert (error.code, error.exit_code) == ("beyond_floor", 4)
    assert "half" in error.what
    assert "--oldest" in error.hint
    assert not any(key.startswith("tombs/") for key in objects(kept.world))
    assert kept.prune(oldest=6).state == "planned"
    # What waits already counts: the rest is as much too much as before.
    assert "half" in refused(kept.prune).what


def test_a_floor_that_was_lowered_since_the_newest_snapshot_is_refused(kept: Kept) -> None:
    kept.set_keep("0d0w0m1f")
    error = refused(lambda: kept.prune(oldest=11))
    assert error.exit_code == 4
    assert "of the 2 newest good snapshots" in error.what
    assert "--below-floor" in error.hint
    assert kept.prune(oldest=11, below_floor=True).goes_snapshots == 11


def test_a_clock_that_went_back_stops_it(kept: Kept) -> None:
    kept.clock.step(days=-2)
    error = refused(kept.prune)
    assert (error.code, error.exit_code) == ("clock_in_doubt", 4)
    kept.clock.step(days=2)
    assert kept.prune(oldest=6).state == "planned"
    kept.clock.step(hours=-1)
    assert refused(kept.prune).code == "clock_in_doubt"


@pytest.mark.parametrize("what", ["packs", "snapshots", "keys", "index", ""])
def test_an_empty_or_short_listing_never_leads_to_a_deletion(kept: Kept, what: str) -> None:
    kept.prune(oldest=6)
    kept.clock.step(hours=73)
    hidden = []
    for name in kept.world.locations:
        folder = kept.world.vault_folder(name, NORMAL) / what
        folder.rename(folder.parent / "hidden")
        hidden.append((folder.parent / "hidden", folder))
        if what != "":
            folder.mkdir()
    before = [path for root, _ in hidden for path in files_below(root)]
    error = refused(lambda: kept.prune(oldest=1))
    # With nothing left at all not even the config is there, which is told first.
    assert isinstance(error, Stale if what else Damaged), error
    assert [path for root, _ in hidden for path in files_below(root)] == before
    for put_aside, folder in hidden:
        if what != "":
            folder.rmdir()
        put_aside.rename(folder)
    assert kept.prune(oldest=1).deleted_objects > 0
    kept.back_up()
    kept.assert_all_restore()


def test_a_location_that_lists_less_is_left_alone_and_named(kept: Kept) -> None:
    kept.prune(oldest=6)
    kept.clock.step(hours=73)
    newest = newest_packs(kept)
    lost = kept.world.vault_folder("loc2", NORMAL) / newest
    aside = kept.world.root / "aside"
    lost.rename(aside)
    before = objects(kept.world, "loc2")
    done = kept.prune(oldest=1)
    assert any("loc2" in problem for problem in done.problems)
    assert before.keys() <= objects(kept.world, "loc2").keys()
    aside.rename(lost)
    again = kept.prune(oldest=1)
    assert again.problems == []
    assert again.deleted_objects > 0
    assert objects(kept.world, "loc2").keys() == objects(kept.world, "loc1").keys()


def newest_packs(kept: Kept) -> str:
    """Return a pack that the newest snapshot brought, relative to the vault."""
    packs = files_below(kept.world.vault_folder("loc2", NORMAL) / "packs")
    newest = max(packs, key=lambda path: path.stat().st_mtime_ns)
    return str(newest.relative_to(kept.world.vault_folder("loc2", NORMAL)))


def test_an_absent_location_is_named_and_continued_later(kept: Kept) -> None:
    kept.prune(oldest=6)
    kept.clock.step(hours=73)
    place = kept.world.locations["loc3"]
    place.rename(place.with_name("away"))
    done = kept.prune(oldest=1)
    assert any("loc3" in problem for problem in done.problems)
    assert done.deleted_objects > 0
    place.with_name("away").rename(place)
    # What the others have deleted is neither missing there nor brought back.
    kept.clock.step(days=1)
    kept.back_up()
    held = objects(kept.world).keys()
    with kept.world.open() as deployment:
        repair_client(deployment, deployment.registry.client(NORMAL))
    assert objects(kept.world).keys() == held
    assert kept.problems() == []
    again = kept.prune(oldest=1)
    assert (again.problems, again.deleted_objects > 0) == ([], True)
    assert objects(kept.world, "loc3").keys() == objects(kept.world, "loc1").keys()
    kept.assert_all_restore()


def test_dedup_never_refers_to_what_goes(kept: Kept) -> None:
    """Data of an announced snapshot comes back into the source: it is stored again."""
    ids = kept.snapshots()
    old = kept.world.root / "old"
    with kept.world.open() as deployment:
        from_old = deployment.registry.client(NORMAL)
        assert from_old.keep == Keep.parse(KEEP)
    kept.world.command("restore", NORMAL, ids[2], "--to", str(old))
    kept.prune(oldest=6)
    shutil.rmtree(kept.world.tree)
    shutil.copytree(old / "tree", kept.world.tree, symlinks=True)
    kept.back_up()
    kept.clock.step(hours=73)
    assert kept.prune(oldest=1).rescued == 0
    kept.assert_all_restore()
    assert kept.problems() == []


@pytest.mark.parametrize("when", ["announced", "deleted"])
def test_a_lost_index_is_rebuilt_and_knows_what_goes(kept: Kept, when: str) -> None:
    kept.prune(oldest=6)
    kept.clock.step(hours=73)
    if when == "deleted":
        assert kept.prune(oldest=1).deleted_objects > 0
    for path in kept.world.home.glob("clients/*/index.db*"):
        path.unlink()
    change_live_data(kept.world, 50)
    kept.back_up()
    kept.prune(oldest=1)
    kept.assert_all_restore()
    assert kept.problems() == []


def test_what_a_snapshot_needs_again_is_rescued(kept: Kept) -> None:
    kept.prune(oldest=6)
    needed = newest_packs(kept)
    with kept.world.open() as deployment:
        bury(deployment, deployment.registry.client(NORMAL), [needed])
    assert_is_mended(kept, needed)
    kept.clock.step(hours=73)
    done = kept.prune(oldest=1)
    assert done.rescued == 1
    assert needed in objects(kept.world)
    assert_is_mended(kept, needed)
    kept.assert_all_restore()
    assert kept.problems() == []


def test_what_a_needed_session_was_dealt_anew_with_is_rescued_with_it(kept: Kept) -> None:
    kept.prune(oldest=6)
    with kept.world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        newest = fetch_record(deployment, client, history_of(deployment)[-1])
        session = newest.statement.fields("snapshot")["sessions"][0]
        part = f"00000002/{session}"
        goes = [f"keys/{session}", f"redealt/{part}", f"redeal-receipts/{part}/{'ab' * 16}"]
        folders = [kept.world.vault_folder(name, NORMAL) for name in kept.world.locations]
        for path in [folder / key for folder in folders for key in goes[1:]]:
            path.parent.mkdir(parents=True)
            path.write_bytes(b"dealt anew")
        bury(deployment, client, goes)
    kept.clock.step(hours=73)
    assert kept.prune(oldest=1).rescued == 3
    assert set(goes) <= objects(kept.world).keys()


def assert_is_mended(kept: Kept, key: str) -> None:
    """A location that loses this object gets it back."""
    (kept.world.vault_folder("loc1", NORMAL) / key).unlink()
    assert [kind for kind, _ in kept.problems()] == ["missing"]
    with kept.world.open() as deployment:
        repair_client(deployment, deployment.registry.client(NORMAL))
    assert key in objects(kept.world)


def hit_by_pack(kept: Kept) -> dict[str, set[str]]:
    """Return which snapshots need each pack, as a check of a location without packs says."""
    folder = kept.world.vault_folder("loc1", NORMAL) / "packs"
    folder.rename(kept.world.root / "aside")
    with kept.world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        found = check_vault(deployment, client, CheckRequest(), silent)
    (kept.world.root / "aside").rename(folder)
    assert found.lost_objects == 0
    vault = folder.parent
    root = str(vault.relative_to(kept.world.locations["loc1"]))
    hits = [(one.object.removeprefix(f"{root}/"), set(one.hit)) for one in found.problems]
    return {key: hit for key, hit in hits if key.startswith("packs/")}


def test_a_lost_pack_stops_no_deletion_and_goes_with_its_snapshots(kept: Kept) -> None:
    ids = kept.snapshots()
    hit = hit_by_pack(kept)
    stays = next(key for key, one in hit.items() if ids[-1] in one)
    goes = next(key for key, one in hit.items() if one and one <= set(ids[:6]))
    for name in kept.world.locations:
        for key in (stays, goes):
            (kept.world.vault_folder(name, NORMAL) / key).unlink()
    assert refused(lambda: kept.prune(oldest=6)).code == "short_listing"
    assert {key.partition("/vaults/")[2][33:] for _, key in kept.problems()} == {stays, goes}
    newest = kept.back_up()
    assert kept.prune(oldest=6).state == "planned"
    kept.clock.step(hours=71)
    assert {key.partition("/vaults/")[2][33:] for _, key in kept.problems()} == {stays, goes}
    kept.clock.step(hours=2)
    done = kept.prune(oldest=1)
    assert (done.deleted_objects > 0, done.problems) == (True, [])
    # What nothing needs any more is missing nowhere; what is needed still is.
    with kept.world.open() as deployment:
        filled = repair_client(deployment, deployment.registry.client(NORMAL)).values()
    assert all(len(one.left_out) == 1 and stays in one.left_out[0] for one in filled)
    assert {key.partition("/vaults/")[2][33:] for _, key in kept.problems()} == {stays}
    assert kept.world.restore(NORMAL, newest) == kept.states[newest]


class Locked:
    """A location that keeps its objects for a time, as a bucket with object lock does."""

    def __init__(self, inner: Location) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def delete(self, key: str) -> None:
        raise LocationUnavailable.read_only(f"{key} cannot be deleted", "it is locked")


def test_a_location_that_does_not_let_go_is_no_error(kept: Kept) -> None:
    kept.prune(oldest=6)
    kept.clock.step(hours=73)
    before = objects(kept.world, "loc2")
    with kept.world.open() as deployment:
        locations = dict(deployment.copies.locations)
        locations["loc2"] = cast("Location", Locked(locations["loc2"]))
        with Copies(locations) as copies:
            locked = replace(deployment, copies=copies)
            client = locked.registry.client(NORMAL)
            done = prune(locked, client, PruneRequest(oldest=1))
    assert done.problems == []
    assert done.retained > 0
    assert objects(kept.world, "loc2").keys() >= before.keys()
    assert kept.problems() == []
    assert kept.prune(oldest=1).retained == 0
    assert objects(kept.world, "loc2").keys() == objects(kept.world, "loc1").keys()


def test_a_program_from_before_deletions_is_told_not_to_write(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.prune(oldest=6)
    monkeypatch.setattr(vault_config, "KNOWN_FEATURES", frozenset[str]())
    for action in (kept.prune, kept.world.back_up, kept.problems):
        error = refused(action)
        assert isinstance(error, NewerVault)
        assert "deletion" in error.why
    assert kept.world.restore() == kept.states[kept.snapshots()[-1]]


def test_a_custodian_that_was_away_can_still_catch_up(kept: Kept) -> None:
    home = kept.world.custodian(3)
    home.rename(home.with_name("away"))
    for day in range(3):
        change_live_data(kept.world, 60 + day)
        report = kept.world.back_up()
        kept.states[report.snapshot] = kept.world.state()
        kept.clock.step(days=1)
    kept.set_keep("1d2f")
    report = kept.world.back_up()
    kept.states[report.snapshot] = kept.world.state()
    planned = kept.prune(oldest=6)
    assert any("custodian-3" in note for note in planned.notes)
    kept.clock.step(hours=73)
    kept.prune(oldest=1)
    home.with_name("away").rename(home)
    kept.back_up()
    with kept.world.open() as deployment:
        assert {one.receipts for one in history_of(deployment)} == {3}


def history_of(deployment: Deployment) -> list[Snapshot]:
    client = deployment.registry.client(NORMAL)
    with deployment.tools.history(client.id) as history:
        return history.snapshots()


def test_a_home_that_a_recovery_replaced_does_not_prune(kept: Kept) -> None:
    old = kept.world.root / "old-home"
    shutil.copytree(kept.world.home, old)
    shutil.copytree(kept.world.keys, kept.world.root / "old-keys")
    kept.world.lose_home()
    kept.world.recover(kept.world.kits[:2])
    error = refused(kept.prune)
    assert (type(error), error.exit_code) == (Refused, 4)
    kept.back_up()
    shutil.rmtree(kept.world.home)
    shutil.copytree(old, kept.world.home)
    shutil.copytree(kept.world.root / "old-keys", kept.world.keys, dirs_exist_ok=True)
    assert isinstance(refused(kept.prune), OlderHome)


def test_orphans_go_when_they_are_older_than_the_wait(kept: Kept) -> None:
    digest = content_hash(b"left by a killed backup").hex()
    for name in kept.world.locations:
        folder = kept.world.vault_folder(name, NORMAL) / "packs" / digest[:2]
        folder.mkdir(exist_ok=True)
        (folder / digest).write_bytes(b"left by a killed backup")
        young = kept.clock.at.timestamp() - 3600
        os.utime(folder / digest, (young, young))
    assert kept.prune(dry_run=True, oldest=1).goes_orphans == 0
    kept.clock.step(hours=73)
    assert kept.prune(oldest=1).goes_orphans == 1
    kept.clock.step(hours=73)
    kept.prune(oldest=1)
    assert f"packs/{digest[:2]}/{digest}" not in objects(kept.world)
