"""`custodian redeal`: what was dealt to a custodian that lost its seat is dealt anew.

Once that is approved, custodians open one session after the other for this process alone, which
deals it to the roster of now: it sees every key, one at a time. Each session is kept, placed and
signed for before the next is opened, so the same command goes on where it was interrupted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from strongroom.clients import Client, History
from strongroom.crypto import canonical, public_sealing
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, PartlyDone, Refused, Stale, StrongroomError, UsageError
from strongroom.locations import ObjectMissing
from strongroom.operations.deployment import Deployment
from strongroom.operations.enrol_writer import enrol_at_newcomers
from strongroom.operations.find_redealt import read_redealt
from strongroom.operations.open_keys import (
    fetch_first_keys,
    fetch_keys,
    fetch_redealt,
    verified_header,
)
from strongroom.operations.orders import give_order
from strongroom.operations.placing import redeal_receipt_path, redealt_path
from strongroom.operations.receipts import fetch_record, plain_reason
from strongroom.operations.requesting import Permit, Wish, permitted
from strongroom.procedures import Plan
from strongroom.quorum import Acts, Dealing, LocalCustodian
from strongroom.vault import WorkerKeys

Member = LocalCustodian.Wire.Member


@dataclass(slots=True)
class Redealt:
    """What came of it."""

    custodian: str
    version: int
    sessions: int = 0
    """How many were dealt anew by this run."""
    already: int = 0
    """How many had been before, or were dealt to the roster of now in the first place."""
    notes: list[str] = field(default_factory=list)
    """What was passed over because no snapshot needs it, as sentences."""


def redeal(deployment: Deployment, name: str) -> Redealt:
    """Deal anew what was dealt before this custodian lost its seat.

    Raises Waiting until it is approved and its time has come; PartlyDone, when all that can be done
    is, where a custodian has not signed for everything or a session that a snapshot needs opens as
    before; and Damaged, at the end as well, where so few give shares that it does not open.
    """
    lost = _lost(deployment, name)
    done = Redealt(name, deployment.roster.version)
    with permitted(deployment, None, _wish(deployment, lost)) as permit:
        if permit is None:
            raise Refused("nothing is dealt anew without approval", "no request was made")
        orders = give_order(deployment, permit)
        away = {**deployment.absent_custodians, **orders.absent}
        missed: dict[int, StrongroomError] = {}
        left: dict[str, StrongroomError] = {}
        for client in deployment.registry.kept_clients():
            try:
                with (
                    deployment.tools.lock(client.vault),
                    deployment.tools.history(client.id) as history,
                ):
                    one = _Redealer(deployment, client, history, permit, away, missed)
                    one.redeal_all(done)
            except StrongroomError as err:
                # What stops one client stops no other.
                left[client.name] = err
        for damaged in (err for err in left.values() if isinstance(err, Damaged)):
            raise damaged
        if missed or left:
            members = {index: deployment.roster.member(index) for index in missed}
            dealt = "1 session was" if done.sessions == 1 else f"{done.sessions} sessions were"
            reasons = [
                f"{member}: {plain_reason(member, missed[index])}"
                for index, member in members.items()
            ]
            raise PartlyDone(
                f"{dealt} dealt anew, and not all is well",
                "; ".join(
                    [*sorted(reasons), *(f"client {name}: {err}" for name, err in left.items())]
                ),
                hint="Run the same command again when that is mended; nothing is dealt twice.",
            )
    return done


def _lost(deployment: Deployment, name: str) -> Member:
    """Return the custodian of this name that has lost its seat."""
    if any(one.name == name for one in deployment.roster.members):
        raise UsageError(
            f"{name} has a seat",
            "what is dealt anew is what was dealt to a custodian that lost it",
            hint="Give its seat to another first: `strongroom custodian enrol`.",
        )
    for roster in reversed(deployment.rosters.rosters):
        for member in roster.members:
            if member.name == name:
                return member
    seated = {one.name for one in deployment.roster.members}
    ever = {one.name for roster in deployment.rosters.rosters for one in roster.members}
    lost = ", ".join(sorted(ever - seated)) or "none so far"
    raise UsageError(f"there was never a custodian {name!r:.60}", f"who lost a seat: {lost}")


def _wish(deployment: Deployment, lost: Member) -> Wish:
    roster = deployment.roster
    plan = Plan.of(
        f"every session that was dealt before {lost.name} lost its seat is dealt anew to roster "
        f"version {roster.version}",
        "this process opens every key of every client meanwhile, one at a time",
        f"copies of the former keys objects that were made elsewhere still open with what "
        f"{lost.name} held and what {roster.threshold - 1} of the others of that time hold",
    )
    order = {"procedure": "custodian-redeal", "custodian": lost.id, "roster": roster.id}
    params: dict[str, str | int] = {"custodian": lost.id, "roster": roster.id}
    command = canonical.dumps(order).decode()
    return Wish(Acts.Procedure.CUSTODIAN_REDEAL, params, plan, command, answered=True)


@dataclass(frozen=True, slots=True)
class _Redealer:
    """One client whose sessions are dealt anew, under the vault's lock."""

    deployment: Deployment
    client: Client
    history: History
    permit: Permit
    away: Mapping[int, StrongroomError]
    """Who is asked nothing, not being there or not having obeyed the order, and why."""
    missed: dict[int, StrongroomError]
    needed: set[str] = field(default_factory=set)
    """The sessions that a snapshot needs."""

    def redeal_all(self, done: Redealt) -> None:
        """Deal every session anew that a location lists; what stops one stops no other.

        What stopped one is raised at the end where a snapshot needs it, and noted where none does:
        anybody who can write at one location can put an old keys object back.
        """
        listing = self._list("keys")
        if not listing and not self.history.snapshots():
            return
        version = f"{self.deployment.roster.version:08d}"
        there = self._list(f"redealt/{version}") | self._list(f"redeal-receipts/{version}")
        keys = self.deployment.worker_keys(self.client)
        enrol_at_newcomers(self.deployment, self.client, self.history, keys)
        unread = self._learn_needed()
        left: list[StrongroomError] = []
        for path in sorted(listing):
            session = path.rpartition("/")[2]
            try:
                self._redeal_one(session, there, keys, done)
            except (Damaged, Refused) as err:
                if session in self.needed:
                    left.append(err)
                else:
                    done.notes.append(f"{path} was passed over, no snapshot needs it: {err}")
        listed = {path.rpartition("/")[2] for path in listing}
        left += [_unread(one, "no location lists it") for one in sorted(self.needed - listed)]
        for damaged in (one for one in left if isinstance(one, Damaged)):
            raise damaged
        if left:
            count = "1 session opens" if len(left) == 1 else f"{len(left)} sessions open"
            raise PartlyDone(f"{count} as before", f"for one thing, {left[0]}")
        if unread:
            raise unread[0]

    def _learn_needed(self) -> list[Refused]:
        """Note what every snapshot that is known needs; return why that of some is not known."""
        unread: list[Refused] = []
        for snapshot in self.history.snapshots():
            kept = self.history.record_of(snapshot)
            what = f"snapshot {snapshot.hash[:12]}"
            try:
                if kept is None:
                    record = fetch_record(self.deployment, self.client, snapshot)
                else:
                    record = decode_envelope(kept, what)
                header, _ = verified_header(self.history, record.statement)
            except StrongroomError as err:
                unread.append(Refused(f"what {what} needs is not known", str(err)))
                continue
            self.needed.update(header.sessions)
        return unread

    def _redeal_one(
        self, session: str, there: Mapping[str, frozenset[str]], keys: WorkerKeys, done: Redealt
    ) -> None:
        place = self.deployment, self.client, self.history, session
        try:
            first = fetch_first_keys(*place)
        except (Damaged, ObjectMissing) as err:
            raise _unread(session, str(err)) from err
        begun = self._begun(session, there)
        if Dealing.parse(first.statement).label.roster_id == self.deployment.roster.id:
            done.already += 1
        elif begun is None and self._is_taken(session, there):
            raise _taken(session)
        elif begun is not None and begun.object is None:
            self._complete(first, begun, there)
            done.already += 1
        else:
            self._redeal(fetch_keys(*place), begun, keys)
            done.sessions += 1

    def _list(self, part: str) -> dict[str, frozenset[str]]:
        """Return what locations list in a part of the vault; raise Refused where one is away."""
        deployment = self.deployment
        listing = deployment.copies.list(f"{deployment.install}/vaults/{self.client.vault}/{part}")
        for name, reason in {**deployment.absent_locations, **deployment.copies.failures}.items():
            raise Refused(
                f"location {name} does not answer, and may hold what is to be dealt anew",
                str(reason),
                hint="Run it again when every location answers.",
            )
        return listing

    def _begun(self, session: str, there: Mapping[str, frozenset[str]]) -> History.Redeal | None:
        """Return what was begun with, here or by a home of before: what of that lies there."""
        roster, redeals = self.deployment.roster, self.history.redeals
        begun = [one for one in redeals.of(session) if one.version == roster.version]
        known = begun[0] if begun else None
        if self._place(session) not in there or (
            known is not None
            and (known.object is not None or len(known.signed) >= roster.threshold)
        ):
            return known
        writers = [key for key, _ in self.history.writers()]
        try:
            found = read_redealt(self.deployment, self.client, session, roster, writers)
        except (Damaged, ObjectMissing):
            return known
        if known is None or known.hash == found.hash:
            redeals.adopt([found])
            return found
        return known

    def _is_taken(self, session: str, there: Mapping[str, frozenset[str]]) -> bool:
        """Tell whether too few locations could take what would be dealt to this roster."""
        copies = self.deployment.copies
        holding = there.get(self._place(session), frozenset())
        return len(copies.locations) - len(holding) < copies.required

    def _place(self, session: str) -> str:
        version = self.deployment.roster.version
        return redealt_path(self.deployment.install, self.client.vault, version, session)

    def _receipt_place(self, session: str, index: int) -> str:
        roster = self.deployment.roster
        place = self.deployment.install, self.client.vault, roster.version, session
        return redeal_receipt_path(*place, roster.member(index).id)

    def _complete(
        self, first: Envelope, begun: History.Redeal, there: Mapping[str, frozenset[str]]
    ) -> None:
        """Have those sign who were away, and place again what some location has lost.

        Who signed gives the stored receipt again.
        """
        copies, place = self.deployment.copies, self._place(begun.session)
        try:
            anew = fetch_redealt(self.deployment, self.client, begun)
        except (Damaged, ObjectMissing) as err:
            raise Refused(
                f"nobody signs for session {begun.session[:8]} any more",
                f"what it was dealt anew with is at no location: {err}",
            ) from err
        everywhere = len(copies.locations)
        if len(there.get(place, ())) < everywhere:
            copies.put(place, anew.encode())
        placed = {
            index
            for index in begun.signed
            if len(there.get(self._receipt_place(begun.session, index), ())) == everywhere
        }
        signed = begun.signed
        if len(placed) < len(self.deployment.roster.members):
            signed |= self._have_signed(first, anew, frozenset(placed))
        if len(signed) < self.deployment.roster.threshold:
            raise _taken(begun.session)

    def _redeal(self, former: Envelope, begun: History.Redeal | None, keys: WorkerKeys) -> None:
        """Deal one session anew, or go on with it, until it is good."""
        version, dealing = self.deployment.roster.version, Dealing.parse(former.statement)
        session = dealing.label.session
        if begun is None or begun.object is None:
            anew = self._dealt(former, dealing, keys)
            digest = anew.statement.hash.hex()
            self.history.redeals.begin(session, version, digest, anew.encode())
        else:
            anew = decode_envelope(begun.object, f"session {session[:8]}, dealt anew")
        signed: frozenset[int] = frozenset() if begun is None else begun.signed
        self.deployment.copies.put(self._place(session), anew.encode())
        signed |= self._have_signed(former, anew, signed)
        if len(signed) < self.deployment.roster.threshold:
            what = f"session {session[:8]} was dealt anew, and too few custodians hold it"
            if any(
                isinstance(err, Stale) for index, err in self.missed.items() if index not in signed
            ):
                raise Refused(
                    what, "others have signed for another object, and never sign for this"
                )
            # Nothing more of this client is opened before this is good.
            raise PartlyDone(what, "until they do it opens as before")
        fact = self.deployment.fact(
            "session.redealt",
            session,
            client=self.client.id,
            request=self.permit.request.request,
            version=version,
            keys=anew.statement.hash.hex(),
            signed=sorted(signed),
        )
        self.history.redeals.finish(session, version, fact)

    def _dealt(self, former: Envelope, dealing: Dealing, keys: WorkerKeys) -> Envelope:
        """Open one session, and deal it to the roster of now; what opened it is forgotten here."""
        deployment, roster = self.deployment, self.deployment.roster
        opened = Acts.Redealing.open(dealing, self.permit.request.request, self.permit.seed)
        line, of = deployment.rosters, dealing.label.roster_id
        holding = [one for one in roster.members if line.holds(of, one)]
        for member in holding:
            if member.index in self.away:
                opened.miss(member, self.away[member.index])
        sitting = [one.index for one in holding if one.index not in self.away]
        public = public_sealing.public_key(self.permit.seed)
        while sitting and opened.lacking:
            chosen, sitting = sitting[: opened.lacking], sitting[opened.lacking :]
            questions = {
                index: partial(
                    deployment.custodians[index].reopen,
                    self.permit.request.request,
                    former.statement,
                    public,
                )
                for index in chosen
            }
            for index, answer in deployment.asking.each(questions):
                try:
                    opened.take(roster.member(index), answer.result())
                except StrongroomError as err:
                    opened.miss(roster.member(index), err)
        secrets = opened.secrets()
        if dealing.label.session in self.needed:
            # Others sufficed, and who gave what is no share is named all the same.
            self.missed.update(opened.altered)
        certificates = self.history.client_keys()
        publics = [
            deployment.roster.check_client_key(
                decode_envelope(certificates[member.index], f"the certificate of {member}")
            ).public
            for member in roster.members
        ]
        seats = (publics, keys.writer_seed)
        return dealing.deal_anew(former, roster.id, secrets, seats, deployment.tools.token)

    def _have_signed(
        self, former: Envelope, anew: Envelope, signed: frozenset[int]
    ) -> frozenset[int]:
        """Have the custodians that are there sign, and place what they signed; return who did."""
        deployment, dealing = self.deployment, Dealing.parse(anew.statement)
        unsigned = [one.index for one in deployment.roster.members if one.index not in signed]
        self.missed.update({one: self.away[one] for one in unsigned if one in self.away})
        questions = {
            index: partial(
                deployment.custodians[index].rehold, self.permit.request.request, former, anew
            )
            for index in unsigned
            if index not in self.away
        }
        receipts = self._receipts(dealing, questions)
        version, session = deployment.roster.version, dealing.label.session
        for index, receipt in receipts.items():
            deployment.copies.put(self._receipt_place(session, index), receipt.encode())
        self.history.redeals.sign(session, version, receipts)
        return frozenset(receipts)

    def _receipts(
        self, dealing: Dealing, questions: Mapping[int, partial[Envelope]]
    ) -> dict[int, Envelope]:
        found: dict[int, Envelope] = {}
        for index, answer in self.deployment.asking.each(questions):
            try:
                receipt = answer.result()
                member = self.deployment.roster.member(index)
                Acts.Redealing.check_receipt(receipt, member, dealing)
                found[index] = receipt
            except StrongroomError as err:
                self.missed[index] = err
        return found


def _unread(session: str, why: str) -> Refused:
    return Refused(
        f"session {session[:8]} is not dealt anew", f"what it was dealt with is not read: {why}"
    )


def _taken(session: str) -> Refused:
    return Refused(
        f"session {session[:8]} is not dealt anew",
        "locations hold something else in that place, of a home that was lost or of a forger, and "
        "custodians sign for one such object only; it is dealt anew with the next roster",
    )
