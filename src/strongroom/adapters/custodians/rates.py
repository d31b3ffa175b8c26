"""How often somebody may ask: a window that slides, counted in memory.

What a restart forgets is an hour at most; the journal of releases, which nothing forgets, is the
custodian's own.
"""

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from strongroom.clock import Clock

HOUR_SECONDS: Final = 3600.0
MINUTE_SECONDS: Final = 60.0
KEYS_MAX: Final = 10_000
"""How many askers or clients are counted at once; the ones that asked least lately are let go."""


@dataclass(slots=True)
class Rate:
    """At most so many in so many seconds, for each key apart. Safe to share between threads."""

    most: int
    seconds: float
    clock: Clock
    _asked: dict[str, deque[float]] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: str, count: int = 1) -> bool:
        """Count so many more and return True; where that is too many, count nothing."""
        now = self.clock.monotonic()
        with self._turn:
            # What asked last stands last, so that the first are those to let go.
            asked = self._asked.pop(key, None) or deque()
            self._asked[key] = asked
            while len(self._asked) > KEYS_MAX:
                del self._asked[next(iter(self._asked))]
            while asked and asked[0] <= now - self.seconds:
                asked.popleft()
            if len(asked) + count > self.most:
                return False
            asked.extend([now] * count)
            return True
