"""A receiver of webhooks: a real server on loopback that verifies for itself and misbehaves as told.

It shares no code with what it checks: signatures are recomputed here from the
text of the Standard Webhooks specification, with SHA-256 and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OLD_SECONDS = 300


@dataclass(frozen=True)
class Message:
    """One request as it arrived. `problem` is why it is not believed."""

    id: str
    timestamp: int
    signatures: tuple[str, ...]
    body: bytes
    headers: dict[str, str]
    path: str
    problem: str | None

    @property
    def said(self) -> dict[str, Any]:
        """The body, read."""
        read: dict[str, Any] = json.loads(self.body)
        return read


@dataclass(frozen=True)
class Reply:
    """What the receiver answers. `hang` waits first; `close` answers nothing; `drip` is a byte at a time."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: float = 0
    close: bool = False
    drip: bool = False


Script = Callable[[Message, int], Reply]


class Receiver:
    """Listens on a free port. `script` is asked what to answer to each message, with its number from 1 on.

    `secrets` are the `whsec_…` texts that it knows; without any it believes everybody.
    """

    def __init__(self, script: Script | None = None, *, context: ssl.SSLContext | None = None) -> None:
        self.script = script or (lambda _message, _number: Reply())
        self.secrets: list[str] = []
        self.messages: list[Message] = []
        self.connections = 0
        self.now: Callable[[], datetime] | None = None
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._scheme = "http" if context is None else "https"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """Where messages are to go."""
        return f"{self._scheme}://127.0.0.1:{self.port}/hooks"

    @property
    def ids(self) -> list[str]:
        """The names of everything that arrived, in order."""
        return [message.id for message in self.messages]

    @property
    def types(self) -> list[str]:
        """What arrived, in order."""
        return [str(message.said["type"]) for message in self.messages]

    def close(self) -> None:
        """Stop listening, and let whoever waits go."""
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_for(self, count: int, *, seconds: float = 10) -> None:
        """Until so many messages have arrived."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.messages) >= count, seconds)
        assert arrived, f"{len(self.messages)} messages instead of {count}"

    def arrived(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """One request: look at it, remember it, decide."""
        message = Message(
            id=headers.get("webhook-id", ""),
            timestamp=int(headers.get("webhook-timestamp", "0")),
            signatures=tuple(headers.get("webhook-signature", "").split(" ")),
            body=body,
            headers=headers,
            path=path,
            problem=self._problem(headers, body),
        )
        with self._changed:
            self.messages.append(message)
            number = len(self.messages)
            self._changed.notify_all()
        reply = Reply(status=401) if message.problem else self.script(message, number)
        if reply.hang:
            self._stopped.wait(reply.hang)
        return reply

    def pause(self, seconds: float) -> bool:
        """Wait; True when the receiver was closed meanwhile."""
        return self._stopped.wait(seconds)

    def _problem(self, headers: dict[str, str], body: bytes) -> str | None:
        if not self.secrets:
            return None
        identifier, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not identifier or not stamp.isdigit():
            return "headers are missing"
        now = self.now().timestamp() if self.now else time.time()
        if abs(now - int(stamp)) > OLD_SECONDS:
            return "the timestamp is too old or too new"
        wanted = {
            "v1,"
            + base64.b64encode(hmac_sha256(key_of(secret), f"{identifier}.{stamp}.".encode() + body)).decode()
            for secret in self.secrets
        }
        if not wanted & set(headers.get("webhook-signature", "").split(" ")):
            return "no signature fits"
        return None


def key_of(secret: str) -> bytes:
    """The bytes behind `whsec_…`; the specification wants 24 to 64."""
    assert secret.startswith("whsec_")
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    assert 24 <= len(key) <= 64
    return key


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """RFC 2104, written out."""
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that hangs up is no news."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            receiver.connections += 1
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            reply = receiver.arrived(self.path, headers, body)
            if reply.close:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            head = f"HTTP/1.1 {reply.status} Said\r\n"
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                head += f"{name}: {value}\r\n"
            answer = head.encode() + b"\r\n" + reply.body
            if not reply.drip:
                self.wfile.write(answer)
                return
            for byte in answer:
                self.wfile.write(bytes([byte]))
                if receiver.pause(0.05):
                    return

        def log_message(self, *_words: object) -> None:
            """Says nothing."""

    return Handler
