"""Proving old shares: once a month each custodian opens a random sample of them again.

A receipt says that a share opened on the day it came. What is lost since would show at the restore
that needs it; asked at random it shows while the others still hold theirs. It is asked at the end
of a backup, where the keys objects are at hand and a custodian that lost something is a problem of
that backup's. The sample is drawn by the challenge, so nobody chooses it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from strongroom.clients import Client, History
from strongroom.clock import format_instant
from strongroom.crypto.envelope import Envelope, Statement, decode_envelope
from strongroom.errors import Damaged, Refused, Stale, StrongroomError
from strongroom.operations.deployment import Deployment
from strongroom.operations.open_keys import fetch_keys, verified_header
from strongroom.operations.receipts import fetch_record, plain_reason
from strongroom.quorum import Dealing

PERIOD: Final = timedelta(days=30)
SAMPLE: Final = 16
"""How many sessions are drawn: one lost in ten is found in a month with four chances in five."""
CHALLENGE_BYTES: Final = 32


def last_proved(deployment: Deployment, history: History) -> dict[int, datetime]:
    """Return when each custodian last proved what it holds of a client, by its index.

    One that was never asked made its key then, and has proved each share since with its receipt.
    """
    noted = history.avowals.notes()
    found: dict[int, datetime] = {}
    for index, data in history.client_keys().items():
        at = noted[index].proved_at if index in noted else None
        if at is None:
            certificate = decode_envelope(data, f"the certificate of custodian {index}")
            at = deployment.rosters.check_client_key(certificate).created_at
        found[index] = at
    return found


@dataclass(frozen=True, slots=True)
class SharesStatus:
    """How old shares of a client stand; `proved_at` is None until every custodian has proved."""

    proved_at: datetime | None
    warnings: list[str]


def look_at_shares(deployment: Deployment, client: Client, history: History) -> SharesStatus:
    """Say when the custodian that did longest ago has proved its shares, and who could not."""
    notes = history.avowals.notes()
    overdue = deployment.tools.clock.now() - 2 * PERIOD
    warnings: list[str] = []
    proved: list[datetime] = []
    for member in deployment.roster.members if notes else ():
        note = notes.get(member.index)
        at = note.proved_at if note else None
        if at is not None:
            proved.append(at)
        if note is not None and note.why:
            warnings.append(f"{member} cannot open old shares of {client.name}: {note.why}")
        elif at is None or at < overdue:
            since = f"since {format_instant(at)}" if at else "yet"
            warnings.append(
                f"{member} has not proved {since} that its old shares of {client.name} open; the "
                "next backup that it answers asks it"
            )
    whole = len(proved) == len(deployment.roster.members)
    return SharesStatus(min(proved) if whole else None, warnings)


def longest_ago(deployment: Deployment) -> dict[int, datetime]:
    """Return when each custodian that proved shares did, for the client where it is longest ago."""
    found: dict[int, datetime] = {}
    for client in deployment.registry.kept_clients():
        with deployment.tools.history(client.id) as history:
            for index, note in history.avowals.notes().items():
                if note.proved_at is not None:
                    found[index] = min(note.proved_at, found.get(index, note.proved_at))
    return found


def prove_due(deployment: Deployment, client: Client, history: History) -> list[str]:
    """Ask the custodians whose last proof is a month old; return who failed, as sentences."""
    now = deployment.tools.clock.now()
    due = {
        index
        for index, at in last_proved(deployment, history).items()
        if now - at >= PERIOD and index in deployment.custodians
    }
    newest = history.newest_good()
    if not due or newest is None:
        return []
    try:
        statement = fetch_record(deployment, client, newest).statement
        challenge = deployment.tools.token(CHALLENGE_BYTES).hex()
        keys = _sample(deployment, client, history, statement, challenge)
    except StrongroomError as err:
        return [f"old shares were not proved: {err}"]
    proved: list[int] = []
    failed: dict[int, str] = {}
    own = {index: dealt_to(deployment, index, keys) for index in due}
    questions = {
        index: partial(deployment.custodians[index].prove, challenge, own[index])
        for index in due
        if own[index]
    }
    for index, answer in deployment.asking.each(questions):
        try:
            _check(deployment, index, answer.result(), challenge, own[index])
            proved.append(index)
        except (Damaged, Refused, Stale) as err:
            failed[index] = plain_reason(deployment.roster.member(index), err)
        except StrongroomError:
            # It does not answer, which its receipt tells already; the next backup asks again.
            continue
    if proved or failed:
        _note(deployment, client, history, (newest.hash, len(keys)), sorted(proved), failed)
    return [
        f"{deployment.roster.member(index)} cannot open old shares: {why}"
        for index, why in sorted(failed.items())
    ]


def _sample(
    deployment: Deployment,
    client: Client,
    history: History,
    statement: Statement,
    challenge: str,
) -> list[Statement]:
    """Return the keys objects of sessions that a restore needs, drawn by the challenge."""
    header, _ = verified_header(history, statement)
    fresh = dict(header.fresh)
    # What was just dealt was just receipted; it is drawn only where there is nothing older.
    older = [one for one in header.sessions if one not in fresh] or list(header.sessions)
    drawn = sorted(older, key=lambda one: hashlib.sha256(f"{challenge}{one}".encode()).digest())
    return [
        fetch_keys(deployment, client, history, session, fresh.get(session)).statement
        for session in drawn[:SAMPLE]
    ]


def dealt_to(deployment: Deployment, index: int, keys: list[Statement]) -> list[Statement]:
    """Return the keys objects with a share for who has this seat now."""
    member = deployment.roster.member(index)
    return [
        one for one in keys if deployment.rosters.holds(Dealing.parse(one).label.roster_id, member)
    ]


def _check(
    deployment: Deployment,
    index: int,
    envelope: Envelope,
    challenge: str,
    keys: list[Statement],
) -> None:
    avowal = deployment.roster.check_avowal(envelope, challenge, keys)
    if avowal.index != index:
        raise Damaged(f"custodian {index} gave an avowal of custodian {avowal.index}")


def _note(
    deployment: Deployment,
    client: Client,
    history: History,
    about: tuple[str, int],
    proved: list[int],
    failed: Mapping[int, str],
) -> None:
    snapshot, sessions = about
    fact = deployment.fact(
        "shares.proved",
        client.id,
        snapshot=snapshot,
        sessions=sessions,
        proved=proved,
        failed=sorted(failed),
    )
    # The time is ours: a custodian whose clock is ahead would not be asked for long.
    history.avowals.note(proved, failed, fact.at, fact)
