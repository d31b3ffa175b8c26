"""Where objects lie at a location, and how the ones that custodians make get there."""

from types import MappingProxyType

from strongroom.clients import Client, Snapshot
from strongroom.ids import InstallId
from strongroom.locations import Copies
from strongroom.operations.deployment import Deployment, Listing
from strongroom.quorum import Custodian

_NOTHING: Listing = MappingProxyType({})


def roster_path(install: InstallId, version: int) -> str:
    """Return the path of a roster."""
    return f"{install}/roster/{version:08d}"


def rosters_to_place(deployment: Deployment) -> dict[str, bytes]:
    """Return every roster there was by its path: what was signed under it is checked by it."""
    registry, line = deployment.registry, deployment.rosters.rosters
    held = (*registry.rosters.former(), registry.install().roster)
    return {
        roster_path(deployment.install, roster.version): data
        for roster, data in zip(line, held, strict=True)
    }


def path_of_policy(install: InstallId, policy: str) -> str:
    """Return the path of a team policy: named by its hash, so that no two ever meet."""
    return f"{install}/policy/{policy}"


def path_of_change(install: InstallId, policy: str) -> str:
    """Return the path of what shows that the team policy of this id was approved."""
    return f"{install}/policy-changes/{policy}"


def client_key_path(install: InstallId, client: str, custodian: str, serial: int) -> str:
    """Return the path of a custodian's certificate for a client."""
    return f"{install}/client-keys/{client}/{custodian}/{serial:08d}"


def session_path(install: InstallId, vault: str, session: str) -> str:
    """Return the path of a session's keys object."""
    return f"{install}/vaults/{vault}/keys/{session}"


def redealt_path(install: InstallId, vault: str, version: int, session: str) -> str:
    """Return the path of what a session was dealt anew with, to this version of the roster."""
    return f"{install}/vaults/{vault}/redealt/{version:08d}/{session}"


def redeal_receipt_path(
    install: InstallId, vault: str, version: int, session: str, custodian: str
) -> str:
    """Return the path of a custodian's receipt for a session that was dealt anew."""
    return f"{install}/vaults/{vault}/redeal-receipts/{version:08d}/{session}/{custodian}"


def snapshot_path(install: InstallId, client: Client, snapshot: Snapshot) -> str:
    """Return the path of a snapshot record."""
    return f"{install}/vaults/{client.vault}/snapshots/{snapshot.writer}/{snapshot.sequence:08d}"


def receipt_path(install: InstallId, client: Client, snapshot: Snapshot, custodian: str) -> str:
    """Return the path of a custodian's receipt for a snapshot."""
    return (
        f"{install}/vaults/{client.vault}/receipts/{snapshot.writer}/{snapshot.sequence:08d}/"
        f"{custodian}"
    )


def canary_path(install: InstallId, vault: str, writer: str) -> str:
    """Return the path of what a writer tries to destroy, to learn whether it could."""
    return f"{install}/vaults/{vault}/canary/{writer}"


def place_kit_entries(
    copies: Copies, custodian: Custodian, of: str = "", listing: Listing = _NOTHING
) -> None:
    """Put a custodian's sealed key table, or entries whose names begin with `of`, everywhere.

    What is there already stays; what every location lists is not put again, altered or not.
    """
    for path, data in custodian.kit_entries(of):
        if len(listing.get(path, ())) < len(copies.locations):
            copies.put(path, data)
