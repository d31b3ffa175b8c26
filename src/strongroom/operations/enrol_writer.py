"""Enrolling a writer: from then on every custodian here takes snapshots of this worker's key.

`client add` does it once; after a recovery the first backup does it, and only then is the old
machine replaced. Every step can be done again: what was interrupted is completed by the next run.
"""

from collections.abc import Mapping
from contextlib import suppress

from strongroom.clients import Client, History
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, Refused, StrongroomError
from strongroom.ids import WriterId
from strongroom.operations.certificates import find_certificates
from strongroom.operations.deployment import Deployment
from strongroom.operations.placing import client_key_path, place_kit_entries
from strongroom.operations.receipts import OlderHome
from strongroom.operations.vault_config import DELETION, place_config
from strongroom.quorum import Custodian, LocalCustodian, SnapshotHeader
from strongroom.vault import WorkerKeys

RECOVER_WITH_ALL = (
    "Recover again, with all kits, into a new home: that brings it back. It cannot be brought "
    "into this one."
)


def enrol_writer(
    deployment: Deployment, client: Client, history: History, keys: WorkerKeys
) -> None:
    """Make this home's writer the current one of a client; a second time changes nothing.

    Raises OlderHome where a recovery has replaced this home, or the old machine still writes.
    """
    writers = history.writers()
    if any(key == keys.writer_public for key, _ in writers):
        enrol_at_newcomers(deployment, client, history, keys)
    if writers:
        refuse_replaced_home(deployment, client, history)
    if any(key == keys.writer_public for key, _ in writers):
        _enrol_at_late_custodians(deployment, client, history, keys)
        return
    revoked = {str(SnapshotHeader.writer_id(key)): after or 0 for key, after in writers}
    _refuse_later_snapshots(deployment, client, history, keys.writer_public)
    certificates = history.client_keys()
    late: list[StrongroomError] = []
    for index, custodian in deployment.custodians.items():
        try:
            if not writers or _pin(custodian, client) is not None:
                certificates[index] = _enrol_at(
                    deployment, client, history, custodian, keys, revoked
                )
            elif index not in certificates:
                raise Refused(
                    f"custodian {index} has no key for {client.name}",
                    "its kit does not know the client, and no location has its certificate",
                    hint="Recover again, with other kits or from other locations.",
                )
        except StrongroomError as err:
            if not writers or index not in certificates or isinstance(custodian, LocalCustodian):
                raise
            # It was away from the recovery, or says what cannot be: it signs for nothing here, as
            # one that is away, and the others are enough.
            late.append(err)
    if late and len(deployment.custodians) - len(late) < deployment.roster.threshold:
        raise late[0]
    place_config(deployment, client, keys, DELETION if history.buried() else None)
    history.begin_writer(
        keys.writer_public,
        certificates,
        deployment.fact("writer.enrolled", client.id, writer=keys.writer_public.hex()),
    )


def enrol_late(
    deployment: Deployment, client: Client, history: History, custodian: Custodian
) -> None:
    """Have a custodian that was away pin the writer that has begun here; again, nothing changes."""
    keys = deployment.worker_keys(client)
    revoked = {str(SnapshotHeader.writer_id(key)): after or 0 for key, after in history.writers()}
    _enrol_at(deployment, client, history, custodian, keys, revoked)


def enrol_at_newcomers(
    deployment: Deployment, client: Client, history: History, keys: WorkerKeys
) -> None:
    """Enrol a client at each custodian that took the seat of another; again, it changes nothing.

    It signs for what this writer writes from now on. Raises what it raises where it is away: a
    backup needs its key, made for this client.
    """
    certificates = history.client_keys()
    last = history.last(SnapshotHeader.writer_id(keys.writer_public))
    former = [(key, after) for key, after in history.writers() if key != keys.writer_public]
    for member in deployment.roster.members:
        data = certificates.get(member.index)
        noted = None if data is None else decode_envelope(data, f"the certificate of {member}")
        if noted is None or deployment.rosters.check_client_key(noted).custodian == member.id:
            continue
        custodian = deployment.custodians.get(member.index)
        if custodian is None:
            raise Refused(
                f"{member} has no key for {client.name} yet, and it is not there",
                str(deployment.absent_custodians.get(member.index, "it does not answer")),
                hint="Start it, then run the command again; until then nothing is backed up.",
            )
        past = LocalCustodian.Past.of(
            last.sequence if last else 0,
            last.hash if last else SnapshotHeader.NO_PREVIOUS,
            former,
        )
        envelope = custodian.enrol(
            client.id, client.vault, client.vault_class, keys.writer_public, past
        )
        adopt_certificate(deployment, client, history, custodian, envelope)


def _enrol_at(
    deployment: Deployment,
    client: Client,
    history: History,
    custodian: Custodian,
    keys: WorkerKeys,
    revoked: Mapping[str, int],
) -> bytes:
    """Let one custodian pin the writer; return its certificate when the locations hold it."""
    certificate = _certify(custodian, client, keys.writer_public, revoked)
    adopt_certificate(deployment, client, history, custodian, certificate)
    return certificate.encode()


def adopt_certificate(
    deployment: Deployment,
    client: Client,
    history: History,
    custodian: Custodian,
    certificate: Envelope,
) -> None:
    """Place a custodian's newest entry for a client and note and place its certificate."""
    serial = deployment.roster.check_client_key(certificate).serial
    # The kit comes first: a certificate whose kit entry is nowhere would tell every later
    # recovery that the kits' tables were rolled back.
    place_kit_entries(deployment.copies, custodian, f"{client.id}-{serial:08d}")
    # Then the home: of a certificate that it does not know it would say that another home has it,
    # should the run be killed here and the custodian go away.
    history.adopt_client_keys({custodian.card().index: certificate.encode()})
    place = client_key_path(deployment.install, client.id, custodian.card().id, serial)
    deployment.copies.put(place, certificate.encode())


def _enrol_at_late_custodians(
    deployment: Deployment, client: Client, history: History, keys: WorkerKeys
) -> None:
    """Enrol the writer also where a custodian was down when a recovery's first backup began.

    It is late until its certificate has been noted here, so a run that was killed is completed; a
    certificate that was noted and not placed is among what every backup puts where it lacks.
    """
    certificates = history.client_keys()
    revoked = {str(SnapshotHeader.writer_id(key)): after or 0 for key, after in history.writers()}
    # One that is elsewhere does it for an approved recovery alone: `late_custodians` shows it.
    for custodian in deployment.embedded():
        index, pin = custodian.card().index, custodian.pin(client.id)
        if pin is None or index not in certificates:
            continue
        noted = deployment.roster.check_client_key(
            decode_envelope(certificates[index], f"the certificate of custodian {index}")
        ).serial
        if noted < pin.serial or all(one.key != keys.writer_public for one in pin.writers):
            _enrol_at(deployment, client, history, custodian, keys, revoked)


def _pin(custodian: Custodian, client: Client) -> LocalCustodian.Pin | None:
    if isinstance(custodian, LocalCustodian):
        return custodian.pin(client.id)
    return next((one for one in custodian.pins() if one.client == client.id), None)


def _certify(
    custodian: Custodian, client: Client, writer: bytes, revoked: Mapping[str, int]
) -> Envelope:
    """Return the certificate, always the same, once the custodian has pinned this writer."""
    local = isinstance(custodian, LocalCustodian)
    pin = _pin(custodian, client) if local or revoked else None
    if pin is None:
        return custodian.enrol(client.id, client.vault, client.vault_class, writer)
    others = [one for one in pin.writers if one.revoked_after is None and one.key != writer]
    ends = {one.id: revoked[one.id] for one in others if one.id in revoked}
    for one in others:
        if one.id not in revoked:
            # Fewer than a threshold have pinned it, so it counts for nothing here, and for this
            # custodian up to what that has signed.
            ends[one.id] = custodian.standing(client.vault).sequence
    if isinstance(custodian, LocalCustodian):
        return custodian.succeed(client.id, writer, ends)
    # One that is elsewhere does it for an approved recovery alone.
    return custodian.replace_writer(client.id, writer, ends)


def refuse_replaced_home(deployment: Deployment, client: Client, history: History) -> None:
    """Raise OlderHome when a custodian has certified a later key than this home knows."""
    own: dict[int, int] = {}
    for index, data in history.client_keys().items():
        certified = deployment.rosters.check_client_key(decode_envelope(data, "a certificate"))
        # Of a custodian whose newcomer was not asked yet: that one's first certificate is ours.
        seated = certified.custodian == deployment.roster.member(index).id
        own[index] = certified.serial if seated else 1
    for custodian in deployment.embedded():
        pin = custodian.pin(client.id)
        index = custodian.card().index
        own[index] = max(own.get(index, 0), pin.serial if pin else 0)
    listing = deployment.copies.list(f"{deployment.install}/client-keys/{client.id}")
    later = find_certificates(deployment, client, listing, own)
    for index, found in sorted(later.items()):
        raise OlderHome(
            "this home was replaced by a recovery",
            f"custodian {index} has certified key {found.serial} for {client.name}, "
            f"this home knows {own.get(index, 0)}",
            hint="Back up with the home that was recovered. Nothing was changed here or there.",
        )


def _refuse_later_snapshots(
    deployment: Deployment, client: Client, history: History, own: bytes
) -> None:
    """Raise OlderHome when a writer about to be revoked has written since the recovery.

    Snapshots after a revocation never count, so the old machine's newest must not be among them.
    """
    if not history.writers():
        return
    still_open = _still_open(deployment, client) - {SnapshotHeader.writer_id(own)}
    for key, after in history.writers():
        writer = SnapshotHeader.writer_id(key)
        if writer not in still_open:
            continue
        folder = f"{deployment.install}/vaults/{client.vault}/snapshots/{writer}"
        for place in deployment.copies.list(folder):
            name = place.rpartition("/")[2]
            if name.isdecimal() and int(name) > (after or 0) and _signed(deployment, place, key):
                raise OlderHome(
                    "the machine that this home was recovered from still makes backups",
                    f"{client.name} has snapshot {int(name)} of it, {after} when it was recovered",
                    hint="Stop the old machine, then recover again into a new home.",
                )


def _still_open(deployment: Deployment, client: Client) -> set[WriterId]:
    """Return the writers that are to be replaced: of those elsewhere fewer than t say they were."""
    found: dict[WriterId, list[bool]] = {}
    for custodian in deployment.custodians.values():
        with suppress(Damaged):
            pin = _pin(custodian, client)
            for writer in pin.writers if pin else ():
                found.setdefault(writer.id, []).append(writer.revoked_after is None)
    embedded, threshold = deployment.embedded(), deployment.roster.threshold
    return {
        writer
        for writer, is_open in found.items()
        if any(is_open) and (embedded or is_open.count(False) < threshold)
    }


def _signed(deployment: Deployment, place: str, writer: bytes) -> bool:
    def accept(data: bytes) -> None:
        header = SnapshotHeader.parse(decode_envelope(data, place).statement, writer)
        if header.sequence != int(place.rpartition("/")[2]):
            raise Damaged(f"{place} is a snapshot of another place", "it was moved there")

    try:
        deployment.copies.get(place, accept)
    except StrongroomError:
        # Nobody but the writer can sign it: what one location has planted stops nothing.
        return False
    return True
