"""One table of a PostgreSQL database, from `browse` to `restore --only`, and what is answered."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.postgres import SUPERUSER_PASSWORD, Postgres
from tests.support.postgres_home import make_home, run, url
from tests.support.transcript import strongroom

pytestmark = pytest.mark.loopback


@pytest.mark.parametrize("class_", ["normal", "high"])
def test_one_table_alone(folder: Path, server: Postgres, class_: str) -> None:
    home = make_home(folder, server)
    server.make(
        "ledger",
        "CREATE TABLE entry (id serial PRIMARY KEY, amount int)",
        "INSERT INTO entry (amount) SELECT n FROM generate_series(1, 500) n",
        "CREATE TABLE other AS SELECT md5(n::text) FROM generate_series(1, 5000) n",
    )
    added = ("client", "add", "acme", "--class", class_, "--source", url(server, "ledger"))
    run(*added, "--password-file", "-", stdin=SUPERUSER_PASSWORD + "\n")
    run("backup", "acme")

    listed = json.loads(run("browse", "acme", "latest", "ledger", "--json").out)
    assert [(row["table"], row["rows"]) for row in listed] == [
        ("public.entry", 500),
        ("public.other", 5000),
    ]
    assert listed[1]["size_bytes"] > listed[0]["size_bytes"] > 500
    assert "public.entry" in run("browse", "acme", "latest", "ledger/public.entry").out

    server.sql('DROP DATABASE IF EXISTS "back" WITH (FORCE)')
    to = ("--to", url(server, "back"), "--password-file", str(home.folder / "password"))
    done = run("restore", "acme", "--only", "ledger/public.entry", *to, "--json")
    (restored,) = json.loads(done.out)["sources"]
    assert (restored["chosen"], restored["facts_checked"]) == (1, 2)
    assert restored["restored_bytes"] < listed[1]["size_bytes"]
    tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200"
    assert server.sql(tables, database="back") == [("entry",)]
    same = "SELECT sum(amount), count(*) FROM entry"
    assert server.sql(same, database="back") == server.sql(same, database="ledger")

    wrong = strongroom("restore", "acme", "--only", "public.entri", "--to", "nowhere")
    assert wrong.code == 2
    assert "near it: public.entry" in wrong.err
    wrong = strongroom("restore", "acme", "--only", "entry", "--to", "nowhere")
    assert "a table of PostgreSQL is named SCHEMA.TABLE" in wrong.err
    assert not (folder / "nowhere").exists()


def test_a_wrong_target_password_is_found_before_custodians_are_asked(
    folder: Path, server: Postgres
) -> None:
    home = make_home(folder, server)
    server.make("ledger", "CREATE TABLE entry (id int)")
    added = ("client", "add", "acme", "--source", url(server, "ledger"))
    run(*added, "--password-file", "-", stdin=SUPERUSER_PASSWORD + "\n")
    run("backup", "acme")
    to = ("--to", url(server, "back"), "--password-file", "-")
    refused = strongroom("restore", "acme", "--source", "ledger", *to, stdin="not the password\n")
    assert refused.code != 0
    assert "back" not in server.databases()
    (database,) = (home.folder / "home").rglob("client.db")
    with closing(sqlite3.connect(database)) as facts:
        asked = facts.execute("SELECT count(*) FROM leaf WHERE op = 'keys.opened'")
        assert asked.fetchone() == (0,)
