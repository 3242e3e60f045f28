"""The till without network: what it books is written down first, and delivered once, in order."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from passes import membership, tills
from passes.access import pins
from passes.enrolment import Joined
from passes.web.till import shell
from tests.cast import rows
from tests.shop import COFFEE, KEYS, Shop
from tests.web.browser.hand_scanner import scan
from tests.web.browser.till import FULL, QUEUE, ROOM, call, come_to_work, lost
from tests.web.browser.window import FLAGS, Open, Watched, faults, too_small
from tests.web.conftest import CHEAP

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def begin(window: Watched, house: Shop) -> Page:
    """The app with somebody signed in, on a device whose clock is right, kept by its worker."""
    come_to_work(window, house)
    page = window.open("/till/app")
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    page.reload()
    expect(page.get_by_role("button", name="Scan a card")).to_be_visible()
    return page


def enter(page: Page, amount: str) -> None:
    """Type an amount and confirm it."""
    page.locator("[data-amount]").fill(amount)
    page.get_by_role("button", name="Confirm").click()


@pytest.fixture
def today(house: Shop) -> None:
    """Let the pages' clock show what the browser's does."""
    house.now = datetime.now(UTC).replace(microsecond=0)


@pytest.mark.usefixtures("today")
@pytest.mark.check("W-44", "W-45", "W-47")
def test_a_till_without_network_starts_scans_books_and_delivers_once(
    browse: Open, house: Shop, ana: Joined
) -> None:
    window = browse()
    page = begin(window, house)
    status = page.locator("#status")
    expect(status).to_have_text("Online")
    scan(page, ana.code)
    expect(page.locator("#screen h1")).to_contain_text("Ana Reyes")

    page.context.set_offline(True)
    page.reload()
    expect(status).to_have_text("Offline")
    expect(status.locator("use")).to_have_attribute("href", "#icon-offline")
    scan(page, ana.code)
    expect(page.locator("#screen h1")).to_contain_text("Ana Reyes")
    expect(page.locator("#screen")).to_contain_text("as of")
    enter(page, "12.40")
    expect(page.locator("#screen")).to_contain_text("Kept on this device")
    expect(status).to_contain_text("1 waiting, oldest just now")
    # A card that this till has never seen is accepted under its number.
    stranger = house.join("Ben")
    scan(page, stranger.code)
    enter(page, "3.00")
    expect(status).to_contain_text("2 waiting")
    # What waits here counts, and it is said that it does.
    scan(page, ana.code)
    expect(page.locator("#screen")).to_contain_text("and +124 beans that wait here")
    expect(page.locator("#screen")).to_contain_text("36 beans to Any drink")

    # Closed, which warns, and opened again, still without network.
    warned: list[str] = []

    def close_it(dialog: Dialog) -> None:
        warned.append(dialog.type)
        dialog.accept()

    page.on("dialog", close_it)
    with page.expect_event("close"):
        page.close(run_before_unload=True)
    assert warned == ["beforeunload"]
    window.page = page = page.context.new_page()
    window.watch()
    page.goto(f"{window.base}/till/app")
    expect(page.locator("#status")).to_contain_text("Offline · 2 waiting")
    assert faults(window, "offline", width=412) == []
    assert too_small(window, "offline", least=56) == []

    # Signing out warns, and what waits stays: it belongs to the till and not to who is signed in.
    page.locator("#menu-button").click()
    page.locator("[data-menu=leave]").click()
    expect(page.get_by_role("dialog")).to_contain_text("2 bookings still wait to be sent")
    page.get_by_role("dialog").get_by_role("button", name="Sign out").click()

    # The first time the answer is lost: it is sent twice and booked once.
    lost(page)
    page.context.set_offline(False)
    deadline = time.monotonic() + 40
    while call(page, "database", "it.kept('toEnd')"):
        assert time.monotonic() < deadline, "the server was not told that somebody signed out"
    come_to_work(window, house)
    page.goto(f"{window.base}/till/app")
    expect(page.locator("#status")).to_contain_text("2 waiting")
    while not rows(house.store, "purchase", "net_minor = 300"):
        assert time.monotonic() < deadline, "the server did not hear the queue"
        page.wait_for_timeout(50)
    assert len(rows(house.store, "purchase", "net_minor = 1240")) == 1
    page.unroute(QUEUE)
    page.reload()
    expect(page.locator("#status")).to_have_text("Online")
    for amount_minor in (12_40, 3_00):
        assert len(rows(house.store, "purchase", f"net_minor = {amount_minor}")) == 1


@pytest.mark.usefixtures("today")
def test_a_dead_network_that_the_browser_calls_alive_is_told_in_words(
    browse: Open, house: Shop, ana: Joined
) -> None:
    page = begin(browse(), house)
    scan(page, ana.code)
    expect(page.locator("[data-amount]")).to_be_visible()
    page.route("**/till/api/**", lambda route: route.abort())
    assert page.evaluate("navigator.onLine")
    enter(page, "12.40")
    expect(page.locator("#screen")).to_contain_text("Kept on this device")
    expect(page.locator("#status")).to_contain_text("Offline · 1 waiting")
    page.unroute("**/till/api/**")
    page.locator("#status").click()
    page.get_by_role("button", name="Send now").click()
    expect(page.locator("#status")).to_have_text("Online")
    assert len(rows(house.store, "purchase", "net_minor = 1240")) == 1


@pytest.mark.usefixtures("today")
@pytest.mark.check("W-53")
def test_whatever_goes_wrong_the_amount_stays(browse: Open, house: Shop, ana: Joined) -> None:
    page = begin(browse(), house)
    scan(page, ana.code)
    page.evaluate(FULL)
    enter(page, "12.40")
    expect(page.locator("#screen")).to_contain_text("This device is full.")
    expect(page.locator("[data-amount]")).to_have_value("12.40")
    page.evaluate(ROOM)
    problem = {"status": 403, "code": "not_allowed", "detail": "Somebody took this right away.", "errors": []}

    def refuse(route: Route) -> None:
        [asked] = json.loads(route.request.post_data or "")["items"]
        result = {"key": asked["key"], "state": "refused", "status": 403, "problem": problem}
        route.fulfill(json={"server_time": house.now.isoformat(), "results": [result]})

    page.route(QUEUE, refuse)
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator("#screen")).to_contain_text("Somebody took this right away.")
    expect(page.locator("[data-amount]")).to_have_value("12.40")
    expect(page.locator("#status")).to_have_text("Online")
    page.unroute(QUEUE)
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator("#screen")).to_contain_text("764")
    assert len(rows(house.store, "purchase", "net_minor = 1240")) == 1


@pytest.mark.usefixtures("today")
@pytest.mark.check("W-46")
def test_each_waiting_booking_is_listed_and_a_refused_one_says_why_until_somebody_settles_it(
    browse: Open, house: Shop, ana: Joined
) -> None:
    window = browse()
    page = begin(window, house)
    scan(page, ana.code)
    expect(page.locator("#screen h1")).to_contain_text("Ana Reyes")
    page.context.set_offline(True)
    enter(page, "12.40")
    expect(page.locator("#screen")).to_contain_text("Kept on this device")
    page.locator("#status").click()
    row = page.locator("#screen li")
    expect(row).to_contain_text("Ana Reyes")
    expect(row).to_contain_text("$12.40")
    expect(row).to_contain_text("just now")
    expect(row).to_contain_text("Waiting to be sent")
    # The card ends before the network is back.
    link = membership.link(house.store, secret=ana.link_secret)
    membership.leave(house.store, link, now=house.now)
    page.context.set_offline(False)
    expect(page.locator("#status")).to_contain_text("1 needs attention")
    expect(row).to_contain_text("This card is no longer valid.")
    assert faults(window, "attention", width=412) == []
    page.get_by_role("button", name="Try again").click()
    expect(row).to_contain_text("This card is no longer valid.")
    page.get_by_role("button", name="Settle").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("Paid back in cash")
    page.get_by_role("dialog").get_by_role("button", name="Settle").click()
    expect(page.locator("#status")).to_have_text("Online")
    expect(row).to_have_count(0)


@pytest.mark.usefixtures("today")
@pytest.mark.check("W-52")
def test_a_new_version_waits_until_somebody_wants_it(
    browse: Open, monkeypatch: pytest.MonkeyPatch, house: Shop, ana: Joined
) -> None:
    page = begin(browse(), house)
    page.evaluate("() => { window.same = true; }")
    kept = page.evaluate("caches.keys()")
    scan(page, ana.code)
    page.locator("[data-amount]").fill("12.40")
    monkeypatch.setattr(shell, "version", lambda: "000000000new")
    page.evaluate("navigator.serviceWorker.getRegistration().then((one) => one.update()).then(() => 1)")
    page.wait_for_function("async () => (await navigator.serviceWorker.getRegistration()).waiting !== null")
    # Not in the middle of a sale, and never by itself.
    notice = page.get_by_text("There is a new version of the till.")
    expect(notice).to_be_hidden()
    page.locator("[data-amount]").fill("")
    page.keyboard.press("Escape")
    expect(notice).to_be_visible()
    assert page.evaluate("window.same")
    with page.expect_navigation():
        page.get_by_role("button", name="Reload").click()
    expect(page.locator("meta[name=version]")).to_have_attribute("content", "000000000new")
    expect(notice).to_be_hidden()
    left = page.evaluate("caches.keys()")
    assert not set(left) & {name for name in kept if name.startswith("till-app-")}
    page.context.set_offline(True)
    page.reload()
    expect(page.locator("meta[name=version]")).to_have_attribute("content", "000000000new")


@pytest.fixture
def at_home(chromium: Browser, tmp_path: Path) -> Iterator[Page]:
    """A browser that remembers: only there an app can be installed."""
    context = chromium.browser_type.launch_persistent_context(
        str(tmp_path / "profile"), executable_path="/usr/bin/chromium", args=FLAGS
    )
    yield context.pages[0]
    context.close()


@pytest.mark.check("W-27")
def test_the_till_can_be_installed(at_home: Page, served: str, house: Shop) -> None:
    at_home.goto(f"{served}/till/app")
    at_home.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    devtools = at_home.context.new_cdp_session(at_home)
    assert devtools.send("Page.getInstallabilityErrors")["installabilityErrors"] == []
    told = devtools.send("Page.getAppManifest")
    assert told["errors"] == []
    about = json.loads(told["data"])
    assert (about["start_url"], about["display"], about["orientation"]) == ("/till/app", "standalone", "any")


# A paired till ------------------------------------------------------------------------

PIN = "4826"


@pytest.fixture
def paired(browse: Open, house: Shop, today: None) -> Watched:
    """A device that the owner has paired, where Cy has just come in with a PIN: two taps and four digits."""
    pins.set_pin(house.store, programme=COFFEE, login="cy", pin=PIN, by=None, now=house.now, cost=CHEAP)
    place = {"programme": COFFEE, "name": "Front", "location": "west-loop"}
    _, code = tills.set_up(house.store, KEYS, **place, by=None, now=house.now)
    window = browse()
    window.page.clock.install()
    window.open(f"/till/pair?code={code}").locator("main form button").click()
    page = window.open("/till/app")
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    come_in(page, PIN)
    expect(page.get_by_role("button", name="Scan a card")).to_be_visible()
    return window


def come_in(page: Page, pin: str) -> None:
    """As Cy, from the list of who works here."""
    if page.get_by_role("button", name="Cy").count() or not page.locator("#pin").count():
        page.get_by_role("button", name="Cy").click()
    page.keyboard.type(pin)
    page.keyboard.press("Enter")


@pytest.mark.check("W-28")
def test_a_till_locks_by_itself_and_opens_without_network_with_the_same_pin(
    paired: Watched, house: Shop, ana: Joined
) -> None:
    page = paired.page
    scan(page, ana.code)
    expect(page.locator("[data-amount]")).to_be_visible()
    page.context.set_offline(True)
    enter(page, "12.40")
    expect(page.locator("#status")).to_contain_text("1 waiting")
    page.clock.fast_forward(130_000)
    expect(page.get_by_role("button", name="Cy")).to_be_visible()
    expect(page.locator("#screen")).not_to_contain_text("Ana Reyes")
    # A reload opens nothing.
    page.reload()
    expect(page.get_by_role("button", name="Cy")).to_be_visible()
    come_in(page, "0000")
    expect(page.locator("#screen")).to_contain_text("Wrong PIN.")
    come_in(page, PIN)
    expect(page.get_by_role("button", name="Scan a card")).to_be_visible()
    expect(page.locator("#status")).to_contain_text("1 waiting")

    # Five wrong ones, and only the server opens it.
    page.clock.fast_forward(130_000)
    for _ in range(5):
        come_in(page, "0000")
        expect(page.locator("#pin")).to_have_value("")
    come_in(page, PIN)
    expect(page.locator("#screen")).to_contain_text("Too many wrong PINs")
    assert rows(house.store, "purchase", "net_minor = 1240") == []
    # What waits is delivered all the same: the till needs nobody for that.
    page.context.set_offline(False)
    expect(page.locator("#status")).to_have_text("Online")
    [booked] = rows(house.store, "purchase", "net_minor = 1240")
    assert booked["till"] == "Front"
    come_in(page, PIN)
    expect(page.get_by_role("button", name="Scan a card")).to_be_visible()


def test_a_lost_till_forgets_its_members_and_what_it_still_held_is_only_looked_at(
    paired: Watched, house: Shop, ana: Joined
) -> None:
    page = paired.page
    scan(page, ana.code)
    expect(page.locator("[data-amount]")).to_be_visible()
    page.context.set_offline(True)
    enter(page, "12.40")
    expect(page.locator("#status")).to_contain_text("1 waiting")
    [found] = rows(house.store, "till")
    tills.revoke(house.store, programme=COFFEE, till_id=found["id"], by=None, now=house.now)
    page.context.set_offline(False)
    expect(page.locator("#banners")).to_contain_text("This till was blocked.")
    expect(page.locator("#screen h1")).to_have_text("This till was blocked")
    expect(page.locator("#status")).to_contain_text("1 needs attention")
    assert call(page, "records", "it.recall(given.code)", code=ana.code) is None
    assert call(page, "queue", "it.waiting()") == []
    [row] = call(page, "queue", "it.attention()")
    assert row["reason"]["kind"] == "review"
    assert rows(house.store, "purchase", "net_minor = 1240") == []
    [review] = rows(house.store, "till_review")
    assert (review["state"], review["why"]) == ("open", "till_revoked")
