"""The till's queue: whatever happens on the way, what was booked is delivered once, in order."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from passes import membership
from passes.enrolment import Joined
from passes.store.instants import instant
from tests.cast import rows
from tests.shop import Shop
from tests.web.browser.till import FULL, QUEUE, ROOM, call, come_to_work, connect, deliver, lost
from tests.web.browser.window import Open

pytestmark = [pytest.mark.browser, pytest.mark.slow]


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
    connect(till)
    # The app knows of the network by the first answer.
    call(till, "queue", "it.sync()")
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
    # The page may flush by itself as soon as there is a network.
    connect(till)
    call(till, "queue", "it.flush()")
    assert sent[0] == [1_00, 2_00, 3_00]
    assert [row["body"]["amount_minor"] for row in call(till, "queue", "it.waiting()")] == [1_00, 3_00]


def test_one_booking_that_breaks_the_server_holds_up_no_other(till: Page, ana: Joined, house: Shop) -> None:
    ben = house.join("Ben")
    till.context.set_offline(True)
    for code, amount_minor in ((ana.code, 1_00), (ben.code, 2_00)):
        buy(till, code, amount_minor, patience_ms=1)

    def break_down(route: Route) -> None:
        asked = json.loads(route.request.post_data or "")["items"]
        if any(one["body"]["code"] == ana.code for one in asked):
            route.fulfill(status=500, json={"code": "internal", "detail": "Our mistake.", "errors": []})
        else:
            route.continue_()

    till.route(QUEUE, break_down)
    deliver(till)
    [row] = call(till, "queue", "it.waiting()")
    assert (row["body"]["amount_minor"], row["reason"]["problem"]["code"]) == (1_00, "internal")
    assert len(rows(house.store, "purchase", "net_minor = 200")) == 1
    till.unroute(QUEUE)
    deliver(till)
    assert len(rows(house.store, "purchase", "net_minor = 100")) == 1


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
    connect(till)
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
    ahead = datetime.now(UTC) - house.now
    found: float = call(till, "clock", "it.skewSeconds()")
    assert abs(found - ahead.total_seconds()) < 60
    till.context.set_offline(True)
    buy(till, ana.code, 7_77, patience_ms=1)
    [row] = call(till, "queue", "it.waiting()")
    assert abs(datetime.fromisoformat(row["made_at"]) - house.now) < timedelta(minutes=1)
    assert abs(datetime.fromisoformat(row["device_at"]) - datetime.now(UTC)) < timedelta(minutes=1)
    deliver(till)
    [booked] = rows(house.store, "purchase", "net_minor = 777")
    assert abs(instant(booked["occurred_at"]) - house.now) < timedelta(minutes=1)
    till.goto(till.url.replace("/today", "/app"))
    minutes = f"{round(ahead.total_seconds() / 60):,}"[:4]
    expect(till.locator("#banners")).to_contain_text(f"This device's clock is wrong by {minutes}")


@pytest.mark.check("L-77")
def test_a_reward_within_the_limit_is_given_once_without_network_and_booked_once_with_it(
    till: Page, ana: Joined, house: Shop
) -> None:
    look = "fetch(`/till/api/members/${given.code}`).then((answer) => answer.json()).then(it.remember)"
    call(till, "records", look, code=ana.code)
    till.context.set_offline(True)
    assert redeem(till, ana.code, "brewed-coffee")["problem"]["code"] == "offline_limit"
    assert redeem(till, ana.code, "extra-shot")["state"] == "waiting"
    assert redeem(till, ana.code, "extra-shot")["problem"]["code"] == "offline_limit"
    assert call(till, "records", "it.recall(given.code)", code=ana.code)["member"]["balance"] == 490
    lost(till)
    deliver(till)
    till.unroute(QUEUE)
    deliver(till)
    assert call(till, "queue", "it.waiting()") == []
    assert [row["points"] for row in rows(house.store, "receipt", "kind = 'redeem'")] == [-150]
    assert call(till, "records", "it.recall(given.code)", code=ana.code)["member"]["balance"] == 490


def test_the_same_purchase_again_without_network_is_asked_about_while_somebody_can_answer(
    till: Page, ana: Joined, house: Shop
) -> None:
    till.context.set_offline(True)
    assert buy(till, ana.code, 3_00)["state"] == "waiting"
    again = buy(till, ana.code, 3_00)
    assert (again["state"], again["problem"]["code"]) == ("refused", "looks_repeated")
    body = {"code": ana.code, "amount_minor": 3_00, "repeat": True}
    meant = {"operation": "bookPurchase", "body": body, "key": again["key"]}
    assert call(till, "queue", "it.book(given.item)", item=meant)["state"] == "waiting"
    deliver(till)
    assert call(till, "queue", "it.attention()") == []
    assert len(rows(house.store, "purchase", "net_minor = 300")) == 2


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


def test_whoever_did_not_become_a_member_is_forgotten_when_that_is_settled(till: Page) -> None:
    about = {"code": None, "name": "Ece Demir", "words": "New member"}
    body = {"name": "Ece Demir", "email": "ece@shop.example"}
    item = {
        "key": "ece-joins",
        "operation": "enrolMember",
        "path": {},
        "body": body,
        "about": about,
        "spends": 0,
    }
    call(till, "items", "it.add(given.item)", item=item)
    call(till, "queue", "it.settle('ece-joins', 'They joined on their own phone')")
    [settled] = call(till, "items", "it.all('settled')")
    assert (settled["body"], settled["about"]["name"]) == ({}, "")
    assert "Ece" not in json.dumps(settled)


def test_whoever_left_is_forgotten_by_the_till_at_its_next_contact(
    till: Page, ana: Joined, house: Shop
) -> None:
    ben = house.join("Ben Okafor")
    look = "fetch(`/till/api/members/${given.code}`).then((answer) => answer.json()).then(it.remember)"
    for one in (ana, ben):
        call(till, "records", look, code=one.code)
    till.context.set_offline(True)
    about = {"code": ana.code, "name": "Ana Reyes", "words": "$9.00"}
    item = {"operation": "bookPurchase", "body": {"code": ana.code, "amount_minor": 9_00}, "about": about}
    call(till, "queue", "it.book({...given.item, patienceMs: 1})", item=item)
    membership.leave(house.store, membership.link(house.store, secret=ana.link_secret), now=house.now)
    till.route(QUEUE, lambda route: route.abort())
    connect(till)
    call(till, "queue", "it.sync()")
    gone = """(async () => {
      for (let turn = 0; turn < 100 && (await it.recall(given.code)); turn += 1) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return (await it.recall(given.code)) === null;
    })()"""
    assert call(till, "records", gone, code=ana.code)
    assert [one["member"]["name"] for one in call(till, "records", "it.search('ben')")] == ["Ben Okafor"]
    [waits] = call(till, "queue", "it.waiting()")
    assert (waits["about"]["name"], waits["body"]["code"]) == ("", ana.code)
    till.unroute(QUEUE)
