"""What is asked of a custodian on another machine, and answered, as it travels (custodian-v1).

Both sides use these: each `*_question` and `*_answer` has its `read_*`, which takes exactly what
the other wrote. Reading is closed and limited, and believes nothing: signatures are looked at by
those who look at them when a custodian is in this process. Pure.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, cast

from strongroom.clock import format_instant, parse_instant
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, Statement, decode_envelope, decode_statement
from strongroom.crypto.framing import frame, unframe
from strongroom.errors import Damaged
from strongroom.facts import Fact
from strongroom.ids import ID_BYTES, ClientId, CustodianId, VaultId
from strongroom.ledger import Checkpoint, Witness
from strongroom.quorum.approval import APPROVALS_MAX
from strongroom.quorum.avowal import KEYS_MAX
from strongroom.quorum.fields import NAME_LENGTH_MAX, NUMBER_MAX
from strongroom.quorum.key_table import WRITERS_MAX
from strongroom.quorum.kit import ENTRY_BYTES_MAX
from strongroom.quorum.order import Order
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.request import ActRequest
from strongroom.quorum.roster import Member
from strongroom.quorum.rules import NO_PAST, Past, Standing
from strongroom.quorum.shares import COUNT_MAX

MESSAGE_BYTES_MAX: Final = 64 << 20
PARTS_MAX: Final = 12_000
WITNESS_PARTS_MAX: Final = 1_000
TEXT_BYTES_MAX: Final = 1_000
NOTE_BYTES_MAX: Final = 256 << 10
REQUEST_BYTES_MAX: Final = 266_240
HASH_BYTES: Final = 32
NUMBER_BYTES: Final = 8
_PROTOCOL: Final = "strongroom/custodian-v1/"
_STATUS_MAX: Final = 599


def question(name: str, *parts: bytes) -> bytes:
    """Return a question of this name."""
    return frame(f"{_PROTOCOL}{name}".encode(), *parts)


def answer(name: str, *parts: bytes) -> bytes:
    """Return the answer to a question of this name."""
    return frame(f"{_PROTOCOL}{name}/answer".encode(), *parts)


def read_question(name: str, data: bytes, least: int, most: int | None = None) -> list[bytes]:
    """Return the parts of a question; `most` is `least` where it is not given."""
    role = f"{_PROTOCOL}{name}"
    return read_parts(f"a question {name}", role, data, least, least if most is None else most)


def read_answer(name: str, data: bytes, least: int, most: int | None = None) -> list[bytes]:
    """Return the parts of an answer; `most` is `least` where it is not given."""
    role = f"{_PROTOCOL}{name}/answer"
    return read_parts(f"an answer {name}", role, data, least, least if most is None else most)


def envelope_answer(name: str, envelope: Envelope) -> bytes:
    """Return an answer that is one signed object."""
    return answer(name, envelope.encode())


def read_envelope_answer(name: str, data: bytes) -> Envelope:
    """Return the one signed object of an answer; who signed it is still to be asked."""
    (part,) = read_answer(name, data, 1)
    return decode_envelope(part, f"an answer {name}")


def card_answer(card: Member) -> bytes:
    """Return who a custodian is."""
    return answer(
        "card",
        write_number(card.index),
        bytes.fromhex(card.id),
        card.name.encode(),
        card.identity,
    )


def read_card_answer(data: bytes) -> Member:
    """Read what `card_answer` wrote."""
    what = "an answer card"
    index, own, name, identity = read_answer("card", data, 4)
    return Member(
        read_number(index, 1, COUNT_MAX, what),
        CustodianId(read_hex(own, ID_BYTES, what)),
        read_name(name, what),
        bytes.fromhex(read_hex(identity, signing.PUBLIC_KEY_BYTES, what)),
    )


def adopt_roster_question(roster: Envelope) -> bytes:
    """Return a roster to be pinned."""
    return question("adopt-roster", roster.encode())


def read_adopt_roster_question(data: bytes) -> Envelope:
    """Read what `adopt_roster_question` wrote."""
    (part,) = read_question("adopt-roster", data, 1)
    return decode_envelope(part, "the roster of a question")


def adopt_policy_question(policy: Envelope, change: PolicyChange | None = None) -> bytes:
    """Return a team policy to be pinned, with what shows that it was approved."""
    shown = () if change is None else (change.encode(),)
    return question("adopt-policy", policy.encode(), *shown)


def read_adopt_policy_question(data: bytes) -> tuple[Envelope, PolicyChange | None]:
    """Read what `adopt_policy_question` wrote."""
    policy, *shown = read_question("adopt-policy", data, 1, 2)
    change = PolicyChange.decode(shown[0]) if shown else None
    return decode_envelope(policy, "the policy of a question"), change


def enrol_question(
    client: ClientId,
    vault: VaultId,
    vault_class: Literal["normal", "high"],
    writer: bytes,
    past: Past = NO_PAST,
) -> bytes:
    """Return a client to be enrolled with its vault, class, writer key and, if any, its past."""
    ids = bytes.fromhex(client), bytes.fromhex(vault)
    standing = past.standing
    told = (
        write_number(standing.sequence),
        bytes.fromhex(standing.hash),
        *(frame(one.key, write_number(one.revoked_after or 0)) for one in past.former),
    )
    asked = (*ids, vault_class.encode(), writer)
    return question("enrol", *asked, *(() if past == NO_PAST else told))


def read_enrol_question(
    data: bytes,
) -> tuple[ClientId, VaultId, Literal["normal", "high"], bytes, Past]:
    """Read what `enrol_question` wrote."""
    what = "a question enrol"
    client, vault, vault_class, writer, *past = read_question("enrol", data, 4, 6 + WRITERS_MAX)
    if vault_class not in (b"normal", b"high"):
        raise Damaged(f"{what} is malformed", "there is no such class")
    return (
        ClientId(read_hex(client, ID_BYTES, what)),
        VaultId(read_hex(vault, ID_BYTES, what)),
        cast("Literal['normal', 'high']", vault_class.decode()),
        bytes.fromhex(read_hex(writer, signing.PUBLIC_KEY_BYTES, what)),
        _read_past(past, what) if past else NO_PAST,
    )


def _read_past(parts: Sequence[bytes], what: str) -> Past:
    sequence, hashed, *former = _counted(list(parts), 2, what)
    writers = [read_pieces(one, 2, what) for one in former]
    return Past.of(
        read_number(sequence, 0, NUMBER_MAX, what),
        read_hex(hashed, HASH_BYTES, what),
        [
            (
                bytes.fromhex(read_hex(key, signing.PUBLIC_KEY_BYTES, what)),
                read_number(after, 0, NUMBER_MAX, what),
            )
            for key, after in writers
        ],
    )


def ingest_question(snapshot: Statement, keys: Sequence[Envelope]) -> bytes:
    """Return a snapshot to be receipted, with its fresh keys objects."""
    return question("ingest", snapshot.encode(), *(one.encode() for one in keys))


def read_ingest_question(data: bytes) -> tuple[Statement, list[Envelope]]:
    """Read what `ingest_question` wrote."""
    snapshot, *keys = read_question("ingest", data, 1, PARTS_MAX)
    return (
        decode_statement(snapshot, "the snapshot of a question"),
        [decode_envelope(one, "a keys object of a question") for one in keys],
    )


def prove_question(challenge: str, keys: Sequence[Statement]) -> bytes:
    """Return keys objects whose shares are to be opened again, and the asker's challenge."""
    return question("prove", bytes.fromhex(challenge), *(one.encode() for one in keys))


def read_prove_question(data: bytes) -> tuple[str, list[Statement]]:
    """Read what `prove_question` wrote."""
    challenge, *keys = read_question("prove", data, 1, 1 + KEYS_MAX)
    return (
        read_hex(challenge, HASH_BYTES, "a question prove"),
        [decode_statement(one, "a keys object of a question") for one in keys],
    )


def obey_question(order: Order) -> bytes:
    """Return an order to be done."""
    return question("obey", order.encode())


def read_obey_question(data: bytes) -> Order:
    """Read what `obey_question` wrote."""
    (part,) = read_question("obey", data, 1)
    return Order.decode(part)


def refuse_question(request: ActRequest, word: Envelope) -> bytes:
    """Return a request, and an approver's refusal of it."""
    return question("refuse", request.encode(), word.encode())


def read_refuse_question(data: bytes) -> tuple[ActRequest, Envelope]:
    """Read what `refuse_question` wrote."""
    request, word = read_question("refuse", data, 2)
    return ActRequest.parse(request), decode_envelope(word, "the refusal of a question")


def standing_question(vault: VaultId) -> bytes:
    """Return a vault whose highest receipted snapshot is asked for."""
    return question("standing", bytes.fromhex(vault))


def read_standing_question(data: bytes) -> VaultId:
    """Read what `standing_question` wrote."""
    (vault,) = read_question("standing", data, 1)
    return VaultId(read_hex(vault, ID_BYTES, "a question standing"))


def standing_answer(standing: Standing) -> bytes:
    """Return the highest snapshot that was receipted."""
    return answer("standing", write_number(standing.sequence), bytes.fromhex(standing.hash))


def read_standing_answer(data: bytes) -> Standing:
    """Read what `standing_answer` wrote."""
    what = "an answer standing"
    sequence, hashed = read_answer("standing", data, 2)
    return Standing(read_number(sequence, 0, NUMBER_MAX, what), read_hex(hashed, HASH_BYTES, what))


def kit_entries_question(of: str, after: str) -> bytes:
    """Return how the names of entries begin, and behind which path they are to be told."""
    return question("kit-entries", of.encode(), *((after.encode(),) if after else ()))


def read_kit_entries_question(data: bytes) -> tuple[str, str]:
    """Read what `kit_entries_question` wrote."""
    what = "a question kit-entries"
    of, *after = (read_text(part, what) for part in read_question("kit-entries", data, 1, 2))
    return of, after[0] if after else ""


def kit_entries_answer(entries: Iterable[tuple[str, bytes]]) -> bytes:
    """Return entries of a key table, sealed as they are, with their paths."""
    return answer("kit-entries", *(frame(path.encode(), data) for path, data in entries))


def read_kit_entries_answer(data: bytes) -> list[tuple[str, bytes]]:
    """Read what `kit_entries_answer` wrote."""
    what = "an answer kit-entries"
    found: list[tuple[str, bytes]] = []
    for part in read_answer("kit-entries", data, 0, PARTS_MAX):
        path, sealed = read_pieces(part, 2, what)
        if len(sealed) > ENTRY_BYTES_MAX:
            raise Damaged(f"{what} is malformed", f"an entry has over {ENTRY_BYTES_MAX} bytes")
        found.append((read_text(path, what), sealed))
    return found


def journal_question(after: int) -> bytes:
    """Return after how many facts a journal is to be read on."""
    return question("journal", write_number(after))


def read_journal_question(data: bytes) -> int:
    """Read what `journal_question` wrote."""
    (after,) = read_question("journal", data, 1)
    return read_number(after, 0, NUMBER_MAX, "a question journal")


def journal_answer(facts: Iterable[Fact]) -> bytes:
    """Return facts of a journal, each in its one form."""
    return answer("journal", *(one.encode() for one in facts))


def read_journal_answer(data: bytes) -> list[Fact]:
    """Read what `journal_answer` wrote; each is of the closed vocabulary, or Damaged is raised."""
    return [Fact.parse(part) for part in read_answer("journal", data, 0, WITNESS_PARTS_MAX)]


def hear_question(request: ActRequest, approvals: Iterable[Envelope]) -> bytes:
    """Return a recovery that a custodian is told of, with what approvers said of it."""
    return question("hear", request.encode(), *(one.encode() for one in approvals))


def read_hear_question(data: bytes) -> tuple[ActRequest, tuple[Envelope, ...]]:
    """Read what `hear_question` wrote."""
    request, *approvals = read_question("hear", data, 1, 1 + APPROVALS_MAX)
    words = tuple(decode_envelope(one, "an approval of a question") for one in approvals)
    return ActRequest.parse(request), words


def texts_question(name: str, texts: Iterable[str]) -> bytes:
    """Return a question that is a list of texts."""
    return question(name, *(text.encode() for text in texts))


def read_texts_question(name: str, data: bytes, most: int) -> list[str]:
    """Read what `texts_question` wrote."""
    what = f"a question {name}"
    return [read_text(part, what) for part in read_question(name, data, 0, most)]


def flags_answer(name: str, flags: Iterable[bool]) -> bytes:
    """Return an answer that is a list of yes and no."""
    return answer(name, *(bytes([flag]) for flag in flags))


def read_flags_answer(name: str, data: bytes, count: int) -> list[bool]:
    """Read what `flags_answer` wrote, exactly so many."""
    parts = read_answer(name, data, count)
    if any(part not in (b"\0", b"\1") for part in parts):
        raise Damaged(f"an answer {name} is malformed", "a flag is neither 0 nor 1")
    return [part == b"\1" for part in parts]


def register_question(logs: Iterable[Witness.Log]) -> bytes:
    """Return logs to be witnessed from now on."""
    return question(
        "witness-register",
        *(frame(one.origin.encode(), one.vkey.encode(), one.purpose.encode()) for one in logs),
    )


def read_register_question(data: bytes) -> list[Witness.Log]:
    """Read what `register_question` wrote."""
    what = "a question witness-register"
    logs: list[Witness.Log] = []
    for part in read_question("witness-register", data, 0, WITNESS_PARTS_MAX):
        origin, vkey, purpose = (read_text(one, what) for one in read_pieces(part, 3, what))
        if purpose not in ("client", "server"):
            raise Damaged(f"{what} is malformed", "a log is of a client or of the server")
        logs.append(Witness.Log(origin, vkey, purpose))
    return logs


def latest_answer(checkpoints: Iterable[Checkpoint | None]) -> bytes:
    """Return what a witness saw last of each log."""
    texts = (b"" if one is None else one.encode() for one in checkpoints)
    return answer("witness-latest", *texts)


def read_latest_answer(data: bytes, origins: Sequence[str]) -> list[Checkpoint | None]:
    """Read what `latest_answer` wrote for these origins; nothing of it is signed."""
    parts = read_answer("witness-latest", data, len(origins))
    found = [Checkpoint.parse(part) if part else None for part in parts]
    for wanted, one in zip(origins, found, strict=True):
        if one is not None and one.origin != wanted:
            raise Damaged("an answer witness-latest is malformed", "it is of another log")
    return found


def witness_answer(name: str, answers: Iterable[Witness.Answer]) -> bytes:
    """Return what a witness said, as C2SP would carry it, one after the other."""
    return answer(
        name,
        *(frame(write_number(one.status), one.content_type.encode(), one.body) for one in answers),
    )


def read_witness_answer(name: str, data: bytes, count: int) -> list[Witness.Answer]:
    """Read what `witness_answer` wrote, exactly so many."""
    what = f"an answer {name}"
    found: list[Witness.Answer] = []
    for part in read_answer(name, data, count):
        status, kind, body = read_pieces(part, 3, what)
        if len(body) > NOTE_BYTES_MAX:
            raise Damaged(f"{what} is malformed", f"a body has over {NOTE_BYTES_MAX} bytes")
        found.append(
            Witness.Answer(read_number(status, 100, _STATUS_MAX, what), read_text(kind, what), body)
        )
    return found


def evidence_answer(kept: Iterable[Witness.Evidence]) -> bytes:
    """Return the contradictions that a witness kept of one log."""
    return answer(
        "witness-evidence",
        *(
            frame(
                one.origin.encode(),
                bytes([one.fork]),
                one.at.encode(),
                one.request,
                *(() if one.note is None else (one.note,)),
            )
            for one in kept
        ),
    )


def read_evidence_answer(data: bytes) -> list[Witness.Evidence]:
    """Read what `evidence_answer` wrote; who reads it judges the notes in it."""
    what = "an answer witness-evidence"
    found: list[Witness.Evidence] = []
    for part in read_answer("witness-evidence", data, 0, WITNESS_PARTS_MAX):
        origin, fork, at, request, *notes = read_pieces(part, 5, what, 4)
        if fork not in (b"\0", b"\1"):
            raise Damaged(f"{what} is malformed", "a flag is neither 0 nor 1")
        if len(request) > REQUEST_BYTES_MAX or any(len(one) > NOTE_BYTES_MAX for one in notes):
            raise Damaged(f"{what} is malformed", "a request or a note is too long")
        instant = format_instant(parse_instant(read_text(at, what)))
        note = notes[0] if notes else None
        found.append(
            Witness.Evidence(read_text(origin, what), fork == b"\1", instant, request, note)
        )
    return found


def read_text(part: bytes, what: str) -> str:
    """Return a text of a message."""
    if len(part) > TEXT_BYTES_MAX:
        raise Damaged(f"{what} is malformed", f"a text has over {TEXT_BYTES_MAX} bytes")
    try:
        return part.decode("utf-8")
    except UnicodeDecodeError as err:
        raise Damaged(f"{what} is malformed", "a text in it is not UTF-8") from err


def read_name(part: bytes, what: str) -> str:
    """Return the name of a custodian: 1 to 64 printable characters."""
    name = read_text(part, what)
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        raise Damaged(f"{what} is malformed", "its name is no printable name")
    return name


def read_number(part: bytes, least: int, most: int, what: str) -> int:
    """Return a number of a message that lies within both limits."""
    value = int.from_bytes(part, "little")
    if len(part) != NUMBER_BYTES or not least <= value <= most:
        raise Damaged(f"{what} is malformed", f"a number is not {least} to {most}")
    return value


def write_number(value: int) -> bytes:
    """Return a number as messages hold it."""
    return value.to_bytes(NUMBER_BYTES, "little")


def read_hex(part: bytes, length: int, what: str) -> str:
    """Return exactly so many bytes of a message, in hexadecimal."""
    if len(part) != length:
        raise Damaged(f"{what} is malformed", f"wanted {length} bytes, got {len(part)}")
    return part.hex()


def read_pieces(part: bytes, most: int, what: str, least: int | None = None) -> list[bytes]:
    """Return the parts that were framed together in a part; `least` is `most` where not given."""
    return _counted(_unframed(part, most, what), most if least is None else least, what)


def read_parts(what: str, role: str, data: bytes, least: int, most: int) -> list[bytes]:
    """Return the parts of what begins with this role; `what` names it in errors."""
    if len(data) > MESSAGE_BYTES_MAX:
        raise Damaged(f"{what} is too long", f"over {MESSAGE_BYTES_MAX} bytes")
    found = _unframed(data, most + 1, what)
    if not found or found[0] != role.encode():
        raise Damaged(f"{what} is malformed", "it begins as something else")
    return _counted(found[1:], least, what)


def _unframed(data: bytes, most: int, what: str) -> list[bytes]:
    try:
        return unframe(data, most)
    except ValueError as err:
        raise Damaged(f"{what} is malformed", str(err)) from err


def _counted(found: list[bytes], least: int, what: str) -> list[bytes]:
    if len(found) < least:
        raise Damaged(f"{what} is malformed", f"it has {len(found)} parts")
    return found
