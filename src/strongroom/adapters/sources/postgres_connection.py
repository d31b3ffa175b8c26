"""Where a PostgreSQL database is, and a connection to it that shows every value in one way.

The only files that know psycopg are this one and its `postgres_*` neighbours. The password is a
field of the place, shown nowhere, and reaches libpq and its tools by a passfile in memory only.
What a caller left in the environment (PGHOSTADDR, PGSERVICE and such) reaches neither.
"""

import os
import pwd
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from strongroom.adapters.sources.errors import SourceBusy
from strongroom.adapters.sources.postgres_errors import (
    DatabaseMissing,
    PasswordWanted,
    ServerRefused,
    ServerUnreachable,
    SignInRefused,
    tidy,
)
from strongroom.adapters.sources.postgres_tools import Passfile
from strongroom.errors import Refused, StrongroomError, UsageError

Connection = psycopg.Connection[tuple[object, ...]]
PORT: Final = 5432
MAJOR_MIN: Final = 14
CONNECT_SECONDS_MAX: Final = 15
LOCK_WAIT_MS: Final = 60_000
SOCKET_FOLDERS: Final = ("/var/run/postgresql", "/tmp")  # noqa: S108 - where servers put sockets
_NAME_BYTES_MAX = 63
_OPTIONS = ("host", "port", "user", "sslmode", "sslrootcert")
_MISSING_DATABASE = re.compile(r'database ".*" does not exist')
_PASSWORD = re.compile("password authentication failed")
_SIGN_IN = re.compile(
    r"pg_hba\.conf|authentication failed|role \".*\" does not exist|not permitted to log in"
)
# What libpq and the server's start read beside the variables that libpq lists.
_VARIABLES: Final = ("PGSERVICEFILE", "PGSYSCONFDIR", "PGTZ", "PGDATESTYLE", "PGGEQO")
# Whatever the server, the role or the database sets, a value is written in one way only.
_SESSION: Final = (
    ("search_path", ""),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("xmloption", "content"),
    ("lc_monetary", "C"),
    ("row_security", "off"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
)


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """One database on one server; `host` is a name, an address, or the folder of a socket."""

    database: str
    user: str
    host: str = ""
    port: int = PORT
    sslmode: str = ""
    sslrootcert: str = ""
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, password: str | None = None) -> "PostgresPlace":
        """Read `postgresql://[USER@]HOST[:PORT]/DATABASE[?user=..&host=..&sslmode=..]`.

        Without a host the server's socket on this machine is meant, without a user the system's.
        """
        try:
            parts = urlsplit(url)
            port, options = parts.port, parse_qsl(parts.query, True, True)
        except ValueError as error:
            # The reason would repeat what may be a password with a slash in it.
            raise UsageError(
                "the PostgreSQL URL cannot be read", "its host, port or options are not usable"
            ) from error
        if parts.scheme not in ("postgresql", "postgres") or parts.fragment:
            raise UsageError("this is no PostgreSQL URL", "wanted postgresql://HOST/DATABASE")
        given = dict(options)
        if parts.password is not None or "password" in given or "passfile" in given:
            raise Refused(
                "a password in a source URL is refused",
                "it would be seen in the process list and kept in the shell's history",
                "Leave it out of the URL and give it with --password-file.",
            )
        unknown = sorted(set(given) - set(_OPTIONS))
        if unknown or len(given) != len(options):
            raise UsageError(
                "the PostgreSQL URL has an option that is unknown or given twice",
                f"there are {', '.join(_OPTIONS)}",
            )
        user = unquote(parts.username or "") or given.get("user") or _own_name()
        number = str(port or given.get("port") or PORT)
        return cls(
            database=_name(unquote(parts.path[1:]), "database"),
            user=_name(user, "user"),
            host=_text(unquote(parts.hostname or "") or given.get("host", ""), "host"),
            port=_port(number),
            sslmode=_text(given.get("sslmode", ""), "sslmode"),
            sslrootcert=_text(given.get("sslrootcert", ""), "sslrootcert"),
            password=password,
        )

    @property
    def shown(self) -> str:
        """How errors name it."""
        return f"postgresql://{self.host or 'local'}:{self.port}/{tidy(self.database)}"

    def at(self, database: str) -> "PostgresPlace":
        """Return another database of the same server."""
        return replace(self, database=database)

    def conninfo(self) -> str:
        """Return libpq's connection string, without the password, for tools."""
        wanted: dict[str, str | int] = {
            "host": self.host or _socket_folder(self.port),
            # Empty, because an address that is not given is looked for in the environment.
            "hostaddr": "",
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "connect_timeout": CONNECT_SECONDS_MAX,
        }
        if self.sslmode:
            wanted["sslmode"] = self.sslmode
        if self.sslrootcert:
            wanted["sslrootcert"] = self.sslrootcert
        return make_conninfo("", **wanted)


def connect(place: PostgresPlace, lock_wait_ms: int = LOCK_WAIT_MS) -> Connection:
    """Open a connection in autocommit with fixed settings; raise an error a person can act on."""
    _forget_environment()
    with Passfile(place.password) as passfile, told(place):
        connection: Connection = psycopg.connect(
            place.conninfo(),
            autocommit=True,
            passfile=passfile.path,
            # Given, though empty: otherwise libpq takes a PGPASSWORD of ours before the passfile.
            password="",
            application_name="strongroom",
            client_encoding="UTF8",
            options="",
        )
    try:
        major = connection.info.server_version // 10000
        if major < MAJOR_MIN:
            raise UsageError(
                f"{place.shown} is PostgreSQL {major}", f"versions from {MAJOR_MIN} on are known"
            )
        with told(place):
            for name, value in (*_SESSION, ("lock_timeout", str(lock_wait_ms))):
                connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
            if major >= 17:
                connection.execute("SELECT pg_catalog.set_config('transaction_timeout','0',false)")
    except BaseException:
        connection.close()
        raise
    return connection


def one(connection: Connection, question: sql.SQL | sql.Composed, *values: object) -> object:
    """Return the first value of the first row."""
    row = connection.execute(question, values or None).fetchone()
    return None if row is None else row[0]


def number(connection: Connection, question: sql.SQL | sql.Composed) -> int:
    """Return the first value as a number; nothing counts as none."""
    value = one(connection, question)
    return int(str(value)) if value is not None else 0


def is_superuser(connection: Connection) -> bool:
    """Say whether the connected role has every right."""
    return (
        one(
            connection,
            sql.SQL("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"),
        )
        is True
    )


def has_database(connection: Connection, name: str) -> bool:
    """Say whether the server has a database of this name."""
    question = sql.SQL("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s")
    return one(connection, question, name) is not None


def wants_password(url: str, password: str | None = None) -> bool:
    """Say whether the server of this URL wants a password, or another than this.

    Raises what else keeps us from it, but for a database that is not there: that is told after
    the sign-in.
    """
    try:
        connect(PostgresPlace.parse(url, password)).close()
    except PasswordWanted:
        return True
    except DatabaseMissing:
        return False
    return False


def asked(place: PostgresPlace, question: Callable[[Connection], bool]) -> bool:
    """Connect, ask, and close."""
    with closing(connect(place)) as connection, told(place):
        return question(connection)


@contextmanager
def told(place: PostgresPlace) -> Iterator[None]:
    """Turn an error of the server or the network into one line that names the database."""
    try:
        yield
    except psycopg.Error as error:
        raise explained(place, error) from error


def explained(place: PostgresPlace, error: psycopg.Error) -> StrongroomError:
    """Return the error a person can act on; it repeats the server's first line only."""
    said = _words(error)
    name = place.shown
    missing = isinstance(error, psycopg.errors.InvalidCatalogName)
    if missing or _MISSING_DATABASE.search(said):
        return DatabaseMissing(f"there is no database {name}", said)
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return SourceBusy(f"{name} is locked", "a table stayed locked for as long as we wait")
    if isinstance(error, psycopg.errors.UndefinedTable):
        return SourceBusy(f"{name} changed while it was read", said, "Run the backup again.")
    if at_door := _sign_in_error(place, error, said):
        return at_door
    if error.sqlstate is None or isinstance(error, psycopg.OperationalError):
        return ServerUnreachable(f"{name} does not answer", said)
    return ServerRefused(f"{name} refused a question", said)


def _sign_in_error(place: PostgresPlace, error: psycopg.Error, said: str) -> SignInRefused | None:
    # libpq's own flag tells that there was none, in whatever language the server speaks.
    if error.pgconn is not None and error.pgconn.needs_password:
        return PasswordWanted(
            f"{place.shown} wants a password for {tidy(place.user)}", "none was given"
        )
    what = f"{place.shown} does not let {tidy(place.user)} in"
    if _PASSWORD.search(said):
        return PasswordWanted(what, said)
    return SignInRefused(what, said) if _SIGN_IN.search(said) else None


def _forget_environment() -> None:
    """Take away what libpq would read behind our back; only the names are looked at.

    An empty value does not do: an empty service is one that is looked up and not found.
    """
    listed = {each.envvar.decode() for each in pq.Conninfo.get_defaults() if each.envvar}
    for name in (*listed, *_VARIABLES):
        os.unsetenv(name)


def _words(error: psycopg.Error) -> str:
    if error.diag.message_primary:
        return tidy(error.diag.message_primary)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # libpq tells the address in front of what the server said last.
    said = next((line for line in lines if "FATAL:" in line), lines[0] if lines else "no answer")
    return tidy(said.rpartition("FATAL:")[2] or said)


def _socket_folder(port: int) -> str:
    for folder in SOCKET_FOLDERS:
        if os.path.exists(f"{folder}/.s.PGSQL.{port}"):
            return folder
    return SOCKET_FOLDERS[0]


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def _name(text: str, what: str) -> str:
    if not text or len(_text(text, what).encode()) > _NAME_BYTES_MAX:
        raise UsageError(f"the PostgreSQL URL names no {what}", f"1 to {_NAME_BYTES_MAX} bytes")
    return text


def _text(text: str, what: str) -> str:
    if not text.isprintable():
        raise UsageError("the PostgreSQL URL is refused", f"its {what} cannot be printed")
    return text


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536:
        return int(text)
    raise UsageError("the PostgreSQL URL is refused", "its port is no number from 1 to 65535")
