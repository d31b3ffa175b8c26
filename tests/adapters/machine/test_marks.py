"""Marks of a machine: equal on one, different on two, of one install only, and absent unseen."""

from pathlib import Path

from strongroom.adapters.machine.marks import machine_marks
from strongroom.ids import InstallId

ONE, OTHER = InstallId("1" * 32), InstallId("2" * 32)


def test_marks_tell_machines_apart_and_name_none(tmp_path: Path) -> None:
    machine, boot = tmp_path / "machine-id", tmp_path / "boot_id"
    machine.write_text("0123456789abcdef0123456789abcdef\n", "ascii")
    boot.write_text("0123456789abcdef0123456789abcdef\n", "ascii")
    first = machine_marks(ONE, machine, boot)
    assert first == machine_marks(ONE, machine, boot)
    assert len({*first, *machine_marks(OTHER, machine, boot)}) == 4
    assert all(len(mark) == 64 and "0123456789abcdef" not in mark for mark in first)
    boot.write_text("another", "ascii")
    again = machine_marks(ONE, machine, boot)
    assert (again[0], again[1] == first[1]) == (first[0], False)


def test_what_cannot_be_seen_has_no_mark(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"\n")
    assert machine_marks(ONE, tmp_path / "absent", empty) == ("", "")
