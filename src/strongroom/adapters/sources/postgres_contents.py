"""What a dump's table of contents says: which file holds which table, and what a table needs.

Asked of `pg_restore --list --verbose`, which shows every entry with its number and the numbers that
it depends on. A table alone is: its definition and rows, with its partitions; the types, functions
and schemas that it depends on; its defaults, sequences, indexes, constraints, statistics, comments,
grants and policies. Left out are its triggers and rules, which may speak of tables that are not
there, and foreign keys to tables that are not chosen.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from strongroom.adapters.sources.postgres_connection import Connection
from strongroom.adapters.sources.postgres_facts import Table
from strongroom.adapters.sources.postgres_tools import Passfile, ServerTools, run_tool
from strongroom.errors import Damaged

CONTENTS_BYTES_MAX: Final = 256 << 20
DATA: Final = "TABLE DATA"
ATTACH: Final = "TABLE ATTACH"
RELATIONS: Final = frozenset({"TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW"})
# What belongs to a table rather than the other way round.
ATTACHED: Final = frozenset(
    {
        ATTACH,
        "ACL",
        "CHECK CONSTRAINT",
        "COMMENT",
        "CONSTRAINT",
        "DEFAULT",
        "FK CONSTRAINT",
        "INDEX",
        "INDEX ATTACH",
        "POLICY",
        "ROW SECURITY",
        "SECURITY LABEL",
        "SEQUENCE",
        "SEQUENCE OWNED BY",
        "SEQUENCE SET",
        "STATISTICS",
    }
)
LEFT_OUT: Final = frozenset({"TRIGGER", "RULE"})
_NEVER: Final = frozenset(
    {DATA, "MATERIALIZED VIEW DATA", "STATISTICS DATA", "BLOB", "BLOBS", "DATABASE"}
)
# A sequence belongs to its table, and a default needs the sequence.
_NOT_NEEDED: Final = _NEVER | LEFT_OUT | ATTACHED - {"SEQUENCE"}
_KNOWN: Final = sorted(RELATIONS | ATTACHED | LEFT_OUT | _NEVER, key=len, reverse=True)
_ENTRY: Final = re.compile(r"(\d{1,10}); \d{1,10} (\d{1,10}) (.*)")
_DATA_FILE: Final = re.compile(r"\b(\d{1,10})\.dat\b", re.ASCII)
_NEEDS: Final = re.compile(r";\tdepends on:((?: \d{1,10})*)")
# Ordinary and partitioned tables, each partition with what it is a part of.
_TABLES: Final = """
    SELECT c.oid::pg_catalog.int8, n.nspname, c.relname,
        (SELECT i.inhparent::pg_catalog.int8 FROM pg_catalog.pg_inherits i
         WHERE i.inhrelid = c.oid AND c.relispartition)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p')
"""


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the contents: its number, the object's, what it is, what it depends on."""

    number: int
    object: int
    kind: str
    text: str
    needs: frozenset[int]


def read_contents(tools: ServerTools, folder: bytes, passfile: Passfile) -> list[Item]:
    """Return the contents of a dump in directory format; raises Damaged for too many."""
    handle = os.memfd_create("strongroom-contents", os.MFD_CLOEXEC)
    try:
        command = [tools.program("pg_restore"), "--list", "--verbose", os.fsdecode(folder)]
        run_tool(command, passfile, handle)
        size = os.fstat(handle).st_size
        if size > CONTENTS_BYTES_MAX:
            raise Damaged(
                "the dump has too many entries", f"{size} bytes, at most {CONTENTS_BYTES_MAX}"
            )
        told = os.pread(handle, size, 0).decode("utf-8", "surrogateescape")
    finally:
        os.close(handle)
    return list(_items(told.split("\n")))


def table_files(connection: Connection, contents: Iterable[Item]) -> dict[str, str]:
    """Return the file of each table's rows, and of a partitioned one all files of its parts.

    Asked in the transaction whose snapshot was dumped.
    """
    names: dict[int, str] = {}
    above: dict[int, int] = {}
    for number, schema, name, parent in connection.execute(_TABLES).fetchall():
        table = int(str(number))
        names[table] = Table(str(schema), str(name), True).shown
        if parent is not None:
            above[table] = int(str(parent))
    files: dict[str, list[str]] = {}
    for item in contents:
        table = item.object
        while item.kind == DATA and table in names:
            files.setdefault(names[table], []).append(f"{item.number}.dat")
            table = above.get(table, -1)
    return {name: " ".join(of_it) for name, of_it in files.items()}


def entries_of_tables(
    contents: Collection[Item], files: Mapping[str, str]
) -> tuple[list[int], dict[str, int]]:
    """Return the numbers to restore, in order, and how much that belongs to them is left out.

    `files` names the chosen tables, the partitioned ones among them, each with its files.
    """
    by_number = {item.number: item for item in contents}
    named = _DATA_FILE.findall(" ".join(files.values()))
    rows = set(map(int, named))
    chosen = rows | {
        number
        for row in rows & by_number.keys()
        for number in by_number[row].needs
        if number in by_number and by_number[number].kind == "TABLE"
    }
    # Each a partition and what it is attached to.
    partitions = {item.needs for item in contents if item.kind == ATTACH and len(item.needs) == 2}
    chosen |= _partitioned(by_number, chosen, partitions, files)
    # Also the definitions that the chosen need, and then what belongs to all of these tables.
    tables = frozenset(chosen)
    taken = set(chosen)
    for number in tables:
        _take_needed(by_number, by_number.get(number), taken, partitions)
    attached = _attached(contents, by_number, tables)
    waiting = list(taken)
    while waiting:
        for item in attached.pop(waiting.pop(), ()):
            if item.number not in taken:
                taken.add(item.number)
                waiting += [item.number, *_take_needed(by_number, item, taken, partitions)]
    left: dict[str, int] = {}
    for item in contents:
        if item.kind in LEFT_OUT and item.needs & tables:
            left["triggers_left_out"] = left.get("triggers_left_out", 0) + 1
        elif item.kind == "FK CONSTRAINT" and item.number not in taken and item.needs & tables:
            left["foreign_keys_left_out"] = left.get("foreign_keys_left_out", 0) + 1
    return [item.number for item in contents if item.number in taken], left


def _partitioned(
    by_number: Mapping[int, Item],
    chosen: Collection[int],
    partitions: Iterable[frozenset[int]],
    files: Mapping[str, str],
) -> set[int]:
    """Return the partitioned tables that are chosen by name and lie above chosen partitions."""
    wanted = tuple(name.replace('""', '"').replace('"."', " ").strip('"') + " " for name in files)
    beside: dict[int, list[int]] = {}
    for one, other in partitions:
        beside.setdefault(one, []).append(other)
        beside.setdefault(other, []).append(one)
    below = set(chosen)
    waiting = list(chosen)
    while waiting:
        for number in beside.pop(waiting.pop(), ()):
            known = number in by_number and number not in below
            if known and by_number[number].text.startswith(wanted):
                below.add(number)
                waiting.append(number)
    return below - set(chosen)


def _attached(
    contents: Iterable[Item], by_number: Mapping[int, Item], tables: Collection[int]
) -> dict[int, list[Item]]:
    """Return what belongs to these tables and no other, by everything that it depends on."""
    found: dict[int, list[Item]] = {}
    for item in contents:
        if item.kind in ATTACHED and all(
            number in tables or number not in by_number or by_number[number].kind not in RELATIONS
            for number in item.needs
        ):
            for number in item.needs:
                found.setdefault(number, []).append(item)
    return found


def _take_needed(
    by_number: Mapping[int, Item],
    item: Item | None,
    taken: set[int],
    partitions: Collection[frozenset[int]],
) -> list[int]:
    """Add the definitions that an entry depends on, and those that they depend on; return them."""
    waiting = [item] if item is not None else []
    added = []
    while waiting:
        current = waiting.pop()
        for number in current.needs:
            needed = by_number.get(number)
            if needed is None or number in taken or needed.kind in _NOT_NEEDED:
                continue
            # A partition stands without the table that it is attached to afterwards.
            if frozenset({current.number, number}) not in partitions:
                taken.add(number)
                added.append(number)
                waiting.append(needed)
    return added


def _items(lines: Iterable[str]) -> Iterator[Item]:
    entry: re.Match[str] | None = None
    needs: frozenset[int] = frozenset()
    for line in lines:
        deeper = _NEEDS.fullmatch(line)
        if deeper is not None:
            needs = frozenset(map(int, deeper[1].split()))
            continue
        if entry is not None:
            yield _item(entry, needs)
        entry, needs = _ENTRY.fullmatch(line), frozenset()
    if entry is not None:
        yield _item(entry, needs)


def _item(entry: re.Match[str], needs: frozenset[int]) -> Item:
    text = entry[3]
    # What an object is stands before its name, in one to three words.
    kind = next((one for one in _KNOWN if text.startswith(one + " ")), "")
    return Item(int(entry[1]), int(entry[2]), kind, text[len(kind) :].lstrip(), needs)
