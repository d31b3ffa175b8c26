"""A witness with its database and its clock, and logs in memory to show it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from strongroom.crypto import signing
from strongroom.database import Database, Transaction
from strongroom.ledger.checkpoint import Checkpoint
from strongroom.ledger.note import LOG_KEY, VerifierKey, sign
from strongroom.ledger.tree import CompactRange, consistency_proof, leaf_hash, node_hash
from strongroom.ledger.witness import WITNESS_SCHEMA, LogKey, Witness

ORIGIN = "install.ledger.invalid/log-1"
NAME = "install.witness.invalid/1"
LOG_SEED, OTHER_SEED, WITNESS_SEED = (bytes([number]) * 32 for number in (1, 2, 3))
START = datetime(2026, 5, 4, 3, 2, 1, 500_000, UTC)
TEXT, SIZE = "text/plain; charset=utf-8", "text/x.tlog.size"


@dataclass
class Hand:
    """A clock that stands still until it is turned."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


@dataclass
class Tree:
    """A log in memory; `salt` makes another one of the same length."""

    salt: str = ""
    hashes: list[bytes] = field(default_factory=list)

    def grow(self, size: int) -> "Tree":
        self.hashes = [leaf_hash(f"{self.salt}{number}".encode()) for number in range(size)]
        return self

    def root(self, size: int) -> bytes:
        tree = CompactRange()
        tree.extend(self.hashes[:size])
        return tree.root()

    def proof(self, old: int, new: int) -> list[bytes]:
        def read(level: int, index: int) -> bytes:
            if level == 0:
                return self.hashes[index]
            return node_hash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1))

        return consistency_proof(read, old, new)

    def note(self, size: int, seed: bytes = LOG_SEED, origin: str = ORIGIN) -> bytes:
        return sign(Checkpoint(origin, size, self.root(size)).encode(), origin, seed)

    def request(self, old: int, new: int) -> bytes:
        return Witness.request(old, self.proof(old, new), self.note(new))


def log_key(seed: bytes = LOG_SEED, origin: str = ORIGIN) -> VerifierKey:
    return VerifierKey(origin, LOG_KEY, signing.public_key(seed))


class Seat:
    """A witness with its database, its clock and what it has journalled."""

    def __init__(self, database: Database, *, make: bool = True) -> None:
        self.clock = Hand()
        self.journal: list[tuple[str, str, dict[str, str | int]]] = []
        self.database = database
        if make:
            database.migrate(WITNESS_SCHEMA)

        def journal(_: Transaction, op: str, subject: str, body: Mapping[str, str | int]) -> None:
            self.journal.append((op, subject, dict(body)))

        self.witness = Witness(database, NAME, WITNESS_SEED, self.clock, journal)
        self.tree = Tree().grow(600)

    def register(self, key: VerifierKey | None = None) -> None:
        key = key or log_key()
        self.witness.register([LogKey(key.name, str(key), "client")])

    def at(self, size: int) -> None:
        """Bring the witness to this size."""
        self.register()
        if size:
            assert self.witness.add_checkpoint(self.tree.request(0, size)).status == 200

    def answer(self, request: bytes) -> tuple[int, str, bytes]:
        found = self.witness.add_checkpoint(request)
        return found.status, found.content_type, found.body
