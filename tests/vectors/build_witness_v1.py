"""Writes witness-v1.json: a witness card, and requests to a witness with its answers, in order.

Run as `python -m tests.vectors.build_witness_v1`. A vector that was released is never edited.
"""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto import signing
from strongroom.ids import CustodianId, InstallId
from strongroom.quorum.witness_card import WitnessCard
from tests.ledger.seat import LOG_SEED, ORIGIN, START, WITNESS_SEED, Seat, Tree, log_key

PATH = Path(__file__).with_name("witness-v1.json")
IDENTITY_SEED = bytes([4]) * 32


def build() -> dict[str, Any]:
    """Return the vectors; the same each time."""
    card = WitnessCard(
        InstallId("25" * 16),
        CustodianId("c1" * 16),
        1,
        signing.public_key(WITNESS_SEED),
        START,
    )
    tree, other = Tree().grow(300), Tree("another ").grow(300)
    with closing(open_sqlite(None)) as database:
        seat = Seat(database)
        asked = [tree.request(0, 0)]
        seat.answer(asked[0])
        seat.register()
        asked += [
            tree.request(0, 0),
            tree.request(0, 200),
            tree.request(0, 300),
            tree.request(200, 300),
            tree.request(300, 300),
            b"old 300\n\n" + other.note(300),
            b"old 300\n\n" + tree.note(300, bytes([9]) * 32),
            b"old 301\n\n" + tree.note(300),
            b"old 0300\n\n" + tree.note(300),
        ]
        answers = [(404, "text/plain; charset=utf-8", b"the log is unknown here\n")]
        answers += [seat.answer(one) for one in asked[1:]]
        monitored = seat.witness.monitor(seat.journal[0][1])
    return {
        "identity_seed": IDENTITY_SEED.hex(),
        "card": card.sign(IDENTITY_SEED).encode().hex(),
        "card_key": str(card.key),
        "origin": ORIGIN,
        "log_seed": LOG_SEED.hex(),
        "log_key": str(log_key()),
        "witness_seed": WITNESS_SEED.hex(),
        "witness_key": str(seat.witness.key),
        "entries": "0 to 299, in ASCII; those of the fork `another 0` to `another 299`",
        "rounds": [
            {"request": request.decode(), "status": status, "type": kind, "body": body.decode()}
            for request, (status, kind, body) in zip(asked, answers, strict=True)
        ],
        "monitored": monitored.body.decode(),
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
