"""Results and errors as text for people and JSON for machines; nothing else prints.

Results go to stdout, everything else to stderr. With --json a list is an array of flat objects,
an action one object, an error one object on stderr and nothing on stdout.
"""

import dataclasses
import errno
import json
import re
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

from strongroom.clock import format_instant
from strongroom.errors import StrongroomError, Waiting

REDRAW_SECONDS = 0.1
_NUMBER = re.compile(r"\d{1,9}|\d+(\.\d+)? \w+")
LINE_LENGTH = 80
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: dataclasses as objects, instants as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, Path | Enum):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def write_json(out: TextIO, value: Any) -> None:
    """Write one JSON document and a line end."""
    json.dump(plain(value), out, indent=2, ensure_ascii=False)
    out.write("\n")


def write_json_line(out: TextIO, value: Any) -> None:
    """Write one JSON document on one line, for what goes on telling."""
    json.dump(plain(value), out, ensure_ascii=False)
    out.write("\n")


def write_table(out: TextIO, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows in columns; columns of numbers are set right."""
    widths = [
        max(len(titles[i]), *(len(row[i]) for row in rows)) if rows else len(titles[i])
        for i in range(len(titles))
    ]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(titles))]
    for row in (titles, *rows):
        cells = [
            cell.rjust(width) if at_right else cell.ljust(width)
            for cell, width, at_right in zip(row, widths, right, strict=True)
        ]
        out.write("  ".join(cells).rstrip() + "\n")


def write_error(err: TextIO, error: StrongroomError, *, as_json: bool) -> None:
    """Write an error as one line of reason and a hint, or as one JSON object."""
    if as_json:
        fields = {"code": error.code, "what": error.what, "why": error.why, "hint": error.hint}
        write_json(err, {"error": fields})
        return
    err.write("".join(f"{line}\n" for line in error_lines(error)))


def error_lines(error: StrongroomError, of: str = "") -> list[str]:
    """Return an error as lines for people; `of` names what it is about, where there is more."""
    # Whoever waits for others has made no mistake.
    word = "waiting" if isinstance(error, Waiting) else "error"
    about = f"{of}: " if of else ""
    return [f"{word}: {about}{error}", *([f"hint:  {error.hint}"] if error.hint else [])]


def from_outside(err: OSError | MemoryError | Exception) -> StrongroomError:
    """Return what the machine reported, where no room of ours had a word for it."""
    if isinstance(err, MemoryError):
        return StrongroomError(
            "there is not enough memory",
            hint="Close other programs, or lower `threads` in strongroom.toml; nothing is lost.",
        )
    if not isinstance(err, OSError):
        return StrongroomError("a database of this home cannot be used", str(err))
    what = f"{err.filename} cannot be used" if err.filename else "the machine refused"
    why = (err.strerror or str(err) or type(err).__name__).lower()
    if err.errno in _FULL:
        hint = "Make room and run the command again; what was kept before is sound."
    elif err.errno in _DENIED:
        hint = "Check who owns it and what its rights are, and who you are."
    else:
        hint = StrongroomError.hint
    return StrongroomError(what, why, hint)


def wrapped(text: str, indent: str = "") -> list[str]:
    """Return a sentence as lines that fit a terminal; `indent` is for all but the first."""
    return textwrap.wrap(
        text,
        LINE_LENGTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def count(number: int, what: str) -> str:
    """Return a number with its word, in the plural where it is not one."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def entries(number: int) -> str:
    """Return how many entries a source has."""
    return "1 entry" if number == 1 else f"{number} entries"


def size(count: int) -> str:
    """Return a number of bytes for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise ValueError("unreachable: the last unit takes everything")


def duration(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def moment(instant: datetime) -> str:
    """Return an instant for people, in UTC."""
    return instant.strftime("%Y-%m-%d %H:%M:%S Z")


class ProgressLine:
    """One line on stderr, redrawn in place: done, rate, and time left where it is known."""

    def __init__(self, err: TextIO, label: str, *, shown: bool) -> None:
        self._err = err
        self._label = label
        self._shown = shown and err.isatty()
        self._started = time.monotonic()
        self._drawn = 0.0

    def __call__(self, progress: Any) -> None:
        """Redraw when enough time has passed; `progress` has done_bytes and expected_bytes."""
        if not self._shown:
            return
        now = time.monotonic()
        if now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        elapsed = max(now - self._started, 1e-6)
        rate = progress.done_bytes / elapsed
        text = f"{self._label}  {size(progress.done_bytes)}"
        if progress.expected_bytes:
            text += f" of {size(progress.expected_bytes)}"
        text += f"  {size(int(rate))}/s"
        left = (progress.expected_bytes or 0) - progress.done_bytes
        if left > 0 and rate > 0:
            text += f"  {duration(left / rate)} left"
        self._err.write(f"\r\x1b[2K{text}")
        self._err.flush()

    def clear(self) -> None:
        """Remove the line."""
        if self._shown and self._drawn:
            self._err.write("\r\x1b[2K")
            self._err.flush()


def stdout() -> TextIO:
    """Return where results go."""
    return sys.stdout


def stderr() -> TextIO:
    """Return where everything else goes."""
    return sys.stderr


def _is_number(cell: str) -> bool:
    """Say whether a cell is a count or an amount; an id of nothing but digits is neither."""
    return _NUMBER.fullmatch(cell) is not None
