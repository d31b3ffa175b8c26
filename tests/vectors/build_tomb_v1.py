"""Builds tomb-v1.json: two tombstones of one vault, byte for byte, with what they say.

Run from the repository's root: `python -m tests.vectors.build_tomb_v1`. Frozen: bytes that were
written once must stay readable, so an existing file is never built anew for a changed writer.
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from strongroom.vault import Vault, WorkerKeys
from strongroom.vault.tomb import BuriedSnapshot, Counts, Tomb

PATH = Path(__file__).with_name("tomb-v1.json")
KEYS = WorkerKeys(b"\x01" * 32, b"\x02" * 32, b"\x03" * 32)
PLACE = Vault.Place("11" * 16, "22" * 16, "33" * 16, "normal")
EARLIER = "44" * 16
"""A writer before a recovery."""


def tombs() -> list[Tomb]:
    """Return the tombstones: one with the end of an earlier writer's chain, one of orphans only."""
    at = datetime(2026, 11, 22, 21, 0, 0, 123456, tzinfo=UTC)
    own = KEYS.writer_id
    buried = (
        BuriedSnapshot(EARLIER, 3, "a1" * 32, "b1" * 32),
        BuriedSnapshot(own, 1, "a2" * 32, "b2" * 32),
        BuriedSnapshot(own, 2, "a3" * 32, "b3" * 32),
    )
    pack = "c0ffee" + "0" * 58
    objects = (
        "index/" + "b2" * 32,
        "keys/" + "d1" * 16,
        f"packs/c0/{pack}",
        f"receipts/{own}/00000001/" + "e1" * 16,
        f"snapshots/{EARLIER}/00000003",
        f"snapshots/{own}/00000001",
        f"snapshots/{own}/00000002",
    )
    ordered = tuple(sorted(buried, key=lambda one: (one.writer, one.sequence)))
    return [
        Tomb(
            *(own, 1, at, at + timedelta(hours=72), ordered, tuple(sorted(objects))),
            *(Counts(3, 7, 123_456), Counts(15, 140, 654_321)),
        ),
        Tomb(
            *(own, 2, at + timedelta(days=7), at + timedelta(days=10), (), (f"packs/c0/{pack}",)),
            *(Counts(0, 1, 99), Counts(15, 139, 654_222)),
        ),
    ]


def described(tomb: Tomb) -> dict[str, Any]:
    """Return a tombstone as the vector has it."""
    return {
        "key": tomb.key,
        "object": base64.b64encode(tomb.sign(PLACE, KEYS.writer_seed).encode()).decode(),
        "generation": tomb.generation,
        "created_at": tomb.created_at.isoformat(),
        "not_before": tomb.not_before.isoformat(),
        "snapshots": [[one.writer, one.sequence, one.hash, one.index] for one in tomb.snapshots],
        "objects": list(tomb.objects),
        "goes": tomb.goes.fields(),
        "stays": tomb.stays.fields(),
    }


if __name__ == "__main__":
    vectors = {
        "format": "vault-v1",
        "install": PLACE.install,
        "client": PLACE.client,
        "vault": PLACE.vault,
        "writer_public": KEYS.writer_public.hex(),
        "tombs": [described(tomb) for tomb in tombs()],
    }
    PATH.write_text(json.dumps(vectors, indent=1) + "\n", encoding="utf-8")
