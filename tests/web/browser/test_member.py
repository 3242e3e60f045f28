"""The member's page in a real Chromium: it follows the card by itself, and lasts without network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from passes import artwork, membership, programmes
from passes.enrolment import Joined
from tests.shop import BOOKS, COFFEE, KEYS, PASS_TYPE, Shop
from tests.web.browser.window import (
    FLAGS,
    FROM_THE_SHOP,
    Open,
    Watched,
    faults,
    plain_english,
    too_small,
    violations,
)

OWN_WORDS = FROM_THE_SHOP + "|English|Türkçe|beans|Elif|Book|Reward|coffee|Coffee|drink|Bag|yaprak"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def page_of(browse: Open, ana: Joined) -> Page:
    return browse().open(f"/card/{ana.link_secret}")


def read(page: Page, selector: str) -> list[str]:
    """What a scanner reads from this part of the screen."""
    return artwork.read_barcodes(
        page.locator(selector).first.screenshot(), limit_bytes=20_000_000, limit_pixels=40_000_000
    )


def ready(page: Page) -> None:
    """Wait until the worker keeps this page."""
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    expect_kept(page, 1)


def expect_kept(page: Page, count: int) -> None:
    kept = "caches.open('card-pages-1').then((one) => one.keys()).then((all) => all.length)"
    deadline = time.monotonic() + 15
    while page.evaluate(kept) != count:
        assert time.monotonic() < deadline, page.evaluate(kept)
        page.wait_for_timeout(100)


def test_a_purchase_shows_by_itself_within_a_second_and_is_read_out(
    page_of: Page,
    ana: Joined,
    house: Shop,
) -> None:
    page = page_of
    expect(page.locator("h1")).to_have_text("You have 640 beans.")
    page.locator(".entries summary").first.click()
    house.buy(ana.code, 12_40)
    expect(page.locator("h1")).to_have_text("You have 764 beans.")
    expect(page.locator("[role=status][data-says]")).to_have_text("You have 764 beans.")
    expect(page.locator(".entries")).to_contain_text("$12.40")
    # What somebody had opened to read stays open.
    expect(page.locator(".entries details[open] summary")).to_contain_text("$54.00")
    # A busy machine may hold up one purchase or another, but not every one.
    took_seconds: list[float] = []
    while min(took_seconds, default=1) >= 1:
        assert len(took_seconds) < 5, took_seconds
        house.buy(ana.code, 1_00)
        booked = time.monotonic()
        expect(page.locator("h1")).to_have_text(f"You have {house.balance(ana.code)} beans.")
        took_seconds.append(time.monotonic() - booked)


def test_a_page_that_nobody_sees_asks_nothing(browse: Open, ana: Joined) -> None:
    window = browse()
    window.page.clock.install()
    page = window.open(f"/card/{ana.link_secret}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/now") else None)
    page.evaluate(
        """() => {
          Object.defineProperty(document, "hidden", { value: true, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    page.wait_for_timeout(300)  # a question may have been under way
    asked.clear()
    page.clock.run_for(60_000)
    assert asked == []
    with page.expect_request("**/now"):
        page.evaluate(
            """() => {
              Object.defineProperty(document, "hidden", { value: false, configurable: true });
              document.dispatchEvent(new Event("visibilitychange"));
            }"""
        )


@pytest.mark.check("W-03")
def test_the_card_fills_the_screen_for_the_till_and_focus_comes_back(
    browse: Open,
    ana: Joined,
    house: Shop,
) -> None:
    window = browse(width=360, height=740)
    page = window.open(f"/card/{ana.link_secret}")
    page.locator("#show").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#till")).to_be_visible()
    expect(page.locator("#till")).to_be_focused()
    assert read(page, ".counter-code") == [ana.code]
    assert violations(window) == []
    house.buy(ana.code, 12_40)
    expect(page.locator(".counter-balance")).to_contain_text("764")
    page.keyboard.press("Tab")
    expect(page.locator("#till a.button")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#till")).to_be_hidden()
    expect(page.locator("#show")).to_be_focused()


def test_without_script_the_card_still_fills_the_screen(browse: Open, ana: Joined) -> None:
    page = browse(java_script_enabled=False).open(f"/card/{ana.link_secret}")
    page.locator("#show").click()
    expect(page.locator("#till")).to_be_visible()
    page.locator("#till a.button").click()
    expect(page.locator("#till")).to_be_hidden()
    page.locator(".entries summary").first.click()
    expect(page.locator(".why").first).to_contain_text("10 beans for every $1.00")


def test_a_large_screen_leads_on_to_the_phone_and_a_phone_does_not(browse: Open, ana: Joined) -> None:
    window = browse(width=1280)
    page = window.open(f"/card/{ana.link_secret}")
    assert read(page, ".own-face") == [ana.code]
    assert read(page, ".continue .qr") == [f"{window.base}/card/{ana.link_secret}"]
    page = browse(has_touch=True, is_mobile=True).open(f"/card/{ana.link_secret}")
    expect(page.locator(".continue")).to_be_hidden()
    assert read(page, ".own-face") == [ana.code]


@pytest.mark.parametrize("symbology", ["aztec", "pdf417", "code128"])
def test_every_kind_of_code_is_read_from_the_screen(browse: Open, house: Shop, symbology: str) -> None:
    source = next(path for path in programmes.DEMONSTRATION if path.stem == COFFEE).read_text("utf-8")
    changed = source.replace('symbology = "qr"', f'symbology = "{symbology}"')
    if symbology == "code128":
        changed = changed.replace('kind = "letters"', 'kind = "digits16"')
    programmes.load(house.store, name=COFFEE, source=changed, pass_type=PASS_TYPE, now=house.now)
    ben = house.join("Ben")
    page = browse(width=412).open(f"/card/{ben.link_secret}")
    assert read(page, ".own-face") == [ben.code]
    page.locator("#show").click()
    assert read(page, ".counter-code") == [ben.code]


# Without network ---------------------------------------------------------------------------------


@pytest.mark.check("W-22")
def test_the_last_card_is_there_without_network_and_says_since_when(
    browse: Open,
    ana: Joined,
    house: Shop,
) -> None:
    window = browse()
    page = window.open(f"/card/{ana.link_secret}")
    ready(page)
    window.deaf = True
    house.buy(ana.code, 12_40)
    expect(page.locator("h1")).to_have_text("You have 764 beans.")
    page.wait_for_function(
        """async () => {
          const kept = await caches.open("card-pages-1");
          const page = await kept.match(location.pathname);
          return (await page?.text())?.includes("764");
        }"""
    )
    page.context.set_offline(True)
    page.reload()
    expect(page.locator("h1")).to_have_text("You have 764 beans.")
    assert read(page, ".own-face") == [ana.code]
    expect(page.locator("[data-no-network]")).to_contain_text("No connection. This is how it stood at")
    page.context.set_offline(False)
    expect(page.locator("[data-no-network]")).to_be_hidden()


def test_no_other_card_and_no_withdrawn_one_is_kept(
    browse: Open,
    ana: Joined,
    house: Shop,
) -> None:
    ben = house.join("Ben")
    window = browse()
    page = window.open(f"/card/{ana.link_secret}")
    ready(page)
    window.deaf = True
    page.context.set_offline(True)
    with pytest.raises(Exception, match="ERR_"):
        page.goto(f"{window.base}/card/{ben.link_secret}")
    page.context.set_offline(False)
    window.open(f"/card/{ana.link_secret}")
    fresh = membership.renew(house.store, KEYS, secret=ana.link_secret, key="new", now=house.now)
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    window.open(f"/card/{fresh}")
    ready(page)
    page.context.set_offline(True)
    with pytest.raises(Exception, match="ERR_"):
        page.goto(f"{window.base}/card/{ana.link_secret}")


@pytest.fixture
def at_home(chromium: Browser, tmp_path: Path) -> Iterator[Page]:
    """A browser that remembers: only there a page can be put on a home screen."""
    context = chromium.browser_type.launch_persistent_context(
        str(tmp_path / "profile"), executable_path="/usr/bin/chromium", args=FLAGS
    )
    yield context.pages[0]
    context.close()


def test_the_card_can_be_put_on_a_home_screen(at_home: Page, served: str, ana: Joined) -> None:
    at_home.goto(f"{served}/card/{ana.link_secret}")
    ready(at_home)
    devtools = at_home.context.new_cdp_session(at_home)
    assert devtools.send("Page.getInstallabilityErrors")["installabilityErrors"] == []
    found = devtools.send("Page.getAppManifest")
    assert found["errors"] == []
    assert found["url"].endswith(f"/card/{ana.link_secret}/manifest.webmanifest")


# Looking -----------------------------------------------------------------------------------------


def every_state(window: Watched, ana: Joined, house: Shop, language: str) -> Iterator[str]:
    page = window.open(f"/card/{ana.link_secret}?lang={language}")
    page.locator(".entries summary").first.click()
    yield "card"
    window.open(f"/card/{ana.link_secret}/details")
    page.locator("details summary").click()
    yield "details"
    page.locator("#name").fill("")
    page.locator("form:has(#name) button").click()
    expect(page.locator("#name[aria-invalid=true]")).to_be_focused()
    yield "details, refused"
    window.open(f"/card/{ana.link_secret}/leave")
    yield "leaving"
    elif_ = house.join("Elif Şahin", BOOKS, language="tr")
    house.buy(elif_.code, 240_00, BOOKS)
    window.open(f"/card/{elif_.link_secret}")
    yield "a card with stamps"


@pytest.mark.check("W-01", "W-08")
@pytest.mark.parametrize(("language", "width"), [("en", 360), ("ar-XB", 1280), ("tr", 360), ("en-XA", 412)])
def test_every_state_is_accessible_and_fits(
    browse: Open,
    ana: Joined,
    house: Shop,
    language: str,
    width: int,
) -> None:
    window = browse(width=width)
    wrong: list[str] = []
    for state in every_state(window, ana, house, language):
        wrong += faults(window, state, width=width)
        wrong += too_small(window, state, but_for=".skip, .alert, p, li, .hint")
        if language == "en-XA":
            wrong += plain_english(
                window,
                state,
                where="h1, h2, label, legend, button, summary, a, p, small",
                own_words=OWN_WORDS,
            )
    assert wrong == []
