"""Writes one snapshot: reads sources, stores what is new, and says what the record must name.

Told in docs/life-of. Nothing written here counts until the snapshot's record is placed and good;
an attempt that ends before leaves orphans at the locations and rows that the next one sweeps.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Final, NamedTuple, Self

from msgspec import structs

from strongroom.crypto.hashing import Digest, keyed_hash, statement_hash
from strongroom.crypto.sealing import KEY_BYTES, SALT_BYTES, derive
from strongroom.errors import UsageError
from strongroom.ids import ID_BYTES, Token
from strongroom.placement import Placement
from strongroom.vault.chunker import RECIPE_PROFILE, Chunker
from strongroom.vault.index import Index
from strongroom.vault.index_object import encode_index
from strongroom.vault.index_rows import CachedFile, FileRow
from strongroom.vault.keys import SessionKeys, WorkerKeys
from strongroom.vault.pack import Pack, PackBuilder, StreamType
from strongroom.vault.pipeline import PackLine, Sealed, SealingLine
from strongroom.vault.place import Progress, VaultPlace
from strongroom.vault.recipe import encode_line
from strongroom.vault.runs import Run, Runs
from strongroom.vault.segment import Codec
from strongroom.vault.source import Entry, EntryUnreadable, Facts, Source
from strongroom.vault.streams import KnownChunks, Sink, Stream
from strongroom.vault.structure import (
    Carried,
    SourceRecord,
    Structure,
    encode_body,
    make_client,
    make_root,
    seal_source_root,
    structure_context,
)

ENTRIES_AHEAD: Final = 256
FILE_ROWS_MAX: Final = 4096
_FILE_KEY_BYTES: Final = 16
PROGRESS_STEP_BYTES: Final = 4 << 20
_STALE_FILES_MAX: Final = 1024


class SourceName(NamedTuple):
    """What names a source in a snapshot."""

    id: str
    name: str
    url: str
    kind: str


@dataclass(frozen=True, slots=True)
class SourceOutcome:
    """What was done with one source."""

    entries: int
    unreadable: tuple[tuple[bytes, str], ...]
    read_bytes: int
    plain_bytes: int
    new_bytes: int
    stored_bytes: int
    facts: Facts = field(repr=False)
    facts_commitment: str


@dataclass(slots=True)
class _Pass:
    """What one pass over a source has gathered so far."""

    name: SourceName
    source: Source
    data: Stream
    recipe: Stream
    runs: Runs = field(default_factory=Runs)
    recipe_runs: Runs = field(default_factory=Runs)
    recipe_digest: Digest = field(default_factory=Digest)
    recipe_bytes: int = 0
    entries: int = 0
    unreadable: dict[bytes, str] = field(default_factory=dict)
    special: int = 0
    read_bytes: int = 0
    plain_bytes: int = 0
    chunks: int = 0
    files: list[FileRow] = field(default_factory=list)
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class _Kept:
    """A source that is in the snapshot; its runs still name segments by number of the index."""

    record: SourceRecord
    data: Runs
    recipe: Runs
    root: bytes


@dataclass(frozen=True, slots=True)
class Tools:
    """What a writer works with."""

    place: VaultPlace
    placement: Placement
    index: Index
    keys: WorkerKeys
    token: Token
    codec: Codec
    threads: int


class SnapshotWriter:
    """One attempt at a snapshot; use it in a `with` block, from one thread."""

    def __init__(self, tools: Tools, progress: Callable[[Progress], None]) -> None:
        self._tools = tools
        self._progress = progress
        place = tools.place
        self._attempt, self._next_segment = tools.index.begin(tools.keys.writer_id)
        self._high = place.vault_class == "high"
        self._known = KnownChunks(tools.index, self._next_segment, shared=not self._high)
        self._line = SealingLine(place.vault_bytes, tools.codec, tools.threads, self._take)
        self._packs = PackLine(place.root, tools.placement, self._close_pack)
        self._sink = Sink(self._known, self._number, self._line.submit, tools.token)
        self._file_key = keyed_hash(derive(tools.keys.dedup, "file-cache"))
        self._numbers: dict[bytes, int] = {}
        self._sealed_bytes = 0
        self._read_bytes = 0
        self._reported_bytes = 0
        self._expected_bytes: int | None = None
        self._index_bytes = 0
        self._kept: list[_Kept] = []
        self._carried: list[Carried] = []

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
        self._line.close()

    @property
    def read_bytes(self) -> int:
        """Return how many bytes were read from sources."""
        return self._read_bytes

    @property
    def stored_bytes(self) -> int:
        """Return the bytes of new packs and the index object, counted once."""
        return self._packs.stored_bytes + self._index_bytes

    @property
    def sent_bytes(self) -> int:
        """Return the bytes sent to all locations that answered."""
        copies = self._tools.placement.copies
        answering = len(copies.locations) - len(copies.failures)
        return self._packs.sent_bytes + self._index_bytes * answering

    @property
    def sessions(self) -> tuple[str, ...]:
        """Return every session whose keys the snapshot needs, sorted; after `flush`."""
        found = self._tools.index.segments(list(self._used()))
        sessions = {session.hex() for _, session in found.values()}
        return tuple(sorted(sessions | {kept.record.session for kept in self._kept}))

    def add(
        self, name: tuple[str, str, str, str], source: Source, keys: SessionKeys
    ) -> SourceOutcome:
        """Read a source (id, name, url, kind) and store what is new of it.

        When it raises, the source is not in the snapshot and nothing of it is used later.
        """
        if (keys.outer is not None) != self._high:
            raise UsageError("a session's keys do not fit the class of the vault")
        first, sealed = self._next_segment, self._sealed_bytes
        dedup = self._tools.token(KEY_BYTES) if self._high else self._tools.keys.dedup
        run = _Pass(
            SourceName(*name),
            source,
            Stream(self._sink, keys, StreamType.DATA, dedup),
            Stream(self._sink, keys, StreamType.RECIPE, dedup),
        )
        self._expected_bytes = source.bytes_expected
        try:
            facts = self._read_source(run)
            self._line.drain()
        except BaseException:
            self._forget(run.name.id, first)
            raise
        return self._keep(run, keys, facts, self._sealed_bytes - sealed)

    def carry(self, source_id: str, name: str, reason: str) -> None:
        """Record a source that failed and is not in this snapshot."""
        self._carried.append(Carried(source_id, name, reason))

    def flush(self) -> None:
        """Place what is left; when this returns, every pack is stored at the locations."""
        self._close_last_pack()
        self._known.flush()
        self._packs.wait()

    def place_index(self, sequence: int) -> bytes:
        """Place the signed index object of what this attempt stored; return its hash."""
        tools = self._tools
        envelope = encode_index(
            tools.place,
            tools.keys,
            sequence,
            tools.index.attempt_packs(self._attempt),
            tools.token(SALT_BYTES),
        )
        data = envelope.encode()
        digest = envelope.statement.hash
        tools.placement.copies.put(tools.place.index_key(digest), data)
        self._index_bytes += len(data)
        tools.index.name_attempt(self._attempt, sequence, digest)
        return digest

    def body(self, sequence: int, client: Mapping[str, object]) -> bytes:
        """Return the body of the snapshot's record; after `flush`."""
        tools = self._tools
        ordinals = {number: at for at, number in enumerate(self._used())}
        found = tools.index.segments(list(ordinals))
        structure = Structure(
            client=make_client(client),
            segments=b"".join(found[number][0] for number in ordinals),
            sources=tuple(
                replace_runs(kept.record, ordinals, kept.data, kept.recipe) for kept in self._kept
            ),
            carried=tuple(self._carried),
            roots=tuple(kept.root for kept in self._kept),
        )
        context = structure_context(tools.place.vault_bytes, tools.keys.writer_public, sequence)
        return encode_body(
            structure, tools.keys.structure, context, tools.token(SALT_BYTES), tools.codec
        )

    def _read_source(self, run: _Pass) -> Facts:
        index, source = self._tools.index, run.name.id
        # When most of what is remembered is of files that are gone, all are written anew.
        remembered = 0 if self._high else index.file_count(source)
        run.refresh = remembered > 2 * index.entries_before(source) + _STALE_FILES_MAX
        if run.refresh:
            index.refresh_files(self._attempt, source)
        for pieces in Chunker(RECIPE_PROFILE).cut(self._recipe_lines(run)):
            run.recipe.add(pieces, run.recipe_runs)
        run.data.close()
        run.recipe.close()
        self._flush_files(run)
        return run.source.facts()

    def _recipe_lines(self, run: _Pass) -> Iterator[bytes]:
        """Store each entry's bytes and yield its line, in blocks of some hundred lines."""
        chunker = Chunker(run.source.profile)
        entries = iter(run.source.entries())
        while batch := list(islice(entries, ENTRIES_AHEAD)):
            cached, keys = self._find_cached(run, batch)
            block = bytearray()
            for entry, key in zip(batch, keys, strict=True):
                block += self._take_entry(run, chunker, entry, (key, cached.get(key)))
            run.recipe_digest.update(block)
            run.recipe_bytes += len(block)
            yield bytes(block)
            self._report()

    def _find_cached(
        self, run: _Pass, batch: Sequence[Entry]
    ) -> tuple[dict[bytes, CachedFile], list[bytes]]:
        """Return what may be taken as read before, and the key of each entry (or nothing)."""
        if self._high:
            return {}, [b""] * len(batch)
        prefix = bytes.fromhex(run.name.id)
        keys = [
            self._file_key(prefix + entry.path)[:_FILE_KEY_BYTES] if entry.fingerprint else b""
            for entry in batch
        ]
        found = self._tools.index.find_files([key for key in keys if key])
        segments = {key: {run[0] for run in one.runs} for key, one in found.items()}
        self._known.learn_usable(set[int]().union(*segments.values()))
        usable = self._known.is_usable
        cached = {key: one for key, one in found.items() if all(usable(n) for n in segments[key])}
        return cached, keys

    def _take_entry(
        self, run: _Pass, chunker: Chunker, entry: Entry, cache: tuple[bytes, CachedFile | None]
    ) -> bytes:
        run.entries += 1
        if entry.kind == "file":
            try:
                return self._take_file(run, chunker, entry, cache)
            except EntryUnreadable as err:
                run.unreadable[entry.path] = str(err)
                lost = structs.replace(entry, kind="unreadable", attributes=(), holes=())
                return encode_line(lost, 0, 0)
        if entry.kind == "hardlink" and entry.link in run.unreadable:
            entry = structs.replace(entry, kind="unreadable", link=b"")
        if entry.kind == "unreadable":
            run.unreadable[entry.path] = "the source could not look into it"
        run.special += entry.kind == "special"
        return encode_line(entry, 0, 0)

    def _take_file(
        self, run: _Pass, chunker: Chunker, entry: Entry, cache: tuple[bytes, CachedFile | None]
    ) -> bytes:
        key, cached = cache
        if cached is not None and cached.fingerprint == entry.fingerprint:
            file = cached
        else:
            file = self._read_file(run, chunker, entry)
            cached = None
        if key and (cached is None or run.refresh):
            run.files.append(FileRow(key, run.name.id, file))
            if len(run.files) >= FILE_ROWS_MAX:
                self._flush_files(run)
        run.runs.extend(file.runs)
        run.plain_bytes += file.size_bytes
        run.chunks += file.chunks
        return encode_line(entry, file.size_bytes, file.chunks)

    def _read_file(self, run: _Pass, chunker: Chunker, entry: Entry) -> CachedFile:
        # Runs of its own: when the file turns out unreadable, the stream has none of its chunks.
        runs = Runs()
        size = chunks = 0
        for pieces in chunker.cut(run.source.read(entry)):
            run.data.add(pieces, runs)
            read = sum(map(len, pieces))
            size += read
            chunks += len(pieces)
            run.read_bytes += read
            self._read_bytes += read
            if self._read_bytes - self._reported_bytes >= PROGRESS_STEP_BYTES:
                self._report()
        return CachedFile(entry.fingerprint, size, chunks, runs)

    def _flush_files(self, run: _Pass) -> None:
        if run.files:
            self._tools.index.add_files(self._attempt, run.files)
            run.files.clear()

    def _keep(
        self, run: _Pass, keys: SessionKeys, facts: Facts, stored_bytes: int
    ) -> SourceOutcome:
        token = self._tools.token
        facts_salt = token(ID_BYTES)
        root = make_root(
            facts,
            facts_salt=facts_salt.hex(),
            recipe_bytes=run.recipe_bytes,
            recipe_blake3=run.recipe_digest.hex(),
            data_chunks=run.chunks,
        )
        record = SourceRecord(
            *run.name,
            session=keys.session,
            profile=run.source.profile,
            entries=run.entries,
            skipped=len(run.unreadable) + run.special,
            read_bytes=run.read_bytes,
            plain_bytes=run.plain_bytes,
            stored_bytes=stored_bytes,
            data=(),
            recipe=(),
        )
        sealed = seal_source_root(self._tools.place.vault_bytes, keys, token(SALT_BYTES), root)
        self._kept.append(_Kept(record, run.runs, run.recipe_runs, sealed))
        return SourceOutcome(
            entries=run.entries,
            unreadable=tuple(run.unreadable.items()),
            read_bytes=run.read_bytes,
            plain_bytes=run.plain_bytes,
            new_bytes=run.data.new_bytes + run.recipe.new_bytes,
            stored_bytes=stored_bytes,
            facts=facts,
            facts_commitment=commit_to_facts(facts, facts_salt),
        )

    def _forget(self, source: str, first: int) -> None:
        """Leave nothing of a failed source that dedup could use; its bytes become orphans."""
        self._line.discard()
        self._numbers = {one: at for one, at in self._numbers.items() if at < first}
        self._known.drop(first, self._next_segment)
        self._tools.index.drop_files(self._attempt, source)

    def _number(self) -> int:
        self._next_segment += 1
        return self._next_segment - 1

    def _take(self, sealed: Sealed) -> None:
        self._sealed_bytes += len(sealed.data)
        self._numbers[sealed.segment.id] = sealed.segment.number
        self._index_pack(self._packs.add(sealed))

    def _close_last_pack(self) -> None:
        self._index_pack(self._packs.finish_pack())

    def _index_pack(self, pack: Pack | None) -> None:
        if pack is not None:
            self._tools.index.add_pack(self._attempt, pack, self._numbers)
            self._numbers.clear()

    def _close_pack(self, builder: PackBuilder) -> Pack:
        tools = self._tools
        return builder.close(
            tools.keys.structure, tools.place.vault_bytes, tools.token, tools.codec
        )

    def _used(self) -> dict[int, None]:
        """Return the numbers of all segments the snapshot refers to, in order of first use."""
        used: dict[int, None] = {}
        for kept in self._kept:
            for runs in (kept.data, kept.recipe):
                used.update((segment, None) for segment, _, _ in runs)
        return used

    def _report(self) -> None:
        self._reported_bytes = self._read_bytes
        self._progress(Progress(self._read_bytes, self._expected_bytes))


def replace_runs(
    record: SourceRecord, ordinals: Mapping[int, int], data: Runs, recipe: Runs
) -> SourceRecord:
    """Return the record with its runs by number in the snapshot."""

    def flat(runs: Runs) -> Iterator[int]:
        run: Run
        for run in runs:
            yield from (ordinals[run[0]], run[1], run[2])

    return SourceRecord(
        record.id,
        record.name,
        record.url,
        record.kind,
        record.session,
        record.profile,
        record.entries,
        record.skipped,
        record.read_bytes,
        record.plain_bytes,
        record.stored_bytes,
        tuple(flat(data)),
        tuple(flat(recipe)),
    )


def commit_to_facts(facts: Facts, salt: bytes) -> str:
    """Return what the ledger may hold of facts: a hash that the salt opens."""
    text = json.dumps(dict(facts), sort_keys=True, separators=(",", ":"))
    return statement_hash("strongroom/facts", salt, text.encode()).hex()
