"""A scanner that others wrote and our probe agree on a listener (AGPL: a tool, never a dependency).

It needs an older `cryptography` than ours, so it is installed into an environment of its own, from
PyPI, and the test is skipped where that cannot be had.
"""

import json
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest

from strongroom.crypto import certificates
from strongroom.transport.badge import KEY_EXCHANGE
from strongroom.transport.peer import Role
from strongroom.transport.probing import Outcome, Probe
from tests.house.tree import ROOT
from tests.support.open_listeners import Change, certificate_optional, older, served
from tests.support.peers import CLOCK, PATIENCE_SECONDS, badge_of, new_authority, somebody

pytestmark = [pytest.mark.loopback, pytest.mark.long]
SSLYZE = "sslyze==6.3.1"
MACHINE_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
OLDER = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2")


@pytest.fixture(scope="module")
def sslyze(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the command of sslyze in an environment of its own."""
    uv = next((str(path) for path in ROOT.glob(".tools/uv-*/bin/uv")), None) or shutil.which("uv")
    if uv is None:
        pytest.skip("sslyze cannot be had: there is no uv to install it with")
    place = tmp_path_factory.mktemp("sslyze") / "env"
    python = str(place / "bin" / "python")
    # As setup does: the machine's own certificates are trusted where it has some.
    surroundings = dict(os.environ)
    if MACHINE_CERTIFICATES.is_file():
        surroundings["UV_SYSTEM_CERTS"] = "true"
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(place)],
        [uv, "pip", "install", "--quiet", "--python", python, SSLYZE],
    ):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=240, check=False, env=surroundings
        )
        if done.returncode != 0:
            pytest.skip(f"sslyze cannot be had: {done.stderr.strip()[-200:]}")
    return [python, "-W", "ignore", "-m", "sslyze"]


def scan(sslyze: list[str], port: int, folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """Return what sslyze found at this port, and what it wrote."""
    found = folder / "found"
    command = [*sslyze, *arguments, f"--json_out={found}", f"localhost:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    (result,) = json.loads(found.read_text("utf-8"))["server_scan_results"]
    return result, done.stdout


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _context: None, id="as it should be"),
        pytest.param(older, id="older protocols"),
        pytest.param(certificate_optional, id="certificate optional"),
    ],
)
def test_sslyze_and_the_probe_agree(sslyze: list[str], change: Change, tmp_path: Path) -> None:
    authority = new_authority()
    custodian = badge_of(authority, somebody(Role.CUSTODIAN))
    server = badge_of(authority, somebody(Role.SERVER))
    (tmp_path / "certificate").write_text(certificates.pem(server.certificate))
    (tmp_path / "key").write_bytes(certificates.private_key_pem(server.seed))
    (tmp_path / "authority").write_text(certificates.pem(authority.certificate))
    known = [
        f"--cert={tmp_path / 'certificate'}",
        f"--key={tmp_path / 'key'}",
        f"--certinfo_ca_file={tmp_path / 'authority'}",
        "--mozilla_config=modern",
    ]
    with served(custodian, change) as port:
        probe = Probe(authority, CLOCK, token_bytes, PATIENCE_SECONDS)
        tried = probe(("127.0.0.1", port), custodian.peer)
        found, written = scan(sslyze, port, tmp_path, *known)
        stranger, _ = scan(sslyze, port, tmp_path, "--tlsv1_3", "--mozilla_config=disable")
    got = {attempt.name: attempt.got for attempt in tried}
    assert found["scan_status"] == "COMPLETED", written
    spoken = {
        name: bool(
            found["scan_result"][f"{name}_cipher_suites"]["result"]["accepted_cipher_suites"]
        )
        for name in (*OLDER, "tls_1_3")
    }
    assert spoken.pop("tls_1_3")
    assert any(spoken.values()) is (got["TLS 1.2 or older"] is Outcome.ACCEPTED)
    is_let_in = stranger["connectivity_status"] == "COMPLETED"
    assert is_let_in is (got["no certificate"] is Outcome.ACCEPTED)
    # What Mozilla calls modern says nothing of certificates of clients.
    modern = change is not older and asks_for_one_group()
    assert ("OK - Compliant" in written) is modern, written


def asks_for_one_group() -> bool:
    """Tell whether this Python can ask for X25519 alone: Mozilla wants fewer than OpenSSL has."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve(KEY_EXCHANGE)
    except ssl.SSLError:
        return False
    return True
