"""Makes many real backups of one small database in one process: no start-up for each.

Each is what `backup` does and nothing less: one row more, keys dealt and forgotten, packs, index
and record synced at the location, receipts of all custodians. A command of its own for each would
take an hour for ten thousand.
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from strongroom.app import App
from strongroom.operations.back_up import back_up

ROW = "INSERT INTO note (line) VALUES (hex(randomblob(20)))"


def make_notes(path: Path) -> None:
    """Make the database, without a row."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, line TEXT)")


def add_note(path: Path) -> None:
    """Add the row that makes the next backup differ."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(ROW)


def make(home: Path, client: str, path: Path, count: int) -> None:
    """Add a row and back up, so many times; raises when one is not good at once."""
    with App().open(home) as deployment:
        found = deployment.registry.client(client)
        for _ in range(count):
            add_note(path)
            report = back_up(deployment, found, lambda _: None)
            if report.state != "good" or report.problems:
                raise ValueError(f"a backup is {report.state}: {report.problems}")


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
