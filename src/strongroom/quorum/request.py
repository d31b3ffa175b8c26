"""A request: the canonical statement of one act, which people approve and custodians judge.

Everything that the act may touch is in it, in one form, so that a signature over its digest is a
signature over exactly that. Normative page: docs/formats/procedure-v1.md.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from strongroom.clock import format_instant
from strongroom.crypto import canonical
from strongroom.crypto.hashing import statement_hash
from strongroom.errors import Damaged
from strongroom.ids import ClientId, InstallId
from strongroom.quorum.fields import Fields
from strongroom.quorum.header import SESSIONS_MAX
from strongroom.quorum.procedure import Procedure, Value

PROTOCOL: Final = "strongroom/procedure-v1/"
FORMAT: Final = "procedure-v1"
REQUEST_BYTES_MAX: Final = 16 << 10
LIFE_MAX: Final = timedelta(days=31)
_WHAT: Final = "a request"


def act_hash(role: str, *parts: bytes) -> bytes:
    """Return the H of the format: SHA-256 over the framed role and parts."""
    return statement_hash(PROTOCOL + role, *parts)


def recovery_params(origin: str) -> dict[str, Value]:
    """Return the parameters of a recovery that begins to use the log of this origin."""
    return {"origin": hashlib.sha256(origin.encode()).hexdigest()}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose keys an act opens: a snapshot's, for the holder of one key; both as hashes."""

    snapshot: str
    sessions: int
    recipient: str


@dataclass(frozen=True, slots=True)
class ActRequest:
    """What is asked for; a field that the procedure has no place for is None."""

    LIFE_MAX: ClassVar[timedelta] = LIFE_MAX

    install: InstallId
    request: str
    procedure: Procedure
    params: Mapping[str, Value]
    client: ClientId | None
    wanted: Wanted | None
    plan: str | None
    requester: str
    origin: str
    policy: str
    not_before: datetime
    expires: datetime
    nonce: str

    @property
    def digest(self) -> str:
        """Return what approvers sign, in hexadecimal."""
        return act_hash("request", self.encode()).hex()

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        wanted = self.wanted
        fields: dict[str, Any] = {
            "format": FORMAT,
            "install": self.install,
            "request": self.request,
            "procedure": str(self.procedure),
            "params": dict(self.params),
            "client": self.client,
            "snapshot": None if wanted is None else wanted.snapshot,
            "sessions": None if wanted is None else wanted.sessions,
            "recipient": None if wanted is None else wanted.recipient,
            "plan": self.plan,
            "requester": self.requester,
            "origin": self.origin,
            "policy": self.policy,
            "not_before": format_instant(self.not_before),
            "expires": format_instant(self.expires),
            "nonce": self.nonce,
        }
        return canonical.dumps(fields)

    def check(self) -> "ActRequest":
        """Return it as its bytes are read; raise Damaged for what no reader would take."""
        return ActRequest.parse(self.encode())

    @classmethod
    def parse(cls, data: bytes) -> "ActRequest":
        """Read what `encode` wrote, and nothing else; raise Damaged otherwise."""
        fields = Fields(_object(data), _WHAT)
        fields.exact("format", FORMAT)
        name = fields.choice("procedure", *Procedure)
        procedure = Procedure(name)
        request = cls(
            install=InstallId(fields.id("install")),
            request=fields.id("request"),
            procedure=procedure,
            params=procedure.parse(fields.take("params")),
            client=_client(fields, procedure),
            wanted=_wanted(fields, procedure),
            plan=_optional_hash(fields, "plan"),
            requester=fields.id("requester"),
            origin=_origin(fields),
            policy=fields.hash("policy"),
            not_before=fields.instant("not_before"),
            expires=fields.instant("expires"),
            nonce=fields.id("nonce"),
        )
        fields.done()
        if not request.not_before < request.expires <= request.not_before + LIFE_MAX:
            raise fields.refuse(f"it must expire after it begins, within {LIFE_MAX.days} days")
        if not request.origin.startswith(f"{request.install}.ledger.invalid/"):
            raise fields.refuse("its log is not of its install")
        if procedure is Procedure.RECOVERY and request.params != recovery_params(request.origin):
            raise fields.refuse("the origin among its params is that of another log")
        return request


def _object(data: bytes) -> object:
    if len(data) > REQUEST_BYTES_MAX:
        raise Damaged(f"{_WHAT} is malformed", f"over {REQUEST_BYTES_MAX} bytes")
    try:
        return canonical.loads(data)
    except canonical.NotCanonical as err:
        raise Damaged(f"{_WHAT} is malformed", str(err)) from err
    except (ValueError, RecursionError) as err:
        raise Damaged(f"{_WHAT} is malformed", "it is not JSON") from err


def _client(fields: Fields, procedure: Procedure) -> ClientId | None:
    if procedure.scope == "install":
        _nothing(fields, "client")
        return None
    return ClientId(fields.id("client"))


def _wanted(fields: Fields, procedure: Procedure) -> Wanted | None:
    if procedure.scope != "snapshot":
        for name in ("snapshot", "sessions", "recipient"):
            _nothing(fields, name)
        return None
    return Wanted(
        snapshot=fields.hash("snapshot"),
        sessions=fields.number("sessions", 0, SESSIONS_MAX),
        recipient=fields.hash("recipient"),
    )


def _nothing(fields: Fields, name: str) -> None:
    if fields.take(name) is not None:
        raise fields.refuse(f"{name} must be null for its procedure")


def _optional_hash(fields: Fields, name: str) -> str | None:
    value = fields.take(name)
    if value is None:
        return None
    return Fields({name: value}, fields.what).hash(name)


def _origin(fields: Fields) -> str:
    """Return the origin of a log of some install: its id, a fixed text, and the log's own id."""
    value = fields.take("origin")
    text = value if isinstance(value, str) else ""
    install, between, log = text.partition(".ledger.invalid/")
    if not between:
        raise fields.refuse("origin must be that of a log")
    named = Fields({"install": install, "log": log}, fields.what)
    return f"{named.id('install')}{between}{named.id('log')}"
