"""`strongroom ledger erase`: forget a person, and keep every proof."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import With
from strongroom.errors import PartlyDone
from strongroom.operations.erase import ErasePlan, erase_person, find_person


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseOptions:
    """Why, and who follows."""

    basis: str
    """Why this is lawful: the number of a request, a paragraph. Never the person's name."""
    successor: str = "operator"
    """Who operates this from now on, where it is the operator who is erased."""


def erase(person: str, /, *, why: Annotated[EraseOptions, Parameter(name="*")], face: With) -> int:
    """Forget a person, and keep every proof.

    What goes: the name behind the pseudonym, where the person acted from, and every private value
    that holds the name. Leaves and proofs stay; nothing opens what they commit to. It cannot be
    undone, and no recovery brings it back.
    """
    plan = ErasePlan(person, why.basis, why.successor)
    with face.deployment() as deployment:
        found = find_person(deployment, plan)
        known = "" if found.known else " Nobody of this name has acted here."
        face.confirm(f"Forget {person}?{known} It cannot be undone.")
        erased = erase_person(deployment, plan)
    face.show({"person": erased.pseudonym, "values": erased.values, "files_left": erased.left})
    face.tell(
        f"Erased {output.count(erased.values, 'private value')}"
        + (f", and who {erased.pseudonym} was." if found.known else "."),
        "Every leaf and every proof stays; nothing opens what they commit to.",
        "Not reached from here: exports and bundles that were handed on, copies of this home, and",
        "what is inside of backups.",
    )
    if not found.known and not erased.values:
        face.warn("warning: nobody of this name was known here; look at how it was written")
    face.warn(*(f"warning: {name} still holds the name: not in the ledger" for name in erased.left))
    return PartlyDone.exit_code if erased.left else 0
