"""Writes avowal-v1.json: a custodian's word that old shares still open (share-v1).

Run as `python -m tests.vectors.build_avowal_v1`. A vector that was released is never edited.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from strongroom.ids import ClientId, CustodianId, InstallId, SessionId, VaultId
from strongroom.quorum.avowal import Avowal
from strongroom.quorum.receipt import ReceiptedShare

PATH = Path(__file__).with_name("avowal-v1.json")
SEED = bytes([7]) * 32
AVOWAL = Avowal(
    install=InstallId("25" * 16),
    client=ClientId("11" * 16),
    vault=VaultId("22" * 16),
    custodian=CustodianId("c1" * 16),
    index=3,
    challenge="5c" * 32,
    proved_at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    shares=tuple(
        ReceiptedShare(SessionId("5e" * 16), number, "a1" * 32, f"b{number}" * 32, "c2" * 32)
        for number in (1, 2)
    ),
)


def build() -> dict[str, str]:
    """Return the vector; the same each time."""
    envelope = AVOWAL.sign(SEED)
    return {
        "seed": SEED.hex(),
        "header": envelope.statement.header.decode(),
        "envelope": envelope.encode().hex(),
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
