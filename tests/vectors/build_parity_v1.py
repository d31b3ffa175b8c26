"""Builds parity-v1.json: packs, and the shards they are cut into.

Run from the repository's root: `python -m tests.vectors.build_parity_v1`. Frozen: shards that were
written once must stay readable, and new ones go into the file beside them.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from strongroom.adapters.parity.raid6 import Raid6
from strongroom.crypto.hashing import content_hash
from strongroom.locations import Copies
from strongroom.placement import Parity, Shards, place_id
from tests.support.memory_location import MemoryLocation

PATH = Path(__file__).with_name("parity-v1.json")
STRUCTURE = bytes(range(32))
CASES = [(2, 1, 64), (2, 2, 101), (3, 1, 7), (5, 2, 640), (30, 2, 10)]


def build() -> dict[str, Any]:
    """Return the document."""
    return {"structure": STRUCTURE.hex(), "packs": [case(*one) for one in CASES]}


def case(data: int, parity: int, size: int) -> dict[str, Any]:
    """Return one pack with all of its shards, by index."""
    pack = hashlib.shake_256(f"pack of {size}".encode()).digest(size)
    places = {f"{number:02d}": MemoryLocation(f"{number:02d}") for number in range(data + parity)}
    ids = [place_id(STRUCTURE, one.url) for one in places.values()]
    key = f"packs/{content_hash(pack).hex()[:2]}/{content_hash(pack).hex()}"
    with Copies(places) as copies:
        made = Parity.over(ids, parity)
        Shards(copies, made, STRUCTURE, Raid6()).put_async(key, pack).result()
    return {
        "parity": made.encode(),
        "urls": [one.url for one in places.values()],
        "pack": pack.hex(),
        "id": content_hash(pack).hex(),
        "shards": [next(iter(one.objects.values())).hex() for one in places.values()],
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
