"""A small web service for passes, as Apple describes it, with switches for misbehaviour."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.emulators.pass_maker import PASS_TYPE, TOKEN, document, make_pass

MIME = "application/vnd.apple.pkpass"


@dataclass
class Answer:
    """What the service says."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class PassService:
    """One card type; each card has a version, which is tag and Last-Modified at once."""

    def __init__(self) -> None:
        self.bodies: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, int] = {}
        self.registered: dict[str, str] = {}
        self.logs: list[str] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.instead: dict[str, Answer] = {}
        handler = type("Handler", (_Handler,), {"service": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def issue(self, serial: str = "c-1", **changes: Any) -> str:
        """Make or change a card; its download address."""
        self.versions[serial] = max(self.versions.values(), default=0) + 1
        service = {"webServiceURL": f"{self.url}/apple", "authenticationToken": TOKEN}
        self.bodies[serial] = document(**({"serialNumber": serial} | service | changes))
        return f"{self.url}/download/{serial}"

    def modified(self, serial: str) -> str:
        return f"Sun, 22 Nov 2026 00:00:{self.versions[serial]:02d} GMT"

    def paths(self, method: str | None = None) -> list[str]:
        return [path for one, path, _ in self.requests if method in (None, one)]

    def last_headers(self, method: str, part: str) -> dict[str, str]:
        return [headers for one, path, headers in self.requests if one == method and part in path][-1]

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.requests.append((method, path, headers))
        for part, answer in self.instead.items():
            if part in f"{method} {path}":
                return answer
        parts = urlsplit(path)
        pieces = [unquote(piece) for piece in parts.path.strip("/").split("/")]
        if pieces[0] == "download":
            return self._pass(pieces[1])
        if pieces[:3] == ["apple", "v1", "log"]:
            self.logs += json.loads(body)["logs"]
            return Answer()
        allowed = headers.get("authorization") == f"ApplePass {TOKEN}"
        if pieces[2] == "devices" and len(pieces) == 6:
            return self._list(parse_qs(parts.query))
        if not allowed:
            return Answer(401)
        if pieces[2] == "passes":
            if headers.get("if-modified-since") == self.modified(pieces[4]):
                return Answer(304)
            return self._pass(pieces[4])
        if method == "DELETE":
            self.registered.pop(pieces[6], None)
            return Answer()
        known = pieces[6] in self.registered
        self.registered[pieces[6]] = json.loads(body)["pushToken"]
        return Answer(200 if known else 201)

    def _pass(self, serial: str) -> Answer:
        headers = {
            "Content-Type": MIME,
            "Content-Disposition": 'attachment; filename="card.pkpass"',
            "Last-Modified": self.modified(serial),
        }
        return Answer(200, headers, make_pass(self.bodies[serial]))

    def _list(self, query: dict[str, list[str]]) -> Answer:
        since = int(query.get("passesUpdatedSince", ["0"])[0])
        serials = [one for one in self.registered if self.versions[one] > since]
        if not serials:
            return Answer(204)
        value = {
            "serialNumbers": serials,
            "lastUpdated": str(max(self.versions[one] for one in serials)),
        }
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(value).encode())


class _Handler(BaseHTTPRequestHandler):
    service: PassService
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.service.answer(self.command, self.path, headers, body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_DELETE = _do

    def log_message(self, format: str, *args: Any) -> None:
        return


__all__ = ["MIME", "PASS_TYPE", "Answer", "PassService"]
