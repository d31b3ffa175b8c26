"""What surrounds a dump and needs no server: URLs, tools, spool, the folder of a restore."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from strongroom.adapters.sources.postgres_connection import PostgresPlace
from strongroom.adapters.sources.postgres_errors import ToolsMissing
from strongroom.adapters.sources.postgres_folder import PostgresFolderTarget
from strongroom.adapters.sources.postgres_spool import SpoolFolder, sweep_spool_folders
from strongroom.adapters.sources.postgres_tools import find_tools
from strongroom.errors import Damaged, Refused
from strongroom.vault.source import Entry
from tests.adapters.sources.trees import token
from tests.support.postgres import PostgresAbsentError, tool_folder


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://db.example/shop", ("shop", "db.example", 5432, None)),
        ("postgresql://ann@db:6000/shop", ("shop", "db", 6000, "ann")),
        ("postgres://db/a%20b?user=o%40o&sslmode=require", ("a b", "db", 5432, "o@o")),
        ("postgresql:///shop?host=/run/pg&port=7", ("shop", "/run/pg", 7, None)),
    ],
)
def test_urls(url: str, expected: tuple[str, str, int, str | None]) -> None:
    place = PostgresPlace.parse(url, "secret")
    assert (place.database, place.host, place.port) == expected[:3]
    assert expected[3] in (None, place.user)
    assert place.password == "secret"  # noqa: S105 - of no server
    assert "secret" not in repr(place) + place.conninfo() + place.shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hunter2@db/shop",
        "postgresql://db/shop?password=hunter2",
        "postgresql://db/shop?passfile=hunter2",
        "postgresql://db/shop?options=hunter2",
        "postgresql://db/shop?user=a&user=hunter2",
        "postgresql://db/",
        "postgresql://db:99999/hunter2",
        "postgresql://ann:hunter2/x@db/shop",
        "mysql://db/hunter2",
        "postgresql://db/a%00hunter2",
        "postgresql://db/" + "hunter2" * 10,
    ],
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(Exception, match="URL") as caught:
        PostgresPlace.parse(url)
    assert caught.value.__class__.__name__ in ("UsageError", "Refused")
    assert "hunter2" not in str(caught.value)


def test_tools_missing(tmp_path: Path) -> None:
    with pytest.raises(ToolsMissing, match="no folder holds pg_dump") as caught:
        find_tools((tmp_path,), at_least=16)
    assert "Install" in caught.value.hint


def test_the_nearest_version_is_chosen() -> None:
    try:
        folders = (tool_folder(18), tool_folder(16))
    except PostgresAbsentError as reason:
        pytest.skip(str(reason))
    assert [find_tools(folders, n).major for n in (14, 16, 17, 18)] == [16, 16, 18, 18]
    assert find_tools(folders, 14, best=18).major == 18


def test_a_sweep_stops_a_tool_that_outlived_its_process(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path, 0, token)
    writer = subprocess.Popen(
        ["/bin/sh", "-c", 'n=0; while : > "$0/$n"; do n=$((n+1)); sleep 0.01; done', folder.path],
        stderr=subprocess.DEVNULL,
    )
    with writer:
        while not os.listdir(folder.path):
            time.sleep(0.01)
        assert sweep_spool_folders(tmp_path) == 0
        # What the death of the process does.
        os.close(folder._handle)
        assert sweep_spool_folders(tmp_path) == 1
        assert writer.wait(10) != 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [b"../x.dat", b"x", b"toc.dat/y", b"1.dat.gz", b"a.sql"])
def test_a_hostile_file_in_a_dump_is_refused(tmp_path: Path, name: bytes) -> None:
    target = PostgresFolderTarget(tmp_path / "out", token)
    target.write(Entry(b"", "directory", mode=0o700), iter(()))
    with pytest.raises(Refused, match="no dump of PostgreSQL holds it"):
        target.write(Entry(name, "file"), iter((b"x",)))
    target.abandon()
    assert list(tmp_path.iterdir()) == []


def test_other_files_than_the_facts_tell_leave_nothing(tmp_path: Path) -> None:
    target = PostgresFolderTarget(tmp_path / "out", token)
    target.write(Entry(b"", "directory", mode=0o700), iter(()))
    target.write(Entry(b"toc.dat", "file", 1, 0o600), iter((b"x",)))
    with pytest.raises(Damaged, match="not what was backed up"):
        target.finish({"dump_blake3": "0" * 64})
    assert list(tmp_path.iterdir()) == []
