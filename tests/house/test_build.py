"""Imports go down only, and what is locked is what is asked for, from the public registry."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from tests.house.tree import ROOT

LOCK = (ROOT / "uv.lock").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
HOSTS_MAX = 2
"""The public registry has an index and a place for its files; a private one would be a third."""


def locked() -> dict[str, Any]:
    package: dict[str, Any]
    for package in tomllib.loads(LOCK)["package"]:
        if package["name"] == "strongroom":
            return package
    raise AssertionError("uv.lock does not know strongroom")


def asked(entries: list[str]) -> set[str]:
    return {entry.replace(" ", "") for entry in entries}


def written(entries: list[dict[str, Any]]) -> set[str]:
    found = set()
    for entry in entries:
        extras = f"[{','.join(entry['extras'])}]" if "extras" in entry else ""
        marker = f";{entry['marker']}".replace(" ", "") if "marker" in entry else ""
        found.add(entry["name"] + extras + entry.get("specifier", "") + marker)
    return found


def test_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_lock_file_is_of_this_project_file() -> None:
    metadata = locked()["metadata"]
    assert written(metadata["requires-dist"]) == asked(PROJECT["project"]["dependencies"])
    groups = PROJECT["dependency-groups"]
    assert metadata["requires-dev"].keys() == groups.keys()
    for name, entries in groups.items():
        assert written(metadata["requires-dev"][name]) == asked(entries)


def test_lock_file_names_only_the_public_registry() -> None:
    places = re.findall(r"([a-z]+)://([^/\"]+)", LOCK)
    assert {scheme for scheme, _ in places} == {"https"}
    hosts = {host for _, host in places}
    assert 1 <= len(hosts) <= HOSTS_MAX
    # No user, no port, no bare name or number of a machine of ours.
    assert all(re.fullmatch(r"([a-z]+\.)+[a-z]{2,}", host) for host in hosts)
    sources = {str(package["source"]) for package in tomllib.loads(LOCK)["package"]}
    assert len(sources) == 2  # The registry, and this folder.


def test_uv_is_the_one_of_the_makefile_only() -> None:
    assert re.findall(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert "uv" not in {package["name"] for package in tomllib.loads(LOCK)["package"]}
