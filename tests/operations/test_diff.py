"""What changed between two snapshots is said, what did not is not, and little is read for it."""

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.errors import UsageError
from strongroom.operations.add_client import add_source
from strongroom.operations.diff import Difference, DiffReport, DiffRequest, diff
from strongroom.vault.snapshot_reader import SnapshotReader
from tests.adapters.sources.test_holes import PIECE, make
from tests.journeys.world import HIGH, NORMAL, World, change_live_data, make_world, refused


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_world(tmp_path_factory.mktemp("install") / "world")
    below = made.tree / "folder" / "below"
    for client in (NORMAL, HIGH):
        made.back_up(client)
    change_live_data(made, 1)
    (made.tree / "soft-link").unlink()
    (made.tree / "soft-link").symlink_to("elsewhere")
    shutil.rmtree(made.tree / "empty")
    (made.tree / "empty").write_text("a file now")
    (below / "file-9").chmod(0o600)
    rewrite(below / "file-6", (below / "file-6").read_bytes().swapcase())
    rewrite(below / "file-8", (below / "file-8").read_bytes())
    (below / "file-10").unlink()
    for client in (NORMAL, HIGH):
        made.back_up(client)
    return made


def rewrite(path: Path, data: bytes) -> None:
    """Write a file of the same size anew, at another time."""
    path.write_bytes(data)
    os.utime(path, ns=(10**18, 2 * 10**18))


def compare(world: World, client: str = NORMAL, *, read_data: bool = False) -> DiffReport:
    with world.open() as deployment:
        found = deployment.registry.client(client)
        with deployment.tools.history(found.id) as history:
            first = history.snapshots()[0].hash
        return diff(deployment, found, DiffRequest(first[:12], "latest", read_data=read_data))


def of_tree(report: DiffReport) -> dict[str, Difference]:
    return {one.path: one for one in report.differences if one.source == "tree"}


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_every_change_is_named_and_nothing_else(world: World, client: str) -> None:
    found = of_tree(compare(world, client))
    expected = {
        "soft-link": ("changed", "target, time"),
        "empty": ("retyped", "directory, file"),
        "folder/below/file-9": ("changed", "mode"),
        "folder/below/file-6": ("changed", "content, time"),
        "folder/below/file-8": ("changed", "time"),
        "folder/below/file-10": ("removed", ""),
    }
    assert {path: (one.change, one.what) for path, one in found.items() if path in expected} == (
        expected
    )
    assert not {f"folder/below/file-{n}" for n in (2, 4)} & found.keys()
    assert "folder" not in found


def test_tables_are_compared_by_recorded_facts(world: World) -> None:
    tables = {one.path: one for one in compare(world).differences if one.kind == "table"}
    assert tables
    assert all(one.before_rows != one.after_rows for one in tables.values())


def test_a_table_of_sqlite_with_other_rows_is_never_passed_over(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", clients=(NORMAL,))
    world.back_up()
    with closing(sqlite3.connect(world.database)) as connection:
        connection.execute("UPDATE person SET name = 'somebody else'")
        connection.execute("INSERT INTO log VALUES ('one more')")
        connection.commit()
    world.back_up()
    found = [one for one in compare(world).differences if one.source == "data.db"]
    assert [(one.kind, one.path, one.what) for one in found] == [
        ("database", "", "content; tables of the same row count may differ"),
        ("table", "log", "rows"),
    ]


def test_holes_are_compared_as_the_zeros_they_are(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", clients=(NORMAL,))
    data, size = os.urandom(PIECE), 16 * PIECE
    layouts: dict[str, tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]] = {
        "shifted": ([(0, data)], [(8 * PIECE, data)]),
        "filled": ([(0, data)], [(0, data + bytes(size - PIECE))]),
        "filled-with-something": ([(0, data)], [(0, data + bytes(size - PIECE - 1) + b"x")]),
        "other-holes": (
            [(0, bytes(4 * PIECE)), (8 * PIECE, data)],
            [(2 * PIECE, bytes(4 * PIECE)), (8 * PIECE, data + bytes(2 * PIECE))],
        ),
        "only-zeros": ([], [(0, bytes(size))]),
        "as-it-was": ([(3 * PIECE, data)], [(3 * PIECE, data)]),
    }
    for name, (before, _) in layouts.items():
        make(world.tree / name, size, *before)
        os.utime(world.tree / name, ns=(10**18, 10**18))
    world.back_up()
    for name, (_, after) in layouts.items():
        with (world.tree / name).open("wb") as file:
            file.truncate(size)
            for at, content in after:
                file.seek(at)
                file.write(content)
        os.utime(world.tree / name, ns=(10**18, 10**18))
    world.back_up()
    found = of_tree(compare(world))
    assert {path: found[path].what for path in layouts if path in found} == {
        "shifted": "content",
        "filled-with-something": "content",
    }


def test_a_command_that_writes_the_same_has_not_changed(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", clients=(NORMAL,))
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        add_source(deployment, client, "same", "command", 'command:["echo","the same"]')
        add_source(deployment, client, "other", "command", 'command:["date","+%N"]')
    world.back_up()
    time.sleep(1.1)  # Its time is in seconds.
    world.back_up()
    found = compare(world).differences
    assert [(one.source, one.what) for one in found] == [("other", "content")]


def test_a_snapshot_is_equal_to_itself(world: World) -> None:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        report = diff(deployment, client, DiffRequest("latest", "latest"))
    assert report.differences == []
    assert report.added + report.removed + report.changed + report.retyped == 0


def test_what_lies_in_the_same_chunks_is_not_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Class normal reads the two files of one size and another time; high has more to doubt."""
    read: list[int] = []
    chunks = SnapshotReader.chunks

    def counted(reader: SnapshotReader, source: str, ranges: list[tuple[int, int]]) -> object:
        read.append(len(ranges))
        return chunks(reader, source, ranges)

    monkeypatch.setattr(SnapshotReader, "chunks", counted)
    assert compare(world).assumed_equal == 0
    assert max(read) == 1  # file-6: file-8 has the same bytes, so it has the same chunks
    assert compare(world, HIGH).assumed_equal > 5
    assert compare(world, HIGH, read_data=True).assumed_equal == 0
    assert max(read) > 5


def test_the_fact_counts_and_names_nothing(world: World) -> None:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            before = len(history.facts("keys.opened"))
        compare(world)
        with deployment.tools.history(client.id) as history:
            fact = history.facts("diff.done")[-1]
            assert len(history.facts("keys.opened")) == before + 4
    assert set(fact.body) == {"snapshot", "other", "differences"}


def test_a_source_that_neither_has(world: World) -> None:
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        request = DiffRequest("latest", "latest", "gone")
        found = refused(lambda: diff(deployment, client, request))
    assert isinstance(found, UsageError)
    assert "they have: data.db, tree" in str(found)


def test_the_command_shows_rows_and_a_summary(world: World) -> None:
    with (
        world.open() as deployment,
        deployment.tools.history(deployment.registry.client(NORMAL).id) as history,
    ):
        first = history.snapshots()[0].hash[:12]
    done = world.command("diff", NORMAL, first)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["retyped", "file", "-", "10", "B", "directory,", "file", "tree/empty"] in lines
    assert lines[-1][-1] == "kind."
    cut = world.command("diff", NORMAL, first, "--source", "tree", "--limit", "2", "--json")
    assert cut.returncode == 3
    report = json.loads(cut.stdout)
    assert len(report["differences"]) == 2
    assert report["left_out"] == report["added"] + report["removed"] + report["changed"] - 1
