"""Full copies as a placement: every location holds the same, and any other one gives it back."""

from collections.abc import Iterator

import pytest

from strongroom.errors import Damaged
from strongroom.locations import Copies, ObjectMissing
from strongroom.placement import FullCopies, Holding, Placement
from tests.support.memory_location import MemoryLocation

KEY = "vaults/v/packs/aa/object"
DATA = b"sealed bytes of an object"


def judge(data: bytes) -> None:
    if data != DATA:
        raise Damaged("other bytes", "the test compared them")


@pytest.fixture
def places() -> dict[str, MemoryLocation]:
    return {name: MemoryLocation(name) for name in ("a", "b", "c")}


@pytest.fixture
def placement(places: dict[str, MemoryLocation]) -> Iterator[Placement]:
    with Copies(places) as copies:
        yield FullCopies(copies)


def test_what_is_put_lies_at_every_location_as_its_holding_says(
    placement: Placement, places: dict[str, MemoryLocation]
) -> None:
    placement.put_async(KEY, DATA).result()
    holdings = placement.holdings(KEY, len(DATA), judge)
    assert dict(holdings) == dict.fromkeys("abc", Holding(KEY, len(DATA), judge))
    for name, holding in holdings.items():
        holding.judge(places[name].get(holding.key))
    assert placement.object_of(KEY) == KEY
    assert placement.needed == 1
    assert placement.get(KEY, lambda _: None, 7, 5) == DATA[7:12]


def test_a_holding_is_made_again_from_the_others_alone(
    placement: Placement, places: dict[str, MemoryLocation]
) -> None:
    places["a"].put(KEY, DATA)
    with pytest.raises(ObjectMissing):
        placement.remake("a", KEY, len(DATA), judge)
    places["b"].put(KEY, b"other")
    with pytest.raises(Damaged):
        placement.remake("a", KEY, len(DATA), judge)
    places["c"].put(KEY, DATA)
    assert placement.remake("a", KEY, len(DATA), judge) == DATA


def test_one_location_alone_cannot_be_mended() -> None:
    with Copies({"a": MemoryLocation()}) as copies:
        FullCopies(copies).put_async(KEY, DATA).result()
        with pytest.raises(ObjectMissing, match="no location"):
            FullCopies(copies).remake("a", KEY, len(DATA), judge)


def test_what_is_sent_counts_locations_that_answer(placement: Placement) -> None:
    assert placement.sent_bytes(10) == 30
