"""`custodian deny`: a certificate counts no more, before its day is over.

Its serial goes on the deny list. This home heeds it from its next command on, and every custodian
from when it is met: by this command, or by the next one that meets it. What is denied stays so; a
custodian that was denied comes back by being joined again, on another certificate.
"""

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from strongroom.crypto.certificates import read_leaf
from strongroom.errors import StrongroomError, UsageError
from strongroom.operations.deployment import Deployment
from strongroom.operations.meet_custodians import meet_custodians

_SERIAL = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Serial:
    """A certificate by its serial, and the index of the custodian that it is of, where it is."""

    number: int
    custodian: int | None = None

    def __str__(self) -> str:
        """Return the serial as `openssl x509 -serial` shows it, in small letters."""
        return f"{self.number:032x}"


@dataclass(frozen=True, slots=True)
class Denial:
    """What was denied, the number of the list, who has taken it, and who has not, and why."""

    serials: Sequence[Serial]
    number: int
    taken: Sequence[int]
    away: dict[int, StrongroomError]


def find_certificate(deployment: Deployment, who: str) -> Serial:
    """Return the certificate of a custodian of this name, or of this serial; raise UsageError."""
    places = deployment.registry.custodian_places()
    leaves = {index: read_leaf(place.certificate) for index, place in places.items()}
    for member in deployment.roster.members:
        if member.name == who:
            if member.index not in leaves:
                raise UsageError(
                    f"{who} has no certificate", "it runs in this home, in each command's process"
                )
            return Serial(leaves[member.index].serial, member.index)
    text = who.replace(":", "").lower()
    if not _SERIAL.fullmatch(text):
        raise UsageError(
            f"{who!r:.60} is neither a custodian nor a serial",
            "a serial has 32 hexadecimal digits",
            hint="See the custodians with `strongroom custodian list`, a certificate's serial with "
            "`openssl x509 -noout -serial`.",
        )
    if not places:
        raise UsageError("there is nobody to tell", "every custodian runs in this home")
    serial = int(text, 16)
    of = [index for index, leaf in leaves.items() if leaf.serial == serial]
    return Serial(serial, of[0] if of else None)


def deny(deployment: Deployment, serials: Sequence[Serial]) -> Denial:
    """Deny these certificates, durably, and bring the list to every custodian that answers."""
    registry, roster = deployment.registry, deployment.roster
    with closing(deployment.tools.links(deployment.install, False)) as links:
        number, made = links.deny(registry.deny_list()[1], [one.number for one in serials])
        facts = []
        for one in serials:
            of = None if one.custodian is None else roster.member(one.custodian).id
            facts.append(deployment.fact("network.denied", str(one), number=number, custodian=of))
        registry.keep_deny_list(number, made, facts)
        met = meet_custodians(links, registry, roster, deployment.asking)
    denied = {one.custodian for one in serials}
    missed = {**met.absent, **met.untold}
    away = {index: err for index, err in sorted(missed.items()) if index not in denied}
    return Denial(serials, number, sorted(met.custodians.keys() - met.untold), away)
