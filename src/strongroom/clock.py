"""The time, as an argument. Nothing else in the house may ask the operating system for it.

Instants are aware UTC datetimes; on disk and in JSON they are RFC 3339 with microseconds and `Z`,
so that text order is time order.
"""

import re
import time
from datetime import UTC, datetime
from typing import Protocol

from strongroom.errors import Damaged

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"
)


_OFFSET_LENGTH = len("+00:00")


class Clock(Protocol):
    """What time it is, and how long something took."""

    def now(self) -> datetime:
        """Return the current instant in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean something."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic clock in seconds."""
        return time.monotonic()


def format_instant(instant: datetime) -> str:
    """Return RFC 3339 text with six decimals and `Z`; naive datetimes are a programming error."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    # Not strftime, which writes the year 999 with three digits: text order would not be time order.
    # Asked for twice a fact, so it is not converted where it is UTC already.
    in_utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return f"{in_utc.isoformat(timespec='microseconds')[:-_OFFSET_LENGTH]}Z"


def parse_instant(text: object) -> datetime:
    """Read what `format_instant` wrote, and nothing else; raise Damaged otherwise."""
    if isinstance(text, str) and _INSTANT.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise Damaged("an instant cannot be read", f"wanted YYYY-MM-DDTHH:MM:SS.ffffffZ: {text!r:.60}")


def pause(seconds: float) -> None:
    """Wait; handed out by the composition root only, so that a test need not."""
    time.sleep(seconds)
