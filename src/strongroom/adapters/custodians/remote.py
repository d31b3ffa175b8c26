"""A custodian on another machine, asked over a link of mutual TLS.

Each question may be asked again, so one whose kept connection turns out to be gone is. Whatever
goes wrong is an error that names the custodian; what it answers is verified where it is used.
"""

from typing import Final

from strongroom.quorum import LocalCustodian
from strongroom.transport import Link

Wire = LocalCustodian.Wire

OK: Final = 200


def remote_custodian(link: Link, member: Wire.Member) -> Wire.Asked:
    """Return the custodian at the other end of a link; nothing is asked yet."""
    return Wire.Asked(member, carried(link, str(member)))


def carried(link: Link, who: str) -> Wire.Ask:
    """Return what carries a question over a link and brings back the answer, or the error."""

    def ask(name: str, question: bytes) -> bytes:
        return put(link, name, question, who)

    return ask


def put(link: Link, name: str, body: bytes, who: str) -> bytes:
    """Bring something to a custodian and return what it answers; raise the error it answers."""
    response = link.ask("PUT", f"/v1/{name}", body, Wire.BYTES_MAX)
    if response.status != OK:
        raise Wire.read_report(response.body, who)
    return response.body
