"""Custodians are called separate where their machines say so, never where marks are equal."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from strongroom.clients import Registry
from strongroom.operations.look_at_custodians import Distribution, compare_marks

HERE = ("1" * 64, "2" * 64)
ELSEWHERE = {index: (str(index) * 64, f"{index}0" * 32) for index in (3, 4, 5)}
NOWHERE = ("", "")
NAMES = {1: "anna", 2: "ben", 3: "carl"}


def seen(marks: Mapping[int, tuple[str, str]]) -> Distribution:
    """Look at custodians that are elsewhere, on machines with these marks."""
    joined = datetime(2026, 1, 2, tzinfo=UTC)
    places = {
        index: Registry.CustodianPlace(index, f"https://c{index}.example:7443", b"", *mark, joined)
        for index, mark in marks.items()
    }
    return compare_marks(NAMES, places, HERE)


def test_embedded_custodians_are_not_distributed() -> None:
    found = seen({})
    assert set(found.runs.values()) == {"on this machine"}
    assert set(found.parted.values()) == {"not distributed"}
    assert found.degraded == [
        "DEGRADED: the custodians run on this machine; pieces on one machine are together"
    ]


def test_three_machines_are_declared_separate() -> None:
    found = seen({1: ELSEWHERE[3], 2: ELSEWHERE[4], 3: ELSEWHERE[5]})
    assert found.runs[2] == "https://c2.example:7443"
    assert found.parted == dict.fromkeys((1, 2, 3), "declared separate")
    assert found.degraded == []


@pytest.mark.parametrize("part", [0, 1])
def test_an_equal_machine_or_boot_is_one_machine(part: int) -> None:
    third, fourth = list(ELSEWHERE[3]), list(ELSEWHERE[4])
    fourth[part] = third[part]
    found = seen({1: ELSEWHERE[3], 2: (fourth[0], fourth[1]), 3: ELSEWHERE[5]})
    assert found.parted == {1: "not distributed", 2: "not distributed", 3: "declared separate"}
    (sentence,) = found.degraded
    assert sentence.startswith("DEGRADED: custodians anna, ben run on one machine;")


def test_one_on_the_machine_of_this_home_is_together_with_it() -> None:
    found = seen({1: HERE, 2: ELSEWHERE[4], 3: ELSEWHERE[5]})
    assert found.parted == {1: "not distributed", 2: "declared separate", 3: "declared separate"}
    assert found.degraded == [
        "DEGRADED: custodian anna runs on this machine; pieces on one machine are together"
    ]


def test_one_of_this_home_has_its_marks() -> None:
    found = seen({1: HERE, 2: ELSEWHERE[4]})
    assert found.runs[3] == "on this machine"
    assert found.parted == {1: "not distributed", 2: "declared separate", 3: "not distributed"}


def test_what_nobody_can_see_is_unknown_and_never_fine() -> None:
    found = seen({1: NOWHERE, 2: NOWHERE, 3: ELSEWHERE[5]})
    assert found.parted == {1: "unknown", 2: "unknown", 3: "declared separate"}
    assert found.degraded == ["DEGRADED: custodians anna, ben run on a machine that is unknown"]
