"""The rescue file takes hostile bytes too: it reads them or refuses them, and always ends."""

import importlib.util
import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.vault.recipe import encode_line
from strongroom.vault.source import Entry
from tests.house.tree import ROOT
from tests.properties.mutations import altered_json, mutated, noise

SECONDS_MAX = 2.0
DATA = b"0123456789"
LINE = encode_line(
    Entry(b"a", "file", 30, 0o600, 5, holes=((3, 15), (20, 5)), attributes=((b"user.x", b"y"),)),
    len(DATA),
    1,
).strip()


def load() -> Any:
    """Return the file as a module; it is in no package."""
    path = ROOT / "rescue" / "strongroom_rescue.py"
    spec = importlib.util.spec_from_file_location("strongroom_rescue", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RESCUE = load()


def written(line: bytes, folder: Path) -> bytes:
    """Restore one line with ten bytes of data, and return what the file has then."""
    writer = RESCUE.Writer(folder)
    folder.mkdir()
    writer.write(RESCUE.load(line, "a line"), iter([DATA[:4], DATA[4:]]))
    return (folder / "a").read_bytes()


def line_with(**fields: object) -> bytes:
    return json.dumps({**json.loads(LINE), **fields}).encode()


def test_a_line_of_the_package_is_restored(tmp_path: Path) -> None:
    expected = b"012" + bytes(15) + b"34" + bytes(5) + b"56789"
    assert written(LINE, tmp_path / "to") == expected


@given(line=st.one_of(noise(), mutated(LINE), altered_json(LINE)))
def test_a_hostile_line_is_restored_or_refused(line: bytes) -> None:
    began = time.process_time()
    with TemporaryDirectory() as folder:
        try:
            written(line, Path(folder) / "to")
        except (RESCUE.Problem, OSError, *RESCUE.MALFORMED):
            pass
    assert time.process_time() - began < SECONDS_MAX


HOLES = (
    [100, 10, 5, 1],
    [3, 15, 10, 2],
    [3, 5, 8, 5],
    [3],
    [3, 0],
    [-1, 2],
    [3, -1],
    [3, 28],
    [3, True],
    [3, 1.5],
    [at for n in range(4097) for at in (2 * n, 1)],
)


@pytest.mark.parametrize("holes", HOLES, ids=lambda holes: str(holes[:4]))
def test_holes_that_no_recipe_has_are_refused(holes: list[Any], tmp_path: Path) -> None:
    with pytest.raises(RESCUE.Problem, match="hole"):
        written(line_with(h=holes, s=30 if len(holes) < 8 else 10**6), tmp_path / "to")


ATTRIBUTES = (
    [["user.b", ""], ["user.a", ""]],
    [["user.a", ""], ["user.a", ""]],
    [["", ""]],
    [["user.\0", ""]],
    [["user." + "x" * 251, ""]],
    [["user.a", "A" * 4 * 21846]],
    [["user.a", "A" * 4 * 21844], ["user.b" * 42, "AAAA" * 10]],
    [[f"user.{n:04}", ""] for n in range(1025)],
)


@pytest.mark.parametrize("attributes", ATTRIBUTES, ids=range(len(ATTRIBUTES)))
def test_attributes_that_no_recipe_has_are_refused(attributes: object, tmp_path: Path) -> None:
    with pytest.raises(RESCUE.Problem, match="attribute"):
        written(line_with(x=attributes), tmp_path / "to")


@pytest.mark.parametrize("fields", [{"s": 9}, {"c": 1}, {"s": 9, "h": [0, 9]}], ids=str)
def test_a_folder_with_data_is_refused(fields: dict[str, object], tmp_path: Path) -> None:
    line = json.dumps({"p": "a", "k": "directory", **fields}).encode()
    with pytest.raises(RESCUE.Problem, match="what its kind cannot have"):
        written(line, tmp_path / "to")


def test_what_a_location_or_a_recipe_names_cannot_write_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Titles, colours and lines that erase others are made of control signs."""
    hostile = "\x1b]0;owned\x07\u202e"
    below = tmp_path / "1" / "kits"
    below.mkdir(parents=True)
    (below / hostile).touch()
    (below / os.fsdecode(b"\xff\x9b2J")).touch()
    locations = RESCUE.Locations([tmp_path])
    locations.install = "1"

    def refuse(name: str, data: bytes) -> None:
        raise RESCUE.Problem(f"{name} is odd")

    assert locations.all("kits", refuse) == []
    RESCUE.set_attributes(os.fsencode(below / "none"), [(b"user.\x1b[2J", b"")])
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 3
    assert said.replace("\n", "").isprintable()
    assert "\\x1b]0;owned\\x07\\u202e is odd" in said
