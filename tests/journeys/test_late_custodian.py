"""A custodian that is down when a rebuilt home begins, and comes back."""

import shutil
from pathlib import Path

import pytest

from strongroom.operations.back_up import back_up
from tests.journeys.test_recover_again import ENROLMENT_PUTS, assert_works, dying, recover
from tests.journeys.world import NORMAL, World, make_world, silent


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = make_world(tmp_path / "world", clients=(NORMAL,))
    assert made.back_up().problems == []
    return made


def test_a_custodian_that_was_down_at_the_first_backup_signs_when_it_is_back(world: World) -> None:
    """It had pinned the old writer alone, and must neither refuse the new one nor stop it."""
    world.lose_home()
    recover(world)
    aside = world.root / "aside"
    world.custodian(2).rename(aside)
    assert world.back_up().receipts == 2
    aside.rename(world.custodian(2))
    with dying(world, 1) as deployment:
        back_up(deployment, deployment.registry.client(NORMAL), silent)
    again = world.back_up()
    assert (again.state, again.receipts, again.problems) == ("good", 3, [])
    shutil.rmtree(world.home)
    assert recover(world, (1, 2)).problems == []
    assert_works(world, clients=(NORMAL,))


@pytest.mark.parametrize("after", range(ENROLMENT_PUTS))
def test_a_custodian_goes_away_after_its_enrolment_was_killed(world: World, after: int) -> None:
    """What it has certified for this very home does not say that another one replaced it."""
    world.lose_home()
    recover(world)
    with dying(world, after) as deployment:
        back_up(deployment, deployment.registry.client(NORMAL), silent)
    aside = world.root / "aside"
    world.custodian(1).rename(aside)
    assert world.back_up().receipts == 2
    aside.rename(world.custodian(1))
    again = world.back_up()
    assert (again.state, again.receipts, again.problems) == ("good", 3, [])
    shutil.rmtree(world.home)
    assert recover(world, (0, 1)).problems == []
    assert_works(world, clients=(NORMAL,))


@pytest.mark.parametrize("after", range(3))
def test_a_late_custodian_goes_away_again_after_its_enrolment_was_killed(
    world: World, after: int
) -> None:
    world.lose_home()
    recover(world)
    aside = world.root / "aside"
    world.custodian(2).rename(aside)
    assert world.back_up().receipts == 2
    aside.rename(world.custodian(2))
    with dying(world, after) as deployment:
        back_up(deployment, deployment.registry.client(NORMAL), silent)
    world.custodian(2).rename(aside)
    assert world.back_up().receipts == 2
    aside.rename(world.custodian(2))
    assert world.back_up().receipts == 3
    shutil.rmtree(world.home)
    assert recover(world, (1, 2)).problems == []
    assert_works(world, clients=(NORMAL,))
