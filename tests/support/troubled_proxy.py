"""A proxy between an S3 client and a real store that makes the trouble a test plans.

It passes each request on as it came, `Host` included, because that is signed. What is planned
happens to one request: an answer of the proxy's own, a broken connection before or after the
store has done what was asked, or an answer that breaks off in the middle.
"""

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import urlsplit

HOP: Final = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class Broken(StrEnum):
    """When the connection breaks."""

    BEFORE = "before the store has seen the request"
    AFTER = "after the store has answered, so that nobody hears it"
    MIDWAY = "in the middle of the answer's body"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the proxy answers instead of the store."""

    status: int
    code: str
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The error as S3 writes it."""
        text = f"<Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>"
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


SLOW_DOWN: Final = Answer(503, "SlowDown", "Please reduce your request rate.")
TOO_MANY: Final = Answer(429, "TooManyRequests", "Too many requests.", {"Retry-After": "1"})
INTERNAL: Final = Answer(500, "InternalError", "We encountered an internal error.")
DENIED: Final = Answer(403, "AccessDenied", "Access Denied.")

Trouble = Answer | Broken
Plan = Callable[[str, str, int], Trouble | None]
"""(method, path, how often this method came before) -> what happens, if anything."""


def none(_method: str, _path: str, _number: int) -> Trouble | None:
    """Pass everything on."""
    return None


def first(method: str, trouble: Trouble, times: int = 1) -> Plan:
    """Plan the trouble for the first requests of a method."""
    return lambda asked, _path, number: trouble if asked == method and number < times else None


def always(method: str, trouble: Trouble) -> Plan:
    """Plan the trouble for every request of a method."""
    return lambda asked, _path, _number: trouble if asked == method else None


class Proxy(ThreadingHTTPServer):
    """Listens on loopback; `plan` may be changed at any time."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname or "", parts.port or 80)
        self.plan: Plan = none
        self.create_only = False
        """Refuse puts without If-None-Match, as a bucket policy of AWS can."""
        self.seen: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def begin(self, plan: Plan) -> None:
        """Count anew, and make this trouble from now on."""
        with self._lock:
            self.seen.clear()
            self.plan = plan

    def trouble(self, method: str, path: str) -> Trouble | None:
        """Note a request and return what happens to it."""
        with self._lock:
            number = sum(asked == method for asked, _ in self.seen)
            self.seen.append((method, path))
            return self.plan(method, path, number)

    def count(self, method: str) -> int:
        """Return how many requests of this method came since `begin`."""
        with self._lock:
            return sum(asked == method for asked, _ in self.seen)


@contextmanager
def troubled(upstream: str) -> Iterator[Proxy]:
    """Run a proxy before this endpoint."""
    proxy = Proxy(upstream)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join(10)
        proxy.server_close()


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        trouble = self.server.trouble(self.command, self.path)
        if self.server.create_only and self.command == "PUT" and not self.headers["If-None-Match"]:
            trouble = DENIED
        if isinstance(trouble, Answer):
            self.answer(trouble.status, trouble.headers, trouble.body)
            return
        if trouble is Broken.BEFORE:
            self.hang_up()
            return
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=30)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            self.hang_up()
            return
        finally:
            upstream.close()
        if trouble is Broken.AFTER:
            self.hang_up()
            return
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in HOP}
        size = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.answer(answer.status, headers, data, size=size, broken=trouble is Broken.MIDWAY)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do  # noqa: N815  # http.server asks for these

    def answer(
        self,
        status: int,
        headers: Mapping[str, str],
        data: bytes,
        *,
        size: str | None = None,
        broken: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", size if size is not None else str(len(data)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(data[: len(data) // 2] if broken else data)
        if broken:
            self.wfile.flush()
            self.hang_up()

    def hang_up(self) -> None:
        """Reset the connection, as a router that forgot it does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its caller names it
        """Say nothing: the test counts what came."""
