"""Reconciling what was opened to be dealt anew, against what the logs tell of it.

`custodian redeal` has sessions opened outside any snapshot, one after the other, and the client's
log tells of each that was dealt anew. What was opened and never dealt anew was opened for somebody
else; what custodians have signed for and no log tells of, somebody else dealt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from strongroom.clients import Client, History
from strongroom.clock import format_instant
from strongroom.facts import Fact
from strongroom.operations.deployment import Deployment
from strongroom.operations.journals import ID_SHOWN, Finding, Journal, who

Told = dict[str, list[Fact]]
"""What a client's log tells of what was dealt anew, by the session."""


@dataclass(frozen=True, slots=True)
class Redealings:
    """Which requests are announced in the server's log, and which of them may still be run."""

    deployment: Deployment
    journals: Sequence[Journal]
    ordered: frozenset[str]
    open: frozenset[str]

    @classmethod
    def known(cls, deployment: Deployment, journals: Sequence[Journal]) -> "Redealings":
        """Read what is known here; to be called once the journals are read, before the logs are."""
        now = deployment.tools.clock.now()
        views = deployment.registry.log.epochs()
        runs = [fact for view in views for fact in view.facts("procedure.run")]
        ordered = frozenset(fact.subject for fact in runs if fact.phase == "intent")
        acts = [one.at(now) for one in deployment.desk.acts()]
        return cls(deployment, journals, ordered, frozenset(one.id for one in acts if one.is_open))

    def judge(self, client: Client, history: History) -> Iterator[Finding]:
        """Yield what the journals tell of a client and its log does not."""
        told: Told = {}
        if any(client.id in journal.redealings for journal in self.journals):
            for view in history.log.epochs():
                for fact in view.facts("session.redealt"):
                    told.setdefault(fact.subject, []).append(fact)
        # Too few open nothing: others were away, or the session opens no more.
        enough = self._by_enough(client, "share.reopened", "request")
        for journal in self.journals:
            facts = journal.redealings.get(client.id, ())
            opened = [one for one in facts if one.op == "share.reopened"]
            unknown = [one for one in opened if one.body["request"] not in self.ordered]
            yield from _opened(journal, unknown, "no log announces that")
            complete = [one for one in opened if (one.subject, one.body["request"]) in enough]
            lost = [one for one in complete if self._is_lost(one, told, history)]
            yield from _opened(
                journal, lost, "the log does not tell that they were: whoever ran it may have them"
            )
        yield from self._signed(client, history, told)

    def _is_lost(self, opened: Fact, told: Told, history: History) -> bool:
        """Tell whether a session was opened by an announced run, which is over, and that was all.

        One that is under way, or that a recovery found dealt anew, is known here without the log.
        """
        session, request = opened.subject, opened.body["request"]
        if request not in self.ordered or request in self.open:
            return False
        after = told.get(session, ())
        if any(one.body["request"] == request or one.at >= opened.at for one in after):
            return False
        version = self.deployment.roster.version
        return all(one.version != version for one in history.redeals.of(session))

    def _signed(self, client: Client, history: History, told: Told) -> Iterator[Finding]:
        """Yield what a threshold has signed for, so that it counts, and nobody here dealt anew."""
        for (session, keys), by in self._by_enough(client, "share.reheld", "keys").items():
            known = {one.body["keys"] for one in told.get(session, ())}
            if keys not in known and keys not in {one.hash for one in history.redeals.of(session)}:
                names = ", ".join(who(one) for one in by.values())
                yield Finding(
                    "split",
                    f"{names} signed for session {session[:ID_SHOWN]}, dealt anew by an object "
                    f"({keys[:ID_SHOWN]}) of which no log here tells",
                )

    def _by_enough(
        self, client: Client, op: str, named: str
    ) -> dict[tuple[str, str], dict[int, Journal]]:
        """Return what a threshold tells alike, by the session and what the facts name, and who."""
        found: dict[tuple[str, str], dict[int, Journal]] = {}
        for journal in self.journals:
            for fact in journal.redealings.get(client.id, ()):
                if fact.op == op:
                    by = found.setdefault((fact.subject, str(fact.body[named])), {})
                    by[journal.index] = journal
        threshold = self.deployment.roster.threshold
        return {one: by for one, by in found.items() if len(by) >= threshold}


def of_strangers(journal: Journal, client: str) -> Iterator[Finding]:
    """Yield what a journal tells of a client that has no log here."""
    facts = [one for one in journal.redealings.get(client, ()) if one.op == "share.reopened"]
    yield from _opened(journal, facts, "no log is here")


def _opened(journal: Journal, facts: Sequence[Fact], why: str) -> Iterator[Finding]:
    """Yield a sentence for each request: it may have opened everything that is kept."""
    by_request: dict[str, list[Fact]] = {}
    for fact in facts:
        by_request.setdefault(str(fact.body["request"]), []).append(fact)
    for request, opened in by_request.items():
        count = "1 session" if len(opened) == 1 else f"{len(opened)} sessions"
        yield Finding(
            "split",
            f"{who(journal)} opened its shares of {count} to be dealt anew, from "
            f"{format_instant(opened[0].at)} on (request {request[:ID_SHOWN]}), and {why}",
        )
