"""The desk keeps acts with their facts, and lets two commands at once run an act but once."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.clients import Registry
from strongroom.database import Database
from strongroom.errors import Damaged, UsageError
from strongroom.ledger import Log
from strongroom.procedures import Desk
from strongroom.procedures.desk import Overtaken
from tests.procedures.world import NOON, World, says
from tests.support.telling import session

WORLD = World()


def fact(number: int) -> object:
    return session().fact("location.removed", f"{number:032x}")


@pytest.fixture
def database() -> Iterator[Database]:
    opened = open_sqlite(None)
    yield opened
    opened.close()


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, Registry(database).log)


def test_an_act_is_kept_as_it_is_with_its_facts(desk: Desk, database: Database) -> None:
    act = WORLD.asked()
    desk.ask(act, session().fact("location.removed", "1" * 32))
    assert desk.acts() == [act] == [desk.find(act.id)]
    for name in ("bob", "ann"):
        before = desk.find(act.id)
        after = before.decide(Desk.Take(says(name, act.request)), NOON)
        desk.change(before, after, [session().fact("location.removed", "2" * 32)])
        assert desk.find(act.id) == after
    assert desk.find(act.id).state is Desk.State.APPROVED
    assert [one.subject[0] for one in Log(database).facts()] == ["1", "2", "2"]


def test_only_one_of_two_commands_that_saw_the_same_changes_an_act(desk: Desk) -> None:
    act = WORLD.asked()
    desk.ask(act, session().fact("location.removed", "1" * 32))
    withdrawn = act.decide(Desk.Withdraw(), NOON)
    refused = act.decide(Desk.Take(says("ann", act.request, "refuse")), NOON)
    desk.change(act, refused, [])
    with pytest.raises(Overtaken):
        desk.change(act, withdrawn, [])
    assert desk.find(act.id) == refused
    with pytest.raises(Overtaken):
        desk.change(WORLD.asked(WORLD.request(9)), refused, [])


def test_an_act_is_found_by_the_beginning_of_its_id(desk: Desk) -> None:
    for number in (1, 2):
        request = replace(WORLD.request(), request=f"{number}" * 32)
        desk.ask(WORLD.asked(request), session().fact("location.removed", "1" * 32))
    assert desk.find("2222").id == "2" * 32
    for prefix, why in (("11", "4 digits"), ("33333", "no requests"), ("%%%%", "no requests")):
        with pytest.raises(UsageError, match="names"):
            desk.find(prefix)
        with pytest.raises(UsageError) as caught:
            desk.find(prefix)
        assert why in str(caught.value)


def test_a_row_that_was_altered_is_not_read(desk: Desk, database: Database) -> None:
    act = WORLD.asked()
    desk.ask(act, session().fact("location.removed", "1" * 32))
    with database.transaction() as transaction:
        transaction.run("UPDATE act SET plan = ?", ('["restore nothing"]',))
    with pytest.raises(Damaged, match="plan is not the one"):
        desk.find(act.id).decide(Desk.Withdraw(), NOON)


def test_the_desk_shares_a_file_with_the_registry_and_keeps_its_own_version(
    database: Database,
) -> None:
    registry = Registry(database)
    Desk(database, registry.log)
    Desk(database, registry.log)
    Registry(database)
    with database.reading() as reading:
        assert reading.rows("SELECT room, version FROM room_schema") == [("procedures", 3)]
