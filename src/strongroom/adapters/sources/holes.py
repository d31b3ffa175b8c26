"""Holes of sparse files: found without reading them, kept out of the data, made again.

A hole is what the file system says holds no data (SEEK_HOLE). A disk image of a terabyte with a
gigabyte in it costs a gigabyte to read, to store and to restore.
"""

import errno
import os
from collections.abc import Iterator

from strongroom.adapters.sources.partial import write_all
from strongroom.errors import Damaged
from strongroom.vault import Entry

Holes = tuple[tuple[int, int], ...]

HOLE_BYTES_MIN = 64 << 10
"""Shorter holes are read as zeros: to look for them costs more than they save."""
_STAT_BLOCK_BYTES = 512


def may_have_holes(info: os.stat_result) -> bool:
    """Say whether a file has so few blocks that looking for holes is worth opening it.

    Compressed files have few blocks too, and cost the look.
    """
    return info.st_size - info.st_blocks * _STAT_BLOCK_BYTES >= HOLE_BYTES_MIN


def find_holes(handle: int, size_bytes: int) -> Holes:
    """Return the holes of an open file up to a size; the longest, where there are too many."""
    holes: list[tuple[int, int]] = []
    least = HOLE_BYTES_MIN
    at = 0
    while at < size_bytes:
        start = _seek(handle, at, os.SEEK_HOLE, size_bytes)
        at = _seek(handle, start, os.SEEK_DATA, size_bytes) if start < size_bytes else start
        if at - start >= least:
            holes.append((start, at - start))
        while len(holes) > Entry.HOLES_MAX:
            least *= 2
            holes = [hole for hole in holes if hole[1] >= least]
    return tuple(holes)


def data_of(entry: Entry) -> Iterator[tuple[int, int]]:
    """Yield offset and length of what lies around the holes of a file."""
    at = 0
    for offset, length in entry.holes:
        if offset > at:
            yield at, offset - at
        at = offset + length
    if at < entry.size_bytes:
        yield at, entry.size_bytes - at


def write_around(handle: int, entry: Entry, blocks: Iterator[bytes]) -> int:
    """Write a sparse file's data to where it belongs, and its length; return how much came.

    Raises Damaged when more comes than there is room for around the holes.
    """
    taken = room = 0
    ranges = data_of(entry)
    for block in blocks:
        rest = memoryview(block)
        while rest:
            if not room:
                offset, room = next(ranges, (0, 0))
                if not room:
                    raise Damaged("a sparse file holds more data than its recipe has room for")
                os.lseek(handle, offset, os.SEEK_SET)
            part, rest = rest[:room], rest[room:]
            write_all(handle, part)
            room -= len(part)
            taken += len(part)
    os.ftruncate(handle, entry.with_data(taken).size_bytes)
    return taken


def _seek(handle: int, at: int, whence: int, size_bytes: int) -> int:
    """Return the next hole or data, or the end of the file where there is none."""
    try:
        return min(os.lseek(handle, at, whence), size_bytes)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size_bytes
        raise
