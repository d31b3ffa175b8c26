"""Recovering more than once: rehearsals, other kits, interruptions, the old machine coming back.

A recovery changes nothing at the locations; the first backup of the rebuilt home replaces the old
one, and what is interrupted there is completed by the next run.
"""

import itertools
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.clients import Keep
from strongroom.errors import Refused, Stale, UsageError
from strongroom.locations import Copies, Location, Stat
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.back_up import back_up
from strongroom.operations.deployment import Deployment
from strongroom.operations.receipts import OlderHome
from strongroom.operations.recover import RecoveryPlan, read_kits
from strongroom.operations.recover_clients import Recovery, _keep_of
from strongroom.operations.restore import RestoreRequest, restore
from tests.journeys.world import (
    HIGH,
    NORMAL,
    World,
    change_live_data,
    files_below,
    fresh_copy,
    keep_template,
    make_world,
    refused,
    silent,
)

PAIRS = list(itertools.combinations(range(3), 2))
NUMBERS = itertools.count()
ENROLMENT_PUTS = 7
"""A kit entry and a certificate of each of three custodians, and the vault's config."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An install with two good snapshots of each client."""
    made = make_world(tmp_path_factory.mktemp("install") / "world")
    for number in range(2):
        if number:
            change_live_data(made, number)
        for client in (NORMAL, HIGH):
            assert made.back_up(client).problems == []
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


def recover(world: World, kits: tuple[int, ...] = (0, 1, 2)) -> Recovery:
    """Rebuild `home` anew beside whatever homes were put aside, each with a key file of its own."""
    key_file = world.keys / f"rebuilt-{next(NUMBERS)}.key"
    named = {name: f"file://{path}" for name, path in world.locations.items()}
    words = read_kits("\n".join(world.kits[at] for at in kits))
    return world.app.recover(world.home, RecoveryPlan(named, words, key_file=key_file))


def put_aside(world: World, name: str) -> None:
    """Keep the home under another name; its key file stays where it is."""
    world.home.rename(world.root / name)


def bring_back(world: World, name: str) -> None:
    """Take up a home that was put aside; the one that is there goes aside as `other`."""
    if world.home.exists():
        world.home.rename(world.root / "other")
    (world.root / name).rename(world.home)


def at_locations(world: World) -> dict[str, bytes]:
    """Return every object but those of the ledger: what a home records goes to the locations."""
    return {
        str(path): path.read_bytes()
        for path in files_below(*world.locations.values())
        if "/ledger/" not in str(path)
    }


def snapshots(world: World, client: str = NORMAL) -> list[tuple[int, str]]:
    with world.open() as deployment:
        found = deployment.registry.client(client)
        with deployment.tools.history(found.id) as history:
            return [(one.sequence, one.state) for one in history.snapshots()]


def assert_works(world: World, *, clients: tuple[str, ...] = (NORMAL, HIGH)) -> None:
    """What is kept can be read (a restore compares it itself), written and read again."""
    for client in clients:
        world.restore(client)
    change_live_data(world, 7 + next(NUMBERS))
    for client in clients:
        assert world.back_up(client).state == "good"
        assert world.restore(client) == world.state()


class Killed(BaseException):
    """The process ends here."""


class DyingLocation:
    """A location whose process is killed before the n-th object is put."""

    def __init__(self, inner: Location, left: int) -> None:
        self._inner = inner
        self._left = left

    @property
    def url(self) -> str:
        return self._inner.url

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        self._left -= 1
        if self._left < 0:
            raise Killed
        self._inner.put(key, data)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return self._inner.get(key, start, length)

    def list(self, prefix: str) -> Iterator[Stat]:
        return self._inner.list(prefix)

    def stat(self, key: str) -> Stat:
        return self._inner.stat(key)

    def delete(self, key: str) -> None:
        self._inner.delete(key)


@contextmanager
def dying(world: World, after: int) -> Iterator[Deployment]:
    """Open the home for a run that is killed after so many puts."""
    with world.open() as deployment, suppress(Killed):
        locations = {
            name: DyingLocation(one, after) for name, one in deployment.copies.locations.items()
        }
        with Copies(locations) as copies:
            yield replace(deployment, copies=copies)
            raise AssertionError("the run was not killed")


def test_a_recovery_writes_nothing_to_any_location_and_can_be_done_again(world: World) -> None:
    put_aside(world, "old")
    before = at_locations(world)
    for kits in ((0, 1), (1, 2), (0, 1, 2)):
        found = recover(world, kits)
        assert {one.name: one.snapshots for one in found.clients} == {NORMAL: 2, HIGH: 2}
        assert found.problems == []
        for client in (NORMAL, HIGH):
            assert world.restore(client) == world.state()
        assert at_locations(world) == before
        shutil.rmtree(world.home)


def test_a_rehearsal_does_not_stop_the_living_home(world: World) -> None:
    put_aside(world, "old")
    recover(world)
    bring_back(world, "old")
    assert_works(world)


def test_the_old_machine_has_written_since_the_recovery(world: World) -> None:
    """Its newest snapshot would not count any more, so the rebuilt home does not begin."""
    put_aside(world, "old")
    recover(world)
    bring_back(world, "old")
    assert world.back_up().state == "good"
    put_aside(world, "old")
    bring_back(world, "other")
    before = at_locations(world)
    found = refused(world.back_up)
    assert isinstance(found, OlderHome)
    assert "still makes backups" in str(found)
    assert at_locations(world) == before
    shutil.rmtree(world.home)
    recover(world)
    assert_works(world)


@pytest.mark.parametrize("after", range(ENROLMENT_PUTS))
@pytest.mark.parametrize("continued", ["by the next run", "by another recovery"])
def test_enrolment_killed_before_any_object(world: World, after: int, continued: str) -> None:
    world.lose_home()
    recover(world)
    with dying(world, after) as deployment:
        back_up(deployment, deployment.registry.client(NORMAL), silent)
    if continued == "by another recovery":
        shutil.rmtree(world.home)
        recover(world)
    assert_works(world, clients=(NORMAL,))
    shutil.rmtree(world.home)
    recover(world, (0, 2))
    assert_works(world, clients=(NORMAL,))


@pytest.mark.parametrize(
    ("first", "second"),
    [((0, 1), (0, 2)), ((0, 1), (1, 2)), ((1, 2), (0, 1)), ((0, 2), (0, 2)), ((0, 1), (0, 1, 2))],
)
def test_any_kits_work_after_a_recovery_with_others(
    world: World, first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    """A custodian that was away learns the writers that it lacks."""
    world.lose_home()
    recover(world, first)
    assert_works(world, clients=(NORMAL,))
    shutil.rmtree(world.home)
    found = recover(world, second)
    assert (found.problems, found.damages) == ([], [])
    assert world.restore(NORMAL) == world.state()
    assert_works(world, clients=(NORMAL,))
    shutil.rmtree(world.home)
    found = recover(world)
    assert (found.problems, found.damages) == ([], [])
    assert world.restore(NORMAL) == world.state()
    assert_works(world, clients=(NORMAL,))


def test_a_home_without_all_custodians_cannot_add_clients_and_says_how(world: World) -> None:
    world.lose_home()
    assert recover(world, (0, 1)).custodians_missing == ["custodian-3"]
    with world.open() as deployment:
        found = refused(lambda: add_client(deployment, NewClient("third", "normal", Keep())))
    assert isinstance(found, Refused)
    assert "with all kits, into a new home" in found.hint
    shutil.rmtree(world.home)
    recover(world)
    with world.open() as deployment:
        added = add_client(deployment, NewClient("third", "normal", Keep()))
        add_source(deployment, added, "tree", "tree", f"file://{world.tree}")
        assert back_up(deployment, added, silent).problems == []


def test_the_old_machine_comes_back_and_is_refused(world: World) -> None:
    put_aside(world, "old")
    recover(world)
    assert_works(world, clients=(NORMAL,))
    bring_back(world, "old")
    before = at_locations(world)
    found = refused(world.back_up)
    assert isinstance(found, OlderHome)
    assert found.exit_code == Stale.exit_code
    assert "replaced by a recovery" in str(found)
    assert at_locations(world) == before
    # What the other home keeps can be read here all the same, up to what this home knows.
    assert snapshots(world) == [(1, "good"), (2, "good")]


def certificates(world: World, serial: int) -> list[Path]:
    return [
        path
        for place in world.locations.values()
        for path in place.glob(f"*/client-keys/*/*/{serial:08d}")
    ]


def test_snapshots_of_a_replaced_writer_do_not_count_and_destroy_nothing(world: World) -> None:
    """The old machine cannot see that it was replaced, and goes on."""
    put_aside(world, "old")
    recover(world)
    assert_works(world, clients=(NORMAL,))
    newest = world.state()
    bring_back(world, "old")
    hidden = {path: path.read_bytes() for path in certificates(world, 2)}
    for path in hidden:
        path.unlink()
    assert world.back_up().state == "good"
    for path, data in hidden.items():
        path.write_bytes(data)
    shutil.rmtree(world.home)
    found = recover(world)
    (note,) = found.problems
    assert "1 later snapshots by the replaced writer" in note
    assert {one.name: one.snapshots for one in found.clients} == {NORMAL: 3, HIGH: 2}
    assert world.restore(NORMAL) == newest
    assert_works(world)


@pytest.mark.parametrize("after", range(ENROLMENT_PUTS))
def test_client_add_killed_before_any_object(world: World, after: int) -> None:
    with dying(world, after) as deployment:
        add_client(deployment, NewClient("third", "normal", Keep()))
    with world.open() as deployment:
        assert {one.name for one in deployment.registry.clients()} == {NORMAL, HIGH}
        added = add_client(deployment, NewClient("third", "normal", Keep()))
        add_source(deployment, added, "tree", "tree", f"file://{world.tree}")
        back_up(deployment, added, silent)
    world.lose_home()
    for kits in PAIRS:
        found = recover(world, kits)
        assert {one.name for one in found.clients} == {NORMAL, HIGH, "third"}
        assert all("is skipped" in problem for problem in found.problems)
        shutil.rmtree(world.home)


def test_one_broken_client_does_not_stop_the_others(world: World) -> None:
    for folder in (world.vault_folder(name, HIGH) / "keys" for name in world.locations):
        shutil.rmtree(folder)
    world.lose_home()
    found = recover(world)
    assert [one.name for one in found.clients] == [NORMAL]
    assert any("is not recovered" in problem for problem in found.problems)
    assert_works(world, clients=(NORMAL,))


def test_no_client_recovered_is_an_error_and_leaves_nothing(world: World) -> None:
    for place in world.locations.values():
        for folder in place.glob("*/vaults/*/keys"):
            shutil.rmtree(folder)
    world.lose_home()
    refused(lambda: recover(world))
    assert not world.home.exists()
    assert list(world.keys.iterdir()) == []


def test_the_newest_snapshot_does_not_open_and_the_one_before_does(world: World) -> None:
    """The sessions that only the newest snapshot needs are gone."""
    older = world.root / "older"
    with world.open() as deployment:
        found = deployment.registry.client(HIGH)
        with deployment.tools.history(found.id) as history:
            first = history.snapshots()[0]
        restore(deployment, found, RestoreRequest(first.hash[:12], older), silent)
    keys = sorted((world.vault_folder("loc1", HIGH) / "keys").iterdir(), key=by_age)
    for path in keys[2:]:
        for name in world.locations:
            (world.vault_folder(name, HIGH) / "keys" / path.name).unlink()
    world.lose_home()
    report = recover(world)
    assert {one.name for one in report.clients} == {NORMAL, HIGH}
    assert any("does not open" in problem for problem in report.problems)
    with world.open() as deployment:
        found = deployment.registry.client(HIGH)
        again = world.root / "again"
        restore(deployment, found, RestoreRequest(first.hash[:12], again), silent)
    assert (again / "data.db").read_bytes() == (older / "data.db").read_bytes()


def by_age(path: Path) -> int:
    return path.stat().st_mtime_ns


def rename_client(world: World, old: str, new: str) -> None:
    with closing(sqlite3.connect(world.home / "server.db")) as connection:
        connection.execute("UPDATE client SET name = ? WHERE name = ?", (new, old))
        connection.commit()


def test_a_card_that_names_another_client_or_no_name(world: World) -> None:
    """A worker that was taken over signs what it likes; the operator's list stays usable."""
    rename_client(world, HIGH, "../../escape")
    world.back_up("../../escape")
    rename_client(world, "../../escape", HIGH)
    world.lose_home()
    found = recover(world)
    (name,) = {one.name for one in found.clients} - {NORMAL}
    assert name.startswith("client-")
    assert any("keeps this name" in problem for problem in found.problems)
    assert_works(world, clients=(NORMAL, name))


def test_two_cards_with_one_name(world: World) -> None:
    rename_client(world, HIGH, "aside")
    rename_client(world, NORMAL, HIGH)
    world.back_up(HIGH)
    world.lose_home()
    found = recover(world)
    names = [one.name for one in found.clients]
    assert len(set(names)) == 2
    assert HIGH in names
    assert any("there already is a client" in problem for problem in found.problems)
    assert_works(world, clients=tuple(names))


@pytest.mark.parametrize(
    "card", [{"daily": -1}, {"daily": 999_999}, {"floor": 0}, {"hourly": 3}, {"daily": 10**30}]
)
def test_a_card_with_a_keep_policy_that_nobody_could_type(card: dict[str, int]) -> None:
    assert _keep_of({"daily": 3, "floor": 1}) == Keep(daily=3, floor=1)
    assert isinstance(refused(lambda: _keep_of(card)), UsageError)


JUNK: dict[str, Callable[[Path, str, str], str]] = {
    "an entry without a number": lambda _, vault, writer: "kits/{custodian}/zzz",
    "an identity of a high serial": lambda _, vault, writer: "kits/{custodian}/identity-99999999",
    "an entry of no client": lambda _, vault, writer: f"kits/{{custodian}}/{'a' * 32}-00000001",
    "a receipt without a number": lambda _, vault, writer: f"{vault}/receipts/{writer}/abc/x",
    "a receipt of a later snapshot": lambda _, vault, writer: (
        f"{vault}/receipts/{writer}/00000009/{{custodian}}"
    ),
    "the next record": lambda _, vault, writer: f"{vault}/snapshots/{writer}/00000003",
    "a record without a number": lambda _, vault, writer: f"{vault}/snapshots/{writer}/zz",
    "a writer of nobody": lambda _, vault, writer: f"{vault}/snapshots/{'b' * 32}/00000001",
    "a certificate": lambda _, vault, writer: "client-keys/{client}/{custodian}/00000099",
    "a roster": lambda _, vault, writer: "roster/99999999",
}


@pytest.mark.parametrize("what", JUNK)
def test_nothing_planted_by_one_location_stops_a_recovery(world: World, what: str) -> None:
    install = next(world.locations["loc1"].glob("*/kits")).parent
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        custodian = deployment.roster.member(1).id
        writer = deployment.worker_keys(client).writer_id
    place = JUNK[what](install, f"vaults/{client.vault}", writer)
    planted = install / place.format(custodian=custodian, client=client.id)
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_bytes(b"x")
    world.lose_home()
    found = recover(world)
    assert {one.name: one.snapshots for one in found.clients} == {NORMAL: 2, HIGH: 2}
    assert {name for name, _ in found.damages} <= {"loc1"}
    assert_works(world)


def test_another_install_planted_at_one_location(world: World) -> None:
    for name in ("0", "0" * 32):
        planted = world.locations["loc1"] / name / "kits" / ("c" * 32) / "identity-00000001"
        planted.parent.mkdir(parents=True)
        planted.write_bytes(b"x")
    world.lose_home()
    assert recover(world).problems == []


def test_a_certificate_moved_to_another_client_or_serial_counts_nowhere(world: World) -> None:
    with world.open() as deployment:
        clients = {name: deployment.registry.client(name).id for name in (NORMAL, HIGH)}
        member = deployment.roster.member(3).id
    for place in world.locations.values():
        (folder,) = place.glob("*/client-keys")
        data = (folder / clients[HIGH] / member / "00000001").read_bytes()
        (folder / clients[NORMAL] / member / "00000099").write_bytes(data)
        own = folder / clients[NORMAL] / member
        (own / "00000098").write_bytes((own / "00000001").read_bytes())
    # The living home is not stopped by them either.
    assert world.back_up().state == "good"
    world.lose_home()
    recover(world, (0, 1))
    assert_works(world)


def test_key_table_entries_removed_everywhere_after_a_recovery(world: World) -> None:
    """The certificates tell that the kits' tables were rolled back."""
    world.lose_home()
    recover(world)
    assert_works(world, clients=(NORMAL,))
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL).id
    for place in world.locations.values():
        for path in place.glob(f"*/kits/*/{client}-00000002"):
            path.unlink()
    shutil.rmtree(world.home)
    found = recover(world)
    assert [one.name for one in found.clients] == [HIGH]
    assert any("entries were removed" in problem for problem in found.problems)


def test_a_pending_snapshot_that_was_found_is_restored_by_its_id_only(world: World) -> None:
    older = world.restore()
    change_live_data(world, 3)
    newest = world.back_up().snapshot
    for place in world.locations.values():
        for folder in place.glob("*/vaults/*/receipts/*/00000003"):
            shutil.rmtree(folder)
    world.lose_home()
    recover(world)
    assert snapshots(world) == [(1, "good"), (2, "good"), (3, "pending")]
    assert world.restore() == older
    assert world.restore(snapshot=newest[:12]) == world.state()
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        request = RestoreRequest(newest[:12], world.root / "out")
        assert not restore(deployment, client, request, silent).good
    assert_works(world, clients=(HIGH,))


def test_an_unreachable_location_is_called_unreachable_and_not_behind(world: World) -> None:
    world.lose_home()
    world.locations["loc2"].rename(world.root / "away")
    found = recover(world)
    assert {one.name: dict(one.behind) for one in found.clients} == {NORMAL: {}, HIGH: {}}
    (problem,) = found.problems
    assert problem.startswith("location loc2: ")
    (world.root / "away").rename(world.locations["loc2"])
    assert_works(world)
