"""Every reader of what a stranger may show or send; `parsers` holds them in its table.

What is mutated is never signed anew: whoever has the authority's seed is the authority.
"""

from collections.abc import Callable

from strongroom.crypto import certificates
from strongroom.crypto.join_code import JoinCode
from strongroom.ids import InstallId
from strongroom.operations.custodian_url import parse_custodian_url
from strongroom.transport.peer import Peer
from tests.vectors import build_transport_v1 as vector


def transport_parsers() -> dict[str, tuple[bytes, Callable[[bytes], object]]]:
    """Return valid bytes and what reads them, by `module:name`."""
    made = vector.build()
    authority = bytes.fromhex(made["authority"])
    leaf, request = (bytes.fromhex(made["leaves"][0][name]) for name in ("leaf", "request"))
    denied = bytes.fromhex(made["deny_list"])
    install = InstallId(made["install"])
    return {
        # Without its authority: a handshake has checked the signature, and nothing else.
        "crypto.certificates:read_leaf": (
            leaf,
            lambda data: Peer.of(certificates.read_leaf(data), install),
        ),
        "crypto.certificates:read_leaf with its authority": (
            leaf,
            lambda data: certificates.read_leaf(data, authority),
        ),
        "crypto.certificates:read_request": (request, certificates.read_request),
        "crypto.certificates:public_key_of": (leaf, certificates.public_key_of),
        "crypto.certificates:read_deny_list": (
            denied,
            lambda data: certificates.read_deny_list(data, authority),
        ),
        "operations.custodian_url:parse_custodian_url": (
            b"https://[::1]:8470",
            lambda data: parse_custodian_url(data.decode("utf-8", "replace")),
        ),
        "crypto.join_code:JoinCode.parse": (
            made["join"]["code"].encode(),
            lambda data: JoinCode.parse(data.decode("utf-8", "replace")),
        ),
    }
