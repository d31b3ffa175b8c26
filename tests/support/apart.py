"""Runs an action in a process of its own, which may be killed: nothing cleans up after a death."""

import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from strongroom.errors import StrongroomError

HANG_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process ended: with a result, with an error of ours, killed, or with a bug."""

    result: Any = None
    error: StrongroomError | None = None
    died: bool = False
    bug: str = ""
    told: list[str] = field(default_factory=list)
    """What the action told before it ended."""


def apart(action: Callable[[Callable[[str], None]], Any]) -> Ended:
    """Run the action, which gets something to tell with and may kill its own process."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn of forks beside threads; only the thread of a test runner is there.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _act(action, reading, writing)
    os.close(writing)
    told: list[str] = []
    last: tuple[str, Any] = ("died", None)
    with os.fdopen(reading, "rb") as pipe:
        while (found := _next(pipe)) is not None:
            if found[0] == "told":
                told.append(found[1])
            else:
                last = found
    _, status = os.waitpid(child, 0)
    kind, value = last
    if kind == "died" and os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        kind, value = "bug", f"it ended with wait status {status}, or hung"
    return Ended(
        value if kind == "result" else None,
        value if kind == "error" else None,
        kind == "died",
        value if kind == "bug" else "",
        told,
    )


def _act(action: Callable[[Callable[[str], None]], Any], reading: int, writing: int) -> None:
    """Run it and leave by the shortest way: nothing of the test runner may run here."""
    os.close(reading)
    signal.alarm(HANG_SECONDS)

    def send(kind: str, value: Any) -> None:
        # One write of less than a pipe's atomic size: threads do not mix what they tell.
        os.write(writing, pickle.dumps((kind, value)))

    try:
        send("result", action(lambda text: send("told", text)))
    except StrongroomError as err:
        send("error", StrongroomError(f"{type(err).__name__}: {err.what}", err.why, err.hint))
    except BaseException:  # noqa: BLE001  # whatever it is, the parent must hear of it
        send("bug", traceback.format_exc()[-3000:])
    finally:
        os._exit(0)


def _next(pipe: Any) -> tuple[str, Any] | None:
    try:
        found: tuple[str, Any] = pickle.load(pipe)  # noqa: S301  # our own child wrote it
    except EOFError:
        return None
    return found
