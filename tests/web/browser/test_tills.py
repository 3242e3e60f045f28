"""The owner's page of tills, and pairing and opening one, in a real Chromium."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import text

from passes import access, tills
from passes.access import Grant, Role
from tests.shop import COFFEE, Shop
from tests.web.browser.window import Open, Watched, faults, plain_english, too_small
from tests.web.conftest import CHEAP, PASSWORD
from tests.web.test_till_pairing import give_pin

PIN = "4826"
_TILL = text("SELECT id, programme_id FROM till")
# Where somebody wants to look at the pages themselves.
PICTURES = os.environ.get("PICTURES")
_OWN_WORDS = "Olive|Front|Cy|Mo|cy|mo|olive|Ana|West|Wicker|Lakeview|Copperfinch"


@pytest.fixture
def olive(house: Shop) -> Shop:
    """The coffee shop with its owner."""
    access.add_staff(
        house.store,
        login="olive",
        name="Olive",
        password=PASSWORD,
        grants=[Grant(COFFEE, Role.OWNER)],
        now=house.now,
        cost=CHEAP,
    )
    give_pin(house, "cy", PIN)
    return house


def states(owner: Watched, device: Watched, house: Shop, language: str) -> Iterator[tuple[str, Watched]]:
    """Everything from the first till to the last decision, one state after the other."""
    page = owner.open(f"/console/sign-in?lang={language}")
    page.locator("#login").fill("olive")
    page.locator("#password").fill(PASSWORD)
    page.locator("main button").click()
    page.wait_for_url("**/console/")
    yield "the overview", owner
    owner.open("/console/tills/")
    yield "no tills", owner
    page.locator("#name").fill("Front")
    page.locator("form:has(#name) button").click()
    expect(page.locator(".spoken")).to_be_visible()
    yield "waiting", owner
    code = page.locator(".spoken").inner_text()

    there = device.open(f"/till/pair?lang={language}")
    there.locator("#code").fill("2222-2222")
    there.locator("main button").click()
    expect(there.locator(".alert")).to_be_visible()
    yield "a wrong code", device
    there.locator("#code").fill(code)
    there.locator("main button").click()
    there.wait_for_url("**/till/app")
    device.open("/till/sign-in")
    yield "who", device
    there.locator("a.choice", has_text="Cy").click()
    yield "pin", device
    there.locator("#pin").fill("9021")
    there.locator("main button").click()
    expect(there.locator(".alert")).to_be_visible()
    yield "a wrong pin", device
    there.locator("#pin").fill(PIN)
    there.locator("main button").click()
    there.wait_for_url(lambda address: "sign-in" not in address)

    with house.store.read() as read:
        till = read.ask(_TILL).one()
    assert till is not None
    for number, why in enumerate(("sequence_clash", "till_revoked", "person_never_here")):
        tills.keep(
            house.store,
            programme_id=till.programme_id,
            till_id=till.id,
            key=f"item-{number:06}",
            operation="bookPurchase",
            content={"item": {"body": {"amount_minor": 1240}}},
            person="cy",
            why=why,
            occurred_at=house.now - timedelta(hours=number),
            now=house.now,
        )
    owner.open("/console/tills/")
    yield "paired", owner
    page.locator(".ask summary.danger").first.click()
    yield "asked before blocking", owner
    page.locator(".ask[open] button").click()
    expect(page.locator(".badge.bad")).to_be_visible()
    person = page.locator("li:has(#pin-1)")
    person.locator("summary").first.click()
    person.locator("[name=pin]").fill("1234")
    person.locator("[name=pin]").press("Enter")
    expect(page.locator("[name=pin][aria-invalid=true]")).to_be_focused()
    yield "a weak pin", owner
    page.locator("summary", has_text="PIN").or_(page.locator(".offer-do summary")).last.click()
    yield "blocked", owner


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("ar-XB", 412)])
def test_an_owner_sets_up_pairs_and_blocks_a_till(
    browse: Open, olive: Shop, language: str, width: int
) -> None:
    owner, device = browse(width=width), browse(width=width)
    wrong: list[str] = []
    for state, window in states(owner, device, olive, language):
        if PICTURES:
            picture(window, f"{state}-{language}-{width}")
        wrong += faults(window, state, width=width)
        wrong += too_small(window, state, least=44 if window is owner else 56)
    assert wrong == []
    # Open pages of the blocked till are of no use any more.
    device.open("/till/")
    assert device.page.url.endswith("/till/sign-in")


@pytest.mark.check("W-10")
def test_nothing_of_it_is_plain_english_in_a_made_up_language(browse: Open, olive: Shop) -> None:
    owner, device = browse(width=320), browse(width=320)
    wrong: list[str] = []
    for state, window in states(owner, device, olive, "en-XA"):
        wrong += plain_english(window, state, own_words=_OWN_WORDS)
    assert wrong == []


def picture(window: Watched, name: str) -> None:
    for scheme in ("light", "dark"):
        window.page.emulate_media(color_scheme=scheme)
        window.page.screenshot(path=Path(PICTURES or "") / f"{name}-{scheme}.png", full_page=True)
