"""The API's reference and the console's keys in a real Chromium: searched, copied, counted down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from passes import access
from passes.access import Grant, Role
from tests.shop import COFFEE, Shop
from tests.web.browser.window import Open, faults, too_small
from tests.web.conftest import CHEAP, PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.check("W-94")
def test_the_reference_is_searched_copied_and_readable_by_everybody(browse: Open) -> None:
    window = browse(width=1280, permissions=["clipboard-read", "clipboard-write"])
    page = window.open("/api/")
    wrong = faults(window, "reference", width=1280)
    # Links within sentences and headings are as high as their line.
    wrong += too_small(window, "reference", but_for=".skip, .fields, .panel p, h4, dd")
    assert wrong == []

    search = page.get_by_label("Find an operation")
    entries = page.locator(".index [data-find]:visible")
    everything = entries.count()
    search.fill("undo receipt")
    expect(entries).to_have_count(1)
    search.press("Enter")
    page.wait_for_url("**#undoReceipt")
    expect(page.locator("#undoReceipt")).to_be_in_viewport()
    search.fill("no such thing")
    expect(page.locator("[data-found]")).to_have_text("Nothing is called that here.")
    search.fill("")
    assert entries.count() == everything

    article = page.locator("#bookPurchase")
    article.get_by_role("button", name="Copy").first.click()
    expect(article.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl ")
    assert "Idempotency-Key: order-1047" in copied


def test_the_reference_is_whole_without_script(browse: Open) -> None:
    page = browse(width=360, height=800, java_script_enabled=False).open("/api/#bookPurchase")
    expect(page.locator("#bookPurchase")).to_be_in_viewport()
    expect(page.locator("[data-filter]")).to_be_hidden()
    assert page.locator("[data-copy]:visible").count() == 0


@pytest.mark.check("W-90")
def test_a_key_is_copied_revoked_and_taken_back_while_the_seconds_run(browse: Open, house: Shop) -> None:
    access.add_staff(
        house.store,
        login="ola",
        name="Ola",
        password=PASSWORD,
        grants=[Grant(COFFEE, Role.OWNER)],
        now=house.now,
        cost=CHEAP,
    )
    window = browse(permissions=["clipboard-read", "clipboard-write"])
    page = window.open("/console/sign-in")
    page.fill("[name=login]", "ola")
    page.fill("[name=password]", PASSWORD)
    page.locator("main button[type=submit]").click()
    page.wait_for_url("**/console/")
    page.clock.install()
    window.open("/console/keys/")
    wrong = faults(window, "no keys", width=412)
    page.fill("#name", "Counter 1")
    page.get_by_role("button", name="Make the key").click()
    shown = page.locator("#secret")
    expect(shown).to_be_visible()
    wrong += faults(window, "a new key", width=412) + too_small(window, "a new key", but_for=".skip, .lead")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == shown.text_content()
    # The page's clock stands still, however long the machine takes.
    page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))
    page.get_by_role("button", name="Revoke Counter 1").click()
    notice = page.locator("[data-seconds]")
    expect(notice.locator("[data-left]")).to_have_text("10")
    page.clock.run_for(1500)
    expect(notice.locator("[data-left]")).to_have_text("9")
    notice.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("In force")).to_be_visible()
    page.get_by_role("button", name="Revoke Counter 1").click()
    expect(notice.get_by_role("button", name="Undo")).to_be_visible()
    page.clock.resume()  # axe needs it
    wrong += faults(window, "revoked", width=412)
    assert wrong == []
    page.clock.run_for(10_000)
    expect(notice.get_by_role("button", name="Undo")).to_have_count(0)
