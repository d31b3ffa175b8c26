"""`vault prune`: delete what no kept snapshot needs, in two runs with a wait between them.

Plan, print, tombstone; wait; look again, rescue, delete (`prune_delete`). Every step can be done
again after an interruption at any point. The story: docs/life-of/a-deletion.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from strongroom.clients import Client, History, Snapshot
from strongroom.crypto.envelope import decode_envelope
from strongroom.errors import Refused, Stale, StrongroomError
from strongroom.operations.catch_up import learn_what_can_be
from strongroom.operations.credentials import Credential
from strongroom.operations.deployment import Deployment
from strongroom.operations.enrol_writer import refuse_replaced_home
from strongroom.operations.intent import announced
from strongroom.operations.open_keys import verified_header
from strongroom.operations.prune_delete import Carried, Looked, carry_out, look, whole_places
from strongroom.operations.prune_floor import (
    beyond_floor,
    known_when_asked,
    permitted_below,
    sealed_floor,
)
from strongroom.operations.receipts import complete, fetch_record, guard_against_rollback
from strongroom.operations.rotate import keepers_of_former
from strongroom.operations.strangers import strangers
from strongroom.operations.tombs import (
    packs_in,
    place_of,
    place_tombs,
    read_own,
    retire_gone,
    sessions_in,
)
from strongroom.operations.vault_config import DELETION, check_config, require_feature
from strongroom.operations.witnessing import OpenLog
from strongroom.vault import Vault, WorkerKeys

CLOCK_SLACK: Final = timedelta(minutes=10)
"""How far a custodian's clock may be ahead of ours before the difference stops a deletion."""


class ClockInDoubt(Refused):
    """The time is earlier than what has happened already."""

    code = "clock_in_doubt"
    hint = "Set the machine's clock and look what changed it; nothing was deleted."


class ShortListing(Stale):
    """No location lists everything that signed snapshots need."""

    code = "short_listing"
    hint = "See what is missing with `strongroom vault check CLIENT`; nothing was deleted."


@dataclass(frozen=True, slots=True)
class PruneRequest:
    """`oldest` bounds how many snapshots go this time; `credential` is the janitor's.

    With `below_floor` it asks for what is more than one person may delete at once.
    """

    dry_run: bool = False
    oldest: int | None = None
    credential: Credential | None = field(default=None, repr=False)
    below_floor: bool = False


@dataclass(slots=True)
class PruneOutcome:
    """What a prune did and planned; `problems` is empty when nothing was left undone.

    `state` is that of the newest plan: nothing goes, planned just now, or waiting.
    """

    client: str
    state: str = "nothing"
    goes_snapshots: int = 0
    goes_objects: int = 0
    goes_bytes: int = 0
    goes_orphans: int = 0
    stays_snapshots: int = 0
    stays_objects: int = 0
    stays_bytes: int = 0
    generation: int | None = None
    not_before_at: datetime | None = None
    deleted_objects: int = 0
    deleted_bytes: int = 0
    retained: int = 0
    rescued: int = 0
    snapshots: list[str] = field(default_factory=list)
    """The ids of what goes by the plan, oldest first."""
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Run:
    """What one prune carries from step to step."""

    deployment: Deployment
    client: Client
    history: History
    vault: Vault
    keys: WorkerKeys
    request: PruneRequest
    now: datetime
    outcome: PruneOutcome


def prune(deployment: Deployment, client: Client, request: PruneRequest) -> PruneOutcome:
    """Delete what an expired tombstone lists, then plan anew; a dry run only plans."""
    tools = deployment.tools
    with (
        tools.lock(client.vault),
        tools.history(client.id) as history,
        tools.index(client.id) as index,
    ):
        keys = deployment.worker_keys(client)
        vault = deployment.vault(client, index, keys)
        now = tools.clock.now()
        run = _Run(
            deployment, client, history, vault, keys, request, now, PruneOutcome(client.name)
        )
        _open(run)
        tombs = history.tombs()
        if not request.dry_run and any(row.not_before <= now for row in tombs):
            _carry_out(run, [row for row in tombs if row.not_before <= now])
        _plan(run)
        for name, err in deployment.copies.failures.items():
            told = f"location {name}: {err}"
            if not any(one.startswith(f"location {name}: ") for one in run.outcome.problems):
                run.outcome.problems.append(told)
        return run.outcome


def _open(run: _Run) -> None:
    """Make sure that this home may prune, and that it knows all there is to know."""
    deployment, client, history = run.deployment, run.client, run.history
    if not any(key == run.keys.writer_public for key, _ in history.writers()):
        raise Refused(
            f"this home has not written to the vault of {client.name} yet",
            "a tombstone is signed by the writer that custodians know",
            hint=f"Run `strongroom backup {client.name}` first.",
        )
    refuse_replaced_home(deployment, client, history)
    check_config(deployment, client, history, "prune")
    if not run.request.dry_run:
        complete(deployment, client, history, run.keys.writer_id)
        place_tombs(deployment, client, history, run.keys)
    _check_clock(run)
    guard_against_rollback(deployment, client, history, run.keys.writer_public)
    learn_what_can_be(deployment, client, history, run.vault)
    retire_gone(deployment, client, history, run.vault, run.keys)


def _check_clock(run: _Run) -> None:
    """Raise ClockInDoubt when something that has happened lies in the future."""
    happened = [one.received_at or one.created_at for one in run.history.snapshots()]
    # Not the end of its wait less today's wait, which may have been set anew since.
    happened += [
        read_own(run.deployment, run.client, run.keys, row).created_at
        for row in run.history.tombs()[-1:]
    ]
    latest = max(happened, default=run.now)
    if latest > run.now + CLOCK_SLACK:
        raise ClockInDoubt(
            f"the clock says {run.now:%Y-%m-%d %H:%M:%S Z}, and that has been before",
            f"the newest receipt or tombstone is of {latest:%Y-%m-%d %H:%M:%S Z}",
        )


def _carry_out(run: _Run, rows: Sequence[History.TombRow]) -> None:
    """Delete what these tombstones list and nothing that stays needs."""
    deployment, client, history = run.deployment, run.client, run.history
    tombs = [read_own(deployment, client, run.keys, row) for row in rows]
    standing = _standing(run, [one for one in history.snapshots() if one.goes_at is None])
    needed = Vault.pruning.needed_by(standing, run.vault.forgetting.pack_index())
    looked = look(deployment, client)
    whole = _whole_places(run, looked, needed)
    listed = {key for tomb in tombs for key in tomb.objects}
    rescued = Vault.pruning.needed_among(listed, needed)
    buried = [one.hash for tomb in tombs for one in tomb.snapshots]
    dropped = [*packs_in(sorted(listed - rescued)), *_lost_for_nobody(run, frozenset(buried))]
    log, intent = OpenLog.of_client(client, history), deployment.intent("prune.done", client.id)
    with (
        deployment.janitor(whole, run.request.credential) as janitor,
        announced(deployment, log, intent) as told,
    ):
        # From here on what the tombstones list cannot be restored.
        for row in rows:
            fact = deployment.fact("prune.begun", client.id, tomb=row.hash)
            history.forget_snapshots(row, sorted(listed - rescued), sorted(rescued), fact)
        run.vault.forgetting.drop(dropped, buried)
        carried = carry_out(janitor, looked, whole, sorted(listed - rescued))
        told.update(
            objects=carried.objects,
            bytes=carried.bytes,
            retained=carried.retained,
            rescued=len(rescued),
        )
    _tell_carried(run, carried, looked, len(rescued))


def _lost_for_nobody(run: _Run, gone: frozenset[str]) -> frozenset[str]:
    """Return the lost packs that no snapshot needs but these; no tombstone lists what is nowhere.

    None, where that cannot be known: to expect them longer harms nothing.
    """
    lost = frozenset(packs_in(sorted(run.history.copies.lost())))
    rest = [one for one in run.history.snapshots() if lost and one.hash not in gone]
    try:
        return lost.difference(*(one.packs for one in _standing(run, rest)))
    except StrongroomError:
        return frozenset()


def _tell_carried(run: _Run, carried: Carried, looked: Looked, rescued: int) -> None:
    outcome = run.outcome
    outcome.deleted_objects, outcome.deleted_bytes = carried.objects, carried.bytes
    outcome.retained, outcome.rescued = carried.retained, rescued
    outcome.problems += [f"location {name}: {err}" for name, err in carried.failures.items()]
    outcome.problems += [
        f"location {name}: {err}"
        for name, err in looked.silent.items()
        if name not in carried.failures
    ]
    if rescued:
        outcome.notes.append(f"{rescued} objects were rescued: a snapshot needs them again")
    if carried.retained:
        outcome.notes.append(
            f"{carried.retained} objects are retained: the location does not let them go yet"
        )
    if carried.objects:
        outcome.notes += keepers_of_former(run.deployment, run.client, run.history)


def _plan(run: _Run) -> None:
    """Plan a deletion and, unless it is a dry run, announce it."""
    deployment, client, history = run.deployment, run.client, run.history
    snapshots = [one for one in history.snapshots() if one.goes_at is None]
    looked = look(deployment, client)
    puzzled = _is_puzzled(run, looked)
    going = () if puzzled else _choose(run, snapshots, _eligible(run, snapshots))
    standing = _standing(run, [one for one in snapshots if one.hash not in going])
    pack_index = run.vault.forgetting.pack_index()
    needed = Vault.pruning.needed_by(standing, pack_index)
    _whole_places(run, looked, needed)
    indexes = run.vault.forgetting.indexes()
    tombs = [read_own(deployment, client, run.keys, row) for row in history.tombs()]
    buried = frozenset(key for tomb in tombs for key in tomb.objects)
    found = Vault.pruning.plan_prune(
        Vault.pruning.View(
            stays=standing,
            goes=[
                Vault.Buried(one.writer, one.sequence, one.hash, indexes[one.hash])
                for one in snapshots
                if one.hash in going
            ],
            pack_index=pack_index,
            known=_known(run, indexes),
            listed=looked.together(),
            buried=buried - Vault.pruning.needed_among(buried, needed),
            old_before=None if puzzled else run.now - deployment.tools.wait,
        )
    )
    outcome = run.outcome
    outcome.goes_snapshots, outcome.goes_objects = found.goes.snapshots, found.goes.objects
    outcome.goes_bytes, outcome.goes_orphans = found.goes.bytes, found.orphans
    outcome.stays_snapshots, outcome.stays_objects = found.stays.snapshots, found.stays.objects
    outcome.stays_bytes = found.stays.bytes
    outcome.snapshots = list(going)
    with _allowed(run, snapshots, found):
        if found.objects and not run.request.dry_run:
            _announce(run, found)
        elif found.objects:
            outcome.state = "planned"
    waiting = [row for row in history.tombs() if row.not_before > run.now]
    if waiting and outcome.state == "nothing":
        outcome.state = "waiting"
    if waiting and outcome.not_before_at is None:
        outcome.generation, outcome.not_before_at = waiting[0].generation, waiting[0].not_before
    outcome.problems += [
        told
        for name, err in looked.silent.items()
        if (told := f"location {name}: {err}") not in outcome.problems
    ]


def _is_puzzled(run: _Run, looked: Looked) -> bool:
    """Say, with a note, whether the vault names a writer that only somebody who is away may know.

    Its snapshots may need what seem to be orphans, and through a source that it carried over the
    packs of older snapshots, too: nothing is announced then.
    """
    writers = (key for key, _ in run.history.writers())
    found = strangers(run.deployment, writers, looked.together())
    if found:
        names = ", ".join(sorted(one[:8] for one in found))
        run.outcome.notes.append(
            f"nothing goes: it may be needed by writer {names}, whom a custodian that is not "
            "here may know; bring it back, or recover with all kits"
        )
    return bool(found)


def _eligible(run: _Run, snapshots: Sequence[Snapshot]) -> Sequence[Snapshot]:
    """Return the snapshots among which those that go are chosen."""
    if not run.request.below_floor:
        return snapshots
    return known_when_asked(run.deployment, run.client, run.request.oldest, snapshots)


def _choose(
    run: _Run, snapshots: Sequence[Snapshot], eligible: Sequence[Snapshot]
) -> tuple[str, ...]:
    """Return the hashes of the snapshots that go, oldest first."""
    keep = run.client.keep
    owed = _owed(run, snapshots)
    indexes = run.vault.forgetting.indexes()
    unread = frozenset(
        one.hash for one in snapshots if one.state == "good" and one.hash not in indexes
    )
    for name, hashes in owed.items():
        run.outcome.notes.append(
            f"{len(hashes)} snapshots stay as long as {name} has not signed for all of them: it "
            "signs in order and would never catch up"
        )
    run.outcome.problems += [
        f"snapshot {one[:12]} cannot be read, so it stays: see `strongroom vault check`"
        for one in sorted(unread)
    ]
    return Vault.pruning.choose(
        _candidates(eligible),
        Vault.Policy(keep.daily, keep.weekly, keep.monthly, keep.floor),
        unread.union(*owed.values()),
        run.request.oldest,
    )


def _candidates(snapshots: Sequence[Snapshot]) -> list[Vault.Candidate]:
    return [
        Vault.Candidate(one.hash, one.received_at or one.created_at, one.state == "good")
        for one in snapshots
    ]


def _owed(run: _Run, snapshots: Sequence[Snapshot]) -> dict[str, frozenset[str]]:
    """Return, by custodian, the snapshots that one needs which has been away.

    A custodian signs in order, each snapshot after the one before. One that has signed for this
    writer and is behind, or is here and has signed nothing, may come back.
    """
    own = [one for one in snapshots if one.writer == run.keys.writer_id]
    signed = run.history.custodians_of()
    owed: dict[str, frozenset[str]] = {}
    for member in run.deployment.roster.members:
        done = [one.sequence for one in own if member.index in signed.get(one.hash, ())]
        last = max(done, default=0 if member.index in run.deployment.custodians else None)
        if own and last is not None and last < own[-1].sequence:
            owed[member.name] = frozenset(one.hash for one in own if one.sequence >= last)
    return owed


def _standing(run: _Run, snapshots: Sequence[Snapshot]) -> list["Vault.pruning.Standing"]:
    """Return what each snapshot that stays needs; raises Damaged when that cannot be known."""
    found = []
    for one in snapshots:
        data = run.history.record_of(one) if one.state == "writing" else None
        culprit = f"snapshot {one.hash[:12]}"
        record = (
            fetch_record(run.deployment, run.client, one)
            if data is None
            else decode_envelope(data, culprit)
        )
        header, writer = verified_header(run.history, record.statement)
        structure = run.vault.structure(record.body, writer, header.sequence)
        found.append(
            Vault.pruning.Standing(
                header.writer,
                header.sequence,
                header.index,
                frozenset(header.sessions),
                run.vault.packs_of(structure),
            )
        )
    return found


def _known(run: _Run, indexes: Mapping[str, str]) -> frozenset[str]:
    """Return index and keys objects that signed snapshots have brought."""
    buried = [one.index for one in run.history.buried() if one.index]
    return frozenset(
        [f"index/{digest}" for digest in (*indexes.values(), *buried)]
        + [f"keys/{session}" for session in run.vault.forgetting.sessions()]
    )


@contextmanager
def _allowed(
    run: _Run, snapshots: Sequence[Snapshot], found: "Vault.pruning.PrunePlan"
) -> Iterator[None]:
    """Let a plan pass; raise BeyondFloor where it takes too much and nobody asks whether it may."""
    floor = sealed_floor(run.deployment, run.client, run.history, run.vault, snapshots)
    inside = Vault.pruning.inside_floor(
        _candidates(snapshots), [one.hash for one in found.snapshots], floor
    )
    beyond = beyond_floor(run.client, len(inside), floor, found)
    if beyond is None:
        yield
        return
    if run.request.dry_run or not run.request.below_floor:
        raise beyond
    going = {one.hash for one in found.snapshots}
    eligible = _eligible(run, snapshots)
    goes = [one for one in eligible if one.hash in going]
    stays = [one for one in eligible if one.hash not in going]
    of = (run.client, run.history)
    with permitted_below(run.deployment, of, run.request.oldest, goes, stays):
        yield


def _announce(run: _Run, found: "Vault.pruning.PrunePlan") -> None:
    """Write the tombstone at home, retire what goes, and place it, in this order."""
    deployment, client, history = run.deployment, run.client, run.history
    rows = history.tombs()
    tomb = Vault.Tomb(
        run.keys.writer_id,
        rows[-1].generation + 1 if rows else 1,
        run.now,
        run.now + deployment.tools.wait,
        found.snapshots,
        found.objects,
        found.goes,
        found.stays,
    )
    envelope = tomb.sign(place_of(deployment, client), run.keys.writer_seed)
    row = History.TombRow(
        envelope.statement.hash.hex(), tomb.generation, tomb.not_before, False, envelope.encode()
    )
    buried = [
        History.Buried(one.hash, one.writer, one.sequence, one.index) for one in tomb.snapshots
    ]
    fact = deployment.fact(
        "prune.planned",
        client.id,
        tomb=row.hash,
        snapshots=len(buried),
        objects=len(tomb.objects),
        bytes=tomb.goes.bytes,
    )
    require_feature(deployment, client, history, run.keys, DELETION)
    history.begin_tomb(row, buried, fact)
    run.vault.forgetting.retire((row.hash,), packs_in(tomb.objects), sessions_in(tomb.objects))
    place_tombs(deployment, client, history, run.keys)
    run.outcome.state = "planned"
    run.outcome.generation, run.outcome.not_before_at = tomb.generation, tomb.not_before


def _whole_places(run: _Run, looked: Looked, needed: frozenset[str]) -> frozenset[str]:
    """Return the locations that list all that stays; raises when there is none.

    What is lost is left out: every location was asked for it by name, and none has it.
    """
    lost = run.history.copies.lost()
    whole = whole_places(looked, needed - lost)
    if not whole:
        raise _short(run, looked, needed - lost)
    return whole


def _short(run: _Run, looked: Looked, needed: frozenset[str]) -> StrongroomError:
    """Return why nothing is deleted: no location shows all that stays."""
    lacking = looked.lacking(needed)
    if not lacking:
        return next(iter(looked.silent.values()))
    told = "; ".join(
        f"{name} lacks {count} of {len(needed)}" for name, count in sorted(lacking.items())
    )
    return ShortListing(f"no location lists all that stays of {run.client.name}", told)
