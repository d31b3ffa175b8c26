"""A witness card: a custodian's witness key, certified by its identity key.

The witness key signs nothing but cosignatures and the identity key none, so that neither can be
lent to the other's purpose. A custodian rebuilt from its kit draws a new witness key: what the old
one had seen is not in the kit, so it must not vouch for it.
"""

from dataclasses import dataclass
from datetime import datetime

from strongroom.clock import format_instant
from strongroom.crypto.envelope import Envelope, sign_envelope
from strongroom.ids import CustodianId, InstallId
from strongroom.ledger import Witness
from strongroom.quorum.fields import Fields
from strongroom.quorum.shares import COUNT_MAX

KIND = "witness-card"
FORMAT = "ledger-v1"


@dataclass(frozen=True, slots=True)
class WitnessCard:
    """The card's fields; `public` is an Ed25519 key for cosignatures."""

    install: InstallId
    custodian: CustodianId
    index: int
    public: bytes
    created_at: datetime

    @property
    def name(self) -> str:
        """Return the witness's key name: opaque, as everything that leaves the home."""
        return f"{self.install}.witness.invalid/{self.custodian}"

    @property
    def key(self) -> Witness.Key:
        """Return the key as notes and policies write it."""
        return Witness.key_of(self.name, self.public)

    def sign(self, identity_seed: bytes) -> Envelope:
        """Return the card as a signed object."""
        return sign_envelope(
            identity_seed,
            KIND,
            {
                "format": FORMAT,
                "install": self.install,
                "custodian": self.custodian,
                "index": self.index,
                "public": self.public.hex(),
                "created_at": format_instant(self.created_at),
            },
        )

    @classmethod
    def read(cls, envelope: Envelope) -> "WitnessCard":
        """Return the fields without asking who signed them; only to find the key to ask for."""
        fields = Fields(envelope.statement.fields(KIND), "a witness card")
        fields.exact("format", FORMAT)
        card = cls(
            install=InstallId(fields.id("install")),
            custodian=CustodianId(fields.id("custodian")),
            index=fields.number("index", 1, COUNT_MAX),
            public=fields.key("public"),
            created_at=fields.instant("created_at"),
        )
        fields.done()
        if envelope.body:
            raise fields.refuse("it has a body")
        return card

    @classmethod
    def parse(cls, envelope: Envelope, identity_public: bytes) -> "WitnessCard":
        """Return the card after checking this identity's signature."""
        card = cls.read(envelope)
        envelope.statement.verify(identity_public, f"the witness card of custodian {card.index}")
        return card
