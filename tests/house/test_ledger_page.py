"""The lines of docs/how-to/ledger.md run as they stand, in order, by a shell."""

import json
import re
import subprocess
from pathlib import Path

from tests.house.test_first_day import machine
from tests.house.tree import ROOT

PAGE = (ROOT / "docs" / "how-to" / "ledger.md").read_text("utf-8")
PREPARED = (
    "strongroom init --location ~/one --location ~/two --quiet",
    "strongroom client add mine --source ~/data",
    "strongroom backup mine",
)


def lines() -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_ledger_page_runs_as_written(tmp_path: Path) -> None:
    environment = machine(tmp_path)
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
    assert "backup.written" in said["strongroom ledger search backup"]
    assert "Proved: " in said['strongroom ledger show "$(cat ~/fact)"']
    assert said["strongroom ledger verify"].startswith("Sound and witnessed: 2 logs")
    assert said["strongroom ledger verify ~/logs/* --policy ~/policy"].startswith("Sound and")
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["unmapped"]["ledger"]["cursor"] for event in events] == list(
        range(4, 4 + len(events))
    )
