"""What is true of a PostgreSQL database: asked in the snapshot that is dumped, and after a restore.

The digest of a table does not depend on the order of its rows: it is the count and the sum, modulo
2^64, of `hashtextextended(ROW(..)::text, 0)` over all rows, under fixed settings. It finds loss and
change; who wrote the bytes is proved by the seal, not by this sum. The schema's digest is over
names and types, not over expressions, which PostgreSQL may write in other words after a reload.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg import sql

from strongroom.adapters.sources.postgres_connection import Connection, number, one
from strongroom.adapters.sources.restore_facts import Fact
from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import Digest

COUNTED_TABLES_MAX: Final = 10_000
LOCKED_AT_ONCE: Final = 500
LARGE_OBJECT_BYTES_HASHED: Final = 64 << 20
COMPARED: Final = (
    "encoding",
    "schema_blake3",
    "rows",
    "digests",
    "uncounted",
    "large_objects",
    "large_objects_digest",
)
# Neither the system's nor an extension's, which a dump leaves out too.
_OURS: Final = (
    "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND NOT EXISTS"
    " (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.deptype = 'e' AND d.objid = {id}"
    " AND d.classid = {catalog}::pg_catalog.regclass)"
)
_TABLES: Final = """
    SELECT n.nspname, c.relname, c.relkind = 'r'
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {ours} ORDER BY 1, 2
"""
# One question for each kind of thing, with the catalog that it is about. Rows are sorted here,
# because a collation could differ between the two servers.
_SCHEMA: Final[tuple[tuple[tuple[str, str], LiteralString], ...]] = (
    (
        ("pg_namespace", "n"),
        """SELECT 'schema', n.nspname FROM pg_catalog.pg_namespace n WHERE {ours}""",
    ),
    (
        ("pg_class", "c"),
        """SELECT 'relation', n.nspname, c.relname, c.relkind
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r','p','v','m','S','f','i','I','c') AND c.relpersistence <> 't'
        AND {ours}""",
    ),
    (
        ("pg_class", "c"),
        """SELECT 'column', n.nspname, c.relname, a.attname,
            pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.atthasdef, a.attidentity, a.attgenerated
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relpersistence <> 't'
        AND c.relkind IN ('r','p','v','m','f','c') AND {ours}""",
    ),
    (
        ("pg_class", "c"),
        """SELECT 'constraint', n.nspname, c.relname, k.conname, k.contype
        FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE k.contype IN ('c','f','p','u','x') AND {ours}""",
    ),
    (
        ("pg_proc", "p"),
        """SELECT 'function', n.nspname, p.proname, p.prokind,
            pg_catalog.pg_get_function_identity_arguments(p.oid)
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE {ours}""",
    ),
    (
        ("pg_class", "c"),
        """SELECT 'trigger', n.nspname, c.relname, t.tgname
        FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT t.tgisinternal AND {ours}""",
    ),
    (
        ("pg_type", "t"),
        """SELECT 'label', n.nspname, t.typname, e.enumlabel,
            pg_catalog.row_number() OVER (PARTITION BY t.oid ORDER BY e.enumsortorder)
        FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid
        JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE {ours}""",
    ),
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table by its two names; a partitioned one has no rows, its parts have them."""

    schema: str
    name: str
    has_rows: bool

    @property
    def shown(self) -> str:
        """How facts name it: as SQL quotes identifiers, so that no two tables share a name."""
        return f"{_quoted(self.schema)}.{_quoted(self.name)}"

    @property
    def identifier(self) -> sql.Identifier:
        """Its name as part of a statement."""
        return sql.Identifier(self.schema, self.name)


def list_tables(connection: Connection) -> list[Table]:
    """Return the tables whose rows a dump holds, and the partitioned ones above them."""
    rows = connection.execute(sql.SQL(_TABLES).format(ours=_ours("pg_class", "c"))).fetchall()
    return [Table(str(schema), str(name), has_rows is True) for schema, name, has_rows in rows]


def lock_tables(connection: Connection, tables: Sequence[Table]) -> None:
    """Keep the tables from being dropped, truncated or rewritten until the transaction ends.

    TRUNCATE is seen by older snapshots too, so without locks the dump and the facts could differ.
    """
    for start in range(0, len(tables), LOCKED_AT_ONCE):
        names = sql.SQL(", ").join(
            sql.SQL("ONLY {}").format(table.identifier)
            for table in tables[start : start + LOCKED_AT_ONCE]
        )
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))


def has_content(connection: Connection) -> bool:
    """Say whether a database holds anything that a dump would hold beside extensions."""
    # A new database has one row: its schema `public`.
    things = sum(len(_schema_rows(connection, *asked)) for asked in _SCHEMA)
    empty = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata"
    return things > 1 or number(connection, sql.SQL(empty)) > 0


def database_facts(connection: Connection) -> dict[str, Fact]:
    """Return what is told of a database beside its content; for the face and for `CREATE`."""
    extensions = connection.execute(
        "SELECT extname, extversion FROM pg_catalog.pg_extension ORDER BY extname"
    ).fetchall()
    facts: dict[str, Fact] = {
        "kind": "postgresql",
        "engine": "postgresql",
        "engine_version": str(one(connection, sql.SQL("SHOW server_version"))),
        "server_version_num": connection.info.server_version,
        "extensions": {str(name): str(version) for name, version in extensions},
    }
    return facts | _locale(connection)


def content_facts(connection: Connection, tables: Sequence[Table]) -> dict[str, Fact]:
    """Return what a restore compares: schema, and count and digest of every table's rows."""
    counts: dict[str, int] = {}
    digests: dict[str, str] = {}
    uncounted: list[str] = []
    for table in tables:
        if not table.has_rows:
            continue
        if len(counts) >= COUNTED_TABLES_MAX:
            uncounted.append(table.shown)
            continue
        counts[table.shown], digests[table.shown] = _sum_rows(connection, table)
    return {
        "schema_blake3": _schema_digest(connection),
        "rows": counts,
        "digests": digests,
        "uncounted": uncounted,
        **_large_objects(connection),
    }


def _sum_rows(connection: Connection, table: Table) -> tuple[int, str]:
    # ROW(t.*) even where a column is called t; ONLY, because children are tables of their own.
    question = sql.SQL(
        "SELECT pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtextextended("
        'ROW(t.*)::pg_catalog.text COLLATE "C", 0)) FROM ONLY {} AS t'
    ).format(table.identifier)
    row = connection.execute(question).fetchone()
    count, total = row if row is not None else (0, None)
    return int(str(count)), _modular(total)


def _large_objects(connection: Connection) -> dict[str, Fact]:
    """Return count and sum over the first LARGE_OBJECT_BYTES_HASHED bytes of each."""
    count = number(
        connection,
        sql.SQL("SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata"),
    )
    question = sql.SQL(
        "SELECT pg_catalog.sum(pg_catalog.hashtextextended(m.oid::pg_catalog.text || ':' ||"
        " pg_catalog.encode(pg_catalog.sha256(pg_catalog.lo_get(m.oid, 0, {})), 'hex')"
        ' COLLATE "C", 0)) FROM pg_catalog.pg_largeobject_metadata m'
    ).format(sql.Literal(LARGE_OBJECT_BYTES_HASHED))
    total = one(connection, question) if count else None
    return {"large_objects": count, "large_objects_digest": _modular(total)}


def _schema_digest(connection: Connection) -> str:
    digest = Digest()
    for about, question in _SCHEMA:
        rows = _schema_rows(connection, about, question)
        lines = [frame(*(str(value).encode() for value in row)) for row in rows]
        for line in sorted(lines):
            digest.update(line)
    return digest.hex()


def _schema_rows(
    connection: Connection, about: tuple[str, str], question: LiteralString
) -> list[tuple[object, ...]]:
    return connection.execute(sql.SQL(question).format(ours=_ours(*about))).fetchall()


def _ours(catalog: str, alias: str) -> sql.Composed:
    return sql.SQL(_OURS).format(
        id=sql.Identifier(alias, "oid"), catalog=sql.Literal(f"pg_catalog.{catalog}")
    )


def _locale(connection: Connection) -> dict[str, Fact]:
    # The column of the locale's name was daticulocale up to 16; 14 has neither.
    row = connection.execute(
        "SELECT pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,"
        " pg_catalog.to_jsonb(d) ->> 'datlocprovider',"
        " coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale',"
        " pg_catalog.to_jsonb(d) ->> 'daticulocale')"
        " FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()"
    ).fetchone()
    names = ("encoding", "collation", "ctype", "locale_provider", "locale")
    values = row if row is not None else (None,) * len(names)
    return {
        name: None if value is None else str(value)
        for name, value in zip(names, values, strict=True)
    }


def _modular(total: object) -> str:
    return f"{int(str(total or 0)) % (1 << 64):016x}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
