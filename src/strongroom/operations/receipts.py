"""Receipts: how a snapshot that lies at the locations becomes good.

The same walk serves the end of every backup and the start of the next one: place the record if it
is not placed yet, show each custodian whatever it has not signed for, and call the snapshot good
when enough have. Recovery is the normal path.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeAlias

from strongroom.clients import Client, History, Snapshot
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, Stale, StrongroomError
from strongroom.ids import WriterId
from strongroom.locations import ObjectMissing
from strongroom.operations.deployment import Deployment, Listing
from strongroom.operations.open_keys import fetch_first_keys, verified_header
from strongroom.operations.placing import receipt_path, snapshot_path
from strongroom.quorum import Custodian, LocalCustodian, Roster, SnapshotHeader

Member: TypeAlias = LocalCustodian.Wire.Member


class OlderHome(Stale):
    """A custodian knows of later snapshots than this home does."""

    hint = (
        "This home was put back from an older copy. Do not back up with it: rebuild it with "
        "`strongroom recover` from the locations and the kits."
    )


class RolledBack(Stale):
    """No location shows a snapshot that custodians have signed for."""

    hint = (
        "Every location shows an older state than was kept. Find out who put it there; look for "
        "another copy. Older snapshots can still be restored by their id."
    )


def fetch_record(deployment: Deployment, client: Client, snapshot: Snapshot) -> Envelope:
    """Read a snapshot's record; a copy whose hash is not the one we know is not taken.

    Raises RolledBack when no location has it, Damaged when none has it unaltered.
    """
    culprit = f"snapshot {snapshot.hash[:12]}"

    def accept(data: bytes) -> None:
        if decode_envelope(data, culprit).statement.hash.hex() != snapshot.hash:
            raise Damaged(f"{culprit} is not what was written", "its hash differs")

    try:
        data = deployment.copies.get(snapshot_path(deployment.install, client, snapshot), accept)
    except ObjectMissing as err:
        raise RolledBack(
            f"the locations show an older state of {client.name} than was kept",
            f"snapshot {snapshot.sequence} ({snapshot.hash[:12]}) was placed, no location has it",
        ) from err
    return decode_envelope(data, culprit)


def guard_against_rollback(
    deployment: Deployment, client: Client, history: History, writer: bytes
) -> Listing:
    """Return what the locations list of the client's records, none of which is a surprise.

    Raises RolledBack when no location has the newest good snapshot: dedup would build on sand.
    Raises OlderHome when a location has a later snapshot of this writer than this home knows.
    """
    newest = history.newest_good()
    if newest is not None:
        fetch_record(deployment, client, newest)
    own = SnapshotHeader.writer_id(writer)
    last = history.last(own)
    known = last.sequence if last else 0
    folder = f"{deployment.install}/vaults/{client.vault}/snapshots"
    listing = deployment.copies.list(folder)
    mine, newest_known = f"{folder}/{own}/", f"{folder}/{own}/{known:08d}"
    for key in listing:
        # Names sort as numbers do, so of ten thousand records only later ones are looked at.
        if key <= newest_known or not key.startswith(mine):
            continue
        if known < _sequence_in(key) == _signed_sequence(deployment, key, writer):
            raise OlderHome(
                "this home is older than what lies at the locations",
                f"it knows {known} snapshots of {client.name}, and wrote {_sequence_in(key)}",
            )
    return listing


def _sequence_in(key: str) -> int:
    name = key.rpartition("/")[2]
    return int(name) if name.isdecimal() else 0


def _signed_sequence(deployment: Deployment, key: str, writer: bytes) -> int:
    """Return a record's sequence, or 0 when the writer did not sign it: anyone plants files."""

    def accept(data: bytes) -> None:
        SnapshotHeader.parse(decode_envelope(data, key).statement, writer)

    try:
        data = deployment.copies.get(key, accept)
    except StrongroomError:
        return 0
    return SnapshotHeader.parse(decode_envelope(data, key).statement, writer).sequence


def plain_reason(member: Member, err: StrongroomError) -> str:
    """Return an error without the custodian that it is of, where it begins with that."""
    return str(err).removeprefix(f"{member} ").removeprefix(f"custodian {member.index} ")


@dataclass(slots=True)
class _Signers:
    """The custodians that are asked, and why the others are not."""

    roster: Roster
    silent: dict[int, str]
    forked: dict[int, str] = field(default_factory=dict)
    reached: dict[int, int] = field(default_factory=dict)
    """The greatest sequence that each has signed for."""

    def drop(self, index: int, err: StrongroomError) -> None:
        """Ask this custodian nothing more."""
        self.reached.pop(index, None)
        # A custodian that signed for something else is an alarm even when enough others sign.
        reasons = self.forked if isinstance(err, Damaged | Stale) else self.silent
        reasons[index] = plain_reason(self.roster.member(index), err)


def complete(
    deployment: Deployment, client: Client, history: History, writer: WriterId
) -> tuple[dict[int, str], dict[int, str]]:
    """Carry every begun snapshot as far as it goes.

    Returns why custodians did not sign: those that were silent, and those that hold another
    history or bad shares.

    Raises OlderHome when a custodian has signed for more than this home knows.
    """
    unfinished = history.unfinished()
    for snapshot in unfinished:
        record = history.record_of(snapshot) if snapshot.state == "writing" else None
        if record is not None:
            deployment.copies.put(snapshot_path(deployment.install, client, snapshot), record)
    roster, away = deployment.roster, deployment.absent_custodians
    signers = _Signers(
        roster, {index: plain_reason(roster.member(index), err) for index, err in away.items()}
    )
    standings = {
        index: partial(custodian.standing, client.vault)
        for index, custodian in deployment.custodians.items()
    }
    for index, standing in deployment.asking.each(standings):
        try:
            reached = standing.result()
            _check_ours(client, index, (reached.sequence, reached.hash), history, writer)
            signers.reached[index] = reached.sequence
        except (OlderHome, Damaged) as err:
            other = _speaks_of_another(deployment.custodians[index], client, writer)
            if other:
                signers.silent[index] = other
            elif isinstance(err, OlderHome):
                raise
            else:
                signers.drop(index, err)
        except StrongroomError as err:
            signers.drop(index, err)
    # A good one that every custodian has signed something later for is nobody's concern any more.
    least = min(signers.reached.values(), default=None)
    concerned = {one.sequence: one for one in unfinished if one.writer == writer}
    if least is not None:
        concerned |= {one.sequence: one for one in history.since(writer, least)}
    for sequence in sorted(concerned):
        _carry(deployment, client, history, signers, concerned[sequence])
    return dict(sorted(signers.silent.items())), dict(sorted(signers.forked.items()))


def _speaks_of_another(custodian: Custodian, client: Client, writer: WriterId) -> str:
    """Return why what it signed for is of no writer here; empty where it is of this one."""
    try:
        pins = [pin for pin in custodian.pins() if pin.client == client.id]
    except Damaged as err:
        return f"it does not say whose snapshots it signed for: {err}"
    except StrongroomError:
        return ""
    known = {one.id for pin in pins for one in pin.writers}
    if known and writer not in known:
        # It has never heard of the writer of a home that a recovery has made.
        return "it was away from the recovery, and signs for nothing here: `strongroom recover`"
    return ""


def _check_ours(
    client: Client, index: int, reached: tuple[int, str], history: History, writer: WriterId
) -> None:
    """Raise unless what a custodian signed for last is of the very history we know."""
    sequence, signed_hash = reached
    last = history.last(writer)
    known = last.sequence if last else 0
    if sequence > known:
        raise OlderHome(
            f"this home is older than what custodian {index} has signed for",
            f"it knows {known} snapshots of {client.name}, the custodian {sequence}",
        )
    signed = history.at(writer, sequence) if sequence else None
    if signed is not None and signed.hash != signed_hash:
        raise Damaged(
            f"custodian {index} signed for another snapshot {sequence} of {client.name}",
            "two histories were written by one writer",
        )


def _carry(
    deployment: Deployment,
    client: Client,
    history: History,
    signers: _Signers,
    snapshot: Snapshot,
) -> None:
    """Collect the receipts that are still due and note them, in one step, when they are placed.

    A crash before that step costs nothing: record and receipts are the same bytes each time.
    """
    near = [index for index, last in signers.reached.items() if last <= snapshot.sequence]
    if not near and snapshot.state == "good":
        return
    signed = history.receipts(snapshot)
    due = [one for one in near if one not in signed or signers.reached[one] < snapshot.sequence]
    fresh = _collect(deployment, client, history, signers, snapshot, due) if due else {}
    if snapshot.state == "good" and not fresh:
        return
    received = {**fresh, **signed}
    good = None
    if snapshot.state != "good" and len(received) >= deployment.roster.threshold:
        fact = deployment.fact(
            "snapshot.good", client.id, snapshot=snapshot.hash, receipts=len(received)
        )
        good = (deployment.roster.received_at(received.values()), fact)
    if fresh or good is not None or snapshot.state == "writing":
        history.advance(snapshot, fresh, good)


def _sits(deployment: Deployment, header: SnapshotHeader, index: int) -> bool:
    """Say whether who has this seat now had it when a snapshot was dealt."""
    return deployment.rosters.holds(header.roster, deployment.roster.member(index))


def _collect(
    deployment: Deployment,
    client: Client,
    history: History,
    signers: _Signers,
    snapshot: Snapshot,
    due: Sequence[int],
) -> dict[int, datetime]:
    """Show a snapshot, read once, to these custodians; return when each received it.

    They sign side by side. A receipt is placed as it comes, and counts when the locations hold it.
    """
    try:
        statement = fetch_record(deployment, client, snapshot).statement
        header, _ = verified_header(history, statement)
        sits = [one for one in due if _sits(deployment, header, one)]
        fresh = header.fresh if sits else ()
        keys = [fetch_first_keys(deployment, client, history, *one) for one in fresh]
    except StrongroomError as err:
        for index in due:
            signers.drop(index, err)
        return {}
    shown = {index: partial(deployment.custodians[index].ingest, statement, keys) for index in sits}
    placing: dict[int, tuple[datetime, Future[None]]] = {}
    for index, answer in deployment.asking.each(shown):
        try:
            receipt = answer.result()
            found = deployment.rosters.check_receipt(receipt, statement)
            if found.index != index:
                # Receipts lie at the locations for all to see: each counts for its signer alone.
                raise Damaged(f"custodian {index} gave a receipt of custodian {found.index}")
            key = receipt_path(deployment.install, client, snapshot, found.custodian)
            placing[index] = found.received_at, deployment.copies.put_async(key, receipt.encode())
        except StrongroomError as err:
            signers.drop(index, err)
    received: dict[int, datetime] = {}
    for index, (received_at, placed) in placing.items():
        try:
            placed.result()
            received[index] = received_at
        except StrongroomError as err:
            signers.drop(index, err)
    return received
