"""Every reader of what travels between server and custodians; `parsers` holds them in its table."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from strongroom.errors import StrongroomError
from strongroom.quorum import messages, recovery_messages, redeal_messages
from strongroom.quorum.error_report import read_report
from strongroom.quorum.invitation import Introduction, Invitation
from strongroom.settings import (
    CustodianSettings,
    read_custodian_settings,
    write_custodian_settings,
)
from tests.vectors import build_custodian_v1 as vector


def custodian_parsers() -> dict[str, tuple[bytes, Callable[[bytes], object]]]:
    """Return valid bytes and what reads them, by `module:name`."""
    said = vector.said()
    report = vector.build()["errors"][0]["body"].encode()
    readers: dict[str, Callable[[bytes], object]] = {
        "card answer": messages.read_card_answer,
        "adopt-roster question": messages.read_adopt_roster_question,
        "enrol question": messages.read_enrol_question,
        "enrol question with a past": messages.read_enrol_question,
        "ingest question": messages.read_ingest_question,
        "hear question": messages.read_hear_question,
        "pinned answer": recovery_messages.read_pinned_answer,
        "pins answer": recovery_messages.read_pins_answer,
        "replace-writer question": recovery_messages.read_replace_writer_question,
        "release answer": lambda data: messages.read_envelope_answer("release", data),
        "obey question": messages.read_obey_question,
        "refuse question": messages.read_refuse_question,
        "reopen question": redeal_messages.read_reopen_question,
        "rehold question": redeal_messages.read_rehold_question,
        "prove question": messages.read_prove_question,
        "standing question": messages.read_standing_question,
        "standing answer": messages.read_standing_answer,
        "journal question": messages.read_journal_question,
        "journal answer": messages.read_journal_answer,
        "kit-entries question that goes on": messages.read_kit_entries_question,
        "kit-entries answer": messages.read_kit_entries_answer,
        "witness-registered question": lambda data: messages.read_texts_question(
            "witness-registered", data, messages.WITNESS_PARTS_MAX
        ),
        "witness-registered answer": lambda data: messages.read_flags_answer(
            "witness-registered", data, 2
        ),
        "witness-register question": messages.read_register_question,
        "witness-latest answer": lambda data: messages.read_latest_answer(
            data, [vector.ORIGIN] * 2
        ),
        "witness-add-checkpoints answer": lambda data: messages.read_witness_answer(
            "witness-add-checkpoints", data, 2
        ),
        "witness-evidence answer": messages.read_evidence_answer,
    }
    table = {f"quorum.messages:{name}": (said[name], read) for name, read in readers.items()}
    first = {
        "quorum.invitation:Invitation.parse": (said["invitation"], Invitation.parse),
        "quorum.invitation:Introduction.parse": (said["introduction"], Introduction.parse),
    }
    first["settings:read_custodian_settings"] = _settings(), _read_settings
    return {**table, **first, "quorum.error_report:read_report": (report, _read_report)}


def _settings() -> bytes:
    with TemporaryDirectory() as folder:
        home, key_file = Path(folder), Path("/etc/key")
        write_custodian_settings(CustodianSettings(home, ("::1", 7443), "key-file", key_file))
        return (home / "custodian.toml").read_bytes()


def _read_settings(data: bytes) -> object:
    with TemporaryDirectory() as folder:
        (Path(folder) / "custodian.toml").write_bytes(data)
        return read_custodian_settings(Path(folder))


def _read_report(data: bytes) -> StrongroomError:
    """Read a report; what it says of hostile bytes is short, as everything that is raised."""
    found = read_report(data, "custodian 2 (ben)")
    assert max(map(len, (found.what, found.why, found.hint))) <= 1000
    return found
