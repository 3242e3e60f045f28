"""The owner's pages of other makers' registers in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from passes import access, registers
from passes.access import Grant, Role
from passes.registers import Kind, shopify
from passes.wiring import register_books
from tests.registers.makers import SHOPIFY_SECRET, as_body, shopify_line, shopify_order, shopify_refund
from tests.shop import COFFEE, KEYS, Shop
from tests.web.browser.window import Open, Watched, faults, too_small
from tests.web.conftest import CHEAP, PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def shop(house: Shop) -> Shop:
    """With an owner."""
    grants = [Grant(COFFEE, Role.OWNER)]
    access.add_staff(
        house.store, login="bo", name="Bo", password=PASSWORD, grants=grants, now=house.now, cost=CHEAP
    )
    return house


def hear(shop: Shop, number: int) -> None:
    """An order that is booked, one at a location nobody knows, and a refund that waits."""
    register = registers.opened(
        shop.store, KEYS, programme=COFFEE, kind=Kind.SHOPIFY, register_id=number, now=shop.now
    )
    for message in (
        shopify_order([shopify_line(1, "12.00")], "12.00", location_id=655441491),
        shopify_order([shopify_line(1, "5.00")], "5.00", order=2, location_id=655441492),
        shopify_refund({1: 1}, "9.00", order=3),
    ):
        body = as_body(message)
        registers.take(
            shop.store,
            register,
            shopify.read(body),
            key=registers.digest(body),
            books=register_books(),
            now=shop.now,
        )


def every_page(window: Watched, shop: Shop, language: str) -> Iterator[str]:
    """Walk through and stop at every page and state worth looking at."""
    page = window.open(f"/console/sign-in?lang={language}")
    page.locator("#login").fill("bo")
    page.locator("#password").fill(PASSWORD)
    page.locator("form button[type=submit]").click()
    window.open("/console/registers/")
    yield "none yet"
    page.locator("#name").fill("Online shop")
    page.locator("#secret").fill("short")
    page.locator("main form button[type=submit]").click()
    expect(page.locator(".alert")).to_be_visible()
    yield "a secret that is none"
    page.locator("#secret").fill(SHOPIFY_SECRET)
    page.locator("main form button[type=submit]").click()
    expect(page.locator("#address")).to_have_value(re.compile(f"/registers/shopify/{COFFEE}/[0-9]+$"))
    yield "just added"
    (register,) = registers.every(shop.store, KEYS, programme=COFFEE)
    page.locator("#locations").fill("655441491 = west-loop")
    page.locator("form:has(#locations) button").click()
    hear(shop, register.id)
    window.open(f"/console/registers/{register.id}")
    expect(page.locator("#messages li")).to_have_count(3)
    yield "messages"
    page.locator(".ask summary.danger").click()
    yield "about to remove"
    page.keyboard.press("Escape")
    window.open("/console/registers/")
    yield "all of them"


@pytest.mark.parametrize(("language", "width"), [("en", 360), ("ar-XB", 1280)])
def test_every_page_of_other_registers_is_accessible_and_fits(
    browse: Open, shop: Shop, language: str, width: int
) -> None:
    window = browse(width=width)
    wrong: list[str] = []
    for state in every_page(window, shop, language):
        wrong += faults(window, state, width=width)
        wrong += too_small(window, state, but_for=".skip, .alert, p")
    assert wrong == []
