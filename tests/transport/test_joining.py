"""A server joins a custodian that nobody knows yet; who stands in between, or comes late, fails."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from strongroom.crypto import certificates
from strongroom.crypto.certificates import WrongCertificate
from strongroom.crypto.join_code import CODE_BYTES, MAC_BYTES, JoinCode, WrongJoinCode
from strongroom.errors import UsageError
from strongroom.transport import Badge, Joining, Link, Request, Response
from strongroom.transport.badge import doubting_context, stranger_context
from strongroom.transport.edge import Edge, Limits
from strongroom.transport.joining import TRIES, JoinListener, Waiting
from strongroom.transport.link import PeerRefused, Way
from strongroom.transport.listener import Listener, bind
from strongroom.transport.meeting import BADGE, JOIN
from strongroom.transport.peer import Role
from tests.support.peers import CLOCK, PATIENCE_SECONDS, badge_of, echo, new_authority, somebody

pytestmark = pytest.mark.loopback


@dataclass
class Custodian:
    """A custodian in the making, and what became of it."""

    code: JoinCode
    seed: bytes
    listener: JoinListener
    invited: list[bytes] = field(default_factory=list)
    given: list[bytes] = field(default_factory=list)
    tries: int = 0
    told: list[str] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.listener.port)

    def joining(self, code: JoinCode | None = None) -> Joining:
        return Joining(self.address, code or self.code, CLOCK, PATIENCE_SECONDS)


@contextmanager
def waiting(valid: timedelta = timedelta(minutes=10)) -> Iterator[Custodian]:
    code = JoinCode.draw(secrets.token_bytes)
    seed = secrets.token_bytes(certificates.SEED_BYTES)
    made: Custodian

    def count_try() -> int:
        made.tries += 1
        return made.tries

    def answer(invitation: bytes) -> bytes:
        made.invited.append(invitation)
        return b"a card, and " + certificates.make_request(seed)

    def finish(certificate: bytes) -> None:
        if certificate == b"nonsense":
            raise WrongCertificate("a certificate is refused", "it is nonsense")
        made.given.append(certificate)

    steps = Waiting(code.key(), CLOCK.now() + valid, count_try, answer, finish)
    told: list[str] = []
    with (
        bind(("127.0.0.1", 0)) as listening,
        JoinListener(listening, seed, steps, CLOCK, secrets.token_bytes, told.append) as listener,
    ):
        made = Custodian(code, seed, listener, told=told)
        yield made


def test_both_ends_prove_the_code_and_the_custodian_is_joined() -> None:
    with waiting() as custodian:
        with custodian.joining() as joining:
            answer = joining.invite(b"an authority")
            assert answer == b"a card, and " + certificates.make_request(custodian.seed)
            assert joining.invite(b"an authority") == answer
            assert not custodian.listener.wait(0)
            joining.give(b"a certificate")
        assert custodian.listener.wait(PATIENCE_SECONDS)
        assert custodian.invited == [b"an authority"] * 2
        assert custodian.given == [b"a certificate"]
        assert custodian.told == []


def test_the_same_port_serves_who_has_been_joined() -> None:
    """From a stranger to a peer, as the two programs do it."""
    authority = new_authority()
    seed = secrets.token_bytes(certificates.SEED_BYTES)
    code = JoinCode.draw(secrets.token_bytes)
    peer = somebody(Role.CUSTODIAN)
    badges: list[Badge] = []

    def finish(certificate: bytes) -> None:
        made = Badge.make(authority.install, seed, certificate, authority.certificate)
        badges.append(made)

    steps = Waiting(
        code.key(),
        CLOCK.now() + timedelta(minutes=10),
        lambda: 1,
        lambda _invitation: certificates.make_request(seed),
        finish,
    )
    with bind(("127.0.0.1", 0)) as listening:
        address = ("127.0.0.1", listening.getsockname()[1])
        with (
            JoinListener(listening, seed, steps, CLOCK, secrets.token_bytes) as waits,
            Joining(address, code, CLOCK, PATIENCE_SECONDS) as joining,
        ):
            request = joining.invite(authority.certificate)
            issued = authority.issue(request, peer, ["127.0.0.1"], CLOCK.now(), secrets.token_bytes)
            joining.give(issued)
            # At once, while the first listener is still there: it takes nobody any more.
            server = badge_of(authority, somebody(Role.SERVER))
            answered: list[Response] = []

            def ask() -> None:
                with Link(address, server, peer, CLOCK, PATIENCE_SECONDS) as link:
                    answered.append(link.ask("GET", "/"))

            asking = threading.Thread(target=ask)
            asking.start()
            assert waits.wait(PATIENCE_SECONDS)
        with Listener(listening, badges[0], echo, CLOCK):
            asking.join(PATIENCE_SECONDS)
        assert [response.status for response in answered] == [200]


def test_a_wrong_code_is_refused_and_tries_run_out() -> None:
    with waiting() as custodian:
        for number in range(TRIES):
            wrong = JoinCode.draw(secrets.token_bytes)
            with (
                custodian.joining(wrong) as joining,
                pytest.raises(PeerRefused, match="refuses us") as caught,
            ):
                joining.invite(b"an authority")
            assert "has not proved the code" in caught.value.why
            assert custodian.tries == number + 1
        with custodian.joining() as joining, pytest.raises(PeerRefused) as caught:
            joining.invite(b"an authority")
        assert "it was tried 5 times" in caught.value.why
        assert custodian.invited == []
        assert len(custodian.told) == TRIES + 1


def test_an_expired_code_is_refused() -> None:
    with waiting(timedelta(seconds=-1)) as custodian:
        with custodian.joining() as joining, pytest.raises(PeerRefused) as caught:
            joining.invite(b"an authority")
        assert "expired" in caught.value.why
        assert custodian.tries == 0


def test_attack_replayed_join_code() -> None:
    """Who has the code too, and comes later, gets nothing for it."""
    with waiting() as custodian, custodian.joining() as late:
        late._way.connect()
        with custodian.joining() as joining:
            joining.invite(b"an authority")
            joining.give(b"a certificate")
        with pytest.raises(PeerRefused) as caught:
            late.invite(b"another authority")
        assert "the code has been used" in caught.value.why
        assert custodian.invited == [b"an authority"]


def test_attack_replayed_proof() -> None:
    """A proof that was recorded is worth nothing at another custodian: it has another key."""
    with waiting() as first, waiting() as second:
        shown = certificates.public_key(first.seed)
        proof = first.code.key().invite(shown, b"an authority")
        for custodian, refused in ((first, False), (second, True)):
            with Way(
                custodian.address,
                "it",
                doubting_context(),
                lambda _certificate: None,
                CLOCK,
                PATIENCE_SECONDS,
            ) as way:
                if refused:
                    with pytest.raises(PeerRefused):
                        way.ask("POST", JOIN, proof + b"an authority")
                else:
                    assert way.ask("POST", JOIN, proof + b"an authority").status == 200


def test_attack_certificate_before_a_proof() -> None:
    with waiting() as custodian:
        with Way(
            custodian.address,
            "it",
            doubting_context(),
            lambda _certificate: None,
            CLOCK,
            PATIENCE_SECONDS,
        ) as way:
            for method, path in (("PUT", BADGE), ("GET", JOIN), ("POST", "/v1/release")):
                with pytest.raises(Exception, match="does not answer") as caught:
                    way.ask(method, path, b"a certificate")
                assert "nothing but a joining" in str(caught.value)
        assert custodian.given == []


def test_a_certificate_that_is_refused_leaves_the_custodian_waiting() -> None:
    with waiting() as custodian, custodian.joining() as joining:
        joining.invite(b"an authority")
        with pytest.raises(PeerRefused) as caught:
            joining.give(b"nonsense")
        assert "it is nonsense" in caught.value.why
        assert not custodian.listener.wait(0)
        joining.give(b"a certificate")
        assert custodian.listener.wait(PATIENCE_SECONDS)


class InBetween:
    """Shows a key of its own to the server, and passes on what both say, or says something else."""

    def __init__(self, custodian: Custodian, instead: bytes | None) -> None:
        self._custodian = custodian
        self._instead = instead
        self._seed = secrets.token_bytes(certificates.SEED_BYTES)
        self.proofs: list[bytes] = []

    def handle(self, _certificate: bytes | None, request: Request) -> Response:
        self.proofs.append(request.body[:MAC_BYTES])
        if self._instead is not None:
            return Response(200, self._instead, "application/octet-stream")
        with Way(
            self._custodian.address,
            "it",
            doubting_context(),
            lambda _certificate: None,
            CLOCK,
            PATIENCE_SECONDS,
        ) as way:
            try:
                return way.ask(request.method, request.path, request.body)
            except PeerRefused as err:
                return Response(403, str(err).encode(), "text/plain")

    @contextmanager
    def standing(self) -> Iterator[tuple[str, int]]:
        now = CLOCK.now().replace(microsecond=0)
        stranger = certificates.make_stranger(
            self._seed, secrets.token_bytes(16), now, now + timedelta(hours=1)
        )
        with bind(("127.0.0.1", 0)) as listening:
            context = stranger_context(stranger, self._seed)
            edge = Edge(listening, context, self.handle, Limits(), lambda _line: None)
            try:
                yield ("127.0.0.1", listening.getsockname()[1])
            finally:
                edge.close()


def test_attack_man_in_the_middle_passes_on_what_the_server_says() -> None:
    with waiting() as custodian:
        between = InBetween(custodian, None)
        with (
            between.standing() as address,
            Joining(address, custodian.code, CLOCK, PATIENCE_SECONDS) as joining,
            pytest.raises(PeerRefused) as caught,
        ):
            joining.invite(b"an authority")
        assert "has not proved the code" in caught.value.why
        assert len(between.proofs) == 1
        assert custodian.invited == []


@pytest.mark.parametrize("answer", [b"", b"x" * 20, b"x" * 32, b"x" * 100])
def test_attack_man_in_the_middle_answers_himself(answer: bytes) -> None:
    with waiting() as custodian:
        with (
            InBetween(custodian, answer).standing() as address,
            Joining(address, custodian.code, CLOCK, PATIENCE_SECONDS) as joining,
            pytest.raises(WrongJoinCode, match="has not proved the code"),
        ):
            joining.invite(b"an authority")
        assert custodian.invited == []


def test_attack_man_in_the_middle_echoes_the_servers_proof() -> None:
    """The two directions have keys of their own."""
    code = JoinCode.draw(secrets.token_bytes)
    shown = certificates.public_key(secrets.token_bytes(certificates.SEED_BYTES))
    proof = code.key().invite(shown, b"")
    with pytest.raises(WrongJoinCode):
        code.key().check_answer(shown, b"", b"", proof)


def test_many_at_once_have_no_more_tries() -> None:
    with waiting() as custodian:
        refused: list[str] = []

        def guess() -> None:
            with (
                custodian.joining(JoinCode.draw(secrets.token_bytes)) as joining,
                pytest.raises(PeerRefused) as caught,
            ):
                joining.invite(b"an authority")
            refused.append(caught.value.why)

        threads = [threading.Thread(target=guess) for _ in range(7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert len(refused) == 7
        assert sum("has not proved" in why for why in refused) == TRIES


def test_a_code_is_read_as_people_type_it() -> None:
    code = JoinCode(bytes(range(CODE_BYTES)))
    shown = code.text()
    assert [len(group) for group in shown.split("-")] == [4, 4, 4, 4, 4, 4, 2]
    for typed in (shown, shown.lower(), shown.replace("-", " "), f"  {shown.replace('-', '')}\n"):
        assert JoinCode.parse(typed) == code
    assert shown not in repr(code)
    assert shown not in repr(code.key())


@pytest.mark.parametrize(
    "typed",
    ["", "AAAA", "A" * 25, "A" * 27, "A" * 25 + "B", "1" * 26, "é" * 26, "A" * 26 + "======"],
)
def test_what_is_no_code_is_refused_without_being_repeated(typed: str) -> None:
    with pytest.raises(UsageError) as caught:
        JoinCode.parse(typed)
    assert len(typed) < 8 or typed not in str(caught.value)
