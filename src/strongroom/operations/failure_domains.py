"""Failure domains: which locations fail together, as far as anybody said or can see.

Two folders of one file system and two buckets behind one endpoint are seen; what a facility,
provider or device is, people say. A country is shown and is no failure domain: most countries do
not fail.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from strongroom.clients import Registry
from strongroom.locations import parse_location_url
from strongroom.operations.deployment import Deployment


@dataclass(frozen=True, slots=True)
class SharedDomain:
    """Locations that one failure may take together, and what they share."""

    kind: str
    value: str
    locations: tuple[str, ...]

    def __str__(self) -> str:
        """Return a sentence without its end."""
        *others, last = self.locations
        named = f"{', '.join(others)} and {last}"
        told = f" {self.value}" if self.kind in ("facility", "provider", "device") else ""
        return f"{named} share one {self.kind}{told}: one failure may take them together"


def domains_of(place: Registry.Place, file_system: str) -> dict[str, str]:
    """Return the failure domains of a location by kind, the narrowest first, unknown ones left out.

    `file_system` names the one that a folder lies on, or is empty.
    """
    site, url = place.site, parse_location_url(place.url)
    endpoint = ""
    if url.scheme != "file":
        apart = url.endpoint or url.account or url.region
        endpoint = f"{url.scheme} {apart or url.place}"
    found = {
        "file system": file_system,
        "device": site.device,
        "endpoint": endpoint,
        "facility": site.facility,
        "provider": site.provider,
    }
    return {kind: value for kind, value in found.items() if value}


def shared_domains(domains: Mapping[str, Mapping[str, str]]) -> list[SharedDomain]:
    """Return what locations share, from the domains of each by name; each group is told once."""
    found: list[SharedDomain] = []
    kinds = dict.fromkeys(kind for each in domains.values() for kind in each)
    order = ("file system", "device", "endpoint", "facility", "provider")
    for kind in sorted(kinds, key=order.index):
        groups: dict[str, list[str]] = {}
        for name in sorted(domains):
            if kind in domains[name]:
                groups.setdefault(domains[name][kind], []).append(name)
        for value, names in sorted(groups.items()):
            told = any(set(names) <= set(one.locations) for one in found)
            if len(names) > 1 and not told:
                found.append(SharedDomain(kind, value, tuple(names)))
    return found


def look_at_domains(deployment: Deployment) -> list[SharedDomain]:
    """Return what the locations of this home share."""
    return shared_domains(
        {
            place.name: domains_of(place, deployment.tools.file_system(place.url))
            for place in deployment.registry.locations()
        }
    )
