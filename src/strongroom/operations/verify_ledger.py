"""Verifying the ledger: every byte of the logs, who cosigned them, and what witnesses have seen.

A log is witnessed, or not yet; it is stale where a witness saw more of it, split where one saw
another, damaged where what is stored is not what was written. A folder is judged by the same words,
and by a policy that does not come with it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from strongroom.errors import (
    Damaged,
    Refused,
    SplitView,
    Stale,
    StrongroomError,
    Unwitnessed,
    UsageError,
)
from strongroom.ledger import Checkpoint, Log, Policy, Witness
from strongroom.operations.deployment import Deployment
from strongroom.operations.read_ledger import logs_of
from strongroom.operations.witnessing import Witnesses

State = Literal["witnessed", "unwitnessed", "stale", "split", "damaged"]
EXIT_CODES: Final[Mapping[State, int]] = {
    "witnessed": 0,
    "unwitnessed": Unwitnessed.exit_code,
    "stale": Stale.exit_code,
    "split": SplitView.exit_code,
    "damaged": Damaged.exit_code,
}
"""The worst state of all that was looked at decides."""


@dataclass(frozen=True, slots=True)
class LogVerdict:
    """What is to be said of one log; `notes` are the two that contradict each other."""

    log: str
    state: State
    facts: int = 0
    witnessed: int = 0
    cosigned: Mapping[str, int] | None = None
    why: str = ""
    notes: tuple[bytes, ...] = ()


def verify_logs(deployment: Deployment, client: str | None = None) -> Iterator[LogVerdict]:
    """Yield a verdict on each log of the home.

    What is not witnessed yet is shown to the custodians again when the command ends.
    """
    witnesses = Witnesses.known(deployment)
    for one in logs_of(deployment, client):
        verdict = judge_log(deployment, one.name, one.log, witnesses)
        if verdict.state == "unwitnessed" and one.client is not None:
            deployment.touched.add(one.client)
        yield verdict


def judge_log(deployment: Deployment, name: str, log: Log, witnesses: Witnesses) -> LogVerdict:
    """Return the verdict on a log after looking at every byte of it and at what was seen of it."""
    try:
        log.verify()
        return _judge(deployment, name, log, witnesses)
    except Damaged as err:
        return LogVerdict(name, "damaged", why=str(err))


def policy_of(deployment: Deployment, client: str | None = None) -> Policy:
    """Return by what a stranger can judge the logs of this home, or one, in every epoch."""
    keys = [
        Checkpoint.Key.parse(vkey)
        for one in logs_of(deployment, client)
        for view in one.log.epochs()
        if (vkey := view.epoch().vkey) is not None
    ]
    if not keys:
        raise Refused(
            "there is no log to trust yet",
            "none was signed",
            hint="Every command signs what it recorded when it ends; run this one again.",
        )
    return Witnesses.known(deployment).policy(*keys)


def verify_folder(folder: Path, policy: Policy) -> LogVerdict:
    """Return a verdict on a static copy of a log; a file that is not right is in the answer."""
    try:
        found = Log.site.check_site(_reader(folder), policy)
    except Damaged as err:
        return LogVerdict(str(folder), "damaged", why=str(err))
    size = found.checkpoint.size
    if found.quorum_met:
        return LogVerdict(str(folder), "witnessed", size, size, found.cosigned)
    why = "too few witnesses have cosigned it"
    return LogVerdict(str(folder), "unwitnessed", size, 0, found.cosigned, why)


def verify_copy(deployment: Deployment, folder: Path) -> LogVerdict:
    """Return a verdict on a copy of a log of this home, compared with the log itself."""
    note = _reader(folder)(Log.site.CHECKPOINT)
    claimed = Checkpoint.claimed(note)
    witnesses = Witnesses.known(deployment)
    for one in logs_of(deployment):
        for view in one.log.epochs():
            epoch = view.epoch()
            if epoch.origin == claimed.origin and epoch.vkey is not None:
                key = Checkpoint.Key.parse(epoch.vkey)
                verdict = verify_folder(folder, witnesses.policy(key))
                return _compare(one.name, view, verdict, claimed, note)
    raise Refused(
        f"{folder} is a copy of no log of this home",
        f"its origin is {claimed.origin:.100}",
        hint="Say by what to judge it: --policy FILE.",
    )


def _reader(folder: Path) -> Callable[[str], bytes]:
    if not (folder / Log.site.CHECKPOINT).exists():
        raise UsageError(
            f"{folder} is no copy of a log",
            f"there is no {Log.site.CHECKPOINT} in it",
            hint="`strongroom ledger export --to DIR` makes one below DIR for each log.",
        )

    def read(path: str) -> bytes:
        try:
            with (folder / path).open("rb") as file:
                return file.read(Log.site.FILE_BYTES_MAX + 1)
        except OSError as err:
            raise Damaged(
                f"{folder / path} cannot be read",
                (err.strerror or type(err).__name__).lower(),
                hint="Ask another copy of the log.",
            ) from err

    return read


def _compare(
    name: str, view: Log, verdict: LogVerdict, copied: Checkpoint, note: bytes
) -> LogVerdict:
    """Return the verdict on a copy after asking the log that it is of."""
    if verdict.state == "damaged":
        return verdict
    size = view.size()
    if copied.size > size:
        why = f"the log {name} here has only {size} facts: this home was put back"
        return replace(verdict, state="stale", why=why)
    if view.root(copied.size) != copied.root:
        signed = view.checkpoint()
        why = f"the log {name} here is another one"
        notes = (note, signed.note) if signed else (note,)
        return replace(verdict, state="split", why=why, notes=notes)
    if copied.size < size:
        why = f"the log {name} has gone on: {size} facts"
        return replace(verdict, state="stale", why=why)
    return verdict


def _judge(deployment: Deployment, name: str, log: Log, witnesses: Witnesses) -> LogVerdict:
    """Return the verdict on a log of which every byte is as it was written."""
    epoch, size = log.epoch(), log.size()
    facts = sum(view.size() for view in log.epochs())
    if epoch.origin is None or epoch.vkey is None:
        return LogVerdict(name, "unwitnessed", facts, why="it was not signed yet")
    for index, custodian in deployment.custodians.items():
        against = _seen_otherwise(log, epoch.origin, f"custodian-{index}", custodian.witness)
        if against is not None:
            return replace(against, log=name, facts=facts)
    signed = log.checkpoint(cosigned=True)
    if signed is None:
        return LogVerdict(name, "unwitnessed", facts, why="no quorum has cosigned it yet")
    found = witnesses.policy(Checkpoint.Key.parse(epoch.vkey)).check(signed.note)
    verdict = LogVerdict(name, "witnessed", facts, facts - size + signed.size, found.cosigned)
    if not found.quorum_met:
        why = f"{len(found.cosigned)} have cosigned it, and {witnesses.needed} are needed"
        return replace(verdict, state="unwitnessed", witnessed=0, why=why)
    if signed.size < size:
        why = f"{size - signed.size} facts are in no cosigned checkpoint yet"
        return replace(verdict, state="unwitnessed", why=why)
    return verdict


def _seen_otherwise(log: Log, origin: str, who: str, witness: Witness.Like) -> LogVerdict | None:
    """Return what a witness that answers holds against a log, or None."""
    note = b""
    try:
        (seen,) = witness.latest([origin])
        if seen is None:
            return None
        note = witness.monitor(hashlib.sha256(origin.encode()).hexdigest()).body
        log.check_seen(seen, who)
        forks = [one for one in witness.evidence(origin) if one.fork]
    except Log.Behind as err:
        return LogVerdict("", "stale", why=str(err))
    except Log.Forked as err:
        ours = log.checkpoint()
        return LogVerdict("", "split", why=str(err), notes=(ours.note if ours else b"", note))
    except StrongroomError:
        # It does not answer; that it cosigned nothing newer is in the checkpoint.
        return None
    for fork in forks:
        shown = fork.request.partition(b"\n\n")[2]
        why = f"{who} was shown another log under its name at {fork.at}"
        return LogVerdict("", "split", why=why, notes=(fork.note or b"", shown))
    return None
