"""`init`: make an install: custodians, kits, roster, locations.

The kits' words are in the result once and nowhere else in clear. The install's row is written
last, so an `init` that was interrupted leaves a home that says so.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from strongroom.clients import Registry
from strongroom.crypto import passphrase, sealing, signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import StrongroomError, UsageError
from strongroom.ids import InstallId, LocationId, new_id
from strongroom.locations import Copies, Location, LocationUnavailable
from strongroom.operations.credentials import Credentials, secret_name
from strongroom.operations.deployment import Tools
from strongroom.operations.join_custodians import (
    Invited,
    check_invited,
    join_custodians,
    note_joined,
    telling_who_is_joined,
)
from strongroom.operations.notice_settings import notice_settings
from strongroom.operations.placing import place_kit_entries, roster_path
from strongroom.operations.policies import Shown, Team, first_policy, keep_policy
from strongroom.operations.privacy import Author
from strongroom.quorum import Acts, Custodian, LocalCustodian, Roster

CUSTODIANS_MAX = 32
KIT_BYTES = 32


@dataclass(frozen=True, slots=True)
class InstallPlan:
    """What `init` was asked for; `locations` maps names to URLs."""

    install: InstallId
    operator: str
    custodians: int
    threshold: int
    locations: Mapping[str, str]
    passphrase: str | None = field(default=None, repr=False)
    credentials: Credentials = field(default_factory=Credentials)
    elsewhere: tuple[Invited, ...] = ()
    """Custodians that are processes of their own; where there are some, all are."""
    team: Team | None = None
    """Who approves what is dangerous; None where one person decides."""
    delay: timedelta = Acts.Policy.DAY
    """How long what destroys or changes trust waits, so that it can be refused."""

    def under(self, passphrase: str | None) -> "InstallPlan":
        """Return the same plan with the operator's key under this passphrase."""
        return replace(self, passphrase=passphrase)

    def check(self) -> None:
        """Raise UsageError for numbers that cannot work."""
        if not 1 <= self.custodians <= CUSTODIANS_MAX:
            raise UsageError(f"{self.custodians} custodians cannot be", f"1 to {CUSTODIANS_MAX}")
        if self.elsewhere and len(self.elsewhere) != self.custodians:
            raise UsageError(
                f"{len(self.elsewhere)} custodians are named, and {self.custodians} are wanted",
                "either all custodians are processes of their own or none is",
            )
        check_invited(self.elsewhere)
        if not 1 <= self.threshold <= self.custodians:
            one = self.custodians == 1
            raise UsageError(
                f"a threshold of {self.threshold} cannot be reached",
                "there is 1 custodian" if one else f"there are {self.custodians} custodians",
            )
        if self.custodians > 1 and self.threshold < 2:
            raise UsageError(
                "a threshold of 1 would give the whole key to every custodian",
                "each single one could then open all backups",
                hint="Use --threshold 2 or more, or --custodians 1.",
            )
        if not self.locations:
            raise UsageError("no location is given", "backups need at least one place to go")
        self.credentials.check(self.locations.values())
        if self.team is not None:
            self.team.check()
        if not timedelta() <= self.delay <= Acts.Policy.DELAY_MAX:
            raise UsageError(
                "that delay cannot be",
                f"0 to {int(Acts.Policy.DELAY_MAX.total_seconds()) // 3600} hours",
            )


@dataclass(frozen=True, slots=True)
class NewKit:
    """A recovery kit, shown once."""

    custodian: str
    words: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetUp:
    """What `init` made."""

    install: InstallId
    roster_id: str
    kits: list[NewKit]
    locations: Mapping[str, str]


def set_up(tools: Tools, registry: Registry, plan: InstallPlan) -> SetUp:
    """Make the install; durable when this returns."""
    plan.check()
    joined: list[Invited] = []
    with telling_who_is_joined(joined):
        return _set_up(tools, registry, plan, joined)


def _set_up(tools: Tools, registry: Registry, plan: InstallPlan, done: list[Invited]) -> SetUp:
    for name, url in plan.locations.items():
        plan.credentials.seal(tools.secrets, name, url)
    places = {name: _open_place(tools, plan, name) for name in plan.locations}
    operator_seed = tools.token(signing.SEED_BYTES)
    tools.secrets.write("operator", seal_operator_seed(tools, plan.passphrase, operator_seed))
    now = tools.clock.now()
    with ExitStack() as opened:
        custodians, kits, joined = _members(tools, plan, opened, done)
        roster = _begin_roster(plan, operator_seed, custodians, now)
        policy = _begin_policy(tools, plan, roster, operator_seed, custodians)
        _place(plan, places, (roster, policy), custodians)
    operator = tools.privacy.pseudonym(plan.operator)
    author = Author(tools.privacy, registry, operator)
    session = author.session
    for name in plan.locations:
        place = LocationId(new_id(tools.token))
        sealed = tools.secrets.has(secret_name(name))
        url = places[name].url
        fact = session.fact("location.added", place)
        registry.add_location(
            Registry.Place(place, name, url, Registry.Site(), sealed, now),
            tools.privacy.disclose(fact, {"name": name, "url": url}),
        )
    note_joined(registry, tools, session, custodians, joined)
    keep_policy(registry, session, policy)
    registry.begin(
        Registry.Install(
            plan.install, operator, signing.public_key(operator_seed), roster.encode(), now
        ),
        session.fact(
            "install.begun",
            plan.install,
            custodians=plan.custodians,
            threshold=plan.threshold,
        ),
    )
    notice_settings(tools, author, plan.install)
    tools.privacy.files.close()
    parsed = Roster.parse(roster, signing.public_key(operator_seed))
    return SetUp(plan.install, parsed.id, kits, dict(plan.locations))


def _begin_roster(
    plan: InstallPlan, seed: bytes, custodians: Sequence[Custodian], now: datetime
) -> Envelope:
    roster = Roster.sign(
        seed,
        install=plan.install,
        threshold=plan.threshold,
        members=[custodian.card() for custodian in custodians],
        version=1,
        created_at=now,
    )
    for custodian in custodians:
        custodian.adopt_roster(roster)
    return roster


def _begin_policy(
    tools: Tools,
    plan: InstallPlan,
    roster: Envelope,
    seed: bytes,
    custodians: Sequence[Custodian],
) -> Envelope:
    parsed = Roster.parse(roster, signing.public_key(seed))
    policy = first_policy(tools, parsed, seed, plan.team, plan.delay)
    for custodian in custodians:
        custodian.adopt_policy(policy)
    return policy


def seal_operator_seed(tools: Tools, words: str | None, seed: bytes) -> bytes:
    """Return the bytes of the secret `operator` (docs/formats/home-v1.md)."""
    if words is None:
        return b"K" + seed
    salt = tools.token(passphrase.SALT_BYTES)
    seal_salt = tools.token(sealing.SALT_BYTES)
    key = passphrase.stretch(words, salt)
    return b"P" + salt + seal_salt + sealing.seal(key, "operator", seal_salt, b"", seed)


def _open_place(tools: Tools, plan: InstallPlan, name: str) -> Location:
    """Open a location and see that it answers, before anything lies at the others."""
    url = plan.locations[name]
    try:
        location = tools.location(url, name, True)
        next(iter(location.list("")), None)
        plan.credentials.try_at(url, "", tools.location_as)
    except LocationUnavailable as err:
        raise StrongroomError(
            f"the location {name} cannot be used",
            str(err),
            hint="Mend it, or name another place; nothing was kept of this try.",
        ) from err
    return location


def _members(
    tools: Tools, plan: InstallPlan, opened: ExitStack, done: list[Invited]
) -> tuple[Sequence[Custodian], list[NewKit], list[Registry.CustodianPlace]]:
    """Make the custodians in this home, or join those elsewhere, who have shown their kits."""
    if not plan.elsewhere:
        return *_make_custodians(tools, plan, opened), []
    links = tools.links(plan.install, True)
    opened.callback(links.close)
    custodians, places = join_custodians(links, plan.elsewhere, tools, done)
    return custodians, [], places


def _make_custodians(
    tools: Tools, plan: InstallPlan, opened: ExitStack
) -> tuple[list[LocalCustodian], list[NewKit]]:
    custodians: list[LocalCustodian] = []
    kits: list[NewKit] = []
    for index in range(1, plan.custodians + 1):
        name = f"custodian-{index}"
        kit = LocalCustodian.Kit(tools.token(KIT_BYTES))
        database, kek = tools.custodian_home(index, True)
        opened.callback(database.close)
        seat = (plan.install, index, name)
        custodians.append(
            LocalCustodian.create(database, kek, seat, kit.secret, tools.clock, tools.token)
        )
        kits.append(NewKit(name, " ".join(kit.words)))
    return custodians, kits


def _place(
    plan: InstallPlan,
    places: Mapping[str, Location],
    signed: tuple[Envelope, Envelope],
    custodians: Sequence[Custodian],
) -> None:
    roster, policy = signed
    with Copies(places) as copies:
        copies.put(roster_path(plan.install, 1), roster.encode())
        Shown(policy, None).place(copies)
        for custodian in custodians:
            place_kit_entries(copies, custodian)
        for name, err in copies.failures.items():
            raise UsageError(f"the location {name} cannot be used", str(err)) from err
