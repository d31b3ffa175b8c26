"""The server's own tables."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.clients import Client, Keep, Registry
from strongroom.clients.registry import SCHEMA
from strongroom.errors import Refused, UsageError
from strongroom.ids import ClientId, InstallId, LocationId, VaultId, parse_id
from tests.support.telling import told

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FACT = told()
INSTALL = Registry.Install(InstallId("0" * 32), "ann", b"k" * 32, b"roster", NOON)
SHED = Registry.Place(
    LocationId("6" * 32),
    "shed",
    "file:///shed",
    Registry.Site("Shed", "ours", "LU", "disk 1"),
    False,
    NOON,
)
ACME = Client(ClientId("1" * 32), "acme", VaultId("2" * 32), "high", Keep(daily=3), NOON)


@pytest.fixture(name="registry")
def _registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(open_sqlite(tmp_path / "server.db"))
    yield registry
    registry.close()


def test_home_without_an_install_was_never_finished(registry: Registry) -> None:
    with pytest.raises(UsageError, match="never finished"):
        registry.install()
    registry.begin(INSTALL, FACT)
    assert registry.install() == INSTALL
    assert registry.facts() == [FACT]


@pytest.mark.parametrize("other", [replace(SHED, url="file:///other"), replace(SHED, name="other")])
def test_name_or_url_of_a_location_is_taken_once(registry: Registry, other: Registry.Place) -> None:
    registry.add_location(SHED, FACT)
    with pytest.raises(UsageError, match="already there: it is named shed"):
        registry.add_location(other, FACT)
    assert registry.locations() == [SHED]
    assert len(registry.facts()) == 1


def test_a_custodian_elsewhere_is_known_by_its_newest_certificate(registry: Registry) -> None:
    place = Registry.CustodianPlace(2, "https://two:8470", b"first", "5" * 64, "", NOON)
    registry.add_custodian_place(place, FACT)
    for other in (replace(place, url="https://three:8470"), replace(place, custodian=3)):
        with pytest.raises(UsageError, match="cannot be at"):
            registry.add_custodian_place(other, FACT)
    registry.keep_certificate(2, b"second")
    assert registry.custodian_places() == {2: replace(place, certificate=b"second")}
    assert registry.facts() == [FACT]


def test_a_custodian_is_missed_since_it_was_missed_first(registry: Registry) -> None:
    later = NOON + timedelta(hours=1)
    assert registry.note_missed({3}, NOON) == {3: NOON}
    assert registry.note_missed({3, 1}, later) == {1: later, 3: NOON}
    assert registry.note_missed({1}, later + timedelta(hours=1)) == {1: later}
    assert registry.note_missed({}, later) == {}
    assert registry.note_missed({1}, later + timedelta(hours=2)) == {1: later + timedelta(hours=2)}


def test_clients_by_name(registry: Registry) -> None:
    second = replace(ACME, id=ClientId("3" * 32), name="aaa", vault=VaultId("4" * 32))
    registry.add_client(ACME, FACT)
    registry.add_client(second, FACT)
    assert registry.clients() == [second, ACME]
    assert registry.client("acme") == ACME
    with pytest.raises(UsageError, match="known: aaa, acme"):
        registry.client("bbb")
    with pytest.raises(UsageError, match="already is a client acme"):
        registry.add_client(replace(ACME, id=ClientId("5" * 32)), FACT)


def test_an_erased_client_is_known_and_not_kept(registry: Registry) -> None:
    other = replace(ACME, id=ClientId("3" * 32), name="aaa", vault=VaultId("4" * 32))
    registry.add_client(ACME, FACT)
    registry.add_client(other, FACT)
    erasure = Registry.Erasure(NOON)
    registry.note_erasure(ACME, erasure, told())
    assert registry.known_client("acme").erasure == erasure
    assert registry.kept_clients() == [other]
    with pytest.raises(Refused, match="acme is being erased"):
        registry.client("acme")
    for erasure in (
        Registry.Erasure(NOON, NOON + timedelta(hours=1)),
        Registry.Erasure(NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2)),
    ):
        registry.note_erasure(ACME, erasure, told())
        with pytest.raises(Refused, match="had destroyed its keys on 2026-11-22 13:00:00 Z"):
            registry.client("acme")
        assert registry.clients() == [other, replace(ACME, erasure=erasure)]


def test_nobody_is_known_yet(registry: Registry) -> None:
    with pytest.raises(UsageError, match="none yet"):
        registry.client("acme")


def test_keep_policy_is_changed_with_its_fact(registry: Registry) -> None:
    registry.add_client(ACME, FACT)
    registry.set_keep(ACME, Keep(1, 2, 3, 4), told("source.password_set"))
    assert registry.client("acme").keep == Keep(1, 2, 3, 4)
    assert [fact.op for fact in registry.facts("source.password_set")] == ["source.password_set"]
    registry.record(told())
    assert len(registry.facts()) == 3


def test_locations_of_a_home_without_ids_get_one_each(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "server.db")
    database.migrate(SCHEMA[:4])
    with database.transaction() as transaction:
        transaction.run_many(
            "INSERT INTO location VALUES (?, ?, '', '', '', '', 0, '2026-11-22T12:00:00.000000Z')",
            [("one", "file:///one"), ("two", "file:///two")],
        )
    registry = Registry(database)
    ids = [place.id for place in registry.locations()]
    assert len({parse_id(one, "the id of a location") for one in ids}) == 2
    registry.close()
