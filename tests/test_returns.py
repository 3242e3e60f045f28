"""Goods come back: what happens to points, rewards, stamps, tiers and money."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from passes import books, campaigns, checkout, cli, due_work, merging, programmes
from passes.loyalty.basket import Line
from passes.loyalty.receipt import Receipt, ReceiptKind
from passes.loyalty.refusals import (
    AlreadyUndone,
    AmountInvalid,
    KeyReused,
    NotAPurchase,
    NotEnoughPoints,
    NothingLeftToReturn,
    PurchaseUnknown,
    ReceiptUnknown,
    Refused,
    ReturnBeforeSale,
    ReturnLineUnknown,
    ReturnTooLarge,
    ReturnTooLate,
    UndoAfterReturn,
    UndoTooLate,
)
from passes.store import Store
from tests.cast import rows
from tests.shop import COFFEE, PASS_TYPE, TILL, Shop

MILL = "mill"
COFFEES = Line(2, 350, category="coffee")
BEANS = Line(1, 1425, category="beans")
GIFT_CARD = Line(1, 2500, category="gift-card")
CAFE: dict[str, Any] = {"lines": (COFFEES, BEANS, GIFT_CARD), "discount_minor": 213}

BASE = """
languages = ["en"]
currency = "USD"
zone = "UTC"
name = "Old Mill"
organisation = "Old Mill Ltd"
description = "Points for everything."
terms = "None."
{head}

[categories]
coffee = "coffee"
beans = "beans"
gift-card = "gift cards"

[unit]
one = "point"
other = "points"

[code]
kind = "letters"
symbology = "qr"

[earning]
points_per = "1 per 1.00"
limit = 5000.00
{earning}

[[earning.excluded]]
categories = ["gift-card"]

[points]
{points}

[[rewards]]
key = "hundred"
name = "Ten off"
points = 100
kind = "amount_off"
amount = 10.00

[[rewards]]
key = "forty"
name = "Four off"
points = 40
kind = "amount_off"
amount = 4.00

[[rewards]]
key = "cash"
name = "Pay with points"
points = 10
kind = "points_as_money"
amount = 0.10
{rest}

[card]
scene = "plain"
ground = "#000000"
text = "#FFFFFF"
label = "#FFFFFF"
strip = "progress"
steps = 8

[contact]
email = "hello@mill.example"
"""


def mill(head: str = "", earning: str = "", points: str = "", rest: str = "") -> str:
    return BASE.format(head=head, earning=earning, points=points, rest=rest)


@dataclass
class Mill:
    """A shop of one programme, with a member and a clock that a test sets."""

    shop: Shop
    code: str
    member_id: int

    @property
    def now(self) -> datetime:
        return self.shop.now

    def at(self, moment: datetime) -> None:
        self.shop.now = moment

    def buy(self, amount_minor: int, **options: Any) -> Receipt:
        return self.shop.buy(self.code, amount_minor, MILL, **options)

    def cafe(self, **options: Any) -> Receipt:
        """Two coffees, a bag of beans and a gift card, with 2.13 off: 25 points where coffee counts twice."""
        return self.buy(4412, **{**CAFE, **options})

    def back(self, receipt: Receipt | int, lines: dict[int, int] | None = None, **options: Any) -> Receipt:
        receipt_id = receipt if isinstance(receipt, int) else receipt.id
        values = {"key": self.shop.key(), "at": TILL, "now": self.now, **options}
        return checkout.take_back(
            self.shop.store, programme=MILL, receipt_id=receipt_id, lines=lines, **values
        )

    def spend(self, reward: str, on: Receipt, **options: Any) -> Receipt:
        """A reward held and captured for a purchase."""
        common: dict[str, Any] = {"programme": MILL, "at": TILL, "now": self.now}
        held = checkout.authorise(
            self.shop.store, code=self.code, reward=reward, key=self.shop.key(), **common, **options
        )
        return checkout.capture(
            self.shop.store, hold_id=held.id, key=self.shop.key(), purchase_receipt_id=on.id, **common
        )

    @property
    def member(self) -> dict[str, Any]:
        (row,) = rows(self.shop.store, "member", f"id = {self.member_id}")
        return row

    def held_in(self, bucket: str, asset: str = "points") -> int:
        found = rows(
            self.shop.store,
            "account",
            f"owner_kind = 'member' AND owner_id = '{self.member_id}' AND bucket = '{bucket}'"
            f" AND asset = '{asset}'",
        )
        return found[0]["balance"] if found else 0

    @property
    def purses(self) -> tuple[int, int, int]:
        """Waiting, to spend, held."""
        return self.held_in("pending"), self.held_in("available"), self.held_in("held")

    @property
    def stamps(self) -> int:
        return self.held_in("available", "stamps")

    def system(self, bucket: str) -> int:
        """What a system account holds, from its postings."""
        (account,) = rows(
            self.shop.store,
            "account",
            f"owner_kind = 'system' AND bucket = '{bucket}' AND asset = 'points'",
        )
        moved = rows(self.shop.store, "posting", f"target = {account['id']} OR source = {account['id']}")
        return sum(one["amount"] if one["target"] == account["id"] else -one["amount"] for one in moved)

    def is_right(self) -> bool:
        verified = books.verify(self.shop.store)
        assert verified.right, verified.problems
        return True


def open_mill(store: Store, now: datetime, source: str) -> Mill:
    programmes.load(store, name=MILL, source=source, pass_type=PASS_TYPE, now=now)
    shop = Shop(store, now)
    joined = shop.join("Ana Reyes", MILL)
    return Mill(shop, joined.code, joined.member_id)


def reload(here: Mill, source: str) -> None:
    programmes.load(here.shop.store, name=MILL, source=source, pass_type=PASS_TYPE, now=here.now)


def reason(receipt: Receipt, rule: str = "return") -> dict[str, Any]:
    (found,) = [one for one in receipt.reasons if one["rule"] == rule]
    return dict(found)


def by_age(store: Store, table: str) -> list[dict[str, Any]]:
    """What stands in a table, the oldest first."""
    return sorted(rows(store, table), key=lambda row: int(row["id"]))


COFFEE_TWICE = """
[[earning.multipliers]]
key = "coffee"
name = "Coffee twice"
factor = 2
when = { categories = ["coffee"] }
"""


# A year of one member -----------------------------------------------------------------


@pytest.mark.check("L-56")
def test_the_worked_year_of_a_member_comes_out_exactly(store: Store, now: datetime) -> None:
    def on(year: int, month: int, day: int, hour: int = 12) -> None:
        here.at(datetime(year, month, day, hour, tzinfo=UTC))
        due_work.run_due(store, now=here.now)

    here = open_mill(
        store,
        datetime(2026, 1, 10, 12, tzinfo=UTC),
        mill(
            points="pending_days = 14",
            rest='[points.expiry]\nkind = "rolling"\nmonths = 12\nto = "month"',
        ),
    )
    first = here.buy(12_040)
    assert here.purses == (120, 0, 0)
    on(2026, 1, 20)
    here.back(first, amount_minor=3_000)
    assert here.purses == (90, 0, 0)
    on(2026, 1, 24)
    assert here.purses == (0, 90, 0)
    on(2026, 2, 5)
    second = here.buy(6_000)
    assert here.purses == (60, 90, 0)
    on(2026, 2, 19)
    assert here.purses == (0, 150, 0)
    on(2026, 3, 1, 10)
    order = here.buy(50)
    common: dict[str, Any] = {"programme": MILL, "at": TILL, "now": here.now}
    held = checkout.authorise(store, code=here.code, reward="hundred", key="till-1", **common)
    assert here.purses == (0, 50, 100)
    with pytest.raises(NotEnoughPoints) as refused:
        checkout.authorise(store, code=here.code, reward="hundred", key="till-2", **common)
    assert refused.value.values["available"] == 50
    checkout.capture(store, hold_id=held.id, purchase_receipt_id=order.id, key="paid", **common)
    assert here.purses == (0, 50, 0)
    on(2026, 3, 4)
    here.back(order)
    assert here.purses == (0, 150, 0)
    assert [lot["remaining"] for lot in by_age(store, "lot")] == [90, 60]
    on(2027, 1, 31)
    assert here.purses == (0, 150, 0)
    on(2027, 2, 1)
    assert here.purses == (0, 60, 0)
    on(2027, 2, 10)
    here.shop.redeem(here.code, "forty", MILL, now=here.now)
    assert here.purses == (0, 20, 0)
    on(2027, 2, 12)
    here.back(second)
    assert here.purses == (0, -40, 0)
    system = {bucket: here.system(bucket) for bucket in ("issue", "clawback", "redeemed", "expired")}
    assert system == {"issue": -180, "clawback": 90, "redeemed": 40, "expired": 90}
    assert here.is_right()


# How many points go back ---------------------------------------------------------------


@pytest.mark.check("L-51")
@pytest.mark.parametrize(("policy", "taken"), [("recompute", 13), ("proportional", 17)])
def test_returned_beans_cost_13_points_recomputed_and_17_by_proportion(
    store: Store, now: datetime, policy: str, taken: int
) -> None:
    here = open_mill(store, now, mill(points=f'returns = "{policy}"', rest=COFFEE_TWICE))
    bought = here.cafe()
    assert bought.points == 25
    back = here.back(bought, {2: 1})
    assert (back.kind, back.points, back.balance_after) == (ReceiptKind.RETURN, -taken, 25 - taken)
    assert (back.amount_minor, reason(back)["refund_minor"]) == (1282, 1282)
    rest = here.back(bought)
    assert (rest.points, rest.balance_after) == (taken - 25, 0)
    assert here.is_right()


def test_the_rules_of_the_day_of_purchase_decide_its_return(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill(rest=COFFEE_TWICE))
    bought = here.cafe()
    reload(here, mill(points='returns = "proportional"', earning='rounding = "ceil"'))
    assert here.back(bought, {2: 1}).points == -13


@pytest.mark.parametrize("policy", ["recompute", "proportional"])
@pytest.mark.parametrize("rounding", ["floor", "half_up", "ceil", "per_line_floor", "block"])
def test_many_small_returns_take_as_much_as_one(
    store: Store, now: datetime, policy: str, rounding: str
) -> None:
    here = open_mill(store, now, mill(points=f'returns = "{policy}"', earning=f'rounding = "{rounding}"'))
    bought = here.buy(7 * 137, lines=[Line(7, 137)])
    taken = [here.back(bought, {1: 1}).points for _ in range(7)]
    assert all(points <= 0 for points in taken)
    assert sum(taken) == -bought.points
    assert here.purses == (0, 0, 0)
    assert sum(one["net_minor"] for one in by_age(store, "goods_return")) == 7 * 137
    assert here.is_right()


def test_money_back_without_goods_counts_like_goods(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    bought = here.buy(12_040)
    assert here.back(bought, amount_minor=3_000).points == -30
    assert here.back(bought, amount_minor=41).points == -1
    last = here.back(bought, amount_minor=8_999)
    assert (last.points, last.balance_after) == (-89, 0)
    with pytest.raises(NothingLeftToReturn):
        here.back(bought, amount_minor=1)
    assert here.is_right()


@pytest.mark.parametrize(
    ("rule", "amounts", "left"),
    [
        # 1.60 + 1.60 points: 1, then 2 with what was carried; the second returned leaves 1 and 0.60.
        ('rounding = "carry"', (160, 160), ("3/5", 1)),
        # Two times 1.60 in blocks of 1.00.
        ('rounding = "block"\ncarries = true', (160, 160), ("60", 1)),
    ],
)
def test_what_rounding_left_over_pays_for_a_return_first(
    store: Store, now: datetime, rule: str, amounts: tuple[int, int], left: tuple[str, int]
) -> None:
    here = open_mill(store, now, mill(points='returns = "proportional"', earning=rule))
    first, second = (here.buy(amount) for amount in amounts)
    assert (first.points, second.points) == (1, 2)
    here.back(second)
    assert (here.member["carried"], here.purses[1]) == left
    here.back(first)
    assert here.purses[1] == 0
    assert here.is_right()


def test_a_return_takes_from_the_carried_fraction_of_another_purchase(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill(earning='rounding = "carry"'))
    bought = here.buy(210)
    here.buy(190)
    assert (here.purses[1], here.member["carried"]) == (4, "0")
    back = here.back(bought)
    assert (back.points, here.member["carried"]) == (-3, "9/10")


def test_bounded_multipliers_have_added_less_after_a_return(store: Store, now: datetime) -> None:
    bounded = COFFEE_TWICE.replace("factor = 2", "factor = 2\nbudget_points = 100\nmember_points = 50")
    here = open_mill(store, now, mill(rest=bounded))
    bought = here.buy(3000, lines=[Line(3, 1000, category="coffee")])
    assert (bought.points, rows(store, "allowance")[0]["used"]) == (60, 30)
    here.back(bought, {1: 1})
    assert rows(store, "allowance")[0]["used"] == rows(store, "member_allowance")[0]["used"] == 20
    here.back(bought)
    assert rows(store, "allowance")[0]["used"] == rows(store, "member_allowance")[0]["used"] == 0


# From where they come --------------------------------------------------------------------


@pytest.mark.check("L-52")
def test_points_go_back_from_waiting_ones_then_their_own_lots_then_others(
    store: Store, now: datetime
) -> None:
    source = mill(
        points="pending_days = 5", rest='[points.expiry]\nkind = "rolling"\nmonths = 12\nto = "month"'
    )
    here = open_mill(store, now, source)
    first = here.buy(6_000)
    here.at(now + timedelta(days=6))
    due_work.run_due(store, now=here.now)
    second = here.buy(5_000)
    assert here.purses == (50, 60, 0)

    waiting = here.back(second, amount_minor=2_000)
    assert (reason(waiting)["from_pending"], reason(waiting)["from_available"]) == (20, 0)
    assert here.purses == (30, 60, 0)

    here.at(now + timedelta(days=40))
    due_work.run_due(store, now=here.now)
    third = here.buy(3_000)
    here.at(now + timedelta(days=80))
    due_work.run_due(store, now=here.now)
    assert here.purses == (0, 120, 0)
    own = here.back(third, amount_minor=1_000)
    lots = {lot["original"]: lot["remaining"] for lot in by_age(store, "lot")}
    assert lots == {60: 60, 50: 30, 30: 20}, "its own lot pays, although others lapse sooner"
    assert own.points == -10

    here.shop.redeem(here.code, "hundred", MILL)
    assert {lot["original"]: lot["remaining"] for lot in by_age(store, "lot")} == {60: 0, 50: 0, 30: 10}
    # Of the first purchase's own points none are left: another lot pays, then the balance goes below zero.
    other = here.back(first, amount_minor=2_000)
    assert (other.points, other.balance_after) == (-20, -10)
    assert {lot["original"]: lot["remaining"] for lot in by_age(store, "lot")} == {60: 0, 50: 0, 30: 0}
    with pytest.raises(NotEnoughPoints):
        here.shop.redeem(here.code, "forty", MILL)
    # New points fill the hole first.
    here.buy(2_500)
    here.at(now + timedelta(days=100))
    due_work.run_due(store, now=here.now)
    assert here.purses == (0, 15, 0)
    assert here.is_right()


@pytest.mark.check("L-52")
@pytest.mark.parametrize(
    ("shortfall", "balance", "refund_minor", "withheld_minor"),
    [
        ('shortfall = "negative"', -40, 5_000, 0),
        ('shortfall = "forgive"', 0, 5_000, 0),
        ('shortfall = "deduct_from_refund"\nhundred_points_worth = 1.25', 0, 4_950, 50),
    ],
)
def test_what_is_missing_becomes_a_hole_or_is_forgiven_or_kept_from_the_refund(
    store: Store, now: datetime, shortfall: str, balance: int, refund_minor: int, withheld_minor: int
) -> None:
    here = open_mill(store, now, mill(points=shortfall))
    bought = here.buy(5_000)
    here.shop.redeem(here.code, "forty", MILL)
    back = here.back(bought)
    told = reason(back)
    assert (told["refund_minor"], told["withheld_minor"]) == (refund_minor, withheld_minor)
    assert checkout.refund_of(back) == refund_minor
    assert back.balance_after == here.purses[1] == balance
    assert told["short"] == (0 if balance else 40)
    (kept,) = by_age(store, "goods_return")
    assert (kept["net_minor"], kept["withheld_minor"], kept["receipt_id"]) == (
        5_000,
        withheld_minor,
        back.id,
    )
    assert here.is_right()


def test_forgiven_points_are_not_asked_for_again(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill(points='shortfall = "forgive"'))
    bought = here.buy(5_000)
    here.shop.redeem(here.code, "forty", MILL)
    here.back(bought, amount_minor=4_000)
    assert here.purses[1] == 0
    here.buy(3_000)
    assert here.back(bought).points == -10
    assert here.purses[1] == 20


def test_no_more_is_withheld_than_is_refunded(store: Store, now: datetime) -> None:
    here = open_mill(
        store, now, mill(points='shortfall = "deduct_from_refund"\nhundred_points_worth = 500.00')
    )
    bought = here.buy(5_000)
    here.shop.redeem(here.code, "forty", MILL)
    told = reason(here.back(bought))
    assert (told["refund_minor"], told["withheld_minor"]) == (0, 5_000)


# What was spent on it ---------------------------------------------------------------------


ROLLING = '\n[points.expiry]\nkind = "rolling"\nmonths = 12\nto = "month"\n'


@pytest.mark.check("L-53")
def test_points_spent_on_a_returned_purchase_go_back_to_their_old_lots(store: Store, now: datetime) -> None:
    here = open_mill(store, datetime(2026, 1, 10, 12, tzinfo=UTC), mill(rest=ROLLING))
    here.buy(9_000)
    here.at(datetime(2026, 2, 5, 12, tzinfo=UTC))
    here.buy(6_000)
    before = by_age(store, "lot")
    bought = here.buy(50)
    here.spend("hundred", bought)
    assert here.purses == (0, 50, 0)
    back = here.back(bought)
    assert (back.points, back.balance_after) == (100, 150)
    assert by_age(store, "lot") == before, "the same lots, with the same expiry"
    assert reason(back, "restore") == {"rule": "restore", "reward": "hundred", "points": 100}
    assert by_age(store, "redemption")[0]["state"] == "restored"
    assert here.is_right()


@pytest.mark.check("L-53")
def test_points_that_lapsed_meanwhile_come_back_for_the_days_of_grace(store: Store, now: datetime) -> None:
    source = mill(points="restore_grace_days = 10", rest=ROLLING)
    here = open_mill(store, datetime(2026, 1, 10, 12, tzinfo=UTC), source)
    here.buy(9_000)
    here.at(datetime(2026, 2, 5, 12, tzinfo=UTC))
    here.buy(6_000)
    here.at(datetime(2027, 1, 20, 12, tzinfo=UTC))
    bought = here.buy(50)
    here.spend("hundred", bought)
    here.at(datetime(2027, 2, 12, 12, tzinfo=UTC))
    due_work.run_due(store, now=here.now)
    here.back(bought)
    first, second = (lot for lot in by_age(store, "lot") if lot["original"] in (90, 60))
    assert (first["remaining"], second["remaining"]) == (90, 60)
    assert first["expires_at"] == _micros(datetime(2027, 2, 22, 12, tzinfo=UTC))
    assert second["expires_at"] == _micros(datetime(2027, 3, 1, tzinfo=UTC))
    due_work.run_due(store, now=datetime(2027, 2, 22, 11, 59, tzinfo=UTC))
    assert here.purses[1] == 150
    due_work.run_due(store, now=datetime(2027, 2, 22, 12, tzinfo=UTC))
    assert here.purses[1] == 60
    assert here.is_right()


def _micros(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


@pytest.mark.check("L-53")
def test_a_partial_return_gives_back_points_by_the_discount_on_the_lines(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    here.buy(20_000)
    # 10.00 off 60.00: 1.67, 3.33 and 5.00 of it belong to the lines.
    bought = here.buy(5_000, lines=[Line(1, 1_000), Line(2, 1_000), Line(3, 1_000)], discount_minor=1_000)
    assert bought.points == 50
    here.spend("hundred", bought)
    assert here.purses[1] == 150
    given = [
        reason(here.back(bought, lines), "restore")["points"]
        for lines in ({2: 1}, {1: 1}, {2: 1}, {3: 2}, {3: 1})
    ]
    assert given == [16, 17, 17, 33, 17]
    assert sum(given) == 100
    assert here.purses[1] == 200
    assert by_age(store, "redemption")[0]["state"] == "restored"
    assert here.is_right()


def test_what_was_paid_with_points_is_not_refunded_in_money(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    here.buy(20_000)
    bought = here.buy(1_000, lines=[Line(2, 500)], unearning_minor=100)
    assert bought.points == 9
    here.spend("cash", bought, points=100, basket_minor=1_000)
    half = here.back(bought, {1: 1})
    assert (reason(half)["refund_minor"], reason(half)["points_paid_minor"]) == (450, 50)
    assert reason(half, "restore")["points"] == 50
    rest = here.back(bought)
    assert (reason(rest)["refund_minor"], reason(rest, "restore")["points"]) == (450, 50)
    assert here.purses[1] == 200
    assert here.is_right()


def test_a_hold_captured_in_part_gives_back_only_what_was_taken(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    here.buy(20_000)
    bought = here.buy(50)
    common: dict[str, Any] = {"programme": MILL, "at": TILL, "now": now}
    held = checkout.authorise(store, code=here.code, reward="hundred", key="hold", **common)
    checkout.capture(
        store, hold_id=held.id, key="capture", points=30, purchase_receipt_id=bought.id, **common
    )
    assert here.purses == (0, 170, 0)
    assert here.back(bought).points == 30
    assert here.purses == (0, 200, 0)
    assert here.is_right()


# Guards ---------------------------------------------------------------------------------


@pytest.mark.check("L-54")
def test_never_more_comes_back_than_was_sold(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    bought = here.buy(1_300, lines=[Line(3, 100), Line(1, 1_000)])
    here.back(bought, {1: 2})
    with pytest.raises(ReturnTooLarge) as refused:
        here.back(bought, {1: 2})
    assert str(refused.value) == "At most 1 of this can still come back."
    with pytest.raises(ReturnTooLarge) as refused:
        here.back(bought, amount_minor=1_101)
    assert str(refused.value) == "At most 11.00 USD of this can still come back."
    with pytest.raises(ReturnLineUnknown):
        here.back(bought, {3: 1})
    here.back(bought, {1: 1})
    with pytest.raises(NothingLeftToReturn):
        here.back(bought, {1: 1})
    assert here.back(bought).amount_minor == 1_000
    with pytest.raises(NothingLeftToReturn):
        here.back(bought, key="another")
    assert here.purses[1] == 0
    assert len(by_age(store, "goods_return")) == 3


def test_a_return_can_be_looked_at_before_it_is_booked(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill(rest=STAMPS))
    bought = here.buy(
        1_300, lines=[Line(3, 100, name="Cup", category="coffee"), Line(1, 1_000, category="beans")]
    )
    other = here.buy(50)
    here.shop.buy(here.code, 20_000, MILL)
    here.spend("hundred", other)
    tables = ("account", "lot", "receipt", "posting", "goods_return", "redemption", "member", "card")
    before = {table: sorted(map(str, rows(store, table))) for table in tables}
    common: dict[str, Any] = {"programme": MILL, "now": now}
    shown = checkout.preview_return(store, receipt_id=bought.id, lines={1: 2}, **common)
    assert (shown.points, checkout.refund_of(shown), reason(shown)["stamps"]) == (-2, 200, 2)
    assert checkout.preview_return(store, receipt_id=other.id, **common).points == 100
    assert {table: sorted(map(str, rows(store, table))) for table in tables} == before
    booked = here.back(bought, {1: 2})
    assert (booked.points, booked.balance_after) == (shown.points, shown.balance_after)
    with pytest.raises(ReturnTooLarge):
        checkout.preview_return(store, receipt_id=bought.id, lines={1: 2}, **common)
    left = checkout.returnable(store, programme=MILL, receipt_id=bought.id)
    assert left == (
        checkout.Returnable(1, "Cup", "coffee", sold=3, quantity=1, paid_minor=100),
        checkout.Returnable(2, None, "beans", sold=1, quantity=1, paid_minor=1_000),
    )
    for number in (0, 2**63, 12):
        with pytest.raises(ReceiptUnknown):
            checkout.returnable(store, programme=MILL, receipt_id=number)
    with pytest.raises(NotAPurchase):
        checkout.returnable(store, programme=MILL, receipt_id=booked.id)
    undone = here.buy(100)
    here.shop.undo(undone.id, MILL)
    with pytest.raises(AlreadyUndone):
        checkout.returnable(store, programme=MILL, receipt_id=undone.id)


@pytest.mark.parametrize(
    ("lines", "amount_minor"),
    [({1: 0}, None), ({1: -1}, None), (None, 0), (None, -5), ({1: 1}, 100)],
)
def test_impossible_returns_are_refused(
    store: Store, now: datetime, lines: dict[int, int] | None, amount_minor: int | None
) -> None:
    here = open_mill(store, now, mill())
    bought = here.buy(1_000)
    with pytest.raises(AmountInvalid):
        here.back(bought, lines, amount_minor=amount_minor)
    assert here.purses[1] == 10


def test_the_same_request_answers_as_it_did_first(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    bought = here.buy(1_000)
    first = here.back(bought, amount_minor=400, key="back")
    assert here.back(bought, amount_minor=400, key="back") == first
    with pytest.raises(KeyReused):
        here.back(bought, amount_minor=500, key="back")
    assert len(by_age(store, "goods_return")) == 1


def test_only_purchases_that_stand_come_back(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    bought = here.buy(20_000)
    redeemed = here.shop.redeem(here.code, "forty", MILL)
    with pytest.raises(NotAPurchase):
        here.back(redeemed)
    with pytest.raises(NotAPurchase):
        here.back(here.back(bought, amount_minor=100))
    for number in (0, -1, 5, 2**63):
        with pytest.raises(ReceiptUnknown):
            here.back(number)
    undone = here.buy(700)
    here.shop.undo(undone.id, MILL)
    with pytest.raises(AlreadyUndone):
        here.back(undone)
    with pytest.raises(UndoAfterReturn):
        here.shop.undo(bought.id, MILL)
    assert here.is_right()


def test_goods_come_back_until_the_end_of_the_last_day(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill(points="return_days = 14"))
    bought = here.buy(1_000)
    here.at(now.replace(hour=23, minute=59) + timedelta(days=14))
    here.back(bought, amount_minor=100)
    here.at(here.now + timedelta(minutes=1))
    with pytest.raises(ReturnTooLate) as refused:
        here.back(bought)
    assert refused.value.values == {"days": 14}
    # At an offline till it was in time.
    here.back(bought, occurred_at=here.now - timedelta(days=1))


def test_a_return_is_never_dated_before_its_sale(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    bought = here.buy(1_000)
    with pytest.raises(ReturnBeforeSale):
        here.back(bought, occurred_at=now - timedelta(seconds=1))
    # The clock was set back between the two.
    here.at(now - timedelta(hours=2))
    back = here.back(bought)
    assert back.occurred_at == bought.occurred_at
    assert here.purses[1] == 0
    assert here.is_right()


@pytest.mark.check("L-55")
def test_nothing_that_comes_back_ever_earns(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    for line in (Line(-1, 1_000), Line(1, -1_000), Line(1, 1_000, discount_minor=-1)):
        with pytest.raises(AmountInvalid):
            here.buy(1_000, lines=[Line(1, 2_000), line])
    with pytest.raises(AmountInvalid):
        here.buy(-1_000)
    bought = here.buy(1_000)
    back = here.back(bought)
    earned = [one for one in rows(store, "posting") if one["kind"] == "earn"]
    assert [one["receipt_id"] for one in earned] == [bought.id]
    assert (back.points, len(rows(store, "purchase"))) == (-10, 1)
    assert (here.member["metric"], here.member["purchases"]) == (0, 0)


@pytest.mark.check("L-54")
def test_two_tills_take_the_same_goods_back_once(store: Store, now: datetime, database_url: str) -> None:
    from passes import store as database

    here = open_mill(store, now, mill())
    bought = here.buy(1_000, lines=[Line(2, 500)])
    outcomes: list[str] = []
    barrier = threading.Barrier(4)
    opened = [database.open(database_url, writer_thread=True) for _ in range(4)]

    def claim(one: Store, number: int) -> None:
        barrier.wait(5)
        try:
            checkout.take_back(
                one,
                programme=MILL,
                receipt_id=bought.id,
                lines={1: 2},
                key=f"claim-{number}",
                at=TILL,
                now=now,
            )
            outcomes.append("taken")
        except Refused as refused:
            outcomes.append(refused.code)

    threads = [threading.Thread(target=claim, args=(one, n)) for n, one in enumerate(opened)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in opened:
        one.close()
    assert sorted(outcomes) == ["nothing_left_to_return"] * 3 + ["taken"]
    assert (here.purses[1], len(by_age(store, "goods_return"))) == (0, 1)
    assert here.is_right()


# Guests, exchanges ------------------------------------------------------------------------


def test_goods_of_a_guest_come_back_for_money_alone(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    common: dict[str, Any] = {"programme": MILL, "at": TILL, "now": now}
    sale = checkout.sale(
        store, amount_minor=1_900, lines=[Line(3, 500), Line(1, 600)], discount_minor=200, key="s", **common
    )

    def back(key: str, **what: Any) -> checkout.SaleReturned:
        return checkout.take_back_sale(store, purchase_id=sale.id, key=key, **common, **what)

    first = back("one", lines={1: 1})
    assert (first.refund_minor, first.currency) == (452, "USD")
    assert back("one", lines={1: 1}) == first
    rest = back("rest")
    assert first.refund_minor + rest.refund_minor == 1_900
    with pytest.raises(NothingLeftToReturn):
        back("again")
    assert [one["receipt_id"] for one in by_age(store, "goods_return")] == [None, None]
    assert rows(store, "posting") == []
    with pytest.raises(PurchaseUnknown):
        checkout.take_back_sale(store, purchase_id=7, key="seven", **common)
    bought = here.buy(500)
    (members,) = rows(store, "purchase", "member_id IS NOT NULL")
    with pytest.raises(PurchaseUnknown):
        checkout.take_back_sale(store, purchase_id=members["id"], key="members", **common)
    assert bought.points == 5


def test_two_tills_refund_a_guest_once(store: Store, now: datetime, database_url: str) -> None:
    from passes import store as database

    open_mill(store, now, mill())
    common: dict[str, Any] = {"programme": MILL, "at": TILL, "now": now}
    sale = checkout.sale(store, amount_minor=500, key="sale", **common)
    outcomes: list[str] = []
    opened = [database.open(database_url, writer_thread=True) for _ in range(4)]
    barrier = threading.Barrier(4)

    def claim(one: Store, number: int) -> None:
        barrier.wait(5)
        try:
            checkout.take_back_sale(one, purchase_id=sale.id, key=f"claim-{number}", **common)
            outcomes.append("taken")
        except Refused as refused:
            outcomes.append(refused.code)

    threads = [threading.Thread(target=claim, args=(one, n)) for n, one in enumerate(opened)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in opened:
        one.close()
    assert sorted(outcomes) == ["nothing_left_to_return"] * 3 + ["taken"]


@pytest.mark.check("L-54")
def test_an_exchange_is_one_step_and_changes_the_card_once(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    bought = here.buy(3_000, lines=[Line(1, 2_000), Line(1, 1_000)])
    (card,) = rows(store, "card")

    def exchange(key: str, amount_minor: int = 2_500, **options: Any) -> checkout.Exchanged:
        return checkout.exchange(
            store,
            programme=MILL,
            receipt_id=bought.id,
            returned_lines={1: 1},
            amount_minor=amount_minor,
            key=key,
            at=TILL,
            now=now,
            **options,
        )

    with pytest.raises(AmountInvalid):
        exchange("swap", 0)
    swapped = exchange("swap")
    assert (swapped.returned.points, swapped.bought.points, swapped.to_pay_minor) == (-20, 25, 500)
    assert (swapped.returned.balance_after, swapped.bought.balance_after) == (10, 35)
    assert exchange("swap") == swapped
    assert rows(store, "card")[0]["revision"] == card["revision"] + 1
    with pytest.raises(NothingLeftToReturn):
        exchange("again")
    assert here.purses[1] == 35
    assert len(rows(store, "purchase")) == 2
    assert here.is_right()


# Stamps -----------------------------------------------------------------------------------


STAMPS = """
[stamps]
name = "Ten cups, one free"
target = 10
earned_for = "item"
categories = ["coffee"]
"""


@pytest.mark.check("L-10")
@pytest.mark.parametrize("used", [False, True])
def test_returned_stamps_revoke_an_unused_reward_or_make_the_card_negative(
    store: Store, now: datetime, used: bool
) -> None:
    here = open_mill(store, now, mill(rest=STAMPS))
    here.buy(900, lines=[Line(9, 100, category="coffee")])
    bought = here.buy(300, lines=[Line(3, 100, category="coffee")])
    (reward,) = by_age(store, "redemption")
    assert (here.stamps, reward["state"]) == (2, "issued")
    if used:
        checkout.use(
            store, programme=MILL, code=here.code, redemption_id=reward["id"], key="u", at=TILL, now=now
        )
    back = here.back(bought)
    assert reason(back)["stamps"] == 3
    (reward,) = by_age(store, "redemption")
    assert (here.stamps, reward["state"]) == ((-1, "used") if used else (9, "cancelled"))
    assert here.is_right()
    here.buy(100, lines=[Line(1, 100, category="coffee")])
    assert here.stamps == 0
    assert len(by_age(store, "redemption")) == (1 if used else 2)
    assert here.is_right()


def test_stamps_come_back_piece_by_piece(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill(rest=STAMPS))
    bought = here.buy(1_400, lines=[Line(4, 100, category="coffee"), Line(1, 1_000, category="beans")])
    assert [here.back(bought, lines) and here.stamps for lines in ({2: 1}, {1: 1}, {1: 2})] == [4, 3, 1]
    here.back(bought)
    assert here.stamps == 0
    assert here.is_right()


def test_a_visit_keeps_its_stamp_until_all_of_it_came_back(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill(rest='[stamps]\nname = "Ten visits"\ntarget = 10\n'))
    bought = here.buy(1_000)
    here.back(bought, amount_minor=900)
    assert here.stamps == 1
    here.back(bought)
    assert here.stamps == 0


def test_a_reward_that_cost_no_points_is_there_again_when_its_goods_come_back(
    store: Store, now: datetime
) -> None:
    here = open_mill(store, now, mill(rest=STAMPS + "reward_valid_days = 5\n"))
    here.buy(1_000, lines=[Line(10, 100, category="coffee")])
    bought = here.buy(1_000, lines=[Line(1, 300, discount_minor=300), Line(1, 1_000, category="beans")])
    (reward,) = by_age(store, "redemption")
    checkout.use(
        store,
        programme=MILL,
        code=here.code,
        redemption_id=reward["id"],
        key="use",
        at=TILL,
        purchase_receipt_id=bought.id,
        now=now,
    )
    here.at(now + timedelta(days=20))
    here.back(bought, {2: 1})
    assert [one["state"] for one in by_age(store, "redemption")] == ["used"]
    here.back(bought, {1: 1})
    old, new = by_age(store, "redemption")
    assert (old["state"], new["state"], new["source"]) == ("restored", "issued", "stamps")
    assert new["expires_at"] == _micros(here.now + timedelta(days=30))
    checkout.use(
        store, programme=MILL, code=here.code, redemption_id=new["id"], key="2", at=TILL, now=here.now
    )
    assert here.is_right()


# Tiers ------------------------------------------------------------------------------------


TIERS = """
[tiering]
window = "calendar_year"
{more}

[[tiers]]
key = "basic"
name = "Basic"
spend = 0

[[tiers]]
key = "silver"
name = "Silver"
spend = 300.00
multiplier = 2
"""


@pytest.mark.check("L-14")
def test_a_return_under_the_threshold_costs_the_tier_at_its_review(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill(rest=TIERS.format(more="")))
    bought = here.buy(31_000)
    assert (here.member["tier"], here.member["metric"]) == ("silver", 31_000)
    here.back(bought, amount_minor=2_000)
    assert (here.member["tier"], here.member["metric"]) == ("silver", 29_000)
    due_work.run_due(store, now=datetime(2027, 12, 31, 23, tzinfo=UTC))
    assert here.member["tier"] == "silver"
    due_work.run_due(store, now=datetime(2028, 1, 1, tzinfo=UTC))
    assert here.member["tier"] == "basic"


@pytest.mark.check("L-14")
def test_a_return_costs_the_tier_at_once_where_the_programme_says_so(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill(rest=TIERS.format(more='on_return = "immediate"')))
    bought = here.buy(31_000)
    here.back(bought, amount_minor=1_000)
    assert here.member["tier"] == "silver"
    back = here.back(bought, amount_minor=1)
    assert (here.member["tier"], here.member["metric"]) == ("basic", 29_999)
    change = by_age(store, "tier_change")[-1]
    assert (change["cause"], change["to_key"], change["receipt_id"]) == ("return", "basic", back.id)


def test_a_return_counts_in_the_year_of_its_sale(store: Store, now: datetime) -> None:
    here = open_mill(store, datetime(2026, 12, 20, tzinfo=UTC), mill(rest=TIERS.format(more="")))
    old = here.buy(20_000)
    here.at(datetime(2027, 1, 5, tzinfo=UTC))
    here.buy(1_000)
    here.back(old)
    assert (here.member["metric_period"], here.member["metric"]) == (2027, 1_000)


def test_the_level_of_last_year_falls_at_once_when_last_years_sale_comes_back(
    store: Store, now: datetime
) -> None:
    source = mill(rest=TIERS.format(more='on_return = "immediate"'))
    here = open_mill(store, datetime(2026, 12, 20, tzinfo=UTC), source)
    old = here.buy(31_000)
    here.at(datetime(2027, 1, 5, tzinfo=UTC))
    here.buy(1_000)
    here.back(old, amount_minor=500)
    assert here.member["tier"] == "silver"
    here.back(old, amount_minor=501)
    assert (here.member["tier"], here.member["metric"]) == ("basic", 1_000)


# Undoing ------------------------------------------------------------------------------------


def test_undoing_a_purchase_leaves_the_member_as_before(store: Store, now: datetime) -> None:
    source = mill(
        points="pending_days = 5",
        earning='rounding = "carry"',
        rest=COFFEE_TWICE.replace("factor = 2", "factor = 2\nbudget_points = 1000\nmember_points = 500")
        + STAMPS
        + TIERS.format(more="").replace("multiplier = 2", 'multiplier = 2\ngrants = ["forty"]'),
    )
    here = open_mill(store, now, source)
    here.buy(970, lines=[Line(9, 100, category="coffee"), Line(1, 70)])
    before, purses, stamps = here.member, here.purses, here.stamps
    allowances = rows(store, "allowance"), rows(store, "member_allowance", "name LIKE 'multiplier:%'")
    here.at(now + timedelta(minutes=3))
    bought = here.buy(40_230, lines=[Line(3, 100, category="coffee"), Line(1, 39_930)])
    assert here.member["tier"] == "silver"
    assert {one["source"]: one["state"] for one in by_age(store, "redemption")} == {
        "stamps": "issued",
        "tier": "issued",
    }
    here.at(now + timedelta(minutes=6))
    here.shop.undo(bought.id, MILL)
    ignored = {"pending_account_id", "stamps_account_id"}
    assert {k: v for k, v in here.member.items() if k not in ignored} == {
        k: v for k, v in before.items() if k not in ignored
    }
    assert (here.purses, here.stamps) == (purses, stamps)
    assert {one["state"] for one in by_age(store, "redemption")} == {"cancelled"}
    assert rows(store, "allowance") == allowances[0]
    again = rows(store, "member_allowance", "name LIKE 'multiplier:%'")
    assert [one["used"] for one in again] == [one["used"] for one in allowances[1]]
    assert here.is_right()
    # And once more, as if nothing had been.
    assert here.buy(40_230, lines=[Line(3, 100, category="coffee"), Line(1, 39_930)]).points == bought.points
    assert [one["state"] for one in by_age(store, "redemption")].count("issued") == 2


def test_undoing_a_purchase_gives_back_what_was_spent_on_it(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    here.buy(20_000)
    bought = here.buy(1_000, discount_minor=1_000)
    here.spend("hundred", bought)
    here.shop.undo(bought.id, MILL)
    assert here.purses == (0, 200, 0)
    assert by_age(store, "redemption")[0]["state"] == "restored"
    assert here.is_right()


def test_undoing_a_purchase_whose_stamp_reward_was_used_makes_the_card_negative(
    store: Store, now: datetime
) -> None:
    here = open_mill(store, now, mill(rest=STAMPS))
    here.buy(900, lines=[Line(9, 100, category="coffee")])
    bought = here.buy(300, lines=[Line(3, 100, category="coffee")])
    (reward,) = by_age(store, "redemption")
    checkout.use(store, programme=MILL, code=here.code, redemption_id=reward["id"], key="u", at=TILL, now=now)
    here.shop.undo(bought.id, MILL)
    assert here.stamps == -1
    assert here.is_right()


def test_undoing_a_purchase_whose_stamp_reward_a_return_revoked_takes_its_own_stamps_alone(
    store: Store, now: datetime
) -> None:
    here = open_mill(store, now, mill(rest=STAMPS))
    first = here.buy(600, lines=[Line(6, 100, category="coffee")])
    filling = here.buy(400, lines=[Line(4, 100, category="coffee")])
    here.back(first)
    assert here.stamps == 4
    here.shop.undo(filling.id, MILL)
    assert here.stamps == 0
    assert here.is_right()


def test_undoing_the_use_of_a_reward_puts_it_back_into_the_members_hands(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill(rest=STAMPS))
    here.buy(1_000, lines=[Line(10, 100, category="coffee")])
    (reward,) = by_age(store, "redemption")
    used = checkout.use(
        store, programme=MILL, code=here.code, redemption_id=reward["id"], key="u", at=TILL, now=now
    )
    here.shop.undo(used.id, MILL)
    assert by_age(store, "redemption") == [reward]


def test_undoing_a_redemption_frees_its_limit_and_its_stock(store: Store, now: datetime) -> None:
    limited = mill(rest="").replace("amount = 4.00\n", "amount = 4.00\nstock = 1\nmember_limit = 1\n")
    here = open_mill(store, now, limited)
    here.buy(20_000)
    redeemed = here.shop.redeem(here.code, "forty", MILL)
    here.shop.undo(redeemed.id, MILL)
    assert by_age(store, "redemption")[0]["state"] == "cancelled"
    here.shop.redeem(here.code, "forty", MILL)
    assert here.purses[1] == 160
    assert here.is_right()


def test_undoing_a_purchase_between_others_keeps_what_rounding_carries_right(
    store: Store, now: datetime
) -> None:
    here = open_mill(store, now, mill(earning='rounding = "carry"'))
    first = here.buy(150)
    here.buy(150)
    assert (here.purses[1], here.member["carried"]) == (3, "0")
    here.shop.undo(first.id, MILL)
    assert (here.purses[1], here.member["carried"]) == (1, "1/2")
    assert here.is_right()


# Offers -----------------------------------------------------------------------------------


OFFER = """
title = "Ten percent off"
text = "Only now."
effect = "percent_off"
percent = 10
quota = 1
member_limit = 1
restore_on_return = {restores}
[when]
from = "2026-03-01T00:00"
until = "2026-04-01T00:00"
"""


def with_offer(store: Store, now: datetime, restores: str = "true") -> Mill:
    here = open_mill(store, now, mill())
    while here.member["holdout"]:  # one in ten never gets an offer
        here = another(here)
    campaigns.plan(store, programme=MILL, name="tenth", source=OFFER.format(restores=restores), now=now)
    campaigns.publish(store, programme=MILL, key="tenth", now=now)
    return here


def uses(store: Store) -> tuple[int, int, list[str]]:
    """What is used of the offer, what it spent, and the states of its uses."""
    (offer,) = rows(store, "offer")
    return offer["used"], offer["spent_minor"], [use["state"] for use in by_age(store, "offer_use")]


def test_a_full_return_gives_the_use_of_an_offer_back(store: Store, now: datetime) -> None:
    here = with_offer(store, now)
    bought = here.buy(2_000, lines=[Line(2, 1_000)], takes_discounts=True)
    assert (bought.amount_minor, bought.points) == (1_800, 18)
    assert uses(store) == (1, 200, ["consumed"])
    assert here.back(bought, {1: 1}).amount_minor == 900
    assert uses(store) == (1, 200, ["consumed"])
    assert reason(here.back(bought))["offers"] == ["tenth"]
    assert uses(store) == (0, 0, ["restored"])
    assert here.buy(2_000, takes_discounts=True).amount_minor == 1_800
    assert here.is_right()


def test_an_offer_that_does_not_say_so_keeps_its_use(store: Store, now: datetime) -> None:
    here = with_offer(store, now, restores="false")
    bought = here.buy(2_000, takes_discounts=True)
    here.back(bought)
    assert uses(store) == (1, 200, ["consumed"])


def test_undoing_a_purchase_gives_the_use_of_an_offer_back_in_any_case(store: Store, now: datetime) -> None:
    here = with_offer(store, now, restores="false")
    here.shop.undo(here.buy(2_000, takes_discounts=True).id, MILL)
    assert uses(store) == (0, 0, ["restored"])
    assert here.is_right()


# After a merge -------------------------------------------------------------------------------


def merged(here: Mill, other: Mill) -> None:
    """The second member becomes the first."""
    merging.merge(
        here.shop.store,
        programme=MILL,
        survivor=here.code,
        loser=other.code,
        proof="Showed an ID card.",
        by="mo",
        key=here.shop.key(),
        now=here.now,
    )


def another(here: Mill) -> Mill:
    joined = here.shop.join("Ana R.", MILL)
    return Mill(here.shop, joined.code, joined.member_id)


@pytest.mark.check("L-54")
def test_goods_from_before_a_merge_come_back_to_the_survivor(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill(points="pending_days = 5", rest=ROLLING))
    other = another(here)
    other.buy(20_000)
    here.buy(3_000)
    here.at(now + timedelta(days=6))
    due_work.run_due(store, now=here.now)
    spent_on = other.buy(50)
    other.spend("hundred", spent_on)
    waiting = other.buy(5_000)
    merged(here, other)
    assert here.purses == (50, 130, 0)
    back = here.back(waiting, amount_minor=2_000)
    assert (back.member_id, reason(back)["from_pending"]) == (here.member_id, 20)
    assert here.purses == (30, 130, 0)
    here.at(here.now + timedelta(days=1))
    assert here.back(spent_on).balance_after == 230
    assert here.purses == (30, 230, 0)
    assert other.purses == (0, 0, 0)
    assert (here.member["purchases"], here.member["metric"]) == (3, 26_000)
    assert {lot["expires_at"] for lot in by_age(store, "lot") if lot["remaining"]} == {
        _micros(datetime(2027, 4, 1, tzinfo=UTC))
    }
    assert here.is_right()


def test_a_mistake_from_before_a_merge_is_no_longer_undone(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill())
    other = another(here)
    bought = other.buy(1_000)
    merged(here, other)
    with pytest.raises(UndoTooLate):
        here.shop.undo(bought.id, MILL)
    here.back(bought)
    assert here.purses[1] == 0
    assert here.is_right()


@pytest.mark.check("L-10")
def test_a_stamp_reward_from_before_a_merge_is_revoked(store: Store, now: datetime) -> None:
    here = open_mill(store, now, mill(rest=STAMPS))
    other = another(here)
    other.buy(900, lines=[Line(9, 100, category="coffee")])
    bought = other.buy(300, lines=[Line(3, 100, category="coffee")])
    merged(here, other)
    here.back(bought)
    assert (here.stamps, by_age(store, "redemption")[0]["state"]) == (9, "cancelled")
    assert here.is_right()


# The command line -------------------------------------------------------------------------------


def test_the_command_takes_goods_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PASSES_MODE", "development")
    monkeypatch.setenv("PASSES_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("PASSES_CERTS", str(tmp_path / "certs" / "dev"))

    def run(*arguments: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert cli.main([*arguments, "--json"]) == status
        return json.loads(capsys.readouterr().out)

    run("demo")
    joined = run("enrol", COFFEE, "Ben Novak")
    bought = run("accrue", COFFEE, joined["code"], "12.00", "--line", "3x2.00", "--line", "1x6.00")
    assert run("return", COFFEE, str(bought["id"]), "--preview")["points"] == -120
    one = run("return", COFFEE, str(bought["id"]), "--line", "1", "--reason", "cold", "--key", "k")
    assert (one["points"], one["reasons"][-1]["refund_minor"], one["reasons"][-1]["words"]) == (
        -20,
        200,
        "cold",
    )
    assert run("return", COFFEE, str(bought["id"]), "--line", "1", "--reason", "cold", "--key", "k") == one
    assert run("return", COFFEE, str(bought["id"]), "--line", "1:2", "--line", "2")["points"] == -100
    refused = run("return", COFFEE, str(bought["id"]), status=1)
    assert refused["refused"] == "nothing_left_to_return"
    sold = run("sale", COFFEE, "5.00")
    assert run("return", COFFEE, str(sold["id"]), "--sale", "--amount", "1.25")["refund_minor"] == 125
    refused = run("return", COFFEE, str(sold["id"]), "--sale", "--amount", "9", status=1)
    assert refused["words"] == "At most 3.75 USD of this can still come back."
    assert run("ledger", "verify")["problems"] == []
    for wrong in (["--line", "x"], ["--line", "1", "--amount", "2"], ["--till", "x" * 65]):
        with pytest.raises(SystemExit):
            cli.main(["return", COFFEE, "1", *wrong])


# The whole life of points ---------------------------------------------------------------------


def test_the_trace_of_the_reference_is_exact(store: Store) -> None:
    def day(year: int, month: int, of_month: int, hour: int = 0, minute: int = 0) -> datetime:
        return datetime(year, month, of_month, hour, minute, tzinfo=UTC)

    source = mill(points="pending_days = 14", rest=ROLLING)
    here = open_mill(store, day(2026, 1, 10, 9), source)

    def work_until(moment: datetime) -> None:
        here.at(moment)
        due_work.run_due(store, now=moment)

    s1 = here.buy(12_040)
    assert here.purses == (120, 0, 0)
    work_until(day(2026, 1, 20, 9))
    here.back(s1, amount_minor=3_000)
    assert here.purses == (90, 0, 0)
    work_until(day(2026, 1, 23, 23, 59))
    assert here.purses == (90, 0, 0)
    work_until(day(2026, 1, 24))
    assert here.purses == (0, 90, 0)
    work_until(day(2026, 2, 5, 9))
    s2 = here.buy(6_000)
    assert here.purses == (60, 90, 0)
    work_until(day(2026, 2, 19))
    assert here.purses == (0, 150, 0)

    work_until(day(2026, 3, 1, 10))
    common: dict[str, Any] = {"programme": MILL, "at": TILL}
    # Paid with points altogether, so that it earns nothing.
    order = here.buy(1_000, unearning_minor=1_000)
    held = checkout.authorise(store, code=here.code, reward="hundred", key="hold", now=here.now, **common)
    assert here.purses == (0, 50, 100)
    lots = {lot["original"]: lot["remaining"] for lot in by_age(store, "lot")}
    assert lots == {120: 0, 60: 50}
    with pytest.raises(NotEnoughPoints) as refused:
        checkout.authorise(
            store, code=here.code, reward="hundred", key="two", now=day(2026, 3, 1, 10, 2), **common
        )
    assert refused.value.values["available"] == 50
    checkout.capture(
        store,
        hold_id=held.id,
        purchase_receipt_id=order.id,
        key="capture",
        now=day(2026, 3, 1, 10, 3),
        **common,
    )
    assert here.purses == (0, 50, 0)
    work_until(day(2026, 3, 4, 9))
    here.back(order)
    assert here.purses == (0, 150, 0)
    assert {lot["original"]: lot["remaining"] for lot in by_age(store, "lot")} == {120: 90, 60: 60}
    work_until(day(2027, 1, 31, 23, 59))
    assert here.purses == (0, 150, 0)
    work_until(day(2027, 2, 1))
    assert here.purses == (0, 60, 0)
    work_until(day(2027, 2, 10, 9))
    here.shop.redeem(here.code, "forty", MILL)
    assert here.purses == (0, 20, 0)
    work_until(day(2027, 2, 12, 9))
    here.back(s2)
    assert here.purses == (0, -40, 0)
    totals = {name: here.system(name) for name in ("issue", "clawback", "redeemed", "expired")}
    assert totals == {"issue": -180, "clawback": 90, "redeemed": 40, "expired": 90}
    assert sum(totals.values()) + sum(here.purses) == 0
    assert here.is_right()
