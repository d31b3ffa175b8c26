"""The orders of a custodian: what was approved is done once, and signed for."""

from dataclasses import dataclass

from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.database import Transaction
from strongroom.errors import Refused, StrongroomError
from strongroom.facts import FactValue
from strongroom.quorum import erasure_rows, store
from strongroom.quorum.deed import Deed
from strongroom.quorum.deeds import DEEDS, Seats
from strongroom.quorum.grant import Grant
from strongroom.quorum.order import Order
from strongroom.quorum.refusals import OtherAct, RequestUsed
from strongroom.quorum.request import ActRequest


@dataclass(frozen=True, slots=True)
class OrderSeat:
    """Does what its gate lets pass, and remembers what it was told never to do."""

    _seats: Seats

    def obey(self, order: Order) -> Envelope:
        """Do what was approved; return the signed deed, always the same, once it is durable."""
        order.check_limits()
        own, gate, request = self._seats.own, self._seats.gate, order.grant.request
        kept: StrongroomError | None = None
        deed: Envelope | None = None
        with own.database.transaction() as transaction:
            done = store.read_deed(transaction, request.request)
            if done is not None:
                deed = self._again(request, *done)
            else:
                roster, now = own.roster(transaction), own.clock.now()
                kept = gate.check_order(transaction, roster, order, now)
                deed = None if kept else self._do(transaction, order)
        if deed is None:
            raise kept or Refused(f"{own.member} refuses request {request.request[:8]}")
        if DEEDS[request.procedure].destroys:
            self.scour()
        # Point of no return: what was done is on disk, with the word for it.
        return deed

    def scour(self) -> None:
        """Write the database anew where a file of it may hold what an order destroyed.

        Once for each order: whoever repeats an old one costs the custodian nothing.
        """
        database = self._seats.own.database
        with database.reading() as reading:
            requests = erasure_rows.read_unscoured(reading)
        if requests:
            database.scour()
            # Only these: what another order destroyed meanwhile is for a later time.
            with database.transaction() as transaction:
                erasure_rows.forget_unscoured(transaction, requests)

    def refuse(self, request: ActRequest, word: Envelope) -> None:
        """Remember for good that an approver refuses a request; the same again changes nothing."""
        own = self._seats.own
        with own.database.transaction() as transaction:
            self._seats.gate.refuse(transaction, request.check(), word, own.clock.now())

    def _do(self, transaction: Transaction, order: Order) -> Envelope:
        """Do what an order says that may be, and sign for it, in the same transaction."""
        own, request = self._seats.own, order.grant.request
        doing = DEEDS[request.procedure]
        if len(order.enclosed) != doing.enclosed:
            raise OtherAct(
                f"{own.member} refuses request {request.request[:8]}",
                f"a {request.procedure} encloses {doing.enclosed} objects, "
                f"and {len(order.enclosed)} came",
            )
        deed = Deed(
            install=own.install,
            custodian=own.member.id,
            index=own.member.index,
            request=request.request,
            procedure=request.procedure,
            client=request.client,
            grant=Grant.digest(request, order.grant.approvals),
            done_at=own.clock.now(),
            told=doing.do(self._seats, transaction, order),
        ).sign(own.seed)
        if doing.destroys:
            erasure_rows.write_unscoured(transaction, request.request)
        store.write_deed(transaction, request, deed.encode())
        told: dict[str, FactValue] = {
            "procedure": str(request.procedure),
            "deed": deed.statement.hash.hex(),
        }
        own.record(transaction, "request.obeyed", request.request, told, request.client or "")
        return deed

    def _again(self, request: ActRequest, digest: str, stored: bytes) -> Envelope:
        if digest != request.digest:
            raise RequestUsed(
                f"{self._seats.own.member} refuses request {request.request[:8]}",
                "another request of this id was done",
            )
        return decode_envelope(stored, "a stored deed")
