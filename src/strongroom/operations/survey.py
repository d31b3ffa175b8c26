"""What the locations list of one client, what each should hold, and what a copy of it is.

The common ground of `vault scrub`, `vault repair` and `vault check`. No key is used: what should
be there follows from the home's rows and from what other locations hold, and every copy is judged
by the hash in its name or by the public key of whoever signed it (`acceptance`).
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from strongroom.clients import Client, History
from strongroom.errors import Damaged, StrongroomError
from strongroom.ids import is_canary_key
from strongroom.ledger import Log
from strongroom.locations import Location, LocationUnavailable, ObjectMissing
from strongroom.operations.acceptance import Accept, Acceptance, UnknownWriter, keys_of_logs
from strongroom.operations.deployment import Deployment
from strongroom.operations.placing import receipt_path, session_path, snapshot_path
from strongroom.operations.strangers import WHO_MAY_KNOW, strangers
from strongroom.operations.tombs import sessions_in
from strongroom.placement import Holding, Placement
from strongroom.vault import Vault

CONFIRMED_MAX: Final = 100
"""How many absences of one location are looked at one by one: a listing may lag by a few."""
OBJECT_BYTES_MAX: Final = 1 << 30
_OWN_ROWS: Final = frozenset({"snapshot", "receipt"})
"""Kinds of objects of which the home's rows name every one."""


@dataclass(slots=True)
class Survey:
    """What was listed, and what was expected; `away` says why a location could not be looked at."""

    deployment: Deployment
    client: Client
    placement: Placement
    acceptance: Acceptance
    packs: Mapping[str, int]
    """Sizes of the packs that good snapshots are made of, by the key of the whole pack."""
    sessions: frozenset[str]
    """The keys objects of the sessions on which the next backup could build, or could have."""
    listed: dict[str, dict[str, int]]
    """Sizes by key, for each location that answered."""
    away: dict[str, str]
    expected: dict[str, dict[str, str]] = field(default_factory=dict)
    """For each location that answered: the key of each object it should hold, and whose it is."""
    strangers: frozenset[str] = frozenset()
    """Writers that the vault names and only a custodian that is not here may know."""

    @property
    def root(self) -> str:
        """Below which key the vault lies, with a slash."""
        return vault_root(self.deployment, self.client)

    def judge(
        self, name: str, key: str, also: Accept | None = None
    ) -> tuple[History.CopyState, str, int]:
        """Read one copy and say what it is, why, and how many bytes were read.

        `also` refuses what is whole and not what the caller looks for. Raises LocationUnavailable
        where the location does not answer.
        """
        holding = self.holding(name, key)
        if holding is None:
            return (*self.acceptance.why_none(key), 0)
        refused: History.CopyState = "damaged" if key in self.expected[name] else "unauthenticated"
        listed, wanted = self.listed[name].get(key), holding.size_bytes
        if wanted is not None and listed not in (None, wanted):
            return refused, f"{listed} of {wanted} bytes", 0
        try:
            data = read_whole(self.deployment.copies.locations[name], key)
            holding.judge(data)
            if also is not None:
                also(data)
        except ObjectMissing:
            return "missing", "it is not there", 0
        except Damaged as err:
            if isinstance(err, UnknownWriter) and self._may_be_a_strangers(key):
                return "unknown", WHO_MAY_KNOW, listed or 0
            return refused, str(err).replace(key, "it"), listed or 0
        return "sound", "", len(data)

    def _may_be_a_strangers(self, key: str) -> bool:
        """Say whether a custodian that is not here may know who signed what nobody here has.

        Not where any copy is ours: then this one is altered.
        """
        accept = self.acceptance.of_key(key)
        if not self.strangers or accept is None:
            return False
        ours = key in self.sessions or key in self.acceptance.deleted
        return not ours and not _is_whole_somewhere(self, key, accept)

    def holding(self, name: str, key: str) -> Holding | None:
        """Return how long the copy under this key must be and what checks it, where anything does.

        A whole pack is judged as what it is also where only a part of it belongs.
        """
        whole = self.placement.object_of(key)
        accept = self.acceptance.of_key(whole)
        if accept is None:
            return None
        size = self.packs.get(whole)
        if self.acceptance.kind_of(whole) == "pack":
            found = self.placement.holdings(whole, size, accept).get(name)
            if found is not None and found.key == key:
                return found
        return Holding(key, size, accept) if whole == key else None

    def absence(self, key: str) -> tuple[History.CopyState, str]:
        """Say what it is, and why, when a location does not list what it should hold.

        Missing can be mended. What only a custodian that is not here could compare is copied
        nowhere, so nobody can say what should lie there.
        """
        if self.acceptance.of_key(self.placement.object_of(key)) is None:
            return "unknown", f"the location does not list it; {self.acceptance.why_none(key)[1]}"
        return "missing", "the location does not list it"

    def lacking(self, name: str) -> list[str]:
        """Return the keys of what a location should hold and does not list."""
        return sorted(self.expected[name].keys() - self.listed[name].keys())

    def confirm(self, name: str) -> list[str]:
        """Return what a location lacks, after asking for it by name; what is there is listed."""
        lacking = self.lacking(name)
        location = self.deployment.copies.locations[name]
        for key in lacking[:CONFIRMED_MAX]:
            try:
                self.listed[name][key] = location.stat(key).size_bytes
            except (ObjectMissing, Damaged):
                continue
        return self.lacking(name)

    def leave(self, name: str, why: str) -> None:
        """Look at a location no more: it stopped answering."""
        self.away[name] = why
        self.listed.pop(name, None)
        self.expected.pop(name, None)


def survey(deployment: Deployment, client: Client, history: History) -> Survey:
    """List every location that answers, and work out what each should hold.

    Raises LocationUnavailable when none answers.
    """
    acceptance = Acceptance.of(deployment)
    placement = deployment.placement(client)
    with deployment.tools.index(client.id) as index:
        known, tally = Vault.kept_packs(index)
        opened = Vault.kept_sessions(index, sessions_in(sorted(history.copies.lost())))
    root = vault_root(deployment, client)
    packs = {f"{root}{Vault.pack_key(pack)}": size for pack, size in known.items()}
    # No location has to hold what is deleted; what only waits for it, all of them.
    packs = {key: size for key, size in packs.items() if key not in acceptance.deleted}
    sessions = {session_path(deployment.install, client.vault, one) for one in opened}
    sessions -= acceptance.deleted
    listed, away = _list_all(deployment, prefixes_of(deployment, client, history))
    found = Survey(
        deployment, client, placement, acceptance, packs, frozenset(sessions), listed, away
    )
    names = (key for keys in listed.values() for key in keys)
    found.strangers = strangers(deployment, acceptance.writers[client.vault], names)
    wanted = {*packs, *sessions, *_named_by_rows(deployment, client, history)}
    wanted |= _held_somewhere(found, wanted, tally == history.tally())
    found.expected = {name: {} for name in listed}
    for whole in wanted:
        for name, key in _keys_of(found, whole):
            found.expected[name][key] = whole
    return found


def vault_root(deployment: Deployment, client: Client) -> str:
    """Return below which key a client's vault lies, with a slash."""
    return f"{deployment.install}/vaults/{client.vault}/"


def note_lacking(found: Survey, history: History) -> None:
    """Note what each location lacks; drop notes of what is there again or nobody expects.

    What is not there and can be compared by nobody here is noted as unknown.
    """
    now = found.deployment.tools.clock.now()
    missing = {
        (one.location, one.object) for one in history.copies.troubles() if one.state == "missing"
    }
    for name in list(found.listed):
        try:
            lacking = found.confirm(name)
        except LocationUnavailable as err:
            found.leave(name, str(err))
            continue
        absent = [(key, *found.absence(key)) for key in lacking]
        history.copies.write(
            History.CopyNote(name, key, state, now, why) for key, state, why in absent
        )
        listed = found.listed[name].keys()
        gone = history.copies.seen(name).keys() - listed - set(lacking)
        history.copies.forget(name, gone | {key for at, key in missing if at == name} & listed)


def read_whole(location: Location, key: str) -> bytes:
    """Return an object of one location; raises Damaged for one that is larger than any."""
    data = location.get(key, 0, OBJECT_BYTES_MAX + 1)
    if len(data) > OBJECT_BYTES_MAX:
        raise Damaged(f"{key} is larger than any object", f"over {OBJECT_BYTES_MAX} bytes")
    return data


def _list_all(
    deployment: Deployment, prefixes: tuple[str, ...]
) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    away = {name: str(err) for name, err in deployment.absent_locations.items()}
    locations = {n: one for n, one in deployment.copies.locations.items() if n not in away}
    listed: dict[str, dict[str, int]] = {}
    void = _void_kits(deployment)
    failures: list[StrongroomError] = list(deployment.absent_locations.values())
    with ThreadPoolExecutor(max(1, len(locations))) as pool:
        tasks = {
            name: pool.submit(_list, location, prefixes, void)
            for name, location in locations.items()
        }
        for name, task in tasks.items():
            try:
                listed[name] = task.result()
            except (LocationUnavailable, Damaged) as err:
                away[name] = str(err)
                failures.append(err)
    if not listed:
        raise LocationUnavailable(
            "no location can be looked at",
            "; ".join(f"{name}: {why}" for name, why in sorted(away.items())),
            failures[0].hint,
        )
    return listed, away


def prefixes_of(deployment: Deployment, client: Client, history: History) -> tuple[str, ...]:
    """Return below which keys everything lies that concerns a client: the server's log, too."""
    install = deployment.install
    logs = {**keys_of_logs(deployment.registry.log), **keys_of_logs(history.log)}
    return (
        f"{install}/roster",
        f"{install}/policy",
        f"{install}/policy-changes",
        f"{install}/kits",
        f"{install}/client-keys/{client.id}",
        f"{install}/vaults/{client.vault}",
        *(Log.stretch.ledger_folder(install, log) for log in logs),
    )


def _void_kits(deployment: Deployment) -> tuple[str, ...]:
    """Return below which keys the kit entries lie of those who lost their seats.

    They are nobody's to compare any more, and belong nowhere; where they are, they may stay.
    """
    seated = {member.id for member in deployment.roster.members}
    ever = {member.id for roster in deployment.rosters.rosters for member in roster.members}
    return tuple(f"{deployment.install}/kits/{one}/" for one in sorted(ever - seated))


def _list(location: Location, prefixes: tuple[str, ...], void: tuple[str, ...]) -> dict[str, int]:
    return {
        stat.key: stat.size_bytes
        for prefix in prefixes
        for stat in location.list(prefix)
        if not is_canary_key(stat.key) and not stat.key.startswith(void)
    }


def _named_by_rows(deployment: Deployment, client: Client, history: History) -> Iterator[str]:
    """Yield the records and receipts that the home knows to have been placed."""
    custodians = history.custodians_of()
    for one in history.snapshots():
        if one.state == "writing":
            continue
        yield snapshot_path(deployment.install, client, one)
        for index in custodians.get(one.hash, ()):
            member = deployment.signer(one, index)
            yield receipt_path(deployment.install, client, one, member.id)


def _held_somewhere(found: Survey, wanted: set[str], complete: bool) -> set[str]:
    """Return the objects that the home's rows do not name, and that one location holds whole.

    What not every location lists is read once: what somebody planted at one is missing nowhere.
    Packs that the index does not know are orphans, or deleted, unless the index lags behind.
    """
    holders: dict[str, int] = {}
    for keys in found.listed.values():
        for whole in {found.placement.object_of(key) for key in keys}:
            holders[whole] = holders.get(whole, 0) + 1
    held: set[str] = set()
    for whole, count in holders.items():
        kind = found.acceptance.kind_of(whole)
        if whole in wanted or kind in _OWN_ROWS or (kind == "pack" and complete):
            continue
        if found.acceptance.is_gone(whole):
            # It is deleted: what one location still has is brought to no other.
            continue
        accept = found.acceptance.of_key(whole)
        if accept is None:
            # What only an absent custodian could compare may well be needed everywhere. What a
            # stranger signed may be planted: until it is known nothing of it is missed anywhere.
            if kind == "kit" and found.acceptance.why_none(whole)[0] == "unknown":
                held.add(whole)
        elif count == len(found.listed) or _is_whole_somewhere(found, whole, accept):
            held.add(whole)
    return held


def _is_whole_somewhere(found: Survey, whole: str, accept: Accept) -> bool:
    try:
        if found.acceptance.kind_of(whole) == "pack":
            found.placement.get(whole, accept)
        else:
            found.deployment.copies.get(whole, accept)
    except (Damaged, ObjectMissing, LocationUnavailable):
        return False
    return True


def _keys_of(found: Survey, whole: str) -> Iterator[tuple[str, str]]:
    """Yield which location should hold which key of an object, of those that answered."""
    if found.acceptance.kind_of(whole) != "pack":
        yield from ((name, whole) for name in found.listed)
        return
    accept = found.acceptance.of_key(whole)
    if accept is None:
        return
    for name, holding in found.placement.holdings(whole, found.packs.get(whole), accept).items():
        if name in found.listed:
            yield name, holding.key
