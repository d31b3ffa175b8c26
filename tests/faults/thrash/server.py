"""A bank in a PostgreSQL database, for a thrash where a server is at hand."""

import os
import subprocess
from contextlib import closing
from pathlib import Path

from tests.faults.thrash.sources import (
    ACCOUNTS,
    ENTRIES_KEPT,
    OPENING,
    judge_bank,
    transfer,
    words,
)
from tests.support.postgres import SUPERUSER, SUPERUSER_PASSWORD, Postgres
from tests.support.postgres_home import url

DATABASE = "bank"


class ServedBank:
    """The accounts of `LiveBank` in a database that a server keeps."""

    def __init__(self, server: Postgres, name: str) -> None:
        self._server = server
        self.name = name
        self.url = f"{name}={url(server, DATABASE)}"
        self.begun = self.settled = 0
        server.make(
            DATABASE,
            "CREATE TABLE account (id integer PRIMARY KEY, balance integer NOT NULL)",
            "CREATE TABLE transfer (version integer PRIMARY KEY, giver integer, taker integer,"
            " amount integer, words bytea)",
            f"INSERT INTO account SELECT n, {OPENING} FROM generate_series(0, {ACCOUNTS - 1}) n",
        )

    def step(self) -> None:
        """Transfer an amount in one transaction."""
        self.begun += 1
        giver, taker, amount = transfer(self.begun)
        change = b"UPDATE account SET balance = balance + %s WHERE id = %s"
        with closing(self._server.connect(DATABASE)) as connection, connection.transaction():
            connection.execute(change, (-amount, giver))
            connection.execute(change, (amount, taker))
            connection.execute(
                b"INSERT INTO transfer VALUES (%s, %s, %s, %s, %s)",
                (self.begun, giver, taker, amount, words(self.begun)),
            )
            connection.execute(
                b"DELETE FROM transfer WHERE version <= %s", (self.begun - ENTRIES_KEPT,)
            )
        self.settled = self.begun

    def judge(self, restored: Path, oldest: int, newest: int) -> str:
        """Let `pg_restore` bring the dump into a database, and compare each row there."""
        scratch = f"looked_at_{restored.parent.name}_{oldest}_{newest}"
        place = self._server.make(scratch)
        try:
            to = f"host={place.host} port={place.port} user={SUPERUSER} dbname={scratch}"
            done = subprocess.run(
                [self._server.tools / "pg_restore", f"--dbname={to}", restored],
                env={"PGPASSWORD": SUPERUSER_PASSWORD, "LC_ALL": "C", "PATH": os.defpath},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            if done.returncode:
                return f"pg_restore: {done.stderr[-300:]}"
            with closing(self._server.connect(scratch)) as connection:
                rows = connection.execute(b"SELECT * FROM transfer ORDER BY version").fetchall()
                balances = connection.execute(b"SELECT * FROM account ORDER BY id").fetchall()
            return judge_bank(rows, balances, oldest, newest)
        finally:
            self._server.sql(f'DROP DATABASE "{scratch}" WITH (FORCE)')
