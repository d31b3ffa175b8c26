"""Look at the disk to say what kind of source a path is."""

import os
import stat
from typing import Literal

from strongroom.adapters.sources.errors import (
    SourceMissing,
    SourceUnreadable,
    printable,
    reason,
)

SQLITE_MAGIC = b"SQLite format 3\0"


def sniff(path: bytes) -> Literal["sqlite", "tree", "file"]:
    """Return what the path holds: a directory, a SQLite database, or any other regular file.

    An empty file is a file: SQLite takes it for an empty database, people do not. Opens and
    closes the file, which drops the POSIX locks this process holds on it: never sniff a database
    that this process has open.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return "tree"
        if not stat.S_ISREG(mode):
            raise SourceUnreadable(
                f"{printable(path)} cannot be a source", "it is neither a folder nor a file"
            )
        with open(path, "rb", buffering=0) as file:
            return "sqlite" if file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC else "file"
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceMissing(
            f"there is no {printable(path)}",
            reason(error),
            hint="Check how it is written; a relative path begins at the current folder.",
        ) from error
    except OSError as error:
        raise SourceUnreadable(f"{printable(path)} cannot be read", reason(error)) from error


def glance(path: bytes) -> int | None:
    """Return how many bytes a file and its write-ahead log have, opening nothing.

    None for a folder, and where nothing can be seen: who reads the source finds out.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            return None
        log = path + b"-wal"
        return found.st_size + (os.stat(log).st_size if os.path.exists(log) else 0)
    except OSError:
        return None
