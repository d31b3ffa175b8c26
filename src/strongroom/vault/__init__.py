"""The vault: chunks, segments, packs, snapshots; what is stored, where, and how it comes back.

The room reads sources and writes locations, and knows neither who releases keys nor when a
snapshot is good: `quorum` and the operations do. Formats: docs/formats/vault-v1.md.
"""

from strongroom.vault.engine import Vault
from strongroom.vault.keys import SessionKeys, WorkerKeys
from strongroom.vault.source import Entry, EntryUnreadable, Source, Target

__all__ = [
    "Entry",
    "EntryUnreadable",
    "SessionKeys",
    "Source",
    "Target",
    "Vault",
    "WorkerKeys",
]
