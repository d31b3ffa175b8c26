"""`custodian join`: a custodian of the roster, lost and made again from its kit, is joined again.

It is who it was, so no other custodian notices: roster, keys and receipts stay as they are. What
this home knows it by is new: its place and its certificate. The certificate that it had is denied,
for the lost machine may still have the key.
"""

from contextlib import closing

from strongroom.clients import Registry
from strongroom.crypto.certificates import read_leaf
from strongroom.errors import UsageError
from strongroom.operations.custodian_url import parse_custodian_url
from strongroom.operations.deny import Denial, Serial, deny
from strongroom.operations.deployment import Deployment
from strongroom.operations.join_custodians import Invited
from strongroom.quorum import LocalCustodian


def join_again(deployment: Deployment, invited: Invited) -> Denial:
    """Join a custodian again, durably; return how its earlier certificate was denied."""
    registry, tools = deployment.registry, deployment.tools
    address = parse_custodian_url(invited.url)
    member, before = _seat(deployment, invited)
    with closing(tools.links(deployment.install, False)) as links:
        _, machine, boot, certificate = links.join_again(member, address, invited.code)
        authority = links.authority
    now = tools.clock.now()
    fact = deployment.fact(
        "custodian.joined",
        member.id,
        private={"url": invited.url},
        index=member.index,
        authority=authority,
    )
    registry.move_custodian(
        Registry.CustodianPlace(member.index, invited.url, certificate, machine, boot, now), fact
    )
    return deny(deployment, [Serial(read_leaf(before.certificate).serial, member.index)])


def _seat(
    deployment: Deployment, invited: Invited
) -> tuple[LocalCustodian.Wire.Member, Registry.CustodianPlace]:
    """Return who is meant and where it was; raise UsageError where nobody can be joined again."""
    places = deployment.registry.custodian_places()
    for member in deployment.roster.members:
        if member.name != invited.name:
            continue
        if member.index not in places:
            raise UsageError(
                f"{member.name} cannot be elsewhere", "the custodians of this home run in it"
            )
        for index, place in places.items():
            if place.url == invited.url and index != member.index:
                raise UsageError(
                    f"{member.name} cannot be at {invited.url}", "another one is there"
                )
        return member, places[member.index]
    raise UsageError(
        f"{invited.name!r:.60} is no custodian of this home",
        hint="See their names with `strongroom custodian list`.",
    )
