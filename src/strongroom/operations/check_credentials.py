"""What could be destroyed from this machine, found out on an object that is there to be destroyed.

At each location a canary is put, overwritten and deleted with the worker's credential: what a
policy says is not believed, what the location does is recorded. There is one canary for each
writer and location, under a key of its own (docs/formats/vault-v1.md), and only a canary can be
overwritten. Deleted, it leaves nothing; refused, it stays and is tried again by the next check.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

from strongroom.clients import Client, Registry
from strongroom.errors import StrongroomError
from strongroom.locations import Location, LocationUnavailable, ObjectExists, ObjectMissing
from strongroom.operations.credentials import janitor_name, needs_credential
from strongroom.operations.deployment import Deployment
from strongroom.operations.placing import canary_path

CANARIES: Final = tuple(
    b"strongroom canary v1: it may be overwritten or deleted at any time (" + turn + b")\n"
    for turn in (b"one", b"two")
)
"""What a canary holds; one text overwrites the other."""
REFUSED: Final = "location_read_only"


class Answer(StrEnum):
    """What was found out; unknown is never shown as no."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Rights:
    """What the worker's credential can do to objects of one location.

    `versions` says that the store kept what was overwritten, `janitor_here` that a credential which
    may delete is sealed on this machine, `why` what is behind an answer that is not yes.
    """

    location: str
    overwrite: Answer
    delete: Answer
    versions: bool
    janitor_here: bool
    folder: bool
    why: str

    @property
    def destroy(self) -> Answer:
        """Whether a copy here can be destroyed from this machine.

        Where the store keeps versions it can be hidden; whether the credential may delete versions,
        too, was not tried.
        """
        if self.janitor_here:
            return Answer.YES
        answers = {self.overwrite, self.delete}
        if Answer.YES in answers:
            return Answer.UNKNOWN if self.versions else Answer.YES
        return Answer.UNKNOWN if Answer.UNKNOWN in answers else Answer.NO


@runtime_checkable
class _Replacing(Protocol):
    """A location at which overwriting can be tried."""

    def replace_canary(self, key: str, data: bytes) -> bool:
        """Overwrite a canary; returns whether the store kept the older one."""
        ...


def check_credentials(deployment: Deployment, client: Client) -> list[Rights]:
    """Try at every location what this machine could do to a client's objects."""
    writer = deployment.worker_keys(client).writer_id
    key = canary_path(deployment.install, client.vault, writer)
    return [_try(deployment, place, key) for place in deployment.registry.locations()]


def every_copy(rights: Sequence[Rights]) -> Answer:
    """Return whether every copy can be destroyed from this machine; one that cannot is enough."""
    answers = {one.destroy for one in rights}
    if Answer.NO in answers:
        return Answer.NO
    return Answer.UNKNOWN if Answer.UNKNOWN in answers else Answer.YES


def _try(deployment: Deployment, place: Registry.Place, key: str) -> Rights:
    location = deployment.copies.locations[place.name]
    folder = not needs_credential(place.url)
    janitor = not folder and deployment.tools.secrets.has(janitor_name(place.name))
    try:
        there = _put(location, key)
    except StrongroomError as err:
        return Rights(
            place.name, Answer.UNKNOWN, Answer.UNKNOWN, False, janitor, folder, f"not tried: {err}"
        )
    versions: list[bool] = []
    overwrite, why = _attempt(lambda: versions.append(_overwrite(location, key, there)))
    delete, why_not_deleted = _attempt(lambda: _delete(location, key))
    reasons = dict.fromkeys(reason for reason in (why, why_not_deleted) if reason)
    return Rights(place.name, overwrite, delete, any(versions), janitor, folder, "; ".join(reasons))


def _put(location: Location, key: str) -> bytes:
    """Put the canary where none is left of an earlier check, and return what it holds."""
    try:
        location.put(key, CANARIES[0])
    except ObjectExists:
        return location.get(key, 0, 2 * len(CANARIES[0]))
    return CANARIES[0]


def _overwrite(location: Location, key: str, there: bytes) -> bool:
    if not isinstance(location, _Replacing):
        raise LocationUnavailable("overwriting was not tried", f"{location.url} knows no way to")
    new = CANARIES[1] if there == CANARIES[0] else CANARIES[0]
    versions = location.replace_canary(key, new)
    if location.get(key, 0, 2 * len(new)) != new:
        raise LocationUnavailable("overwriting was accepted", "and changed nothing that is seen")
    return versions


def _delete(location: Location, key: str) -> None:
    location.delete(key)
    try:
        location.stat(key)
    except ObjectMissing:
        return
    raise LocationUnavailable("deleting was accepted", "and the object is still there")


def _attempt(act: Callable[[], None]) -> tuple[Answer, str]:
    try:
        act()
    except StrongroomError as err:
        return (Answer.NO if err.code == REFUSED else Answer.UNKNOWN), str(err)
    return Answer.YES, ""
