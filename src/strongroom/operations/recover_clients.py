"""`recover`, the second half: each client, from its vault.

What counts is what a writer pinned in the kits' key tables signed, in an unbroken chain, with a
threshold of receipts by the roster's custodians (`find_snapshots`). A client that cannot be
recovered is named and does not stop the others. Nothing is written to any location.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from strongroom.clients import Client, ClientSource, History, Keep
from strongroom.clock import format_instant
from strongroom.crypto import canonical
from strongroom.database import Database
from strongroom.errors import Damaged, Stale, StrongroomError, UsageError, Waiting
from strongroom.ids import ClientId, InstallId, SourceId, VaultId
from strongroom.operations.catch_up import learn_buried
from strongroom.operations.certificates import Certificate, find_certificates
from strongroom.operations.deployment import Deployment
from strongroom.operations.enrol_writer import RECOVER_WITH_ALL
from strongroom.operations.find_redealt import find_redealt
from strongroom.operations.find_snapshots import Ground, Shown, Survey, find_snapshots
from strongroom.operations.grants import BROWSE
from strongroom.operations.late_custodians import keep_shown
from strongroom.operations.living_pins import (
    Pins,
    Writer,
    agreed_clients,
    ask_pins,
    believed_writers,
    without_old_tables,
)
from strongroom.operations.open_keys import fetch_keys, open_keys, verified_header
from strongroom.operations.recover import Found
from strongroom.operations.recover_ledger import LedgerRecovery
from strongroom.operations.requesting import Wish, needs_team, permitted
from strongroom.operations.tombs import packs_in
from strongroom.operations.vault_config import find_parity
from strongroom.procedures import Plan
from strongroom.quorum import Acts, LocalCustodian, Opening, SnapshotHeader
from strongroom.vault import Vault, WorkerKeys

_KEEP = frozenset(("daily", "weekly", "monthly", "floor"))


@dataclass(frozen=True, slots=True)
class RecoveredClient:
    """A client as it was found; `behind` counts snapshots each answering location lacks."""

    name: str
    sources: int
    snapshots: int
    pending: int
    newest: str
    received_at: datetime | None
    behind: Mapping[str, int]


@dataclass(slots=True)
class Recovery:
    """What `recover` did; `problems` is empty when everything came back from everywhere."""

    install: InstallId
    custodians: int
    custodians_missing: list[str]
    clients: list[RecoveredClient] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    damages: list[tuple[str, str]] = field(default_factory=list)
    """(location, what was wrong) of every copy that was read and not accepted."""
    facts: int = 0
    """How many facts of the logs came back."""
    waiting: list[Waiting] = field(default_factory=list)
    """What waits for approval, or for the time in which it can be refused."""
    brought_in: list[str] = field(default_factory=list)
    """Which custodians that were away follow this home from now on, as sentences."""


@dataclass(slots=True)
class _Rebuild:
    """What the steps of one client's recovery share."""

    deployment: Deployment
    client: Client
    writers: Sequence[tuple[bytes, int]]
    survey: Survey
    certificates: Mapping[int, Certificate]
    redealt: Sequence[History.Redeal]
    problems: list[str]


def recover_clients(deployment: Deployment, found: Found) -> Recovery:
    """Rebuild every client that the custodians know; raises when none of them could be.

    Then the gravest reason is raised: altered before rolled back before all others.
    """
    recovery = Recovery(
        found.install,
        len(found.custodians),
        [one.name for one in found.roster.members if one.index not in found.custodians],
        problems=list(found.notes),
    )
    told = ask_pins(deployment)
    known = told.pins if deployment.embedded() else agreed_clients(deployment, told)
    recovery.problems += told.notes
    done = {client.id for client in deployment.registry.clients()}
    pins = {client: its for client, its in known.items() if client not in done}
    ground = Ground.of(deployment, found.listing)
    ledger = LedgerRecovery.of(deployment, found.listing)
    failed = [err for client, err in found.unreadable.items() if client not in pins]
    for client in sorted(pins):
        try:
            rebuild = _survey(ground, pins[client], recovery.problems)
            if rebuild is not None:
                recovery.clients.append(_recover_client(rebuild, ledger, found.unreachable))
        except Waiting as err:
            recovery.waiting.append(err)
        except StrongroomError as err:
            failed.append(err)
            recovery.problems.append(f"client {client[:8]} is not recovered: {err}")
    if failed and not (recovery.clients or recovery.waiting):
        raise max(failed, key=lambda err: err.exit_code)
    if recovery.clients or not recovery.waiting:
        # Its key is in the clients' logs, which come with the clients.
        ledger.bring_server()
    recovery.facts = ledger.facts
    recovery.problems += ledger.problems
    recovery.clients.sort(key=lambda one: one.name)
    recovery.damages += [(name, str(damage)) for name, _, damage in deployment.copies.damages]
    return recovery


def _survey(ground: Ground, pins: Pins, problems: list[str]) -> _Rebuild | None:
    """Look at what there is of a client; None for one never wholly added, or erased."""
    deployment = ground.deployment
    pin = next(iter(pins.values()))
    client = Client(
        ClientId(pin.client),
        f"client-{pin.client[:8]}",
        VaultId(pin.vault),
        pin.vault_class,
        Keep(),
        deployment.tools.clock.now(),
    )
    certificates = _certificates(ground, client)
    agreed, survey = _agree(ground, client, (pins, certificates), problems)
    lacking = [
        member.name
        for member in deployment.roster.members
        if member.index not in pins and member.index not in certificates
    ]
    lost = [one.card() for index, one in deployment.custodians.items() if index not in pins]
    config = ground.below(f"{deployment.install}/vaults/{client.vault}/config/")
    if not survey.shown and (lost or lacking or not config):
        problems.append(
            f"client {client.id[:8]} is skipped: it has no snapshot. It was never wholly "
            "added, because its `client add` was interrupted; or it was erased"
        )
        return None
    try:
        parity = find_parity(deployment, client, [one.key for one in agreed])
    except Damaged as err:
        problems.append(f"client {client.id[:8]}: taken for a vault without parity: {err}")
    else:
        client = replace(client, parity=parity)
    problems += [f"client {client.id[:8]}: {note}" for note in survey.notes]
    problems += [
        f"client {client.id[:8]}: the certificate of {name} is at no location, so nothing can be "
        f"backed up here. {RECOVER_WITH_ALL}"
        for name in lacking
    ]
    problems += [f"client {client.id[:8]}: {member} does not know it" for member in lost]
    for custodian in deployment.embedded():
        if custodian.card().index in pins:
            custodian.adopt_writers(client.id, agreed)
    ends = [
        (one.key, survey.last(one.id) if one.revoked_after is None else one.revoked_after)
        for one in agreed
    ]
    redealt = list(find_redealt(ground, client, [one.key for one in agreed]))
    return _Rebuild(deployment, client, ends, survey, certificates, redealt, problems)


def _agree(
    ground: Ground,
    client: Client,
    known: tuple[Pins, Mapping[int, Certificate]],
    problems: list[str],
) -> tuple[Sequence[Writer], Survey]:
    """Return who wrote for a client, by what the custodians have pinned, and what is shown of it.

    Those that kits have made tell each other all they know. Of those that live a threshold has to
    say the same; who says otherwise is named.
    """
    deployment, (pins, certificates) = ground.deployment, known
    sound, old = without_old_tables(deployment, pins, certificates)
    embedded = deployment.embedded()
    if old and (embedded or len(sound) < deployment.roster.threshold):
        raise Stale(
            "the key table of a custodian is older than what it has certified",
            "; ".join(old),
            hint="Look for another copy that still has them.",
        )
    if embedded:
        agreed = LocalCustodian.Pin.agreed(list(pins.values()))
        return agreed, find_snapshots(ground, client, agreed)
    believed, notes = believed_writers(ground, client, sound)
    problems += [*old, *(f"client {client.id[:8]}: {note}" for note in notes)]
    survey = find_snapshots(ground, client, believed)
    survey.sort_by_receipts()
    return believed, survey


def _certificates(ground: Ground, client: Client) -> dict[int, Certificate]:
    """Return the certificates that lie at the locations."""
    deployment = ground.deployment
    folder = f"{deployment.install}/client-keys/{client.id}/"
    return find_certificates(deployment, client, ground.below(folder), {})


def _recover_client(
    rebuild: _Rebuild, ledger: LedgerRecovery, unreachable: frozenset[str]
) -> RecoveredClient:
    """Bring a client back, or go on where that was interrupted.

    What a team approved is being run until the client is here, so that nobody is asked twice.
    """
    with ExitStack() as acting:
        return _bring_back(rebuild, ledger, unreachable, acting)


def _bring_back(
    rebuild: _Rebuild, ledger: LedgerRecovery, unreachable: frozenset[str], acting: ExitStack
) -> RecoveredClient:
    deployment, client, survey = rebuild.deployment, rebuild.client, rebuild.survey
    tools = deployment.tools
    shown = survey.shown
    with tools.history(client.id) as history, tools.index(client.id) as index:
        known = dict(history.writers())
        for key, after in rebuild.writers:
            if key not in known:
                history.revoke_writer(key, after)
        history.adopt_client_keys({at: one.data for at, one in rebuild.certificates.items()})
        history.redeals.adopt(rebuild.redealt)
        keys, structure = _open_newest(rebuild, history, index, acting)
        history.adopt_buried(survey.buried)
        there = {one.hash for one in history.snapshots()}
        history.adopt_snapshots(
            (one.snapshot, one.received) for one in shown if one.snapshot.hash not in there
        )
        if structure is not None:
            vault = _vault(rebuild, index, keys)
            _learn(rebuild, history, vault)
            if survey.gone:
                _forget_deleted(rebuild, history, vault)
            client = _adopt_identity(rebuild, history, structure)
        for custodian in deployment.embedded():
            at = custodian.card().index
            if custodian.pin(client.id) is not None:
                # Another one may have signed from that seat before.
                custodian.resume(
                    [
                        one.receipts[at]
                        for one in shown
                        if at in one.receipts
                        and deployment.signer(one.snapshot, at) == custodian.card()
                    ]
                )
        sources = len(history.sources())
        # Custodians that live were told of the log's name, so it has to keep that.
        told = history.record if needs_team(deployment) else None
        ledger.bring_client(
            client, history.log, None if structure is None else keys.structure, told
        )
    # Only a client that has come this far leaves a secret and a row.
    if not deployment.has_worker_keys(client):
        deployment.seal_worker_keys(client, keys)
    good = [one.snapshot for one in shown if one.snapshot.state == "good"]
    deployment.registry.add_client(
        client,
        deployment.fact(
            "client.recovered", client.id, private={"name": client.name}, snapshots=len(good)
        ),
    )
    return RecoveredClient(
        client.name,
        sources,
        len(good),
        len(shown) - len(good),
        good[-1].hash if good else "",
        good[-1].received_at if good else None,
        _behind(deployment, shown, unreachable),
    )


def _open_newest(
    rebuild: _Rebuild, history: History, index: Database, acting: ExitStack
) -> tuple[WorkerKeys, Vault.Structure | None]:
    """Open the newest snapshot that opens: return the new worker's keys and its structure.

    Raises the newest one's reason when no good snapshot opens. Where there is no good one, the
    vault goes on under a new structure key.
    """
    keys = WorkerKeys.draw(rebuild.deployment.tools.token)
    shown = rebuild.survey.shown
    good = [one for one in shown if one.snapshot.state == "good"]
    first: StrongroomError | None = None
    for one in reversed(good or shown):
        try:
            found = replace(keys, structure=_structure_key(rebuild, history, one, acting))
            header, writer = verified_header(history, one.record.statement)
            vault = _vault(rebuild, index, found)
            return found, vault.structure(one.record.body, writer, header.sequence)
        except Waiting:
            raise
        except StrongroomError as err:
            first = first or err
            rebuild.problems.append(
                f"client {rebuild.client.id[:8]}: snapshot {one.snapshot.hash[:12]} does not "
                f"open: {err}"
            )
    if good and first is not None:
        raise first
    return keys, None


def _vault(rebuild: _Rebuild, index: Database, keys: WorkerKeys) -> Vault:
    deployment, client = rebuild.deployment, rebuild.client
    place = Vault.Place(deployment.install, client.id, client.vault, client.vault_class)
    return Vault(place, deployment.placement(client, keys), index, keys, deployment.tools.token)


def _structure_key(rebuild: _Rebuild, history: History, one: Shown, acting: ExitStack) -> bytes:
    deployment, client = rebuild.deployment, rebuild.client
    statement = one.record.statement
    header = SnapshotHeader.read(statement)
    # Every session's keys object holds the structure key; a snapshot in which nothing was read
    # has no fresh one.
    sessions = [*header.fresh, *((session, None) for session in header.sessions)]
    if not sessions:
        raise Damaged("a snapshot depends on no session", "there is no key to ask for")
    session, wanted = sessions[0]
    wish = _wish(client, statement.hash.hex(), header)
    with ExitStack() as own:
        permit = own.enter_context(permitted(deployment, (client, history), wish))
        opened = open_keys(deployment, client, history, statement, permit or BROWSE)
        if permit is not None:
            keep_shown(deployment, permit)
        envelope = fetch_keys(deployment, client, history, session, wanted)
        acting.push(own.pop_all())
    return Opening.unwrap_structure_key(envelope, opened[session].inner)


def _wish(client: Client, snapshot: str, header: SnapshotHeader) -> Wish:
    """Return what a team is asked before a client comes back from custodians that live."""
    plan = Plan.of(
        f"recover client {client.id[:8]} into a new home, from snapshot {snapshot[:12]} of "
        f"{format_instant(header.created_at)}",
        "the next backup there replaces the old server",
    )
    order = canonical.dumps(
        {"procedure": "recovery", "client": client.id, "snapshot": snapshot}
    ).decode()
    opens = snapshot, len(header.sessions)
    return Wish(Acts.Procedure.RECOVERY, {}, plan, order, opens)


def _learn(rebuild: _Rebuild, history: History, vault: Vault) -> None:
    """Make every snapshot's segments known; one that lacks its index is reported."""
    learn_buried(history, vault)
    for one in rebuild.survey.shown:
        header, writer = verified_header(history, one.record.statement)
        try:
            vault.learn(one.snapshot.hash, one.record.body, writer, header.sequence, header.index)
        except StrongroomError as err:
            rebuild.problems.append(
                f"client {rebuild.client.id[:8]}: snapshot {one.snapshot.hash[:12]} cannot be "
                f"restored from what is there now: {err}"
            )


def _forget_deleted(rebuild: _Rebuild, history: History, vault: Vault) -> None:
    """Forget the packs that tombstones list, except what a snapshot that is shown needs.

    One that does not open keeps nothing: what it may need is learnt again when it does.
    """
    needed: set[str] = set()
    for one in rebuild.survey.shown:
        header, writer = verified_header(history, one.record.statement)
        with suppress(Damaged):
            structure = vault.structure(one.record.body, writer, header.sequence)
            if vault.holds(structure):
                needed |= vault.packs_of(structure)
    vault.forgetting.drop(set(packs_in(sorted(rebuild.survey.gone))) - needed, ())


def _adopt_identity(rebuild: _Rebuild, history: History, structure: Vault.Structure) -> Client:
    """Return the client under its own name, and write its sources; what is odd is reported.

    The card was written by a worker, which may have been taken over: it may name anything.
    """
    deployment, client, card = rebuild.deployment, rebuild.client, structure.client
    there = {source.id for source in history.sources()}
    for source in structure.sources:
        if source.id in there:
            continue
        row = ClientSource(
            SourceId(source.id), source.name, source.url, source.kind, deployment.tools.clock.now()
        )
        try:
            history.add_source(
                row,
                deployment.fact(
                    "source.recovered",
                    client.id,
                    private={"name": source.name, "url": source.url},
                    source=source.id,
                ),
            )
        except StrongroomError as err:
            rebuild.problems.append(f"client {client.name}: a source is left out: {err}")
    rebuild.problems += [
        f"client {client.name}: the source {one.name!r:.80} had failed when the snapshot was "
        "taken; add it again with `strongroom source add`"
        for one in structure.carried
    ]
    taken = {other.name for other in deployment.registry.clients()}
    try:
        name = Client.check_name(card.name)
        if name in taken:
            raise UsageError(f"there already is a client {name}")
    except UsageError as err:
        rebuild.problems.append(f"client {client.name} keeps this name: {err}")
        name = client.name
    try:
        keep = _keep_of(card.keep)
    except UsageError as err:
        rebuild.problems.append(f"client {name} gets the default keep policy: {err}")
        keep = client.keep
    return replace(client, name=name, keep=keep)


def _keep_of(card: Mapping[str, int]) -> Keep:
    """Return the policy on a client's card once it reads like one that a person typed."""
    if not set(card) <= _KEEP:
        raise UsageError("its keep policy has unknown parts")
    return Keep.parse(str(Keep(**card)))


def _behind(
    deployment: Deployment, shown: Sequence[Shown], unreachable: frozenset[str]
) -> dict[str, int]:
    missing = dict.fromkeys(deployment.copies.locations.keys() - unreachable, 0)
    for one in shown:
        for name in missing:
            missing[name] += name not in one.where
    return {name: count for name, count in sorted(missing.items()) if count}
