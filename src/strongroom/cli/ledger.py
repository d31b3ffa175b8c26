"""`strongroom ledger`: search what was recorded, prove it, hand it on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App as Commands
from cyclopts import Parameter
from cyclopts.validators import Number

from strongroom.cli import output
from strongroom.cli.erase import erase
from strongroom.cli.face import Face, With
from strongroom.cli.ledger_bundle import bundle
from strongroom.cli.reconcile import reconcile
from strongroom.cli.resume import resume
from strongroom.errors import Unwitnessed, UsageError, printable
from strongroom.ledger import Policy
from strongroom.operations.export_ledger import ExportedLog, export_ledger
from strongroom.operations.read_ledger import (
    FoundFact,
    SearchOutcome,
    SearchRequest,
    search_ledger,
    show_fact,
    tail_ledger,
)
from strongroom.operations.verify_ledger import (
    EXIT_CODES,
    LogVerdict,
    policy_of,
    verify_copy,
    verify_folder,
    verify_logs,
)

ID_SHOWN = 12
CELL_LENGTH_MAX = 60
LIMIT_MAX = 10_000
_FORMULA = ("=", "+", "-", "@")
_ERASED = "(erased)"

commands = Commands(name="ledger", help="The ledger: search it, prove it, hand it on.")
commands.command(erase)
commands.command(resume)

commands.command(bundle)
commands.command(reconcile)

Limit = Annotated[int, Parameter(validator=Number(gte=1, lte=LIMIT_MAX))]


@dataclass(frozen=True, slots=True)
class Where:
    """In which logs to look, from when on, and how many facts to show."""

    client: str | None = None
    """Only in this client's log; otherwise in all, the server's too."""
    since: str | None = None
    """No earlier than this time, as 2026-11-22 or 2026-11-22T18:00Z."""
    who: str | None = None
    """Only what this person did, by name."""
    limit: Limit = 50
    """At most so many."""


_EVERYWHERE = Where()


@commands.command
def search(
    text: str = "",
    /,
    *,
    where: Annotated[Where, Parameter(name="*")] = _EVERYWHERE,
    verify: bool = False,
    scan: bool = False,
    face: With,
) -> int:
    """Find facts, newest first, by their words and fields.

    All words must be there: `backup written`, the beginning of one as `snap*`, a field as
    `op:restore.done`, `out:denied`, `run:` or `subject:` with 8 digits or more of an id. What is
    found is read from the log itself. What is not found may be there all the same: only --scan
    reads every leaf.

    Exits 10 when, with --verify, something found is in no cosigned checkpoint yet, 40 when a leaf
    is not of the tree that was signed.

    Parameters
    ----------
    text
        What to look for; without it, the newest facts.
    verify
        Prove each by the newest checkpoint that a quorum of custodians has cosigned.
    scan
        Read every leaf and compute the tree anew: slow, and complete.
    """
    since = None if where.since is None else _instant(where.since)
    request = SearchRequest(text, where.client, since, where.who, where.limit, verify, scan)
    with face.deployment() as deployment:
        found = search_ledger(deployment, request)
    _table(face, found.facts)
    _tell_search(face, found, request)
    unproven = verify and any(one.proven and not one.proven.witnessed for one in found.facts)
    return Unwitnessed.exit_code if unproven else 0


@commands.command
def show(fact: str, /, *, face: With) -> int:
    """Show one fact whole, with what is kept of its private side, and prove it.

    Exits 10 when it is in no cosigned checkpoint yet. With --json the proof is there as text, as
    a `.tlog-proof` file holds it.

    Parameters
    ----------
    fact
        The fact's id, or 8 digits or more of its beginning.
    """
    with face.deployment() as deployment:
        found = show_fact(deployment, fact)
    face.show(_whole(found))
    face.say(*_page(found))
    return 0 if found.proven and found.proven.witnessed else Unwitnessed.exit_code


@commands.command
def tail(
    *,
    client: str | None = None,
    cursor: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    limit: Limit = 20,
    ocsf: bool = False,
    face: With,
) -> None:
    """List the newest facts of one log, oldest first, or what came after a cursor.

    With --ocsf each fact is one line of JSON, an event of OCSF 1.8.0; `unmapped.ledger.cursor` of
    the last one is where to go on. Private values stay commitments there.

    Parameters
    ----------
    client
        The client whose log it is; otherwise the server's.
    cursor
        Go on here: how many facts of the log were read before.
    limit
        At most so many.
    ocsf
        Write events of OCSF, one a line.
    """
    with face.deployment() as deployment:
        found = tail_ledger(deployment, client, cursor, limit)
    if ocsf:
        for event in found.events:
            output.stdout().write(f"{json.dumps(event)}\n")
        return
    _table(face, found.facts)
    face.tell(f"Go on with --cursor {found.cursor}")


@commands.command
def verify(
    folder: Annotated[Path | None, Parameter(name="DIR")] = None,
    /,
    *,
    client: str | None = None,
    policy: Path | None = None,
    face: With,
) -> int:
    """Compare every byte of the logs, or of a folder that `export` wrote, with what was signed.

    A log is also compared with what each custodian has seen of it. Exits 10 when facts are in no
    cosigned checkpoint yet, 20 when more was seen than is there (a rollback, or an old copy), 30
    when another log was seen under the same name, with both signed notes, 40 when a byte is not
    what was written.

    Parameters
    ----------
    folder
        A copy of a log; otherwise the logs of the home are verified.
    client
        Only this client's log.
    policy
        By which keys to judge a folder, as `ledger policy` writes it; otherwise by this home's,
        and the folder is compared with the home's own log.
    """
    if folder is None and policy is not None:
        raise UsageError("--policy is for a folder", "the home's logs are judged by its own")
    if folder is not None and policy is not None:
        verdicts = [verify_folder(folder, Policy.parse(_policy_file(policy)))]
    else:
        with face.deployment() as deployment:
            if folder is None:
                verdicts = list(verify_logs(deployment, client))
            else:
                verdicts = [verify_copy(deployment, folder)]
    _tell_verdicts(face, verdicts)
    return max(EXIT_CODES[one.state] for one in verdicts)


@commands.command
def export(*, to: Path, client: str | None = None, face: With) -> None:
    """Write logs as folders of files that other programs can read and verify (C2SP tlog-tiles).

    One folder for each log, named `server` or by the client's id, up to its newest
    checkpoint. Private values are not in it. What to judge it by is not in it either: `strongroom
    ledger policy` writes that, and it reaches whoever verifies on another way.

    Parameters
    ----------
    to
        The folder to make; what is there stays, and is refused for a log.
    client
        Only this client's log.
    """
    with face.deployment() as deployment:
        found = export_ledger(deployment, to, client)
    face.table(
        ("log", "facts", "folder"),
        [(one.log, str(one.facts), str(one.folder)) for one in found],
        found,
    )
    _tell_export(face, found)


@commands.command
def policy(*, client: str | None = None, face: With) -> None:
    """Write by what a stranger can judge the logs: their keys, the custodians', the quorum.

    The text is C2SP's tlog-policy. Keep it where the logs are not.

    Parameters
    ----------
    client
        Only for this client's log.
    """
    with face.deployment() as deployment:
        found = policy_of(deployment, client)
    face.show({"policy": found.encode().decode()})
    face.say(found.encode().decode().rstrip("\n"))


def _tell_search(face: Face, found: SearchOutcome, request: SearchRequest) -> None:
    logs = output.count(found.logs, "log")
    if found.matched is None:
        if not found.facts:
            face.tell(f"Nothing was found in {logs}. That proves nothing: --scan reads every leaf.")
    else:
        more = f", the newest {len(found.facts)} shown" if found.matched > len(found.facts) else ""
        face.tell(
            f"Every leaf of {logs} was read, and makes the tree of its log: "
            f"{output.count(found.matched, 'fact')} found{more}."
        )
    if request.verify and found.facts:
        proved = sum(one.proven is not None and one.proven.witnessed for one in found.facts)
        face.tell(f"{proved} of {len(found.facts)} are proved by a cosigned checkpoint.")


def _table(face: Face, facts: Sequence[FoundFact]) -> None:
    proofs = any(one.proven is not None for one in facts)
    titles = ("at", "log", "op", "outcome", "who", "about", "fact")
    face.table(
        (*titles, "proof") if proofs else titles,
        [(*_row(one), _proof(one)) if proofs else _row(one) for one in facts],
        [_flat(one) for one in facts],
    )


def _row(one: FoundFact) -> tuple[str, ...]:
    fact = one.fact
    outcome = "announced" if fact.phase == "intent" else f"{fact.out} {fact.why}".strip()
    who = one.disclosed.who or fact.who.id[:ID_SHOWN]
    return (
        output.moment(fact.at),
        one.log,
        fact.op,
        outcome,
        _cell(who),
        _about(one),
        fact.id[:ID_SHOWN],
    )


def _about(one: FoundFact) -> str:
    """Return what a fact is about in a few words: names where they are kept, ids cut short."""
    named = [value for value in one.disclosed.values.values() if value]
    if named:
        return _cell(" ".join(named))
    told = [f"{key} {_short(value)}" for key, value in sorted(one.fact.body.items())]
    return _cell(", ".join(told) or one.fact.subject[:ID_SHOWN])


def _short(value: object) -> str:
    if isinstance(value, list):
        return str(len(value))
    return str(value)[:ID_SHOWN] if isinstance(value, str) else str(value).lower()


def _cell(text: str) -> str:
    """Return a text from outside for a table: nothing in it moves the cursor or is computed."""
    safe = printable(text)
    if safe.startswith(_FORMULA):
        # A table that is pasted into a spreadsheet would run it.
        safe = f"'{safe}"
    return safe if len(safe) <= CELL_LENGTH_MAX else f"{safe[: CELL_LENGTH_MAX - 3]}..."


def _proof(one: FoundFact) -> str:
    return "proved" if one.proven is not None and one.proven.witnessed else "not yet"


def _flat(one: FoundFact) -> dict[str, Any]:
    fact = one.fact
    found = {
        "log": one.log,
        "epoch": one.epoch,
        "leaf": one.number,
        "fact": fact.id,
        "at": fact.at,
        "op": fact.op,
        "phase": fact.phase,
        "outcome": fact.out,
        "why": fact.why,
        "who": fact.who.id,
        "who_kind": fact.who.kind,
        "who_name": one.disclosed.who,
        "behalf": fact.behalf,
        "behalf_name": one.disclosed.behalf,
        "client": fact.client,
        "subject": fact.subject,
        "run": fact.run,
        **{f"body_{key}": value for key, value in sorted(fact.body.items())},
        **{f"private_{key}": value for key, value in sorted(one.disclosed.values.items())},
    }
    if one.proven is not None:
        found |= {"proved": one.proven.witnessed, "checkpoint": one.proven.size}
    return found


def _whole(one: FoundFact) -> dict[str, Any]:
    proof = None if one.proven is None or one.proven.proof is None else one.proven.proof
    return {
        **_flat(one),
        "ref": one.fact.ref,
        "node": one.fact.node,
        "version": one.fact.version,
        "commitments": dict(one.fact.sd),
        "canonical": one.leaf.decode(),
        "leaf_hash": one.leaf_hash.hex(),
        "cosigned": _times(one.proven.cosigned) if one.proven else {},
        "proof": proof.encode().decode() if proof else None,
    }


def _page(one: FoundFact) -> list[str]:
    fact, disclosed = one.fact, one.disclosed
    rows = [
        ("fact", fact.id),
        ("at", output.moment(fact.at)),
        ("what", f"{fact.op}: {fact.schema.about}"),
        ("outcome", f"{fact.phase}, {fact.out} {fact.why}".rstrip()),
        ("who", f"{fact.who.id} ({fact.who.kind}) {_name(disclosed.who)}"),
        *_if("on behalf", fact.behalf, f"{fact.behalf} {_name(disclosed.behalf)}"),
        *_if("from", fact.node, f"{fact.node} {_name(disclosed.station)}"),
        *_if("client", fact.client),
        *_if("subject", fact.subject),
        *_if("answers", fact.ref),
        *_if("run", fact.run),
        *((key, _cell_whole(value)) for key, value in sorted(fact.body.items())),
        *((key, _name(value)) for key, value in sorted(disclosed.values.items())),
        ("leaf", f"{one.number} of epoch {one.epoch} of the log {one.log}"),
        ("leaf hash", one.leaf_hash.hex()),
    ]
    width = max(len(key) for key, _ in rows)
    lines = [f"{key:{width}}  {value}".rstrip() for key, value in rows]
    return [*lines, "", *output.wrapped(_standing(one))]


def _if(key: str, value: str, shown: str | None = None) -> list[tuple[str, str]]:
    return [(key, shown or value)] if value else []


def _name(value: str | None) -> str:
    return _ERASED if value is None else printable(value)


def _cell_whole(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _standing(one: FoundFact) -> str:
    proven = one.proven
    if proven is None or not proven.witnessed:
        return "Not witnessed yet: no checkpoint that a quorum has cosigned holds it."
    who = ", ".join(
        f"{name} ({output.moment(at)})" for name, at in sorted(_times(proven.cosigned).items())
    )
    return f"Proved: it is in the tree of {proven.size} leaves that was cosigned by {who}."


def _times(cosigned: Mapping[str, int]) -> dict[str, datetime]:
    return {name: datetime.fromtimestamp(seconds, UTC) for name, seconds in cosigned.items()}


_VERDICTS = {
    "witnessed": "Sound and witnessed",
    "unwitnessed": "Sound, and not all of it is witnessed yet",
    "stale": "STALE: more of it was seen than is there",
    "split": "SPLIT VIEW: another log was shown under the same name",
    "damaged": "DAMAGED: a byte is not what was written",
}


def _tell_verdicts(face: Face, verdicts: Sequence[LogVerdict]) -> None:
    worst = max(verdicts, key=lambda one: EXIT_CODES[one.state])
    facts = sum(one.facts for one in verdicts)
    counts = f"{output.count(len(verdicts), 'log')}, {output.count(facts, 'fact')}"
    face.say(f"{_VERDICTS[worst.state]}: {counts}.")
    face.table(
        ("log", "facts", "witnessed", "cosigned", "state", "why"),
        [
            (
                printable(one.log),
                str(one.facts),
                str(one.witnessed),
                ", ".join(sorted(one.cosigned or ())) or "-",
                one.state,
                printable(one.why) or "-",
            )
            for one in verdicts
        ],
        [_verdict(one) for one in verdicts],
    )
    for one in verdicts:
        for note in one.notes:
            face.say("", *(printable(line) for line in note.decode("utf-8", "replace").split("\n")))


def _verdict(one: LogVerdict) -> dict[str, Any]:
    return {
        "log": one.log,
        "state": one.state,
        "facts": one.facts,
        "witnessed": one.witnessed,
        "cosigned": _times(one.cosigned or {}),
        "why": one.why,
        "notes": [note.decode("utf-8", "replace") for note in one.notes],
    }


def _tell_export(face: Face, found: Sequence[ExportedLog]) -> None:
    if found:
        face.tell(
            "Verify a copy here: " + face.command(f"ledger verify {found[0].folder}"),
            "Elsewhere by the policy: " + face.command("ledger policy"),
        )


def _policy_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise UsageError(
            f"the policy cannot be read from {path}", (err.strerror or "").lower()
        ) from err


def _instant(text: str) -> datetime:
    """Return the time that a person typed, in UTC where it has no zone."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as err:
        raise UsageError(
            f"{text!r:.40} is not a time", "wanted one as 2026-11-22 or 2026-11-22T18:00Z"
        ) from err
