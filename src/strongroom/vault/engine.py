"""The vault: one client's data of one class, sealed and deduplicated, at several locations.

The front of the room. It writes snapshots, learns good ones, restores, checks; when a snapshot is
good, and who holds its keys, is decided elsewhere (docs/formats/share-v1.md).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import ClassVar, Final, TypeAlias

from strongroom.crypto.signing import key_id
from strongroom.database import Database
from strongroom.errors import Damaged
from strongroom.ids import Token, WriterId
from strongroom.locations import ObjectMissing
from strongroom.placement import FullCopies, Holding, Placement
from strongroom.vault import compare, prune, retention
from strongroom.vault.backup import SnapshotWriter, Tools
from strongroom.vault.check import (
    CheckReport,
    ChunkIds,
    Expected,
    Finding,
    ReadReport,
    check_copies,
    judge_pack,
    judge_statement,
    read_segments,
)
from strongroom.vault.codec import Zstandard
from strongroom.vault.compare import Pair as PairOfLines
from strongroom.vault.compare import Side as SideOfPair
from strongroom.vault.forgetting import Forgetting
from strongroom.vault.index import Index
from strongroom.vault.index_object import ListedPack, decode_index
from strongroom.vault.index_rows import ForeignPack, OwnSegment, SegmentPlace, SourceRuns
from strongroom.vault.keys import SessionKeys, WorkerKeys
from strongroom.vault.pack import (
    FOOT_BYTES,
    PackedSegment,
    pack_key,
    read_trailer,
    trailer_bytes,
)
from strongroom.vault.part import Part as SourcePart
from strongroom.vault.place import Progress as HowFar
from strongroom.vault.place import Report, VaultPlace
from strongroom.vault.reading import SegmentReader
from strongroom.vault.runs import Runs
from strongroom.vault.snapshot_reader import SnapshotReader
from strongroom.vault.source import Facts as FactsOfSource
from strongroom.vault.structure import SourceRecord as RecordOfSource
from strongroom.vault.structure import Structure as SnapshotStructure
from strongroom.vault.structure import decode_body, structure_context
from strongroom.vault.tomb import BuriedSnapshot, split_tomb_name
from strongroom.vault.tomb import Tomb as TombStone

_HIGH_REASON: Final = "class high: the dedup key of a session is forgotten when it ends"
_NOTHING: Final[Mapping[tuple[str, str], str]] = MappingProxyType({})
_FOREIGN_REASON: Final = "another writer stored it, under a dedup key of its own"


@dataclass(frozen=True, slots=True)
class CheckedSnapshot:
    """A snapshot to check: its sequence, the hash of its index object, its parsed body."""

    sequence: int
    index_hash: str
    structure: SnapshotStructure


class Vault:
    """One vault at its locations; one backup at a time, which the caller's lock guarantees."""

    Place: TypeAlias = VaultPlace
    Progress: TypeAlias = HowFar
    Structure: TypeAlias = SnapshotStructure
    Writer: TypeAlias = SnapshotWriter
    Checked: TypeAlias = CheckedSnapshot
    CheckReport: TypeAlias = CheckReport
    ReadReport: TypeAlias = ReadReport
    Reader: TypeAlias = SnapshotReader
    Part: TypeAlias = SourcePart
    Facts: TypeAlias = FactsOfSource
    Pair: TypeAlias = PairOfLines
    Side: TypeAlias = SideOfPair
    merge_recipes: ClassVar = staticmethod(compare.merge_recipes)
    SourceRecord: TypeAlias = RecordOfSource
    Candidate: TypeAlias = retention.Candidate
    Policy: TypeAlias = retention.KeepPolicy
    keep_plan: ClassVar = staticmethod(retention.plan)
    pack_key: ClassVar = staticmethod(pack_key)
    Tomb: TypeAlias = TombStone
    Buried: TypeAlias = BuriedSnapshot
    tomb_name: ClassVar = staticmethod(split_tomb_name)
    pruning: ClassVar = prune
    """What of a vault goes and what stays; pure."""

    def __init__(
        self,
        place: VaultPlace,
        placement: Placement,
        index: Database,
        keys: WorkerKeys,
        token: Token,
        threads: int = 2,
    ) -> None:
        self._place = place
        self._placement = placement
        self._copies = placement.copies
        self._index = Index(index)
        self.forgetting = Forgetting(index)
        self._keys = keys
        self._token = token
        self._threads = threads
        self._codec = Zstandard()

    def write(self, progress: Report) -> SnapshotWriter:
        """Begin a snapshot; what an earlier attempt left unfinished is swept from the index."""
        tools = Tools(
            self._place,
            self._placement,
            self._index,
            self._keys,
            self._token,
            self._codec,
            self._threads,
        )
        return SnapshotWriter(tools, progress)

    def knows(self, snapshot: str, writer: str, sequence: int) -> bool:
        """Say whether `learn` was done for the snapshot of this hash, writer and sequence."""
        return self._index.knows(snapshot, writer, sequence)

    def tally(self) -> dict[str, tuple[int, int]]:
        """Return of how many snapshots of each writer `learn` was done, and their sequences' sum.

        Two sets with the same tally are taken for the same set without being read.
        """
        return self._index.tally()

    @staticmethod
    def kept_packs(index: Database) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
        """Return the packs of the good snapshots that the index knows, with sizes; and its tally.

        Needs no key. Packs of a running backup, or of one that was interrupted, are left out.
        """
        rows = Index(index)
        return rows.kept_packs(), rows.tally()

    @staticmethod
    def kept_sessions(index: Database, lost: Iterable[str]) -> frozenset[str]:
        """Return the sessions to which dedup may refer, and those of the lost ones it knows of.

        Needs no key.
        """
        return Index(index).kept_sessions(lost)

    def learn(
        self, snapshot: str, body: bytes, writer_public: bytes, sequence: int, index_hash: str
    ) -> None:
        """Make what a GOOD snapshot stored usable; doing it twice is harmless.

        Rows that this index wrote itself are used; any other snapshot is read from the locations.
        Learn snapshots in order: a later one refers to segments of earlier ones. Raises Damaged.
        """
        writer = WriterId(key_id(writer_public))
        if self.knows(snapshot, writer, sequence):
            return
        structure = self.structure(body, writer_public, sequence)
        digest = bytes.fromhex(index_hash)
        if self._index.state(writer, sequence, digest) is None:
            packs = self._fetch_index(writer_public, sequence, digest)
            self._index.add_foreign(writer, sequence, digest, packs)
        numbers = self._places(structure, range(structure.segment_count))
        sources = [
            SourceRuns(
                source.id,
                source.entries,
                Runs(
                    number
                    for flat in (source.data, source.recipe)
                    for segment, first, count in structure.runs(flat)
                    for number in (numbers[segment].number, first, count)
                ),
            )
            for source in structure.sources
        ]
        self._index.make_good(snapshot, writer, sequence, sources)

    def learn_index(
        self, snapshot: str, writer_public: bytes, sequence: int, index_hash: str
    ) -> None:
        """Make known what a deleted snapshot had stored and others still need.

        Do it before `learn` of what stays. Raises ObjectMissing, Damaged.
        """
        writer = WriterId(key_id(writer_public))
        digest = bytes.fromhex(index_hash)
        if self._index.state(writer, sequence, digest) is None:
            packs = self._fetch_index(writer_public, sequence, digest)
            self._index.add_foreign(writer, sequence, digest, packs)
        self._index.make_good(snapshot, writer, sequence, ())
        self.forgetting.drop((), (snapshot,))

    def packs_of(self, structure: SnapshotStructure) -> frozenset[str]:
        """Return the ids of all packs that a snapshot needs; raises Damaged for an unknown one."""
        places = self._places(structure, range(structure.segment_count))
        return frozenset(place.pack for place in places.values())

    def holds(self, structure: SnapshotStructure) -> bool:
        """Say whether the index knows where every segment of a snapshot lies."""
        ids = {structure.segment(number) for number in range(structure.segment_count)}
        return len(self._index.places(list(ids))) == len(ids)

    def structure(self, body: bytes, writer_public: bytes, sequence: int) -> SnapshotStructure:
        """Open and parse the body of a snapshot's record; needs no content key. Raises Damaged."""
        context = structure_context(self._place.vault_bytes, writer_public, sequence)
        parsed = decode_body(body, self._keys.structure, context, self._codec)
        return replace(parsed, writer_public=writer_public)

    def read(self, structure: SnapshotStructure, keys: Mapping[str, SessionKeys]) -> SnapshotReader:
        """Open a snapshot to read it with released keys; use it in a `with` block."""
        return SnapshotReader(self._place, structure, keys, self._reader(keys), self._places)

    def check(
        self,
        snapshots: Sequence[CheckedSnapshot],
        read: bool = False,
        progress: Report = lambda _: None,
        noted: Mapping[tuple[str, str], str] = _NOTHING,
    ) -> CheckReport:
        """Compare the locations with what these snapshots need, without any content key.

        With `read` every byte is read at every location and hashed again. `noted` says, by location
        and key, why copies were refused when they were read last.
        """
        expected = Expected()
        sizes = self._index.packs()
        indexes = self.forgetting.pack_index()
        findings: list[Finding] = []
        for number, snapshot in enumerate(snapshots):
            structure = snapshot.structure
            digest = bytes.fromhex(snapshot.index_hash)
            judge = partial(self._judge_index, structure.writer_public, snapshot.sequence, digest)
            key = self._place.index_key(digest)
            expected.need(number, key, partial(FullCopies(self._copies).holdings, key, None, judge))
            try:
                places = self._places(structure, range(structure.segment_count))
            except Damaged as err:
                findings.append(Finding("unknown", "", str(snapshot.sequence), (number,), str(err)))
                continue
            packs = {place.pack for place in places.values()}
            for pack in packs:
                key = self._key_of(pack)
                expected.need(number, key, partial(self.holdings, pack, sizes[pack]))
            for other in {indexes[pack] for pack in packs if pack in indexes}:
                if other != snapshot.index_hash:
                    key = self._place.index_key(bytes.fromhex(other))
                    named = partial(judge_statement, other)
                    expected.need(
                        number, key, partial(FullCopies(self._copies).holdings, key, None, named)
                    )
        total = expected.total_bytes
        report = check_copies(
            self._place,
            self._placement,
            expected,
            frozenset(self._key_of(pack) for pack in sizes),
            (lambda done: progress(HowFar(done, total))) if read else None,
            noted,
        )
        return replace(report, findings=(*findings, *report.findings))

    def holdings(self, pack: str, size_bytes: int) -> Mapping[str, Holding]:
        """Return what each location should hold of a pack; needs no content key."""
        return self._placement.holdings(self._key_of(pack), size_bytes, partial(judge_pack, pack))

    def remake(self, name: str, pack: str, size_bytes: int) -> bytes:
        """Return what the location of this name should hold of a pack, made from the others.

        Raises Damaged, ObjectMissing or LocationUnavailable where they do not have enough.
        """
        return self._placement.remake(
            name, self._key_of(pack), size_bytes, partial(judge_pack, pack)
        )

    def read_data(
        self,
        structure: SnapshotStructure,
        writer_public: bytes,
        keys: Mapping[str, SessionKeys],
        progress: Report = lambda _: None,
    ) -> ReadReport:
        """Open every segment of a snapshot and compute every chunk id again, where possible."""
        places = self._places(structure, range(structure.segment_count))
        reason = ""
        if self._place.vault_class == "high":
            reason = _HIGH_REASON
        elif writer_public != self._keys.writer_public:
            reason = _FOREIGN_REASON
        ids = ChunkIds(self._keys.dedup, self._trailer, reason)
        with self._reader(keys) as reader:
            return read_segments(reader, list(places.values()), ids, progress)

    def _reader(self, keys: Mapping[str, SessionKeys]) -> SegmentReader:
        return SegmentReader(self._place, self._placement, keys, self._codec, self._threads)

    def _places(
        self, structure: SnapshotStructure, numbers: Iterable[int]
    ) -> dict[int, SegmentPlace]:
        ids = {number: structure.segment(number) for number in numbers}
        found = self._index.places(list(ids.values()))
        missing = [one for one in ids.values() if one not in found]
        if missing:
            raise Damaged(
                "a snapshot refers to a segment that no known index names",
                f"{missing[0].hex()} and {len(missing) - 1} more",
                "Learn every snapshot of the vault in order; `strongroom recover` does.",
            )
        return {number: found[one] for number, one in ids.items()}

    def _fetch_index(
        self, writer_public: bytes, sequence: int, digest: bytes
    ) -> Iterator[ForeignPack]:
        """Yield the packs of a snapshot one by one: all chunk ids of a large one fill memory."""
        judge = partial(self._judge_index, writer_public, sequence, digest)
        listed = judge(self._copies.get(self._place.index_key(digest), judge))
        own = writer_public == self._keys.writer_public and self._place.vault_class == "normal"
        for pack in listed:
            yield self._with_chunks(pack) if own else _for_reading(pack)

    def _judge_index(
        self, writer_public: bytes, sequence: int, digest: bytes, data: bytes
    ) -> tuple[ListedPack, ...]:
        """Return what an index object lists; raises Damaged unless a snapshot named this one."""
        found, packs = decode_index(
            data, self._place, self._keys.structure, writer_public, sequence, self._codec
        )
        if found != digest:
            raise Damaged(f"the index object of snapshot {sequence} is another one", found.hex())
        return packs

    def _with_chunks(self, pack: ListedPack) -> ForeignPack:
        try:
            packed = {one.id: one for one in self._trailer(pack.id)}
        except (Damaged, ObjectMissing):
            # Deleted with the snapshots that needed it, or lost: dedup never refers to it.
            return _for_reading(pack)
        missing = [one.id.hex() for one in pack.segments if one.id not in packed]
        if missing:
            raise Damaged(f"pack {pack.id} does not hold what its index names", missing[0])
        own = tuple(OwnSegment(packed[one.id]) for one in pack.segments)
        return ForeignPack(pack.id, pack.size_bytes, own)

    def _trailer(self, pack: str) -> tuple[PackedSegment, ...]:
        key = self._key_of(pack)
        found: list[PackedSegment] = []

        def accept_foot(foot: bytes) -> None:
            trailer_bytes(foot, pack)

        def accept_tail(tail: bytes) -> None:
            found[:] = read_trailer(
                tail, self._keys.structure, self._place.vault_bytes, pack, self._codec
            )

        foot = self._placement.get(key, accept_foot, -FOOT_BYTES, FOOT_BYTES)
        length = trailer_bytes(foot, pack)
        self._placement.get(key, accept_tail, -length, length)
        return tuple(found)

    def _key_of(self, pack: str) -> str:
        return f"{self._place.root}/{pack_key(pack)}"


def _for_reading(pack: ListedPack) -> ForeignPack:
    return ForeignPack(pack.id, pack.size_bytes, pack.segments)
