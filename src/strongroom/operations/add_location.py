"""`location add` and `location list`.

A new location gets every object that another one holds, so that it counts from its first day.
Nothing is decrypted for that: objects are copied as they are, packs with their hash checked.
"""

import json
from dataclasses import dataclass

from strongroom.clients import Client, Registry
from strongroom.crypto.hashing import content_hash
from strongroom.errors import Damaged, StrongroomError, UsageError
from strongroom.locations import Copies
from strongroom.operations.deployment import Deployment

CREDENTIAL_LINES = 2


@dataclass(frozen=True, slots=True)
class AddedLocation:
    """A location as it was added."""

    name: str
    url: str
    copied: int
    copied_bytes: int


@dataclass(frozen=True, slots=True)
class LocationState:
    """A location as `location list` shows it."""

    name: str
    url: str
    state: str
    facility: str
    country: str


def add_location(
    deployment: Deployment,
    named: tuple[str, str],
    site: tuple[str, str],
    credential: str | None,
) -> AddedLocation:
    """Add a location; its row is written after everything was copied to it."""
    name, url = named
    tools = deployment.tools
    Client.check_name(name, "the location name")
    for place in deployment.registry.locations():
        if name == place.name or url == place.url:
            raise UsageError(f"the location {place.url} is already there", f"it is {place.name}")
    if credential is not None:
        lines = credential.split()
        if len(lines) != CREDENTIAL_LINES:
            raise UsageError("the credential cannot be read", "wanted two lines: key id, secret")
        tools.secrets.write(
            f"location-{name}", json.dumps({"key_id": lines[0], "secret": lines[1]}).encode()
        )
    location = tools.location(url, name, True)
    copied, copied_bytes = 0, 0
    with Copies({name: location}) as target:
        present = target.list(deployment.install)
        for key in deployment.copies.list(deployment.install):
            if key not in present:
                data = deployment.copies.get(key, _acceptance(key))
                target.put(key, data)
                copied += 1
                copied_bytes += len(data)
    deployment.registry.add_location(
        Registry.Place(name, url, *site, credential is not None, tools.clock.now()),
        deployment.fact("location.added", name, url=url, copied=copied),
    )
    return AddedLocation(name, url, copied, copied_bytes)


def describe_locations(deployment: Deployment) -> list[LocationState]:
    """Return every location with whether it answers now."""
    rows: list[LocationState] = []
    for place in deployment.registry.locations():
        state = "answers"
        if place.name in deployment.absent_locations:
            state = str(deployment.absent_locations[place.name])
        else:
            try:
                next(
                    deployment.copies.locations[place.name].list(f"{deployment.install}/roster"),
                    None,
                )
            except StrongroomError as err:
                state = str(err)
        rows.append(LocationState(place.name, place.url, state, place.facility, place.country))
    return rows


def _acceptance(key: str) -> "_Accept":
    parts = key.split("/")
    return _Accept(parts[-1] if "packs" in parts else None, key)


@dataclass(frozen=True, slots=True)
class _Accept:
    """Accepts an object; a pack only when it has the hash it is named by."""

    wanted: str | None
    key: str

    def __call__(self, data: bytes) -> None:
        if self.wanted is not None and content_hash(data).hex() != self.wanted:
            raise Damaged(f"{self.key} is not what it is named by", "its hash differs")
