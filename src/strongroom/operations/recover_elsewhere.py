"""`recover` where the custodians live: the server is lost, and they are servers of their own.

Whoever runs each of them lets the new server join it. What they have pinned (roster, team policy,
clients and writers) takes the place of what kits would give. None of them opens anything for it:
for each client the team approves a recovery, and until then the home waits. It stays, because the
custodians answer no other from then on; `recover` again goes on with it.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from strongroom.clients import Registry
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, Refused, StrongroomError, UsageError
from strongroom.locations import Copies
from strongroom.operations.certificates import SMALL_BYTES_MAX
from strongroom.operations.credentials import Credential
from strongroom.operations.deployment import Deployment, Listing, Tools
from strongroom.operations.join_custodians import (
    Invited,
    check_invited,
    join_custodians,
    note_joined,
    telling_who_is_joined,
)
from strongroom.operations.policies import current_envelope, policies_before
from strongroom.operations.privacy import Author
from strongroom.operations.recover import Found, begin_recovered, former_rosters
from strongroom.operations.recover_clients import Recovery, recover_clients
from strongroom.quorum import Acts, Custodian, Roster

_ROSTER: Final = re.compile(r"([0-9a-f]{32})/roster/[0-9]{8}")
_ALLOW_AGAIN: Final = (
    "it is who it was, and answers a home that is not there. Have it wait again with `strongroom "
    "custodian join-code --new-server`."
)


@dataclass(frozen=True, slots=True)
class LivingPlan:
    """What is left of a lost server: its locations by name, and custodians with their codes."""

    locations: Mapping[str, str]
    invited: Sequence[Invited]
    operator: str = "operator"
    install: str | None = None
    key_file: Path | None = None
    credential: Credential | None = None


def find_roster(copies: Copies, listing: Listing, plan: LivingPlan) -> Roster:
    """Return the newest roster that the locations show, of the one install or the wanted one.

    It only says in which seats to invite custodians; what counts is what they have pinned.
    """
    check_invited(plan.invited)
    found = {key: match[1] for key in listing if (match := _ROSTER.fullmatch(key))}
    installs = sorted({one for one in found.values() if plan.install in (None, one)})
    if len(installs) != 1:
        raise UsageError(
            "the locations do not hold just one such install",
            f"they hold {', '.join(sorted(set(found.values()))) or 'none'}",
            hint="Pass --install with the id on the recovery sheet, and check the URLs there.",
        )
    errors: list[StrongroomError] = []
    for key in sorted((one for one in found if found[one] == installs[0]), reverse=True):
        try:
            data = copies.get(key, lambda one: Roster.parse(_roster(one), None), 0, SMALL_BYTES_MAX)
            return Roster.parse(_roster(data), None)
        except StrongroomError as err:
            errors.append(err)
    raise errors[0]


def begin_living(
    tools: Tools, registry: Registry, copies: Copies, listing: Listing, plan: LivingPlan
) -> None:
    """Join the custodians that live, and write the home that they are of.

    Raises Refused where they are too few, do not agree, or follow a policy of one person, whose
    key went with the home.
    """
    shown = find_roster(copies, listing, plan)
    seats = {member.name: member.index for member in shown.members}
    for one in plan.invited:
        if one.name not in seats:
            raise UsageError(
                f"there is no custodian {one.name!r:.60}", f"there are {', '.join(seats)}"
            )
    if len(plan.invited) < shown.threshold:
        raise UsageError(
            f"{len(plan.invited)} of the {shown.threshold} custodians needed are named",
            hint="Name those that live with --custodian; recover from kits where too few do.",
        )
    done: list[Invited] = []
    links = tools.links(shown.install, True)
    with closing(links), telling_who_is_joined(done, _ALLOW_AGAIN):
        wanted = [seats[one.name] for one in plan.invited]
        custodians, places = join_custodians(links, plan.invited, tools, done, wanted)
        roster, policy = find_agreed(custodians, copies)
    now_known = Roster.parse(roster, None)
    found = Found(
        now_known.install,
        now_known,
        roster.encode(),
        tuple(sorted(place.custodian for place in places)),
        listing,
        frozenset(copies.failures),
        policy,
        {},
        (),
        former=former_rosters(copies, listing, now_known),
    )
    operator = tools.privacy.pseudonym(plan.operator)
    session = Author(tools.privacy, registry, operator).session
    note_joined(registry, tools, session, custodians, places)
    begin_recovered(tools, registry, copies, found, plan.operator)


def find_agreed(custodians: Sequence[Custodian], copies: Copies) -> tuple[Envelope, Envelope]:
    """Return the roster and the newest policy that they have pinned, once it is a team's.

    One that was away for a change has the policy before; the newest must follow from that, or
    somebody shows one that nobody approved.
    """
    pinned = [custodian.pinned() for custodian in custodians]
    roster, policy = max(pinned, key=lambda one: Roster.parse(one[0], None).version)
    named = Roster.parse(roster, None)
    for custodian, (own, _) in zip(custodians, pinned, strict=True):
        if own != roster or custodian.card() not in named.members:
            raise Damaged(
                f"{custodian.card()} follows another roster than the others",
                "one of them was put back to an older state, or is another install's",
            )
    policies = {
        str(custodian.card()): Acts.Policy.parse(one)
        for custodian, (_, one) in zip(custodians, pinned, strict=True)
        if one is not None
    }
    newest = max(policies.values(), key=lambda one: one.version, default=None)
    if newest is None or newest.mode != "team":
        raise Refused(
            "nobody can approve this recovery",
            "one person decided, with a key that went with the home",
            hint="Recover from kits: `strongroom recover --location URL --kits FILE`.",
        )
    _check_one_line(policies, newest, copies)
    policy = next(one for _, one in pinned if one and one.statement.hash.hex() == newest.id)
    return roster, policy


def check_waits(deployment: Deployment) -> None:
    """Raise UsageError where every client that the custodians know is here.

    And StrongroomError where none of them answers, who could say so.
    """
    if not deployment.custodians:
        away = deployment.absent_custodians.values()
        raise StrongroomError(
            "nobody can say which recoveries wait here",
            "; ".join(str(err) for err in away),
            hint="Start the custodians, then run the same command again.",
        )
    here = {client.id for client in deployment.registry.clients()}
    custodians = deployment.custodians.values()
    if all(pin.client in here for custodian in custodians for pin in custodian.pins()):
        raise UsageError(
            "no recovery waits in this home",
            "every client that its custodians know is here",
            hint="To rebuild a lost home, name its locations, and kits or custodians that live.",
        )


def recover_living(deployment: Deployment) -> Recovery:
    """Bring back the clients that are not back yet, as far as they are approved."""
    install = deployment.registry.install()
    listing = deployment.copies.list("")
    return recover_clients(
        deployment,
        Found(
            deployment.install,
            deployment.roster,
            install.roster,
            tuple(sorted(deployment.custodians)),
            listing,
            frozenset(deployment.copies.failures),
            current_envelope(deployment),
            {},
            (),
        ),
    )


def _check_one_line(
    policies: Mapping[str, Acts.Policy], newest: Acts.Policy, copies: Copies
) -> None:
    """Raise Damaged unless the newest policy follows from every other one that is pinned."""
    others = {one.id for one in policies.values()} - {newest.id}
    if others:
        line = policies_before(newest, copies, newest.install)
        others -= {one.id for one in line}
    if others:
        told = "; ".join(f"{who}: version {one.version}" for who, one in policies.items())
        raise Damaged(
            "the custodians have pinned policies that do not follow from each other",
            told,
            hint="One of them lies, or was put back. Ask an approver which policy is theirs, and "
            "recover without that custodian.",
        )


def _roster(data: bytes) -> Envelope:
    return decode_envelope(data, "the roster")
