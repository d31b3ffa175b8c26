"""Checking a log as a folder of files, the static layout of C2SP's tlog-tiles.

One pass over the entries in order; what is held at a time is one tile of each level. A folder is a
copy: whether it is all there is, only witnesses and the log itself can say.
"""

from collections.abc import Callable, Sequence
from typing import Final

from strongroom.errors import Damaged
from strongroom.ledger.policy import Policy
from strongroom.ledger.tiles import (
    ENTRY_BYTES_MAX,
    HEIGHT,
    WIDTH,
    entries_path,
    parse_bundle,
    tile_path,
    tile_width,
)
from strongroom.ledger.tree import CompactRange, leaf_hash, root_of

CHECKPOINT: Final = "checkpoint"
FILE_BYTES_MAX: Final = WIDTH * (2 + ENTRY_BYTES_MAX)
"""No file of a log is larger: a bundle whose entries are all as long as can be."""
_HINT: Final = "Ask another copy of the log, and keep this one: it may be evidence."

ReadFile = Callable[[str], bytes]
"""Return the file with this path below the folder; raise Damaged where there is none."""


def check_site(read: ReadFile, policy: Policy) -> Policy.Verdict:
    """Compare the checkpoint, every entry and every tile; return what the checkpoint shows.

    Raises Damaged, naming the file, where one is not of the tree that was signed. An unmet quorum
    is in the answer.
    """
    verdict = policy.check(read(CHECKPOINT))
    checkpoint = verdict.checkpoint
    site = _Site(read)
    for number in range(-(-checkpoint.size // WIDTH)):
        site.take(number, tile_width(0, number, checkpoint.size))
    site.check_partial(checkpoint.size)
    if site.tree.root() != checkpoint.root:
        raise Damaged(
            "the entries do not make the tree that was signed",
            f"all {checkpoint.size} were read",
            _HINT,
        )
    return verdict


class _Site:
    """The files of one log, compared with what their entries make."""

    def __init__(self, read: ReadFile) -> None:
        self._read = read
        self._rows: list[list[bytes]] = [[]]
        self.tree = CompactRange()

    def take(self, number: int, width: int) -> None:
        """Take up a bundle's entries, and compare each tile that is full with them."""
        path = entries_path(number, width)
        try:
            entries = parse_bundle(self._read(path), width)
        except Damaged as err:
            raise Damaged(f"{path} is damaged", err.why or err.what, _HINT) from err
        row = [leaf_hash(entry) for entry in entries]
        self.tree.extend(row)
        level = 0
        while len(row) == WIDTH:
            self._compare(level, number, row)
            if level + 1 == len(self._rows):
                self._rows.append([])
            self._rows[level + 1].append(root_of(row))
            row.clear()
            level, number = level + 1, number >> HEIGHT
            row = self._rows[level]
        if level == 0:
            self._rows[0] = row

    def check_partial(self, size: int) -> None:
        """Compare the tiles at the right edge, which are not full."""
        for level, row in enumerate(self._rows):
            if row:
                self._compare(level, size >> HEIGHT * (level + 1), row)

    def _compare(self, level: int, number: int, row: Sequence[bytes]) -> None:
        path = tile_path(level, number, len(row))
        if self._read(path) != b"".join(row):
            raise Damaged(f"{path} is damaged", "it is not of the entries below it", _HINT)
