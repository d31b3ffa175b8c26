"""`vault check`: is everything where it should be, and is it what was put there?

Without content keys: which objects each location lacks or holds altered, what nobody we know has
signed, what could not be looked at, and which snapshots that hits. What scrubbing found is said
here until it is mended. With `read_data` the custodians open the newest good snapshot, and every
chunk of it is decrypted and its id computed again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from strongroom.clients import Client, History, Snapshot
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, Stale, StrongroomError, UsageError
from strongroom.facts import Fact
from strongroom.locations import LocationUnavailable
from strongroom.operations.catch_up import catch_up_alone
from strongroom.operations.check_credentials import (
    Answer,
    Rights,
    check_credentials,
    every_copy,
)
from strongroom.operations.deployment import Deployment
from strongroom.operations.grants import Act
from strongroom.operations.looking import asked_to_check, permitted_to_check
from strongroom.operations.lost_objects import note_lost
from strongroom.operations.open_keys import open_keys, verified_header
from strongroom.operations.placing import (
    receipt_path,
    redeal_receipt_path,
    redealt_path,
    session_path,
    snapshot_path,
)
from strongroom.operations.receipts import fetch_record
from strongroom.operations.requesting import Permit
from strongroom.operations.survey import Survey, survey
from strongroom.operations.vault_config import check_config
from strongroom.quorum import SnapshotHeader
from strongroom.vault import Vault

_IN_PACKS: Final = ("packs/", "index/")
"""What the vault itself compares: it knows which snapshot needs which."""
_OF_THE_INSTALL: Final = frozenset(
    {"roster", "policy", "policy-change", "kit", "client-key", "config", "tomb", "stretch"}
)
"""Kinds of objects that belong to no one snapshot; a recovery begins with them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be: damaged, missing, unauthenticated, unknown or stale.

    `hit` names the snapshots that need the object, `snapshots` counts them.
    """

    kind: str
    location: str
    object: str
    snapshots: int
    hit: list[str]
    why: str


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What a check looked at and found; `problems` is empty when all is well.

    `not_judged` counts objects that only a custodian which is not here could compare,
    `lost_objects` the packs and keys objects among the problems that no location has.
    """

    client: str
    snapshots: int
    objects: int
    locations: int
    read_bytes: int
    chunks_opened: int
    not_recomputed: str
    orphans: int
    not_judged: int
    lost_objects: int
    elapsed_seconds: float
    problems: list[Problem]
    rights: list[Rights]
    destroyable: Answer
    """Whether every copy can be destroyed from this machine."""


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """`read` hashes every byte at every location; `read_data` also opens the newest snapshot."""

    read: bool = False
    read_data: bool = False


def check_vault(
    deployment: Deployment,
    client: Client,
    request: CheckRequest,
    progress: Callable[[Vault.Progress], None],
) -> CheckOutcome:
    """Look at all locations; findings are returned, an impossible look is raised."""
    tools = deployment.tools
    started = tools.clock.monotonic()
    with (
        tools.history(client.id) as history,
        tools.index(client.id) as index,
        ExitStack() as allowed,
    ):
        vault = deployment.vault(client, index)
        good = _good(history, client)
        check_config(deployment, client, history, "check")
        catch_up_alone(deployment, client, history, vault)
        found = survey(deployment, client, history)
        look = _Look(found, history)
        records = _records(deployment, client, history, good, look.problems)
        # Asked before everything is read: who must wait need not wait for that first.
        opens = allowed.enter_context(_permitted(deployment, client, history, request, records))
        checked = [
            Vault.Checked(one.sequence, one.index, vault.structure(record.body, key, one.sequence))
            for one, key, record in records
        ]
        read = request.read or request.read_data
        report = vault.check(checked, read, progress, look.noted())
        look.take(report, [record.statement.hash.hex() for _, _, record in records])
        wanted = _wanted_objects(found, history, good, records)
        look.at_named(wanted)
        others = _named_by_others(deployment, client, history)
        look.at_unnamed({*wanted, *others}, read)
        if len(records) == len(good):
            # With a record missing nobody can say which keys objects it named.
            late = _late_receipts(deployment, client, history, look.ours)
            look.orphans |= look.ours - late - _redealt(found, records, look.ours)
        chunks, reason = 0, ""
        if opens is not None:
            at, by = opens
            _, writer, record = records[at]
            keys = open_keys(deployment, client, history, record.statement, by)
            opened = vault.read_data(checked[at].structure, writer, keys, progress)
            chunks, reason = opened.chunks, opened.not_recomputed
            look.in_data(opened, record.statement.hash.hex())
        lost = note_lost(found, history, look.troubled(), wanted.keys())
        rights = check_credentials(deployment, client)
        outcome = CheckOutcome(
            client.name,
            len(good),
            report.objects + len(wanted),
            len(deployment.copies.locations),
            report.bytes_read,
            chunks,
            reason,
            len(look.orphans),
            len(look.not_judged),
            len(lost),
            round(tools.clock.monotonic() - started, 3),
            look.problems,
            rights,
            every_copy(rights),
        )
        history.record(_checked(deployment, client, request, outcome))
    return outcome


@dataclass(slots=True)
class _Wanted:
    """What a small object must be besides authentic, and which snapshot needs it."""

    digest: str | None = None
    hit: list[str] = field(default_factory=list)

    def accept(self, data: bytes) -> None:
        """Raise Damaged for another object than the one that was signed."""
        if self.digest is None:
            return
        if decode_envelope(data, "it").statement.hash.hex() != self.digest:
            raise Damaged("its hash is not the one that was signed")


class _Look:
    """One look at all locations: gathers problems, and notes what scrubbing should know."""

    def __init__(self, found: Survey, history: History) -> None:
        self.problems: list[Problem] = []
        self.orphans: set[str] = set()
        self.ours: set[str] = set()
        """Objects that a writer of ours signed and no snapshot names."""
        self.not_judged: set[str] = set()
        """Objects that only a custodian which is not here could compare."""
        self._found = found
        self._history = history
        self._now = found.deployment.tools.clock.now()
        self._away: set[str] = set()
        root = f"{found.deployment.install}/vaults/{found.client.vault}/"
        self._packs = tuple(root + part for part in _IN_PACKS)
        for name, why in found.away.items():
            self._add("unknown", name, "", [], why)

    def noted(self) -> dict[tuple[str, str], str]:
        """Return why copies were refused when they were read last, by location and key."""
        return {
            (one.location, one.object): f"{one.why} (read {one.seen_at:%Y-%m-%d %H:%M:%S Z})"
            for one in self._history.copies.troubles()
            if one.state in ("damaged", "unauthenticated")
        }

    def troubled(self) -> set[tuple[str, str]]:
        """Return where copies are that are missing or not what they should be."""
        return {(one.location, one.object) for one in self.problems}

    def take(self, report: Vault.CheckReport, ids: list[str]) -> None:
        """Take what the vault found of packs and index objects."""
        for one in report.findings:
            if one.object or one.location not in self._found.away:
                hit = [ids[number] for number in one.hit]
                self._add(one.kind, one.location, one.object, hit, one.why)
        self.orphans.update(key for _, key in report.orphans)
        self._history.copies.write(
            History.CopyNote(name, key, "sound", self._now) for name, key in report.sound
        )

    def in_data(self, report: Vault.ReadReport, snapshot: str) -> None:
        """Take what the vault found in the opened data of a snapshot."""
        self.problems += [
            Problem(one.kind, one.location, one.object, 1, [snapshot], one.why)
            for one in report.findings
        ]

    def at_named(self, wanted: dict[str, _Wanted]) -> None:
        """Compare records, keys objects and receipts at every location with what was signed."""
        cleared: list[History.CopyNote] = []
        troubled = {(one.location, one.object) for one in self._history.copies.troubles()}
        for key, one in wanted.items():
            for name in list(self._found.listed):
                if key not in self._found.listed[name]:
                    kind, why = self._found.absence(key)
                    self._add(kind, name, key, one.hit, why)
                    continue
                state, why = self._judge(name, key, one)
                if state == "sound":
                    if (name, key) in troubled:
                        cleared.append(History.CopyNote(name, key, "sound", self._now))
                elif state != "skipped":
                    # What is named and is not what was signed is damaged, whoever did it.
                    kind = "missing" if state == "missing" else "damaged"
                    self._add(kind, name, key, one.hit, why)
        self._history.copies.write(cleared)

    def at_unnamed(self, named: set[str], read: bool) -> None:
        """Say of what no snapshot names whether it is ours, and so an orphan, or a stranger's.

        Packs and index objects take a name from their bytes: they are read only with `read`, or
        where they were refused before.
        """
        noted = self.noted()
        for name in list(self._found.listed):
            for key in sorted(self._found.listed[name].keys() - named):
                if self._is_in_packs(key) and (
                    key not in self.orphans or not (read or (name, key) in noted)
                ):
                    continue
                state, why = self._judge(name, key, _Wanted())
                if state == "sound":
                    self.ours.add(key)
                elif state in ("damaged", "unauthenticated"):
                    self._add("unauthenticated", name, key, [], why)
        self.orphans -= {one.object for one in self.problems if one.kind == "unauthenticated"}

    def _judge(self, name: str, key: str, wanted: _Wanted) -> tuple[str, str]:
        """Read a copy and say what it is; `skipped` where nobody here can say, or looks any more.

        A location that stops answering is a problem once and is left alone.
        """
        if name in self._away:
            return "skipped", ""
        try:
            state, why, _ = self._found.judge(name, key, wanted.accept)
        except LocationUnavailable as err:
            self._away.add(name)
            self._add("unknown", name, "", [], f"it stopped answering: {err}")
            return "skipped", ""
        if state == "unknown" and not wanted.hit:
            self.not_judged.add(key)
            return "skipped", why
        return state, why

    def _is_in_packs(self, key: str) -> bool:
        return key.startswith(self._packs)

    def _add(self, kind: str, name: str, key: str, hit: list[str], why: str) -> None:
        self.problems.append(Problem(kind, name, key, len(hit), hit, why))


def _checked(
    deployment: Deployment, client: Client, request: CheckRequest, outcome: CheckOutcome
) -> Fact:
    rights, at = outcome.rights, deployment.location_ids
    return deployment.fact(
        "vault.checked",
        client.id,
        objects=outcome.objects,
        problems=len(outcome.problems),
        read_data=request.read_data,
        overwritten_at=at(one.location for one in rights if one.overwrite is Answer.YES),
        deleted_at=at(one.location for one in rights if one.delete is Answer.YES),
        kept_at=at(one.location for one in rights if one.destroy is Answer.NO),
        every_copy_destroyable=str(outcome.destroyable),
    )


def _good(history: History, client: Client) -> list[Snapshot]:
    good = [one for one in history.snapshots() if one.state == "good"]
    if not good:
        raise UsageError(
            f"there is nothing to check of {client.name}",
            "no good snapshot is known",
            hint=f"Run `strongroom backup {client.name}` first.",
        )
    return good


@contextmanager
def _permitted(
    deployment: Deployment,
    client: Client,
    history: History,
    request: CheckRequest,
    records: Sequence[tuple[SnapshotHeader, bytes, Envelope]],
) -> Iterator[tuple[int, Act | Permit] | None]:
    """Ask to open the newest snapshot, or the one that was asked for, where data is to be read.

    Yields its place among the records, and by what its keys are opened.
    """
    if not request.read_data or not records:
        yield None
        return
    hashes = [record.statement.hash.hex() for _, _, record in records]
    asked = asked_to_check(deployment, client)
    at = hashes.index(asked) if asked in hashes else len(hashes) - 1
    with permitted_to_check(deployment, client, history, records[at][2].statement) as by:
        yield at, by


def _records(
    deployment: Deployment,
    client: Client,
    history: History,
    good: list[Snapshot],
    problems: list[Problem],
) -> list[tuple[SnapshotHeader, bytes, Envelope]]:
    records: list[tuple[SnapshotHeader, bytes, Envelope]] = []
    for snapshot in good:
        try:
            record = fetch_record(deployment, client, snapshot)
        except StrongroomError as err:
            key = snapshot_path(deployment.install, client, snapshot)
            hit = [snapshot.hash]
            problems.append(Problem(_kind_of(err), "every location", key, 1, hit, str(err)))
            continue
        header, writer = verified_header(history, record.statement)
        records.append((header, writer, record))
    return records


def _kind_of(err: StrongroomError) -> str:
    """Say what it means when no location gives a record: rolled back, altered, or silent."""
    if isinstance(err, Stale):
        return "stale"
    return "damaged" if isinstance(err, Damaged) else "unknown"


def _wanted_objects(
    found: Survey,
    history: History,
    good: list[Snapshot],
    records: list[tuple[SnapshotHeader, bytes, Envelope]],
) -> dict[str, _Wanted]:
    """Return what is small and needed: records, keys objects, receipts, and of the install."""
    deployment, client = found.deployment, found.client
    install = deployment.install
    custodians = history.custodians_of()
    wanted = {
        key: _Wanted()
        for keys in found.expected.values()
        for key in keys
        if found.acceptance.kind_of(key) in _OF_THE_INSTALL
    }
    for one in good:
        wanted[snapshot_path(install, client, one)] = _Wanted(one.hash, [one.hash])
        for index in custodians.get(one.hash, ()):
            member = deployment.signer(one, index).id
            wanted[receipt_path(install, client, one, member)] = _Wanted(None, [one.hash])
    for header, _, record in records:
        hit = [record.statement.hash.hex()]
        for session, digest in header.fresh:
            wanted[session_path(install, client.vault, session)] = _Wanted(digest, hit)
        for session in header.sessions:
            # An earlier snapshot may have brought it, which may be deleted since.
            held = wanted.setdefault(session_path(install, client.vault, session), _Wanted())
            held.hit = [*held.hit, *(one for one in hit if one not in held.hit)]
    return wanted | _wanted_redealt(deployment, client, history, wanted)


def _wanted_redealt(
    deployment: Deployment, client: Client, history: History, wanted: Mapping[str, _Wanted]
) -> dict[str, _Wanted]:
    """Return what needed sessions were dealt anew with last, and the receipts for that."""
    install, vault = deployment.install, client.vault
    anew: dict[str, _Wanted] = {}
    for redeal in history.redeals.newest(deployment.roster.threshold):
        first = wanted.get(session_path(install, vault, redeal.session))
        if first is None:
            continue
        place = install, vault, redeal.version, redeal.session
        anew[redealt_path(*place)] = _Wanted(redeal.hash, first.hit)
        roster = deployment.rosters.version(redeal.version)
        for index in redeal.signed:
            receipt = redeal_receipt_path(*place, roster.member(index).id)
            anew[receipt] = _Wanted(None, first.hit)
    return anew


def _named_by_others(deployment: Deployment, client: Client, history: History) -> set[str]:
    """Return what snapshots name that are not good yet."""
    named: set[str] = set()
    for snapshot in history.snapshots():
        if snapshot.state != "good":
            named.add(snapshot_path(deployment.install, client, snapshot))
            named |= _keys_of_unfinished(deployment, client, history, snapshot)
    return named


def _late_receipts(
    deployment: Deployment, client: Client, history: History, keys: Iterable[str]
) -> set[str]:
    """Return those of the keys that are receipts of known snapshots."""
    install = deployment.install
    folders = tuple(receipt_path(install, client, one, "") for one in history.snapshots())
    return {key for key in keys if key.startswith(folders)}


def _redealt(
    found: Survey,
    records: list[tuple[SnapshotHeader, bytes, Envelope]],
    keys: Iterable[str],
) -> set[str]:
    """Return those of the keys that came when a session that is needed was dealt anew."""
    needed = {session for header, _, _ in records for session in header.sessions}
    return {key for key in keys if found.acceptance.redealt_session(key) in needed}


def _keys_of_unfinished(
    deployment: Deployment, client: Client, history: History, snapshot: Snapshot
) -> set[str]:
    data = history.record_of(snapshot)
    if data is None:
        record = fetch_record(deployment, client, snapshot)
    else:
        record = decode_envelope(data, f"snapshot {snapshot.hash[:12]}")
    header, _ = verified_header(history, record.statement)
    return {session_path(deployment.install, client.vault, one) for one, _ in header.fresh}
