"""Logs for tests: facts of any length, a key, witnesses."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from strongroom.crypto.signing import public_key
from strongroom.database import Database
from strongroom.facts import Fact
from strongroom.ledger import Log
from strongroom.ledger.cosignature import cosign, witness_key
from strongroom.ledger.note import LOG_KEY, VerifierKey, split_note
from tests.support.telling import told

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ORIGIN = f"{'ab' * 16}.ledger.invalid/{'cd' * 16}"
SEED = b"\x07" * 32
VKEY = str(VerifierKey(ORIGIN, LOG_KEY, public_key(SEED)))


def facts(count: int) -> list[Fact]:
    """Return so many facts of now."""
    return [told() for _ in range(count)]


def fill(database: Database, log: Log, count: int) -> list[Fact]:
    """Append so many facts in one transaction."""
    added = facts(count)
    with database.transaction() as transaction:
        log.append_many(transaction, added)
    return added


def begun(database: Database, count: int = 0) -> Log:
    """Return a log of so many facts that has an origin and a key."""
    log = Log(database)
    fill(database, log, count)
    log.begin_epoch(ORIGIN, VKEY, NOON)
    return log


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness that signs whatever it is shown."""

    name: str
    seed: bytes

    @property
    def key(self) -> VerifierKey:
        return witness_key(self.name, self.seed)

    def sign(self, note: bytes, at_seconds: int) -> bytes:
        """Return the note with one line more."""
        return note + cosign(split_note(note).text, at_seconds, self.name, self.seed)


def cosigners(count: int) -> Iterator[Cosigner]:
    """Yield witnesses with keys of their own."""
    for number in range(count):
        yield Cosigner(f"witness-{number}.invalid", secrets.token_bytes(32))
