"""A deed: a custodian's signed word that it did what an order told it, and what that was.

It is signed in the transaction in which it is done, once, and given again to the same order byte
for byte. What it tells is closed by the procedure. Normative page: docs/formats/procedure-v1.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from strongroom.clock import format_instant
from strongroom.crypto.envelope import Envelope, sign_envelope
from strongroom.ids import ClientId, CustodianId, InstallId
from strongroom.quorum import erasure
from strongroom.quorum.client_key import FORMER_MAX, SERIAL_MAX
from strongroom.quorum.fields import Fields
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.request import FORMAT, ActRequest
from strongroom.quorum.shares import COUNT_MAX

KIND: Final = "deed"
Told = str | int | tuple[str, ...]
"""What a deed may tell: ids, hashes, bounded numbers, and short lists of names that are ours."""
Take = Callable[[Fields, str], Told]


def _version(fields: Fields, name: str) -> int:
    return fields.number(name, 1, SERIAL_MAX)


TOLD: Final[Mapping[Procedure, Mapping[str, Take]]] = {
    Procedure.POLICY_CHANGE: {"policy": Fields.hash, "version": _version},
    Procedure.CLIENT_ERASURE: erasure.TOLD,
    Procedure.CUSTODIAN_ENROL: {"roster": Fields.hash, "version": _version},
    Procedure.CUSTODIAN_REDEAL: {"roster": Fields.hash, "version": _version},
    Procedure.CUSTODIAN_ROTATE: {
        "serial": _version,
        "dropped": lambda fields, name: fields.number(name, 0, FORMER_MAX),
        "entries": erasure.TOLD["entries"],
    },
}
"""What a deed of each procedure tells; those that are not here are not ordered of custodians."""
_ASKED: Final[Mapping[Procedure, tuple[str, ...]]] = {
    Procedure.POLICY_CHANGE: ("policy", "version"),
    Procedure.CUSTODIAN_ENROL: ("roster",),
    Procedure.CUSTODIAN_REDEAL: ("roster",),
}
"""What a deed tells that the request has asked for by the same name."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What one custodian did, for which request; `grant` is the digest of what approved it."""

    install: InstallId
    custodian: CustodianId
    index: int
    request: str
    procedure: Procedure
    client: ClientId | None
    grant: str
    done_at: datetime
    told: Mapping[str, Told]

    def sign(self, identity_seed: bytes) -> Envelope:
        """Return the deed as a signed object; what it says is read back before it leaves."""
        told = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.told.items()
        }
        fields: dict[str, Any] = {
            "format": FORMAT,
            "install": self.install,
            "custodian": self.custodian,
            "index": self.index,
            "request": self.request,
            "procedure": str(self.procedure),
            "client": self.client,
            "grant": self.grant,
            "done_at": format_instant(self.done_at),
            "told": told,
        }
        envelope = sign_envelope(identity_seed, KIND, fields)
        Deed.read(envelope)
        return envelope

    @classmethod
    def read(cls, envelope: Envelope) -> "Deed":
        """Return the fields without asking who signed them; only to find the custodian to ask."""
        fields = Fields(envelope.statement.fields(KIND), "a deed")
        fields.exact("format", FORMAT)
        procedure = Procedure(fields.choice("procedure", *TOLD))
        client = fields.take("client")
        deed = cls(
            install=InstallId(fields.id("install")),
            custodian=CustodianId(fields.id("custodian")),
            index=fields.number("index", 1, COUNT_MAX),
            request=fields.id("request"),
            procedure=procedure,
            client=None if client is None else _client(client),
            grant=fields.hash("grant"),
            done_at=fields.instant("done_at"),
            told=_told(fields.take("told"), procedure),
        )
        fields.done()
        if (deed.client is None) != (procedure.scope == "install"):
            raise fields.refuse("it names a client where its procedure has none, or the reverse")
        entries = deed.told.get("entries", ())
        if not isinstance(entries, tuple) or any(
            not name.startswith(f"{client}-") for name in entries
        ):
            raise fields.refuse("it names entries of another client")
        if envelope.body:
            raise fields.refuse("it has a body")
        return deed

    def check_answers(self, request: ActRequest) -> None:
        """Raise Damaged unless it is of this request, and tells of what that asks for."""
        found = (self.request, self.procedure, self.client)
        if found != (request.request, request.procedure, request.client):
            raise Fields({}, "a deed").refuse("it is of another request")
        asked = request.params
        for name in _ASKED.get(self.procedure, ()):
            if self.told[name] != asked.get(name):
                raise Fields({}, "a deed").refuse(f"it tells of another {name} than was asked for")
        if self.procedure is not Procedure.CUSTODIAN_ROTATE:
            return
        if asked["custodian"] != self.custodian:
            raise Fields({}, "a deed").refuse("it is of a custodian that was not asked")
        if "drop_to" not in asked and (self.told["dropped"] or self.told["entries"]):
            raise Fields({}, "a deed").refuse("it tells of keys that nobody asked it to drop")


def _client(value: object) -> ClientId:
    return ClientId(Fields({"client": value}, "a deed").id("client"))


def _told(raw: object, procedure: Procedure) -> dict[str, Told]:
    fields = Fields(raw, f"what a deed tells of a {procedure}")
    told = {name: take(fields, name) for name, take in TOLD[procedure].items()}
    fields.done()
    return told
