"""`browse`: say what is inside a snapshot. Names are sealed, so custodians release its keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from strongroom.clients import Client
from strongroom.operations.choosing import as_path, check_table, sort_choices, table_for_people
from strongroom.operations.deployment import Deployment
from strongroom.operations.looking import find_to_look_at, opened_to_look
from strongroom.vault import Entry, Vault

ROWS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class BrowseRequest:
    """Which snapshot, and where in it: `SOURCE[/PATH]` or `SOURCE[/TABLE]`; None is all sources."""

    snapshot: str
    path: str | None = None
    recursive: bool = False
    rows_max: int = ROWS_MAX


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source of a snapshot."""

    source: str
    kind: str
    entries: int
    skipped: int
    tables: int | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry of a source; its mode in octal digits, odd bytes of its name as `\\xff`."""

    path: str
    kind: str
    size_bytes: int
    mode: str
    modified_at: datetime | None
    link: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """One table of a database; the rows of some could not be counted, the bytes are of its dump."""

    table: str
    rows: int | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Listing:
    """What was asked for, in the order of the snapshot; `left_out` counts rows above the limit."""

    snapshot: str
    rows: list[SourceRow] | list[EntryRow] | list[TableRow]
    left_out: int


def browse(deployment: Deployment, client: Client, request: BrowseRequest) -> Listing:
    """Return what is at a place in a snapshot; raises UsageError where nothing is."""
    tools = deployment.tools
    with tools.history(client.id) as history, tools.index(client.id) as index:
        vault = deployment.vault(client, index)
        found = find_to_look_at(deployment, client, history, vault, request.snapshot)
        chosen = [] if request.path is None else [request.path]
        places = sort_choices(chosen, found.structure.sources, None)
        with (
            opened_to_look(deployment, client, history, found, request.snapshot) as keys,
            vault.read(found.structure, keys) as reader,
        ):
            rows, left_out = _rows(reader, places, request)
        # Where somebody looked is nobody's business who reads the facts; how much is.
        history.record(
            deployment.fact(
                "browse.done", client.id, snapshot=found.snapshot.hash, rows=len(rows) + left_out
            )
        )
    return Listing(found.snapshot.hash, rows, left_out)


def _rows(
    reader: Vault.Reader, places: dict[str, list[str]], request: BrowseRequest
) -> tuple[list[SourceRow] | list[EntryRow] | list[TableRow], int]:
    if not places:
        sources = [_source_row(reader, source) for source in reader.structure.sources]
        return sources[: request.rows_max], max(0, len(sources) - request.rows_max)
    ((name, below),) = places.items()
    source = next(one for one in reader.structure.sources if one.name == name)
    if "rows" in reader.facts(source.id):
        tables = list(_table_rows(reader, source, below))
        return tables[: request.rows_max], max(0, len(tables) - request.rows_max)
    return _entry_rows(reader, source.id, as_path(below[0]) if below else b"", request)


def _source_row(reader: Vault.Reader, source: Vault.SourceRecord) -> SourceRow:
    rows = reader.facts(source.id).get("rows")
    return SourceRow(
        source.name,
        source.kind,
        source.entries,
        source.skipped,
        len(rows) if isinstance(rows, dict) else None,
        source.plain_bytes,
    )


def _table_rows(
    reader: Vault.Reader, source: Vault.SourceRecord, below: list[str]
) -> Iterator[TableRow]:
    facts = reader.facts(source.id)
    rows, uncounted = facts.get("rows"), facts.get("uncounted")
    counts: dict[str, int | None] = dict.fromkeys(uncounted) if isinstance(uncounted, list) else {}
    if isinstance(rows, dict):
        counts |= {table: count for table, count in rows.items() if isinstance(count, int)}
    sizes = _table_sizes(reader, source, facts.get("table_files"))
    # A partitioned table has no rows of its own; its parts have them.
    counts = {**dict.fromkeys(sizes), **counts}
    if below:
        wanted = table_for_people(below[0])
        by_name = {table_for_people(table): table for table in counts}
        check_table(source.name, by_name.get(wanted, below[0]), list(counts))
        counts = {by_name[wanted]: counts[by_name[wanted]]}
    for table in sorted(counts):
        yield TableRow(table_for_people(table), counts[table], sizes.get(table))


def _table_sizes(reader: Vault.Reader, source: Vault.SourceRecord, files: object) -> dict[str, int]:
    """Return how many bytes of a dump are of each table; nothing for a database in one file."""
    if not isinstance(files, dict):
        return {}
    sizes = {line.entry.path: line.entry.size_bytes for line in reader.entries(source.id)}
    return {
        table: sum(sizes.get(as_path(file), 0) for file in str(of_it).split())
        for table, of_it in files.items()
    }


def _entry_rows(
    reader: Vault.Reader, source_id: str, place: bytes, request: BrowseRequest
) -> tuple[list[EntryRow], int]:
    rows: list[EntryRow] = []
    itself: Entry | None = None
    number = 0
    for line in reader.entries(source_id):
        entry = line.entry
        above = entry.path.rpartition(b"/")[0]
        if entry.path == place:
            itself = entry
        elif above == place or (request.recursive and _below(above, place)):
            number += 1
            if len(rows) < request.rows_max:
                rows.append(_entry_row(entry))
    if itself is None:
        # It raises, with what is near.
        reader.choose(source_id, [place], {})
    elif itself.kind != "directory":
        rows, number = [_entry_row(itself)], 1
    return rows, number - len(rows)


def _below(above: bytes, place: bytes) -> bool:
    return not place or above.startswith(place + b"/")


def _entry_row(entry: Entry) -> EntryRow:
    return EntryRow(
        entry.path.decode("utf-8", "backslashreplace"),
        entry.kind,
        entry.size_bytes,
        f"{entry.mode:04o}",
        _instant(entry.modified_ns) if entry.modified_ns else None,
        entry.link.decode("utf-8", "backslashreplace"),
    )


def _instant(nanoseconds: int) -> datetime | None:
    """Return a time in UTC, None where the calendar ends before it."""
    try:
        return datetime.fromtimestamp(nanoseconds // 10**9, UTC).replace(
            microsecond=nanoseconds % 10**9 // 1000
        )
    except (OverflowError, ValueError, OSError):
        return None
