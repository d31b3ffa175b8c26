"""A home in which one person decides, or a team, on the clock of the test; and who is away."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Unavailable
from strongroom.operations.deployment import Deployment
from strongroom.operations.policies import Team
from strongroom.operations.set_up import InstallPlan, set_up
from strongroom.quorum import Acts
from tests.support.stand_in import StandIn
from tests.support.stepping_clock import SteppingClock


class Away(StandIn):
    """A custodian that does not answer an order."""

    def obey(self, order: Acts.Order) -> Envelope:
        raise Unavailable(f"custodian {self.card().index} cannot be reached", "it was turned off")


@dataclass
class Home:
    """The home; its clock is the test's."""

    app: App
    home: Path
    clock: SteppingClock

    @contextmanager
    def open(self) -> Iterator[Deployment]:
        with self.app.open(self.home) as deployment:
            yield deployment


def make_home(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    places: Sequence[str] = ("one",),
    team: Team | None = None,
) -> Home:
    """Make a home with locations of these names, in which one person decides, or a team does."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    clock = SteppingClock()
    app = App(clock=clock)
    install = app.new_install()
    urls = {name: f"file://{folder}/{name}" for name in places}
    plan = InstallPlan(install, "ann", 3, 2, urls, team=team)
    tools, registry = app.make_home(folder / "home", install)
    set_up(tools, registry, plan)
    registry.close()
    return Home(app, folder / "home", clock)


def standing_in(deployment: Deployment, *others: StandIn) -> Deployment:
    """Return the deployment with custodians that answer otherwise."""
    custodians = {**deployment.custodians, **{one.card().index: one for one in others}}
    return replace(deployment, custodians=custodians)


def away(deployment: Deployment, *indices: int) -> Deployment:
    """Return the deployment with these custodians away when they are to obey."""
    return standing_in(deployment, *(Away(deployment.custodians[index]) for index in indices))
