"""`strongroom ledger reconcile`: do the custodians tell what the ledger tells?"""

from collections.abc import Mapping
from typing import Any, Final

from strongroom.cli import output
from strongroom.cli.face import Face, With
from strongroom.errors import PartlyDone, printable
from strongroom.operations.journals import EXIT_CODES, State
from strongroom.operations.reconcile import Reconciliation
from strongroom.operations.reconcile import reconcile as reconcile_logs

_WORDS: Final[Mapping[State, str]] = {
    "agreed": "Reconciled: what custodians wrote down and what the ledger tells agree",
    "unwitnessed": "Reconciled, and not all of it is witnessed yet",
    "stale": "STALE: the ledger tells of more than custodians wrote down",
    "split": "CONTRADICTION: custodians tell of what the ledger does not",
    "damaged": "DAMAGED: a byte of a log is not what was written",
}


def reconcile(*, face: With) -> int:
    """Compare what every custodian wrote down of what it did with what the logs tell.

    Exits 3 when a custodian's journal could not be read, 10 when the announcement of a release is
    in no cosigned checkpoint yet, 20 when too few custodians remember an opening that a log tells
    of (one was put back), 30 when custodians tell of a release, an order or a backup that no log
    tells of, opened sessions that nobody dealt anew, or follow a team policy that this home does
    not know, 40 when a byte of a log is not what was written.
    """
    with face.deployment() as deployment:
        found = reconcile_logs(deployment)
    state = found.state
    unread = [one for one in found.journals if one.problem]
    told = {**_outcome(found), "state": state if len(unread) < len(found.journals) else "unknown"}
    face.show(told)
    if not face.json:
        _tell(face, found, state)
    if state == "agreed" and unread:
        return PartlyDone.exit_code
    return EXIT_CODES[state]


def _tell(face: Face, found: Reconciliation, state: State) -> None:
    read = [one for one in found.journals if not one.problem]
    unread = [one for one in found.journals if one.problem]
    words = _WORDS[state] if read else "UNKNOWN: no custodian's journal could be read"
    logs = output.count(len(found.logs), "log")
    face.say(f"{words}: {len(read)} of {output.count(len(found.journals), 'journal')}, {logs}.")
    face.table(
        ("log", "openings", "releases", "backups", "receipts", "state"),
        [
            (
                printable(one.log),
                str(one.openings),
                str(one.releases),
                str(one.backups),
                str(one.receipts),
                one.state,
            )
            for one in found.logs
        ],
        [],
    )
    for log in found.logs:
        for finding in log.findings:
            face.say(*output.wrapped(printable(f"{log.log}: {finding.text}"), "  "))
    for note in found.notes:
        face.say(*output.wrapped(printable(f"Note: {note}.")))
    for one in found.others:
        face.say(*output.wrapped(f"{one}."))
    for journal in read:
        begins = journal.begins_at
        since = "is empty" if begins is None else f"begins {output.moment(begins)}"
        face.tell(f"The journal of {journal.name} {since}: {output.count(journal.facts, 'fact')}.")
    for journal in unread:
        face.say(*output.wrapped(f"The journal of {journal.name} was not read: {journal.problem}"))


def _outcome(found: Reconciliation) -> dict[str, Any]:
    return {
        "logs": [
            {
                "log": one.log,
                "state": one.state,
                "openings": one.openings,
                "releases": one.releases,
                "backups": one.backups,
                "receipts": one.receipts,
            }
            for one in found.logs
        ],
        "findings": [
            {"log": log.log, "state": one.state, "what": one.text}
            for log in found.logs
            for one in log.findings
        ],
        "notes": list(found.notes),
        "other_policies": [
            {"index": one.index, "version": one.version, "state": one.state} for one in found.others
        ],
        "journals": [
            {
                "custodian": one.name,
                "index": one.index,
                "facts": one.facts,
                "begins_at": one.begins_at,
                "releases": len(one.releases),
                "receipts": len(one.receipts),
                "problem": one.problem,
            }
            for one in found.journals
        ],
    }
