"""Release: the question for a snapshot's shares, and a custodian's answer to it.

A request names a snapshot, never a session. The answer is sealed to the asker's fresh key and
bound to the request, the custodian and the snapshot: in transit it is of use to nobody else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from strongroom.clock import format_instant, parse_instant
from strongroom.crypto.envelope import Envelope, Statement, decode_statement, sign_envelope
from strongroom.crypto.framing import frame
from strongroom.crypto.public_sealing import PUBLIC_KEY_BYTES, open_from, seal_to
from strongroom.errors import Damaged
from strongroom.ids import CustodianId, SessionId
from strongroom.quorum.dealing import OPENED_BYTES, Dealing
from strongroom.quorum.fields import ID_DIGITS, Fields, checked_hex
from strongroom.quorum.grant import Grant
from strongroom.quorum.header import SESSIONS_MAX, SnapshotHeader
from strongroom.quorum.label import FORMAT, PROTOCOL, dealings_of, role
from strongroom.quorum.roster import Member
from strongroom.quorum.shares import COUNT_MAX

KIND = "release"
_REQUEST_ROLE = (PROTOCOL + "request").encode()
_GRANTED_ROLE = (PROTOCOL + "granted-request").encode()
_REQUEST_PARTS = 5


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """What an asker sends: `recipient` is an X-Wing key made for this request alone."""

    request: str
    snapshot: Statement
    keys: tuple[Statement, ...]
    recipient: bytes = field(repr=False)
    requested_at: datetime
    grant: Grant | None = None

    def encode(self) -> bytes:
        """Return the request as it travels to a custodian."""
        granted = () if self.grant is None else (self.grant.encode(),)
        return frame(
            _GRANTED_ROLE if granted else _REQUEST_ROLE,
            *granted,
            bytes.fromhex(self.request),
            self.snapshot.encode(),
            self.recipient,
            format_instant(self.requested_at).encode(),
            *(statement.encode() for statement in self.keys),
        )

    @classmethod
    def decode(cls, data: bytes) -> "ReleaseRequest":
        """Read what `encode` wrote; every limit holds before a signature is looked at."""
        parts = _split(data, 1 + _REQUEST_PARTS + SESSIONS_MAX)
        grant = None
        if len(parts) > 1 and parts[0] == _GRANTED_ROLE:
            grant = Grant.decode(parts.pop(1))
            parts[0] = _REQUEST_ROLE
        if len(parts) < _REQUEST_PARTS or parts[0] != _REQUEST_ROLE:
            raise Damaged("a release request is malformed", "its parts are not those of one")
        request = cls(
            request=parts[1].hex(),
            snapshot=decode_statement(parts[2], "the snapshot of a release request"),
            keys=tuple(
                decode_statement(part, "a keys object of a release request")
                for part in parts[_REQUEST_PARTS:]
            ),
            recipient=parts[3],
            requested_at=parse_instant(parts[4].decode("ascii", "replace")),
            grant=grant,
        )
        request.check_limits()
        return request

    def check_limits(self) -> None:
        """Raise Damaged when a part of the request is of an impossible size."""
        checked_hex(self.request, ID_DIGITS, "the request's id", "a release request")
        if len(self.recipient) != PUBLIC_KEY_BYTES:
            raise Damaged("a release request is malformed", "its recipient is no X-Wing key")
        if len(self.keys) > SESSIONS_MAX:
            raise Damaged("a release request is malformed", f"over {SESSIONS_MAX} keys objects")
        if self.grant is not None:
            self.grant.check_limits()


@dataclass(frozen=True, slots=True)
class Release:
    """A custodian's answer; the shares are in the body, sealed to the recipient."""

    request: str
    custodian: CustodianId
    index: int
    snapshot: str
    sessions: tuple[SessionId, ...]
    released_at: datetime

    def sign(self, identity_seed: bytes, recipient: bytes, opened: Sequence[bytes]) -> Envelope:
        """Return the signed answer with these opened shares (64 bytes each) in its body."""
        sealed = seal_to(recipient, b"".join(opened), self._info())
        fields = {
            "format": FORMAT,
            "request": self.request,
            "custodian": self.custodian,
            "index": self.index,
            "snapshot": self.snapshot,
            "sessions": list(self.sessions),
            "released_at": format_instant(self.released_at),
        }
        return sign_envelope(identity_seed, KIND, fields, sealed)

    @classmethod
    def parse(cls, envelope: Envelope, member: Member) -> "Release":
        """Return the answer after checking that this member signed it about itself."""
        envelope.statement.verify(member.identity, f"the answer of {member}")
        fields = Fields(envelope.statement.fields(KIND), f"the answer of {member}")
        fields.exact("format", FORMAT)
        fields.exact("custodian", member.id)
        release = cls(
            request=fields.id("request"),
            custodian=member.id,
            index=fields.number("index", 1, COUNT_MAX),
            snapshot=fields.hash("snapshot"),
            sessions=tuple(
                SessionId(checked_hex(item, ID_DIGITS, "sessions", fields.what))
                for item in fields.list("sessions", SESSIONS_MAX)
            ),
            released_at=fields.instant("released_at"),
        )
        fields.done()
        if release.index != member.index:
            raise fields.refuse(f"it is for index {release.index}")
        return release

    def open(self, recipient_seed: bytes, body: bytes) -> bytes:
        """Return the opened shares, one after the other."""
        return open_from(recipient_seed, body, self._info())

    def _info(self) -> bytes:
        return role(
            "release",
            bytes.fromhex(self.request),
            bytes.fromhex(self.custodian),
            bytes.fromhex(self.snapshot),
        )


def match_keys(
    header: SnapshotHeader, keys: Sequence[Statement]
) -> Mapping[SessionId, tuple[Statement, Dealing]]:
    """Return the keys objects by session; raise Damaged unless they are exactly the header's.

    Both sides of a release use this: each label must be of the header's install, client, vault
    and class, and a fresh session's object must have the hash that the header gives, or be dealt
    anew from the one that has.
    """
    found = [(statement, Dealing.parse(statement)) for statement in keys]
    if sorted(dealing.label.session for _, dealing in found) != list(header.sessions):
        raise Damaged(
            "the keys objects are not those of the snapshot",
            f"it names {len(header.sessions)} sessions, there are {len(found)} keys objects; "
            "one is missing, too many or of another session",
        )
    hashes = dict(header.fresh)
    place = (header.install, header.client, header.vault, header.vault_class)
    for _, dealing in found:
        label = dealing.label
        if (label.install, label.client, label.vault, label.vault_class) != place:
            raise Damaged(
                f"the keys object of session {label.session} belongs elsewhere",
                "its label names another install, client, vault or class",
            )
        if hashes.get(label.session, dealing.first.keys) != dealing.first.keys:
            raise Damaged(
                f"the keys object of session {label.session} is another one",
                "its hash is not the one that the snapshot gives",
            )
    return {dealing.label.session: (statement, dealing) for statement, dealing in found}


def opened_bytes(header: SnapshotHeader) -> int:
    """Return how many bytes an answer for this snapshot holds once opened."""
    return len(header.sessions) * dealings_of(header.vault_class) * OPENED_BYTES


def _split(data: bytes, parts_max: int) -> list[bytes]:
    parts: list[bytes] = []
    at = 0
    while at < len(data) and len(parts) < parts_max:
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if at + 4 > len(data) or end > len(data):
            raise Damaged("a release request is malformed", "a part is cut short")
        parts.append(data[at + 4 : end])
        at = end
    if at != len(data):
        raise Damaged("a release request is malformed", f"over {parts_max} parts")
    return parts
