"""The till's app through real processes: a camera that sees the phone, keys, clicks, no network."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
import urllib3
from PIL import Image
from playwright.sync_api import BrowserContext, Error, Page, Playwright, expect

from passes.store.instants import instant, micros
from tests.cast import rows
from tests.lens import SIZE, video
from tests.stories.town import Town, install, join, shown_balance, until
from tests.web.browser.hand_scanner import scan
from tests.web.browser.window import CHROMIUM, FLAGS

pytestmark = [pytest.mark.story, pytest.mark.slow]

_TABLE = 118


def film(town: Town, serial: str, path: Path) -> Path:
    """What a camera sees that looks at the virtual phone's screen, with this card on it."""
    answer = urllib3.request("GET", f"{town.phone_url}/phones/iphone/cards/{serial}/screen.png")
    assert answer.status == 200
    screen = Image.open(io.BytesIO(answer.data)).convert("L")
    screen.thumbnail((SIZE[0], SIZE[1] - 40))
    seen = Image.new("L", SIZE, _TABLE)
    seen.paste(screen, ((SIZE[0] - screen.width) // 2, (SIZE[1] - screen.height) // 2))
    return video(path, [seen, seen])


@contextmanager
def device(playwright: Playwright, profile: Path, *flags: str) -> Iterator[BrowserContext]:
    """A tablet at the counter, whose browser remembers."""
    context = playwright.chromium.launch_persistent_context(
        str(profile),
        executable_path=CHROMIUM,
        args=[*FLAGS, *flags],
        permissions=["camera"],
        viewport={"width": 820, "height": 1180},
        reduced_motion="reduce",
    )
    yield context
    # Nothing is left to close where the story killed it.
    with suppress(Error):
        context.close()


def open_till(page: Page, town: Town) -> None:
    """From the front door to the app, ready for a customer and kept for a start without network."""
    page.goto(town.web_url)
    page.locator(".doors form[data-role=cashier] button").click()
    page.wait_for_url("**/till/**")
    page.goto(f"{town.web_url}/till/app")
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    expect(page.get_by_role("button", name="Scan a card")).to_be_visible()


def test_a_card_on_the_phone_is_scanned_paid_with_and_shows_the_new_balance(
    town_on_sqlite: Town, playwright: Playwright, tmp_path: Path
) -> None:
    town = town_on_sqlite
    town.start("serve", "worker", "emulate")
    _, card_page = join(town, "Ana Reyes")
    serial = install(town, card_page)
    camera = film(town, serial, tmp_path / "phone.y4m")
    flags = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera}")
    with device(playwright, tmp_path / "profile", *flags) as tablet:
        page = tablet.pages[0]
        open_till(page, town)
        page.get_by_role("button", name="Scan a card").click()
        expect(page.locator("#screen h1")).to_contain_text("Ana Reyes")
        page.keyboard.type("12.40", delay=30)
        page.keyboard.press("Enter")
        expect(page.locator("#screen")).to_contain_text("224")
        until(lambda: shown_balance(town, serial) == "224", what="224 beans on the phone")

        # From the recorded requests: pushed, asked what changed, fetched only that.
        asked = town.requests()
        listed = [one for one in asked if "passesUpdatedSince=" in one["path"] and one["status"] == 200]
        fetched = [one for one in asked if "/v1/passes/" in one["path"] and one["status"] == 200]
        assert (len(town.pushes()), len(listed), len(fetched)) == (1, 1, 1)

        # A reward, and the mistake taken back: clicks alone.
        page.get_by_role("button", name="Same customer again").click()
        page.get_by_role("button", name="Redeem: Extra shot").click()
        page.get_by_role("dialog").get_by_role("button", name="Redeem").click()
        until(lambda: shown_balance(town, serial) == "74", what="74 beans on the phone")
        page.get_by_role("button", name="Undo").first.click()
        until(lambda: shown_balance(town, serial) == "224", what="224 beans again")
    assert town.run("ledger", "verify")["problems"] == []


@pytest.mark.check("W-45", "L-76", "L-77")
def test_sales_without_network_survive_the_end_of_the_browser_and_are_booked_once_in_order(
    town_on_sqlite: Town, playwright: Playwright, tmp_path: Path
) -> None:
    town = town_on_sqlite
    town.start("serve")
    ana, ben = (member(town, name) for name in ("Ana Reyes", "Ben Novak"))
    profile = tmp_path / "profile"
    with device(playwright, profile) as tablet:
        open_till(tablet.pages[0], town)
        scan(tablet.pages[0], ana)
        expect(tablet.pages[0].locator("#screen h1")).to_contain_text("Ana Reyes")

    # The server is gone, and the browser believes that there is a network.
    town.kill("serve")
    begun = town.now()
    with device(playwright, profile) as tablet:
        page = tablet.pages[0]
        page.goto(f"{town.web_url}/till/app")
        expect(page.locator("#status")).to_contain_text("Offline")
        sell(page, ana, "12.40", waiting=1)
        # Nobody has seen this card at this till yet.
        sell(page, ben, "3.00", waiting=2)
        kill(profile)

    with device(playwright, profile) as tablet:
        page = tablet.pages[0]
        page.goto(f"{town.web_url}/till/app")
        expect(page.locator("#status")).to_contain_text("2 waiting")
        sell(page, ana, "5.00", waiting=3)
        ended = town.now()
        # The network comes back an hour later.
        town.pass_time(3600)
        town.start("serve")
        page.locator("#status").click()
        page.get_by_role("button", name="Send now").click()
        expect(page.locator("#status")).to_have_text("Online")

    with town.counter() as (shop, _):
        booked = rows(shop.store, "purchase", f"recorded_at > {micros(ended)} ORDER BY occurred_at")
    assert [row["net_minor"] for row in booked] == [12_40, 3_00, 5_00]
    for row in booked:
        assert begun - timedelta(seconds=3) < instant(row["occurred_at"]) < ended + timedelta(seconds=3)
    assert town.run("ledger", "verify")["problems"] == []


def member(town: Town, name: str) -> str:
    """Somebody who has just joined; the code on their card."""
    join(town, name)
    with town.counter() as (shop, _):
        [found] = rows(shop.store, "card_code", "1 = 1 ORDER BY card_id DESC LIMIT 1")
    return str(found["code"])


def sell(page: Page, code: str, amount: str, *, waiting: int) -> None:
    """Scan a card and book an amount that waits."""
    page.get_by_role("button", name="Scan a card").wait_for()
    scan(page, code)
    expect(page.locator("[data-amount]")).to_be_visible()
    page.keyboard.type(amount, delay=30)
    page.keyboard.press("Enter")
    expect(page.locator("#screen")).to_contain_text("Kept on this device")
    expect(page.locator("#status")).to_contain_text(f"{waiting} waiting")
    page.keyboard.press("Escape")


def kill(profile: Path) -> None:
    """SIGKILL every process of the browser with this profile, as a power cut would."""
    mine = f"--user-data-dir={profile}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mine in (process / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
