"""What the README says is what there is: commands, targets, exit codes, the map, the excerpt."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from strongroom import errors
from strongroom.cli.main import Interrupted, commands
from tests.house.tree import PACKAGE, ROOT, pages

README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
MASKS = (
    (re.compile(r"\d+ min \d\d s|\d+\.\d s\b"), "TIME"),
    (re.compile(r"\d+(\.\d)? (B|KiB|MiB|GiB)\b"), "SIZE"),
    (re.compile(r"\b\d+ files\b"), "FILES"),
    (re.compile(r"\bpython3\.\d+\b"), "PYTHON"),
    (re.compile(r" +"), " "),
)
GLOBAL_OPTION = re.compile(r"--home \S+ |--(json|quiet|yes|debug) ")
MADE_BY_TOOLS = re.compile(r"\.|__pycache__$|dist$|strongroom-home")


def part(heading: str) -> str:
    """Return what stands below a heading of the README."""
    return README.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def blocks(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def masked(text: str) -> list[str]:
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return [line.strip() for line in text.strip().splitlines()]


def typed(text: str) -> list[list[str]]:
    """Return the arguments of each command in the code blocks, global options taken out.

    What a shell keeps to itself, a comment or a redirection, is no argument.
    """
    lines = [line for block in blocks(text) for line in block.splitlines()]
    found = [re.search(r"(?:^|\s)strongroom ([a-z-].*)", line) for line in lines]
    commands = [one[1].split(" > ")[0] for one in found if one]
    return [
        shlex.split(GLOBAL_OPTION.sub("", f"{command} "), comments=True) for command in commands
    ]


def mapped(text: str) -> set[Path]:
    """Return the paths that a drawn tree names."""
    parents: dict[int, Path] = {}
    found = set()
    for line in text.strip("\n").splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        path = parents.get(depth - 1, ROOT) / name
        parents[depth] = path
        found.add(path)
    return found


def test_masks_hide_what_changes_and_nothing_else() -> None:
    one = "  0.3 s    82.5 MiB  copied proj.db and python3.11, 80 files, 3 kits"
    other = " 12.9 s     9.0 KiB  copied proj.db and python3.14, 7 files, 3 kits"
    assert masked(one) == masked(other)
    assert masked(one) != masked(other.replace("3 kits", "4 kits"))
    assert masked("1 min 02 s") == masked("9.1 s")


def test_excerpt_is_what_make_up_prints(tmp_path: Path) -> None:
    (excerpt,) = [block for block in blocks(README) if "All of it held" in block]
    environment = {
        **os.environ,
        "HOME": "/nonexistent",
        "PYTHONPATH": str(ROOT / "src"),
        "TMPDIR": str(tmp_path),
        "XDG_RUNTIME_DIR": "",
    }
    done = subprocess.run(
        [sys.executable, "-m", "strongroom", "--home", tmp_path / "home", "up", "--demo", "--once"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert masked(done.stdout) == masked(excerpt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_a_code_block_can_be_typed(page: Path) -> None:
    for arguments in typed(page.read_text("utf-8")):
        command, _, _ = commands.parse_args(
            arguments, exit_on_error=False, print_error=False, console=None
        )
        assert callable(command)


def test_every_command_named_in_a_page_exists() -> None:
    unknown = []
    for page in pages():
        for named in re.findall(r"`strongroom ([^`]+)`", page.read_text("utf-8")):
            words = GLOBAL_OPTION.sub("", " ".join(named.split()) + " ").split()
            chain, _, rest = commands.parse_commands(words)
            # Words in capitals are for the reader to fill in. A noun alone needs no verb.
            verb_missing = len(chain) == 1 and rest and is_noun(chain[0])
            if words[0].islower() and (not chain or verb_missing):
                unknown.append(f"{page.name}: {named}")
    assert unknown == []


def is_noun(word: str) -> bool:
    """Tell whether a command is only a group of verbs."""
    return commands[word].default_command is None


def test_readme_has_commands_to_try() -> None:
    assert len(typed(README)) >= 8


def test_targets_are_those_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*?## ", MAKEFILE, re.MULTILINE))
    named = set(re.findall(r"^\| `make ([a-z-]+)` \|", README, re.MULTILINE))
    assert named == targets - {"help"}
    assert set(re.findall(r"^make ([a-z-]+)", "\n".join(blocks(README)), re.MULTILINE)) <= targets


def test_makefile_runs_only_scripts_that_exist() -> None:
    scripts = re.findall(r"\$\(BIN\)/python ([\w/]+\.py)", MAKEFILE)
    assert [script for script in scripts if not (ROOT / script).exists()] == []


def test_exit_codes_are_those_of_the_errors() -> None:
    own: list[type[errors.StrongroomError]] = [errors.StrongroomError]
    below = errors.StrongroomError.__subclasses__()
    own += [kind for kind in below if kind.__module__ == errors.__name__]
    wanted = {str(kind.exit_code): f"`{kind.code}`" for kind in own}
    rows = re.findall(r"^\| (\d+) \| (\S+) \|", part("Exit codes"), re.MULTILINE)
    assert dict(rows) == {"0": "-", str(Interrupted.exit_code): "-", **wanted}


def test_map_names_every_room() -> None:
    (drawn,) = blocks(part("The map of the house"))
    folders = {path for path in ROOT.iterdir() if path.is_dir()} - {ROOT / "src"}
    folders = {path for path in folders if not MADE_BY_TOOLS.match(path.name)}
    rooms = {path for path in PACKAGE.iterdir() if path.name not in {"__init__.py", "__pycache__"}}
    adapters = {path for path in (PACKAGE / "adapters").iterdir() if path.is_dir()}
    adapters = {path for path in adapters if path.name != "__pycache__"}
    assert mapped(drawn) == folders | {PACKAGE} | rooms | adapters


def test_python_named_is_the_one_asked_for() -> None:
    asked = re.findall(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert f"Python {asked[0]} or newer" in part("What it needs")


def test_licence_is_the_one_in_the_folder() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")[:300]
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert "[Apache-2.0](LICENSE)" in part("Licence")
