"""`strongroom network`: the ways between our own processes."""

from cyclopts import App as Commands

from strongroom.cli.face import With
from strongroom.errors import PartlyDone, StrongroomError
from strongroom.operations.probe_network import UNKNOWN, Attempt, probe_network

commands = Commands(name="network")


@commands.command
def probe(*, face: With) -> int:
    """Try every way into each listener of this install that has to be closed.

    Without TLS, with TLS 1.2 or older, without a certificate, with one that has expired, that
    another authority signed, that is for another use or another role; and the good one, which has
    to be let in. Exits 1 when one of them ended as it must not, 3 when a listener could not be
    looked at.
    """
    with face.deployment() as deployment:
        found = probe_network(deployment)
    face.table(
        ("listener", "attempt", "wanted", "got", "seen"),
        [(one.listener, one.attempt, one.wanted, _got(one), one.seen) for one in found],
        found,
    )
    wrong = sum(one.wrong for one in found)
    unknown = sum(one.got == UNKNOWN for one in found)
    if found:
        count = len({one.url for one in found})
        face.tell(f"{len(found)} attempts at {count} listeners: {wrong} wrong, {unknown} unknown.")
    else:
        face.tell("There is no listener: every custodian runs in the process of each command.")
    if wrong:
        return StrongroomError.exit_code
    return PartlyDone.exit_code if unknown else 0


def _got(attempt: Attempt) -> str:
    return f"{attempt.got.upper()}, WRONG" if attempt.wrong else attempt.got
