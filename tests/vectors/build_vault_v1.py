"""Builds vault-v1.json: small vaults of both classes, byte for byte, with everything to read them.

Run from the repository's root: `python -m tests.vectors.build_vault_v1`. Frozen: bytes that were
written once must stay readable, so an existing file is never built anew for a changed writer.
"""

import base64
import json
from pathlib import Path
from typing import Any

from strongroom.vault import Entry
from tests.support.vault_fixtures import ListSource, TestVault

PATH = Path(__file__).with_name("vault-v1.json")
ENTRIES = [
    Entry(b"", "directory", 0, 0o755, 1_700_000_000_000_000_000, 1000, 1000),
    Entry(b"caf\xe9", "directory", 0, 0o700, -1),
    Entry(b"link", "symlink", 0, 0o777, 5, 1, 2, b"caf\xe9/\xff"),
    Entry(b"fifo", "special", 0, 0o600),
]
FILES: list[dict[bytes, bytes | None]] = [
    {b"caf\xe9/numbers": b"".join(b"%d," % n for n in range(5_000)), b"empty": b""},
    {b"caf\xe9/numbers": b"".join(b"%d," % n for n in range(5_200)), b"short": b"hello"},
]


def build(vault_class: str) -> dict[str, Any]:
    """Return one vault with two snapshots; the second builds on the first."""
    vault = TestVault(vault_class, seed=1)
    snapshots = []
    for files in FILES:
        written = vault.write({"s": ListSource(dict(files), list(ENTRIES))})
        snapshots.append(
            {
                "sequence": written.sequence,
                "index": written.index_hash,
                "sessions": list(written.sessions),
                "body": text(written.body),
                "files": {
                    path.decode("latin-1"): text(data or b"") for path, data in files.items()
                },
            }
        )
    return {
        "class": vault_class,
        "install": vault.place.install,
        "client": vault.place.client,
        "vault": vault.place.vault,
        "dedup": vault.worker.dedup.hex(),
        "structure": vault.worker.structure.hex(),
        "writer_seed": vault.worker.writer_seed.hex(),
        "writer_public": vault.worker.writer_public.hex(),
        "keys": {
            session: {"inner": keys.inner.hex(), "outer": keys.outer.hex() if keys.outer else None}
            for session, keys in vault.keys.items()
        },
        "objects": {key: text(data) for key, data in vault.locations["a"].objects.items()},
        "snapshots": snapshots,
    }


def text(data: bytes) -> str:
    """Return standard base64."""
    return base64.b64encode(data).decode()


if __name__ == "__main__":
    vectors = {"format": "vault-v1", "vaults": [build("normal"), build("high")]}
    PATH.write_text(json.dumps(vectors, indent=1) + "\n", encoding="utf-8")
