"""Writes redealt-v1.json: a session that was dealt anew, and then once more (share-v1).

Run as `python -m tests.vectors.build_redealt_v1`. A vector that was released is never edited. HPKE
draws its own chance, so keys objects differ from build to build; everything else repeats, and
`fixed` is what the test recomputes.
"""

import json
from pathlib import Path
from typing import Any

from strongroom.crypto import public_sealing
from strongroom.quorum import Dealing
from tests.quorum.world import World

PATH = Path(__file__).with_name("redealt-v1.json")
ROSTERS = ("4e" * 32, "5e" * 32)


def build() -> dict[str, Any]:
    """Return the vectors: one session of class high, its three rosters with other seeds each."""
    world = World(vault_class="high", seed="redealt-v1")
    seeds = [[world.token(public_sealing.SEED_BYTES) for _ in range(3)] for _ in range(3)]
    keys = [[public_sealing.public_key(seed) for seed in one] for one in seeds]
    world.client_keys = keys[0]
    dealt = world.deal()
    objects = [dealt.keys_object]
    for at, roster in enumerate(ROSTERS):
        former = Dealing.parse(objects[-1].statement)
        secrets = [
            former.secret(
                number,
                [
                    (one, former.open_own(number, one, seeds[at][one - 1], "it")[:32])
                    for one in (1, 2)
                ],
            )
            for number in (1, 2)
        ]
        objects.append(
            former.deal_anew(
                objects[-1], roster, secrets, (keys[at + 1], world.writer_seed), world.token
            )
        )
    made = {
        "fixed": {
            "writer": world.writer.hex(),
            "seeds": [[seed.hex() for seed in one] for one in seeds],
            "structure_key": world.structure_key.hex(),
            "content_keys": [dealt.inner.hex(), (dealt.outer or b"").hex()],
            "labels": [Dealing.parse(one.statement).label.to_json() for one in objects],
            "checks": [
                [part.check.hex() for part in Dealing.parse(one.statement).parts] for one in objects
            ],
        },
        "keys_objects": [one.encode().hex() for one in objects],
    }
    world.close()
    return made


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
