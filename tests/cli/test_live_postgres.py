"""A whole PostgreSQL database, backed up while pgbench writes, comes back as pg_dump tells it.

The backup is held at a gate, a locked table, right after it has exported its snapshot. A
transaction of the test joins that snapshot and stays in it: this is the frozen copy, which pg_dump
reads later, when the backup is done and pgbench has written on.
"""

import difflib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.support.postgres import SUPERUSER, SUPERUSER_PASSWORD, Postgres
from tests.support.postgres_home import client_environment, make_home, pgbench, run, url
from tests.support.postgres_rows import (
    EVERYTHING,
    EXTENSIONS,
    OWNED,
    extension_statements,
    shipped_extensions,
)

pytestmark = pytest.mark.loopback
# Beside pgbench's own tables, the shop gets orders, documents change, and a large object too.
SHOPPING = r"""
\set n random(1, 500)
BEGIN;
INSERT INTO shop.orders (state, amount, kind, tags) VALUES ('new', :n, 'a', ARRAY['live']);
UPDATE shop.orders SET extra = extra || '{"seen": true}' WHERE id = :n;
UPDATE staff.lists SET kind = chr(97 + (:n % 3)) WHERE part = :n % 50;
SELECT lo_put(4242, :n, 'x');
INSERT INTO days VALUES (date '2026-01-01' + :n % 1000, :n);
COMMIT;
"""
# A sequence belongs to no snapshot: what is dumped is its value at some moment after.
WRITTEN_SEQUENCES = {"shop.numbers": "number", "shop.orders_id_seq": "id"}
# What is chosen alone: a table that pgbench writes to, and one with whatever a table can have.
ONLY = ("--only", "live/shop.orders", "--only", "live/staff.people")
CHOSEN = ("--table=shop.orders", "--table=staff.people", "--no-owner", "--no-privileges")
ROWS = ("--data-only", *CHOSEN)
DEFINITIONS = ("--schema-only", "--no-publications", *CHOSEN)
BUYERS = (
    "CREATE TABLE shop.buyers (id integer PRIMARY KEY)",
    "ALTER TABLE shop.orders ADD buyer integer CONSTRAINT bought REFERENCES shop.buyers",
)
# A trigger, and a foreign key to a table that is not chosen.
LEFT_OUT = re.compile(
    r"^--\n-- Name: orders (?:stamped; Type: TRIGGER|bought; Type: FK CONSTRAINT); .*\n--\n\n"
    r"(?:.+\n)+\n+",
    re.MULTILINE,
)
SETVAL = re.compile(r"^SELECT pg_catalog\.setval\('([\w.]+)', (\d+), true\);$", re.MULTILINE)


def test_equal_to_pg_dump_of_the_same_moment(
    each_server: Postgres, folder: Path, subtests: pytest.Subtests
) -> None:
    server = each_server
    extensions = shipped_extensions(server)
    server.make("live", *EVERYTHING, *OWNED, *extension_statements(extensions))
    server.sql("CREATE TABLE gate ()", *BUYERS, database="live")
    (folder / "shopping.sql").write_text(SHOPPING, encoding="utf-8")
    make_home(folder, server)
    added = ("client", "add", "acme", "--source", url(server, "live"), "--password-file", "-")
    run(*added, stdin=SUPERUSER_PASSWORD)

    with pgbench(server, "live", folder, folder / "shopping.sql"):
        until_written(server, 0)
        with frozen_by_a_backup(server, "live") as snapshot:
            at_backup = written(server)
            frozen = dumped(server, "live", folder, f"--snapshot={snapshot}")
            chosen_rows = dumped(server, "live", folder, *ROWS, f"--snapshot={snapshot}")
            chosen = dumped(server, "live", folder, *DEFINITIONS, f"--snapshot={snapshot}")
            until_written(server, at_backup)
        later = dumped(server, "live", folder)
    secret = ("--password-file", str(folder / "password"))
    run("restore", "acme", "--to", url(server, "back"), "--privileged", *secret)
    run("restore", "acme", "--to", url(server, "alone"), *ONLY, *secret)

    alone = dumped(server, "alone", folder, *ROWS)
    equal(without_written_sequences(alone), without_written_sequences(chosen_rows))
    assert chosen_rows.count("\n") > 500
    kept, left_out = LEFT_OUT.subn("", chosen)
    equal(dumped(server, "alone", folder, *DEFINITIONS), kept)
    assert left_out == 2
    restored = dumped(server, "back", folder)
    equal(without_written_sequences(restored), without_written_sequences(frozen))
    # It was another database already when the backup ended, so equality means something.
    assert without_written_sequences(later) != without_written_sequences(frozen)
    values, ended = sequences(restored), sequences(later)
    for name, column in WRITTEN_SEQUENCES.items():
        ((highest,),) = server.sql(f"SELECT max({column}) FROM shop.orders", database="back")
        assert int(str(highest)) <= values[name] <= ended[name]
    missing = sorted(EXTENSIONS.keys() - extensions)
    if missing:
        with subtests.test("extensions"):
            reason = f"PostgreSQL {server.major} here ships no {', '.join(missing)}"
            pytest.skip(f"{reason}; tried: {', '.join(sorted(extensions))}")


@contextmanager
def frozen_by_a_backup(server: Postgres, database: str) -> Iterator[str]:
    """Run a backup to its end; yield, until the block ends, a snapshot equal to that it used."""
    command = [sys.executable, "-m", "strongroom", "backup", "acme"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with closing(server.connect(database)) as frozen:
        before = exported(server)
        with closing(server.connect(database)) as gate:
            gate.execute("BEGIN; LOCK TABLE gate IN ACCESS EXCLUSIVE MODE")
            backup = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
            )
            while not (found := exported(server) - before):
                assert backup.poll() is None, backup.communicate()[0]
                time.sleep(0.01)
            frozen.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            frozen.execute(f"SET TRANSACTION SNAPSHOT '{found.pop()}'".encode())
            row = frozen.execute("SELECT pg_export_snapshot()").fetchone()
        said = backup.communicate(timeout=120)[0]
        assert backup.returncode == 0, said
        assert row is not None
        yield str(row[0])


def exported(server: Postgres) -> set[str]:
    """Return the snapshots that transactions of the server have to share."""
    names = os.listdir(server.data / "pg_snapshots")
    return {name for name in names if not name.endswith(".tmp")}


def written(server: Postgres) -> int:
    """Return how many transactions of pgbench are committed."""
    ((count,),) = server.sql("SELECT count(*) FROM pgbench_history", database="live")
    return int(str(count))


def until_written(server: Postgres, before: int) -> None:
    """Wait until pgbench has committed more than before."""
    while written(server) <= before:
        time.sleep(0.02)


def dumped(server: Postgres, database: str, folder: Path, *more: str) -> str:
    """Return a database as plain SQL, as PostgreSQL's own tool tells it."""
    done = subprocess.run(
        [server.tools / "pg_dump", "-h", "127.0.0.1", "-p", str(server.place.port),
         "-U", SUPERUSER, *more, database],
        env=client_environment(folder),
        check=True,
        capture_output=True,
        text=True,
    )  # fmt: skip
    # Two lines of a random token keep psql from obeying what stands between them.
    return re.sub(r"^\\(un)?restrict \w+\n", "", done.stdout, flags=re.MULTILINE)


def sequences(sql: str) -> dict[str, int]:
    return {name: int(value) for name, value in SETVAL.findall(sql)}


def without_written_sequences(sql: str) -> str:
    return SETVAL.sub(lambda found: "" if found[1] in WRITTEN_SEQUENCES else found[0], sql)


def equal(found: str, wanted: str) -> None:
    """Compare line by line, because a difference of whole dumps cannot be read."""
    if found != wanted:
        differing = difflib.unified_diff(wanted.splitlines(), found.splitlines(), n=1, lineterm="")
        raise AssertionError("\n".join(line[:200] for line in islice(differing, 60)))
