"""Writes ledger-v1.json: trees, tiles, notes, a policy and proofs.

Run as `python -m tests.vectors.build_ledger_v1`. A vector that was released is never edited.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from strongroom.crypto import signing
from strongroom.ledger import Checkpoint, Policy, Proof
from strongroom.ledger.cosignature import cosign, witness_key
from strongroom.ledger.note import LOG_KEY, VerifierKey, sign
from strongroom.ledger.tiles import read_from, tile_path
from strongroom.ledger.tree import (
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
)
from tests.ledger.static_log import files_of

PATH = Path(__file__).with_name("ledger-v1.json")
LOG_SEED = bytes(range(32))
WITNESS_SEEDS = {name: bytes([at]) * 32 for at, name in enumerate(("anna", "ben", "cleo"), 1)}
ORIGIN = f"{'25' * 16}.ledger.invalid/{'9f' * 16}"
AT_SECONDS = 1_767_323_045
SIZE = 300
PROVED = (0, 255, 256, 299)
BEGINNINGS = (0, 1, 255, 256, 257, 299, 300)


def entries() -> list[bytes]:
    """Return entries whose bytes are easy to make elsewhere."""
    return [f"entry {number}".encode() for number in range(SIZE)]


def build() -> dict[str, Any]:
    """Return the vectors; the same each time."""
    files = files_of(entries())
    leaves = [leaf_hash(entry) for entry in entries()]
    read = read_from(lambda *place: files[tile_path(*place)], SIZE)
    note = _note(root_of(leaves))
    proofs = {
        str(index): Proof(index, tuple(inclusion_proof(read, index, SIZE)), note)
        for index in PROVED
    }
    return {
        "entries": "entry 0 to entry 299, in ASCII, without newline",
        "roots": {str(size): root_of(leaves[:size]).hex() for size in BEGINNINGS},
        "compact_range": [one.hex() for one in CompactRange.of(read, SIZE).stack],
        "files": {path: sha256(data).hexdigest() for path, data in files.items()},
        "consistency": {
            str(old): [one.hex() for one in consistency_proof(read, old, SIZE)]
            for old in BEGINNINGS
        },
        "log_seed": LOG_SEED.hex(),
        "witness_seeds": {name: seed.hex() for name, seed in WITNESS_SEEDS.items()},
        "policy": _policy().encode().decode(),
        "note": note.decode(),
        "cosigned": {name: AT_SECONDS + at for at, name in enumerate(WITNESS_SEEDS)},
        "proofs": {index: proof.encode().decode() for index, proof in proofs.items()},
        "proof_with_extra": Proof(0, proofs["0"].hashes, note, b"beside it").encode().decode(),
    }


def _policy() -> Policy:
    log = VerifierKey(ORIGIN, LOG_KEY, signing.public_key(LOG_SEED))
    keys = {name: witness_key(f"{name}.example", seed) for name, seed in WITNESS_SEEDS.items()}
    return Policy.of([log], keys, Policy.default_quorum(3, 2))


def _note(root: bytes) -> bytes:
    text = Checkpoint(ORIGIN, SIZE, root).encode()
    lines = [
        cosign(text, AT_SECONDS + at, f"{name}.example", seed)
        for at, (name, seed) in enumerate(WITNESS_SEEDS.items())
    ]
    return sign(text, ORIGIN, LOG_SEED) + b"".join(lines)


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
