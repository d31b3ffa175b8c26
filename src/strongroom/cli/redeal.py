"""`strongroom custodian redeal`: what a custodian that lost its seat held is dealt anew."""

from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import With
from strongroom.cli.signing import ASKED, Signing
from strongroom.operations.redeal import redeal as redeal_all


def redeal(
    name: str,
    /,
    *,
    sign: Annotated[Signing, Parameter(name="*")] = ASKED,
    face: With,
) -> int:
    """Deal anew what was dealt to a custodian before it lost its seat.

    After a loss or a theft, and after `custodian enrol` gave the seat to another: every session is
    opened, one at a time, and dealt to the custodians of now. This process sees every key
    meanwhile: run it where you would restore. It waits until it is approved; the same command
    again goes on. Exits 5 while it waits, 3 while a custodian has not signed for everything, or a
    session that a snapshot needs opens as before.

    Parameters
    ----------
    name
        The name of the custodian that lost its seat.
    """
    with face.deployment(sign.passphrase_file) as deployment:
        done = redeal_all(deployment, name)
    face.show(done)
    face.tell(
        f"{output.count(done.sessions, 'session')} dealt anew to roster version {done.version}; "
        f"{done.already} were dealt to it already"
    )
    face.warn(*(f"warning: {note}" for note in done.notes))
    return 0
