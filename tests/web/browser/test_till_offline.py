"""The till without network: what it books is written down first, and delivered once, in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from passes import access, membership, tills
from passes.access import Area, Role, pins
from passes.enrolment import Joined
from passes.web.till import shell
from tests.cast import rows
from tests.shop import COFFEE, KEYS, Shop
from tests.web.browser.till import call
from tests.web.browser.window import FLAGS, Open, Watched, faults, too_small
from tests.web.conftest import CHEAP

pytestmark = [pytest.mark.browser, pytest.mark.slow]

QUEUE = "**/till/api/queue"
FULL = """
  () => {
    window.put ??= IDBObjectStore.prototype.put;
    IDBObjectStore.prototype.put = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
  }
"""
ROOM = "() => { IDBObjectStore.prototype.put = window.put; }"


def come_to_work(window: Watched, house: Shop) -> None:
    """Cy is signed in at West Loop, as with a password but quicker."""
    store = house.store
    session = access.sign_in_for_demonstration(
        store, programme=COFFEE, role=Role.CASHIER, area=Area.TILL, now=house.now
    )
    access.work_at(store, secret=session, programme=COFFEE, location="west-loop")
    window.page.context.add_cookies(
        [{"name": "passes_till", "value": session, "url": f"{window.base}/till/"}]
    )


@pytest.fixture
def till(browse: Open, house: Shop) -> Page:
    """A signed-in page whose modules the tests ask directly."""
    window = browse()
    come_to_work(window, house)
    page = window.open("/till/today")
    call(page, "queue", "it.begin()")
    return page


def buy(page: Page, code: str, amount_minor: int, patience_ms: int = 4000) -> dict[str, Any]:
    """Book a purchase as the app does."""
    found: dict[str, Any] = call(
        page,
        "queue",
        "it.book(given.item)",
        item={
            "operation": "bookPurchase",
            "body": {"code": code, "amount_minor": amount_minor},
            "about": {"code": code, "name": "Ana", "words": "Purchase"},
            "patienceMs": patience_ms,
        },
    )
    return found


def lost(page: Page) -> None:
    """From now on the server hears the queue, and its answer never arrives."""

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route(QUEUE, lose)


def deliver(page: Page) -> None:
    """The network is back, and what waits goes."""
    page.context.set_offline(False)
    page.wait_for_function("() => navigator.onLine")
    call(page, "queue", "it.flush()")


def test_what_is_booked_is_answered_at_once(till: Page, ana: Joined) -> None:
    found = buy(till, ana.code, 12_40)
    assert found["state"] == "booked"
    assert found["answer"]["balance"] == 764
    assert call(till, "queue", "it.waiting()") == []


@pytest.mark.check("L-77")
def test_twenty_sales_without_network_are_booked_once_though_they_are_sent_twice(
    till: Page, house: Shop
) -> None:
    # Two each: more of one member in a day would want a manager.
    members = [house.join(f"Member {number}").code for number in range(10)]
    till.context.set_offline(True)
    for number in range(20):
        assert buy(till, members[number % 10], 1_00 + number, patience_ms=1)["state"] == "waiting"
    waiting = call(till, "queue", "it.waiting()")
    assert [row["sequence"] for row in waiting] == list(range(1, 21))
    assert rows(house.store, "purchase") == []
    # The first time the answer is lost on its way: nobody here knows that all of it was booked.
    lost(till)
    deliver(till)
    assert len(call(till, "queue", "it.waiting()")) == 20
    till.unroute(QUEUE)
    call(till, "queue", "it.flush()")
    assert call(till, "queue", "it.waiting()") == []
    booked = rows(house.store, "purchase")
    assert sorted(row["net_minor"] for row in booked) == [*range(1_00, 1_20)]
    assert [row["occurred_at"] for row in booked] == sorted(row["occurred_at"] for row in booked)


@pytest.mark.check("L-76", "W-53")
def test_a_lost_answer_is_asked_for_again_and_books_once(till: Page, ana: Joined, house: Shop) -> None:
    lost(till)
    assert buy(till, ana.code, 12_40, patience_ms=1500)["state"] == "waiting"
    till.unroute(QUEUE)
    call(till, "queue", "it.flush()")
    assert call(till, "queue", "it.waiting()") == []
    assert [row["net_minor"] for row in rows(house.store, "purchase")] == [54_00, 12_40]


def test_what_was_withdrawn_though_it_had_arrived_is_taken_back(till: Page, ana: Joined, house: Shop) -> None:
    lost(till)
    key = buy(till, ana.code, 12_40, patience_ms=1500)["key"]
    assert call(till, "queue", "it.withdraw(given.key)", key=key)
    till.unroute(QUEUE)
    call(till, "queue", "it.flush()")
    assert call(till, "queue", "it.waiting()") == []
    assert [row["kind"] for row in rows(house.store, "receipt", "amount_minor = 1240")] == ["accrue", "undo"]
    # What never went anywhere leaves no trace.
    till.context.set_offline(True)
    key = buy(till, ana.code, 9_99, patience_ms=1)["key"]
    assert call(till, "queue", "it.withdraw(given.key)", key=key)
    deliver(till)
    assert rows(house.store, "purchase", "net_minor = 999") == []


def redeem(page: Page, code: str, reward: str, patience_ms: int = 1500) -> dict[str, Any]:
    found: dict[str, Any] = call(
        page,
        "queue",
        "it.book(given.item)",
        item={
            "operation": "redeemReward",
            "body": {"code": code, "reward": reward},
            "patienceMs": patience_ms,
        },
    )
    return found


def test_a_reward_is_not_given_while_nobody_answers_and_somebody_hears_of_it_when_it_was_booked(
    till: Page, ana: Joined, house: Shop
) -> None:
    till.context.set_offline(True)
    assert redeem(till, ana.code, "extra-shot")["problem"]["code"] == "offline_limit"
    till.context.set_offline(False)
    assert call(till, "queue", "it.waiting()") == []
    # The network dies while it is being booked.
    lost(till)
    assert redeem(till, ana.code, "extra-shot")["problem"]["code"] == "no_answer"
    till.unroute(QUEUE)
    call(till, "queue", "it.flush()")
    assert call(till, "queue", "it.waiting()") == []
    [row] = call(till, "queue", "it.attention()")
    assert row["reason"]["kind"] == "answered_late"
    assert row["reason"]["answer"]["points"] == -150
    # Nothing arrived: nothing is booked when the network is back.
    till.route(QUEUE, lambda route: route.abort())
    assert redeem(till, ana.code, "extra-shot")["problem"]["code"] == "no_answer"
    till.unroute(QUEUE)
    call(till, "queue", "it.flush()")
    assert len(call(till, "queue", "it.attention()")) == 1
    assert len(rows(house.store, "receipt", "kind = 'redeem'")) == 1


def test_what_is_refused_later_waits_for_somebody_and_holds_up_nobody(
    till: Page, ana: Joined, house: Shop
) -> None:
    ben = house.join("Ben")
    till.context.set_offline(True)
    buy(till, "2FTX9KQDVM34CHWR", 3_00, patience_ms=1)
    buy(till, ben.code, 4_00, patience_ms=1)
    deliver(till)
    assert call(till, "queue", "it.waiting()") == []
    [row] = call(till, "queue", "it.attention()")
    assert row["reason"]["problem"]["code"] == "code_mistyped"
    assert row["reason"]["problem"]["detail"]
    assert len(rows(house.store, "purchase", "net_minor = 400")) == 1
    call(till, "queue", "it.retry(given.key)", key=row["key"])
    assert [one["key"] for one in call(till, "queue", "it.attention()")] == [row["key"]]
    call(till, "queue", "it.settle(given.key, 'Ben was another Ben')", key=row["key"])
    assert call(till, "queue", "it.attention()") == []


def test_a_member_for_whom_the_server_has_no_time_waits_and_the_others_do_not(
    till: Page, ana: Joined, house: Shop
) -> None:
    ben = house.join("Ben")
    till.context.set_offline(True)
    for code, amount_minor in ((ana.code, 1_00), (ben.code, 2_00), (ana.code, 3_00)):
        buy(till, code, amount_minor, patience_ms=1)
    till.context.set_offline(False)
    sent: list[list[int]] = []

    def busy(route: Route) -> None:
        asked = json.loads(route.request.post_data or "")["items"]
        sent.append([one["body"]["amount_minor"] for one in asked])
        results = [
            {"key": one["key"], "state": "later" if one["body"]["code"] == ana.code else "booked"}
            for one in asked
        ]
        route.fulfill(json={"server_time": house.now.isoformat(), "results": results})

    till.route(QUEUE, busy)
    call(till, "queue", "it.flush()")
    assert sent[0] == [1_00, 2_00, 3_00]
    assert [row["body"]["amount_minor"] for row in call(till, "queue", "it.waiting()")] == [1_00, 3_00]


def test_a_full_device_refuses_a_sale_in_words_and_keeps_nothing_of_it(
    till: Page, ana: Joined, house: Shop
) -> None:
    till.evaluate(FULL)
    found = buy(till, ana.code, 12_40)
    assert (found["state"], found["problem"]["code"]) == ("refused", "storage_full")
    call(till, "records", "it.remember({code: given.code, name: 'Ana', balance: 1})", code=ana.code)
    till.evaluate(ROOM)
    assert call(till, "queue", "it.waiting()") == []
    assert rows(house.store, "purchase", "net_minor = 1240") == []
    assert buy(till, ana.code, 12_40)["state"] == "booked"


def test_two_tabs_never_send_at_once_and_each_hears_of_its_own(till: Page, ana: Joined, house: Shop) -> None:
    other = till.context.new_page()
    other.goto(till.url)
    call(other, "queue", "it.begin()")
    sent: list[str] = []
    till.context.on(
        "request",
        lambda asked: (
            sent.extend(one["key"] for one in json.loads(asked.post_data or "")["items"])
            if asked.url.endswith("/till/api/queue")
            else None
        ),
    )
    till.context.set_offline(True)
    for number, page in enumerate((till, other, till, other)):
        buy(page, ana.code, 5_00 + number, patience_ms=1)
    till.context.set_offline(False)
    call(other, "queue", "(it.flush(), 0)")
    call(till, "queue", "it.flush()")
    assert call(till, "queue", "it.waiting()") == []
    assert len(sent) == len(set(sent)) == 4
    # One tab delivers what the other booked, which is told the outcome.
    call(
        till,
        "queue",
        "navigator.locks.request(given.name, () => new Promise((done) => (window.free = done))) && 0",
        name="passes-till-queue",
    )
    call(
        other,
        "queue",
        "(window.outcome = it.book(given.item), 0)",
        item={
            "operation": "bookSale",
            "body": {"amount_minor": 3_00},
            "patienceMs": 20_000,
        },
    )
    till.wait_for_timeout(300)
    till.evaluate("() => window.free()")
    assert other.evaluate("() => window.outcome")["state"] == "booked"


@pytest.mark.check("W-48")
def test_the_time_of_a_sale_is_the_servers_whatever_the_device_says(
    till: Page, ana: Joined, house: Shop
) -> None:
    now: dict[str, Any] = {}
    call(till, "queue", "it.onChange((now) => (window.now = now))")
    till.wait_for_timeout(200)
    now = till.evaluate("() => window.now")
    ahead = datetime.now(UTC) - house.now
    assert abs(now["skewSeconds"] - ahead.total_seconds()) < 60
    till.context.set_offline(True)
    buy(till, ana.code, 7_77, patience_ms=1)
    [row] = call(till, "queue", "it.waiting()")
    assert abs(datetime.fromisoformat(row["made_at"]) - house.now) < timedelta(minutes=1)
    assert abs(datetime.fromisoformat(row["device_at"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_points_are_spent_without_network_only_as_far_as_the_programme_lets_them(till: Page) -> None:
    def refused(points: int, *, limit: int, balance: int | None = 500, waiting: int = 0) -> str | None:
        found: str | None = call(
            till,
            "limits",
            "it.refusedOffline(given.item, given.known)",
            item={"operation": "redeemReward", "body": {"code": "A", "reward": "credit", "points": points}},
            known={
                "offlinePoints": limit,
                "member": {"balance": balance} if balance is not None else None,
                "waiting": [{"spends": waiting}],
            },
        )
        return found

    assert refused(100, limit=0) == "needs_network"
    assert refused(100, limit=100) is None
    assert refused(101, limit=100) == "offline_limit"
    assert refused(60, limit=100, waiting=50) == "offline_limit"
    assert refused(60, limit=1000, balance=59) == "offline_limit"
    assert refused(60, limit=1000, balance=None) == "offline_limit"
    for operation, expected in (
        ("bookPurchase", None),
        ("bookSale", None),
        ("undoReceipt", None),
        ("takeBackGoods", None),
        ("useReward", "needs_network"),
        ("enrolMember", "needs_network"),
        ("claimSale", "needs_network"),
    ):
        assert (
            call(
                till,
                "limits",
                "it.refusedOffline(given, {offlinePoints: 1000, waiting: []})",
                operation=operation,
                body={},
            )
            == expected
        )


def test_members_are_remembered_as_last_seen_with_what_waits_and_forgotten_with_the_till(
    till: Page, ana: Joined, house: Shop
) -> None:
    look = "fetch(`/till/api/members/${given.code}`).then((answer) => answer.json()).then(it.remember)"
    call(till, "records", look, code=ana.code)
    till.context.set_offline(True)
    buy(till, ana.code, 12_40, patience_ms=1)
    known = call(till, "records", "it.recall(given.code)", code=ana.code)
    assert (known["member"]["balance"], known["waitingPoints"]) == (764, 124)
    assert datetime.fromisoformat(known["seenAt"]) == house.now
    assert [one["member"]["name"] for one in call(till, "records", "it.search('rey')")] == ["Ana Reyes"]
    assert call(till, "records", "it.search('eyes')") == []
    many = """Promise.all(given.codes.map((code, at) => it.remember({
      code, name: "Cem Işık", balance: 0, as_of: new Date(Date.UTC(2027, 0, 1) + at).toISOString(),
    })))"""
    call(till, "records", many, codes=[f"C{number}" for number in range(500)])
    assert call(till, "records", "it.recall(given.code)", code=ana.code) is None
    assert len(call(till, "records", "it.search('isik')")) == 8
    call(till, "records", "it.keepSnapshot({revoked: true, person: null})")
    assert call(till, "records", "it.search('isik')") == []
    assert len(call(till, "queue", "it.waiting()")) == 1


# The app itself, by its keys and buttons --------------------------------------------


def begin(window: Watched, house: Shop) -> Page:
    """The app with somebody signed in, on a device whose clock is right, kept by its worker."""
    come_to_work(window, house)
    page = window.open("/till/app")
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    page.reload()
    expect(page.get_by_role("button", name="Scan a card")).to_be_visible()
    return page


def scan(page: Page, code: str) -> None:
    """With a hand scanner, once the page has sound: the first key of all wakes it, which takes a while."""
    page.keyboard.press("Shift")
    page.wait_for_timeout(600)
    page.keyboard.type(code, delay=8)
    page.keyboard.press("Enter")


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

    # Closed and opened again, still without network.
    page.close()
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
    while call(page, "database", "it.kept('toEnd')"):
        page.wait_for_timeout(50)
    come_to_work(window, house)
    page.goto(f"{window.base}/till/app")
    expect(page.locator("#status")).to_contain_text("2 waiting")
    page.wait_for_timeout(500)
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
        page.wait_for_timeout(600)
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
    expect(page.locator("#banners")).to_contain_text("revoked")
    expect(page.locator("#status")).to_contain_text("1 needs attention")
    assert call(page, "records", "it.recall(given.code)", code=ana.code) is None
    assert call(page, "queue", "it.waiting()") == []
    [row] = call(page, "queue", "it.attention()")
    assert row["reason"]["kind"] == "review"
    assert rows(house.store, "purchase", "net_minor = 1240") == []
    [review] = rows(house.store, "till_review")
    assert (review["state"], review["why"]) == ("open", "till_revoked")
