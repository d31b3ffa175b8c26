"""A PostgreSQL password, a row and every key: searched in processes and in every file they leave.

The one place where rows lie in clear is the spool, while a process works or after it was killed;
the next start empties it. The password and the keys are not even there.
"""

import base64
import signal
import time
from pathlib import Path

import pytest

from strongroom.adapters.sources.postgres_leftovers import PARTIAL_PREFIX, ROLE_PREFIX
from strongroom.clients import Keep
from strongroom.operations.add_client import NewClient, add_client, add_source
from tests.journeys.test_canary import (
    Canary,
    forms,
    hits,
    known_secrets,
    needles,
    searched,
)
from tests.journeys.world import CLIENTS, HIGH, NORMAL, files_below, make_world
from tests.support.postgres import SUPERUSER_PASSWORD, Postgres
from tests.support.postgres_home import url, use_tools
from tests.support.watched_processes import Shown, watched_processes

# The restore's role has a password of so many random bytes, in hexadecimal.
ROLE_PASSWORD_BYTES = 24


@pytest.fixture
def canary(tmp_path: Path, server: Postgres) -> Canary:
    """An install of two clients whose one source is a database that is full of the marker."""
    made = Canary()
    made.world = make_world(tmp_path / "world", token=made.token, clients=())
    use_tools(made.world.root, server.tools)
    mark = made.marker
    server.make(
        "shop",
        f"CREATE TYPE e_{mark} AS ENUM ('label {mark}')",
        f"CREATE TABLE t_{mark} (c_{mark} text DEFAULT '{mark}', n integer)",
        f"INSERT INTO t_{mark} SELECT 'row ' || n || ' {mark}', n FROM generate_series(1, 30000) n",
        f"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT '{mark}' $$",
        f"COMMENT ON TABLE t_{mark} IS 'told {mark}'",
        f"SELECT lo_from_bytea(0, convert_to(repeat('{mark} ', 20000), 'UTF8'))",
    )
    with made.world.open() as deployment:
        for name, vault_class in CLIENTS:
            client = add_client(deployment, NewClient(name, vault_class, Keep()))
            place = url(server, "shop")
            add_source(deployment, client, "shop", "postgresql", place, SUPERUSER_PASSWORD)
    (tmp_path / "password").write_text(SUPERUSER_PASSWORD, encoding="utf-8")
    return made


def passwords(canary: Canary) -> dict[str, bytes]:
    """Return the server's password and those of the roles of restores, in every form."""
    found = {f"password, {form}": text for form, text in forms(SUPERUSER_PASSWORD.encode()).items()}
    # As a password file of libpq holds it.
    found["password, escaped"] = (
        SUPERUSER_PASSWORD.replace("\\", "\\\\").replace(":", "\\:").encode()
    )
    drawn = [value for value in canary.drawn if len(value) == ROLE_PASSWORD_BYTES]
    for number, value in enumerate(drawn):
        text = value.hex().encode()
        found[f"password {number} of a role"] = text
        found[f"password {number} of a role, base64"] = base64.b64encode(text).rstrip(b"=")[:-1]
    return found


def keys(canary: Canary) -> dict[str, bytes]:
    """Return every key, share and seed of the install, in every form."""
    return {
        f"{name}, {form}": text
        for name, value in known_secrets(canary).items()
        for form, text in forms(value).items()
    }


def assert_no_process_showed(canary: Canary, shown: Shown) -> None:
    secrets = passwords(canary) | keys(canary) | {"marker": canary.marker.encode()}
    assert hits({str(n): text for n, text in enumerate(shown.texts)}, secrets) == []


def assert_hidden(canary: Canary) -> None:
    """Search everything; rows, and nothing else, may lie in the spool of a killed process."""
    texts = searched(canary)
    spooled = {name: text for name, text in texts.items() if name.startswith("spool")}
    wanted = needles(canary) | passwords(canary)
    assert len(wanted) > 300
    del wanted["marker"]
    assert hits(texts, wanted) == []
    kept = {name: text for name, text in texts.items() if name not in spooled}
    assert len(kept) > 20
    assert hits(kept, {"marker": canary.marker.encode()}) == []


def restore_arguments(canary: Canary, server: Postgres, client: str) -> tuple[str, ...]:
    password = canary.world.root.parent / "password"
    return (
        "restore",
        client,
        "--to",
        url(server, f"back-{client}"),
        "--password-file",
        str(password),
    )


def left_overs(server: Postgres) -> list[str]:
    prefixes = (PARTIAL_PREFIX, ROLE_PREFIX)
    able = "SELECT rolname FROM pg_roles WHERE rolcanlogin"
    names = server.databases() + [str(name) for (name,) in server.sql(able)]
    return [name for name in names if name.startswith(prefixes)]


def until_tools_ended(canary: Canary) -> None:
    """Wait for tools that outlived their killed process: they read, and write to the spool."""
    spool = str(canary.world.spool).encode()

    def at_work() -> bool:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if spool in path.read_bytes():
                    return True
            except OSError:
                continue
        return False

    while at_work():
        time.sleep(0.02)


def test_during_backups_restores_and_refusals(canary: Canary, server: Postgres) -> None:
    with watched_processes() as shown:
        for client in (NORMAL, HIGH):
            assert canary.run("--json", "backup", client).returncode == 0
            done = canary.run("--debug", *restore_arguments(canary, server, client))
            assert done.returncode == 0, done.stderr
        folder = canary.world.root / "restored"
        assert canary.run("restore", HIGH, "--to", str(folder)).returncode == 0
        provoke_refusals(canary, server)
    assert {"pg_dump", "pg_dumpall", "pg_restore"} <= shown.programs
    assert any(b"PGPASSFILE=/proc/self/fd/" in text for text in shown.texts)
    # The search finds what is there: a restored folder holds the rows, a dump's arguments the URL.
    restored = {str(path): path.read_bytes() for path in files_below(folder)}
    assert hits(restored, {"marker": canary.marker.encode()})
    assert any(str(server.place.port).encode() in text for text in shown.texts)
    assert len([name for name in passwords(canary) if "of a role" in name]) >= 4
    assert_no_process_showed(canary, shown)
    assert list(canary.world.spool.iterdir()) == []
    assert_hidden(canary)


def provoke_refusals(canary: Canary, server: Postgres) -> None:
    """Fail in the ways in which software likes to say too much."""
    world = canary.world
    refusals = [
        # It is there and not empty by now.
        canary.run("--debug", *restore_arguments(canary, server, NORMAL)),
        canary.run("--debug", "restore", NORMAL, "--to", "postgresql://nobody@127.0.0.1:1/x"),
        canary.run("--debug", "source", "add", HIGH, "postgresql://a:hunter2@db/x"),
    ]
    assert "hunter2" not in refusals[-1].stdout + refusals[-1].stderr
    rules = server.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("host all postgres all scram-sha-256\nhost all all all reject\n")
    server.sql("SELECT pg_reload_conf()", 'DROP DATABASE "back-doubleclient" WITH (FORCE)')
    refusals.append(canary.run("--debug", *restore_arguments(canary, server, HIGH)))
    rules.write_text(before)
    server.sql("SELECT pg_reload_conf()")
    use_tools(world.root, world.root)
    refusals.append(canary.run("--debug", "--json", "backup", NORMAL))
    use_tools(world.root, server.tools)
    assert all(done.returncode not in {0, 130} for done in refusals)


@pytest.mark.parametrize(("client", "share"), [(NORMAL, 0.15), (HIGH, 0.5), (NORMAL, 0.85)])
def test_killed_in_a_backup_and_started_again(
    canary: Canary, server: Postgres, client: str, share: float
) -> None:
    count = canary.world.root.with_name("count")
    assert canary.run("backup", client, count_to=str(count)).returncode == 0
    server.sql(f"UPDATE t_{canary.marker} SET n = 0 WHERE n % 7 = 0", database="shop")
    moment = int(int(count.read_text("ascii")) * share)
    with watched_processes() as shown:
        assert canary.run("backup", client, kill_at=moment).returncode == -signal.SIGKILL
        until_tools_ended(canary)
    assert_no_process_showed(canary, shown)
    assert_hidden(canary)
    assert canary.run("backup", client).returncode == 0
    assert list(canary.world.spool.iterdir()) == []
    assert_hidden(canary)


@pytest.mark.parametrize(("client", "share"), [(HIGH, 0.3), (NORMAL, 0.6), (HIGH, 0.95)])
def test_killed_in_a_restore_and_started_again(
    canary: Canary, server: Postgres, client: str, share: float
) -> None:
    assert canary.run("backup", client).returncode == 0
    restoring = restore_arguments(canary, server, client)
    count = canary.world.root.with_name("count")
    assert canary.run(*restoring, count_to=str(count)).returncode == 0
    server.sql(f'DROP DATABASE "back-{client}" WITH (FORCE)')
    moment = int(int(count.read_text("ascii")) * share)
    with watched_processes() as shown:
        assert canary.run(*restoring, kill_at=moment).returncode == -signal.SIGKILL
        until_tools_ended(canary)
    assert_no_process_showed(canary, shown)
    assert_hidden(canary)
    # Killed after its last step, the database is there, and whole.
    server.sql(f'DROP DATABASE IF EXISTS "back-{client}" WITH (FORCE)')
    assert canary.run(*restoring).returncode == 0
    assert left_overs(server) == []
    assert list(canary.world.spool.iterdir()) == []
    assert_hidden(canary)
