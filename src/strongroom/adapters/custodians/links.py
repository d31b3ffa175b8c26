"""The server's end of every custodian that is elsewhere: joined, met, given new certificates.

The authority of the install lies sealed in the home. For each command the server makes itself a
badge on a fresh key. A custodian's certificate is renewed when two thirds of its day are over, also
when it has expired, and when the one that is shown has, as after a custodian was put back from an
older image: then the custodian is known by its key, and brought a new one.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from typing import Final, NamedTuple

from strongroom.adapters.custodians.remote import put, remote_custodian
from strongroom.clock import Clock
from strongroom.crypto import certificates
from strongroom.crypto.join_code import JoinCode
from strongroom.errors import Refused, StrongroomError
from strongroom.ids import InstallId, Token
from strongroom.quorum import LocalCustodian
from strongroom.transport import Authority, Joining, Link, Peer

Wire = LocalCustodian.Wire
Address = tuple[str, int]

CONNECT_SECONDS: Final = 5.0
"""Who does not take a connection is absent; every command waits so long for that."""

ASK_SECONDS: Final = 30.0


class Denied(Refused):
    """A custodian's certificate was denied: nothing is asked of it."""

    code = "denied"
    hint = (
        "Join it again with `strongroom custodian join`: made again from its kit on another "
        "machine, or by a code of `custodian join-code --new-server` where its own is yours again."
    )


class Newcomer(NamedTuple):
    """A custodian to be joined: who it is to be, where it waits, and which code it has shown."""

    seat: int
    name: str
    address: Address
    code: JoinCode


class Joined(NamedTuple):
    """A custodian that was joined: how it is asked, the marks of its machine, its certificate."""

    custodian: Wire.Asked
    machine: str
    boot: str
    certificate: bytes


class Met(NamedTuple):
    """A custodian that was met: how it is asked, its certificate, and why it takes no deny list."""

    custodian: Wire.Asked
    certificate: bytes
    untold: StrongroomError | None = None


class CustodianLinks:
    """Links to custodians, for one command; `close` ends them all."""

    def __init__(self, install: InstallId, secret: bytes, clock: Clock, token: Token) -> None:
        """Take the secret of the install's authority."""
        self._authority = Authority.open(install, secret)
        self._clock = clock
        self._token = token
        self._badge = self._authority.badge(Peer.server(install), clock.now(), token)
        self._links: list[Link] = []
        self._denied: frozenset[int] = frozenset()

    @property
    def authority(self) -> str:
        """Return SHA-256 of the certificate of the authority that custodians believe here."""
        return hashlib.sha256(self._authority.certificate).hexdigest()

    def deny(self, kept: bytes, serials: Collection[int]) -> tuple[int, bytes]:
        """Return the deny list after this one, with these serials as well, and its number.

        Numbers are seconds since 1970, so that a home which was put back goes on above those that
        it has forgotten.
        """
        now = self._clock.now()
        made = self._authority.deny(kept or None, serials, now, int(now.timestamp()))
        return certificates.read_deny_list(made, self._authority.certificate).number, made

    def heed(self, deny_list: bytes) -> None:
        """Believe no certificate of this list from now on."""
        listed = certificates.read_deny_list(deny_list, self._authority.certificate)
        self._denied = listed.serials

    def join(self, newcomers: Sequence[tuple[int, str, Address, JoinCode]]) -> Iterator[Joined]:
        """Join custodians that wait; all have to prove their codes before the first is joined.

        One that has a seat is invited to 0, and tells which.

        Yields each as soon as it is joined. Raises WrongJoinCode, PeerRefused and
        PeerUnavailable; Refused where one became another.
        """
        with ExitStack() as begun:
            met = []
            for newcomer in map(Newcomer._make, newcomers):
                joining = Joining(newcomer.address, newcomer.code, self._clock, ASK_SECONDS)
                begun.enter_context(joining)
                met.append((newcomer, joining, self._invite(newcomer, joining)))
            for one in met:
                yield self._join(*one)

    def join_again(self, member: Wire.Member, address: Address, code: JoinCode) -> Joined:
        """Join a custodian of the roster that waits again, as who it is.

        Raises as `join` does, and Refused where who waits has not that member's id and key.
        """
        newcomer = Newcomer(member.index, member.name, address, code)
        with Joining(address, code, self._clock, ASK_SECONDS) as joining:
            introduction = self._invite(newcomer, joining)
            if introduction.member != member:
                raise Refused(
                    f"who waits is not {member}",
                    "it has the name, and another id or key than the roster says",
                    hint="Only its kit makes it again: `strongroom custodian init --from-kit`.",
                )
            return self._join(newcomer, joining, introduction)

    def _invite(self, newcomer: Newcomer, joining: Joining) -> Wire.Introduction:
        invitation = Wire.Invitation(
            self._authority.install, newcomer.seat, newcomer.name, self._authority.certificate
        )
        introduction = Wire.Introduction.parse(joining.invite(invitation.encode()))
        member = introduction.member
        if member.name != newcomer.name or newcomer.seat not in (0, member.index):
            raise Refused(
                f"nobody is joined as custodian {newcomer.seat or ''} ({newcomer.name})",
                f"who was invited as that says it is {member}",
            )
        return introduction

    def _join(
        self, newcomer: Newcomer, joining: Joining, introduction: Wire.Introduction
    ) -> Joined:
        member, address = introduction.member, newcomer.address
        certificate = self._authority.issue(
            introduction.request,
            Peer.custodian(member.id),
            [address[0]],
            self._clock.now(),
            self._token,
        )
        joining.give(certificate)
        custodian = remote_custodian(self._link(address, member), member)
        return Joined(custodian, introduction.machine, introduction.boot, certificate)

    def open(
        self, address: Address, member: Wire.Member, certificate: bytes, deny_list: bytes = b""
    ) -> Met:
        """Meet a custodian of the roster; return how it is asked, and its certificate.

        That is another one than was given where it was due, or the one that is shown has ended,
        and the custodian has taken it. One that refuses the deny list is met all the same: whoever
        had the authority before may have shown it a list of a later number. Raises PeerUnavailable
        where nobody answers, PeerRefused and Refused where somebody else does.
        """
        leaf = certificates.read_leaf(certificate, self._authority.certificate)
        if leaf.serial in self._denied:
            raise Denied(f"{member} is not asked", "its certificate is denied")
        if leaf.is_due(self._clock.now()):
            certificate = self._renew(address, member, certificate)
        link = self._link(address, member)
        try:
            link.connect(CONNECT_SECONDS)
        except Link.Outdated:
            certificate = self._renew(address, member, certificate)
            link.connect(CONNECT_SECONDS)
        custodian = remote_custodian(link, member)
        custodian.meet()
        if deny_list:
            try:
                put(link, "deny-list", deny_list, str(member))
            except Refused as err:
                return Met(custodian, certificate, err)
        return Met(custodian, certificate)

    def _renew(self, address: Address, member: Wire.Member, certificate: bytes) -> bytes:
        """Bring a custodian, known by its key alone, a certificate like this one; return it."""
        leaf = certificates.read_leaf(certificate)
        renewed = self._authority.renew(certificate, self._clock.now(), self._token)
        with self._link(address, member, leaf.public) as link:
            link.connect(CONNECT_SECONDS)
            put(link, "badge", renewed, str(member))
        return renewed

    def close(self) -> None:
        """End every link."""
        for link in self._links:
            link.close()

    def _link(self, address: Address, member: Wire.Member, key: bytes | None = None) -> Link:
        expected = Peer.custodian(member.id)
        link = Link(address, self._badge, expected, self._clock, ASK_SECONDS, key)
        link.call(str(member))
        link.refuse(self._denied)
        self._links.append(link)
        return link
