"""Who attacks a custodian, and the code of the refusal that stops it.

The thief has the server: its requests, its log and the log's key, every object and every card, and
not an approver's device key. Each custodian is asked alone, as one elsewhere would be.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, Statement
from strongroom.errors import StrongroomError
from strongroom.facts import read_facts
from strongroom.quorum import recovery_rows
from strongroom.quorum.approval import Approval
from strongroom.quorum.grant import Grant
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.release import ReleaseRequest
from strongroom.quorum.request import ActRequest
from strongroom.quorum.team_policy import Rule, TeamPolicy
from tests.quorum.granting import HOUR, Ledger, Server
from tests.quorum.ordering import Orders, newcomer
from tests.quorum.redealing import Redealing
from tests.quorum.world import World, resigned, seeded

THIEF = bytes([66]) * 32


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def asked(world: World, statement: Statement | None = None) -> ReleaseRequest:
    """Return what an honest server asks for, granted."""
    return world.opening(statement or world.backed_up()[0]).request


def code(world: World, request: ReleaseRequest, at: int = 0) -> str:
    """Return the code of a custodian's refusal; it gave nothing away and journalled no release."""
    with pytest.raises(StrongroomError) as caught:
        world.custodians[at].release(request)
    with world.databases[at].reading() as reading:
        rows = reading.rows("SELECT 1 FROM release WHERE request = ?", (request.request,))
    assert rows == []
    return caught.value.code


def thief_of(world: World, **changes: Any) -> Server:
    """Return the server in a thief's hands, who signs with a key of his own."""
    return replace(world.server, **{"approvers": [THIEF], **changes})


def test_an_honest_server_is_answered(world: World) -> None:
    request = asked(world)
    for custodian in world.custodians:
        assert custodian.release(request) == custodian.release(request)


def test_a_stolen_server_asks_without_a_grant(world: World) -> None:
    assert code(world, replace(asked(world), grant=None)) == "no_grant"


def test_a_stolen_server_approves_itself(world: World) -> None:
    request = asked(world)
    assert code(world, thief_of(world).granted(request)) == "not_an_approver"
    assert code(world, thief_of(world, approvers=[]).granted(request)) == "not_approved"


def test_an_approval_is_forged(world: World) -> None:
    server = world.server
    request = world.opening(world.backed_up()[0]).request
    act = server.ask(request)
    (honest,) = server.approve(act)
    forged = (resigned(honest, THIEF, "approval", {}),)
    grant = server.proven(act, forged, server.announce(act, forged))
    assert code(world, replace(request, grant=grant)) == "forged_approval"


def test_an_approval_is_replayed_for_another_request(world: World) -> None:
    first = asked(world)
    world.custodians[0].release(first)
    assert first.grant is not None
    server, again = world.server, world.opening(first.snapshot).request
    act = server.ask(again)
    old = first.grant.approvals
    grant = server.proven(act, old, server.announce(act, old))
    assert code(world, replace(again, grant=grant)) == "other_request"
    assert code(world, replace(again, grant=first.grant)) == "other_act"


def test_what_was_approved_is_changed_afterwards(world: World) -> None:
    request = asked(world)
    grant = request.grant
    assert grant is not None
    for change in (
        {"params": {"target": "command"}},
        {"expires": grant.request.expires + 24 * HOUR},
        {"procedure": Procedure.BROWSE, "params": {}},
    ):
        act = replace(grant.request, **change)
        announced = world.server.announce(act, grant.approvals)
        changed = world.server.proven(act, grant.approvals, announced)
        assert code(world, replace(request, grant=changed)) == "other_request"


def test_the_answer_is_wanted_under_another_key(world: World) -> None:
    request = asked(world)
    assert code(world, replace(request, recipient=world.client_keys[0])) == "other_recipient"


def test_another_snapshots_sessions_are_wanted(world: World) -> None:
    world.backed_up()
    first, _ = world.backed_up()
    second, _ = world.backed_up()
    granted, other = asked(world, first), asked(world, second)
    swapped = replace(granted, snapshot=other.snapshot, keys=other.keys)
    assert code(world, swapped) == "other_snapshot"


def test_nothing_announces_it(world: World) -> None:
    request = asked(world)
    for body in ({"request": "99" * 16}, {"grant": "99" * 32}, {"snapshot": "99" * 32}):
        assert code(world, world.server.granted(request, body=body)) == "unannounced"


def test_it_is_announced_and_hidden_from_the_witnesses(world: World) -> None:
    request = asked(world)
    alone = world.server.granted(request, witnesses=world.custodians[:1])
    assert code(world, alone) == "too_few_witnesses"


def test_the_leaf_is_not_in_the_log_that_was_witnessed(world: World) -> None:
    request = asked(world)
    assert request.grant is not None
    moved = replace(request.grant.proven, number=request.grant.proven.number + 1)
    assert code(world, replace(request, grant=replace(request.grant, proven=moved))) == "not_in_log"


def test_the_log_is_forked(world: World) -> None:
    """Two custodians cosign a fork that hides the announcements; the third saw the other tree."""
    server = world.server
    statement, _ = world.backed_up()
    request = world.opening(statement).request
    fork = Ledger(world.install, world.client, world.clock, seeded("fork"))
    for database in world.databases[1:]:
        with database.transaction() as transaction:
            transaction.run("DELETE FROM witnessed")
    hidden = replace(server, ledger=fork).granted(request, witnesses=world.custodians[1:])
    assert code(world, hidden) == "forked_log"


def test_another_log_is_used_that_nobody_reads(world: World) -> None:
    request = asked(world)
    world.custodians[0].release(request)
    other = Ledger(world.install, world.client, world.clock, seeded("other"), number=2)
    again = world.opening(request.snapshot).request
    server = replace(world.server, ledger=other)
    assert code(world, replace(again, grant=server.grant(again))) == "other_log"
    unknown = replace(server, ledger=replace(other, number=3))
    hidden = unknown.granted(again, witnesses=world.custodians[1:])
    assert code(world, hidden) == "unknown_log"


def test_a_stolen_server_tries_a_recovery(world: World) -> None:
    request = asked(world)
    world.custodians[0].release(request)
    other = Ledger(world.install, world.client, world.clock, seeded("other"), number=2)
    again = world.opening(request.snapshot).request
    thief = thief_of(world, ledger=other)
    stolen = thief.granted(again, procedure=Procedure.RECOVERY)
    assert code(world, stolen) == "not_an_approver"
    honest = replace(world.server, ledger=other)
    world.custodians[0].release(honest.granted(again, procedure=Procedure.RECOVERY))
    third = world.opening(request.snapshot).request
    assert code(world, third) == "other_log"


def test_a_recovery_that_no_peer_was_told_of(world: World) -> None:
    """Approvers are deceived into one, and the thief shows it to as few custodians as may be."""
    request = asked(world)
    world.custodians[0].release(request)
    other = Ledger(world.install, world.client, world.clock, seeded("other"), number=2)
    server = replace(world.server, ledger=other)
    again = world.opening(request.snapshot).request
    grant = server.grant(again, procedure=Procedure.RECOVERY)
    first = grant.hearings[:1]
    borrowed = server.tell(*_another_recovery(world, server), world.custodians)
    for hearings in ((), first, (*first, *first), (*first, *borrowed)):
        alone = replace(again, grant=replace(grant, hearings=hearings))
        assert code(world, alone) == "unheard"
    forged = resigned(grant.hearings[1], THIEF, "hearing", {})
    lied = replace(again, grant=replace(grant, hearings=(*first, forged)))
    assert code(world, lied) == "damaged"
    world.custodians[0].release(replace(again, grant=grant))
    for database in world.databases:
        with database.reading() as reading:
            (told, *_) = read_facts(reading, "recovery.heard")
        assert (told.subject, told.client) == (again.request, world.client)


def test_a_stolen_server_names_another_writer(world: World) -> None:
    """With a writer of his own he would have his snapshots taken for the client's."""
    world.custodians[0].release(asked(world))
    writer, old = signing.public_key(THIEF), SnapshotHeader.writer_id(world.writer)
    other = Ledger(world.install, world.client, world.clock, seeded("other"), number=2)
    server = replace(world.server, ledger=other)

    def refused() -> str:
        with pytest.raises(StrongroomError) as caught:
            world.custodians[0].replace_writer(world.client, writer, {old: 1})
        return caught.value.code

    assert refused() == "not_recovered"
    statement, _ = world.backed_up()
    again = world.opening(statement).request
    thief = thief_of(world, ledger=other)
    assert code(world, thief.granted(again, procedure=Procedure.RECOVERY)) == "not_an_approver"
    assert refused() == "not_recovered"
    # One that was approved is the honest server's, which names its own at once.
    world.custodians[0].release(server.granted(again, procedure=Procedure.RECOVERY))
    world.custodians[0].replace_writer(world.client, signing.public_key(bytes([7]) * 32), {old: 2})
    assert refused() == "not_recovered"


def test_a_stolen_home_deals_nothing_anew_after_the_recovery(world: World) -> None:
    """With it came the key to which all that was dealt before may be opened for a week."""
    redealing = Redealing(world)
    request, keys = redealing.ordered(), redealing.objects()[0]
    custodian, old = world.custodians[0], SnapshotHeader.writer_id(world.writer)
    custodian.reopen(request, keys.statement, redealing.recipient)
    other = Ledger(world.install, world.client, world.clock, seeded("other"), number=3)
    server = replace(world.server, ledger=other)
    asking = world.opening(redealing.before).request
    custodian.release(server.granted(asking, procedure=Procedure.RECOVERY))
    custodian.replace_writer(world.client, signing.public_key(bytes([7]) * 32), {old: 2})
    with pytest.raises(StrongroomError) as caught:
        custodian.reopen(request, keys.statement, redealing.recipient)
    assert caught.value.code == "no_grant"


def test_a_recovery_that_has_ended_allows_no_writer(world: World) -> None:
    """A home that was put back asks for one to open keys, and never names a writer."""
    statement, _ = world.backed_up()
    other = Ledger(world.install, world.client, world.clock, seeded("other"), number=2)
    server = replace(world.server, ledger=other)
    asking = world.opening(statement).request
    world.custodians[0].release(server.granted(asking, procedure=Procedure.RECOVERY))
    world.clock.at += timedelta(days=365)
    writer, old = signing.public_key(THIEF), SnapshotHeader.writer_id(world.writer)
    with pytest.raises(StrongroomError) as caught:
        world.custodians[0].replace_writer(world.client, writer, {old: 2})
    assert caught.value.code == "not_recovered"


def test_a_recovery_names_no_second_writer_after_a_crash(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement, _ = world.backed_up()
    custodian = world.custodians[0]
    other = Ledger(world.install, world.client, world.clock, seeded("other"), number=2)
    server = replace(world.server, ledger=other)
    asking = world.opening(statement).request
    custodian.release(server.granted(asking, procedure=Procedure.RECOVERY))
    (before,) = custodian.pins()
    writer, old = signing.public_key(bytes([7]) * 32), SnapshotHeader.writer_id(world.writer)

    def killed(*_: object) -> None:
        raise SystemExit("killed in between")

    with monkeypatch.context() as patched:
        patched.setattr(recovery_rows, "note_writer", killed)
        with pytest.raises(SystemExit):
            custodian.replace_writer(world.client, writer, {old: 2})
    assert custodian.pins() == [before]
    custodian.replace_writer(world.client, writer, {old: 2})
    with pytest.raises(StrongroomError) as caught:
        custodian.replace_writer(world.client, signing.public_key(THIEF), {old: 2})
    assert caught.value.code == "not_recovered"


def _another_recovery(world: World, server: Server) -> tuple[ActRequest, tuple[Envelope, ...]]:
    act = server.ask(asked(world), procedure=Procedure.RECOVERY)
    return act, server.approve(act)


def test_a_recovery_is_vetoed_where_one_custodian_was_told(world: World) -> None:
    """With as many custodians told as must be, none can be left out who was shown the refusal."""
    server = world.server
    act, given = _another_recovery(world, server)
    veto = (Approval.sign(world.operator_seed, act, "refuse", world.clock.now()),)
    for custodian in world.custodians[1:]:
        for words in (veto, given):
            with pytest.raises(StrongroomError) as caught:
                custodian.hear(act, words)
            assert caught.value.code == "vetoed"
    assert len(server.tell(act, given, world.custodians)) == 1 < server.policy.cosignatures


def test_what_is_heard_of_is_an_approved_recovery(world: World) -> None:
    server, custodian = world.server, world.custodians[0]
    act, _ = _another_recovery(world, server)
    thief = thief_of(world)
    restore = server.ask(asked(world))
    stale = replace(act, expires=act.not_before + HOUR)
    own = replace(act, policy=TeamPolicy.parse(world.sign_policy(seed=THIEF)).id)

    def heard(request: ActRequest, approvals: tuple[Envelope, ...]) -> str:
        with pytest.raises(StrongroomError) as caught:
            custodian.hear(request, approvals)
        return caught.value.code

    assert heard(act, ()) == "not_approved"
    assert heard(act, thief.approve(act)) == "not_an_approver"
    assert heard(restore, server.approve(restore)) == "other_act"
    assert heard(own, server.approve(own)) == "other_policy"
    world.clock.at += 2 * HOUR
    assert heard(stale, server.approve(stale)) == "expired"
    with world.databases[0].reading() as reading:
        assert read_facts(reading, "recovery.heard") == []


def test_the_policy_is_swapped(world: World) -> None:
    request = asked(world)
    own = world.sign_policy(seed=THIEF)
    with pytest.raises(StrongroomError) as caught:
        world.custodians[0].adopt_policy(own)
    assert caught.value.code == "other_policy"
    under = thief_of(world, policy=TeamPolicy.parse(own)).granted(request)
    assert code(world, under) == "other_policy"


def test_an_old_roster_is_brought_back(world: World) -> None:
    asked(world)
    orders = Orders(world)
    roster, request = orders.seat(newcomer(world))
    world.custodians[0].obey(orders.waited(request, roster))
    with pytest.raises(StrongroomError, match="version 2 is pinned"):
        world.custodians[0].adopt_roster(world.roster_envelope)


def test_an_old_grant_is_used_late(world: World) -> None:
    request = asked(world)
    world.clock.at += timedelta(minutes=16)
    assert code(world, request) == "clock_off"
    assert request.grant is not None
    act, given = request.grant.request, request.grant.approvals
    world.clock.at += 2 * HOUR
    fresh = world.server.proven(act, given, world.server.announce(act, given))
    assert code(world, replace(request, grant=fresh)) == "expired"


def test_a_veto_that_was_shown_once_holds(world: World) -> None:
    server = world.server
    request = asked(world)
    assert request.grant is not None
    act, given = request.grant.request, request.grant.approvals
    veto = (Approval.sign(world.operator_seed, act, "refuse", world.clock.now()),)
    vetoed: Grant = server.proven(act, veto, server.announce(act, veto))
    assert code(world, replace(request, grant=vetoed)) == "vetoed"
    fresh = server.proven(act, given, server.announce(act, given))
    assert code(world, replace(request, grant=fresh)) == "vetoed"


def test_a_delay_is_not_skipped_by_any_date_in_the_request(world: World) -> None:
    day = timedelta(days=1)
    rules = {**TeamPolicy.single_rules(), Procedure.RESTORE: Rule(1, day)}
    envelope = world.sign_policy(rules=rules)
    for custodian in world.custodians:
        custodian.adopt_policy(envelope)
    ledger = Ledger(world.install, world.client, world.clock, seeded("slow"))
    policy = TeamPolicy.parse(envelope)
    server = Server(ledger, world.custodians, policy, [world.operator_seed])
    statement, _ = world.backed_up()
    keys = [world.keys[one].statement for one in world.keys]
    request = ReleaseRequest(
        "55" * 16, statement, tuple(keys), world.client_keys[0], world.clock.at
    )
    act = server.ask(request, not_before=world.clock.at - 7 * day, expires=world.clock.at + 7 * day)
    given = server.approve(act)

    def shown() -> ReleaseRequest:
        proven = server.proven(act, given, server.announce(act, given))
        return replace(request, grant=proven)

    assert code(world, shown()) == "veto_time"
    world.clock.at += timedelta(hours=23)
    assert code(world, shown()) == "veto_time"
    world.clock.at += timedelta(hours=2)
    world.custodians[0].release(shown())


def test_a_stored_answer_is_wanted_when_its_request_has_ended(world: World) -> None:
    """Whoever finds the recipient's key later, in an image of the home, gets nothing with it."""
    first, custodian = asked(world), world.custodians[0]
    answer = custodian.release(first)
    custodian.release(asked(world))
    bare = replace(first, grant=None, keys=())
    assert custodian.release(bare) == answer
    world.clock.at += timedelta(days=1)
    for request in (first, bare):
        with pytest.raises(StrongroomError) as caught:
            custodian.release(request)
        assert caught.value.code == "expired"
    with world.databases[0].reading() as reading:
        assert reading.rows("SELECT 1 FROM release WHERE answer <> x''") == []
        (again,) = read_facts(reading, "share.repeated")
    assert again.subject == first.request


def test_a_stored_answer_is_wanted_after_a_veto(world: World) -> None:
    request, custodian = asked(world), world.custodians[0]
    custodian.release(request)
    assert request.grant is not None
    act = request.grant.request
    word = Approval.sign(world.operator_seed, act, "refuse", world.clock.now())
    custodian.refuse(act, word)
    with pytest.raises(StrongroomError) as caught:
        custodian.release(request)
    assert caught.value.code == "vetoed"
