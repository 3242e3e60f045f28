"""A guest claims a sale and asks for a one-time code, in a real Chromium, looked at by axe."""

from __future__ import annotations

from playwright.sync_api import expect

from passes import checkout
from passes.store import programmes
from tests.shop import COFFEE, KEYS, TILL, Shop
from tests.web.browser.window import Open, faults, too_small


def test_a_guest_joins_through_a_receipt_and_shows_a_code(browse: Open, house: Shop) -> None:
    sale = checkout.sale(house.store, programme=COFFEE, amount_minor=900, key="guest", at=TILL, now=house.now)
    with house.store.read() as read:
        programme_id = programmes.by_slug(read, COFFEE).id
    claim = f"{sale.id}.{KEYS.claim_proof(programme_id, sale.id)}"
    window = browse(width=360)
    page = window.open(f"/join/{COFFEE}?claim={claim}")
    wrong = faults(window, "join with a receipt", width=360)
    page.locator("#name").fill("Ana Reyes")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("status").filter(has_text="The points of your purchase")).to_be_visible()
    wrong += faults(window, "claimed", width=360)
    window.open(f"/join/{COFFEE}?claim={claim}")
    wrong += faults(window, "claimed before", width=360)
    page.get_by_role("link", name="Open my card").click()
    page.get_by_role("link", name="One-time code for the till").click()
    wrong += faults(window, "code", width=360) + too_small(window, "code")
    page.get_by_role("button", name="Show my code").click()
    expect(page.locator(".one-time")).to_be_visible()
    wrong += faults(window, "code shown", width=360) + too_small(window, "code shown")
    assert wrong == []
