"""A part of a source: which lines of its recipe are wanted, and which chunks of its data.

Pure. A part is named by paths: each brings itself, everything below it, and the folders above it
without what else is in them. The recipe is read whole for that, so its digest is verified; of the
data only what the part needs is fetched. A hard link whose first name is not in the part becomes
the file itself, and further links to that file become links to it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Final

from msgspec import structs

from strongroom.errors import Refused, UsageError, printable
from strongroom.vault.recipe import RecipeLine
from strongroom.vault.runs import Runs
from strongroom.vault.source import Facts

NEAR_NAMES_MAX: Final = 1000

Recipe = Iterable[RecipeLine]
_Firsts = Mapping[bytes, tuple[RecipeLine, int]]
"""Lines of files that hard links of the part lead to, with the ordinals of their first chunks."""


class Paths:
    """Wanted paths, with what is below and above them."""

    def __init__(self, wanted: Collection[bytes]) -> None:
        self.wanted: Final = frozenset(wanted)
        self._above = frozenset(above for path in self.wanted for above in _folders_above(path))

    def take(self, path: bytes) -> bool:
        """Say whether a path is wanted, below a wanted one, or a folder above one."""
        if path in self._above or path in self.wanted:
            return True
        return any(above in self.wanted for above in _folders_above(path))


@dataclass(frozen=True, slots=True)
class Part:
    """What was chosen of one source, after its recipe was read and verified."""

    paths: Paths
    firsts: _Firsts
    ranges: Runs
    """The chunks of the data stream in the order they are wanted, by ordinal, as segment 0."""
    chunks: int = 0
    size_bytes: int = 0
    facts: Facts = field(default_factory=dict, repr=False)
    """What was recorded and holds for the part as well, for the target to compare."""

    def lines(self, recipe: Recipe) -> Iterator[RecipeLine]:
        """Yield the chosen lines of the recipe, hard links made whole."""
        return (line for line, _ in _chosen(recipe, self.paths, self.firsts))


def choose(read: Callable[[], Recipe], paths: Paths) -> Part:
    """Return the part that these paths name; raises UsageError for one that is not there.

    `read` begins the recipe anew at each call; it is read again where one pass cannot tell.
    """
    missing = set(paths.wanted)
    links: set[bytes] = set()

    def watched() -> Iterator[RecipeLine]:
        for line in read():
            entry = line.entry
            missing.discard(entry.path)
            if entry.kind == "hardlink" and paths.take(entry.path) and not paths.take(entry.link):
                links.add(entry.link)
            yield line

    part = _measure(watched(), paths, {})
    if missing:
        raise _nothing_at(min(missing), read())
    if links:
        part = _measure(read(), paths, _find(read(), links))
    return part


def _measure(recipe: Recipe, paths: Paths, firsts: _Firsts) -> Part:
    ranges = Runs()
    chunks = size = 0
    for line, start in _chosen(recipe, paths, firsts):
        if line.chunks:
            ranges.add(0, start, line.chunks)
        chunks += line.chunks
        size += line.entry.data_bytes
    return Part(paths, firsts, ranges, chunks, size)


def _chosen(recipe: Recipe, paths: Paths, firsts: _Firsts) -> Iterator[tuple[RecipeLine, int]]:
    """Yield the chosen lines, each with the ordinal of its first chunk."""
    at = 0
    names: dict[bytes, bytes] = {}
    for line in recipe:
        entry, start = line.entry, at
        at += line.chunks
        if not paths.take(entry.path):
            continue
        if entry.kind == "hardlink" and entry.link in names:
            yield replace(line, entry=structs.replace(entry, link=names[entry.link])), start
        elif entry.kind == "hardlink" and entry.link in firsts:
            names[entry.link] = entry.path
            first, its_start = firsts[entry.link]
            yield replace(first, entry=structs.replace(first.entry, path=entry.path)), its_start
        else:
            yield line, start


def _find(recipe: Recipe, links: Collection[bytes]) -> _Firsts:
    found: dict[bytes, tuple[RecipeLine, int]] = {}
    at = 0
    for line in recipe:
        if line.entry.path in links:
            if line.entry.kind != "file":
                # No writer of ours makes one, and following it could take as many passes.
                raise Refused(
                    f"{shown(line.entry.path)} is a hard link to a hard link",
                    "its bytes cannot be found without the whole source",
                    hint="Restore the whole source.",
                )
            found[line.entry.path] = (line, at)
        at += line.chunks
    return found


def shown(path: bytes) -> str:
    """Return a path as a person may see it."""
    return printable(path.decode("utf-8", "backslashreplace"))


def _nothing_at(path: bytes, recipe: Recipe) -> UsageError:
    """Return the error for a path that is not there, with names that are near it."""
    folder, _, name = path.rpartition(b"/")
    beside: list[str] = []
    for line in recipe:
        above, _, last = line.entry.path.rpartition(b"/")
        if (above == folder or last == name) and len(beside) < NEAR_NAMES_MAX:
            beside.append(shown(line.entry.path))
    near = get_close_matches(shown(path), beside, cutoff=0.5)
    return UsageError(
        f"the snapshot has nothing at {shown(path)!a:.200}",
        f"near it: {', '.join(near)}" if near else "",
        hint="See what it has with `strongroom browse CLIENT SNAPSHOT SOURCE/FOLDER`.",
    )


def _folders_above(path: bytes) -> Iterator[bytes]:
    """Yield the folders that a path stands in, the root last."""
    while path:
        path = path.rpartition(b"/")[0]
        yield path
