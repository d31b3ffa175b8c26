"""The lines of docs/how-to/partial-restore.md run as they stand, in order, by a shell."""

import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from tests.house.test_first_day import machine
from tests.house.tree import ROOT

PAGE = (ROOT / "docs" / "how-to" / "partial-restore.md").read_text("utf-8")
PREPARED = (
    "strongroom init --location ~/one --location ~/two --quiet",
    "strongroom client add mine --source ~/data --source ~/shop.db",
    "strongroom backup mine",
)


def lines() -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_partial_restore_runs_as_written(tmp_path: Path) -> None:
    environment = machine(tmp_path)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.execute("CREATE TABLE orders (amount INTEGER)")
        shop.execute("INSERT INTO orders VALUES (7)")
        shop.execute("CREATE TABLE persons (name TEXT)")
    said: dict[str, str] = {}
    for line in (*PREPARED, *lines()):
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        said[line] = done.stdout
    assert "orders" in said["strongroom browse mine latest shop.db"]
    assert "data/folder/file.txt" in said[lines()[-1]]
    assert "1 changed" in said[lines()[-1]]
    with closing(sqlite3.connect(tmp_path / "parts" / "shop.db")) as back:
        tables = back.execute("SELECT name FROM sqlite_master").fetchall()
        assert (tables, back.execute("SELECT * FROM orders").fetchall()) == (
            [("orders",)],
            [(7,)],
        )
