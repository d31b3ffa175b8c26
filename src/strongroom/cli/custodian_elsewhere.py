"""`strongroom custodian deny`: what the server does with custodians that are elsewhere."""

from typing import Annotated

from cyclopts import Parameter

from strongroom.cli.face import With
from strongroom.errors import PartlyDone, UsageError
from strongroom.operations.deny import deny as deny_serials
from strongroom.operations.deny import find_certificate

Who = Annotated[str, Parameter(metavar="NAME|SERIAL")]


def deny(*who: Who, face: With) -> int:
    """Deny certificates before their day is over: of a stolen machine, or of a stolen badge.

    Every custodian is told, and refuses them from then on; who is away is told by the next command
    that meets it (exit 3). A custodian that is denied is asked nothing more.

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
                face.confirm(f"Ask {names[one.custodian]} nothing more, for good?")
        denial = deny_serials(deployment, found)
    for one in found:
        whose = "" if one.custodian is None else f" of {names[one.custodian]}"
        face.tell(f"The certificate {one}{whose} is denied.")
    taken = [names[index] for index in denial.taken]
    face.tell(f"Told: {', '.join(taken) or 'nobody'}.")
    for index, err in denial.away.items():
        face.warn(f"warning: {names[index]} is told by the next command that meets it: {err}")
    face.show(
        {
            "denied": [str(one) for one in found],
            "number": denial.number,
            "told": taken,
            "away": [names[index] for index in denial.away],
        }
    )
    return PartlyDone.exit_code if denial.away else 0
