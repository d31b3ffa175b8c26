"""The home of a custodian that is a process of its own: what it is beside its own database.

`service.db` holds the kit and the code by which a server joins it, until it is joined, and then
the key and the certificates by which it is known. What is secret there is sealed under the
custodian's key (KEK). Format: docs/formats/custodian-v1.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from strongroom.adapters.custodians import next_server
from strongroom.adapters.custodians.next_server import NextServer
from strongroom.clock import Clock, format_instant, parse_instant
from strongroom.crypto import certificates, sealing
from strongroom.database import Database, Row, Transaction
from strongroom.errors import Refused, UsageError
from strongroom.ids import InstallId, Token
from strongroom.quorum import LocalCustodian
from strongroom.transport import Badge

Wire = LocalCustodian.Wire

CODE_LIFE: Final = timedelta(minutes=10)
DENY_LIST_AHEAD: Final = timedelta(days=1)
_KIND: Final = "custodian-service"
_SCHEMA: Final = (
    """
    CREATE TABLE service (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      name TEXT NOT NULL,
      port INTEGER,
      kit_sealed BLOB,
      code_sealed BLOB,
      code_until TEXT NOT NULL,
      code_tries INTEGER NOT NULL,
      invitation BLOB,
      introduction BLOB,
      key_sealed BLOB,
      certificate BLOB,
      deny_list BLOB
    ) STRICT
    """,
    next_server.SCHEMA,
)


@dataclass(frozen=True, slots=True)
class World:
    """What a custodian's home takes of the world."""

    clock: Clock
    token: Token
    marks: Callable[[InstallId], tuple[str, str]]
    """Tell this machine and this run of it from others."""
    open_own: Callable[[bool], Database]
    """Open `custodian.db`, or with True make it anew."""


@dataclass(frozen=True, slots=True)
class Code:
    """The join code in the form in which it is kept, and until when it counts."""

    secret: bytes = field(repr=False)
    until: datetime


class CustodianHome:
    """One custodian's `service.db`, and its `custodian.db`, opened with its key."""

    def __init__(self, service: Database, kek: bytes, world: World) -> None:
        """Take over `service.db`, which may be empty until `begin`."""
        self._service = service
        self._kek = kek
        self._world = world
        self._opened: list[Database] = []
        self._next = NextServer(service, self._close, self._open)
        service.migrate(_SCHEMA)

    def begin(self, name: str, kit_secret: bytes | None, code: bytes) -> Code:
        """Write what a custodian needs to be joined; with an empty name it takes any.

        Without a kit it is somebody already: `custodian.db` was rebuilt from its kit.
        """
        until = self._world.clock.now() + CODE_LIFE
        with self._service.transaction() as transaction:
            transaction.run(
                "INSERT INTO service (one, name, kit_sealed, code_sealed, code_until, code_tries) "
                "VALUES (1, ?, ?, ?, ?, 0)",
                (
                    name,
                    None if kit_secret is None else self._close("kit", kit_secret),
                    self._close("code", code),
                    format_instant(until),
                ),
            )
        return Code(code, until)

    def set_code(self, code: bytes) -> Code:
        """Put another code in the place of the one that was; refused once it has been joined."""
        until = self._world.clock.now() + CODE_LIFE
        with self._service.transaction() as transaction:
            self._refuse_joined(transaction)
            transaction.run(
                "UPDATE service SET code_sealed = ?, code_until = ?, code_tries = 0",
                (self._close("code", code), format_instant(until)),
            )
        return Code(code, until)

    def allow_server(self, code: bytes) -> Code:
        """Let another server join it in the place of the one that has; refused before that.

        While the code counts it waits and answers nobody; then it goes on with whom it has.
        """
        if not self.is_joined:
            raise UsageError(
                "this custodian waits to be joined",
                "it has no server that another could replace",
                hint="Give its server a code with `strongroom custodian join-code`.",
            )
        until = self._world.clock.now() + CODE_LIFE
        self._next.allow(code, until)
        return Code(code, until)

    def code(self) -> Code | None:
        """Return the code that a server has to prove; None where it waits for none.

        One that has ended is removed. Not to be called while somebody may be joining by it.
        """
        if self.is_joined:
            found, now = self._next.code(), self._world.clock.now()
            if found is not None and found[1] <= now:
                self._next.forget(now)
                return None
            return None if found is None else Code(*found)
        with self._service.reading() as reading:
            sealed, until = self._row(reading, "code_sealed, code_until")
        return Code(self._open("code", sealed), parse_instant(until))

    def has_other_code(self, code: Code) -> bool:
        """Say whether this code counts no more, and not for having been used.

        Asked while somebody may be joining it: that is no error, and no reason to begin anew.
        """
        with self._service.reading() as reading:
            certificate, sealed = self._row(reading, "certificate, code_sealed")
        if certificate is None:
            return self._open("code", sealed) != code.secret
        found = self._next.code()
        return found is not None and (
            found[0] != code.secret or found[1] <= self._world.clock.now()
        )

    def count_try(self) -> int:
        """Note one more try of the code, durably; return how many there were."""
        if self.is_joined:
            return self._next.count_try()
        with self._service.transaction() as transaction:
            transaction.run("UPDATE service SET code_tries = code_tries + 1")
            (tries,) = self._row(transaction, "code_tries")
        return int(tries)

    def spend(self) -> None:
        """End the code of another server: its tries are over, and nobody has proved it.

        Who waits for the first server has no other to go on with, and waits for another code.
        """
        if self.is_joined:
            self._next.end(self._world.clock.now())

    def answer(self, invitation: bytes) -> bytes:
        """Become who an invitation says, and return the introduction; again, the same bytes.

        Until `finish` another invitation makes another custodian in its place: nobody knows the
        first one yet. Refused where this custodian has a name, or was rebuilt from its kit, and is
        invited as another; once it has been joined, it stays who it is, too.
        """
        invited = Wire.Invitation.parse(invitation)
        if self.is_joined:
            seed = self._world.token(certificates.SEED_BYTES)
            return self._next.answer(invitation, seed, self._world.marks(invited.install))
        with self._service.reading() as reading:
            self._refuse_joined(reading)
            name, kit, before, answered = self._row(
                reading, "name, kit_sealed, invitation, introduction"
            )
        if before == invitation:
            return bytes(answered)
        if name not in ("", invited.name):
            raise Refused(
                f"this custodian is {name}, and is invited as {invited.name}",
                hint="Look whether the URL is another custodian's.",
            )
        if invited.index == Wire.Invitation.OWN_SEAT:
            raise Refused(
                "this custodian has no seat yet",
                "it is invited as one that has",
                hint="Only custodians that were joined before take part in a recovery.",
            )
        world = self._world
        if kit is None:
            custodian = self._rebuilt(invited)
        else:
            seat = invited.install, invited.index, invited.name
            database = self._kept(world.open_own(True))
            custodian = LocalCustodian.create(
                database, self._kek, seat, self._open("kit", kit), world.clock, world.token
            )
        seed = world.token(certificates.SEED_BYTES)
        introduction = Wire.Introduction(
            custodian.card(), certificates.make_request(seed), *world.marks(invited.install)
        ).encode()
        with self._service.transaction() as transaction:
            self._refuse_joined(transaction)
            transaction.run(
                "UPDATE service SET invitation = ?, introduction = ?, key_sealed = ?",
                (invitation, introduction, self._close("tls", seed)),
            )
        return introduction

    def _rebuilt(self, invited: Wire.Invitation) -> LocalCustodian:
        custodian = self.custodian()
        card = custodian.card()
        if (invited.install, invited.index) != (custodian.install, card.index):
            raise Refused(
                f"this is {card} of install {custodian.install[:8]}",
                f"it is invited as custodian {invited.index} of install {invited.install[:8]}",
                hint="Name the seat that its kit is of: `strongroom custodian list`.",
            )
        return custodian

    def finish(self, certificate: bytes) -> None:
        """Take the first certificate; from then on it is joined. Raises WrongCertificate.

        Also that of another server, once the custodian has noted it in its journal.
        """
        if self.is_joined:
            self._next.finish(certificate, self.custodian().note_server)
            return
        self._badge(certificate)
        with self._service.transaction() as transaction:
            self._refuse_joined(transaction)
            # The words are with the custodian itself until somebody confirms them.
            transaction.run(
                "UPDATE service SET certificate = ?, kit_sealed = NULL, code_sealed = NULL",
                (certificate,),
            )

    @property
    def is_joined(self) -> bool:
        """Whether a server has joined it."""
        with self._service.reading() as reading:
            (certificate,) = self._row(reading, "certificate")
        return certificate is not None

    def badge(self) -> Badge:
        """Return by what it shows who it is."""
        with self._service.reading() as reading:
            (certificate,) = self._row(reading, "certificate")
        return self._badge(certificate)

    def renew(self, certificate: bytes) -> Badge:
        """Keep the certificate that it shows from now on; raises WrongCertificate."""
        badge = self.badge().renewed(certificate, self._world.clock.now())
        with self._service.transaction() as transaction:
            transaction.run("UPDATE service SET certificate = ?", (certificate,))
        return badge

    def deny_list(self) -> bytes | None:
        """Return the newest list of certificates that count no more."""
        with self._service.reading() as reading:
            (deny_list,) = self._row(reading, "deny_list")
        return None if deny_list is None else bytes(deny_list)

    def keep_deny_list(self, deny_list: bytes) -> None:
        """Keep the list of certificates that count no more from now on.

        Raises WrongCertificate for one that is not the authority's, older than the one kept, or
        numbered so far ahead that no later one could follow it.
        """
        ahead = int((self._world.clock.now() + DENY_LIST_AHEAD).timestamp())
        with self._service.transaction() as transaction:
            kept, invitation = self._row(transaction, "deny_list, invitation")
            authority = Wire.Invitation.parse(invitation).authority
            number = certificates.read_deny_list(deny_list, authority).number
            known = certificates.read_deny_list(kept, authority).number if kept else 0
            if number < known:
                raise certificates.WrongCertificate(
                    "a deny list is refused", f"it is number {number}, and {known} is kept"
                )
            if number > max(ahead, known + 1):
                raise certificates.WrongCertificate(
                    "a deny list is refused", "its number is of a time that lies far ahead"
                )
            transaction.run("UPDATE service SET deny_list = ?", (deny_list,))

    def port(self, wanted: int) -> int:
        """Return the port to listen at: this one, or where it is 0 the one taken the last time."""
        with self._service.reading() as reading:
            (port,) = self._row(reading, "port")
        return int(wanted or port or 0)

    def keep_port(self, port: int) -> None:
        """Note the port that was taken: the server knows this custodian by it."""
        with self._service.transaction() as transaction:
            transaction.run("UPDATE service SET port = ?", (port,))

    def custodian(self) -> LocalCustodian:
        """Open the custodian that it has become."""
        world = self._world
        database = self._kept(world.open_own(False))
        return LocalCustodian.open(database, self._kek, world.clock, world.token)

    def install(self) -> InstallId:
        """Return the install that it was joined to."""
        with self._service.reading() as reading:
            (invitation,) = self._row(reading, "invitation")
        return Wire.Invitation.parse(invitation).install

    def close(self) -> None:
        """Give all databases back."""
        for database in (*self._opened, self._service):
            database.close()

    def _badge(self, certificate: bytes) -> Badge:
        with self._service.reading() as reading:
            sealed, invitation, introduction = self._row(
                reading, "key_sealed, invitation, introduction"
            )
        return next_server.make_badge(
            self._open("tls", sealed), certificate, invitation, introduction
        )

    def _kept(self, database: Database) -> Database:
        self._opened.append(database)
        return database

    def _refuse_joined(self, transaction: Transaction) -> None:
        (certificate,) = self._row(transaction, "certificate")
        if certificate is not None:
            raise Refused(
                "this custodian has been joined already",
                "it serves one install for good, and one server at a time",
                hint="Where its server is lost, let another join it: `strongroom custodian "
                "join-code --new-server`. Or make another custodian in an empty folder.",
            )

    def _row(self, transaction: Transaction, columns: str) -> Row:
        row = transaction.row(f"SELECT {columns} FROM service")  # noqa: S608  # our own words
        if row is None:
            raise UsageError(
                "this custodian was never finished",
                "its `init` was interrupted before the end",
                hint="Remove the folder and run `strongroom custodian init` again.",
            )
        return row

    def _close(self, purpose: str, secret: bytes) -> bytes:
        salt = self._world.token(sealing.SALT_BYTES)
        return salt + sealing.seal(self._kek, _KIND, salt, purpose.encode(), secret)

    def _open(self, purpose: str, stored: bytes) -> bytes:
        salt, sealed = stored[: sealing.SALT_BYTES], stored[sealing.SALT_BYTES :]
        return sealing.open_sealed(self._kek, _KIND, salt, purpose.encode(), sealed)
