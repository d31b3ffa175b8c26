"""The guard of `tests/conftest.py` refuses what it says it refuses."""

import socket

import pytest


def connect(address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(address)


def test_no_test_connects() -> None:
    with pytest.raises(RuntimeError, match="may use no socket"):
        connect(("127.0.0.1", 9))


def test_no_test_looks_up_a_name() -> None:
    with pytest.raises(RuntimeError, match="may use no socket"):
        socket.getaddrinfo("example.org", 443)


@pytest.mark.loopback
def test_a_marked_test_leaves_this_machine_no_more() -> None:
    with pytest.raises(RuntimeError, match="may use no socket"):
        connect(("192.0.2.1", 9))


@pytest.mark.loopback
def test_a_marked_test_talks_to_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect(server.getsockname())
        accepted, peer = server.accept()
        accepted.close()
    assert peer[0] == "127.0.0.1"
