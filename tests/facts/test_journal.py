"""The plain table of facts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.database import Database
from strongroom.errors import Damaged
from strongroom.facts import FACT_TABLE, read_facts, record
from tests.support.telling import CLIENT, told


@pytest.fixture(name="database")
def _database(tmp_path: Path) -> Iterator[Database]:
    database = open_sqlite(tmp_path / "custodian.db")
    database.migrate([FACT_TABLE])
    yield database
    database.close()


def test_facts_come_back_in_order_and_by_op(database: Database) -> None:
    facts = [told(), told("source.password_set"), told()]
    with database.transaction() as transaction:
        for fact in facts:
            record(transaction, fact)
    with database.reading() as reading:
        assert read_facts(reading) == facts
        assert read_facts(reading, "source.removed") == [facts[0], facts[2]]
        assert read_facts(reading, "kit.confirmed") == []


def test_rows_from_before_stand_beside_those_of_today(database: Database) -> None:
    with database.transaction() as transaction:
        transaction.run(
            "INSERT INTO fact (kind, subject, actor, at, body) VALUES (?, ?, ?, ?, ?)",
            ("client.enrolled", CLIENT, "c" * 32, "2026-11-01T10:00:00.000000Z", '{"vault":"x"}'),
        )
        record(transaction, told())
    with database.reading() as reading:
        old, new = read_facts(reading)
    assert (old.op, old.v, old.body, old.who.id) == ("client.enrolled", 0, {}, "c" * 32)
    assert new.v == 1


def test_an_altered_row_is_damaged(database: Database) -> None:
    with database.transaction() as transaction:
        record(transaction, told())
        transaction.run("UPDATE fact SET body = replace(body, '\"ok\"', '\"no\"')")
    with database.reading() as reading, pytest.raises(Damaged):
        read_facts(reading)
