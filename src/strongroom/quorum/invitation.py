"""What a server and a custodian say to each other when they meet for the first time.

Both are proved by the code that a person carried from one to the other, before they are read
(transport-v1, "Joining"). The server says what the custodian is to be, the custodian who it has
become. Pure. Normative page: docs/formats/custodian-v1.md.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Final

from strongroom.crypto import signing
from strongroom.crypto.framing import frame
from strongroom.errors import Damaged
from strongroom.ids import ID_BYTES, CustodianId, InstallId
from strongroom.quorum.messages import (
    HASH_BYTES,
    read_hex,
    read_name,
    read_number,
    read_parts,
    write_number,
)
from strongroom.quorum.roster import Member
from strongroom.quorum.shares import COUNT_MAX

CERTIFICATE_BYTES_MAX: Final = 4 << 10
_INVITATION: Final = "strongroom/custodian-v1/invitation"
_INTRODUCTION: Final = "strongroom/custodian-v1/introduction"


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a custodian is to be, and whose certificates it is to believe (X.509 in DER).

    Index 0 is the seat that it has: only one that has been joined before takes that.
    """

    OWN_SEAT: ClassVar = 0

    install: InstallId
    index: int
    name: str
    authority: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return what the server sends."""
        return frame(
            _INVITATION.encode(),
            bytes.fromhex(self.install),
            write_number(self.index),
            self.name.encode(),
            self.authority,
        )

    @classmethod
    def parse(cls, data: bytes) -> "Invitation":
        """Read what a server sent."""
        what = "an invitation"
        install, index, name, authority = read_parts(what, _INVITATION, data, 4, 4)
        return cls(
            InstallId(read_hex(install, ID_BYTES, what)),
            read_number(index, cls.OWN_SEAT, COUNT_MAX, what),
            read_name(name, what),
            _certificate(authority, what),
        )


@dataclass(frozen=True, slots=True)
class Introduction:
    """Who a custodian has become; `request` asks for its certificate (PKCS#10 in DER).

    The marks tell its machine, and that machine's run, from others; empty where it knows none.
    """

    member: Member
    request: bytes = field(repr=False)
    machine: str
    boot: str

    def encode(self) -> bytes:
        """Return what the custodian sends."""
        member = self.member
        return frame(
            _INTRODUCTION.encode(),
            write_number(member.index),
            bytes.fromhex(member.id),
            member.name.encode(),
            member.identity,
            self.request,
            bytes.fromhex(self.machine),
            bytes.fromhex(self.boot),
        )

    @classmethod
    def parse(cls, data: bytes) -> "Introduction":
        """Read what a custodian sent."""
        what = "an introduction"
        parts = read_parts(what, _INTRODUCTION, data, 7, 7)
        index, own, name, identity, request, *marks = parts
        return cls(
            Member(
                read_number(index, 1, COUNT_MAX, what),
                CustodianId(read_hex(own, ID_BYTES, what)),
                read_name(name, what),
                bytes.fromhex(read_hex(identity, signing.PUBLIC_KEY_BYTES, what)),
            ),
            _certificate(request, what),
            *(read_hex(mark, HASH_BYTES, what) if mark else "" for mark in marks),
        )


def _certificate(part: bytes, what: str) -> bytes:
    if not 1 <= len(part) <= CERTIFICATE_BYTES_MAX:
        raise Damaged(f"{what} is malformed", "its certificate has an impossible size")
    return part
