"""The virtual phone's page in a real Chromium: live, accessible, clean under its policy."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import urllib3
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import make_server

from passes.emulators.process import QuietRequests
from tests.emulators.pass_maker import PASS_TYPE, document
from tests.emulators.pass_service import PassService
from tests.emulators.test_phone_page import Desk

pytestmark = pytest.mark.browser

AXE = Path(__file__).resolve().parents[1] / "vendor" / "axe-4.14.1.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    service = PassService()
    with urllib3.PoolManager() as http:
        desk = Desk(service, http)
        server = make_server("127.0.0.1", 0, desk.app, threaded=True, request_handler=QuietRequests)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        desk.address = f"http://127.0.0.1:{server.server_port}"
        desk.phone.add(service.issue())
        yield desk
        server.shutdown()
        server.server_close()
        thread.join(5)
    service.stop()


@pytest.fixture
def page(browser: Browser, desk: Desk) -> Iterator[Page]:
    context = browser.new_context(
        base_url=desk.address,
        viewport={"width": 1280, "height": 960},
        reduced_motion="reduce",
        locale="en-GB",
    )
    opened = context.new_page()
    troubles = watch(opened)
    yield opened
    context.close()
    assert troubles == []


def watch(page: Page) -> list[str]:
    """Whatever the console says against the page's own policy or code."""
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    return troubles


@pytest.mark.check("W-100")
def test_a_push_changes_the_open_card_and_the_lock_screen_within_two_seconds(desk: Desk, page: Page) -> None:
    page.goto(f"/phones/iphone/cards/c-1?type={PASS_TYPE}")
    expect(page.locator(".card").get_by_text("100", exact=True)).to_be_visible()
    desk.service.issue(storeCard=document(beans=224)["storeCard"])
    desk.phone.receive_push(PASS_TYPE)
    expect(page.locator(".card").get_by_text("224", exact=True)).to_be_visible(timeout=2000)
    expect(page.locator(".banner")).to_contain_text("You now have 224 beans")
    expect(page.locator("#spoken")).to_have_text("You now have 224 beans")
    page.get_by_role("link", name="Lock screen").click()
    expect(page.locator(".notice")).to_contain_text("You now have 224 beans")
    desk.service.issue(storeCard=document(beans=224, offer="Cortado")["storeCard"])
    desk.phone.receive_push(PASS_TYPE)
    expect(page.locator(".silent")).to_contain_text(
        "This iPhone stays silent: its owner did not ask for offers.", timeout=2000
    )


def test_a_card_is_added_switched_and_removed_with_the_keyboard_alone(desk: Desk, page: Page) -> None:
    page.goto(f"/add?url={desk.service.issue('c-2')}")
    expect(page.get_by_role("button", name="Add", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{desk.address}/phones/iphone/cards/c-2?type={PASS_TYPE}&new=1")
    page.get_by_role("link", name="Details and settings").focus()
    page.keyboard.press("Enter")
    switch = page.get_by_role("switch", name="Automatic updates")
    expect(switch).to_have_attribute("aria-checked", "true")
    switch.focus()
    page.keyboard.press("Space")
    expect(switch).to_have_attribute("aria-checked", "false")
    assert not desk.phone.card("c-2").registered
    page.get_by_role("button", name="Remove card").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{desk.address}/phones/iphone")
    assert [one.installed.serial for one in desk.phone.cards] == ["c-1"]


def test_focus_and_open_parts_survive_a_refresh(desk: Desk, page: Page) -> None:
    page.goto("/phones/iphone")
    page.get_by_text("Name, language, erase").click()
    page.get_by_role("switch", name="Airplane mode").focus()
    desk.service.issue(storeCard=document(beans=224)["storeCard"])
    desk.phone.receive_push(PASS_TYPE)
    expect(page.locator(".card").get_by_text("224", exact=True)).to_be_visible(timeout=2000)
    expect(page.get_by_role("switch", name="Airplane mode")).to_be_focused()
    expect(page.get_by_label("Name of this phone")).to_be_visible()


def test_without_script_the_refresh_link_does_the_same(browser: Browser, desk: Desk) -> None:
    context = browser.new_context(base_url=desk.address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/phones/iphone")
    desk.service.issue(storeCard=document(beans=224)["storeCard"])
    desk.phone.receive_push(PASS_TYPE)
    page.get_by_role("link", name="Refresh").click()
    expect(page.locator(".card").get_by_text("224", exact=True)).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_screen_is_accessible_and_fits(
    desk: Desk, page: Page, scheme: Literal["light", "dark"], width: int
) -> None:
    desk.service.issue(storeCard=document(beans=224)["storeCard"])
    desk.phone.receive_push(PASS_TYPE)
    desk.service.issue(storeCard=document(beans=224, offer="Cortado")["storeCard"])
    desk.phone.receive_push(PASS_TYPE)
    desk.phones.add("Ben's iPhone")
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})
    card = "/phones/iphone/cards/c-1"
    download = f"{desk.service.url}/download/c-1"
    for path in (
        "/phones/iphone",
        "/phones/iphone/lock",
        card,
        f"{card}/back",
        f"/add?url={download}",
        "/phones/iphone-2",
    ):
        page.goto(path)
        page.evaluate(AXE.read_text("utf-8") + ";1")
        found = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
        broken = [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found["violations"]]
        assert broken == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
