"""What a custodian has of its own: who it is, its secrets, and where it writes what it does.

One for all that sit at its side; nothing in it decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from strongroom.clock import Clock
from strongroom.crypto.envelope import decode_envelope
from strongroom.crypto.hashing import statement_hash
from strongroom.database import Database, Transaction
from strongroom.errors import Refused
from strongroom.facts import FactValue, Session, Who, record
from strongroom.ids import ClientId, InstallId, Token
from strongroom.quorum import erasure_rows, store
from strongroom.quorum.key_table import ClientEntry
from strongroom.quorum.kit_seat import KitSeat
from strongroom.quorum.refusals import ErasedClient
from strongroom.quorum.roster import Member, Roster

_FACT_ROLE = "strongroom/custodian-fact"


@dataclass(frozen=True, slots=True)
class Own:
    """One custodian's own; `seed` is that of its identity key."""

    database: Database
    member: Member
    seed: bytes = field(repr=False)
    created_at: datetime
    kits: KitSeat
    clock: Clock
    token: Token

    @property
    def install(self) -> InstallId:
        """Return the install that it serves."""
        return self.kits.safe.install

    @property
    def safe(self) -> store.RowSeal:
        """Return what seals the secrets of its rows."""
        return self.kits.safe

    def entry(self, transaction: Transaction, client: ClientId) -> ClientEntry:
        """Return a client's pin and seed; refuse one that was never enrolled, or is erased."""
        entry = store.read_entry(transaction, client, self.safe)
        if entry is None:
            self.refuse_erased(transaction, client)
            raise Refused(
                f"{self.member} does not know client {client[:8]}", "it was never enrolled there"
            )
        return entry

    def refuse_erased(self, transaction: Transaction, client: ClientId) -> None:
        """Raise ErasedClient for a client whose keys were destroyed here."""
        erasure = erasure_rows.read_erasure(transaction, client)
        if erasure is not None:
            raise ErasedClient(
                f"{self.member} has erased client {client[:8]}",
                f"its keys were destroyed on {erasure.erased_at:%Y-%m-%d %H:%M:%S} Z",
            )

    def roster(self, transaction: Transaction) -> Roster:
        """Return the pinned roster; refuse where there is none yet."""
        roster = self.pinned_roster(transaction)
        if roster is None:
            raise Refused(f"{self.member} has adopted no roster yet", "nobody gave it one")
        return roster

    def pinned_roster(self, transaction: Transaction) -> Roster | None:
        """Return the pinned roster, or None before the first."""
        data = store.read_roster(transaction)
        return None if data is None else Roster.parse(decode_envelope(data, "the roster"), None)

    def rosters(self, transaction: Transaction) -> list[Roster]:
        """Return every roster that it has followed, oldest first."""
        return [
            Roster.parse(decode_envelope(data, "a roster"), None)
            for data in store.read_rosters(transaction)
        ]

    def record(
        self,
        transaction: Transaction,
        op: str,
        subject: str,
        body: Mapping[str, FactValue],
        client: str = "",
    ) -> None:
        """Record in its journal what it did, within this transaction."""
        # Chance is for keys: what a custodian draws stays the same whatever it tells of it. One op
        # on one subject happens once in a millisecond, and the fact's id has the millisecond.
        own = statement_hash(_FACT_ROLE, self.member.id.encode(), op.encode(), subject.encode())
        author = Who(self.member.id, "custodian")
        session = Session(author, "", self.install, self.clock, lambda size: own[:size])
        record(transaction, session.fact(op, subject, client=client, **body))
