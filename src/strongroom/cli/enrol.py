"""`strongroom custodian enrol`: a new custodian takes the seat of one that was lost or stolen."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli.face import Face, SecretFile, With
from strongroom.cli.init import kit_rows
from strongroom.cli.inviting import read_invited
from strongroom.cli.signing import ASKED, Signing
from strongroom.crypto.join_code import JoinCode
from strongroom.errors import PartlyDone, StrongroomError, UsageError
from strongroom.operations.conclude import witness_again
from strongroom.operations.enrol_custodian import (
    Enrolled,
    EnrolPlan,
    begin_enrolment,
    finish_enrolment,
    tell_stragglers,
)

Newcomer = Annotated[str, Parameter(metavar="NAME[=URL]")]


def enrol(
    newcomer: Newcomer,
    /,
    *,
    replaces: Annotated[str, Parameter(metavar="NAME")],
    join_code: SecretFile | None = None,
    sign: Annotated[Signing, Parameter(name="*")] = ASKED,
    face: With,
) -> int:
    """Give the seat of a lost or stolen custodian to a new one, once that is approved.

    Until then backups go on with the others. Run the same command again: it goes on where it was
    (exit 5 while it waits, exit 3 while a custodian that stays is away). What was kept before is
    opened by the others alone, until `custodian redeal` deals it anew.

    Parameters
    ----------
    newcomer
        NAME=https://HOST:PORT of a custodian that waits there (`custodian init`, `custodian
        serve`), or a NAME alone for one that runs in this home.
    replaces
        The custodian whose seat it takes, as `custodian list` names it.
    join_code
        A file with the join code that it showed, or - for stdin; else it is asked for.
    """
    name, _, url = newcomer.partition("=")

    def code() -> JoinCode:
        (invited,) = read_invited(face, [newcomer], join_code, "--join-code")
        return invited.code

    plan = EnrolPlan(name, replaces, url, code if url else None)
    if join_code == sign.passphrase_file == "-":
        raise UsageError("only one thing can be read from stdin", hint="Put the other in a file.")
    with face.deployment(sign.passphrase_file) as deployment:
        enrolled = tell_stragglers(deployment, plan)
        if enrolled is None:
            begun = begin_enrolment(deployment, plan)
            try:
                if begun.words:
                    _show_kit(face, name, begun.words)
                enrolled = finish_enrolment(deployment, begun)
            except StrongroomError as err:
                # The words are shown now and never again, so with --json they are the result.
                if not (begun.words and face.json):
                    raise
                face.show({**_kits(name, begun.words), "seated": False, "why": str(err)})
                return err.exit_code
            words = begun.words
        else:
            words = ()
    with face.deployment() as deployment:
        # It has another witness than who sat there before, which has seen no log yet.
        problems = [*enrolled.problems, *witness_again(deployment)]
    _tell(face, enrolled, words, problems)
    return PartlyDone.exit_code if problems else 0


def _show_kit(face: Face, name: str, words: tuple[str, ...]) -> None:
    face.say(
        "RECOVERY KIT. It is shown now and never again. Write it on a sheet of its own:",
        "",
        f"  Kit of {name}",
        *kit_rows(words),
        "",
    )


def _kits(name: str, words: tuple[str, ...]) -> dict[str, object]:
    return {"kits": [{"custodian": name, "words": " ".join(words)}]} if words else {"kits": []}


def _tell(face: Face, enrolled: Enrolled, words: tuple[str, ...], problems: Sequence[str]) -> None:
    name = enrolled.name
    face.tell(
        f"{name} has the seat of {enrolled.replaces}, from roster version {enrolled.since} on.",
        "What is backed up from now on is dealt to it; what was kept before is opened by the",
        "others alone, and recovered with their kits, until it is dealt anew:",
        f"  {face.command(f'custodian redeal {enrolled.replaces}')}",
        f"The kit of {enrolled.replaces} is void. The recovery sheets are old, too:",
        f"  {face.command('kit show')}    (prints the sheet as it is now)",
    )
    for problem in problems:
        face.warn(f"warning: {problem}")
    face.show(
        {
            "custodian": name,
            "index": enrolled.index,
            "replaces": enrolled.replaces,
            "roster_version": enrolled.since,
            "seated": True,
            "problems": list(problems),
            **_kits(name, words),
        }
    )
