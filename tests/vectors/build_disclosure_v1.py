"""Builds disclosure-v1.json: private values with their salts, and the commitments in the leaves.

Run from the repository's root: `python -m tests.vectors.build_disclosure_v1`. Frozen: a commitment
that stands in a leaf must stay checkable, so an existing file is never built anew.
"""

import json
from pathlib import Path

from strongroom.ledger.disclosure import Disclosure

PATH = Path(__file__).with_name("disclosure-v1.json")
CASES = (
    Disclosure("0193" + "11" * 14, "name", bytes(16), "ann@example.org"),
    Disclosure("0193" + "22" * 14, "url", bytes(range(16)), "file:///srv/größe/one%20two"),
    Disclosure("0193" + "33" * 14, "host", b"\xff" * 16, ""),
    Disclosure("0193" + "44" * 14, "login", bytes(range(16, 32)), 'a"b\\c\n\u2028'),
)


def build() -> dict[str, object]:
    """Return what is written."""
    return {
        "commitments": [
            {
                "fact": one.fact,
                "field": one.field,
                "salt": one.salt.hex(),
                "value": one.value,
                "commitment": one.commitment,
            }
            for one in CASES
        ]
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
