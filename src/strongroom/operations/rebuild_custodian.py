"""`custodian init --from-kit`: one lost custodian again, from its kit and the locations.

The kit opens its key table: who it is, and its keys. Its receipts lie beside the snapshots, signed
by itself, and say how far it has come; the team policy is the newest that follows from the one
which the operator signed first. No location is believed: one that hides objects holds it back to an
older state, so all of them are read. Nothing is written to any.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from strongroom.clock import Clock
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.database import Database
from strongroom.errors import Damaged, Refused, Stale, StrongroomError
from strongroom.ids import InstallId, Token
from strongroom.locations import Copies
from strongroom.operations.certificates import SMALL_BYTES_MAX, check_certificate
from strongroom.operations.deployment import Listing
from strongroom.operations.policies import read_change
from strongroom.operations.recover import (
    KeyTable,
    RecoveryPlan,
    find_install,
    find_table,
    named_roster,
)
from strongroom.quorum import Acts, LocalCustodian, Roster


@dataclass(frozen=True, slots=True)
class Kept:
    """What the locations keep of one custodian."""

    install: InstallId
    table: KeyTable = field(repr=False)
    roster: Envelope
    policy: Envelope
    receipts: tuple[Envelope, ...]
    certified: dict[str, int]
    """The highest serial that it has certified, by client."""
    problems: list[str]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A custodian that is there again, by the card that its peers know."""

    card: LocalCustodian.Wire.Member
    install: InstallId
    clients: int
    receipts: int
    policy: Acts.Policy
    problems: tuple[str, ...]


def find_kept(copies: Copies, plan: RecoveryPlan) -> Kept:
    """Return what the locations keep of the custodian whose kit is the first of the plan.

    Raises Refused where another custodian has its seat by now: its kit makes nobody then.
    """
    listing = copies.list("")
    install = find_install(copies, listing, plan)
    table = find_table(copies, listing, install, plan.kits[0])
    signed = decode_envelope(named_roster(copies, listing, install, {table.roster}), "the roster")
    roster = Roster.parse(signed, None)
    _check_seat(copies, listing, roster, table)
    problems = [f"location {name}: {err}" for name, err in copies.failures.items()]
    problems += [*table.notes]
    receipts = _receipts(copies, listing, roster, table, problems)
    certified = _certified(copies, listing, roster, table)
    policy = newest_policy(copies, listing, roster, problems)
    return Kept(install, table, signed, policy, receipts, certified, problems)


def rebuild_custodian(
    database: Database, kek: bytes, kept: Kept, clock: Clock, token: Token
) -> Rebuilt:
    """Make the custodian in an empty database, as far as it had come.

    Raises Stale where it has certified more than its key table shows.
    """
    table = kept.table
    custodian = LocalCustodian.restore(database, kek, table.entries, table.kit, clock, token)
    custodian.adopt_roster(kept.roster)
    policy = custodian.take_policy(kept.policy)
    pins = custodian.pins()
    for pin in pins:
        if kept.certified.get(pin.client, 0) > pin.serial:
            raise Stale(
                f"the key table of {custodian.card()} is older than what it has certified",
                f"its newest entry for client {pin.client[:8]} has serial {pin.serial}, "
                f"its certificate {kept.certified[pin.client]}: entries were removed",
                hint="Name another location that still has them.",
            )
    problems, left = list(kept.problems), 0
    for receipt in kept.receipts:
        try:
            custodian.resume([receipt])
        except Refused:
            left += 1
    if left:
        problems.append(
            f"{left} of its {len(kept.receipts)} receipts are for clients that its kit does not "
            "know: they were erased, or the locations hide what it has of them"
        )
    taken = len(kept.receipts) - left
    return Rebuilt(custodian.card(), kept.install, len(pins), taken, policy, tuple(problems))


def _check_seat(copies: Copies, listing: Listing, roster: Roster, table: KeyTable) -> None:
    """Raise Refused where a later roster of the same operator has given its seat to another."""
    place = re.compile(rf"{roster.install}/roster/[0-9]{{8}}")

    def accept(key: str, data: bytes) -> None:
        later = Roster.parse(decode_envelope(data, key), roster.operator)
        if (later.install, later.version) != (roster.install, int(key[-8:])):
            raise Damaged(f"{key} is another roster", "it was moved there")

    for key in sorted(filter(place.fullmatch, listing), reverse=True):
        if int(key[-8:]) <= roster.version:
            return
        try:
            data = copies.get(key, partial(accept, key), 0, SMALL_BYTES_MAX)
        except StrongroomError:
            # What the operator did not sign gives nobody's seat away.
            continue
        later = Roster.parse(decode_envelope(data, key), roster.operator)
        if not table.sits_in(later):
            raise Refused(
                f"this kit opens nothing any more: it is of custodian {table.index} of before",
                f"roster version {later.version} has given its seat to another",
                hint="Take the kit of who has the seat: `strongroom custodian list`.",
            )
        return


def _receipts(
    copies: Copies, listing: Listing, roster: Roster, table: KeyTable, problems: list[str]
) -> tuple[Envelope, ...]:
    """Return every receipt at the locations that this custodian has signed."""
    place = re.compile(
        rf"{roster.install}/vaults/[0-9a-f]{{32}}/receipts/[^/]+/[0-9]{{8}}/{table.custodian}"
    )

    def accept(key: str, data: bytes) -> None:
        if roster.check_receipt(decode_envelope(data, key)).custodian != table.custodian:
            raise Damaged(f"{key} is a receipt of another custodian", "it was moved there")

    found = []
    for key in sorted(filter(place.fullmatch, listing)):
        try:
            data = copies.get(key, partial(accept, key), 0, SMALL_BYTES_MAX)
        except StrongroomError as err:
            problems.append(str(err))
        else:
            found.append(decode_envelope(data, key))
    return tuple(found)


def _certified(copies: Copies, listing: Listing, roster: Roster, table: KeyTable) -> dict[str, int]:
    """Return the highest serial of a certificate at the locations that this custodian signed."""
    place = re.compile(
        rf"{roster.install}/client-keys/([0-9a-f]{{32}})/{table.custodian}/[0-9]{{8}}"
    )
    found: dict[str, int] = {}
    for key in sorted(listing, reverse=True):
        match = place.fullmatch(key)
        if match is None or match[1] in found:
            continue
        accept = partial(check_certificate, roster, key)
        try:
            found[match[1]] = accept(copies.get(key, accept, 0, SMALL_BYTES_MAX))
        except StrongroomError:
            # Planted there, or not to be read: a certificate that does not count holds nothing up.
            continue
    return found


def newest_policy(
    copies: Copies, listing: Listing, roster: Roster, problems: list[str]
) -> Envelope:
    """Return the last policy of the line that begins with the operator's first.

    An approver alone can sign one that follows: it counts where the locations show that as many
    approved it as the policy before it says, and is named where they do not. Of two that follow
    the same one that counts which enough custodians have signed that they follow; raises Refused
    where that says nothing.
    """
    policies = _policies(copies, listing, roster)
    first = [
        one
        for one in policies
        if (one[0].version, one[0].previous, one[0].signer) == (1, None, roster.operator)
    ]
    line = _only(first, "the policy that the operator signed first")
    while True:
        last = line[0]
        following = [
            one
            for one in policies
            if (one[0].previous, one[0].version) == (last.id, last.version + 1)
            and _was_approved(copies, last, one[0], problems)
        ]
        if not following:
            return line[1]
        if len(following) > 1:
            # What was approved and then refused has no deeds of those who would have followed it.
            proved = [one for one in following if _is_followed(copies, last, one[0], roster)]
            following = proved or following
        line = _only(following, f"the policy after version {last.version}")


def _was_approved(
    copies: Copies, before: Acts.Policy, after: Acts.Policy, problems: list[str]
) -> bool:
    try:
        read_change(copies, before, after)
    except StrongroomError as err:
        if after.signer in before.approvers.values():
            problems.append(
                f"policy version {after.version} ({after.id[:12]}) is passed over: {err}"
            )
        return False
    return True


def _is_followed(copies: Copies, before: Acts.Policy, after: Acts.Policy, roster: Roster) -> bool:
    try:
        read_change(copies, before, after, roster)
    except StrongroomError:
        return False
    return True


def _policies(
    copies: Copies, listing: Listing, roster: Roster
) -> Sequence[tuple[Acts.Policy, Envelope]]:
    """Return every policy of the install at the locations, as its signer signed it."""
    place = re.compile(rf"{roster.install}/policy/[0-9a-f]{{64}}")
    found = []

    def accept(key: str, data: bytes) -> None:
        policy = Acts.Policy.parse(decode_envelope(data, key))
        if not key.endswith(f"/{policy.id}") or policy.install != roster.install:
            raise Damaged(f"{key} is another policy", "it was moved there")

    for key in sorted(filter(place.fullmatch, listing)):
        try:
            data = copies.get(key, partial(accept, key), 0, SMALL_BYTES_MAX)
        except StrongroomError:
            # What is no policy of its place counts for nothing.
            continue
        envelope = decode_envelope(data, key)
        found.append((Acts.Policy.parse(envelope), envelope))
    return found


def _only(
    found: Sequence[tuple[Acts.Policy, Envelope]], which: str
) -> tuple[Acts.Policy, Envelope]:
    if not found:
        raise Damaged(
            f"{which} is at no location",
            "it was removed, or never copied there",
            hint="Name every location of the recovery sheet.",
        )
    if len(found) > 1:
        names = ", ".join(policy.id[:12] for policy, _ in found)
        raise Refused(
            f"{which} cannot be told",
            f"there are {len(found)}: {names}",
            hint="Both were approved, and one was refused before it held: see which holds with "
            "`strongroom policy show` on the server. Name a location that has that one alone.",
        )
    return found[0]
