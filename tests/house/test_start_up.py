"""What a command costs before it does any work: it is counted in modules, which never flickers."""

import json
import os
import subprocess
import sys
from functools import cache

from tests.house.tree import ROOT

# The command line itself (cyclopts, rich, argument types) takes about 310.
MODULES_MAX = 450
NEVER_FOR_HELP = {"dbos", "fastapi", "numpy", "obstore", "psycopg"}
PROGRAM = """
import contextlib, io, json, sys
from strongroom.cli.main import run
with contextlib.redirect_stdout(io.StringIO()) as shown:
    code = run(["--help"])
print(json.dumps({"code": code, "shown": shown.getvalue(), "modules": sorted(sys.modules)}))
"""


@cache
def help_run() -> tuple[int, str, frozenset[str]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return answer["code"], answer["shown"], frozenset(answer["modules"])


def test_help_is_shown() -> None:
    code, shown, _ = help_run()
    assert code == 0
    assert "backup" in shown


def test_help_loads_no_heavy_vendor() -> None:
    loaded = {name.partition(".")[0] for name in help_run()[2]}
    assert loaded & NEVER_FOR_HELP == set()


def test_who_asks_nobody_elsewhere_loads_no_transport() -> None:
    """Certificates, TLS and HTTP are for homes whose custodians are elsewhere."""
    program = "import sys; import strongroom.app, strongroom.cli.backup; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "strongroom.operations.back_up" in loaded
    assert {"strongroom.transport", "cryptography.x509", "h11", "ssl", "uvicorn"} & loaded == set()


def test_help_loads_few_modules() -> None:
    assert len(help_run()[2]) <= MODULES_MAX
