"""A witness: it cosigns a checkpoint that goes on from what it saw before, and nothing else.

C2SP tlog-witness v1.0.0 to the byte, without HTTP: a request's body goes in, status, content type
and body come out. What a witness knows is its own: it never takes a caller's word for what it saw
last. An answer leaves only when the new checkpoint is on disk, and two requests never pass each
other, because both happen under one write lock. A signed checkpoint that contradicts an earlier
one is evidence of a fork and is kept. Normative page: docs/formats/ledger-v1.md.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol, TypeAlias

from strongroom.clock import Clock, format_instant
from strongroom.database import Database, Transaction
from strongroom.errors import Refused
from strongroom.ledger.checkpoint import Checkpoint, read_number, read_root
from strongroom.ledger.cosignature import cosign, witness_key
from strongroom.ledger.note import (
    LOG_KEY,
    NOTE_BYTES_MAX,
    WITNESS_KEY,
    NoteInvalid,
    Opened,
    VerifierKey,
    open_note,
    split_note,
)
from strongroom.ledger.tree import EMPTY_ROOT, ProofInvalid, verify_consistency

PROOF_LINES_MAX: Final = 63
REQUEST_BYTES_MAX: Final = NOTE_BYTES_MAX + 64 * 64
REQUESTS_MAX: Final = 1_000
LOGS_MAX: Final = 100_000
EVIDENCE_MAX: Final = 100
"""How many contradictions are kept of one log and kind; the first ones say all there is to say."""
TEXT: Final = "text/plain; charset=utf-8"
SIZE: Final = "text/x.tlog.size"

WITNESS_SCHEMA: Final = (
    """
    CREATE TABLE witnessed (
      origin TEXT PRIMARY KEY, origin_hash TEXT NOT NULL UNIQUE, vkey TEXT NOT NULL,
      purpose TEXT NOT NULL, registered_at TEXT NOT NULL, size INTEGER, root BLOB, note BLOB,
      cosigned_at INTEGER
    ) STRICT;
    CREATE TABLE witness_evidence (
      number INTEGER PRIMARY KEY, origin TEXT NOT NULL REFERENCES witnessed (origin),
      fork INTEGER NOT NULL, digest BLOB NOT NULL UNIQUE, at TEXT NOT NULL,
      request BLOB NOT NULL, note BLOB
    ) STRICT
    """,
)
"""One migration step. A log that was never cosigned has no size; evidence keeps both sides."""

Journal: TypeAlias = Callable[[Transaction, str, str, Mapping[str, str | int]], None]
"""Record what was done (`area.verb`), to what, with which details, in the witness's transaction."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness says to one request, as HTTP would carry it."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """A signed checkpoint that does not go on from `note`, the newest one cosigned then.

    `fork` says that this alone convicts the log: two roots for one size. Otherwise the proof that
    came with it may be what is wrong.
    """

    origin: str
    fork: bool
    at: str
    request: bytes
    note: bytes | None


@dataclass(frozen=True, slots=True)
class LogKey:
    """A log to be witnessed from now on; the purpose is `client` or `server`, never a name."""

    origin: str
    vkey: str
    purpose: str


class WitnessLike(Protocol):
    """What a log's owner asks of a witness, in this process or on another machine."""

    def register(self, logs: Sequence[LogKey]) -> None:
        """Witness these logs from now on."""
        ...

    def registered(self, origins: Sequence[str]) -> list[bool]:
        """Return for each origin whether its key is known."""
        ...

    def latest(self, origins: Sequence[str]) -> list[Checkpoint | None]:
        """Return the newest checkpoint cosigned of each log; None where there is none."""
        ...

    def add_checkpoints(self, requests: Sequence[bytes]) -> list[Answer]:
        """Answer several requests, each as if it had come alone, in order."""
        ...

    def monitor(self, wanted: str) -> Answer:
        """Return the newest note cosigned of the log whose origin has this SHA-256."""
        ...

    def evidence(self, origin: str = "") -> list[Evidence]:
        """Return the contradictions that were kept, of one log where it is named."""
        ...


@dataclass(frozen=True, slots=True)
class SeenLog:
    """What a witness knows of a log; size and root are those of the empty tree at first."""

    key: VerifierKey
    purpose: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class _Request:
    """A request that is well-formed; nothing in it is believed yet."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of a log; size and root are those of the empty tree before the first one."""

    key: VerifierKey
    size: int
    root: bytes
    note: bytes | None
    cosigned_at: int


class _No(Exception):
    """The answer is this status."""

    def __init__(self, status: int, body: str, content_type: str = TEXT) -> None:
        super().__init__(body)
        self.answer = Answer(status, content_type, f"{body}\n".encode())


class Witness:
    """The witness of one custodian; safe to share between threads and processes."""

    SCHEMA: ClassVar = WITNESS_SCHEMA
    Key: TypeAlias = VerifierKey
    Journal: TypeAlias = Journal
    Answer: TypeAlias = Answer
    Evidence: TypeAlias = Evidence
    Log: TypeAlias = LogKey
    Like: TypeAlias = WitnessLike
    Seen: TypeAlias = SeenLog

    def __init__(
        self, database: Database, name: str, seed: bytes, clock: Clock, journal: Journal
    ) -> None:
        """Serve under this key name and seed; the database has the tables of WITNESS_SCHEMA."""
        self.key = witness_key(name, seed)
        self._database = database
        self._seed = seed
        self._clock = clock
        self._journal = journal

    @staticmethod
    def key_of(name: str, public: bytes) -> VerifierKey:
        """Return the verifier key of a witness with this name and public key."""
        return VerifierKey(name, WITNESS_KEY, public)

    @staticmethod
    def request(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
        """Return the body of a request to cosign `note`, from the size a witness saw last."""
        lines = "".join(f"{base64.b64encode(one).decode()}\n" for one in proof)
        return f"old {old}\n{lines}\n".encode() + note

    @staticmethod
    def seen(transaction: Transaction, origin: str) -> SeenLog | None:
        """Return what the witness in this database knows of a log; None where it is unknown."""
        found = _read(transaction, origin)
        row = transaction.row("SELECT purpose FROM witnessed WHERE origin = ?", (origin,))
        if found is None or row is None:
            return None
        return SeenLog(found.key, row[0], found.size, found.root)

    @staticmethod
    def check_one_log(one: Checkpoint, other: Checkpoint, proof: Sequence[bytes]) -> None:
        """Raise ProofInvalid unless the greater of two checkpoints goes on from the smaller."""
        first, second = sorted((one, other), key=lambda checkpoint: checkpoint.size)
        verify_consistency(first.size, second.size, proof, first.root, second.root)

    def register(self, logs: Sequence[LogKey]) -> None:
        """Witness these logs from now on; the first key that comes with an origin stays its key.

        The same again changes nothing. Raises Refused for another key of a known origin.
        """
        with self._database.transaction() as transaction:
            for log in logs:
                self._register(transaction, log)

    def latest(self, origins: Sequence[str]) -> list[Checkpoint | None]:
        """Return the newest checkpoint cosigned of each log; None where it is unknown or has none.

        Raises nothing for an unknown origin: `registered` tells.
        """
        with self._database.reading() as reading:
            return [self._latest(reading, origin) for origin in origins]

    def registered(self, origins: Sequence[str]) -> list[bool]:
        """Return for each origin whether its key is known."""
        with self._database.reading() as reading:
            return [_read(reading, origin) is not None for origin in origins]

    def monitor(self, wanted: str) -> Answer:
        """Answer what `GET <prefix>/<SHA-256 of the origin>/checkpoint` asks for."""
        with self._database.reading() as reading:
            row = reading.row("SELECT note FROM witnessed WHERE origin_hash = ?", (wanted,))
        if row is None or row[0] is None:
            return Answer(404, TEXT, b"no checkpoint of this log was cosigned\n")
        return Answer(200, TEXT, row[0])

    def evidence(self, origin: str = "") -> list[Evidence]:
        """Return every contradiction that was kept, oldest first; of one log where it is named."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT origin, fork, at, request, note FROM witness_evidence "
                "WHERE ? IN ('', origin) ORDER BY number",
                (origin,),
            )
        return [Evidence(origin, bool(fork), *rest) for origin, fork, *rest in rows]

    def add_checkpoint(self, request: bytes) -> Answer:
        """Answer what `POST <prefix>/add-checkpoint` asks; durable when this returns."""
        return self.add_checkpoints([request])[0]

    def add_checkpoints(self, requests: Sequence[bytes]) -> list[Answer]:
        """Answer several requests in one transaction: each as if it had come alone, in order."""
        if len(requests) > REQUESTS_MAX:
            raise Refused(f"{len(requests)} checkpoints at a time are too many", f"{REQUESTS_MAX}")
        # The block ends, and what was cosigned is on disk, before the answers leave.
        with self._database.transaction() as transaction:
            return [self._answer(transaction, request) for request in requests]

    def _answer(self, transaction: Transaction, data: bytes) -> Answer:
        try:
            request = parse_request(data)
            seen = _read(transaction, request.checkpoint.origin)
            if seen is None:
                raise _No(404, "the log is unknown here")
            opened = _open(request, seen)
        except _No as refusal:
            return refusal.answer
        try:
            return self._cosign(transaction, request, seen, opened)
        except _No as refusal:
            checkpoint = request.checkpoint
            fork = checkpoint.size == seen.size and checkpoint.root != seen.root
            if fork or refusal.answer.status == 422:
                self._keep(transaction, request, seen, data, fork=fork)
            return refusal.answer

    def _cosign(
        self, transaction: Transaction, request: _Request, seen: _Seen, opened: Opened
    ) -> Answer:
        """Check a checkpoint that its log signed, in the order of the specification."""
        checkpoint = request.checkpoint
        if request.old > checkpoint.size:
            raise _No(400, "the old size is greater than the checkpoint's")
        if request.old != seen.size:
            raise _No(409, str(seen.size), SIZE)
        try:
            verify_consistency(
                seen.size, checkpoint.size, request.proof, seen.root, checkpoint.root
            )
        except ProofInvalid as err:
            raise _No(422, str(err)) from err
        # The clock may go back; what is said of a log never does.
        at = max(int(self._clock.now().timestamp()), seen.cosigned_at, 1)
        line = cosign(opened.text, at, self.key.name, self._seed)
        lines = b"".join(signature.line for signature in opened.signatures)
        transaction.run(
            "UPDATE witnessed SET size = ?, root = ?, note = ?, cosigned_at = ? WHERE origin = ?",
            (
                checkpoint.size,
                checkpoint.root,
                opened.text + b"\n" + lines + line,
                at,
                checkpoint.origin,
            ),
        )
        return Answer(200, TEXT, line)

    def _register(self, transaction: Transaction, log: LogKey) -> None:
        key = VerifierKey.parse(log.vkey)
        if key.kind != LOG_KEY or key.name != log.origin or key.public == self.key.public:
            raise Refused(f"{log.vkey} is not the key of a log", f"wanted one of {log.origin}")
        row = transaction.row("SELECT vkey FROM witnessed WHERE origin = ?", (log.origin,))
        if row is not None:
            if row[0] != log.vkey:
                raise Refused(f"the log {log.origin} is known with another key", row[0])
            return
        hashed = origin_hash(log.origin)
        count = transaction.row("SELECT count(*) FROM witnessed")
        if count is not None and count[0] >= LOGS_MAX:
            raise Refused("no more logs are witnessed here", f"{LOGS_MAX} are the limit")
        transaction.run(
            "INSERT INTO witnessed (origin, origin_hash, vkey, purpose, registered_at) "
            "VALUES (?, ?, ?, ?, ?)",
            (
                log.origin,
                hashed,
                log.vkey,
                log.purpose,
                format_instant(self._clock.now()),
            ),
        )
        self._journal(transaction, "log.registered", hashed, {"purpose": log.purpose})

    def _latest(self, reading: Transaction, origin: str) -> Checkpoint | None:
        row = reading.row("SELECT size, root FROM witnessed WHERE origin = ?", (origin,))
        return None if row is None or row[0] is None else Checkpoint(origin, row[0], row[1])

    def _keep(
        self, transaction: Transaction, request: _Request, seen: _Seen, data: bytes, *, fork: bool
    ) -> None:
        """Keep a contradiction with what it contradicts, once whatever proof came with it.

        Whoever repeats old checkpoints with wrong proofs fills no place that a fork needs.
        """
        origin = request.checkpoint.origin
        row = transaction.row(
            "SELECT count(*) FROM witness_evidence WHERE origin = ? AND fork = ?", (origin, fork)
        )
        if row is None or row[0] >= EVIDENCE_MAX:
            return
        text = request.checkpoint.encode()
        kept = transaction.run(
            "INSERT OR IGNORE INTO witness_evidence (origin, fork, digest, at, request, note) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                origin,
                fork,
                hashlib.sha256(text + (seen.note or b"")).digest(),
                format_instant(self._clock.now()),
                data,
                seen.note,
            ),
        )
        if kept:
            self._journal(transaction, "log.contradicted", origin_hash(origin), {"size": seen.size})


def origin_hash(origin: str) -> str:
    """Return the SHA-256 of an origin in hexadecimal, by which a witness's readers ask for it."""
    return hashlib.sha256(origin.encode()).hexdigest()


def parse_request(data: bytes) -> _Request:
    """Read a request's body; what the specification does not allow is answered with 400."""
    if len(data) > REQUEST_BYTES_MAX:
        raise _No(400, f"a request has at most {REQUEST_BYTES_MAX} bytes")
    head, empty, note = data.partition(b"\n\n")
    lines = head.split(b"\n")
    if not empty or not note or len(lines) > PROOF_LINES_MAX + 1:
        raise _No(400, "it is not an old size, at most 63 hashes, an empty line and a checkpoint")
    try:
        word, space, number = lines[0].decode("ascii").partition(" ")
        if word + space != "old ":
            raise _No(400, "the first line is not an old size")
        old = read_number(number)
        proof = tuple(read_root(line.decode("ascii")) for line in lines[1:])
        checkpoint = Checkpoint.parse(split_note(note).text)
    except (NoteInvalid, UnicodeDecodeError) as err:
        raise _No(400, str(err)) from err
    return _Request(old, proof, note, checkpoint)


def _read(transaction: Transaction, origin: str) -> _Seen | None:
    row = transaction.row(
        "SELECT vkey, size, root, note, cosigned_at FROM witnessed WHERE origin = ?", (origin,)
    )
    if row is None:
        return None
    vkey, size, root, note, cosigned_at = row
    key = VerifierKey.parse(vkey)
    if size is None:
        return _Seen(key, 0, EMPTY_ROOT, None, 0)
    return _Seen(key, size, root, note, cosigned_at)


def _open(request: _Request, seen: _Seen) -> Opened:
    try:
        return open_note(request.note, [seen.key])
    except NoteInvalid as err:
        raise _No(403, str(err)) from err
