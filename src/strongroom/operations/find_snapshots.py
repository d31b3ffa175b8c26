"""What the locations show of one client, judged: the snapshots its pinned writers signed.

An unbroken chain for each writer, with the receipts of the roster's custodians. Nothing that one
location plants, alters or hides stops this: a good copy elsewhere counts, and what cannot be read
is a note. Only a gap stops it, and what custodians signed for that no location shows.
"""

import math
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice, takewhile
from typing import Protocol

from strongroom.clients import Client, History, Snapshot
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, Stale, StrongroomError
from strongroom.ids import WriterId
from strongroom.locations import LocationUnavailable, ObjectMissing
from strongroom.operations.certificates import SMALL_BYTES_MAX
from strongroom.operations.deployment import Deployment, Listing
from strongroom.operations.tombs import Holes, read_holes
from strongroom.quorum import SnapshotHeader

_SEQUENCE = re.compile(r"[0-9]{8}")
_RECEIPT = re.compile(r"([0-9]{8})/([0-9a-f]{32})")
_RECORD = re.compile(r"([0-9a-f]{32})/[0-9]{8}")
_UNREADABLE = (Damaged, ObjectMissing, LocationUnavailable)


class Writer(Protocol):
    """A writer as the custodians have pinned it."""

    @property
    def id(self) -> WriterId:
        """Return the writer's id."""
        ...

    @property
    def key(self) -> bytes:
        """Return the public key."""
        ...

    @property
    def revoked_after(self) -> int | None:
        """Return the last sequence that counts, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Shown:
    """One snapshot as the locations show it."""

    snapshot: Snapshot
    record: Envelope
    receipts: Mapping[int, Envelope]
    received: Mapping[int, datetime]
    where: frozenset[str]


@dataclass(slots=True)
class Survey:
    """What there is of one client, oldest first, and what a person should know about it."""

    shown: list[Shown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    buried: list[History.Buried] = field(default_factory=list)
    """Deleted snapshots that are not shown any more, as tombstones tell."""
    gone: frozenset[str] = frozenset()
    """Objects that tombstones list, relative to the vault: they go or are gone."""

    def last(self, writer: WriterId) -> int:
        """Return the greatest sequence that is shown of a writer, 0 for none."""
        found = [one.snapshot.sequence for one in self.shown if one.snapshot.writer == writer]
        return max(found, default=0)

    def sort_by_receipts(self) -> None:
        """Put the writers in the order in which custodians signed for the first good one of each.

        Where nobody is believed alone about who came after whom, that is what a threshold signed.
        """
        begun: dict[str, float] = {}
        for one in self.shown:
            at = one.snapshot.received_at
            if at is not None:
                begun.setdefault(one.snapshot.writer, at.timestamp())
        self.shown.sort(key=lambda one: begun.get(one.snapshot.writer, math.inf))


@dataclass(frozen=True, slots=True)
class Ground:
    """Where to look: the locations of a home that is being rebuilt, and what they list."""

    deployment: Deployment
    listing: Listing
    keys: Sequence[str]
    answering: frozenset[str]
    """The names of the locations that list anything."""

    @classmethod
    def of(cls, deployment: Deployment, listing: Listing) -> "Ground":
        """Return the ground with its keys in order."""
        answering = frozenset(name for names in listing.values() for name in names)
        return cls(deployment, listing, sorted(listing), answering)

    def below(self, folder: str) -> list[str]:
        """Return the keys that begin with a folder, which ends with a slash."""
        first = bisect_left(self.keys, folder)
        return list(takewhile(lambda key: key.startswith(folder), islice(self.keys, first, None)))


@dataclass(slots=True)
class _Chain:
    """One writer's snapshots as they are read; `bad` says why a sequence cannot be."""

    writer: Writer
    holes: Holes
    shown: list[Shown] = field(default_factory=list)
    bad: dict[int, StrongroomError] = field(default_factory=dict)
    later: int = 0

    @property
    def last(self) -> int:
        """Return the greatest sequence that is shown, 0 for none."""
        return self.shown[-1].snapshot.sequence if self.shown else 0

    def hole(self, sequence: int, follows: str | None) -> History.Buried | None:
        """Return what a tombstone says of a snapshot that is not shown, or None.

        `follows` is what the next snapshot names as the one before it, where that is shown.
        """
        found = self.holes.get((self.writer.id, sequence))
        return found if found is not None and follows in (None, found.hash) else None

    def counts(self, sequence: int) -> bool:
        """Tell whether a snapshot of this number counts as the writer's."""
        return self.writer.revoked_after is None or sequence <= self.writer.revoked_after


def find_snapshots(ground: Ground, client: Client, writers: Sequence[Writer]) -> Survey:
    """Return what the pinned writers signed; raises Stale or Damaged for a broken chain."""
    survey = Survey()
    tombs = ground.below(f"{ground.deployment.install}/vaults/{client.vault}/tombs/")
    signers = {str(one.id): one.key for one in writers}
    holes, survey.gone = read_holes(ground.deployment, client, ground.listing, tombs, signers)
    for writer in writers:
        chain = _read_chain(ground, client, writer, holes)
        _check_receipts(ground, client, chain)
        survey.shown += chain.shown
        there = {one.snapshot.sequence for one in chain.shown}
        survey.buried += [
            one for at, one in holes.items() if at[0] == writer.id and at[1] not in there
        ]
        survey.notes += [str(err) for err in chain.bad.values()]
        if chain.later:
            survey.notes.append(
                f"{chain.later} later snapshots by the replaced writer {writer.id[:8]} are there "
                "and do not count: the old machine went on after a recovery"
            )
        known = writer.revoked_after or 0
        lost = [one for one in range(chain.last + 1, known + 1) if chain.hole(one, None) is None]
        if lost:
            survey.notes.append(
                f"the kits know {known} snapshots of writer {writer.id[:8]}, the locations show "
                f"them up to {lost[0] - 1}: look for another copy"
            )
    _look_for_strangers(ground, client, writers, survey)
    return survey


def _read_chain(ground: Ground, client: Client, writer: Writer, holes: Holes) -> _Chain:
    """Read from the newest back, so that of two records of one number the one that fits counts."""
    folder = f"{ground.deployment.install}/vaults/{client.vault}/snapshots/{writer.id}/"
    chain = _Chain(writer, holes)
    found: dict[int, tuple[SnapshotHeader, Envelope, str]] = {}
    for place in reversed(ground.below(folder)):
        if not _SEQUENCE.fullmatch(place[len(folder) :]):
            continue
        sequence = int(place[len(folder) :])
        next_one = found.get(sequence + 1)
        wanted = next_one[0].previous if next_one and chain.counts(sequence + 1) else None
        try:
            record = _read_record(ground, client, writer, place, wanted)
        except _UNREADABLE as err:
            chain.bad[sequence] = err
            continue
        if chain.counts(sequence):
            found[sequence] = (SnapshotHeader.read(record.statement), record, place)
        else:
            chain.later += 1
    for sequence in sorted(found):
        _explain_hole(client, chain, found, sequence)
        header, record, place = found[sequence]
        chain.shown.append(_show(ground, header, record, ground.listing[place]))
    return chain


def _explain_hole(
    client: Client,
    chain: _Chain,
    found: Mapping[int, tuple[SnapshotHeader, Envelope, str]],
    sequence: int,
) -> None:
    """Raise Stale unless tombstones tell of every snapshot between the last shown and this one."""
    follows: str | None = found[sequence][0].previous
    for missing in range(sequence - 1, chain.last, -1):
        if chain.hole(missing, follows) is None:
            raise chain.bad.get(missing) or Stale(
                f"snapshot {missing} of vault {client.vault[:8]} is at no location",
                f"snapshot {missing + 1}, which follows it, is: somebody removed it",
                hint="Look for another copy that still has it.",
            )
        follows = None


def _read_record(
    ground: Ground, client: Client, writer: Writer, place: str, wanted: str | None
) -> Envelope:
    """Read a record that the writer signed for its place, with the hash the next one names."""

    def accept(data: bytes) -> None:
        statement = decode_envelope(data, place).statement
        header = SnapshotHeader.parse(statement, writer.key)
        own = (ground.deployment.install, client.id, client.vault, client.vault_class)
        found = (header.install, header.client, header.vault, header.vault_class)
        if found != own or not place.endswith(f"/{header.sequence:08d}"):
            raise Damaged(f"{place} is a snapshot of another place", "it was moved there")
        if wanted is not None and statement.hash.hex() != wanted:
            raise Damaged(
                f"snapshot {header.sequence + 1} of vault {client.vault[:8]} does not follow the "
                "one before",
                "the chain of hashes is broken",
            )

    return decode_envelope(ground.deployment.copies.get(place, accept), place)


def _show(ground: Ground, header: SnapshotHeader, record: Envelope, where: frozenset[str]) -> Shown:
    roster = ground.deployment.roster
    receipts, received = _read_receipts(ground, header, record)
    good = len(received) >= roster.threshold
    snapshot = Snapshot(
        hash=record.statement.hash.hex(),
        writer=header.writer,
        sequence=header.sequence,
        state="good" if good else "pending",
        created_at=header.created_at,
        received_at=roster.received_at(received.values()) if good else None,
        summary={
            "sources": len(header.fresh),
            "recovered": True,
            "roster": _version_of(ground, header),
        },
    )
    return Shown(snapshot, record, receipts, received, where)


def _version_of(ground: Ground, header: SnapshotHeader) -> int:
    """Return the version of the roster that a snapshot was dealt to; 0 for one that is lost."""
    line = ground.deployment.rosters.rosters
    return next((one.version for one in line if one.id == header.roster), 0)


def _read_receipts(
    ground: Ground, header: SnapshotHeader, record: Envelope
) -> tuple[dict[int, Envelope], dict[int, datetime]]:
    """Return a snapshot's receipts, and when each was given, by the custodians' indexes."""
    deployment = ground.deployment
    folder = f"{deployment.install}/vaults/{header.vault}/receipts/{header.writer}/"
    receipts: dict[int, Envelope] = {}
    received: dict[int, datetime] = {}
    for place in ground.below(f"{folder}{header.sequence:08d}/"):
        if not _RECEIPT.fullmatch(place[len(folder) :]):
            continue

        def accept(data: bytes, place: str = place) -> None:
            # Taken as soon as they are found good: there are three for each of ten thousand
            # snapshots, and checking a signature is most of what a recovery computes.
            envelope = decode_envelope(data, place)
            receipt = deployment.rosters.check_receipt(envelope, record.statement)
            if not place.endswith(f"/{receipt.custodian}"):
                raise Damaged(f"{place} is a receipt of another custodian", "it was moved there")
            receipts[receipt.index] = envelope
            received[receipt.index] = receipt.received_at

        try:
            deployment.copies.get(place, accept, 0, SMALL_BYTES_MAX)
        except _UNREADABLE:
            # A forged receipt counts for nothing; whether enough are left is decided later.
            continue
    return receipts, received


def _check_receipts(ground: Ground, client: Client, chain: _Chain) -> None:
    """Raise when custodians have signed for more than the locations show.

    A custodian signs in order, so whoever signed for a later snapshot had signed for the earlier.
    """
    good = [one.snapshot.sequence for one in chain.shown if one.snapshot.state == "good"]
    for one in chain.shown:
        buried = chain.hole(one.snapshot.sequence, None) is not None
        if (
            one.snapshot.state != "good"
            and not buried
            and one.snapshot.sequence < max(good, default=0)
        ):
            raise Stale(
                f"receipts of snapshot {one.snapshot.sequence} are at no location",
                f"custodians signed for snapshot {max(good)} after it: somebody removed them",
                hint="Look for another copy that still has them.",
            )
    signed = _receipted_beyond(ground, client, chain)
    if signed:
        raise chain.bad.get(chain.last + 1) or Stale(
            f"the locations show an older state of vault {client.vault[:8]} than was kept",
            f"custodians signed for snapshot {signed}, the newest there is {chain.last}",
            hint="Look for another copy that still has it.",
        )


def _receipted_beyond(ground: Ground, client: Client, chain: _Chain) -> int:
    """Return the greatest sequence after the chain that a custodian has signed for, or 0."""
    deployment, writer = ground.deployment, chain.writer
    folder = f"{deployment.install}/vaults/{client.vault}/receipts/{writer.id}/"
    for place in reversed(ground.below(folder)):
        match = _RECEIPT.fullmatch(place[len(folder) :])
        if match is None or int(match[1]) <= chain.last or not chain.counts(int(match[1])):
            continue
        if writer.revoked_after is not None and chain.hole(int(match[1]), None) is not None:
            # Of a writer that still writes the newest snapshot is never deleted: no tombstone
            # explains that it is gone.
            continue

        def accept(data: bytes, place: str = place, named: int = int(match[1])) -> None:
            receipt = deployment.rosters.check_receipt(decode_envelope(data, place))
            of = (receipt.client, receipt.vault, receipt.writer, receipt.sequence)
            if of != (client.id, client.vault, writer.id, named):
                raise Damaged(f"{place} is a receipt of another place", "it was moved there")

        try:
            deployment.copies.get(place, accept, 0, SMALL_BYTES_MAX)
        except _UNREADABLE:
            # Anyone can plant a name; only what a custodian signed tells of a snapshot.
            continue
        return int(match[1])
    return 0


def _look_for_strangers(
    ground: Ground, client: Client, writers: Sequence[Writer], survey: Survey
) -> None:
    """Note records of writers that no kit knows; raise Damaged where there is nothing else."""
    folder = f"{ground.deployment.install}/vaults/{client.vault}/snapshots/"
    known = {writer.id for writer in writers}
    where: dict[str, set[str]] = {}
    for place in ground.below(folder):
        match = _RECORD.fullmatch(place[len(folder) :])
        if match is not None and match[1] not in known:
            where.setdefault(match[1], set()).update(ground.listing[place])
    if where and not survey.shown and set.union(*where.values()) >= ground.answering:
        raise Damaged(
            f"the vault {client.vault[:8]} was not written by this client's writer",
            "its snapshots are signed by a key that no custodian knows: it is forged",
            hint="Do not trust these locations; look for another copy.",
        )
    survey.notes += [
        f"snapshots by writer {writer[:8]} at {', '.join(sorted(names))} do not count: the kits "
        "that were given do not know this writer, others may: recover with all kits to see"
        for writer, names in sorted(where.items())
    ]
