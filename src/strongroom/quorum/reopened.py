"""What custodians sign when a session is dealt anew: that shares left, and that others came.

`Reopened` carries one session's shares to the process that deals it anew, sealed to the key that
was approved; `RedealReceipt` is a custodian's word that it holds what was dealt to it instead.
Normative page: docs/formats/share-v1.md, "Dealing anew".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from strongroom.clock import format_instant
from strongroom.crypto.envelope import Envelope, sign_envelope
from strongroom.crypto.public_sealing import open_from, seal_to
from strongroom.errors import Damaged
from strongroom.ids import ClientId, CustodianId, InstallId, SessionId, VaultId
from strongroom.quorum.dealing import DEALINGS_MAX, OPENED_BYTES, Dealing
from strongroom.quorum.fields import Fields
from strongroom.quorum.label import FORMAT, role
from strongroom.quorum.receipt import ReceiptedShare
from strongroom.quorum.roster import Member
from strongroom.quorum.shares import COUNT_MAX, Point

REOPENED: Final = "reopened"
RECEIPT: Final = "redeal-receipt"


@dataclass(frozen=True, slots=True)
class Reopened:
    """A custodian's answer with its shares of one session; `keys` is the hash of the object."""

    install: InstallId
    request: str
    custodian: CustodianId
    index: int
    client: ClientId
    session: SessionId
    keys: str
    reopened_at: datetime

    def sign(self, identity_seed: bytes, recipient: bytes, opened: Sequence[bytes]) -> Envelope:
        """Return the signed answer with these opened shares (64 bytes each) in its body."""
        fields = {
            "format": FORMAT,
            "install": self.install,
            "request": self.request,
            "custodian": self.custodian,
            "index": self.index,
            "client": self.client,
            "session": self.session,
            "keys": self.keys,
            "reopened_at": format_instant(self.reopened_at),
        }
        sealed = seal_to(recipient, b"".join(opened), self._info())
        return sign_envelope(identity_seed, REOPENED, fields, sealed)

    @classmethod
    def parse(cls, envelope: Envelope, member: Member) -> "Reopened":
        """Return the answer after checking that this member signed it about itself."""
        what = f"what {member} has reopened"
        envelope.statement.verify(member.identity, what)
        fields = Fields(envelope.statement.fields(REOPENED), what)
        fields.exact("format", FORMAT)
        fields.exact("custodian", member.id)
        found = cls(
            install=InstallId(fields.id("install")),
            request=fields.id("request"),
            custodian=member.id,
            index=fields.number("index", 1, COUNT_MAX),
            client=ClientId(fields.id("client")),
            session=SessionId(fields.id("session")),
            keys=fields.hash("keys"),
            reopened_at=fields.instant("reopened_at"),
        )
        fields.done()
        if found.index != member.index:
            raise fields.refuse(f"it is for index {found.index}")
        return found

    def points(
        self, dealing: Dealing, request: str, recipient_seed: bytes, body: bytes
    ) -> tuple[Point, ...]:
        """Return the shares that the body holds, by dealing, each checked with its commitment.

        Raises Damaged where they are of another request or another keys object.
        """
        culprit = f"custodian {self.index}"
        if (self.request, self.keys) != (request, dealing.hash):
            raise Damaged(f"the answer of {culprit} is to another question", "not what we asked")
        opened = open_from(recipient_seed, body, self._info())
        if len(opened) != len(dealing.parts) * OPENED_BYTES:
            raise Damaged(f"the answer of {culprit} has the wrong length", f"{len(opened)} bytes")
        if self.index > dealing.label.members:
            raise Damaged(f"{culprit} holds no share", f"of session {dealing.label.session}")
        shares = [opened[at : at + OPENED_BYTES] for at in range(0, len(opened), OPENED_BYTES)]
        for number, share in enumerate(shares, 1):
            dealing.check_share(number, self.index, share, culprit)
        return tuple((self.index, share[: OPENED_BYTES // 2]) for share in shares)

    def _info(self) -> bytes:
        parts = (self.request, self.custodian, self.keys)
        return role(REOPENED, *(bytes.fromhex(one) for one in parts))


@dataclass(frozen=True, slots=True)
class RedealReceipt:
    """What a custodian signed for one redealt keys object, whose hash is `keys`."""

    install: InstallId
    client: ClientId
    vault: VaultId
    session: SessionId
    custodian: CustodianId
    index: int
    request: str
    roster: str
    keys: str
    received_at: datetime
    shares: tuple[ReceiptedShare, ...]

    def sign(self, identity_seed: bytes) -> Envelope:
        """Return the receipt as a signed object; what it says is read back before it leaves."""
        fields: dict[str, Any] = {
            "format": FORMAT,
            "install": self.install,
            "client": self.client,
            "vault": self.vault,
            "session": self.session,
            "custodian": self.custodian,
            "index": self.index,
            "request": self.request,
            "roster": self.roster,
            "keys": self.keys,
            "received_at": format_instant(self.received_at),
            "shares": [share.to_json() for share in self.shares],
        }
        envelope = sign_envelope(identity_seed, RECEIPT, fields)
        RedealReceipt.read(envelope)
        return envelope

    @classmethod
    def read(cls, envelope: Envelope) -> "RedealReceipt":
        """Return the fields without asking who signed them; only to find the key to ask for."""
        fields = Fields(envelope.statement.fields(RECEIPT), "a redeal receipt")
        fields.exact("format", FORMAT)
        receipt = cls(
            install=InstallId(fields.id("install")),
            client=ClientId(fields.id("client")),
            vault=VaultId(fields.id("vault")),
            session=SessionId(fields.id("session")),
            custodian=CustodianId(fields.id("custodian")),
            index=fields.number("index", 1, COUNT_MAX),
            request=fields.id("request"),
            roster=fields.hash("roster"),
            keys=fields.hash("keys"),
            received_at=fields.instant("received_at"),
            shares=tuple(
                ReceiptedShare.of_json(one) for one in fields.list("shares", DEALINGS_MAX)
            ),
        )
        fields.done()
        if envelope.body:
            raise fields.refuse("it has a body")
        return receipt

    @classmethod
    def parse(cls, envelope: Envelope, member: Member, dealing: Dealing) -> "RedealReceipt":
        """Return the receipt after checking that this member signed it for exactly this object."""
        receipt = cls.read(envelope)
        what = f"the redeal receipt of {member}"
        envelope.statement.verify(member.identity, what)
        label = dealing.label
        found = (receipt.custodian, receipt.index, receipt.keys, receipt.roster)
        if found != (member.id, member.index, dealing.hash, label.roster_id):
            raise Damaged(f"{what} is for another object", f"wanted {dealing.hash[:12]}")
        place = (receipt.install, receipt.client, receipt.vault, receipt.session)
        numbers = range(1, len(dealing.parts) + 1)
        shares = tuple(ReceiptedShare.of(dealing, one, member.index) for one in numbers)
        if place != (label.install, label.client, label.vault, label.session):
            raise Damaged(f"{what} is for another session", f"wanted {label.session[:8]}")
        if receipt.shares != shares:
            raise Damaged(f"{what} does not cover its session", "its shares are other ones")
        return receipt
