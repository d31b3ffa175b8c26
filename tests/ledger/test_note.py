"""Signed notes: the specification's example, what is passed over, and what is refused."""

import base64
from collections.abc import Callable

import pytest

from strongroom.crypto import signing
from strongroom.ledger.cosignature import cosign, verify, witness_key
from strongroom.ledger.note import (
    LOG_KEY,
    NOTE_BYTES_MAX,
    SIGNATURES_MAX,
    WITNESS_KEY,
    NoteInvalid,
    VerifierKey,
    open_note,
    sign,
    split_note,
)

SEED = b"\x01" * 32
OTHER = b"\x02" * 32
KEY = VerifierKey("log.example/a", LOG_KEY, signing.public_key(SEED))
STRANGER = VerifierKey("log.example/a", LOG_KEY, signing.public_key(OTHER))
WITNESS = witness_key("witness.example/w", OTHER)
TEXT = b"log.example/a\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
NOTE = sign(TEXT, KEY.name, SEED)
AT = 1_767_323_045

# The example of C2SP signed-note.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2"
    "ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()


def test_the_example_of_the_specification_opens() -> None:
    opened = open_note(EXAMPLE, [VerifierKey.parse(EXAMPLE_KEY)])
    assert opened.text == b"This is an example message.\n"
    assert str(VerifierKey.parse(EXAMPLE_KEY)) == EXAMPLE_KEY


def test_the_checkpoint_of_c2sp_issue_99_is_made_bit_for_bit() -> None:
    origin = "sigsum.org/v1/tree/e796172b92befd62d9dc67e41c2f5bc9d3100a3023b20b1ca40288dd1c679e69"
    text = f"{origin}\n10\nHA5HAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
    line = (
        f"— {origin} gJ2ho0n8F8olcerUF1FFdv235A/5as/coWrpLrtE7ovMeP5whgwouYExowG/lTznxu6OUGjjt5y"
        "JQ6bXtTcf718MqAQ=\n"
    )
    assert sign(text.encode(), origin, b"\x11" + bytes(31)) == f"{text}\n{line}".encode()


def test_a_text_may_hold_empty_lines_and_any_letters() -> None:
    text = "È una riga\n\nun'altra\n\n".encode()
    assert open_note(sign(text, KEY.name, SEED), [KEY]).text == text


def test_signatures_of_others_are_passed_over_even_under_a_known_name() -> None:
    note = NOTE + split_note(sign(TEXT, KEY.name, OTHER)).signatures[0].line
    note += cosign(TEXT, AT, WITNESS.name, OTHER)
    assert [one.key_id for one in open_note(note, [KEY]).signatures] == [KEY.id]
    with pytest.raises(NoteInvalid, match="not trusted"):
        open_note(NOTE, [STRANGER, WITNESS])
    with pytest.raises(NoteInvalid, match="not trusted"):
        open_note(NOTE, [])


def test_a_known_key_whose_signature_fails_refuses_the_whole_note() -> None:
    forged = sign(TEXT + b"more\n", KEY.name, SEED)
    bad = split_note(forged).signatures[0].line
    for note in (TEXT + b"\n" + bad, NOTE + bad):
        with pytest.raises(NoteInvalid, match=r"log.example/a carries a wrong signature"):
            open_note(note, [KEY])


def test_a_witness_signs_the_time_with_the_text() -> None:
    line = cosign(TEXT, AT, WITNESS.name, OTHER)
    assert verify(TEXT, line, WITNESS) == AT
    opened = open_note(NOTE + line, [KEY, WITNESS])
    assert [one.name for one in opened.signatures] == [KEY.name, WITNESS.name]
    assert opened.signatures[1].seconds == AT
    signature = split_note(NOTE + line).signatures[1]
    later = base64.b64encode(
        signature.key_id + (AT + 1).to_bytes(8, "big") + signature.value[8:]
    ).decode()
    moved = f"— {WITNESS.name} {later}\n".encode()
    for text, forged in ((TEXT, moved), (TEXT + b"x\n", line)):
        with pytest.raises(NoteInvalid, match="wrong signature"):
            verify(text, forged, WITNESS)
    for key in (witness_key("another.example", OTHER), witness_key(WITNESS.name, SEED)):
        with pytest.raises(NoteInvalid, match="another key"):
            verify(TEXT, line, key)
    with pytest.raises(NoteInvalid, match="another key"):
        verify(TEXT, line + line, WITNESS)


def test_what_a_log_signed_is_no_cosignature() -> None:
    line = split_note(NOTE).signatures[0].line
    with pytest.raises(NoteInvalid, match="not a witness's key"):
        verify(TEXT, line, KEY)
    # The signature of a log, put behind a time under a witness's id of the same public key.
    twin = VerifierKey(KEY.name, WITNESS_KEY, KEY.public)
    value = twin.id + AT.to_bytes(8, "big") + split_note(NOTE).signatures[0].value
    forged = f"— {twin.name} {base64.b64encode(value).decode()}\n".encode()
    with pytest.raises(NoteInvalid, match="wrong signature"):
        verify(TEXT, forged, twin)


@pytest.mark.parametrize("seconds", [0, -1, 1 << 63])
def test_a_witness_signs_no_time_out_of_range(seconds: int) -> None:
    with pytest.raises(ValueError, match="not a time"):
        cosign(TEXT, seconds, WITNESS.name, OTHER)


def test_a_cosignature_far_in_the_future_is_refused() -> None:
    value = (1 << 63).to_bytes(8, "big") + bytes(64)
    line = f"— {WITNESS.name} {base64.b64encode(WITNESS.id + value).decode()}\n".encode()
    with pytest.raises(NoteInvalid, match="out of range"):
        open_note(NOTE + line, [KEY, WITNESS])


def test_sixteen_signatures_are_read_and_a_hundred_and_one_are_not() -> None:
    lines = [cosign(TEXT, AT, f"w{number}", bytes([number]) * 32) for number in range(101)]
    keys = [witness_key(f"w{number}", bytes([number]) * 32) for number in range(16)]
    assert len(open_note(NOTE + b"".join(lines[:16]), [KEY, *keys]).signatures) == 17
    with pytest.raises(NoteInvalid, match=f"at most {SIGNATURES_MAX}"):
        split_note(NOTE + b"".join(lines))
    with pytest.raises(NoteInvalid, match=f"at most {NOTE_BYTES_MAX}"):
        split_note(b"x" * NOTE_BYTES_MAX + NOTE)


LINE = split_note(NOTE).signatures[0].line
MALFORMED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no text": lambda: LINE,
    "no signature": lambda: TEXT + b"\n",
    "no empty line": lambda: TEXT + LINE,
    "no last newline": lambda: NOTE[:-1],
    "an empty line more": lambda: NOTE + b"\n",
    "carriage returns": lambda: NOTE.replace(b"\n", b"\r\n"),
    "a control character": lambda: NOTE.replace(b"3", b"\x1b"),
    "not UTF-8": lambda: NOTE.replace(b"3", b"\xff"),
    "another dash": lambda: NOTE.replace("—".encode(), b"--"),
    "no name": lambda: NOTE.replace(b"\xe2\x80\x94 log.example/a", b"\xe2\x80\x94 "),
    "a plus in the name": lambda: NOTE.replace(b" log.example/a", b" log+example/a"),
    "a space in the name": lambda: NOTE.replace(b" log.example/a", "\u2003".encode() + b" a"),
    "two spaces": lambda: NOTE.replace(b" log.example/a ", b" log.example/a  "),
    "no signature behind the name": lambda: TEXT + b"\n\xe2\x80\x94 log.example/a\n",
    "only the id of a key": lambda: TEXT + b"\n\xe2\x80\x94 log.example/a AAAAAA==\n",
    "base64 without its padding": lambda: NOTE.replace(b"=\n", b"\n").replace(b"==", b"="),
    "base64 written in another way": lambda: TEXT + b"\n\xe2\x80\x94 a AAAAAAB=\n",
    "base64 for addresses": lambda: TEXT + b"\n\xe2\x80\x94 a AAAA_-8A\n",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_note_is_refused(what: str) -> None:
    note = MALFORMED[what]()
    assert note != NOTE
    with pytest.raises(NoteInvalid):
        open_note(note, [KEY])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        str(KEY).replace("log", "lag"),
        str(KEY).upper(),
        str(KEY) + "=",
        str(KEY).replace("log.", "log "),
        "a" * 600 + str(KEY),
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "\ud800+00000000+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(text)


def test_nothing_is_signed_that_no_note_can_hold() -> None:
    for text in (b"", b"no newline", b"a\n\nno newline"):
        with pytest.raises(NoteInvalid, match="malformed"):
            sign(text, KEY.name, SEED)
    # What ends like a signature would be read as one, and the text as a shorter one.
    with pytest.raises(ValueError, match="lines of text"):
        sign(TEXT + b"\n" + split_note(NOTE).signatures[0].line[:-1], KEY.name, SEED)
    with pytest.raises(NoteInvalid, match="control characters"):
        sign(b"a\tb\n", KEY.name, SEED)
    with pytest.raises(NoteInvalid, match="cannot be the name"):
        sign(TEXT, "two words", SEED)
