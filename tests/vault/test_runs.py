"""Runs join as they grow, survive bytes, and foreign ones are checked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import Damaged
from strongroom.vault.runs import Runs, read_runs

PLACES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=40)


def expand(runs: Runs) -> list[tuple[int, int]]:
    return [(segment, at) for segment, first, n in runs for at in range(first, first + n)]


@given(PLACES, PLACES)
def test_runs_are_the_chunks_in_order(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    one, two = Runs(), Runs()
    for place in left:
        one.add(*place)
    for place in right:
        two.add(*place)
    one.extend(two)
    assert expand(one) == left + right
    assert expand(Runs.decode(one.encode())) == left + right


def test_neighbours_join() -> None:
    runs = Runs()
    for at in range(5):
        runs.add(7, at)
    more = Runs([7, 5, 2])
    runs.extend(more)
    assert list(runs) == [(7, 0, 7)]


def test_foreign_runs() -> None:
    assert read_runs([0, 0, 8192, 1, 8191, 1], 2, "x") == ((0, 0, 8192), (1, 8191, 1))


@pytest.mark.parametrize(
    "flat", [[0], [0, 0], [2, 0, 1], [-1, 0, 1], [0, -1, 1], [0, 8192, 1], [0, 0, 0], [0, 1, 8192]]
)
def test_malformed_runs_are_damaged(flat: list[int]) -> None:
    with pytest.raises(Damaged, match="runs"):
        read_runs(flat, 2, "x")
