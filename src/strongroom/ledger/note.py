"""Signed notes: a text, and below it a line for each key that signed it (C2SP signed-note).

Two kinds of keys are known: a log's, which signs the text, and a witness's, which signs a time and
the text (`cosignature`). A key is its name, its kind and 32 public bytes of Ed25519; what stands in
a note under another name or id is passed over, what a known key seems to have signed must verify.
Nothing is known of a text before that. Normative page: docs/formats/ledger-v1.md.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from strongroom.crypto import signing
from strongroom.errors import Damaged, printable

LOG_KEY: Final = 0x01
WITNESS_KEY: Final = 0x04
KEY_ID_BYTES: Final = 4
NAME_LENGTH_MAX: Final = 255
NOTE_BYTES_MAX: Final = 256 << 10
SIGNATURES_MAX: Final = 100
SECONDS_MAX: Final = (1 << 63) - 1
_SECONDS_BYTES: Final = 8
_KEY_LENGTH_MAX: Final = 512
_DASH: Final = "— "
_CONTROL: Final = re.compile(rb"[\x00-\x09\x0b-\x1f]")
_REMEMBERED_MAX: Final = 1024
"""The same few names and keys come again with every checkpoint."""


class NoteInvalid(Damaged):
    """A signed text is malformed, or those who had to sign it did not."""

    hint = "Ask another copy of the log for it, and keep this one: it may be evidence."


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name it signs under; as text `name+id+base64`, a vkey of C2SP."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        """Refuse a name, a kind or a length that no note could carry."""
        check_name(self.name)
        if self.kind not in {LOG_KEY, WITNESS_KEY} or len(self.public) != signing.PUBLIC_KEY_BYTES:
            raise NoteInvalid(
                f"the key {printable(self.name)} is of an unknown kind",
                "Ed25519 keys of logs (01) and witnesses (04) are known",
            )

    @property
    def id(self) -> bytes:
        """Return the 4 bytes by which a line names its key, with the name."""
        return _key_id(self.name, self._typed)

    @property
    def _typed(self) -> bytes:
        return bytes([self.kind]) + self.public

    def __str__(self) -> str:
        """Return the key as it stands in a policy."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self._typed).decode()}"

    @classmethod
    @lru_cache(_REMEMBERED_MAX)
    def parse(cls, text: str) -> "VerifierKey":
        """Read what `str` gives; raise NoteInvalid for anything else."""
        parts = text.split("+", 2) if len(text) <= _KEY_LENGTH_MAX else []
        if len(parts) == 3:
            typed = read_base64(parts[2])
            if typed:
                key = cls(parts[0], typed[0], typed[1:])
                if str(key) == text:
                    return key
        raise NoteInvalid(
            f"{text!r:.80} is not a verifier key", "it is not name+id+base64, or the id is another"
        )


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line: the name and the id of a key, and the bytes behind the id."""

    name: str
    key_id: bytes
    value: bytes

    @property
    def seconds(self) -> int:
        """Return the time that a witness signed, in seconds since 1970."""
        return int.from_bytes(self.value[:_SECONDS_BYTES], "big")

    @property
    def line(self) -> bytes:
        """Return the line as it stands in a note, with its newline."""
        encoded = base64.b64encode(self.key_id + self.value).decode()
        return f"{_DASH}{self.name} {encoded}\n".encode()


@dataclass(frozen=True, slots=True)
class Opened:
    """A text and the signatures below it."""

    text: bytes
    signatures: tuple[Signature, ...]


def sign(text: bytes, name: str, seed: bytes) -> bytes:
    """Return a note: the text, signed by a log's key of this name."""
    key = VerifierKey(name, LOG_KEY, signing.public_key(seed))
    signature = Signature(name, key.id, signing.sign_plain(seed, text))
    note = text + b"\n" + signature.line
    if split_note(note).text != text:
        raise ValueError("what is signed must be lines of text")
    return note


def open_note(note: bytes, keys: Iterable[VerifierKey]) -> Opened:
    """Return the text and the signatures that these keys made.

    Raises NoteInvalid where one of them did not make what stands under its name and id, or where
    none of them signed. Signatures of other keys are passed over.
    """
    unverified = split_note(note)
    known = {(key.name, key.id): key for key in keys}
    verified = []
    for signature in unverified.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            verify_signature(unverified.text, signature, key)
            verified.append(signature)
    if not verified:
        raise NoteInvalid("a signed note is not trusted", "no key that is known signed it")
    return Opened(unverified.text, tuple(verified))


def split_note(note: bytes) -> Opened:
    """Return a note's parts without any trust in them; raise NoteInvalid where it is malformed."""
    if len(note) > NOTE_BYTES_MAX:
        raise _malformed(f"it has {len(note)} bytes, at most {NOTE_BYTES_MAX} are read")
    try:
        note.decode("utf-8")
    except UnicodeDecodeError as err:
        raise _malformed("it is not UTF-8") from err
    if _CONTROL.search(note):
        raise _malformed("it holds control characters")
    end = note.rfind(b"\n\n")
    if end < 0 or not note.endswith(b"\n") or end + 2 == len(note):
        raise _malformed("it is not a text, an empty line and signatures")
    lines = note[end + 2 : -1].decode("utf-8").split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise _malformed(f"it has {len(lines)} signatures, at most {SIGNATURES_MAX} are read")
    return Opened(note[: end + 1], tuple(_read_line(line) for line in lines))


def verify_signature(text: bytes, signature: Signature, key: VerifierKey) -> None:
    """Raise NoteInvalid unless this key made this signature of a text."""
    message, value, culprit = text, signature.value, f"the line of {printable(key.name)}"
    if key.kind == WITNESS_KEY:
        if signature.seconds > SECONDS_MAX:
            raise NoteInvalid(f"{culprit} is wrong", "its time is out of range")
        message = timed(text, signature.seconds)
        value = value[_SECONDS_BYTES:]
    try:
        signing.verify_plain(key.public, message, value, culprit)
    except Damaged as err:
        raise NoteInvalid(err.what, err.why) from err


def timed(text: bytes, seconds: int) -> bytes:
    """Return what a witness signs when it cosigns a text at a time, in seconds since 1970."""
    return b"cosignature/v1\ntime %d\n%b" % (seconds, text)


@lru_cache(_REMEMBERED_MAX)
def check_name(name: str) -> None:
    """Raise NoteInvalid for what cannot be the name of a key."""
    try:
        length = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        length = 0
    if not 1 <= length <= NAME_LENGTH_MAX or any(
        sign.isspace() or sign < " " or sign == "+" for sign in name
    ):
        raise NoteInvalid(
            f"{name!r:.80} cannot be the name of a key",
            f"it needs 1 to {NAME_LENGTH_MAX} bytes without spaces and +",
        )


@lru_cache(_REMEMBERED_MAX)
def _key_id(name: str, typed: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + typed).digest()[:KEY_ID_BYTES]


def read_base64(text: str) -> bytes:
    """Return bytes from standard base64 with padding; nothing where it is written otherwise."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if base64.b64encode(data).decode() == text else b""


def _read_line(line: str) -> Signature:
    dash, name, encoded = line[: len(_DASH)], *line[len(_DASH) :].partition(" ")[::2]
    data = read_base64(encoded)
    if dash != _DASH or len(data) <= KEY_ID_BYTES:
        raise _malformed("one of its lines is not a signature")
    check_name(name)
    return Signature(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


def _malformed(why: str) -> NoteInvalid:
    return NoteInvalid("a signed note is malformed", why)
