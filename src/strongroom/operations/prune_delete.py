"""Carrying a deletion out: look at every location again, then delete in the reverse of writing.

Records go before what they need, everywhere, so a snapshot whose record is still to be seen at a
location can still be read there. Only a location that itself lists all that stays is touched: an
empty or a short listing never leads to a deletion.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from strongroom.clients import Client
from strongroom.errors import Damaged, StrongroomError
from strongroom.locations import Copies, Location, LocationUnavailable, ObjectMissing
from strongroom.operations.deployment import Deployment
from strongroom.operations.tombs import place_of
from strongroom.placement import Placement
from strongroom.vault import Vault

RETAINED = "location_read_only"
"""The code of a location that answers and does not let an object go."""


@dataclass(slots=True)
class Looked:
    """What each location lists of a vault, by object; and why some could not be listed."""

    root: str
    listed: dict[str, dict[str, list[tuple[str, Vault.pruning.Listed]]]]
    """By location and object, relative to the vault: the full keys that hold it or a part of it."""
    silent: dict[str, StrongroomError]
    placement: Placement

    def together(self) -> dict[str, Vault.pruning.Listed]:
        """Return every object that any location lists: its sizes, and when the last copy came."""
        found: dict[str, Vault.pruning.Listed] = {}
        for objects in self.listed.values():
            for key, parts in objects.items():
                size = sum(one.size_bytes for _, one in parts)
                least = sum(one.least_bytes for _, one in parts)
                modified = max(one.modified_at for _, one in parts)
                known = found.get(key)
                if known is not None:
                    size = max(size, known.size_bytes)
                    least = min(least, known.least_bytes)
                    modified = max(modified, known.modified_at)
                found[key] = Vault.pruning.Listed(size, modified, least)
        return found

    def lacking(self, needed: frozenset[str]) -> dict[str, int]:
        """Return how many of the needed objects each location should list and does not."""
        missing = {
            name: sum(self._belongs(key, name) for key in needed - objects.keys())
            for name, objects in self.listed.items()
        }
        return {name: count for name, count in missing.items() if count}

    def _belongs(self, key: str, name: str) -> bool:
        if not key.startswith("packs/"):
            return True
        return name in self.placement.holdings(f"{self.root}/{key}", None, _no_judge)


@dataclass(slots=True)
class Carried:
    """What was deleted, what a location does not let go, and where it could not be done."""

    objects: int = 0
    bytes: int = 0
    retained: int = 0
    failures: dict[str, StrongroomError] = field(default_factory=dict)


def look(deployment: Deployment, client: Client) -> Looked:
    """List a vault at every location; one that cannot be listed is named."""
    root = place_of(deployment, client).root
    placement = deployment.placement(client)
    looked = Looked(root, {}, {}, placement)
    for name, location in deployment.copies.locations.items():
        objects: dict[str, list[tuple[str, Vault.pruning.Listed]]] = {}
        try:
            for stat in location.list(root):
                whole = placement.object_of(stat.key)[len(root) + 1 :]
                size = stat.size_bytes
                listed = Vault.pruning.Listed(size, stat.modified_at, size)
                objects.setdefault(whole, []).append((stat.key, listed))
        except (LocationUnavailable, Damaged) as err:
            looked.silent[name] = err
        else:
            looked.listed[name] = objects
    return looked


def _no_judge(data: bytes) -> None:
    """Judge nothing: only where an object should be is asked."""


def whole_places(looked: Looked, needed: frozenset[str]) -> frozenset[str]:
    """Return the locations that list everything that stays."""
    return frozenset(looked.listed.keys() - looked.lacking(needed).keys())


def carry_out(
    janitor: Copies, looked: Looked, whole: Iterable[str], objects: Sequence[str]
) -> Carried:
    """Delete these objects where they are, kind after kind; continued by the next run."""
    carried = Carried()
    places = {name: janitor.locations[name] for name in whole if name in janitor.locations}
    for name in looked.listed.keys() - places.keys():
        carried.failures[name] = LocationUnavailable(
            "it does not list all that stays, so nothing is deleted there",
            hint="Run `strongroom vault repair CLIENT`, then prune again.",
        )
    for part in range(len(Vault.pruning.ORDER)):
        keys = [key for key in objects if Vault.pruning.part_of(key) == part]
        going = {name: one for name, one in places.items() if name not in carried.failures}
        with ThreadPoolExecutor(max(1, len(going))) as pool:
            tasks = {
                name: pool.submit(_delete, one, looked, name, keys) for name, one in going.items()
            }
        for task in tasks.values():
            done = task.result()
            carried.objects += done.objects
            carried.bytes += done.bytes
            carried.retained += done.retained
            carried.failures.update(done.failures)
    return carried


def _delete(location: Location, looked: Looked, name: str, keys: Sequence[str]) -> Carried:
    """Delete one kind of objects at one location, up to the first that it does not answer for."""
    done = Carried()
    listed: Mapping[str, list[tuple[str, Vault.pruning.Listed]]] = looked.listed[name]
    for key in keys:
        for part, found in listed.get(key, ()):
            try:
                location.delete(part)
            except ObjectMissing:
                continue
            except LocationUnavailable as err:
                if err.code == RETAINED:
                    done.retained += 1
                    continue
                done.failures[name] = err
                return done
            done.objects += 1
            done.bytes += found.size_bytes
    return done
