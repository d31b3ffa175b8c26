"""Keys of custodians are rotated and dropped, while backups and restores go on."""

import shutil

import pytest

from strongroom.crypto.envelope import decode_envelope
from strongroom.errors import Refused
from strongroom.operations.deployment import Deployment
from strongroom.operations.look_at_custodians import find_member
from strongroom.operations.rotate import CustodianKey, drop_former, rotate
from tests.journeys.test_enrolled_custodian import enrol
from tests.journeys.test_rescue import kits_file, rescued
from tests.journeys.world import (
    HIGH,
    World,
    change_live_data,
    fresh_copy,
    keep_template,
    make_world,
)

FIRST = "custodian-1"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An install with one good snapshot of a client of class high."""
    made = make_world(tmp_path_factory.mktemp("rotated") / "world", clients=(HIGH,))
    assert made.back_up(HIGH).problems == []
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


def rotated(world: World, name: str = FIRST) -> CustodianKey:
    with world.open() as deployment:
        return rotate(deployment, deployment.registry.client(HIGH), find_member(deployment, name))


def dropped(world: World, name: str = FIRST) -> CustodianKey:
    with world.open() as deployment:
        member = find_member(deployment, name)
        return drop_former(deployment, deployment.registry.client(HIGH), member)


def noted(deployment: Deployment) -> dict[int, tuple[int, bytes]]:
    """Return serial and public key of each custodian as this home has them."""
    client = deployment.registry.client(HIGH)
    with deployment.tools.history(client.id) as history:
        found = {
            index: deployment.roster.check_client_key(decode_envelope(data, "it"))
            for index, data in history.client_keys().items()
        }
    return {index: (key.serial, key.public) for index, key in found.items()}


def back_up_changed(world: World, number: int) -> None:
    change_live_data(world, number)
    report = world.back_up(HIGH)
    assert (report.state, report.problems) == ("good", [])


def without_third(world: World) -> None:
    """Lose the third custodian's database, so that the first one is needed."""
    shutil.rmtree(world.custodian(3))


def test_restores_go_on_over_rotations(world: World) -> None:
    with world.open() as deployment:
        before = noted(deployment)
    key = rotated(world)
    assert (key.serial, key.former, key.dropped, key.notes) == (2, 1, 0, [])
    with world.open() as deployment:
        after = noted(deployment)
        assert deployment.registry.facts("procedure.obeyed")
    assert after[1][0] == 2
    assert after[1][1] != before[1][1]
    assert (after[2], after[3]) == (before[2], before[3])
    back_up_changed(world, 1)
    rotated(world)
    back_up_changed(world, 2)
    without_third(world)
    assert world.restore(HIGH) == world.state()


def test_kits_bring_every_key_back_after_rotations(world: World) -> None:
    rotated(world)
    back_up_changed(world, 1)
    wanted = world.state()
    world.lose_home()
    clients, damaged = world.recover([world.kits[0], world.kits[1]])
    assert ([one.snapshots for one in clients], damaged) == ([2], [])
    assert world.restore(HIGH) == wanted
    back_up_changed(world, 2)
    # A home that was rebuilt waits a day, whatever the one before did.
    done = world.command("custodian", "rotate", FIRST, "--client", HIGH)
    assert (done.returncode, "any approver may refuse it until" in done.stderr) == (5, True)


def test_the_rescue_file_reads_what_was_dealt_to_each_key(world: World) -> None:
    rotated(world)
    back_up_changed(world, 1)
    assert rescued(world, HIGH, "--kits", kits_file(world, 0, 1)) == world.state()


def test_a_former_key_goes_when_no_session_needs_it(world: World) -> None:
    assert dropped(world).dropped == 0
    rotated(world)
    key = dropped(world)
    assert (key.dropped, key.former, key.notes) == (0, 1, [])
    with world.open() as deployment:
        client = deployment.registry.client(HIGH)
        places = [
            path / deployment.install / "vaults" / client.vault for path in world.locations.values()
        ]
    old = {path.name for path in (places[0] / "keys").iterdir()}
    back_up_changed(world, 1)
    # What needed it was deleted everywhere.
    for place in places:
        for name in old:
            (place / "keys" / name).unlink()
    key = dropped(world)
    assert (key.dropped, key.former, key.serial) == (1, 0, 3)
    assert (key.exports_left, key.notes) == ([], [])
    with world.open() as deployment:
        kits = [
            path / deployment.install / "kits" / find_member(deployment, FIRST).id
            for path in world.locations.values()
        ]
        names = {path.name for kit in kits for path in kit.glob(f"{client.id}-*")}
    assert names == {f"{client.id}-00000003"}
    # A run that was interrupted before it had deleted them is completed by the next one.
    (kits[1] / f"{client.id}-00000001").write_bytes(b"SRKIT")
    assert dropped(world).dropped == 0
    assert [path.name[-8:] for path in kits[1].glob(f"{client.id}-*")] == ["00000003"]
    world.lose_home()
    world.recover([world.kits[0], world.kits[1]])
    assert world.restore(HIGH) == world.state()


def test_nothing_is_dropped_while_a_location_is_away(world: World) -> None:
    rotated(world)
    world.locations["loc2"].rename(world.root / "away")
    with pytest.raises(Refused, match="loc2 does not answer, and may hold what needs"):
        dropped(world)


def test_a_key_that_no_certificate_tells_of_is_left_alone(world: World) -> None:
    with world.open() as deployment:
        client = deployment.registry.client(HIGH)
        with (
            deployment.tools.history(client.id) as history,
            history._database.transaction() as transaction,
        ):
            transaction.run("DELETE FROM client_key WHERE custodian = 1")
        acts = len(deployment.desk.acts())
    with pytest.raises(Refused, match="no certificate of custodian 1") as caught:
        rotated(world)
    assert "Recover again" in caught.value.hint
    with world.open() as deployment:
        assert len(deployment.desk.acts()) == acts


def test_a_rotation_that_was_not_noted_is_completed(world: World) -> None:
    """The home was killed between the custodian's deed and its own note."""
    key = rotated(world)
    with world.open() as deployment:
        client = deployment.registry.client(HIGH)
        member = find_member(deployment, FIRST)
        places = [
            path / deployment.install / "client-keys" / client.id / member.id
            for path in world.locations.values()
        ]
        with deployment.tools.history(client.id) as history:
            history.adopt_client_keys({1: (places[0] / "00000001").read_bytes()})
        for place in places:
            (place / "00000002").unlink()
        acts = len(deployment.desk.acts())
    again = rotated(world)
    assert again == key
    assert all((place / "00000002").exists() for place in places)
    with world.open() as deployment:
        assert len(deployment.desk.acts()) == acts


def test_who_took_a_seat_is_asked_about_what_was_dealt_to_it_alone(world: World) -> None:
    enrol(world)
    key = rotated(world, "newcomer")
    assert (key.serial, key.former) == (2, 1)
    key = dropped(world, "newcomer")
    assert (key.dropped, key.former, key.notes) == (1, 0, [])
    back_up_changed(world, 1)
    rotated(world, "newcomer")
    assert dropped(world, "newcomer").dropped == 0
    shutil.rmtree(world.custodian(1))
    assert world.restore(HIGH) == world.state()


def test_commands_say_what_they_did(world: World) -> None:
    done = world.command("custodian", "rotate", FIRST, "--all")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{HIGH}: {FIRST} has key 2" in done.stdout
    assert "keeps 1 former key for what was kept before" in done.stdout
    done = world.command("custodian", "rotate", FIRST, "--client", HIGH, "--drop-former")
    assert (done.returncode, done.stdout) == (
        0,
        f"{HIGH}: nothing to destroy; {FIRST} keeps 1 former key\n",
    )
