"""Intents: what is dangerous is announced, and the announcement witnessed, before it is done.

An act of class A leaves a trace that no one machine can take back: its intent is a leaf, durable
and cosigned by the quorum, before the act begins; where that cannot be had the act is refused. The
result is a second leaf that names the intent, so an intent without a result shows a crash.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

from strongroom.errors import Refused, StrongroomError
from strongroom.facts import Fact
from strongroom.operations.deployment import Deployment
from strongroom.operations.witnessing import OpenLog, Witnessed, have_witnessed


class Unwitnessed(Refused):
    """An act of class A that would leave no trace elsewhere."""

    code = "unwitnessed"
    hint = (
        "Nothing was done. Bring custodians back (`strongroom status` names those that do not "
        "answer, and why); if they are lost, make a new home from the kits: `strongroom recover`."
    )


@contextmanager
def announced(
    deployment: Deployment, log: OpenLog, intent: Fact, *, witnessed: bool = True
) -> Iterator[dict[str, Any]]:
    """Announce an act, and record at its end how it went; the caller fills in what it tells.

    With `witnessed` False the act comes to one that is, before anything leaves or changes.
    """
    if witnessed:
        intend(deployment, log, intent)
    else:
        log.record(intent)
    told: dict[str, Any] = {}
    try:
        yield told
    except BaseException as err:
        # What went wrong is what must be seen; that it cannot be recorded must not hide it.
        with suppress(StrongroomError):
            log.record(deployment.result(intent, *_ending(err)))
        raise
    log.record(deployment.result(intent, **told))


def _ending(err: BaseException) -> tuple[Literal["denied", "error"], str]:
    """Return how an act ended that raised this, and the code that says why."""
    if isinstance(err, StrongroomError):
        return ("denied" if isinstance(err, Refused) else "error"), err.code
    return "error", "interrupted" if isinstance(err, KeyboardInterrupt) else "failed"


def intend(deployment: Deployment, log: OpenLog, intent: Fact) -> None:
    """Record an intent, and have it witnessed by the quorum with all that was recorded before.

    Raises Unwitnessed, after recording that the act was denied, where too few custodians cosign.
    """
    log.record(intent)
    try:
        have_announced(deployment, log)
    except Unwitnessed:
        log.record(deployment.result(intent, "denied", Unwitnessed.code))
        raise


def have_announced(deployment: Deployment, log: OpenLog) -> Witnessed:
    """Have a log witnessed to its end, and return what shows it; raises Unwitnessed."""
    (found,) = have_witnessed(deployment, [log])
    if not found.enough:
        raise Unwitnessed(
            f"{found.cosigned} of {found.needed} custodians needed witnessed the announcement",
            found.reasons,
        )
    return found
