"""Joining: how a server and a custodian that know nothing of each other come to trust each other.

A custodian waits with a certificate of its own making, and answers nothing but this. The server
believes nothing that TLS shows it. Both then prove the join code over the key that was shown (see
`crypto.join_code`), and what they say to each other is believed because it is in the proof. Tries
are counted, durably, before they are judged; the code ends with its time, its tries or its use.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final

from strongroom.clock import Clock
from strongroom.crypto import certificates
from strongroom.crypto.certificates import WrongCertificate
from strongroom.crypto.hashing import same
from strongroom.crypto.join_code import MAC_BYTES, JoinCode, JoinKey
from strongroom.errors import Refused, StrongroomError
from strongroom.ids import Token
from strongroom.transport.badge import doubting_context, stranger_context
from strongroom.transport.edge import Edge, Limits
from strongroom.transport.link import TIMEOUT_SECONDS, Way
from strongroom.transport.messages import FORBIDDEN, Request, Response, refusal

VALID: Final = timedelta(minutes=10)
TRIES: Final = 5
WORDS_BYTES_MAX: Final = 64 << 10
"""What either end says in a joining has at most so many bytes."""

JOIN: Final = "/v1/join"
BADGE: Final = "/v1/badge"
_OCTETS: Final = "application/octet-stream"
_LIMITS: Final = Limits(
    body_bytes=WORDS_BYTES_MAX + MAC_BYTES,
    connections=8,
    threads=1,
    body_seconds=10.0,
    idle_seconds=20.0,
)


class JoinCodeSpent(Refused):
    """A join code is of no use any more."""

    code = "join_code_spent"
    hint = "Have the custodian show a new code: `strongroom custodian serve` says how."


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a custodian that waits to be joined does, all of it in its own database.

    `count_try` notes one more try, durably, and returns how many there were, this one included.
    `answer` takes an invitation whose sender has proved the code; the same one again has the same
    answer. `finish` takes the certificate that the server issued; when it returns, it is joined.
    """

    key: JoinKey
    until: datetime
    count_try: Callable[[], int]
    answer: Callable[[bytes], bytes]
    finish: Callable[[bytes], None]


class JoinListener(AbstractContextManager["JoinListener"]):
    """Listens until the custodian is joined; `wait` returns when it is."""

    def __init__(
        self,
        listening: socket.socket,
        seed: bytes,
        waiting: Waiting,
        clock: Clock,
        token: Token,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._waiting = waiting
        self._clock = clock
        self._shown = certificates.public_key(seed)
        self._tell = tell
        self._turn = threading.Lock()
        self._proved = False
        self._joined = threading.Event()
        self.port: int = listening.getsockname()[1]
        now = clock.now().replace(microsecond=0)
        stranger = certificates.make_stranger(
            seed, token(certificates.SERIAL_BYTES), now - VALID, now + timedelta(days=1)
        )
        self._edge = Edge(listening, stranger_context(stranger, seed), self._handle, _LIMITS, tell)

    def wait(self, seconds: float) -> bool:
        """Return whether it was joined within so many seconds."""
        return self._joined.wait(seconds)

    def close(self) -> None:
        """Stop listening; what has been answered stays so."""
        self._edge.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self.close()

    def _handle(self, _certificate: bytes | None, request: Request) -> Response:
        try:
            with self._turn:
                return self._answer(request)
        except StrongroomError as err:
            self._tell(f"a joining was refused: {err}")
            return refusal(FORBIDDEN, str(err))

    def _answer(self, request: Request) -> Response:
        if self._joined.is_set():
            raise JoinCodeSpent("this custodian has been joined", "the code has been used")
        if (request.method, request.path) == ("POST", JOIN):
            return self._join(request.body)
        if (request.method, request.path) == ("PUT", BADGE) and self._proved:
            self._waiting.finish(request.body)
            self._joined.set()
            return Response(204)
        return refusal(404, "a custodian that waits answers nothing but a joining")

    def _join(self, body: bytes) -> Response:
        key = self._waiting.key
        if self._clock.now() >= self._waiting.until:
            raise JoinCodeSpent("the join code has expired", f"it is good for {VALID}")
        if self._waiting.count_try() > TRIES:
            raise JoinCodeSpent("the join code is refused", f"it was tried {TRIES} times")
        proof, invitation = body[:MAC_BYTES], body[MAC_BYTES:]
        key.check_invitation(self._shown, invitation, proof)
        answer = self._waiting.answer(invitation)
        self._proved = True
        return Response(200, key.answer(self._shown, invitation, answer) + answer, _OCTETS)


class Joining(AbstractContextManager["Joining"]):
    """The server's side: what is proved is the key that was shown when it connected first."""

    def __init__(
        self,
        address: tuple[str, int],
        code: JoinCode,
        clock: Clock,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._key = code.key()
        self._shown: bytes | None = None
        self._way = Way(
            address,
            "the custodian to join",
            doubting_context(),
            self._take,
            clock,
            timeout_seconds,
        )

    def invite(self, invitation: bytes) -> bytes:
        """Say this to the custodian and return what it answers.

        Raises WrongJoinCode where the answer is not proved, PeerRefused where the custodian does
        not take the code, PeerUnavailable where nobody answers.
        """
        self._way.connect()
        shown = self._shown or b""
        proof = self._key.invite(shown, invitation)
        answered = self._ask("POST", JOIN, proof + invitation)
        answer = answered[MAC_BYTES:]
        self._key.check_answer(shown, invitation, answer, answered[:MAC_BYTES])
        return answer

    def give(self, certificate: bytes) -> None:
        """Hand over the certificate; when this returns the custodian is joined."""
        self._ask("PUT", BADGE, certificate)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._way.close()

    def _take(self, certificate: bytes) -> None:
        shown = certificates.public_key_of(certificate)
        if self._shown is not None and not same(self._shown, shown):
            raise WrongCertificate("another key answers", "it has another key than it had")
        self._shown = shown

    def _ask(self, method: str, path: str, body: bytes) -> bytes:
        return self._way.ask(method, path, body, WORDS_BYTES_MAX + MAC_BYTES).body
