"""What a person chose of a snapshot: `SOURCE/PATH` for a folder, `SOURCE/TABLE` for a database.

The words are read before any key is opened; whether there is such a path or table is known
only from what the snapshot holds, so that is judged by `check_table` and by the vault.
"""

import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, Protocol

from strongroom.errors import UsageError, printable
from strongroom.vault import Vault

NEAR_SHOWN: Final = 3
TABLE_OF_CONTENTS: Final = "toc.dat"
_QUOTED: Final = re.compile(r'"(?:[^"]|"")+"\."(?:[^"]|"")+"')
_PLAIN: Final = re.compile(r'[^".]+')
_UNAMBIGUOUS: Final = re.compile(r'"[^".]+"\."[^".]+"')


class Named(Protocol):
    """A source of a snapshot, as far as choosing needs it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def kind(self) -> str:
        """Its kind."""
        ...


def sort_choices(
    only: Sequence[str], sources: Sequence[Named], source: str | None
) -> dict[str, list[str]]:
    """Return what was chosen of each source, by its name; an empty text is all of it.

    Without `source` a choice begins with a source's name, which may be left out where the
    snapshot has one source only. Raises UsageError for one that fits no source.
    """
    names = [one.name for one in sources]
    sorted_: dict[str, list[str]] = {}
    for text in only:
        name, _, rest = text.strip("/").partition("/")
        if source is not None:
            name, rest = source, text.strip("/")
        elif name not in names and len(names) == 1:
            name, rest = names[0], text.strip("/")
        if name not in names:
            raise UsageError(
                f"no source of the snapshot is named {printable(name)!a:.80}",
                f"it has: {', '.join(names)}",
                hint="Write SOURCE/PATH or SOURCE/TABLE, as `strongroom browse` shows them.",
            )
        sorted_.setdefault(name, []).append(rest)
    return {name: [] if "" in rest else rest for name, rest in sorted_.items()}


def check_parts(kind: str, name: str, chosen: Sequence[str]) -> list[str]:
    """Return what was chosen in the words of facts and recipes; raises UsageError.

    A path for a tree, the name of a table for a database.
    """
    if kind == "tree":
        return [text.strip("/") for text in chosen]
    if kind == "sqlite":
        return list(chosen)
    if kind == "postgresql":
        return [table_in_facts(text) for text in chosen]
    raise UsageError(
        f"nothing of {name} can be chosen",
        f"it is of kind {kind} and is restored as a whole",
        hint=f"Restore it with --source {name}, without --only.",
    )


def as_path(text: str) -> bytes:
    """Return the bytes of a path as a person typed it."""
    return os.fsencode(text)


def table_in_facts(text: str) -> str:
    """Return `"schema"."table"` for `schema.table`; raises UsageError for anything else."""
    if _QUOTED.fullmatch(text):
        return text
    parts = text.split(".")
    if len(parts) == 2 and all(_PLAIN.fullmatch(part) for part in parts):
        return ".".join(f'"{part}"' for part in parts)
    raise UsageError(
        f"{printable(text)!a:.120} names no table",
        "a table of PostgreSQL is named SCHEMA.TABLE",
        hint='Names with a dot or a quote are written as SQL quotes them: "my.schema"."a table".',
    )


def table_for_people(name: str) -> str:
    """Return `schema.table` for the name in the facts, where that can be typed as it is."""
    return name.replace('"', "") if _UNAMBIGUOUS.fullmatch(name) else name


def check_table(source: str, table: str, known: Sequence[str]) -> None:
    """Raise UsageError, with names that are near, unless the table is known."""
    if table in known:
        return
    shown = {table_for_people(one): one for one in known}
    near = get_close_matches(table_for_people(table), list(shown), NEAR_SHOWN, cutoff=0.5)
    why = "near it: " if near else "it has: "
    listed = near or sorted(shown)[:NEAR_SHOWN]
    raise UsageError(
        f"{source} has no table {printable(table_for_people(table))!a:.120}",
        why + ", ".join(printable(one) for one in listed) if listed else "it has no tables",
        hint=f"See what it has with `strongroom browse CLIENT SNAPSHOT {source}`.",
    )


def tables_alone(
    source: str, facts: Vault.Facts, chosen: Sequence[str]
) -> tuple[list[bytes], Vault.Facts]:
    """Return the files of a dump that hold these tables, and the facts of them alone.

    A partitioned table brings all its parts. Raises UsageError for a table that is not there.
    """
    recorded = facts.get("table_files")
    files = {table: str(of_it).split() for table, of_it in _mapping(recorded).items()}
    for table in chosen:
        check_table(source, table, list(files))
    wanted = [frozenset(files[table]) for table in chosen]
    taken = {
        table: of_it
        for table, of_it in files.items()
        if any(frozenset(of_it) <= one for one in wanted)
    }
    names = {TABLE_OF_CONTENTS, *(file for one in wanted for file in one)}
    alone: dict[str, Any] = {"table_files": {table: " ".join(f) for table, f in taken.items()}}
    for name in ("rows", "digests"):
        known = _mapping(facts.get(name))
        alone[name] = {table: known[table] for table in taken if table in known}
    uncounted = facts.get("uncounted")
    if isinstance(uncounted, list):
        alone["uncounted"] = [table for table in uncounted if table in taken]
    return [as_path(name) for name in sorted(names)], {**facts, **alone}


def _mapping(fact: object) -> Mapping[str, object]:
    return fact if isinstance(fact, dict) else {}
