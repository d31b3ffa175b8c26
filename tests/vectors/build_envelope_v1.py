"""Writes envelope-v1.json: signed objects with their parts, statements and hashes.

Run as `python -m tests.vectors.build_envelope_v1`. A vector that was released is never edited.
"""

import json
from pathlib import Path
from typing import Any

from strongroom.crypto import signing
from strongroom.crypto.envelope import sign_envelope

PATH = Path(__file__).with_name("envelope-v1.json")
SEED = bytes(range(32))


def build() -> dict[str, Any]:
    """Return the vectors; the same each time."""
    cases: tuple[tuple[str, dict[str, Any], bytes], ...] = (
        ("empty", {}, b""),
        ("receipt", {"sequence": 1, "format": "share-v1", "shares": []}, b""),
        ("snapshot", {"é": ["\u20ac", None, True, -7], "a": {"z": 1, "b": 2}}, bytes(range(256))),
    )
    objects = []
    for kind, fields, body in cases:
        envelope = sign_envelope(SEED, kind, fields, body)
        statement = envelope.statement
        objects.append(
            {
                "type": kind,
                "header": statement.header.decode(),
                "body": body.hex(),
                "body_hash": statement.body_hash.hex(),
                "signature": statement.signature.hex(),
                "hash": statement.hash.hex(),
                "statement": statement.encode().hex(),
                "object": envelope.encode().hex(),
            }
        )
    return {"seed": SEED.hex(), "public": signing.public_key(SEED).hex(), "objects": objects}


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
