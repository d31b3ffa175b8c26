"""What custodians wrote down, against what the ledger tells: a key is not used without a trace."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from strongroom.facts import Fact, read_facts, record
from strongroom.operations.deployment import Deployment
from strongroom.operations.reconcile import Reconciliation, reconcile
from tests.faults.proxy import Parted
from tests.journeys.world import (
    HIGH,
    NORMAL,
    World,
    change_live_data,
    fresh_copy,
    keep_template,
    make_world,
)
from tests.support.apart_custodians import apart


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two snapshots and a restore of one client, one snapshot of the other."""
    made = make_world(tmp_path_factory.mktemp("install") / "world")
    assert made.back_up().problems == []
    change_live_data(made, 1)
    assert made.back_up().problems == []
    assert made.back_up(HIGH).problems == []
    assert made.restore() == made.state()
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


def reconciled(world: World) -> Reconciliation:
    with world.open() as deployment:
        return reconcile(deployment)


def found(world: World) -> list[tuple[str, str]]:
    """Return state and text of all findings."""
    return [(one.state, one.text) for one in reconciled(world).findings]


def rewrite(world: World, index: int, change: Callable[[list[Fact]], Sequence[Fact]]) -> None:
    """Let a custodian's journal be another one."""
    with world.open() as deployment:
        database, _ = deployment.tools.custodian_home(index, False)
        with database.transaction() as transaction:
            facts = read_facts(transaction)
            transaction.run("DELETE FROM fact")
            for fact in change(facts):
                record(transaction, fact)
        database.close()


def added(op: str, subject: str, client: str = "") -> Callable[[list[Fact]], Sequence[Fact]]:
    """Return what adds to a journal a fact like its last one of an op, with another subject."""

    def change(facts: list[Fact]) -> Sequence[Fact]:
        last = [one for one in facts if one.op == op][-1]
        return [*facts, replace(last, subject=subject, client=client or last.client)]

    return change


def without(op: str) -> Callable[[list[Fact]], Sequence[Fact]]:
    return lambda facts: [one for one in facts if one.op != op]


def test_what_was_done_openly_agrees(world: World) -> None:
    outcome = reconciled(world)
    assert outcome.findings == []
    logs = {one.log: one for one in outcome.logs}
    assert {one.state for one in outcome.logs} == {"agreed"}
    assert (logs[NORMAL].openings, logs[NORMAL].releases) == (1, 2)
    assert (logs[NORMAL].backups, logs[NORMAL].receipts) == (2, 6)
    assert (logs[HIGH].openings, logs[HIGH].receipts) == (0, 3)
    with world.open() as deployment:
        told = deployment.registry.facts("ledger.reconciled")[-1].body
    assert told == {"journals": 3, "custodians": 3, "releases": 2, "receipts": 9, "findings": 0}


# -- named attacks


def test_release_without_a_leaf(world: World) -> None:
    """Keys that two custodians released and no log announced are found, by either of them."""
    rewrite(world, 2, added("share.released", "ab" * 16))
    ((state, text),) = found(world)
    assert state == "split"
    assert "custodian 2 (custodian-2) released its shares of snapshot" in text
    assert "(request abababababab), and the log announces no such opening" in text
    with world.open() as deployment:
        assert deployment.registry.facts("ledger.reconciled")[-1].body["findings"] == 1


def test_recovery_that_somebody_prepares_elsewhere(world: World) -> None:
    """A recovery is announced in a log that nobody here reads; the custodians were told of it."""

    def change(facts: list[Fact]) -> Sequence[Fact]:
        last = next(one for one in facts if one.op == "share.released")
        heard = replace(last, op="recovery.heard", subject="ab" * 16, body={"log": "cd" * 32})
        other = replace(heard, subject="ac" * 16, client="ef" * 16)
        return [*facts, heard, other]

    rewrite(world, 1, change)
    first, second = found(world)
    assert (first[0], second[0]) == ("split", "split")
    assert "custodian 1 (custodian-1) was told on" in first[1]
    assert first[1].endswith("of a recovery (request abababababab), and the log announces none")
    assert second[1].endswith("; no log is here")


def test_order_that_somebody_gives_elsewhere(world: World) -> None:
    """No custodian pins the log that announces orders: a day before it is done it is found here."""

    def change(facts: list[Fact]) -> Sequence[Fact]:
        last = next(one for one in facts if one.op == "share.released")
        waits = replace(last, op="request.waits", client="", body={"until": 1})
        body = {"procedure": "client-erasure", "deed": "cd" * 32}
        obeyed = replace(last, op="request.obeyed", subject="ac" * 16, body=body)
        # What is announced here waits as it should.
        return [*facts, waits, replace(waits, subject="ab" * 16), obeyed]

    rewrite(world, 1, change)
    first, second = found(world)
    assert (first[0], second[0]) == ("split", "split")
    assert first[1].startswith("custodian 1 (custodian-1) obeyed a client-erasure on")
    assert first[1].endswith("(request acacacacacac), and the log announces none")
    assert "began on" in second[1]
    assert "to wait with request abababababab, and no log announces it" in second[1]


def test_sessions_that_somebody_else_deals_anew(world: World) -> None:
    """They are opened outside any snapshot; each custodian journals it, and no log tells of it."""

    def change(facts: list[Fact]) -> Sequence[Fact]:
        last = next(one for one in facts if one.op == "share.released")
        body = {"request": "ac" * 16, "keys": "cd" * 32}
        opened = replace(last, op="share.reopened", subject="ab" * 16, body=body)
        other = replace(opened, subject="ad" * 16)
        stranger = replace(opened, client="ef" * 16)
        return [*facts, opened, other, stranger, replace(opened, op="share.reheld")]

    rewrite(world, 1, change)
    mine, strange = found(world)
    assert (mine[0], strange[0]) == ("split", "split")
    assert mine[1].startswith("custodian 1 (custodian-1) opened its shares of 2 sessions to be ")
    assert mine[1].endswith("(request acacacacacac), and no log announces that")
    assert strange[1].startswith("custodian 1 (custodian-1) opened its shares of 1 session to be ")
    assert strange[1].endswith("(request acacacacacac), and no log is here")
    # One that signs makes no object count; as many as open it do.
    rewrite(world, 2, change)
    (signed,) = (text for _, text in found(world) if "signed for session" in text)
    assert signed == (
        "custodian 1 (custodian-1), custodian 2 (custodian-2) signed for session abababababab, "
        "dealt anew by an object (cdcdcdcdcdcd) of which no log here tells"
    )


def test_changes_that_nobody_here_made(world: World) -> None:
    """Another server, roster or writer at a custodian is there in its journal and in no log."""

    def change(facts: list[Fact]) -> Sequence[Fact]:
        last, own = facts[-1], facts[-1].who.id
        client = next(one.client for one in facts if one.op == "share.released")
        made = (
            ("custodian.handed_over", own, {"authority": "cd" * 32}),
            ("roster.adopted", "ab" * 32, {"version": 2}),
            ("writer.succeeded", client, {"writer": "ef" * 16}),
        )
        plain = replace(last, client="")
        return [*facts, *(replace(plain, op=op, subject=of, body=body) for op, of, body in made)]

    rewrite(world, 1, change)
    texts = [text for state, text in found(world) if state == "split"]
    assert len(texts) == 3
    writer, server, roster = texts
    assert "custodian 1 (custodian-1) pinned another writer (efefefefefef) on" in writer
    assert "took another server on" in server
    assert "(authority cdcdcdcdcdcd), and no log here tells of it" in server
    assert "followed roster abababababab on" in roster


def test_server_that_a_recovery_replaced(world: World) -> None:
    """What was there before this home was recovered is noted; what came between it is no less."""
    with world.open() as deployment:
        own = deployment.roster.members[0].id
        for fact in (
            deployment.fact("custodian.joined", own, index=1, authority="ab" * 32),
            deployment.fact("install.recovered", deployment.install, kits=0, threshold=2),
        ):
            deployment.registry.record(fact)

    def servers(*authorities: str) -> Callable[[list[Fact]], Sequence[Fact]]:
        def change(facts: list[Fact]) -> Sequence[Fact]:
            last = replace(facts[-1], client="")
            given = ({"authority": one * 32} for one in authorities)
            op = "custodian.handed_over"
            return [*facts, *(replace(last, op=op, subject=own, body=body) for body in given)]

        return change

    rewrite(world, 1, servers("cd", "ab"))
    outcome = reconciled(world)
    assert (outcome.state, outcome.findings) == ("agreed", [])
    (note,) = outcome.notes
    assert note.startswith("custodian 1 (custodian-1) took another server on")
    assert "(authority cdcdcdcdcdcd) before this home was recovered" in note
    # The custodian was taken back from one that had it since.
    rewrite(world, 1, servers("ef", "ab"))
    outcome = reconciled(world)
    assert len(outcome.notes) == 1
    ((state, text),) = ((one.state, one.text) for one in outcome.findings)
    assert state == "split"
    assert text.endswith("(authority efefefefefef), and no log here tells of it")


def test_release_of_another_snapshot_than_announced(world: World) -> None:
    def change(facts: list[Fact]) -> Sequence[Fact]:
        return [
            replace(one, body={**one.body, "snapshot": "cd" * 32})
            if one.op == "share.released"
            else one
            for one in facts
        ]

    rewrite(world, 1, change)
    ((state, text),) = found(world)
    assert state == "split"
    assert "snapshot cdcdcdcdcdcd" in text
    assert "the log announces another snapshot" in text


def test_release_for_a_client_that_is_not_here(world: World) -> None:
    rewrite(world, 1, added("share.released", "ab" * 16, client="cd" * 16))
    outcome = reconciled(world)
    (log,) = [one for one in outcome.logs if one.findings]
    assert (log.log, log.state) == ("client cdcdcdcdcdcd", "split")
    assert "no log is here" in log.findings[0].text


def test_receipt_without_a_backup(world: World) -> None:
    rewrite(world, 3, added("snapshot.receipted", "ef" * 32))
    ((state, text),) = found(world)
    assert state == "split"
    assert "custodian 3 (custodian-3) signed for snapshot efefefefefef" in text
    assert "the log tells of no such backup" in text


def test_journal_put_back(world: World) -> None:
    """An opening that too few custodians remember is told: one of them was put back."""
    releasing = [one.index for one in reconciled(world).journals if one.releases]
    rewrite(world, releasing[0], without("share.released"))
    ((state, text),) = found(world)
    assert state == "stale"
    assert f"of 2 custodians needed custodian-{releasing[1]} wrote it down" in text
    rewrite(world, releasing[1], without("share.released"))
    ((_, text),) = found(world)
    assert "of 2 custodians needed nobody wrote it down" in text


def test_altered_leaf(world: World) -> None:
    """Of a log that was altered nothing is believed."""
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL).id
    with closing(sqlite3.connect(world.home / "clients" / client / "client.db")) as connection:
        connection.execute("UPDATE leaf SET bytes = CAST(bytes || ' ' AS BLOB) WHERE number = 1")
        connection.commit()
    logs = {one.log: one for one in reconciled(world).logs}
    assert (logs[NORMAL].state, logs[NORMAL].releases) == ("damaged", 0)
    assert logs[HIGH].state == "agreed"


# -- what cannot be known


def test_a_custodian_made_anew_does_not_contradict(world: World) -> None:
    """It begins a journal, and cannot remember what was before."""

    def change(facts: list[Fact]) -> Sequence[Fact]:
        with world.open() as deployment:
            now = deployment.tools.clock.now()
        return [replace(one, at=now) for one in facts if one.op == "roster.adopted"]

    for index in (1, 2):
        rewrite(world, index, change)
    outcome = reconciled(world)
    assert outcome.findings == []
    assert [one.facts for one in outcome.journals[:2]] == [1, 1]


def test_an_announcement_that_is_not_witnessed_yet_is_told(world: World) -> None:
    rewrite(world, 1, added("share.released", "ab" * 16))
    with world.open() as deployment:
        snapshot = announce(deployment, "ab" * 16)
        outcome = reconcile(deployment)
    ((state, text),) = [(one.state, one.text) for one in outcome.findings]
    assert state == "unwitnessed"
    assert f"snapshot {snapshot[:12]}" in text
    assert found(world) == []


def announce(deployment: Deployment, request: str) -> str:
    """Record an announcement and have nobody witness it; return the snapshot."""
    client = deployment.registry.client(NORMAL)
    with deployment.tools.history(client.id) as history:
        newest = history.newest_good()
        assert newest is not None
        intent = deployment.intent("keys.opened", client.id, snapshot=newest.hash, request=request)
        history.record(intent)
        return newest.hash


def away(world: World, *indices: int) -> None:
    for index in indices:
        world.custodian(index).rename(world.root / f"away-{index}")


def test_a_journal_that_cannot_be_read_is_told(world: World) -> None:
    away(world, 1)
    done = world.command("ledger", "reconcile", "--json")
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert (told["state"], told["findings"]) == ("agreed", [])
    assert [bool(one["problem"]) for one in told["journals"]] == [True, False, False]
    away(world, 2, 3)
    done = world.command("ledger", "reconcile")
    assert done.returncode == 3
    assert done.stdout.startswith("UNKNOWN: no custodian's journal could be read: 0 of 3 journals")
    assert "The journal of custodian-1 was not read" in done.stdout


def test_custodians_elsewhere_are_asked_for_their_journals(world: World) -> None:
    with apart(world) as three:
        with three.open() as deployment:
            outcome = reconcile(deployment)
        assert outcome.findings == []
        assert [len(one.releases) for one in outcome.journals] == [1, 1, 0]
        assert sum(len(one.receipts) for one in outcome.journals) == 9
        three.make(Parted(), 2)
        with three.open() as deployment:
            outcome = reconcile(deployment)
    assert outcome.findings == []
    assert [bool(one.problem) for one in outcome.journals] == [False, True, False]


@pytest.fixture
def contradicted(world: World) -> World:
    rewrite(world, 2, added("share.released", "ab" * 16))
    return world


def test_the_command_line_says_what_was_found(contradicted: World) -> None:
    done = contradicted.command("ledger", "reconcile")
    assert done.returncode == 30
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "CONTRADICTION: custodians tell of what the ledger does not: 3 of 3 journals, 2 logs."
    )
    told = " ".join(" ".join(lines).split())
    assert f"{NORMAL}: custodian 2 (custodian-2) released its shares of snapshot" in told
    assert "The journal of custodian-3 begins" in told
