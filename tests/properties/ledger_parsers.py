"""Every parser of the ledger, with bytes that it takes; `parsers` holds them in its table."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime

from strongroom.crypto.envelope import decode_envelope, sign_envelope
from strongroom.crypto.sealing import SALT_BYTES, open_sealed, seal
from strongroom.errors import Refused
from strongroom.facts import Fact
from strongroom.ids import CustodianId, InstallId
from strongroom.ledger import Checkpoint, Log, Policy, Proof
from strongroom.ledger.cosignature import cosign, verify, witness_key
from strongroom.ledger.note import VerifierKey, open_note, sign, split_note
from strongroom.ledger.search_words import Query
from strongroom.ledger.stretch import KIND, _context, open_stretch
from strongroom.ledger.tiles import encode_bundle, entries_path, parse_bundle, parse_path
from strongroom.ledger.tree import leaf_hash
from strongroom.ledger.witness import _No, parse_request
from strongroom.operations.find_logs import FoundLog
from strongroom.quorum.witness_card import WitnessCard
from tests.vectors import build_fact_v1 as fact_vector
from tests.vectors import build_stretch_v1 as stretch_vector

SEED = b"\x09" * 32
ORIGIN = f"{'25' * 16}.ledger.invalid/{'9f' * 16}"
WITNESS = witness_key("witness.example/w", b"\x0a" * 32)
LOG = VerifierKey(ORIGIN, 1, witness_key(ORIGIN, SEED).public)
TEXT = Checkpoint(ORIGIN, 2, leaf_hash(b"x"), ("further",)).encode()
LINE = cosign(TEXT, 1_767_323_045, WITNESS.name, b"\x0a" * 32)
NOTE = sign(TEXT, ORIGIN, SEED) + LINE
POLICY = Policy.of([LOG], {"anna": WITNESS}, 1)
STRETCH = stretch_vector.stretches()[0]
STRETCH_KEY = stretch_vector.parent_of(STRETCH)
STRETCH_OBJECT = decode_envelope(
    STRETCH.sign(stretch_vector.SEED, STRETCH_KEY, stretch_vector.salt_of(STRETCH)), "a stretch"
)


FACT = next(fact_vector.facts()).encode()
CARD = WitnessCard(
    InstallId("1" * 32), CustodianId("2" * 32), 1, WITNESS.public, datetime(2026, 1, 2, tzinfo=UTC)
)
AT = "2026-11-22T12:00:00.000000Z"


def ledger_parsers() -> dict[str, tuple[bytes, Callable[[bytes], object]]]:
    """Return valid bytes and what reads them, by `module:name`."""
    return {
        "ledger.tiles:parse_path": (
            entries_path(1234067, 5).encode(),
            lambda data: parse_path(_text(data)),
        ),
        "ledger.tiles:parse_bundle": (
            encode_bundle([b"one", b"", b"three" * 60]),
            lambda data: parse_bundle(data, 3),
        ),
        "ledger.note:VerifierKey.parse": (
            str(WITNESS).encode(),
            lambda data: VerifierKey.parse(_text(data)),
        ),
        "ledger.note:split_note": (NOTE, split_note),
        "ledger.note:open_note": (NOTE, lambda data: open_note(data, [LOG, WITNESS])),
        "ledger.cosignature:verify": (LINE, lambda data: verify(TEXT, data, WITNESS)),
        "ledger.checkpoint:Checkpoint.parse": (TEXT, Checkpoint.parse),
        "ledger.policy:Policy.parse": (POLICY.encode() + b"# \xff\n", Policy.parse),
        "ledger.policy:Policy.check": (NOTE, POLICY.check),
        "ledger.proof:Proof.parse": (
            Proof(1, (leaf_hash(b"y"),), NOTE, b"extra").encode(),
            Proof.parse,
        ),
        "ledger.stretch:open_stretch": (_stretch_inside(), _read_stretch),
        "ledger.search_words:Query.parse": (
            b"restor* out:denied op:restore.done",
            lambda data: Query.parse(_text(data)),
        ),
        "ledger.witness:parse_request": (
            b"old 1\n" + base64.b64encode(leaf_hash(b"z")) + b"\n\n" + NOTE,
            _read_request,
        ),
        "quorum.witness_card:WitnessCard.parse": (
            CARD.sign(SEED).encode(),
            lambda data: WitnessCard.parse(decode_envelope(data, "a card"), LOG.public),
        ),
        "facts.fact:Fact.parse": (FACT, Fact.parse),
        "operations.find_logs:FoundLog.parse_facts": (
            FACT,
            lambda data: _found(data).parse_facts(),
        ),
        "facts.fact:Fact.of_row": (
            b'{"copied":3,"url":"s3://bucket"}',
            lambda data: Fact.of_row(1, "location.added", "away", "operator", AT, _text(data)),
        ),
    }


def _read_request(data: bytes) -> object:
    """Read a request to a witness; what it answers 400 to is refused."""
    try:
        return parse_request(data)
    except _No as answer:
        raise Refused("400", str(answer)) from answer


def _stretch_inside() -> bytes:
    salt, sealed = STRETCH_OBJECT.body[:SALT_BYTES], STRETCH_OBJECT.body[SALT_BYTES:]
    return open_sealed(STRETCH_KEY, KIND, salt, _context(STRETCH.log, STRETCH.start), sealed)


def _read_stretch(data: bytes) -> object:
    """Read a stretch as somebody with all of its keys could make it."""
    salt = b"\x0b" * SALT_BYTES
    body = salt + seal(STRETCH_KEY, KIND, salt, _context(STRETCH.log, STRETCH.start), data)
    header = STRETCH_OBJECT.statement.fields(KIND)
    made = sign_envelope(stretch_vector.SEED, KIND, header, body)
    return open_stretch(made.encode(), STRETCH.key, STRETCH_KEY)


def _found(leaf: bytes) -> FoundLog:
    """Return a log of this one leaf, as a writer who holds its key could have made it."""
    checkpoint = Checkpoint(ORIGIN, 1, leaf_hash(leaf))
    past = Log.Past(ORIGIN, LOG, (leaf,), sign(checkpoint.encode(), ORIGIN, SEED), (), 1)
    return FoundLog(past, checkpoint, 0, 0, "", frozenset())


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
