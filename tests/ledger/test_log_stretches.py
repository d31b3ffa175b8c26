"""What goes to the locations of a log, in which pieces, and what a later command goes on with."""

import itertools

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto.signing import public_key
from strongroom.database import Database
from strongroom.ledger import Log, log_stretches
from strongroom.ledger.log_stretches import Cut, Stretches, Waiting
from strongroom.ledger.note import LOG_KEY, VerifierKey
from tests.support.logs import NOON, ORIGIN, SEED, VKEY, begun, fill


@pytest.fixture
def database() -> Database:
    """Return an empty log's database in memory."""
    opened = open_sqlite(None)
    opened.migrate(Log.SCHEMA)
    return opened


def as_text(cut: Cut) -> bytes:
    return f"{cut.start}+{len(cut.leaves)}".encode()


def test_nothing_is_cut_of_a_log_that_is_not_signed(database: Database) -> None:
    begun(database, 3)
    stretches = Stretches(database)
    assert stretches.next(as_text) is None
    assert (stretches.reached(), stretches.waiting()) == (0, None)


def test_a_stretch_holds_what_was_signed_since_the_last_one(database: Database) -> None:
    log, stretches = begun(database, 3), Stretches(database)
    note = log.sign(SEED, NOON)
    fill(database, log, 2)
    cuts: list[Cut] = []

    def kept(cut: Cut) -> bytes:
        cuts.append(cut)
        return as_text(cut)

    first = stretches.next(kept)
    assert first == Waiting(1, ORIGIN, 0, 3, b"0+3")
    assert cuts[0].leaves == tuple(log.leaves(0, 3))
    assert (cuts[0].note, str(cuts[0].vkey)) == (note, VKEY)
    stretches.placed(first)
    assert stretches.next(as_text) is None
    log.sign(SEED, NOON)
    second = stretches.next(as_text)
    assert second is not None
    assert (second.start, second.stop, second.data) == (3, 5, b"3+2")


def test_what_was_cut_is_placed_with_the_same_bytes_whatever_was_signed_since(
    database: Database,
) -> None:
    log, stretches = begun(database, 3), Stretches(database)
    log.sign(SEED, NOON)
    first = stretches.next(as_text)
    fill(database, log, 1)
    log.sign(SEED, NOON)
    assert stretches.next(lambda _: b"other bytes") == first == stretches.waiting()
    assert stretches.reached() == 0
    assert first is not None
    stretches.placed(first)
    assert stretches.reached() == 3


def test_what_cannot_be_sealed_is_not_cut(database: Database) -> None:
    log, stretches = begun(database, 3), Stretches(database)
    log.sign(SEED, NOON)

    def fails(_: Cut) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stretches.next(fails)
    assert (stretches.reached(), stretches.waiting()) == (0, None)


def test_checkpoints_count_as_placed_up_to_the_end_of_a_stretch(database: Database) -> None:
    log, stretches = begun(database, 2), Stretches(database)
    for _ in range(2):
        log.sign(SEED, NOON)
        fill(database, log, 1)
    log.sign(SEED, NOON)
    first = stretches.next(as_text)
    assert first is not None
    assert log.checkpoint(placed=True) is None
    stretches.placed(first)
    stretches.placed(first)
    placed = log.checkpoint(placed=True)
    assert placed is not None
    assert placed.size == first.stop == 4
    fill(database, log, 1)
    log.sign(SEED, NOON)
    placed, newest = log.checkpoint(placed=True), log.checkpoint()
    assert placed is not None
    assert newest is not None
    assert (placed.size, newest.size) == (4, 5)


def test_leaves_too_many_for_one_object_go_in_several(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, stretches = begun(database, 40), Stretches(database)
    log.sign(SEED, NOON)
    monkeypatch.setattr(log_stretches, "LEAVES_BYTES_MAX", 3 * len(log.leaf(0)))
    monkeypatch.setattr(log_stretches, "_LEAVES_AT_ONCE", 7)
    pieces = []
    while (piece := stretches.next(as_text)) is not None:
        pieces.append((piece.start, piece.stop))
        stretches.placed(piece)
    assert pieces[0][0] == 0
    assert pieces[-1][1] == 40
    assert all(before[1] == after[0] for before, after in itertools.pairwise(pieces))
    assert all(1 <= stop - start <= 4 for start, stop in pieces)


def test_what_an_older_epoch_left_goes_first(database: Database) -> None:
    log, stretches = begun(database, 2), Stretches(database)
    log.sign(SEED, NOON)
    later = f"{ORIGIN[:-1]}e"
    log.begin_epoch(later, str(VerifierKey(later, LOG_KEY, public_key(SEED))), NOON)
    assert stretches.reached() == 0
    found = stretches.next(as_text)
    assert found is not None
    assert (found.epoch, found.origin, found.stop) == (1, ORIGIN, 2)
