"""The commands that the matrix runs, as the command line runs them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from strongroom.operations.back_up import back_up
from strongroom.operations.back_up_all import back_up_all
from strongroom.operations.check_vault import CheckOutcome, CheckRequest, check_vault
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import repair_client
from strongroom.operations.prune import PruneOutcome, PruneRequest, prune
from strongroom.operations.scrub import ScrubRequest, scrub_vault
from tests.faults.matrix.world import CLIENTS, LOCATIONS, silent

PRUNE_RULES: Final = ("BeyondFloor", "ClockInDoubt", "Refused")
"""What forbids a prune where nothing is broken: its floor, its clock, a home not yet begun."""
_DAMAGE: Final = frozenset({"damaged", "unauthenticated"})


@dataclass(slots=True)
class Scrubbed:
    """What is known after a scrub, by location and key."""

    named: dict[tuple[str, str], str] = field(default_factory=dict)
    """The damage, and why it is called so."""
    unknown: set[tuple[str, str]] = field(default_factory=set)
    """What nobody here can compare."""


def back_up_some(clients: Sequence[str]) -> Callable[[Deployment], list[tuple[str, Any]]]:
    """Return the command that backs these clients up, as the command line does."""

    def command(deployment: Deployment) -> list[tuple[str, Any]]:
        found = [deployment.registry.client(client) for client in clients]
        if len(found) == 1:
            return [(clients[0], back_up(deployment, found[0], silent))]
        return [(one.name, report) for one, report in back_up_all(deployment, found, silent)]

    return command


def prune_one(client: str, oldest: int | None) -> Callable[[Deployment], PruneOutcome]:
    """Return the command that deletes what was announced, and announces what goes now."""

    def command(deployment: Deployment) -> PruneOutcome:
        found = deployment.registry.client(client)
        return prune(deployment, found, PruneRequest(oldest=oldest))

    return command


def repair_all(deployment: Deployment) -> dict[str, list[str]]:
    """Repair both clients; return what was left out by location, and where nothing was reached."""
    left: dict[str, list[str]] = {}
    for client in CLIENTS:
        for name, filled in repair_client(deployment, deployment.registry.client(client)).items():
            left.setdefault(name, []).extend(filled.left_out)
    return {name: left.get(name, ["it was away"]) for name in LOCATIONS}


def scrub_all(share: int) -> Callable[[Deployment], Scrubbed]:
    """Return the command that reads a share of both clients."""

    def command(deployment: Deployment) -> Scrubbed:
        found = Scrubbed()
        for client in [deployment.registry.client(name) for name in CLIENTS]:
            report = scrub_vault(deployment, client, ScrubRequest(share), silent)
            found.named |= {
                (one.location, one.object): f"{one.kind}: {one.why}"
                for one in report.problems
                if one.kind in _DAMAGE
            }
            with deployment.tools.history(client.id) as history:
                notes = [one for one in history.copies.troubles() if one.state == "unknown"]
            found.unknown |= {(one.location, one.object) for one in notes}
        return found

    return command


def check(client: str) -> Callable[[Deployment], CheckOutcome]:
    """Return the command that reads every byte of a client at every location."""

    def command(deployment: Deployment) -> CheckOutcome:
        found = deployment.registry.client(client)
        return check_vault(deployment, found, CheckRequest(read=True), silent)

    return command
