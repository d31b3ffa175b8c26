"""The password of a PostgreSQL server, typed on a terminal: asked where wanted, never shown."""

import json
from pathlib import Path

import pytest

from tests.support.first_home import FirstHome
from tests.support.postgres import SUPERUSER_PASSWORD, Postgres
from tests.support.postgres_home import make_home, run, url
from tests.support.terminal import Terminal, terminal
from tests.support.transcript import strongroom

pytestmark = pytest.mark.loopback
ASKED = "Password for postgresql://"
AWAY = "postgresql://postgres@127.0.0.1:1"


@pytest.fixture(name="home")
def _home(folder: Path, server: Postgres) -> FirstHome:
    server.make("app", "CREATE TABLE t AS SELECT 1 AS a")
    return make_home(folder, server)


def typed(person: Terminal, password: str, asked: str = ASKED) -> None:
    person.wait_for(asked)
    person.wait_for(": ")
    person.type(password)


def test_client_add_asks_and_the_backup_signs_in(home: FirstHome, server: Postgres) -> None:
    with terminal("client", "add", "acme", "--source", url(server, "app")) as person:
        typed(person, SUPERUSER_PASSWORD)
        code, seen = person.end()
    assert (code, SUPERUSER_PASSWORD in seen) == (0, False)
    assert "Added client acme" in seen
    run("backup", "acme")


def test_source_add_asks_again_after_a_wrong_one(home: FirstHome, server: Postgres) -> None:
    run("client", "add", "acme")
    with terminal("source", "add", "acme", url(server, "app")) as person:
        typed(person, "hunter2")
        person.wait_for("The server does not take it.")
        typed(person, SUPERUSER_PASSWORD)
        code, seen = person.end()
    assert (code, "hunter2" in seen, SUPERUSER_PASSWORD in seen) == (0, False, False)
    run("backup", "acme")


def test_three_wrong_ones_add_nothing(home: FirstHome, server: Postgres) -> None:
    with terminal("client", "add", "acme", "--source", url(server, "app")) as person:
        for _ in range(3):
            typed(person, "hunter2")
        code, seen = person.end()
    assert code == 4
    assert "error: none of 3 passwords was right: nothing was done" in seen
    assert json.loads(run("client", "list", "--json").out) == []


def test_a_server_that_is_away_takes_one_untried_or_none(home: FirstHome, server: Postgres) -> None:
    run("client", "add", "acme")
    secrets = home.home / "secrets"
    for name, password in (("one", "unknown"), ("two", "")):
        with terminal("source", "add", "acme", f"{AWAY}/{name}") as person:
            person.wait_for("does not answer")
            person.wait_for("press Enter for none")
            typed(person, password)
            assert person.end()[0] == 0
    assert len(list(secrets.glob("source-*"))) == 1


def test_source_set_asks(home: FirstHome, server: Postgres) -> None:
    secret = ("--password-file", "-")
    run("client", "add", "acme", "--source", url(server, "app"), *secret, stdin="hunter2")
    with terminal("source", "set", "acme", "app") as person:
        typed(person, SUPERUSER_PASSWORD)
        assert person.end()[0] == 0
    run("backup", "acme")
    with terminal("source", "set", "acme", "nothing") as person:
        code, seen = person.end()
    assert (code, ASKED in seen) == (2, False)


def test_restore_asks(home: FirstHome, server: Postgres) -> None:
    secret = ("--password-file", str(home.folder / "password"))
    run("client", "add", "acme", "--source", url(server, "app"), *secret)
    run("backup", "acme")
    with terminal("restore", "acme", "--to", url(server, "back")) as person:
        typed(person, SUPERUSER_PASSWORD)
        code, seen = person.end()
    assert (code, SUPERUSER_PASSWORD in seen) == (0, False), seen
    assert server.sql("SELECT a FROM t", database="back") == [(1,)]


def test_a_server_that_wants_none_is_not_asked_about(home: FirstHome, server: Postgres) -> None:
    rules = server.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("host all all all trust\n")
    try:
        server.sql("SELECT pg_reload_conf()")
        # A database that is not there yet is no reason to ask either.
        for database in ("app", "later"):
            with terminal("client", "add", database, "--source", url(server, database)) as person:
                code, seen = person.end()
            assert (code, ASKED in seen) == (0, False), seen
        run("backup", "app")
    finally:
        rules.write_text(before)
        server.sql("SELECT pg_reload_conf()")


@pytest.mark.parametrize("option", ["--json", "--quiet"])
def test_nobody_is_asked_who_asked_for_silence(
    home: FirstHome, server: Postgres, option: str
) -> None:
    with terminal("client", "add", "acme", "--source", url(server, "app"), option) as person:
        code, seen = person.end()
    assert (code, ASKED in seen) == (0, False)
    with terminal("source", "set", "acme", "app", option) as person:
        code, seen = person.end()
    assert (code, ASKED in seen) == (2, False)


def test_without_a_terminal_nobody_is_asked(home: FirstHome, server: Postgres) -> None:
    run("client", "add", "acme", "--source", url(server, "app"))
    assert "wants a password" in strongroom("backup", "acme").err
    refused = home.refused(2, "source", "set", "acme", "app")
    assert "--password-file" in refused.err
    run("source", "set", "acme", "app", "--password-file", "-", stdin=SUPERUSER_PASSWORD)
    run("backup", "acme")
