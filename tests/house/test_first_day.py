"""The lines of docs/how-to/first-day.md run as they stand, in order, by a shell."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.house.tree import ROOT

PAGE = (ROOT / "docs" / "how-to" / "first-day.md").read_text("utf-8")
KITS_GIVEN = 2
WORDS = 24


def lines() -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def kits(shown: str) -> list[str]:
    """Return the kits that `init` showed, 24 words each."""
    words = re.findall(r"\d+ ([a-z]+)", "\n".join(re.findall(r"^ {4} ?\s*\d.*$", shown, re.M)))
    return [" ".join(words[at : at + WORDS]) for at in range(0, len(words), WORDS)]


def machine(home: Path) -> dict[str, str]:
    """Return the environment of somebody who has a checkout and a home folder."""
    command = home / "bin" / "strongroom"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m strongroom "$@"\n')
    command.chmod(0o755)
    (home / "data" / "folder").mkdir(parents=True)
    (home / "data" / "folder" / "file.txt").write_text("what is to be kept\n" * 1000)
    return {
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "HOME": str(home),
        "TMPDIR": str(home),
        # Root's own default is a place of the whole machine.
        "STRONGROOM_HOME": str(home / "home"),
    }


def typed_for(line: str, shown: list[str]) -> str:
    """Return what a person types: one kit to confirm it, two to recover."""
    confirmed = re.search(r"confirm custodian-(\d)", line)
    return shown[int(confirmed[1]) - 1] if confirmed else "\n".join(shown[:KITS_GIVEN])


def test_first_day_runs_as_written(tmp_path: Path) -> None:
    environment = machine(tmp_path)
    shown: list[str] = []
    said = ""
    for line in lines():
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env=environment,
            input=typed_for(line, shown) if line.endswith(" -") else "",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        shown = kits(done.stdout) if " init " in line else shown
        said += done.stdout
    assert [len(kit.split()) for kit in shown] == [WORDS] * 3
    assert "custodian-3 is missing: its kit was not given" in said
    assert "NOT RECOVERABLE" not in said
    assert not (tmp_path / "rehearsal-home").exists()
