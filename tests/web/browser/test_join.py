"""The join pages in a real Chromium: filled in, handed on to a phone, printed, looked at by axe."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, expect
from sqlalchemy import text

from passes import programmes
from tests.cast import rows
from tests.shop import PASS_TYPE, Shop
from tests.web.browser.window import (
    Open,
    Watched,
    faults,
    too_small,
)
from tests.web.test_join import ANDROID, IPHONE, ask

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHONE = {"width": 360, "height": 740}


def every_state(window: Watched, house: Shop, language: str) -> Iterator[str]:
    """Walk through everything that somebody sees before having a card."""
    page = window.page
    ask(house, phone="optional", email="required", birthday="off")
    window.open(f"/join/copperfinch?lang={language}")
    yield "with a phone number"
    programmes.load(
        house.store,
        name="copperfinch",
        source=programmes.DEMONSTRATION[0].read_text("utf-8"),
        pass_type=PASS_TYPE,
        now=house.now,
    )
    window.open("/join/copperfinch")
    yield "the form"
    page.locator("#email").fill("ana@")
    page.locator("select").first.select_option("2")
    page.locator("form button[type=submit]").click()
    expect(page.locator("#name[aria-invalid=true]")).to_be_focused()
    page.locator(".terms summary").click()
    yield "refused, with the terms"
    window.open("/join/copperfinch/desk/abcdefghijklmnop")
    yield "waiting for the phone"
    window.open("/join/copperfinch/again")
    yield "the way back"
    window.open("/join/nowhere")
    yield "unknown"
    window.open("/join/marginalya/poster?at=alsancak")
    yield "poster"
    window.open("/join/copperfinch/poster")
    yield "poster of any shop"
    window.open("/join/copperfinch/snippet")
    yield "links"
    window.open("/join/marginalya")
    page.locator("#name").fill("İpek Şahin")
    page.locator("form button[type=submit]").click()
    expect(page).to_have_url(re.compile("/card/"))
    window.open("/join/marginalya")
    yield "known"
    ask(house, until="2020-01-01")
    window.open("/join/copperfinch")
    yield "closed"


@pytest.mark.check("W-01", "W-02", "W-08")
@pytest.mark.parametrize(("language", "width"), [("en", 360), ("tr", 360), ("ar-XB", 360), ("ar-XB", 1280)])
def test_every_join_page_is_accessible_quiet_and_fits(
    browse: Open,
    house: Shop,
    language: str,
    width: int,
) -> None:
    window = browse(width=width)
    page = window.page
    wrong: list[str] = []
    for state in every_state(window, house, language):
        wrong += faults(window, state, width=width)
        wrong += too_small(window, state)
        assert page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar-XB" else "ltr")
    assert wrong == []


@pytest.mark.check("W-20")
@pytest.mark.parametrize(("agent", "kind"), [(IPHONE, "apple-front"), (ANDROID, "google-front")])
def test_the_card_shows_the_name_while_it_is_typed(
    browse: Open,
    house: Shop,
    agent: str,
    kind: str,
) -> None:
    page = browse(**PHONE, user_agent=agent).open("/join/copperfinch?lang=en")
    card = page.locator(".likely-card svg")
    expect(card).to_have_attribute("role", "img")
    assert "Finch Club" in card.locator("title").text_content()  # type: ignore[operator]
    assert kind in page.content()
    shown = card.locator("[data-live=name]")
    expect(shown).to_have_text("Your name")
    page.locator("#name").press_sequentially("Ana <b>")
    expect(shown).to_have_text("Ana <b>")
    page.locator("#name").fill("Maximiliane-Charlotte von Wolfenstein-Hohenberg")
    expect(shown).to_have_text(re.compile("^Maximiliane.*…$"))
    assert shown.evaluate("one => one.getComputedTextLength() <= Number(one.dataset.room) + 0.5")
    page.locator("#name").fill("")
    expect(shown).to_have_text("Your name")
    # The form stands before the picture.
    form, picture = page.locator("form").bounding_box(), card.bounding_box()
    assert form
    assert picture
    assert form["y"] + form["height"] <= picture["y"]


@pytest.mark.check("W-18")
def test_a_screen_moves_on_by_itself_when_the_phone_has_the_card(
    browse: Open,
    house: Shop,
) -> None:
    desk = browse(width=1280).open("/join/copperfinch?from=poster&at=lakeview&lang=en")
    picture = Image.open(io.BytesIO(desk.locator(".on-phone").screenshot()))
    (code,) = zxingcpp.read_barcodes(picture)
    # Only one code is to be seen, so nobody scans that of the sample card.
    everything = Image.open(io.BytesIO(desk.screenshot(full_page=True)))
    assert [one.text for one in zxingcpp.read_barcodes(everything)] == [code.text]
    phone = browse(**PHONE, user_agent=IPHONE).open("/join" + code.text.partition("/join")[2])
    phone.locator("#name").fill("Ana")
    phone.locator("form button[type=submit]").click()
    expect(phone).to_have_url(re.compile("/card/"))
    expect(desk.locator("h1")).to_have_text("You are a member")
    house.store.write(lambda work: work.put(text("UPDATE card SET installed_at = issued_at")))
    expect(desk.locator("h1")).to_have_text("Your card is on your phone")
    assert rows(house.store, "joining")[0]["location"] == "lakeview"


def test_the_form_works_without_script_and_by_keyboard(
    chromium: Browser,
    served: str,
    house: Shop,
) -> None:
    context = chromium.new_context(viewport=PHONE, java_script_enabled=False, user_agent=IPHONE)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{served}/join/copperfinch?lang=en")
    page.locator("#name").focus()
    page.keyboard.type("Ana Reyes")
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.locator(":focus").get_attribute("name") or page.locator(":focus").inner_text())
    assert reached == ["email", "birthday_month", "birthday_day", "ring", "Join"]
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/card/"))
    assert [row["name"] for row in rows(house.store, "person")] == ["Ana Reyes"]
    context.close()


@pytest.mark.check("W-12")
def test_an_impatient_finger_joins_once(browse: Open, house: Shop) -> None:
    page = browse(**PHONE).open("/join/copperfinch")
    page.locator("#name").fill("Ana")
    page.locator("form button[type=submit]").dblclick()
    expect(page).to_have_url(re.compile("/card/"))
    assert len(rows(house.store, "member")) == 1


@pytest.mark.check("W-17", "W-19")
@pytest.mark.parametrize(
    ("agent", "words"),
    [(IPHONE, ["Add to Apple Wallet"]), (ANDROID, ["Add to Apple Wallet"]), (None, ["Add to Apple Wallet"])],
)
def test_the_buttons_are_large_and_stand_clear(
    browse: Open,
    house: Shop,
    agent: str | None,
    words: list[str],
) -> None:
    ana = house.join()
    options = {"user_agent": agent} if agent else {}
    page = browse(**PHONE, **options).open(f"/card/{ana.link_secret}?lang=en")
    if page.locator(".other-wallet summary").count():
        page.locator(".other-wallet summary").click()
    shown = page.locator("a.wallet-button:visible")
    assert [one for one in shown.all_inner_texts() if one in words] == words
    boxes = [box for one in shown.all() if (box := one.bounding_box())]
    # As wide as each other, at least 48 high, and nothing within 8 of any.
    assert len({box["width"] for box in boxes}) == 1
    assert all(box["height"] >= 48 for box in boxes)
    near = page.evaluate(
        """() => {
          const seen = (one) => one.checkVisibility() && one.getBoundingClientRect().height;
          const buttons = [...document.querySelectorAll("a.wallet-button")].filter(seen);
          const others = [...document.querySelectorAll("main a, main button, main p, main h2, main summary")]
            .filter(seen);
          const wrong = [];
          for (const button of buttons) {
            const box = button.getBoundingClientRect();
            for (const other of others) {
              if (other.contains(button) || button.contains(other)) continue;
              const near = other.getBoundingClientRect();
              if (near.left < box.right + 7.5 && near.right > box.left - 7.5
                  && near.top < box.bottom + 7.5 && near.bottom > box.top - 7.5)
                wrong.push(other.outerHTML.slice(0, 90));
            }
          }
          return wrong;
        }"""
    )
    assert near == []


@pytest.mark.parametrize(
    ("address", "paper", "inches"),
    [
        ("/join/copperfinch/poster?at=lakeview&lang=en", "A4", (8.27, 11.69)),
        ("/join/marginalya/poster?at=alsancak&lang=tr", "Letter", (8.5, 11)),
        ("/join/copperfinch/poster?lang=tr", "Letter", (8.5, 11)),
    ],
)
def test_a_poster_is_one_sheet_with_a_code_that_can_be_read(
    browse: Open,
    address: str,
    paper: str,
    inches: tuple[float, float],
) -> None:
    page = browse(width=1280).open(address)
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": int(inches[0] * 96), "height": int(inches[1] * 96)})
    printed = Image.open(io.BytesIO(page.screenshot()))
    (code,) = zxingcpp.read_barcodes(printed)
    assert "/join/" in code.text
    assert "from=poster" in code.text
    # Large enough to be read from a queue: seven centimetres.
    corners = code.position
    assert abs(corners.top_right.x - corners.top_left.x) / 96 * 2.54 >= 6.5
    document = page.pdf(format=paper)
    assert re.search(rb"/Type\s*/Pages[^>]*/Count 1\b|/Count 1\b[^>]*/Type\s*/Pages", document)
    cut = page.evaluate(
        """() => [...document.querySelectorAll(".poster h2, .poster p, .poster li, .poster .qr svg")]
          .filter((one) => {
            const box = one.getBoundingClientRect();
            return box.right > innerWidth + 1 || box.left < -1 || box.bottom > innerHeight + 1;
          }).length"""
    )
    assert cut == 0


def test_links_are_copied_with_a_word(browse: Open, served: str) -> None:
    window = browse(width=1280, permissions=["clipboard-read", "clipboard-write"])
    page = window.open("/join/copperfinch/snippet?lang=en")
    page.locator("[data-copy]").first.click()
    expect(page.locator("[data-copied]")).to_have_text("Copied")
    copied: str = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{served}/join/copperfinch?from=link&utm_source=website"
