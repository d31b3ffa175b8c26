"""`ledger erase`: delete everything by which a person can be known from the ledger.

Leaves are for ever and name nobody. What goes is what opens them: private values with their salts,
the name behind the pseudonym, the places it acted from, and the search files made from them. Every
file is written anew, because a deleted row is not yet a byte that is gone. Who the person was goes
last, so that an erasure that was interrupted is begun again by the same command.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from strongroom.errors import UsageError
from strongroom.ids import ClientId, new_id
from strongroom.operations.deployment import Deployment
from strongroom.operations.intent import announced
from strongroom.operations.witnessing import OpenLog

BASIS_LENGTH_MAX = 500
EVERYBODYS = frozenset({"root", "operator"})
"""Logins that are a role: they name no person, and half of all paths hold them."""


@dataclass(frozen=True, slots=True)
class ErasePlan:
    """Who is to be forgotten, why that is lawful, and who is the operator from then on."""

    person: str
    basis: str
    successor: str = "operator"

    def check(self) -> None:
        """Raise UsageError for a basis that would keep what it is to erase."""
        basis = self.basis
        if not basis or len(basis) > BASIS_LENGTH_MAX or not basis.isprintable():
            raise UsageError(
                "the basis cannot be recorded",
                f"wanted 1 to {BASIS_LENGTH_MAX} signs that can be printed",
            )
        if self.person in EVERYBODYS:
            raise UsageError(f"{self.person} is a role and no person", "it names nobody")
        self.check_successor(self.person)
        if self.person.casefold() in basis.casefold():
            raise UsageError(
                "the basis names the person",
                "it is kept, and would keep the name",
                hint="Name the request by its number or date: `--basis 'Art. 17, request 31'`.",
            )

    def check_successor(self, name: str) -> None:
        """Raise UsageError where the successor is the person of this name."""
        if name.casefold() == self.successor.casefold():
            raise UsageError("the successor is the person to be erased", "name somebody else")


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is known of a person, and what is to go."""

    pseudonym: str
    known: bool
    """Whether the person acted here; somebody else can only be named in private values."""
    words: tuple[str, ...] = field(repr=False)
    """The name and the person's own logins: what no file may hold afterwards."""
    is_operator: bool


@dataclass(frozen=True, slots=True)
class Erased:
    """What went."""

    pseudonym: str
    values: int
    left: list[str]
    """Files of the home that still hold the name: settings and rows, which are not the ledger's."""


def find_person(deployment: Deployment, plan: ErasePlan) -> Erasure:
    """Return what an erasure has to delete; somebody who never acted has a pseudonym of now."""
    plan.check()
    privacy = deployment.tools.privacy
    with privacy.disclosures(None) as disclosures:
        person = disclosures.find(plan.person)
        if person is None:
            return Erasure(new_id(deployment.tools.token), False, (plan.person,), False)
        plan.check_successor(person.name)
        logins = [one for one in disclosures.logins(person.pseudonym) if one not in EVERYBODYS]
    return Erasure(
        person.pseudonym,
        True,
        (person.name, *logins),
        person.pseudonym == deployment.operator,
    )


def erase_person(deployment: Deployment, plan: ErasePlan) -> Erased:
    """Erase a person from everything here that opens the ledger; durable when this returns.

    Raises Unwitnessed before anything is deleted where too few custodians witness the intent, and
    DatabaseUnavailable while another command reads one of the files: run it again then.
    """
    found = find_person(deployment, plan)
    privacy = deployment.tools.privacy
    intent = deployment.intent("ledger.erased", found.pseudonym, private={"basis": plan.basis})
    values = 0
    with announced(deployment, OpenLog.of_server(deployment), intent) as told:
        for client in (None, *_clients(deployment)):
            with privacy.disclosures(client) as disclosures:
                values += disclosures.erase(found.pseudonym, found.words)
                disclosures.scour()
        deployment.tools.forget_search()
        if found.is_operator:
            _succeed(deployment, plan.successor)
        with privacy.disclosures(None) as disclosures:
            disclosures.forget(found.pseudonym)
            disclosures.scour()
        told["values"] = values
    return Erased(found.pseudonym, values, deployment.tools.holding(found.words))


def _succeed(deployment: Deployment, name: str) -> None:
    """Let another person operate the install: the erased one's pseudonym says nothing any more."""
    operator = deployment.tools.privacy.pseudonym(name)
    changed = deployment.fact("install.operator_changed", deployment.install, operator=operator)
    deployment.registry.set_operator(operator, changed)


def _clients(deployment: Deployment) -> Sequence[ClientId]:
    return [client.id for client in deployment.registry.clients()]
