"""What a command records is signed and witnessed at its end; a log that is not what was seen stops.

The custodians of these homes stand for ones on other machines: a home is put back without them.
"""

import shutil
from contextlib import suppress
from dataclasses import replace
from typing import cast

import pytest

from strongroom.clients import Keep
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Refused, Stale
from strongroom.facts import read_facts
from strongroom.ledger import Checkpoint, Log, Policy
from strongroom.operations.add_client import NewClient, add_client
from strongroom.operations.add_location import remove_location
from strongroom.operations.conclude import conclude
from strongroom.operations.deployment import Deployment
from strongroom.operations.intent import Unwitnessed, announced
from strongroom.operations.tell_status import tell_status
from strongroom.operations.witnessing import OpenLog, Witnesses, have_witnessed
from strongroom.quorum import Custodian, LocalCustodian
from strongroom.quorum.release import ReleaseRequest
from tests.journeys.world import (
    NORMAL,
    World,
    change_live_data,
    copy_aside,
    fresh_copy,
    keep_template,
    make_world,
    put_back,
    refused,
    restored_state,
)
from tests.support.counting import Counting


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_world(tmp_path_factory.mktemp("install") / "world", clients=(NORMAL,))
    assert made.back_up().problems == []
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


def heard(world: World, facts: int = 1) -> list[str]:
    """Record facts in the server's log; return what was said about the ledger at the end."""
    said: list[str] = []
    with world.app.open(world.home, said.append) as deployment:
        for _ in range(facts):
            record_in_server(deployment)
    return said


def record_in_server(deployment: Deployment) -> None:
    client = deployment.registry.client(NORMAL)
    fact = deployment.fact("vault.repaired", client.id, copied=0, replaced=0, left_out=0)
    deployment.registry.record(fact)


def verdicts(world: World) -> dict[str, Policy.Verdict]:
    """Judge the newest checkpoint of each log by a policy made of the cards, from its text."""
    with world.open() as deployment:
        witnesses = Witnesses.known(deployment)
        found = {"server": judged(deployment.registry.log, witnesses)}
        for client in deployment.registry.clients():
            with deployment.tools.history(client.id) as history:
                found[client.name] = judged(history.log, witnesses)
        return found


def judged(log: Log, witnesses: Witnesses) -> Policy.Verdict:
    signed, epoch = log.checkpoint(), log.epoch()
    assert signed is not None
    assert epoch.vkey is not None
    assert signed.size == log.size()
    policy = witnesses.policy(Checkpoint.Key.parse(epoch.vkey))
    return Policy.parse(policy.encode()).check(signed.note)


# -- every command


def test_every_log_is_witnessed_when_a_command_has_ended(world: World) -> None:
    found = verdicts(world)
    assert found.keys() == {"server", NORMAL}
    for verdict in found.values():
        assert verdict.quorum_met
        assert verdict.cosigned.keys() == {"custodian-1", "custodian-2", "custodian-3"}
    assert found["server"].checkpoint.origin != found[NORMAL].checkpoint.origin
    for verdict in found.values():
        # A witness gets no names.
        assert NORMAL not in verdict.checkpoint.origin


def test_a_command_that_failed_is_witnessed_too(world: World) -> None:
    assert heard(world) == []
    size = verdicts(world)["server"].checkpoint.size
    with pytest.raises(ZeroDivisionError), world.open() as deployment:
        record_and_fail(deployment)
    assert verdicts(world)["server"].checkpoint.size > size
    assert verdicts(world)["server"].quorum_met


def test_a_command_that_records_nothing_writes_nothing(world: World) -> None:
    before = verdicts(world)
    with world.open() as deployment:
        tell_status(deployment)
    assert verdicts(world) == before


def test_the_servers_log_takes_in_where_a_clients_log_stands(world: World) -> None:
    world.back_up()
    with world.open() as deployment:
        told = deployment.registry.facts("ledger.anchored")[-1].body["logs"]
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            signed, epoch = history.log.checkpoint(cosigned=True), history.log.epoch()
            assert signed is not None
            log_id = str(epoch.origin).rpartition("/")[2]
            assert told == [f"{log_id} {signed.size} {history.log.root(signed.size).hex()}"]


# -- custodians that are away, or older


def move(world: World, index: int) -> None:
    """Take a custodian away, or bring it back."""
    here, away = world.custodian(index), world.root / f"away-{index}"
    (away if away.exists() else here).rename(here if away.exists() else away)


def test_one_custodian_of_three_may_be_absent(world: World) -> None:
    move(world, 2)
    assert heard(world) == []
    assert verdicts(world)["server"].cosigned.keys() == {"custodian-1", "custodian-3"}
    move(world, 2)
    assert heard(world) == []
    assert len(verdicts(world)["server"].cosigned) == 3


def test_too_few_custodians_are_told_and_caught_up_with(world: World) -> None:
    move(world, 2)
    move(world, 3)
    (said,) = heard(world)
    assert said.startswith("the server's log is witnessed by 1 of 2 custodians needed (custodian 2")
    with world.open() as deployment:
        assert deployment.registry.log.checkpoint(cosigned=True) is not None
        (told,) = [one for one in tell_status(deployment).warnings if "server's log" in one]
    assert "1 fact is not witnessed, since" in told
    move(world, 2)
    assert heard(world, facts=0) == []
    assert verdicts(world)["server"].quorum_met


def test_a_clients_log_that_was_not_witnessed_is_shown_again_by_status(world: World) -> None:
    move(world, 2)
    move(world, 3)
    record_something(world)
    move(world, 2)
    move(world, 3)
    behind = f"the log of {NORMAL}: 1 fact is not witnessed"
    for found in (1, 0):
        with world.open() as deployment:
            told = [one for one in tell_status(deployment).warnings if one.startswith(behind)]
        assert len(told) == found


def test_a_custodian_that_was_put_back_is_brought_up_and_named(world: World) -> None:
    older = world.root / "older"
    shutil.copytree(world.custodian(3), older)
    assert world.back_up().problems == []
    shutil.rmtree(world.custodian(3))
    older.rename(world.custodian(3))
    said = heard(world)
    assert len(said) == 1
    assert "custodian 3" in said[0]
    assert "older than what it has cosigned" in said[0]
    assert len(verdicts(world)["server"].cosigned) == 3
    assert heard(world) == []


# -- named attacks


@pytest.fixture
def older(world: World) -> World:
    """A world with a copy of itself, `older`, and one more backup and client than the copy."""
    copy_aside(world, "older")
    change_live_data(world, 1)
    assert world.back_up().problems == []
    assert heard(world) == []
    return world


def put_home_back(world: World, name: str) -> None:
    """Put the machine back as it was kept, but for the custodians, which are elsewhere."""
    custodians = world.root / "custodians-now"
    shutil.copytree(world.home / "custodians", custodians)
    put_back(world, name, world.home)
    shutil.rmtree(world.home / "custodians")
    custodians.rename(world.home / "custodians")


def test_restored_machine_image(older: World) -> None:
    """A home from an older image only reads: whatever it would record is refused, with exit 20."""
    put_home_back(older, "older")
    size = server_size(older)
    for action in (older.back_up, lambda: heard(older)):
        err = refused(action)
        assert isinstance(err, Stale)
        assert err.exit_code == 20
    assert "strongroom ledger resume" in refused(lambda: heard(older)).hint
    with older.open() as deployment:
        assert [client.name for client in deployment.registry.clients()] == [NORMAL]
        assert tell_status(deployment).clients[0].good == 1
        assert "the server's log is READ-ONLY" in tell_status(deployment).warnings[0]
    assert server_size(older) == size


def test_rollback(older: World) -> None:
    """One client's database from an older copy is found, although the home is today's."""
    with older.open() as deployment:
        client = deployment.registry.client(NORMAL).id
    folder = older.home / "clients" / client
    shutil.rmtree(folder)
    shutil.copytree(older.root / "older" / "home" / "clients" / client, folder)
    err = refused(lambda: record_something(older))
    assert isinstance(err, Log.Behind)
    assert err.exit_code == 20
    assert heard(older) == []


def test_fork(older: World) -> None:
    """A home that went on alone from an older copy is told apart, with exit 30; no one cosigns."""
    put_home_back(older, "older")
    away = older.root / "custodians-away"
    (older.home / "custodians").rename(away)
    (older.home / "custodians").mkdir()
    for path in older.locations.values():
        path.rename(path.with_name(f"{path.name}-away"))
    # Nobody is there to say what was seen; what is recorded is witnessed by nobody.
    assert len(heard(older, facts=9)) == 2
    for path in older.locations.values():
        path.with_name(f"{path.name}-away").rename(path)
    (older.home / "custodians").rmdir()
    away.rename(older.home / "custodians")
    err = refused(lambda: heard(older))
    assert isinstance(err, Log.Forked)
    assert err.exit_code == 30
    said = heard(older, facts=0)
    assert any("is another than the one that was seen" in one for one in said)
    with older.open() as deployment:
        for custodian in deployment.embedded():
            assert custodian.witness.evidence() == []


def test_a_log_put_back_to_before_its_first_signature_signs_no_other_tree(world: World) -> None:
    """Its name comes with its first signature, and is the same again: a witness knows it."""
    with world.open() as deployment:
        client = add_client(deployment, NewClient("young", "normal", Keep()))
        folder = world.home / "clients" / client.id
        shutil.copytree(folder, world.root / "young")
        with deployment.tools.history(client.id) as history:
            assert history.log.epoch().origin is None
    with world.open() as deployment, deployment.tools.history(client.id) as history:
        history.record(deployment.fact("browse.done", client.id, snapshot="0" * 64, rows=0))
    shutil.rmtree(folder)
    (world.root / "young").rename(folder)
    with world.open() as deployment, deployment.tools.history(client.id) as history:
        for rows in range(3):
            fact = deployment.fact("browse.done", client.id, snapshot="1" * 64, rows=rows)
            history.record(fact)
        (found,) = have_witnessed(deployment, [OpenLog.of_client(client, history)])
        assert isinstance(found.problems["the log"], Log.Forked)
        assert history.log.checkpoint() is None


def test_two_writers(world: World) -> None:
    """Two machines write to one log in turn: the one that is behind stops before it writes."""
    size = server_size(world)
    copy_aside(world, "second")
    assert heard(world) == []
    put_home_back(world, "second")
    err = refused(lambda: heard(world))
    assert isinstance(err, Log.Behind)
    assert server_size(world) == size


def server_size(world: World) -> int:
    """Return how many facts the server's log has."""
    with world.open() as deployment:
        return deployment.registry.log.size()


def record_and_fail(deployment: Deployment) -> None:
    record_in_server(deployment)
    raise ZeroDivisionError


def record_something(world: World) -> None:
    """Record a fact in the client's log."""
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            history.record(deployment.fact("browse.done", client.id, snapshot="0" * 64, rows=0))


def test_many_logs_are_one_transaction_for_each_custodian(world: World) -> None:
    counting = Counting()
    with world.open() as deployment:
        for number in range(70):
            add_client(deployment, NewClient(f"many-{number}", "normal", Keep()))
    with counting.deployment(world.home) as deployment:
        for client in deployment.registry.clients():
            with deployment.tools.history(client.id) as history:
                history.record(deployment.fact("browse.done", client.id, snapshot="0" * 64, rows=0))
        counting.counts.clear()
        assert conclude(deployment) == []
    # 64 clients, 7 clients, and the server's log.
    assert counting.counts["custodian commits"] == 3 * 3
    assert all(verdict.quorum_met for verdict in verdicts(world).values())


# -- intents


def phases(world: World, op: str) -> list[tuple[str, str, str]]:
    """Return phase, outcome and reason of the client's facts of one op."""
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            return [(one.phase, one.out, one.why) for one in history.facts(op)]


def test_a_restore_is_announced_and_witnessed_before_a_key_is_asked_for(world: World) -> None:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            sizes: list[tuple[int, int]] = []
            first = deployment.embedded()[0]

            class Watching:
                """The first custodian, which looks at the log when it is asked for keys."""

                def __getattr__(self, name: str) -> object:
                    return getattr(first, name)

                def release(self, request: ReleaseRequest) -> Envelope:
                    signed = history.log.checkpoint(cosigned=True)
                    sizes.append((signed.size if signed else 0, history.log.size()))
                    return first.release(request)

            custodians: dict[int, Custodian] = {
                **deployment.custodians,
                1: cast("Custodian", Watching()),
            }
            watched = replace(deployment, custodians=custodians)
            restored_state(watched, NORMAL, world.root / "restored")
    assert sizes
    assert all(witnessed == size for witnessed, size in sizes)
    assert phases(world, "keys.opened") == [("intent", "ok", ""), ("result", "ok", "")]
    assert phases(world, "restore.done") == [("intent", "ok", ""), ("result", "ok", "")]


def test_without_a_quorum_no_key_is_asked_for(world: World) -> None:
    """Two of three open a key, and two must witness: with one there is neither."""
    with world.open() as deployment:
        absent = {index: Refused(f"custodian {index} is away") for index in (2, 3)}
        present = {1: deployment.custodians[1]}
        alone = replace(deployment, custodians=present, absent_custodians=absent)
        err = refused(lambda: restored_state(alone, NORMAL, world.root / "restored"))
    assert isinstance(err, Unwitnessed)
    assert err.exit_code == 4
    assert "1 of 2 custodians needed witnessed the announcement" in str(err)
    assert "strongroom recover" in err.hint
    assert phases(world, "keys.opened") == [("intent", "ok", ""), ("result", "denied", err.code)]
    assert phases(world, "restore.done") == [("intent", "ok", ""), ("result", "denied", err.code)]
    with world.open() as deployment:
        for custodian in deployment.embedded():
            assert journalled(custodian, "share.released") == 0


def journalled(custodian: LocalCustodian, op: str) -> int:
    with custodian._own.database.reading() as reading:
        return len(read_facts(reading, op))


def test_a_quorum_does_not_shrink_with_the_cards_that_are_kept(world: World) -> None:
    """Who deletes the cards of those who are away has not made a quorum of who is left."""
    with world.open() as deployment:
        with deployment.registry._database.transaction() as transaction:
            transaction.run("DELETE FROM witness_card")
        absent = {index: Refused(f"custodian {index} is away") for index in (1, 2)}
        alone = replace(
            deployment, custodians={3: deployment.custodians[3]}, absent_custodians=absent
        )
        err = refused(lambda: remove_location(alone, "loc3"))
        assert isinstance(err, Unwitnessed)
        assert "the keys of 1 of 2 witnesses needed are known" in err.why
        assert len(deployment.registry.locations()) == 3
    assert heard(world) == []


def test_an_act_that_fails_says_so(world: World) -> None:
    intents = ("intent", "ok", "")
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            log = OpenLog.of_client(client, history)
            for error in (KeyboardInterrupt(), ZeroDivisionError(), Stale("it is old")):
                intent = deployment.intent("prune.done", client.id)
                with suppress(type(error)), announced(deployment, log, intent):
                    raise error
    assert phases(world, "prune.done") == [
        *(intents, ("result", "error", "interrupted")),
        *(intents, ("result", "error", "failed")),
        *(intents, ("result", "error", "stale")),
    ]


def test_a_location_goes_only_when_that_is_witnessed(world: World) -> None:
    with world.open() as deployment:
        absent = {index: Refused(f"custodian {index} is away") for index in (1, 2)}
        alone = replace(
            deployment, custodians={3: deployment.custodians[3]}, absent_custodians=absent
        )
        with pytest.raises(Unwitnessed):
            remove_location(alone, "loc3")
        assert len(deployment.registry.locations()) == 3
        remove_location(deployment, "loc3")
        found = deployment.registry.facts("location.removed")
    assert [(one.phase, one.out) for one in found] == [
        ("intent", "ok"),
        ("result", "denied"),
        ("intent", "ok"),
        ("result", "ok"),
    ]
    assert found[3].ref == found[2].id


def test_many_logs_that_are_not_witnessed_are_one_sentence(world: World) -> None:
    with world.open() as deployment:
        for number in range(2):
            add_client(deployment, NewClient(f"many-{number}", "normal", Keep()))
    move(world, 1)
    move(world, 2)
    said: list[str] = []
    with world.app.open(world.home, said.append) as deployment:
        for client in deployment.registry.clients():
            with deployment.tools.history(client.id) as history:
                history.record(deployment.fact("browse.done", client.id, snapshot="0" * 64, rows=0))
    assert len(said) == 1
    assert "and 2 others are witnessed by 1 of 2 custodians needed (custodian 1: " in said[0]
