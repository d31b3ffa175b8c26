"""`strongroom custodian deny` and `join`: what a server does with custodians elsewhere."""

from collections.abc import Mapping
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli.face import Face, SecretFile, With
from strongroom.cli.inviting import read_invited
from strongroom.errors import PartlyDone, UsageError
from strongroom.operations.conclude import witness_again
from strongroom.operations.deny import Denial, find_certificate
from strongroom.operations.deny import deny as deny_serials
from strongroom.operations.join_again import join_again
from strongroom.operations.look_at_policies import catch_up_policies

Who = Annotated[str, Parameter(metavar="NAME|SERIAL")]


def deny(*who: Who, face: With) -> int:
    """Deny certificates before their day is over: of a stolen machine, or of a stolen badge.

    Every custodian is told, and refuses them from then on; who is away is told by the next command
    that meets it (exit 3). A custodian that is denied is asked nothing more, until it is joined
    again: `custodian join`.

    Parameters
    ----------
    who
        The name of a custodian that is a process of its own, or the serial of any certificate.
    """
    if not who:
        raise UsageError("nothing is named", "wanted a custodian or a serial")
    with face.deployment() as deployment:
        found = [find_certificate(deployment, one) for one in who]
        names = {member.index: member.name for member in deployment.roster.members}
        for one in found:
            if one.custodian is not None:
                name = names[one.custodian]
                face.confirm(f"Ask {name} nothing more, until it is joined again?")
        denial = deny_serials(deployment, found)
    for one in found:
        whose = "" if one.custodian is None else f" of {names[one.custodian]}"
        face.tell(f"The certificate {one}{whose} is denied.")
    face.tell(f"Told: {', '.join(names[index] for index in denial.taken) or 'nobody'}.")
    face.show(_told(face, denial, names))
    return PartlyDone.exit_code if denial.away else 0


def join(
    custodian: Annotated[str, Parameter(metavar="NAME=URL")],
    *,
    join_code: SecretFile | None = None,
    face: With,
) -> int:
    """Join a custodian again that was lost or denied; it is who it was.

    It waits where the URL says: made again from its kit (`custodian init --from-kit`, `custodian
    serve`), or by a code of `custodian join-code --new-server`. The certificate that it had is
    denied, and every other custodian is told of that (exit 3 where one is away).

    Parameters
    ----------
    custodian
        Its name in the roster, and https://HOST:PORT where it waits now.
    join_code
        A file with the join code that it showed, or - for stdin; else it is asked for.
    """
    (invited,) = read_invited(face, [custodian], join_code, "--join-code")
    with face.deployment() as deployment:
        denial = join_again(deployment, invited)
        names = {member.index: member.name for member in deployment.roster.members}
    face.tell(f"{invited.name} is joined again, at {invited.url}.")
    with face.deployment() as deployment:
        # It has another witness, which has seen no log yet.
        problems = [*witness_again(deployment), *catch_up_policies(deployment, invited.name)]
    face.warn(*(f"warning: {problem}" for problem in problems))
    told = {"custodian": invited.name, "url": invited.url, **_told(face, denial, names)}
    face.show({**told, "problems": problems})
    return PartlyDone.exit_code if denial.away or problems else 0


def _told(face: Face, denial: Denial, names: Mapping[int, str]) -> dict[str, object]:
    for index, err in denial.away.items():
        face.warn(f"warning: {names[index]} is told by the next command that meets it: {err}")
    return {
        "denied": [str(one) for one in denial.serials],
        "number": denial.number,
        "told": [names[index] for index in denial.taken],
        "away": [names[index] for index in denial.away],
    }
