"""A grant: a request with its approvals, and the proof that both were announced and witnessed.

One grant serves every custodian. It holds no secret, and nothing in it is believed: each custodian
judges all of it itself (`gate_rules`). Normative page: docs/formats/procedure-v1.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.crypto.framing import frame, unframe
from strongroom.errors import Damaged
from strongroom.quorum.approval import APPROVALS_MAX
from strongroom.quorum.request import PROTOCOL, ActRequest, act_hash
from strongroom.quorum.shares import COUNT_MAX

HASHES_MAX: Final = 63
NOTE_BYTES_MAX: Final = 256 << 10
GRANT_BYTES_MAX: Final = 2 << 20
_NUMBER_BYTES: Final = 8
_HASH_BYTES: Final = 32
_PARTS: Final = 9
_PARTS_HEARD: Final = 10
_WHAT: Final = "a grant"


@dataclass(frozen=True, slots=True)
class Proven:
    """A leaf and its place in a log whose checkpoint custodians have cosigned."""

    leaf: bytes
    number: int
    inclusion: tuple[bytes, ...]
    note: bytes
    cards: tuple[Envelope, ...]
    """The witness cards of those who cosigned."""
    consistency: tuple[bytes, ...] = ()
    """From the checkpoint to what a custodian saw last, or from that to the checkpoint; nothing
    where both are the same tree."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What was asked for, who approved it, and where that stands for all to see."""

    request: ActRequest
    approvals: tuple[Envelope, ...]
    proven: Proven
    hearings: tuple[Envelope, ...] = ()
    """Of a recovery: the words of custodians that they were told of it."""

    @staticmethod
    def digest(request: ActRequest, approvals: tuple[Envelope, ...]) -> str:
        """Return what the announcement in the log commits to, in hexadecimal."""
        return act_hash("grant", request.encode(), *(one.encode() for one in approvals)).hex()

    def leading(self, consistency: tuple[bytes, ...]) -> "Grant":
        """Return the same grant with this proof to what one custodian saw last."""
        return replace(self, proven=replace(self.proven, consistency=consistency))

    def encode(self) -> bytes:
        """Return the grant as it travels with a release request."""
        proven = self.proven
        return frame(
            f"{PROTOCOL}grant".encode(),
            self.request.encode(),
            _listed(one.encode() for one in self.approvals),
            proven.leaf,
            proven.number.to_bytes(_NUMBER_BYTES, "little"),
            _listed(proven.inclusion),
            proven.note,
            _listed(one.encode() for one in proven.cards),
            _listed(proven.consistency),
            *((_listed(one.encode() for one in self.hearings),) if self.hearings else ()),
        )

    @classmethod
    def decode(cls, data: bytes) -> "Grant":
        """Read what `encode` wrote; every limit holds before a signature is looked at."""
        if len(data) > GRANT_BYTES_MAX:
            raise _malformed(f"over {GRANT_BYTES_MAX} bytes")
        parts = _parts(data, _PARTS_HEARD)
        if len(parts) < _PARTS or parts[0] != f"{PROTOCOL}grant".encode():
            raise _malformed("its parts are not those of one")
        _, request, approvals, leaf, number, inclusion, note, cards, consistency, *heard = parts
        if len(number) != _NUMBER_BYTES or len(note) > NOTE_BYTES_MAX:
            raise _malformed("a part is of an impossible size")
        return cls(
            ActRequest.parse(request),
            tuple(decode_envelope(one, "an approval") for one in _parts(approvals, APPROVALS_MAX)),
            Proven(
                leaf,
                int.from_bytes(number, "little"),
                _hashes(inclusion),
                note,
                tuple(decode_envelope(one, "a witness card") for one in _parts(cards, COUNT_MAX)),
                _hashes(consistency),
            ),
            _hearings(heard[0]) if heard else (),
        )

    def check_limits(self) -> None:
        """Raise Damaged where a grant that did not travel is one that could not."""
        proven = self.proven
        counts = (
            (len(self.approvals), APPROVALS_MAX),
            (len(proven.cards), COUNT_MAX),
            (len(self.hearings), COUNT_MAX),
            (len(proven.inclusion), HASHES_MAX),
            (len(proven.consistency), HASHES_MAX),
            (len(proven.note), NOTE_BYTES_MAX),
        )
        if any(count > most for count, most in counts):
            raise _malformed("one of its lists is too long")


def _listed(parts: Iterable[bytes]) -> bytes:
    every = tuple(parts)
    return frame(*every) if every else b""


def _parts(data: bytes, most: int) -> list[bytes]:
    try:
        return unframe(data, most)
    except ValueError as err:
        raise _malformed(str(err)) from err


def _hashes(data: bytes) -> tuple[bytes, ...]:
    hashes = tuple(_parts(data, HASHES_MAX))
    if any(len(one) != _HASH_BYTES for one in hashes):
        raise _malformed("a proof holds what is no hash")
    return hashes


def _hearings(data: bytes) -> tuple[Envelope, ...]:
    hearings = tuple(decode_envelope(one, "a hearing") for one in _parts(data, COUNT_MAX))
    if not hearings:
        raise _malformed("its list of hearings is empty")
    return hearings


def _malformed(why: str) -> Damaged:
    return Damaged(f"{_WHAT} is malformed", why)
