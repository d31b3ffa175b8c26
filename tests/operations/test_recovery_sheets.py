"""Recovery sheets are old when another roster has followed, until somebody writes them anew."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.operations.deployment import Deployment
from strongroom.operations.look_at_custodians import find_member
from strongroom.operations.recovery_sheets import note_sheet, old_sheets
from strongroom.operations.tell_status import tell_status
from tests.support.first_home import FirstHome
from tests.support.transcript import at_home, strongroom


@pytest.fixture(name="first")
def _first(tmp_path: Path) -> Iterator[FirstHome]:
    with at_home(tmp_path):
        yield FirstHome.make(tmp_path, "one")


@contextmanager
def followed(first: FirstHome, version: int) -> Iterator[Deployment]:
    """Open the home as if a roster of this version had followed."""
    with App().open(first.home) as deployment:
        roster = replace(deployment.roster, version=version, id=f"{version:064x}")
        yield replace(deployment, rosters=roster.after([deployment.roster]))


def said(deployment: Deployment) -> list[str]:
    return [one for one in tell_status(deployment).warnings if "recovery sheet" in one]


def test_the_sheets_that_init_showed_are_of_the_first_roster(first: FirstHome) -> None:
    with App().open(first.home) as deployment:
        assert old_sheets(deployment) == []
        assert said(deployment) == []
    shown = strongroom("kit", "show")
    assert [line.split()[-1] for line in shown.out.splitlines()[1:4]] == ["current"] * 3
    assert "older" not in shown.out


def test_each_sheet_is_old_until_it_is_written_anew(first: FirstHome) -> None:
    with followed(first, 2) as deployment:
        names = [member.name for member in deployment.roster.members]
        assert old_sheets(deployment) == names
        assert [name for name in names if name in said(deployment)[1]] == [names[1]]
        note_sheet(deployment, find_member(deployment, names[1]))
        assert old_sheets(deployment) == [names[0], names[2]]
        assert len(said(deployment)) == 2
        (told,) = deployment.registry.facts("kit.sheet_written")
        assert told.body == {"roster": deployment.roster.id}
    with followed(first, 3) as deployment:
        assert old_sheets(deployment) == names


def test_a_custodian_that_is_not_there_has_no_sheet(first: FirstHome) -> None:
    assert strongroom("kit", "written", "nobody").code == 2
    done = strongroom("kit", "written")
    assert done.code == 0
    assert "custodian-1, custodian-2, custodian-3" in done.out
