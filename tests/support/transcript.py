"""Transcripts of the command line: commands, what they wrote, how they ended.

A transcript is a text file. A line `$ ...` is a command: `strongroom ...` runs in this process, and
the few words of `_WORDS` prepare files. `$ ... < "text"` gives it stdin. What follows is what it
wrote: stdout, then stderr with `! ` before each line, then `[n]` where the exit code is not 0. Ids,
times, sizes and paths are masked.
"""

import io
import os
import re
import shlex
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from strongroom.cli.main import run

COMMAND = "$ "
PATH_LENGTH = 64
_INSTALL = re.compile(r"\b[0-9a-f]{12,64}\b")
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)? ?Z"), "<time>"),
    (re.compile(r"\b\d+(\.\d+)? (B|KiB|MiB|GiB)\b"), "<size>"),
    (re.compile(r"\b\d+\.\d s\b"), "<duration>"),
    (re.compile(r'("\w+_(bytes|seconds)": )\d+(\.\d+)?'), r"\1<number>"),
    (re.compile(r"process \d+"), "process <pid>"),
    # A URL that is cut short no longer holds the folder by which it would be known.
    (re.compile(r"file:///\S+\.\.\."), "file://<place>..."),
    (re.compile(r"\b(request|Request|approver|run|show) [0-9a-f]{8}\b"), r"\1 <id>"),
    (re.compile(r"\b[0-9a-f]{32}\.ledger\.invalid/"), "<id>.ledger.invalid/"),
    # What a command records is another test's business.
    (re.compile(r"\b\d+ facts in"), "<number> facts in"),
    (re.compile(r'("(facts|witnessed)": )\d+'), r"\1<number>"),
    (re.compile(r"\bpacks/[0-9a-f]{2}/"), "packs/<aa>/"),
)
_KIT_ROW = re.compile(r"^( +\d+ [a-z]+){6}$", re.MULTILINE)
_CHECK_WORDS = re.compile(r"(check words:|Check words, .*:\n) +[a-z]+( [a-z]+){5}")
_WORDS_JSON = re.compile(r'("words": )"[a-z ]+"')


@dataclass(frozen=True, slots=True)
class Done:
    """What one command did."""

    code: int
    out: str
    err: str


def mask(text: str, folder: Path) -> str:
    """Replace what differs from run to run; the same for every transcript."""
    program = shutil.which("strongroom") or f"{sys.executable} -m strongroom"
    text = text.replace(program, "<program>")
    text = text.replace(str(folder), "<dir>")
    text = _KIT_ROW.sub("    <six words>", text)
    text = _WORDS_JSON.sub(r'\1"<24 words>"', text)
    text = _CHECK_WORDS.sub(r"\1  <six words>", text)
    for pattern, name in _MASKS:
        text = pattern.sub(name, text)
    text = _INSTALL.sub("<id>", text)
    # Columns are as wide as what was masked in them.
    return re.sub(r"(?<=\S) {3,}", "  ", text)


@contextmanager
def folder_of_one_length() -> Iterator[Path]:
    """Make a temporary folder whose path is as long as any other's: lines break at its end."""
    base = Path(tempfile.gettempdir()).resolve()
    short = f"{base}/strongroom-{os.urandom(8).hex()}"
    folder = Path(short.ljust(PATH_LENGTH, "x"))
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """Run the block in a folder that holds home, key files and everything else."""
    wanted = {
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_RUNTIME_DIR": "",
        "STRONGROOM_HOME": str(folder / "home"),
        "COLUMNS": "80",
        "NO_COLOR": "1",
        "TERM": "dumb",
    }
    before = {name: os.environ.get(name) for name in wanted}
    place = Path.cwd()
    os.environ.update(wanted)
    os.chdir(folder)
    umask = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(umask)
        os.chdir(place)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def strongroom(*arguments: str, stdin: str = "") -> Done:
    """Run the command line in this process, with streams of its own."""
    out, err, typed = io.StringIO(), io.StringIO(), io.StringIO(stdin)
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = typed, out, err
    try:
        code = run(list(arguments))
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
    return Done(code, out.getvalue(), err.getvalue())


def perform(script: str, folder: Path) -> str:
    """Run a transcript's commands and return it as it should read."""
    steps: list[str] = []
    with at_home(folder):
        for line in script.splitlines():
            if line.startswith("#"):
                steps.append(line)
            elif line.startswith(COMMAND):
                steps.append(f"{line}\n{mask(_shown(_step(line, folder)), folder)}")
    return "\n".join(steps)


def _step(line: str, folder: Path) -> Done:
    words = [word.replace("<dir>", str(folder)) for word in shlex.split(line.removeprefix(COMMAND))]
    stdin = ""
    if "<" in words:
        stdin = words[words.index("<") + 1].replace("\\n", "\n")
        words = words[: words.index("<")]
    if words[0] == "strongroom":
        done = strongroom(*words[1:], stdin=stdin)
        _keep_kits(done, folder)
        return done
    _WORDS[words[0]](*words[1:])
    return Done(0, "", "")


def _shown(done: Done) -> str:
    shown = done.out if not done.out or done.out.endswith("\n") else done.out + "\n"
    shown += "".join(f"! {line}\n" for line in done.err.splitlines())
    shown += f"[{done.code}]\n" if done.code else ""
    return "\n".join(line.rstrip() for line in shown.splitlines()) + ("\n" if shown else "")


def _keep_kits(done: Done, folder: Path) -> None:
    """Write down what `init` showed, as a person would: the file `kits`, one kit a line."""
    rows = [re.findall(r"[a-z]+", found.group()) for found in _KIT_ROW.finditer(done.out)]
    if rows:
        words = [word for row in rows for word in row]
        kits = [" ".join(words[at : at + 24]) for at in range(0, len(words), 24)]
        (folder / "kits").write_text("\n".join(kits) + "\n", encoding="utf-8")


def _write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text.replace("\\n", "\n"), encoding="utf-8")


def _database(name: str, rows: str) -> None:
    with closing(sqlite3.connect(name)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS person (name TEXT)")
        connection.executemany(
            "INSERT INTO person VALUES (?)", [(f"person {n}",) for n in range(int(rows))]
        )


def _remove(name: str) -> None:
    shutil.rmtree(name)


def _spoil(pattern: str) -> None:
    """Flip a bit in the middle of the first file that a pattern names."""
    path = sorted(Path().glob(pattern))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def _head(source: str, lines: str, to: str) -> None:
    text = Path(source).read_text(encoding="utf-8").splitlines(keepends=True)
    Path(to).write_text("".join(text[: int(lines)]), encoding="utf-8")


def _show(name: str) -> None:
    if not Path(name).exists():
        raise AssertionError(f"{name} is not there")


_WORDS: dict[str, Callable[..., None]] = {
    "write": _write,
    "database": _database,
    "remove": _remove,
    "move": os.rename,
    "spoil": _spoil,
    "head": _head,
    "exists": _show,
}
