"""The virtual phones in a real Chromium, on the whole product in its own processes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.shop import COFFEE
from tests.stories.town import Town, at_the_till, browser, join, until
from tests.web.visitor import Page as Answer
from tests.web.visitor import Visitor

pytestmark = [pytest.mark.story, pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def town(sqlite_url: str, tmp_path: Path) -> Iterator[Town]:
    """One engine is enough to look at phones."""
    built = Town(sqlite_url, tmp_path)
    yield built
    built.stop()


@pytest.fixture
def chromium(chromium: Browser) -> Iterator[Browser]:
    """The windows of a test are closed with it."""
    before = chromium.contexts
    yield chromium
    for context in chromium.contexts:
        if context not in before:
            context.close()


def put_on(town: Town, chromium: Browser, phone: str, link: str) -> Page:
    """Paste the card's link into the page of a phone and accept the sheet; the page with the card."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{town.phone_url}/phones/{phone}")
    page.get_by_label("Add a card").fill(link)
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".front .card").get_by_text("100", exact=True)).to_be_visible()
    return page


def photographed(cashier: Visitor, page: Page) -> Answer:
    """The till in another window takes a photo of this one."""
    scan = cashier.get("/till/")
    return cashier.send(scan.form("photo"), files={"photo": (io.BytesIO(page.screenshot()), "photo.png")})


def buy(cashier: Visitor, member: Answer, amount: str) -> None:
    page = cashier.send(member.form("amount"), amount=amount)
    if "/done/" not in page.address:
        page = cashier.send(page.form("amount"))
    assert "/done/" in page.address, page.text


@pytest.mark.check("W-99", "W-101", "W-102", "W-103")
def test_a_card_lives_on_both_phones_from_joining_to_removal(town: Town, chromium: Browser) -> None:
    town.run("demo")
    town.start("serve", "worker", "emulate")
    _, card = join(town, "Ana Reyes")
    link = town.web_url + card.address
    pages = {phone: put_on(town, chromium, phone, link) for phone in ("iphone", "android")}

    code = town.phone()["cards"][0]["barcode"]["message"]

    # The calls of a real phone: registered, asked what changed, asked for the card.
    spoken = [(one["method"], one["status"]) for one in town.requests() if "/v1/" in one["path"]]
    assert spoken == [("POST", 201), ("GET", 200), ("GET", 304)]
    # Google's side: the card is held, and the shop was told so.
    told = town.requests("android")
    until(
        lambda: [one for one in town.requests("android") if one.get("outcome") == "taken"],
        what="the callback of the saved card",
    )
    assert any(
        one["path"].endswith("/loyaltyObject") and one["status"] == 200 for one in told if "path" in one
    )

    cashier = at_the_till(browser(town.web_url))
    # The same amount again would be asked about; 12.45 is as many beans.
    for beans, phone, amount in ((224, "iphone", "12.40"), (348, "android", "12.45")):
        pages[phone].get_by_role("link", name="Hold to till").first.click()
        expect(pages[phone].get_by_role("heading", name="Hold this to the till")).to_be_visible()
        member = photographed(cashier, pages[phone])
        assert "Ana Reyes" in member.text
        buy(cashier, member, amount)
        for page in pages.values():
            expect(page.locator(".front .card").get_by_text(str(beans), exact=True)).to_be_visible()
        pages[phone].get_by_role("link", name="Done").click()

    def notices(phone: str) -> int:
        return len(town.phone(phone)["notices"])

    before = {phone: notices(phone) for phone in pages}
    for page in pages.values():
        page.get_by_role("switch", name="Airplane mode").click()
        expect(page.get_by_role("switch", name="Airplane mode")).to_have_attribute("aria-checked", "true")
    member = photographed(cashier, pages["iphone"])
    buy(cashier, member, "1.00")
    buy(cashier, photographed(cashier, pages["android"]), "1.05")
    until(lambda: any(one["status"] == 200 for one in town.pushes()[2:]), what="a push for the absent phone")
    for phone, page in pages.items():
        expect(page.locator(".front .card").get_by_text("348", exact=True)).to_be_visible()
        assert notices(phone) == before[phone]
    for phone, page in pages.items():
        page.get_by_role("switch", name="Airplane mode").click()
        expect(page.locator(".front .card").get_by_text("368", exact=True)).to_be_visible()
        assert notices(phone) == before[phone] + 1

    for phone, page in pages.items():
        page.get_by_role("link", name="Details and settings").click()
        page.get_by_role("button", name="Remove card").click()
        expect(page.get_by_text("No cards yet")).to_be_visible()
        assert town.phone(phone)["cards"] == []
    assert [one["status"] for one in town.requests() if one["method"] == "DELETE"] == [200]
    until(
        lambda: (
            [one for one in town.requests("android") if one.get("event") == "del"][-1]["outcome"] == "taken"
        ),
        what="the callback of the deleted card",
    )

    # What the owner of the shop reads of it in the console.
    owner = browser(town.web_url)
    door = next(form for form in owner.get("/").forms if form.values.get("role") == "marketer")
    owner.send(door, role="owner", programme=COFFEE)
    story = owner.get(f"/console/hood?code={code}").text
    for wallet in ("Apple Wallet", "Google Wallet"):
        assert f"Put into {wallet}" in story
        assert f"Taken out of {wallet}" in story
