"""`diff`: say what changed from one snapshot of a client to another.

Folders are compared by their recipes. Files that lie in the same chunks are equal, unread. Of those
that two sessions stored apart, another size is a change, the same size, time and holes are taken as
equal and counted, and the rest is read on both sides. Databases are compared by the facts recorded.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, Literal

from msgspec import structs

from strongroom.clients import Client
from strongroom.crypto.hashing import Digest
from strongroom.errors import UsageError
from strongroom.operations.choosing import table_for_people
from strongroom.operations.deployment import Deployment
from strongroom.operations.looking import find_to_look_at, opened_to_look
from strongroom.operations.read_snapshot import FoundSnapshot
from strongroom.vault import Entry, Vault

DIFFERENCES_MAX: Final = 10_000
READ_AT_ONCE: Final = 1000
_UNTOLD: Final = "content; tables of the same row count may differ"

Change = Literal["added", "removed", "changed", "retyped"]


@dataclass(frozen=True, slots=True)
class DiffRequest:
    """Which two snapshots, of one source or all; `read_data` reads what was stored apart."""

    before: str
    after: str
    source: str | None = None
    read_data: bool = False
    differences_max: int = DIFFERENCES_MAX


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was; `what` says in which respects, where it is in both."""

    source: str
    change: Change
    kind: str
    path: str
    what: str = ""
    before_bytes: int | None = None
    after_bytes: int | None = None
    before_rows: int | None = None
    after_rows: int | None = None


@dataclass(slots=True)
class DiffReport:
    """What changed; `assumed_equal` counts files of one size and time that were not read."""

    client: str
    before: str
    after: str
    added: int = 0
    removed: int = 0
    changed: int = 0
    retyped: int = 0
    assumed_equal: int = 0
    left_out: int = 0
    differences: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Source:
    """One source in two snapshots that are open."""

    name: str
    readers: tuple[Vault.Reader, Vault.Reader]
    records: tuple[Vault.SourceRecord, Vault.SourceRecord]


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A file of one size that was stored apart; `what` else differs."""

    pair: tuple[Vault.Side, Vault.Side]
    what: list[str]


def diff(deployment: Deployment, client: Client, request: DiffRequest) -> DiffReport:
    """Return what changed between two snapshots; custodians release the keys of both."""
    tools = deployment.tools
    with tools.history(client.id) as history, tools.index(client.id) as index:
        vault = deployment.vault(client, index)
        words = (request.before, request.after)
        found = [find_to_look_at(deployment, client, history, vault, wanted) for wanted in words]
        _check_source(request, found)
        report = DiffReport(client.name, found[0].snapshot.hash, found[1].snapshot.hash)
        with ExitStack() as stack:
            # A snapshot that is compared with itself is opened, and approved, once.
            by_hash = dict(zip((one.snapshot.hash for one in found), words, strict=True))
            keys = {
                one.snapshot.hash: stack.enter_context(
                    opened_to_look(deployment, client, history, one, by_hash[one.snapshot.hash])
                )
                for one in {one.snapshot.hash: one for one in found}.values()
            }
            before, after = (
                stack.enter_context(vault.read(one.structure, keys[one.snapshot.hash]))
                for one in found
            )
            for difference in _differences(before, after, request, report):
                _count(report, difference, request.differences_max)
        history.record(
            deployment.fact(
                "diff.done",
                client.id,
                snapshot=report.before,
                other=report.after,
                differences=len(report.differences) + report.left_out,
            )
        )
    report.differences.sort(key=lambda one: (one.source, one.path))
    return report


def _check_source(request: DiffRequest, found: list[FoundSnapshot]) -> None:
    names = {source.name for one in found for source in one.structure.sources}
    if request.source is not None and request.source not in names:
        raise UsageError(
            f"neither snapshot has a source {request.source!a:.80}",
            f"they have: {', '.join(sorted(names))}",
        )


def _count(report: DiffReport, difference: Difference, most: int) -> None:
    match difference.change:
        case "added":
            report.added += 1
        case "removed":
            report.removed += 1
        case "changed":
            report.changed += 1
        case "retyped":
            report.retyped += 1
    if len(report.differences) < most:
        report.differences.append(difference)
    else:
        report.left_out += 1


def _differences(
    before: Vault.Reader, after: Vault.Reader, request: DiffRequest, report: DiffReport
) -> Iterator[Difference]:
    old = {one.name: one for one in before.structure.sources}
    new = {one.name: one for one in after.structure.sources}
    for name in sorted(old.keys() | new.keys()):
        if request.source not in (None, name):
            continue
        if name not in new:
            yield Difference(name, "removed", "source", "", before_bytes=old[name].plain_bytes)
        elif name not in old:
            yield Difference(name, "added", "source", "", after_bytes=new[name].plain_bytes)
        elif old[name].kind != new[name].kind:
            yield Difference(name, "retyped", "source", "", f"{old[name].kind}, {new[name].kind}")
        else:
            source = _Source(name, (before, after), (old[name], new[name]))
            facts = before.facts(old[name].id), after.facts(new[name].id)
            if "rows" in facts[0] and "rows" in facts[1]:
                yield from _compare_databases(name, *facts)
            else:
                yield from _compare_entries(source, request, report)


def _compare_databases(name: str, old: Vault.Facts, new: Vault.Facts) -> Iterator[Difference]:
    """Compare tables by counts and digests, schemas by their hash, and a file by its own."""
    rows = _mapping(old, "rows"), _mapping(new, "rows")
    digests = _mapping(old, "digests"), _mapping(new, "digests")
    for table in sorted(rows[0].keys() | rows[1].keys()):
        counts = rows[0].get(table), rows[1].get(table)
        what = "rows" if counts[0] != counts[1] else ""
        if not what and digests[0].get(table) != digests[1].get(table):
            what = "content"
        if not what:
            continue
        change: Change = "changed"
        if table not in rows[0] or table not in rows[1]:
            change, what = ("added" if table in rows[1] else "removed"), ""
        shown = table_for_people(table)
        before, after = (one if isinstance(one, int) else None for one in counts)
        yield Difference(name, change, "table", shown, what, before_rows=before, after_rows=after)
    if old.get("schema_blake3") != new.get("schema_blake3"):
        yield Difference(name, "changed", "schema", "")
    if not (digests[0] and digests[1]) and old.get("blake3") != new.get("blake3"):
        # Nothing recorded tells in which tables rows are others, whatever was found above.
        yield Difference(name, "changed", "database", "", _UNTOLD)


def _compare_entries(
    source: _Source, request: DiffRequest, report: DiffReport
) -> Iterator[Difference]:
    recipes = [
        reader.entries(record.id)
        for reader, record in zip(source.readers, source.records, strict=True)
    ]
    same = _same_chunks(source)
    doubts: list[_Doubt] = []
    for pair in Vault.merge_recipes(*recipes):
        if pair.before is None or pair.after is None:
            yield _one_sided(source.name, pair)
            continue
        old, new = pair.before.line.entry, pair.after.line.entry
        if old.kind != new.kind:
            yield _both(source.name, "retyped", (old, new), [f"{old.kind}, {new.kind}"])
            continue
        what = _what_else(old, new, source.records[1].kind)
        if old.kind == "file" and not same(pair.before, pair.after):
            if old.size_bytes != new.size_bytes:
                what.insert(0, "content")
            elif request.read_data or (old.modified_ns, old.holes) != (new.modified_ns, new.holes):
                doubts.append(_Doubt((pair.before, pair.after), what))
                what = []
            else:
                report.assumed_equal += 1
        if what:
            yield _both(source.name, "changed", (old, new), what)
        if len(doubts) >= READ_AT_ONCE:
            yield from _read_doubts(source, doubts)
            doubts.clear()
    yield from _read_doubts(source, doubts)


def _same_chunks(source: _Source) -> Callable[[Vault.Side, Vault.Side], bool]:
    """Return the question whether two lines are the very same chunks of the same segments."""
    runs = [
        reader.chunk_runs(record.id)
        for reader, record in zip(source.readers, source.records, strict=True)
    ]

    def same(before: Vault.Side, after: Vault.Side) -> bool:
        entries = before.line.entry, after.line.entry
        if before.line.chunks != after.line.chunks or entries[0].holes != entries[1].holes:
            return False
        old, new = (
            reader.named(one.slice([(side.start, side.line.chunks)]))
            for reader, one, side in zip(source.readers, runs, (before, after), strict=True)
        )
        return old == new

    return same


def _read_doubts(source: _Source, doubts: list[_Doubt]) -> Iterator[Difference]:
    """Read files on both sides, each side in one pass over its data."""
    streams = [
        reader.chunks(record.id, [(d.pair[at].start, d.pair[at].line.chunks) for d in doubts])
        for at, (reader, record) in enumerate(zip(source.readers, source.records, strict=True))
    ]
    for doubt in doubts:
        old, new = (side.line.entry for side in doubt.pair)
        digests = []
        for stream, side, entry in zip(
            streams, doubt.pair, (_without_shared(old, new), _without_shared(new, old)), strict=True
        ):
            digest = Digest()
            for block in entry.filled(stream.take(side.line.chunks)):
                digest.update(block)
            digests.append(digest.hex())
        what = ["content", *doubt.what] if digests[0] != digests[1] else doubt.what
        if what:
            yield _both(source.name, "changed", (old, new), what)


def _without_shared(entry: Entry, other: Entry) -> Entry:
    """Return a file as it is when what is a hole in both files is taken out of it.

    So what is compared has the length of what is stored, however long the holes are.
    """
    kept: list[tuple[int, int]] = []
    at = cut = 0
    for offset, length in entry.holes:
        end = offset + length
        shared = 0
        while at < len(other.holes) and other.holes[at][0] < end:
            other_end = sum(other.holes[at])
            shared += max(0, min(end, other_end) - max(offset, other.holes[at][0]))
            if other_end > end:
                break
            at += 1
        if length > shared:
            kept.append((offset - cut, length - shared))
        cut += shared
    return structs.replace(entry, size_bytes=entry.size_bytes - cut, holes=tuple(kept))


def _what_else(old: Entry, new: Entry, source_kind: str) -> list[str]:
    """Name what differs beside the bytes.

    A folder's own time changes with what is in it, and a command's is that of its run.
    """
    if old.kind == "unreadable":
        return []
    pairs = (
        ("target", old.link, new.link),
        ("mode", old.mode, new.mode),
        ("owner", (old.owner, old.group), (new.owner, new.group)),
        ("attributes", old.attributes, new.attributes),
        ("time", old.modified_ns, new.modified_ns),
    )
    found = [name for name, before, after in pairs if before != after]
    untimed = old.kind == "directory" or source_kind == "command"
    return [name for name in found if name != "time" or not untimed]


def _one_sided(name: str, pair: Vault.Pair) -> Difference:
    side = pair.before or pair.after
    if side is None:
        raise ValueError("unreachable: a pair has a side")
    entry = side.line.entry
    size = entry.size_bytes if entry.kind == "file" else None
    if pair.after is None:
        return Difference(name, "removed", entry.kind, _shown(entry), before_bytes=size)
    return Difference(name, "added", entry.kind, _shown(entry), after_bytes=size)


def _both(name: str, change: Change, entries: tuple[Entry, Entry], what: list[str]) -> Difference:
    old, new = entries
    sizes = [one.size_bytes if one.kind == "file" else None for one in entries]
    return Difference(name, change, new.kind, _shown(old), ", ".join(what), *sizes)


def _shown(entry: Entry) -> str:
    return entry.path.decode("utf-8", "backslashreplace")


def _mapping(facts: Vault.Facts, name: str) -> dict[str, int] | dict[str, str]:
    found = facts.get(name)
    return found if isinstance(found, dict) else {}
