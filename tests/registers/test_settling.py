"""Orders of other makers in the books: once, in any order, to whom they belong."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from passes import books, checkout, registers
from passes.loyalty.refusals import Busy, LocationUnknown, MessageUnknown
from passes.registers import Books, Kind
from passes.store import Store
from passes.wiring import register_books
from tests.cast import rows
from tests.registers.conftest import Desk
from tests.registers.makers import (
    as_body,
    odoo_order,
    shopify_cancelled,
    shopify_line,
    shopify_order,
    shopify_refund,
    shopify_shipping,
    square_payment,
    square_refund,
)
from tests.shop import COFFEE, KEYS, TILL, Shop

ORDER = "5500100200301"


Message = dict[str, Any]


def named(code: str) -> dict[str, Any]:
    """An order that names a card."""
    return {"note_attributes": [{"name": "card", "value": code}]}


def an_order(code: str | None = None, **more: Any) -> dict[str, Any]:
    """Two pieces at 14.25, one at 3.50: 32.00."""
    lines = [shopify_line(1, "14.25", 2), shopify_line(2, "3.50")]
    return shopify_order(lines, "32.00", **(named(code) if code else {}), **more)


# Once ---------------------------------------------------------------------------


def test_a_message_that_comes_twice_is_booked_once(desk: Desk) -> None:
    ana = desk.shop.join()
    first, again = desk.shopify(an_order(ana.code)), desk.shopify(an_order(ana.code))
    assert (first.state, first.again) == ("booked", False)
    assert (again.state, again.again) == ("booked", True)
    assert desk.shop.balance(ana.code) == 100 + 320
    assert len(rows(desk.shop.store, "purchase")) == 1
    for _ in range(2):
        desk.shopify(shopify_refund({2: 1}, "3.50"))
    assert desk.shop.balance(ana.code) == 100 + 285


def test_the_same_order_in_other_words_is_booked_once(desk: Desk) -> None:
    ana = desk.shop.join()
    desk.shopify(an_order(ana.code))
    assert desk.shopify(an_order(ana.code, updated_at="2026-03-11T00:00:00Z")).why == "already_booked"
    refund = shopify_refund({2: 1}, "3.50")
    desk.shopify(refund)
    assert desk.shopify({**refund, "note": "again"}).why == "already_booked"
    cancelled = shopify_cancelled(an_order(ana.code))
    desk.shopify(cancelled)
    assert desk.shopify({**cancelled, "tags": "late"}).why == "already_booked"
    assert desk.shop.balance(ana.code) == 100


def test_a_message_replayed_after_years_changes_nothing(desk: Desk) -> None:
    ana = desk.shop.join()
    desk.shopify(an_order(ana.code))
    desk.shopify(shopify_refund({2: 1}, "3.50"))
    later = desk.shop.now + timedelta(days=1200)
    for message in (an_order(ana.code), shopify_refund({2: 1}, "3.50")):
        assert desk.shopify(message, now=later).again
    # Even where the messages themselves were cleared away: the order is remembered.
    desk.shop.store.write(lambda work: work.put(text("DELETE FROM register_message")))
    for message in (an_order(ana.code), shopify_refund({2: 1}, "3.50")):
        assert desk.shopify(message, now=later).why == "already_booked"
    assert desk.shop.balance(ana.code) == 100 + 285


def test_two_deliveries_at_once_are_one_purchase_and_one_return(desk: Desk) -> None:
    ana = desk.shop.join()
    together(*[lambda: desk.shopify(an_order(ana.code)) for _ in range(4)])
    assert desk.shop.balance(ana.code) == 100 + 320
    refunds = [shopify_refund({1: 1}, "14.25", refund=1), shopify_refund({2: 1}, "3.50", refund=2)]
    together(*[lambda one=one: desk.shopify(one) for one in refunds * 2])  # type: ignore[misc]
    desk.work()
    assert desk.shop.balance(ana.code) == 100 + 142
    assert desk.back(ORDER) == {1: (1, 1425), 2: (1, 350)}
    assert {one.state for one in desk.messages()} == {"booked"}


def together(*steps: Any) -> None:
    threads = [threading.Thread(target=step) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# In any order -------------------------------------------------------------------


def test_a_refund_waits_for_its_order(desk: Desk) -> None:
    ana = desk.shop.join()
    assert desk.shopify(shopify_refund({2: 1}, "3.50")).state == "waiting"
    assert desk.work() == 1
    assert desk.states() == [("waiting", None)]
    desk.shopify(an_order(ana.code))
    assert desk.states() == [("booked", None), ("booked", None)]
    assert desk.shop.balance(ana.code) == 100 + 285


def test_an_order_that_was_cancelled_before_it_was_paid_ends_with_nothing(desk: Desk) -> None:
    ana = desk.shop.join()
    desk.shopify(shopify_cancelled(an_order(ana.code)))
    desk.shopify(an_order(ana.code))
    assert desk.shop.balance(ana.code) == 100
    assert desk.back(ORDER) == {1: (2, 2850), 2: (1, 350)}


def test_a_cancelled_order_after_a_partial_refund_takes_the_rest(desk: Desk) -> None:
    ana = desk.shop.join()
    desk.shopify(an_order(ana.code))
    desk.shopify(shopify_refund({1: 1}, "14.25"))
    desk.shopify(shopify_cancelled(an_order(ana.code)))
    assert desk.back(ORDER) == {1: (2, 2850), 2: (1, 350)}
    assert desk.shop.balance(ana.code) == 100
    # The refund that cancelling caused comes afterwards.
    assert desk.shopify(shopify_refund({1: 1, 2: 1}, "17.75", refund=7)).why == "nothing_left"


MIXED = shopify_order(
    [
        shopify_line(1, "9.99", 3, off="2.50"),
        shopify_line(2, "0.07", 2),
        shopify_line(3, "25.00", gift_card=True),
    ],
    "61.11",
    shipping_lines=[shopify_shipping("6.00")],
    total_tip_received="2.50",
)
REFUNDS = [
    shopify_refund({1: 1}, "9.13", refund=1),
    shopify_refund({}, "7.77", refund=2),
    shopify_refund(
        {1: 1, 3: 1},
        "36.01",
        refund=3,
        refund_shipping_lines=[
            {
                "shipping_line": {"id": 4_100_000_001},
                "subtotal_amount_set": {"shop_money": {"amount": "1.85", "currency_code": "USD"}},
            }
        ],
    ),
]


def test_any_order_of_the_messages_ends_in_the_same_books(desk: Desk) -> None:
    ends = set()
    for number, told in enumerate(permutations([MIXED, *REFUNDS])):
        member = desk.shop.join(f"Member {number}")
        for message in told:
            of = {"id": 1000 + number, **named(member.code)} if message is MIXED else {"order_id": 1000 + number}
            desk.shopify({**message, **of})
        back = tuple(sorted(desk.back(str(1000 + number)).items()))
        ends.add((back, desk.shop.balance(member.code)))
    assert len(ends) == 1
    assert books.verify(desk.shop.store).right


@st.composite
def stories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """An order, its refunds, and perhaps that it was cancelled."""
    count = draw(st.integers(1, 4))
    prices = [draw(st.integers(0, 4_000)) for _ in range(count)]
    pieces = [draw(st.integers(1, 4)) for _ in range(count)]
    lines = [
        shopify_line(number, f"{price / 100:.2f}", quantity, gift_card=draw(st.booleans()))
        for number, (price, quantity) in enumerate(zip(prices, pieces, strict=True), start=1)
    ]
    total = sum(price * quantity for price, quantity in zip(prices, pieces, strict=True))
    refunds = [
        shopify_refund(
            draw(st.dictionaries(st.integers(1, count), st.integers(1, 2), max_size=2)),
            f"{draw(st.integers(1, 5_000)) / 100:.2f}",
            refund=100 + number,
        )
        for number in range(draw(st.integers(1, 3)))
    ]
    order = shopify_order(lines, f"{min(total, 50_000) / 100:.2f}")
    cancelled = [shopify_cancelled(order)] if draw(st.booleans()) else []
    return [order, *refunds, *cancelled]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stories(), st.data())
def test_any_order_of_any_messages_ends_in_the_same_books(
    desk: Desk, story: list[dict[str, Any]], data: st.DataObject
) -> None:
    ends = []
    for told in (story, data.draw(st.permutations(story))):
        member = desk.shop.join("Somebody")
        order = member.card_id
        for message in told:
            if "order_id" in message:
                message = {**message, "order_id": order}
            else:
                message = {**message, "id": order, **named(member.code)}
            desk.shopify(message)
        known = rows(desk.shop.store, "register_order", f"order_key = '{order}'")
        ends.append((desk.back(str(order)) if known else {}, desk.shop.balance(member.code)))
    assert ends[0] == ends[1]
