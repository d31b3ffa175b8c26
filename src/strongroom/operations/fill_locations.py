"""Bring a location up to what the others hold: a new one, one that was away, one with damage.

Nothing is decrypted; every object is checked before it is copied (`acceptance`), and what cannot
be checked here is left out and named. Objects are written once, so a damaged copy goes in this
order: good bytes from elsewhere in hand, delete with the janitor's credential, put with the
worker's, read back. Stopped after any step, the next repair goes on: the copy is missing then.
The story is told in docs/life-of/a-repair.md.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from strongroom.clients import Client, History
from strongroom.crypto.envelope import decode_envelope
from strongroom.errors import Damaged, Refused, StrongroomError
from strongroom.ids import is_canary_key
from strongroom.locations import Copies, Location, LocationUnavailable, ObjectExists, ObjectMissing
from strongroom.operations.acceptance import Acceptance
from strongroom.operations.credentials import Credential
from strongroom.operations.deployment import Deployment, Listing
from strongroom.operations.lost_objects import note_lost
from strongroom.operations.placing import client_key_path, rosters_to_place
from strongroom.operations.policies import policies_to_place
from strongroom.operations.survey import Survey, note_lacking, survey

NOTES_MAX: Final = 100


@dataclass(slots=True)
class Filled:
    """What was copied to one location, and what could not be checked and was left out."""

    copied: int = 0
    copied_bytes: int = 0
    shards: int = 0
    """How many shards of others were not copied."""
    replaced: int = 0
    """How many damaged copies were deleted and put again."""
    left_out: list[str] = field(default_factory=list)
    lost_objects: int = 0
    """How many packs (whole or in part) and keys objects belong here that no location has."""
    advice: str = ""
    """What somebody has to do before the damaged copies here can be replaced."""


def fill(deployment: Deployment, location: Location, name: str, prefixes: Sequence[str]) -> Filled:
    """Copy to one location every object below the prefixes that it lacks."""
    return _fill(deployment, Acceptance.of(deployment), {name: location}, prefixes)


def _fill(
    deployment: Deployment,
    acceptance: Acceptance,
    location: Mapping[str, Location],
    prefixes: Sequence[str],
) -> Filled:
    filled = Filled()
    with Copies(location) as target:
        for prefix in prefixes:
            present = target.list(prefix)
            for key in deployment.copies.list(prefix):
                if key in present or acceptance.is_gone(key) or is_canary_key(key):
                    continue
                if acceptance.kind_of(key) == "shard":
                    # Each location has shards of its own, which a repair makes.
                    filled.shards += 1
                else:
                    _copy(deployment, acceptance, target, key, filled)
    return filled


def _copy(
    deployment: Deployment, acceptance: Acceptance, target: Copies, key: str, filled: Filled
) -> None:
    accept = acceptance.of_key(key)
    if accept is None:
        filled.left_out.append(f"{key}: nothing here can tell whether it is whole")
        return
    try:
        data = deployment.copies.get(key, accept)
    except (Damaged, ObjectMissing) as err:
        filled.left_out.append(f"{key}: {err}")
        return
    target.put(key, data)
    filled.copied += 1
    filled.copied_bytes += len(data)


def repair_client(
    deployment: Deployment, client: Client, janitor: Credential | None = None
) -> dict[str, Filled]:
    """Give every location that answers what it lacks of a client, and good copies for damaged ones.

    Damaged are the copies that scrubbing or a check has noted; each is read again first. `janitor`
    is the credential to delete with where none is sealed for a location.
    """
    filled: dict[str, Filled] = {}
    with deployment.tools.history(client.id) as history:
        found = survey(deployment, client, history)
        note_lacking(found, history)
        for name in list(found.listed):
            filled[name] = _Mender(found, history, name).mend(janitor)
        troubles = history.copies.troubles()
        lost = note_lost(found, history, {(one.location, one.object) for one in troubles})
        for name, one in filled.items():
            one.lost_objects = len(lost.intersection(found.expected[name].values()))
    deployment.registry.record(
        deployment.fact(
            "vault.repaired",
            client.id,
            copied=sum(one.copied for one in filled.values()),
            replaced=sum(one.replaced for one in filled.values()),
            left_out=sum(len(one.left_out) for one in filled.values()),
        )
    )
    return filled


class _Mender:
    """Mends the copies of one client at one location, and notes what is sound again."""

    def __init__(self, found: Survey, history: History, name: str) -> None:
        self._found = found
        self._history = history
        self._name = name
        self._location = found.deployment.copies.locations[name]
        self._filled = Filled()
        self._notes: list[History.CopyNote] = []

    def mend(self, janitor: Credential | None) -> Filled:
        """Fill what is missing, then replace what is damaged; what cannot be is named."""
        try:
            damaged = self._damaged()
            for key in self._found.lacking(self._name):
                if not self._fill(key):
                    damaged.append(key)
            damaged = [key for key in damaged if self._is_still_damaged(key)]
            if damaged:
                self._replace_all(damaged, janitor)
        except LocationUnavailable as err:
            self._filled.left_out.append(f"it stopped answering: {err}")
        finally:
            self._write()
        return self._filled

    def _damaged(self) -> list[str]:
        """Return what is noted as damaged here, or has the wrong size, and belongs here."""
        expected, listed = self._found.expected[self._name], self._found.listed[self._name]
        noted = {
            one.object
            for one in self._history.copies.troubles()
            if one.location == self._name and one.state in ("damaged", "unauthenticated")
        }
        return sorted(
            key for key in expected.keys() & listed.keys() if key in noted or self._is_cut(key)
        )

    def _is_cut(self, key: str) -> bool:
        holding = self._found.holding(self._name, key)
        wanted = None if holding is None else holding.size_bytes
        return wanted is not None and wanted != self._found.listed[self._name][key]

    def _is_still_damaged(self, key: str) -> bool:
        # A note may be older than the copy: nothing is deleted for what was seen once.
        state, why, _ = self._found.judge(self._name, key)
        if state == "missing":
            return not self._fill(key)
        self._note(key, state, why)
        return state != "sound"

    def _fill(self, key: str) -> bool:
        """Put what is missing; say whether nothing else stands in its place."""
        data = self._good_bytes(key)
        if data is None:
            return True
        try:
            self._location.put(key, data)
        except ObjectExists:
            return False
        if self._read_back(key):
            self._filled.copied += 1
            self._filled.copied_bytes += len(data)
        return True

    def _replace_all(self, damaged: Sequence[str], given: Credential | None) -> None:
        try:
            with self._found.deployment.janitor([self._name], given) as janitor:
                for key in damaged:
                    self._replace(janitor.locations[self._name], key)
        except Refused as err:
            self._filled.advice = f"{err}. {err.hint}"
            self._filled.left_out += [f"{key}: damaged, and not replaced" for key in damaged]

    def _replace(self, janitor: Location, key: str) -> None:
        data = self._good_bytes(key)
        if data is None:
            return
        # From here until the put this location has no copy; the bytes are good at another one.
        with suppress(ObjectMissing):
            janitor.delete(key)
        with suppress(ObjectExists):
            self._location.put(key, data)
        if self._read_back(key):
            self._filled.replaced += 1

    def _good_bytes(self, key: str) -> bytes | None:
        """Return what belongs here, made from other locations only; None, named, without it."""
        found, name = self._found, self._name
        whole = found.expected[name][key]
        accept = found.acceptance.of_key(whole)
        holding = found.holding(name, key)
        if accept is None or holding is None:
            self._filled.left_out.append(f"{key}: {found.acceptance.why_none(key)[1]}")
            return None
        try:
            if found.acceptance.kind_of(whole) == "pack":
                data = found.placement.remake(name, whole, found.packs.get(whole), accept)
            else:
                data = found.deployment.copies.get(whole, accept, besides=name)
            holding.judge(data)
        except (Damaged, ObjectMissing, LocationUnavailable) as err:
            self._filled.left_out.append(f"{key}: {err}")
            return None
        return data

    def _read_back(self, key: str) -> bool:
        self._found.listed[self._name].pop(key, None)
        state, why, _ = self._found.judge(self._name, key)
        self._note(key, state, why)
        if state != "sound":
            self._filled.left_out.append(f"{key}: it was put, and reads back {state}: {why}")
        return state == "sound"

    def _note(self, key: str, state: History.CopyState, why: str) -> None:
        now = self._found.deployment.tools.clock.now()
        self._notes.append(History.CopyNote(self._name, key, state, now, why))
        if len(self._notes) >= NOTES_MAX:
            self._write()

    def _write(self) -> None:
        self._history.copies.write(self._notes)
        self._notes.clear()


def put_install_objects(deployment: Deployment) -> None:
    """Put the rosters and the custodians' sealed identities wherever a location lacks them."""
    entries = _kit_entries(deployment, "identity")
    policies = policies_to_place(deployment.registry)
    _put_everywhere(deployment, {**rosters_to_place(deployment), **policies, **entries})


def put_client_objects(deployment: Deployment, client: Client, history: History) -> None:
    """Put a client's certificates and sealed key tables wherever a location lacks them.

    A recovery begins with them and the install's objects; a location that was away when they were
    made holds packs that nothing opens.
    """
    entries = _kit_entries(deployment, client.id)
    _put_everywhere(deployment, {**_certificates(deployment, client, history), **entries})


def _kit_entries(deployment: Deployment, of: str) -> dict[str, bytes]:
    questions = {
        index: partial(custodian.kit_entries, of)
        for index, custodian in deployment.custodians.items()
    }
    found: dict[str, bytes] = {}
    for _, answer in deployment.asking.each(questions):
        # Its entries were placed when they were made; one that does not answer now signs nothing
        # either, which is told then, and the next backup looks again.
        with suppress(StrongroomError):
            found.update(answer.result())
    return found


def _put_everywhere(deployment: Deployment, wanted: dict[str, bytes]) -> None:
    answering = [
        location
        for name, location in deployment.copies.locations.items()
        if name not in deployment.absent_locations
    ]
    if len(answering) == 1:
        _put_missing(answering[0], wanted)
        return
    # Side by side: each look at a remote location waits for its answer.
    with ThreadPoolExecutor(max(1, len(answering))) as pool:
        for done in [pool.submit(_put_missing, location, wanted) for location in answering]:
            done.result()


def _certificates(deployment: Deployment, client: Client, history: History) -> dict[str, bytes]:
    """Return the custodians' certificates for a client by their keys."""
    found: dict[str, bytes] = {}
    for index, data in history.client_keys().items():
        envelope = decode_envelope(data, f"the certificate of custodian {index}")
        key = deployment.rosters.check_client_key(envelope)
        place = client_key_path(deployment.install, client.id, key.custodian, key.serial)
        found[place] = data
    return found


def _put_missing(location: Location, wanted: dict[str, bytes]) -> None:
    try:
        for key, data in wanted.items():
            try:
                location.stat(key)
            except ObjectMissing:
                location.put(key, data)
    except (LocationUnavailable, ObjectExists):
        # Unavailable: the backup finds out and says so. Exists: somebody else was quicker.
        return


def count_lacking(deployment: Deployment, listing: Listing) -> dict[str, int]:
    """Return how many of these listed objects each answering location lacks."""
    away = {*deployment.absent_locations, *deployment.copies.failures}
    lacking = {
        name: sum(name not in names for names in listing.values())
        for name in deployment.copies.locations
        if name not in away
    }
    return {name: count for name, count in lacking.items() if count}
