"""What was written is read for ever: tests/vectors/fact-v1.json."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from strongroom.facts import Fact
from tests.vectors import build_fact_v1

FROZEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "fact-v1.json").read_text("utf-8")
)


@pytest.mark.parametrize("text", FROZEN["facts"])
def test_frozen_facts_are_read_and_written_as_they_are(text: str) -> None:
    assert Fact.parse(text.encode()).encode().decode() == text


def test_facts_are_made_as_they_were() -> None:
    made = [re.sub(r'"version":"[^"]*"', "", fact) for fact in build_fact_v1.build()["facts"]]
    assert made == [re.sub(r'"version":"[^"]*"', "", fact) for fact in FROZEN["facts"]]


@pytest.mark.parametrize("case", FROZEN["rows"], ids=lambda case: str(case["row"]["kind"]))
def test_rows_from_before_become_the_same_facts(case: dict[str, Any]) -> None:
    row = case["row"]
    columns = ("number", "kind", "subject", "actor", "at", "body")
    assert Fact.of_row(*(row[name] for name in columns)).encode().decode() == case["fact"]
