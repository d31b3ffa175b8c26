"""What is asked of custodians elsewhere to deal a session anew (custodian-v1).

As `messages`: each `*_question` has its `read_*`. Pure.
"""

from strongroom.crypto import public_sealing
from strongroom.crypto.envelope import Envelope, Statement, decode_envelope, decode_statement
from strongroom.ids import ID_BYTES
from strongroom.quorum import messages


def reopen_question(request: str, keys: Statement, recipient: bytes) -> bytes:
    """Return of which order, of which session, and to which key shares are asked for."""
    return messages.question("reopen", bytes.fromhex(request), keys.encode(), recipient)


def read_reopen_question(data: bytes) -> tuple[str, Statement, bytes]:
    """Read what `reopen_question` wrote."""
    what = "a question reopen"
    request, keys, recipient = messages.read_question("reopen", data, 3)
    return (
        messages.read_hex(request, ID_BYTES, what),
        decode_statement(keys, "a keys object of a question"),
        bytes.fromhex(messages.read_hex(recipient, public_sealing.PUBLIC_KEY_BYTES, what)),
    )


def rehold_question(request: str, former: Envelope, anew: Envelope) -> bytes:
    """Return of which order, the keys object that was opened, and what was dealt instead."""
    return messages.question("rehold", bytes.fromhex(request), former.encode(), anew.encode())


def read_rehold_question(data: bytes) -> tuple[str, Envelope, Envelope]:
    """Read what `rehold_question` wrote."""
    request, former, anew = messages.read_question("rehold", data, 3)
    return (
        messages.read_hex(request, ID_BYTES, "a question rehold"),
        decode_envelope(former, "a keys object of a question"),
        decode_envelope(anew, "a keys object of a question"),
    )
