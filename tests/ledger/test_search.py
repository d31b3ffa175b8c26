"""Search: the file finds what a full scan finds, believes nothing, and may be lost at any time."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.ledger_search import measure_search
from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto.signing import public_key
from strongroom.database import Database
from strongroom.errors import Damaged, UsageError
from strongroom.facts import Fact, Who
from strongroom.facts.fact import new_fact_id
from strongroom.ledger import Log, Search
from strongroom.ledger.log_rows import LogDamaged
from strongroom.ledger.note import LOG_KEY, VerifierKey
from strongroom.ledger.search_words import TERMS_MAX, TEXT_LENGTH_MAX, Query, Words, words_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ANN, BOB = "aa" * 16, "bb" * 16
ACME = "ac3e" * 8
ALL = 10_000


class Ledger:
    """A log in one file, its search file in another, and private values."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = open_sqlite(folder / "client.db", durable=False)
        self.database.migrate(Log.SCHEMA)
        self.log = Log(self.database)
        self.disclosed: dict[str, list[str]] = {}
        self._chance = random.Random(7)
        self._opened: list[Search] = []
        self.made_anew = 0

    @property
    def file(self) -> Path:
        return self.folder / "search.db"

    def open_file(self, anew: bool) -> Database:
        if anew:
            self.made_anew += 1
            self.remove_file()
        return open_sqlite(self.file, durable=False)

    def file_bytes(self) -> bytes:
        self.close_file()
        return b"".join(part.read_bytes() for part in self.folder.glob("search.db*"))

    def remove_file(self) -> None:
        self.close_file()
        for part in self.folder.glob("search.db*"):
            part.unlink()

    def search(self) -> Search:
        found = Search(self.log, self.open_file, self.values)
        self._opened.append(found)
        return found

    def values(self, leaf: bytes) -> list[str]:
        return self.disclosed.get(Fact.parse(leaf).id, [])

    def close_file(self) -> None:
        for search in self._opened:
            search.close()

    def close(self) -> None:
        self.close_file()
        self.database.close()

    def tell(
        self, op: str = "client.recovered", who: str = ANN, at: datetime = BEGIN, **body: int | str
    ) -> Fact:
        """Append one fact and return it."""
        private = {"name": "00" * 32, "url": "00" * 32} if op.startswith("source.") else {}
        fact = Fact(
            op,
            ACME,
            Who(who, "human"),
            at,
            body,
            new_fact_id(at, self._chance.randbytes),
            client=ACME,
            sd=private,
        )
        with self.database.transaction() as transaction:
            self.log.append(transaction, fact)
        return fact

    def begin_epoch(self) -> None:
        """Name the epoch that appending began, or begin another."""
        seed = self._chance.randbytes(32)
        origin = f"{ACME}.ledger.invalid/{seed[:16].hex()}"
        key = VerifierKey(origin, LOG_KEY, public_key(seed))
        self.log.begin_epoch(origin, str(key), BEGIN)

    def found(self, text: str, since: datetime | None = None) -> list[str]:
        """Return the ids of what is found, after comparing the search file with the scan."""
        query = Search.Query.parse(text, since)
        hits = self.search().find(query, ALL)
        scanned, count = self.search().scan(query, ALL)
        assert hits == scanned
        assert count == len(hits)
        return [Fact.parse(hit.leaf).id for hit in hits]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path)
    yield made
    made.close()


def test_words_fields_and_beginnings_find_leaves_newest_first(ledger: Ledger) -> None:
    one = ledger.tell(snapshots=41)
    two = ledger.tell(who=BOB, snapshots=42)
    three = ledger.tell("source.removed", source="50" * 16)
    assert ledger.found("recovered") == [two.id, one.id]
    assert ledger.found("Client.Recovered 42") == [two.id]
    assert ledger.found("op:client") == [two.id, one.id]
    assert ledger.found("op:client.recovered who:" + BOB) == [two.id]
    assert ledger.found("remov*") == [three.id]
    assert ledger.found("op:source.rem*") == [three.id]
    assert ledger.found("subject:" + ACME) == [three.id, two.id, one.id]
    assert ledger.found("") == [three.id, two.id, one.id]
    assert ledger.found("recovere") == []
    assert ledger.found("out:denied") == []
    assert ledger.found("who:" + "cc" * 16) == []


@pytest.mark.parametrize("digits", [8, 12, 31, 32])
def test_first_digits_of_an_id_are_enough(ledger: Ledger, digits: int) -> None:
    one = ledger.tell(at=BEGIN, snapshots=1)
    ledger.tell(at=BEGIN + timedelta(days=400), snapshots=2)
    assert ledger.found(one.id[:digits]) == [one.id]
    assert ledger.found(f"id:{one.id[:digits]}") == [one.id]


def test_since_leaves_out_what_is_older_even_where_the_clock_went_back(ledger: Ledger) -> None:
    days = [timedelta(days=n) for n in (1, 5, 2, 3, 6)]
    told = [ledger.tell(at=BEGIN + day, snapshots=7) for day in days]
    assert ledger.found("7", BEGIN + days[3]) == [told[n].id for n in (4, 3, 1)]
    assert ledger.found("", BEGIN + days[3]) == [told[n].id for n in (4, 3, 1)]
    assert ledger.found("", BEGIN + timedelta(days=7)) == []


def test_limit_returns_the_newest_and_counts_all(ledger: Ledger) -> None:
    told = [ledger.tell(snapshots=n) for n in range(10)]
    query = Search.Query.parse("recovered")
    newest = [one.id for one in told[:6:-1]]
    assert [Fact.parse(hit.leaf).id for hit in ledger.search().find(query, 3)] == newest
    hits, count = ledger.search().scan(query, 3)
    assert ([Fact.parse(hit.leaf).id for hit in hits], count) == (newest, 10)


def test_private_values_are_found_until_they_are_erased(ledger: Ledger) -> None:
    one = ledger.tell("source.removed", source="50" * 16)
    ledger.disclosed[one.id] = ["file:///srv/Müller GmbH/books"]
    assert ledger.found("müller BOOKS") == [one.id]
    del ledger.disclosed[one.id]
    # The search file knows the word still, and the leaf has it no more.
    assert ledger.found("müller") == []
    assert b"ller" in ledger.file_bytes()
    ledger.remove_file()
    assert ledger.found("source") == [one.id]
    assert b"ller" not in ledger.file_bytes()


def test_search_file_is_caught_up_when_asked(ledger: Ledger) -> None:
    one = ledger.tell(snapshots=1)
    search = ledger.search()
    query = Search.Query.parse("recovered")
    assert len(search.find(query, ALL)) == 1
    two = ledger.tell(snapshots=2)
    assert [Fact.parse(hit.leaf).id for hit in search.find(query, ALL)] == [two.id, one.id]
    assert ledger.made_anew == 0


def test_search_file_that_was_deleted_is_made_again(ledger: Ledger) -> None:
    one = ledger.tell(snapshots=1)
    assert ledger.found("recovered") == [one.id]
    ledger.close()
    again = Ledger(ledger.folder)
    again.remove_file()
    assert again.found("recovered") == [one.id]
    again.close()


def test_later_epoch_goes_on_where_the_earlier_one_ended(ledger: Ledger) -> None:
    one = ledger.tell(snapshots=1)
    two = ledger.tell(snapshots=2)
    assert ledger.found("recovered") == [two.id, one.id]
    ledger.begin_epoch()
    ledger.begin_epoch()
    three = ledger.tell(snapshots=3)
    assert ledger.found("recovered") == [three.id, two.id, one.id]
    hits = ledger.search().find(Search.Query.parse("recovered"), ALL)
    assert [(hit.epoch, hit.number) for hit in hits] == [(2, 0), (1, 1), (1, 0)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no database at all, but long enough to be read as one"),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(b"\xff" * 20_000),
    ],
    ids=["other", "short", "noise"],
)
def test_damaged_search_file_is_made_anew(ledger: Ledger, spoil: Callable[[Path], object]) -> None:
    told = [ledger.tell(snapshots=n) for n in range(300)]
    assert len(ledger.found("recovered")) == 300
    ledger.close_file()
    spoil(ledger.file)
    assert ledger.found("recovered 17") == [told[17].id]
    assert ledger.made_anew == 1


def test_search_file_of_another_log_is_made_anew(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Ledger(tmp_path / "other")
    other.tell(snapshots=1)
    other.tell(snapshots=2)
    one = ledger.tell(snapshots=1)
    assert len(other.found("recovered")) == 2
    other.close()
    ledger.file.write_bytes(other.file.read_bytes())
    assert ledger.found("recovered") == [one.id]
    assert ledger.made_anew == 1


def test_no_flipped_byte_of_the_search_file_shows_what_the_log_does_not_say(ledger: Ledger) -> None:
    told = {ledger.tell(snapshots=n % 7, at=BEGIN + timedelta(days=n)).id for n in range(200)}
    query = Search.Query.parse("3 recovered")
    ledger.search().find(query, ALL)
    ledger.close_file()
    good = ledger.file.read_bytes()
    wanted = {hit.leaf for hit in ledger.search().scan(query, ALL)[0]}
    chance = random.Random(5)
    for _ in range(150):
        data = bytearray(good)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        ledger.remove_file()
        ledger.file.write_bytes(data)
        search = ledger.search()
        hits = search.find(query, ALL)
        assert {hit.leaf for hit in hits} <= wanted
        assert {Fact.parse(hit.leaf).id for hit in hits} <= told
        search.close()


def test_benchmark_asks_this_log(ledger: Ledger, tmp_path: Path) -> None:
    for n in range(40):
        ledger.tell(snapshots=n, at=BEGIN + timedelta(days=n))
    (tmp_path / "bench").mkdir()
    times = measure_search(ledger.log, tmp_path / "bench")
    assert times.questions == 250
    assert 0 < times.p50_seconds <= times.p95_seconds <= times.worst_seconds


def test_scan_refuses_leaves_that_do_not_make_the_tree(ledger: Ledger) -> None:
    ledger.tell(snapshots=1)
    leaf = ledger.tell(snapshots=2).encode()
    with ledger.database.transaction() as transaction:
        altered = leaf.replace(b'"snapshots":2', b'"snapshots":3')
        transaction.run("UPDATE leaf SET bytes = ? WHERE number = 1", (altered,))
    with pytest.raises(LogDamaged, match="do not make its tree"):
        ledger.search().scan(Search.Query.parse("recovered"), ALL)


def test_leaf_that_holds_no_fact_is_told() -> None:
    for leaf in (b"", b"{}", b"[1]", b'{"who":1}', b"\xff", b'{"at":"","id":1,"op":2,"who":{}}'):
        with pytest.raises(Damaged, match="cannot be read"):
            Words.of(leaf)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x" * (TEXT_LENGTH_MAX + 1), "too long"),
        (" ".join(f"w{n}" for n in range(TERMS_MAX + 1)), "too many"),
        ("... ---", "no word"),
        ("ab*", "too short"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Query.parse(text)


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    try:
        query = Query.parse(text)
    except UsageError:
        return
    for term in query.terms:
        assert '"' not in term.word
        assert " " not in term.word


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_text_is_found_by_each_of_its_words(text: str, more: str) -> None:
    words = frozenset(words_of(f"{text} {more}"))
    for word in words_of(text):
        for term in Query.parse(word).terms:
            assert term.fits(words)
