"""A log goes on after a loss: with what was found of it, or in a new epoch behind it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto.signing import public_key
from strongroom.database import Database
from strongroom.facts import Fact
from strongroom.ledger import Log
from strongroom.ledger.log_epochs import Past
from strongroom.ledger.log_stretches import Stretches
from strongroom.ledger.note import LOG_KEY, VerifierKey
from tests.support.logs import NOON, ORIGIN, SEED, VKEY, Cosigner, begun, cosigners, facts, fill


def empty() -> Database:
    """Return an empty log's database in memory."""
    opened = open_sqlite(None)
    opened.migrate(Log.SCHEMA)
    return opened


def past_of(log: Log, cosigned_by: Sequence[Cosigner] = (), placed: int | None = None) -> Past:
    """Return what the locations have of a log that has an origin."""
    note = log.sign(SEED, NOON)
    for one in cosigned_by:
        note = one.sign(note, 1_800_000_000)
    leaves = tuple(log.leaves(0, log.size()))
    origin = log.epoch().origin or ""
    key = VerifierKey(origin, LOG_KEY, public_key(SEED))
    witnesses = tuple(one.key for one in cosigned_by)
    return Past(origin, key, leaves, note, witnesses, log.size() if placed is None else placed)


def resumed(database: Database, pasts: Sequence[Past], first: Fact) -> Log:
    log = Log(database)
    log.begin_after(pasts, first, NOON)
    return log


def ids(log: Log) -> list[str]:
    return [fact.id for fact in log.facts()]


# -- going on


def test_a_log_that_was_put_back_goes_on_with_what_others_have() -> None:
    ours, theirs = empty(), empty()
    begun(ours)
    log = begun(theirs)
    added = fill(theirs, log, 3)
    with ours.transaction() as transaction:
        Log(ours).append_many(transaction, added[:1])
    past = past_of(log, list(cosigners(2)))
    found = Log(ours)
    found.adopt(added[1:], past.note, past.witnesses, NOON)
    assert ids(found) == [fact.id for fact in added]
    assert found.sign(SEED, NOON) == past.note
    assert Stretches(ours).reached() == 3
    found.verify()


def test_what_was_cut_before_is_given_up_for_what_the_locations_have() -> None:
    ours, theirs = empty(), empty()
    log, other = begun(ours), begun(theirs)
    added = facts(4)
    for database, one in ((ours, log), (theirs, other)):
        with database.transaction() as transaction:
            one.append_many(transaction, added[:2])
    log.sign(SEED, NOON)
    assert Stretches(ours).next(lambda _: b"ours") is not None
    with theirs.transaction() as transaction:
        other.append_many(transaction, added[2:])
    log.adopt(added[2:], past_of(other).note, [], NOON)
    stretches = Stretches(ours)
    assert stretches.waiting() is None
    assert stretches.reached() == 4


def test_leaves_that_do_not_continue_ours_are_not_kept() -> None:
    ours, theirs = empty(), empty()
    log = begun(ours, 2)
    other = begun(theirs, 3)
    past = past_of(other)
    with pytest.raises(Log.Damaged, match="do not make the signed tree"):
        log.adopt(other.facts()[2:], past.note, [], NOON)
    assert log.size() == 2
    log.verify()


# -- a new epoch


def test_every_fact_comes_back_and_a_new_epoch_begins_behind_them() -> None:
    lost, rebuilt = empty(), empty()
    old = begun(lost, 300)
    was = ids(old)
    past = past_of(old, list(cosigners(2)))
    fresh = fill(rebuilt, Log(rebuilt), 2)
    first = facts(1)[0]
    log = resumed(rebuilt, [past], first)
    before, now = log.epochs()
    assert ids(before) == was
    assert ids(log) == [first.id, *(fact.id for fact in fresh)]
    assert before.epoch().origin == ORIGIN
    assert (now.epoch().origin, now.epoch().previous) == (None, past.note)
    log.verify()


def test_an_old_epoch_takes_no_leaf_and_no_signature() -> None:
    rebuilt = empty()
    log = resumed(rebuilt, [past_of(begun(empty(), 3))], facts(1)[0])
    before = log.epochs()[0]
    with pytest.raises(Log.Refused):
        before.sign(SEED, NOON)
    with pytest.raises(Log.Refused), rebuilt.transaction() as transaction:
        before.append(transaction, facts(1)[0])


def test_proofs_of_an_old_epoch_are_those_it_had() -> None:
    old, rebuilt = begun(empty(), 300), empty()
    wanted = old.inclusion(7, 300), old.consistency(5, 300), old.root(300)
    before = resumed(rebuilt, [past_of(old)], facts(1)[0]).epochs()[0]
    assert (before.inclusion(7, 300), before.consistency(5, 300), before.root(300)) == wanted


def test_several_old_epochs_stand_in_their_order() -> None:
    first, second, rebuilt = begun(empty(), 2), begun(empty(), 3), empty()
    later = f"{ORIGIN[:-1]}e"
    key = VerifierKey(later, LOG_KEY, public_key(SEED))
    pasts = [past_of(first)]
    database = empty()
    second = Log(database)
    fill(database, second, 3)
    second.begin_epoch(later, str(key), NOON)
    pasts.append(past_of(second))
    log = resumed(rebuilt, pasts, facts(1)[0])
    assert [one.size() for one in log.epochs()] == [2, 3, 1]
    assert [one.epoch().previous for one in log.epochs()] == [None, pasts[0].note, pasts[1].note]
    log.verify()


def test_what_nobody_else_has_goes_on_in_the_new_epoch() -> None:
    """A copy of the home and the home itself have both gone on: the copy keeps its own facts."""
    ours, theirs = empty(), empty()
    log, other = begun(ours), begun(theirs)
    shared, own, foreign = facts(2), facts(2), facts(3)
    with ours.transaction() as transaction:
        log.append_many(transaction, [*shared, *own])
    with theirs.transaction() as transaction:
        other.append_many(transaction, [*shared, *foreign])
    log.sign(SEED, NOON)
    assert Stretches(ours).next(lambda _: b"never placed") is not None
    first = facts(1)[0]
    log = resumed(ours, [past_of(other)], first)
    assert ids(log.epochs()[0]) == [fact.id for fact in (*shared, *foreign)]
    assert ids(log) == [fact.id for fact in (first, *own)]
    assert Stretches(ours).waiting() is None
    assert Stretches(ours).reached() == 0
    log.verify()


def test_a_log_of_which_nothing_is_left_begins_anew_with_what_it_has() -> None:
    rebuilt = empty()
    own = fill(rebuilt, Log(rebuilt), 2)
    first = facts(1)[0]
    log = resumed(rebuilt, [], first)
    assert ids(log) == [fact.id for fact in (first, *own)]
    assert log.epoch().number == 1
    assert log.epoch().previous is None


def test_what_the_locations_lack_of_an_old_epoch_is_still_to_be_placed() -> None:
    rebuilt = empty()
    resumed(rebuilt, [past_of(begun(empty(), 5), placed=3)], facts(1)[0])
    cut = Stretches(rebuilt).next(lambda cut: str(cut.vkey).encode())
    assert cut is not None
    assert (cut.epoch, cut.start, cut.stop, cut.data.decode()) == (1, 3, 5, VKEY)


@pytest.mark.parametrize("what", ["a leaf more", "a leaf less", "another leaf", "another origin"])
def test_a_past_that_is_not_what_was_signed_is_refused_and_changes_nothing(what: str) -> None:
    past = past_of(begun(empty(), 3))
    leaves = {
        "a leaf more": (*past.leaves, facts(1)[0].encode()),
        "a leaf less": past.leaves[:-1],
        "another leaf": (*past.leaves[:-1], facts(1)[0].encode()),
        "another origin": past.leaves,
    }[what]
    wrong = replace(past, leaves=leaves)
    if what == "another origin":
        wrong = replace(wrong, origin=f"{ORIGIN[:-1]}e")
    rebuilt = empty()
    log = Log(rebuilt)
    own = fill(rebuilt, log, 2)
    with pytest.raises(Log.Damaged):
        resumed(rebuilt, [wrong], facts(1)[0])
    assert ids(log) == [fact.id for fact in own]
