"""Tools of these tests: a clock, copying a source to a target, and a tree as plain values."""

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from strongroom.vault.source import Entry, Source, Target


class LateClock:
    """A clock that is a minute ahead, so that files just written count as settled."""

    def __init__(self, ahead_seconds: float = 60) -> None:
        self._ahead = ahead_seconds
        self._ticks = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def monotonic(self) -> float:
        self._ticks += 1
        return self._ticks


def token(count: int) -> bytes:
    return os.urandom(count)


def fill(source: Source, target: Target) -> list[Entry]:
    """Write all of a source to a target, without finishing."""
    seen = []
    for entry in source.entries():
        seen.append(entry)
        target.write(entry, source.read(entry) if entry.kind == "file" else iter(()))
    return seen


Row = tuple[str, int, int, bytes, int]


def portrait(root: Path) -> dict[bytes, Row]:
    """Return kind, mode, time and content of everything below, and which names share a file."""
    found: dict[bytes, Row] = {}
    inodes: dict[int, int] = {}
    top = os.fsencode(root)
    waiting = [b""]
    while waiting:
        path = waiting.pop()
        full = os.path.join(top, path) if path else top
        info = os.lstat(full)
        mode = stat.S_IMODE(info.st_mode)
        if stat.S_ISDIR(info.st_mode):
            found[path] = ("directory", mode, info.st_mtime_ns, b"", 0)
            waiting.extend(os.path.join(path, name) for name in sorted(os.listdir(full)))
        elif stat.S_ISLNK(info.st_mode):
            found[path] = ("symlink", mode, info.st_mtime_ns, os.readlink(full), 0)
        else:
            content = Path(os.fsdecode(full)).read_bytes()
            group = inodes.setdefault(info.st_ino, len(inodes)) if info.st_nlink > 1 else -1
            found[path] = ("file", mode, info.st_mtime_ns, content, group)
    return found
