"""A custodian with clients that was away from a change of policy gives keys again when asked."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from strongroom.operations.change_policy import Change, change_policy, sign_next
from strongroom.operations.look_at_policies import behind
from strongroom.operations.policies import current_policy
from tests.journeys.world import NORMAL, make_world, restored_state
from tests.operations.one_person import away


def test_a_restore_needs_a_custodian_that_was_away_from_a_change(tmp_path: Path) -> None:
    """It holds keys, so it follows by what the two others have signed, as it judges itself."""
    world = make_world(tmp_path / "world", clients=(NORMAL,))
    world.back_up()
    with world.open() as deployment:
        seed, now = deployment.tools.device.seed(), deployment.tools.clock.now()
        change = Change(delay=timedelta(hours=1))
        after = sign_next(seed, current_policy(deployment), change, now)
        assert change_policy(away(deployment, 3), after).custodians == [1, 2]
    with world.open() as deployment:
        assert [one.state for one in behind(deployment)] == ["older"]
        left = {index: one for index, one in deployment.custodians.items() if index != 1}
        without = replace(deployment, custodians=left)
        found = restored_state(without, NORMAL, tmp_path / "restored", "latest")
        assert found == world.state()
        assert behind(deployment) == []
