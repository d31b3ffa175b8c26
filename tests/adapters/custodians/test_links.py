"""The server's end of custodians elsewhere: whom it meets although something is refused."""

import secrets
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.custodians.links import CustodianLinks
from strongroom.adapters.custodians.remote import put
from tests.support.peers import new_authority
from tests.support.served_custodian import CLOCK, join, make, served

pytestmark = pytest.mark.loopback


def test_a_custodian_that_refuses_the_deny_list_is_met_all_the_same(tmp_path: Path) -> None:
    """Who had the authority once could lock its owner out, with a list of a later number."""
    authority, now = new_authority(), int(CLOCK.now().timestamp())
    made = make(tmp_path / "anna")
    with served(tmp_path / "anna") as (port, told):
        joined = join(port, made.code, authority)
        told.until("serves custodian 1 (anna)")
        member, place = joined.introduction.member, ("127.0.0.1", port)
        with joined.link(port) as link:
            put(link, "deny-list", authority.deny(None, [1], CLOCK.now(), now + 3600), "anna")
        token = secrets.token_bytes
        links = CustodianLinks(authority.install, authority.secret, CLOCK, token)
        with closing(links):
            own = authority.deny(None, [2], CLOCK.now(), now)
            met = links.open(place, member, joined.certificate, own)
            assert "a deny list is refused" in str(met.untold)
            assert met.custodian.kit_confirmed is False
            later = authority.deny(None, [2], CLOCK.now(), now + 3601)
            assert links.open(place, member, joined.certificate, later).untold is None
