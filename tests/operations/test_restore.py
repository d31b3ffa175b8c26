"""A restore writes below its target only, needs no index of its own, and tells what it lacks."""

import dataclasses
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from strongroom.clients import ClientSource
from strongroom.errors import Damaged, StrongroomError, UsageError
from strongroom.operations import back_up as back_up_room
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.deployment import TargetOptions
from strongroom.operations.restore import RestoreReport, RestoreRequest, restore
from strongroom.operations.tell_status import tell_status
from strongroom.vault.snapshot_reader import SnapshotReader
from tests.adapters.sources.trees import portrait
from tests.journeys.world import (
    HIGH,
    NORMAL,
    World,
    change_live_data,
    fresh_copy,
    keep_template,
    make_world,
    refused,
    silent,
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An install with two good snapshots of each client; the live data is that of the second."""
    made = make_world(tmp_path_factory.mktemp("install") / "world")
    for number in (0, 1):
        if number:
            change_live_data(made, number)
        for client in (NORMAL, HIGH):
            assert made.back_up(client).problems == []
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


def bring_back(world: World, folder: Path, **options: bool) -> RestoreReport:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        request = RestoreRequest("latest", folder, options=TargetOptions(**options))
        return restore(deployment, client, request, silent)


def lose_indexes(world: World) -> None:
    found = [path for path in (world.home / "clients").rglob("index.db*") if path.is_file()]
    assert found
    for path in found:
        path.unlink()


def good_snapshot_by_a_hostile_writer(world: World, rename: Callable[[str], str]) -> None:
    """Make a signed, placed and receipted snapshot with other names than the home knows."""
    add_source = back_up_room._add_source

    def hostile(run: Any, writer: Any, source: ClientSource) -> None:
        renamed = dataclasses.replace(source, name=rename(source.name))
        add_source(run, writer, renamed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(back_up_room, "_add_source", hostile)
        patch.setattr("strongroom.vault.structure._check_names", lambda _: None)
        assert world.back_up().state == "good"


@pytest.mark.parametrize("absolute", [False, True])
def test_a_source_name_that_climbs_out_of_the_target(world: World, absolute: bool) -> None:
    victim = world.root / "victim"
    victim.mkdir()
    (victim / "precious").write_text("p", encoding="utf-8")
    name = str(victim) if absolute else "../victim"
    good_snapshot_by_a_hostile_writer(world, lambda own: name if own == "tree" else own)
    found = refused(lambda: bring_back(world, world.root / "out", overwrite=True))
    assert isinstance(found, Damaged)
    assert "a source cannot be named" in str(found)
    assert name[:10] in str(found)
    assert (victim / "precious").read_text(encoding="utf-8") == "p"
    assert not (world.root / "out").exists()


def test_the_operation_refuses_such_a_name_by_itself(world: World) -> None:
    good_snapshot_by_a_hostile_writer(world, lambda own: f"../../{own}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("strongroom.vault.structure._check_names", lambda _: None)
        found = refused(lambda: bring_back(world, world.root / "out"))
    assert isinstance(found, Damaged)
    assert "'../../data.db'" in str(found)


def test_two_sources_of_one_name_do_not_replace_each_other(world: World) -> None:
    good_snapshot_by_a_hostile_writer(world, lambda _: "same")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("strongroom.vault.structure._check_names", lambda _: None)
        found = refused(lambda: bring_back(world, world.root / "out"))
    assert "alike" in str(found)


def test_the_index_is_lost(world: World) -> None:
    now = world.state()
    lose_indexes(world)
    for client in (NORMAL, HIGH):
        assert world.restore(client) == now
    lose_indexes(world)
    with world.open() as deployment:
        for name in (NORMAL, HIGH):
            found = deployment.registry.client(name)
            outcome = check_vault(deployment, found, CheckRequest(read_data=True), silent)
            assert outcome.problems == []
    lose_indexes(world)
    report = world.back_up()
    assert report.problems == []
    # What was stored before is found again, so next to nothing is stored anew.
    assert report.stored_bytes < 50_000
    assert world.restore() == now


def test_the_index_of_a_recovered_home_is_lost(world: World) -> None:
    second = world.state()
    world.lose_home()
    world.recover(world.kits[:2])
    change_live_data(world, 2)
    for client in (NORMAL, HIGH):
        assert world.back_up(client).state == "good"
    with world.open() as deployment:
        found = deployment.registry.client(NORMAL)
        with deployment.tools.history(found.id) as history:
            before = history.snapshots()[-2].hash
    lose_indexes(world)
    assert world.restore(NORMAL, before) == second
    lose_indexes(world)
    for name in (NORMAL, HIGH):
        assert world.restore(name) == world.state()


def test_a_restore_goes_on_beside_a_running_backup(world: World) -> None:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.lock(client.vault):
            assert world.restore() == world.state()
            lose_indexes(world)
            found = refused(world.restore)
    assert found.code == "already_running"
    assert world.restore() == world.state()


def test_a_lost_index_and_a_lost_older_snapshot_stop_only_who_needs_it(world: World) -> None:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            first, second = (one.hash for one in history.snapshots())
    for location in world.locations:
        for record in (world.vault_folder(location, NORMAL) / "snapshots").rglob("00000002"):
            record.unlink()
    lose_indexes(world)
    assert refused(world.restore).exit_code == 20
    assert world.restore(NORMAL, first).rows
    assert second != first


def test_facts_compared_and_notes_are_reported(world: World) -> None:
    report = bring_back(world, world.root / "out")
    checked = {one.name: one.facts_checked for one in report.sources}
    assert checked == {"data.db": 5, "tree": 5}
    assert all(not dict(one.notes) for one in report.sources)
    assert report.carried == []


def test_a_restore_without_a_source_that_failed_is_partly_done(world: World) -> None:
    shutil.rmtree(world.tree)
    assert world.back_up().state == "good"
    to = world.root / "restored"
    done = world.command("restore", NORMAL, "--to", str(to))
    assert done.returncode == 3
    assert "tree is not in this snapshot" in done.stderr
    assert [path.name for path in to.iterdir()] == ["data.db"]
    shutil.rmtree(to)
    done = world.command("restore", NORMAL, "--source", "data.db", "--to", str(to))
    assert done.returncode == 0
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        for source in ("tree", "nowhere"):
            request = RestoreRequest("latest", to / "x", source=source)
            with pytest.raises(UsageError) as caught:
                restore(deployment, client, request, silent)
            assert ("failed when" in caught.value.why) == (source == "tree")


def test_status_says_partly_when_a_source_is_not_in_the_newest_snapshot(world: World) -> None:
    assert states(world) == {NORMAL: "backed up", HIGH: "backed up"}
    done = world.command("source", "add", HIGH, f"second={world.tree / 'folder'}")
    assert done.returncode == 0, done.stderr
    world.tree.rename(world.root / "away")
    assert world.back_up().state == "good"
    assert states(world) == {NORMAL: "PARTLY BACKED UP", HIGH: "PARTLY BACKED UP"}
    (world.root / "away").rename(world.tree)
    for client in (NORMAL, HIGH):
        world.back_up(client)
    assert states(world) == {NORMAL: "backed up", HIGH: "backed up"}
    world.command("source", "remove", HIGH, "second", "--yes")
    assert states(world)[HIGH] == "backed up"


def states(world: World) -> dict[str, str]:
    with world.open() as deployment:
        return {one.name: one.state for one in tell_status(deployment).clients}


def test_a_folder_that_cannot_be_made_is_said_plainly(world: World) -> None:
    (world.root / "file").touch()
    found = refused(lambda: bring_back(world, world.root / "file" / "below"))
    assert type(found) is StrongroomError
    assert "not a directory" in found.why
    found = refused(lambda: bring_back(world, world.root / ("x" * 300)))
    assert "too long" in found.why


def test_strongrooms_own_things_in_a_tree_are_left_out_and_named(world: World) -> None:
    neighbour = world.keys / "neighbour"
    neighbour.write_text("kept", encoding="utf-8")
    done = world.command("source", "add", NORMAL, f"all={world.root}")
    assert done.returncode == 0, done.stderr
    report = world.back_up()
    assert report.problems == []
    (key,) = world.keys.glob("*.key")
    own = {"home", "loc1", "loc2", "loc3", str(key.relative_to(world.root))}
    assert {note.split()[2] for note in report.warnings} == own
    bring_back(world, world.root / "out")
    restored = world.root / "out" / "all"
    assert (restored / neighbour.relative_to(world.root)).read_text(encoding="utf-8") == "kept"
    assert not any((restored / name).exists() for name in own)


def test_a_part_of_a_tree_comes_back_alone(world: World) -> None:
    to = world.root / "restored"
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        wanted = ("tree/folder/below/file-3", "tree/hard-link", "tree/empty")
        report = restore(deployment, client, RestoreRequest("latest", to, only=wanted), silent)
        with deployment.tools.history(client.id) as history:
            fact = history.facts("restore.done")[-1].body
    assert [(one.name, one.chosen, one.facts_checked) for one in report.sources] == [("tree", 3, 0)]
    assert (fact["chosen"], fact["sources"]) == (3, 1)
    assert "file-3" not in str(fact)
    found = portrait(to / "tree")
    live = portrait(world.tree)
    assert set(found) == {b"", b"hard-link", b"empty", b"folder", b"folder/below"} | {
        b"folder/below/file-3"
    }
    assert {path: live[path] for path in found} == found


def test_parts_are_judged_before_custodians_are_asked(world: World) -> None:
    to = world.root / "restored"
    (world.root / "full").mkdir()
    (world.root / "full" / "file").touch()
    for request, word in (
        (RestoreRequest("latest", to, only=("other/x",)), "no source of the snapshot is named"),
        (RestoreRequest("latest", to, source="tree", only=("tree/x",)), "nothing at 'tree/x'"),
        (RestoreRequest("latest", to, only=("tree/foldr",)), "near it: folder"),
        (RestoreRequest("latest", world.root / "full"), "is not empty"),
        (RestoreRequest("feedbeef", to), "there is no snapshot 'feedbeef'"),
    ):
        before = asked(world)
        found = refused(partial(run_restore, world, request))
        assert word in str(found)
        assert not to.exists()
        assert asked(world) - before == (1 if "near" in word or "nothing" in word else 0)


def test_an_unknown_snapshot_is_answered_with_the_newest(world: World) -> None:
    found = refused(lambda: run_restore(world, RestoreRequest("gone", world.root / "restored")))
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            newest = history.snapshots()[-1]
    assert f"The newest are {newest.hash[:12]} (" in found.hint


def test_a_restore_that_fails_midway_names_what_is_finished(world: World) -> None:
    """The second source is damaged at every location; the first is there, whole and named."""
    to = world.root / "restored"
    restored: list[str] = []
    second = SnapshotReader.restore

    def broken(reader: Any, source: str, *rest: Any) -> Any:
        if restored:
            raise Damaged("a pack is damaged", "the test says so")
        restored.append(source)
        return second(reader, source, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SnapshotReader, "restore", broken)
        found = refused(lambda: run_restore(world, RestoreRequest("latest", to)))
    assert f"restored before it, and whole: data.db -> {to / 'data.db'}" in str(found)
    assert [path.name for path in to.iterdir()] == ["data.db"]


def run_restore(world: World, request: RestoreRequest) -> RestoreReport:
    with world.open() as deployment:
        return restore(deployment, deployment.registry.client(NORMAL), request, silent)


def asked(world: World) -> int:
    """Count how often custodians were asked for keys of the client."""
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            return sum(fact.phase == "intent" for fact in history.facts("keys.opened"))
