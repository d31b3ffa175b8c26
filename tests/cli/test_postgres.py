"""A PostgreSQL database from `client add` to `restore`, while applications write to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.first_home import FirstHome
from tests.support.postgres import (
    SUPERUSER_PASSWORD,
    Postgres,
)
from tests.support.postgres_home import make_home, run, url, use_tools
from tests.support.postgres_rows import EVERYTHING, rows
from tests.support.transcript import strongroom

pytestmark = pytest.mark.loopback


@pytest.fixture(name="home")
def _home(folder: Path, server: Postgres) -> FirstHome:
    return make_home(folder, server)


@contextmanager
def moving(server: Postgres, database: str) -> Iterator[list[int]]:
    """Move amounts between two tables all the time; their sum never changes."""
    stop, moved = threading.Event(), [0]

    def move() -> None:
        with closing(server.connect(database)) as connection:
            while not stop.is_set():
                number = moved[0] % 2000 + 1
                connection.execute("BEGIN")
                connection.execute("UPDATE a SET amount = amount - 1 WHERE id = %s", (number,))
                connection.execute("UPDATE b SET amount = amount + 1 WHERE id = %s", (number,))
                connection.execute("COMMIT")
                moved[0] += 1

    writer = threading.Thread(target=move)
    writer.start()
    try:
        yield moved
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("class_", ["normal", "high"])
def test_backup_while_written_and_restore(home: FirstHome, server: Postgres, class_: str) -> None:
    server.make(
        "moving",
        *EVERYTHING,
        "CREATE TABLE a AS SELECT n AS id, 1000 AS amount FROM generate_series(1, 2000) n",
        "CREATE TABLE b AS TABLE a",
    )
    added = ("client", "add", "acme", "--class", class_, "--source", url(server, "moving"))
    told = run(*added, "--password-file", "-", stdin=SUPERUSER_PASSWORD + "\n")
    assert "postgresql://postgres@127.0.0.1" in told.out
    with moving(server, "moving") as moved:
        while not moved[0]:
            pass
        before = moved[0]
        report = json.loads(run("backup", "acme", "--json").out)
        assert moved[0] > before
    assert [source["name"] for source in report["sources"]] == ["moving"]

    folder = home.folder / "restored"
    run("restore", "acme", "--to", str(folder))
    assert {"toc.dat", "roles.sql"} <= {path.name for path in (folder / "moving").iterdir()}

    server.sql('DROP DATABASE IF EXISTS "back" WITH (FORCE)')
    to = ("--to", url(server, "back"), "--password-file", str(home.folder / "password"))
    restored = json.loads(run("restore", "acme", *to, "--json").out)
    assert restored["sources"][0]["facts_checked"] >= 9
    assert restored["sources"][0]["to"] == url(server, "back")
    total = "SELECT (SELECT sum(amount) FROM a) + (SELECT sum(amount) FROM b)"
    assert server.sql(total, database="back") == [(2 * 2000 * 1000,)]
    still = {name: found for name, found in rows(server, "moving").items() if "public" not in name}
    assert {name: found for name, found in rows(server, "back").items() if name in still} == still
    # A second time it is not empty any more, and one that is there and empty is taken.
    assert "is not empty" in home.refused(4, "restore", "acme", *to).err
    server.make("back")
    run("restore", "acme", *to)
    assert server.sql(total, database="back") == [(2 * 2000 * 1000,)]

    # The password is in no file of the home or of a location in clear.
    files = [path for path in home.folder.rglob("*") if path.is_file()]
    kept = [path for path in files if SUPERUSER_PASSWORD.encode() in path.read_bytes()]
    assert kept == [home.folder / "password"]


def test_wrong_password_then_the_right_one(home: FirstHome, server: Postgres) -> None:
    server.make("app", "CREATE TABLE t AS SELECT 1 AS a")
    run("client", "add", "acme")
    add = ("source", "add", "acme", f"shop={url(server, 'app')}", "--password-file", "-")
    run(*add, stdin="hunter2")
    assert list((home.home / "secrets").glob("source-*"))
    done = strongroom("backup", "acme")
    assert done.code != 0
    assert "does not let postgres in" in done.err
    assert "hint:" in done.err
    assert "Traceback" not in done.err
    assert "hunter2" not in done.err
    run("source", "set", "acme", "shop", "--password-file", str(home.folder / "password"))
    run("backup", "acme")
    wrong = ("--to", url(server, "never"), "--password-file", "-")
    done = strongroom("restore", "acme", *wrong, stdin="hunter2")
    assert done.code == 1
    assert "--password-file" in done.err
    assert "never" not in server.databases()
    run("source", "remove", "acme", "shop", "--yes")
    assert not list((home.home / "secrets").glob("source-*"))


def test_tools_missing(home: FirstHome, server: Postgres) -> None:
    server.make("app", "CREATE TABLE t AS SELECT 1 AS a")
    (home.folder / "empty").mkdir()
    use_tools(home.folder, home.folder / "empty")
    password = ("--password-file", str(home.folder / "password"))
    run("client", "add", "acme", "--source", url(server, "app"), *password)
    done = strongroom("backup", "acme")
    assert done.code != 0
    assert "PostgreSQL's tools are not here" in done.err
    assert "tool_folders" in done.err
    assert "Traceback" not in done.err
    # A database that is gone is told as such, and the next backup goes on.
    use_tools(home.folder, server.tools)
    run("backup", "acme")
    server.sql('DROP DATABASE "app" WITH (FORCE)')
    assert "there is no database" in strongroom("backup", "acme").err


def test_what_cannot_be_asked_for(home: FirstHome, server: Postgres) -> None:
    (home.folder / "notes").mkdir()
    secret = ("--password-file", str(home.folder / "password"))
    home.refused(4, "client", "add", "acme", "--source", "postgresql://db/app?password=hunter2")
    home.refused(2, "client", "add", "acme", "--source", "postgresql://db/app?options=-c")
    home.refused(2, "client", "add", "acme", "--source", "notes", *secret)
    two = ("--source", url(server, "a"), "--source", url(server, "b"))
    home.refused(2, "client", "add", "acme", *two, *secret)
    run("client", "add", "acme", "--source", "notes")
    home.refused(2, "source", "set", "acme", "notes", *secret)
    home.refused(2, "source", "add", "acme", "notes", *secret)
    run("backup", "acme")
    home.refused(2, "restore", "acme", "--to", "out", *secret)
    home.refused(2, "restore", "acme", "--to", url(server, "back"), *secret)
    home.refused(2, "restore", "acme", "--to", url(server, "back"), "--overwrite", *secret)
    (home.folder / "password").write_text("two\nlines\n", encoding="utf-8")
    home.refused(2, "source", "add", "acme", url(server, "a"), *secret)
