"""Looks whether everything is where it should be, and is what was put there.

`check_copies` needs no content key: it compares listings, and on request reads every byte and
computes its hash again. `read_segments` opens everything of a snapshot and computes chunk ids.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from strongroom.crypto.envelope import decode_envelope
from strongroom.crypto.hashing import content_hash, keyed_hash
from strongroom.crypto.sealing import derive
from strongroom.errors import Damaged
from strongroom.locations import Location, LocationUnavailable, ObjectMissing
from strongroom.placement import Holding, Placement
from strongroom.vault.index_rows import SegmentPlace
from strongroom.vault.pack import PackedSegment, StreamType
from strongroom.vault.place import Progress, VaultPlace
from strongroom.vault.reading import Opened, SegmentReader, spans_of


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be; `hit` are the numbers of those that need the object.

    They count from 0 in the sequence of snapshots that was checked.
    """

    kind: str
    location: str
    object: str
    hit: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was looked at and found; orphans are objects no snapshot names, and harmless.

    `sound` are the copies, by location and key, that were read and are what they should be.
    """

    objects: int
    bytes_read: int
    findings: tuple[Finding, ...]
    orphans: tuple[tuple[str, str], ...]
    sound: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What was opened; `not_recomputed` says why chunk ids were not, or is empty."""

    segments: int
    chunks: int
    bytes: int
    not_recomputed: str
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class Expected:
    """What each location should hold of every object, and which snapshots need the object."""

    holdings: dict[str, Mapping[str, Holding]] = field(default_factory=dict)
    needed_by: dict[str, int] = field(default_factory=dict)
    """For each object a bit for each snapshot: ten thousand of them are little over a kilobyte."""

    @property
    def total_bytes(self) -> int:
        """Return how much that is at all locations, as far as sizes are known."""
        return sum(one.size_bytes or 0 for each in self.holdings.values() for one in each.values())

    def need(self, number: int, key: str, holdings: Callable[[], Mapping[str, Holding]]) -> None:
        """Note that the snapshot of this number needs the object; asks for its holdings once."""
        if key not in self.holdings:
            self.holdings[key] = holdings()
        self.needed_by[key] = self.needed_by.get(key, 0) | 1 << number

    def hit(self, key: str) -> tuple[int, ...]:
        """Return the numbers of the snapshots that need this object."""
        bits = self.needed_by[key]
        return tuple(number for number in range(bits.bit_length()) if bits >> number & 1)


def check_copies(
    place: VaultPlace,
    placement: Placement,
    expected: Expected,
    named: frozenset[str],
    read: Callable[[int], None] | None,
    noted: Mapping[tuple[str, str], str],
) -> CheckReport:
    """Compare every location with what is expected; `read` also reads, telling bytes so far.

    `named` are keys that are no orphans although no given snapshot needs them; `noted` says why
    copies were refused when they were read last, which counts where they are not read now.
    """
    findings: list[Finding] = []
    orphans: list[tuple[str, str]] = []
    sound: list[tuple[str, str]] = []
    known = named | expected.holdings.keys()
    done = 0
    for name, location in placement.copies.locations.items():
        try:
            sizes = _list(place, location)
        except LocationUnavailable as err:
            findings.append(Finding("unknown", name, "", (), str(err)))
            continue
        orphans += [(name, key) for key in sizes if placement.object_of(key) not in known]
        for key, holdings in expected.holdings.items():
            holding = holdings.get(name)
            if holding is None:
                continue
            kind, why = _compare(holding, sizes)
            if not kind and read is not None:
                kind, why = _read(location, holding)
                done += sizes[holding.key]
                read(done)
                if not kind:
                    sound.append((name, holding.key))
            elif not kind and (name, holding.key) in noted:
                kind, why = "damaged", noted[name, holding.key]
            if kind:
                findings.append(Finding(kind, name, holding.key, expected.hit(key), why))
    return CheckReport(len(expected.holdings), done, tuple(findings), tuple(orphans), tuple(sound))


def _list(place: VaultPlace, location: Location) -> dict[str, int]:
    return {
        stat.key: stat.size_bytes
        for part in ("packs", "index")
        for stat in location.list(f"{place.root}/{part}")
    }


def _compare(holding: Holding, sizes: Mapping[str, int]) -> tuple[str, str]:
    found, wanted = sizes.get(holding.key), holding.size_bytes
    if found is None:
        return "missing", "the location does not list it"
    if wanted is not None and found != wanted:
        return "damaged", f"{found} of {wanted} bytes"
    return "", ""


def _read(location: Location, holding: Holding) -> tuple[str, str]:
    try:
        holding.judge(location.get(holding.key))
    except LocationUnavailable as err:
        return "unknown", str(err)
    except ObjectMissing as err:
        return "missing", str(err)
    except Damaged as err:
        return "damaged", str(err)
    return "", ""


def judge_pack(pack: str, data: bytes) -> None:
    """Raise Damaged unless these are the bytes of the pack, whose name is their hash."""
    found = content_hash(data).hex()
    if found != pack:
        raise Damaged("its bytes do not hash to its name", found)


def judge_statement(wanted: str, data: bytes) -> None:
    """Raise Damaged unless these are the bytes of the signed object of this hash."""
    found = decode_envelope(data, "a signed object").statement.hash.hex()
    if found != wanted:
        raise Damaged("its hash is not the one that names it", found)


class ChunkIds:
    """Computes the ids of opened chunks again and compares them with the trailers of the packs."""

    def __init__(
        self, dedup: bytes, trailer: Callable[[str], tuple[PackedSegment, ...]], reason: str
    ) -> None:
        self.not_recomputed = reason
        self._trailer = trailer
        self._hashes = {
            int(kind): keyed_hash(derive(dedup, "chunk-id", b"", kind.name.lower().encode()))
            for kind in StreamType
        }
        self._pack = ""
        self._ids: dict[bytes, tuple[tuple[bytes, int], ...]] = {}

    def compare(self, one: SegmentPlace, opened: Opened) -> str:
        """Return what is wrong with a segment, or nothing; raises Damaged for a bad trailer."""
        if self.not_recomputed:
            return ""
        if self._pack != one.pack:
            self._pack, self._ids = one.pack, {}
            self._ids = {segment.id: segment.chunks for segment in self._trailer(one.pack)}
        listed = self._ids.get(one.id)
        if listed is None:
            return "the trailer of its pack does not list it"
        compute = self._hashes[one.stream]
        view = memoryview(opened.payload)
        starts = (0, *opened.ends)
        found = tuple(
            (compute(view[start:end]), end - start)
            for start, end in zip(starts, opened.ends, strict=False)
        )
        return "" if found == listed else "its chunks are not those its trailer names"


def read_segments(
    reader: SegmentReader,
    places: Sequence[SegmentPlace],
    ids: ChunkIds,
    progress: Callable[[Progress], None],
) -> ReadReport:
    """Open every segment and compute every chunk id again where the dedup key allows it."""
    findings: list[Finding] = []
    segments = chunks = size = 0
    expected = sum(one.plain_bytes for one in places)
    ordered = sorted(places, key=lambda one: (one.pack, one.offset))
    for one, opened in _open_all(reader, ordered, findings):
        segments += 1
        chunks += len(opened.ends)
        size += len(opened.payload)
        try:
            why = ids.compare(one, opened)
        except Damaged as err:
            why = str(err)
        if why:
            findings.append(Finding("damaged", "", f"{one.pack}/{one.id.hex()}", (0,), why))
        progress(Progress(size, expected))
    return ReadReport(segments, chunks, size, ids.not_recomputed, tuple(findings))


def _open_all(
    reader: SegmentReader, places: Sequence[SegmentPlace], findings: list[Finding]
) -> Iterator[tuple[SegmentPlace, Opened]]:
    """Yield each segment in clear; what cannot be opened anywhere is a finding, not an end."""

    def open_or_tell(one: SegmentPlace) -> Opened | None:
        try:
            return reader.open_span((one,))[one.id]
        except (Damaged, ObjectMissing, LocationUnavailable) as err:
            findings.append(Finding("damaged", "", f"{one.pack}/{one.id.hex()}", (0,), str(err)))
            return None

    for span in spans_of(places):
        for one, opened in zip(span, reader.each(open_or_tell, span), strict=True):
            if opened is not None:
                yield one, opened
