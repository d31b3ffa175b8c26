"""The custodian's side of a joining: it waits for the server that has its code.

It waits with a certificate of its own making, and answers nothing but this. Tries are counted,
durably, before they are judged; the code ends with its time, its tries or its use. The server's
side is `meeting`.
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
from strongroom.crypto.join_code import MAC_BYTES, JoinKey
from strongroom.errors import Refused, StrongroomError
from strongroom.ids import Token
from strongroom.transport.badge import stranger_context
from strongroom.transport.edge import Edge, Limits
from strongroom.transport.meeting import BADGE, JOIN, WORDS_BYTES_MAX
from strongroom.transport.messages import FORBIDDEN, Request, Response, refusal

VALID: Final = timedelta(minutes=10)
TRIES: Final = 5

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
    `spend` hears that the tries are over and nobody has proved the code.
    """

    key: JoinKey
    until: datetime
    count_try: Callable[[], int]
    answer: Callable[[bytes], bytes]
    finish: Callable[[bytes], None]
    spend: Callable[[], None] = lambda: None


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
        context = stranger_context(stranger, seed)
        with self._turn:  # Nothing is answered before there is an edge to close.
            self._edge = Edge(listening, context, self._handle, _LIMITS, tell)

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
            # Before the server hears of it: its next connection is for the listener that follows.
            self._edge.accept_no_more()
            self._joined.set()
            return Response(204)
        return refusal(404, "a custodian that waits answers nothing but a joining")

    def _join(self, body: bytes) -> Response:
        key = self._waiting.key
        if self._clock.now() >= self._waiting.until:
            raise JoinCodeSpent("the join code has expired", f"it is good for {VALID}")
        tries = self._waiting.count_try()
        proof, invitation = body[:MAC_BYTES], body[MAC_BYTES:]
        try:
            if tries > TRIES:
                raise JoinCodeSpent("the join code is refused", f"it was tried {TRIES} times")
            key.check_invitation(self._shown, invitation, proof)
        except Refused:
            if tries >= TRIES and not self._proved:
                self._waiting.spend()
            raise
        answer = self._waiting.answer(invitation)
        self._proved = True
        return Response(200, key.answer(self._shown, invitation, answer) + answer, _OCTETS)
