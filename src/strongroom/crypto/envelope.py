"""The envelope: the one container of every signed object we store.

A header anybody can read, a signature, and a body that is usually sealed. The signature covers
the exact header bytes and the BLAKE3 of the body, so a custodian can check a header of kilobytes
without the body. Normative page: docs/formats/envelope-v1.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from strongroom.crypto import canonical, signing
from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import DIGEST_BYTES, content_hash
from strongroom.errors import Damaged

MAGIC: Final = b"STRGRM\x01\n"
HEADER_BYTES_MAX: Final = 4 << 20
_PURPOSE = "strongroom/envelope-v1"
_FIXED = len(MAGIC) + 4


@dataclass(frozen=True, slots=True)
class Statement:
    """What was signed: the header bytes and the hash of the body. `hash` names the object."""

    header: bytes
    body_hash: bytes
    signature: bytes

    @property
    def hash(self) -> bytes:
        """BLAKE3-256 over the framed header and body hash: 32 bytes that name this object."""
        return content_hash(frame(_PURPOSE.encode(), self.header, self.body_hash))

    def fields(self, kind: str) -> dict[str, Any]:
        """Return the header as a dict after checking that it is canonical and of this type."""
        return _parse_header(self.header, kind)

    def verify(self, public: bytes, culprit: str) -> None:
        """Raise Damaged naming the culprit unless this key signed this statement."""
        signing.verify(public, _PURPOSE, self.header + self.body_hash, self.signature, culprit)

    def encode(self) -> bytes:
        """Return the statement without its body, as it travels to a custodian."""
        return frame(self.header, self.body_hash, self.signature)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A statement together with its body."""

    statement: Statement
    body: bytes

    def encode(self) -> bytes:
        """Return the object's bytes as they are stored."""
        header = self.statement.header
        return b"".join(
            (MAGIC, len(header).to_bytes(4, "little"), header, self.statement.signature, self.body)
        )


def sign_envelope(seed: bytes, kind: str, fields: Mapping[str, Any], body: bytes = b"") -> Envelope:
    """Return a signed object of this type; `fields` must hold only what RFC 8785 can write."""
    header = canonical.dumps({"type": kind, **fields})
    if len(header) > HEADER_BYTES_MAX:
        raise ValueError(f"a header of {len(header)} bytes is over the limit")
    body_hash = content_hash(body)
    signature = signing.sign(seed, _PURPOSE, header + body_hash)
    return Envelope(Statement(header, body_hash, signature), body)


def decode_envelope(data: bytes, culprit: str) -> Envelope:
    """Split stored bytes into statement and body; the signature is still to be verified."""
    if data[: len(MAGIC)] != MAGIC or len(data) < _FIXED:
        raise Damaged(f"{culprit} is not a Strongroom object", "its first bytes are not ours")
    header_bytes = int.from_bytes(data[len(MAGIC) : _FIXED], "little")
    body_at = _FIXED + header_bytes + signing.SIGNATURE_BYTES
    if header_bytes > HEADER_BYTES_MAX or body_at > len(data):
        raise Damaged(f"{culprit} is cut short", f"its header claims {header_bytes} bytes")
    header = bytes(data[_FIXED : _FIXED + header_bytes])
    signature = bytes(data[_FIXED + header_bytes : body_at])
    body = bytes(data[body_at:])
    return Envelope(Statement(header, content_hash(body), signature), body)


def decode_statement(data: bytes, culprit: str) -> Statement:
    """Read what `Statement.encode` wrote."""
    parts: list[bytes] = []
    at = 0
    while at + 4 <= len(data) and len(parts) < 3:
        length = int.from_bytes(data[at : at + 4], "little")
        parts.append(bytes(data[at + 4 : at + 4 + length]))
        at += 4 + length
    lengths_fit = len(parts) == 3 and at == len(data)
    if not lengths_fit or len(parts[0]) > HEADER_BYTES_MAX or len(parts[1]) != DIGEST_BYTES:
        raise Damaged(f"{culprit} is not a statement", "its parts have the wrong lengths")
    return Statement(parts[0], parts[1], parts[2])


def _parse_header(header: bytes, kind: str) -> dict[str, Any]:
    try:
        fields = canonical.loads(header)
    except canonical.NotCanonical as err:
        raise Damaged(f"the header of a {kind} object is not canonical", str(err)) from err
    except (ValueError, RecursionError) as err:
        raise Damaged(f"the header of a {kind} object cannot be read", "it is not JSON") from err
    if not isinstance(fields, dict):
        raise Damaged(f"the header of a {kind} object is not canonical", "it is no object")
    if fields.pop("type", None) != kind:
        raise Damaged(f"an object is not a {kind}", "its header names another type")
    return fields
