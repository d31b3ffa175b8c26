"""Names of clients and keep policies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.clients import Client, Keep
from strongroom.errors import UsageError

NUMBERS = st.integers(0, 10_000)


@given(NUMBERS, NUMBERS, NUMBERS, st.integers(1, 10_000))
def test_keep_policy_is_read_as_it_is_written(
    daily: int, weekly: int, monthly: int, floor: int
) -> None:
    keep = Keep(daily, weekly, monthly, floor)
    assert Keep.parse(str(keep)) == keep


@pytest.mark.parametrize(
    ("text", "keep"),
    [("7d5w12m3f", Keep()), ("3d", Keep(daily=3)), ("0d0w0m1f", Keep(0, 0, 0, 1))],
)
def test_parts_left_out_keep_their_default(text: str, keep: Keep) -> None:
    assert Keep.parse(text) == keep


@pytest.mark.parametrize(
    "text",
    ["", "d", "7", "7x", "7d ", " 7d", "7d-1w", "0f", "10001d", "100000d", "7d,5w", "1e3d", "٣d"],
)
def test_bad_keep_policies_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Keep.parse(text)


@pytest.mark.parametrize("text", ["7d7d", "1d2d3d"])
def test_part_that_is_said_twice_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Keep.parse(text)


@pytest.mark.parametrize("name", ["a", "0", "acme", "a.b_c-d", "x" * 64])
def test_good_names(name: str) -> None:
    assert Client.check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-a", "_a", ".a", "A", "a b", "a/b", "a\n", "ä", "x" * 65, "a\0"]
)
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        Client.check_name(name)
