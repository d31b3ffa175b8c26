"""After a change of policy: who was away gives keys again, and what shows the change is kept."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from strongroom.crypto.envelope import Envelope
from strongroom.operations.change_policy import Change, change_policy, sign_next
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import repair_client
from strongroom.operations.look_at_policies import behind
from strongroom.operations.policies import current_policy
from tests.journeys.world import NORMAL, make_world, restored_state
from tests.operations.one_person import away


def following(deployment: Deployment) -> Envelope:
    """Return the next policy, with another delay."""
    seed, now = deployment.tools.device.seed(), deployment.tools.clock.now()
    change = Change(delay=timedelta(hours=1))
    return sign_next(seed, current_policy(deployment), change, now)


def test_a_restore_needs_a_custodian_that_was_away_from_a_change(tmp_path: Path) -> None:
    """It holds keys, so it follows by what the two others have signed, as it judges itself."""
    world = make_world(tmp_path / "world", clients=(NORMAL,))
    world.back_up()
    with world.open() as deployment:
        assert change_policy(away(deployment, 3), following(deployment)).custodians == [1, 2]
    with world.open() as deployment:
        assert [one.state for one in behind(deployment)] == ["older"]
        left = {index: one for index, one in deployment.custodians.items() if index != 1}
        without = replace(deployment, custodians=left)
        found = restored_state(without, NORMAL, tmp_path / "restored", "latest")
        assert found == world.state()
        assert behind(deployment) == []


def test_what_shows_an_approval_is_put_back_where_a_location_lost_it(tmp_path: Path) -> None:
    """By the home that saw it, and by one that was recovered, which reads the line there is."""
    world = make_world(tmp_path / "world", clients=(NORMAL,))
    world.back_up()
    with world.open() as deployment:
        policy = following(deployment)
        change_policy(deployment, policy)
        path = f"{deployment.install}/policy-changes/{policy.statement.hash.hex()}"
    lost, kept = (world.locations[name] / path for name in ("loc2", "loc1"))

    def put_back() -> None:
        shutil.rmtree(lost.parent)
        with world.open() as deployment:
            repair_client(deployment, deployment.registry.client(NORMAL))
        assert lost.read_bytes() == kept.read_bytes()

    put_back()
    world.lose_home()
    world.recover(world.kits[:2])
    world.back_up()
    put_back()
