"""What a server that recovers asks custodians elsewhere, and is answered (custodian-v1).

As `messages`: each `*_question` and `*_answer` has its `read_*`. Pure.
"""

from collections.abc import Iterable, Mapping

from strongroom.clock import format_instant, parse_instant
from strongroom.crypto import public_sealing, signing
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.crypto.framing import frame
from strongroom.errors import Damaged
from strongroom.ids import ID_BYTES, ClientId, VaultId, WriterId
from strongroom.quorum import messages
from strongroom.quorum.client_key import FORMER_MAX, SERIAL_MAX
from strongroom.quorum.fields import NUMBER_MAX
from strongroom.quorum.key_table import WRITERS_MAX, ClientPin, PinnedWriter

_PIN_PARTS = 8
_WRITER_BYTES = signing.PUBLIC_KEY_BYTES + 1 + messages.NUMBER_BYTES


def pinned_answer(roster: Envelope, policy: Envelope | None) -> bytes:
    """Return the roster that is pinned and, where there is one, the team policy."""
    signed = (roster,) if policy is None else (roster, policy)
    return messages.answer("pinned", *(one.encode() for one in signed))


def read_pinned_answer(data: bytes) -> tuple[Envelope, Envelope | None]:
    """Read what `pinned_answer` wrote; who signed it is still to be asked."""
    roster, *policy = messages.read_answer("pinned", data, 1, 2)
    return (
        decode_envelope(roster, "the roster of an answer"),
        decode_envelope(policy[0], "the policy of an answer") if policy else None,
    )


def pins_answer(pins: Iterable[ClientPin]) -> bytes:
    """Return what is pinned for clients."""
    return messages.answer("pins", *(_written(one) for one in pins))


def read_pins_answer(data: bytes) -> list[ClientPin]:
    """Read what `pins_answer` wrote."""
    return [_read(part) for part in messages.read_answer("pins", data, 0, messages.PARTS_MAX)]


def replace_writer_question(
    client: ClientId, writer: bytes, revoked_after: Mapping[WriterId, int]
) -> bytes:
    """Return a new writer of a client, and after which sequence each other one is revoked."""
    ends = (
        frame(bytes.fromhex(one), messages.write_number(last))
        for one, last in sorted(revoked_after.items())
    )
    return messages.question("replace-writer", bytes.fromhex(client), writer, *ends)


def read_replace_writer_question(data: bytes) -> tuple[ClientId, bytes, dict[WriterId, int]]:
    """Read what `replace_writer_question` wrote."""
    what = "a question replace-writer"
    client, writer, *ends = messages.read_question("replace-writer", data, 2, 2 + WRITERS_MAX)
    revoked: dict[WriterId, int] = {}
    for part in ends:
        old, last = messages.read_pieces(part, 2, what)
        revoked[WriterId(messages.read_hex(old, ID_BYTES, what))] = messages.read_number(
            last, 0, NUMBER_MAX, what
        )
    if len(revoked) < len(ends):
        raise Damaged(f"{what} is malformed", "a writer is named twice")
    return (
        ClientId(messages.read_hex(client, ID_BYTES, what)),
        bytes.fromhex(messages.read_hex(writer, signing.PUBLIC_KEY_BYTES, what)),
        revoked,
    )


def _written(pin: ClientPin) -> bytes:
    return frame(
        bytes.fromhex(pin.client),
        bytes.fromhex(pin.vault),
        pin.vault_class.encode(),
        messages.write_number(pin.serial),
        pin.public,
        format_instant(pin.created_at).encode(),
        b"".join(messages.write_number(one) for one in pin.former),
        b"".join(
            one.key
            + bytes([one.revoked_after is not None])
            + messages.write_number(one.revoked_after or 0)
            for one in pin.writers
        ),
    )


def _read(part: bytes) -> ClientPin:
    what = "an answer pins"
    client, vault, vault_class, serial, public, created_at, former, writers = messages.read_pieces(
        part, _PIN_PARTS, what
    )
    whose = ClientId(messages.read_hex(client, ID_BYTES, what))
    what = f"an answer pins, of client {whose[:8]},"
    if vault_class not in (b"normal", b"high"):
        raise Damaged(f"{what} is malformed", "there is no such class")
    return ClientPin(
        client=whose,
        vault=VaultId(messages.read_hex(vault, ID_BYTES, what)),
        vault_class="high" if vault_class == b"high" else "normal",
        serial=messages.read_number(serial, 1, SERIAL_MAX, what),
        public=bytes.fromhex(messages.read_hex(public, public_sealing.PUBLIC_KEY_BYTES, what)),
        created_at=parse_instant(messages.read_text(created_at, what)),
        writers=tuple(
            _writer(one, what) for one in _cut(writers, _WRITER_BYTES, WRITERS_MAX, what)
        ),
        former=tuple(
            messages.read_number(one, 1, SERIAL_MAX, what)
            for one in _cut(former, messages.NUMBER_BYTES, FORMER_MAX, what)
        ),
    )


def _writer(part: bytes, what: str) -> PinnedWriter:
    at = signing.PUBLIC_KEY_BYTES
    key, flag, last = part[:at], part[at : at + 1], part[at + 1 :]
    number = messages.read_number(last, 0, NUMBER_MAX, what)
    if flag not in (b"\0", b"\1") or (flag == b"\0" and number):
        raise Damaged(f"{what} is malformed", "a writer is neither revoked nor not")
    return PinnedWriter(key, number if flag == b"\1" else None)


def _cut(data: bytes, length: int, most: int, what: str) -> list[bytes]:
    if len(data) % length or len(data) > most * length:
        raise Damaged(f"{what} is malformed", "a list in it has an impossible size")
    return [data[at : at + length] for at in range(0, len(data), length)]
