"""Files of private values stay open from fact to fact, and are settled before a signature."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.app import App
from strongroom.ids import ClientId
from strongroom.ledger import Disclosures
from strongroom.operations.deployment import Deployment
from strongroom.operations.disclosure_files import KEPT_OPEN, DisclosureFiles
from strongroom.operations.set_up import InstallPlan, set_up
from strongroom.operations.witnessing import OpenLog, have_witnessed

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
CLIENTS = [ClientId(f"{number:032x}") for number in range(4)]


class Folder:
    """Opens files below a folder, and remembers which."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[ClientId | None] = []

    def open(self, client: ClientId | None) -> Disclosures:
        self.opened.append(client)
        return Disclosures(open_sqlite(self.file(client), durable=False))

    def file(self, client: ClientId | None) -> Path:
        return self.path / f"{client or 'server'}.db"

    def is_open(self, client: ClientId | None) -> bool:
        # Who closes the last connection removes the journal.
        return self.file(client).with_name(f"{self.file(client).name}-wal").exists()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def add(disclosures: Disclosures, number: int, value: str = "file:///srv/a") -> None:
    disclosures.add([Disclosures.Value(f"{number:032x}", "url", bytes(16), value)], NOW)


def test_a_file_is_opened_once_for_many_facts(folder: Folder) -> None:
    files = DisclosureFiles(folder.open)
    for number in range(5):
        with files.of(CLIENTS[0]) as disclosures:
            add(disclosures, number)
        with files.of(None) as server:
            assert server.number() == 0
    assert folder.opened == [CLIENTS[0], None]
    files.close()
    assert not folder.is_open(CLIENTS[0])
    with files.of(CLIENTS[0]) as disclosures:
        assert disclosures.number() == 5
    files.close()


def test_few_files_stay_open_and_the_last_that_was_used_is_one(folder: Folder) -> None:
    files = DisclosureFiles(folder.open)
    for client in CLIENTS:
        with files.of(client) as disclosures:
            add(disclosures, 1)
    assert [client for client in CLIENTS if folder.is_open(client)] == CLIENTS[-KEPT_OPEN:]
    files.close()


def test_two_users_at_once_have_a_connection_each(folder: Folder) -> None:
    files = DisclosureFiles(folder.open)
    with files.of(None) as one, files.of(None) as other:
        assert one is not other
        add(one, 1)
        assert other.number() == 1
    with files.of(None) as again:
        assert again is one
    files.close()
    assert not folder.is_open(None)


def test_a_file_is_closed_where_its_user_failed(folder: Folder) -> None:
    files = DisclosureFiles(folder.open)
    with pytest.raises(ZeroDivisionError), files.of(None):
        raise ZeroDivisionError
    assert not folder.is_open(None)


def test_a_connection_that_was_left_open_does_not_keep_what_is_erased(folder: Folder) -> None:
    files, other = DisclosureFiles(folder.open), DisclosureFiles(folder.open)
    for one in (files, other):
        with one.of(None) as disclosures:
            add(disclosures, 1, "file:///home/ann/secret-place")
    with other.of(None) as disclosures:
        disclosures.erase(None, ["ann"])
        disclosures.scour()
    for path in folder.path.iterdir():
        assert b"secret-place" not in path.read_bytes()
    files.close()
    other.close()


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    app = App()
    install = app.new_install()
    tools, registry = app.make_home(tmp_path / "home", install)
    set_up(tools, registry, InstallPlan(install, "ann", 1, 1, {"loc": str(tmp_path / "location")}))
    registry.close()
    with app.open(tmp_path / "home") as opened:
        yield opened


def test_private_values_are_settled_before_their_fact_is_signed(
    deployment: Deployment, tmp_path: Path
) -> None:
    journal = tmp_path / "home" / "disclosures.db-wal"
    place = deployment.registry.locations()[0].id
    fact = deployment.fact("location.made_again", place, private={"name": "cloud"}, copied=1)
    written = journal.stat().st_size
    deployment.registry.record(fact)
    assert journal.stat().st_size == written
    # Nothing is signed yet here, so what has to come before it has come.
    have_witnessed(deployment, [])
    assert deployment.registry.log.checkpoint() is None
    settled = journal.stat().st_size
    assert settled > written
    (found,) = have_witnessed(deployment, [OpenLog.of_server(deployment)])
    assert found.enough
    assert journal.stat().st_size == settled
