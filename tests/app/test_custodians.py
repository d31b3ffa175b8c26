"""A custodian that is a process of its own: made, joined once, served, and served again."""

import secrets
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.adapters.custodians.remote import put, remote_custodian
from strongroom.adapters.custodians.served import Allowed
from strongroom.adapters.custodians.serving import Serving
from strongroom.adapters.secrets.custodian_key import WrongPassphrase
from strongroom.app.custodians import CustodianPlan
from strongroom.crypto.certificates import WrongCertificate, read_leaf
from strongroom.errors import Refused, StrongroomError, UsageError
from strongroom.ids import InstallId
from strongroom.quorum import LocalCustodian
from strongroom.quorum.invitation import Invitation
from strongroom.transport import Badge, Peer, Request
from strongroom.transport.link import PeerRefused
from tests.support.peers import new_authority
from tests.support.served_custodian import CLOCK, CUSTODIANS, Joined, join, make, served

pytestmark = pytest.mark.loopback
AUTHORITY = new_authority()


def meet(joined: Joined, port: int) -> None:
    """Ask who is there, and find the one that was joined."""
    with joined.link(port) as link:
        remote_custodian(link, joined.introduction.member).meet()


def joined_once(folder: Path, port: int = 0) -> Joined:
    """Return a custodian that was made and joined, and has stopped."""
    made = make(folder, port=port)
    with served(folder) as (listens, told):
        joined = join(listens, made.code, AUTHORITY)
        told.until("serves custodian 1 (anna)")
        meet(joined, listens)
    return joined


def test_a_custodian_is_joined_and_serves_and_serves_again(tmp_path: Path, kept_port: int) -> None:
    folder = tmp_path / "anna"
    made = make(folder, port=kept_port)
    assert len(made.words) == 24
    assert folder.stat().st_mode & 0o777 == 0o700
    with served(folder) as (first, told):
        joined = join(first, made.code, AUTHORITY)
        assert told.next() == f"listens at 127.0.0.1 port {first}, and serves custodian 1 (anna)"
        meet(joined, first)
    with served(folder) as (port, _), joined.link(port) as link:
        assert port == first == kept_port
        custodian = remote_custodian(link, joined.introduction.member)
        custodian.meet()
        assert custodian.witness.registered(["an origin"]) == [False]
    assert joined.introduction.machine == joined.introduction.machine.lower()


def test_what_was_secret_before_it_was_joined_is_gone_after(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    joined_once(folder)
    with closing(sqlite3.connect(folder / "service.db")) as connection:
        columns = "kit_sealed, code_sealed"
        assert connection.execute(f"SELECT {columns} FROM service").fetchall() == [(None, None)]
    with CUSTODIANS.open(CUSTODIANS.settings(folder), None) as opened:
        with pytest.raises(Refused, match="joined already"):
            CUSTODIANS.new_code(opened)
        invitation = Invitation(InstallId("1" * 32), 1, "anna", b"another").encode()
        with pytest.raises(Refused, match="no other server is waited for"):
            opened.answer(invitation)


def test_to_be_joined_while_its_code_is_looked_at_is_no_error(tmp_path: Path) -> None:
    """A process that waits looks for another code twice a second, also in the very moment."""
    folder = tmp_path / "anna"
    made = make(folder)
    with CUSTODIANS.open(CUSTODIANS.settings(folder), None) as opened:
        first = opened.code()
        assert not opened.has_other_code(first)
        CUSTODIANS.new_code(opened)
        assert opened.has_other_code(first)
        opened.set_code(first.secret)
        with served(folder) as (port, told):
            join(port, made.code, AUTHORITY)
            told.until("serves")
        assert not opened.has_other_code(first)


def test_its_kit_brings_it_back(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    made = make(folder)
    with served(folder) as (port, told):
        joined = join(port, made.code, AUTHORITY)
        told.next()
    with CUSTODIANS.open(CUSTODIANS.settings(folder), None) as opened:
        custodian: LocalCustodian = opened.custodian()
        assert custodian.card() == joined.introduction.member
        assert tuple(custodian.kit().words) == made.words
        custodian.confirm_kit(dict(enumerate(made.words, start=1)))
        assert custodian.kit_confirmed


def test_a_wrong_code_joins_nothing_and_a_new_one_does(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    first = make(folder)
    other = make(tmp_path / "ben")
    with served(folder) as (port, told):
        with pytest.raises(PeerRefused):
            join(port, other.code, AUTHORITY)
        with CUSTODIANS.open(CUSTODIANS.settings(folder), None) as opened:
            code, until = CUSTODIANS.new_code(opened)
        assert until > CLOCK.now()
        told.until("takes another join code")
        with pytest.raises(PeerRefused):
            join(port, first.code, AUTHORITY)
        joined = join(port, code, AUTHORITY)
        told.until("serves")
        meet(joined, port)


def test_a_named_custodian_takes_no_other_name(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    made = make(folder, "anna")
    with served(folder) as (port, _):
        with pytest.raises(PeerRefused) as caught:
            join(port, made.code, AUTHORITY, "ben")
        assert "this custodian is anna, and is invited as ben" in str(caught.value)
        join(port, made.code, AUTHORITY, "anna")


def test_an_invitation_has_one_answer_until_there_is_another(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    make(folder)
    with CUSTODIANS.open(CUSTODIANS.settings(folder), None) as opened:
        first = Invitation(InstallId("1" * 32), 1, "anna", AUTHORITY.certificate).encode()
        answer = opened.answer(first)
        assert opened.answer(first) == answer
        second = Invitation(InstallId("2" * 32), 1, "anna", AUTHORITY.certificate).encode()
        assert opened.answer(second) != answer
        assert not opened.is_joined
        with pytest.raises(WrongCertificate):
            opened.finish(AUTHORITY.certificate)
        # Only one that was joined before has a seat of its own to keep.
        own_seat = Invitation(InstallId("1" * 32), 0, "anna", AUTHORITY.certificate).encode()
        with pytest.raises(Refused, match="has no seat yet"):
            opened.answer(own_seat)


def test_its_certificate_is_renewed_while_it_serves_and_kept(
    tmp_path: Path, kept_port: int
) -> None:
    folder = tmp_path / "anna"
    joined = joined_once(folder, kept_port)
    later = CLOCK.now() + timedelta(hours=1)
    renewed = AUTHORITY.renew(joined.certificate, later, secrets.token_bytes)
    with served(folder) as (port, _), joined.link(port) as link:
        assert put(link, "badge", renewed, "anna") == b""
        with pytest.raises(Refused, match="before the one it should replace"):
            put(link, "badge", joined.certificate, "anna")
    with CUSTODIANS.open(CUSTODIANS.settings(folder), None) as opened:
        assert opened.badge().leaf == read_leaf(renewed)


def test_a_denied_server_is_refused_also_after_a_restart(tmp_path: Path, kept_port: int) -> None:
    folder = tmp_path / "anna"
    joined = joined_once(folder, kept_port)
    deny_list = AUTHORITY.deny(None, [joined.badge.leaf.serial], CLOCK.now())
    member = joined.introduction.member
    with served(folder) as (port, _), joined.link(port) as link:
        put(link, "deny-list", deny_list, "anna")
        with pytest.raises(PeerRefused, match="is denied"):
            remote_custodian(link, member).meet()
    with served(folder) as (port, _), pytest.raises(PeerRefused, match="is denied"):
        meet(joined, port)


def test_a_deny_list_is_kept_before_it_counts_or_refused(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    joined = joined_once(folder)
    first = AUTHORITY.deny(None, [7], CLOCK.now())
    second = AUTHORITY.deny(first, [joined.badge.leaf.serial], CLOCK.now())
    evil = new_authority(AUTHORITY.install).deny(None, [8], CLOCK.now())
    with CUSTODIANS.open(CUSTODIANS.settings(folder), None) as opened:
        opened.keep_deny_list(second)
        for refused, why in ((first, "number 1, and 2 is kept"), (evil, "did not sign it")):
            with pytest.raises(WrongCertificate) as caught:
                opened.keep_deny_list(refused)
            assert why in caught.value.why
        far = AUTHORITY.deny(second, [10], CLOCK.now(), 1 << 150)
        with pytest.raises(WrongCertificate, match="a time that lies far ahead"):
            opened.keep_deny_list(far)
        assert opened.deny_list() == second
        seen: list[bytes | None] = []

        class Listens:
            def renew(self, badge: Badge) -> None: ...

            def deny(self, data: bytes) -> None:
                seen.append(opened.deny_list())

        serving = Serving(opened, Allowed(), CLOCK, print)
        serving.shown_by(Listens())
        third = AUTHORITY.deny(second, [9], CLOCK.now())
        server = Peer.server(AUTHORITY.install)
        answer = serving(server, Request("PUT", "/v1/deny-list", third))
        assert (answer.status, seen) == (200, [second, third])


def test_a_key_under_a_passphrase_opens_by_it_alone(tmp_path: Path) -> None:
    folder, words = tmp_path / "anna", "four words that differ"
    plan = CustodianPlan(folder, ("127.0.0.1", 0), "passphrase", passphrase=words)
    assert CUSTODIANS.make(plan).key_file is None
    settings = CUSTODIANS.settings(folder)
    with CUSTODIANS.open(settings, words) as opened:
        assert not opened.is_joined
    with pytest.raises(WrongPassphrase), CUSTODIANS.open(settings, words + "!"):
        pass
    locked = CUSTODIANS.open(settings, None)
    with pytest.raises(UsageError, match="this custodian is locked"), locked:
        pass


def test_a_home_is_made_in_an_empty_folder_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    make(folder)
    with pytest.raises(Refused, match="is not empty"):
        make(folder)
    with pytest.raises(UsageError, match="there is no home of a custodian"):
        CUSTODIANS.settings(tmp_path / "nobody")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StrongroomError, match="cannot be made"):
        make(tmp_path / "file" / "below")


def test_an_interrupted_init_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    make(folder)
    (folder / "service.db").unlink()
    opening = CUSTODIANS.open(CUSTODIANS.settings(folder), None)
    with opening as opened, pytest.raises(UsageError, match="never finished"):
        opened.code()
