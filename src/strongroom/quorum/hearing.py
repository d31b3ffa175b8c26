"""A hearing: a custodian's signed word that it was told of a recovery.

A recovery begins to use a log that nobody has read before, so its announcement alone warns nobody.
Before a custodian answers one, as many as must witness an announcement have each been shown who
asks and who approved, have judged that by the policy they pinned, and have journalled it: whoever
reads any of their journals finds it. The word travels with the grant, for custodians do not speak
to each other. Normative page: docs/formats/procedure-v1.md.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.clock import format_instant
from strongroom.crypto.envelope import Envelope, sign_envelope
from strongroom.ids import CustodianId, InstallId
from strongroom.quorum.fields import Fields
from strongroom.quorum.request import FORMAT
from strongroom.quorum.shares import COUNT_MAX

KIND: Final = "hearing"


@dataclass(frozen=True, slots=True)
class Hearing:
    """Who heard of which request, by its digest, and when first."""

    install: InstallId
    custodian: CustodianId
    index: int
    request: str
    heard_at: datetime

    def sign(self, identity_seed: bytes) -> Envelope:
        """Return the hearing as a signed object."""
        fields = {
            "format": FORMAT,
            "install": self.install,
            "custodian": self.custodian,
            "index": self.index,
            "request": self.request,
            "heard_at": format_instant(self.heard_at),
        }
        return sign_envelope(identity_seed, KIND, fields)

    @classmethod
    def read(cls, envelope: Envelope) -> "Hearing":
        """Return the fields without asking who signed them; only to find the key to ask for."""
        fields = Fields(envelope.statement.fields(KIND), "a hearing")
        fields.exact("format", FORMAT)
        hearing = cls(
            install=InstallId(fields.id("install")),
            custodian=CustodianId(fields.id("custodian")),
            index=fields.number("index", 1, COUNT_MAX),
            request=fields.hash("request"),
            heard_at=fields.instant("heard_at"),
        )
        fields.done()
        if envelope.body:
            raise fields.refuse("it has a body")
        return hearing

    @classmethod
    def parse(cls, envelope: Envelope, identity_public: bytes) -> "Hearing":
        """Return the hearing after checking this identity's signature."""
        hearing = cls.read(envelope)
        envelope.statement.verify(identity_public, f"the hearing of custodian {hearing.index}")
        return hearing
