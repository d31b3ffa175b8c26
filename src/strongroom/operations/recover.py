"""`recover`, the first half: an install's custodians, from locations and t kits.

The kits open the custodians' key tables, which name the roster. Nothing is written to any
location: a recovery can be rehearsed while the old machine lives, and done again as often as
needed. The rebuilt home replaces the old one with its first backup (`enrol_writer`).
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

from strongroom.clients import Registry
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, Refused, StrongroomError, UsageError
from strongroom.ids import CustodianId, InstallId, LocationId, new_id
from strongroom.locations import Copies, LocationUnavailable, ObjectMissing
from strongroom.operations.certificates import SMALL_BYTES_MAX
from strongroom.operations.credentials import Credential
from strongroom.operations.deployment import Listing, Tools
from strongroom.operations.device_key import RECOVERED
from strongroom.operations.notice_settings import notice_settings
from strongroom.operations.policies import keep_policy, recovered_policy
from strongroom.operations.privacy import Author
from strongroom.quorum import LocalCustodian, Roster

Kit: TypeAlias = LocalCustodian.Kit
KITS_MAX = 32
_ENTRY = re.compile(r"([0-9a-f]{32})/kits/([0-9a-f]{32})/(identity|[0-9a-f]{32})-[0-9]{8}")
_ROSTER = re.compile(r"[0-9a-f]{32}/roster/[0-9]{8}")


@dataclass(frozen=True, slots=True)
class RecoveryPlan:
    """What is left of a lost home; `locations` maps names to URLs."""

    locations: Mapping[str, str]
    kits: Sequence[Kit] = field(repr=False)
    operator: str = "operator"
    install: str | None = None
    key_file: Path | None = None
    credential: Credential | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An install as the locations and the kits show it."""

    install: InstallId
    roster: Roster
    roster_data: bytes
    custodians: tuple[int, ...]
    listing: Listing
    unreachable: frozenset[str]
    """The locations that could not be listed."""
    policy: Envelope
    """The team policy that the kits' custodians have pinned: of whoever brought the kits."""
    unreadable: Mapping[str, StrongroomError]
    """Clients of which a kit opens no entry, with the first reason."""
    notes: tuple[str, ...]
    kits: int = 0
    """How many kits were given; 0 where the custodians themselves are there."""
    former: Mapping[int, bytes] = field(default_factory=dict)
    """The rosters of before, by their versions: what was signed under them is checked by them."""


def read_kits(text: str) -> list[Kit]:
    """Read one kit of 24 words a line; empty lines and lines that begin with # are skipped."""
    lines = [line.strip() for line in text.splitlines()]
    kits = [Kit.from_words(line) for line in lines if line and not line.startswith("#")]
    if not kits:
        raise UsageError("no kit was given", "wanted one line of 24 words for each")
    if len(kits) > KITS_MAX:
        raise UsageError(f"{len(kits)} kits were given", f"at most {KITS_MAX}")
    return kits


def find_install(copies: Copies, listing: Listing, plan: RecoveryPlan) -> InstallId:
    """Return the one install that these kits are of, or the wanted one of several.

    What lies at a location proves nothing: an install is there when a kit opens one of its tables.
    """
    installs = sorted({match[1] for key in listing if (match := _ENTRY.fullmatch(key))})
    if plan.install is not None and plan.install not in installs:
        raise UsageError(
            f"the locations do not hold the install {plan.install!r:.60}",
            f"they hold {', '.join(installs) or 'none'}",
            hint="Check the id and the URLs on the recovery sheet.",
        )
    if plan.install is not None:
        return InstallId(plan.install)
    if not installs:
        raise UsageError(
            "the locations hold no Strongroom install",
            "no sealed key table was found there",
            hint="Check the URLs on the recovery sheet.",
        )
    if len(installs) > 1:
        installs = [
            one
            for one in installs
            if any(_folder_of(copies, listing, one, kit) is not None for kit in plan.kits)
        ]
    if not installs:
        raise _nobodys(len(listing))
    if len(installs) > 1:
        raise UsageError(
            "the locations hold several installs of these kits",
            ", ".join(installs),
            hint="Pass --install with the id on the recovery sheet.",
        )
    return InstallId(installs[0])


def rebuild_custodians(
    tools: Tools, copies: Copies, listing: Listing, kits: Sequence[Kit], install: InstallId
) -> Found:
    """Make the custodians of these kits in the new home; raises Refused below the threshold.

    No location is believed: an entry counts when its kit opens it, a roster when the key tables
    name it. What does not is passed over with a note.
    """
    tables: dict[str, KeyTable] = {}
    for kit in kits:
        table = find_table(copies, listing, install, kit)
        tables.setdefault(table.custodian, table)
    rosters = {table.roster for table in tables.values()}
    data = named_roster(copies, listing, install, rosters)
    envelope = decode_envelope(data, "the roster")
    roster = Roster.parse(envelope, None)
    void = {name: one for name, one in tables.items() if not one.sits_in(roster)}
    tables = {name: one for name, one in tables.items() if name not in void}
    notes = [
        f"a kit of custodian {one.index} opens nothing any more: another custodian took its seat"
        for one in void.values()
    ]
    if len(tables) < roster.threshold:
        raise Refused(
            f"{len(tables)} of the {roster.threshold} kits needed were given",
            f"any {roster.threshold} of {len(roster.members)} open the backups, fewer open nothing",
            hint=" ".join([*notes, "Bring another kit: one line of 24 words each."]),
        )
    device_seed = tools.token(signing.SEED_BYTES)
    tools.secrets.write(RECOVERED, b"K" + device_seed)
    policy = recovered_policy(tools, roster, device_seed, len(tables))
    for table in tables.values():
        database, kek = tools.custodian_home(table.index, True)
        with closing(database):
            custodian = LocalCustodian.restore(
                database, kek, table.entries, table.kit, tools.clock, tools.token
            )
            custodian.take_roster(envelope)
            custodian.take_policy(policy)
    unreadable: dict[str, StrongroomError] = {}
    for table in tables.values():
        unreadable = {**table.unreadable, **unreadable}
    return Found(
        install,
        roster,
        data,
        tuple(sorted(table.index for table in tables.values())),
        listing,
        frozenset(copies.failures),
        policy,
        unreadable,
        (*notes, *(note for table in tables.values() for note in table.notes)),
        len(tables),
        former_rosters(copies, listing, roster),
    )


def begin_recovered(
    tools: Tools, registry: Registry, copies: Copies, found: Found, operator_name: str
) -> None:
    """Write the install, its operator of this name and its locations into the new home.

    No location knows who acted before, so everybody has a new pseudonym here.
    """
    now = tools.clock.now()
    operator = tools.privacy.pseudonym(operator_name)
    author = Author(tools.privacy, registry, operator)
    session = author.session
    for name, location in copies.locations.items():
        place = LocationId(new_id(tools.token))
        sealed = tools.secrets.has(f"location-{name}")
        fact = session.fact("location.added", place)
        registry.add_location(
            Registry.Place(place, name, location.url, Registry.Site(), sealed, now),
            tools.privacy.disclose(fact, {"name": name, "url": location.url}),
        )
    keep_policy(registry, session, found.policy)
    registry.rosters.adopt_former(found.former)
    registry.begin(
        Registry.Install(found.install, operator, found.roster.operator, found.roster_data, now),
        session.fact(
            "install.recovered",
            found.install,
            kits=found.kits,
            threshold=found.roster.threshold,
        ),
    )
    notice_settings(tools, author, found.install)


@dataclass(slots=True)
class KeyTable:
    """One custodian's key table as its kit opens it."""

    kit: Kit = field(repr=False)
    custodian: CustodianId
    index: int
    roster: str
    entries: list[tuple[str, bytes]] = field(repr=False)
    unreadable: dict[str, StrongroomError]
    notes: list[str]

    def sits_in(self, roster: Roster) -> bool:
        """Say whether the kit's custodian still has its seat."""
        return any((one.index, one.id) == (self.index, self.custodian) for one in roster.members)


def find_table(copies: Copies, listing: Listing, install: str, kit: Kit) -> KeyTable:
    """Return the key table of the custodian whose kit this is; raise Damaged where none opens."""
    folder = _folder_of(copies, listing, install, kit)
    if folder is None:
        raise _nobodys(sum(_ENTRY.fullmatch(key) is not None for key in listing))
    return _read_table(copies, listing, folder, kit)


def _folder_of(copies: Copies, listing: Listing, install: str, kit: Kit) -> str | None:
    """Return the folder of the custodian whose kit this is, which ends with a slash, or None."""
    for key in listing:
        match = _ENTRY.fullmatch(key)
        is_identity = match is not None and (match[1], match[3]) == (install, "identity")
        if is_identity and _opens(copies, kit, key):
            return key.rpartition("/")[0] + "/"
    return None


def _opens(copies: Copies, kit: Kit, key: str) -> bool:
    """Tell whether a copy opens under this kit; one that does not may be another custodian's."""
    for location in copies.locations.values():
        try:
            kit.check_entry(key, location.get(key, 0, SMALL_BYTES_MAX))
        except StrongroomError:
            continue
        return True
    return False


def _read_table(copies: Copies, listing: Listing, folder: str, kit: Kit) -> KeyTable:
    entries: list[tuple[str, bytes]] = []
    refused: list[tuple[str, StrongroomError]] = []
    for key in listing:
        match = _ENTRY.fullmatch(key)
        if match is None or not key.startswith(folder):
            continue
        try:
            data = copies.get(key, partial(kit.check_entry, key), 0, SMALL_BYTES_MAX)
        except (Damaged, ObjectMissing, LocationUnavailable) as err:
            refused.append((match[3], err))
        else:
            entries.append((key, data))
    custodian, index, roster, malformed = LocalCustodian.identify(kit, entries)
    refused += malformed.items()
    opened = {key.rpartition("/")[2].rpartition("-")[0] for key, _ in entries} - malformed.keys()
    unreadable = {subject: err for subject, err in refused if subject not in opened}
    return KeyTable(
        kit, custodian, index, roster, entries, unreadable, [str(err) for _, err in refused]
    )


def named_roster(copies: Copies, listing: Listing, install: str, named: set[str]) -> bytes:
    """Return the newest roster that a key table names; raises Damaged when none is there."""

    def accept(data: bytes) -> None:
        if decode_envelope(data, "the roster").statement.hash.hex() not in named:
            raise Damaged("a roster is not the one the kits name", "it was forged or put back")

    errors: list[StrongroomError] = []
    for key in sorted(_roster_keys(listing, install), reverse=True):
        try:
            return copies.get(key, accept, 0, SMALL_BYTES_MAX)
        except (Damaged, ObjectMissing, LocationUnavailable) as err:
            errors.append(err)
    raise Damaged(
        "no location has the roster that the kits name",
        str(errors[0]) if errors else "it was removed or never copied there",
        hint="Do not trust these locations; look for another copy.",
    )


def former_rosters(copies: Copies, listing: Listing, roster: Roster) -> dict[int, bytes]:
    """Return the rosters of before this one, by their versions; only its operator can sign one."""
    found: dict[int, bytes] = {}
    for key in sorted(_roster_keys(listing, roster.install)):
        version = int(key.rpartition("/")[2])
        if not 0 < version < roster.version:
            continue

        def accept(data: bytes, version: int = version) -> None:
            former = Roster.parse(decode_envelope(data, "a roster"), roster.operator)
            if former.version != version:
                raise Damaged("a roster lies at another one's place", f"it is {former.version}")
            roster.after([former])

        # What is lost is missed where something was signed under it.
        with suppress(Damaged, ObjectMissing, LocationUnavailable):
            found[version] = copies.get(key, accept, 0, SMALL_BYTES_MAX)
    return found


def _roster_keys(listing: Listing, install: str) -> list[str]:
    return [
        key for key in listing if key.startswith(f"{install}/roster/") and _ROSTER.fullmatch(key)
    ]


def _nobodys(entries: int) -> Damaged:
    return Damaged(
        "the words open no custodian's key table",
        f"{entries} objects were looked at; none is this kit's entry, or it was altered",
        hint="Check that the kit and the locations are of the same install.",
    )
