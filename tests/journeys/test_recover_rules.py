"""The machine is gone: what locations and kits bring back, and what they must not pretend."""

import itertools
import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from strongroom.crypto import signing
from strongroom.crypto.envelope import decode_envelope, sign_envelope
from strongroom.errors import Damaged, Refused, Stale, StrongroomError
from strongroom.quorum import Roster, SnapshotHeader
from strongroom.vault import WorkerKeys
from tests.journeys.world import (
    HIGH,
    NORMAL,
    World,
    change_live_data,
    copy_aside,
    fresh_copy,
    keep_template,
    make_world,
    put_back,
    refused,
)

STRANGER = bytes(range(32))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An install with three good snapshots of each client; `older` is kept after the second."""
    made = make_world(tmp_path_factory.mktemp("install") / "world")
    for number in range(3):
        if number:
            change_live_data(made, number)
        for client in (NORMAL, HIGH):
            assert made.back_up(client).problems == []
        if number == 1:
            copy_aside(made, "older")
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


def vault_objects(world: World, location: str, part: str) -> list[Path]:
    """Return the objects of one part of every vault at a location."""
    return sorted(
        path
        for folder in world.locations[location].glob(f"*/vaults/*/{part}")
        for path in folder.rglob("*")
        if path.is_file()
    )


def assert_nothing_left(world: World) -> None:
    assert not world.home.exists()
    assert not world.keys.exists() or list(world.keys.iterdir()) == []


def refused_recovery(world: World, *locations: str) -> StrongroomError:
    found = refused(lambda: world.recover(world.kits[:2], locations or tuple(world.locations)))
    assert_nothing_left(world)
    return found


def test_home_deleted_recovered_by_the_command_line_from_locations_and_two_kits(
    world: World,
) -> None:
    world.lose_home()
    places = [
        word for path in world.locations.values() for word in ("--location", f"file://{path}")
    ]
    one = world.command("recover", *places, "--kits", "-", stdin=world.kits[0])
    assert one.returncode == Refused.exit_code, one.stderr
    assert "1 of the 2 kits" in one.stderr
    assert_nothing_left(world)

    both = "\n".join(world.kits[1:])
    done = world.command("--json", "recover", *places, "--kits", "-", stdin=both)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {client["name"] for client in said["clients"]} == {NORMAL, HIGH}
    assert said["custodians_missing"] == ["custodian-1"]
    for client in (NORMAL, HIGH):
        assert world.restore(client) == world.state()
    change_live_data(world, 3)
    backup = world.command("--json", "backup", NORMAL)
    assert backup.returncode == 0, backup.stderr
    assert json.loads(backup.stdout)["state"] == "good"
    assert json.loads(backup.stdout)["receipts"] == 2
    assert "custodian-1" in backup.stdout  # It is not there yet, and that is said.
    assert world.restore() == world.state()


@pytest.mark.parametrize("pair", list(itertools.combinations(range(3), 2)))
def test_any_two_kits_are_enough(world: World, pair: tuple[int, int]) -> None:
    world.lose_home()
    clients, damaged = world.recover([world.kits[at] for at in pair])
    assert damaged == []
    assert {one.name: one.snapshots for one in clients} == {NORMAL: 3, HIGH: 3}
    for client in (NORMAL, HIGH):
        assert world.restore(client) == world.state()


def test_one_kit_and_the_same_kit_twice_open_nothing(world: World) -> None:
    world.lose_home()
    for kits in (world.kits[:1], (world.kits[0], world.kits[0])):
        found = refused(partial(world.recover, kits))
        assert found.exit_code == Refused.exit_code
        assert_nothing_left(world)


def test_a_home_is_recovered_although_the_key_file_of_the_old_one_is_still_there(
    world: World,
) -> None:
    shutil.rmtree(world.home)
    (old,) = world.keys.iterdir()
    before = old.read_bytes()
    places = [
        word for path in world.locations.values() for word in ("--location", f"file://{path}")
    ]
    refusal = world.command("recover", *places, "--kits", "-", stdin=world.kits[0])
    assert refusal.returncode == Refused.exit_code, refusal.stderr
    assert old.read_bytes() == before
    done = world.command("recover", *places, "--kits", "-", stdin="\n".join(world.kits[:2]))
    assert done.returncode == 0, done.stderr
    assert old.read_bytes() == before
    assert world.restore() == world.state()


def test_records_removed_while_receipts_tell_of_them(world: World) -> None:
    world.lose_home()
    for name in world.locations:
        for record in vault_objects(world, name, "snapshots"):
            if record.name == "00000003":
                record.unlink()
    found = refused_recovery(world)
    assert isinstance(found, Stale)
    assert "snapshot 3" in str(found)


def test_a_record_removed_from_the_middle(world: World) -> None:
    world.lose_home()
    for name in world.locations:
        for record in vault_objects(world, name, "snapshots"):
            if record.name == "00000002":
                record.unlink()
    assert refused_recovery(world).exit_code == 20


@pytest.mark.parametrize("sequence", ["00000001", "00000002"])
def test_receipts_of_an_earlier_snapshot_removed(world: World, sequence: str) -> None:
    world.lose_home()
    for name in world.locations:
        receipts = [
            path for path in vault_objects(world, name, "receipts") if path.parent.name == sequence
        ]
        assert len(receipts) == 6
        for path in receipts:
            path.unlink()
    found = refused_recovery(world)
    assert isinstance(found, Stale)
    assert f"snapshot {int(sequence)}" in str(found)


def test_one_location_rolled_back_is_named_and_the_others_give_everything(world: World) -> None:
    world.lose_home()
    put_back(world, "older", world.locations["loc2"])
    clients, damaged = world.recover(world.kits[:2])
    assert damaged == []
    behind = {one.name: dict(one.behind) for one in clients}
    assert behind == {NORMAL: {"loc2": 1}, HIGH: {"loc2": 1}}
    for client in (NORMAL, HIGH):
        assert world.restore(client) == world.state()


def test_the_command_line_names_the_location_that_is_behind(world: World) -> None:
    world.lose_home()
    put_back(world, "older", world.locations["loc2"])
    places = [
        word for path in world.locations.values() for word in ("--location", f"file://{path}")
    ]
    done = world.command("recover", *places, "--kits", "-", stdin="\n".join(world.kits[:2]))
    assert done.returncode == 3, done.stderr
    assert "loc2" in done.stderr
    assert "loc1" not in done.stderr


def forge_records(world: World, *locations: str) -> None:
    """Sign every record again as another writer, which is what a forger without our key can do."""
    writer = SnapshotHeader.writer_id(signing.public_key(STRANGER))
    for name in locations:
        for path in vault_objects(world, name, "snapshots"):
            record = decode_envelope(path.read_bytes(), "a record")
            fields = record.statement.fields("snapshot") | {"writer": writer}
            forged = sign_envelope(STRANGER, "snapshot", fields, record.body).encode()
            path.unlink()
            place = path.parent.parent / writer / path.name
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(forged)
        for folder in world.locations[name].glob("*/vaults/*/receipts"):
            shutil.rmtree(folder)


def test_a_vault_forged_by_another_writer(world: World) -> None:
    world.lose_home()
    forge_records(world, *world.locations)
    found = refused_recovery(world)
    assert found.exit_code == Damaged.exit_code
    assert "forged" in str(found)


def test_records_signed_again_in_place(world: World) -> None:
    """The same path, the same writer id, and a signature of somebody else."""
    world.lose_home()
    for name in world.locations:
        for path in vault_objects(world, name, "snapshots"):
            record = decode_envelope(path.read_bytes(), "a record")
            fields = record.statement.fields("snapshot")
            path.write_bytes(sign_envelope(STRANGER, "snapshot", fields, record.body).encode())
    assert refused_recovery(world).exit_code == Damaged.exit_code


def test_one_location_forged_is_named_and_the_others_give_everything(world: World) -> None:
    world.lose_home()
    for path in vault_objects(world, "loc3", "snapshots"):
        record = decode_envelope(path.read_bytes(), "a record")
        fields = record.statement.fields("snapshot")
        path.write_bytes(sign_envelope(STRANGER, "snapshot", fields, record.body).encode())
    for path in vault_objects(world, "loc3", "receipts"):
        path.write_bytes(b"forged" + path.read_bytes())
    _, damaged = world.recover(world.kits[:2])
    assert set(damaged) == {"loc3"}
    for client in (NORMAL, HIGH):
        assert world.restore(client) == world.state()


def key_tables(world: World, location: str) -> list[Path]:
    return [path for path in world.locations[location].glob("*/kits/*/*") if path.is_file()]


def alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("part", ["identity-", "client"])
def test_key_tables_altered_everywhere(world: World, part: str) -> None:
    world.lose_home()
    for name in world.locations:
        for path in key_tables(world, name):
            if path.name.startswith("identity-") == (part == "identity-"):
                alter(path)
    assert refused_recovery(world).exit_code == Damaged.exit_code


def test_key_tables_altered_at_one_location_are_named_and_passed_over(world: World) -> None:
    world.lose_home()
    for path in key_tables(world, "loc1"):
        alter(path)
    _, damaged = world.recover(world.kits[:2])
    assert set(damaged) <= {"loc1"}
    assert world.restore() == world.state()


def forged_roster(world: World, location: str) -> tuple[Path, bytes]:
    """Return a place and a roster of the same custodians, signed by an operator of its own."""
    (path,) = world.locations[location].glob("*/roster/00000001")
    envelope = decode_envelope(path.read_bytes(), "the roster")
    roster = Roster.parse(envelope, None)
    forged = Roster.sign(
        STRANGER, roster.install, 1, roster.members, roster.version, roster.created_at
    )
    return path, forged.encode()


def test_a_roster_of_another_operator_everywhere(world: World) -> None:
    world.lose_home()
    for name in world.locations:
        path, data = forged_roster(world, name)
        path.write_bytes(data)
    found = refused_recovery(world)
    assert found.exit_code == Damaged.exit_code
    assert "roster" in str(found)


@pytest.mark.parametrize("name", ["00000001", "00000002"])
def test_a_roster_of_another_operator_at_one_location(world: World, name: str) -> None:
    """Also under a higher number, where it looks newer than ours. One kit is still too few."""
    world.lose_home()
    path, data = forged_roster(world, "loc1")
    path.with_name(name).write_bytes(data)
    found = refused(lambda: world.recover(world.kits[:1]))
    assert found.exit_code == Refused.exit_code
    assert_nothing_left(world)
    _, damaged = world.recover(world.kits[:2])
    assert set(damaged) <= {"loc1"}
    assert world.restore() == world.state()


def test_the_writers_own_key_is_what_counts_not_the_path(world: World) -> None:
    """What the worker signs itself is accepted, so the forgeries above fail for their signature."""
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        keys: WorkerKeys = deployment.worker_keys(client)
    world.lose_home()
    for name in world.locations:
        for path in vault_objects(world, name, "snapshots"):
            record = decode_envelope(path.read_bytes(), "a record")
            fields = record.statement.fields("snapshot")
            if fields["writer"] == keys.writer_id:
                again = sign_envelope(keys.writer_seed, "snapshot", fields, record.body)
                assert again.encode() == path.read_bytes()
    world.recover(world.kits[:2])
    assert world.restore() == world.state()
