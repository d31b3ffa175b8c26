"""Opening a snapshot's keys: the one path by which a content key comes back.

What is asked for is stated, approved and witnessed first, or nobody is asked. Custodians release
exactly the sessions that the snapshot's signed header lists, each after judging all of that by its
own rules and journalling it. What comes back lives in this process's memory only.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from strongroom.clients import Client, History
from strongroom.crypto.envelope import Envelope, Statement, decode_envelope
from strongroom.errors import Damaged, StrongroomError, Waiting
from strongroom.locations import ObjectMissing
from strongroom.operations.acceptance import check_signed_by_one_of
from strongroom.operations.deployment import Deployment
from strongroom.operations.grants import BROWSE, Act, Approved, approve_alone, follow, prove
from strongroom.operations.intent import announced, have_announced
from strongroom.operations.placing import redealt_path, session_path
from strongroom.operations.policies import hand_over_policies
from strongroom.operations.requesting import OnlyByApproval, Permit, needs_team
from strongroom.operations.witnessing import OpenLog, Witnessed
from strongroom.quorum import Acts, Dealing, Opening, SnapshotHeader
from strongroom.vault import SessionKeys

RECOVERY: Final = Act(Acts.Procedure.RECOVERY)


def verified_header(history: History, statement: Statement) -> tuple[SnapshotHeader, bytes]:
    """Return the parsed header and the writer's key; the signature of a known writer is checked."""
    for key, revoked_after in history.writers():
        if SnapshotHeader.writer_id(key) == statement.fields("snapshot").get("writer"):
            header = SnapshotHeader.parse(statement, key)
            if revoked_after is not None and header.sequence > revoked_after:
                raise Damaged(
                    f"snapshot {statement.hash.hex()[:12]} is signed by a revoked writer",
                    f"it counts up to sequence {revoked_after}, this is {header.sequence}",
                )
            return header, key
    raise Damaged(
        f"snapshot {statement.hash.hex()[:12]} is not signed by a writer of this client",
        "the location holds a vault that somebody else made",
    )


def fetch_keys(
    deployment: Deployment,
    client: Client,
    history: History,
    session: str,
    wanted: str | None = None,
) -> Envelope:
    """Read the keys object by which a session opens now: the newest that it was dealt anew with.

    One that is not good yet, or in whose roster too few of the custodians that are there sit, is
    passed over, and at last there is what was first dealt. `wanted` is that one's hash. Where too
    few sit in that one's roster either, one without enough receipts is better than none.
    """
    placed = [one for one in history.redeals.of(session) if one.object is None]
    known = [
        one for one in placed if _can_open(deployment, deployment.rosters.version(one.version).id)
    ]
    good = [one for one in known if len(one.signed) >= deployment.roster.threshold]
    for redeal in good:
        with suppress(Damaged, ObjectMissing):
            return fetch_redealt(deployment, client, redeal, wanted)
    first = fetch_first_keys(deployment, client, history, session, wanted)
    unproved = [one for one in known if one not in good]
    if unproved and not _can_open(deployment, Dealing.parse(first.statement).label.roster_id):
        for redeal in unproved:
            with suppress(Damaged, ObjectMissing):
                anew = fetch_redealt(deployment, client, redeal, wanted)
                if anew.body == first.body:
                    return anew
    return first


def _can_open(deployment: Deployment, roster: str) -> bool:
    """Tell whether a threshold of the custodians that are there sat in the roster of this id."""
    own, line = deployment.roster, deployment.rosters
    sitting = [one for one in deployment.custodians if line.holds(roster, own.member(one))]
    return len(sitting) >= own.threshold


def fetch_redealt(
    deployment: Deployment, client: Client, redeal: History.Redeal, wanted: str | None = None
) -> Envelope:
    """Read what a session was dealt anew with; `wanted` is the hash of the first object."""
    culprit = f"the keys object that session {redeal.session[:8]} was dealt anew with"

    def accept(data: bytes) -> None:
        statement = decode_envelope(data, culprit).statement
        if statement.hash.hex() != redeal.hash:
            raise Damaged(f"{culprit} is not what was written", "its hash differs")
        if wanted is not None and Dealing.parse(statement).first.keys != wanted:
            raise Damaged(f"{culprit} is of another one", "it names another first one")

    path = redealt_path(deployment.install, client.vault, redeal.version, redeal.session)
    return decode_envelope(deployment.copies.get(path, accept), culprit)


def fetch_listed_redealt(
    deployment: Deployment, client: Client, history: History, path: str
) -> Envelope:
    """Read what a location lists as what a session was dealt anew with, known here or not.

    Another home of this client may have dealt it: one of its writers must have signed it.
    """
    version, session = path.split("/")[-2:]
    for redeal in history.redeals.of(session):
        if redealt_path(deployment.install, client.vault, redeal.version, session) == path:
            return fetch_redealt(deployment, client, redeal)
    culprit = f"the keys object that session {session[:8]} was dealt anew with, to {version}"
    writers = [key for key, _ in history.writers()]

    def accept(data: bytes) -> None:
        statement = decode_envelope(data, culprit).statement
        dealing = Dealing.parse(statement)
        if dealing.label.session != session or dealing.redealt is None:
            raise Damaged(f"{culprit} is of another session", "it was moved there")
        check_signed_by_one_of(statement, writers, culprit)

    return decode_envelope(deployment.copies.get(path, accept), culprit)


def fetch_first_keys(
    deployment: Deployment,
    client: Client,
    history: History,
    session: str,
    wanted: str | None = None,
) -> Envelope:
    """Read what a session was first dealt with; a copy with another hash than wanted is not taken.

    Where no hash is known (a session of an earlier snapshot), a writer of this client must have
    signed it for this session: a copy that a location altered gives way to a good one.
    """
    culprit = f"the keys object of session {session[:8]}"
    writers = [key for key, _ in history.writers()]

    def accept(data: bytes) -> None:
        statement = decode_envelope(data, culprit).statement
        if Dealing.parse(statement).label.session != session:
            raise Damaged(f"{culprit} is of another session", "it was moved there")
        if wanted is not None and statement.hash.hex() != wanted:
            raise Damaged(f"{culprit} is not what was written", "its hash differs")
        if wanted is None:
            check_signed_by_one_of(statement, writers, culprit)

    key = session_path(deployment.install, client.vault, session)
    return decode_envelope(deployment.copies.get(key, accept), culprit)


def open_keys(
    deployment: Deployment,
    client: Client,
    history: History,
    statement: Statement,
    by: Act | Permit = BROWSE,
) -> dict[str, SessionKeys]:
    """Ask the custodians for a snapshot's sessions; raises naming every culprit below t.

    `by` is what it is for, where one person decides, or what a team has approved. Raises
    Unwitnessed, and asks nobody, where the announcement is not cosigned by the quorum; and
    OnlyByApproval for a team without a permit. A log that custodians do not know as this client's
    is one of a home that was rebuilt or put back: one person who agrees to that then asks again,
    for a recovery. Raises Waiting where custodians count a delay, from the first time on.
    """
    if not isinstance(by, Permit) and needs_team(deployment):
        raise OnlyByApproval(
            f"the keys of {client.name} are opened by approval only",
            "this command cannot ask for it",
        )
    keys = _keys_of(deployment, client, history, statement)
    try:
        return _open(deployment, client, history, (statement, keys), by)
    except Acts.OtherLog:
        if isinstance(by, Permit):
            raise
        if not _begun_from_kits(history):
            deployment.tools.device.agree(
                f"Custodians know {client.name} by another log than this home's, which was put "
                "back or rebuilt, or is not the right one. Open its keys as a recovery, so that "
                "this log counts from now on?"
            )
        return _open(deployment, client, history, (statement, keys), RECOVERY)


def _keys_of(
    deployment: Deployment, client: Client, history: History, statement: Statement
) -> list[Statement]:
    header, _ = verified_header(history, statement)
    fresh = dict(header.fresh)
    return [
        fetch_keys(deployment, client, history, session, fresh.get(session)).statement
        for session in header.sessions
    ]


def show_again(
    deployment: Deployment,
    of: tuple[Client, History],
    statement: Statement,
    shown: tuple[Acts.Request, tuple[Envelope, ...], bytes],
    late: Collection[int],
) -> dict[int, StrongroomError]:
    """Show an approved recovery to custodians that were away; return why one does not take it.

    `shown` has the request, its approvals, and the public key that answers are sealed to: nobody
    needs what these give. Raises what `open_keys` raises before anybody is asked.
    """
    client, history = of
    request, approvals, recipient = shown
    asked = Acts.ReleaseRequest(
        request=request.request,
        snapshot=statement,
        keys=tuple(_keys_of(deployment, client, history, statement)),
        recipient=recipient,
        requested_at=deployment.tools.clock.now(),
    )
    approved, log = Approved(request, approvals, "team"), OpenLog.of_client(client, history)
    told = _told(approved, statement)
    intent = deployment.intent("keys.opened", client.id, private=None, client="", **told)
    refused: dict[int, StrongroomError] = {}
    with announced(deployment, log, intent, witnessed=False) as outcome:
        witnessed = have_announced(deployment, log)
        asked = replace(asked, grant=prove(deployment, approved, intent, witnessed))
        for index in late:
            custodian = deployment.custodians[index]
            try:
                try:
                    custodian.release(asked)
                except (Acts.NoPolicy, Acts.OtherPolicy, Acts.LogMoved):
                    custodian.release(_supplied(deployment, index, asked, witnessed))
            except StrongroomError as err:
                refused[index] = err
        seats = {member.index for member in deployment.roster.members}
        outcome.update(**told, absent=sorted(seats - set(late) | set(refused)), altered=[])
    return refused


def _told(approved: Approved, statement: Statement) -> dict[str, str]:
    """Return what is announced of a request for keys."""
    return {
        "snapshot": statement.hash.hex(),
        "request": approved.request.request,
        "grant": approved.digest,
        "procedure": str(approved.request.procedure),
        "approved": approved.how,
    }


def _begun_from_kits(history: History) -> bool:
    """Tell whether this log was begun by a recovery from kits, and nothing was opened since.

    The custodians that were rebuilt then know the one under which that same command opened keys;
    who holds the kits has said enough.
    """
    first, *others = history.log.facts()
    if (first.op, first.body.get("cause")) != ("ledger.epoch_begun", "recovered"):
        return False
    opened = (one for one in others if (one.op, one.phase) == ("keys.opened", "result"))
    return all(one.run == first.run or one.out != "ok" for one in opened)


def _open(
    deployment: Deployment,
    client: Client,
    history: History,
    wanted: tuple[Statement, list[Statement]],
    by: Act | Permit,
) -> dict[str, SessionKeys]:
    """State, approve, announce and prove what is wanted; then ask."""
    tools = deployment.tools
    drawn = (by.request.request, by.seed) if isinstance(by, Permit) else None
    opening = Opening.begin(*wanted, tools.token, tools.clock.now(), drawn)
    log = OpenLog.of_client(client, history)
    if isinstance(by, Permit):
        approved = Approved(by.request, by.approvals, "team")
    else:
        approved = approve_alone(deployment, client, log, opening, by)
    told = _told(approved, wanted[0])
    intent = deployment.intent("keys.opened", client.id, private=None, client="", **told)
    with announced(deployment, log, intent, witnessed=False) as outcome:
        witnessed = have_announced(deployment, log)
        opening.grant(prove(deployment, approved, intent, witnessed))
        _ask(deployment, opening, witnessed)
        opened = opening.complete()
        outcome.update(**told, absent=list(opening.absent), altered=list(opening.altered))
    return {
        session: SessionKeys(session, inner, outer) for session, (inner, outer) in opened.items()
    }


def _ask(deployment: Deployment, opening: Opening, witnessed: Witnessed) -> None:
    """Ask custodians until enough have answered; in a recovery, all of them.

    Each has to take the new log for this client's. Raises Waiting or OtherLog where that is why too
    few answered.
    """
    for index, reason in deployment.absent_custodians.items():
        opening.miss(deployment.roster.member(index), reason)
    left = dict.fromkeys(deployment.custodians, opening.request)
    granted = opening.request.grant
    recovery = granted is not None and granted.request.procedure is Acts.Procedure.RECOVERY
    supplied: set[tuple[int, str]] = set()
    other_log: Acts.OtherLog | None = None
    waits: Waiting | None = None
    while left and (opening.lacking or recovery):
        # As many at a time as are needed: nobody releases a share that is of no use.
        chosen = list(left) if recovery else list(left)[: opening.lacking]
        asked = {
            index: partial(deployment.custodians[index].release, left.pop(index))
            for index in chosen
        }
        for index, answer in deployment.asking.each(asked):
            member = deployment.roster.member(index)
            try:
                opening.take(member, answer.result())
            except (Acts.NoPolicy, Acts.OtherPolicy, Acts.LogMoved) as err:
                if (index, err.code) in supplied:
                    opening.miss(member, err)
                    continue
                # It lacks what this home has: it is handed over, once, and asked again.
                supplied.add((index, err.code))
                left[index] = _supplied(deployment, index, opening.request, witnessed)
            except StrongroomError as err:
                opening.miss(member, err)
                other_log = err if isinstance(err, Acts.OtherLog) else other_log
                waits = err if isinstance(err, Waiting) else waits
    if opening.lacking and waits is not None and not opening.altered:
        raise waits
    if opening.lacking and other_log is not None and not opening.altered:
        raise other_log


def _supplied(
    deployment: Deployment, index: int, request: Acts.ReleaseRequest, witnessed: Witnessed
) -> Acts.ReleaseRequest:
    """Hand over the policies that a custodian lacks; prove the request to what it has seen."""
    custodian, checkpoint = deployment.custodians[index], witnessed.checkpoint
    try:
        hand_over_policies(deployment, custodian)
        if checkpoint is None or request.grant is None:
            return request
        (seen,) = custodian.witness.latest([checkpoint.origin])
        size = 0 if seen is None else seen.size
        grant = follow(request.grant, witnessed.log, checkpoint, size)
    except StrongroomError:
        # It says itself, when it is asked again, why it does not answer.
        return request
    return replace(request, grant=grant)
