"""Certificates at the locations: which key each custodian has for a client, newest first.

Anyone who can write to a location can plant an object, or move one; what counts is that the
roster's member signed it for exactly the place where it lies.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple

from strongroom.clients import Client
from strongroom.crypto.envelope import decode_envelope
from strongroom.errors import Damaged, StrongroomError
from strongroom.operations.deployment import Deployment
from strongroom.operations.placing import client_key_path
from strongroom.quorum import Roster

SMALL_BYTES_MAX = 8 << 20
"""No object that recovery reads whole, records apart, is larger."""

_NAME = re.compile(r"[0-9]{8}")


class Certificate(NamedTuple):
    """A certificate as it lies at a location."""

    serial: int
    data: bytes


def find_certificates(
    deployment: Deployment, client: Client, keys: Iterable[str], above: Mapping[int, int]
) -> dict[int, Certificate]:
    """Return each custodian's newest certificate for a client, by index of the custodian.

    Only serials above those given (0 where none is) are looked at. What is not a certificate of
    its place is passed over: one location could have planted it.
    """
    listed = list(keys)
    found: dict[int, Certificate] = {}
    for member in deployment.roster.members:
        folder = client_key_path(deployment.install, client.id, member.id, 0)[: -len("00000000")]
        names = (key[len(folder) :] for key in listed if key.startswith(folder))
        serials = {int(name) for name in names if _NAME.fullmatch(name)}
        for serial in sorted(serials, reverse=True):
            if serial <= above.get(member.index, 0):
                break
            place = client_key_path(deployment.install, client.id, member.id, serial)
            accept = partial(check_certificate, deployment.roster, place)
            try:
                data = deployment.copies.get(place, accept, 0, SMALL_BYTES_MAX)
            except StrongroomError:
                continue
            found[member.index] = Certificate(serial, data)
            break
    return found


def check_certificate(roster: Roster, place: str, data: bytes) -> int:
    """Return the serial of a certificate; raise Damaged unless it is the one of its place."""
    key = roster.check_client_key(decode_envelope(data, place))
    if place != client_key_path(key.install, key.client, key.custodian, key.serial):
        raise Damaged(f"{place} is a certificate of another place", "it was moved there")
    return key.serial
