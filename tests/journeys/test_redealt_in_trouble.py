"""What locations put back, alter or hide stops dealing anew for nothing that does not need it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.crypto.envelope import Envelope, Statement
from strongroom.errors import Damaged, PartlyDone, Waiting
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.look_at_custodians import find_member
from strongroom.operations.open_keys import fetch_first_keys, fetch_keys, verified_header
from strongroom.operations.receipts import fetch_record
from strongroom.operations.redeal import redeal
from strongroom.operations.rotate import rotate
from strongroom.quorum import Custodian
from tests.journeys.test_enrolled_custodian import enrol, lose, standing_in
from tests.journeys.test_redealt_sessions import firsts, hide, redealt, warned
from tests.journeys.world import (
    NORMAL,
    World,
    change_live_data,
    fresh_copy,
    keep_template,
    make_world,
    silent,
    template_of,
)
from tests.support.stand_in import StandIn
from tests.support.stepping_clock import SteppingClock


@dataclass(frozen=True, slots=True)
class Template:
    """A client with two sessions, and a newcomer in the third seat."""

    world: World
    words: str
    """Of the newcomer's kit."""
    old: tuple[str, bytes]
    """A keys object that a writer signed, sealed to keys that custodians do not have any more."""


@pytest.fixture(scope="module", name="template")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    made = make_world(tmp_path_factory.mktemp("install") / "world", clients=(NORMAL,))
    made.back_up()
    keep_template(made)
    there = {path.name for path in (folders(made)[0] / "keys").iterdir()}
    for name in ("custodian-1", "custodian-2"):
        with made.open() as deployment:
            rotate(deployment, deployment.registry.client(NORMAL), find_member(deployment, name))
    change_live_data(made, 1)
    made.back_up()
    fresh = [one for one in (folders(made)[0] / "keys").iterdir() if one.name not in there]
    old = fresh[0].name, fresh[0].read_bytes()
    # Nothing of that was, for this home and its custodians.
    fresh_copy(made)
    shutil.rmtree(template_of(made))
    lose(made, 3)
    _, words = enrol(made)
    keep_template(made)
    return Template(made, words, old)


@pytest.fixture(name="world")
def _world(template: Template) -> World:
    return fresh_copy(template.world)


def folders(world: World) -> list[Path]:
    return [world.vault_folder(name, NORMAL) for name in world.locations]


def test_an_old_keys_object_that_is_put_back_stops_nothing(
    world: World, template: Template
) -> None:
    before = world.restore()
    session, data = template.old
    (folders(world)[0] / "keys" / session).write_bytes(data)
    done = redealt(world)
    assert [session in note and "no snapshot needs it" in note for note in done.notes] == [True]
    assert done.sessions == 2
    assert "has its seat since" not in warned(world)
    lose(world, 2)
    assert world.restore() == before


class Borrowing(StandIn):
    """A custodian that gives what another one has given, of one session."""

    def __init__(self, honest: Custodian, other: Custodian, session: str) -> None:
        super().__init__(honest)
        self._other = other
        self._session = session

    def reopen(self, request: str, keys: Statement, recipient: bytes) -> Envelope:
        if keys.fields("keys")["label"]["session"] == self._session:
            return self._other.reopen(request, keys, recipient)
        return super().reopen(request, keys, recipient)


def test_a_session_that_does_not_open_stops_no_other(world: World) -> None:
    session = min(path.name for path in (folders(world)[0] / "keys").iterdir())
    with world.open() as deployment:
        liar = Borrowing(deployment.custodians[2], deployment.custodians[1], session)
        with standing_in(deployment, liar) as other, pytest.raises(Damaged) as caught:
            redeal(other, "custodian-3")
    assert caught.value.code == "shares_altered"
    assert session[:8] in str(caught.value)
    done = redealt(world)
    assert (done.sessions, done.already) == (1, 1)


def test_what_a_snapshot_needs_and_nobody_can_read_is_not_passed_over(world: World) -> None:
    before = world.restore()
    path = min((folders(world)[0] / "keys").iterdir())
    kept = path.read_bytes()
    for folder in folders(world):
        copy = folder / "keys" / path.name
        copy.chmod(0o600)
        copy.write_bytes(b"altered")
    with pytest.raises(PartlyDone) as caught:
        redealt(world)
    told = str(caught.value)
    assert "1 session was dealt anew" in told
    assert f"session {path.name[:8]} is not dealt anew" in told
    assert "until `strongroom custodian redeal custodian-3`" in warned(world)
    for folder in folders(world):
        (folder / "keys" / path.name).unlink()
    with pytest.raises(PartlyDone, match="no location lists it"):
        redealt(world)
    for folder in folders(world):
        (folder / "keys" / path.name).write_bytes(kept)
    done = redealt(world)
    assert (done.sessions, done.already, done.notes) == (1, 1, [])
    assert "has its seat since" not in warned(world)
    lose(world, 2)
    assert world.restore(NORMAL, firsts(world, NORMAL)) == before


def test_a_record_that_no_location_has_is_named(world: World) -> None:
    for folder in folders(world):
        for record in (folder / "snapshots").glob("*/*"):
            record.unlink()
    with pytest.raises(PartlyDone, match="2 sessions were dealt anew") as caught:
        redealt(world)
    assert "needs is not known" in str(caught.value)


def test_what_a_location_has_lost_of_it_is_placed_again(world: World) -> None:
    redealt(world)
    for lost in list(world.locations["loc2"].glob("*/vaults/*/redeal*")):
        shutil.rmtree(lost)
    for receipts in [folder / "redeal-receipts" for folder in folders(world)]:
        if receipts.exists():
            shutil.rmtree(receipts)
    done = redealt(world)
    assert (done.sessions, done.already, done.notes) == (0, 2, [])
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        assert check_vault(deployment, client, CheckRequest(), silent).problems == []


def test_what_every_location_has_lost_of_it_was_not_dealt_anew(world: World) -> None:
    redealt(world)
    hide(world)
    with pytest.raises(PartlyDone, match="2 sessions open as before") as caught:
        redealt(world)
    assert "is at no location" in str(caught.value)


def receipts_of(world: World) -> list[Path]:
    return [folder / "redeal-receipts" for folder in folders(world)]


def test_kits_recover_what_was_dealt_anew_without_its_receipts(
    world: World, template: Template
) -> None:
    """Nobody could open what was dealt first: too few of those that sat then have given kits."""
    before = world.restore()
    redealt(world)
    for receipts in receipts_of(world):
        shutil.rmtree(receipts)
    world.lose_home()
    clients, damages = world.recover([world.kits[1], template.words])
    assert (len(clients), damages) == (1, [])
    assert world.restore() == before


def test_who_can_open_what_was_dealt_first_takes_nothing_without_receipts(
    world: World, template: Template
) -> None:
    """With a writer's key and one location anybody makes an object that holds something else."""
    before = world.restore()
    redealt(world)
    for receipts in receipts_of(world):
        shutil.rmtree(receipts)
    world.lose_home()
    world.recover([world.kits[0], world.kits[1], template.words])
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            header, _ = verified_header(
                history, fetch_record(deployment, client, history.snapshots()[0]).statement
            )
            for session in header.sessions:
                assert not history.redeals.of(session)[0].signed
                found = fetch_keys(deployment, client, history, session)
                assert found == fetch_first_keys(deployment, client, history, session)
    assert world.restore() == before


def test_receipts_that_were_not_there_at_a_recovery_count_when_they_are_back(
    world: World, template: Template
) -> None:
    redealt(world)
    clock, there = SteppingClock(), receipts_of(world)
    world = World(world.root, world.kits, App(clock=clock))
    world.lose_home()
    for receipts in there:
        receipts.rename(receipts.with_name("aside"))
    world.recover([world.kits[0], world.kits[1], template.words])
    clock.step(hours=1)
    world.back_up()
    for receipts in there:
        receipts.with_name("aside").rename(receipts)
    with pytest.raises(Waiting):
        redealt(world)
    clock.step(hours=25)
    done = redealt(world)
    # And two of the snapshot that the recovered home has made.
    assert (done.sessions, done.already, done.notes) == (0, 4, [])
