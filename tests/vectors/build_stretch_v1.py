"""Builds stretch-v1.json: stretches of a client's and of the server's log, byte for byte.

Run from the repository's root: `python -m tests.vectors.build_stretch_v1`. Frozen: bytes that were
written once must stay readable, so an existing file is never built anew for a changed writer.
"""

import base64
import json
from pathlib import Path
from typing import Any

from strongroom.crypto.signing import public_key
from strongroom.ledger.checkpoint import Checkpoint
from strongroom.ledger.note import LOG_KEY, VerifierKey, sign
from strongroom.ledger.stretch import Stretch, origin_of
from strongroom.ledger.tree import CompactRange, leaf_hash

PATH = Path(__file__).with_name("stretch-v1.json")
INSTALL = "11" * 16
CLIENT = "22" * 16
LOG = "aa" * 16
SERVER_LOG = "bb" * 16
SEED = b"\x05" * 32
STRUCTURE_KEY = b"\x02" * 32
SERVER_KEY = b"\x06" * 32
LEAVES = (*(b'{"number":%d,"text":"%s"}' % (n, b"x" * (n * 100)) for n in range(7)), b"")


def note_of(log: str, leaves: tuple[bytes, ...], seed: bytes = SEED) -> bytes:
    """Return a checkpoint over these leaves, signed by the log's key."""
    tree = CompactRange()
    tree.extend(leaf_hash(leaf) for leaf in leaves)
    origin = origin_of(INSTALL, log)
    return sign(Checkpoint(origin, tree.size, tree.root()).encode(), origin, seed)


def key_of(log: str, seed: bytes = SEED) -> VerifierKey:
    """Return the public key of a log."""
    return VerifierKey(origin_of(INSTALL, log), LOG_KEY, public_key(seed))


def stretches() -> list[Stretch]:
    """Return a client's log in two stretches, the second in two parts, and the server's."""

    def of_client(start: int, stop: int, size: int) -> Stretch:
        return Stretch(
            INSTALL,
            CLIENT,
            LOG,
            start,
            LEAVES[start:stop],
            note_of(LOG, LEAVES[:size]),
            key_of(LOG),
            (b"a witness card", b"another"),
            SERVER_KEY,
        )

    server = Stretch(
        *(INSTALL, None, SERVER_LOG, 0, LEAVES[:2], note_of(SERVER_LOG, LEAVES[:2])),
        key_of(SERVER_LOG),
    )
    return [of_client(0, 3, 3), of_client(3, 6, 8), of_client(6, 8, 8), server]


def parent_of(stretch: Stretch) -> bytes:
    """Return the key under which the stretches of this log are sealed."""
    return SERVER_KEY if stretch.client is None else STRUCTURE_KEY


def salt_of(stretch: Stretch) -> bytes:
    """Return the salt of a stretch; another one for each."""
    return bytes.fromhex(stretch.log)[:15] + bytes([stretch.start])


def described(stretch: Stretch) -> dict[str, Any]:
    """Return a stretch as the vector has it."""
    data = stretch.sign(SEED, parent_of(stretch), salt_of(stretch))
    return {
        "key": stretch.key,
        "object": base64.b64encode(data).decode(),
        "client": stretch.client,
        "start": stretch.start,
        "end": stretch.end,
        "leaves": [leaf.decode() for leaf in stretch.leaves],
        "checkpoint": stretch.note.decode(),
        "vkey": str(stretch.vkey),
        "witness_cards": [one.decode() for one in stretch.witness_cards],
        "server_key": None if stretch.server_key is None else stretch.server_key.hex(),
    }


if __name__ == "__main__":
    vectors = {
        "format": "ledger-v1",
        "structure_key": STRUCTURE_KEY.hex(),
        "server_key": SERVER_KEY.hex(),
        "log_public": public_key(SEED).hex(),
        "stretches": [described(one) for one in stretches()],
    }
    PATH.write_text(json.dumps(vectors, indent=1) + "\n", encoding="utf-8")
