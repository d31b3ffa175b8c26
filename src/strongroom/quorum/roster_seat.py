"""The roster at a custodian's side: pinned once, and followed only by what others approve."""

from collections.abc import Mapping
from dataclasses import dataclass

from strongroom.crypto.envelope import Envelope
from strongroom.database import Transaction
from strongroom.errors import Refused
from strongroom.quorum import rules, store
from strongroom.quorum.own import Own
from strongroom.quorum.procedure import Value
from strongroom.quorum.refusals import OtherAct
from strongroom.quorum.roster import Roster


@dataclass(frozen=True, slots=True)
class RosterSeat:
    """Pins rosters, and writes the kit entry that names each."""

    _own: Own

    def adopt(self, envelope: Envelope) -> Roster:
        """Pin the first roster; the same one again changes nothing, and no other one is taken."""
        own = self._own
        with own.database.transaction() as transaction:
            pinned, named = own.pinned_roster(transaction), self._named(transaction)
            roster = Roster.parse(envelope, None)
            rules.check_roster(own.member, own.install, pinned, roster)
            if pinned is None:
                if named not in (None, roster.id):
                    raise self._refuse(roster, "its kit names another roster")
                self._pin(transaction, roster, envelope)
            return roster

    def take(self, envelope: Envelope) -> Roster:
        """Pin the roster that a recovery found, once the custodian was rebuilt from its kit."""
        own = self._own
        with own.database.transaction() as transaction:
            roster = Roster.parse(envelope, None)
            rules.check_roster(own.member, own.install, None, roster)
            if own.pinned_roster(transaction) is not None:
                raise self._refuse(roster, "it has one, and was not rebuilt just now")
            self._pin(transaction, roster, envelope)
            return roster

    def follow(
        self, transaction: Transaction, envelope: Envelope, params: Mapping[str, Value]
    ) -> Roster:
        """Pin the roster that an approved order encloses; that one again changes nothing.

        It is the one that the request names by its hash, so that one request is never two rosters.
        """
        own = self._own
        pinned, roster = own.roster(transaction), Roster.parse(envelope, None)
        if params.get("roster") != roster.id:
            raise OtherAct(
                f"{own.member} refuses roster version {roster.version}",
                "it is not the one that was approved",
            )
        if pinned.id != roster.id:
            rules.check_next_roster(own.member, pinned, roster, params)
            self._pin(transaction, roster, envelope)
        return roster

    def _pin(self, transaction: Transaction, roster: Roster, envelope: Envelope) -> None:
        own = self._own
        if self._named(transaction) != roster.id:
            own.kits.write_identity(transaction, roster.id, own.seed, own.created_at)
        store.write_roster(transaction, roster.version, roster.id, envelope.encode())
        own.record(transaction, "roster.adopted", roster.id, {"version": roster.version})

    def _named(self, transaction: Transaction) -> str | None:
        """Return the id of the roster that the newest identity entry of the kit names."""
        row = store.read_self(transaction)
        return None if row is None else row.roster_id

    def _refuse(self, roster: Roster, why: str) -> Refused:
        return Refused(f"{self._own.member} refuses roster version {roster.version}", why)
