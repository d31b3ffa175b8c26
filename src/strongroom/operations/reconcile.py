"""Reconciling: what custodians wrote down of what they did, against what the ledger tells.

A custodian journals a release before it answers, and the ledger announces an opening before anybody
is asked. So whoever opens keys without a trace here leaves one there, unless every custodian that
answered hides it; and an opening that no custodian remembers tells of one that was put back. What
could not be looked at is told apart from what was found in order.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from strongroom.clients import Client, History
from strongroom.clock import format_instant
from strongroom.errors import StrongroomError
from strongroom.facts import Fact
from strongroom.ledger import Log
from strongroom.operations.deployment import Deployment
from strongroom.operations.journals import (
    EXIT_CODES,
    ID_SHOWN,
    Finding,
    Journal,
    State,
    read_journals,
    who,
)
from strongroom.operations.look_at_policies import Behind, behind
from strongroom.operations.reconcile_changes import Changes
from strongroom.operations.reconcile_redeals import Redealings, of_strangers
from strongroom.operations.verify_ledger import judge_log
from strongroom.operations.witnessing import Witnesses
from strongroom.quorum import SnapshotHeader


@dataclass(frozen=True, slots=True)
class LogReconciled:
    """How a log agrees with the journals; the counts are of what was compared."""

    log: str
    openings: int = 0
    backups: int = 0
    releases: int = 0
    receipts: int = 0
    findings: Sequence[Finding] = ()

    @property
    def state(self) -> State:
        """Return the worst of what was found."""
        states: list[State] = [one.state for one in self.findings]
        return max(states, key=EXIT_CODES.__getitem__, default="agreed")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The logs that were compared, and with what."""

    logs: Sequence[LogReconciled]
    journals: Sequence[Journal]
    others: Sequence[Behind]
    """The custodians that follow another team policy than this home."""
    notes: Sequence[str]
    """What no log tells of, and a recovery has replaced since."""

    @property
    def state(self) -> State:
        """Return the worst of all logs, or a split where somebody follows an unknown policy."""
        states: list[State] = [one.state for one in self.logs]
        states += ["split" for one in self.others if one.state == "unknown"]
        return max(states, key=EXIT_CODES.__getitem__, default="agreed")

    @property
    def findings(self) -> list[Finding]:
        """Return everything that was found."""
        return [finding for log in self.logs for finding in log.findings]


@dataclass(frozen=True, slots=True)
class _Opening:
    """An announcement that keys are to be opened."""

    request: str
    snapshot: str
    at: datetime
    witnessed: bool


def reconcile(deployment: Deployment) -> Reconciliation:
    """Compare every client's log with the journals of all custodians that answer; tell of it."""
    # Whatever is done from here on may be in a log and not yet in what was read of the journals.
    now = deployment.tools.clock.now()
    journals = read_journals(deployment)
    redealings = Redealings.known(deployment, journals)
    clients = deployment.registry.clients()
    witnesses = Witnesses.known(deployment)
    logs: list[LogReconciled] = []
    opened: set[str] = set()
    for client in clients:
        with deployment.tools.history(client.id) as history:
            verdict = judge_log(deployment, client.name, history.log, witnesses)
            comparison = _Comparison(deployment, client, history, journals, redealings, now)
            if verdict.state in ("stale", "split", "damaged"):
                comparison.findings.append(Finding(verdict.state, verdict.why))
            # A log of which a byte is wrong tells nothing.
            whole = verdict.state != "damaged"
            logs.append(comparison.compare() if whole else comparison.outcome())
            opened |= comparison.announced
    logs += _of_strangers(journals, {client.id for client in clients})
    logs += _of_orders(redealings.ordered, journals, opened)
    changes = Changes.compared(deployment, journals)
    if changes.findings:
        logs.append(LogReconciled("the custodians", findings=changes.findings))
    outcome = Reconciliation(logs, journals, behind(deployment), changes.notes)
    fact = deployment.fact(
        "ledger.reconciled",
        deployment.install,
        journals=sum(not one.problem for one in journals),
        custodians=len(journals),
        releases=sum(len(one.releases) for one in journals),
        receipts=sum(len(one.receipts) for one in journals),
        findings=len(outcome.findings),
    )
    # A home that was put back, or of which somebody uses a copy, only reads: that is the very one
    # whose owner must hear what was found.
    with suppress(Log.Behind):
        deployment.registry.record(fact)
    return outcome


@dataclass(slots=True)
class _Comparison:
    """One client's log against all journals."""

    deployment: Deployment
    client: Client
    history: History
    journals: Sequence[Journal]
    redealings: Redealings
    now: datetime
    findings: list[Finding] = field(default_factory=list)
    announced: set[str] = field(default_factory=set)
    """The requests for keys that the log announces."""

    def compare(self) -> LogReconciled:
        """Compare both ways: what was done without a trace here, and what nobody remembers."""
        openings, answered, backups = self._read_log()
        releases = self._releases(openings)
        self._hearings(openings)
        self._writers()
        for request in answered:
            self._remembered(openings[request])
        receipts = self._receipts(backups)
        self.findings += self.redealings.judge(self.client, self.history)
        return self.outcome(len(openings), len(backups), releases, receipts)

    def outcome(
        self, openings: int = 0, backups: int = 0, releases: int = 0, receipts: int = 0
    ) -> LogReconciled:
        """Return these counts of what was compared, with what was found."""
        counts = openings, backups, releases, receipts
        return LogReconciled(self.client.name, *counts, self.findings)

    def _read_log(self) -> tuple[dict[str, _Opening], list[str], set[str]]:
        """Return openings by request, those of them that were answered, and snapshots written."""
        openings: dict[str, _Opening] = {}
        answered: list[str] = []
        backups = {one.hash for one in self.history.snapshots() if one.summary.get("recovered")}
        for view in self.history.log.epochs():
            signed = view.checkpoint(cosigned=True)
            size = signed.size if signed else 0
            for fact in (*view.facts("keys.asked"), *view.facts("keys.opened")):
                request = str(fact.body.get("request", ""))
                if fact.phase != "result":
                    number = view.number_of(fact.id)
                    witnessed = number is not None and number < size
                    snapshot = str(fact.body.get("snapshot", ""))
                    openings[request] = _Opening(request, snapshot, fact.at, witnessed)
                elif fact.out == "ok" and request in openings and self._opened(fact):
                    answered.append(request)
            backups |= {str(fact.body.get("snapshot")) for fact in view.facts("backup.written")}
        self.announced |= openings.keys()
        return openings, answered, backups

    def _opened(self, fact: Fact) -> bool:
        """Tell whether enough answered to open anything; of who was away one alone is shown it."""
        missed = [fact.body.get("absent"), fact.body.get("altered")]
        away = sum(len(one) for one in missed if isinstance(one, list | tuple))
        roster = self.deployment.roster
        return len(roster.members) - away >= roster.threshold

    def _releases(self, openings: dict[str, _Opening]) -> int:
        """Look for the announcement of each release; return how many releases there are."""
        count = 0
        for journal in self.journals:
            for request, fact in journal.releases.items():
                if fact.client != self.client.id:
                    continue
                count += 1
                opening = openings.get(request)
                told = f"{who(journal)} released its shares of {_what(fact)}"
                if opening is None:
                    self._find("split", f"{told}, and the log announces no such opening")
                elif opening.snapshot != fact.body.get("snapshot"):
                    self._find("split", f"{told}, and the log announces another snapshot")
                elif not opening.witnessed:
                    self._find("unwitnessed", f"{told}, and its announcement is not witnessed yet")
        return count

    def _hearings(self, openings: Mapping[str, _Opening]) -> None:
        """Look for the announcement of each recovery of which a custodian was told."""
        for journal in self.journals:
            for request, fact in journal.hearings.items():
                if fact.client == self.client.id and request not in openings:
                    self._find("split", f"{_told(journal, fact)}, and the log announces none")

    def _writers(self) -> None:
        """Look for the writers that custodians have pinned in the place of others."""
        pinned = [
            (journal, fact)
            for journal in self.journals
            for fact in journal.changes
            if (fact.op, fact.subject) == ("writer.succeeded", self.client.id)
        ]
        if not pinned or self.client.erasure is not None:
            return
        keys = {key for key, _ in self.history.writers()}
        for view in self.history.log.epochs():
            keys |= {
                bytes.fromhex(str(one.body["writer"])) for one in view.facts("writer.enrolled")
            }
        # A home that was just recovered tells of its writer once all custodians have pinned it.
        with suppress(StrongroomError):
            keys.add(self.deployment.worker_keys(self.client).writer_public)
        known = {SnapshotHeader.writer_id(key) for key in keys}
        for journal, fact in pinned:
            writer = str(fact.body["writer"])
            if writer not in known:
                self._find(
                    "split",
                    f"{who(journal)} pinned another writer ({writer[:ID_SHOWN]}) on "
                    f"{format_instant(fact.at)}, and the log tells of none",
                )

    def _remembered(self, opening: _Opening) -> None:
        """Look for the journals of those that must have answered an opening."""
        if opening.at >= self.now:
            return
        having = [one for one in self.journals if opening.request in one.releases]
        unknown = [one for one in self.journals if not one.remembers(opening.at)]
        needed = self.deployment.roster.threshold
        if len({one.index for one in (*having, *unknown)}) < needed:
            names = ", ".join(one.name for one in having) or "nobody"
            self._find(
                "stale",
                f"the log tells that the keys of snapshot {opening.snapshot[:ID_SHOWN]} were "
                f"opened on {format_instant(opening.at)}; of {needed} custodians needed {names} "
                "wrote it down",
            )

    def _receipts(self, backups: set[str]) -> int:
        """Look for the backup of each receipt; return how many receipts there are."""
        count = 0
        for journal in self.journals:
            for snapshot, fact in journal.receipts.items():
                if fact.client != self.client.id:
                    continue
                count += 1
                if snapshot not in backups and fact.at < self.now:
                    self._find(
                        "split",
                        f"{who(journal)} signed for snapshot {snapshot[:ID_SHOWN]} on "
                        f"{format_instant(fact.at)}, and the log tells of no such backup",
                    )
        return count

    def _find(self, state: State, text: str) -> None:
        self.findings.append(Finding(state, text))


def _of_strangers(journals: Sequence[Journal], known: set[object]) -> Iterator[LogReconciled]:
    """Yield what the journals tell of clients that have no log here, by the client."""
    found: dict[str, list[Finding]] = {}
    for journal in journals:
        for fact in journal.releases.values():
            if fact.client not in known:
                text = f"{who(journal)} released its shares of {_what(fact)}; no log is here"
                found.setdefault(fact.client, []).append(Finding("split", text))
        for fact in journal.hearings.values():
            if fact.client not in known:
                text = f"{_told(journal, fact)}; no log is here"
                found.setdefault(fact.client, []).append(Finding("split", text))
        for client in journal.redealings.keys() - known:
            for finding in of_strangers(journal, client):
                found.setdefault(client, []).append(finding)
    for client, findings in sorted(found.items()):
        yield LogReconciled(f"client {client[:ID_SHOWN]}", 0, 0, len(findings), 0, findings)


def _of_orders(
    ordered: Collection[str], journals: Sequence[Journal], opened: Collection[str]
) -> Iterator[LogReconciled]:
    """Yield what custodians did by orders or wait with, against what is announced, where any does.

    Which log announces an order no custodian pins, so what is in no log here came from elsewhere.
    `ordered` are the requests that the server's log announces, `opened` those for keys that the
    clients' logs announce.
    """
    if not any(one.deeds or one.waits for one in journals):
        return
    findings = [
        Finding("split", f"{_done(journal, fact)}, and the log announces none")
        for journal in journals
        for request, fact in journal.deeds.items()
        if request not in ordered
    ]
    findings += [
        Finding(
            "split",
            f"{who(journal)} began on {format_instant(fact.at)} to wait with request "
            f"{request[:ID_SHOWN]}, and no log announces it: have an approver refuse it",
        )
        for journal in journals
        for request, fact in journal.waits.items()
        if request not in ordered and request not in opened and request not in journal.deeds
    ]
    yield LogReconciled("the server", findings=findings)


def _done(journal: Journal, fact: Fact) -> str:
    return (
        f"{who(journal)} obeyed a {fact.body.get('procedure')} on {format_instant(fact.at)} "
        f"(request {fact.subject[:ID_SHOWN]})"
    )


def _told(journal: Journal, fact: Fact) -> str:
    return (
        f"{who(journal)} was told on {format_instant(fact.at)} of a recovery (request "
        f"{fact.subject[:ID_SHOWN]})"
    )


def _what(fact: Fact) -> str:
    snapshot = cast("str", fact.body.get("snapshot", "?"))
    return (
        f"snapshot {snapshot[:ID_SHOWN]} on {format_instant(fact.at)} "
        f"(request {fact.subject[:ID_SHOWN]})"
    )
