"""Bring a location up to what the others hold: for a new one, and after one was away.

Nothing is decrypted and nothing is overwritten; every object is checked before it is copied
(`acceptance`). What cannot be checked here is left out and named.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from strongroom.clients import Client, History
from strongroom.crypto.envelope import decode_envelope
from strongroom.errors import Damaged
from strongroom.locations import Copies, Location, LocationUnavailable, ObjectExists, ObjectMissing
from strongroom.operations.acceptance import Acceptance
from strongroom.operations.deployment import Deployment
from strongroom.operations.placing import client_key_path, roster_path


@dataclass(slots=True)
class Filled:
    """What was copied to one location, and what could not be checked and was left out."""

    copied: int = 0
    copied_bytes: int = 0
    left_out: list[str] = field(default_factory=list)


def fill(deployment: Deployment, location: Location, name: str, prefixes: Sequence[str]) -> Filled:
    """Copy to one location every object below the prefixes that it lacks."""
    return _fill(deployment, Acceptance.of(deployment), {name: location}, prefixes)


def _fill(
    deployment: Deployment,
    acceptance: Acceptance,
    location: Mapping[str, Location],
    prefixes: Sequence[str],
) -> Filled:
    filled = Filled()
    with Copies(location) as target:
        for prefix in prefixes:
            present = target.list(prefix)
            for key in deployment.copies.list(prefix):
                if key not in present:
                    _copy(deployment, acceptance, target, key, filled)
    return filled


def _copy(
    deployment: Deployment, acceptance: Acceptance, target: Copies, key: str, filled: Filled
) -> None:
    accept = acceptance.of_key(key)
    if accept is None:
        filled.left_out.append(f"{key}: nothing here can tell whether it is whole")
        return
    try:
        data = deployment.copies.get(key, accept)
    except (Damaged, ObjectMissing) as err:
        filled.left_out.append(f"{key}: {err}")
        return
    target.put(key, data)
    filled.copied += 1
    filled.copied_bytes += len(data)


def repair_client(deployment: Deployment, client: Client) -> dict[str, Filled]:
    """Fill every location that answers with what it lacks of one client and of the install."""
    install = deployment.install
    prefixes = (
        f"{install}/roster",
        f"{install}/kits",
        f"{install}/client-keys/{client.id}",
        f"{install}/vaults/{client.vault}",
    )
    acceptance = Acceptance.of(deployment)
    filled = {
        name: _fill(deployment, acceptance, {name: location}, prefixes)
        for name, location in deployment.copies.locations.items()
        if name not in deployment.absent_locations
    }
    deployment.registry.record(
        deployment.fact(
            "vault.repaired",
            client.id,
            copied=sum(one.copied for one in filled.values()),
            left_out=sum(len(one.left_out) for one in filled.values()),
        )
    )
    return filled


def put_small_objects(deployment: Deployment, client: Client, history: History) -> None:
    """Put what a recovery begins with wherever a location lacks it: it may have been away.

    These are the roster, the custodians' sealed key tables and their certificates: without them a
    location holds packs that nothing opens.
    """
    key = roster_path(deployment.install, deployment.roster.version)
    wanted = {
        key: deployment.registry.install().roster,
        **_certificates(deployment, client, history),
        **{
            path: data
            for custodian in deployment.embedded()
            for of in (client.id, "identity")
            for path, data in custodian.kit_entries(of)
        },
    }
    answering = [
        location
        for name, location in deployment.copies.locations.items()
        if name not in deployment.absent_locations
    ]
    # Side by side: each look at a remote location waits for its answer.
    with ThreadPoolExecutor(max(1, len(answering))) as pool:
        for done in [pool.submit(_put_missing, location, wanted) for location in answering]:
            done.result()


def _certificates(deployment: Deployment, client: Client, history: History) -> dict[str, bytes]:
    """Return the custodians' certificates for a client by their keys."""
    found: dict[str, bytes] = {}
    for index, data in history.client_keys().items():
        envelope = decode_envelope(data, f"the certificate of custodian {index}")
        key = deployment.roster.check_client_key(envelope)
        place = client_key_path(deployment.install, client.id, key.custodian, key.serial)
        found[place] = data
    return found


def _put_missing(location: Location, wanted: dict[str, bytes]) -> None:
    try:
        for key, data in wanted.items():
            try:
                location.stat(key)
            except ObjectMissing:
                location.put(key, data)
    except (LocationUnavailable, ObjectExists):
        # Unavailable: the backup finds out and says so. Exists: somebody else was quicker.
        return


def count_lacking(deployment: Deployment, client: Client) -> dict[str, int]:
    """Return how many snapshot records each answering location lacks that another one has."""
    listed = deployment.copies.list(f"{deployment.install}/vaults/{client.vault}/snapshots")
    away = {*deployment.absent_locations, *deployment.copies.failures}
    lacking = {
        name: sum(name not in names for names in listed.values())
        for name in deployment.copies.locations
        if name not in away
    }
    return {name: count for name, count in lacking.items() if count}
