"""The pages in a real Chromium: seen, walked by keyboard, scanned into, and checked for accessibility."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import FilePayload, Page, Route, expect

from passes import artwork
from passes.enrolment import Joined
from tests.shop import Shop
from tests.web.browser.hand_scanner import HandScanner
from tests.web.browser.window import (
    Open,
    Watched,
    faults,
    focused,
    plain_english,
    ring,
    too_small,
    too_wide,
    violations,
)
from tests.web.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def to_the_till(window: Watched, *, script: bool = True) -> Page:
    """The demonstration's one click; without script the app leads on to the pages by itself."""
    page = window.open("/")
    page.locator(".doors button", has_text="Cashier").click()
    if script:
        page.wait_for_url("**/till/app")
        window.open("/till/")
    page.wait_for_url("**/till/")  # loaded: the till's script hears by then
    expect(page.locator("#code")).to_be_visible()
    return page


def to_the_member(window: Watched, ana: Joined) -> Page:
    page = to_the_till(window)
    page.locator("#code").fill(ana.code)
    page.locator("#code").press("Enter")
    expect(page.locator("#amount")).to_be_visible()
    page.wait_for_load_state()
    return page


# Every page in every state ---------------------------------------------------------------


def every_page(window: Watched, ana: Joined, language: str) -> Iterator[str]:
    """Walk through the service and stop at every page and state worth looking at."""
    page = window.open(f"/?lang={language}")
    yield "front"
    window.open("/join/copperfinch")
    yield "join"
    page.locator("form button[type=submit]").click()
    expect(page.locator("#name[aria-invalid=true]")).to_be_focused()
    yield "join, refused"
    page.locator(".terms summary").click()
    yield "join, with terms"
    window.open("/join/marginalya")
    yield "join the bookshop"
    window.open(f"/card/{ana.link_secret}")
    page.locator("details summary").first.click()
    yield "card"
    window.open("/card/nobodys")
    yield "error"
    window.open("/till/sign-in")
    yield "sign in"
    page.locator("#login").fill("cy")
    page.locator("form button[type=submit]").click()
    expect(page.locator("[role=alert]")).to_be_visible()
    yield "sign in, refused"
    page.locator("#login").fill("cy")
    page.locator("#password").fill(PASSWORD)
    page.locator("form button[type=submit]").click()
    page.wait_for_url("**/till/place")
    yield "place"
    page.locator("button[name=place]").first.click()
    page.wait_for_url("**/till/app")
    window.open("/till/")
    page.locator(".guest summary").click()
    yield "scan"
    page.locator("#code").fill("CDFH")
    page.locator("#code").press("Enter")
    expect(page.locator("#code[aria-invalid=true]")).to_be_focused()
    yield "scan, refused"
    page.locator("#code").fill(ana.code)
    page.locator("#code").press("Enter")
    page.locator("#amount").fill("12.40")
    expect(page.locator("output.echo")).to_contain_text("124")
    page.locator("details summary").click()
    yield "member"
    page.locator("form.purchase button").click()
    expect(page.locator(".booked")).to_be_visible()
    yield "done"
    window.open("/till/today")
    yield "bookings"


@pytest.mark.check("W-01", "W-02", "W-08", "W-09")
@pytest.mark.parametrize(("language", "width"), [("en", 412), ("ar-XB", 1280), ("ar-XB", 412), ("en", 1280)])
def test_every_page_is_accessible_quiet_and_fits(
    browse: Open, ana: Joined, language: str, width: int
) -> None:
    window = browse(width=width)
    page = window.page
    wrong: list[str] = []
    for state in every_page(window, ana, language):
        wrong += faults(window, state, width=width)
        assert page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar-XB" else "ltr")
    assert wrong == []


def test_the_gate_sees_what_is_wrong(browse: Open) -> None:
    window = browse()
    window.open("/").evaluate(
        """() => {
          const bad = document.createElement("div");
          bad.append(document.createElement("button"), document.createElement("img"));
          document.querySelector("main").append(bad);
        }"""
    )
    found = " ".join(violations(window))
    assert "button-name" in found
    assert "image-alt" in found


@pytest.mark.check("W-10")
def test_no_page_shows_plain_english_in_a_made_up_language(browse: Open, ana: Joined) -> None:
    window = browse(width=320)
    page = window.page
    wrong: list[str] = []
    for state in every_page(window, ana, "en-XA"):
        wrong += plain_english(window, state)
        if (over := too_wide(page)) > 0:
            wrong.append(f"{state}: {over} px too wide")
    assert wrong == []


@pytest.mark.check("W-50")
def test_everything_on_the_till_is_large_enough_to_hit(browse: Open, ana: Joined) -> None:
    window = browse(width=360)
    wrong = []
    for state in every_page(window, ana, "en"):
        least = 56 if "/till/" in window.page.url else 44
        wrong += too_small(window, state, least=least)
        amount = window.page.locator("#amount:visible")
        if amount.count():
            assert float(amount.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")) >= 24
    assert wrong == []


# Joining -----------------------------------------------------------------------------------


@pytest.mark.check("W-03", "W-05", "W-20")
def test_joining_by_keyboard_alone(browse: Open) -> None:
    window = browse()
    page = window.open("/join/copperfinch")
    seen = []
    for _ in range(8):
        page.keyboard.press("Tab")
        seen.append(focused(page))
        assert ring(page), seen[-1]
    fields = ["input#name", "input#email", "select#birthday-month", "select#birthday-day"]
    assert seen == ["a.skip", *fields, "input", "button", "summary"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    # Refused: the focus is where to correct, and the words belong to the field.
    name = page.locator("#name")
    expect(name).to_be_focused()
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_accessible_description("Enter a name of at most 64 letters.")
    page.keyboard.type("Ana Reyes")
    expect(page.locator("[data-live=name]")).to_have_text("Ana Reyes")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your card is ready")).to_be_visible()


# The till ----------------------------------------------------------------------------------------


@pytest.mark.check("W-03", "W-41")
def test_a_whole_visit_by_keyboard_alone(browse: Open, ana: Joined, house: Shop) -> None:
    page = to_the_till(browse())
    expect(page.locator("#code")).to_be_focused()
    page.keyboard.type(ana.code.lower())
    page.keyboard.press("Enter")
    expect(page.locator("#amount")).to_be_focused()
    page.keyboard.type("12.40")
    expect(page.locator("#echo")).to_have_text("$12.40 = 124 beans")
    page.keyboard.press("Enter")
    expect(page.locator(".change")).to_contain_text("+124")
    assert house.balance(ana.code) == 764
    # Ready for the next card at once; Undo is two steps back.
    expect(page.locator("#code")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    assert "Undo" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Undone")
    assert house.balance(ana.code) == 640


def test_enter_right_after_the_last_digit_books_at_the_first_press(
    browse: Open, ana: Joined, house: Shop
) -> None:
    page = to_the_member(browse(), ana)
    page.keyboard.type("12.40")
    page.keyboard.press("Enter")
    expect(page.locator(".change")).to_contain_text("+124")
    assert house.balance(ana.code) == 764


@pytest.mark.check("W-12")
def test_a_double_click_books_once_and_a_slow_answer_shows(browse: Open, ana: Joined, house: Shop) -> None:
    window = browse()
    page = to_the_member(window, ana)
    page.locator("#amount").fill("12.40")
    expect(page.locator("#echo")).to_contain_text("124")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    held: list[Route] = []
    told: list[str | None] = []
    page.expose_function("tell", lambda busy: told.append(busy))
    page.route(
        "**/till/card/**",
        lambda route: held.append(route) if route.request.method == "POST" else route.continue_(),
    )
    page.evaluate(
        """() => {
          const button = document.querySelector("form.purchase button");
          const look = () => window.tell(button.getAttribute("aria-busy"));
          new MutationObserver(look).observe(button, {attributes: true});
        }"""
    )
    page.locator("form.purchase button").dblclick()
    deadline = time.monotonic() + 15
    # Playwright asks the page nothing while it goes elsewhere, so the page tells it.
    while not (held and "true" in told):
        assert time.monotonic() < deadline, "the button does not show that it works"
        page.wait_for_timeout(50)
    held[0].continue_()
    expect(page.locator(".change")).to_contain_text("+124")
    assert (len(sent), len(held)) == (1, 1)
    assert house.balance(ana.code) == 764


@pytest.mark.check("W-35")
@pytest.mark.parametrize("focus", ["nowhere", "code", "amount"])
def test_a_hand_scanner_works_wherever_the_focus_is(
    browse: Open, ana: Joined, house: Shop, focus: str
) -> None:
    ben = house.join("Ben")
    window = browse()
    page = to_the_till(window)
    scanner = HandScanner(page)
    for gap_ms in (0, 10, 30, 80):
        if focus == "amount":
            window.open(f"/till/card/{ana.code}")
            page.locator("#amount").fill("4.50")
        else:
            window.open("/till/")
            page.locator("#code").focus()
        page.wait_for_load_state()  # the till's script hears by then
        if focus == "nowhere":
            page.evaluate("document.activeElement.blur()")
        scanner.scan(ben.code, gap_ms=gap_ms)
        expect(page.locator(".member h1")).to_have_text("Ben")
        expect(page.locator("#amount")).to_have_value("")


def test_a_photo_is_looked_at_as_soon_as_it_is_taken(browse: Open, ana: Joined) -> None:
    page = to_the_till(browse())
    photo: FilePayload = {"name": "photo.png", "mimeType": "image/png", "buffer": artwork.qr_png(ana.code)}
    page.locator("#photo").set_input_files(photo)
    expect(page.locator(".member h1")).to_have_text("Ana Reyes")


def test_the_undo_button_counts_down_and_leaves(browse: Open, ana: Joined) -> None:
    page = to_the_member(browse(), ana)
    page.clock.install()
    page.keyboard.type("1.00")
    page.locator("form.purchase button").click()
    undo = page.locator("form[data-until]")
    expect(undo).to_contain_text(re.compile(r"(10:00|9:5\d)"))
    page.clock.fast_forward(601_000)
    expect(undo).to_have_count(0)


@pytest.mark.check("W-04")
def test_joining_and_the_till_work_without_script(browse: Open, house: Shop) -> None:
    window = browse(java_script_enabled=False)
    page = window.open("/join/copperfinch")
    page.locator("#name").fill("Ana Reyes")
    page.locator("form button[type=submit]").click()
    shown = re.search(r"(?:[2-9C-X]{4}-){3}[2-9C-X]{4}", page.locator("main").text_content() or "")
    assert shown
    page = to_the_till(window, script=False)
    page.locator("#code").fill(shown[0])
    page.locator("form.scan button").click()
    page.locator("#amount").fill("12.40")
    page.locator("form.purchase button").click()
    expect(page.locator("#echo")).to_have_text("$12.40 = 124 beans: press Confirm to book it.")
    page.locator("form.purchase button").click()
    expect(page.locator(".change")).to_contain_text("+124")


# What the tests above look with ------------------------------------------------------------------
