"""`strongroom recover`: rebuild a lost home from locations and kits."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import Face, SecretFile, With, read_secret_file
from strongroom.cli.inviting import read_invited
from strongroom.cli.naming import name_locations
from strongroom.errors import PartlyDone, UsageError, Waiting
from strongroom.operations.credentials import Credential
from strongroom.operations.recover import RecoveryPlan, read_kits
from strongroom.operations.recover_clients import RecoveredClient, Recovery
from strongroom.operations.recover_elsewhere import LivingPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverOptions:
    """What is left of the lost home."""

    location: tuple[str, ...] = ()
    """A location of the recovery sheet: a folder or a URL; once for each. Without any, a recovery
    that waits in this home goes on, and custodians that were away from it are brought in."""
    kits: SecretFile | None = None
    """A file with one kit of 24 words a line, or - for stdin."""
    custodian: Annotated[tuple[str, ...], Parameter(metavar="NAME=URL")] = ()
    """Instead of kits: a custodian that lives, by its name in the roster and where it listens;
    once for each. It shows a code: `custodian join-code --new-server`."""
    join_codes: SecretFile | None = None
    """A file with the join codes of the custodians named, one a line in their order, or - for
    stdin; else they are asked for."""
    install: str | None = None
    """The install's id on the recovery sheet; needed where the locations hold several."""
    operator: str = "operator"
    """Who operates the rebuilt home."""
    credential_file: SecretFile | None = None
    """For object stores: a file with key id and secret, one a line, or - for stdin."""


DEFAULT = RecoverOptions()


def recover(*, what: Annotated[RecoverOptions, Parameter(name="*")] = DEFAULT, face: With) -> int:
    """Rebuild a working home from locations and recovery kits, or from custodians that live."""
    found = _recovered(what, face)
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
            "custodians_brought_in": found.brought_in,
            "waiting": [{"what": one.what, "why": one.why} for one in found.waiting],
        }
    )
    face.tell(
        _what(found, what, face),
        *(
            f"  {one.name}: {output.count(one.snapshots, 'good snapshot')}, newest "
            f"{output.moment(one.received_at) if one.received_at else 'none'}"
            for one in clients
        ),
        *([f"  the ledger: {output.count(found.facts, 'fact')} came back"] if clients else []),
        *(f"  {one}" for one in found.brought_in),
        *_missing(what, missing),
        *_next(found, what, face),
    )
    face.warn(*(f"warning: {problem}" for problem in problems))
    if found.waiting:
        return Waiting.exit_code
    return PartlyDone.exit_code if problems else 0


def _recovered(what: RecoverOptions, face: Face) -> Recovery:
    """Do what is asked for: begin from kits, from custodians that live, or go on."""
    if [what.kits, what.credential_file, what.join_codes].count("-") > 1:
        raise UsageError("only one thing can be read from stdin", hint="Put the others in files.")
    if not what.location and not what.kits and not what.custodian:
        return face.app.recover_more(face.home)
    if bool(what.kits) == bool(what.custodian) or not what.location:
        raise UsageError(
            "it is not clear what to recover from",
            "wanted the locations, and either kits or custodians that live",
            hint="Pass --location URL with --kits FILE, or with --custodian NAME=URL of each.",
        )
    named, credential = name_locations(what.location), None
    if what.credential_file is not None:
        credential = Credential.read(read_secret_file(what.credential_file, "the credential"))
    if what.kits is None:
        invited = read_invited(face, what.custodian, what.join_codes)
        living = LivingPlan(named, invited, what.operator, what.install, credential=credential)
        return face.app.recover_living(face.home, living)
    kits = read_kits(read_secret_file(what.kits, "the kits"))
    plan = RecoveryPlan(named, kits, what.operator, what.install, credential=credential)
    return face.app.recover(face.home, plan)


def _what(found: Recovery, what: RecoverOptions, face: Face) -> str:
    custodians = output.count(found.custodians, "custodian")
    if found.brought_in and not found.clients:
        return f"Brought custodians into the home {face.home}."
    if not (what.location or found.clients or found.waiting):
        return f"Nothing more came into the home {face.home}."
    if found.waiting:
        return f"The home {face.home} has {custodians}, and waits for approval."
    return f"Rebuilt the home {face.home} with {custodians}."


def _next(found: Recovery, what: RecoverOptions, face: Face) -> list[str]:
    if found.waiting:
        return [*(f"  {one}" for one in found.waiting), f"Next: {found.waiting[0].hint}"]
    if found.brought_in and not found.clients:
        return ["The next backup collects their receipts.", f"Next: {face.command('status')}"]
    if not (what.location or found.clients):
        return [f"Next: {face.command('status')}"]
    return [
        "Nothing was changed at the locations. The first backup of each client here",
        "reads and stores everything; from then on the old home is refused.",
        f"Next: {face.command('status')}",
    ]


def _missing(what: RecoverOptions, missing: list[str]) -> list[str]:
    if what.kits is None:
        lines = [f"  {name} is missing: it was not joined, or does not answer." for name in missing]
        back = "  One that was joined is brought in by `strongroom recover` when it answers again."
        return [*lines, *([back] if missing else [])]
    lines = [f"  {name} is missing: its kit was not given." for name in missing]
    again = "  To bring it back, recover again with all kits, into a new home."
    return [*lines, *([again] if missing else [])]


def _behind(clients: list[RecoveredClient]) -> list[str]:
    behind: dict[str, int] = {}
    for client in clients:
        for name, number in client.behind.items():
            behind[name] = behind.get(name, 0) + number
    return [
        f"location {name} lacks {output.count(number, 'snapshot')}: it is behind or rolled back"
        for name, number in behind.items()
    ]
