"""`ledger resume`: logs of a home that was put back go on.

A home that was put back from an older copy, or a second one made from it, does not know what was
recorded since: its logs only read. What the locations have of a log is taken where ours is the
beginning of it and nobody has seen more. Otherwise the old epoch rests as the others have it, and a
new one begins with what nobody else has. No shorter and no other tree is signed under the old name.
A location that does not answer now may have more than all others: it is waited for, by refusing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from strongroom.errors import Refused, StrongroomError
from strongroom.ledger import Checkpoint, Log, Policy
from strongroom.operations.deployment import Deployment
from strongroom.operations.find_logs import FoundLog, LogsAtLocations
from strongroom.operations.place_ledger import sealed_logs
from strongroom.operations.recover_ledger import begin_epoch
from strongroom.operations.sealed_logs import Lookout
from strongroom.operations.witnessing import OpenLog, what_was_seen

State = Literal["whole", "resumed", "new_epoch"]


@dataclass(frozen=True, slots=True)
class ResumedLog:
    """What became of one log: facts that came from the locations, and facts that are lost."""

    log: str
    state: State
    facts: int
    lost: int


class LocationAway(Refused):
    """A log that is behind cannot go on: who does not answer may have more of it."""

    code = "location_away"
    hint = (
        "Wait for it, or bring it back, and run the same again. Where it is lost for good: "
        "`strongroom ledger resume --without-absent`; what only it has is lost then."
    )


def resume_ledger(deployment: Deployment, *, without_absent: bool = False) -> list[ResumedLog]:
    """Look at every log, and let those that are behind or forked go on.

    Raises LocationAway for one that is, while a location does not answer, unless `without_absent`;
    LocationUnavailable where no location can be listed.
    """
    # What is told of it below is carried over; nothing is signed before all is done.
    deployment.registry.log.watch(_nobody)
    resumer = _Resumer(deployment, without_absent=without_absent)
    rows = [resumer.resume(OpenLog.of_server(deployment))]
    for client in deployment.registry.clients():
        with deployment.tools.history(client.id) as history:
            rows.append(resumer.resume(OpenLog.of_client(client, history)))
    return rows


class _Resumer:
    """Lets the logs of one home go on, one after the other."""

    def __init__(self, deployment: Deployment, *, without_absent: bool) -> None:
        self._deployment = deployment
        self._without_absent = without_absent
        self._sealed = sealed_logs(deployment)
        self._lookout = Lookout(
            what_was_seen(deployment.custodians, deployment.asking, lambda: self._sealed.keys),
            lambda: self._sealed,
            deployment.copies.locations,
        )
        listing = deployment.copies.list(f"{deployment.install}/ledger")
        self._logs = LogsAtLocations(deployment.copies, deployment.rosters, listing)

    def resume(self, one: OpenLog) -> ResumedLog:
        """Look at one log, and let it go on where it is not what was seen of it."""
        log = one.log
        epoch = log.epoch()
        seen = [] if epoch.origin is None else self._seen(one, epoch.origin)
        if not _is_behind(log, seen):
            return ResumedLog(one.name, "whole", 0, 0)
        found = self._find(one, epoch)
        self._check_answers(one)
        before = log.size()
        if found is not None and _begins_with(found, log):
            self._adopt(log, found)
            if not _is_behind(log, seen):
                log.watch(_nobody)
                facts = log.size() - before
                told = self._deployment.fact(
                    "ledger.resumed",
                    one.client or self._deployment.install,
                    client=one.client or "",
                    facts=facts,
                )
                one.record(told)
                return ResumedLog(one.name, "resumed", facts, 0)
        past = found
        greatest = max(checkpoint.size for _, checkpoint in seen)
        lost = max(0, greatest - (len(past.past.leaves) if past else 0))
        pasts = [] if past is None else [replace(past, lost=lost)]
        begin_epoch(self._deployment, log, pasts, one.client, "put_back")
        came = max(0, len(past.past.leaves) - before) if past else 0
        return ResumedLog(one.name, "new_epoch", came, lost)

    def _seen(self, one: OpenLog, origin: str) -> list[tuple[str, Checkpoint]]:
        return list(self._lookout.of(one.client)(origin, one.log.stretches.reached()))

    def _check_answers(self, one: OpenLog) -> None:
        """Raise LocationAway where a location did not open, list or read, unless it is given up."""
        away = {**self._deployment.absent_locations, **self._deployment.copies.failures}
        if away and not self._without_absent:
            name, err = next(iter(sorted(away.items())))
            raise LocationAway(
                f"{one.name} is behind, and location {name} does not answer", str(err)
            )

    def _find(self, one: OpenLog, epoch: Log.Epoch) -> FoundLog | None:
        """Return what the locations have of the epoch, or what we have where that is longer."""
        found: FoundLog | None = None
        if epoch.origin is not None:
            try:
                log_id = Log.stretch.log_of(epoch.origin)
                found = self._logs.read(log_id, self._sealed.parent(one.client))
                found.parse_facts()
            except StrongroomError:
                found = None
        own = self._own(one.log, epoch)
        if found is None or own is None:
            return found or own
        theirs, ours = found.past.leaves, own.past.leaves
        if len(ours) > len(theirs) and ours[: len(theirs)] == theirs:
            return replace(own, past=replace(own.past, placed=len(theirs)))
        return found

    def _own(self, log: Log, epoch: Log.Epoch) -> FoundLog | None:
        """Return the epoch up to the last checkpoint that was signed here, as none has it."""
        signed = log.checkpoint()
        if signed is None or epoch.vkey is None:
            return None
        key = Checkpoint.Key.parse(epoch.vkey)
        named = {str(number): witness for number, witness in enumerate(signed.witnesses)}
        verdict = Policy.of([key], named, 0).check(signed.note)
        leaves = tuple(log.leaves(0, signed.size))
        past = Log.Past(key.name, key, leaves, signed.note, signed.witnesses, 0)
        return FoundLog(past, verdict.checkpoint, len(verdict.cosigned), 0, "", frozenset())

    def _adopt(self, log: Log, found: FoundLog) -> None:
        facts = found.parse_facts()[log.size() :]
        if facts:
            past, now = found.past, self._deployment.tools.clock.now()
            log.adopt(facts, past.note, past.witnesses, now)


def _nobody(_origin: str, _placed: int) -> Iterable[tuple[str, Checkpoint]]:
    return ()


def _is_behind(log: Log, seen: Iterable[tuple[str, Checkpoint]]) -> bool:
    try:
        for by, checkpoint in seen:
            log.check_seen(checkpoint, by)
    except (Log.Behind, Log.Forked):
        return True
    return False


def _begins_with(found: FoundLog, log: Log) -> bool:
    """Tell whether a log is the beginning of what was found of it."""
    ours = tuple(log.leaves(0, log.size()))
    return tuple(found.past.leaves[: len(ours)]) == ours
