"""A custodian whose server is lost: another joins it, and it stays who it is."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.custodians.remote import remote_custodian
from strongroom.clock import format_instant
from strongroom.errors import Unavailable, UsageError
from strongroom.quorum import LocalCustodian
from strongroom.transport.link import PeerRefused
from tests.support.peers import new_authority
from tests.support.served_custodian import CLOCK, CUSTODIANS, Joined, join, make, served

pytestmark = pytest.mark.loopback
AUTHORITY = new_authority()
ANOTHER = new_authority(AUTHORITY.install)


def meet(joined: Joined, port: int) -> None:
    """Ask who is there, and find the one that was joined."""
    with joined.link(port) as link:
        remote_custodian(link, joined.introduction.member).meet()


def allow_another(folder: Path) -> str:
    """Return the code that whoever runs the custodian gives to another server."""
    with CUSTODIANS.open(CUSTODIANS.settings(folder), None) as opened:
        return CUSTODIANS.new_code(opened, new_server=True)[0]


def test_another_server_joins_the_same_custodian_and_the_last_one_is_refused(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "anna"
    made = make(folder)
    with served(folder) as (port, told):
        last = join(port, made.code, AUTHORITY)
        told.until("serves custodian 1 (anna)")
        code = allow_another(folder)
        told.until("waits to be joined")
        following = join(port, code, ANOTHER)
        told.until("serves custodian 1 (anna)")
        assert following.introduction.member == last.introduction.member
        assert following.introduction.request != last.introduction.request
        meet(following, port)
        with pytest.raises((PeerRefused, Unavailable)):
            meet(last, port)
    with served(folder) as (port, _):
        meet(following, port)
    with CUSTODIANS.open(CUSTODIANS.settings(folder), None) as opened:
        custodian: LocalCustodian = opened.custodian()
        assert [one.op for one in custodian.journal(0)] == ["custodian.handed_over"]
        # Its kit is still the one that was shown when it was made.
        assert tuple(custodian.kit().words) == made.words


def test_a_code_that_nobody_used_leaves_everything_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    made = make(folder)
    with served(folder) as (port, told):
        last = join(port, made.code, AUTHORITY)
        told.until("serves custodian 1 (anna)")
        code = allow_another(folder)
        told.until("waits to be joined")
        with pytest.raises(PeerRefused):
            join(port, made.code, ANOTHER)
        # Another install, and another name, are not what this custodian is.
        for authority, name in ((new_authority(), "anna"), (ANOTHER, "ben")):
            with pytest.raises(PeerRefused):
                join(port, code, authority, name)
        with closing(sqlite3.connect(folder / "service.db")) as connection, connection:
            over = format_instant(CLOCK.now())
            connection.execute("UPDATE next_server SET code_until = ?", (over,))
        told.until("serves custodian 1 (anna)")
        meet(last, port)


def test_one_that_has_no_server_yet_gives_its_first_code(tmp_path: Path) -> None:
    make(tmp_path / "anna")
    with pytest.raises(UsageError, match="waits to be joined"):
        allow_another(tmp_path / "anna")
