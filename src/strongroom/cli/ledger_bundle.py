"""`strongroom ledger bundle`: chosen facts as a file that a stranger can verify."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import With
from strongroom.operations.bundle_evidence import EvidenceRequest, bundle_evidence


def bundle(
    *,
    fact: Annotated[list[str], Parameter(negative=())],
    to: Path,
    client: str | None = None,
    disclose: Annotated[list[str] | None, Parameter(negative=())] = None,
    face: With,
) -> None:
    """Write chosen facts with their proofs into a zip, as evidence for somebody else.

    Whoever gets it verifies it with rescue/strongroom_verify.py, one file that shares no code with
    Strongroom, by a policy that must reach them on another way (`strongroom ledger policy`).
    Private values stay commitments but for the fields that are named.

    Parameters
    ----------
    fact
        The id of a fact, or 8 digits or more of its beginning; may be given again.
    to
        The file to write, such as evidence.zip.
    client
        The client whose log it is; otherwise the server's.
    disclose
        A private field to show with the salt that proves it, such as url; may be given again.
    """
    with face.deployment() as deployment:
        request = EvidenceRequest(client, fact, frozenset(disclose or ()), to)
        found = bundle_evidence(deployment, request)
    face.show({"path": str(found.path), "facts": found.facts, "disclosed": found.disclosed})
    values = output.count(found.disclosed, "private value")
    face.tell(
        f"{output.count(found.facts, 'fact')} with their proofs and {values} are in {found.path}."
    )
    face.tell("Verify it with rescue/strongroom_verify.py, by the policy of `ledger policy`.")
