"""The front door, the customer's two sides and the hood in a real Chromium."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from app import create_app
from passes.enrolment import Joined
from passes.wiring import Installation
from tests.shop import Shop
from tests.web.test_pages_browser import (  # noqa: F401
    SCHEMES,
    Open,
    Watched,
    ana,
    browse,
    chromium,
    focused,
    ring,
    store,
    violations,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# A phone's page as far as this page needs one: it stands in the frame and says where it is.
PHONE = """<!doctype html><html lang="en"><title>phone</title><main>A phone</main></html>"""


@pytest.fixture
def phone() -> Iterator[str]:
    """The address of something that stands where the virtual phone does."""
    app = Flask("phone")
    app.add_url_rule("/", "home", lambda: PHONE)
    app.add_url_rule("/add", "add", lambda: PHONE)
    yield from _serve(app)


@pytest.fixture
def served(installation: Installation, phone: str, tmp_path: Path) -> Iterator[str]:
    """The address of the running application, which can be reset."""
    server = make_server("127.0.0.1", 0, Flask("not yet"), threaded=True)
    base = f"http://127.0.0.1:{server.server_port}"
    server.app = create_app(
        replace(installation, public_url=base, phone_url=phone, reset_file=tmp_path / "reset")
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield base
    server.shutdown()
    thread.join()
    server.server_close()


def _serve(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def every_state(window: Watched, ana: Joined, language: str) -> Iterator[str]:  # noqa: F811
    page = window.open(f"/?lang={language}")
    yield "front"
    page.locator("#start-over ~ details summary").click()
    yield "front, about to be reset"
    window.open("/?shop=marginalya")
    yield "front of the bookshop"
    window.open("/hood")
    page.locator(".ledger summary").first.click()
    yield "hood"
    page.locator("#the-books button").click()
    expect(page.locator("#the-books .notice.good")).to_be_visible()
    yield "hood, proven"
    window.open("/hood?code=CDFH")
    yield "hood, refused"
    window.open("/console/sign-in")
    yield "sign in to the console"


@pytest.mark.check("W-01", "W-02", "W-08", "W-09", "W-10")
@pytest.mark.parametrize(
    ("language", "width"), [("en", 1280), ("tr", 360), ("ar-XB", 1280), ("ar-XB", 360), ("en-XA", 360)]
)
def test_front_and_hood_are_accessible_quiet_and_fit(
    browse: Open,  # noqa: F811
    ana: Joined,  # noqa: F811
    language: str,
    width: int,
) -> None:
    window = browse(width=width)
    page = window.page
    wrong: list[str] = []
    for state in every_state(window, ana, language):
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            wrong += [f"{state}, {scheme}: {one}" for one in violations(window)]
        wrong += [f"{state}: something moves" for _ in page.evaluate("document.getAnimations()")]
        for other in (320, 1920, width):
            page.set_viewport_size({"width": other, "height": 900})
            over = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            if over > 0:
                wrong.append(f"{state}: {over} px too wide at {other}")
        assert page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar-XB" else "ltr")
        assert page.evaluate("document.documentElement.lang") == language
    assert wrong == []


def _papers(page: Page) -> tuple[str, str]:
    """The ground that is painted, and what the browser's own parts follow."""
    found: list[str] = page.evaluate(
        "(({backgroundColor, colorScheme}) => [backgroundColor, colorScheme])"
        "(getComputedStyle(document.documentElement))"
    )
    return found[0], found[1]


LIGHT, DARK = "rgb(250, 248, 245)", "rgb(20, 25, 28)"


@pytest.mark.check("W-07")
@pytest.mark.parametrize("system", ["light", "dark"])
def test_a_page_looks_as_the_system_does_or_as_somebody_chose(
    browse: Open,  # noqa: F811
    ana: Joined,  # noqa: F811
    system: str,
) -> None:
    # Without script: what is chosen stands in the page before anything could run.
    window = browse(color_scheme=system, java_script_enabled=False)
    page = window.open("/hood")
    assert _papers(page)[0] == (DARK if system == "dark" else LIGHT)
    for name, ground, scheme in (("Dark", DARK, "dark"), ("Light", LIGHT, "light")):
        page.locator(".looks").get_by_role("link", name=name, exact=True).click()
        assert _papers(page) == (ground, scheme)
        # The switch keeps the page, and the choice holds on every other one.
        assert "/hood" in page.url
        window.open("/till/sign-in")
        assert _papers(page) == (ground, scheme)
        window.open("/hood")
    page.locator(".looks").get_by_role("link", name="Automatic").click()
    assert _papers(page)[0] == (DARK if system == "dark" else LIGHT)


@pytest.mark.check("W-10")
def test_the_language_switch_keeps_the_page_and_what_it_shows(browse: Open, ana: Joined) -> None:  # noqa: F811
    window = browse()
    page = window.open(f"/hood?code={ana.code}")
    page.locator(".languages").get_by_role("link", name="Türkçe").click()
    expect(page.locator("html")).to_have_attribute("lang", "tr")
    assert f"code={ana.code}" in page.url
    expect(page.get_by_role("heading", level=1)).to_have_text("Perde arkası")
    # And the next page remembers it.
    window.open("/")
    expect(page.locator("html")).to_have_attribute("lang", "tr")


@pytest.mark.check("W-03")
def test_every_door_opens_by_keyboard(browse: Open) -> None:  # noqa: F811
    window = browse(width=1280)
    page = window.open("/")
    doors = []
    for _ in range(9):
        page.keyboard.press("Tab")
        assert ring(page), focused(page)
        name = page.evaluate("document.activeElement.querySelector('strong')?.textContent")
        if name:
            doors.append(name)
    assert doors == ["Customer", "Cashier", "Marketer", "Under the hood"]
    page.locator(".doors button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#code")).to_be_focused()


def test_the_list_ticks_itself_while_somebody_looks(browse: Open, house: Shop) -> None:  # noqa: F811
    page = browse().open("/")
    first = page.locator(".steps > li").first
    expect(first).not_to_have_class("done")
    house.now = house.now.replace(minute=30)
    house.join("Ben")
    expect(first).to_have_class("done")
    expect(first).to_contain_text("done")


def test_a_reset_is_waited_for(browse: Open, tmp_path: Path) -> None:  # noqa: F811
    page = browse().open("/")
    page.locator("#start-over ~ details summary").click()
    page.get_by_role("button", name="Reset the demonstration").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Putting everything back")
    page.wait_for_timeout(900)
    expect(page.get_by_role("heading", level=1)).to_have_text("Putting everything back")
    (tmp_path / "reset").unlink()
    expect(page.locator(".doors")).to_be_visible()


def test_what_leads_to_a_wallet_opens_on_the_phone_beside_it(
    browse: Open,  # noqa: F811
    phone: str,
    house: Shop,
) -> None:
    window = browse(width=1440, height=1000)
    # Two origins on purpose: the service's and the phone's.
    window.deaf = True
    page = window.open("/try/copperfinch")
    inside = page.frame_locator("iframe[name=page]")
    inside.locator("#name").fill("Ana Reyes")
    inside.get_by_role("button", name="Join").click()
    inside.locator("a[href$='/apple']").first.click()
    found = page.frame(name="phone")
    assert found is not None
    page.wait_for_function("() => true")
    expect(page.frame_locator("iframe[name=phone]").locator("main")).to_have_text("A phone")
    page.wait_for_timeout(500)
    assert found.url.startswith(f"{phone}/add?url=")
    assert found.url.endswith("%2Fapple")
    # The page beside it stayed where it was.
    left = page.frame(name="page")
    assert left is not None
    assert "/card/" in left.url
    window.complaints.clear()
