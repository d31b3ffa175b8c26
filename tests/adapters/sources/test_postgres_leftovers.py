"""What restores leave on a server when they are killed, and that the next one removes it."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.sources.postgres import DumpPlan
from strongroom.adapters.sources.postgres_connection import connect
from strongroom.adapters.sources.postgres_leftovers import (
    PARTIAL_PREFIX,
    ROLE_PREFIX,
    hold_mark,
    sweep_server,
)
from strongroom.adapters.sources.postgres_target import PostgresDatabaseTarget
from tests.adapters.sources.trees import token
from tests.support.postgres import (
    SUPERUSER_PASSWORD,
    Postgres,
)

pytestmark = pytest.mark.loopback
# A restore up to the moment when its role and database are made; then it waits to be killed.
RESTORE = """
import os, sys, time
from pathlib import Path
from strongroom.adapters.sources.postgres import DumpPlan
from strongroom.adapters.sources.postgres_connection import PostgresPlace
from strongroom.adapters.sources.postgres_target import PostgresDatabaseTarget
database, port, spool, tools = sys.argv[1:]
place = PostgresPlace(database, "postgres", "127.0.0.1", int(port), password=sys.stdin.read())
target = PostgresDatabaseTarget(place, DumpPlan(Path(spool), os.urandom, (Path(tools),)))
target._make({"encoding": "UTF8", "collation": "C", "ctype": "C"})
print(target.owner, flush=True)
time.sleep(60)
"""


def left_overs(server: Postgres) -> list[str]:
    names = server.databases() + server.roles()
    return [name for name in names if name.startswith((PARTIAL_PREFIX, ROLE_PREFIX))]


def start(server: Postgres, database: str, spool: Path) -> tuple["subprocess.Popen[str]", str]:
    """Start a restore; return it with the name of its role when that is made."""
    process = subprocess.Popen(
        [sys.executable, "-c", RESTORE, database, str(server.place.port), spool, server.tools],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(SUPERUSER_PASSWORD)
    process.stdin.close()
    return process, process.stdout.readline().strip()


def kill(process: "subprocess.Popen[str]", server: Postgres) -> None:
    with process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    # The server needs a moment to see that nobody is there.
    others = (
        "SELECT pg_sleep(0.02), count(*) FROM pg_stat_activity"
        " WHERE application_name = 'strongroom' AND pid <> pg_backend_pid()"
    )
    while server.sql(others)[0][1]:
        pass


@pytest.mark.parametrize("existing", [False, True])
def test_killed_restore_leaves_no_sign_in_and_is_swept(
    server: Postgres, tmp_path: Path, existing: bool
) -> None:
    plan = DumpPlan(tmp_path / "spool", token, (server.tools,))
    server.sql('DROP DATABASE IF EXISTS "back" WITH (FORCE)')
    if existing:
        server.make("back")
    process, role = start(server, "back", plan.spool)
    try:
        assert role.startswith(ROLE_PREFIX)
        assert len(left_overs(server)) == (1 if existing else 2)
        minutes = "SELECT extract(epoch FROM rolvaliduntil - now()) / 60 FROM pg_roles"
        ((until,),) = server.sql(f"{minutes} WHERE rolname = '{role}'")
        assert 4 < float(str(until)) <= 5
        # Another restore meanwhile takes nothing from a living one.
        PostgresDatabaseTarget(server.at("another"), plan).abandon()
        assert len(left_overs(server)) == (1 if existing else 2)
    finally:
        kill(process, server)
    assert len(left_overs(server)) == (1 if existing else 2)
    PostgresDatabaseTarget(server.at("another"), plan).abandon()
    assert left_overs(server) == []
    assert ("back" in server.databases()) is existing


def test_owner_of_what_was_restored_stays(server: Postgres) -> None:
    """A killed restore into a database that was there may be wanted, so its owner stays."""
    mark = "20260101t000000_0123456789abcdef"
    role = ROLE_PREFIX + mark
    server.make("back", "CREATE TABLE t AS SELECT 1 AS a")
    server.sql(f"CREATE ROLE {role} LOGIN BYPASSRLS PASSWORD 'p'")
    server.sql(f"ALTER TABLE t OWNER TO {role}", database="back")
    with closing(server.connect()) as connection:
        assert sweep_server(connection, server.place) == 1
    rights = f"SELECT rolcanlogin, rolbypassrls FROM pg_roles WHERE rolname = '{role}'"
    assert server.sql(rights) == [(False, False)]
    assert server.sql("SELECT a FROM t", database="back") == [(1,)]
    server.sql('DROP DATABASE "back" WITH (FORCE)', f"DROP ROLE {role}")


def test_sweep_takes_only_what_bears_a_mark_that_nobody_holds(server: Postgres) -> None:
    with closing(server.connect()) as holder, closing(server.connect()) as other:
        names = [
            PARTIAL_PREFIX + hold_mark(holder, token),
            f"{PARTIAL_PREFIX}mine",
            f"{PARTIAL_PREFIX}20260101t000000_0123456789abcdef_mine",
        ]
        server.sql(*(f'CREATE DATABASE "{name}"' for name in names))
        assert sweep_server(other, server.place) == 0
        assert sorted(left_overs(server)) == sorted(names)
        # Who has no right to remove what died goes on without.
        holder.execute("SELECT pg_advisory_unlock_all()")
        server.sql("CREATE ROLE poor LOGIN PASSWORD 'p'")
        poor = server.as_role("postgres", "poor", "p")
        with closing(connect(poor)) as weak:
            assert sweep_server(weak, poor) == 0
        assert sorted(left_overs(server)) == sorted(names)
        assert sweep_server(other, server.place) == 1
    server.sql(*(f'DROP DATABASE "{name}"' for name in names[1:]), "DROP ROLE poor")
