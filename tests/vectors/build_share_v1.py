"""Writes share-v1.json: a deployment of three custodians, a dealing of each class, kit, answers.

Run as `python -m tests.vectors.build_share_v1`. A vector that was released is never edited. HPKE
draws its own chance, so sealed shares and answers differ from build to build; everything else
repeats, and `fixed` is what the test recomputes.
"""

import json
from pathlib import Path
from typing import Any

import rfc8785

from strongroom.crypto.public_sealing import open_from
from strongroom.quorum import Dealing
from strongroom.quorum.dealing import u8
from strongroom.quorum.kit import Kit
from strongroom.quorum.label import VaultClass, role
from tests.quorum.world import World

PATH = Path(__file__).with_name("share-v1.json")


def build(vault_class: VaultClass) -> dict[str, Any]:
    """Return the vectors of one class."""
    world = World(vault_class=vault_class, seed=f"share-v1/{vault_class}")
    statement, keys, dealt = world.snapshot()
    receipts = [custodian.ingest(statement, keys) for custodian in world.custodians]
    request = world.opening(statement).request
    dealing = Dealing.parse(keys[0].statement)
    seeds = []
    for database, custodian in zip(world.databases, world.custodians, strict=True):
        with database.reading() as transaction:
            seeds.append(custodian._own.entry(transaction, world.client).seed)
    opened = [
        [
            open_from(seed, part.shares[at], role("share", dealing.label.hash, u8(d), u8(at + 1)))
            for at, seed in enumerate(seeds)
        ]
        for d, part in enumerate(dealing.parts, 1)
    ]
    outer = dealt[0].outer
    made = {
        "fixed": {
            "install": world.install,
            "client": world.client,
            "vault": world.vault,
            "roster": world.roster_envelope.encode().hex(),
            "roster_id": world.roster.id,
            "writer": world.writer.hex(),
            "client_key_seeds": [seed.hex() for seed in seeds],
            "client_keys": [
                custodian.enrol(world.client, world.vault, vault_class, world.writer).encode().hex()
                for custodian in world.custodians
            ],
            "label": rfc8785.dumps(dealing.label.to_json()).decode(),
            "label_hash": dealing.label.hash.hex(),
            "opened": [[one.hex() for one in part] for part in opened],
            "commitments": [[one.hex() for one in part.commitments] for part in dealing.parts],
            "checks": [part.check.hex() for part in dealing.parts],
            "content_keys": [dealt[0].inner.hex(), *([outer.hex()] if outer else [])],
            "structure_key": world.structure_key.hex(),
            "kit_words": " ".join(Kit(world.kit_secrets[0]).words),
            "kit_key": Kit(world.kit_secrets[0]).key(world.install).hex(),
            "kit_entries": {path: data.hex() for path, data in world.custodians[0].kit_entries()},
        },
        "keys_object": keys[0].encode().hex(),
        "snapshot": statement.encode().hex(),
        "receipts": [receipt.encode().hex() for receipt in receipts],
        "request": request.encode().hex(),
        "answers": [custodian.release(request).encode().hex() for custodian in world.custodians],
    }
    world.close()
    return made


if __name__ == "__main__":
    every = {"normal": build("normal"), "high": build("high")}
    PATH.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")
