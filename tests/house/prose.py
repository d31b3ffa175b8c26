"""What pages must hold, as plain functions over their text: each returns its findings."""

import re
from pathlib import Path

DECISION_PARTS = ("## Context", "## Choice", "## Cost")
# Places of one machine; a place that every installation has (/var/lib, /etc) may be named.
_MACHINE = ("home", "root", "work", "opt", "Users", "mnt", "tmp")
_MACHINE_PATH = re.compile(rf"(?<![\w./:~-])/({'|'.join(_MACHINE)})/[\w./-]+")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_TERM = re.compile(r"^\| \*\*(.+?)\*\* \|", re.MULTILINE)
_VECTORS = re.compile(r"\bVectors: `(tests/vectors/[\w.-]+)`")


def machine_paths(text: str) -> list[str]:
    """Name the absolute paths of somebody's machine."""
    return [found.group() for found in _MACHINE_PATH.finditer(text)]


def dead_links(text: str, page: Path) -> list[str]:
    """Name the relative links that lead nowhere."""
    links = [link for link in _LINK.findall(text) if "://" not in link]
    return [link for link in links if not (page.parent / link).exists()]


def terms(glossary: str) -> list[str]:
    """Return the words of the glossary in the order they stand there."""
    return _TERM.findall(glossary)


def vectors_named(page: str) -> list[str]:
    """Return the vector files that a format page names."""
    return _VECTORS.findall(page)


def decision_gaps(text: str) -> list[str]:
    """Name what a decision record lacks."""
    missing = [part for part in DECISION_PARTS if part not in text]
    if not re.search(r"^Date: \d{4}-\d\d-\d\d$", text, re.MULTILINE):
        missing.append("Date")
    return missing
