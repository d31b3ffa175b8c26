"""An order: a grant for what a custodian is to do, with the objects that its parameters name.

Beside giving shares out, a custodian does what was approved: it pins another policy, follows
another roster, destroys a client's keys. It judges an order as it judges a release (`gate_rules`)
and signs for what it did (`deed`). Normative page: docs/formats/procedure-v1.md.
"""

from dataclasses import dataclass, replace
from typing import Final

from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.crypto.framing import frame, unframe
from strongroom.errors import Damaged
from strongroom.quorum.grant import GRANT_BYTES_MAX, Grant
from strongroom.quorum.request import PROTOCOL

ENCLOSED_MAX: Final = 8
ENCLOSED_BYTES_MAX: Final = 1 << 20
ORDER_BYTES_MAX: Final = GRANT_BYTES_MAX + ENCLOSED_BYTES_MAX
_ROLE: Final = f"{PROTOCOL}order".encode()


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done; nothing in it is believed, and nothing in it is secret."""

    grant: Grant
    enclosed: tuple[Envelope, ...] = ()

    def leading(self, consistency: tuple[bytes, ...]) -> "Order":
        """Return the same order with this proof to what one custodian saw last."""
        return replace(self, grant=self.grant.leading(consistency))

    def encode(self) -> bytes:
        """Return the order as it travels to a custodian."""
        return frame(_ROLE, self.grant.encode(), *(one.encode() for one in self.enclosed))

    @classmethod
    def decode(cls, data: bytes) -> "Order":
        """Read what `encode` wrote; every limit holds before a signature is looked at."""
        if len(data) > ORDER_BYTES_MAX:
            raise _malformed(f"over {ORDER_BYTES_MAX} bytes")
        try:
            role, grant, *enclosed = unframe(data, 2 + ENCLOSED_MAX)
        except ValueError as err:
            raise _malformed("its parts are not those of one") from err
        if role != _ROLE:
            raise _malformed("its parts are not those of one")
        objects = tuple(decode_envelope(one, "an enclosed object") for one in enclosed)
        order = cls(Grant.decode(grant), objects)
        order.check_limits()
        return order

    def check_limits(self) -> None:
        """Raise Damaged where an order that did not travel is one that could not."""
        self.grant.check_limits()
        if len(self.enclosed) > ENCLOSED_MAX:
            raise _malformed(f"over {ENCLOSED_MAX} objects are enclosed")
        if sum(len(one.encode()) for one in self.enclosed) > ENCLOSED_BYTES_MAX:
            raise _malformed(f"over {ENCLOSED_BYTES_MAX} bytes are enclosed")


def _malformed(why: str) -> Damaged:
    return Damaged("an order is malformed", why)
