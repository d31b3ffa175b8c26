"""What a killed restore leaves on a PostgreSQL server, and how the next one removes it.

A restore names its partial database and its role after a mark: the server's time and chance. While
it lives, its first connection holds an advisory lock of that mark; the server lets go of the lock
when the connection ends, however it ends. What bears a mark that nobody holds is left over.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Final

import psycopg
from psycopg import sql

from strongroom.adapters.sources.postgres_connection import Connection, PostgresPlace, connect, one
from strongroom.errors import StrongroomError
from strongroom.ids import Token

PARTIAL_PREFIX: Final = "strongroom_partial_"
ROLE_PREFIX: Final = "strongroom_restore_"
_MARK: Final = "[0-9]{8}t[0-9]{6}_[0-9a-f]{16}$"
_HOLD: Final = sql.SQL("SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(%s, 0))")
_LET_GO: Final = sql.SQL("SELECT pg_catalog.pg_advisory_unlock(pg_catalog.hashtextextended(%s, 0))")
_DATABASES: Final = sql.SQL("SELECT datname FROM pg_catalog.pg_database WHERE datname ~ %s")
# A role without sign-in is the owner of what was restored whole.
_ROLES: Final = sql.SQL(
    "SELECT rolname FROM pg_catalog.pg_roles WHERE rolcanlogin AND rolname ~ %s"
)
_DEPENDENT: Final = """
    FROM pg_catalog.pg_shdepend s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid
    WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
    AND s.refobjid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s)
"""
_OWNS: Final = sql.SQL("SELECT 1 " + _DEPENDENT + " AND s.deptype = 'o'")
_GRANTED_IN: Final = sql.SQL("SELECT DISTINCT d.datname " + _DEPENDENT + " AND s.dbid <> 0")


def hold_mark(connection: Connection, token: Token) -> str:
    """Return a new mark, which is ours for as long as the connection lasts."""
    now = one(
        connection,
        sql.SQL(
            "SELECT pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC',"
            " 'YYYYMMDD\"t\"HH24MISS')"
        ),
    )
    mark = f"{now}_{token(8).hex()}"
    one(connection, _HOLD, mark)
    return mark


def sweep_server(connection: Connection, place: PostgresPlace) -> int:
    """Remove databases and roles of restores that died; return how many there were.

    A role that owns something stays as its owner and loses sign-in, as after a restore that ended
    well: of a database that was there before, only a person can say what may go. What we have no
    right to remove is left alone.
    """
    swept = 0
    for name in _named(connection, _DATABASES, PARTIAL_PREFIX):
        with _dead(connection, name.removeprefix(PARTIAL_PREFIX)) as dead:
            if dead:
                connection.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                )
                swept += 1
    for name in _named(connection, _ROLES, ROLE_PREFIX):
        with _dead(connection, name.removeprefix(ROLE_PREFIX)) as dead:
            if dead:
                disarm_role(connection, name)
                _drop_role(connection, place, name)
                swept += 1
    return swept


def disarm_role(connection: Connection, role: str) -> None:
    """Take sign-in and every right beyond its own objects from a role of a restore."""
    connection.execute(
        sql.SQL("ALTER ROLE {} NOLOGIN NOBYPASSRLS PASSWORD NULL VALID UNTIL 'infinity'").format(
            sql.Identifier(role)
        )
    )


def _drop_role(connection: Connection, place: PostgresPlace, role: str) -> None:
    if one(connection, _OWNS, role) is not None:
        return
    # It owns nothing, so this takes away grants and nothing else.
    revoke = sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role))
    connection.execute(revoke)
    for (database,) in connection.execute(_GRANTED_IN, (role,)).fetchall():
        with closing(connect(place.at(str(database)))) as inside:
            inside.execute(revoke)
    connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def _named(connection: Connection, question: sql.SQL, prefix: str) -> list[str]:
    return [str(row[0]) for row in connection.execute(question, (f"^{prefix}{_MARK}",)).fetchall()]


@contextmanager
def _dead(connection: Connection, mark: str) -> Iterator[bool]:
    """Hold the mark of a restore that died; what cannot be removed for it is left."""
    if one(connection, _HOLD, mark) is not True:
        yield False
        return
    try:
        with suppress(psycopg.Error, StrongroomError):
            yield True
    finally:
        with suppress(psycopg.Error):
            connection.execute(_LET_GO, (mark,))
