"""`status`: what is kept, what is missing, who can read. Unknown is never shown as fine."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from strongroom.clients import Client, ClientSource, History, Registry, Snapshot
from strongroom.crypto import signing
from strongroom.ledger import Policy
from strongroom.operations.add_location import describe_locations
from strongroom.operations.deployment import Deployment
from strongroom.operations.failure_domains import look_at_domains
from strongroom.operations.late_custodians import tell_late
from strongroom.operations.look_at_custodians import (
    confirmed_kits,
    look_at_distribution,
    look_at_seats,
    who_opens_everything,
)
from strongroom.operations.look_at_logs import LogStatus, look_at_log
from strongroom.operations.look_at_policies import behind
from strongroom.operations.pending import Pending, look_at_pending
from strongroom.operations.place_ledger import sealed_logs
from strongroom.operations.policies import kept_policy
from strongroom.operations.prove_shares import look_at_shares
from strongroom.operations.receipts import plain_reason
from strongroom.operations.recovery_sheets import old_sheets
from strongroom.operations.sealed_logs import Lookout
from strongroom.operations.witnessing import OpenLog, Witnesses, what_was_seen
from strongroom.quorum import Acts

FRESH = timedelta(hours=24)
CLIENTS_NAMED = 3
ERASED: Final = "erased"
_ERASING: Final = "BEING ERASED"
_NOT_CLEARED: Final = "ERASED, NOT CLEARED"
_UNFINISHED: Final = {
    _ERASING: "some custodians have destroyed their keys of it, and others have not",
    _NOT_CLEARED: "sealed exports of its keys, or its vault, may still lie at a location",
}


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """A client's newest good snapshot and what is unfinished."""

    name: str
    vault_class: str
    sources: int
    good: int
    pending: int
    newest_good_at: datetime | None
    state: str
    shares_proved_at: datetime | None
    """When the custodian that did it longest ago has proved that its old shares open."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a deployment; `warnings` are whole sentences, worst first."""

    install: str
    clients: list[ClientStatus]
    locations: dict[str, str]
    shared: list[str]
    """Which locations one failure may take together, as sentences."""
    custodians: dict[str, str]
    custodians_missed_since: dict[str, datetime]
    """When a command first missed each that does not answer."""
    kits_confirmed: int
    kits_needed: int
    who_can_read: str
    pending: list[Pending]
    """What was asked for, is not over, and destroys something or changes who is trusted."""
    logs: list[LogStatus]
    """The server's log, and every client's."""
    witnesses_needed: int
    malicious_tolerated: int
    """How many custodians may lie, and every opening of keys is still seen in the logs."""
    warnings: list[str]


def tell_status(deployment: Deployment) -> Status:
    """Look at everything and say what is.

    What is not witnessed yet is shown to the custodians again when the command ends.
    """
    now = deployment.tools.clock.now()
    seen = what_was_seen(
        deployment.custodians, deployment.asking, lambda: sealed_logs(deployment).keys
    )
    # The locations are asked of one log only: to ask them of every client's would take long.
    lookout = Lookout(seen, partial(sealed_logs, deployment), deployment.copies.locations)
    logs = [look_at_log(OpenLog.of_server(deployment), lookout.of(None))]
    clients: list[ClientStatus] = []
    unproved: list[str] = []
    unsigned: dict[int, list[str]] = {}
    for client in deployment.registry.clients():
        with deployment.tools.history(client.id) as history:
            if client.erasure is None:
                shares = look_at_shares(deployment, client, history)
                unproved += shares.warnings
                clients.append(_client_status(client, history, now, shares.proved_at))
                for index in _not_signed(deployment, history):
                    unsigned.setdefault(index, []).append(client.name)
            else:
                clients.append(_erased_status(client, client.erasure))
            logs.append(look_at_log(OpenLog.of_client(client, history), seen))
        if logs[-1].behind_since is not None:
            # No other command comes by a client that it does not work on.
            deployment.touched.add(client.id)
    locations = {row.name: row.state for row in describe_locations(deployment)}
    custodians = {
        member.name: str(deployment.absent_custodians.get(member.index, "answers"))
        for member in deployment.roster.members
    }
    kits = confirmed_kits(deployment)
    confirmed = sum(kits.values())
    threshold = deployment.roster.threshold
    embedded = len(deployment.embedded())
    needed = Witnesses.known(deployment).needed
    members = len(deployment.roster.members)
    return Status(
        install=deployment.install,
        clients=clients,
        locations=locations,
        shared=[str(one) for one in look_at_domains(deployment)],
        custodians=custodians,
        custodians_missed_since={
            deployment.roster.member(index).name: since
            for index, since in deployment.missed_since.items()
        },
        kits_confirmed=confirmed,
        kits_needed=threshold,
        who_can_read=_who_can_read(deployment, embedded),
        pending=look_at_pending(deployment),
        logs=logs,
        witnesses_needed=needed,
        malicious_tolerated=max(0, Policy.tolerated(members, threshold, needed)),
        warnings=[
            *(warning for log in logs if log.problem for warning in log.warnings),
            *unproved,
            *_unsigned(deployment, unsigned),
            *_unrecoverable(deployment, kits),
            *_warnings(deployment, locations, clients),
            *(warning for log in logs if not log.problem for warning in log.warnings),
        ],
    )


def _client_status(
    client: Client, history: History, now: datetime, shares_proved_at: datetime | None
) -> ClientStatus:
    counts = history.counts()
    found = history.newest_good()
    sources = history.sources()
    newest = found.received_at if found else None
    partly = found is not None and _is_partial(found, sources)
    if newest is None:
        state = "NEVER BACKED UP"
    elif now - newest > FRESH:
        state = "TOO OLD"
    elif partly:
        state = "PARTLY BACKED UP"
    else:
        state = "backed up"
    return ClientStatus(
        client.name,
        client.vault_class,
        len(sources),
        counts.get("good", 0),
        sum(counts.values()) - counts.get("good", 0),
        newest,
        state,
        shares_proved_at,
    )


def _not_signed(deployment: Deployment, history: History) -> list[int]:
    """Return who is there and has not signed for the newest good snapshot."""
    newest = history.newest_good()
    if newest is None:
        return []
    signed = history.receipts(newest)
    return [index for index in deployment.custodians if index not in signed]


def _unsigned(deployment: Deployment, found: dict[int, list[str]]) -> list[str]:
    return [
        f"{deployment.roster.member(index)} answers and has not signed for the newest good "
        f"snapshot of {_named(found[index])}; the next backup says why, or collects it"
        for index in sorted(found)
    ]


def _named(clients: list[str]) -> str:
    more = len(clients) - CLIENTS_NAMED
    return ", ".join(clients[:CLIENTS_NAMED]) + (f" and {more} more" if more > 0 else "")


def _erased_status(client: Client, erasure: Registry.Erasure) -> ClientStatus:
    """Return that nothing of a client is kept, whatever its rows say of the time before."""
    state = ERASED if erasure.cleared_at else _NOT_CLEARED
    if erasure.erased_at is None:
        state = _ERASING
    return ClientStatus(client.name, client.vault_class, 0, 0, 0, None, state, None)


def _is_partial(newest: Snapshot, sources: list[ClientSource]) -> bool:
    """Say whether a source failed in the newest good snapshot, or was not in it at all."""
    held = newest.summary.get("sources")
    # A home that was rebuilt has its sources from its snapshots, and knows no earlier instant.
    rebuilt = bool(newest.summary.get("recovered"))
    return (
        bool(newest.summary.get("sources_failed"))
        or (isinstance(held, int) and held < len(sources))
        or (not rebuilt and any(one.added_at > newest.created_at for one in sources))
    )


def _who_can_read(deployment: Deployment, embedded: int) -> str:
    threshold = deployment.roster.threshold
    if embedded >= threshold:
        run = "1 custodian runs" if embedded == 1 else f"{embedded} custodians run"
        enough = "1 is" if threshold == 1 else f"{threshold} are"
        return (
            f"Whoever has this home and its key file can read every backup: {run} here and "
            f"{enough} enough. The home alone, or a location alone, opens nothing."
        )
    if deployment.registry.custodian_places():
        return (
            "Whoever has this home and its key file holds no piece of a key. Custodians give "
            f"theirs for what {_who_approves(deployment)}; each opening stays in their journals."
        )
    return (
        f"Whoever has this home and its key file has {embedded} of the {threshold} pieces needed."
    )


def _who_approves(deployment: Deployment) -> str:
    envelope, secrets = kept_policy(deployment.registry), deployment.tools.secrets
    policy = None if envelope is None else Acts.Policy.parse(envelope)
    sealed = secrets.has("operator") and secrets.read("operator")[:1] != b"K"
    opened = "has a passphrase" if sealed else "is opened by the key file, too"
    if policy is None or policy.mode == "single":
        return f"the operator's key approves, which {opened}"
    own = signing.key_id(deployment.registry.install().operator_key)
    if secrets.has("operator") and own in policy.approvers:
        return f"approvers approve, one of whom is the operator, whose key {opened}"
    return "approvers approve, whose keys are not here"


def _since(deployment: Deployment, index: int) -> str:
    since = deployment.missed_since.get(index)
    return "" if since is None else f"missed since {since:%Y-%m-%d %H:%M:%S Z}, "


def _unrecoverable(deployment: Deployment, kits: dict[int, bool]) -> list[str]:
    """Say where too few kits are confirmed; one of a newcomer opens nothing of before it."""
    elsewhere = bool(deployment.registry.custodian_places())
    confirm = "custodian confirm-kit` where each runs" if elsewhere else "kit confirm CUSTODIAN`"
    threshold = deployment.roster.threshold
    confirmed = [deployment.roster.member(index).name for index, one in kits.items() if one]
    able = who_opens_everything(deployment)
    opening = [name for name in confirmed if name in able]
    if len(confirmed) < threshold:
        why = f"{len(confirmed)} of {threshold} kits are confirmed"
    elif len(opening) < threshold:
        why = (
            f"what was kept before a seat was taken needs {threshold} kits of {', '.join(able)}, "
            f"and {len(opening)} of them are confirmed"
        )
    else:
        return []
    return [f"NOT RECOVERABLE IF THIS MACHINE IS LOST: {why}. Run `strongroom {confirm}."]


def _warnings(
    deployment: Deployment, locations: dict[str, str], clients: list[ClientStatus]
) -> list[str]:
    found = [f"location {name}: {state}" for name, state in locations.items() if state != "answers"]
    for index, err in deployment.absent_custodians.items():
        member = deployment.roster.member(index)
        found.append(f"{member}: {_since(deployment, index)}{plain_reason(member, err)}")
    found += [
        f"client {client.name}: {client.state.lower()}"
        for client in clients
        if client.state not in ("backed up", ERASED, *_UNFINISHED)
    ]
    found += [
        f"client {client.name}: {_UNFINISHED[client.state]}; run `strongroom client erase "
        f"{client.name}` again"
        for client in clients
        if client.state in _UNFINISHED
    ]
    found += [
        f"client {client.name}: {client.pending} "
        f"{'snapshot is' if client.pending == 1 else 'snapshots are'} pending; the next backup "
        "goes on with what this home wrote"
        for client in clients
        if client.pending
    ]
    found += [
        f"the recovery sheet with the kit of {name} names an older roster. Write it anew: "
        f"`strongroom kit show`, then `strongroom kit written {name}`"
        for name in old_sheets(deployment)
    ]
    found += [str(one) for one in behind(deployment)]
    if len(locations) == 1:
        found.append("DEGRADED: one location; when it is gone, every backup is gone")
    found += tell_late(deployment)
    found += look_at_seats(deployment)
    found += look_at_distribution(deployment).degraded
    whose = "worker's and the custodians'" if deployment.embedded() else "worker's"
    found.append(f"DEGRADED: a key file opens the {whose} secrets")
    if not deployment.tools.secrets.has("operator"):
        found.append("DEGRADED: the operator's key was lost with the old home; the roster is fixed")
    elif deployment.tools.secrets.read("operator")[:1] == b"K":
        found.append("DEGRADED: the operator's key has no passphrase, the key file opens it")
    return found
