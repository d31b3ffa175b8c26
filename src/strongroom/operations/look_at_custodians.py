"""What can be told of the custodians: whose kits are confirmed, and whether machines part them.

Two custodians with an equal mark are on one machine, and so is one with the mark of this home.
Different marks are a declaration: whoever runs both machines can say what he likes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Final, TypeAlias

from strongroom.clients import Registry
from strongroom.errors import StrongroomError, UsageError
from strongroom.operations.deployment import Deployment
from strongroom.procedures import Desk
from strongroom.quorum import Acts, LocalCustodian, Roster

Member: TypeAlias = LocalCustodian.Wire.Member
HERE: Final = "on this machine"
TOGETHER: Final = "not distributed"
APART: Final = "declared separate"
UNKNOWN: Final = "unknown"
_ALL_EMBEDDED: Final = "the custodians run on this machine; pieces on one machine are together"


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where each custodian runs, and what parts it from the others, by its index."""

    runs: Mapping[int, str]
    """Its URL, or that it is embedded."""
    parted: Mapping[int, str]
    degraded: list[str]
    """What is weaker than it should be, as sentences."""


def find_member(deployment: Deployment, name: str) -> Member:
    """Return the custodian of this name; the error lists those there are."""
    members = deployment.roster.members
    for member in members:
        if member.name == name:
            return member
    known = ", ".join(member.name for member in members)
    raise UsageError(f"there is no custodian {name!r:.60}", f"known: {known}")


def confirmed_kits(deployment: Deployment) -> dict[int, bool]:
    """Return of each custodian that answers whether its kit is confirmed."""
    questions = {
        index: partial(attrgetter("kit_confirmed"), custodian)
        for index, custodian in deployment.custodians.items()
    }
    found: dict[int, bool] = {}
    for index, outcome in deployment.asking.each(questions):
        try:
            found[index] = outcome.result()
        except StrongroomError:
            continue
    return dict(sorted(found.items()))


def who_opens_everything(deployment: Deployment) -> list[str]:
    """Return the names of the members who sat in every roster by which something may open."""
    since = _dealt_since(deployment).members
    return [member.name for member in deployment.roster.members if member in since]


def look_at_seats(deployment: Deployment) -> list[str]:
    """Say who took the seat of another, or is to take one, as sentences."""
    line, oldest = deployment.rosters.rosters, _dealt_since(deployment)
    told = []
    for member in deployment.roster.members:
        since = next(one for one in line if member in one.members)
        if since.version > oldest.version:
            lost = line[since.version - 2].member(member.index).name
            told.append(
                f"{member} has its seat since {since.created_at:%Y-%m-%d}: what was kept before "
                f"that is opened by the others alone, and by their kits, until `strongroom "
                f"custodian redeal {lost}` deals it anew"
            )
    for newcomer in deployment.registry.rosters.newcomers().values():
        seat = deployment.roster.member(newcomer.index)
        told.append(
            f"{newcomer.name} waits for the seat of {seat.name}: `strongroom custodian enrol`, as "
            "it was given, goes on with it"
        )
    return told


def _dealt_since(deployment: Deployment) -> Roster:
    """Return the oldest roster by which something that is kept may open.

    That is the first, until a `custodian redeal` has come to its end: then everything of before was
    dealt anew to the roster that it names. What another home did is not known here.
    """
    ended = {
        act.request.params["roster"]
        for act in deployment.desk.acts()
        if act.request.procedure is Acts.Procedure.CUSTODIAN_REDEAL and act.state is Desk.State.DONE
    }
    line = deployment.rosters.rosters
    return next((one for one in reversed(line) if one.id in ended), line[0])


def look_at_distribution(deployment: Deployment) -> Distribution:
    """Say where the custodians run, by their marks and that of this machine."""
    return compare_marks(
        {member.index: member.name for member in deployment.roster.members},
        deployment.registry.custodian_places(),
        deployment.tools.machine_marks(deployment.install),
    )


def compare_marks(
    names: Mapping[int, str],
    places: Mapping[int, Registry.CustodianPlace],
    here: tuple[str, str],
) -> Distribution:
    """Say where custodians of these names run; one without a place runs in this home."""
    runs = {index: places[index].url if index in places else HERE for index in names}
    if not places:
        parted = dict.fromkeys(names, TOGETHER)
        return Distribution(runs, parted, [f"DEGRADED: {_ALL_EMBEDDED}"])
    # What the home holds itself has the marks of the home.
    marks = {
        index: (places[index].machine, places[index].boot) if index in places else here
        for index in names
    }
    on_this = [index for index in names if _same(marks[index], here)]
    groups = [on_this] if on_this else []
    left = [index for index in names if index not in on_this]
    while left:
        group = [index for index in left if _same(marks[index], marks[left[0]])] or left[:1]
        left = [index for index in left if index not in group]
        groups += [group] if len(group) > 1 else []
    together = {index for group in groups for index in group}
    parted = {
        index: TOGETHER if index in together else APART if any(marks[index]) else UNKNOWN
        for index in names
    }
    degraded = [
        f"DEGRADED: {_run([names[index] for index in group])} on "
        f"{'this' if group is on_this else 'one'} machine; pieces on one machine are together"
        for group in groups
    ]
    unknown = [names[index] for index in names if parted[index] == UNKNOWN]
    if unknown:
        degraded.append(f"DEGRADED: {_run(unknown)} on a machine that is unknown")
    return Distribution(runs, parted, degraded)


def _same(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return any(mark and mark == its for mark, its in zip(one, other, strict=True))


def _run(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"custodian {names[0]} runs"
    return f"custodians {', '.join(names)} run"
