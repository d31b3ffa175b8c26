"""Whether what came back is what was there: databases row by row, trees entry by entry.

Read without the code that backs up and restores, so that no mistake of theirs agrees with itself.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from strongroom.errors import Damaged


def compare_databases(wanted: Path, found: Path) -> None:
    """Raise Damaged unless schema and all rows of every table are equal."""
    contents = [_database_content(path) for path in (wanted, found)]
    for one, other in zip(*contents, strict=True):
        if one != other:
            raise Damaged("a restored database differs", f"{found.name}: {str(other)[:80]}")


def compare_trees(wanted: Path, found: Path) -> None:
    """Raise Damaged unless names, kinds, modes, times, links and bytes are equal."""
    trees = [dict(_tree_content(os.fsencode(path))) for path in (wanted, found)]
    if trees[0] != trees[1]:
        names = sorted(
            name
            for name in trees[0].keys() | trees[1].keys()
            if trees[0].get(name) != trees[1].get(name)
        )
        raise Damaged("a restored tree differs", f"{len(names)} entries, first {names[0]!r:.80}")


def _database_content(path: Path) -> Iterator[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = connection.execute(
            "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
        ).fetchall()
        yield ("schema", *tables)
        for kind, name, _ in tables:
            if kind == "table":
                quoted = '"' + name.replace('"', '""') + '"'
                yield (name,)
                # A table name cannot be a parameter; this one is quoted and our own.
                query = f"SELECT * FROM {quoted}"  # noqa: S608 the name is quoted above
                yield from connection.execute(query)


def _tree_content(root: bytes) -> Iterator[tuple[bytes, tuple[object, ...]]]:
    stack = [root]
    while stack:
        folder = stack.pop()
        for entry in os.scandir(folder):
            info = entry.stat(follow_symlinks=False)
            name = entry.path[len(root) :]
            if entry.is_symlink():
                yield name, ("symlink", os.readlink(entry.path))
            elif entry.is_dir():
                stack.append(entry.path)
                yield name, ("directory", info.st_mode, info.st_mtime_ns)
            else:
                with open(entry.path, "rb") as file:
                    digest = hashlib.file_digest(file, "blake2b").hexdigest()
                yield name, ("file", info.st_mode, info.st_mtime_ns, digest)
