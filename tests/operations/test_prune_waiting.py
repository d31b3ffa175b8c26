"""What waits to be deleted is as whole as what stays, until it is deleted."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from strongroom.adapters.machine.lock import AlreadyRunning
from strongroom.app import App
from strongroom.clients import History, Keep
from strongroom.errors import Damaged
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.fill_locations import repair_client
from strongroom.operations.look_at_custodians import find_member
from strongroom.operations.prune import PruneOutcome, PruneRequest, prune
from strongroom.operations.rotate import rotate
from strongroom.operations.tombs import read_own
from strongroom.vault import Vault
from tests.journeys.world import (
    NORMAL,
    ROOT,
    LiveState,
    World,
    files_below,
    keep_template,
    look_at,
    make_world,
    refused,
    silent,
    template_of,
)
from tests.support.stepping_clock import SteppingClock


@dataclass(frozen=True, slots=True)
class Waiting:
    """A home whose first two snapshots are deleted and whose third waits.

    The third needs what the second had stored, and nothing that stays does: the second's pack and
    index object wait, too, though the second is gone.
    """

    world: World
    clock: SteppingClock
    states: dict[str, LiveState]

    @property
    def ids(self) -> list[str]:
        return list(self.states)

    def back_up(self) -> None:
        report = self.world.back_up()
        assert (report.state, report.problems) == ("good", [])
        self.states[report.snapshot] = self.world.state()
        self.clock.step(days=1)

    def prune(self, oldest: int) -> PruneOutcome:
        with self.world.open() as deployment:
            client = deployment.registry.client(NORMAL)
            return prune(deployment, client, PruneRequest(oldest=oldest))

    def assert_third_and_later_restore(self) -> None:
        for snapshot in self.ids[2:]:
            assert self.world.restore(NORMAL, snapshot) == self.states[snapshot]

    def tombs(self) -> list[Vault.Tomb]:
        with self.world.open() as deployment:
            client = deployment.registry.client(NORMAL)
            keys = deployment.worker_keys(client)
            with deployment.tools.history(client.id) as history:
                return [read_own(deployment, client, keys, row) for row in history.tombs()]

    def deleted(self) -> list[History.Buried]:
        with self.world.open() as deployment:
            client = deployment.registry.client(NORMAL)
            with deployment.tools.history(client.id) as history:
                return history.deleted()

    def lose_index(self) -> None:
        for path in self.world.home.glob("clients/*/index.db*"):
            path.unlink()

    def objects(self, location: str) -> set[str]:
        folder = self.world.vault_folder(location, NORMAL)
        return {str(path.relative_to(folder)) for path in files_below(folder)}

    def repair(self) -> list[list[str]]:
        with self.world.open() as deployment:
            client = deployment.registry.client(NORMAL)
            return [one.left_out for one in repair_client(deployment, client).values()]

    def problems(self) -> list[tuple[str, str]]:
        with self.world.open() as deployment:
            client = deployment.registry.client(NORMAL)
            found = check_vault(deployment, client, CheckRequest(read=True), silent)
        return [(one.kind, one.object) for one in found.problems]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Waiting:
    clock = SteppingClock()
    made = make_world(tmp_path_factory.mktemp("waiting") / "world", clients=(NORMAL,))
    world = World(made.root, made.kits, App(clock=clock))
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        fact = deployment.fact("client.keep_set", client.id, before="1d", after="1d")
        deployment.registry.set_keep(client, Keep(daily=2, weekly=0, monthly=0, floor=2), fact)
    # More stays than goes, as in any vault that prune would touch.
    (world.tree / "staying").write_bytes(os.urandom(200_000))
    waiting = Waiting(world, clock, {})
    waiting.back_up()
    (world.tree / "passing").write_text("needed by the second and the third", encoding="utf-8")
    waiting.back_up()
    (world.tree / "more").write_text("needed by the third", encoding="utf-8")
    waiting.back_up()
    for name in ("passing", "more"):
        (world.tree / name).unlink()
    for _ in range(3):
        waiting.back_up()
    assert waiting.prune(oldest=2).snapshots == waiting.ids[:2]
    clock.step(hours=73)
    done = waiting.prune(oldest=1)
    assert (done.snapshots, done.problems) == ([waiting.ids[2]], [])
    assert done.deleted_objects > 0
    first, second = waiting.tombs()
    assert f"index/{first.snapshots[1].index}" in second.objects
    keep_template(world)
    return waiting


@pytest.fixture
def waiting(template: Waiting) -> Waiting:
    shutil.rmtree(template.world.root)
    subprocess.run(["cp", "-a", template_of(template.world), template.world.root], check=True)
    clock = SteppingClock()
    clock.at = template.clock.at
    world = replace(template.world, app=App(clock=clock))
    return Waiting(world, clock, dict(template.states))


def test_who_keeps_former_keys_is_named_once_something_is_deleted(waiting: Waiting) -> None:
    with waiting.world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        rotate(deployment, client, find_member(deployment, "custodian-1"))
    waiting.clock.step(days=4)
    done = waiting.prune(1)
    assert done.deleted_objects
    (note,) = done.notes
    assert note.startswith("custodian-1 keeps former keys: `strongroom custodian rotate")


def test_what_waits_is_restored_without_its_index(waiting: Waiting) -> None:
    waiting.lose_index()
    waiting.assert_third_and_later_restore()
    waiting.lose_index()
    waiting.back_up()
    waiting.assert_third_and_later_restore()
    assert waiting.problems() == []


def test_a_recovery_brings_back_what_waits(waiting: Waiting) -> None:
    waiting.world.lose_home()
    (recovered,), damaged = waiting.world.recover(waiting.world.kits[:2])
    assert (recovered.snapshots, damaged) == (4, [])
    waiting.assert_third_and_later_restore()
    waiting.back_up()
    assert waiting.problems() == []


def test_the_rescue_file_reads_what_waits(waiting: Waiting, tmp_path: Path) -> None:
    kits = tmp_path / "kits"
    kits.write_text("\n".join(waiting.world.kits[:2]), encoding="utf-8")
    places = [
        part for path in waiting.world.locations.values() for part in ("--location", str(path))
    ]
    script = str(ROOT / "rescue" / "strongroom_rescue.py")
    third, to = waiting.ids[2], tmp_path / "rescued"
    done = subprocess.run(
        [
            *(sys.executable, "-I", "-B", script, *places, "--kits", str(kits)),
            *("restore", NORMAL, third, "--to", str(to)),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert look_at(to / "data.db", to / "tree") == waiting.states[third]


def test_an_index_object_is_forgotten_when_it_is_deleted(waiting: Waiting) -> None:
    folder = waiting.world.vault_folder("loc1", NORMAL) / "index"
    assert [bool(one.index) for one in waiting.deleted()] == [True, True]
    waiting.clock.step(hours=73)
    assert waiting.prune(oldest=1).deleted_objects > 0
    gone = waiting.deleted()
    assert [one.hash for one in gone] == waiting.ids[:3]
    assert [bool(one.index) for one in gone] == [True, False, False]
    assert (folder / gone[0].index).exists()
    waiting.lose_index()
    waiting.back_up()
    for snapshot in waiting.ids[3:]:
        assert waiting.world.restore(NORMAL, snapshot) == waiting.states[snapshot]


@pytest.mark.parametrize("hours", [0, 73], ids=["before", "after the wait"])
def test_repair_brings_what_waits_and_check_agrees(waiting: Waiting, hours: int) -> None:
    waiting.clock.step(hours=hours)
    whole = waiting.objects("loc1")
    shutil.rmtree(waiting.world.vault_folder("loc2", NORMAL))
    assert waiting.problems() != []
    assert waiting.repair() == [[], [], []]
    assert waiting.objects("loc2") == whole
    assert waiting.problems() == []


def test_repair_brings_nothing_back_that_is_deleted(waiting: Waiting) -> None:
    folder = waiting.world.vault_folder("loc3", NORMAL)
    aside = waiting.world.root / "aside"
    waiting.clock.step(hours=73)
    shutil.copytree(folder, aside)
    deleted = waiting.prune(oldest=1)
    assert deleted.deleted_objects > 0
    whole = waiting.objects("loc1")
    shutil.copytree(aside, folder, dirs_exist_ok=True)
    assert waiting.objects("loc3") > whole
    shutil.rmtree(waiting.world.vault_folder("loc2", NORMAL))
    assert waiting.repair() == [[], [], []]
    assert waiting.objects("loc2") == whole
    assert waiting.problems() == []


def test_a_running_backup_is_not_disturbed(waiting: Waiting) -> None:
    with waiting.world.open() as deployment:
        vault = deployment.registry.client(NORMAL).vault
        with deployment.tools.lock(vault), pytest.raises(AlreadyRunning):
            waiting.prune(oldest=1)


def test_a_snapshot_that_nobody_can_open_stops_no_recovery(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was taken over signs any body it likes, and custodians sign for that."""
    with monkeypatch.context() as patch:
        patch.setattr("strongroom.vault.backup.encode_body", lambda *_, **__: bytes(200))
        assert isinstance(refused(waiting.back_up), Damaged)
    waiting.world.lose_home()
    (recovered,), _ = waiting.world.recover(waiting.world.kits[:2])
    assert recovered.snapshots == len(waiting.ids) - 2 + 1
    waiting.assert_third_and_later_restore()
    report = waiting.world.back_up()
    assert report.state == "good"
    assert any("nothing builds on it" in problem for problem in report.problems)
    assert waiting.world.restore(NORMAL) == waiting.world.state()


def test_an_index_object_that_is_lost_everywhere_stops_no_backup(waiting: Waiting) -> None:
    with waiting.world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.index(client.id) as index, index.reading() as db:
            query = "SELECT index_hash FROM attempt WHERE snapshot = ?"
            ((kept,),) = db.rows(query, (waiting.ids[3],))
    for name in waiting.world.locations:
        (waiting.world.vault_folder(name, NORMAL) / "index" / kept.hex()).unlink()
    waiting.lose_index()
    report = waiting.world.back_up()
    assert report.state == "good"
    assert any("nothing builds on it" in problem for problem in report.problems)
    assert waiting.world.restore(NORMAL) == waiting.world.state()
