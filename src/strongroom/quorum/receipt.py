"""A receipt: a custodian's signed word that it holds an opening share of every fresh session.

A snapshot is good when a threshold of receipts exists. Receipts prove that shares open and fit
their commitments, not that all shares lie on one polynomial: drills find a dealer that lies.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from strongroom.clock import format_instant
from strongroom.crypto.envelope import Envelope, sign_envelope
from strongroom.errors import Damaged
from strongroom.ids import ClientId, CustodianId, InstallId, SessionId, VaultId, WriterId
from strongroom.quorum.dealing import Dealing
from strongroom.quorum.fields import Fields
from strongroom.quorum.header import SESSIONS_MAX, SnapshotHeader
from strongroom.quorum.label import FORMAT, dealings_of
from strongroom.quorum.shares import COUNT_MAX

KIND = "receipt"


@dataclass(frozen=True, slots=True)
class ReceiptedShare:
    """One share a custodian holds; hashes in hexadecimal."""

    session: SessionId
    dealing: int
    label: str
    commitment: str
    sealed: str

    @classmethod
    def of(cls, dealing: Dealing, number: int, index: int) -> "ReceiptedShare":
        """Return what is to be said of the share that a dealing has for this custodian."""
        part = dealing.parts[number - 1]
        return cls(
            session=dealing.label.session,
            dealing=number,
            label=dealing.label.hash.hex(),
            commitment=part.commitments[index - 1].hex(),
            sealed=hashlib.sha256(part.shares[index - 1]).hexdigest(),
        )

    @classmethod
    def of_json(cls, raw: object) -> "ReceiptedShare":
        """Return what `to_json` gave; the whole that it stands in is signed."""
        fields = Fields(raw, "a share of a receipt")
        share = cls(
            session=SessionId(fields.id("session")),
            dealing=fields.number("dealing", 1, 2),
            label=fields.hash("label"),
            commitment=fields.hash("commitment"),
            sealed=fields.hash("sealed"),
        )
        fields.done()
        return share

    def to_json(self) -> dict[str, Any]:
        """Return the fields as they stand in what is signed."""
        return {
            "session": self.session,
            "dealing": self.dealing,
            "label": self.label,
            "commitment": self.commitment,
            "sealed": self.sealed,
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a custodian signed for one snapshot."""

    install: InstallId
    client: ClientId
    vault: VaultId
    writer: WriterId
    sequence: int
    snapshot: str
    custodian: CustodianId
    index: int
    roster: str
    received_at: datetime
    shares: tuple[ReceiptedShare, ...]

    def sign(self, identity_seed: bytes) -> Envelope:
        """Return the receipt as a signed object."""
        return sign_envelope(
            identity_seed,
            KIND,
            {
                "format": FORMAT,
                "install": self.install,
                "client": self.client,
                "vault": self.vault,
                "writer": self.writer,
                "sequence": self.sequence,
                "snapshot": self.snapshot,
                "custodian": self.custodian,
                "index": self.index,
                "roster": self.roster,
                "received_at": format_instant(self.received_at),
                "shares": [share.to_json() for share in self.shares],
            },
        )

    @classmethod
    def read(cls, envelope: Envelope) -> "Receipt":
        """Return the fields without asking who signed them; only to find the key to ask for."""
        fields = Fields(envelope.statement.fields(KIND), "a receipt")
        fields.exact("format", FORMAT)
        receipt = cls(
            install=InstallId(fields.id("install")),
            client=ClientId(fields.id("client")),
            vault=VaultId(fields.id("vault")),
            writer=WriterId(fields.id("writer")),
            sequence=fields.number("sequence", 1),
            snapshot=fields.hash("snapshot"),
            custodian=CustodianId(fields.id("custodian")),
            index=fields.number("index", 1, COUNT_MAX),
            roster=fields.hash("roster"),
            received_at=fields.instant("received_at"),
            shares=tuple(
                ReceiptedShare.of_json(item) for item in fields.list("shares", 2 * SESSIONS_MAX)
            ),
        )
        fields.done()
        if envelope.body:
            raise fields.refuse("it has a body")
        return receipt

    @classmethod
    def parse(cls, envelope: Envelope, identity_public: bytes) -> "Receipt":
        """Return the receipt after checking this identity's signature."""
        receipt = cls.read(envelope)
        envelope.statement.verify(identity_public, f"the receipt of custodian {receipt.index}")
        return receipt

    def check_covers(self, header: SnapshotHeader, snapshot_hash: str) -> None:
        """Raise Damaged unless this is a receipt for that snapshot and every fresh share of it."""
        culprit = f"the receipt of custodian {self.index}"
        place = (self.install, self.client, self.vault, self.writer, self.sequence, self.roster)
        wanted = (
            header.install,
            header.client,
            header.vault,
            header.writer,
            header.sequence,
            header.roster,
        )
        if place != wanted or self.snapshot != snapshot_hash:
            raise Damaged(f"{culprit} is for another snapshot", f"wanted {header.sequence}")
        dealings = range(1, dealings_of(header.vault_class) + 1)
        shares = [(session, number) for session, _ in header.fresh for number in dealings]
        if [(share.session, share.dealing) for share in self.shares] != shares:
            raise Damaged(
                f"{culprit} does not cover the snapshot",
                f"{len(shares)} shares are fresh, it lists {len(self.shares)}",
            )
