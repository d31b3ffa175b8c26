"""Meeting custodians that are elsewhere, all of them side by side, before anything is asked.

Whoever has not taken the newest deny list is brought it then; a certificate that was renewed is
kept. Who does not answer, or whose own certificate is denied, is absent with the reason.
"""

from dataclasses import dataclass, field
from functools import partial

from strongroom.clients import Registry
from strongroom.errors import StrongroomError
from strongroom.operations.asking import Asking
from strongroom.operations.custodian_url import parse_custodian_url
from strongroom.operations.deployment import CustodianLinks
from strongroom.quorum import Custodian, Roster


@dataclass(slots=True)
class Met:
    """Who was met and who is absent, by the index in the roster."""

    custodians: dict[int, Custodian] = field(default_factory=dict)
    absent: dict[int, StrongroomError] = field(default_factory=dict)
    untold: dict[int, StrongroomError] = field(default_factory=dict)
    """Why some that were met refuse the deny list; each command brings it again."""


def meet_custodians(
    links: CustodianLinks, registry: Registry, roster: Roster, asking: Asking
) -> Met:
    """Meet every custodian that has a place."""
    met = Met()
    places = registry.custodian_places()
    number, deny_list = registry.deny_list()
    if number:
        links.heed(deny_list)
    questions = {
        index: partial(
            links.open,
            parse_custodian_url(place.url),
            roster.member(index),
            place.certificate,
            deny_list if place.deny_list < number else b"",
        )
        for index, place in places.items()
    }
    for index, outcome in asking.each(questions):
        try:
            custodian, certificate, refusal = outcome.result()
        except StrongroomError as err:
            met.absent[index] = err
            continue
        met.custodians[index] = custodian
        if certificate != places[index].certificate:
            registry.keep_certificate(index, certificate)
        if refusal is not None:
            met.untold[index] = refusal
        elif places[index].deny_list < number:
            registry.note_deny_list(index, number)
    return met
