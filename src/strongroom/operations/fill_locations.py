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
from strongroom.operations.deployment import Deployment, Listing
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


def put_install_objects(deployment: Deployment) -> None:
    """Put the roster and the custodians' sealed identities wherever a location lacks them."""
    key = roster_path(deployment.install, deployment.roster.version)
    entries = _kit_entries(deployment, "identity")
    _put_everywhere(deployment, {key: deployment.registry.install().roster, **entries})


def put_client_objects(deployment: Deployment, client: Client, history: History) -> None:
    """Put a client's certificates and sealed key tables wherever a location lacks them.

    A recovery begins with them and the install's objects; a location that was away when they were
    made holds packs that nothing opens.
    """
    entries = _kit_entries(deployment, client.id)
    _put_everywhere(deployment, {**_certificates(deployment, client, history), **entries})


def _kit_entries(deployment: Deployment, of: str) -> dict[str, bytes]:
    return {
        path: data
        for custodian in deployment.embedded()
        for path, data in custodian.kit_entries(of)
    }


def _put_everywhere(deployment: Deployment, wanted: dict[str, bytes]) -> None:
    answering = [
        location
        for name, location in deployment.copies.locations.items()
        if name not in deployment.absent_locations
    ]
    if len(answering) == 1:
        _put_missing(answering[0], wanted)
        return
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


def count_lacking(deployment: Deployment, listing: Listing) -> dict[str, int]:
    """Return how many of these listed objects each answering location lacks."""
    away = {*deployment.absent_locations, *deployment.copies.failures}
    lacking = {
        name: sum(name not in names for names in listing.values())
        for name in deployment.copies.locations
        if name not in away
    }
    return {name: count for name, count in lacking.items() if count}
