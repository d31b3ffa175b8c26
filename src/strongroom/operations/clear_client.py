"""Clearing locations of an erased client: exports of its keys first, then all that they opened.

A sealed export gives a key back to whoever has the kit, so each that cannot be deleted is named
by its path. What was sealed under the keys opens nothing any more; it goes because nobody wants to
pay for it. Nothing waits as a prune does: the erasure was approved, and its delay has passed.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from strongroom.clients import Client
from strongroom.errors import Damaged, Refused
from strongroom.locations import Location, LocationUnavailable, ObjectMissing
from strongroom.operations.credentials import Credential
from strongroom.operations.deployment import Deployment
from strongroom.operations.prune_delete import RETAINED

_NAMED: Final = 3
"""How many objects that a location does not let go are named, beside exports."""

_Choose = Callable[[Location], dict[str, int]]
"""Returns the keys of what is to go from a location, with their sizes."""


@dataclass(slots=True)
class Cleared:
    """What was deleted over all locations, and what was not."""

    exports: int = 0
    objects: int = 0
    bytes: int = 0
    left: dict[str, list[str]] = field(default_factory=dict)
    """The paths of exports that a location still has, by its name."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why a location is not cleared, as a sentence, by its name."""

    @property
    def whole(self) -> bool:
        """Return whether every location is cleared."""
        return not self.left and not self.problems


@dataclass(slots=True)
class _Done:
    """What became of some keys at one location."""

    gone: int = 0
    bytes: int = 0
    held: list[str] = field(default_factory=list)
    """Those that are still there."""
    problem: str = ""


def clear_exports(
    deployment: Deployment,
    client: Client,
    named: Iterable[str],
    given: Credential | None,
    cleared: Cleared,
) -> None:
    """Delete every sealed export of a client's keys, of former custodians, too.

    `named` are the paths that custodians have signed for. What else lies there under the client's
    name goes as well: a custodian could leave one out.
    """
    folder, beginning = f"{deployment.install}/kits", f"{client.id}-"
    # A listing may lag: what was named is deleted whether it is listed or not.
    going = dict.fromkeys(named, 0)

    def chosen(location: Location) -> dict[str, int]:
        return going | {
            stat.key: stat.size_bytes
            for stat in location.list(folder)
            if stat.key.rpartition("/")[2].startswith(beginning)
        }

    for name, done in _everywhere(deployment, chosen, given).items():
        cleared.exports += done.gone
        cleared.objects += done.gone
        cleared.bytes += done.bytes
        if done.held:
            cleared.left[name] = done.held
        if done.problem:
            cleared.problems[name] = f"location {name} may still have exports: {done.problem}"


def clear_superseded(
    deployment: Deployment, paths: Iterable[str], newest: str, cleared: Cleared
) -> None:
    """Delete entries of a custodian's key table that hold keys which it has destroyed.

    Only where the newest one lies, which holds everything that is needed still.
    """
    going = dict.fromkeys(paths, 0)

    def chosen(location: Location) -> dict[str, int]:
        return going if going and _is_there(location, newest) else {}

    for name, done in _everywhere(deployment, chosen, None).items():
        cleared.exports += done.gone
        if done.held:
            cleared.left[name] = done.held
        if done.problem:
            cleared.problems[name] = f"location {name} may still have exports: {done.problem}"


def clear_vault(
    deployment: Deployment, client: Client, given: Credential | None, cleared: Cleared
) -> None:
    """Delete the vault of a client, all of whose keys are destroyed, and the certificates."""
    roots = (
        f"{deployment.install}/vaults/{client.vault}",
        f"{deployment.install}/client-keys/{client.id}",
    )

    def chosen(location: Location) -> dict[str, int]:
        return {stat.key: stat.size_bytes for root in roots for stat in location.list(root)}

    for name, done in _everywhere(deployment, chosen, given).items():
        cleared.objects += done.gone
        cleared.bytes += done.bytes
        if done.held:
            shown = ", ".join(done.held[:_NAMED])
            more = ", ..." if len(done.held) > _NAMED else ""
            why = f"{len(done.held)} objects that nothing opens any more do not go: {shown}{more}"
            cleared.problems.setdefault(name, f"location {name} is not cleared: {why}")
        if done.problem:
            cleared.problems.setdefault(name, f"location {name} is not cleared: {done.problem}")


def _everywhere(
    deployment: Deployment,
    chosen: _Choose,
    given: Credential | None,
) -> dict[str, _Done]:
    """Delete what is chosen at every location, side by side."""
    places = deployment.copies.locations

    def clear(name: str) -> _Done:
        try:
            with deployment.janitor([name], given) as janitor:
                return _clear(janitor.locations[name], chosen)
        except Refused as err:
            # Nobody may delete there now; what would go is looked for with what may read.
            return _held(places[name], chosen, f"{err}. {err.hint}")

    with ThreadPoolExecutor(max(1, len(places))) as pool:
        return dict(zip(places, pool.map(clear, places), strict=True))


def _clear(location: Location, chosen: _Choose) -> _Done:
    done = _Done()
    try:
        going = chosen(location)
        for key, size in going.items():
            try:
                location.delete(key)
            except ObjectMissing:
                continue
            except LocationUnavailable as err:
                if err.code != RETAINED:
                    raise
                done.held.append(key)
                continue
            done.gone += 1
            done.bytes += size
    except (LocationUnavailable, Damaged) as err:
        done.problem = str(err)
    return done


def _held(location: Location, chosen: _Choose, why: str) -> _Done:
    """Return what a location holds where nobody may delete; nothing to say where it has nothing."""
    try:
        held = [key for key in chosen(location) if _is_there(location, key)]
    except (LocationUnavailable, Damaged) as err:
        return _Done(problem=str(err))
    return _Done(held=held, problem=why if held else "")


def _is_there(location: Location, key: str) -> bool:
    try:
        location.stat(key)
    except ObjectMissing:
        return False
    return True
