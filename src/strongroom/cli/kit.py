"""`strongroom kit`: see which recovery kits are confirmed, and confirm one."""

import secrets
import sys

from cyclopts import App as Commands

from strongroom.cli import output
from strongroom.cli.face import SecretFile, With, read_secret_file
from strongroom.errors import UsageError
from strongroom.operations.deployment import Deployment
from strongroom.operations.look_at_custodians import confirmed_kits, find_member
from strongroom.operations.recovery_sheets import note_sheet, old_sheets
from strongroom.quorum import LocalCustodian

WORDS = 24
_THERE = (
    "Its kit is confirmed where it runs: `strongroom --home DIR custodian confirm-kit`. If it is "
    "one of this home, bring it back."
)

commands = Commands(name="kit")


@commands.command
def show(*, face: With) -> None:
    """Show which kits are confirmed, and the recovery sheet; never the words."""
    with face.deployment() as deployment:
        confirmed, old = confirmed_kits(deployment), old_sheets(deployment)
        rows = [
            {
                "custodian": member.name,
                "confirmed": confirmed.get(member.index),
                "sheet": "OLD" if member.name in old else "current",
            }
            for member in deployment.roster.members
        ]
        install, roster = deployment.install, deployment.roster.id
        places = [place.url for place in deployment.registry.locations()]
    if face.json:
        face.show({"kits": rows, "install": install, "roster": roster, "locations": places})
        return
    face.table(
        ("custodian", "kit", "sheet"),
        [(str(row["custodian"]), _state(row["confirmed"]), str(row["sheet"])) for row in rows],
        rows,
    )
    face.say("", "Recovery sheet:", f"  install  {install}", f"  roster   {roster}")
    face.say(*(f"  location {place}" for place in places))
    if old:
        face.tell("", f"Write it on the sheet of {', '.join(old)}; then `strongroom kit written`.")


@commands.command
def written(*custodians: str, face: With) -> None:
    """Note that the recovery sheets with these kits, or with all, are written anew.

    After another custodian has taken a seat every sheet names an older roster, and `status` says
    so until somebody has written down what `kit show` shows, on each.

    Parameters
    ----------
    custodians
        The names of the custodians whose kits have the new sheet; none for all.
    """
    with face.deployment() as deployment:
        wanted = custodians or [member.name for member in deployment.roster.members]
        members = [find_member(deployment, name) for name in wanted]
        for member in members:
            note_sheet(deployment, member)
        old = old_sheets(deployment)
    face.show({"written": [member.name for member in members], "old": old})
    face.tell(
        f"Noted for {', '.join(member.name for member in members)}.",
        *([f"Still old: {', '.join(old)}."] if old else []),
    )


@commands.command
def confirm(custodian: str, /, *, words_file: SecretFile | None = None, face: With) -> None:
    """Prove that somebody holds a kit, by two of its words.

    Only a person with the kit can do this: --yes does not.

    Parameters
    ----------
    custodian
        The custodian's name, such as custodian-1.
    words_file
        A file with all 24 words instead of asking for two, or - for stdin.
    """
    with face.deployment() as deployment:
        found = _embedded(deployment, custodian)
        if words_file is not None:
            typed = LocalCustodian.Kit.from_words(read_secret_file(words_file, "the kit")).words
            _confirm(deployment, found, dict(enumerate(typed, start=1)))
        elif not found.kit_confirmed:
            _confirm(deployment, found, ask_words(custodian))
        confirmed = sum(confirmed_kits(deployment).values())
        needed = deployment.roster.threshold
    face.show(
        {
            "custodian": custodian,
            "confirmed": True,
            "kits_confirmed": confirmed,
            "kits_needed": needed,
        }
    )
    are = "is" if needed == 1 else "are"
    face.tell(f"The kit of {custodian} is confirmed; {confirmed} in all, {needed} {are} needed.")


def _confirm(deployment: Deployment, custodian: LocalCustodian, words: dict[int, str]) -> None:
    """Confirm a kit; the custodian tells of it in its journal, and this home in its log."""
    custodian.confirm_kit(words)
    deployment.registry.record(deployment.fact("kit.confirmed", custodian.card().id))


def ask_words(custodian: str) -> dict[int, str]:
    """Ask, on a terminal, for two words of a kit; return them by their position."""
    if not sys.stdin.isatty():
        raise UsageError(
            "a kit is confirmed by a person who holds it",
            "stdin is not a terminal",
            hint="Type two words on a terminal, or pass the whole kit with --words-file -.",
        )
    first = secrets.randbelow(WORDS)
    second = (first + 1 + secrets.randbelow(WORDS - 1)) % WORDS
    typed: dict[int, str] = {}
    for position in sorted((first + 1, second + 1)):
        output.stderr().write(f"Word {position} of the kit of {custodian}: ")
        output.stderr().flush()
        typed[position] = sys.stdin.readline().strip()
    return typed


def _embedded(deployment: Deployment, name: str) -> LocalCustodian:
    for custodian in deployment.embedded():
        if custodian.card().name == name:
            return custodian
    known = ", ".join(member.name for member in deployment.roster.members)
    what = f"there is no custodian {name!r:.60} here"
    if name in {member.name for member in deployment.roster.members}:
        raise UsageError(what, "it does not run in this home", hint=_THERE)
    raise UsageError(what, f"known: {known}")


def _state(confirmed: object) -> str:
    return "absent" if confirmed is None else "confirmed" if confirmed else "NOT CONFIRMED"
