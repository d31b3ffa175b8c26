"""`recover`: make a working home from locations and t kits, when the machine is gone.

The kits open the custodians' key tables, the custodians open one snapshot of each client, its
keys give the structure key, and the structure tells names, sources and policies. The rebuilt
server is a new writer: the old one is revoked at the last snapshot that was found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from strongroom.clients import Registry
from strongroom.crypto.envelope import decode_envelope
from strongroom.errors import Refused, UsageError
from strongroom.facts import Fact
from strongroom.ids import InstallId
from strongroom.locations import Copies
from strongroom.operations.deployment import ACTOR_OPERATOR, Listing, Tools
from strongroom.quorum import Kit, LocalCustodian, Roster

KITS_MAX = 32


@dataclass(frozen=True, slots=True)
class Found:
    """An install as the locations and the kits show it."""

    install: InstallId
    roster: Roster
    custodians: dict[int, LocalCustodian]
    listing: Listing


def read_kits(text: str) -> list[Kit]:
    """Read one kit of 24 words a line; empty lines and lines that begin with # are skipped."""
    lines = [line.strip() for line in text.splitlines()]
    kits = [Kit.from_words(line) for line in lines if line and not line.startswith("#")]
    if not kits:
        raise UsageError("no kit was given", "wanted one line of 24 words for each")
    if len(kits) > KITS_MAX:
        raise UsageError(f"{len(kits)} kits were given", f"at most {KITS_MAX}")
    return kits


def find_install(listing: Listing) -> InstallId:
    """Return the one install whose kits lie at the locations."""
    installs = sorted({key.split("/")[0] for key in listing if key.split("/")[1:2] == ["kits"]})
    if not installs:
        raise UsageError(
            "the locations hold no Strongroom install",
            "no sealed key table was found there",
            hint="Check the URLs on the recovery sheet.",
        )
    if len(installs) > 1:
        raise UsageError(
            "the locations hold several installs",
            ", ".join(installs),
            hint="Name only the locations on one recovery sheet.",
        )
    return InstallId(installs[0])


def rebuild_custodians(
    tools: Tools, copies: Copies, listing: Listing, kits: Sequence[Kit]
) -> Found:
    """Open the key tables with the kits; raises Refused below the threshold."""
    install = find_install(listing)
    entries = [
        (key, copies.get(key, lambda data: None))
        for key in listing
        if key.startswith(f"{install}/kits/")
    ]
    data = _newest_roster(copies, install, listing)
    roster = Roster.parse(decode_envelope(data, "the roster"), None)
    owners = {LocalCustodian.find(kit, entries): kit for kit in kits}
    if len(owners) < roster.threshold:
        raise Refused(
            f"{len(owners)} of the {roster.threshold} kits needed were given",
            f"any {roster.threshold} of {len(roster.members)} open the backups, fewer open nothing",
            hint="Bring another kit: one line of 24 words each.",
        )
    found: dict[int, LocalCustodian] = {}
    for member in roster.members:
        kit = owners.get(member.id)
        if kit is None:
            continue
        database, kek = tools.custodian_home(member.index, True)
        custodian = LocalCustodian.restore(database, kek, entries, kit, tools.clock, tools.token)
        # A roster that is not the one in the custodian's own table is refused here.
        custodian.adopt_roster(decode_envelope(data, "the roster"))
        found[member.index] = custodian
    return Found(install, roster, found, listing)


def begin_recovered(
    tools: Tools, registry: Registry, copies: Copies, found: Found, operator: str
) -> None:
    """Write the install and its locations into the new home."""
    now = tools.clock.now()
    for name, location in copies.locations.items():
        registry.add_location(
            Registry.Place(name, location.url, "", "", tools.secrets.has(f"location-{name}"), now),
            Fact("location.added", name, ACTOR_OPERATOR, now, {"url": location.url}),
        )
    data = _newest_roster(copies, found.install, found.listing)
    registry.begin(
        Registry.Install(found.install, operator, found.roster.operator, data, now),
        Fact(
            "install.recovered",
            found.install,
            ACTOR_OPERATOR,
            now,
            {"kits": len(found.custodians), "threshold": found.roster.threshold},
        ),
    )


def _newest_roster(copies: Copies, install: InstallId, listing: Listing) -> bytes:
    rosters = sorted(key for key in listing if key.startswith(f"{install}/roster/"))
    if not rosters:
        raise UsageError("the locations hold no roster", "it was removed or never copied there")
    return copies.get(rosters[-1], lambda data: decode_envelope(data, "the roster"))
