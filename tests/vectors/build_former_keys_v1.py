"""Writes former-keys-v1.json: a custodian that rotated its key for a client twice (share-v1).

Run as `python -m tests.vectors.build_former_keys_v1`. A vector that was released is never edited.
HPKE draws its own chance, so keys objects differ from build to build; everything else repeats, and
`fixed` is what the test recomputes.
"""

import json
from pathlib import Path
from typing import Any

from strongroom.quorum import Dealing
from strongroom.quorum.kit import Kit
from tests.quorum.world import World

PATH = Path(__file__).with_name("former-keys-v1.json")
ROTATING = 1
CHALLENGE = "5c" * 32


def build() -> dict[str, Any]:
    """Return the vectors: three sessions, the first custodian's key rotated after each."""
    world = World(vault_class="high", seed="former-keys-v1")
    custodian = world.custodians[ROTATING - 1]
    dealt = [world.backed_up()[1][0]]
    certificates = []
    for _ in range(2):
        world.rotate(ROTATING)
        dealt.append(world.backed_up()[1][0])
        again = custodian.enrol(world.client, world.vault, "high", world.writer)
        certificates.append(again.encode().hex())
    objects = [one.keys_object for one in dealt]
    entries = []
    for database, one in zip(world.databases, world.custodians, strict=True):
        with database.reading() as transaction:
            entry = one._own.entry(transaction, world.client)
            entries.append(entry.to_json(world.install, one.card().id))
    avowal = custodian.prove(CHALLENGE, [one.statement for one in objects])
    path, sealed = custodian.kit_entries(world.client)[-1]
    kit = Kit(world.kit_secrets[ROTATING - 1])
    made = {
        "fixed": {
            "identity": custodian.card().identity.hex(),
            "kit_words": " ".join(kit.words),
            "entry_path": path,
            "entry": sealed.hex(),
            "inside": entries,
            "certificates": certificates,
            "content_keys": [[one.inner.hex(), (one.outer or b"").hex()] for one in dealt],
            "labels": [Dealing.parse(one.statement).label.to_json() for one in objects],
        },
        "keys_objects": [one.encode().hex() for one in objects],
        "challenge": CHALLENGE,
        "avowal": avowal.encode().hex(),
    }
    world.close()
    return made


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
