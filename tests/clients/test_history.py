"""One client's database: sources, writers, snapshots, and which snapshot is meant."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.clients import ClientSource, History, Snapshot
from strongroom.clients.history import SnapshotState
from strongroom.errors import UsageError
from strongroom.facts import FACT_TABLE, record
from strongroom.ids import SourceId, WriterId
from tests.support.telling import told

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FACT = told()


@pytest.fixture(name="history")
def _history(tmp_path: Path) -> Iterator[History]:
    history = History(open_sqlite(tmp_path / "client.db"))
    yield history
    history.close()


def source(number: int, name: str, url: str) -> ClientSource:
    return ClientSource(SourceId(f"{number:032x}"), name, url, "tree", NOON)


def snapshot(
    start: str, hours: int, state: SnapshotState = "good", sequence: int | None = None
) -> Snapshot:
    at = NOON + timedelta(hours=hours)
    return Snapshot(
        hash=start.ljust(64, "0"),
        writer="w" * 16,
        sequence=hours + 1 if sequence is None else sequence,
        state=state,
        created_at=at,
        received_at=at if state == "good" else None,
        summary={"entries": 3},
    )


def test_sources_are_listed_by_name(history: History) -> None:
    second, first = source(1, "b", "file:///b"), source(2, "a", "file:///a")
    history.add_source(second, told())
    history.add_source(first, told())
    assert history.sources() == [first, second]
    assert [fact.op for fact in history.facts()] == ["source.removed", "source.removed"]


@pytest.mark.parametrize("other", [("a", "file:///x"), ("x", "file:///a")])
def test_name_or_place_that_is_taken_is_refused(history: History, other: tuple[str, str]) -> None:
    history.add_source(source(1, "a", "file:///a"), FACT)
    with pytest.raises(UsageError, match="already"):
        history.add_source(source(2, *other), FACT)
    assert len(history.sources()) == len(history.facts()) == 1


def test_name_of_a_removed_source_is_free_again(history: History) -> None:
    first = source(1, "a", "file:///a")
    history.add_source(first, FACT)
    history.remove_source(first, FACT)
    assert history.sources() == []
    again = source(2, "a", "file:///a")
    history.add_source(again, FACT)
    assert history.sources() == [again]


def test_writers_are_listed_oldest_first_with_where_they_end(history: History) -> None:
    history.revoke_writer(b"old", 7)
    history.begin_writer(b"new", {1: b"one", 2: b"two"}, FACT)
    assert history.writers() == [(b"old", 7), (b"new", None)]
    assert history.client_keys() == {1: b"one", 2: b"two"}


def test_snapshot_goes_from_writing_to_pending_to_good(history: History) -> None:
    begun = snapshot("ab", 0, "writing")
    history.begin_snapshot(begun, b"record", told("source.password_set"))
    assert history.snapshots() == [begun]
    assert history.record_of(begun) == b"record"
    history.advance(begun, {})
    assert history.snapshots()[0].state == "pending"
    assert history.record_of(begun) is None
    history.advance(begun, {1: NOON})
    history.advance(begun, {1: NOON + timedelta(hours=1)})
    assert history.receipts(begun) == {1: NOON}
    assert history.snapshots()[0].receipts == 1
    history.advance(begun, {3: NOON}, (NOON, FACT))
    history.advance(begun, {}, (NOON + timedelta(hours=1), FACT))
    (found,) = history.snapshots()
    assert (found.state, found.received_at, found.receipts) == ("good", NOON, 2)
    assert history.custodians_of() == {begun.hash: [1, 3]}
    assert len(history.facts("source.removed")) == 1, "what happens once is told once"


def test_placing_again_does_not_undo_good(history: History) -> None:
    begun = snapshot("ab", 0, "writing")
    history.begin_snapshot(begun, b"record", told("source.password_set"))
    history.advance(begun, {}, (NOON, FACT))
    history.advance(begun, {})
    assert history.snapshots()[0].state == "good"


def test_each_question_has_its_own_answer(history: History) -> None:
    w, other = WriterId("w" * 16), WriterId("x" * 16)
    foreign = replace(snapshot("dd", 0, "pending"), writer=other)
    assert history.newest_good() is history.last(w) is history.at(w, 1) is None
    assert history.tally() == {}
    assert history.counts() == {}
    found = [foreign, *(snapshot(f"{n:04x}", n) for n in range(20)), snapshot("ee", 20, "writing")]
    history.adopt_snapshots((one, {}) for one in found)
    assert history.newest_good() == found[20]
    assert list(history.good_newest_first()) == found[20:0:-1]
    assert history.last(w) == found[21]
    assert history.last(other) == foreign
    assert history.at(w, 7) == found[7]
    assert history.at(w, 22) is None
    assert history.since(w, 19) == found[19:]
    assert history.unfinished() == [foreign, found[21]]
    assert history.counts() == {"good": 20, "pending": 1, "writing": 1}
    assert history.tally() == {w: (20, 210)}


def test_adopted_snapshot_comes_with_its_receipts(history: History) -> None:
    found = snapshot("ab", 0)
    history.adopt_snapshots([(found, {1: NOON, 3: NOON})])
    assert history.snapshots() == [replace(found, receipts=2)]
    assert history.record_of(found) is None


def holding(history: History, snapshots: list[Snapshot]) -> History:
    history.adopt_snapshots((one, {}) for one in snapshots)
    return history


THREE = [snapshot("aaaa1", 0), snapshot("aaaa2", 1), snapshot("bbbb", 2, "pending")]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("latest", 1),
        ("aaaa1", 0),
        ("AAAA2", 1),
        ("bbbb", 2),
        ("aaaa1".ljust(64, "0"), 0),
        ("2026-11-22T12:00Z", 0),
        ("2026-11-22T12:59:59Z", 0),
        ("2026-11-22T13:00Z", 1),
        ("2026-11-22T14:30+01:00", 1),
        ("2027-01-01T00:00Z", 1),
    ],
)
def test_snapshot_that_is_meant(history: History, wanted: str, found: int) -> None:
    assert holding(history, THREE).find(wanted) == THREE[found]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("aaaa", "fits 2 snapshots: give more of the id"),
        ("aaa", "wanted `latest`"),
        ("", "wanted `latest`"),
        ("cccc", "there is no snapshot 'cccc'"),
        ("2026-11-22T11:59Z", "no good snapshot at or before"),
        ("2026-11-22T12:00", "has no zone"),
        ("2026-11-22", "has no zone"),
        ("yesterday", "wanted `latest`"),
        ("0999-01-01T00:00Z", "no good snapshot at or before"),
        ("0001-01-01T00:00+14:00", "wanted `latest`"),
        ("aaa_", "wanted `latest`"),
    ],
)
def test_snapshot_that_nobody_means(history: History, wanted: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        holding(history, THREE).find(wanted)


@pytest.mark.parametrize(
    ("snapshots", "said"), [([], "no good snapshot yet"), (THREE[2:], "1 are pending")]
)
def test_latest_of_none(history: History, snapshots: list[Snapshot], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        holding(history, snapshots).find("latest")


def test_time_is_when_custodians_received_it_whatever_the_order(history: History) -> None:
    late, early = snapshot("aaaa", 5), snapshot("bbbb", 1)
    holding(history, [late, early])
    assert history.find("2026-11-22T13:30Z") == early
    assert history.find("2026-11-23T00:00Z") == late


def test_plain_facts_of_an_older_home_become_the_first_leaves(tmp_path: Path) -> None:
    with closing(open_sqlite(tmp_path / "client.db")) as database:
        database.migrate([FACT_TABLE])
        older = [told("source.removed"), told("source.password_set")]
        with database.transaction() as transaction:
            for fact in older:
                record(transaction, fact)
    for count in (3, 4):
        with closing(open_sqlite(tmp_path / "client.db")) as database:
            history = History(database)
            history.record(told())
            assert history.facts()[:2] == older
            assert history.log.size() == count
            history.log.verify()
