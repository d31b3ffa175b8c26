"""Where objects lie at a location, and how the ones that custodians make get there."""

from strongroom.clients import Client, Snapshot
from strongroom.ids import InstallId
from strongroom.locations import Copies
from strongroom.quorum import LocalCustodian


def roster_key(install: InstallId, version: int) -> str:
    """Return the key of a roster."""
    return f"{install}/roster/{version:08d}"


def client_key_key(install: InstallId, client: str, custodian: str, serial: int) -> str:
    """Return the key of a custodian's certificate for a client."""
    return f"{install}/client-keys/{client}/{custodian}/{serial:08d}"


def session_key(install: InstallId, vault: str, session: str) -> str:
    """Return the key of a session's keys object."""
    return f"{install}/vaults/{vault}/keys/{session}"


def snapshot_key(install: InstallId, client: Client, snapshot: Snapshot) -> str:
    """Return the key of a snapshot record."""
    return f"{install}/vaults/{client.vault}/snapshots/{snapshot.writer}/{snapshot.sequence:08d}"


def receipt_key(install: InstallId, client: Client, snapshot: Snapshot, custodian: str) -> str:
    """Return the key of a custodian's receipt for a snapshot."""
    return (
        f"{install}/vaults/{client.vault}/receipts/{snapshot.writer}/{snapshot.sequence:08d}/"
        f"{custodian}"
    )


def place_kit_entries(copies: Copies, custodian: LocalCustodian, of: str = "") -> None:
    """Put a custodian's sealed key table, or the part `of` one client, at every location.

    What is there already stays.
    """
    for path, data in custodian.kit_entries():
        if path.rpartition("/")[2].startswith(of):
            copies.put(path, data)
