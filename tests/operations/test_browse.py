"""What is inside a snapshot is listed, and each look is a fact without names."""

from pathlib import Path

import pytest

from strongroom.errors import UsageError
from strongroom.operations.browse import (
    ROWS_MAX,
    BrowseRequest,
    EntryRow,
    Listing,
    SourceRow,
    TableRow,
    browse,
)
from tests.journeys.world import HIGH, NORMAL, World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_world(tmp_path_factory.mktemp("install") / "world")
    (made.tree / "evil\x1b[31m\u202e").write_text("x")
    for client in (NORMAL, HIGH):
        made.back_up(client)
    return made


def look(
    world: World,
    path: str | None,
    client: str = NORMAL,
    *,
    recursive: bool = False,
    rows_max: int = ROWS_MAX,
) -> Listing:
    request = BrowseRequest("latest", path, recursive, rows_max)
    with world.open() as deployment:
        return browse(deployment, deployment.registry.client(client), request)


def paths(listing: Listing) -> list[str]:
    return [row.path for row in listing.rows if isinstance(row, EntryRow)]


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_sources_entries_and_tables(world: World, client: str) -> None:
    sources = look(world, None, client).rows
    assert [(row.source, row.tables) for row in sources if isinstance(row, SourceRow)] == [
        ("data.db", 2),
        ("tree", None),
    ]
    below = look(world, "tree/folder/below", client)
    assert sorted(paths(below)) == sorted(f"folder/below/file-{n}" for n in range(12))
    tables = look(world, "data.db", client).rows
    assert tables == [TableRow("log", 0, None), TableRow("person", 300, None)]
    assert look(world, "data.db/log", client).rows == tables[:1]


def test_one_folder_is_listed_and_what_is_below_only_when_asked(world: World) -> None:
    assert "folder/below" not in paths(look(world, "tree"))
    everything = paths(look(world, "tree", recursive=True))
    assert {"folder", "folder/below", "folder/below/file-3", "not-utf-8-\\xff"} <= set(everything)
    assert paths(look(world, "tree/folder", recursive=True)) == [
        path for path in everything if path.startswith("folder/")
    ]
    assert paths(look(world, "tree/empty")) == []
    assert paths(look(world, "tree/dangling")) == ["dangling"]


def test_a_listing_ends_at_its_limit_and_counts_the_rest(world: World) -> None:
    whole = paths(look(world, "tree", recursive=True))
    cut = look(world, "tree", recursive=True, rows_max=4)
    assert paths(cut) == whole[:4]
    assert cut.left_out == len(whole) - 4


def test_a_place_that_is_not_there(world: World) -> None:
    for path, word in (
        ("tree/foldr", "near it: folder"),
        ("data.db/persona", "near it: person"),
        ("treee", "it has: data.db, tree"),
    ):
        with pytest.raises(UsageError, match=word):
            look(world, path)


def test_a_look_is_a_fact_without_names_and_asks_custodians(world: World) -> None:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            before = len(history.facts("keys.opened"))
            browse(deployment, client, BrowseRequest("latest", "tree/folder"))
            fact = history.facts("browse.done")[-1]
            assert len(history.facts("keys.opened")) == before + 2
    assert set(fact.body) == {"snapshot", "rows"}
    assert "folder" not in str(fact)


def test_names_cannot_drive_the_terminal(world: World) -> None:
    done = world.command("browse", NORMAL, "latest", "tree")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "evil\\x1b[31m\\u202e" in done.stdout
    assert Path(world.tree / "evil\x1b[31m\u202e").exists()
