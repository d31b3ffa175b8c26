"""`strongroom recover`: rebuild a lost home from locations and kits."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import SecretFile, With, read_secret_file
from strongroom.cli.naming import name_locations
from strongroom.errors import PartlyDone, UsageError
from strongroom.operations.credentials import Credential
from strongroom.operations.recover import RecoveryPlan, read_kits
from strongroom.operations.recover_clients import RecoveredClient


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverOptions:
    """What is left of the lost home."""

    location: list[str]
    """A location of the recovery sheet: a folder or a URL; once for each."""
    kits: SecretFile
    """A file with one kit of 24 words a line, or - for stdin."""
    install: str | None = None
    """The install's id on the recovery sheet; needed where the locations hold several."""
    operator: str = "operator"
    """Who operates the rebuilt home."""
    credential_file: SecretFile | None = None
    """For object stores: a file with key id and secret, one a line, or - for stdin."""


def recover(*, what: Annotated[RecoverOptions, Parameter(name="*")], face: With) -> int:
    """Rebuild a working home from locations and enough recovery kits."""
    if "-" == what.kits == what.credential_file:
        raise UsageError("only one thing can be read from stdin", hint="Put the other in a file.")
    kits = read_kits(read_secret_file(what.kits, "the kits"))
    named = name_locations(what.location)
    credential = None
    if what.credential_file is not None:
        credential = Credential.read(read_secret_file(what.credential_file, "the credential"))
    plan = RecoveryPlan(named, kits, what.operator, what.install, credential=credential)
    found = face.app.recover(face.home, plan)
    clients, missing = found.clients, found.custodians_missing
    damages = [f"location {name}: {text}" for name, text in found.damages]
    problems = list(dict.fromkeys([*found.problems, *_behind(clients), *damages]))
    face.show(
        {
            "install": found.install,
            "home": face.home,
            "clients": clients,
            "facts": found.facts,
            "custodians_missing": missing,
            "problems": problems,
        }
    )
    face.tell(
        f"Rebuilt the home {face.home} with {output.count(found.custodians, 'custodian')}.",
        *(
            f"  {one.name}: {output.count(one.snapshots, 'good snapshot')}, newest "
            f"{output.moment(one.received_at) if one.received_at else 'none'}"
            for one in clients
        ),
        f"  the ledger: {output.count(found.facts, 'fact')} came back",
        *(f"  {name} is missing: its kit was not given." for name in missing),
        *(["  To bring it back, recover again with all kits, into a new home."] if missing else []),
        "Nothing was changed at the locations. The first backup of each client here",
        "reads and stores everything; from then on the old home is refused.",
        f"Next: {face.command('status')}",
    )
    face.warn(*(f"warning: {problem}" for problem in problems))
    return PartlyDone.exit_code if problems else 0


def _behind(clients: list[RecoveredClient]) -> list[str]:
    behind: dict[str, int] = {}
    for client in clients:
        for name, number in client.behind.items():
            behind[name] = behind.get(name, 0) + number
    return [
        f"location {name} lacks {output.count(number, 'snapshot')}: it is behind or rolled back"
        for name, number in behind.items()
    ]
