"""What is private lies in a file of its own, and what is erased there is in none of its bytes."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.adapters.database.sqlite import DatabaseUnavailable, open_sqlite
from strongroom.errors import UsageError
from strongroom.ledger.disclosure import Disclosure
from strongroom.ledger.disclosures import SCHEMA, Disclosures

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ANN = "ann@example.org"
BO = "Bo O'Hara"


def token(size: int) -> bytes:
    return os.urandom(size)


def fact(number: int) -> str:
    return f"{number:032x}"


def drawn(number: int, **values: str) -> list[Disclosure]:
    return [Disclosure.draw(fact(number), name, value, token) for name, value in values.items()]


@pytest.fixture
def disclosures(tmp_path: Path) -> Iterator[Disclosures]:
    opened = Disclosures(open_sqlite(tmp_path / "disclosures.db"))
    yield opened
    opened.close()


def every_byte(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_values_are_found_by_fact_and_field(disclosures: Disclosures) -> None:
    kept = drawn(1, url="file:///srv/a", name="acme")
    disclosures.add(kept, NOW)
    disclosures.add(drawn(2, url="file:///srv/b"), NOW)
    assert disclosures.value(fact(1), "url") == "file:///srv/a"
    assert disclosures.value(fact(1), "host") is None
    assert disclosures.value(fact(3), "url") is None
    assert disclosures.of(fact(1)) == sorted(kept, key=lambda one: one.field)
    assert disclosures.of(fact(3)) == []
    assert disclosures.number() == 3


def test_a_fact_made_again_has_the_newer_salt(disclosures: Disclosures) -> None:
    disclosures.add(drawn(1, url="a"), NOW)
    again = drawn(1, url="a")
    disclosures.add(again, NOW)
    assert disclosures.of(fact(1)) == again


def test_values_that_were_kept_before_they_had_one_table_stay(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "old.db")
    database.migrate(SCHEMA[:-1])
    (kept,) = drawn(1, url="file:///srv/a")
    with database.transaction() as transaction:
        transaction.run(
            "INSERT INTO disclosure (fact, field, salt, value, person, at) "
            "VALUES (?, 'url', ?, ?, NULL, ?)",
            (kept.fact, kept.salt, kept.value, "2026-11-22T00:00:00.000000Z"),
        )
    disclosures = Disclosures(database)
    assert disclosures.of(kept.fact) == [kept]
    assert disclosures.expire(NOW) == 1
    disclosures.scour()
    assert b"file:///srv/a" not in every_byte(tmp_path)
    disclosures.close()


def test_a_person_keeps_one_random_pseudonym(disclosures: Disclosures) -> None:
    ann, bo = (disclosures.meet(name, NOW, token) for name in (ANN, BO))
    assert disclosures.meet(ANN, NOW + DAY, token) == ann
    assert ann.pseudonym != bo.pseudonym
    assert len(ann.pseudonym) == 32
    assert disclosures.name(ann.pseudonym) == ANN
    assert disclosures.find(ANN) == disclosures.find(ann.pseudonym) == ann
    assert disclosures.find("nobody") is None
    assert disclosures.name("0" * 32) is None


def test_the_same_name_has_another_pseudonym_elsewhere(
    disclosures: Disclosures, tmp_path: Path
) -> None:
    other = Disclosures(open_sqlite(tmp_path / "other.db"))
    one = disclosures.meet(ANN, NOW, token)
    assert other.meet(ANN, NOW, token).pseudonym != one.pseudonym
    other.close()


def test_a_station_is_of_one_person(disclosures: Disclosures) -> None:
    ann, bo = (disclosures.meet(name, NOW, token).pseudonym for name in (ANN, BO))
    station = disclosures.station(ann, Disclosures.Origin("ann", "desk"), NOW, token)
    assert disclosures.station(ann, Disclosures.Origin("ann", "desk"), NOW, token) == station
    assert (
        disclosures.station(bo, Disclosures.Origin("ann", "desk"), NOW, token).pseudonym
        != station.pseudonym
    )
    assert disclosures.name(station.pseudonym) == "ann@desk"


def test_what_the_log_was_told_is_told_once(disclosures: Disclosures) -> None:
    ann = disclosures.meet(ANN, NOW, token)
    station = disclosures.station(ann.pseudonym, Disclosures.Origin("ann", "desk"), NOW, token)
    assert (ann.told, station.told) == (False, False)
    disclosures.tell(ann.pseudonym)
    disclosures.tell(station.pseudonym)
    assert disclosures.meet(ANN, NOW, token).told
    assert disclosures.station(ann.pseudonym, Disclosures.Origin("ann", "desk"), NOW, token).told


def test_a_login_that_others_have_is_not_a_persons_own(disclosures: Disclosures) -> None:
    ann, bo = (disclosures.meet(name, NOW, token).pseudonym for name in (ANN, BO))
    for person, login in ((ann, "ann"), (ann, "backup"), (bo, "backup")):
        disclosures.station(person, Disclosures.Origin(login, "desk"), NOW, token)
    assert disclosures.logins(ann) == ["ann"]
    assert disclosures.logins(bo) == []


def test_a_person_is_found_however_the_name_is_written(disclosures: Disclosures) -> None:
    met = disclosures.meet(ANN, NOW, token)
    assert disclosures.find(ANN.upper()) == disclosures.find(met.pseudonym) == met
    assert disclosures.find("an@example.org") is None
    other = disclosures.meet(ANN.title(), NOW, token)
    assert disclosures.find(ANN.title()) == other
    assert disclosures.find(ANN.upper()) is None


@pytest.mark.parametrize("name", ["", " ann", "ann ", "a\nb", "\x1b[31m", "a" * 201])
def test_a_name_that_cannot_be_shown_is_refused(disclosures: Disclosures, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a person"):
        disclosures.meet(name, NOW, token)


@pytest.mark.parametrize(
    "value",
    [
        ANN,
        f"file:///srv/{ANN}/a",
        ANN.upper(),
        "file:///ann%40example.org",
        f"from <{ANN}>.",
        f"sqlite:///srv/db_{ANN}_old.db",
    ],
)
def test_erased_words_are_gone_however_they_were_written(
    disclosures: Disclosures, value: str
) -> None:
    disclosures.add(drawn(1, url=value, host="desk"), NOW)
    assert disclosures.erase(None, [ANN]) == 1
    assert [one.field for one in disclosures.of(fact(1))] == ["host"]


@pytest.mark.parametrize("value", ["joann@example.org.uk", "ann@example.organic", "annex"])
def test_a_longer_word_is_another_word(disclosures: Disclosures, value: str) -> None:
    disclosures.add(drawn(1, url=value), NOW)
    assert disclosures.erase(None, [ANN, "ann"][: 1 if "@" in value else 2]) == 0
    assert disclosures.number() == 1


def test_nothing_to_look_for_deletes_nothing(disclosures: Disclosures) -> None:
    disclosures.add(drawn(1, url="a"), NOW)
    assert disclosures.erase(None, []) == 0


def test_erasing_looks_through_many_values(disclosures: Disclosures) -> None:
    many = [one for n in range(2500) for one in drawn(n, url=ANN if n % 500 == 0 else "other")]
    disclosures.add(many, NOW)
    assert disclosures.erase(None, [ANN]) == 5
    assert disclosures.number() == 2495


def test_an_erased_person_is_in_no_byte_of_any_file(
    disclosures: Disclosures, tmp_path: Path
) -> None:
    """The journal is there while the database is open, so it is searched, too."""
    ann = disclosures.meet(ANN, NOW, token).pseudonym
    bo = disclosures.meet(BO, NOW, token).pseudonym
    disclosures.station(ann, Disclosures.Origin("ann-login", "ann-desk"), NOW, token)
    disclosures.station(bo, Disclosures.Origin("bo-login", "bo-desk"), NOW, token)
    # Enough rows that pages are split, and stale copies of cells lie in their gaps.
    for number in range(400):
        person, name = ((ann, ANN), (bo, BO))[number % 2]
        disclosures.add(drawn(number, name=name, note="x" * (number % 97)), NOW, person)
    before = every_byte(tmp_path)
    assert all(word in before for word in (ANN.encode(), b"ann-login", b"ann-desk"))
    salts = [one.salt for one in disclosures.of(fact(0))]

    assert disclosures.erase(ann, [ANN]) == 400
    disclosures.forget(ann)
    disclosures.scour()
    after = every_byte(tmp_path)
    assert (tmp_path / "disclosures.db-wal").exists()
    for gone in (ANN.encode(), b"ann-login", b"ann-desk", ann.encode(), *salts):
        assert gone not in after
    assert disclosures.name(ann) is None
    assert disclosures.find(ANN) is None
    # The other person is untouched, so the search would have found somebody.
    assert BO.encode() in after
    assert disclosures.find(BO) is not None
    assert disclosures.number() == 400


def test_an_erasure_that_stopped_midway_is_begun_again_by_name(disclosures: Disclosures) -> None:
    ann = disclosures.meet(ANN, NOW, token)
    disclosures.add(drawn(1, name=ANN), NOW, ann.pseudonym)
    disclosures.erase(ann.pseudonym, [ANN])
    assert disclosures.find(ANN) == ann


def test_scouring_waits_for_no_reader_and_says_so(tmp_path: Path) -> None:
    opened = Disclosures(open_sqlite(tmp_path / "disclosures.db", busy_seconds=0))
    opened.add(drawn(1, url="a"), NOW)
    other = open_sqlite(tmp_path / "disclosures.db")
    with other.reading() as reading:
        reading.rows("SELECT * FROM disclosure")
        opened.erase(None, ["a"])
        with pytest.raises(DatabaseUnavailable, match="still holds what was deleted"):
            opened.scour()
    opened.scour()
    other.close()
    opened.close()


def test_values_and_persons_expire(disclosures: Disclosures) -> None:
    ann, bo = (disclosures.meet(name, NOW, token).pseudonym for name in (ANN, BO))
    disclosures.add(drawn(1, name=ANN), NOW, ann)
    disclosures.add(drawn(2, name=BO), NOW, bo)
    disclosures.add(drawn(3, url="old"), NOW)
    disclosures.add(drawn(4, url="new"), NOW + 2 * DAY)
    # Who is still at work keeps the name, however long ago it was told.
    disclosures.station(bo, Disclosures.Origin("bo", "desk"), NOW + 2 * DAY, token)
    assert disclosures.expire(NOW + DAY) == 2
    assert disclosures.find(ANN) is None
    assert disclosures.find(BO) is not None
    values = [disclosures.value(fact(number), "url") for number in (3, 4)]
    assert values == [None, "new"]
    assert disclosures.value(fact(1), "name") is None
    assert disclosures.value(fact(2), "name") == BO


@given(st.lists(st.sampled_from(("a@x", "b@x", "c", "d e")), min_size=1, max_size=4, unique=True))
def test_erasing_takes_what_holds_a_word_and_nothing_else(words: list[str]) -> None:
    opened = Disclosures(open_sqlite(None))
    values = {number: f"see {word}, please" for number, word in enumerate(("a@x", "b@x", "c"))}
    opened.add([one for n, value in values.items() for one in drawn(n, url=value)], NOW)
    opened.erase(None, words)
    left = {number for number in values if opened.value(fact(number), "url")}
    assert left == {n for n, value in values.items() if value.split()[1][:-1] not in words}
    opened.close()
