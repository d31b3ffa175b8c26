"""What a person chose of a snapshot: `SOURCE/PATH`.

Pure. The words are read before any key is opened; whether there is such a path is known only from
what the snapshot holds, and judged by the vault.
"""

import os
from collections.abc import Sequence
from typing import Protocol

from strongroom.errors import UsageError, printable


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
                hint="Write SOURCE/PATH, as `strongroom browse` shows them.",
            )
        sorted_.setdefault(name, []).append(rest)
    return {name: [] if "" in rest else rest for name, rest in sorted_.items()}


def check_parts(kind: str, name: str, chosen: Sequence[str]) -> list[str]:
    """Return what was chosen in the words of recipes; raises UsageError."""
    if kind == "tree":
        return [text.strip("/") for text in chosen]
    raise UsageError(
        f"nothing of {name} can be chosen",
        f"it is of kind {kind} and is restored as a whole",
        hint=f"Restore it with --source {name}, without --only.",
    )


def as_path(text: str) -> bytes:
    """Return the bytes of a path as a person typed it."""
    return os.fsencode(text)
