"""`custodian enrol`: a new custodian takes the seat of one that was lost or stolen.

The newcomer is made or joined first, because approvers sign for its identity key. Once that is
approved, the custodians that stay are ordered to follow the next roster, each client gets a key at
the newcomer, and backups deal to it from then on. What was dealt before is opened by the others.
Every step can be done again: the same command goes on where it was interrupted.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import pairwise

from strongroom.clients import Registry
from strongroom.crypto import canonical, signing
from strongroom.crypto.certificates import read_leaf
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.crypto.join_code import JoinCode
from strongroom.errors import PartlyDone, Refused, StrongroomError, UsageError
from strongroom.operations.custodian_url import parse_custodian_url
from strongroom.operations.deny import Serial, deny
from strongroom.operations.deployment import CustodianLinks, Deployment
from strongroom.operations.device_key import OPERATOR
from strongroom.operations.enrol_writer import enrol_at_newcomers
from strongroom.operations.orders import Orders, give_order
from strongroom.operations.placing import place_kit_entries, roster_path
from strongroom.operations.policies import current_policy, hand_over_policies
from strongroom.operations.requesting import Permit, Wish, end, find_open, permitted
from strongroom.procedures import Plan
from strongroom.quorum import Acts, Custodian, LocalCustodian, Roster

Member = LocalCustodian.Wire.Member
KIT_BYTES = 32


@dataclass(frozen=True, slots=True)
class EnrolPlan:
    """Who is to take whose seat; without a URL it runs in this home."""

    name: str
    replaces: str
    url: str = ""
    code: Callable[[], JoinCode] | None = field(default=None, repr=False)
    """Asks for the code that a custodian elsewhere has shown, when it is to be joined."""


@dataclass(slots=True)
class Enrolling:
    """A newcomer on its way to a seat, and the words of its kit where it was just made here."""

    newcomer: Registry.Newcomer
    words: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A newcomer in its seat; `since` is the version of the roster."""

    index: int
    name: str
    replaces: str
    since: int
    problems: Sequence[str]


def begin_enrolment(deployment: Deployment, plan: EnrolPlan) -> Enrolling:
    """Make or join the newcomer, durably; one that was made or joined already is returned again.

    Raises UsageError for a name or a seat that is taken, and Refused where nobody can sign a
    roster.
    """
    replaced = _seat_of(deployment, plan)
    kept = deployment.registry.rosters.newcomers().get(replaced.index)
    if kept is not None and (kept.name, kept.url) == (plan.name, plan.url):
        return Enrolling(kept)
    if not deployment.tools.secrets.has(OPERATOR):
        raise Refused(
            "the roster of this home is fixed",
            "the operator's key was lost with the old home, and nobody else signs a roster",
        )
    _check_name(deployment, plan)
    if kept is not None:
        _drop(deployment, kept)
    if plan.code is None:
        return _make(deployment, plan, replaced)
    return _join(deployment, plan, plan.code(), replaced)


def finish_enrolment(deployment: Deployment, enrolling: Enrolling) -> Enrolled:
    """Seat a newcomer once that is approved.

    Raises Waiting until it is approved and its time has come, and PartlyDone, after it has its
    seat, while a custodian that stays does not follow the new roster yet.
    """
    newcomer = _signed(deployment, enrolling.newcomer)
    others = _without(deployment, newcomer.index)
    with ExitStack() as opened, permitted(others, None, _wish(deployment, newcomer)) as permit:
        custodian = _meet(deployment, newcomer, opened)
        orders = _follow(others, permit, newcomer, custodian)
        _take_in(deployment, newcomer, custodian)
        _place(others, newcomer, custodian)
        _deny_former(deployment, newcomer.index)
        before = deployment.roster.version
        fact = deployment.fact(
            "custodian.seated",
            newcomer.id,
            index=newcomer.index,
            replaces=newcomer.replaces,
            version=before + 1,
        )
        deployment.registry.rosters.seat(newcomer, before, fact)
        problems = _enrol_clients(_seated(others, newcomer, custodian))
        _check_followed(newcomer, orders)
    replaced = deployment.roster.member(newcomer.index).name
    return Enrolled(newcomer.index, newcomer.name, replaced, before + 1, problems)


def tell_stragglers(deployment: Deployment, plan: EnrolPlan) -> Enrolled | None:
    """Order who was away to follow the roster in which this newcomer sits already.

    None where the newcomer of this name has no seat. Raises PartlyDone while somebody is away.
    """
    seated = _seated_already(deployment, plan)
    if seated is None:
        return None
    replaced, newcomer, version = seated
    wish = _wish(deployment, newcomer)
    if find_open(deployment, wish.order) is not None:
        others = _without(deployment, newcomer.index)
        with permitted(others, None, wish) as permit:
            if permit is not None:
                orders = give_order(others, permit, (_envelope_of(newcomer),))
                _check_followed(newcomer, orders)
    return Enrolled(newcomer.index, newcomer.name, replaced.name, version, ())


def _seat_of(deployment: Deployment, plan: EnrolPlan) -> Member:
    for member in deployment.roster.members:
        if member.name == plan.replaces:
            return member
    known = ", ".join(member.name for member in deployment.roster.members)
    raise UsageError(f"there is no custodian {plan.replaces!r:.60}", f"known: {known}")


def _check_name(deployment: Deployment, plan: EnrolPlan) -> None:
    elsewhere = bool(deployment.registry.custodian_places())
    if elsewhere and not plan.url:
        raise UsageError(
            f"{plan.name} has no URL",
            "the custodians of this home are servers of their own, and so is who takes a seat",
        )
    if plan.url and not elsewhere:
        raise UsageError(
            f"{plan.name} cannot take a seat of this home",
            "its custodians run in it, and so does who takes a seat: name it without a URL",
        )
    members = (one for roster in deployment.rosters.rosters for one in roster.members)
    if plan.name in {member.name for member in members}:
        raise UsageError(
            f"there is, or was, a custodian {plan.name}",
            "a newcomer has a name of its own, so that nobody takes one's kit for the other's",
        )
    for kept in deployment.registry.rosters.newcomers().values():
        seat = deployment.roster.member(kept.index).name
        if seat != plan.replaces and (plan.name == kept.name or plan.url == kept.url != ""):
            raise UsageError(
                f"{kept.name} is to take the seat of {seat} already",
                "a newcomer takes one seat",
                hint=f"Give the seat of {plan.replaces} to another one.",
            )
    if not 1 <= len(plan.name) <= 64 or not plan.name.isprintable():
        raise UsageError(
            f"{plan.name!r:.60} cannot name a custodian", "wanted 1 to 64 signs that can be printed"
        )
    for place in deployment.registry.custodian_places().values():
        if plan.url and parse_custodian_url(place.url) == parse_custodian_url(plan.url):
            raise UsageError(
                f"a custodian is at {plan.url} already",
                "a newcomer waits at a place of its own, until it has the seat",
            )


def _drop(deployment: Deployment, kept: Registry.Newcomer) -> None:
    """Forget a newcomer that nobody asks for any more."""
    order = _order_of(kept)
    asked = [act for act in deployment.desk.acts() if act.order == order]
    if any(deployment.desk.deeds(act.id) for act in asked):
        raise UsageError(
            f"custodians follow a roster in which {kept.name} has that seat already",
            hint="Run that command again: it goes on with it.",
        )
    act = find_open(deployment, order)
    if act is not None:
        raise UsageError(
            f"{kept.name} is to take that seat already",
            f"request {act.id[:8]} asks for it",
            hint=f"Run that command again, or `strongroom procedure withdraw {act.id[:8]}` first.",
        )
    fact = deployment.fact("custodian.dropped", kept.id, index=kept.index)
    deployment.registry.rosters.drop_newcomer(kept.index, fact)


def _make(deployment: Deployment, plan: EnrolPlan, replaced: Member) -> Enrolling:
    """Make a newcomer in this home, beside the one whose seat it takes."""
    tools = deployment.tools
    folder = f"custodian-{replaced.index}-{tools.token(4).hex()}"
    kit = LocalCustodian.Kit(tools.token(KIT_BYTES))
    seat = (deployment.install, replaced.index, plan.name)
    with ExitStack() as opened:
        database, kek = tools.custodian_folder(folder, True)
        opened.callback(database.close)
        made = LocalCustodian.create(database, kek, seat, kit.secret, tools.clock, tools.token)
        card = made.card()
    newcomer = _newcomer(deployment, replaced, card, folder=folder)
    _keep(deployment, newcomer)
    return Enrolling(newcomer, tuple(kit.words))


def _join(deployment: Deployment, plan: EnrolPlan, code: JoinCode, replaced: Member) -> Enrolling:
    """Join a newcomer that waits elsewhere."""
    tools = deployment.tools
    with ExitStack() as opened:
        links = tools.links(deployment.install, True)
        opened.callback(links.close)
        address = parse_custodian_url(plan.url)
        (joined,) = links.join([(replaced.index, plan.name, address, code)])
        custodian, machine, boot, certificate = joined
        place = Registry.CustodianPlace(
            replaced.index, plan.url, certificate, machine, boot, tools.clock.now()
        )
        newcomer = _newcomer(deployment, replaced, custodian.card(), place=place)
        _keep(deployment, newcomer)
    return Enrolling(newcomer)


def _newcomer(
    deployment: Deployment,
    replaced: Member,
    card: Member,
    *,
    place: Registry.CustodianPlace | None = None,
    folder: str = "",
) -> Registry.Newcomer:
    return Registry.Newcomer(
        index=replaced.index,
        replaces=replaced.id,
        id=card.id,
        name=card.name,
        identity=card.identity,
        url="" if place is None else place.url,
        certificate=b"" if place is None else place.certificate,
        machine="" if place is None else place.machine,
        boot="" if place is None else place.boot,
        folder=folder,
        joined_at=deployment.tools.clock.now(),
    )


def _keep(deployment: Deployment, newcomer: Registry.Newcomer) -> None:
    fact = deployment.fact(
        "custodian.newcomer",
        newcomer.id,
        private={"url": newcomer.url} if newcomer.url else None,
        index=newcomer.index,
        replaces=newcomer.replaces,
    )
    deployment.registry.rosters.add_newcomer(newcomer, fact)


def _wish(deployment: Deployment, newcomer: Registry.Newcomer) -> Wish:
    """Return what an approver gets to see of an enrolment, and signs: one roster, and no other."""
    replaced, roster = _former_of(deployment, newcomer), _roster_of(newcomer)
    identity = newcomer.identity.hex()
    plan = Plan.of(
        f"custodian {newcomer.index}: {newcomer.name} takes the seat of {replaced.name}",
        f"it {'is at ' + newcomer.url if newcomer.url else 'runs in this home'}",
        f"its identity key is {identity}",
        f"{replaced.name} is dealt nothing more and asked nothing more; what was dealt before is "
        "opened by the others alone",
        f"the others follow roster version {roster.version}, {roster.id}",
    )
    params: dict[str, str | int] = {
        "index": newcomer.index,
        "identity": identity,
        "roster": roster.id,
    }
    return Wish(Acts.Procedure.CUSTODIAN_ENROL, params, plan, _order_of(newcomer))


def _order_of(newcomer: Registry.Newcomer) -> str:
    """Return the command by which a newcomer is to have its seat."""
    order = {
        "procedure": "custodian-enrol",
        "index": newcomer.index,
        "identity": newcomer.identity.hex(),
    }
    return canonical.dumps(order).decode()


def _former_of(deployment: Deployment, newcomer: Registry.Newcomer) -> Member:
    """Return whose seat it takes, or has taken."""
    for roster in deployment.rosters.rosters:
        member = roster.member(newcomer.index)
        if member.id == newcomer.replaces:
            return member
    raise Refused(f"nobody gives {newcomer.name} a seat", "another custodian took it meanwhile")


def _without(deployment: Deployment, index: int) -> Deployment:
    """Return the deployment without the custodian of this seat: it is not told to give it up."""
    return replace(
        deployment,
        custodians={one: each for one, each in deployment.custodians.items() if one != index},
        absent_custodians={
            one: err for one, err in deployment.absent_custodians.items() if one != index
        },
    )


def _seated(others: Deployment, newcomer: Registry.Newcomer, custodian: Custodian) -> Deployment:
    """Return the deployment as the next command opens it: the newcomer has its seat."""
    custodians = {**others.custodians, newcomer.index: custodian}
    return replace(
        others,
        rosters=_roster_of(newcomer).after(others.rosters.rosters),
        custodians=dict(sorted(custodians.items())),
    )


def _meet(deployment: Deployment, newcomer: Registry.Newcomer, opened: ExitStack) -> Custodian:
    """Open or meet the newcomer until the block ends."""
    tools = deployment.tools
    if not newcomer.url:
        database, kek = tools.custodian_folder(newcomer.folder, False)
        opened.callback(database.close)
        return LocalCustodian.open(database, kek, tools.clock, tools.token)
    links: CustodianLinks = tools.links(deployment.install, False)
    opened.callback(links.close)
    member = Member(newcomer.index, newcomer.id, newcomer.name, newcomer.identity)
    address = parse_custodian_url(newcomer.url)
    custodian, certificate, _ = links.open(address, member, newcomer.certificate)
    if certificate != newcomer.certificate:
        deployment.registry.rosters.keep_certificate(newcomer.index, certificate)
    return custodian


def _signed(deployment: Deployment, newcomer: Registry.Newcomer) -> Registry.Newcomer:
    """Return the newcomer with the roster in which it sits, the same bytes each time."""
    current = deployment.registry.rosters.newcomers().get(newcomer.index, newcomer)
    if current.roster is not None and _roster_of(current).version > deployment.roster.version:
        return current
    before, seed = deployment.roster, deployment.tools.device.seed()
    if signing.public_key(seed) != before.operator:
        raise Refused(
            "another roster cannot be signed here",
            "the key of this home is not the operator's, whom the custodians know",
        )
    asked = find_open(deployment, _order_of(current))
    if asked is not None:
        # Another seat was given meanwhile: custodians follow the roster that it names no more.
        end(deployment, asked, "other_roster")
    seat = Member(current.index, current.id, current.name, current.identity)
    envelope = Roster.sign(
        seed,
        install=before.install,
        threshold=before.threshold,
        members=[seat if one.index == seat.index else one for one in before.members],
        version=before.version + 1,
        created_at=deployment.tools.clock.now(),
    )
    fact = deployment.fact(
        "roster.signed", envelope.statement.hash.hex(), version=before.version + 1
    )
    deployment.registry.rosters.sign(current.index, envelope.encode(), fact)
    return replace(current, roster=envelope.encode())


def _envelope_of(newcomer: Registry.Newcomer) -> Envelope:
    if newcomer.roster is None:
        raise Refused(f"no roster has {newcomer.name} yet", "it was not signed")
    return decode_envelope(newcomer.roster, "the next roster")


def _roster_of(newcomer: Registry.Newcomer) -> Roster:
    return Roster.parse(_envelope_of(newcomer), None)


def _follow(
    others: Deployment, permit: Permit | None, newcomer: Registry.Newcomer, custodian: Custodian
) -> Orders:
    """Have the custodians that stay follow the new roster; raise where too few of them do."""
    if permit is None:
        raise Refused("nobody is seated without approval", "no request was made")
    orders = give_order(others, permit, (_envelope_of(newcomer),))
    needed = max(others.roster.threshold, current_policy(others).cosignatures)
    following = len(orders.deeds) + 1
    if following < needed:
        reasons = "; ".join(str(err) for err in orders.absent.values())
        raise PartlyDone(
            f"{newcomer.name} has no seat yet: {following} of {needed} custodians needed follow "
            "the new roster",
            reasons,
            hint="Run the same command again when they answer. Nothing is dealt to it before.",
        )
    return orders


def _take_in(deployment: Deployment, newcomer: Registry.Newcomer, custodian: Custodian) -> None:
    """Give the newcomer roster and policies."""
    custodian.adopt_roster(_envelope_of(newcomer))
    hand_over_policies(deployment, custodian)


def _place(others: Deployment, newcomer: Registry.Newcomer, sitting: Custodian) -> None:
    """Put the roster, and the kit entries that name it, at the locations.

    Before it counts here: a recovery must find it by the kits of those who follow it.
    """
    roster = _envelope_of(newcomer)
    version = Roster.parse(roster, None).version
    others.copies.put(roster_path(others.install, version), roster.encode())
    for custodian in (*others.custodians.values(), sitting):
        place_kit_entries(others.copies, custodian, "identity")


def _deny_former(deployment: Deployment, index: int) -> None:
    """Deny the certificate of who had the seat, so that nobody is fooled by it today."""
    place = deployment.registry.custodian_places().get(index)
    if place is not None:
        deny(deployment, [Serial(read_leaf(place.certificate).serial, index)])


def _enrol_clients(seated: Deployment) -> list[str]:
    """Enrol every client at the newcomer; return whose is left to their next backup."""
    problems: list[str] = []
    for client in seated.registry.kept_clients():
        try:
            with (
                seated.tools.lock(client.vault),
                seated.tools.history(client.id) as history,
            ):
                enrol_at_newcomers(seated, client, history, seated.worker_keys(client))
        except StrongroomError as err:
            problems.append(f"{client.name} gets its key at the next backup: {err}")
    return problems


def _check_followed(newcomer: Registry.Newcomer, orders: Orders) -> None:
    """Raise PartlyDone while a custodian that stays follows the roster of before."""
    orders.check_complete(f"{newcomer.name} has its seat; the new roster is followed")


def _seated_already(
    deployment: Deployment, plan: EnrolPlan
) -> tuple[Member, Registry.Newcomer, int] | None:
    """Return whose seat a newcomer took that has it already, with the roster's version."""
    rosters, places = deployment.rosters.rosters, deployment.registry.custodian_places()
    for former, roster in pairwise(rosters):
        for before, after in zip(former.members, roster.members, strict=True):
            place = places.get(after.index)
            url = "" if place is None else place.url
            wanted = (plan.replaces, plan.name, plan.url)
            if before != after and (before.name, after.name, url) == wanted:
                newcomer = replace(
                    _newcomer(deployment, before, after),
                    url=url,
                    roster=_bytes_of(deployment, roster),
                )
                return before, newcomer, roster.version
    return None


def _bytes_of(deployment: Deployment, roster: Roster) -> bytes:
    registry, line = deployment.registry, deployment.rosters.rosters
    held = (*registry.rosters.former(), registry.install().roster)
    return held[line.index(roster)]
