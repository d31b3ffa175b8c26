"""Writes transport-v1.json: an authority, leaves, a deny list, and the proofs of a joining.

Run as `python -m tests.vectors.build_transport_v1`. A vector that was released is never edited.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from strongroom.crypto import certificates
from strongroom.crypto.join_code import JoinCode
from strongroom.ids import InstallId
from strongroom.transport import Authority, Peer
from strongroom.transport.peer import Role

PATH = Path(__file__).with_name("transport-v1.json")
INSTALL = InstallId("00112233445566778899aabbccddeeff")
AT = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 20, 30, tzinfo=UTC)
WAITING_SEED = bytes(range(48, 96))


class Counting:
    """Bytes that count up: chance that repeats."""

    def __init__(self) -> None:
        self.next = 0

    def __call__(self, count: int) -> bytes:
        drawn = bytes((self.next + at) % 256 for at in range(count))
        self.next += count
        return drawn


def build() -> dict[str, Any]:
    """Return the vectors; the same each time."""
    token = Counting()
    authority = Authority.create(INSTALL, AT, token)
    leaves = []
    serials = []
    for role, hosts in ((Role.CUSTODIAN, ["custodian.example", "192.0.2.7"]), (Role.SERVER, [])):
        seed = token(certificates.SEED_BYTES)
        peer = Peer(role, token(16).hex())
        request = certificates.make_request(seed)
        issued = authority.issue(request, peer, hosts, AT, token)
        serials.append(certificates.read_leaf(issued).serial)
        leaves.append(
            {
                "role": str(role),
                "id": peer.id,
                "hosts": hosts,
                "seed": seed.hex(),
                "request": request.hex(),
                "leaf": issued.hex(),
                "renewed_at": "2026-11-23T20:30:00.000000Z",
                "renewed": authority.renew(issued, LATER, token).hex(),
            }
        )
    code = JoinCode(bytes(range(16)))
    shown = certificates.public_key(WAITING_SEED)
    invitation, answer = b"invitation", b"answer"
    return {
        "install": INSTALL,
        "at": "2026-11-23T04:30:00.000000Z",
        "authority_seed": authority.seed.hex(),
        "authority": authority.certificate.hex(),
        "leaves": leaves,
        "deny_list": authority.deny(None, serials[1:], AT).hex(),
        "denied": [f"{serial:x}" for serial in serials[1:]],
        "join": {
            "code": code.text(),
            "code_bytes": code.secret.hex(),
            "key": shown.hex(),
            "join_key": code.key().secret.hex(),
            "invitation": invitation.hex(),
            "server_proof": code.key().invite(shown, invitation).hex(),
            "answer": answer.hex(),
            "custodian_proof": code.key().answer(shown, invitation, answer).hex(),
        },
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
