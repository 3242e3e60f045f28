"""A small Google on 127.0.0.1: keeps classes and objects, and misbehaves on demand.

It checks what the client's tests need; how faithful it is to Google is not its business.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from tests.google.cards import account_key, parts

API = "/walletobjects/v1"


@dataclass(frozen=True, slots=True)
class Fault:
    """What to do instead of an answer, or after doing what was asked (`after`).

    `status` 0 hangs up without a word; `only` restricts it to one method.
    """

    status: int = 0
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    after: bool = False
    only: str | None = None
    delay_seconds: float = 0.0


@dataclass(slots=True)
class Google:
    """What is held and what was asked. `faults` are used up one by one, `token_faults` likewise."""

    address: str = ""
    held: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {"loyaltyClass": {}, "loyaltyObject": {}}
    )
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    peers: set[Any] = field(default_factory=set)
    faults: deque[Fault] = field(default_factory=deque)
    token_faults: deque[Fault] = field(default_factory=deque)
    refused: dict[str, Fault] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    assertions: list[str] = field(default_factory=list)
    token_seconds: int = 3599
    keys: tuple[int, bytes, tuple[tuple[str, str], ...]] = (404, b"", ())
    delay_seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def objects(self) -> dict[str, dict[str, Any]]:
        return self.held["loyaltyObject"]

    @property
    def classes(self) -> dict[str, dict[str, Any]]:
        return self.held["loyaltyClass"]

    def methods(self) -> list[str]:
        return [method for method, _, _ in self.calls]

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """What the API answers, once the token was good."""
        kind, _, rest = path.removeprefix(f"{API}/").partition("/")
        held = self.held[kind]
        identifier, _, action = rest.partition("/")
        if method == "POST" and not rest:
            if body["id"] in held:
                return problem(409, "ALREADY_EXISTS", "Resource already exists")
            if kind == "loyaltyObject" and body["classId"] not in self.classes:
                return problem(404, "NOT_FOUND", f"Class {body['classId']} not found.")
            held[body["id"]] = self._kept(kind, body)
            return 200, held[body["id"]]
        if identifier not in held:
            return problem(404, "NOT_FOUND", f"Resource {identifier} not found.")
        if method == "PATCH":
            held[identifier] = self._kept(kind, merged(held[identifier], body))
        elif action == "addMessage":
            held[identifier].setdefault("messages", []).append(body["message"])
        return 200, held[identifier]

    def _kept(self, kind: str, document: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in document.items() if key != "notifyPreference"}
        if kind == "loyaltyClass" and kept["reviewStatus"] == "UNDER_REVIEW":
            kept["reviewStatus"] = "approved"
        return kept


def merged(held: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    result = dict(held)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = merged(result.get(name) or {}, value)
        else:
            result[name] = value
    return result


def problem(code: int, status: str, message: str, **extras: Any) -> tuple[int, Any]:
    return code, {"error": {"code": code, "status": status, "message": message, **extras}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write for headers and body
    google: Google

    def do_GET(self) -> None:
        self.handle_call()

    def do_POST(self) -> None:
        self.handle_call()

    def do_PATCH(self) -> None:
        self.handle_call()

    def handle_call(self) -> None:
        google = self.google
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/keys":
            return self.reply(*google.keys)
        if self.path == "/token":
            return self.exchange(raw)
        with google.lock:
            google.times.append(time.monotonic())
            google.peers.add(self.client_address)
            body = json.loads(raw) if raw else None
            google.calls.append((self.command, self.path.removeprefix(API), body))
            fault = google.refused.get(self.path.rpartition("/")[2]) or (
                google.faults.popleft()
                if google.faults and google.faults[0].only in (None, self.command)
                else None
            )
            delay_seconds = google.delay_seconds + (fault.delay_seconds if fault else 0)
            if fault is None or fault.after:
                token = (self.headers.get("authorization") or "").removeprefix("Bearer ")
                if token not in google.tokens or token in google.revoked:
                    status, answer = problem(401, "UNAUTHENTICATED", f"Invalid credentials {token}")
                else:
                    status, answer = google.answer(self.command, self.path, body)
        if delay_seconds:
            time.sleep(delay_seconds)
        if fault is None:
            return self.reply(status, json.dumps(answer).encode())
        if fault.status == 0:
            self.close_connection = True
            return None
        return self.reply(fault.status, json.dumps(fault.body or {}).encode(), fault.headers)

    def exchange(self, raw: bytes) -> None:
        google = self.google
        form = parse_qs(raw.decode())
        with google.lock:
            google.assertions.append(form["assertion"][0])
            if google.token_faults:
                fault = google.token_faults.popleft()
                return self.reply(fault.status, json.dumps(fault.body or {}).encode(), fault.headers)
            assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
            _, claims, signature, signed = parts(form["assertion"][0])
            account_key().public_key().verify(signature, signed, PKCS1v15(), SHA256())
            assert claims["aud"] == f"{google.address}/token"
            token = f"ya29.test-{len(google.tokens)}"
            google.tokens.append(token)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": google.token_seconds}
        return self.reply(200, json.dumps(answer).encode())

    def reply(self, status: int, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that did not wait for its answer is what some tests are about."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def running() -> Iterator[Google]:
    """A Google of one's own, on a free port."""
    google = Google()
    handler = type("OwnHandler", (Handler,), {"google": google})
    server = Server(("127.0.0.1", 0), handler)
    google.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield google
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
