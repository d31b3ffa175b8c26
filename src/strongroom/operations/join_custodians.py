"""Joining custodians that wait elsewhere: all of them, or none.

Every one is invited before the first is given its certificate, so that a wrong code or a custodian
that does not answer leaves the others waiting as they were. What fails later, leaves some joined to
a home that is not there: the error names them, and says what to do on their machines.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from strongroom.clients import Registry
from strongroom.crypto.join_code import JoinCode
from strongroom.errors import StrongroomError, UsageError
from strongroom.facts import Session
from strongroom.operations.custodian_url import parse_custodian_url
from strongroom.operations.deployment import CustodianLinks, Tools
from strongroom.quorum import Custodian


@dataclass(frozen=True, slots=True)
class Invited:
    """A custodian that waits elsewhere, as somebody named it, with the code that it showed."""

    name: str
    url: str
    code: JoinCode = field(repr=False)


class LeftJoined(StrongroomError):
    """A home was not made, and custodians elsewhere are joined to it already."""

    code = "left_joined"


MAKE_ANEW: Final = (
    "stop `custodian serve`, remove the home of the custodian with its key file, and run "
    "`custodian init` again. Only its new kit and its new code count."
)
"""What to do on the machine of a custodian that was made for the home that was not."""


@contextmanager
def telling_who_is_joined(joined: Sequence[Invited], then: str = MAKE_ANEW) -> Iterator[None]:
    """Raise what ends the block so that it says which custodians wait no more, and what to do."""
    try:
        yield
    except StrongroomError as err:
        if not joined:
            raise
        names = ", ".join(one.name for one in joined)
        raise LeftJoined(
            "the home was not made, and it was joined already",
            f"{err}; joined: {names}",
            f"{err.hint} Then, on the machine of {names}: {then}",
        ) from err


def check_invited(invited: Sequence[Invited]) -> None:
    """Raise UsageError for URLs that are none, and for names or places given twice."""
    addresses = [parse_custodian_url(one.url) for one in invited]
    for what, given in (("name", [one.name for one in invited]), ("place", addresses)):
        if len(set(given)) < len(given):
            raise UsageError(f"two custodians have the same {what}", f"given: {given!r:.200}")


def join_custodians(
    links: CustodianLinks,
    invited: Sequence[Invited],
    tools: Tools,
    done: list[Invited],
    seats: Sequence[int] = (),
) -> tuple[list[Custodian], list[Registry.CustodianPlace]]:
    """Join custodians, as members 1 to n or in these seats; return how each is asked, and where.

    Each is appended to `done` when it is joined, also where the next one is not.
    """
    newcomers = [
        (index, one.name, parse_custodian_url(one.url), one.code)
        for index, one in zip(seats or range(1, len(invited) + 1), invited, strict=True)
    ]
    now = tools.clock.now()
    custodians = []
    places = []
    for one, joined in zip(invited, links.join(newcomers), strict=True):
        done.append(one)
        custodian, machine, boot, certificate = joined
        index = custodian.card().index
        custodians.append(custodian)
        places.append(Registry.CustodianPlace(index, one.url, certificate, machine, boot, now))
    return custodians, places


def note_joined(
    registry: Registry,
    tools: Tools,
    session: Session,
    custodians: Sequence[Custodian],
    places: Sequence[Registry.CustodianPlace],
    authority: str | None = None,
) -> None:
    """Keep where custodians are that were joined, each with its fact.

    `authority` is the hash of this home's, where they had another server before.
    """
    ids = {card.index: card.id for card in (custodian.card() for custodian in custodians)}
    for place in places:
        own = ids[place.custodian]
        fact = session.fact("custodian.joined", own, index=place.custodian, authority=authority)
        registry.add_custodian_place(place, tools.privacy.disclose(fact, {"url": place.url}))
