"""Walks two recipes of one source side by side, holding one folder's names at most.

Pure. Every source yields its entries in an order that repeats: a folder, what is in it that is no
folder, then its folders. So two recipes merge as two sorted lists do. An entry that was a file and
is a folder stands at two places of that order; it is held until its folder is over, and joined.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from strongroom.errors import StrongroomError
from strongroom.vault.recipe import RecipeLine

_Key = tuple[tuple[int, bytes], ...]


class OrderUnknown(StrongroomError):
    """The entries of a source stand in an order that cannot be merged."""

    hint = "Restore both snapshots and compare the folders."


@dataclass(frozen=True, slots=True)
class Side:
    """A line of one recipe, and the ordinal of its first chunk in the data stream."""

    line: RecipeLine
    start: int


@dataclass(frozen=True, slots=True)
class Pair:
    """What two recipes have at one path; one of the two may lack it."""

    before: Side | None
    after: Side | None

    @property
    def path(self) -> bytes:
        """The path of both."""
        side = self.before or self.after
        return side.line.entry.path if side is not None else b""


def merge_recipes(before: Iterable[RecipeLine], after: Iterable[RecipeLine]) -> Iterator[Pair]:
    """Yield what stands at each path of either recipe; raises OrderUnknown."""
    held: list[tuple[_Key, dict[bytes, Pair]]] = []
    for key, pair in _side_by_side(_keyed(before), _keyed(after)):
        while held and held[-1][0] != key[: len(held[-1][0])]:
            yield from held.pop()[1].values()
        if pair.before is not None and pair.after is not None:
            yield pair
            continue
        folder = key[:-1]
        if not held or held[-1][0] != folder:
            held.append((folder, {}))
        waiting = held[-1][1].pop(pair.path, None)
        if waiting is not None:
            yield Pair(pair.before or waiting.before, pair.after or waiting.after)
        elif key and key[-1][0] == 0:
            held[-1][1][pair.path] = pair
        else:
            yield pair
    while held:
        yield from held.pop()[1].values()


def _side_by_side(
    before: Iterator[tuple[_Key, Side]], after: Iterator[tuple[_Key, Side]]
) -> Iterator[tuple[_Key, Pair]]:
    old, new = next(before, None), next(after, None)
    while old is not None or new is not None:
        if old is not None and (new is None or old[0] < new[0]):
            yield old[0], Pair(old[1], None)
            old = next(before, None)
        elif new is not None and (old is None or new[0] < old[0]):
            yield new[0], Pair(None, new[1])
            new = next(after, None)
        elif old is not None and new is not None:
            yield new[0], Pair(old[1], new[1])
            old, new = next(before, None), next(after, None)


def _keyed(recipe: Iterable[RecipeLine]) -> Iterator[tuple[_Key, Side]]:
    """Yield each line with its place in the order of a walk."""
    last: _Key | None = None
    at = 0
    for line in recipe:
        entry = line.entry
        *above, name = entry.path.split(b"/")
        folder = tuple((1, part) for part in above)
        key: _Key = (*folder, (int(entry.kind == "directory"), name)) if entry.path else ()
        if entry.kind == "unreadable" and last is not None and key <= last:
            # A folder that could not be looked into stands among the folders.
            key = (*folder, (1, name))
        if last is not None and key <= last:
            raise OrderUnknown(
                "the entries of a source cannot be compared",
                "they stand in another order than this version writes",
            )
        last = key
        yield key, Side(line, at)
        at += line.chunks
