"""Reconciling whom custodians answered, and what they followed, against what the logs tell.

A custodian journals that another server joined it, and the log of the home that did tells of it.
What a recovery began and did not end has no home, so no log ever tells of it; whoever ran the
custodians let the next one in knowingly, and the home that it made notes what was before.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.clock import format_instant
from strongroom.facts import Fact
from strongroom.operations.deployment import Deployment
from strongroom.operations.journals import ID_SHOWN, Finding, Journal, who

_BEGINNINGS: Final = ("install.begun", "install.recovered")
_REPLACED: Final = (
    "before this home was recovered, and no log here tells of that: a recovery was begun and ended "
    "without a home, or a home was lost before its log was at a location. If it was neither, "
    "somebody else was given its join code"
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What custodians changed of which no log here tells, and what of it a recovery replaced."""

    findings: Sequence[Finding]
    notes: Sequence[str]

    @classmethod
    def compared(cls, deployment: Deployment, journals: Sequence[Journal]) -> "Changes":
        """Compare the journals with the server's log.

        Only since there is this install here: of what was before it a home may have no log.
        """
        views = deployment.registry.log.epochs()
        begun = [one.at for view in views for op in _BEGINNINGS for one in view.facts(op)]
        joined = [one for view in views for one in view.facts("custodian.joined")]
        recoveries = {one.run for view in views for one in view.facts("install.recovered")}
        ours = {(one.subject, one.body.get("authority")) for one in joined}
        recovered = {
            (one.subject, one.body.get("authority")) for one in joined if one.run in recoveries
        }
        rosters = {one.id for one in deployment.rosters.rosters}
        rosters |= {fact.subject for view in views for fact in view.facts("roster.signed")}
        findings: list[Finding] = []
        notes: list[str] = []
        for journal in journals:
            facts = [one for one in journal.changes if begun and one.at > min(begun)]
            servers = [one for one in facts if one.op == "custodian.handed_over"]
            replaced = _before_recovery(servers, recovered)
            for number, fact in enumerate(servers):
                if (fact.subject, fact.body["authority"]) in ours:
                    continue
                if number < replaced:
                    notes.append(f"{_took(journal, fact)} {_REPLACED}")
                else:
                    text = f"{_took(journal, fact)}, and no log here tells of it"
                    findings.append(Finding("split", text))
            findings += _strange_rosters(journal, facts, rosters)
        return cls(findings, notes)


def _before_recovery(servers: Sequence[Fact], recovered: Collection[tuple[str, object]]) -> int:
    """Return how many servers joined before the last home that was recovered did.

    By the order of the journal, for other machines have other clocks. A home that takes the
    custodian again does so later: whoever had it in between is not excused by that.
    """
    firsts: dict[object, int] = {}
    for number, fact in enumerate(servers):
        if (fact.subject, fact.body["authority"]) in recovered:
            firsts.setdefault(fact.body["authority"], number)
    return max(firsts.values(), default=0)


def _strange_rosters(journal: Journal, facts: Sequence[Fact], known: set[str]) -> Iterator[Finding]:
    for fact in facts:
        if fact.op == "roster.adopted" and fact.subject not in known:
            yield Finding(
                "split",
                f"{who(journal)} followed roster {fact.subject[:ID_SHOWN]} on "
                f"{format_instant(fact.at)}, which nobody signed here",
            )


def _took(journal: Journal, fact: Fact) -> str:
    return (
        f"{who(journal)} took another server on {format_instant(fact.at)} (authority "
        f"{str(fact.body['authority'])[:ID_SHOWN]})"
    )
