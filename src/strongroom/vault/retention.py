"""Which snapshots a keep policy keeps, and why. Pure; it plans and never deletes.

Only good snapshots count: a pending one is neither kept by a rule nor offered for removal. Times
are receive times, so a writer with a false clock cannot push good snapshots out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """How many days, weeks and months keep their newest good snapshot, and the least in all."""

    daily: int = 7
    weekly: int = 5
    monthly: int = 12
    floor: int = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A snapshot as the policy sees it."""

    id: str
    received_at: datetime
    good: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """One snapshot and the reasons to keep it; without reasons the policy lets it go."""

    id: str
    reasons: tuple[str, ...]


_Period = Callable[[datetime], tuple[int, ...]]
_PERIODS: tuple[tuple[str, _Period], ...] = (
    ("daily", lambda at: (at.year, at.month, at.day)),
    ("weekly", lambda at: tuple(at.isocalendar()[:2])),
    ("monthly", lambda at: (at.year, at.month)),
)


def plan(snapshots: Sequence[Candidate], policy: KeepPolicy) -> tuple[Verdict, ...]:
    """Return a verdict for every snapshot, newest first."""
    newest_first = sorted(snapshots, key=lambda one: (one.received_at, one.id), reverse=True)
    good = [one for one in newest_first if one.good]
    reasons: dict[str, list[str]] = {one.id: [] for one in newest_first}
    for one in newest_first:
        if not one.good:
            reasons[one.id].append("pending")
    for one in good[:1]:
        reasons[one.id].append("newest good")
    for one in good[: policy.floor]:
        reasons[one.id].append(f"one of the {policy.floor} newest good")
    counts = {"daily": policy.daily, "weekly": policy.weekly, "monthly": policy.monthly}
    for name, period in _PERIODS:
        seen: set[tuple[int, ...]] = set()
        for one in good:
            when = period(one.received_at)
            if when not in seen and len(seen) < counts[name]:
                seen.add(when)
                reasons[one.id].append(name)
    return tuple(Verdict(one.id, tuple(reasons[one.id])) for one in newest_first)
