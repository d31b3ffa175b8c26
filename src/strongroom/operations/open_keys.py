"""Opening a snapshot's keys: the one path by which a content key comes back.

That custodians are asked is witnessed first, or they are not. They release exactly the sessions
that the snapshot's signed header lists, each after its own checks and its own journal row. What
comes back lives in this process's memory only.
"""

from functools import partial

from strongroom.clients import Client, History
from strongroom.crypto.envelope import Envelope, Statement, decode_envelope
from strongroom.errors import Damaged, StrongroomError
from strongroom.operations.acceptance import check_signed_by_one_of
from strongroom.operations.deployment import Deployment
from strongroom.operations.intent import announced
from strongroom.operations.placing import session_path
from strongroom.operations.requesting import OnlyByApproval, Permit, needs_team
from strongroom.operations.witnessing import OpenLog
from strongroom.quorum import Dealing, Opening, SnapshotHeader
from strongroom.vault import SessionKeys


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
    """Read one session's keys object; a copy with another hash than wanted is not taken.

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
    permit: Permit | None = None,
) -> dict[str, SessionKeys]:
    """Ask the custodians for a snapshot's sessions; raises naming every culprit below t.

    `permit` is what a team has approved. Raises Unwitnessed, and asks nobody, where the
    announcement is not cosigned by the quorum; and OnlyByApproval for a team without a permit.
    """
    if permit is None and needs_team(deployment):
        raise OnlyByApproval(
            f"the keys of {client.name} are opened by approval only",
            "this command cannot ask for it",
        )
    header, _ = verified_header(history, statement)
    fresh = dict(header.fresh)
    keys = [
        fetch_keys(deployment, client, history, session, fresh.get(session)).statement
        for session in header.sessions
    ]
    tools = deployment.tools
    drawn = None if permit is None else (permit.request.request, permit.seed)
    opening = Opening.begin(statement, keys, tools.token, tools.clock.now(), drawn)
    snapshot, request = statement.hash.hex(), opening.request.request
    intent = deployment.intent("keys.opened", client.id, snapshot=snapshot, request=request)
    log = OpenLog.of_client(client, history)
    with announced(deployment, log, intent) as told:
        for index, reason in deployment.absent_custodians.items():
            opening.miss(deployment.roster.member(index), reason)
        left = dict(deployment.custodians)
        while left and opening.lacking:
            # As many at a time as are needed: nobody releases a share that is of no use.
            chosen = list(left)[: opening.lacking]
            asked = {index: partial(left.pop(index).release, opening.request) for index in chosen}
            for index, answer in deployment.asking.each(asked):
                member = deployment.roster.member(index)
                try:
                    opening.take(member, answer.result())
                except StrongroomError as err:
                    opening.miss(member, err)
        opened = opening.complete()
        told.update(
            snapshot=snapshot,
            request=request,
            absent=list(opening.absent),
            altered=list(opening.altered),
        )
    return {
        session: SessionKeys(session, inner, outer) for session, (inner, outer) in opened.items()
    }
