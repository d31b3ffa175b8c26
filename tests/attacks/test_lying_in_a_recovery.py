"""The server is lost, and one of three custodians that live, or of two locations, lies about it.

The others are two, or one that is honest, as many as are needed: who lies is named, and nothing
else comes of it.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.crypto import signing
from strongroom.crypto.envelope import decode_envelope
from strongroom.errors import Damaged
from strongroom.ids import ClientId, VaultId
from strongroom.operations.back_up import back_up
from strongroom.operations.deployment import Deployment
from strongroom.operations.recover_elsewhere import recover_living
from strongroom.quorum import Custodian, LocalCustodian, Roster
from strongroom.quorum.key_table import PinnedWriter
from tests.journeys.test_custodians_elsewhere import NAMES
from tests.journeys.test_recover_living import installed
from tests.journeys.world import silent
from tests.support.stand_in import StandIn

pytestmark = pytest.mark.loopback
Pin = LocalCustodian.Pin
STRANGER = signing.public_key(secrets.token_bytes(32))


def the_writer_ended(pin: Pin) -> list[Pin]:
    return [replace(pin, writers=tuple(PinnedWriter(one.key, 1) for one in pin.writers))]


def another_wrote_later(pin: Pin) -> list[Pin]:
    return [replace(pin, writers=(*the_writer_ended(pin)[0].writers, PinnedWriter(STRANGER)))]


def it_has_another_vault(pin: Pin) -> list[Pin]:
    return [replace(pin, vault=VaultId(secrets.token_hex(16)))]


def it_knows_others(pin: Pin) -> list[Pin]:
    names = (secrets.token_hex(16) for _ in range(3))
    return [pin, *(replace(pin, client=ClientId(one), vault=VaultId(one)) for one in names)]


def it_was_put_back(pin: Pin) -> list[Pin]:
    return [replace(pin, serial=0)]


def it_cannot_be_read(pin: Pin) -> list[Pin]:
    raise Damaged("an answer pins is malformed", "a list in it has an impossible size")


def it_was_away(pin: Pin) -> list[Pin]:
    return [replace(pin, writers=(PinnedWriter(STRANGER),))]


LIES: dict[Callable[[Pin], list[Pin]], str] = {
    the_writer_ended: "only custodian 3 (clara) says that writer",
    another_wrote_later: "custodian 3 (clara) names writers of whom fewer than 2",
    it_has_another_vault: "custodian 3 (clara) tells of 1 vault that fewer than 2",
    it_knows_others: "custodian 3 (clara) tells of 3 vaults that fewer than 2",
    it_was_put_back: "the newest key of custodian 3 (clara) has serial 0",
    it_cannot_be_read: "custodian 3 (clara) does not say what it has pinned",
}


class Lying(StandIn):
    """Says something else of what it has pinned."""

    def __init__(self, honest: Custodian, lie: Callable[[Pin], list[Pin]]) -> None:
        super().__init__(honest)
        self._lie = lie

    def pins(self) -> list[Pin]:
        (pin,) = self._honest.pins()
        return self._lie(pin)


def beside(deployment: Deployment, lie: Callable[[Pin], list[Pin]]) -> Deployment:
    """Return the deployment with this lie of its third custodian's."""
    lying = Lying(deployment.custodians[3], lie)
    return replace(deployment, custodians={**deployment.custodians, 3: lying})


def test_one_custodian_says_who_wrote_and_until_when(tmp_path: Path) -> None:
    """It hides no backup from the new home, which backs up with the lie in its ear."""
    with installed(tmp_path, timedelta()) as install:
        install.write("second")
        newest = install.run("backup acme")["snapshot"]
        install.lose_server()
        install.run(f"recover {install.allow_another(*NAMES)}", code=5)
        for lie, told in LIES.items():
            with App().open(tmp_path / "home") as deployment:
                found = recover_living(beside(deployment, lie))
                (problem,) = [one for one in found.problems if told in one]
                assert len(found.waiting) == 1, problem
                (act,) = deployment.desk.acts()
                assert act.request.wanted is not None
                assert act.request.wanted.snapshot == newest
        with App().open(tmp_path / "home") as deployment:
            # One knows the writer, and who is lost has signed for it: that is as many as needed.
            left = {2: deployment.custodians[2], 3: Lying(deployment.custodians[3], it_was_away)}
            found = recover_living(replace(deployment, custodians=left))
            (act,) = deployment.desk.acts()
            assert act.request.wanted is not None
            assert act.request.wanted.snapshot == newest
            assert any("custodian 3 (clara) names writers" in one for one in found.problems)
        install.approve()
        with App().open(tmp_path / "home") as deployment:
            found = recover_living(beside(deployment, another_wrote_later))
            assert [(one.name, one.snapshots) for one in found.clients] == [("acme", 2)]
        with App().open(tmp_path / "home") as deployment:
            client = deployment.registry.client("acme")
            report = back_up(beside(deployment, it_cannot_be_read), client, silent)
            assert (report.state, report.problems) == ("good", [])
        # It was asked for nothing that it said, so nothing of it stays.
        assert install.restored() == "second"


def test_a_location_shows_a_roster_of_its_own(tmp_path: Path) -> None:
    """It gives nobody another seat and hides no roster; the location is named."""
    with installed(tmp_path, timedelta()) as install:
        (true,) = (tmp_path / "one").glob("*/roster/00000001")
        install.lose_server()
        roster = Roster.parse(decode_envelope(true.read_bytes(), "the roster"), None)
        names = [one.name for one in roster.members]
        swapped = [
            replace(one, name=name) for one, name in zip(roster.members, names[::-1], strict=True)
        ]
        planted = Roster.sign(
            secrets.token_bytes(32), roster.install, 3, swapped, 99, roster.created_at
        )
        true.with_name("00000099").write_bytes(planted.encode())
        true.unlink()
        for number in range(100, 300):
            true.with_name(f"{number:08d}").write_bytes(b"nothing that is a roster")
        found = install.run(f"recover {install.allow_another(*NAMES[1:])}", code=5)
        assert (len(found["waiting"]), found["custodians_missing"]) == (1, ["anna"])
        (problem,) = found["problems"]
        assert problem.startswith("location one shows a roster, version 99, that the custodians")
