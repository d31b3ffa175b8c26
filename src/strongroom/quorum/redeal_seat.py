"""Dealing anew at a custodian's side: one session's shares leave at a time, and others come.

Both only under an order that was approved for it, to the one key that was approved, and until it
expires or another team policy or writer is pinned. What was signed for once under a roster is not
opened for it again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from strongroom.crypto.envelope import Envelope, Statement, decode_envelope
from strongroom.crypto.hashing import same
from strongroom.database import Transaction
from strongroom.errors import Refused, Stale
from strongroom.facts import FactValue
from strongroom.quorum import redeal_rows, rules, store
from strongroom.quorum.dealing import Dealing
from strongroom.quorum.key_table import ClientEntry
from strongroom.quorum.own import Own
from strongroom.quorum.receipt import ReceiptedShare
from strongroom.quorum.redeal_rows import Allowed
from strongroom.quorum.refusals import Expired, NoGrant, OtherAct, Vetoed
from strongroom.quorum.reopened import RedealReceipt, Reopened
from strongroom.quorum.request import ActRequest

_NOT_ALLOWED: Final = (
    "no order of it allows to deal anew, or it ended: a later one does, or another team policy or "
    "writer came since"
)
_ASK_AGAIN: Final = "Withdraw the request, and give the command that made it again."


@dataclass(frozen=True, slots=True)
class RedealSeat:
    """Gives a session's shares to who deals it anew, and signs for what comes instead."""

    _own: Own

    def allow(self, transaction: Transaction, request: ActRequest) -> Mapping[str, str | int]:
        """Allow what an order says, in its own transaction; return what the deed tells."""
        own, params = self._own, request.params
        roster, lost = own.roster(transaction), params["custodian"]
        what = f"{own.member} refuses request {request.request[:8]}"
        recipient = params.get("recipient")
        if not isinstance(recipient, str):
            raise OtherAct(what, "it names no key that shares could be sealed to")
        if params["roster"] != roster.id:
            raise OtherAct(what, f"it follows roster version {roster.version}, and not the one")
        if lost in {one.id for one in roster.members}:
            raise OtherAct(what, "the custodian that it names has not lost its seat")
        before = [one for one in own.rosters(transaction) if one.id != roster.id]
        if before and not any(lost == one.id for each in before for one in each.members):
            raise OtherAct(what, "the custodian that it names never had a seat")
        allowed = Allowed(request.request, request.digest, roster.id, recipient, request.expires)
        redeal_rows.allow(transaction, allowed)
        return {"roster": roster.id, "version": roster.version}

    def reopen(self, request: str, keys: Statement, recipient: bytes) -> Envelope:
        """Return this custodian's shares of one session, sealed to the key that was approved.

        Journalled before it leaves. A session that it has signed for anew stays closed.
        """
        own = self._own
        with own.database.transaction() as transaction:
            allowed = self._allowed(transaction, request)
            if not same(hashlib.sha256(recipient).digest(), bytes.fromhex(allowed.recipient)):
                raise OtherAct(self._refusing(request), "shares go to the approved key alone")
            dealing, entry = self._read(transaction, keys)
            label = dealing.label
            if label.roster_id == allowed.roster:
                raise OtherAct(
                    self._refusing(request),
                    f"session {label.session[:8]} is dealt to that roster already",
                )
            if redeal_rows.read_reheld(transaction, label.session, allowed.roster) is not None:
                raise OtherAct(
                    self._refusing(request), f"session {label.session[:8]} was dealt anew already"
                )
            followed = {one.id for one in own.rosters(transaction)}
            opened = rules.reopen(own.member, dealing, entry, followed)
            told: dict[str, FactValue] = {"request": request, "keys": dealing.hash}
            own.record(transaction, "share.reopened", label.session, told, label.client)
            # The answer leaves only once the journal row is on disk, at the end of this block.
            return Reopened(
                install=own.install,
                request=request,
                custodian=own.member.id,
                index=own.member.index,
                client=label.client,
                session=label.session,
                keys=dealing.hash,
                reopened_at=own.clock.now(),
            ).sign(own.seed, recipient, opened)

    def rehold(self, request: str, former: Envelope, anew: Envelope) -> Envelope:
        """Check what a session was dealt anew with; return the receipt, always the same."""
        own = self._own
        with own.database.transaction() as transaction:
            allowed = self._allowed(transaction, request)
            first, entry = self._read(transaction, former.statement)
            dealing = Dealing.parse(anew.statement)
            label = dealing.label
            stored = redeal_rows.read_reheld(transaction, label.session, allowed.roster)
            if stored is not None:
                return self._again(dealing, *stored)
            writer = entry.pin.current
            if writer is None:
                raise Refused(self._refusing(request), "nobody writes for this client now")
            anew.statement.verify(writer.key, f"what session {label.session} was dealt anew with")
            first.check_anew(former, dealing, anew)
            if label.roster_id != allowed.roster:
                raise OtherAct(self._refusing(request), "it was dealt to another roster")
            numbers = range(1, len(dealing.parts) + 1)
            for number in numbers:
                entry.open_share(dealing, number, own.member)
            receipt = RedealReceipt(
                install=own.install,
                client=label.client,
                vault=label.vault,
                session=label.session,
                custodian=own.member.id,
                index=own.member.index,
                request=request,
                roster=allowed.roster,
                keys=dealing.hash,
                received_at=own.clock.now(),
                shares=tuple(
                    ReceiptedShare.of(dealing, number, own.member.index) for number in numbers
                ),
            ).sign(own.seed)
            redeal_rows.write_reheld(transaction, dealing, receipt.encode())
            told: dict[str, FactValue] = {"request": request, "keys": dealing.hash}
            own.record(transaction, "share.reheld", label.session, told, label.client)
            return receipt

    def _allowed(self, transaction: Transaction, request: str) -> Allowed:
        """Return what the order of this request allows, which is in force; else raise why not."""
        what, allowed = self._refusing(request), redeal_rows.read_allowed(transaction)
        if allowed is None or allowed.request != request:
            raise NoGrant(what, _NOT_ALLOWED, _ASK_AGAIN)
        if store.is_refused(transaction, allowed.digest):
            raise Vetoed(what, "an approver has refused it since")
        if self._own.clock.now() >= allowed.expires:
            raise Expired(what, f"it ended on {allowed.expires:%Y-%m-%d %H:%M:%S} Z")
        if allowed.roster != self._own.roster(transaction).id:
            raise OtherAct(what, "another roster is followed since")
        return allowed

    def _read(self, transaction: Transaction, keys: Statement) -> tuple[Dealing, ClientEntry]:
        """Return a keys object of a client that is known, which a pinned writer signed."""
        entry = self._own.entry(transaction, Dealing.parse(keys).label.client)
        return rules.check_provable(self._own.member, self._own.install, entry.pin, keys), entry

    def _again(self, dealing: Dealing, keys: str, receipt: bytes) -> Envelope:
        if keys != dealing.hash:
            raise Stale(
                f"{self._own.member} holds session {dealing.label.session[:8]} by another object",
                f"it has signed for {keys[:12]} under this roster, this is {dealing.hash[:12]}",
                "A location or the home was put back, or somebody forges it; do not go on with it.",
            )
        return decode_envelope(receipt, "a stored redeal receipt")

    def _refusing(self, request: str) -> str:
        return f"{self._own.member} refuses request {request[:8]}"
