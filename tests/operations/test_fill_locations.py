"""A location that was away is made whole again, and damage is never spread."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.adapters.locations.directory import open_directory
from strongroom.app import App
from strongroom.clients import Client, History, Keep, Registry
from strongroom.errors import Refused, UsageError
from strongroom.locations import Copies
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.add_location import add_location, remove_location
from strongroom.operations.back_up import BackupReport, back_up
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.credentials import Credential, Credentials
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import Filled, repair_client
from strongroom.operations.scrub import ScrubRequest, scrub_vault
from strongroom.operations.set_up import InstallPlan, set_up

NAMES = ("one", "two", "three")
# Port 9 of this machine: nobody answers there.
NOBODY = "s3://bucket/two?endpoint=http://127.0.0.1:9"
Files = dict[str, bytes]


class World:
    """A home with three directory locations and one client with a small tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = App()
        install = self.app.new_install()
        locations = {name: f"file://{folder / name}" for name in NAMES}
        plan = InstallPlan(install, "tester", 3, 2, locations, delay=timedelta())
        tools, registry = self.app.make_home(folder / "home", install, folder / "key")
        set_up(tools, registry, plan)
        registry.close()
        (folder / "data").mkdir()
        (folder / "data" / "file").write_bytes(b"something worth keeping" * 1000)

    def do(self, step: Callable[[Deployment], BackupReport | None]) -> BackupReport | None:
        with self.app.open(self.folder / "home") as deployment:
            return step(deployment)

    def add(self, deployment: Deployment) -> None:
        client = add_client(deployment, NewClient("acme", "normal", Keep()))
        add_source(deployment, client, "data", "tree", f"file://{self.folder / 'data'}")

    @staticmethod
    def back_up(deployment: Deployment) -> BackupReport:
        return back_up(deployment, deployment.registry.client("acme"), lambda _: None)

    def files(self, name: str) -> Files:
        root = self.folder / name
        found = {
            str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob("*")
            # What a command records goes there, too, and grows with each.
            if path.is_file() and "/ledger/" not in str(path)
        }
        assert found, "a location that holds nothing proves nothing"
        return found


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_a_recovery_begins_with_is_put_where_it_is_lacking(world: World) -> None:
    (world.folder / "three").rename(world.folder / "away")
    world.do(world.add)
    (world.folder / "away").rename(world.folder / "three")
    report = world.do(world.back_up)
    assert report is not None
    assert report.problems == []
    for part in ("kits", "roster", "client-keys"):
        one, three = ({k for k in world.files(n) if f"/{part}/" in k} for n in ("one", "three"))
        assert one == three != set()


def test_a_location_that_missed_a_backup_is_named_until_it_is_repaired(world: World) -> None:
    world.do(world.add)
    (world.folder / "three").rename(world.folder / "away")
    first = world.do(world.back_up)
    assert first is not None
    assert any("location three" in one for one in first.problems)
    (world.folder / "away").rename(world.folder / "three")
    (world.folder / "data" / "file").write_bytes(b"changed")
    second = world.do(world.back_up)
    assert second is not None
    assert second.problems == ["location three lacks 1 snapshots: `strongroom vault repair acme`"]
    world.do(_repair)
    assert world.files("three") == world.files("one")
    third = world.do(world.back_up)
    assert third is not None
    assert third.problems == []


def _repair(deployment: Deployment) -> None:
    client: Client = deployment.registry.client("acme")
    filled = repair_client(deployment, client)
    assert [one.left_out for one in filled.values()] == [[], [], []]


def test_damage_at_one_location_is_not_spread_to_a_new_one(world: World) -> None:
    world.do(world.add)
    world.do(world.back_up)
    good = world.files("two")
    for path in (world.folder / "one").rglob("*"):
        if path.is_file() and path.name != "strongroom-location":
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.chmod(0o600)
            path.write_bytes(data)

    def add(deployment: Deployment) -> None:
        url = f"file://{world.folder / 'four'}"
        added = add_location(deployment, ("four", url), Registry.Site(), Credentials())
        assert added.left_out == []

    world.do(add)
    assert world.files("four") == good


def test_what_nobody_can_check_is_left_out_and_named(world: World) -> None:
    world.do(world.add)
    world.do(world.back_up)
    with world.app.open(world.folder / "home") as deployment:
        install = deployment.install
    planted = {
        f"{install}/kits/{'0' * 32}/identity-00000001": b"SRKIT",
        f"{install}/something/else": b"x",
        f"{install}/vaults/{'0' * 32}/keys/{'1' * 32}": b"x",
    }
    for key, data in planted.items():
        path = world.folder / "one" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def add(deployment: Deployment) -> None:
        url = f"file://{world.folder / 'four'}"
        added = add_location(deployment, ("four", url), Registry.Site(), Credentials())
        assert [one.split(":")[0] for one in added.left_out] == sorted(planted)

    world.do(add)
    assert not set(planted) & set(world.files("four"))


def test_a_config_under_a_later_name_is_spread_nowhere(kept: World) -> None:
    """It would stand in the way of the next one at every location: objects are written once."""
    (path,) = (kept.folder / "two").glob("*/vaults/*/config/*")
    later = path.with_name(path.name[:-1] + "1")
    later.write_bytes(path.read_bytes())
    repaired(kept)
    assert later.name not in [path.name for path in (kept.folder / "one").glob("**/config/*")]
    with kept.app.open(kept.folder / "home") as deployment:
        client = deployment.registry.client("acme")
        found = check_vault(deployment, client, CheckRequest(), lambda _: None)
    (problem,) = found.problems
    assert (problem.kind, problem.location) == ("unauthenticated", "two")
    assert problem.object.endswith(later.name)


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def packs(world: World, name: str) -> list[Path]:
    return sorted((world.folder / name).glob("*/vaults/*/packs/*/*"))


def repaired(world: World, given: Credential | None = None) -> dict[str, Filled]:
    with world.app.open(world.folder / "home") as deployment:
        client = deployment.registry.client("acme")
        scrub_vault(deployment, client, ScrubRequest(share=1), lambda _: None)
        return repair_client(deployment, client, given)


@pytest.fixture(name="kept")
def _kept(world: World) -> World:
    world.do(world.add)
    report = world.do(world.back_up)
    assert report is not None
    assert report.problems == []
    return world


def test_damaged_copies_are_replaced_from_another_location(kept: World) -> None:
    good = kept.files("one")
    for number, name in enumerate(NAMES):
        # Another third of the objects at each: every object stays whole somewhere.
        objects = [key for key in sorted(good) if key != "strongroom-location"]
        for key in objects[number::3]:
            spoil(kept.folder / name / key)
    filled = repaired(kept)
    assert [one.left_out for one in filled.values()] == [[], [], []]
    assert sum(one.replaced for one in filled.values()) == len(good) - 1
    assert [kept.files(name) for name in NAMES] == [good] * 3


def test_damage_without_a_good_copy_is_named_and_nothing_is_deleted(kept: World) -> None:
    for name in NAMES:
        spoil(packs(kept, name)[0])
    before = [kept.files(name) for name in NAMES]
    filled = repaired(kept)
    assert all(len(one.left_out) == 1 and one.replaced == 0 for one in filled.values())
    assert [kept.files(name) for name in NAMES] == before


def test_what_was_noted_as_damaged_is_looked_at_again_before_it_is_deleted(kept: World) -> None:
    path = packs(kept, "one")[0]
    key = str(path.relative_to(kept.folder / "one"))
    with kept.app.open(kept.folder / "home") as deployment:
        client = deployment.registry.client("acme")
        with deployment.tools.history(client.id) as history:
            at = deployment.tools.clock.now()
            history.copies.write([History.CopyNote("one", key, "damaged", at, "once")])
        first = path.stat()
        filled = repair_client(deployment, client)
        assert filled["one"].replaced == 0
        # Not the whole of it: it was read, which is a new time of access.
        now = path.stat()
        assert (now.st_ino, now.st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
        with deployment.tools.history(client.id) as history:
            assert history.copies.troubles() == []


def test_a_cut_pack_is_replaced_without_a_scrub(kept: World) -> None:
    path = packs(kept, "two")[0]
    good = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(good[:100])
    with kept.app.open(kept.folder / "home") as deployment:
        filled = repair_client(deployment, deployment.registry.client("acme"))
    assert filled["two"].replaced == 1
    assert path.read_bytes() == good


def test_a_store_without_a_janitor_is_told_and_the_others_are_mended(kept: World) -> None:
    """Two damaged copies: a folder's is replaced, an object store's needs a credential first."""
    spoil(packs(kept, "one")[0])
    spoil(packs(kept, "two")[0])
    spoil(packs(kept, "two")[0])
    packs(kept, "two")[0].write_bytes(b"short")
    database = kept.folder / "home" / "server.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE location SET url = ? WHERE name = 'two'", (NOBODY,))
    with kept.app.open(kept.folder / "home") as opened:
        folder = open_directory(f"file://{kept.folder / 'two'}", os.urandom)
        locations = {**opened.copies.locations, "two": folder}
        with Copies(locations) as copies:
            deployment = replace(opened, copies=copies, absent_locations={})
            client = deployment.registry.client("acme")
            scrub_vault(deployment, client, ScrubRequest(share=1), lambda _: None)
            filled = repair_client(deployment, client)
    assert (filled["one"].replaced, filled["one"].advice) == (1, "")
    assert filled["two"].replaced == 0
    assert [one.split(": ")[1] for one in filled["two"].left_out] == ["damaged, and not replaced"]
    assert "--janitor-credential-file" in filled["two"].advice
    assert packs(kept, "two")[0].read_bytes() == b"short"


def test_a_lost_location_is_made_again_by_its_url_and_filled(kept: World) -> None:
    good = kept.files("one")
    shutil.rmtree(kept.folder / "two")

    def again(deployment: Deployment) -> None:
        url = f"file://{kept.folder / 'two'}"
        added = add_location(deployment, ("other-name", url), Registry.Site(), Credentials())
        assert (added.name, added.again, added.left_out) == ("two", True, [])

    kept.do(again)
    assert kept.files("two") == good

    def taken(deployment: Deployment) -> None:
        url = f"file://{kept.folder / 'two'}"
        with pytest.raises(UsageError, match="already there"):
            add_location(deployment, ("two", url), Registry.Site(), Credentials())

    kept.do(taken)


def test_a_location_is_removed_and_what_lies_there_stays(kept: World) -> None:
    before = kept.files("two")

    def remove(deployment: Deployment) -> None:
        remove_location(deployment, "two")
        with pytest.raises(UsageError, match="no location"):
            remove_location(deployment, "zwei")

    kept.do(remove)
    assert kept.files("two") == before
    report = kept.do(kept.back_up)
    assert report is not None
    assert report.problems == []
    shutil.rmtree(kept.folder / "three")

    def last(deployment: Deployment) -> None:
        with pytest.raises(Refused):
            remove_location(deployment, "one")

    kept.do(last)
