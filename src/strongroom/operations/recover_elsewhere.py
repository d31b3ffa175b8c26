"""`recover` where the custodians live: the server is lost, and they are servers of their own.

Whoever runs each of them lets the new server join it. What they have pinned (roster, team policy,
clients and writers) takes the place of what kits would give. None of them opens anything for it:
for each client the team approves a recovery, and until then the home waits. It stays, because the
custodians answer no other from then on; `recover` again goes on with it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from strongroom.clients import Registry
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, Refused, StrongroomError, UsageError
from strongroom.ids import InstallId
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
from strongroom.operations.late_custodians import bring_in, find_late
from strongroom.operations.living_pins import agreed_clients, ask_pins
from strongroom.operations.policies import current_envelope, policies_before
from strongroom.operations.privacy import Author
from strongroom.operations.recover import Found, begin_recovered, former_rosters
from strongroom.operations.recover_clients import Recovery, recover_clients
from strongroom.quorum import Acts, Custodian, LocalCustodian, Roster

Member: TypeAlias = LocalCustodian.Wire.Member
ROSTERS_READ_MAX: Final = 100
"""So many versions are read of what locations show; a change of the roster is a rare thing."""
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


@dataclass(frozen=True, slots=True)
class ShownRosters:
    """The rosters of one install that locations show, each with the name of its location.

    Nothing says yet who signed them: they tell somebody who mistypes a name, and nothing rests on
    them. What counts is what the custodians have pinned.
    """

    install: InstallId
    shown: Sequence[tuple[str, Roster]]

    def check_invited(self, plan: LivingPlan) -> None:
        """Raise UsageError where no roster here has the custodians that are named, or so few."""
        check_invited(plan.invited)
        names = {one.name for one in plan.invited}
        fitting = [one for _, one in self.shown if names <= {member.name for member in one.members}]
        if self.shown and not fitting:
            known = sorted({member.name for _, one in self.shown for member in one.members})
            strange = ", ".join(sorted(names - set(known))) or ", ".join(sorted(names))
            raise UsageError(
                f"there is no roster with the custodian {strange!a:.60}",
                f"there are {', '.join(known):.400}",
            )
        if fitting and all(len(names) < one.threshold for one in fitting):
            raise _too_few(len(names), max(fitting, key=lambda one: one.version))

    def planted(self, followed: Roster, former: Collection[str]) -> list[str]:
        """Say which locations show a roster that is not the one followed, nor of its line."""
        return [
            f"location {name} shows a roster, version {one.version}, that the custodians do not "
            "follow: somebody planted it there, or they were away when it was signed"
            for name, one in self.shown
            if one.id != followed.id and one.id not in former
        ]


def find_rosters(copies: Copies, listing: Listing, plan: LivingPlan) -> ShownRosters:
    """Return what the locations show of the one install, or the wanted one; none is believed."""
    found = {key: match[1] for key in listing if (match := _ROSTER.fullmatch(key))}
    installs = sorted({one for one in found.values() if plan.install in (None, one)})
    if len(installs) != 1:
        raise UsageError(
            "the locations do not hold just one such install",
            f"they hold {', '.join(sorted(set(found.values()))) or 'none'}",
            hint="Pass --install with the id on the recovery sheet, and check the URLs there.",
        )
    # Versions count from 1, so whoever plants many hides none that has custodians.
    keys = sorted(one for one in found if found[one] == installs[0])[:ROSTERS_READ_MAX]
    shown = []
    for key in keys:
        for name in sorted(listing[key]):
            with suppress(StrongroomError):
                data = copies.get_from(name, key, 0, SMALL_BYTES_MAX)
                roster = Roster.parse(decode_envelope(data, "a roster"), None)
                if roster.install == installs[0]:
                    shown.append((name, roster))
    return ShownRosters(InstallId(installs[0]), shown)


def begin_living(
    tools: Tools,
    registry: Registry,
    copies: Copies,
    ground: tuple[Listing, ShownRosters],
    plan: LivingPlan,
) -> list[str]:
    """Join the custodians that live, and write the home that they are of; return what is odd.

    Raises Refused where they are too few, do not agree, or follow a policy of one person, whose
    key went with the home.
    """
    listing, rosters = ground
    done: list[Invited] = []
    links = tools.links(rosters.install, True)
    with closing(links), telling_who_is_joined(done, _ALLOW_AGAIN):
        # Each tells its seat itself: a location could have told us another one.
        own_seats = [LocalCustodian.Wire.Invitation.OWN_SEAT] * len(plan.invited)
        custodians, places = join_custodians(links, plan.invited, tools, done, own_seats)
        agreed = find_agreed(custodians, copies)
        authority = links.authority
    now_known = Roster.parse(agreed.roster, None)
    # Whoever is in no seat of it does not come along.
    met = [
        (custodian, place)
        for custodian, place in zip(custodians, places, strict=True)
        if custodian.card() in now_known.members
    ]
    former = former_rosters(copies, listing, now_known)
    found = Found(
        now_known.install,
        now_known,
        agreed.roster.encode(),
        tuple(sorted(place.custodian for _, place in met)),
        listing,
        frozenset(copies.failures),
        agreed.policy,
        {},
        (),
        former=former,
    )
    operator = tools.privacy.pseudonym(plan.operator)
    session = Author(tools.privacy, registry, operator).session
    joined = [custodian for custodian, _ in met]
    note_joined(registry, tools, session, joined, [place for _, place in met], authority)
    begin_recovered(tools, registry, copies, found, plan.operator)
    line = {decode_envelope(one, "a roster").statement.hash.hex() for one in former.values()}
    return [*agreed.notes, *rosters.planted(now_known, line)]


@dataclass(frozen=True, slots=True)
class Agreed:
    """What enough custodians follow; `notes` say who follows something else."""

    roster: Envelope
    policy: Envelope
    notes: Sequence[str]


def find_agreed(custodians: Sequence[Custodian], copies: Copies) -> Agreed:
    """Return the roster and the team policy that a threshold of custodians has pinned.

    One that was away for a change has what was before; one that shows something else, or nothing
    that can be read, is named, and the others go on. Of two rosters the one counts that more
    custodians follow. Raises Damaged where that says nothing, and Refused for too few or for a
    policy of one person.
    """
    pinned: dict[Member, tuple[Envelope, Envelope | None]] = {}
    notes = []
    for custodian in custodians:
        try:
            answer = custodian.pinned()
            Roster.parse(answer[0], None)
            pinned[custodian.card()] = answer
        except StrongroomError as err:
            notes.append(f"{custodian.card()} does not say what it follows: {err}")
    roster = _followed(pinned, notes)
    named = Roster.parse(roster, None)
    followers = {
        who: policy for who, (own, policy) in pinned.items() if who in named.members and policy
    }
    policies = {who: Acts.Policy.parse(one) for who, one in followers.items()}
    enough = _pinned_by_enough(policies, named.threshold)
    newest = max(policies.values(), key=lambda one: one.version, default=None)
    if enough is not None:
        newest = _newest_that_follows(enough, policies, copies, named)
    if newest is None or newest.mode != "team":
        raise Refused(
            "nobody can approve this recovery",
            "one person decided, with a key that went with the home",
            hint="Recover from kits: `strongroom recover --location URL --kits FILE`.",
        )
    if enough is None:
        # Some were away for the last change: the newest has to follow from what they have.
        _check_one_line(policies, newest, copies, named)
    notes += [
        f"{who} follows another team policy, version {one.version}: it was away from a change, "
        "was put back, or lies"
        for who, one in policies.items()
        if one.id != newest.id
    ]
    policy = next(one for who, one in followers.items() if policies[who].id == newest.id)
    return Agreed(roster, policy, notes)


def _followed(
    pinned: Mapping[Member, tuple[Envelope, Envelope | None]], notes: list[str]
) -> Envelope:
    """Return the roster that most of them follow, once they are enough for it; name the others."""
    followers: dict[Envelope, list[Member]] = {}
    for who, (own, _) in pinned.items():
        followers.setdefault(own, []).append(who)
    rosters = {own: Roster.parse(own, None) for own in followers}
    count = {
        own: sum(who in rosters[own].members for who in whose) for own, whose in followers.items()
    }
    most = max(count, key=count.__getitem__, default=None)
    told = "; ".join(
        f"{', '.join(map(str, whose))}: version {rosters[own].version}"
        for own, whose in followers.items()
    )
    if most is None or (len(count) > 1 and sorted(count.values())[-2] == count[most]):
        raise Damaged(
            "the custodians do not follow one roster",
            told or "none of them says which",
            hint="One of them was put back, is another install's, or lies: look at the recovery "
            "sheet whose it is, and recover without that custodian, or with more of them.",
        )
    if count[most] < rosters[most].threshold:
        raise _too_few(count[most], rosters[most], told)
    notes += [
        f"{who} follows another roster, version {rosters[own].version}: it was away from a change, "
        "was put back, is another install's, or lies"
        for own, whose in followers.items()
        if own != most
        for who in whose
    ]
    return most


def _newest_that_follows(
    enough: Acts.Policy, policies: Mapping[Member, Acts.Policy], copies: Copies, roster: Roster
) -> Acts.Policy:
    """Return the newest policy that enough have followed, as the locations show, from this one on.

    What was approved and then refused lies at a location, too, if somebody puts it there. Those
    that have pinned this one would not follow it, and one custodian that says it does is one.
    """
    for later in sorted(policies.values(), key=lambda one: one.version, reverse=True):
        if later.version > enough.version:
            with suppress(StrongroomError):
                line = policies_before(later, copies, later.install, roster)
                if any(one.id == enough.id for one in line):
                    return later
    return enough


def _too_few(count: int, roster: Roster, told: str = "") -> UsageError:
    return UsageError(
        f"{count} of the {roster.threshold} custodians needed are named"
        + (f" and follow one roster: {told}" if told else ""),
        hint="Name those that live with --custodian; recover from kits where too few do.",
    )


def _pinned_by_enough(policies: Mapping[Member, Acts.Policy], threshold: int) -> Acts.Policy | None:
    """Return the policy that a threshold has pinned, the newest where there are two."""
    ids = [one.id for one in policies.values()]
    enough = [one for one in policies.values() if ids.count(one.id) >= threshold]
    return max(enough, key=lambda one: one.version, default=None)


def check_waits(deployment: Deployment) -> None:
    """Raise UsageError where every client that the custodians know is here, and nobody was away.

    And StrongroomError where none of them answers, who could say so.
    """
    if not deployment.custodians:
        away = deployment.absent_custodians.values()
        raise StrongroomError(
            "nobody can say which recoveries wait here",
            "; ".join(str(err) for err in away),
            hint="Start the custodians, then run the same command again.",
        )
    if not (_waiting_clients(deployment) or find_late(deployment)):
        raise UsageError(
            "no recovery waits in this home",
            "every client that its custodians know is here, and they follow this home",
            hint="To rebuild a lost home, name its locations, and kits or custodians that live.",
        )


def _waiting_clients(deployment: Deployment) -> bool:
    here = {client.id for client in deployment.registry.clients()}
    told = ask_pins(deployment)
    known = told.pins if deployment.embedded() else agreed_clients(deployment, told)
    return not known.keys() <= here


def recover_living(deployment: Deployment) -> Recovery:
    """Bring back the clients that are not back yet, as far as they are approved.

    And whichever custodian was away from what is back: it is shown the same recovery.
    """
    late = find_late(deployment)
    recovery = _recover_waiting(deployment)
    brought = bring_in(deployment, late)
    recovery.brought_in = brought.done
    recovery.problems += brought.problems
    recovery.waiting += brought.waiting
    return recovery


def _recover_waiting(deployment: Deployment) -> Recovery:
    custodians = tuple(sorted(deployment.custodians))
    if deployment.registry.clients() and not _waiting_clients(deployment):
        away = [one.name for one in deployment.roster.members if one.index not in custodians]
        return Recovery(deployment.install, len(custodians), away)
    install = deployment.registry.install()
    found = Found(
        deployment.install,
        deployment.roster,
        install.roster,
        custodians,
        deployment.copies.list(""),
        frozenset(deployment.copies.failures),
        current_envelope(deployment),
        {},
        (),
    )
    return recover_clients(deployment, found)


def _check_one_line(
    policies: Mapping[Member, Acts.Policy], newest: Acts.Policy, copies: Copies, roster: Roster
) -> None:
    """Raise Damaged unless enough have followed the newest policy from every other one pinned."""
    others = {one.id for one in policies.values()} - {newest.id}
    if others:
        line = policies_before(newest, copies, newest.install, roster)
        others -= {one.id for one in line}
    if others:
        told = "; ".join(f"{who}: version {one.version}" for who, one in policies.items())
        raise Damaged(
            "the custodians have pinned policies that do not follow from each other",
            told,
            hint="One of them lies, was put back, or a change was cut off. Ask an approver which "
            "policy is theirs, and recover without that custodian, or with more of them.",
        )
