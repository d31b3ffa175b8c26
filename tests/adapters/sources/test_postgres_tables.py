"""A table of PostgreSQL comes back alone: into a new or an empty database, or for `pg_restore`."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.sources import postgres_facts
from strongroom.adapters.sources.postgres import DumpPlan, PostgresSource
from strongroom.adapters.sources.postgres_contents import Item, entries_of_tables
from strongroom.adapters.sources.postgres_folder import PostgresFolderTarget
from strongroom.adapters.sources.postgres_target import PostgresDatabaseTarget
from strongroom.errors import Damaged, UsageError
from strongroom.operations.choosing import tables_alone
from strongroom.vault.source import Facts, Target
from tests.adapters.sources.trees import token
from tests.support.postgres import Postgres, PostgresAbsentError, running_postgres

pytestmark = pytest.mark.loopback

SHOP = (
    "CREATE SCHEMA shop",
    "CREATE TYPE shop.mood AS ENUM ('glad', 'sad')",
    "CREATE FUNCTION shop.one(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'",
    "CREATE FUNCTION shop.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
    "CREATE TABLE shop.person (id int PRIMARY KEY, name text)",
    """CREATE TABLE shop.item (id serial PRIMARY KEY, mood shop.mood, n int GENERATED ALWAYS AS
        IDENTITY, owner int REFERENCES shop.person, z int DEFAULT shop.one(3) CHECK (z > 0))""",
    "CREATE INDEX item_z ON shop.item (shop.one(z))",
    "COMMENT ON TABLE shop.item IS 'things'",
    "CREATE STATISTICS shop.both ON id, z FROM shop.item",
    "CREATE TRIGGER kept BEFORE INSERT ON shop.item FOR EACH ROW EXECUTE FUNCTION shop.keep()",
    "CREATE VIEW shop.glad AS SELECT * FROM shop.item WHERE mood = 'glad'",
    "CREATE TABLE shop.event (d int, v text, PRIMARY KEY (d, v)) PARTITION BY RANGE (d)",
    "CREATE TABLE shop.event_1 PARTITION OF shop.event FOR VALUES FROM (0) TO (100)",
    """CREATE TABLE shop.event_2 PARTITION OF shop.event FOR VALUES FROM (100) TO (200)
        PARTITION BY RANGE (d)""",
    "CREATE TABLE shop.event_2a PARTITION OF shop.event_2 FOR VALUES FROM (100) TO (200)",
    'CREATE TABLE "odd schema with ""quotes"" and.dots" (x int)',
    "INSERT INTO shop.person SELECT n, 'p' || n FROM generate_series(1, 100) n",
    "INSERT INTO shop.item (mood, owner) SELECT 'glad', n FROM generate_series(1, 100) n",
    "INSERT INTO shop.event SELECT n, 'v' FROM generate_series(0, 199) n",
    'INSERT INTO "odd schema with ""quotes"" and.dots" VALUES (1)',
)
ODD = '"public"."odd schema with ""quotes"" and.dots"'


@pytest.fixture(scope="module", params=[18, 16])
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    try:
        with running_postgres(request.param) as running:
            running.make("shop", *SHOP)
            yield running
    except PostgresAbsentError as absent:
        pytest.skip(str(absent))


@pytest.fixture
def plan(tmp_path: Path, server: Postgres) -> DumpPlan:
    return DumpPlan(tmp_path / "spool", token, (server.tools,))


def bring(source: PostgresSource, target: Target, *tables: str) -> Facts:
    """Hand a target the files that a vault would, and the facts of these tables alone."""
    with closing(source):
        entries = list(source.entries())
        data = {e.path: b"".join(source.read(e)) for e in entries if e.kind == "file"}
        files, alone = tables_alone("shop", source.facts(), tables)
    try:
        for entry in entries:
            if not entry.path or entry.path in files:
                target.write(entry, iter([data[entry.path]] if entry.path else ()))
        target.finish(alone)
    finally:
        target.abandon()
    return alone


def relations(server: Postgres, database: str) -> set[str]:
    question = """SELECT n.nspname || '.' || c.relname FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"""
    return {str(name) for (name,) in server.sql(question, database=database)}


@pytest.mark.parametrize("exists", [False, True])
def test_a_table_with_what_belongs_to_it(server: Postgres, plan: DumpPlan, exists: bool) -> None:
    server.sql('DROP DATABASE IF EXISTS "back" WITH (FORCE)')
    if exists:
        server.make("back")
    table = '"shop"."item"'
    target = PostgresDatabaseTarget(server.at("back"), plan, tables=[table])
    bring(PostgresSource(server.at("shop"), plan), target, table)
    assert relations(server, "back") == {
        "shop." + name for name in ("item", "item_id_seq", "item_n_seq", "item_pkey", "item_z")
    }
    everything = "SELECT * FROM shop.item ORDER BY id"
    assert server.sql(everything, database="back") == server.sql(everything, database="shop")
    added = "INSERT INTO shop.item (mood) VALUES ('sad') RETURNING id, n, z"
    assert server.sql(added, database="back") == [(101, 101, 1)]
    comment = "SELECT obj_description('shop.item'::regclass)"
    assert server.sql(comment, database="back") == [("things",)]
    assert target.compared == ("rows", "digests")
    assert target.notes["triggers_left_out"] == 1
    assert target.notes["foreign_keys_left_out"] == 1


def test_a_partitioned_table_brings_its_parts(server: Postgres, plan: DumpPlan) -> None:
    server.sql('DROP DATABASE IF EXISTS "back" WITH (FORCE)')
    table = '"shop"."event"'
    target = PostgresDatabaseTarget(server.at("back"), plan, tables=[table])
    alone = bring(PostgresSource(server.at("shop"), plan), target, table)
    assert alone["rows"] == {'"shop"."event_1"': 100, '"shop"."event_2a"': 100}
    assert server.sql("SELECT count(*) FROM shop.event", database="back") == [(200,)]
    assert "shop.item" not in relations(server, "back")


def test_a_part_alone_stands_alone(server: Postgres, plan: DumpPlan) -> None:
    server.sql('DROP DATABASE IF EXISTS "back" WITH (FORCE)')
    table = '"shop"."event_1"'
    target = PostgresDatabaseTarget(server.at("back"), plan, tables=[table, ODD])
    bring(PostgresSource(server.at("shop"), plan), target, table, ODD)
    assert {name for name in relations(server, "back") if not name.endswith("pkey")} == {
        "shop.event_1",
        'public.odd schema with "quotes" and.dots',
    }


def test_both_sides_of_a_foreign_key(server: Postgres, plan: DumpPlan) -> None:
    server.sql('DROP DATABASE IF EXISTS "back" WITH (FORCE)')
    both = ['"shop"."item"', '"shop"."person"']
    target = PostgresDatabaseTarget(server.at("back"), plan, tables=both)
    bring(PostgresSource(server.at("shop"), plan), target, *both)
    keys = "SELECT conname FROM pg_constraint WHERE contype = 'f'"
    assert server.sql(keys, database="back") == [("item_owner_fkey",)]
    assert "foreign_keys_left_out" not in target.notes


def test_what_was_not_counted_does_not_count_as_compared(
    server: Postgres, plan: DumpPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last table in order is beyond the number of those that a backup counts."""
    last, item = '"shop"."person"', '"shop"."item"'
    for tables, compared in ([last], ()), ([last, item], ("rows", "digests")):
        server.sql('DROP DATABASE IF EXISTS "back" WITH (FORCE)')
        source = PostgresSource(server.at("shop"), plan)
        with monkeypatch.context() as patched:
            patched.setattr(postgres_facts, "COUNTED_TABLES_MAX", 4)
            list(source.entries())
        target = PostgresDatabaseTarget(server.at("back"), plan, tables=tables)
        alone = bring(source, target, *tables)
        assert alone["uncounted"] == [last]
        assert target.compared == compared
        assert target.notes["tables_not_counted"] == 1
        assert server.sql("SELECT count(*) FROM shop.person", database="back") == [(100,)]


def test_rows_that_differ_leave_nothing(server: Postgres, plan: DumpPlan) -> None:
    server.sql('DROP DATABASE IF EXISTS "back" WITH (FORCE)')
    table = '"shop"."person"'
    source = PostgresSource(server.at("shop"), plan)
    list(source.entries())
    digests = source._facts["digests"]
    assert isinstance(digests, dict)
    source._facts["digests"] = {**{k: str(v) for k, v in digests.items()}, table: "0" * 16}
    target = PostgresDatabaseTarget(server.at("back"), plan, tables=[table])
    with pytest.raises(Damaged, match="its digests differ"):
        bring(source, target, table)
    assert "back" not in server.databases()


def test_a_folder_for_pg_restore(server: Postgres, plan: DumpPlan, tmp_path: Path) -> None:
    table = '"shop"."person"'
    folder = tmp_path / "out" / "shop"
    target = PostgresFolderTarget(folder, token, tables=[table])
    bring(PostgresSource(server.at("shop"), plan), target, table)
    assert len(list(folder.iterdir())) == 2
    server.make("back", "CREATE SCHEMA shop")
    place = server.at("back")
    subprocess.run(
        [server.tools / "pg_restore", "-n", "shop", "-t", "person", f"--dbname={place.conninfo()}",
         folder],
        env={**os.environ, "PGPASSWORD": place.password or ""},
        check=True,
    )  # fmt: skip
    assert server.sql("SELECT count(*) FROM shop.person", database="back") == [(100,)]


def test_an_unknown_table_is_answered_with_what_is_near() -> None:
    facts = {"table_files": {'"shop"."item"': "1.dat", '"shop"."person"': "2.dat"}}
    with pytest.raises(UsageError, match=r"near it: shop\.item"):
        tables_alone("shop", facts, ['"shop"."items"'])


def test_contents_that_go_in_circles_end() -> None:
    items = [
        Item(1, 0, "TABLE", "a b c", frozenset({2, 9})),
        Item(2, 0, "TYPE", "a b c", frozenset({1, 2})),
        Item(3, 0, "TABLE DATA", "a b c", frozenset({1, 3})),
        Item(4, 0, "TABLE ATTACH", "a b c", frozenset({1, 4})),
        Item(5, 0, "INDEX", "a b c", frozenset({5, 1})),
    ]
    assert entries_of_tables(items, {'"a"."b"': "3.dat 7.dat x.dat ²"}) == ([1, 2, 3, 4, 5], {})
