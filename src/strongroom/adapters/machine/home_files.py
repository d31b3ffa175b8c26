"""Looking for words in every file of a home, and removing what is only derived.

An erasure ends with this search: that a row was deleted is no proof that its bytes are gone.
"""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

WORD_BYTES_MIN: Final = 6
"""A shorter word turns up by chance among ciphertext and hashes, so it is not looked for."""
_BLOCK: Final = 1 << 20
_DESCRIPTORS: Final = Path("/proc/self/fd")

_OpenHere = Mapping[tuple[int, int], int]


def files_holding(home: Path, words: Collection[str]) -> list[str]:
    """Return the paths, below the home, of files that hold a word in clear, in any ASCII case.

    It is found as UTF-8, as JSON writes it and as a URL does. Sealed and compressed bytes are not
    opened. Databases that this process has open keep their locks.
    """
    forms = {form for word in words for form in _forms(word) if len(form) >= WORD_BYTES_MIN}
    if not forms:
        return []
    wanted = re.compile(
        rb"(?<![0-9A-Za-z])(?:" + b"|".join(map(re.escape, sorted(forms))) + rb")(?![0-9A-Za-z])",
        re.IGNORECASE,
    )
    overlap = max(map(len, forms)) + 1
    files = sorted(path for path in home.rglob("*") if path.is_file() and not path.is_symlink())
    here = _open_here()
    return [str(path.relative_to(home)) for path in files if _holds(path, here, wanted, overlap)]


def remove_search_files(home: Path) -> None:
    """Remove the search files of all logs; they are made anew when somebody searches."""
    for folder in (home, *(home / "clients").glob("*")):
        for name in ("search.db", "search.db-wal", "search.db-shm", "search.db-journal"):
            (folder / name).unlink(missing_ok=True)


def _forms(word: str) -> set[bytes]:
    return {word.encode(), json.dumps(word)[1:-1].encode(), quote(word, safe="").encode()}


def _holds(path: Path, here: _OpenHere, wanted: re.Pattern[bytes], overlap: int) -> bool:
    # A file that another process removes meanwhile, a journal, holds nothing any more.
    with contextlib.suppress(FileNotFoundError):
        kept = b""
        for block in _blocks(path, here):
            if wanted.search(kept + block):
                return True
            kept = block[-overlap:]
    return False


def _blocks(path: Path, here: _OpenHere) -> Iterator[bytes]:
    status = path.stat()
    descriptor = here.get((status.st_dev, status.st_ino))
    if descriptor is None:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
        return
    # To close any descriptor of a file is to drop all locks that this process has on it; another
    # command would then take away the journal of a database that is open here.
    start = 0
    while block := os.pread(descriptor, _BLOCK, start):
        start += len(block)
        yield block


def _open_here() -> _OpenHere:
    """Return a descriptor of each file that this process has open for reading."""
    found: dict[tuple[int, int], int] = {}
    for descriptor in map(int, os.listdir(_DESCRIPTORS)):
        # One is that of the listing itself, which is closed by now.
        with contextlib.suppress(OSError):
            status = os.fstat(descriptor)
            if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_WRONLY:
                found[status.st_dev, status.st_ino] = descriptor
    return found
