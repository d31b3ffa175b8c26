"""A custodian whose server is lost: another joins it, and it stays who it is."""

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.custodians.remote import put, remote_custodian
from strongroom.adapters.database.sqlite import DatabaseUnavailable
from strongroom.clock import format_instant
from strongroom.crypto.join_code import JoinCode
from strongroom.errors import Unavailable, UsageError
from strongroom.quorum import LocalCustodian
from strongroom.transport import Authority
from strongroom.transport.joining import TRIES
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
        assert any("waits for no other server any more" in line for line in told.lines)
    # What was answered to whoever had the code is not kept either.
    with closing(sqlite3.connect(folder / "service.db")) as connection:
        assert connection.execute("SELECT count(*) FROM next_server").fetchone() == (0,)


def test_a_stranger_spends_the_tries_and_the_last_server_is_answered_again(tmp_path: Path) -> None:
    """Otherwise anybody on the network keeps a custodian from its server for ten minutes."""
    folder = tmp_path / "anna"
    made = make(folder)
    with served(folder) as (port, told):
        last = join(port, made.code, AUTHORITY)
        told.until("serves custodian 1 (anna)")
        code = allow_another(folder)
        told.until("waits to be joined")
        for _ in range(TRIES):
            with pytest.raises(PeerRefused, match="refuses us"):
                join(port, JoinCode.draw(secrets.token_bytes).text(), ANOTHER)
        told.until("waits for no other server any more")
        told.until("serves custodian 1 (anna)")
        meet(last, port)
        with CUSTODIANS.open(CUSTODIANS.settings(folder), None) as opened:
            assert opened.code() is None
        # The next code has tries of its own.
        code = allow_another(folder)
        told.until("waits to be joined")
        meet(join(port, code, ANOTHER), port)


def test_a_server_that_cannot_be_journalled_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the disk full between the two, another server would have come without a trace."""

    def full(_custodian: LocalCustodian, _authority: bytes) -> None:
        raise DatabaseUnavailable("custodian.db cannot be used", "the disk is full")

    folder = tmp_path / "anna"
    made = make(folder)
    with served(folder) as (port, told):
        last = join(port, made.code, AUTHORITY)
        told.until("serves custodian 1 (anna)")
        code = allow_another(folder)
        told.until("waits to be joined")
        with monkeypatch.context() as patched:
            patched.setattr(LocalCustodian, "note_server", full)
            with pytest.raises(PeerRefused, match="refuses us") as caught:
                join(port, code, ANOTHER)
        assert "the disk is full" in caught.value.why
        with closing(sqlite3.connect(folder / "service.db")) as connection, connection:
            over = format_instant(CLOCK.now())
            connection.execute("UPDATE next_server SET code_until = ?", (over,))
        told.until("serves custodian 1 (anna)")
        meet(last, port)
        code = allow_another(folder)
        told.until("waits to be joined")
        join(port, code, ANOTHER)
    with CUSTODIANS.open(CUSTODIANS.settings(folder), None) as opened:
        assert [one.op for one in opened.custodian().journal(0)] == ["custodian.handed_over"]


@pytest.mark.parametrize(("authority", "stays"), [(AUTHORITY, True), (ANOTHER, False)])
def test_the_list_of_denied_certificates_goes_with_its_authority(
    tmp_path: Path, authority: Authority, stays: bool
) -> None:
    folder = tmp_path / "anna"
    made = make(folder)
    denied = AUTHORITY.deny(None, [7], CLOCK.now(), int(CLOCK.now().timestamp()))
    with served(folder) as (port, told):
        last = join(port, made.code, AUTHORITY)
        told.until("serves custodian 1 (anna)")
        with last.link(port) as link:
            put(link, "deny-list", denied, "anna")
        code = allow_another(folder)
        told.until("waits to be joined")
        join(port, code, authority)
        told.until("serves custodian 1 (anna)")
    with CUSTODIANS.open(CUSTODIANS.settings(folder), None) as opened:
        assert opened.deny_list() == (denied if stays else None)


def test_one_that_has_no_server_yet_gives_its_first_code(tmp_path: Path) -> None:
    make(tmp_path / "anna")
    with pytest.raises(UsageError, match="waits to be joined"):
        allow_another(tmp_path / "anna")
