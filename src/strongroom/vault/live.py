"""Counts how much of each segment is alive: used by some source's last good snapshot.

A segment less than half alive is not used for dedup: what is needed of it is stored again, so
what is held stays under twice what lives, without any content key.
"""

import struct
from collections.abc import Sequence

from strongroom.database import Transaction
from strongroom.vault.runs import Runs


def count_live(db: Transaction, segments: set[int]) -> None:
    """Write the live bytes of these segments where they have changed."""
    alive: dict[int, list[tuple[int, int]]] = {}
    for (runs,) in db.rows("SELECT runs FROM source") if segments else ():
        for segment, first, count in Runs.decode(runs):
            if segment in segments:
                alive.setdefault(segment, []).append((first, first + count))
    changes: list[tuple[int, int]] = []
    for number in sorted(segments):
        row = db.row(
            "SELECT chunks, plain_bytes, live_bytes FROM segment WHERE number = ?", (number,)
        )
        if row is None:
            continue
        chunks, plain, live = row
        now = 0
        if number in alive:
            places = _union(alive[number])
            whole = sum(end - first for first, end in places) == chunks
            now = plain if whole else _bytes_alive(db, number, places)
        if now != live:
            changes.append((now, number))
    db.run_many("UPDATE segment SET live_bytes = ? WHERE number = ?", changes)


def _bytes_alive(db: Transaction, number: int, places: Sequence[tuple[int, int]]) -> int:
    row = db.row("SELECT lengths FROM segment WHERE number = ?", (number,))
    if row is None or row[0] is None:
        return 0
    lengths: tuple[int, ...] = struct.unpack(f"<{len(row[0]) // 4}I", row[0])
    return sum(sum(lengths[first:end]) for first, end in places)


def _union(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges that touch or overlap, so that nothing is counted twice."""
    joined: list[tuple[int, int]] = []
    for first, end in sorted(places):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return joined
