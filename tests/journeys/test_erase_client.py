"""A client erased: by every custodian, at every location, and for whoever asks for it later."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.clients import Registry
from strongroom.errors import PartlyDone, Refused
from strongroom.locations import Location, LocationUnavailable
from strongroom.operations.add_location import add_location
from strongroom.operations.back_up import back_up
from strongroom.operations.credentials import Credentials
from strongroom.operations.deployment import Deployment
from strongroom.operations.erase_client import ClientErased, erase_client
from strongroom.operations.fill_locations import repair_client
from strongroom.operations.reconcile import reconcile
from strongroom.operations.resume_ledger import resume_ledger
from strongroom.operations.tell_status import tell_status
from strongroom.operations.verify_ledger import verify_logs
from tests.journeys.world import (
    HIGH,
    NORMAL,
    World,
    copy_aside,
    files_below,
    fresh_copy,
    keep_template,
    make_world,
    refused,
    silent,
)


@pytest.fixture(scope="module", name="template")
def _template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An install with a good snapshot of each of two clients."""
    made = make_world(tmp_path_factory.mktemp("install") / "world")
    for client in (NORMAL, HIGH):
        assert made.back_up(client).problems == []
    made.restore(NORMAL)
    keep_template(made)
    return made


@pytest.fixture(name="world")
def _world(template: World) -> World:
    return fresh_copy(template)


def erase(world: World, name: str = NORMAL) -> ClientErased:
    with world.open() as deployment:
        return erase_client(deployment, deployment.registry.known_client(name))


def ids(world: World, name: str = NORMAL) -> tuple[str, str]:
    """Return the ids by which a client's objects are known: its own, and its vault's."""
    with world.open() as deployment:
        client = deployment.registry.known_client(name)
        return client.id, client.vault


def lying(world: World, *names: str) -> list[Path]:
    """Return what lies at the locations under one of these names, logs apart."""
    return [
        path
        for path in files_below(*world.locations.values())
        if any(name in str(path) for name in names)
    ]


def exports(world: World, client: str) -> list[Path]:
    return [path for path in lying(world, client) if "kits" in path.parts]


def test_an_erased_client_is_nowhere_and_the_others_are_as_they_were(world: World) -> None:
    own, other = ids(world, NORMAL), ids(world, HIGH)
    assert len(exports(world, own[0])) == 3 * 3
    kept = lying(world, *other)

    erased = erase(world)

    assert erased.problems == erased.exports_left == []
    assert erased.custodians == ["custodian-1", "custodian-2", "custodian-3"]
    assert erased.deleted_exports == 3 * 3
    assert erased.deleted_objects > erased.deleted_exports
    assert lying(world, *own) == []
    assert lying(world, *other) == kept
    assert world.restore(HIGH) == world.state()
    with world.open() as deployment:
        assert {one.state for one in verify_logs(deployment)} == {"witnessed"}
        assert reconcile(deployment).findings == []
        assert len(resume_ledger(deployment)) == 3


def test_what_opened_its_keys_is_in_no_file_of_any_custodian(world: World) -> None:
    """As it lay in the databases before: seeds, entries of key tables, answers to requests."""
    client = ids(world)[0]
    needles: list[bytes] = []
    for index in (1, 2, 3):
        path = world.custodian(index) / "custodian.db"
        with closing(open_sqlite(path)) as database, database.reading() as reading:
            rows = [
                *reading.rows("SELECT seed_sealed FROM client WHERE client = ?", (client,)),
                *reading.rows("SELECT bytes FROM kit_entry WHERE path LIKE ?", (f"%/{client}-%",)),
                *reading.rows("SELECT answer FROM release WHERE client = ?", (client,)),
            ]
        needles += [blob[-64:] for (blob,) in rows]
    # Two custodians have released shares for the restore, and all have a seed and an entry.
    assert len(needles) == 3 + 3 + 2
    assert all(holding(world.home, needle) for needle in needles)
    erase(world)
    places = [world.home, *world.locations.values()]
    assert not any(holding(place, needle) for place in places for needle in needles)


def holding(place: Path, needle: bytes) -> list[Path]:
    return [path for path in files_below(place) if needle in path.read_bytes()]


def test_it_is_shown_and_nothing_is_done_with_it_any_more(world: World) -> None:
    erase(world)
    with world.open() as deployment:
        status = tell_status(deployment)
        kept = deployment.registry.kept_clients()
        assert not deployment.tools.secrets.has(f"worker-{ids(world)[0]}")
    assert {one.name: one.state for one in status.clients} == {
        HIGH: "backed up",
        NORMAL: "erased",
    }
    assert not any(NORMAL in one for one in status.warnings)
    assert [one.name for one in kept] == [HIGH]
    assert refused(lambda: world.back_up(NORMAL)).code == "erased_client"
    with world.open() as deployment:
        client = deployment.registry.known_client(NORMAL)
        assert refused(lambda: back_up(deployment, client, silent)).code == "erased_client"
    assert refused(lambda: world.restore(NORMAL)).code == "erased_client"


def test_a_custodian_that_is_away_gets_the_order_when_it_is_back(world: World) -> None:
    client = ids(world)[0]
    aside = world.root / "aside"
    world.custodian(3).rename(aside)
    with pytest.raises(PartlyDone, match=f"{NORMAL} is erased by 2 of 3 custodians") as caught:
        erase(world)
    assert caught.value.exit_code == 3
    assert "custodian 3" in caught.value.why
    # What is destroyed stays so, whatever comes: nothing is restored, and no export is left.
    assert exports(world, client) == []
    assert refused(lambda: world.restore(NORMAL)).code == "erased_client"
    with world.open() as deployment:
        status = tell_status(deployment)
    assert [one.state for one in status.clients if one.name == NORMAL] == ["BEING ERASED"]
    assert any(f"strongroom client erase {NORMAL}" in one for one in status.warnings)
    with pytest.raises(PartlyDone):
        erase(world)
    aside.rename(world.custodian(3))
    assert erase(world).problems == []
    assert lying(world, *ids(world)) == []


def test_a_location_that_is_away_is_cleared_when_it_is_back(world: World) -> None:
    own, aside = ids(world), world.root / "aside"
    world.locations["loc2"].rename(aside)
    first = erase(world)
    (problem,) = first.problems
    assert problem.startswith("location loc2 may still have exports")
    with world.open() as deployment:
        status = tell_status(deployment)
    assert [one.state for one in status.clients if one.name == NORMAL] == ["ERASED, NOT CLEARED"]
    aside.rename(world.locations["loc2"])
    # Nothing of it is brought to a location that lacks it.
    with world.open() as deployment:
        repair_client(deployment, deployment.registry.client(HIGH))
        added = add_location(
            deployment,
            ("loc4", f"file://{world.root / 'loc4'}"),
            Registry.Site(),
            Credentials(),
        )
    assert added.left_out == []
    assert [path for path in files_below(world.root / "loc4") if own[0] in str(path)] == []
    assert len(exports(world, own[0])) == 3
    second = erase(world)
    assert (second.problems, second.deleted_exports) == ([], 3)
    assert second.erased_at == first.erased_at
    assert lying(world, *own) == []
    with world.open() as deployment:
        status = tell_status(deployment)
    assert [one.state for one in status.clients if one.name == NORMAL] == ["erased"]


class Locked:
    """A location that lets no export go: its store holds them."""

    def __init__(self, inner: Location) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def delete(self, key: str) -> None:
        if "/kits/" in key:
            raise LocationUnavailable.read_only(f"{key} cannot be deleted", "it is locked")
        self._inner.delete(key)


def test_an_export_that_a_location_holds_is_named_by_its_path(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Deployment._as_janitor

    def as_janitor(deployment: Deployment, name: str, *rest: Any) -> object:
        found = opened(deployment, name, *rest)
        return Locked(found) if name == "loc1" else found

    monkeypatch.setattr(Deployment, "_as_janitor", as_janitor)
    client = ids(world)[0]
    erased = erase(world)
    held = exports(world, client)
    assert {path.relative_to(world.locations["loc1"]) for path in held} == {
        Path(one.removeprefix("loc1: ")) for one in erased.exports_left
    }
    assert len(held) == 3
    with world.open() as deployment:
        found = deployment.registry.known_client(NORMAL).erasure
    assert found is not None
    assert found.cleared_at is None


def test_exports_are_named_where_nobody_may_delete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object store whose janitor's credential is not on this machine."""
    opened = Deployment._as_janitor

    def as_janitor(deployment: Deployment, name: str, *rest: Any) -> object:
        if name == "loc1":
            raise Refused("nothing may be deleted at location loc1", "no credential", "Pass one.")
        return opened(deployment, name, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Deployment, "_as_janitor", as_janitor)
        erased = erase(world)
    (problem,) = erased.problems
    assert "nothing may be deleted at location loc1: no credential. Pass one." in problem
    assert len(erased.exports_left) == 3
    assert all(one.startswith("loc1: ") for one in erased.exports_left)
    assert lying(world, *ids(world)) != []
    again = erase(world)
    assert (again.problems, again.exports_left) == ([], [])
    assert lying(world, *ids(world)) == []


def test_kits_bring_an_erased_client_back_only_where_its_exports_were_kept(world: World) -> None:
    state, own = world.state(), ids(world)
    copy_aside(world, "kept")
    erase(world)
    world.lose_home()
    clients, _ = world.recover(world.kits[:2])
    assert [one.name for one in clients] == [HIGH]
    assert world.restore(HIGH) == state

    world.lose_home()
    # An export that a location did not let go brings no data back where the vault is gone.
    for held in (world.root / "kept" / "loc1").glob(f"*/kits/*/{own[0]}-*"):
        shutil.copy(held, world.locations["loc1"] / held.relative_to(world.root / "kept" / "loc1"))
    clients, _ = world.recover(world.kits[:2])
    assert [one.name for one in clients] == [HIGH]

    world.lose_home()
    for name in world.locations:
        shutil.rmtree(world.locations[name])
        shutil.copytree(world.root / "kept" / name, world.locations[name], symlinks=True)
    clients, _ = world.recover(world.kits[:2])
    assert [one.name for one in clients] == [HIGH, NORMAL]
    assert world.restore(NORMAL) == state
