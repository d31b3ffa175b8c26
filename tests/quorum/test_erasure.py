"""A client erased at a custodian: what is gone, from every file, and what can never come again."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import DatabaseUnavailable, open_sqlite
from strongroom.database import Database
from strongroom.errors import Damaged
from strongroom.facts import read_facts
from strongroom.ids import ClientId, VaultId, new_id
from strongroom.quorum import LocalCustodian, erasure_rows, recovery_rows
from strongroom.quorum.erasure import Erasure
from strongroom.quorum.erasure_seat import ErasureSeat
from strongroom.quorum.order import Order
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.refusals import ErasedClient, OtherAct
from strongroom.quorum.request import ActRequest
from tests.quorum.ordering import Orders
from tests.quorum.world import KEK, World, seeded


def erase(world: World, at: int = 0, client: ClientId | None = None) -> Erasure:
    """Let one custodian erase a client, as an order to it does."""
    seat = ErasureSeat(world.custodians[at]._own)
    with world.databases[at].transaction() as transaction:
        return seat.erase(transaction, client or world.client)


def test_an_order_erases_at_every_custodian_and_each_signs_for_it(world: World) -> None:
    orders = Orders(world)
    request = orders.ask(Procedure.CLIENT_ERASURE, {}, world.client)
    order = orders.waited(request)
    for at, custodian in enumerate(world.custodians):
        answered = custodian.obey(order)
        deed = world.roster.check_deed(answered, request)
        assert (deed.procedure, deed.client) == (Procedure.CLIENT_ERASURE, world.client)
        assert Erasure.of(deed.told, world.client).keys == (public_key_id(world, at),)
        assert blobs(world.databases[at]) == []
        assert custodian.obey(order) == answered


def test_a_later_order_tells_of_the_first(world: World) -> None:
    orders = Orders(world)
    told = []
    for _ in range(2):
        request = orders.ask(Procedure.CLIENT_ERASURE, {}, world.client)
        answered = world.custodians[0].obey(orders.waited(request))
        told.append(world.roster.check_deed(answered, request).told)
    assert told[0] == told[1]


@pytest.fixture(name="on_disk")
def _on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose databases are the files 0.db, 1.db and 2.db."""
    numbers = itertools.count()

    def made(_path: None) -> Database:
        return open_sqlite(tmp_path / f"{next(numbers)}.db", busy_seconds=0.01)

    monkeypatch.setattr("tests.quorum.world.open_sqlite", made)
    with closing(World()) as world:
        yield world


def test_no_deed_leaves_while_a_file_still_holds_what_was_destroyed(
    on_disk: World, tmp_path: Path
) -> None:
    """Another process reads the database just then, so its journal cannot be cut off."""
    request, order = erasure_order(on_disk)
    custodian = on_disk.custodians[0]
    with reader(tmp_path), pytest.raises(DatabaseUnavailable, match="still holds what was deleted"):
        custodian.obey(order)
    deed = on_disk.roster.check_deed(custodian.obey(order), request)
    assert Erasure.of(deed.told, on_disk.client).keys == (public_key_id(on_disk, 0),)


def test_an_old_order_shown_again_writes_no_database_anew(on_disk: World, tmp_path: Path) -> None:
    """Under the eyes of a reader that would fail."""
    _, order = erasure_order(on_disk)
    deed = on_disk.custodians[0].obey(order)
    with reader(tmp_path):
        assert on_disk.custodians[0].obey(order) == deed


def test_an_erasure_that_was_cut_off_is_finished_where_the_custodian_opens(
    on_disk: World, tmp_path: Path
) -> None:
    """It was killed when the rows were gone and the files still held the bytes."""
    _, order = erasure_order(on_disk)
    needles = blobs(on_disk.databases[0])

    def left() -> list[str]:
        own = "0.db"
        return [name for one in needles for name in found_in(tmp_path, one) if name[:4] == own]

    with reader(tmp_path):
        with pytest.raises(DatabaseUnavailable):
            on_disk.custodians[0].obey(order)
        on_disk.databases[0].close()
        with closing(open_sqlite(tmp_path / "0.db", busy_seconds=0.01)) as database:
            again = LocalCustodian.open(database, KEK, on_disk.clock, on_disk.token)
            assert again.card() == on_disk.custodians[0].card(), "it serves all the same"
        assert left()
    with closing(open_sqlite(tmp_path / "0.db")) as database:
        LocalCustodian.open(database, KEK, on_disk.clock, on_disk.token)
        assert not left()


def erasure_order(world: World) -> tuple[ActRequest, Order]:
    """Return the request to erase the client, and the order once it may be obeyed."""
    orders = Orders(world)
    request = orders.ask(Procedure.CLIENT_ERASURE, {}, world.client)
    return request, orders.waited(request)


@contextmanager
def reader(folder: Path) -> Iterator[None]:
    """Read the first custodian's database as another process does."""
    with closing(open_sqlite(folder / "0.db")) as other, other.reading() as reading:
        reading.rows("SELECT 1 FROM client")
        yield


def test_nothing_about_a_client_is_left_but_that_it_was_erased(world: World) -> None:
    statement, _ = world.backed_up()
    world.rotate(1)
    custodian = world.custodians[0]
    opening = world.opening(statement)
    custodian.release(opening.request)
    assert opening.request.grant is not None
    with world.databases[0].transaction() as transaction:
        recovery_rows.allow_writer(transaction, world.client, opening.request.grant.request)
    before = tables_about(world)
    assert {"client", "client_log", "former_key", "release", "succession", "writer"} <= before
    erase(world)
    assert tables_about(world) == {"erased", "release"}


def tables_about(world: World) -> set[str]:
    """Return the tables of the first custodian in which a row is about the client."""
    with world.databases[0].reading() as reading:
        found = reading.rows(
            "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c "
            "WHERE m.type = 'table' AND c.name = 'client'"
        )
        return {
            name
            for (name,) in found
            if reading.row(f"SELECT 1 FROM {name} WHERE client = ?", (world.client,))
        }


def test_an_order_with_an_object_destroys_nothing(world: World) -> None:
    orders = Orders(world)
    request = orders.ask(Procedure.CLIENT_ERASURE, {}, world.client)
    orders.waited(request)
    with pytest.raises(OtherAct, match="encloses 0 objects"):
        world.custodians[0].obey(orders.order(request, world.policy_envelope))
    assert len(blobs(world.databases[0])) == 2


def blobs(database: Database) -> list[bytes]:
    """Return everything from which a key of a client could come back, as it is stored."""
    with database.reading() as reading:
        rows = [
            *reading.rows("SELECT seed_sealed FROM client"),
            *reading.rows("SELECT seed_sealed FROM former_key"),
            *reading.rows("SELECT bytes FROM kit_entry WHERE path NOT LIKE '%/identity-%'"),
            *reading.rows("SELECT answer FROM release WHERE answer <> x''"),
        ]
    return [blob for (blob,) in rows]


def test_what_a_custodian_tells_names_its_key_its_entries_and_its_answers(world: World) -> None:
    statement, _ = world.backed_up()
    custodian = world.custodians[0]
    custodian.release(world.opening(statement).request)
    entries = custodian.kit_entries(world.client)
    assert len(blobs(world.databases[0])) == 3

    erasure = erase(world)

    assert blobs(world.databases[0]) == []
    assert erasure.keys == (public_key_id(world, 0),)
    exports = erasure.exports(world.install, custodian.card().id)
    assert exports == [path for path, _ in entries]
    assert erasure.answers == 1
    assert custodian.kit_entries(world.client) == []
    assert custodian.kit_entries("identity") != []
    last = custodian.journal(0)[-1]
    assert (last.op, last.subject, last.body) == (
        "client.keys_destroyed",
        world.client,
        {"keys": 1, "entries": 1, "answers": 1},
    )


def public_key_id(world: World, at: int) -> str:
    """Return how an erasure names the key that a custodian had."""
    return hashlib.sha256(world.client_keys[at]).hexdigest()


def test_former_keys_go_with_the_newest(world: World) -> None:
    first = public_key_id(world, 0)
    world.rotate(1)
    second = public_key_id(world, 0)
    world.rotate(1)
    assert len(blobs(world.databases[0])) == 3 + 3
    erasure = erase(world)
    assert erasure.keys == (public_key_id(world, 0), first, second)
    assert [int(name[-8:]) for name in erasure.entries] == [1, 2, 3]
    assert blobs(world.databases[0]) == []


def test_a_damaged_row_does_not_stop_it(world: World) -> None:
    with world.databases[0].transaction() as transaction:
        transaction.run("UPDATE client SET seed_sealed = zeroblob(64)")
    erasure = erase(world)
    assert erasure.keys == (public_key_id(world, 0),)
    assert blobs(world.databases[0]) == []


def test_it_is_in_no_file_of_the_custodian_any_more(tmp_path: Path) -> None:
    """What could give a key back is searched in every file, as it lay there before."""
    token = seeded("canary")
    with closing(World(seed="canary")) as other:
        install, writer = other.install, other.writer
    path = tmp_path / "custodian.db"
    clock = other.clock
    with closing(open_sqlite(path)) as database:
        seat = (install, 1, "alone")
        custodian = LocalCustodian.create(database, KEK, seat, token(32), clock, token)
        clients = [ClientId(new_id(token)) for _ in range(30)]
        for number, client in enumerate(clients):
            key = writer[:-1] + bytes([number])
            custodian.enrol(client, VaultId(new_id(token)), "normal", key)
        gone = clients[7]
        with database.reading() as reading:
            (sealed,) = reading.rows("SELECT seed_sealed FROM client WHERE client = ?", (gone,))[0]
        needles = [sealed, *(data for _, data in custodian.kit_entries(gone))]
        assert len(needles) == 2
        assert all(found_in(tmp_path, needle) for needle in needles)

        with database.transaction() as transaction:
            ErasureSeat(custodian._own).erase(transaction, gone)
        database.scour()

        # While the database is still open, so the journal of SQLite is among the files.
        assert not any(found_in(tmp_path, needle) for needle in needles)
        assert len(custodian.pins()) == 29
    assert not any(found_in(tmp_path, needle) for needle in needles)


def found_in(folder: Path, needle: bytes) -> list[str]:
    """Return the files that hold a stretch of these bytes."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    return [path.name for path in files if needle[16:80] in path.read_bytes()]


def test_an_erased_client_is_never_served_again(world: World) -> None:
    statement, _ = world.backed_up()
    request = world.opening(statement).request
    custodian = world.custodians[0]
    custodian.release(request)
    snapshot, keys, _ = world.snapshot()
    erase(world)
    refused: tuple[Callable[[], object], ...] = (
        lambda: custodian.enrol(world.client, world.vault, "normal", world.writer),
        lambda: custodian.ingest(snapshot, keys),
        lambda: custodian.prove("0" * 64, [keys[0].statement]),
        lambda: custodian.release(request),
        lambda: custodian.release(world.opening(statement).request),
        lambda: custodian.succeed(world.client, bytes(32), {}),
    )
    for asked in refused:
        with pytest.raises(ErasedClient, match="its keys were destroyed on 2026-01-02"):
            asked()
    # The others still open what was kept, and do not make it good again.
    opening = world.opening(statement)
    for at in (1, 2):
        opening.take(world.custodians[at].card(), world.custodians[at].release(opening.request))
    assert opening.enough


def test_asked_again_it_tells_of_the_first_time(world: World) -> None:
    first = erase(world)
    with world.databases[0].reading() as reading:
        count = len(read_facts(reading))
    assert erase(world) == first
    with world.databases[0].reading() as reading:
        assert len(read_facts(reading)) == count
        assert erasure_rows.read_erasure(reading, world.client) == first


def test_a_client_that_was_never_known_is_told_of_with_nothing(world: World) -> None:
    stranger = ClientId(new_id(world.token))
    erasure = erase(world, client=stranger)
    assert (erasure.keys, erasure.entries, erasure.answers) == ((), (), 0)
    with pytest.raises(ErasedClient):
        world.custodians[0].enrol(stranger, VaultId(new_id(world.token)), "normal", bytes(32))
    assert world.custodians[0].pin(world.client) is not None


def test_a_kit_brings_back_what_its_kept_entries_hold_and_no_more(world: World) -> None:
    """The kit stands above an erasure where somebody kept what it opens: the deed says so."""
    custodian = world.custodians[0]
    before = custodian.kit_entries()
    erase(world)
    after = custodian.kit_entries()
    for entries, known in ((before, [world.client]), (after, [])):
        with closing(open_sqlite(None)) as database:
            kit = LocalCustodian.Kit(world.kit_secrets[0])
            again = LocalCustodian.restore(database, KEK, entries, kit, world.clock, world.token)
            assert [pin.client for pin in again.pins()] == known


@pytest.mark.parametrize(
    "change",
    [
        {"keys": ["0" * 63]},
        {"keys": "none"},
        {"entries": ["identity-00000001"]},
        {"entries": [7]},
        {"entries": [f"{'0' * 32}-00000001"]},
        {"answers": -1},
        {"erased_at": "yesterday"},
        {"more": 1},
    ],
)
def test_a_malformed_erasure_is_refused(world: World, change: dict[str, object]) -> None:
    erasure = erase(world)
    told = json.loads(json.dumps(erasure.told))
    assert Erasure.parse(told, world.client) == Erasure.of(erasure.told, world.client) == erasure
    with pytest.raises(Damaged, match="erasure is malformed"):
        Erasure.parse({**told, **change}, world.client)
