"""Live data of the crash matrix: version n is a function of n, and small, so that steps are quick.

What an application shares between two versions is most of it, so later snapshots stand on packs of
earlier ones: that is what a crash, a repair or a deletion could spoil.
"""

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from tests.faults.thrash.sources import drawn

FILES = 7
ROWS = 40
Content = Mapping[str, bytes]
"""What a client's sources hold: a name for each file or table, and its bytes."""


def write_live(folder: Path, version: int, *, database: bool) -> None:
    """Write one version of a client's sources."""
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "deep").mkdir(parents=True)
    for number in range(FILES):
        since = version - version % (number + 1)
        if (since + number) % 5 == 4:
            continue
        size = 500 + int.from_bytes(drawn(number, since, size=2), "big") % 9000
        (tree / "deep" / f"file-{number}").write_bytes(drawn("file", number, since, size=size))
    (tree / "version").write_text(str(version), encoding="ascii")
    if database:
        _write_database(folder / "rows.db", version)


def _write_database(path: Path, version: int) -> None:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE row (number INTEGER PRIMARY KEY, value BLOB)")
        connection.executemany(
            "INSERT INTO row VALUES (?, ?)",
            [
                (number, drawn("row", number, version - version % (number + 1), size=900))
                for number in range(ROWS)
            ],
        )


def look_at(folder: Path) -> Content:
    """Return what live data or a restored folder holds, read without the package's code."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".db"
    }
    for path in sorted(folder.glob("*.db")):
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            rows = connection.execute("SELECT number, value FROM row ORDER BY number").fetchall()
        found[path.name] = repr(rows).encode()
    return found
