"""What a custodian decides, without a database: whom it believes and what it refuses.

A custodian decides alone. Each function takes what was pinned and what was asked, and raises an
error that names the snapshot and the custodian; the order of the checks is that of
docs/formats/share-v1.md. A remote custodian runs these same rules.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.crypto.envelope import Envelope, Statement
from strongroom.errors import Damaged, Refused, Stale, UsageError
from strongroom.ids import ClientId, InstallId, VaultId, WriterId
from strongroom.quorum.dealing import Dealing, SealedElsewhere
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.key_table import WRITERS_MAX, ClientEntry, ClientPin, PinnedWriter
from strongroom.quorum.label import VaultClass
from strongroom.quorum.procedure import Value
from strongroom.quorum.receipt import ReceiptedShare
from strongroom.quorum.release import ReleaseRequest, match_keys
from strongroom.quorum.roster import Member, Roster

CLIENTS_MAX: Final = 10_000
"""How many clients a custodian ever has, erased ones too."""
ALL_WRITERS_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Standing:
    """The highest snapshot receipted for a vault's current writer; 0 and zeros at first."""

    sequence: int = 0
    hash: str = SnapshotHeader.NO_PREVIOUS


@dataclass(frozen=True, slots=True)
class Past:
    """What there was of a client before a custodian began: up to where, and who wrote before."""

    standing: Standing = Standing()
    """The snapshot of the current writer after which this custodian is to sign."""
    former: tuple[PinnedWriter, ...] = ()
    """The writers that are revoked, oldest first."""

    @classmethod
    def of(cls, sequence: int, snapshot: str, former: Sequence[tuple[bytes, int | None]]) -> "Past":
        """Return the past up to this snapshot, with the keys of former writers."""
        return cls(Standing(sequence, snapshot), tuple(PinnedWriter(*one) for one in former))


NO_PAST: Final = Past()
SEQUENCE_MAX: Final = 99_999_999
"""The highest number of a snapshot: it has eight digits at the locations."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked for what: the same for every check of one snapshot."""

    member: Member
    install: InstallId
    header: SnapshotHeader

    def refuse(self, why: str, hint: str | None = None) -> Refused:
        """Return the refusal that names the custodian and the snapshot."""
        header = self.header
        what = f"{self.member} refuses snapshot {header.sequence} of vault {header.vault[:8]}"
        return Refused(what, why, hint)


def check_roster(member: Member, install: InstallId, pinned: Roster | None, new: Roster) -> None:
    """Raise Refused unless this is the pinned roster, or one that a new custodian may pin."""

    def refuse(why: str) -> Refused:
        return Refused(f"{member} refuses roster version {new.version}", why)

    if new.install != install:
        raise refuse("it is of another install")
    if member not in new.members:
        raise refuse("it does not list this custodian with this index, name and identity key")
    if pinned is not None and new.id != pinned.id:
        raise Refused(
            f"{member} refuses roster version {new.version}",
            f"version {pinned.version} is pinned, and this is not it",
            hint="A custodian follows another roster only by an order that was approved.",
        )


def check_next_roster(
    member: Member, pinned: Roster, new: Roster, params: Mapping[str, Value]
) -> None:
    """Raise Refused unless this roster is the pinned one with exactly the approved seat changed."""

    def refuse(why: str) -> Refused:
        return Refused(f"{member} refuses roster version {new.version}", why)

    if (new.install, new.operator) != (pinned.install, pinned.operator):
        raise refuse("it is of another install, or another operator signed it")
    if new.threshold != pinned.threshold:
        raise refuse(
            f"the threshold is {pinned.threshold} for ever; this roster says {new.threshold}"
        )
    if new.version != pinned.version + 1:
        raise refuse(f"version {pinned.version} is pinned; {pinned.version + 1} follows it")
    seat = params["index"]
    if len(new.members) != len(pinned.members) or seat not in range(1, len(new.members) + 1):
        raise refuse("it has another number of seats, or the approved one is none of them")
    stay = [one for one in pinned.members if one.index != seat]
    if [one for one in new.members if one.index != seat] != stay:
        raise refuse(f"it changes another seat than {seat}, which was approved")
    (taken,) = (one for one in new.members if one.index == seat)
    if taken.identity.hex() != params["identity"]:
        raise refuse(f"seat {seat} has another identity key than was approved")
    if taken.id in {one.id for one in pinned.members}:
        raise refuse("a seat is taken by a new custodian, which has an id of its own")
    if member not in new.members:
        raise refuse("it does not list this custodian with this index, name and identity key")


def check_enrolment(
    member: Member, pin: ClientPin, vault: VaultId, vault_class: VaultClass, writer: bytes
) -> None:
    """Raise Refused unless a client that is known already is enrolled again the same way."""
    if (pin.vault, pin.vault_class) != (vault, vault_class):
        raise Refused(
            f"{member} refuses to enrol client {pin.client[:8]} again",
            f"it has vault {pin.vault[:8]} of class {pin.vault_class}",
        )
    if pin.current is None or pin.current.key != writer:
        raise Refused(
            f"{member} refuses another writer for client {pin.client[:8]}",
            "a writer key is pinned; only a recovery replaces it and revokes the old one",
        )


def succession(
    pin: ClientPin,
    new_writer: bytes,
    revoked_after: Mapping[WriterId, int],
    highest: Mapping[WriterId, int],
) -> tuple[PinnedWriter, ...]:
    """Return the client's writers once the new one has replaced every old one.

    Raises UsageError when a writer is unnamed or unknown, and Refused when a revocation would
    disown a snapshot that this custodian has receipted.
    """
    known = {writer.id for writer in pin.writers}
    open_ones = {writer.id for writer in pin.writers if writer.revoked_after is None}
    if not open_ones <= set(revoked_after) <= known:
        raise UsageError(
            f"the writers to revoke are not those of client {pin.client[:8]}",
            f"every one of {len(open_ones)} not revoked yet must be named, and none unknown",
        )
    if new_writer in {writer.key for writer in pin.writers}:
        raise UsageError("the new writer is an old one", "a new writer needs a new key")
    if len(pin.writers) >= WRITERS_MAX:
        raise Refused(
            f"client {pin.client[:8]} has too many writers", f"{WRITERS_MAX} are the most"
        )
    writers: list[PinnedWriter] = []
    for writer in pin.writers:
        last = revoked_after.get(writer.id, writer.revoked_after)
        if writer.id in open_ones:
            if last is None or last < highest.get(writer.id, 0):
                raise Refused(
                    f"writer {writer.id[:8]} cannot be revoked after snapshot {last}",
                    f"snapshot {highest.get(writer.id, 0)} has a receipt",
                )
            writers.append(writer._replace(revoked_after=last))
        else:
            writers.append(writer)
    return (*writers, PinnedWriter(new_writer))


def check_adopted(member: Member, writer: PinnedWriter, standing: Standing) -> None:
    """Raise Refused when a writer would be adopted as revoked before what has a receipt."""
    if not writer.may_have_written(standing.sequence):
        raise Refused(
            f"{member} refuses to revoke writer {writer.id[:8]} after {writer.revoked_after}",
            f"snapshot {standing.sequence} has a receipt",
        )


def check_author(
    asked: Asked, pin: ClientPin, snapshot: Statement, *, receiving: bool
) -> PinnedWriter:
    """Return the pinned writer that signed the snapshot, of this install, vault and class.

    Receiving, a revoked writer is refused; releasing, its snapshots up to the revocation count.
    """
    header = asked.header
    writer = next((one for one in pin.writers if one.id == header.writer), None)
    if writer is None:
        raise asked.refuse(f"writer {header.writer[:8]} is not pinned for this client")
    if not writer.may_have_written(header.sequence) or (
        receiving and writer.revoked_after is not None
    ):
        raise asked.refuse(
            f"writer {header.writer[:8]} is revoked after snapshot {writer.revoked_after}"
        )
    SnapshotHeader.parse(snapshot, writer.key)
    if header.install != asked.install:
        raise asked.refuse("it is of another install")
    if header.vault != pin.vault:
        raise asked.refuse(f"this client's vault is {pin.vault[:8]}")
    if header.vault_class != pin.vault_class:
        raise asked.refuse(f"this client's class is {pin.vault_class}")
    return writer


def check_sequence(asked: Asked, snapshot_hash: str, standing: Standing) -> None:
    """Raise unless the snapshot is the next one after what was last receipted."""
    header = asked.header
    if header.sequence <= standing.sequence:
        raise _rolled_back(asked, f"it has receipted {standing.sequence} already")
    if header.sequence != standing.sequence + 1:
        raise asked.refuse(
            f"it has receipted up to {standing.sequence}; {standing.sequence + 1} is next",
            "Send the snapshots it has missed first, in order.",
        )
    if header.previous != standing.hash:
        raise _rolled_back(
            asked, f"{snapshot_hash[:8]} does not follow {standing.hash[:8]}, which it receipted"
        )


def check_not_forked(asked: Asked, snapshot_hash: str, receipted: str | None) -> None:
    """Raise Stale when this custodian receipted another snapshot of that writer and sequence."""
    if receipted is not None and receipted != snapshot_hash:
        raise _rolled_back(asked, f"it has receipted {receipted[:8]} under this number")


def _rolled_back(asked: Asked, why: str) -> Stale:
    header = asked.header
    return Stale(
        f"{asked.member} holds another history of vault {header.vault[:8]}",
        f"snapshot {header.sequence} of writer {header.writer[:8]}: {why}",
        "The home or a location was rolled back, or somebody forges it; do not go on with it.",
    )


def check_past(member: Member, followed: Sequence[Roster], client: ClientId, past: Past) -> None:
    """Raise where a custodian is told of a client's past that it cannot have missed, or cannot be.

    `followed` are the rosters that it followed, oldest first. Raises Refused for one that was there
    from the first, and UsageError where a former writer could still write, no kit could hold all of
    them, or no location a snapshot of such a number.
    """
    # One that was made again from its kit has forgotten earlier rosters, and its clients it has.
    if not followed or followed[0].version == 1:
        raise Refused(
            f"{member} refuses to begin with client {client[:8]} after another snapshot",
            "it took nobody's seat, so it has signed for whatever there was",
        )
    former = past.former
    if past.standing.sequence > SEQUENCE_MAX:
        raise UsageError(
            f"client {client[:8]} cannot have {past.standing.sequence} snapshots",
            f"{SEQUENCE_MAX} are the most",
        )
    if len(former) >= WRITERS_MAX:
        raise UsageError(
            f"client {client[:8]} has too many writers", f"{len(former)} former ones and this one"
        )
    if any(writer.revoked_after is None for writer in former):
        raise UsageError(
            f"a former writer of client {client[:8]} is not revoked", "one writes at a time"
        )


def check_room(member: Member, clients: int, writers: int) -> None:
    """Raise Refused where a custodian has as many clients, or writers, as its answers can tell of.

    Whoever has the server enrols without asking anybody: it must not fill the custodian's disk.
    """
    for count, most, what in (
        (clients, CLIENTS_MAX, "clients"),
        (writers, ALL_WRITERS_MAX, "writers"),
    ):
        if count >= most:
            raise Refused(
                f"{member} takes no client any more",
                f"it has {count} {what}, the most there are",
                hint="Find out who enrolled so many. What it has is served as ever; for clients "
                "that it lacks another custodian has to take its seat.",
            )


def check_distinct(client: ClientId, writers: Sequence[bytes]) -> None:
    """Raise UsageError where a client would have one writer's key twice."""
    if len(set(writers)) < len(writers):
        raise UsageError(
            f"a writer of client {client[:8]} is named twice", "each has a key of its own"
        )


def roster_dealt_to(asked: Asked, followed: Sequence[Roster], last: str | None) -> Roster:
    """Return the roster that a snapshot was dealt to, of those that were followed, oldest first.

    `last` is the roster of what was last receipted of this writer: who lost the seat since gets no
    share of anything after that.
    """
    if not followed:
        raise asked.refuse("it has adopted no roster yet")
    for roster in reversed(followed):
        if roster.id == asked.header.roster:
            return roster
        if roster.id == last:
            # Whatever came before it is over for this writer.
            break
    raise asked.refuse(f"it was dealt to another roster than {followed[-1].id[:8]}")


def check_fresh(
    asked: Asked, roster: Roster, writer: PinnedWriter, keys: Sequence[Envelope]
) -> tuple[Dealing, ...]:
    """Return the dealings of exactly the fresh sessions, in the header's order, each checked."""
    header = asked.header
    by_hash = {envelope.statement.hash.hex(): envelope for envelope in keys}
    if sorted(by_hash) != sorted(wanted for _, wanted in header.fresh) or len(by_hash) < len(keys):
        raise asked.refuse(
            f"{len(header.fresh)} fresh keys objects are named by hash, and {len(keys)} came "
            "that are not just these"
        )
    return tuple(
        _checked_dealing(asked, roster, writer, by_hash[wanted], session)
        for session, wanted in header.fresh
    )


def _checked_dealing(
    asked: Asked, roster: Roster, writer: PinnedWriter, envelope: Envelope, session: str
) -> Dealing:
    header = asked.header
    envelope.statement.verify(writer.key, f"the keys object of session {session}")
    dealing = Dealing.parse(envelope.statement)
    label = dealing.label
    found = (label.install, label.client, label.vault, label.session, label.vault_class)
    wanted = (header.install, header.client, header.vault, session, header.vault_class)
    of_roster = (label.roster_id, label.threshold, label.members)
    if dealing.redealt is not None:
        raise asked.refuse(f"session {session} is fresh, and was dealt before")
    if found != wanted or of_roster != (roster.id, roster.threshold, len(roster.members)):
        raise asked.refuse(f"the label of session {session} is not that of the header and roster")
    return dealing


def hold_shares(
    asked: Asked, dealings: Sequence[Dealing], entry: ClientEntry
) -> tuple[ReceiptedShare, ...]:
    """Open this custodian's share of every dealing and return what its receipt says of them."""
    held: list[ReceiptedShare] = []
    for dealing in dealings:
        for number in range(1, len(dealing.parts) + 1):
            entry.open_share(dealing, number, asked.member)
            held.append(ReceiptedShare.of(dealing, number, asked.member.index))
    return tuple(held)


def open_released(
    asked: Asked,
    entry: ClientEntry,
    request: ReleaseRequest,
    receipted: str | None,
    followed: Collection[str],
) -> list[bytes]:
    """Return this custodian's opened shares of a snapshot, in order, after every check of it.

    `followed` are the ids of the rosters that it knows itself to have sat in.
    """
    check_author(asked, entry.pin, request.snapshot, receiving=False)
    check_not_forked(asked, request.snapshot.hash.hex(), receipted)
    return [
        _open_own(asked, dealing, number, entry, followed)
        for dealing in check_release_keys(asked, entry.pin, request)
        for number in range(1, len(dealing.parts) + 1)
    ]


def _open_own(
    asked: Asked, dealing: Dealing, number: int, entry: ClientEntry, followed: Collection[str]
) -> bytes:
    try:
        return entry.open_share(dealing, number, asked.member)[0]
    except SealedElsewhere:
        if dealing.label.roster_id in followed:
            raise
        # It may have taken the seat of another. One that came back by its kit has forgotten which
        # rosters it followed, and opens what was dealt to them all the same.
        raise asked.refuse(*_never_sat(dealing)) from None


def reopen(
    member: Member, dealing: Dealing, entry: ClientEntry, followed: Collection[str]
) -> list[bytes]:
    """Return this custodian's opened shares of one session, by dealing, to be dealt anew."""
    try:
        numbers = range(1, len(dealing.parts) + 1)
        return [entry.open_share(dealing, number, member)[0] for number in numbers]
    except SealedElsewhere:
        if dealing.label.roster_id in followed:
            raise
        what = f"{member} refuses to open session {dealing.label.session[:8]}"
        raise Refused(what, *_never_sat(dealing)) from None


def _never_sat(dealing: Dealing) -> tuple[str, str]:
    return (
        f"session {dealing.label.session[:8]} was dealt to a roster that it never followed",
        "Whoever sat there then can open it, with the others of that time.",
    )


def check_release_keys(
    asked: Asked, pin: ClientPin, request: ReleaseRequest
) -> tuple[Dealing, ...]:
    """Return the dealings to open, in the header's order, each signed by a pinned writer."""
    matched = match_keys(asked.header, request.keys)
    dealings: list[Dealing] = []
    for session in asked.header.sessions:
        statement, dealing = matched[session]
        if not any(_signed_by(statement, writer.key) for writer in pin.writers):
            raise Damaged(
                f"the keys object of session {session} carries a wrong signature",
                f"no writer pinned by {asked.member} signed it: forged, or altered since",
            )
        if asked.member.index > dealing.label.members:
            raise asked.refuse(f"session {session} was dealt before it was a custodian")
        dealings.append(dealing)
    return tuple(dealings)


def check_reuse(
    member: Member, request: ReleaseRequest, recipient: bytes, snapshot_hash: str
) -> None:
    """Raise Refused unless a used id comes again from the same recipient for that snapshot."""
    if request.recipient != recipient:
        raise Refused(
            f"{member} refuses request {request.request[:8]}",
            "it was answered already, to another recipient",
        )
    if request.snapshot.hash.hex() != snapshot_hash:
        raise Refused(
            f"{member} refuses request {request.request[:8]}",
            "it was answered already, for another snapshot",
        )


def _signed_by(statement: Statement, key: bytes) -> bool:
    try:
        statement.verify(key, "a keys object")
    except Damaged:
        return False
    return True


def open_again(
    member: Member, install: InstallId, entry: ClientEntry, keys: Sequence[Statement]
) -> tuple[tuple[ReceiptedShare, ...], tuple[int, ...]]:
    """Open this custodian's shares of keys objects again; return what an avowal says of them.

    Each object must be signed by a pinned writer of the client, revoked since or not. The second
    are the serials of the former keys that some were sealed to. Raises Damaged for a share that
    does not open or does not fit its commitment.
    """
    held: list[ReceiptedShare] = []
    former: set[int] = set()
    for statement in keys:
        dealing = check_provable(member, install, entry.pin, statement)
        for number in range(1, len(dealing.parts) + 1):
            _, key = entry.open_share(dealing, number, member)
            former |= set() if key is None else {key.serial}
            held.append(ReceiptedShare.of(dealing, number, member.index))
    return tuple(held), tuple(sorted(former))


def check_provable(
    member: Member, install: InstallId, pin: ClientPin, statement: Statement
) -> Dealing:
    """Return a keys object of this client that a writer pinned for it signed, revoked or not."""
    dealing = Dealing.parse(statement)
    label = dealing.label
    what = f"{member} refuses to open session {label.session[:8]}"
    place = (label.install, label.client, label.vault, label.vault_class)
    if place != (install, pin.client, pin.vault, pin.vault_class):
        raise Refused(what, "its label is of another install, client, vault or class")
    if member.index > label.members:
        raise Refused(what, "it was dealt before this was a custodian")
    if not any(_signed_by(statement, writer.key) for writer in pin.writers):
        raise Damaged(what, f"no writer pinned for client {pin.client[:8]} signed its keys object")
    return dealing
