"""A card in Google Wallet, through real processes: saved by a link, told by a callback, kept up to date."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.cast import rows
from tests.shop import COFFEE
from tests.stories.town import Town, join, until

pytestmark = [pytest.mark.story, pytest.mark.slow]

# Read by every Python that starts with it in its path: names are refused, and written down.
_NO_NAMES = """
import socket
ask, connect = socket.getaddrinfo, socket.socket.connect
def refuse(host):
    if host not in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", None):
        open({log!r}, "a").write(f"{{host}}\\n")
        raise OSError("no names here")
def guarded_ask(host, *rest, **more):
    refuse(host)
    return ask(host, *rest, **more)
def guarded_connect(self, address):
    if isinstance(address, tuple):
        refuse(address[0])
    return connect(self, address)
socket.getaddrinfo, socket.socket.connect = guarded_ask, guarded_connect
"""


def google(town: Town, path: str, method: str = "GET", **wanted: Any) -> Any:
    """What the emulator answers a script."""
    address = f"http://127.0.0.1:{town.environment['PASSES_GOOGLE_PORT']}{path}"
    answer = urllib3.request(method, address, json=wanted if method == "POST" else None, timeout=10)
    assert answer.status < 300, answer.data
    return json.loads(answer.data)


def an_android(town: Town) -> dict[str, Any]:
    """The first Android phone, as the emulator tells it."""
    phones: list[dict[str, Any]] = google(town, "/emulator/state.json")["phones"]
    return phones[0]


def save_link(town: Town, card_address: str) -> str:
    """Where the card page's button leads."""
    answer = urllib3.request("GET", f"{town.web_url}{card_address}/google", redirect=False, timeout=20)
    assert answer.status == 303, answer.data[:300]
    return str(answer.headers["Location"])


def patches(town: Town) -> list[Any]:
    """What was changed at Google after the card was there."""
    return [one for one in google(town, "/emulator/history.json")["requests"] if one["method"] == "PATCH"]


@pytest.mark.check("G-59", "G-60", "G-61")
def test_a_link_saves_the_card_and_a_purchase_shows_on_it(town: Town, tmp_path: Path) -> None:
    strangers = tmp_path / "strangers"
    strangers.write_text("")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(_NO_NAMES.format(log=str(strangers)))
    town.environment["PYTHONPATH"] = str(tmp_path / "site")
    town.start("serve", "worker", "emulate")

    _, card_page = join(town, "Ana Reyes")
    secret = next(part for part in [card_page.address] if part.startswith("/card/")).partition("?")[0]
    link = save_link(town, secret)
    phone = an_android(town)
    assert b"EMULATED Google Wallet" in urllib3.request("GET", link, timeout=10).data
    google(town, f"/emulator/phones/{phone['id']}/save", "POST", link=link)
    [card] = an_android(town)["cards"]
    with town.counter() as (shop, _):
        code = card["barcode"]["value"]
        until(
            lambda: shop.balance(code) == 100 and google(town, "/emulator/history.json")["callbacks"],
            what="the callback",
        )
        until(
            lambda: google(town, "/emulator/history.json")["callbacks"][0]["outcome"] == "taken",
            what="the callback to be taken",
        )
        shop.now = town.now()
        shop.buy(code, 1240, programme=COFFEE)
    until(lambda: an_android(town)["cards"][0]["rows"][0][0]["value"] == "224", what="224 beans on the phone")
    [patch] = patches(town)
    assert patch["status"] == 200
    notices = [one for one in an_android(town)["notices"] if one["silent"] is None]
    assert len(notices) == 1
    assert strangers.read_text() == "", "somebody asked for a name"
    for name in ("serve", "worker"):
        assert "eyJ" not in town.log(name)
        assert link.rpartition("/")[2][:40] not in town.log(name)


def test_a_worker_ends_at_once_though_google_hangs(town_on_sqlite: Town) -> None:
    town = town_on_sqlite
    town.start("serve", "emulate")
    _, card_page = join(town, "Ana Reyes")
    link = save_link(town, card_page.address.partition("?")[0])
    google(town, f"/emulator/phones/{an_android(town)['id']}/save", "POST", link=link)
    until(
        lambda: google(town, "/emulator/history.json")["callbacks"][0]["outcome"] == "taken",
        what="the callback to be taken",
    )
    google(town, "/emulator/faults", "POST", hang={"times": None})
    with town.counter() as (shop, _):
        shop.buy(an_android(town)["cards"][0]["barcode"]["value"], 1240, programme=COFFEE)
    town.start("worker")
    with town.counter() as (shop, _):
        until(lambda: rows(shop.store, "owed", "wallet = 'google' AND lease_until > 0"), what="the claim")
    began = time.monotonic()
    worker = town.running.pop("worker")
    worker.terminate()
    assert worker.wait(10) == 0
    assert time.monotonic() - began < 4.5
    assert "Traceback" not in town.log("worker")
