"""What custodians that live have pinned for clients, as far as a threshold of them says so.

Fewer may lie together, or have been put back. Of kits nothing is asked here: whoever holds t of
them has what they open, and every one tells what the others missed.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from strongroom.clients import Client
from strongroom.crypto.envelope import decode_envelope
from strongroom.errors import Damaged, StrongroomError
from strongroom.ids import WriterId
from strongroom.operations.certificates import SMALL_BYTES_MAX, Certificate
from strongroom.operations.deployment import Deployment
from strongroom.operations.find_snapshots import Ground
from strongroom.quorum import LocalCustodian, Roster

Pin: TypeAlias = LocalCustodian.Pin
Pins = Mapping[int, Pin]
"""What the custodians that are here have pinned for one client, by index."""
Writer: TypeAlias = LocalCustodian.Writer

_RECEIPT = re.compile(r"[0-9]{8}/([0-9a-f]{32})")


@dataclass(slots=True)
class Told:
    """What every custodian that answered has pinned, by client; and who said something else."""

    pins: dict[str, dict[int, Pin]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def ask_pins(deployment: Deployment) -> Told:
    """Ask each custodian what it has pinned; one whose answer cannot be read is named."""
    told = Told()
    questions = {index: custodian.pins for index, custodian in deployment.custodians.items()}
    for index, outcome in deployment.asking.each(questions):
        try:
            found = outcome.result()
        except StrongroomError as err:
            who = deployment.roster.member(index)
            told.notes.append(f"{who} does not say what it has pinned, and is not asked: {err}")
            continue
        for pin in found:
            told.pins.setdefault(pin.client, {})[index] = pin
    return told


def agreed_clients(deployment: Deployment, told: Told) -> dict[str, Pins]:
    """Return the clients of which a threshold says the same; what fewer say goes to the notes."""
    agreed: dict[str, Pins] = {}
    alone: dict[int, list[str]] = {}
    for client, pins in told.pins.items():
        places = [(pin.vault, pin.vault_class) for pin in pins.values()]
        most = max(places, key=places.count)
        same = {index: pin for index, pin in pins.items() if (pin.vault, pin.vault_class) == most}
        if len(same) >= deployment.roster.threshold:
            agreed[client] = same
        for index in pins if client not in agreed else pins.keys() - same.keys():
            alone.setdefault(index, []).append(client)
    told.notes += [
        f"{deployment.roster.member(index)} tells of {len(clients)} "
        f"{'vault' if len(clients) == 1 else 'vaults'} that fewer than "
        f"{deployment.roster.threshold} custodians here know, of client {min(clients)[:8]} first: "
        "not believed"
        for index, clients in sorted(alone.items())
    ]
    return agreed


def without_old_tables(
    deployment: Deployment, pins: Pins, certificates: Mapping[int, Certificate]
) -> tuple[Pins, list[str]]:
    """Return the pins of those that are not older than what they have certified, and who is."""
    old = [
        index
        for index, found in certificates.items()
        if index in pins and found.serial > pins[index].serial
    ]
    notes = [
        f"client {pins[index].client[:8]}: the newest key of {deployment.roster.member(index)} has "
        f"serial {pins[index].serial}, its certificate {certificates[index].serial}: entries were "
        "removed, or it was put back, or lies"
        for index in old
    ]
    return {index: pin for index, pin in pins.items() if index not in old}, notes


def believed_writers(ground: Ground, client: Client, pins: Pins) -> tuple[list[Writer], list[str]]:
    """Return the writers that count, with where each ended; and what too few custodians say.

    A writer counts where a threshold has pinned it, as their answers or their receipts at the
    locations show: who was away from a succession did not pin it, and who is lost now has signed
    for what is good. An end counts where a threshold pinned one, at the greatest that they give:
    what is good had a threshold's receipts, whoever says afterwards that it came too late.
    """
    roster = ground.deployment.roster
    believed: list[Writer] = []
    notes: list[str] = []
    unknown: dict[int, None] = {}
    for writer in _all_writers(pins):
        own = {index: one for index, pin in pins.items() for one in pin.writers if one.id == writer}
        known = set(own)
        if len(known) < roster.threshold:
            known |= _signed_for(ground, client, writer)
        if len(known) < roster.threshold:
            unknown |= dict.fromkeys(own)
            continue
        ends = {
            index: at.revoked_after for index, at in own.items() if at.revoked_after is not None
        }
        ended = max(ends.values()) if len(ends) >= roster.threshold else None
        believed.append(next(iter(own.values()))._replace(revoked_after=ended))
        if ends and ended is None:
            notes.append(
                f"only {_named(roster, ends)} says that writer {writer[:8]} was replaced, after "
                f"snapshot {max(ends.values())}; {roster.threshold} would have to, so its later "
                "ones count. Look whether the newest is the one that you expect"
            )
    if unknown:
        notes.append(
            f"{_named(roster, unknown)} names writers of whom fewer than {roster.threshold} "
            "custodians know or have signed anything: theirs does not count"
        )
    return believed, notes


def _all_writers(pins: Pins) -> list[WriterId]:
    longest = sorted(pins.values(), key=lambda one: len(one.writers), reverse=True)
    return list(dict.fromkeys(writer.id for pin in longest for writer in pin.writers))


def _signed_for(ground: Ground, client: Client, writer: WriterId) -> set[int]:
    """Return who has signed, at some location, for a snapshot of a writer: who had pinned it."""
    deployment = ground.deployment
    folder = f"{deployment.install}/vaults/{client.vault}/receipts/{writer}/"
    seats = {str(member.id): member.index for member in deployment.roster.members}
    found: set[int] = set()
    for place in ground.below(folder):
        match = _RECEIPT.fullmatch(place[len(folder) :])
        index = seats.get(match[1]) if match else None
        if index is None or index in found:
            continue
        accept = partial(_check_receipt, deployment, client, writer, index, place)
        try:
            deployment.copies.get(place, accept, 0, SMALL_BYTES_MAX)
        except StrongroomError:
            # Anyone can plant a name; what nobody signed says nothing.
            continue
        found.add(index)
    return found


def _check_receipt(
    deployment: Deployment, client: Client, writer: WriterId, index: int, place: str, data: bytes
) -> None:
    receipt = deployment.roster.check_receipt(decode_envelope(data, place))
    of = (receipt.index, receipt.client, receipt.vault, receipt.writer)
    if of != (index, client.id, client.vault, writer):
        raise Damaged(f"{place} is a receipt of another place", "it was moved there")


def _named(roster: Roster, indices: Collection[int]) -> str:
    return " and ".join(str(roster.member(index)) for index in sorted(indices))
