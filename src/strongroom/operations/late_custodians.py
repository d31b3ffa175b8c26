"""Custodians elsewhere that were away from the recovery that made this home, and are back.

Such a one follows the lost home's writer and log, and does for this one nothing at all. It is shown
the recovery that approvers signed, while that counts; after that they are asked for another,
whose answer nobody can read. What it takes then is what the others took.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from strongroom.clients import Client, History
from strongroom.crypto import canonical, public_sealing
from strongroom.crypto.envelope import Statement
from strongroom.errors import Refused, StrongroomError, Waiting
from strongroom.operations.deployment import Deployment
from strongroom.operations.enrol_writer import enrol_late
from strongroom.operations.living_pins import Pin, ask_pins
from strongroom.operations.open_keys import show_again
from strongroom.operations.policies import current_policy
from strongroom.operations.receipts import fetch_record
from strongroom.operations.requesting import SHOWN, Permit, Wish, needs_team, permitted
from strongroom.procedures import Act, Desk, Plan
from strongroom.quorum import Acts, SnapshotHeader


@dataclass(frozen=True, slots=True)
class Late:
    """A client, and what each custodian that was away from its recovery has pinned for it."""

    client: Client
    pins: Mapping[int, Pin]


@dataclass(slots=True)
class BroughtIn:
    """What became of custodians that were away, as sentences; and what waits for others."""

    done: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)


def find_late(deployment: Deployment) -> list[Late]:
    """Return the clients of which a custodian that answers was away from the recovery.

    Custodians are asked only in a home that a recovery among living ones has made.
    """
    if deployment.embedded() or not needs_team(deployment):
        return []
    found = []
    pins: Mapping[str, Mapping[int, Pin]] | None = None
    for client in deployment.registry.clients():
        if client.erasure is not None:
            continue
        with deployment.tools.history(client.id) as history:
            if all(after is None for _, after in history.writers()):
                continue
            pins = ask_pins(deployment).pins if pins is None else pins
            late = _late(deployment, history, pins.get(client.id, {}))
        if late:
            found.append(Late(client, late))
    return found


def tell_late(deployment: Deployment) -> list[str]:
    """Say who was away from a recovery, and what to do, as sentences."""
    clients: dict[int, list[str]] = {}
    for one in find_late(deployment):
        for index in one.pins:
            clients.setdefault(index, []).append(one.client.name)
    return [
        f"{deployment.roster.member(index)} was away from the recovery of {', '.join(names[:3])}"
        f"{f' and {len(names) - 3} more' if len(names) > 3 else ''}, and signs for nothing of it "
        "here; `strongroom recover` brings it in"
        for index, names in sorted(clients.items())
    ]


def keep_shown(deployment: Deployment, permit: Permit) -> None:
    """Keep the public key of an approved recovery, for custodians that are not here now."""
    name = SHOWN + permit.request.request
    if not deployment.tools.secrets.has(name):
        deployment.tools.secrets.write(name, public_sealing.public_key(permit.seed))


def bring_in(deployment: Deployment, late: Sequence[Late]) -> BroughtIn:
    """Show custodians that were away the recovery of each client, and have them pin the writer."""
    forget_shown(deployment)
    told = BroughtIn()
    for one in late:
        with deployment.tools.history(one.client.id) as history:
            try:
                refused = _show(deployment, one, history)
            except Waiting as err:
                told.waiting.append(err)
                continue
            except StrongroomError as err:
                told.problems.append(f"client {one.client.name}: {err}. {err.hint}")
                continue
            for index in one.pins:
                who = deployment.roster.member(index)
                why = refused.get(index) or _enrol(deployment, one.client, history, index)
                if why is None:
                    told.done.append(f"{who} follows this home for {one.client.name}")
                elif isinstance(why, Waiting):
                    told.waiting.append(why)
                else:
                    told.problems.append(f"client {one.client.name}: {who} stays away: {why}")
    return told


def _late(deployment: Deployment, history: History, pins: Mapping[int, Pin]) -> dict[int, Pin]:
    """Return what those have pinned that were away: until a writer begins here, by the log."""
    own = _begun(history)
    if own:
        return {
            index: pin
            for index, pin in pins.items()
            if all(one.key not in own for one in pin.writers)
        }
    answered: set[int] = set()
    for fact in history.facts("keys.opened"):
        recovery = fact.body.get("procedure") == str(Acts.Procedure.RECOVERY)
        if recovery and (fact.phase, fact.out) == ("result", "ok"):
            away = {*_numbers(fact.body.get("absent")), *_numbers(fact.body.get("altered"))}
            answered |= {one.index for one in deployment.roster.members} - away
    return {index: pin for index, pin in pins.items() if index not in answered}


def _numbers(value: object) -> list[int]:
    return [one for one in value if isinstance(one, int)] if isinstance(value, list | tuple) else []


def _show(deployment: Deployment, late: Late, history: History) -> dict[int, StrongroomError]:
    """Show the recovery to those that have not answered it; return who does not take it, and why.

    Raises Waiting where another one has to be approved first.
    """
    client = late.client
    # One that answered and was away from the first backup needs nothing but the writer's name.
    needing = [
        index
        for index in late.pins
        if not _begun(history)
        or isinstance(_enrol(deployment, client, history, index), Acts.NotRecovered)
    ]
    if not needing:
        return {}
    act = _still_counts(deployment, client)
    if act is not None and act.request.wanted is not None:
        recipient = deployment.tools.secrets.read(SHOWN + act.id)
        statement = fetch_record(
            deployment, client, history.find(act.request.wanted.snapshot)
        ).statement
        shown = act.request, act.given, recipient
        return show_again(deployment, (client, history), statement, shown, needing)
    statement = _known_to_them(deployment, late, history, needing)
    wish = _wish(deployment, client, needing, SnapshotHeader.read(statement), statement.hash.hex())
    with permitted(deployment, (client, history), wish) as permit:
        if permit is None:
            return {}
        recipient = deployment.tools.secrets.read(SHOWN + permit.request.request)
        shown = permit.request, permit.approvals, recipient
        refused = show_again(deployment, (client, history), statement, shown, needing)
        if len(refused) == len(needing):
            raise next(iter(refused.values()))
    return refused


def _begun(history: History) -> list[bytes]:
    """Return the writer of this home, once its first backup has begun."""
    return [key for key, after in history.writers() if after is None]


def _enrol(
    deployment: Deployment, client: Client, history: History, index: int
) -> StrongroomError | None:
    """Have one custodian pin this home's writer, once there is one; return why it does not."""
    if not _begun(history):
        return None
    try:
        enrol_late(deployment, client, history, deployment.custodians[index])
    except StrongroomError as err:
        return err
    return None


def _still_counts(deployment: Deployment, client: Client) -> Act | None:
    """Return the recovery of a client that was approved and done last, until it expires."""
    now, policy = deployment.tools.clock.now(), current_policy(deployment).id
    for act in reversed(deployment.desk.acts()):
        request = act.request
        of = (request.procedure, request.client, request.policy, act.state)
        if of == (Acts.Procedure.RECOVERY, client.id, policy, Desk.State.DONE):
            kept = deployment.tools.secrets.has(SHOWN + act.id)
            return act if kept and now < request.expires else None
    return None


def forget_shown(deployment: Deployment) -> None:
    """Remove the keys of recoveries that have expired."""
    secrets, now = deployment.tools.secrets, deployment.tools.clock.now()
    if not secrets.names(SHOWN):
        return
    # Another command may be asking just now: it writes the key and the act in one step.
    with deployment.desk.unchanged() as acts:
        needed = {SHOWN + one.id for one in acts if now < one.request.expires}
        for name in secrets.names(SHOWN):
            if name not in needed:
                secrets.remove(name)


def _known_to_them(
    deployment: Deployment, late: Late, history: History, needing: Sequence[int]
) -> Statement:
    """Return the newest good snapshot of a writer that all of them know, for they give no other."""
    known = [{one.id for one in late.pins[index].writers} for index in needing]
    deleted = {one.hash for one in history.deleted()}
    for snapshot in reversed(history.snapshots()):
        wanted = snapshot.state == "good" and snapshot.hash not in deleted
        if wanted and all(snapshot.writer in one for one in known):
            return fetch_record(deployment, late.client, snapshot).statement
    names = " and ".join(str(deployment.roster.member(index)) for index in needing)
    raise Refused(
        f"{names} cannot be brought in",
        "nothing is kept any more of the writers it knows",
        hint="Give its seat to a new one: `strongroom custodian enrol NAME=URL --replaces NAME`.",
    )


def _wish(
    deployment: Deployment,
    client: Client,
    needing: Sequence[int],
    header: SnapshotHeader,
    snapshot: str,
) -> Wish:
    """Return what a team is asked when the recovery that made this home has expired."""
    names = " and ".join(str(deployment.roster.member(index)) for index in needing)
    plan = Plan.of(
        f"bring {names}, which was away from the recovery of client {client.id[:8]}, to this home",
        "it follows the writer and the log of this home from then on",
        f"it answers for {len(header.sessions)} sessions of snapshot {snapshot[:12]}, and nobody "
        "can read that: this server has forgotten the key to it. One that was stolen before it "
        "asked can have kept that key, and opens the snapshot with it",
    )
    order = {
        "procedure": "recovery",
        "client": client.id,
        "snapshot": snapshot,
        "late": list(needing),
    }
    opens = snapshot, len(header.sessions)
    text = canonical.dumps(order).decode()
    return Wish(Acts.Procedure.RECOVERY, {}, plan, text, opens, unread=True)
