"""Reads one snapshot with the keys that its custodians released: facts, entries, data.

Whole sources and parts of them come back the same way. The recipe of a source is always read whole
and verified; of the data only the segments that are wanted are fetched.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from strongroom.errors import Damaged
from strongroom.vault.index_rows import SegmentPlace
from strongroom.vault.keys import SessionKeys
from strongroom.vault.part import Part, Paths, choose
from strongroom.vault.place import Report, VaultPlace
from strongroom.vault.reading import SegmentReader, StreamReader
from strongroom.vault.recipe import RecipeLine
from strongroom.vault.restore import RestoreOutcome, Streams, read_entries, restore_streams
from strongroom.vault.runs import ChunkRuns, Run, Runs
from strongroom.vault.source import Facts, Target
from strongroom.vault.structure import Root, Structure, facts_of, open_source_root


@dataclass(frozen=True, slots=True)
class SnapshotReader:
    """One snapshot, opened; use it in a `with` block."""

    place: VaultPlace
    structure: Structure
    keys: Mapping[str, SessionKeys]
    reader: SegmentReader
    places: Callable[[Structure, Iterable[int]], dict[int, SegmentPlace]]

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the threads back."""
        self.reader.__exit__(kind, error, trace)

    def facts(self, source_id: str) -> Facts:
        """Return what was true of a source when it was read; raises Damaged."""
        return facts_of(self._root(source_id))

    def entries(self, source_id: str) -> Iterator[RecipeLine]:
        """Yield the entries of a source; what they say counts when the last one has come.

        Raises Damaged, at the end where the recipe is another than its root names.
        """
        recipe = self._runs(self.structure.source(source_id).recipe)
        return read_entries(self._root(source_id), self._stream(recipe))

    def choose(self, source_id: str, paths: Collection[bytes], facts: Facts) -> Part:
        """Return the part of a source that these paths name, each with all that is below it.

        Reads the recipe, no data. `facts` are those that hold for the part as well. Raises
        UsageError for a path that is not there.
        """
        part = choose(lambda: self.entries(source_id), Paths(paths))
        return replace(part, facts=facts)

    def restore(
        self, source_id: str, target: Target, progress: Report, part: Part | None = None
    ) -> RestoreOutcome:
        """Restore a source or a part; nothing is published before everything was checked.

        Raises Damaged, or what the locations or the target raise; then the target is abandoned.
        """
        source, root = self.structure.source(source_id), self._root(source_id)
        data = self._runs(source.data)
        expected = source.plain_bytes
        if part is not None:
            if sum(count for _, _, count in data) != root.data_chunks:
                raise Damaged("a source has another length than its root says", source.name)
            data = _sliced(data, ((first, count) for _, first, count in part.ranges))
            expected = part.size_bytes
        recipe = self._stream(self._runs(source.recipe))
        streams = Streams(root, recipe, self._stream(data), expected)
        return restore_streams(streams, target, progress, part)

    def chunks(self, source_id: str, ranges: Iterable[tuple[int, int]]) -> StreamReader:
        """Return a reader of some chunks of the data, given as (ordinal of the first, how many)."""
        return self._stream(_sliced(self._runs(self.structure.source(source_id).data), ranges))

    def chunk_runs(self, source_id: str) -> ChunkRuns:
        """Return the runs of a source's data, by which equal content is known without reading."""
        return ChunkRuns(self._runs(self.structure.source(source_id).data))

    def named(self, runs: Runs) -> list[tuple[bytes, int, int]]:
        """Return runs with the ids of their segments, which mean the same in every snapshot."""
        return [(self.structure.segment(number), first, count) for number, first, count in runs]

    def _runs(self, flat: tuple[int, ...]) -> tuple[Run, ...]:
        return self.structure.runs(flat)

    def _stream(self, runs: tuple[Run, ...]) -> StreamReader:
        places = self.places(self.structure, {segment for segment, _, _ in runs})
        return StreamReader(self.reader, runs, places)

    def _root(self, source_id: str) -> Root:
        session = self.structure.source(source_id).session
        if session not in self.keys:
            raise Damaged(f"source {source_id} cannot be opened", f"no key of session {session}")
        return open_source_root(
            self.place.vault_bytes, self.keys[session], self.structure.root(source_id)
        )


def _sliced(runs: tuple[Run, ...], ranges: Iterable[tuple[int, int]]) -> tuple[Run, ...]:
    return tuple(ChunkRuns(runs).slice(ranges))
