"""The server's side of a joining: how it meets a custodian that nobody knows yet.

It believes nothing that TLS shows it. Both ends prove the join code over the key that was shown
(see `crypto.join_code`), and what they say to each other is believed because it is in the proof.
The custodian's side is `joining`.
"""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

from strongroom.clock import Clock
from strongroom.crypto import certificates
from strongroom.crypto.certificates import WrongCertificate
from strongroom.crypto.hashing import same
from strongroom.crypto.join_code import MAC_BYTES, JoinCode
from strongroom.transport.badge import doubting_context
from strongroom.transport.link import TIMEOUT_SECONDS, Way

WORDS_BYTES_MAX: Final = 64 << 10
"""What either end says in a joining has at most so many bytes."""

JOIN: Final = "/v1/join"
BADGE: Final = "/v1/badge"


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
