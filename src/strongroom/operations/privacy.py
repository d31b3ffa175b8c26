"""Who acts, and what of a fact is private.

A leaf names nobody: it has pseudonyms of persons and of the places they act from, and salted
commitments to what people typed or named. What opens them is written to `disclosures.db` before the
fact that commits to it, and is durable before that fact is signed; where no fact follows, a value
that is nobody's expires. What stands behind a pseudonym is committed to once, by a fact of its own,
so that it can be proved, too.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Lock

from strongroom.clients import Registry
from strongroom.clock import Clock
from strongroom.errors import StrongroomError, printable
from strongroom.facts import Fact, Session, Who
from strongroom.ids import ClientId, Token
from strongroom.ledger import Disclosures
from strongroom.operations.disclosure_files import DisclosureFiles

_PSEUDONYM = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Disclosed:
    """What is kept of a fact's private side; None stands for what is erased or has expired."""

    who: str | None
    behalf: str | None
    station: str | None
    """`login@host` of its author."""
    values: Mapping[str, str | None]
    """The private fields by name; each was compared with its commitment."""


@dataclass(frozen=True, slots=True)
class Privacy:
    """Names who acts, and keeps what no fact may say."""

    clock: Clock
    token: Token
    run: str
    origin: Disclosures.Origin
    """From where this command acts."""
    behalf: str
    """The name of the person on whose behalf, or nothing."""
    strict: bool
    """Whether a private value that looks like a secret is a mistake; otherwise it is masked."""
    kept: timedelta | None
    """How long private values are kept; None for as long as nobody erases them."""
    files: DisclosureFiles

    def disclosures(self, client: ClientId | None) -> AbstractContextManager[Disclosures]:
        """Open the private values of a client's facts, or (with None) the server's and names."""
        return self.files.of(client)

    def operator(self, registry: Registry) -> str:
        """Return the operator's pseudonym; a name in a home that was made before there were any
        is moved out of `server.db`."""
        install = registry.install()
        if _PSEUDONYM.fullmatch(install.operator):
            return install.operator
        pseudonym = self.pseudonym(install.operator)
        session = self.begin(registry, pseudonym)
        changed = session.fact("install.operator_changed", install.id, operator=pseudonym)
        registry.set_operator(pseudonym, changed)
        registry.scour()
        return pseudonym

    def pseudonym(self, name: str) -> str:
        """Return the pseudonym of a person of this name, who may be new."""
        with self.disclosures(None) as disclosures:
            return disclosures.meet(name, self.clock.now(), self.token).pseudonym

    def disclose(self, fact: Fact, private: Mapping[str, str], person: str | None = None) -> Fact:
        """Keep private values, and return the fact with its commitments to them.

        `person` is the pseudonym whose erasure takes them along.
        """
        fact.schema.check_private(private)
        drawn = [
            Disclosures.Value.draw(fact.id, name, printable(value), self.token)
            for name, value in private.items()
        ]
        if not drawn:
            return fact
        with self.disclosures(ClientId(fact.client) if fact.client else None) as disclosures:
            disclosures.add(drawn, fact.at, person)
        return replace(fact, sd={one.field: one.commitment for one in drawn})

    def begin(self, registry: Registry, operator: str) -> Session:
        """Return what makes the facts of this command; whoever is new is told to the log first."""
        now = self.clock.now()
        with self.disclosures(None) as disclosures:
            found = [disclosures.find(operator)]
            behalf = None
            if self.behalf:
                behalf = disclosures.meet(self.behalf, now, self.token)
                found.append(behalf)
            station = disclosures.station(operator, self.origin, now, self.token)
        session = Session(
            Who(operator, "human"),
            self.run,
            station.pseudonym,
            self.clock,
            self.token,
            behalf=behalf.pseudonym if behalf else "",
            strict=self.strict,
        )
        for person in found:
            if person is not None and not person.told:
                named = session.fact("person.named", person.pseudonym)
                self._tell(registry, named, {"name": person.name}, person.pseudonym)
        if not station.told:
            fact = session.fact("person.stationed", operator, station=station.pseudonym)
            where = {"login": self.origin.login, "host": self.origin.host}
            self._tell(registry, fact, where, station.pseudonym)
        return session

    def _tell(
        self, registry: Registry, fact: Fact, private: Mapping[str, str], pseudonym: str
    ) -> None:
        # A crash before the last line tells the log once more, which is harmless.
        registry.record(self.disclose(fact, private, fact.subject))
        with self.disclosures(None) as disclosures:
            disclosures.tell(pseudonym)

    @contextmanager
    def reading(self) -> Iterator[Callable[[Fact], Disclosed]]:
        """Open what is kept, and return what tells the private side of facts.

        It raises WrongDisclosure for a value that is not the one its fact commits to.
        """
        opened: dict[str, Disclosures] = {}
        with ExitStack() as stack:

            def of(client: str) -> Disclosures:
                if client not in opened:
                    named = ClientId(client) if client else None
                    opened[client] = stack.enter_context(self.disclosures(named))
                return opened[client]

            def disclosed(fact: Fact) -> Disclosed:
                kept = {one.field: one for one in of(fact.client).of(fact.id)} if fact.sd else {}
                values: dict[str, str | None] = dict.fromkeys(fact.sd)
                for name, commitment in fact.sd.items():
                    if name in kept:
                        kept[name].check(commitment)
                        values[name] = kept[name].value
                name_of = of("").name
                return Disclosed(
                    name_of(fact.who.id),
                    name_of(fact.behalf) if fact.behalf else None,
                    name_of(fact.node) if fact.node else None,
                    values,
                )

            yield disclosed

    def expire(self, registry: Registry, session: Session) -> None:
        """Delete what is older than the settings allow, once a day, and tell how much it was."""
        now = self.clock.now()
        if self.kept is None:
            return
        with self.disclosures(None) as disclosures:
            if not disclosures.expires(now):
                return
        went = 0
        for client in (None, *(one.id for one in registry.clients())):
            with self.disclosures(client) as disclosures:
                values = disclosures.expire(now - self.kept)
                if values:
                    # Where another command is reading, the zeroed rows have to do.
                    with suppress(StrongroomError):
                        disclosures.scour()
                went += values
        if went:
            fact = session.fact("ledger.expired", registry.install().id, values=went)
            registry.record(fact)
        with self.disclosures(None) as disclosures:
            disclosures.expired(now)


@dataclass(slots=True)
class Author:
    """Who makes the facts of one command. Nothing is opened or written before the first fact."""

    privacy: Privacy
    registry: Registry
    operator: str
    _session: Session | None = None
    _lock: Lock = field(default_factory=Lock)

    @property
    def session(self) -> Session:
        """Return what makes the facts, the same for every thread."""
        with self._lock:
            if self._session is None:
                self._session = self.privacy.begin(self.registry, self.operator)
                self.privacy.expire(self.registry, self._session)
            return self._session
