"""A client key: a custodian's X-Wing key for one client, certified by its identity key.

Shares for the client are sealed to it. Destroying the seeds behind a client's keys erases the
client; a custodian's identity outlives them.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from strongroom.clock import format_instant
from strongroom.crypto.envelope import Envelope, sign_envelope
from strongroom.crypto.public_sealing import PUBLIC_KEY_BYTES
from strongroom.ids import ClientId, CustodianId, InstallId
from strongroom.quorum.fields import Fields, to_base64
from strongroom.quorum.label import FORMAT
from strongroom.quorum.shares import COUNT_MAX

KIND = "client-key"
SERIAL_MAX = 99_999_999
FORMER_MAX = 32
"""How many keys that were rotated away are kept: a share is tried with each."""
READ_MAX = 64


@dataclass(frozen=True, slots=True)
class ClientKey:
    """The certificate's fields; `public` is what shares are sealed to."""

    install: InstallId
    client: ClientId
    custodian: CustodianId
    index: int
    serial: int
    public: bytes = field(repr=False)
    created_at: datetime
    former: tuple[int, ...] = ()
    """The last serials of the keys that were rotated away and are kept still, rising."""

    def sign(self, identity_seed: bytes) -> Envelope:
        """Return the certificate as a signed object."""
        return sign_envelope(
            identity_seed,
            KIND,
            {
                "format": FORMAT,
                "install": self.install,
                "client": self.client,
                "custodian": self.custodian,
                "index": self.index,
                "serial": self.serial,
                "public": to_base64(self.public),
                "created_at": format_instant(self.created_at),
                **({"former": list(self.former)} if self.former else {}),
            },
        )

    @classmethod
    @lru_cache(READ_MAX)
    def read(cls, envelope: Envelope) -> "ClientKey":
        """Return the fields without asking who signed them; only to find the key to ask for.

        The last ones are remembered by their exact bytes: each step of a backup asks again.
        """
        fields = Fields(envelope.statement.fields(KIND), "a client key certificate")
        fields.exact("format", FORMAT)
        key = cls(
            install=InstallId(fields.id("install")),
            client=ClientId(fields.id("client")),
            custodian=CustodianId(fields.id("custodian")),
            index=fields.number("index", 1, COUNT_MAX),
            serial=fields.number("serial", 1, SERIAL_MAX),
            public=fields.bytes("public", PUBLIC_KEY_BYTES),
            created_at=fields.instant("created_at"),
            former=take_former(fields),
        )
        fields.done()
        if key.former and key.former[-1] >= key.serial:
            raise fields.refuse("former must have serials before its own")
        if envelope.body:
            raise fields.refuse("it has a body")
        return key

    @classmethod
    def parse(cls, envelope: Envelope, identity_public: bytes) -> "ClientKey":
        """Return the certificate after checking this identity's signature."""
        key = cls.read(envelope)
        envelope.statement.verify(identity_public, f"the client key of custodian {key.index}")
        return key


def take_former(fields: Fields) -> tuple[int, ...]:
    """Return the serials in the field `former`, which is left out where there are none."""
    if not fields.has("former"):
        return ()
    serials = fields.list("former", FORMER_MAX)
    if not serials or any(type(one) is not int or not 1 <= one <= SERIAL_MAX for one in serials):
        raise fields.refuse("former must be a list of serials")
    if serials != sorted(set(serials)):
        raise fields.refuse("former must have rising serials")
    return tuple(serials)
