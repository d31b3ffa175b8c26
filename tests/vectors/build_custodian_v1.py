"""Writes custodian-v1.json: every question and answer, and errors, as they travel.

Run as `python -m tests.vectors.build_custodian_v1`. A vector that was released is never edited.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from strongroom.crypto.envelope import Envelope, sign_envelope
from strongroom.errors import Damaged, Refused, Stale, StrongroomError, UsageError
from strongroom.facts import Fact, Who
from strongroom.ids import ClientId, CustodianId, InstallId, VaultId
from strongroom.ledger import Checkpoint, Witness
from strongroom.ledger.note import NoteInvalid
from strongroom.quorum import messages, recovery_messages, redeal_messages
from strongroom.quorum.error_report import TooManyAsked, report
from strongroom.quorum.invitation import Introduction, Invitation
from strongroom.quorum.key_table import ClientPin, PinnedWriter
from strongroom.quorum.order import Order
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.roster import Member
from strongroom.quorum.rules import Past, Standing
from strongroom.quorum.team_policy import TeamPolicy
from tests.vectors import build_procedure_v1 as procedures

PATH = Path(__file__).with_name("custodian-v1.json")
SEED = bytes([7]) * 32
ORIGIN = f"{'25' * 16}.ledger.invalid/{'9f' * 16}"
LOGS = [
    Witness.Log(ORIGIN, f"{ORIGIN}+b6ee79a5+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c", "client")
]
CHECKPOINT = Checkpoint(ORIGIN, 7, bytes([6]) * 32)
ANSWERS = [
    Witness.Answer(200, "text/plain; charset=utf-8", "— a b\n".encode()),
    Witness.Answer(409, "text/x.tlog.size", b"7\n"),
]
EVIDENCE = [
    Witness.Evidence(ORIGIN, True, "2026-01-02T03:04:05.000006Z", b"old 7\n\n", b"a note\n"),
    Witness.Evidence(ORIGIN, False, "2026-01-02T03:04:06.000006Z", b"old 7\n\n", None),
]
CARD = Member(3, CustodianId("c1" * 16), "Anna's cellar", bytes([5]) * 32)
STANDING = Standing(12, "3a" * 32)
ENROLMENT = (ClientId("11" * 16), VaultId("22" * 16), bytes([4]) * 32)
PAST = Past(Standing(7, "3b" * 32), (PinnedWriter(bytes([5]) * 32, 40),))
PINS = [
    ClientPin(
        *ENROLMENT[:2],
        "high",
        4,
        bytes([3]) * 1216,
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        (PinnedWriter(bytes([2]) * 32, 12), PinnedWriter(bytes([4]) * 32)),
        (1, 3),
    ),
    ClientPin(
        ClientId("12" * 16),
        VaultId("23" * 16),
        "normal",
        1,
        bytes([3]) * 1216,
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        (PinnedWriter(bytes([5]) * 32),),
    ),
]
ENTRIES = [(f"{'25' * 16}/kits/{'c1' * 16}/identity-00000001", b"SRKIT\x01 sealed")]
JOURNAL = [
    Fact(
        "share.released",
        "5e" * 16,
        Who("c1" * 16, "custodian"),
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        {"snapshot": "3a" * 32, "sessions": 2},
        "019b7d2f4d457000800000000000000f",
        client="11" * 16,
    )
]
ERRORS: tuple[StrongroomError, ...] = (
    StrongroomError("the database is busy", "another process is at work", "Try again."),
    UsageError("there is no question 'x'", "it is not in custodian-v1", ""),
    Refused("custodian 3 refuses", "a writer is revoked"),
    TooManyAsked("over 60 releases", "in one hour"),
    Stale("custodian 3 holds another history", "snapshot 7"),
    Damaged("a keys object is malformed", "it is no object"),
    NoteInvalid("a note is malformed", "a kind of damaged"),
)


RECOVERY = procedures.request(
    Procedure.RECOVERY, TeamPolicy.parse(TeamPolicy.sign(SEED, procedures.single(), procedures.AT))
)
ORDER = Order.decode(bytes.fromhex(procedures.build()["order"]))
CHANGE = PolicyChange.decode(bytes.fromhex(procedures.build()["policy_change"]))
INVITATION = Invitation(InstallId("25" * 16), 3, "Anna's cellar", b"an authority")
RECIPIENT = bytes([8]) * 1216
INTRODUCTION = Introduction(CARD, b"a request", "1a" * 32, "")


def object_of(kind: str, body: bytes = b"") -> Envelope:
    """Return a signed object of this type."""
    return sign_envelope(SEED, kind, {"format": "share-v1"}, body)


def said() -> Mapping[str, bytes]:
    """Return every question and every answer by a name of its own."""
    snapshot = object_of("snapshot").statement
    return {
        "card question": messages.question("card"),
        "card answer": messages.card_answer(CARD),
        "adopt-roster question": messages.adopt_roster_question(object_of("roster")),
        "adopt-roster answer": messages.answer("adopt-roster"),
        "enrol question": messages.enrol_question(*ENROLMENT[:2], "high", ENROLMENT[2]),
        "enrol answer": messages.envelope_answer("enrol", object_of("client-key")),
        "ingest question": messages.ingest_question(snapshot, [object_of("keys", b"body")]),
        "ingest answer": messages.envelope_answer("ingest", object_of("receipt")),
        "release answer": messages.envelope_answer("release", object_of("release", b"sealed")),
        "prove question": messages.prove_question("5c" * 32, [object_of("keys").statement]),
        "prove answer": messages.envelope_answer("prove", object_of("avowal")),
        "standing question": messages.standing_question(ENROLMENT[1]),
        "standing answer": messages.standing_answer(STANDING),
        "journal question": messages.journal_question(500),
        "journal answer": messages.journal_answer(JOURNAL),
        "kit-entries question": messages.question("kit-entries", b"identity"),
        "kit-entries answer": messages.kit_entries_answer(ENTRIES),
        "kit-confirmed answer": messages.flags_answer("kit-confirmed", [True]),
        "witness-card answer": messages.envelope_answer("witness-card", object_of("witness-card")),
        "witness-registered question": messages.texts_question("witness-registered", [ORIGIN]),
        "witness-registered answer": messages.flags_answer("witness-registered", [True, False]),
        "witness-register question": messages.register_question(LOGS),
        "witness-latest answer": messages.latest_answer([CHECKPOINT, None]),
        "witness-add-checkpoints question": messages.question(
            "witness-add-checkpoints", b"old 0\n\nnote", b"old 7\n\nnote"
        ),
        "witness-add-checkpoints answer": messages.witness_answer(
            "witness-add-checkpoints", ANSWERS
        ),
        "witness-evidence answer": messages.evidence_answer(EVIDENCE),
        "invitation": INVITATION.encode(),
        "introduction": INTRODUCTION.encode(),
        "adopt-policy question": messages.adopt_policy_question(object_of("policy")),
        "adopt-policy answer": messages.answer("adopt-policy"),
        "adopt-policy question with its change": messages.adopt_policy_question(
            object_of("policy"), CHANGE
        ),
        "hear question": messages.hear_question(RECOVERY, [object_of("approval")] * 2),
        "hear answer": messages.envelope_answer("hear", object_of("hearing")),
        "pinned answer": recovery_messages.pinned_answer(object_of("roster"), object_of("policy")),
        "pins answer": recovery_messages.pins_answer(PINS),
        "replace-writer question": recovery_messages.replace_writer_question(
            ENROLMENT[0], bytes([9]) * 32, {PINS[0].writers[0].id: 12}
        ),
        "replace-writer answer": messages.envelope_answer(
            "replace-writer", object_of("client-key")
        ),
        "enrol question with a past": messages.enrol_question(
            *ENROLMENT[:2], "high", ENROLMENT[2], PAST
        ),
        "obey question": messages.obey_question(ORDER),
        "obey answer": messages.envelope_answer("obey", object_of("deed")),
        "refuse question": messages.refuse_question(ORDER.grant.request, object_of("approval")),
        "refuse answer": messages.answer("refuse"),
        "reopen question": redeal_messages.reopen_question(
            "5e" * 16, object_of("keys").statement, RECIPIENT
        ),
        "reopen answer": messages.envelope_answer("reopen", object_of("reopened", b"sealed")),
        "rehold question": redeal_messages.rehold_question(
            "5e" * 16, object_of("keys", b"body"), object_of("keys", b"anew")
        ),
        "rehold answer": messages.envelope_answer("rehold", object_of("redeal-receipt")),
        "kit-entries question that goes on": messages.kit_entries_question(
            "identity", ENTRIES[0][0]
        ),
    }


def build() -> dict[str, Any]:
    """Return the vectors; the same each time."""
    return {
        "said": {name: data.hex() for name, data in said().items()},
        "errors": [
            {"status": status, "body": body.decode()} for status, body in map(report, ERRORS)
        ],
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
