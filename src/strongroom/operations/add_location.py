"""`location add`, `location remove`, `location set` and `location list`.

A new location gets every object that another one holds, so that it counts from its first day.
Nothing is decrypted for that: objects are copied as they are, each checked first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from strongroom.clients import Client, Registry
from strongroom.crypto import canonical
from strongroom.errors import Refused, StrongroomError, UsageError
from strongroom.ids import LocationId, new_id
from strongroom.operations.credentials import (
    Credentials,
    forget_credential,
    janitor_name,
    needs_credential,
    secret_name,
    unseal_credential,
)
from strongroom.operations.deployment import Deployment
from strongroom.operations.failure_domains import look_at_domains
from strongroom.operations.fill_locations import fill
from strongroom.operations.intent import intend
from strongroom.operations.requesting import Wish, permitted
from strongroom.operations.witnessing import OpenLog
from strongroom.procedures import Plan
from strongroom.quorum import Acts


@dataclass(frozen=True, slots=True)
class AddedLocation:
    """A location as it was added; `left_out` names objects that could not be checked."""

    name: str
    url: str
    copied: int
    copied_bytes: int
    left_out: list[str]
    again: bool = False
    """Whether it was a location before, was lost, and was made again in its place."""
    shards: int = 0
    """How many shards lie elsewhere, of which a repair makes those that belong here."""


@dataclass(frozen=True, slots=True)
class LocationState:
    """A location as `location list` shows it."""

    name: str
    url: str
    state: str
    facility: str
    provider: str
    country: str
    device: str
    janitor: str
    """Whose credential may delete: `sealed here`, `not here`, or `folder`, which has none."""
    shares: list[str]
    """What it shares with other locations, so that one failure may take them together."""


@dataclass(frozen=True, slots=True)
class SetLocation:
    """What is sealed for a location now; `same` where worker and janitor have one key."""

    name: str
    worker: bool
    janitor: bool
    same: bool


def add_location(
    deployment: Deployment,
    named: tuple[str, str],
    site: Registry.Site,
    credentials: Credentials,
) -> AddedLocation:
    """Add a location; its row is written after everything was copied to it."""
    name, url = named
    tools = deployment.tools
    Client.check_name(name, "the location name")
    for place in deployment.registry.locations():
        if url == place.url and place.name in deployment.absent_locations:
            return _make_again(deployment, place)
        if name == place.name or url == place.url:
            raise UsageError(f"the location {place.url} is already there", f"it is {place.name}")
    credentials.check([url])
    credentials.try_at(url, f"{deployment.install}/roster", tools.location_as)
    credentials.seal(tools.secrets, name, url)
    location = tools.location(url, name, True)
    filled = fill(deployment, location, name, (deployment.install,))
    own = LocationId(new_id(tools.token))
    deployment.registry.add_location(
        Registry.Place(own, name, url, site, credentials.worker is not None, tools.clock.now()),
        deployment.fact(
            "location.added",
            own,
            private={"name": name, "url": url},
            copied=filled.copied,
        ),
    )
    deployment.added[name] = location
    # A backup may have placed objects between the copying and the row: look once more.
    again = fill(deployment, location, name, (deployment.install,))
    return AddedLocation(
        name,
        url,
        filled.copied + again.copied,
        filled.copied_bytes + again.copied_bytes,
        again.left_out,
    )


def _make_again(deployment: Deployment, place: Registry.Place) -> AddedLocation:
    """Make a lost location anew where it was, under its name, and copy everything to it."""
    location = deployment.tools.location(place.url, place.name, True)
    filled = fill(deployment, location, place.name, (deployment.install,))
    deployment.added[place.name] = location
    deployment.registry.record(
        deployment.fact(
            "location.made_again",
            place.id,
            private={"name": place.name, "url": place.url},
            copied=filled.copied,
        )
    )
    return AddedLocation(
        place.name,
        place.url,
        filled.copied,
        filled.copied_bytes,
        filled.left_out,
        True,
        filled.shards,
    )


def check_removable(deployment: Deployment, name: str) -> Registry.Place:
    """Return the location of this name, where another one answers; raises Refused where none does.

    The error for a name that there is not lists those there are.
    """
    places = {place.name: place for place in deployment.registry.locations()}
    if name not in places:
        raise UsageError(f"there is no location {name!r:.80}", f"known: {', '.join(places)}")
    if not places.keys() - {name} - deployment.absent_locations.keys():
        raise Refused(
            f"location {name} cannot be removed",
            "no other location answers, and what is kept would be nowhere",
            hint="Add another first: `strongroom location add URL`.",
        )
    return places[name]


def remove_location(deployment: Deployment, name: str) -> str:
    """Forget a location and its credentials, and return its URL; nothing is deleted there.

    Raises what `check_removable` does, and Waiting until it is approved and its time has come.
    """
    place = check_removable(deployment, name)
    with permitted(deployment, None, _removal(place)):
        private = {"name": name, "url": place.url}
        intent = deployment.intent("location.removed", place.id, private=private)
        intend(deployment, OpenLog.of_server(deployment), intent)
        deployment.registry.remove_location(name, deployment.result(intent))
    for sealed in (secret_name(name), janitor_name(name)):
        forget_credential(deployment.tools.secrets, sealed)
    return place.url


def _removal(place: Registry.Place) -> Wish:
    """Return what an approver gets to see of a removal, and signs."""
    plan = Plan.of(
        f"forget location {place.name}: {place.url}",
        "no backup goes there any more; what lies there stays",
    )
    order = canonical.dumps({"procedure": "location-removal", "location": place.id}).decode()
    return Wish(Acts.Procedure.LOCATION_REMOVAL, {"location": place.id}, plan, order)


def set_credentials(
    deployment: Deployment, name: str, credentials: Credentials, *, forget_janitor: bool = False
) -> SetLocation:
    """Seal other credentials for a location, each once the location has answered to it."""
    place, tools = _place(deployment, name), deployment.tools
    if not needs_credential(place.url):
        raise UsageError(f"location {name} has no credential", f"{place.url} is a folder")
    credentials.check([place.url])
    credentials.try_at(place.url, f"{deployment.install}/roster", tools.location_as)
    intent = deployment.intent("location.credentials_set", place.id, private={"name": name})
    intend(deployment, OpenLog.of_server(deployment), intent)
    credentials.seal(tools.secrets, name, place.url)
    if forget_janitor:
        forget_credential(tools.secrets, janitor_name(name))
    worker = unseal_credential(tools.secrets, secret_name(name))
    janitor = unseal_credential(tools.secrets, janitor_name(name))
    fact = deployment.result(
        intent,
        worker=credentials.worker is not None,
        janitor=credentials.janitor is not None,
        janitor_forgotten=forget_janitor,
    )
    deployment.registry.set_credential(name, worker is not None, fact)
    same = worker is not None and janitor is not None and worker.key_id == janitor.key_id
    return SetLocation(name, worker is not None, janitor is not None, same)


def set_site(deployment: Deployment, name: str, changes: Mapping[str, str]) -> Registry.Site:
    """Change what is said of where a location is; what is not named stays."""
    place = _place(deployment, name)
    site = replace(place.site, **changes)
    before = {f"{one}_before": str(getattr(place.site, one)) for one in changes}
    fact = deployment.fact(
        "location.site_set",
        place.id,
        private={"name": name, **changes, **before},
        changed=sorted(changes),
    )
    deployment.registry.set_site(name, site, fact)
    return site


def _place(deployment: Deployment, name: str) -> Registry.Place:
    places = {place.name: place for place in deployment.registry.locations()}
    if name not in places:
        raise UsageError(f"there is no location {name!r:.80}", f"known: {', '.join(places)}")
    return places[name]


def _janitor(deployment: Deployment, place: Registry.Place) -> str:
    if not needs_credential(place.url):
        return "folder"
    return "sealed here" if deployment.tools.secrets.has(janitor_name(place.name)) else "not here"


def describe_locations(deployment: Deployment) -> list[LocationState]:
    """Return every location with whether it answers now."""
    rows: list[LocationState] = []
    shared = look_at_domains(deployment)
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
        rows.append(
            LocationState(
                place.name,
                place.url,
                state,
                place.site.facility,
                place.site.provider,
                place.site.country,
                place.site.device,
                _janitor(deployment, place),
                [str(one) for one in shared if place.name in one.locations],
            )
        )
    return rows
