"""A static log with three witnesses, whatever its leaves are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from strongroom.crypto import signing
from strongroom.ledger import Checkpoint, Policy
from strongroom.ledger.cosignature import cosign, witness_key
from strongroom.ledger.note import LOG_KEY, VerifierKey, sign
from strongroom.ledger.tree import leaf_hash, root_of
from tests.ledger.static_log import files_of

ORIGIN = f"{'25' * 16}.ledger.invalid/{'9f' * 16}"
LOG_SEED = b"\x0f" * 32
WITNESS_SEEDS = {name: bytes([at]) * 32 for at, name in enumerate(("anna", "ben", "cleo"), 1)}
AT_SECONDS = 1_767_323_045


@dataclass(frozen=True, slots=True)
class StaticLog:
    """The files of a log by path, and the keys that signed its checkpoint."""

    files: Mapping[str, bytes]
    log: VerifierKey
    witnesses: Mapping[str, VerifierKey]

    @property
    def policy(self) -> Policy:
        """Return the policy that all of its witnesses must have cosigned."""
        return Policy.of([self.log], self.witnesses, len(self.witnesses))

    def write(self, folder: Path) -> None:
        """Write every file below a folder."""
        for path, data in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)


def static_log(entries: Sequence[bytes]) -> StaticLog:
    """Return a log of these entries, signed and cosigned by three witnesses."""
    root = root_of([leaf_hash(entry) for entry in entries])
    text = Checkpoint(ORIGIN, len(entries), root).encode()
    note = sign(text, ORIGIN, LOG_SEED)
    witnesses = {}
    for at, (name, seed) in enumerate(WITNESS_SEEDS.items()):
        note += cosign(text, AT_SECONDS + at, f"{name}.example", seed)
        witnesses[name] = witness_key(f"{name}.example", seed)
    log = VerifierKey(ORIGIN, LOG_KEY, signing.public_key(LOG_SEED))
    return StaticLog({**files_of(entries), "checkpoint": note}, log, witnesses)
