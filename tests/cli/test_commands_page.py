"""docs/reference/commands.md shows every command's own `--help`, and cannot go stale.

With UPDATE_TRANSCRIPTS=1 in the environment of pytest the page is written anew.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App as Commands

from strongroom.cli.main import commands
from tests.house.tree import ROOT
from tests.support.transcript import at_home, strongroom

PAGE = ROOT / "docs" / "reference" / "commands.md"
UPDATE = os.environ.get("UPDATE_TRANSCRIPTS") == "1"
GLOBAL = "╭─ Global options"
HEAD = """\
# Commands

What each command says of itself. The page is made from `--help` by
`tests/cli/test_commands_page.py`, which fails when they differ; `UPDATE_TRANSCRIPTS=1` writes it
anew.

Exit codes: 0 done, 1 failed, 2 usage, 3 partly done, 4 refused, 10 unwitnessed (the ledger), 20
stale (a rollback), 30 split view (the ledger), 40 damaged, 130 interrupted. With `--json` a list is
an array of flat objects and an action one object; times end in `_at` (UTC, with `Z`), durations in
`_seconds`, sizes in `_bytes`; an error is one object on stderr, `{"error": {"code", "what", "why",
"hint"}}`, with nothing on stdout.
"""


def chains(app: Commands, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every command and group of commands as words, in the order of the alphabet."""
    for name in sorted(name for name in app if not name.startswith("-")):
        yield (*before, name)
        yield from chains(app[name], (*before, name))


def page() -> str:
    """Return the page as it should be."""
    parts = [HEAD, "## strongroom\n", f"~~~text\n{shown()}\n~~~\n"]
    for chain in chains(commands):
        text = shown(*chain).partition(GLOBAL)[0].rstrip()
        parts += [f"## strongroom {' '.join(chain)}\n", f"~~~text\n{text}\n~~~\n"]
    return "\n".join(parts)


def shown(*chain: str) -> str:
    done = strongroom(*chain, "--help")
    assert done.code == 0
    return "\n".join(line.rstrip() for line in done.out.rstrip().splitlines())


def test_page_shows_every_command_as_it_is(tmp_path: Path) -> None:
    with at_home(tmp_path):
        wanted = page()
    if UPDATE:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(wanted, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == wanted


@pytest.mark.parametrize("group", sorted({chain[:-1] for chain in chains(commands)}))
def test_a_group_reads_the_same_where_none_of_its_commands_was_run(
    group: tuple[str, ...], tmp_path: Path
) -> None:
    """What is loaded only when it is named must say elsewhere what its group shows of it."""
    with at_home(tmp_path):
        alone = subprocess.run(
            [sys.executable, "-m", "strongroom", *group, "--help"],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        for chain in chains(commands):
            shown(*chain)
        assert [line.rstrip() for line in alone.stdout.rstrip().splitlines()] == shown(
            *group
        ).splitlines()


def test_every_command_says_what_it_takes(tmp_path: Path) -> None:
    with at_home(tmp_path):
        texts = {" ".join(chain): shown(*chain).partition(GLOBAL)[0] for chain in chains(commands)}
    assert len(texts) > 20
    for command, text in texts.items():
        assert text.startswith(f"Usage: strongroom {command}"), command
        for line in text.splitlines():
            # An argument or option without a word of help is a name and a type only.
            bare = line.strip("│ *").split()
            assert len(bare) != 2 or not bare[0].startswith("--"), (command, line)
            assert len(line) <= 80, (command, line)
