"""`custodian rotate`: another key of a custodian for a client, and the end of its former ones.

What is dealt from then on is sealed to the new key. What was dealt before opens with a former one,
which the custodian keeps until it is told to drop it: asked about every session that a location
holds, it says itself, signed, which former keys those need. Both are told in an approved order.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias

from strongroom.clients import Client, History
from strongroom.crypto import canonical
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, Refused, Unavailable
from strongroom.operations.clear_client import Cleared, clear_superseded
from strongroom.operations.deployment import Deployment
from strongroom.operations.enrol_writer import (
    RECOVER_WITH_ALL,
    adopt_certificate,
    enrol_at_newcomers,
)
from strongroom.operations.intent import intend
from strongroom.operations.look_at_custodians import Member
from strongroom.operations.open_keys import fetch_first_keys, fetch_listed_redealt
from strongroom.operations.orders import give_order, kept_deeds
from strongroom.operations.prove_shares import CHALLENGE_BYTES, dealt_to
from strongroom.operations.requesting import Wish, find_open, permitted
from strongroom.operations.witnessing import OpenLog
from strongroom.procedures import Plan
from strongroom.quorum import Acts, Custodian, LocalCustodian

Certificate: TypeAlias = LocalCustodian.Certificate
SESSIONS_AT_A_TIME: Final = 64
"""How many a custodian may be asked to prove."""


@dataclass(frozen=True, slots=True)
class CustodianKey:
    """A custodian's key for a client, as the locations have it from now on."""

    client: str
    custodian: str
    serial: int
    certified_at: datetime
    former: int
    """How many former keys the custodian keeps for what was dealt to them."""
    dropped: int = 0
    """How many it has destroyed just now."""
    exports_left: list[str] = field(default_factory=list)
    """What holds the destroyed ones still, sealed to its kit, as `LOCATION: PATH`."""
    notes: list[str] = field(default_factory=list)
    """What was not looked at, and what could not be done at a location, as sentences."""


@dataclass(frozen=True, slots=True)
class _Seat:
    """One custodian and one client, whose key it is about."""

    deployment: Deployment
    client: Client
    history: History
    member: Member
    custodian: Custodian

    def certificate(self) -> Envelope:
        """Return the custodian's newest certificate, which is the same until its key changes."""
        keys = self.deployment.worker_keys(self.client)
        writer = keys.writer_public
        if all(key != writer or after is not None for key, after in self.history.writers()):
            raise Refused(
                f"this home has not backed up {self.client.name} yet",
                "custodians follow it from its first backup on",
                hint=f"Run `strongroom backup {self.client.name}` first.",
            )
        client = self.client
        enrol_at_newcomers(self.deployment, client, self.history, keys)
        return self.custodian.enrol(client.id, client.vault, client.vault_class, writer)

    def noted(self) -> Certificate:
        """Return what this home knows of the custodian's key."""
        data = self.history.client_keys().get(self.member.index)
        if data is None:
            raise Refused(
                f"no certificate of {self.member} for {self.client.name} is known here",
                "no location had it when this home was recovered",
                hint=RECOVER_WITH_ALL,
            )
        return self.deployment.rosters.check_client_key(decode_envelope(data, "a certificate"))

    def take_up(self) -> bool:
        """Note and place what the custodian has certified last; tell whether its key is another.

        A run that was interrupted once the custodian had obeyed is completed so.
        """
        certificate, before = self.certificate(), self.noted()
        after = self.deployment.roster.check_client_key(certificate)
        if after.serial > before.serial:
            place = (self.deployment, self.client, self.history, self.custodian)
            adopt_certificate(*place, certificate)
        return after.public != before.public

    def told(self) -> CustodianKey:
        """Return what is to be told of the key now."""
        key, names = self.noted(), (self.client.name, self.member.name)
        return CustodianKey(*names, key.serial, key.created_at, len(key.former))

    def wish(self, plan: Plan, drop_to: int | None = None) -> Wish:
        """Return what somebody wants done with this key."""
        params: dict[str, str | int] = {"custodian": self.member.id}
        if drop_to is not None:
            params["drop_to"] = drop_to
        order = self.order(dropping=drop_to is not None)
        return Wish(Acts.Procedure.CUSTODIAN_ROTATE, params, plan, order)

    def order(self, *, dropping: bool) -> str:
        """Return the command as it is kept with what it asked for."""
        named = {"client": self.client.id, "custodian": self.member.id}
        asked = {"procedure": "custodian-rotate", "drop": dropping}
        return canonical.dumps({**asked, **named}).decode()

    def have(self, wish: Wish) -> None:
        """Have it approved, and the custodian do it; raises Waiting until then."""
        with permitted(self.deployment, (self.client, self.history), wish) as permit:
            give_order(self.deployment, permit, only=self.member.index)

    def clear(self, key: CustodianKey) -> CustodianKey:
        """Delete what the custodian has signed that it wiped; return what is told of it.

        All that it ever wiped, since an earlier run may have been interrupted before this.
        """
        folder = f"{self.deployment.install}/kits/{self.member.id}"
        named: set[str] = set()
        for act in self.deployment.desk.acts():
            asked = (act.request.procedure, act.request.client)
            if asked != (Acts.Procedure.CUSTODIAN_ROTATE, self.client.id):
                continue
            deed = kept_deeds(self.deployment, act.request).get(self.member.index)
            entries = () if deed is None else deed.told["entries"]
            if deed is not None and deed.custodian == self.member.id and isinstance(entries, tuple):
                named |= {f"{folder}/{name}" for name in entries}
        named &= self.deployment.copies.list(folder).keys()
        if not named:
            return key
        log, cleared = OpenLog.of_client(self.client, self.history), Cleared()
        intent = self.deployment.intent("client.exports_cleared", self.client.id)
        intend(self.deployment, log, intent)
        newest = f"{folder}/{self.client.id}-{key.serial:08d}"
        clear_superseded(self.deployment, sorted(named), newest, cleared)
        left = [f"{where}: {path}" for where, paths in cleared.left.items() for path in paths]
        told = self.deployment.result(intent, exports=cleared.exports, left=len(left))
        log.record(told)
        notes = [*key.notes, *cleared.problems.values()]
        return replace(key, exports_left=left, notes=notes)


def rotate(deployment: Deployment, client: Client, member: Member) -> CustodianKey:
    """Let a custodian make another key for what is dealt to a client from now on.

    Raises Waiting until it is approved and the custodian has waited; run again, it goes on.
    """
    with _seated(deployment, client, member) as seat:
        if seat.take_up() and find_open(deployment, seat.order(dropping=False)) is None:
            return seat.told()
        plan = Plan.of(
            f"custodian {member.name} makes another key for pieces of keys of {client.name}",
            "new pieces are sealed to it; what is kept now still opens with the former one",
        )
        seat.have(seat.wish(plan))
        seat.take_up()
        return seat.told()


def drop_former(deployment: Deployment, client: Client, member: Member) -> CustodianKey:
    """Let a custodian destroy the former keys that nothing at any location needs.

    Raises Refused where a location does not answer, since it might hold what needs one, and Waiting
    as `rotate` does.
    """
    # No backup runs beside it: one that began before a rotation deals to a key that is former now.
    with deployment.tools.lock(client.vault), _seated(deployment, client, member) as seat:
        seat.take_up()
        former = seat.noted().former
        needed, notes = _needed(seat) if former else (set(), [])
        drop_to = _droppable(former, needed)
        if drop_to is None:
            return seat.clear(replace(seat.told(), notes=notes))
        act = find_open(deployment, seat.order(dropping=True))
        asked = act.request.params.get("drop_to") if act is not None else None
        if isinstance(asked, int):
            # What was approved stays what is done, though more could be by now.
            drop_to = min(drop_to, asked)
        gone = [serial for serial in former if serial <= drop_to]
        plan = Plan.of(
            f"custodian {member.name} destroys {len(gone)} former keys for {client.name}, of "
            f"serials up to {drop_to}",
            "nothing at any location is sealed to them; copies that were made elsewhere may be, "
            "and lose this custodian",
        )
        seat.have(seat.wish(plan, drop_to))
        seat.take_up()
        return seat.clear(replace(seat.told(), dropped=len(gone), notes=notes))


def keepers_of_former(deployment: Deployment, client: Client, history: History) -> Iterator[str]:
    """Yield, as sentences, which custodians keep former keys for a client, and how they go."""
    for index, data in sorted(history.client_keys().items()):
        envelope = decode_envelope(data, f"the certificate of custodian {index}")
        key = deployment.rosters.check_client_key(envelope)
        member = deployment.roster.member(index)
        if key.former and key.custodian == member.id:
            yield (
                f"{member.name} keeps former keys: `strongroom custodian rotate {member.name} "
                f"--client {client.name} --drop-former` destroys those that nothing needs any more"
            )


@contextmanager
def _seated(deployment: Deployment, client: Client, member: Member) -> Iterator[_Seat]:
    """Find the custodian; raises what keeps it away."""
    custodian = deployment.custodians.get(member.index)
    if custodian is None:
        raise Unavailable(
            f"{member} is not there, and only it can change its key",
            str(deployment.absent_custodians.get(member.index, "it is not known why")),
            hint="Run the same command again when it answers; nothing was done.",
        )
    with deployment.tools.history(client.id) as history:
        yield _Seat(deployment, client, history, member, custodian)


def _droppable(former: Sequence[int], needed: set[int]) -> int | None:
    """Return the greatest serial up to which no former key is needed, or None where none is."""
    free = [serial for serial in former if not needed or serial < min(needed)]
    return max(free, default=None)


def _needed(seat: _Seat) -> tuple[set[int], list[str]]:
    """Return the serials of the former keys that sessions need, and what was passed over.

    Every session that a location lists is asked about, and all that it was dealt anew with,
    whatever needs it: what is forgotten here may be wanted by another home, and what waits to be
    deleted by a rescue.
    """
    deployment, client = seat.deployment, seat.client
    vault = f"{deployment.install}/vaults/{client.vault}"
    first, anew = (deployment.copies.list(f"{vault}/{part}") for part in ("keys", "redealt"))
    away = {**deployment.absent_locations, **deployment.copies.failures}
    for name, reason in away.items():
        raise Refused(
            f"location {name} does not answer, and may hold what needs a former key",
            str(reason),
            hint="Run it again when every location answers.",
        )
    place = deployment, client, seat.history
    found = [
        decode_envelope(kept, "what is not placed yet").statement
        for session, kept in seat.history.redeals.under_way()
        if f"{vault}/keys/{session}" in first
    ]
    notes: list[str] = []
    for key in (*sorted(first), *sorted(anew)):
        try:
            if key in anew:
                found.append(fetch_listed_redealt(*place, key).statement)
            else:
                found.append(fetch_first_keys(*place, key.rpartition("/")[2]).statement)
        except Damaged as err:
            # Nobody can open it as it is, so it needs no key; a planted one stops nothing.
            notes.append(f"{key} was passed over: {err}")
    needed: set[int] = set()
    # Who took the seat of another holds no share of what was dealt before.
    own = dealt_to(deployment, seat.member.index, found)
    for at in range(0, len(own), SESSIONS_AT_A_TIME):
        asked = own[at : at + SESSIONS_AT_A_TIME]
        challenge = deployment.tools.token(CHALLENGE_BYTES).hex()
        envelope = seat.custodian.prove(challenge, asked)
        avowal = deployment.roster.check_avowal(envelope, challenge, asked)
        if avowal.index != seat.member.index:
            raise Damaged(f"{seat.member} gave an avowal of custodian {avowal.index}")
        needed |= set(avowal.former)
    return needed, notes
