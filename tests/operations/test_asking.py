"""Asking custodians side by side: whoever answers is heard, whoever hangs is given up."""

import threading
from collections.abc import Callable, Iterator

import pytest

from strongroom.errors import Refused
from strongroom.operations.asking import Asking, CustodianLate
from strongroom.transport.link import PeerUnavailable

GENEROUS_SECONDS = 60.0


@pytest.fixture
def hanging() -> Iterator[Callable[[], int]]:
    """A question that is not answered before the test is over."""
    over = threading.Event()

    def hang() -> int:
        over.wait()
        return 0

    yield hang
    over.set()


def test_every_answer_is_yielded_with_its_custodian() -> None:
    found = {index: one.result() for index, one in Asking().each({1: lambda: 10, 3: lambda: 30})}
    assert found == {1: 10, 3: 30}


def test_nobody_is_asked_where_there_is_no_question() -> None:
    assert list(Asking().each({})) == []


def test_what_a_question_raises_is_raised_where_its_answer_is_looked_at() -> None:
    def refuse() -> int:
        raise Refused("no")

    def stumble() -> int:
        raise ZeroDivisionError

    found = dict(Asking().each({1: refuse, 2: stumble, 3: lambda: 3}))
    assert found[3].result() == 3
    with pytest.raises(Refused, match="no"):
        found[1].result()
    with pytest.raises(ZeroDivisionError):
        found[2].result()


def test_custodians_are_asked_at_the_same_time() -> None:
    """Each answers only when all have been asked: one after the other would never end."""
    together = threading.Barrier(3, timeout=GENEROUS_SECONDS)
    found = list(Asking().each(dict.fromkeys((1, 2, 3), together.wait)))
    assert sorted(one.result() for _, one in found) == [0, 1, 2]


def test_an_answer_is_heard_before_a_slower_one_has_come() -> None:
    heard = threading.Event()

    def slow() -> bool:
        return heard.wait(GENEROUS_SECONDS)

    for index, one in Asking().each({1: slow, 2: lambda: True}):
        assert one.result()
        if index == 2:
            heard.set()
    assert heard.is_set()


def test_a_custodian_that_hangs_is_given_up_and_left_alone(hanging: Callable[[], int]) -> None:
    asking = Asking(patience_seconds=0.05)
    ((index, late),) = asking.each({2: hanging})
    assert index == 2
    with pytest.raises(CustodianLate, match="custodian 2 does not answer"):
        late.result()
    asked = threading.Event()
    ((_, still),) = asking.each({2: asked.set})
    assert isinstance(still.exception(), CustodianLate)
    assert not asked.is_set()


def test_a_custodian_that_cannot_be_reached_is_not_tried_again() -> None:
    """Each try may take as long as the first, and a command has dozens of questions."""
    tried: list[int] = []

    def unreachable() -> int:
        tried.append(1)
        raise PeerUnavailable("custodian-2 does not answer", "not within 10 seconds")

    asking = Asking()
    for _ in range(3):
        found = dict(asking.each({1: lambda: 10, 2: unreachable}))
        assert found[1].result() == 10
        with pytest.raises(PeerUnavailable, match="not within 10 seconds"):
            found[2].result()
    assert tried == [1]
