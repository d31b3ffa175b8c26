"""What travels between a server and its custodians: as frozen, read as written, closed."""

import json
import re
from dataclasses import replace

import pytest

from strongroom.crypto.framing import frame, unframe
from strongroom.errors import Damaged, Refused, StrongroomError, UsageError
from strongroom.quorum import messages, recovery_messages, redeal_messages, refusals
from strongroom.quorum.error_report import TEXT_LENGTH_MAX, TooManyAsked, read_report, report
from strongroom.quorum.invitation import Introduction, Invitation
from strongroom.quorum.kit import ENTRY_BYTES_MAX
from strongroom.quorum.rules import NO_PAST
from strongroom.quorum.wire import Wire
from tests.house.tree import ROOT
from tests.vectors import build_custodian_v1 as vector

WHO = "custodian 2 (ben)"


def test_custodian_v1_is_made_as_it_was_frozen() -> None:
    frozen = json.loads((vector.PATH.parent / "custodian-v1.json").read_text(encoding="utf-8"))
    assert vector.build() == frozen


def test_what_was_written_is_read() -> None:
    said = vector.said()
    ids = vector.ENROLMENT
    assert messages.read_question("card", said["card question"], 0) == []
    assert messages.read_card_answer(said["card answer"]) == vector.CARD
    roster = messages.read_adopt_roster_question(said["adopt-roster question"])
    assert roster == vector.object_of("roster")
    policy, change = messages.read_adopt_policy_question(said["adopt-policy question"])
    assert change is None
    assert policy == vector.object_of("policy")
    shown = messages.read_adopt_policy_question(said["adopt-policy question with its change"])
    assert shown == (vector.object_of("policy"), vector.CHANGE)
    enrolled = (ids[0], ids[1], "high", ids[2], NO_PAST)
    assert messages.read_enrol_question(said["enrol question"]) == enrolled
    late = messages.read_enrol_question(said["enrol question with a past"])
    assert late == (*enrolled[:4], vector.PAST)
    snapshot, keys = messages.read_ingest_question(said["ingest question"])
    assert (snapshot, keys) == (
        vector.object_of("snapshot").statement,
        [vector.object_of("keys", b"body")],
    )
    told = messages.read_hear_question(said["hear question"])
    assert told == (vector.RECOVERY, (vector.object_of("approval"),) * 2)
    roster_and_policy = recovery_messages.read_pinned_answer(said["pinned answer"])
    assert roster_and_policy == (vector.object_of("roster"), vector.object_of("policy"))
    assert recovery_messages.read_pins_answer(said["pins answer"]) == vector.PINS
    replaced = recovery_messages.read_replace_writer_question(said["replace-writer question"])
    assert replaced == (ids[0], bytes([9]) * 32, {vector.PINS[0].writers[0].id: 12})
    answered = messages.read_envelope_answer("release", said["release answer"])
    assert answered == vector.object_of("release", b"sealed")
    challenge, proved = messages.read_prove_question(said["prove question"])
    assert (challenge, proved) == ("5c" * 32, [vector.object_of("keys").statement])
    reopened = redeal_messages.read_reopen_question(said["reopen question"])
    assert reopened == ("5e" * 16, vector.object_of("keys").statement, vector.RECIPIENT)
    reheld = redeal_messages.read_rehold_question(said["rehold question"])
    keys = [vector.object_of("keys", body) for body in (b"body", b"anew")]
    assert reheld == ("5e" * 16, *keys)
    assert messages.read_obey_question(said["obey question"]) == vector.ORDER
    assert messages.read_refuse_question(said["refuse question"]) == (
        vector.ORDER.grant.request,
        vector.object_of("approval"),
    )
    assert messages.read_standing_question(said["standing question"]) == ids[1]
    assert messages.read_standing_answer(said["standing answer"]) == vector.STANDING
    assert messages.read_journal_question(said["journal question"]) == 500
    assert messages.read_journal_answer(said["journal answer"]) == vector.JOURNAL
    assert messages.read_kit_entries_answer(said["kit-entries answer"]) == vector.ENTRIES
    flags = said["witness-registered answer"]
    assert messages.read_flags_answer("witness-registered", flags, 2) == [True, False]
    assert messages.read_register_question(said["witness-register question"]) == vector.LOGS
    latest = said["witness-latest answer"]
    assert messages.read_latest_answer(latest, [vector.ORIGIN] * 2) == [vector.CHECKPOINT, None]
    name = "witness-add-checkpoints"
    assert messages.read_witness_answer(name, said[f"{name} answer"], 2) == vector.ANSWERS
    assert messages.read_evidence_answer(said["witness-evidence answer"]) == vector.EVIDENCE
    assert Invitation.parse(said["invitation"]) == vector.INVITATION
    assert Introduction.parse(said["introduction"]) == vector.INTRODUCTION


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it begins as something else"),
        (messages.question("enrol"), "it begins as something else"),
        (messages.answer("standing"), "it begins as something else"),
        (messages.question("standing"), "it has 0 parts"),
        (messages.question("standing", bytes(16), b""), "it has over 2 parts"),
        (messages.question("standing", bytes(15)), "wanted 16 bytes, got 15"),
        (messages.question("standing", bytes(16))[:-1], "a part is cut short"),
        (messages.question("standing", bytes(16)) + b"\0\0", "over 2 parts"),
    ],
)
def test_a_question_of_another_form_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(Damaged, match=why):
        messages.read_standing_question(data)


def test_too_much_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Damaged, match="a question standing is too long"):
        messages.read_standing_question(bytes(messages.MESSAGE_BYTES_MAX + 1))
    many = messages.texts_question("witness-latest", ["a"] * (messages.WITNESS_PARTS_MAX + 1))
    with pytest.raises(Damaged, match="parts"):
        messages.read_texts_question("witness-latest", many, messages.WITNESS_PARTS_MAX)
    with pytest.raises(Damaged, match="a text has over"):
        messages.read_texts_question("x", messages.texts_question("x", ["a" * 1001]), 1)
    entry = [("path", bytes(ENTRY_BYTES_MAX + 1))]
    with pytest.raises(Damaged, match="an entry has over"):
        messages.read_kit_entries_answer(messages.kit_entries_answer(entry))


def test_values_outside_their_kind_are_refused() -> None:
    said = vector.said()
    class_none = said["enrol question"].replace(b"high", b"none")
    with pytest.raises(Damaged, match="there is no such class"):
        messages.read_enrol_question(class_none)
    flags = messages.answer("witness-registered", b"\2")
    with pytest.raises(Damaged, match="a flag is neither 0 nor 1"):
        messages.read_flags_answer("witness-registered", flags, 1)
    other = said["witness-latest answer"]
    with pytest.raises(Damaged, match="it is of another log"):
        messages.read_latest_answer(other, ["another", vector.ORIGIN])
    purpose = said["witness-register question"].replace(b"client", b"people")
    with pytest.raises(Damaged, match="of a client or of the server"):
        messages.read_register_question(purpose)
    terminal = said["card answer"].replace(b"Anna's cellar", b"Anna's \x1b[2Jed")
    with pytest.raises(Damaged, match="no printable name"):
        messages.read_card_answer(terminal)
    bare = replace(vector.INVITATION, authority=b"").encode()
    with pytest.raises(Damaged, match="its certificate has an impossible size"):
        Invitation.parse(bare)
    with pytest.raises(Damaged, match="not UTF-8"):
        messages.read_text(b"\xff", "it")
    with pytest.raises(Damaged, match="a number is not 1 to 3"):
        messages.read_number((4).to_bytes(8, "little"), 1, 3, "it")


def test_pins_and_ends_of_another_form_are_refused() -> None:
    said = vector.said()
    for before, after, why in (
        (b"high", b"huge", "there is no such class"),
        (bytes([2]) * 32 + b"\1", bytes([2]) * 32 + b"\2", "neither revoked nor not"),
        (bytes([2]) * 32 + b"\1", bytes([2]) * 32 + b"\0", "neither revoked nor not"),
    ):
        with pytest.raises(Damaged, match=why):
            recovery_messages.read_pins_answer(said["pins answer"].replace(before, after))
    twice = messages.question("replace-writer", bytes(16), bytes(32), *(_end(1), _end(2)))
    with pytest.raises(Damaged, match="a writer is named twice"):
        recovery_messages.read_replace_writer_question(twice)
    short = messages.answer("pins", frame(*(b"",) * 7))
    with pytest.raises(Damaged, match="it has 7 parts"):
        recovery_messages.read_pins_answer(short)


def _end(last: int) -> bytes:
    return frame(bytes(16), messages.write_number(last))


def test_frames_are_taken_apart_as_they_were_put_together() -> None:
    assert unframe(frame(b"a", b"", b"ccc"), 3) == [b"a", b"", b"ccc"]
    assert unframe(b"", 3) == []
    with pytest.raises(ValueError, match="over 2 parts"):
        unframe(frame(b"a", b"", b"ccc"), 2)


@pytest.mark.parametrize("err", vector.ERRORS, ids=lambda err: type(err).__name__)
def test_an_error_comes_back_as_itself(err: StrongroomError) -> None:
    _, body = report(err)
    back = read_report(body, WHO)
    assert isinstance(err, type(back))
    assert (back.code, back.exit_code) == (err.code, err.exit_code)
    assert (str(back), back.hint) == (str(err), err.hint)


def test_every_refusal_of_an_act_travels_by_its_code() -> None:
    kinds = [
        kind
        for kind in vars(refusals).values()
        if isinstance(kind, type) and kind.__module__ == refusals.__name__
    ]
    assert len(kinds) > 5
    for kind in kinds:
        status, body = report(kind("no", "why"))
        assert type(read_report(body, WHO)) is kind
        assert status == (403 if issubclass(kind, Refused) else 425)


def test_a_bug_tells_nothing_of_itself() -> None:
    status, body = report(RuntimeError("the seed is 42"))
    assert status == 500
    assert b"42" not in body
    assert isinstance(read_report(body, WHO), StrongroomError)


def test_an_error_of_another_room_travels_as_its_kind() -> None:
    class Odd(Refused):
        code = "odd"

    back = read_report(report(Odd("no", "x" * 2000, "\x1b[2J"))[1], WHO)
    assert (type(back), back.what, back.hint) == (Refused, "no", "\\x1b[2J")
    assert len(back.why) == TEXT_LENGTH_MAX
    assert isinstance(read_report(report(TooManyAsked("no"))[1], WHO), TooManyAsked)
    assert isinstance(read_report(report(UsageError("no"))[1], WHO), UsageError)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[" * 100_000,
        b"{}",
        b'{"code":"good","hint":"","what":"","why":""}',
        b'{"code":"failed","hint":"","what":1,"why":""}',
        b'{"code":["failed"],"hint":"","what":"","why":""}',
        b'{"code":"failed","hint":"","what":"\\u001b","why":""}',
        b'{"code":"failed","hint":"","what":"","why":"' + b"x" * 1001 + b'"}',
        b"x" * 70_000,
    ],
)
def test_what_is_no_error_names_who_sent_it(body: bytes) -> None:
    found = read_report(body, WHO)
    assert type(found) is Damaged
    assert WHO in str(found)
    assert len(str(found)) < 300


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (f"{'25' * 16}/kits/{'c2' * 16}/identity-00000001", "a kit entry that is not its own"),
        (f"{'25' * 16}/vaults/{'c1' * 16}/identity-00000001", "not the path of a kit entry"),
        (f"{'25' * 16}/kits/{'c1' * 16}/..", "a name that no custodian gives"),
    ],
)
def test_planted_kit_entries(path: str, why: str) -> None:
    """A custodian cannot have anything put but the entries of its own key table."""

    def ask(_name: str, _question: bytes) -> bytes:
        return messages.kit_entries_answer([(path, b"sealed")])

    with pytest.raises(Damaged, match=why):
        Wire.Asked(vector.CARD, ask).kit_entries()


def test_a_key_table_is_asked_for_from_its_begin_and_from_a_path_on() -> None:
    said, read = vector.said(), messages.read_kit_entries_question
    assert read(said["kit-entries question"]) == ("identity", "")
    assert read(said["kit-entries question that goes on"]) == ("identity", vector.ENTRIES[0][0])


def test_kit_entries_without_an_end_or_an_order() -> None:
    """A custodian cannot keep a home asking for ever."""
    folder = f"{'25' * 16}/kits/{vector.CARD.id}/{'e1' * 16}"

    def same(_name: str, _question: bytes) -> bytes:
        page = [(f"{folder}-{serial:08d}", b"sealed") for serial in range(1, 501)]
        return messages.kit_entries_answer(page)

    with pytest.raises(Damaged, match="not in their order"):
        Wire.Asked(vector.CARD, same).kit_entries()

    def endless(_name: str, question: bytes) -> bytes:
        _, after = messages.read_kit_entries_question(question)
        begin = int(after[-8:] or "0") + 1
        page = [(f"{folder}-{serial:08d}", b"") for serial in range(begin, begin + 500)]
        return messages.kit_entries_answer(page)

    with pytest.raises(Damaged, match="has no end"):
        Wire.Asked(vector.CARD, endless).kit_entries()


@pytest.mark.parametrize(("of", "most"), [("e1" * 16, 64 << 20), ("", 256 << 20)])
def test_kit_entries_of_many_bytes(of: str, most: int) -> None:
    """A custodian cannot fill a home's memory with few entries that are large."""
    folder = f"{'25' * 16}/kits/{vector.CARD.id}/{'e1' * 16}"
    body, pages = bytes(1 << 20), 0

    def large(_name: str, question: bytes) -> bytes:
        nonlocal pages
        pages += 1
        _, after = messages.read_kit_entries_question(question)
        begin = int(after[-8:] or "0") + 1
        page = [(f"{folder}-{serial:08d}", body) for serial in range(begin, begin + 60)]
        return messages.kit_entries_answer(page)

    with pytest.raises(Damaged, match=f"has no end: over {most} bytes"):
        Wire.Asked(vector.CARD, large).kit_entries(of)
    assert pages == most // (60 << 20) + 1


def test_kit_entries_that_nobody_asked_for() -> None:
    """What is asked for one client has nothing of another put at every location."""
    folder = f"{'25' * 16}/kits/{vector.CARD.id}"

    def others(_name: str, _question: bytes) -> bytes:
        page = [(f"{folder}/{client * 16}-00000001", b"sealed") for client in ("e1", "e2")]
        return messages.kit_entries_answer(page)

    with pytest.raises(Damaged, match="a kit entry that was not asked for"):
        Wire.Asked(vector.CARD, others).kit_entries("e1" * 16)


def test_the_page_lists_every_question_and_who_may_ask_it() -> None:
    page = (ROOT / "docs" / "formats" / "custodian-v1.md").read_text(encoding="utf-8")
    questions, rest = page.split("## Questions")[1].split("## Joining")
    listed = re.findall(r"^\| `([a-z-]+)` \|", questions, re.MULTILINE)
    assert sorted(listed) == sorted(Wire.NAMES)
    (row,) = re.findall(r"^\| `worker` \| (.*) \|$", rest, re.MULTILINE)
    of_worker = re.findall(r"`([a-z-]+)`", row)
    for name in Wire.NAMES:
        Wire.check_asker("server", name)
        if name in of_worker:
            Wire.check_asker("worker", name)
        else:
            with pytest.raises(Refused):
                Wire.check_asker("worker", name)
