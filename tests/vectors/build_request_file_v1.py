"""Writes request-file-v1.json: a request with its plan and policy, as it travels to an approver.

Run as `python -m tests.vectors.build_request_file_v1`. A vector that was released is never edited.
"""

import json
from pathlib import Path
from typing import Any

from strongroom.procedures import check_words
from tests.procedures.world import World

PATH = Path(__file__).with_name("request-file-v1.json")


def build() -> dict[str, Any]:
    """Return the vectors; the same each time."""
    parcel = World().parcel()
    digest = parcel.request.digest
    return {
        "request": parcel.request.encode().decode(),
        "request_digest": digest,
        "words": list(check_words(digest)),
        "plan": list(parcel.plan.lines),
        "plan_digest": parcel.plan.digest,
        "policy": parcel.policy.encode().hex(),
        "file": parcel.encode().hex(),
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
