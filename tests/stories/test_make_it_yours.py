"""A card of one's own, through real processes: from the form to both wallets and the till."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path

import pytest
import urllib3
from PIL import Image

from tests.apple.test_witnesses import program
from tests.shop import COFFEE
from tests.stories.test_google_story import an_android, google, save_link
from tests.stories.test_main_job import buy, scan_screen
from tests.stories.town import Town, browser, install, shown_balance, until
from tests.test_logos import BLUE, RED, encoded, sign
from tests.web.test_yours import FILLED
from tests.web.visitor import Page, Visitor

pytestmark = [pytest.mark.story, pytest.mark.slow]


def one_click(town: Town, programme: str, **fields: str) -> tuple[Visitor, Page]:
    """Sign in on the front page as whoever has that role."""
    visitor = browser(town.web_url)
    front = visitor.get(f"/?shop={programme}")
    form = next(one for one in front.forms if fields.items() <= one.values.items())
    return visitor, visitor.send(form, programme=programme)


def opened(archive: zipfile.ZipFile, name: str) -> Image.Image:
    return Image.open(io.BytesIO(archive.read(name))).convert("RGB")


def test_a_card_of_ones_own_reaches_both_wallets_and_the_till(town_on_sqlite: Town, tmp_path: Path) -> None:
    town = town_on_sqlite
    town.start("serve", "worker", "emulate")

    olive, page = one_click(town, COFFEE, role="owner", yours="1")
    assert page.address == "/console/yours/"
    form = page.form("shop")
    logo = (io.BytesIO(encoded(sign(200, 200))), "logo.png")
    page = olive.post(form.address, {**form.values, **FILLED, "logo": logo})
    assert page.address == "/console/yours/ready", page.text
    assert f"{town.web_url}/join/kestane" in page.text

    customer = browser(town.web_url)
    card_page = customer.send(customer.get("/join/kestane").form("name"), name="Ana Reyes")
    card = card_page.address.partition("?")[0]

    # OpenSSL, which knows nothing of us, verifies what an iPhone would get.
    downloaded = urllib3.request("GET", f"{town.web_url}{card}/apple", timeout=20)
    assert downloaded.status == 200
    with zipfile.ZipFile(io.BytesIO(downloaded.data)) as archive:
        archive.extractall(tmp_path)
        for name in ("icon@3x.png", "logo@3x.png"):
            picture = opened(archive, name)
            at = picture.height // 2
            assert picture.getpixel((picture.width // 3, at)) == RED[:3]
            assert picture.getpixel((picture.width * 2 // 3, at)) == BLUE[:3]
    verdict = subprocess.run(
        [
            *(program("openssl"), "cms", "-verify", "-binary", "-purpose", "any", "-inform", "DER"),
            *("-in", tmp_path / "signature", "-content", tmp_path / "manifest.json"),
            *("-CAfile", town.folder / "certs" / "root.pem", "-out", "/dev/null"),
        ],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert verdict.returncode == 0, verdict.stderr

    # The virtual iPhone checks it step by step before it takes it, the Android comes by its link.
    serial = install(town, card_page)
    assert shown_balance(town, serial) == "0"
    google(town, f"/emulator/phones/{an_android(town)['id']}/save", "POST", link=save_link(town, card))
    assert len(an_android(town)["cards"]) == 1

    cashier, _ = one_click(town, "kestane", role="cashier")
    done = buy(cashier, scan_screen(town, cashier, serial), "15.00")
    assert "150 chestnuts" in done.text
    until(lambda: shown_balance(town, serial) == "150", what="150 chestnuts on the phone")
    until(lambda: "150" in str(an_android(town)["cards"][0]), what="150 chestnuts on the Android")
    member = scan_screen(town, cashier, serial)
    cashier.send(member.form("reward", "reward"), reward="reward")
    until(lambda: shown_balance(town, serial) == "0", what="the reward on the phone")
    assert town.run("ledger", "verify")["problems"] == []

    # The worker was seen at work; the rest waits for a real installation.
    until(
        lambda: "It sealed the books last" in olive.get("/console/golive/").text,
        what="the worker to be known by what it does",
    )
