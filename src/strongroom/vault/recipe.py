"""The recipe: the list of a source's entries, one JSON object a line, and the rule for names.

Pure. Restoring is parsing hostile input, so the rule for names stands here, in one place, and not
in each target: no name climbs, hides, repeats, or stands below something that is no directory.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

import msgspec

from strongroom.crypto.hashing import Bytes
from strongroom.errors import Damaged
from strongroom.vault.source import Entry, EntryKind

LINE_BYTES_MAX: Final = 1 << 20
_INTEGER_MAX: Final = (1 << 63) - 1


class _Line(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One line; the fields stand in the order in which they are written."""

    c: int = 0
    g: int = 0
    h: tuple[int, ...] = ()
    k: str = ""
    l: str = ""  # noqa: E741 - the name is the format's
    m: int = 0
    p: str = ""
    s: int = 0
    t: int = 0
    u: int = 0
    x: tuple[tuple[str, bytes], ...] = ()  # msgspec writes and reads bytes as base64


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(_Line)
_KINDS: Final[dict[str, EntryKind]] = {
    "file": "file",
    "directory": "directory",
    "symlink": "symlink",
    "hardlink": "hardlink",
    "unreadable": "unreadable",
    "special": "special",
}
_WITH_ATTRIBUTES: Final = ("file", "directory", "symlink")


@dataclass(frozen=True, slots=True)
class RecipeLine:
    """An entry and how many of the next chunks of the data stream are its bytes."""

    entry: Entry
    chunks: int


def encode_line(entry: Entry, size_bytes: int, chunks: int) -> bytes:
    """Return the line of one entry; `size_bytes` is what was read, not what was announced."""
    holes: tuple[int, ...] = ()
    if entry.holes:
        entry = entry.with_data(size_bytes)
        size_bytes = entry.size_bytes
        holes = tuple(chain.from_iterable(entry.holes))
    line = _Line(
        c=chunks,
        g=entry.group,
        h=holes,
        k=entry.kind,
        l=entry.link.decode("latin-1"),
        m=entry.mode,
        p=entry.path.decode("latin-1"),
        s=size_bytes,
        t=entry.modified_ns,
        u=entry.owner,
        x=tuple((name.decode("latin-1"), value) for name, value in entry.attributes)
        if entry.attributes
        else (),
    )
    return _ENCODER.encode(line) + b"\n"


def decode_line(text: bytes) -> RecipeLine:
    """Read one line without its line end; raises Damaged unless every field is in its bounds."""
    try:
        line = _DECODER.decode(text)
        path, link = line.p.encode("latin-1"), line.l.encode("latin-1")
        attributes = tuple((name.encode("latin-1"), value) for name, value in line.x)
    except ValueError as err:
        raise Damaged("a line of a recipe cannot be read", str(err)) from err
    kind = _KINDS.get(line.k)
    counts = (line.c, line.g, line.m, line.s, line.u)
    if kind is None or min(counts) < 0 or max(*counts, abs(line.t)) > _INTEGER_MAX:
        raise Damaged("a line of a recipe is malformed", f"a number or a kind: {line.k!r:.40}")
    if kind != "file" and (line.c or line.s or line.h):
        raise Damaged("a line of a recipe is malformed", f"a {kind} has no bytes")
    if attributes:
        _check_attributes(kind, attributes)
    return RecipeLine(
        Entry(
            path=path,
            kind=kind,
            size_bytes=line.s,
            mode=line.m,
            modified_ns=line.t,
            owner=line.u,
            group=line.g,
            link=link,
            attributes=attributes,
            holes=_holes(line) if line.h else (),
        ),
        line.c,
    )


def _check_attributes(kind: EntryKind, attributes: tuple[tuple[bytes, bytes], ...]) -> None:
    """Raise Damaged unless the attributes are those that a system could have handed out."""
    if kind not in _WITH_ATTRIBUTES:
        raise Damaged("a line of a recipe is malformed", f"a {kind} has no attributes")
    total = 0
    before = b""
    for name, value in attributes:
        if name <= before or len(name) > Entry.ATTRIBUTE_NAME_BYTES_MAX or b"\x00" in name:
            raise Damaged(
                "a line of a recipe is malformed",
                f"the name of an attribute is out of order or none: {name!r:.80}",
            )
        if len(value) > Entry.ATTRIBUTE_VALUE_BYTES_MAX:
            raise Damaged("a line of a recipe is malformed", f"an attribute has {len(value)} bytes")
        before = name
        total += len(name) + len(value)
    if total > Entry.ATTRIBUTES_BYTES_MAX or len(attributes) > Entry.ATTRIBUTES_MAX:
        raise Damaged(
            "a line of a recipe is malformed",
            f"it has {len(attributes)} attributes of {total} bytes",
        )


def _holes(line: _Line) -> tuple[tuple[int, int], ...]:
    """Return the holes of a line; raises Damaged unless they are in order and within the file."""
    holes = tuple(zip(line.h[::2], line.h[1::2], strict=False))
    end = -1
    for offset, length in holes:
        if offset <= end or length <= 0:
            raise Damaged(
                "a line of a recipe is malformed", f"a hole is out of order: {offset}, {length}"
            )
        end = offset + length
    if len(line.h) % 2 or len(holes) > Entry.HOLES_MAX or end > line.s:
        raise Damaged(
            "a line of a recipe is malformed",
            f"{len(line.h)} numbers of holes up to {end} in a file of {line.s} bytes",
        )
    return holes


def check_path(path: bytes) -> None:
    """Raise Damaged unless a path is relative, goes only down and names something."""
    if not path:
        return
    if path.startswith(b"/"):
        raise _hostile(path, "it is absolute")
    if b"\x00" in path:
        raise _hostile(path, "it holds a NUL byte")
    if len(path) > Entry.PATH_BYTES_MAX:
        raise _hostile(path, f"it has {len(path)} bytes")
    for part in path.split(b"/"):
        if part in (b"", b".", b".."):
            raise _hostile(path, f"one of its parts is {part!r}")


class PathRule:
    """Judges the entries of one recipe in order; remembers hashes of names, not the names."""

    def __init__(self) -> None:
        self._directories: set[int] = set()
        self._files: set[int] = set()
        self._others: set[int] = set()
        self._root: EntryKind | None = None

    def accept(self, entry: Entry) -> None:
        """Raise Damaged when the entry may not stand where it stands."""
        path = entry.path
        check_path(path)
        # Python's hash of bytes is keyed anew in every process, so nobody can aim a collision.
        name = hash(path)
        if name in self._directories or name in self._files or name in self._others:
            raise _hostile(path, "it appears twice")
        self._check_parent(path)
        if entry.kind == "hardlink":
            check_path(entry.link)
            if hash(entry.link) not in self._files:
                raise _hostile(path, f"it is a hard link to no earlier file: {entry.link!r:.80}")
        elif b"\x00" in entry.link:
            raise _hostile(path, "its target holds a NUL byte")
        if not path:
            self._root = entry.kind
        if entry.kind == "directory":
            self._directories.add(name)
        elif entry.kind in ("file", "hardlink"):
            self._files.add(name)
        else:
            self._others.add(name)

    def _check_parent(self, path: bytes) -> None:
        """A parent comes before its children and is a directory, so no link is followed."""
        parent, slash, _ = path.rpartition(b"/")
        if slash and hash(parent) not in self._directories:
            raise _hostile(path, "what it stands in is not a directory of this recipe")
        if path and self._root not in (None, "directory"):
            raise _hostile(path, f"it stands in a root that is a {self._root}")
        if not path and (self._directories or self._files or self._others):
            raise _hostile(path, "the root comes after other entries")


def split_lines(chunks: Iterable[Bytes]) -> Iterator[bytes]:
    """Yield the lines of a recipe stream; raises Damaged for a line without end or too long."""
    # Parts of a line are joined once, so that a line in a million tiny chunks costs no more.
    held: list[Bytes] = []
    held_bytes = 0
    for chunk in chunks:
        begun, *lines = bytes(chunk).split(b"\n")
        held.append(begun)
        held_bytes += len(begun)
        if lines:
            yield b"".join(held)
            *whole, begun = lines
            yield from whole
            held, held_bytes = [begun], len(begun)
        if held_bytes > LINE_BYTES_MAX:
            raise Damaged("a recipe is malformed", f"a line has more than {LINE_BYTES_MAX} bytes")
    if held_bytes:
        raise Damaged("a recipe is cut short", "its last line has no end")


def _hostile(path: bytes, why: str) -> Damaged:
    return Damaged(f"a backup holds a name that is refused: {path!r:.120}", why)
