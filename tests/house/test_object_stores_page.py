"""The page on object stores: its policies can be read, and give the worker no right to delete."""

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "object-stores.md"


def policies() -> list[Any]:
    """Return every policy of the page, in its order."""
    found = re.findall("```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return [json.loads(text) for text in found]


def allowed(policy: Any) -> set[str]:
    """Return the actions that a policy allows."""
    found: set[str] = set()
    for statement in policy["Statement"]:
        if statement["Effect"] == "Allow":
            actions = statement["Action"]
            found |= {actions} if isinstance(actions, str) else set(actions)
    return found


def test_each_policy_can_be_read_and_says_whose_it_is() -> None:
    worker, janitor, seaweedfs = policies()
    assert allowed(worker) == {"s3:ListBucket", "s3:GetObject", "s3:PutObject"}
    assert allowed(janitor) == {"s3:ListBucket", "s3:GetObject", "s3:DeleteObject"}
    assert allowed(seaweedfs) == set()
    (put,) = [one for one in worker["Statement"] if one["Action"] == "s3:PutObject"]
    assert put["Condition"] == {"Null": {"s3:if-none-match": "false"}}


def test_what_was_not_tried_says_so() -> None:
    titles = re.findall("^## (.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    stores = ("AWS", "Google", "Azure", "Backblaze", "SeaweedFS")
    marked = {title.split()[0]: title for title in titles if title.startswith(stores)}
    assert marked.keys() == set(stores)
    for name, title in marked.items():
        assert title.endswith("(tried: 4.48)" if name == "SeaweedFS" else "(not tried)")
