"""What each maker's message says, read by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.registers import odoo, shopify, square
from passes.registers.fields import parsed
from passes.registers.orders import (
    ANY_SHIPPING,
    Event,
    GoodsRefunded,
    Ignored,
    Malformed,
    Nature,
    OrderCancelled,
    OrderPaid,
    as_json,
    from_json,
)
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


def paid(message: dict[str, Any]) -> OrderPaid:
    event = shopify.read(as_body(message))
    assert isinstance(event, OrderPaid)
    return event


def of_odoo(message: dict[str, Any], currency: str = "USD") -> Event:
    return odoo.read(as_body(message), currency=currency)


# Shopify --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "price", "total", "minor"),
    [
        ("USD", "12.40", "24.80", 2480),
        ("USD", "12.4", "24.8", 2480),
        ("JPY", "1500", "3000", 3000),
        ("JPY", "1500.00", "3000.00", 3000),
        ("KWD", "1.505", "3.010", 3010),
        ("TRY", "0.05", "0.10", 10),
    ],
)
def test_amounts_are_whole_minor_units_of_their_currency(
    currency: str, price: str, total: str, minor: int
) -> None:
    order = paid(shopify_order([shopify_line(1, price, 2)], total, currency=currency))
    assert (order.currency, order.amount_minor) == (currency, minor)


def test_a_part_of_the_smallest_unit_is_no_amount() -> None:
    for currency, price in (("USD", "1.005"), ("JPY", "1.50"), ("KWD", "1.0005")):
        with pytest.raises(Malformed):
            paid(shopify_order([shopify_line(1, price)], price, currency=currency))


def test_discounts_and_taxes_belong_to_their_lines() -> None:
    lines = [
        shopify_line(1, "10.00", 3, off="3.00", tax="2.43"),
        shopify_line(2, "5.00", total_discount="1.00"),
    ]
    without, within = (
        paid(shopify_order(lines, total, taxes_included=included))
        for included, total in ((False, "33.43"), (True, "31.00"))
    )
    assert [(line.gross_minor, line.net_minor, line.tax_minor) for line in without.lines] == [
        (3243, 2943, 243),
        (500, 400, 0),
    ]
    assert [(line.gross_minor, line.net_minor, line.tax_minor) for line in within.lines] == [
        (3000, 2700, 243),
        (500, 400, 0),
    ]


def test_what_no_line_says_is_a_tip_or_a_fee_and_what_is_missing_makes_lines_cheaper() -> None:
    def natures(**more: Any) -> list[tuple[Nature, int]]:
        order = paid(shopify_order([shopify_line(1, "10.00")], more.pop("total"), **more))
        return [(line.nature, line.net_minor) for line in order.lines]

    goods = (Nature.GOODS, 1000)
    assert natures(total="10.00") == [goods]
    assert natures(total="12.00", total_tip_received="2.00") == [goods, (Nature.TIP, 200)]
    assert natures(total="12.00") == [goods, (Nature.FEE, 200)]
    assert natures(total="9.95") == [(Nature.GOODS, 995)]
    shipped = natures(total="16.00", shipping_lines=[shopify_shipping("6.00")])
    assert shipped == [goods, (Nature.SHIPPING, 600)]
    free = shopify_shipping("6.00", discount_allocations=[{"amount": "6.00"}])
    assert natures(total="10.00", shipping_lines=[free]) == [goods, (Nature.SHIPPING, 0)]


def test_a_tip_among_the_lines_is_a_tip() -> None:
    for mark in ({"tip_payment_gateway": "shopify_payments"}, {"tip": {"payment_gateway": "cash"}}):
        order = paid(shopify_order([shopify_line(1, "10.00"), shopify_line(2, "2.00", **mark)], "12.00"))
        assert [line.nature for line in order.lines] == [Nature.GOODS, Nature.TIP]


def test_where_when_and_who() -> None:
    order = paid(
        shopify_order(
            [shopify_line(1, "10.00")],
            "10.00",
            location_id=655441491,
            source_name="pos",
            note="window seat",
            note_attributes=[{"name": "table", "value": "7"}, {"name": "Loyalty Code", "value": "ABC"}],
        )
    )
    assert (order.location, order.channel) == ("655441491", "in_store")
    assert order.occurred_at == datetime(2026, 3, 10, 11, 4, 7, tzinfo=timezone(timedelta(hours=-5)))
    assert (order.who, order.words) == (("ABC", "7700100200"), ("window seat",))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (shopify_order([], "1.00", test=True), "test_order"),
        (shopify_order([], "1.00", financial_status="pending"), "not_paid"),
        (
            shopify_order([], "1.00", financial_status="voided", cancelled_at="2026-03-10T00:00:00Z"),
            "not_paid",
        ),
        ({"id": 1, "email": "noor@example.org"}, "not_an_order"),
        (shopify_refund({}, None), "nothing_refunded"),
        (shopify_refund({}, "0.00"), "nothing_refunded"),
    ],
)
def test_what_does_not_concern_us(message: dict[str, Any], why: str) -> None:
    event = shopify.read(as_body(message))
    assert isinstance(event, Ignored)
    assert event.why == why


def test_a_refund_names_pieces_shipping_and_money() -> None:
    shop_money = {"shop_money": {"amount": "4.00", "currency_code": "USD"}}
    shipping = [{"shipping_line": {"id": 4_100_000_001}, "subtotal_amount_set": shop_money}]
    event = shopify.read(as_body(shopify_refund({1: 2}, "24.00", refund_shipping_lines=shipping)))
    assert isinstance(event, GoodsRefunded)
    assert event.pieces == {"line:1380000000001": 2}
    assert (event.money, event.paid_minor) == ({"shipping:4100000001": 400}, 2400)
    adjusted = [{"kind": "shipping_refund", "amount": "-4.00", "tax_amount": "-0.40"}]
    event = shopify.read(as_body(shopify_refund({}, "4.40", order_adjustments=adjusted)))
    assert isinstance(event, GoodsRefunded)
    assert event.money == {ANY_SHIPPING: 440}


def test_a_cancelled_order_says_when() -> None:
    event = shopify.read(as_body(shopify_cancelled(shopify_order([], "1.00"))))
    assert isinstance(event, OrderCancelled)
    assert event.occurred_at.astimezone(UTC) == datetime(2026, 3, 12, 20, 30, tzinfo=UTC)


# Square ---------------------------------------------------------------------------


def test_amounts_of_square_are_in_the_smallest_unit_already() -> None:
    for currency, amount in (("USD", 1240), ("JPY", 1500), ("KWD", 1505)):
        event = square.read(as_body(square_payment(amount, currency=currency, tip=100)))
        assert isinstance(event, OrderPaid)
        assert [(line.nature, line.net_minor) for line in event.lines] == [
            (Nature.GOODS, amount),
            (Nature.TIP, 100),
        ]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (square_payment(100, status="APPROVED"), "not_paid"),
        (square_payment(100, status="CANCELED"), "not_paid"),
        (square_refund(100, status="FAILED"), "not_paid_out"),
        (square_refund(100, payment_id=None), "unlinked_refund"),
        (
            {"type": "order.updated", "data": {"object": {"order_updated": {"state": "COMPLETED"}}}},
            "not_a_payment",
        ),
    ],
)
def test_what_of_square_does_not_concern_us(message: dict[str, Any], why: str) -> None:
    event = square.read(as_body(message))
    assert isinstance(event, Ignored)
    assert event.why == why


@pytest.mark.parametrize("amount", [-1, 1.5, "100", True, 10**12])
def test_an_amount_that_is_none_is_malformed(amount: Any) -> None:
    with pytest.raises(Malformed):
        square.read(as_body(square_payment(100, amount_money={"amount": amount, "currency": "USD"})))


# Odoo -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "total", "minor"),
    [("USD", 12.4, 1240), ("USD", 0.1 + 0.2, 30), ("JPY", 1500.0, 1500), ("KWD", 1.505, 1505)],
)
def test_floating_point_of_odoo_is_rounded_to_its_currency(currency: str, total: float, minor: int) -> None:
    event = of_odoo(odoo_order(total, currency_id=12), currency)
    assert isinstance(event, OrderPaid)
    assert (event.currency, event.amount_minor) == (currency, minor)


def test_odoo_says_the_time_in_utc_and_the_register_by_its_number() -> None:
    event = of_odoo(odoo_order(5.0))
    assert isinstance(event, OrderPaid)
    assert event.occurred_at == datetime(2026, 3, 10, 16, 4, 7, tzinfo=UTC)
    assert event.location == "3"
    event = of_odoo(odoo_order(5.0, config_id=4, x_studio_partner_barcode="0441", card_code="ABC"))
    assert isinstance(event, OrderPaid)
    assert (event.location, event.who) == ("4", ("ABC", "0441"))


@pytest.mark.parametrize(
    ("before", "order"),
    [({"refunded_order_id": 4711}, "4711"), ({"refunded_order_id": [4711, "Main/4711"]}, "4711"),
     ({"refunded_order_ids": [4711]}, "4711"), ({"refunded_order_ids": [4711, 4712]}, None), ({}, None)],
)  # fmt: skip
def test_a_refund_of_odoo_names_its_order(before: dict[str, Any], order: str | None) -> None:
    event = of_odoo(odoo_order(-5.0, order=9, **before))
    assert (event.order if isinstance(event, GoodsRefunded) else None) == order


@pytest.mark.parametrize(
    "message",
    [
        odoo_order(5.0, date_order="soon"),
        odoo_order(5.0, lines=[{"id": 1, "qty": 1.0, "price_subtotal_incl": 4.0}]),
        odoo_order(
            -0.0, lines=[{"id": 1, "price_subtotal_incl": 1.0}, {"id": 2, "price_subtotal_incl": -2.0}]
        ),
        odoo_order(5.0, amount_total="lots"),
    ],
)
def test_what_of_odoo_makes_no_sense_is_malformed(message: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        of_odoo(message)


# All of them ------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.data())
def test_whatever_is_in_a_message_is_read_or_malformed(data: st.DataObject) -> None:
    """A genuine message with any field replaced by anything: never a mistake of ours."""
    message = data.draw(
        st.sampled_from(
            [
                shopify_order([shopify_line(1, "5.00", 2, tax="0.40")], "10.40", note="x"),
                shopify_refund({1: 1}, "5.00"),
                square_payment(100, tip=10)["data"]["object"]["payment"],
                square_refund(100)["data"]["object"]["refund"],
                odoo_order(5.0, lines=[{"id": 1, "qty": 1.0, "price_subtotal_incl": 5.0}]),
            ]
        )
    )
    name = data.draw(st.sampled_from(sorted(message)))
    broken = {**message, name: data.draw(json_values)}
    for read in (
        shopify.read,
        lambda body: square.read(as_body({"type": "payment.x", "data": {"object": {"payment": broken}}})),
        lambda body: square.read(as_body({"type": "refund.x", "data": {"object": {"refund": broken}}})),
        lambda body: odoo.read(body, currency="USD"),
    ):
        try:
            event = read(as_body(broken))
        except Malformed:
            continue
        if isinstance(event, OrderPaid):
            assert event.amount_minor >= 0
        if not isinstance(event, Ignored):
            assert from_json(as_json(event)) == (
                replace(event, who=(), words=()) if isinstance(event, OrderPaid) else event
            )


def test_a_message_must_be_an_object() -> None:
    for body in (b"", b"[1]", b"7", b'"x"', b"[" * 60_000, b"\x00"):
        with pytest.raises(Malformed):
            parsed(body)


@pytest.mark.parametrize(
    "written",
    ["1e99999999999999999999", "1e-99999999999999999999", '"1_000"', '"٣"', '"1e"', "NaN", "Infinity"],
)
def test_a_number_that_is_none_is_malformed_however_it_is_written(written: str) -> None:
    message = shopify_order([shopify_line(1, "4.00")], "4.00")
    body = as_body(message).replace(b'"total_price":"4.00"', f'"total_price":{written}'.encode())
    with pytest.raises(Malformed):
        shopify.read(body)
