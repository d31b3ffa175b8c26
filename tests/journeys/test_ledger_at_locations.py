"""The ledger with real folders: it lies at every location, comes back, and finds a home put back.

Attacks and accidents are done by hand: files are copied, removed and altered as anybody could.
"""

import shutil
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.locations.object_store import Patience
from strongroom.clients import Keep
from strongroom.facts import Fact
from strongroom.ledger import Log
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.credentials import Credential, Credentials
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import fill, repair_client
from strongroom.operations.resume_ledger import ResumedLog, resume_ledger
from strongroom.operations.scrub import ScrubRequest, scrub_vault
from strongroom.operations.tell_status import tell_status
from tests.journeys.world import (
    HIGH,
    NORMAL,
    World,
    copy_aside,
    make_world,
    put_back,
    refused,
    silent,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return an install with two clients of which one has a good snapshot."""
    made = make_world(tmp_path / "world")
    made.back_up(NORMAL)
    return made


def facts_of(deployment: Deployment) -> dict[str, list[bytes]]:
    """Return every leaf of every log and epoch, by whose log it is."""
    found = {"server": _leaves(deployment.registry.log)}
    for client in deployment.registry.clients():
        with deployment.tools.history(client.id) as history:
            found[client.name] = _leaves(history.log)
    return found


def _leaves(log: Log) -> list[bytes]:
    return [leaf for epoch in log.epochs() for leaf in epoch.leaves(0, epoch.size())]


def stretches(world: World, location: str = "loc1") -> list[Path]:
    return sorted(world.locations[location].glob("*/ledger/*/*"))


def test_each_command_places_what_it_recorded_once_for_each_log(world: World) -> None:
    before = stretches(world)
    world.back_up(NORMAL)
    added = set(stretches(world)) - set(before)
    assert len(added) == 2
    for name in ("loc2", "loc3"):
        there = [one.relative_to(world.locations[name]) for one in stretches(world, name)]
        assert there == [one.relative_to(world.locations["loc1"]) for one in stretches(world)]
    with world.open():
        pass
    assert len(stretches(world)) == len(before) + 2


def test_recover_brings_back_every_fact(world: World) -> None:
    world.back_up(HIGH)
    with world.open() as deployment:
        before = facts_of(deployment)
    world.lose_home()
    world.recover(world.kits[:2])
    with world.open() as deployment:
        after = facts_of(deployment)
        for name, leaves in before.items():
            assert after[name][: len(leaves)] == leaves
            begun = Fact.parse(after[name][len(leaves)])
            assert (begun.op, begun.body["cause"], begun.body["lost"]) == (
                "ledger.epoch_begun",
                "recovered",
                0,
            )
            assert begun.body["size"] == len(leaves)
            assert begun.body["cosigned"] == 3
        deployment.registry.log.verify()
        for client in deployment.registry.clients():
            with deployment.tools.history(client.id) as history:
                history.log.verify()


def note_something(world: World, client: str = NORMAL) -> None:
    """Record one harmless fact in the server's log, as any command does."""
    with world.open() as deployment:
        found = deployment.registry.client(client)
        fact = deployment.fact("client.keep_set", found.id, before="1d", after="2d")
        deployment.registry.set_keep(found, Keep(daily=2), fact)


def resume(world: World) -> dict[str, ResumedLog]:
    with world.open() as deployment:
        return {row.log: row for row in resume_ledger(deployment)}


def server_log(world: World) -> tuple[str | None, list[str]]:
    """Return the origin of the server's log and the ids of its facts."""
    with world.open() as deployment:
        log = deployment.registry.log
        return log.epoch().origin, [fact.id for fact in log.facts()]


SERVER = "the server's log"


def test_a_home_put_back_by_hand_only_reads_until_it_resumes(world: World) -> None:
    """The custodians lie in the home and are put back with it: only the locations know."""
    copy_aside(world, "older")
    note_something(world)
    note_something(world)
    origin, facts = server_log(world)
    put_back(world, "older", world.home)
    placed = stretches(world)

    err = refused(lambda: note_something(world))
    assert (err.exit_code, err.code) == (20, "log_behind")
    assert "ledger resume" in err.hint
    with world.open() as deployment:
        told = tell_status(deployment).warnings
        assert any("READ-ONLY" in one and "location" in one for one in told)
    assert stretches(world) == placed

    row = resume(world)[SERVER]
    assert (row.state, row.lost) == ("resumed", 0)
    assert row.facts > 0
    after_origin, after = server_log(world)
    assert after_origin == origin
    assert after[: len(facts)] == facts
    note_something(world)
    with world.open() as deployment:
        deployment.registry.log.verify()
        assert resume_ledger(deployment)[0].state == "whole"


def test_a_home_put_back_signs_nothing_that_is_shorter(world: World) -> None:
    copy_aside(world, "older")
    note_something(world)
    with world.open() as deployment:
        newest = deployment.registry.log.checkpoint()
    put_back(world, "older", world.home)
    refused(lambda: note_something(world))
    with world.open() as deployment:
        log = deployment.registry.log
        signed = log.checkpoint()
        assert newest is not None
        assert signed is not None
        assert signed.size < newest.size
        err = refused(lambda: log.sign(b"\x00" * 32, deployment.tools.clock.now()))
        assert err.code == "log_behind"


def test_two_homes_of_one_state_never_sign_two_histories(world: World) -> None:
    """Each takes up what the other has placed, or refuses; neither goes its own way."""
    copy_aside(world, "second")
    note_something(world)
    origin, _ = server_log(world)
    copy_aside(world, "first")
    put_back(world, "second", world.home)
    assert refused(lambda: note_something(world)).code == "log_behind"
    assert resume(world)[SERVER].state == "resumed"
    note_something(world)
    put_back(world, "first", world.home)
    assert refused(lambda: note_something(world)).code == "log_behind"
    assert resume(world)[SERVER].state == "resumed"
    assert server_log(world)[0] == origin


def test_a_second_home_that_went_its_own_way_begins_a_new_epoch_with_its_facts(
    world: World,
) -> None:
    """It could not see the locations while it did, and had signed; that is a fork."""
    copy_aside(world, "second")
    note_something(world)
    origin, theirs = server_log(world)
    put_back(world, "second", world.home)
    for name, path in world.locations.items():
        path.rename(path.with_name(f"{name}-unplugged"))
    note_something(world)
    _, ours = server_log(world)
    for name, path in world.locations.items():
        path.with_name(f"{name}-unplugged").rename(path)
    assert refused(lambda: note_something(world)).exit_code in (20, 30)

    assert resume(world)[SERVER].state == "new_epoch"
    with world.open() as deployment:
        log = deployment.registry.log
        old, new = log.epochs()
        assert [fact.id for fact in old.facts()] == theirs
        assert old.epoch().origin == origin != new.epoch().origin
        facts = log.facts()
        assert facts[0].op == "ledger.epoch_begun"
        assert facts[0].body["cause"] == "put_back"
        assert [one for one in ours if one not in theirs] == [
            fact.id for fact in facts[1:] if fact.id in ours
        ]
        log.verify()
    note_something(world)
    with world.open() as deployment:
        assert {row.state for row in resume_ledger(deployment)} == {"whole"}


def test_a_log_does_not_go_on_while_a_location_that_may_have_more_is_away(world: World) -> None:
    """Only loc1 has the last fact, and loc1 is away: waiting brings it back, going on loses it."""
    copy_aside(world, "older")
    unplug(world, "loc2", "loc3")
    note_something(world)
    plug_in(world, "loc2", "loc3")
    _, facts = server_log(world)
    custodians = world.root / "custodians-now"
    shutil.copytree(world.home / "custodians", custodians)
    put_back(world, "older", world.home)
    shutil.rmtree(world.home / "custodians")
    custodians.rename(world.home / "custodians")
    unplug(world, "loc1")
    err = refused(lambda: resume(world))
    assert (err.code, err.exit_code) == ("location_away", 4)
    assert "location loc1 does not answer" in err.what
    assert "--without-absent" in err.hint
    plug_in(world, "loc1")
    assert resume(world)[SERVER].state == "resumed"
    assert server_log(world)[1][: len(facts)] == facts


def test_a_log_goes_on_without_a_location_that_is_given_up(world: World) -> None:
    copy_aside(world, "older")
    note_something(world)
    put_back(world, "older", world.home)
    unplug(world, "loc1")
    assert refused(lambda: resume(world)).code == "location_away"
    done = world.command("ledger", "resume", "--without-absent")
    assert done.returncode == 0, done.stderr
    note_something(world)


def unplug(world: World, *names: str) -> None:
    for name in names:
        path = world.locations[name]
        path.rename(path.with_name(f"{name}-unplugged"))


def plug_in(world: World, *names: str) -> None:
    for name in names:
        path = world.locations[name]
        path.with_name(f"{name}-unplugged").rename(path)


def test_what_no_location_has_and_the_custodians_have_seen_is_told_as_lost(world: World) -> None:
    """The home is put back, the custodians are not, and the locations lost what came since."""
    copy_aside(world, "older")
    before = {name: stretches(world, name) for name in world.locations}
    note_something(world)
    custodians = world.root / "custodians-now"
    shutil.copytree(world.home / "custodians", custodians)
    put_back(world, "older", world.home)
    shutil.rmtree(world.home / "custodians")
    custodians.rename(world.home / "custodians")
    for name, kept in before.items():
        for path in set(stretches(world, name)) - set(kept):
            path.unlink()
    assert refused(lambda: note_something(world)).code == "log_behind"
    row = resume(world)[SERVER]
    assert (row.state, row.lost) == ("new_epoch", 1)
    with world.open() as deployment:
        assert deployment.registry.facts()[0].body["lost"] == 1
    note_something(world)


def test_a_forged_object_at_one_location_stops_nothing(world: World) -> None:
    """Its name can be foreseen; what is there must be signed by the log to count."""
    newest = stretches(world)[-1]
    for log in {one.parent for one in stretches(world)}:
        with world.open() as deployment:
            size = deployment.registry.log.size()
        for number in range(size + 20):
            path = log / f"{number:010d}"
            if not path.exists():
                path.write_bytes(newest.read_bytes())
    note_something(world)
    note_something(world)
    for name in ("loc2", "loc3"):
        assert len(stretches(world, name)) > 0
    with world.open() as deployment:
        assert {row.state for row in resume_ledger(deployment)} == {"whole"}


def test_recover_names_the_facts_that_are_lost(world: World) -> None:
    note_something(world)
    note_something(world)
    with world.open() as deployment:
        origin = deployment.registry.log.epoch().origin or ""
        size = deployment.registry.log.size()
    for path in world.locations.values():
        (folder,) = path.glob(f"*/ledger/{origin.rpartition('/')[2]}")
        sorted(folder.iterdir())[-2].unlink()
    world.lose_home()
    world.recover(world.kits[:2])
    with world.open() as deployment:
        log = deployment.registry.log
        begun = log.facts()[0]
        assert begun.op == "ledger.epoch_begun"
        assert begun.body["lost"] == size - log.epochs()[0].size() > 0
        log.verify()


def test_a_recovered_home_leaves_the_old_logs_as_they_are(world: World) -> None:
    before = {path: path.read_bytes() for path in stretches(world)}
    old = {path.parent for path in before}
    world.lose_home()
    world.recover(world.kits[:2])
    assert {path: path.read_bytes() for path in stretches(world)} == before
    world.back_up(NORMAL)
    added = set(stretches(world)) - set(before)
    assert added
    assert not {path.parent for path in added} & old


def test_recovering_twice_brings_every_epoch_back(world: World) -> None:
    world.lose_home()
    world.recover(world.kits[:2])
    world.back_up(NORMAL)
    with world.open() as deployment:
        before = facts_of(deployment)
        epochs = len(deployment.registry.log.epochs())
    world.lose_home()
    world.recover(world.kits[1:])
    with world.open() as deployment:
        after = facts_of(deployment)
        for name, leaves in before.items():
            assert after[name][: len(leaves)] == leaves
        assert len(deployment.registry.log.epochs()) == epochs + 1
        deployment.registry.log.verify()


def test_a_location_that_was_away_gets_the_ledger_by_repair_and_a_new_one_by_add(
    world: World,
) -> None:
    away = world.locations["loc3"]
    shutil.rmtree(next(away.glob("*/ledger")))
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        outcome = check_vault(deployment, client, CheckRequest(), silent)
        lacking = {one.object for one in outcome.problems if one.kind == "missing"}
        assert lacking
        assert all("/ledger/" in one for one in lacking)
        assert outcome.orphans == 0
        repair_client(deployment, client)
        outcome = check_vault(deployment, client, CheckRequest(), silent)
        assert outcome.problems == []
        report = scrub_vault(deployment, client, ScrubRequest(share=1), silent)
        assert report.problems == []
        fourth = world.root / "loc4"
        location = deployment.tools.location(f"file://{fourth}", "loc4", True)
        filled = fill(deployment, location, "loc4", (deployment.install,))
        assert filled.left_out == []
    there = {one.relative_to(fourth) for one in fourth.glob("*/ledger/*/*")}
    at_first = {one.relative_to(world.locations["loc1"]) for one in stretches(world)}
    assert there <= at_first
    assert len(there) > 3


def test_an_altered_copy_is_found_by_scrubbing_and_mended_by_repair(world: World) -> None:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            origin = history.log.epoch().origin or ""
    log = origin.rpartition("/")[2]
    path = next(one for one in stretches(world, "loc2") if one.parent.name == log)
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with world.open() as deployment:
        report = scrub_vault(deployment, client, ScrubRequest(share=1), silent)
        assert [(one.kind, one.location) for one in report.problems] == [("damaged", "loc2")]
        repair_client(deployment, client)
    assert path.read_bytes() == good


def test_a_location_that_is_down_keeps_nothing_from_being_placed(world: World) -> None:
    path = world.locations["loc2"]
    path.rename(path.with_name("unplugged"))
    before = len(stretches(world))
    note_something(world)
    assert len(stretches(world)) == before + 1
    path.with_name("unplugged").rename(path)
    note_something(world)
    assert len(stretches(world, "loc2")) == len(stretches(world)) - 1


@pytest.mark.loopback
def test_a_store_at_which_nobody_answers_is_given_up_in_seconds(world: World) -> None:
    """What was asked for waits a minute for a store; the ledger, which can go later, does not."""
    assert seconds_to_place_beside(world, 9) < Patience().retry_seconds / 2


@pytest.mark.loopback
@pytest.mark.long
def test_a_store_that_is_silent_holds_up_the_end_of_a_command_for_seconds(world: World) -> None:
    """It takes the connection and says nothing; a backup would wait five minutes for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent_server:
        seconds = seconds_to_place_beside(world, silent_server.getsockname()[1])
    assert seconds < 45 < Patience().request_seconds


def seconds_to_place_beside(world: World, port: int) -> float:
    """Record something where loc2 is a store at this port, and see it placed at the others."""
    store = f"s3://bucket/loc2?endpoint=http://127.0.0.1:{port}"
    with closing(sqlite3.connect(world.home / "server.db")) as connection, connection:
        connection.execute("UPDATE location SET url = ? WHERE name = 'loc2'", (store,))
    with world.open() as deployment:
        Credentials(Credential("key", "secret")).seal(deployment.tools.secrets, "loc2", store)
    before = len(stretches(world))
    began = time.monotonic()
    note_something(world)
    took = time.monotonic() - began
    assert len(stretches(world)) == before + 1
    return took


def test_a_location_that_failed_in_this_command_is_not_asked_for_the_ledger(world: World) -> None:
    before = {name: len(stretches(world, name)) for name in world.locations}
    path = world.locations["loc2"]
    with world.open() as deployment:
        path.rename(path.with_name("unplugged"))
        deployment.copies.put(f"{deployment.install}/something", b"bytes")
        path.with_name("unplugged").rename(path)
        deployment.registry.record(deployment.fact("ledger.anchored", deployment.install, logs=[]))
    assert len(stretches(world, "loc1")) == before["loc1"] + 1
    assert len(stretches(world, "loc2")) == before["loc2"]


def test_what_could_not_be_placed_is_placed_by_the_next_command(world: World) -> None:
    for name in ("loc2", "loc3"):
        path = world.locations[name]
        path.rename(path.with_name(f"{name}-unplugged"))
    told: list[str] = []
    with world.app.open(world.home, told.append) as deployment:
        deployment.registry.record(deployment.fact("ledger.anchored", deployment.install, logs=[]))
    assert any("is not placed" in one for one in told)
    waiting = stretches(world)[-1].read_bytes()
    for name in ("loc2", "loc3"):
        path = world.locations[name]
        path.with_name(f"{name}-unplugged").rename(path)
    note_something(world)
    at = {one.name: one.read_bytes() for one in stretches(world, "loc3")}
    assert waiting in at.values()
