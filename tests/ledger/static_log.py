"""A log as static files, made by the pure functions alone."""

from collections.abc import Sequence

from strongroom.ledger.tiles import WIDTH, encode_bundle, tiles_of
from strongroom.ledger.tree import leaf_hash, root_of


def rows_of(entries: Sequence[bytes]) -> list[list[bytes]]:
    """Return the hashes of every level of tiles: of leaves, then of full tiles."""
    rows = [[leaf_hash(entry) for entry in entries]]
    while len(rows[-1]) >= WIDTH:
        below = rows[-1]
        rows.append(
            [root_of(below[at : at + WIDTH]) for at in range(0, len(below) - WIDTH + 1, WIDTH)]
        )
    return rows


def files_of(entries: Sequence[bytes]) -> dict[str, bytes]:
    """Return every tile and bundle of a log that holds these entries, by path."""
    rows = rows_of(entries)
    files = {}
    for place in tiles_of(len(entries)):
        start = place.number * WIDTH
        if place.level is None:
            data = encode_bundle(entries[start : start + place.width])
        else:
            data = b"".join(rows[place.level][start : start + place.width])
        files[place.path] = data
    return files
