"""The edge where sockets are: uvicorn's HTTP/1.1 in a thread of its own, and nothing of it beyond.

No server of Python's tells the application whose certificate it saw, so a subclass of uvicorn's
protocol puts it into the scope, and refuses a connection without TLS. Everything has a limit: bytes
of header and body, connections, threads, how long a handshake, a header, a body or an idle
connection may take. Answers are made by a synchronous function in a bounded pool of threads.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from strongroom.errors import StrongroomError
from strongroom.transport.messages import Request, Response, refusal

Handle = Callable[[bytes | None, Request], Response]
"""Answer a request, given the certificate of whoever asks in DER; it may raise."""

_TLS: Final = "strongroom.tls"
_CLOSE: Final = (b"connection", b"close")
_TURNS: Final = 3
"""How often the loop turns after the last transport was told to close, until its socket is."""

# It would print warnings about what strangers send to a terminal; what matters is told otherwise.
logging.getLogger("uvicorn").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a listener takes of anything."""

    header_bytes: int = 16 << 10
    path_bytes: int = 2000
    body_bytes: int = 16 << 20
    connections: int = 64
    threads: int = 8
    handshake_seconds: float = 10.0
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 60.0
    closing_seconds: float = 10.0


class Edge:
    """A listening socket that is served until `close`; a dead loop is an error, not silence."""

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext,
        handle: Handle,
        limits: Limits,
        tell: Callable[[str], None],
    ) -> None:
        # A copy, so that whoever bound the socket may go on with it when this has ended.
        self._socket = listening.dup()
        # Accepted sockets inherit it. Without it a short answer waits 40 ms for an acknowledgement.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._context = context
        self._handle = handle
        self._limits = limits
        self._tell = tell
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()
        self._ready.wait()
        self._check()

    def accept_no_more(self) -> None:
        """Leave whoever connects from now on to the next listener of this socket; return then.

        Not from the loop's own thread. Connections that are there go on.
        """
        done = threading.Event()

        def stop() -> None:
            if self._server is not None:
                self._server.close()
            done.set()

        if self._loop is not None:
            self._loop.call_soon_threadsafe(stop)
            done.wait()

    def close(self) -> None:
        """Take no more connections, let running answers end, and return when all is closed."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # It has just ended by itself.
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _check(self) -> None:
        if self._failed is not None:
            self._thread.join()
            raise StrongroomError("a listener cannot start", str(self._failed)) from self._failed

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as err:  # noqa: BLE001  # told to whoever waits, or to `tell`
            self._failed = err
            if self._ready.is_set():
                self._tell(f"the listener ended: {err}")
        finally:
            self._socket.close()
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(
            lambda _loop, problem: self._tell(f"a connection failed: {problem['message']}")
        )
        self._stop = asyncio.Event()
        state = ServerState()
        limits = self._limits
        pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="answer")
        config = _config(_Answering(self._handle, limits, pool, self._tell), limits)
        self._server = server = await self._loop.create_server(
            lambda: _Protocol(config, state, limits),
            sock=self._socket,
            ssl=self._context,
            ssl_handshake_timeout=limits.handshake_seconds,
            ssl_shutdown_timeout=limits.closing_seconds,
        )
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            server.close()
            await _end(state, limits.closing_seconds)
            pool.shutdown(wait=False, cancel_futures=True)


def _config(app: "_Answering", limits: Limits) -> Config:
    config = Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=int(limits.idle_seconds) + 1,  # ours comes first
        h11_max_incomplete_event_size=limits.header_bytes,
    )
    config.load()
    return config


async def _end(state: ServerState, seconds: float) -> None:
    """Let running answers end, then close every connection and every handshake."""
    for connection in list(state.connections):
        connection.shutdown()
    if state.tasks:
        await asyncio.wait(state.tasks, timeout=seconds)
    for connection in list(state.connections):
        connection.transport.abort()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class _Protocol(H11Protocol):
    """uvicorn's protocol, with the certificate in the scope and an end to every waiting."""

    def __init__(self, config: Config, state: ServerState, limits: Limits) -> None:
        super().__init__(config, state, {})
        self._limits = limits
        self._waiting: asyncio.TimerHandle | None = None
        self._answered: object = None
        self._tls: ssl.SSLObject | None = None
        answer = self.app
        self.app = self._with_certificate(answer)

    def connection_made(
        self,
        transport: asyncio.Transport,  # type: ignore[override]  # as uvicorn's own
    ) -> None:
        super().connection_made(transport)
        self._tls = transport.get_extra_info("ssl_object")
        if self._tls is None:
            transport.abort()
            return
        self._wait(self._limits.header_seconds)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # A request has begun: from here on its body's and its answer's limits count. Bytes of a
        # header that never ends do not move the end of the waiting.
        if self.cycle is not self._answered:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        self._answered = self.cycle
        super().on_response_complete()
        if not self.transport.is_closing() and self.cycle is self._answered:
            self._wait(self._limits.idle_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _with_certificate(self, answer: Callable[..., Awaitable[None]]) -> Any:
        async def answer_with_certificate(scope: Any, receive: Any, send: Any) -> None:
            shown = None if self._tls is None else self._tls.getpeercert(binary_form=True)
            scope.setdefault("extensions", {})[_TLS] = {"certificate": shown}
            await answer(scope, receive, send)

        return answer_with_certificate


class _Refusal(Exception):
    """A request that is answered before anybody sees it."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.response = refusal(status, what)


class _Answering:
    """The ASGI application: reads a whole request, has it answered in a thread, sends it whole."""

    def __init__(
        self,
        handle: Handle,
        limits: Limits,
        pool: ThreadPoolExecutor,
        tell: Callable[[str], None],
    ) -> None:
        self._handle = handle
        self._limits = limits
        self._pool = pool
        self._tell = tell

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = []
        try:
            response = await self._respond(scope, receive)
        except _Refusal as refused:
            response = refused.response
            headers = [_CLOSE]
        except Exception as err:  # noqa: BLE001  # one request's failure must not end the listener
            self._tell(f"a request failed: {type(err).__name__}: {err}")
            response = refusal(500, "it failed there; see what that listener has written")
        headers += [
            (b"content-type", response.content_type.encode("ascii")),
            (b"content-length", str(len(response.body)).encode("ascii")),
        ]
        start = {"type": "http.response.start", "status": response.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": response.body})

    async def _respond(self, scope: Any, receive: Any) -> Response:
        target = scope["raw_path"]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        if len(target) > self._limits.path_bytes:
            raise _Refusal(414, f"the path is longer than {self._limits.path_bytes} bytes")
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                body = await self._body(scope, receive)
        except TimeoutError as err:
            raise _Refusal(408, "the request did not arrive in time") from err
        request = Request(scope["method"], target.decode("ascii"), body)
        shown = scope["extensions"][_TLS]["certificate"]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._handle, shown, request)

    async def _body(self, scope: Any, receive: Any) -> bytes:
        most = self._limits.body_bytes
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > most:
                raise _Refusal(413, f"the body is larger than {most} bytes")
        parts = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise _Refusal(400, "the request was cut off")
            size += len(message["body"])
            if size > most:
                raise _Refusal(413, f"the body is larger than {most} bytes")
            parts.append(message["body"])
            more = message["more_body"]
        return b"".join(parts)
