"""`network probe`: is every listener of this install closed to all but its peers?

Each is tried as its enemies would: without TLS, with an older one, without a certificate, with one
that has expired, that another authority signed, that is for another use or role. What could not be
looked at is unknown. Everything goes into one fact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.operations.custodian_url import parse_custodian_url
from strongroom.operations.deployment import Deployment

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way into a listener: how it has to end, how it ended, and what was seen of it."""

    listener: str
    url: str
    attempt: str
    wanted: str
    got: str
    seen: str
    wrong: bool


def probe_network(deployment: Deployment) -> list[Attempt]:
    """Try every listener; an empty list where there is none."""
    places = deployment.registry.custodian_places()
    if not places:
        return []
    probe = deployment.tools.probe(deployment.install)
    found: list[Attempt] = []
    wrong_at: list[str] = []
    for index, place in sorted(places.items()):
        member = deployment.roster.member(index)
        attempts = [
            Attempt(member.name, place.url, name, wanted, got, seen, got not in (wanted, UNKNOWN))
            for name, wanted, got, seen in probe(parse_custodian_url(place.url), member.id)
        ]
        if any(one.wrong for one in attempts):
            wrong_at.append(member.id)
        found += attempts
    _record(deployment, found, len(places), wrong_at)
    return found


def _record(
    deployment: Deployment, found: Sequence[Attempt], listeners: int, wrong_at: list[str]
) -> None:
    fact = deployment.fact(
        "network.probed",
        deployment.install,
        listeners=listeners,
        attempts=len(found),
        wrong=sum(one.wrong for one in found),
        unknown=sum(one.got == UNKNOWN for one in found),
        wrong_at=wrong_at,
    )
    deployment.registry.record(fact)
