"""Placing the logs: what was signed since the last time goes, sealed, to every location.

One object for each log, written once; those of several logs are under way together. What one
command could not place the next one does, with the same bytes: so a location that does not answer
is given up in seconds, and one that failed in this command is not asked. Nothing is deleted or
written over.
docs/life-of/a-fact.md.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from strongroom.crypto.sealing import SALT_BYTES
from strongroom.errors import StrongroomError
from strongroom.ledger import Log
from strongroom.locations import Copies, LocationUnavailable, ObjectExists
from strongroom.operations.deployment import Deployment
from strongroom.operations.sealed_logs import SealedLogs, in_haste
from strongroom.operations.witnessing import OpenLog


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A stretch that is being put."""

    log: OpenLog
    waiting: Log.Waiting
    key: str
    put: "Future[None]"


class Placing:
    """Places logs, begun now and finished later; `problems` says by its name why one is not.

    A log of which a location has leaves that are not ours is behind or forked, and stays as it is.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.problems: dict[str, StrongroomError] = {}
        self._deployment = deployment
        self._under_way: list[_UnderWay] = []
        copies = deployment.copies
        self._copies = Copies(in_haste(copies.locations), copies.failures)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the threads back."""
        self._copies.close()

    def begin(self, logs: Sequence[OpenLog]) -> None:
        """Begin to put what is signed of these logs; they stay open until `finish`."""
        cards = tuple(self._deployment.registry.witness_cards().values()) if logs else ()
        for one in logs:
            try:
                waiting = self._next(one, cards)
            except StrongroomError as err:
                self.problems[one.name] = err
                continue
            if waiting is not None:
                log = Log.stretch.log_of(waiting.origin)
                key = Log.stretch.stretch_key(self._deployment.install, log, waiting.start)
                put = self._copies.put_async(key, waiting.data)
                self._under_way.append(_UnderWay(one, waiting, key, put))

    def finish(self) -> None:
        """Wait for what was begun, and put what is left where a log has more than one object."""
        while self._under_way:
            under_way, self._under_way = self._under_way, []
            done: list[OpenLog] = []
            for one in under_way:
                try:
                    self._note(one)
                except StrongroomError as err:
                    self.problems[one.log.name] = err
                else:
                    done.append(one.log)
            self.begin(done)

    def _next(self, one: OpenLog, cards: tuple[bytes, ...]) -> Log.Waiting | None:
        def make(cut: Log.Cut) -> bytes:
            salt = self._deployment.tools.token(SALT_BYTES)
            return sealed_logs(self._deployment).seal(one.client, cut, cards, salt)

        return one.log.stretches.next(make)

    def _note(self, one: _UnderWay) -> None:
        """Note a stretch as placed when enough locations hold it, and none has other leaves.

        What somebody else has put under its name at one location stops nothing.
        """
        failure: StrongroomError | None = None
        try:
            one.put.result()
        except StrongroomError as err:
            failure = err
        copies = self._copies
        others = {name: copies.locations[name] for name, at, _ in copies.damages if at == one.key}
        log, waiting = one.log, one.waiting
        if others:
            sealed = sealed_logs(self._deployment)
            for by, seen in sealed.seen(others, log.client, waiting.origin, waiting.start):
                log.log.check_seen(seen, by)
        if failure is not None:
            raise failure
        for location in in_haste(self._deployment.added).values():
            # What does not get there now is brought by `vault repair`.
            with suppress(LocationUnavailable, ObjectExists):
                location.put(one.key, waiting.data)
        log.log.stretches.placed(waiting)


def sealed_logs(deployment: Deployment) -> SealedLogs:
    """Return under which keys the logs of a home lie at the locations."""
    tools = deployment.tools
    return SealedLogs.of(deployment.install, tools.secrets, tools.token)
