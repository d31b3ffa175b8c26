"""Looking for words in every file of a home, and removing what is only derived.

An erasure ends with this search: that a row was deleted is no proof that its bytes are gone.
"""

import contextlib
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final
from urllib.parse import quote

WORD_BYTES_MIN: Final = 6
"""A shorter word turns up by chance among ciphertext and hashes, so it is not looked for."""
_BLOCK: Final = 1 << 20


def files_holding(home: Path, words: Collection[str]) -> list[str]:
    """Return the paths, below the home, of files that hold a word in clear, in any ASCII case.

    It is found as UTF-8, as JSON writes it and as a URL does. Sealed and compressed bytes are not
    opened.
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
    return [str(path.relative_to(home)) for path in files if _holds(path, wanted, overlap)]


def remove_search_files(home: Path) -> None:
    """Remove the search files of all logs; they are made anew when somebody searches."""
    for folder in (home, *(home / "clients").glob("*")):
        for name in ("search.db", "search.db-wal", "search.db-shm", "search.db-journal"):
            (folder / name).unlink(missing_ok=True)


def _forms(word: str) -> set[bytes]:
    return {word.encode(), json.dumps(word)[1:-1].encode(), quote(word, safe="").encode()}


def _holds(path: Path, wanted: re.Pattern[bytes], overlap: int) -> bool:
    # A file that another process removes meanwhile, a journal, holds nothing any more.
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        kept = b""
        while block := file.read(_BLOCK):
            if wanted.search(kept + block):
                return True
            kept = block[-overlap:]
    return False
