"""HTTP for the emulated Google: reads requests, writes answers, hangs up when told to."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 8_000_000
_HANG_SECONDS_MAX = 60.0
_IDLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request. Header names are in lower case; `path` is as it was sent, without the query."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, `delay_seconds` later."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer: the connection ends at once, or (`hang`) stays open until the client gives up."""

    hang: bool


class HttpServer:
    """Serves `answer` on `host`; a `port` of 0 becomes a free one when it starts."""

    def __init__(self, answer: Callable[[Call], Reply | Silence], *, host: str, port: int) -> None:
        self.answer = answer
        self.ended = threading.Event()
        self.port = port
        self._host = host
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def listening(self) -> bool:
        return self._server is not None

    def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        if self._server is not None:
            return
        self.ended.clear()
        outer = self

        class Handler(_Handler):
            door = outer

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                # Clients that vanish are no news.
                if not isinstance(sys.exc_info()[1], OSError):
                    log.exception("a request could not be answered")

        self._server = Server((self._host, self.port), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=_accept, args=(self._server,), name="google", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection; returns when all threads have ended."""
        if self._server is None or self._thread is None:
            return
        self.ended.set()
        with contextlib.suppress(OSError):
            self._server.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._server.server_close()
        with self._lock:
            open_ones, threads = list(self._connections), list(self._threads)
        for connection in open_ones:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        self._server = self._thread = None

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)
            self._threads.add(threading.current_thread())
        if self.ended.is_set():
            # It came in while the door was closing.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)
            self._threads.discard(threading.current_thread())


def _accept(server: ThreadingHTTPServer) -> None:
    """Take connections until the socket is shut: unlike `serve_forever` it need not wake to look."""
    while True:
        try:
            connection, address = server.get_request()
        except OSError:
            return
        server.process_request(connection, address)


class _Handler(BaseHTTPRequestHandler):
    door: HttpServer
    protocol_version = "HTTP/1.1"
    server_version = "walletobjects-emulator"
    sys_version = ""
    disable_nagle_algorithm = True
    # Headers and body leave in one write: two would wait for each other's acknowledgement.
    wbufsize = -1
    timeout = _IDLE_SECONDS

    def setup(self) -> None:
        super().setup()
        self.door.opened(self.connection)

    def finish(self) -> None:
        try:
            with contextlib.suppress(OSError):
                super().finish()
        finally:
            self.door.closed(self.connection)

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """The history is the log."""

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit():
            self.close_connection = True
            self._write(Reply(411))
            return
        if int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            self._write(Reply(413))
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        reply = self.door.answer(
            Call(
                method=self.command,
                path=path,
                query=dict(parse_qsl(query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
            )
        )
        if isinstance(reply, Silence):
            self.close_connection = True
            if reply.hang:
                self._hang()
            return
        if reply.delay_seconds:
            self.door.ended.wait(reply.delay_seconds)
        self._write(reply)

    def _write(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _hang(self) -> None:
        waited = 0.0
        while waited < _HANG_SECONDS_MAX and not self.door.ended.wait(0.1):
            waited += 0.1
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return
