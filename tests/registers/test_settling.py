"""Orders of other makers in the books: once, in any order, to whom they belong."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from passes import books, checkout, programmes, registers
from passes.loyalty.refusals import Busy, MessageUnknown, RegisterListInvalid, RegisterUnknown
from passes.registers import Books, Kind
from passes.server_keys import SealBroken
from passes.store import alarms
from passes.wiring import register_books
from tests.cast import rows
from tests.registers.conftest import Desk
from tests.registers.makers import (
    SHOPIFY_SECRET,
    SQUARE_SECRET,
    odoo_order,
    shopify_cancelled,
    shopify_line,
    shopify_order,
    shopify_refund,
    shopify_shipping,
    square_payment,
    square_refund,
)
from tests.shop import COFFEE, KEYS, PASS_TYPE, TILL

COFFEE_FILE = next(path for path in programmes.DEMONSTRATION if path.stem == COFFEE)
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
    desk.shopify(shopify_refund({2: 1}, "3.50", order=77))
    later = desk.shop.now + timedelta(days=1200)
    for message in (an_order(ana.code), shopify_refund({2: 1}, "3.50")):
        assert desk.shopify(message, now=later).again
    # The messages themselves are forgotten after a while, but not what waits, and not the order.
    store = desk.shop.store
    assert registers.forget_due(store, now=desk.shop.now + timedelta(days=89)) == 0
    assert registers.forget_due(store, now=later) == 2
    assert registers.forget_due(store, now=later) == 0
    assert desk.states() == [("waiting", None)]
    for message in (an_order(ana.code), shopify_refund({2: 1}, "3.50")):
        assert desk.shopify(message, now=later).why == "already_booked"
    assert desk.shop.balance(ana.code) == 100 + 285


def test_two_deliveries_at_once_are_one_purchase_and_one_return(desk: Desk) -> None:
    ana = desk.shop.join()
    together(*[lambda: desk.shopify(an_order(ana.code)) for _ in range(4)])
    assert desk.shop.balance(ana.code) == 100 + 320
    refunds = [shopify_refund({1: 1}, "14.25", refund=1), shopify_refund({2: 1}, "3.50", refund=2)]
    together(*[partial(desk.shopify, one) for one in refunds * 2])
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
    for number, told in enumerate(list(permutations([MIXED, *REFUNDS]))[::3]):
        member = desk.shop.join(f"Member {number}")
        for message in told:
            of = (
                {"id": 1000 + number, **named(member.code)}
                if message is MIXED
                else {"order_id": 1000 + number}
            )
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


# Whose it is ---------------------------------------------------------------------


def test_an_unknown_card_is_a_guest_who_can_claim_the_sale(desk: Desk) -> None:
    desk.shopify(an_order("2222222222222222"))
    (sold,) = rows(desk.shop.store, "purchase")
    assert (sold["member_id"], sold["net_minor"]) == (None, 3200)
    ana = desk.shop.join()
    checkout.claim(
        desk.shop.store,
        programme=COFFEE,
        code=ana.code,
        sale_id=sold["id"],
        amount_minor=3200,
        key="claim",
        at=TILL,
        now=desk.shop.now,
    )
    assert desk.shop.balance(ana.code) == 100 + 320
    # What comes back afterwards is taken from whoever claimed it.
    desk.shopify(shopify_refund({2: 1}, "3.50"))
    assert desk.shop.balance(ana.code) == 100 + 285


def test_goods_of_a_guest_come_back_too(desk: Desk) -> None:
    desk.shopify(an_order())
    assert desk.shopify(shopify_refund({1: 1}, "14.25")).state == "booked"
    assert desk.back(ORDER) == {1: (1, 1425)}


@pytest.mark.parametrize(
    "where",
    [
        lambda code: {"note": f"please gift-wrap. card {code} thanks"},
        lambda code: {"tags": f"vip, {code}"},
        lambda code: {"note": "-".join(code[at : at + 4] for at in range(0, 16, 4)).lower()},
        lambda code: {"discount_codes": [{"code": code, "amount": "0.00", "type": "fixed_amount"}]},
        lambda code: {"note_attributes": [{"name": "Loyalty card", "value": f" {code.lower()} "}]},
    ],
)
def test_a_card_is_found_wherever_shops_write_it(desk: Desk, where: Any) -> None:
    ana = desk.shop.join()
    desk.shopify(shopify_order([shopify_line(1, "10.00")], "10.00", **where(ana.code)))
    assert desk.shop.balance(ana.code) == 100 + 100


def test_a_customer_of_theirs_is_a_member_by_an_alias(desk: Desk) -> None:
    ana = desk.shop.join()
    adding = text("INSERT INTO card_code VALUES (:programme, :code, :card, :at)")
    aliases = [
        {"programme": ana.programme_id, "code": alias, "card": ana.card_id, "at": 2**60}
        for alias in ("W92WH6P11H4Z77CTET0RNTGFW8", "7700100200")
    ]
    desk.shop.store.write(lambda work: work.put_many(adding, aliases))
    desk.square(square_payment(1000, customer_id="W92WH6P11H4Z77CTET0RNTGFW8"))
    desk.shopify(shopify_order([shopify_line(1, "5.00")], "5.00"))
    assert desk.shop.balance(ana.code) == 100 + 100 + 50


def test_what_waits_holds_nothing_of_the_customer(desk: Desk) -> None:
    desk.shopify(shopify_order([shopify_line(1, "999.00")], "999.00", note="Noor, ring the bell"))
    (kept,) = rows(desk.shop.store, "register_message")
    assert kept["state"] == "refused"
    for personal in ("noor", "Noor", "7700100200", "bell"):
        assert personal not in kept["content"]


def test_a_name_of_broken_letters_is_booked_all_the_same(desk: Desk) -> None:
    lines = [shopify_line(1, "5.00", title="Mocha \ud83d\0", sku="\udfff", vendor="\u202e")]
    assert desk.shopify(shopify_order(lines, "5.00", note="\ud800")).state == "booked"
    (kept,) = rows(desk.shop.store, "purchase_line")
    assert (kept["name"], kept["sku"], kept["brand"]) == ("Mocha ?", "?", None)


def test_what_is_booked_keeps_no_content(desk: Desk) -> None:
    desk.shopify(an_order())
    (kept,) = rows(desk.shop.store, "register_message")
    assert (kept["state"], kept["content"]) == ("booked", "")


def test_a_voided_card_is_a_guest(desk: Desk) -> None:
    ana = desk.shop.join()
    desk.shop.store.write(lambda work: work.put(text("UPDATE card SET voided_at = 1")))
    assert desk.shopify(an_order(ana.code)).state == "booked"
    assert rows(desk.shop.store, "purchase")[0]["member_id"] is None


# What it was ---------------------------------------------------------------------


def test_tips_shipping_and_gift_cards_earn_as_the_programme_says(desk: Desk) -> None:
    ana = desk.shop.join()
    lines = [shopify_line(1, "10.00"), shopify_line(2, "50.00", gift_card=True)]
    order = shopify_order(
        lines,
        "67.00",
        shipping_lines=[shopify_shipping("5.00")],
        total_tip_received="2.00",
        **named(ana.code),
    )
    desk.shopify(order)
    # The coffee shop excludes gift cards and says nothing of tips and shipping.
    assert desk.shop.balance(ana.code) == 100 + 170
    kept = rows(desk.shop.store, "purchase_line")
    assert [line["category"] for line in kept] == [None, "gift-card", None, None]


def test_a_register_s_list_says_what_earns(desk: Desk) -> None:
    desk.add(
        Kind.SHOPIFY,
        categories="SKU-1 = gift-card\n# their maker\nCopperfinch = coffee\n"
        "tip = gift-card\nshipping=gift-card",
    )
    ana = desk.shop.join()
    order = shopify_order(
        [
            shopify_line(1, "10.00"),
            shopify_line(2, "4.00"),
            shopify_line(3, "2.00", tip={"payment_gateway": "pos"}),
        ],
        "21.00",
        shipping_lines=[shopify_shipping("5.00")],
        **named(ana.code),
    )
    desk.shopify(order)
    kept = [line["category"] for line in rows(desk.shop.store, "purchase_line")]
    assert kept == ["gift-card", "coffee", "gift-card", "gift-card"]
    assert desk.shop.balance(ana.code) == 100 + 40


@pytest.mark.parametrize(("included", "total", "points"), [(True, "20.00", 181), (False, "21.90", 200)])
def test_tax_earns_nothing_whether_prices_contain_it_or_not(
    desk: Desk, included: bool, total: str, points: int
) -> None:
    ana = desk.shop.join()
    order = shopify_order(
        [shopify_line(1, "10.00", 2, tax="1.90")], total, taxes_included=included, **named(ana.code)
    )
    desk.shopify(order)
    assert desk.shop.balance(ana.code) == 100 + points


@pytest.mark.parametrize(
    ("currency", "price", "total", "back", "points"),
    [("KWD", "1.505", "3.010", "1.505", (30, 15)), ("JPY", "150", "300", "150", (3000, 1500))],
)
def test_currencies_without_and_with_three_decimals(
    desk: Desk, currency: str, price: str, total: str, back: str, points: tuple[int, int]
) -> None:
    source = COFFEE_FILE.read_text("utf-8").replace('currency = "USD"', f'currency = "{currency}"')
    if currency == "JPY":
        source = source.replace(".00", "")
    programmes.load(desk.shop.store, name="abroad", source=source, pass_type=PASS_TYPE, now=desk.shop.now)
    desk.programme = "abroad"
    desk.add(Kind.SHOPIFY)
    ana = desk.shop.join(programme="abroad")
    before = desk.shop.balance(ana.code, "abroad")
    desk.shopify(shopify_order([shopify_line(1, price, 2)], total, currency=currency, **named(ana.code)))
    assert desk.shop.balance(ana.code, "abroad") == before + points[0]
    assert desk.shopify(shopify_refund({1: 1}, back, currency=currency)).state == "booked"
    assert desk.shop.balance(ana.code, "abroad") == before + points[1]


def test_locations_become_shops(desk: Desk) -> None:
    desk.add(Kind.SQUARE, locations="S8GWD5R9QB376 = west-loop")
    assert desk.square(square_payment(500)).state == "booked"
    assert rows(desk.shop.store, "purchase")[0]["location"] == "west-loop"
    other = desk.square(square_payment(600, payment="p2", location_id="ELSEWHERE"))
    assert (other.state, other.why) == ("refused", "location_unknown")
    with pytest.raises(RegisterListInvalid):
        desk.add(Kind.SQUARE, locations="X = moon-base")


# What is refused -------------------------------------------------------------------


def test_what_cannot_be_booked_is_kept_with_its_reason_and_can_be_tried_again(desk: Desk) -> None:
    ana = desk.shop.join()
    foreign = desk.shopify(shopify_order([shopify_line(1, "10.00")], "10.00", currency="EUR", order=1))
    large = desk.shopify(shopify_order([shopify_line(1, "600.00")], "600.00", order=2, **named(ana.code)))
    assert [foreign.why, large.why] == ["currency_foreign", "amount_too_large"]
    assert desk.shop.balance(ana.code) == 100
    raised = (COFFEE_FILE.read_text("utf-8")).replace("limit = 500.00", "limit = 900.00")
    programmes.load(desk.shop.store, name=COFFEE, source=raised, pass_type=PASS_TYPE, now=desk.shop.now)
    again = desk.retry(next(one for one in desk.messages() if one.why == "amount_too_large"))
    assert again.state == "booked"
    assert desk.shop.balance(ana.code) == 100 + 6000
    with pytest.raises(MessageUnknown):
        desk.retry(next(one for one in desk.messages() if one.state == "booked"))


def test_a_late_return_is_refused_and_does_not_count(desk: Desk) -> None:
    strict = COFFEE_FILE.read_text("utf-8").replace(
        "[points.expiry]", "[points]\nreturn_days = 1\n\n[points.expiry]"
    )
    programmes.load(desk.shop.store, name=COFFEE, source=strict, pass_type=PASS_TYPE, now=desk.shop.now)
    ana = desk.shop.join()
    desk.shopify(an_order(ana.code))
    late = desk.shopify(shopify_refund({1: 1}, "14.25"))
    assert (late.state, late.why) == ("refused", "return_too_late")
    soon = shopify_refund({2: 1}, "3.50", refund=8, processed_at="2026-03-10T18:00:00-05:00")
    assert desk.shopify(soon).state == "booked"
    assert desk.back(ORDER) == {2: (1, 350)}


def test_goods_that_the_till_took_back_are_not_taken_twice(desk: Desk) -> None:
    ana = desk.shop.join()
    desk.shopify(an_order(ana.code))
    (known,) = rows(desk.shop.store, "register_order")
    checkout.take_back(
        desk.shop.store,
        programme=COFFEE,
        receipt_id=known["receipt_id"],
        lines={1: 2},
        key="by-hand",
        at=TILL,
        now=desk.shop.now,
    )
    assert desk.shopify(shopify_refund({1: 1}, "14.25")).why == "nothing_left"
    assert desk.shopify(shopify_refund({1: 1, 2: 1}, "17.75", refund=5)).state == "booked"
    assert desk.back(ORDER) == {1: (2, 2850), 2: (1, 350)}
    assert desk.shop.balance(ana.code) == 100


def test_an_undone_purchase_has_nothing_to_give_back(desk: Desk) -> None:
    ana = desk.shop.join()
    desk.shopify(an_order(ana.code))
    (known,) = rows(desk.shop.store, "register_order")
    desk.shop.undo(known["receipt_id"])
    assert desk.shopify(shopify_refund({1: 1}, "14.25")).why == "undone"


# Trouble -------------------------------------------------------------------------


def test_after_a_week_an_order_that_never_came_is_given_up_with_an_alarm(desk: Desk) -> None:
    desk.shopify(shopify_refund({1: 1}, "14.25"))
    desk.shopify(shopify_cancelled(shopify_order([shopify_line(1, "1.00")], "1.00", order=9)))
    desk.work(timedelta(days=6))
    assert {state for state, _ in desk.states()} == {"waiting"}
    desk.work(timedelta(days=8))
    assert desk.states() == [("ignored", "not_paid"), ("refused", "order_unknown")]
    with desk.shop.store.read() as read:
        assert [one.name for one in alarms.open_alarms(read)] == ["registers"]
    # It comes after all.
    assert desk.shopify(an_order()).state == "booked"
    assert ("booked", None) in desk.states()
    assert ("refused", "order_unknown") not in desk.states()
    assert desk.back(ORDER) == {1: (1, 1425)}
    with desk.shop.store.read() as read:
        assert alarms.open_alarms(read) == []


@pytest.mark.parametrize("booked", [False, True])
def test_a_crash_at_any_point_loses_and_doubles_nothing(desk: Desk, booked: bool) -> None:
    """The power goes before or after a booking; the worker finishes."""
    ana, real = desk.shop.join(), register_books()

    def broken(function: Any) -> Any:
        def crash(*args: Any, **options: Any) -> Any:
            if booked:
                function(*args, **options)
            raise Busy

        return crash

    dying = Books(
        *[broken(getattr(real, name)) for name in ("accrue", "sale", "take_back", "take_back_sale")]
    )
    for message in (
        an_order(ana.code),
        shopify_refund({1: 1}, "14.25"),
        shopify_refund({2: 1}, "3.50", refund=2),
    ):
        with pytest.raises(Busy):
            desk.shopify(message, books=dying)
        desk.work()
    assert {one.state for one in desk.messages()} == {"booked"}
    assert desk.back(ORDER) == {1: (1, 1425), 2: (1, 350)}
    assert desk.shop.balance(ana.code) == 100 + 142
    assert len(rows(desk.shop.store, "goods_return")) == 2


def test_a_removed_register_is_not_heard_and_forgets_its_secret(desk: Desk) -> None:
    desk.shopify(shopify_refund({1: 1}, "14.25"))
    registers.remove(desk.shop.store, programme=COFFEE, register_id=desk.ids[Kind.SHOPIFY], now=desk.shop.now)
    with pytest.raises(RegisterUnknown):
        desk.opened(Kind.SHOPIFY)
    kept = rows(desk.shop.store, "register", f"id = {desk.ids[Kind.SHOPIFY]}")[0]
    assert bytes(kept["secret"]) == b""
    assert desk.work() == 0


def test_secrets_are_stored_encrypted_and_open_for_their_own_register_only(desk: Desk) -> None:
    kept = {row["kind"]: row for row in rows(desk.shop.store, "register")}
    for kind, secret in (("shopify", SHOPIFY_SECRET), ("square", SQUARE_SECRET)):
        assert secret.encode() not in bytes(kept[kind]["secret"])
    one, other = kept["shopify"], kept["square"]
    about = (str(one["programme_id"]), str(one["id"]))
    sealed = bytes(one["secret"])
    assert SHOPIFY_SECRET.encode() in KEYS.unseal(one["key_id"], sealed, "register", *about)
    for wrong in (bytes(other["secret"]), sealed[:-1] + bytes([sealed[-1] ^ 1]), b""):
        with pytest.raises(SealBroken):
            KEYS.unseal(one["key_id"], wrong, "register", *about)
    assert "shpss" not in repr(desk.opened(Kind.SHOPIFY))


# Square and Odoo -------------------------------------------------------------------


def test_square_tells_of_a_payment_again_with_each_change(desk: Desk) -> None:
    ana = desk.shop.join()
    approved = square_payment(1000, reference_id=ana.code, status="APPROVED")
    assert desk.square(approved).why == "not_paid"
    assert desk.square(square_payment(1000, reference_id=ana.code, event=2)).state == "booked"
    refunded = square_payment(1000, reference_id=ana.code, event=3, refunded_money={"amount": 250})
    assert desk.square(refunded).why == "already_booked"
    pending = square_refund(250, status="PENDING")
    assert desk.square(pending).why == "not_paid_out"
    assert desk.square(square_refund(250)).state == "booked"
    assert desk.square({**square_refund(250), "event_id": "another"}).why == "already_booked"
    assert desk.shop.balance(ana.code) == 100 + 75


def test_a_tip_at_square_is_a_line_of_its_own(desk: Desk) -> None:
    ana = desk.shop.join()
    desk.add(Kind.SQUARE, categories="tip = gift-card")
    desk.square(square_payment(1000, tip=200, reference_id=ana.code))
    assert desk.shop.balance(ana.code) == 100 + 100
    assert rows(desk.shop.store, "purchase")[0]["net_minor"] == 1200


def test_odoo_says_paid_done_and_invoiced_of_one_order(desk: Desk) -> None:
    ana = desk.shop.join()
    for state in ("draft", "paid", "done", "invoiced"):
        desk.odoo(odoo_order(10.0, state=state, x_loyalty_code=ana.code))
    assert desk.shop.balance(ana.code) == 100 + 100
    assert [why for _, why in desk.states(Kind.ODOO)] == [
        None,
        "already_booked",
        "already_booked",
        "not_paid",
    ]


def test_an_order_of_odoo_with_its_lines_is_booked_line_by_line(desk: Desk) -> None:
    ana = desk.shop.join()
    lines = [
        {"id": 1, "product_id": [7, "Espresso"], "full_product_name": "Espresso", "qty": 2.0, "discount": 0.0,
         "price_subtotal": 6.0, "price_subtotal_incl": 7.0},
        {"id": 2, "product_id": [8, "Beans, loose"], "qty": 0.35, "discount": 10.0,
         "price_subtotal": 9.0, "price_subtotal_incl": 9.9},
        {"id": 3, "product_id": [9, "Coupon"], "qty": 1.0,
         "price_subtotal": -1.0, "price_subtotal_incl": -1.0},
    ]  # fmt: skip
    desk.odoo(odoo_order(15.9, lines=lines, x_loyalty_code=ana.code))
    kept = rows(desk.shop.store, "purchase_line")
    paid = [one["quantity"] * one["unit_minor"] - one["discount_minor"] for one in kept]
    assert [one["quantity"] for one in kept] == [2, 1]
    assert paid == [659, 931]
    back = [
        {
            "id": 4,
            "product_id": [7, "Espresso"],
            "qty": -1.0,
            "price_subtotal_incl": -3.5,
            "refunded_orderline_id": 1,
        }
    ]
    assert desk.odoo(odoo_order(-3.29, order=9, lines=back, refunded_order_id=4711)).state == "booked"
    assert desk.back("4711") == {1: (1, 329)}
