"""The composition root: every plug fits, and a home that fails leaves nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from strongroom.app import App, plug
from strongroom.app import plugs as board
from strongroom.errors import Refused, StrongroomError
from strongroom.ids import InstallId
from tests.house.tree import ROOT, python_files
from tests.support.first_home import FirstHome
from tests.support.transcript import at_home

INSTALL = InstallId("00" * 16)


def test_every_plug_fits() -> None:
    source = Path(board.__file__).read_text(encoding="utf-8")
    names = re.findall(r'^    "([\w.]+)": \(?\s*"strongroom\.adapters', source, re.MULTILINE)
    assert len(names) > 10
    assert all(callable(plug(name)) for name in names)


def test_only_the_table_imports_adapters() -> None:
    importing = [
        str(path.relative_to(ROOT))
        for path in python_files("src")
        if "adapters" not in path.parts
        and re.search(r"^from strongroom\.adapters|import_module", path.read_text("utf-8"), re.M)
    ]
    assert importing == ["src/strongroom/app/plugs.py"]


def test_home_is_for_its_owner_only(tmp_path: Path) -> None:
    App().make_home(tmp_path / "home", INSTALL, tmp_path / "key")[1].close()
    found = [tmp_path / "key", tmp_path / "home", *(tmp_path / "home").rglob("*")]
    assert [path for path in found if path.stat().st_mode & 0o077 and path.suffix != ".toml"] == []


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_home_is_made_only_where_nothing_is(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "home"
    if kind == "file":
        home.write_text("mine", encoding="utf-8")
    elif kind == "folder":
        home.mkdir()
        (home / "mine").touch()
    else:
        home.symlink_to(tmp_path / "nowhere")
    with pytest.raises(Refused, match="is not empty"):
        App().make_home(home, INSTALL, tmp_path / "key")
    assert not (tmp_path / "key").exists()


def test_nothing_stays_of_a_home_whose_key_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("another key", encoding="utf-8")
    with pytest.raises(StrongroomError, match="cannot be written"):
        App().make_home(tmp_path / "home", INSTALL, tmp_path / "taken")
    assert not (tmp_path / "home").exists()
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "another key"


def test_backup_to_folders_loads_no_object_store_and_no_database_client(tmp_path: Path) -> None:
    with at_home(tmp_path):
        FirstHome.make(tmp_path, "one")
        program = (
            "import sys\nfrom strongroom.cli.main import run\n"
            "code = run(['backup', 'acme', '--quiet'])\n"
            "heavy = {'obstore', 'numpy', 'mnemonic', 'psycopg'} & set(sys.modules)\n"
            "print(code, sorted(heavy))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.split(" ", 1)[0] == "0", done.stderr
    assert "obstore" not in done.stdout
    assert "numpy" not in done.stdout
    assert "psycopg" not in done.stdout
