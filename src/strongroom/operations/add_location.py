"""`location add` and `location list`.

A new location gets every object that another one holds, so that it counts from its first day.
Nothing is decrypted for that: objects are copied as they are, each checked first.
"""

from dataclasses import dataclass

from strongroom.clients import Client, Registry
from strongroom.errors import StrongroomError, UsageError
from strongroom.operations.credentials import Credential, check_credential, seal_credential
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import fill


@dataclass(frozen=True, slots=True)
class AddedLocation:
    """A location as it was added; `left_out` names objects that could not be checked."""

    name: str
    url: str
    copied: int
    copied_bytes: int
    left_out: list[str]


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
    credential: Credential | None,
) -> AddedLocation:
    """Add a location; its row is written after everything was copied to it."""
    name, url = named
    tools = deployment.tools
    Client.check_name(name, "the location name")
    for place in deployment.registry.locations():
        if name == place.name or url == place.url:
            raise UsageError(f"the location {place.url} is already there", f"it is {place.name}")
    check_credential(credential, [url])
    if credential is not None:
        seal_credential(tools.secrets, name, url, credential)
    location = tools.location(url, name, True)
    filled = fill(deployment, location, name, (deployment.install,))
    deployment.registry.add_location(
        Registry.Place(name, url, *site, credential is not None, tools.clock.now()),
        deployment.fact("location.added", name, url=url, copied=filled.copied),
    )
    # A backup may have placed objects between the copying and the row: look once more.
    again = fill(deployment, location, name, (deployment.install,))
    return AddedLocation(
        name,
        url,
        filled.copied + again.copied,
        filled.copied_bytes + again.copied_bytes,
        again.left_out,
    )


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
