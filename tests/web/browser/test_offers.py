"""The marketer's page of offers in a real Chromium, with what a member sees beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from passes import campaigns
from passes.enrolment import Joined
from passes.programmes import load
from tests.cast import PHONE, Card, PushService, an_install, deliver
from tests.shop import COFFEE, KEYS, PASS_TYPE, Shop
from tests.test_campaigns import ASKED, offer_file, programme_file
from tests.web.browser.window import Open, Watched, faults, plain_english, too_small
from tests.web.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# A page that was answered slowly asks more rarely: after ten times as long.
PATIENCE_MS = 60_000

OWN_WORDS = "Finch|Maple|Mo|Perch|Flight|Copper|West|Wicker|Lakeview|iPhone|Android|Only now|My phone"


@pytest.fixture
def ana(house: Shop) -> Joined:
    """The regular, whose phone may ring, with her card on an iPhone; and Ben, who did not ask."""
    load(house.store, name=COFFEE, source=programme_file(), pass_type=PASS_TYPE, now=house.now)
    ana, ben = house.join("Ana Reyes", consents=ASKED), house.join("Ben Novak")
    house.store.write(lambda work: work.put(text("UPDATE member SET holdout = :no"), no=False))
    for number, joined in enumerate((ana, ben)):
        token = KEYS.token(KEYS.current_id, PASS_TYPE, joined.serial)
        card = Card(joined.programme_id, joined.member_id, joined.card_id, joined.serial, joined.code, token)
        an_install(house, card, phone=f"{number}{PHONE[1:]}", push_token=f"{number}" * 64)
    deliver(house, PushService())
    return ana


def sign_in(window: Watched, language: str = "en") -> Page:
    """Mo signs in to the console."""
    page = window.open(f"/console/sign-in?lang={language}")
    page.locator("#login").fill("mo")
    page.locator("#password").fill(PASSWORD)
    page.locator("form button[type=submit]").click()
    expect(page.locator(".offers-head h1")).to_be_visible()
    return page


def fill_in(page: Page) -> None:
    for name, words in (
        ("title.en", "Maple Cortado is back"),
        ("title.tr", "Akçaağaçlı Cortado döndü"),
        ("text.en", "{offer.points} extra beans."),
        ("text.tr", "{offer.points} ekstra çekirdek."),
        ("points", "50"),
        ("ends", "2026-03-22T20:00"),
    ):
        page.locator(f"[id='{name}']").fill(words)
    expect(page.locator("input[name=by_day]")).to_be_hidden()
    page.locator("input[name=rings]").check()
    # The tests' shop is looked at before dawn.
    page.locator("input[name=by_day]").uncheck()


def every_page(window: Watched, house: Shop, language: str) -> Iterator[str]:
    """Walk through the console and stop at every page and state worth looking at."""
    page = sign_in(window, language)
    yield "no offers"
    window.open("/console/offers/new")
    page.locator("input[value=tiers]").check()
    yield "new"
    page.locator("button.big").click()
    expect(page.locator("[id='title.en']")).to_be_focused()
    yield "new, refused"
    fill_in(page)
    page.locator("input[value=all]").check()
    page.locator("button.big").click()
    expect(page.locator("form.publish")).to_be_visible()
    yield "draft"
    draft = page.url
    window.open("/console/offers/file")
    page.locator("button.big").click()
    expect(page.locator("[role=alert]")).to_be_visible()
    yield "file, refused"
    page.goto(draft)
    page.locator("form.publish button").click()
    expect(page.locator("[data-progress]")).to_be_visible()
    page.locator(".offer-do details.ask summary").first.click()
    yield "running, about to be paused"
    campaigns.run_due(house.store, now=house.now)
    expect(page.locator("[data-progress] .wallets")).to_be_visible(timeout=PATIENCE_MS)
    page.locator("details.stop summary").click()
    yield "on its way"
    window.open("/console/offers")
    yield "all offers"
    window.open("/console/programme")
    yield "programmes"


@pytest.mark.check("W-01", "W-08", "W-09")
@pytest.mark.parametrize(("language", "width"), [("en", 360), ("ar-XB", 1280), ("tr", 360)])
def test_every_page_of_the_console_is_accessible_and_fits(
    browse: Open,
    house: Shop,
    ana: Joined,
    language: str,
    width: int,
) -> None:
    window = browse(width=width)
    wrong: list[str] = []
    for state in every_page(window, house, language):
        wrong += faults(window, state, width=width)
        wrong += too_small(window, state, but_for=".skip, .alert, p, li > a")
    assert wrong == []


@pytest.mark.check("W-10")
def test_the_console_speaks_no_plain_english_in_a_made_up_language(
    browse: Open,
    house: Shop,
    ana: Joined,
) -> None:
    window = browse(width=360)
    wrong: list[str] = []
    for state in every_page(window, house, "en-XA"):
        wrong += plain_english(
            window,
            state,
            where="h1, h2, label, button, summary, .lead, .hint, figcaption, a.button",
            own_words=OWN_WORDS,
        )
    assert wrong == []


def test_the_form_counts_letters_while_they_are_typed(browse: Open, ana: Joined) -> None:
    window = browse()
    sign_in(window)
    page = window.open("/console/offers/new")
    counter = page.locator("[data-counts='title.en']")
    page.locator("[id='title.en']").fill("Şöför")
    expect(counter).to_have_text("5 / 40")
    page.locator("[id='title.en']").fill("x" * 41)
    expect(counter).to_have_text("41 / 40")
    expect(counter).to_have_class("letters over")
    expect(page.locator("#factor")).to_be_hidden()
    page.locator("input[value=points_times]").check()
    expect(page.locator("#factor")).to_be_visible()
    expect(page.locator("#points")).to_be_hidden()


@pytest.mark.check("L-85")
def test_an_offer_is_published_watched_seen_on_the_web_card_and_ended(
    browse: Open,
    house: Shop,
    ana: Joined,
) -> None:
    window, member = browse(width=1280), browse()
    sign_in(window)
    page = window.open("/console/offers/new")
    fill_in(page)
    page.locator("button.big").click()
    expect(page.locator(".reach")).to_contain_text("1 iPhone rings: its owner asked for it")
    expect(page.locator(".reasons")).to_contain_text(
        "1 phone stays silent: its owner did not ask for offers."
    )
    expect(page.locator(".faces svg")).to_have_count(4)
    card = member.open(f"/card/{ana.link_secret}")
    assert "Maple Cortado is back" not in card.content()

    page.locator("form.publish button").dblclick()
    bar = page.locator("[data-progress]")
    expect(bar).to_contain_text("It sets out to the cards.")
    campaigns.run_due(house.store, now=house.now)
    # Nobody loads the page again: the bar follows by itself.
    expect(bar).to_contain_text("0 / 2", timeout=PATIENCE_MS)
    deliver(house, PushService())
    expect(bar).to_contain_text("Every phone was told.", timeout=PATIENCE_MS)
    expect(bar).to_contain_text("2 / 2", timeout=PATIENCE_MS)
    assert "Maple Cortado is back" in member.open(f"/card/{ana.link_secret}").content()

    # Two clicks, here with the keyboard.
    end = page.locator(".offer-do summary", has_text="End")
    end.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".badge", has_text="Over")).to_be_visible()
    assert "Maple Cortado is back" not in member.open(f"/card/{ana.link_secret}").content()


def test_the_page_works_without_script(browse: Open, house: Shop, ana: Joined) -> None:
    window = browse(java_script_enabled=False)
    sign_in(window)
    values: dict[str, Any] = {"programme": COFFEE, "now": house.now}
    campaigns.plan(house.store, name="maple", source=offer_file(), **values)
    campaigns.publish(house.store, key="maple", **values)
    page = window.open("/console/offers/maple")
    page.locator("details.ask", has_text="Pause").locator("summary").last.click()
    page.get_by_role("button", name="Yes, pause it").click()
    expect(page.locator(".badge", has_text="Paused")).to_be_visible()
    page.get_by_role("link", name="Look again").click()
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".badge", has_text="Planned")).to_be_visible()
