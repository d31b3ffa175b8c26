"""A stretch: neighbouring leaves of one log with their checkpoint, as one object at a location.

Pure. The leaves are sealed, so a location sees how many there are and nothing of them; the log's
own key signs the object, so that anybody who knows the public key can tell a copy from a forgery.
The name holds where it begins and not where it ends: two homes that go on from one state meet at
it. Format: docs/formats/ledger-v1.md.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from strongroom.crypto import canonical
from strongroom.crypto.envelope import Envelope, decode_envelope, sign_envelope
from strongroom.crypto.framing import frame
from strongroom.crypto.sealing import SALT_BYTES, TAG_BYTES, open_sealed, seal
from strongroom.errors import Damaged
from strongroom.ledger.checkpoint import Checkpoint
from strongroom.ledger.note import NOTE_BYTES_MAX, VerifierKey, open_note
from strongroom.ledger.tree import CompactRange, leaf_hash

FORMAT: Final = "ledger-v1"
KIND: Final = "ledger"
PLAIN_BYTES_MAX: Final = 64 << 20
LEAVES_BYTES_MAX: Final = 4 << 20
"""What a writer puts into one: it goes to a slow store in seconds. A reader takes far more."""
LEAF_BYTES_MAX: Final = 65_535
NUMBER_MAX: Final = 9_999_999_999
CARDS_MAX: Final = 32
CARD_BYTES_MAX: Final = 64 << 10
_FIELDS: Final = frozenset(("format", "install", "client", "log", "start", "end"))
_CARD: Final = frozenset(("checkpoint", "server_key", "vkey", "witness_cards"))
_ID: Final = re.compile("[0-9a-f]{32}")
_KEY: Final = re.compile("([0-9a-f]{32})/ledger/([0-9a-f]{32})/([0-9]{10})")
_SECRET: Final = re.compile("[0-9a-f]{64}")
_LENGTH_BYTES: Final = 4
_ENTRY_LENGTH_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Stretch:
    """Leaves from `start` on of the log `log`, which is a client's or, with None, the server's.

    `note` is a checkpoint of the log, of the size at which the leaves end or a greater one.
    """

    install: str
    client: str | None
    log: str
    start: int
    leaves: tuple[bytes, ...] = field(repr=False)
    note: bytes
    vkey: VerifierKey
    witness_cards: tuple[bytes, ...] = ()
    server_key: bytes | None = field(default=None, repr=False)
    """Under which the server's log is sealed; in the stretches of clients."""

    @property
    def end(self) -> int:
        """Return the number of the first leaf that is not in it."""
        return self.start + len(self.leaves)

    @property
    def key(self) -> str:
        """Return where it lies."""
        return stretch_key(self.install, self.log, self.start)

    def read_checkpoint(self) -> Checkpoint:
        """Return what the log's key signed; raise Damaged where it did not, or for another log."""
        found = Checkpoint.parse(open_note(self.note, [self.vkey]).text)
        if found.origin != origin_of(self.install, self.log) or found.size < self.end:
            raise Damaged(
                f"the checkpoint in {self.key} is another's",
                f"it is of {found.origin!a:.100} at {found.size}",
            )
        return found

    def sign(self, log_seed: bytes, parent: bytes, salt: bytes) -> bytes:
        """Return the object; what it says is read back before it leaves.

        `parent` is the client's structure key, or the server log's own.
        """
        card = canonical.dumps(
            {
                "checkpoint": self.note.decode(),
                "server_key": None if self.server_key is None else self.server_key.hex(),
                "vkey": str(self.vkey),
                "witness_cards": [base64.b64encode(one).decode() for one in self.witness_cards],
            }
        )
        parts = [len(card).to_bytes(_LENGTH_BYTES, "little"), card]
        for leaf in self.leaves:
            parts += [len(leaf).to_bytes(_ENTRY_LENGTH_BYTES, "big"), leaf]
        context = _context(self.log, self.start)
        body = salt + seal(parent, KIND, salt, context, b"".join(parts))
        header = {
            "format": FORMAT,
            "install": self.install,
            "client": self.client,
            "log": self.log,
            "start": self.start,
            "end": self.end,
        }
        data = sign_envelope(log_seed, KIND, header, body).encode()
        if open_stretch(data, self.key, parent) != self:
            raise ValueError("a stretch cannot be read back")
        return data


def stretch_key(install: str, log: str, start: int) -> str:
    """Return where the stretch lies that begins with this leaf."""
    return f"{ledger_folder(install, log)}/{start:010d}"


def ledger_folder(install: str, log: str) -> str:
    """Return below which key the stretches of a log lie."""
    return f"{install}/ledger/{log}"


def split_stretch_key(key: str) -> tuple[str, str, int] | None:
    """Return install, log and first leaf as a key names them, or None for the key of another."""
    match = _KEY.fullmatch(key)
    return None if match is None else (match[1], match[2], int(match[3]))


def origin_of(install: str, log: str) -> str:
    """Return the origin of a log, as its checkpoints name it."""
    return f"{install}.ledger.invalid/{log}"


def log_of(origin: str) -> str:
    """Return the id of a log from its origin; raise Damaged for the origin of no log of ours."""
    found = origin.rpartition("/")[2]
    if not _ID.fullmatch(found):
        raise Damaged(f"{origin!a:.100} is the origin of no log of ours")
    return found


def judge_stretch(data: bytes, key: str, vkey: VerifierKey) -> None:
    """Raise Damaged unless the log of this key signed these bytes for this place.

    It needs no key but the public one.
    """
    envelope = decode_envelope(data, key)
    envelope.statement.verify(vkey.public, key)
    _header(envelope, key)


def owner_of(data: bytes, key: str) -> str | None:
    """Return the client whose log it says to be of, or None; nobody's signature is checked."""
    client: str | None = _header(decode_envelope(data, key), key)["client"]
    return client


def open_stretch(data: bytes, key: str, parent: bytes) -> Stretch:
    """Return the stretch that lies at this key and was sealed under this parent; raises Damaged.

    The log's key, which signed object and checkpoint, is the one that was sealed with it.
    """
    envelope = decode_envelope(data, key)
    header = _header(envelope, key)
    salt, sealed = envelope.body[:SALT_BYTES], envelope.body[SALT_BYTES:]
    if not SALT_BYTES + TAG_BYTES <= len(envelope.body) <= PLAIN_BYTES_MAX:
        raise Damaged(f"{key} is malformed", f"its body has {len(envelope.body)} bytes")
    plain = open_sealed(parent, KIND, salt, _context(header["log"], header["start"]), sealed)
    length = int.from_bytes(plain[:_LENGTH_BYTES], "little")
    at = _LENGTH_BYTES + length
    card = _card(plain[_LENGTH_BYTES:at], key)
    leaves = _leaves(plain, at, key)
    if len(leaves) != header["end"] - header["start"]:
        raise Damaged(f"{key} is malformed", f"{len(leaves)} leaves are in it")
    vkey = VerifierKey.parse(card["vkey"])
    envelope.statement.verify(vkey.public, key)
    secret = card["server_key"]
    stretch = Stretch(
        header["install"],
        header["client"],
        header["log"],
        header["start"],
        leaves,
        card["checkpoint"].encode(),
        vkey,
        tuple(_base64(one, key) for one in card["witness_cards"]),
        None if secret is None else bytes.fromhex(secret),
    )
    stretch.read_checkpoint()
    return stretch


def known_part(note: bytes, keys: Iterable[VerifierKey]) -> bytes:
    """Return a note with the signatures of these keys only; raises NoteInvalid for a wrong one."""
    opened = open_note(note, keys)
    return opened.text + b"\n" + b"".join(signature.line for signature in opened.signatures)


@dataclass(frozen=True, slots=True)
class Joined:
    """What stretches of one log gave: leaves, up to a checkpoint whose root is theirs.

    `found` is up to where leaves were seen, verified or not, and `why` says what the rest lacks.
    """

    leaves: tuple[bytes, ...] = field(repr=False)
    note: bytes
    size: int
    found: int
    why: str


def join_stretches(stretches: Iterable[Stretch]) -> Joined:
    """Put the stretches of one log in order, and keep what a checkpoint among them commits to.

    A checkpoint of a size that is reached must have the root that was computed: where it has not,
    or a leaf is missing, what lies behind is left.
    """
    ordered = sorted(stretches, key=lambda one: one.start)
    found = max((one.end for one in ordered), default=0)
    leaves: list[bytes] = []
    size, note, why = 0, b"", ""
    grown = CompactRange()
    for one in ordered:
        if one.end <= grown.size:
            continue
        if one.start != grown.size:
            why = f"no location has the leaves from {grown.size} to {one.start - 1}"
            break
        grown.extend(leaf_hash(leaf) for leaf in one.leaves)
        leaves += one.leaves
        checkpoint = one.read_checkpoint()
        if checkpoint.size > grown.size:
            why = f"no location has the leaves from {grown.size} to {checkpoint.size - 1}"
            continue
        if checkpoint.root != grown.root():
            why = f"the leaves up to {grown.size} are not those of their checkpoint"
            break
        size, note, why = grown.size, one.note, ""
    return Joined(tuple(leaves[:size]), note, size, found, why)


def _header(envelope: Envelope, key: str) -> dict[str, Any]:
    fields = envelope.statement.fields(KIND)
    if set(fields) != _FIELDS or fields["format"] != FORMAT:
        raise Damaged(f"{key} is malformed", "its fields are others")
    place = split_stretch_key(key)
    if place is None or place != (fields["install"], fields["log"], fields["start"]):
        raise Damaged(f"{key} belongs elsewhere", "it was moved there")
    client, start, end = fields["client"], fields["start"], fields["end"]
    if client is not None and not (isinstance(client, str) and _ID.fullmatch(client)):
        raise Damaged(f"{key} is malformed", "its client is no id")
    if type(start) is not int or type(end) is not int or not start < end <= NUMBER_MAX:
        raise Damaged(f"{key} is malformed", "its numbers cannot be")
    return fields


def _card(data: bytes, key: str) -> dict[str, Any]:
    try:
        card = canonical.loads(data)
    except (ValueError, RecursionError) as err:
        raise Damaged(f"{key} is malformed", "its card is not canonical JSON") from err
    if not isinstance(card, dict) or card.keys() != _CARD:
        raise Damaged(f"{key} is malformed", "its card has other fields")
    texts = all(isinstance(card[name], str) for name in ("checkpoint", "vkey"))
    secret, cards = card["server_key"], card["witness_cards"]
    is_secret = secret is None or (isinstance(secret, str) and _SECRET.fullmatch(secret))
    if not texts or not is_secret or len(card["checkpoint"]) > NOTE_BYTES_MAX:
        raise Damaged(f"{key} is malformed", "its card cannot be read")
    if not isinstance(cards, list) or len(cards) > CARDS_MAX:
        raise Damaged(f"{key} is malformed", f"it wants at most {CARDS_MAX} witness cards")
    return card


def _leaves(plain: bytes, at: int, key: str) -> tuple[bytes, ...]:
    leaves: list[bytes] = []
    while at < len(plain):
        length = int.from_bytes(plain[at : at + _ENTRY_LENGTH_BYTES], "big")
        at += _ENTRY_LENGTH_BYTES + length
        leaf = plain[at - length : at]
        if len(leaf) != length or at > len(plain):
            raise Damaged(f"{key} is malformed", "a leaf in it is cut short")
        leaves.append(leaf)
    if not leaves:
        raise Damaged(f"{key} is malformed", "no leaf is in it")
    return tuple(leaves)


def _base64(text: object, key: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    if not 0 < len(data) <= CARD_BYTES_MAX or base64.b64encode(data).decode() != text:
        raise Damaged(f"{key} is malformed", "a witness card in it is no base64")
    return data


def _context(log: str, start: int) -> bytes:
    return frame(bytes.fromhex(log), start.to_bytes(8, "little"))
