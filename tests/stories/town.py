"""A whole installation in processes of its own: web, worker, emulators, and a browser to use it with."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import urllib3

from tests.web.visitor import Visitor

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on just now."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports: list[int] = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def until(look: Callable[[], T], *, what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """What `look` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.03)


class _Connection:
    """Speaks real HTTP where `Visitor` would use Flask's test client."""

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(retries=False, timeout=15)
        self._cookies: SimpleCookie = SimpleCookie()

    def open(
        self,
        path: str,
        *,
        method: str,
        base_url: str,
        headers: dict[str, str],
        data: dict[str, Any] | None = None,
    ) -> Any:
        address = base_url + path
        sent = dict(headers)
        if self._cookies:
            sent["Cookie"] = "; ".join(f"{name}={morsel.value}" for name, morsel in self._cookies.items())
        if data is None:
            answer = self._pool.request(method, address, headers=sent, redirect=False)
        else:
            fields = {
                name: (value[1], value[0].read(), "image/png") if isinstance(value, tuple) else value
                for name, value in data.items()
            }
            multipart = any(isinstance(value, tuple) for value in fields.values())
            answer = self._pool.request(
                method, address, fields=fields, headers=sent, redirect=False, encode_multipart=multipart
            )
        for cookie in answer.headers.getlist("Set-Cookie"):
            self._cookies.load(cookie)
        body = answer.data
        return SimpleNamespace(
            status_code=answer.status,
            headers=answer.headers,
            mimetype=answer.headers.get("Content-Type", "").partition(";")[0],
            get_data=lambda as_text=False: body.decode() if as_text else body,
            request=SimpleNamespace(url=address, path=path.partition("?")[0]),
        )


def browser(base: str) -> Visitor:
    """Somebody with a browser, at this address."""
    visitor = Visitor.__new__(Visitor)
    visitor.client = _Connection()  # type: ignore[assignment]
    visitor.base = base
    visitor.headers = {}
    return visitor


@dataclass
class Town:
    """An installation on a database. `start` what a story needs; `stop` ends all of it."""

    database_url: str
    folder: Path
    extra: dict[str, str] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        web, phone, google, apns = free_ports(4)
        self.web_url = f"http://127.0.0.1:{web}"
        self.phone_url = f"http://127.0.0.1:{phone}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PASSES_")},
            "PASSES_MODE": "development",
            "PASSES_VAR": str(self.folder / "var"),
            "PASSES_CERTS": str(self.folder / "certs"),
            "PASSES_DATABASE_URL": self.database_url,
            "PASSES_WEB_PORT": str(web),
            "PASSES_PHONE_PORT": str(phone),
            "PASSES_GOOGLE_PORT": str(google),
            "PASSES_APNS_PORT": str(apns),
            **self.extra,
        }

    def run(self, *arguments: str, fails: bool = False) -> Any:
        """A command to its end; its answer from `--json`."""
        ended = subprocess.run(
            [sys.executable, "-m", "passes", *arguments, "--json"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert bool(ended.returncode) == fails, (ended.stdout, ended.stderr)
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    def start(self, *names: str) -> None:
        """Start `serve`, `worker`, `emulate` and wait until they answer."""
        for name in names:
            log = (self.folder / f"{name}.log").open("ab")
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "passes", name],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            log.close()
        for name, address in (("serve", self.web_url), ("emulate", self.phone_url)):
            if name in names:
                until(lambda address=address: _healthy(address), what=f"{name} to answer", seconds=60)  # type: ignore[misc]

    def kill(self, name: str) -> None:
        """SIGKILL, as a power cut would."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End everything, the web first."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.running.clear()

    def log(self, name: str) -> str:
        """What a process printed."""
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    # The phone ------------------------------------------------------------------

    def phone(self, phone: str = "iphone") -> dict[str, Any]:
        """A virtual phone as its page tells it."""
        phones = json.loads(urllib3.request("GET", f"{self.phone_url}/phones.json").data)["phones"]
        found: dict[str, Any] = next(one for one in phones if one["id"] == phone)
        return found

    def requests(self, phone: str = "iphone") -> list[dict[str, Any]]:
        """Every request that a phone made, in order."""
        answer = urllib3.request("GET", f"{self.phone_url}/phones/{phone}/requests.json")
        found: list[dict[str, Any]] = json.loads(answer.data)
        return found

    def pushes(self) -> list[dict[str, Any]]:
        """Every push that the APNs emulator saw."""
        answer = urllib3.request("GET", f"{self.phone_url}/apns/history.json")
        found: list[dict[str, Any]] = json.loads(answer.data)["requests"]
        return found


def _healthy(address: str) -> bool:
    try:
        return bool(urllib3.request("GET", f"{address}/health", retries=False, timeout=2).status == 200)
    except urllib3.exceptions.HTTPError:
        return False
