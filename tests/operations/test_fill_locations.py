"""A location that was away is made whole again, and damage is never spread."""

from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.clients import Client, Keep
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.add_location import add_location
from strongroom.operations.back_up import BackupReport, back_up
from strongroom.operations.credentials import Credentials
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import repair_client
from strongroom.operations.set_up import InstallPlan, set_up

NAMES = ("one", "two", "three")
Files = dict[str, bytes]


class World:
    """A home with three directory locations and one client with a small tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = App()
        install = self.app.new_install()
        locations = {name: f"file://{folder / name}" for name in NAMES}
        plan = InstallPlan(install, "tester", 3, 2, locations)
        set_up(*self.app.make_home(folder / "home", install, folder / "key"), plan)
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
            if path.is_file()
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
        added = add_location(deployment, ("four", url), ("", ""), Credentials())
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
        added = add_location(deployment, ("four", url), ("", ""), Credentials())
        assert [one.split(":")[0] for one in added.left_out] == sorted(planted)

    world.do(add)
    assert not set(planted) & set(world.files("four"))
