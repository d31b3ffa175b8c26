"""A custodian that is a process of its own, but for the process: served by a thread of a test."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from strongroom.app.custodians import CustodianPlan, Custodians, NewCustodian
from strongroom.clock import SystemClock
from strongroom.crypto.join_code import JoinCode
from strongroom.quorum.invitation import Introduction, Invitation
from strongroom.transport import Authority, Badge, Joining, Link, Peer
from tests.support.peers import PATIENCE_SECONDS

CLOCK = SystemClock()
CUSTODIANS = Custodians(CLOCK, secrets.token_bytes)


@dataclass
class Told:
    """What a custodian tells, and the port that its first line names."""

    lines: list[str] = field(default_factory=list)
    _queue: "SimpleQueue[str]" = field(default_factory=SimpleQueue)

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._queue.put(line)

    def next(self) -> str:
        """Return what it tells next, when it does."""
        return self._queue.get(timeout=PATIENCE_SECONDS)

    def until(self, text: str) -> None:
        """Return when it has told a line with this text."""
        while text not in self.next():
            pass


def make(folder: Path, name: str = "", port: int = 0) -> NewCustodian:
    """Make the home of a custodian in this folder, its key file beside it."""
    key_file = folder.with_suffix(".key")
    return CUSTODIANS.make(CustodianPlan(folder, ("127.0.0.1", port), "key-file", key_file, name))


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, Told]]:
    """Serve a custodian until the block ends; return its port, and what it tells."""
    settings, stop, told = CUSTODIANS.settings(folder), threading.Event(), Told()
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            with CUSTODIANS.open(settings, None) as opened:
                CUSTODIANS.serve(settings, opened, stop, told)
        except BaseException as err:  # noqa: BLE001  # the test that serves it raises it again
            failures.append(err)
            told("failed")

    thread = threading.Thread(target=serve, name=f"serves {folder.name}")
    thread.start()
    try:
        yield int(told.next().split("port ")[1].split(",")[0]), told
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
        assert failures == []


@dataclass(frozen=True, slots=True)
class Joined:
    """A custodian that was joined, as its server knows it."""

    introduction: Introduction
    badge: Badge
    certificate: bytes

    def link(self, port: int) -> Link:
        """Return a link of the server to it."""
        peer = Peer.custodian(self.introduction.member.id)
        return Link(("127.0.0.1", port), self.badge, peer, CLOCK, PATIENCE_SECONDS)


def join(port: int, code: str, authority: Authority, name: str = "anna") -> Joined:
    """Join a custodian that waits, as a server does."""
    invitation = Invitation(authority.install, 1, name, authority.certificate)
    address = ("127.0.0.1", port)
    with Joining(address, JoinCode.parse(code), CLOCK, PATIENCE_SECONDS) as joining:
        answered = Introduction.parse(joining.invite(invitation.encode()))
        peer = Peer.custodian(answered.member.id)
        now = CLOCK.now()
        certificate = authority.issue(answered.request, peer, (), now, secrets.token_bytes)
        joining.give(certificate)
    server = authority.badge(Peer.server(authority.install), now, secrets.token_bytes)
    return Joined(answered, server, certificate)
