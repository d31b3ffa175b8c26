"""Asking custodians side by side: none waits for another, and none is waited for without end.

A custodian is another machine, and a machine may hang. Each question runs in a thread of its own;
who has not answered when nobody else is left to answer is given up, and is asked nothing more
until the next command; so is who could not be reached. What one that was given up still does
changes nothing here: every question may be asked again, and the answer is the same.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Final, TypeVar

from strongroom.errors import StrongroomError, Unavailable

PATIENCE_SECONDS: Final = 30.0
"""How long to wait when no custodian answers; a connection gives up sooner, with a reason."""

T = TypeVar("T")


class CustodianLate(StrongroomError):
    """A custodian that was asked and did not answer in time."""

    code = "custodian_late"
    hint = "The next command asks it again. See how it does on its own machine."


class Asking:
    """Asks custodians, and remembers who does not answer. Safe to use from several threads."""

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Take how long to wait after each answer for the next one."""
        self._patience_seconds = patience_seconds
        self._silent: dict[int, StrongroomError] = {}

    def each(self, questions: Mapping[int, Callable[[], T]]) -> Iterator[tuple[int, Future[T]]]:
        """Ask custodians, by their index, and yield each outcome as it comes.

        `result` of an outcome does not wait; it raises what the question raised, and CustodianLate
        for a custodian that is given up. One that did not answer an earlier question of this
        command, late or not to be reached, is not asked, and its error is raised again.
        """
        begun: dict[Future[T], int] = {}
        for index, question in questions.items():
            silent = self._silent.get(index)
            if silent is not None:
                yield index, _failed(silent)
            else:
                begun[_begin(f"custodian-{index}", question)] = index
        while begun:
            answered, _ = wait(begun, self._patience_seconds, FIRST_COMPLETED)
            for outcome in sorted(answered, key=begun.__getitem__):
                index = begun.pop(outcome)
                failure = outcome.exception()
                if isinstance(failure, Unavailable):
                    # Each further question would wait as long for nothing.
                    self._silent[index] = failure
                yield index, outcome
            if not answered:
                break
        for index in begun.values():
            late = CustodianLate(
                f"custodian {index} does not answer",
                f"nothing came for {self._patience_seconds:g} seconds",
            )
            self._silent[index] = late
            yield index, _failed(late)


def _begin(name: str, question: Callable[[], T]) -> Future[T]:
    """Answer a question in a thread that the end of the program does not wait for."""
    outcome: Future[T] = Future()

    def answer() -> None:
        try:
            outcome.set_result(question())
        except BaseException as err:  # noqa: BLE001 - raised again by whoever looks at the answer
            outcome.set_exception(err)

    threading.Thread(target=answer, name=name, daemon=True).start()
    return outcome


def _failed(err: StrongroomError) -> Future[T]:
    outcome: Future[T] = Future()
    outcome.set_exception(err)
    return outcome
