"""A day at the till on a phone: what is pressed stays within reach, names stay whole, good news is told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Locator, Page, expect

from passes.enrolment import Joined
from passes.loyalty.basket import Line
from tests.shop import BOOKS, Shop
from tests.web.browser.test_till_app import at_the_till, box, menu, scan, shows, slot
from tests.web.browser.window import Open

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAMES = (
    "Maximiliana Featherstonehaugh-Cholmondeley Wu",
    "عبد الرحمن بن محمد الخوارزمي القرطبي",
    "Müzeyyen Gülümser Çöğüşoğullarından Kahramanmaraşlı",
)

# Words, as lines may end after each of them, that stand on more than one line.
BROKEN = """(name) => {
  const broken = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data, parentElement: place } = walker.currentNode;
    if (!data.includes(name) || !place.checkVisibility()) continue;
    if (place.closest("option, .visually-hidden")) continue;
    for (const word of data.matchAll(/[^\\s-]+-?/gu)) {
      const range = document.createRange();
      range.setStart(walker.currentNode, word.index);
      range.setEnd(walker.currentNode, word.index + word[0].length);
      const boxes = [...range.getClientRects()].filter((box) => box.width > 1);
      const lines = new Set(boxes.map((box) => Math.round(box.top)));
      if (lines.size > 1) broken.push(`${word[0]} in ${place.parentElement.outerHTML.slice(0, 120)}`);
    }
  }
  return broken;
}"""
# What a finger in the middle of it would touch.
TOUCHED = """(button) => {
  const box = button.getBoundingClientRect();
  const found = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  return button.contains(found) && box.bottom <= innerHeight && box.top >= 0;
}"""
# Whether something lies over the end of what scrolls, once it was scrolled to its end.
COVERED = """(button) => {
  window.scrollTo(0, document.documentElement.scrollHeight);
  const bar = button.parentElement.getBoundingClientRect();
  const lies = ({ bottom, top }) => bottom > bar.top + 1 && top < bar.bottom - 1;
  return [...document.querySelectorAll("main button, main input, main label, main li")]
    .filter((one) => !button.parentElement.contains(one) && !one.closest(".customer-info"))
    .filter((one) => one.checkVisibility() && lies(one.getBoundingClientRect()))
    .map((one) => one.outerHTML.slice(0, 80));
}"""


@pytest.fixture
def now() -> datetime:
    """The clock of the browser, which counts down by it."""
    return datetime.now(UTC)


def in_reach(button: Locator) -> bool:
    """Whether it is all on the screen, with nothing over it."""
    reached: bool = button.evaluate(TOUCHED)
    return reached


# A phone's small screen, an even smaller one, a tablet upright, a counter PC.
SIZES = ((360, 740), (360, 600), (768, 1024), (1280, 720))


def test_confirm_stays_within_reach_item_by_item(browse: Open, ana: Joined) -> None:
    page = at_the_till(browse(width=360, height=740))
    scan(page, ana.code)
    slot(page, "byLines").click()
    expect(slot(page, "total")).to_have_text("No items yet: type a price.")
    for price in ("4", "12.50", "3", "7"):
        page.keyboard.type(price)
        page.keyboard.press("Enter")
    expect(slot(page, "total")).to_have_text("4 items: $26.50")
    expect(slot(page, "quote")).to_have_text("= 265 beans")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("window.scrollTo(0, 0)")
        assert in_reach(slot(page, "confirm")), (width, height)
        assert slot(page, "confirm").evaluate(COVERED) == [], (width, height)
        assert in_reach(slot(page, "confirm")), (width, height)
    # What was added last, and what it all comes to, is what one sees above the keys.
    page.set_viewport_size({"width": 360, "height": 740})
    slot(page, "lines").get_by_role("button", name="Remove").last.click()
    expect(slot(page, "total")).to_have_text("3 items: $19.50")
    assert slot(page, "total").evaluate(TOUCHED.replace("button.contains(found)", "found === button"))
    page.keyboard.press("Enter")
    shows(page, "receipt")
    expect(slot(page, "change")).to_have_text("+195 beans")


def whole_words(page: Page, name: str, where: str) -> list[str]:
    """Where a part of the name is broken, on phones of two sizes."""
    broken = []
    for width in (320, 360):
        page.set_viewport_size({"width": width, "height": 740})
        broken += [f"{where}, {width}: {one}" for one in page.evaluate(BROKEN, name)]
    assert page.get_by_text(name).count(), f"{where} does not name anybody"
    return broken


@pytest.mark.parametrize("name", NAMES)
def test_no_name_breaks_in_the_middle_of_a_word(browse: Open, house: Shop, name: str) -> None:
    joined = house.join(name)
    house.buy(joined.code, 54_00)
    page = at_the_till(browse(width=360, height=740))
    scan(page, joined.code)
    broken = whole_words(page, name, "member")
    page.locator(".ready-button").first.click()
    expect(box(page)).to_be_visible()
    broken += whole_words(page, name, "question")
    box(page).get_by_role("button", name="Redeem").click()
    shows(page, "receipt")
    broken += whole_words(page, name, "receipt")
    slot(page, "next").click()
    shows(page, "scan")
    broken += whole_words(page, name, "scan")
    slot(page, "search").click()
    page.locator("#find").fill(name[:5])
    expect(box(page).locator("li")).to_have_count(1)
    broken += whole_words(page, name, "search")
    page.keyboard.press("Escape")
    expect(box(page)).to_have_count(0)
    scan(page, joined.code)
    page.keyboard.type("1234.50")
    page.locator("#amount").fill("150")
    page.keyboard.press("Enter")
    shows(page, "receipt")
    broken += whole_words(page, name, "receipt of a purchase")
    menu(page, "mine")
    expect(slot(page, "rows")).to_be_visible()
    broken += whole_words(page, name, "my bookings")
    slot(page, "rows").get_by_role("button", name="Undo").first.click()
    broken += whole_words(page, name, "undo")
    page.keyboard.press("Escape")
    menu(page, "return")
    expect(slot(page, "recent").get_by_role("button").first).to_be_visible()
    broken += whole_words(page, name, "return")
    page.keyboard.press("Escape")
    shows(page, "scan")
    page.context.set_offline(True)
    scan(page, joined.code)
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    shows(page, "receipt")
    menu(page, "attention")
    broken += whole_words(page, name, "queue")
    assert broken == []


def news(page: Page) -> list[str]:
    """What the receipt tells besides points."""
    return slot(page, "news").locator("li").all_inner_texts()


def book(page: Page, amount: str) -> None:
    """A purchase of whoever is shown."""
    page.locator("#amount").fill(amount)
    expect(slot(page, "confirm")).to_be_enabled()
    page.keyboard.press("Enter")
    shows(page, "receipt")
    page.locator(".booked").click()


def test_a_receipt_says_what_a_purchase_reached(browse: Open, house: Shop, ana: Joined) -> None:
    page = at_the_till(browse(width=360, height=740))
    scan(page, ana.code)
    # 640 beans, and 54.00 spent this year.
    book(page, "1")
    assert news(page) == []
    slot(page, "same").click()
    book(page, "16")
    assert news(page) == ["Any drink is ready now"]
    slot(page, "same").click()
    book(page, "180")
    assert news(page) == ["Ana reached Flight", "Bag of beans is ready now"]
    expect(page.locator("#said")).to_contain_text("Ana reached Flight")
    # Undone, it was not reached.
    slot(page, "undo").click()
    expect(page.locator("#screen h1")).to_have_text("Undone")
    assert not slot(page, "news").is_visible()


def test_a_receipt_says_that_a_stamp_card_is_full_and_what_was_theirs_costs_nothing(
    browse: Open, house: Shop
) -> None:
    deniz = house.join("Deniz Aydın", BOOKS)
    for _ in range(9):
        house.buy(deniz.code, 90_00, BOOKS, lines=[Line(quantity=1, unit_minor=90_00, category="book")])
    page = at_the_till(browse(width=360, height=740, locale="tr-TR"), f"{BOOKS}/alsancak", "dee")
    scan(page, deniz.code)
    expect(slot(page, "facts")).to_contain_text("9 / 10")
    slot(page, "byLines").click()
    page.keyboard.type("80")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    shows(page, "receipt")
    page.locator(".booked").click()
    assert "Damga kartı doldu: 10. kitap hazır" in news(page)
    slot(page, "same").click()
    page.locator(".ready-button", has_text="10. kitap").click()
    box(page).get_by_role("button", name="Kullan").click()
    shows(page, "receipt")
    expect(slot(page, "note")).to_have_text("Zaten kazanılmıştı; puan harcanmadı.")
    expect(slot(page, "change")).to_be_hidden()
