"""The next server of a custodian: whoever runs it allows one to join it in the place of the last.

Until that server has joined, everything of the last one stays as it was, and counts again when the
code has ended. The custodian stays who it is; its key for TLS, its certificate and the authority
that it believes become others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.clock import format_instant, parse_instant
from strongroom.crypto import certificates
from strongroom.database import Database, Transaction
from strongroom.errors import Refused
from strongroom.quorum import LocalCustodian
from strongroom.transport import Badge, Peer

Wire = LocalCustodian.Wire
Close = Callable[[str, bytes], bytes]
"""Seal a secret for this purpose; `Open` is its way back."""
Open = Callable[[str, bytes], bytes]

SCHEMA: Final = """
    CREATE TABLE next_server (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      code_sealed BLOB NOT NULL,
      code_until TEXT NOT NULL,
      code_tries INTEGER NOT NULL,
      invitation BLOB,
      introduction BLOB,
      key_sealed BLOB
    ) STRICT
    """
"""One migration step of `service.db`."""


def make_badge(seed: bytes, certificate: bytes, invitation: bytes, introduction: bytes) -> Badge:
    """Return what a custodian shows who was invited and introduced so; raises WrongCertificate."""
    invited = Wire.Invitation.parse(invitation)
    badge = Badge.make(invited.install, seed, certificate, invited.authority)
    own = Peer.custodian(Wire.Introduction.parse(introduction).member.id)
    if badge.peer != own:
        raise Refused("a certificate is refused", f"it is of {badge.peer}, and this is {own}")
    return badge


@dataclass(frozen=True, slots=True)
class NextServer:
    """The row of `service.db` in which a joined custodian waits for another server."""

    service: Database
    close: Close
    open: Open

    def allow(self, code: bytes, until: datetime) -> None:
        """Wait for the server that proves this code, until then; an earlier code counts no more."""
        with self.service.transaction() as transaction:
            transaction.run("DELETE FROM next_server")
            transaction.run(
                "INSERT INTO next_server (one, code_sealed, code_until, code_tries) "
                "VALUES (1, ?, ?, 0)",
                (self.close("code", code), format_instant(until)),
            )

    def code(self) -> tuple[bytes, datetime] | None:
        """Return the code and until when it counts; None where no other server is waited for."""
        with self.service.reading() as reading:
            row = reading.row("SELECT code_sealed, code_until FROM next_server")
        return None if row is None else (self.open("code", row[0]), parse_instant(row[1]))

    def count_try(self) -> int:
        """Note one more try of the code, durably; return how many there were."""
        with self.service.transaction() as transaction:
            transaction.run("UPDATE next_server SET code_tries = code_tries + 1")
            row = transaction.row("SELECT code_tries FROM next_server")
        if row is None:
            raise _nobody()
        return int(row[0])

    def answer(self, invitation: bytes, seed: bytes, marks: tuple[str, str]) -> bytes:
        """Return the introduction of the same custodian with a key of this seed.

        The same invitation again has the same answer. Refused where this custodian is invited as
        another than it is.
        """
        invited = Wire.Invitation.parse(invitation)
        with self.service.transaction() as transaction:
            before, answered, _ = _row(transaction)
            if before == invitation:
                return bytes(answered)
            was, known = _joined(transaction)
            member = Wire.Introduction.parse(known).member
            own = (Wire.Invitation.parse(was).install, member.name)
            # A server that has lost everything does not know the seat, and asks.
            seat_fits = invited.index in (Wire.Invitation.OWN_SEAT, member.index)
            if (invited.install, invited.name) != own or not seat_fits:
                raise Refused(
                    f"this custodian is {member}, and is invited as custodian {invited.index} "
                    f"({invited.name})",
                    "another server changes nothing of who it is",
                    hint="Look whether the URL is another custodian's, and the install this one.",
                )
            request = certificates.make_request(seed)
            introduction = Wire.Introduction(member, request, *marks).encode()
            transaction.run(
                "UPDATE next_server SET invitation = ?, introduction = ?, key_sealed = ?",
                (invitation, introduction, self.close("tls", seed)),
            )
        return introduction

    def end(self, at: datetime) -> None:
        """Let the code count no more from then on."""
        with self.service.transaction() as transaction:
            transaction.run("UPDATE next_server SET code_until = ?", (format_instant(at),))

    def forget(self, ended: datetime) -> None:
        """Remove a code that had ended by then, with what was answered to who proved it."""
        with self.service.transaction() as transaction:
            transaction.run(
                "DELETE FROM next_server WHERE code_until <= ?", (format_instant(ended),)
            )

    def finish(self, certificate: bytes, note: Callable[[bytes], None]) -> None:
        """Take its certificate, and it in the place of the last server.

        `note` tells the custodian's journal of its authority's certificate; where that fails,
        nothing is taken. The deny list goes with the authority that signed it. Raises
        WrongCertificate.
        """
        with self.service.transaction() as transaction:
            invitation, introduction, sealed = _row(transaction)
            if invitation is None:
                raise _nobody()
            make_badge(self.open("tls", sealed), certificate, invitation, introduction)
            before, _ = _joined(transaction)
            authority = Wire.Invitation.parse(invitation).authority
            stays = Wire.Invitation.parse(before).authority == authority
            transaction.run(
                "UPDATE service SET invitation = ?, introduction = ?, key_sealed = ?, "
                "certificate = ?, deny_list = CASE WHEN ? THEN deny_list END",
                (invitation, introduction, sealed, certificate, stays),
            )
            transaction.run("DELETE FROM next_server")
            # Two databases have no common end: what is taken was noted, and what ends between the
            # two was noted and is not taken.
            note(authority)


def _row(transaction: Transaction) -> tuple[bytes, bytes, bytes]:
    """Return invitation, introduction and sealed key; all three are NULL before an answer."""
    row = transaction.row("SELECT invitation, introduction, key_sealed FROM next_server")
    if row is None:
        raise _nobody()
    return row[0], row[1], row[2]


def _joined(transaction: Transaction) -> tuple[bytes, bytes]:
    row = transaction.row("SELECT invitation, introduction FROM service")
    if row is None or None in row:
        raise _nobody()
    return row[0], row[1]


def _nobody() -> Refused:
    return Refused("no other server is waited for", "the code was used, or another was given")
