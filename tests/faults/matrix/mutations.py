"""Products that are wrong on purpose, as a careless commit would make them: the test of the test.

Each breaks one rule of order or of counting that all else relies on. The matrix must fail on each.
"""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from strongroom.clients import History
from strongroom.crypto.envelope import Envelope
from strongroom.locations import Copies
from strongroom.locations.copies import Data
from strongroom.operations import back_up, prune
from strongroom.operations.back_up import _commit
from strongroom.operations.deployment import Deployment
from strongroom.operations.scrub import _Walk
from tests.faults.matrix.world import Change
from tests.support.misbehaving_location import Fault


class LatePacks(Copies):
    """Puts packs after the snapshot's record."""

    def put_async(self, key: str, data: Data) -> Future[None]:
        if "/packs/" in key:
            self._late = [*getattr(self, "_late", []), (key, bytes(data))]
            told: Future[None] = Future()
            told.set_result(None)
            return told
        outcome = super().put_async(key, data)
        if "/snapshots/" in key:
            outcome.result()
            for late, held in getattr(self, "_late", []):
                super().put_async(late, held).result()
            self._late = []
        return outcome


class OneCopy(Copies):
    """Takes an object for stored as soon as one location holds it."""

    @property
    def required(self) -> int:
        return 1


def place_then_commit(
    run: Any, header: Any, record: Envelope, totals: Any, commit: Callable[..., None] = _commit
) -> None:
    """Place the record before the home has a row of it."""
    client, deployment = run.client, run.deployment
    place = f"{deployment.install}/vaults/{client.vault}/snapshots/{header.writer}"
    deployment.copies.put(f"{place}/{header.sequence:08d}", record.encode())
    commit(run, header, record, totals)


def note_then_look(walk: Any, name: str, key: str, look: Callable[..., None] = _Walk._look) -> None:
    """Note a copy as read before it is."""
    note = History.CopyNote(name, key, "sound", walk._clock.now())
    walk._history.copies.write([note])
    look(walk, name, key)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One wrong product: a deployment that is changed, or code that is replaced."""

    change: Change | None = None
    patch: Callable[[pytest.MonkeyPatch], None] = lambda _: None
    command: str = "backup"
    """The command at whose storage calls it shows."""
    fault: Fault = Fault.DIE_AFTER
    """The fault by which it shows soonest."""


def _with(copies: type[Copies]) -> Change:
    def change(deployment: Deployment) -> Deployment:
        return replace(deployment, copies=copies(deployment.copies.locations))

    return change


MUTATIONS: Final = {
    "the record is placed before the packs": Mutation(_with(LatePacks)),
    "one copy is enough": Mutation(_with(OneCopy), fault=Fault.FAIL_BEFORE),
    "what goes is deleted before its tombstone is placed": Mutation(
        patch=lambda patch: patch.setattr(prune, "place_tombs", lambda *_: None), command="prune"
    ),
    "the record is placed before the home knows of it": Mutation(
        patch=lambda patch: patch.setattr(back_up, "_commit", place_then_commit)
    ),
    "a copy counts as scrubbed before it was read": Mutation(
        patch=lambda patch: patch.setattr(_Walk, "_look", note_then_look),
        command="scrub",
        fault=Fault.DIE_BEFORE,
    ),
}
