"""The custodians of a roster, opened: those of this home, and those that are elsewhere.

One that is elsewhere is met before anything is asked of it, all of them side by side, so that what
does not answer is absent from the beginning of a command, with its reason.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from strongroom.clients import Registry
from strongroom.errors import StrongroomError
from strongroom.operations.asking import Asking
from strongroom.operations.deployment import Tools
from strongroom.operations.meet_custodians import meet_custodians
from strongroom.quorum import Custodian, LocalCustodian, Roster


@dataclass(slots=True)
class Members:
    """The custodians that are there, and those that are absent, by their index in the roster."""

    custodians: dict[int, Custodian] = field(default_factory=dict)
    absent: dict[int, StrongroomError] = field(default_factory=dict)


@contextmanager
def open_members(
    tools: Tools, registry: Registry, roster: Roster, asking: Asking
) -> Iterator[Members]:
    """Open every custodian of a roster until the block ends."""
    members = Members()
    places, folders = registry.custodian_places(), registry.rosters.folders()
    with ExitStack() as opened:
        for member in roster.members:
            if member.index in places:
                continue
            if places:
                members.absent[member.index] = _not_joined(member.name)
                continue
            try:
                folder = folders.get(member.index)
                database, kek = (
                    tools.custodian_home(member.index, False)
                    if folder is None
                    else tools.custodian_folder(folder, False)
                )
                opened.callback(database.close)
                members.custodians[member.index] = LocalCustodian.open(
                    database, kek, tools.clock, tools.token
                )
            except StrongroomError as err:
                members.absent[member.index] = err
        if places:
            _open_elsewhere(tools, registry, roster, asking, members, opened)
        yield members


def _not_joined(name: str) -> StrongroomError:
    return StrongroomError(
        "it was not joined to this home",
        "the others of its roster are elsewhere, and it was not there when they were joined",
        hint=f"See how {name} does where it runs.",
    )


def _open_elsewhere(
    tools: Tools,
    registry: Registry,
    roster: Roster,
    asking: Asking,
    members: Members,
    opened: ExitStack,
) -> None:
    try:
        links = tools.links(roster.install, False)
    except StrongroomError as err:
        members.absent |= dict.fromkeys(registry.custodian_places(), err)
        return
    opened.callback(links.close)
    met = meet_custodians(links, registry, roster, asking)
    members.custodians |= met.custodians
    members.absent |= met.absent
    members.custodians = dict(sorted(members.custodians.items()))
