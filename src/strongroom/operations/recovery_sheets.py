"""Recovery sheets: what lies on paper beside each kit, and whether it is of the roster of now.

A sheet names the roster by its id, so that whoever recovers can tell the right one from one that
was put in its place. A roster that follows makes every sheet old until it is written anew.
"""

from strongroom.operations.deployment import Deployment
from strongroom.operations.look_at_custodians import Member

FIRST = 1
"""The version of the roster that `init` shows."""


def old_sheets(deployment: Deployment) -> list[str]:
    """Return the names of the custodians whose kit has a sheet that names an older roster."""
    roster = deployment.roster
    if roster.version == FIRST:
        return []
    noted = deployment.registry.rosters.sheets()
    return [member.name for member in roster.members if noted.get(member.id) != roster.id]


def note_sheet(deployment: Deployment, member: Member) -> None:
    """Note that the sheet with a custodian's kit names the roster of now."""
    roster = deployment.roster.id
    fact = deployment.fact("kit.sheet_written", member.id, roster=roster)
    deployment.registry.rosters.note_sheet(member.id, roster, fact)
