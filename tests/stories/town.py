"""A whole installation in processes of its own: web, worker, emulators, and a browser to use it with."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import urllib3

from passes import store as stores
from passes.server_keys import ServerKeys
from tests.cast import Card, an_install, rows
from tests.shop import COFFEE, PASS_TYPE, Shop
from tests.web.visitor import Page, Visitor

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

    @property
    def cookies(self) -> str:
        """The header that brings the cookies back."""
        return "; ".join(f"{name}={morsel.value}" for name, morsel in self._cookies.items())

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
            sent["Cookie"] = self.cookies
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
    _ahead_seconds: float = 0.0

    def __post_init__(self) -> None:
        web, phone, google, apns, catcher = free_ports(5)
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
            "PASSES_CATCHER_PORT": str(catcher),
            "PASSES_CLOCK_FILE": str(self.folder / "clock"),
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
        """Start `serve`, `worker`, `emulate` and wait until they answer. `worker 2` is a second worker."""
        for name in names:
            log = (self.folder / f"{name}.log").open("ab")
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "passes", name.partition(" ")[0]],
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
        """SIGKILL, as a power cut would: the process and every process it started."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda: not _alive(process.pid), what=f"the end of all processes of {name}")

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

    def pass_time(self, seconds: float) -> None:
        """Move the clock of every process so much further."""
        self._ahead_seconds += seconds
        # Renamed into place: a file read half-written would set the clock back.
        draft = self.folder / "clock.new"
        draft.write_text(str(self._ahead_seconds), "ascii")
        draft.replace(self.folder / "clock")

    def now(self) -> datetime:
        """The instant that every process of the town reads."""
        return datetime.now(UTC) + timedelta(seconds=self._ahead_seconds)

    @contextmanager
    def counter(self) -> Iterator[tuple[Shop, ServerKeys]]:
        """The use cases on the town's database, for what would take too long by hand."""
        store = stores.open(self.database_url)
        try:
            yield Shop(store, self.now()), ServerKeys.load(self.folder / "var" / "server.keys")
        finally:
            store.close()

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

    def faults(self, **wanted: Any) -> None:
        """Make the APNs emulator misbehave; `clear=True` ends it."""
        answer = urllib3.request("POST", f"{self.phone_url}/apns/faults", json=wanted)
        assert answer.status == 200, answer.data

    def letters(self) -> list[dict[str, Any]]:
        """Every letter that the mail catcher took."""
        answer = urllib3.request("GET", f"{self.phone_url}/mail/letters.json")
        found: list[dict[str, Any]] = json.loads(answer.data)["letters"]
        return found

    def mail_faults(self, **wanted: Any) -> None:
        """Make the mail catcher misbehave; `clear={}` ends it."""
        answer = urllib3.request("POST", f"{self.phone_url}/mail/faults", json=wanted)
        assert answer.status == 200, answer.data

    def pushes(self) -> list[dict[str, Any]]:
        """Every push that the APNs emulator saw."""
        answer = urllib3.request("GET", f"{self.phone_url}/apns/history.json")
        found: list[dict[str, Any]] = json.loads(answer.data)["requests"]
        return found


# What people do in town ---------------------------------------------------------


def join(town: Town, name: str) -> tuple[Visitor, Page]:
    """Join by the page, as a customer; the page of the card."""
    customer = browser(town.web_url)
    form = customer.get(f"/join/{COFFEE}").form("name")
    page = customer.send(form, name=name)
    assert page.status == 200, page.text
    assert page.redirects == [303]
    return customer, page


def install(town: Town, card_page: Page) -> str:
    """Put the card of this page on the virtual iPhone; its serial."""
    before = {card["serial"] for card in town.phone()["cards"]}
    address = next(
        given["href"]
        for _, given in card_page.elements
        if given.get("href", "").startswith(f"{town.phone_url}/add")
    )
    owner = browser(town.phone_url)
    offered = owner.get(address.removeprefix(town.phone_url))
    owner.send(next(form for form in offered.forms if form.address.endswith("/add")))
    cards = until(
        lambda: [card for card in town.phone()["cards"] if card["serial"] not in before],
        what="the card on the phone",
    )
    return str(cards[0]["serial"])


def at_the_till(cashier: Visitor) -> Visitor:
    """Sign in on the demonstration's front page and work at the first shop."""
    front = cashier.get("/")
    form = next(form for form in front.forms if ("programme", COFFEE) in form.buttons)
    page = cashier.send(form, programme=COFFEE)
    if page.address.endswith("/place"):
        choose = page.form("place")
        page = cashier.send(choose, place=choose.buttons[0][1])
    assert page.status == 200
    return cashier


def with_phones(shop: Shop, keys: ServerKeys, count: int) -> list[Card]:
    """New members whose cards are on a phone each; push tokens are `push_token(0)`, `push_token(1)` …"""
    made = []
    for number in range(count):
        joined = shop.join(f"Member {number}", keys=keys)
        token = keys.token(keys.current_id, PASS_TYPE, joined.serial)
        card = Card(joined.programme_id, joined.member_id, joined.card_id, joined.serial, joined.code, token)
        an_install(shop, card, phone=f"phone-{number}", push_token=push_token(number), keys=keys)
        made.append(card)
    return made


def push_token(number: int) -> str:
    """Where that phone is reached."""
    return f"{number:064x}"


def all_told(shop: Shop) -> bool:
    """Whether every phone was told of every change."""
    # In this order: a change goes from `changed` to `owed` in one transaction, and from there to nowhere.
    return not rows(shop.store, "card", "changed") and not rows(shop.store, "owed")


def shown_balance(town: Town, serial: str) -> str:
    """What the installed card's header says."""
    card = next(card for card in town.phone()["cards"] if card["serial"] == serial)
    return str(card["fields"]["balance"])


def _alive(group: int) -> list[int]:
    """The processes of a group that have not ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = status.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(int(status.parent.name))
    return found


def _healthy(address: str) -> bool:
    try:
        return bool(urllib3.request("GET", f"{address}/health", retries=False, timeout=2).status == 200)
    except urllib3.exceptions.HTTPError:
        return False
