"""A session: who acts, in which command, from where; it makes the facts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from strongroom import __version__
from strongroom.clock import Clock
from strongroom.facts.fact import Fact, Outcome, Who, new_fact_id
from strongroom.facts.kinds import FactValue
from strongroom.facts.scan import SecretInFact, mask
from strongroom.facts.vocabulary import newest
from strongroom.ids import Token


@dataclass(frozen=True, slots=True)
class Session:
    """Makes facts of now by one author; `run` is the same in all facts of one command.

    `node` is the pseudonym of the place that the author acts from.
    """

    who: Who
    run: str
    node: str
    clock: Clock
    token: Token
    behalf: str = ""
    strict: bool = False
    """Refuse what looks like a secret; otherwise it is masked."""

    def fact(self, op: str, subject: str, *, client: str = "", **body: FactValue | None) -> Fact:
        """Return a fact of now; a field that is None is left out.

        `client` is whose log it goes to where the subject is not the client itself.
        """
        return self._fact(op, subject, client, body)

    def intent(self, op: str, subject: str, *, client: str = "", **body: FactValue | None) -> Fact:
        """Return the announcement of an act; what only its result can tell is left out."""
        return self._fact(op, subject, client, body, phase="intent")

    def result(
        self, intent: Fact, out: Outcome = "ok", why: str = "", **body: FactValue | None
    ) -> Fact:
        """Return how what was announced ended; `why` is a code, where it did not end well."""
        given = {"phase": "result", "ref": intent.id, "out": out, "why": why}
        return self._fact(intent.op, intent.subject, intent.client, body, **given)

    def screen(
        self, fact: Fact, private: Mapping[str, str]
    ) -> tuple[Mapping[str, str], Fact | None]:
        """Return private values as they may be kept, and the alarm that is to be recorded.

        What looks like a secret is masked. Raises SecretInFact for it in a strict session, and
        FactRefused for a field that the fact's op does not have.
        """
        fact.schema.check_private(private)
        kept, found = mask(private)
        if not found:
            return kept, None
        if self.strict:
            raise SecretInFact(f"a private value of a fact {fact.op} looks like a secret", found[0])
        return kept, self.fact("ledger.secret_masked", fact.id, looked_like=found)

    def _fact(
        self,
        op: str,
        subject: str,
        client: str,
        body: Mapping[str, FactValue | None],
        **ending: Any,
    ) -> Fact:
        schema = newest(op)
        now = self.clock.now()
        return Fact(
            op,
            subject,
            self.who,
            now,
            {name: value for name, value in body.items() if value is not None},
            new_fact_id(now, self.token),
            v=schema.version,
            client=client or (subject if schema.subject[0] == "client" else ""),
            behalf=self.behalf,
            run=self.run,
            node=self.node,
            version=__version__,
            **ending,
        )
