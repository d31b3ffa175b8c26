"""Tiles and entry bundles: how a tree and its leaves lie in files (C2SP tlog-tiles).

A tile is 256 hashes side by side, of leaves at level 0 and of full tiles above; the last one of a
level may be narrower. A bundle holds the entries of the tile at level 0 with the same number.
Normative page: docs/formats/ledger-v1.md.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from strongroom.errors import Damaged, UsageError
from strongroom.ledger.tree import HASH_BYTES, SIZE_MAX, Read, root_of

HEIGHT: Final = 8
WIDTH: Final = 256
LEVEL_MAX: Final = 63
ENTRY_BYTES_MAX: Final = 65_535
TILE_BYTES: Final = WIDTH * HASH_BYTES
_LENGTH_BYTES: Final = 2
_PATH: Final = re.compile(
    r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?", re.ASCII
)
_PATH_LENGTH_MAX: Final = 60

ReadTile = Callable[[int, int, int], bytes]
"""`tile(level, number, width)` is the bytes of a tile."""


@dataclass(frozen=True, slots=True)
class TilePlace:
    """Which tile: its level (None for the bundle of entries), its number, its width up to 256."""

    level: int | None
    number: int
    width: int

    @property
    def path(self) -> str:
        """Return the path below a log's folder."""
        if self.level is None:
            return entries_path(self.number, self.width)
        return tile_path(self.level, self.number, self.width)


def tile_path(level: int, number: int, width: int = WIDTH) -> str:
    """Return the path of a tile below a log's folder: `tile/0/x001/234.p/56`."""
    return _path(str(level), number, width)


def entries_path(number: int, width: int = WIDTH) -> str:
    """Return the path of a bundle of entries below a log's folder."""
    return _path("entries", number, width)


def parse_path(path: str) -> TilePlace:
    """Read the path of a tile or a bundle; raise Damaged for any other way to write one."""
    found = _PATH.fullmatch(path) if len(path) <= _PATH_LENGTH_MAX else None
    if found:
        kind, groups, width = found.groups()
        place = TilePlace(
            None if kind == "entries" else int(kind),
            int(groups.replace("x", "").replace("/", "")),
            int(width) if width else WIDTH,
        )
        fits = place.width > 0 and (place.level is None or place.level <= LEVEL_MAX)
        if fits and place.number <= SIZE_MAX and place.path == path:
            return place
    raise Damaged(f"{path!r:.80} is not the path of a tile", "a log has no such file")


def tile_width(level: int, number: int, size: int) -> int:
    """Return how many hashes a tile has in a tree of this size: 0 where it is not there yet."""
    return max(0, min(WIDTH, (size >> HEIGHT * level) - number * WIDTH))


def tiles_of(size: int) -> Iterator[TilePlace]:
    """Name every tile and every bundle of a tree of this size, partial ones at its end."""
    for number in range(-(-size // WIDTH)):
        yield TilePlace(None, number, tile_width(0, number, size))
    level, hashes = 0, size
    while hashes:
        for number in range(-(-hashes // WIDTH)):
            yield TilePlace(level, number, tile_width(level, number, size))
        level, hashes = level + 1, hashes >> HEIGHT


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries with their lengths; refuse one that has too many bytes for the format."""
    parts = []
    for entry in entries:
        if len(entry) > ENTRY_BYTES_MAX:
            raise UsageError(
                f"an entry of {len(entry)} bytes does not fit into the ledger",
                f"at most {ENTRY_BYTES_MAX} bytes do",
            )
        parts += [len(entry).to_bytes(_LENGTH_BYTES, "big"), entry]
    return b"".join(parts)


def parse_bundle(data: bytes, count: int) -> list[bytes]:
    """Return the entries of a bundle that must hold exactly `count`; raise Damaged otherwise."""
    entries: list[bytes] = []
    at = 0
    while at + _LENGTH_BYTES <= len(data) and len(entries) < count:
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(data[at:begin], "big")
        entries.append(bytes(data[begin:at]))
    if at != len(data) or len(entries) != count:
        raise Damaged("a bundle of entries is malformed", f"it does not hold {count} entries")
    return entries


def split_tile(data: bytes, width: int) -> list[bytes]:
    """Return the hashes of a tile that must have exactly this width; raise Damaged otherwise."""
    if len(data) != width * HASH_BYTES:
        raise Damaged(
            "a tile has the wrong length", f"{len(data)} bytes for {width} hashes of {HASH_BYTES}"
        )
    return [bytes(data[at : at + HASH_BYTES]) for at in range(0, len(data), HASH_BYTES)]


def read_from(tile: ReadTile, size: int) -> Read:
    """Return what proofs read from: roots of full subtrees, from the tiles of a tree of `size`."""

    def read(level: int, index: int) -> bytes:
        tile_level, inside = divmod(level, HEIGHT)
        number, first = divmod(index << inside, WIDTH)
        width = tile_width(tile_level, number, size)
        last = first + (1 << inside)
        if last > width:
            raise ValueError(f"a tree of {size} leaves has no full subtree {index} at {level}")
        return root_of(split_tile(tile(tile_level, number, width), width)[first:last])

    return read


def _path(kind: str, number: int, width: int) -> str:
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03}")
    partial = f".p/{width}" if width < WIDTH else ""
    return f"tile/{kind}/{'/'.join(reversed(groups))}{partial}"
