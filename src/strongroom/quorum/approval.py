"""An approval: an approver's signature over the digest of one request, or the refusal of it.

It says nothing of its own about what is approved, so it cannot say it differently: the digest is
that of the whole request. Normative page: docs/formats/procedure-v1.md.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, cast

from strongroom.clock import format_instant
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, sign_envelope
from strongroom.ids import InstallId
from strongroom.quorum.fields import Fields
from strongroom.quorum.request import FORMAT, ActRequest

KIND: Final = "approval"
APPROVALS_MAX: Final = 32
Decision = Literal["approve", "refuse"]


@dataclass(frozen=True, slots=True)
class Approval:
    """What one approver said of one request; `approver` is the id of the device key."""

    install: InstallId
    request: str
    decision: Decision
    approver: str
    at: datetime

    @staticmethod
    def sign(device_seed: bytes, request: ActRequest, decision: Decision, at: datetime) -> Envelope:
        """Return the approval, or the refusal, of exactly this request as a signed object."""
        return sign_envelope(
            device_seed,
            KIND,
            {
                "format": FORMAT,
                "install": request.install,
                "request": request.digest,
                "decision": decision,
                "approver": signing.key_id(signing.public_key(device_seed)),
                "at": format_instant(at),
            },
        )

    @classmethod
    def read(cls, envelope: Envelope) -> "Approval":
        """Return the fields without asking who signed them; only to find the approver to ask."""
        fields = Fields(envelope.statement.fields(KIND), "an approval")
        fields.exact("format", FORMAT)
        approval = cls(
            install=InstallId(fields.id("install")),
            request=fields.hash("request"),
            decision=cast("Decision", fields.choice("decision", "approve", "refuse")),
            approver=fields.id("approver"),
            at=fields.instant("at"),
        )
        fields.done()
        if envelope.body:
            raise fields.refuse("it has a body")
        return approval

    @classmethod
    def parse(cls, envelope: Envelope, device_public: bytes) -> "Approval":
        """Return the approval after checking this device's signature."""
        approval = cls.read(envelope)
        envelope.statement.verify(device_public, f"the approval of {approval.approver[:8]}")
        if approval.approver != signing.key_id(device_public):
            raise Fields({}, "an approval").refuse("its approver is not the key that signed it")
        return approval
