"""The front door, the customer's two sides and the hood in a real Chromium."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from flask import Flask, Response, jsonify
from playwright.sync_api import Frame, Page, expect
from werkzeug.serving import make_server
from werkzeug.wrappers import Response as AnyResponse

from passes import artwork
from passes.enrolment import Joined
from passes.wiring import Installation
from tests.shop import Shop
from tests.web.browser.window import Open, Watched, faults, focused, ring

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# A phone's page as far as this page needs one: it stands in the frame, and may hold a card to a till.
PAGE = """<!doctype html><html lang="en"><title>phone</title><main>A phone</main></html>"""


@dataclass
class FakePhone:
    """Something that stands where the virtual phone does; `code` is on the screen that it holds up."""

    address: str = ""
    code: str | None = None
    looks: int = 0

    def held(self) -> AnyResponse:
        """As the virtual phone answers its service's pages."""
        self.looks += 1
        answer = jsonify(screen="/screen.png") if self.code else Response(status=204)
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    def screen(self) -> AnyResponse:
        """The pixels."""
        answer = Response(artwork.qr_png(self.code or ""), mimetype="image/png")
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer


@pytest.fixture
def phone() -> Iterator[FakePhone]:
    """A phone on a port of its own."""
    fake, app = FakePhone(), Flask("phone")
    app.add_url_rule("/", "home", lambda: PAGE)
    app.add_url_rule("/add", "add", lambda: PAGE)
    app.add_url_rule("/held.json", "held", fake.held)
    app.add_url_rule("/held.png", "screen", fake.screen)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    fake.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def installation(installation: Installation, phone: FakePhone, tmp_path: Path) -> Installation:
    """Beside the phone, and one that can be reset."""
    return replace(installation, phone_url=phone.address, reset_file=tmp_path / "reset")


def every_state(window: Watched, ana: Joined, language: str) -> Iterator[str]:
    page = window.open(f"/?lang={language}")
    yield "front"
    page.locator("#start-over ~ details summary").click()
    yield "front, about to be reset"
    window.open("/?again=1")
    expect(page.locator("[role=status] > .toast")).to_be_visible()
    yield "front, after a reset"
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
    browse: Open,
    ana: Joined,
    language: str,
    width: int,
) -> None:
    window = browse(width=width)
    page = window.page
    wrong: list[str] = []
    for state in every_state(window, ana, language):
        wrong += faults(window, state, width=width)
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
    browse: Open,
    ana: Joined,
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
def test_the_language_switch_keeps_the_page_and_what_it_shows(browse: Open, ana: Joined) -> None:
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
def test_every_door_opens_by_keyboard(browse: Open) -> None:
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
    # There is room: the till opens beside the phone.
    window.deaf = True
    expect(page.frame_locator("iframe[name=page]").locator("#code")).to_be_visible()
    window.complaints.clear()


def test_the_list_ticks_itself_while_somebody_looks(browse: Open, house: Shop) -> None:
    page = browse().open("/")
    first = page.locator(".steps > li").first
    expect(first).not_to_have_class("done")
    house.now = house.now.replace(minute=30)
    house.join("Ben")
    expect(first).to_have_class("done")
    expect(first).to_contain_text("done")


def test_a_reset_is_waited_for(browse: Open, tmp_path: Path) -> None:
    page = browse().open("/")
    page.locator("#start-over ~ details summary").click()
    page.get_by_role("button", name="Reset the demonstration").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Putting everything back")
    page.wait_for_timeout(900)
    expect(page.get_by_role("heading", level=1)).to_have_text("Putting everything back")
    (tmp_path / "reset").unlink()
    expect(page.locator(".doors")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Everything is as it was.")).to_be_visible()


@pytest.mark.check("W-06")
def test_a_toast_is_said_stays_and_waits_for_whoever_reads_it(browse: Open) -> None:
    window = browse()
    page = window.page
    page.clock.install()
    window.open("/?again=1")
    toast = page.locator("[role=status] > .toast")
    page.clock.run_for(100)
    expect(toast).to_be_visible()
    page.clock.run_for(6_000)
    expect(toast).to_be_visible()
    # Pointed at, or with the focus in it, it stays.
    toast.hover()
    page.clock.run_for(20_000)
    expect(toast).to_be_visible()
    toast.get_by_role("link", name="Close").focus()
    page.mouse.move(0, 0)
    toast.get_by_role("link", name="Close").focus()
    page.clock.run_for(7_000)
    expect(toast).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.clock.run_for(9_000)
    expect(toast).to_have_count(0)
    # And it can be sent away; a reset cannot be undone, so nothing offers to.
    window.open("/?again=1")
    page.clock.run_for(100)
    page.keyboard.press("Tab")
    toast.get_by_role("link", name="Close").press("Enter")
    expect(toast).to_have_count(0)


def beside(window: Watched, name: str) -> Frame:
    """One of the two pages that stand side by side."""
    found = window.page.frame(name=name)
    assert found is not None
    return found


def looked(window: Watched, phone: FakePhone) -> None:
    """Wait until what the phone holds up now was seen: the look before may have been under way."""
    enough = phone.looks + 2
    deadline = time.monotonic() + 15
    while phone.looks < enough:
        assert time.monotonic() < deadline, "nobody looks at the phone"
        window.page.wait_for_timeout(50)


@pytest.fixture
def sides(browse: Open, phone: FakePhone) -> Watched:
    """A wide window with phone and shop side by side: two origins, as nowhere else."""
    window = browse(width=1440, height=1000)
    window.deaf = True
    window.open("/try/copperfinch")
    looked(window, phone)
    window.complaints.clear()
    return window


def test_what_leads_to_a_wallet_opens_on_the_phone_beside_it(sides: Watched, phone: FakePhone) -> None:
    inside = sides.page.frame_locator("iframe[name=page]")
    inside.locator("#name").fill("Ana Reyes")
    inside.get_by_role("button", name="Join").click()
    inside.locator("a[href$='/apple']").first.click()
    beside(sides, "phone").wait_for_url("**/add?*")
    added = beside(sides, "phone").url
    assert added.startswith(f"{phone.address}/add?url=")
    assert added.endswith("%2Fapple")
    # The page beside it stayed where it was.
    assert "/card/" in beside(sides, "page").url
    sides.complaints.clear()


def test_a_card_held_to_the_till_is_read_from_its_pixels_and_once(
    sides: Watched,
    phone: FakePhone,
    ana: Joined,
) -> None:
    asked: list[str] = []
    sides.page.on("request", lambda request: asked.append(request.url))
    customer = sides.page.locator("[data-side=page]")
    expect(customer).to_have_attribute("aria-current", "true")
    phone.code = ana.code
    inside = sides.page.frame_locator("iframe[name=page]")
    member = inside.locator("[data-screen=member] h1")
    # Nobody looked at a till yet: it opens by itself.
    expect(member).to_have_text("Ana Reyes")
    expect(customer).not_to_have_attribute("aria-current", "true")
    # By the way that the camera's pictures take.
    assert [one for one in asked if one.endswith("/decode-worker.js")]
    # The phone still holds it up, but that is the customer who was just served.
    inside.locator("[data-slot=next]").click()
    expect(inside.locator("[data-screen=scan]")).to_be_visible()
    looked(sides, phone)
    expect(inside.locator("[data-screen=scan]")).to_be_visible()
    phone.code = None
    looked(sides, phone)
    phone.code = ana.code
    expect(member).to_have_text("Ana Reyes")
    sides.complaints.clear()


def test_a_card_is_held_to_the_till_at_any_time_and_hears_what_became_of_it(
    sides: Watched, phone: FakePhone, house: Shop, ana: Joined
) -> None:
    def hold(code: str) -> None:
        phone.code = None
        looked(sides, phone)
        phone.code = code

    ben = house.join("Ben Ode")
    inside = sides.page.frame_locator("iframe[name=page]")
    member, toasts = inside.locator("[data-screen=member] h1"), inside.locator("#toasts")
    question = inside.locator("dialog[open]")
    sides.page.locator("[data-side=till]").click()
    expect(inside.locator("[data-screen=scan]")).to_be_visible()
    hold(ana.code)
    expect(member).to_have_text("Ana Reyes")
    # The next customer, while the last one is still shown and nothing was typed for her.
    hold(ben.code)
    expect(member).to_have_text("Ben Ode")
    # The same once more, with an amount that stays.
    inside.locator("#amount").fill("7.50")
    hold(ben.code)
    expect(toasts).to_contain_text("Ben Ode is here already.")
    expect(inside.locator("#amount")).to_have_value("7.50")
    # Somebody else would cost the amount: that is asked, and a card held meanwhile is not.
    hold(ana.code)
    expect(question).to_contain_text("Drop the amount?")
    hold(ben.code)
    expect(toasts).to_contain_text("Answer the question first")
    question.get_by_role("button", name="Drop it").click()
    expect(member).to_have_text("Ana Reyes")
    # What is no card, and a till with nobody at it.
    hold("https://shop.example/menu?table=4")
    expect(toasts).to_contain_text("That is not one of our cards.")
    inside.locator("#bar-links [data-do=lock]").click()
    expect(inside.locator("[data-screen=signin]")).to_be_visible()
    hold(ben.code)
    expect(toasts).to_contain_text("Sign in first")
    sides.complaints.clear()


def test_the_plain_till_reads_a_held_card_too(sides: Watched, phone: FakePhone, ana: Joined) -> None:
    sides.page.locator("[data-side=till]").click()
    inside = sides.page.frame_locator("iframe[name=page]")
    expect(inside.locator("[data-screen=scan]")).to_be_visible()
    beside(sides, "page").goto(f"{sides.base}/till/")
    expect(inside.locator("form[data-scan]")).to_be_visible()
    phone.code = ana.code
    expect(inside.locator(".member h1")).to_have_text("Ana Reyes")
    sides.complaints.clear()
