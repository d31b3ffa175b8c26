"""Facts for tests that need one and care little which."""

import secrets
from datetime import UTC, datetime

from strongroom.facts import Fact, Session, Who
from tests.support.stepping_clock import SteppingClock

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLIENT = "1" * 32
PERSON = Who("0" * 32, "human")


def session(now: datetime = NOON) -> Session:
    """Return a session of one person; its time stands still."""
    clock = SteppingClock()
    clock.at = now
    return Session(PERSON, "a" * 32, "b" * 32, clock, secrets.token_bytes)


def told(op: str = "source.removed") -> Fact:
    """Return a fact of a client's source: `source.removed`, `source.password_set` and the like."""
    return session().fact(op, CLIENT, source="2" * 32)
