"""Rewards: held, captured, released, limited; points as money; punch cards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from passes import books, checkout, programmes
from passes.loyalty.basket import Line
from passes.loyalty.receipt import ReceiptKind
from passes.loyalty.refusals import (
    HoldOver,
    HoldUnknown,
    NotEnoughPoints,
    NotEnoughStamps,
    PointsChosenWrong,
    RedemptionOver,
    RedemptionUnknown,
    Refused,
    RewardLimitReached,
    RewardNotForTier,
    RewardNotHere,
    RewardNotNow,
    RewardSoldOut,
)
from passes.store import Store
from tests.shop import COFFEE, PASS_TYPE, TILL, Shop

SHELF = """
[[rewards]]
key = "points-as-money"
name = "Pay with beans"
kind = "points_as_money"
points = 10
amount = 0.10

[[rewards]]
key = "mug"
name = "Mug"
kind = "product"
points = 50
stock = 3

[[rewards]]
key = "tasting"
name = "Tasting"
kind = "event_seat"
points = 10
member_limit = 2

[[rewards]]
key = "copper-cup"
name = "Copper cup"
points = 10
tiers = ["copper"]

[[rewards]]
key = "lakeview-cake"
name = "Lakeview cake"
points = 10
shops = ["lakeview"]

[[rewards]]
key = "morning-roll"
name = "Morning roll"
points = 10
window = { hours = ["06:00-09:00"] }

[stamps]
name = "Cup no. {stamps.target}"
target = 10
earned_for = "item"
categories = ["coffee"]
"""


@pytest.fixture
def cafe(store: Store, now: datetime) -> Iterator[Shop]:
    """The coffee shop with a longer shelf."""
    (path,) = (path for path in programmes.DEMONSTRATION if path.stem == COFFEE)
    source = path.read_text("utf-8") + SHELF
    programmes.load(store, name=COFFEE, source=source, pass_type=PASS_TYPE, now=now)
    yield Shop(store, now)
    assert books.verify(store).problems == ()


def authorise(cafe: Shop, code: str, reward: str = "extra-shot", **options: object) -> checkout.Held:
    values = {"key": cafe.key(), "at": TILL, "now": cafe.now, **options}
    return checkout.authorise(cafe.store, programme=COFFEE, code=code, reward=reward, **values)  # type: ignore[arg-type]


def capture(cafe: Shop, hold: int, **options: object) -> checkout.Receipt:
    values = {"key": cafe.key(), "at": TILL, "now": cafe.now, **options}
    return checkout.capture(cafe.store, programme=COFFEE, hold_id=hold, **values)  # type: ignore[arg-type]


def release(cafe: Shop, hold: int, **options: object) -> checkout.Receipt:
    values = {"key": cafe.key(), "at": TILL, "now": cafe.now, **options}
    return checkout.release(cafe.store, programme=COFFEE, hold_id=hold, **values)  # type: ignore[arg-type]


# Holds -------------------------------------------------------------------------


@pytest.mark.check("L-22")
def test_held_points_leave_the_balance_at_once_and_are_spent_when_the_payment_is_done(cafe: Shop) -> None:
    ana = cafe.join()
    cafe.buy(ana.code, 1240)
    held = authorise(cafe, ana.code)
    assert (held.points, held.balance_after, cafe.balance(ana.code)) == (150, 74, 74)
    assert held.lapses_at == cafe.now + timedelta(minutes=15)
    with pytest.raises(NotEnoughPoints):
        cafe.redeem(ana.code, "extra-shot")
    assert books.verify(cafe.store).right
    done = capture(cafe, held.id)
    assert (done.kind, done.points, done.balance_change, done.balance_after) == (
        ReceiptKind.CAPTURE,
        -150,
        0,
        74,
    )


@pytest.mark.check("L-22")
def test_a_released_hold_gives_the_points_back_to_their_lots(cafe: Shop) -> None:
    ana = cafe.join()
    cafe.buy(ana.code, 1240)
    held = authorise(cafe, ana.code)
    back = release(cafe, held.id)
    assert (back.points, back.balance_change, back.balance_after) == (0, 150, 224)
    with pytest.raises(HoldOver):
        capture(cafe, held.id)


@pytest.mark.check("L-22")
def test_a_resolved_hold_answers_the_same_verb_again_and_refuses_the_other(cafe: Shop) -> None:
    ana = cafe.join()
    cafe.buy(ana.code, 1240)
    held = authorise(cafe, ana.code)
    first = capture(cafe, held.id)
    assert capture(cafe, held.id).id == first.id
    with pytest.raises(HoldOver):
        release(cafe, held.id)
    assert cafe.balance(ana.code) == 74


@pytest.mark.check("L-22")
def test_a_part_of_a_hold_is_captured_and_the_rest_goes_back(cafe: Shop) -> None:
    ana = cafe.join()
    cafe.buy(ana.code, 1240)
    held = authorise(cafe, ana.code)
    done = capture(cafe, held.id, points=100)
    assert (done.points, done.balance_change, done.balance_after) == (-100, 50, 124)


@pytest.mark.check("L-22")
def test_a_hold_lapses_and_can_be_extended_once(cafe: Shop) -> None:
    ana = cafe.join()
    cafe.buy(ana.code, 1240)
    held = authorise(cafe, ana.code)
    until = checkout.extend(cafe.store, programme=COFFEE, hold_id=held.id, key="more", now=cafe.now)
    assert until == held.lapses_at + timedelta(minutes=15)
    assert checkout.extend(cafe.store, programme=COFFEE, hold_id=held.id, key="more", now=cafe.now) == until
    with pytest.raises(HoldOver):
        checkout.extend(cafe.store, programme=COFFEE, hold_id=held.id, key="yet-more", now=cafe.now)
    with pytest.raises(HoldOver):
        capture(cafe, held.id, now=until)
    release(cafe, held.id, now=until)
    assert cafe.balance(ana.code) == 224


def test_an_unknown_hold_is_refused(cafe: Shop) -> None:
    for number in (0, -1, 1, 2**63, 10**40):
        with pytest.raises(HoldUnknown):
            capture(cafe, number)


# What is limited -----------------------------------------------------------------


@pytest.mark.check("L-23")
def test_of_fifty_at_once_only_as_many_get_the_mug_as_there_are(cafe: Shop) -> None:
    codes = [cafe.join(f"Member {number}").code for number in range(50)]
    outcomes: list[str] = []

    def ask(code: str, key: str) -> None:
        try:
            cafe.redeem(code, "mug", key=key)
            outcomes.append("mug")
        except RewardSoldOut:
            outcomes.append("sold out")

    threads = [
        threading.Thread(target=ask, args=(code, f"mug-{number}")) for number, code in enumerate(codes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["mug"] * 3 + ["sold out"] * 47


def test_a_released_mug_is_there_for_the_next(cafe: Shop) -> None:
    ana, ben = cafe.join("Ana Reyes"), cafe.join("Ben Ito")
    held = [authorise(cafe, ana.code, "mug"), authorise(cafe, ana.code, "mug")]
    authorise(cafe, ben.code, "mug")
    with pytest.raises(RewardSoldOut):
        cafe.redeem(ben.code, "mug")
    release(cafe, held[0].id)
    assert cafe.redeem(ben.code, "mug").balance_after == 0


@pytest.mark.parametrize(
    ("reward", "refusal"),
    [("copper-cup", RewardNotForTier), ("lakeview-cake", RewardNotHere), ("morning-roll", RewardNotNow)],
)
def test_a_reward_has_its_tier_its_place_and_its_time(
    cafe: Shop, reward: str, refusal: type[Refused]
) -> None:
    ana = cafe.join()
    with pytest.raises(refusal):
        # 19:00 in Chicago, in the West Loop, on the lowest tier.
        cafe.redeem(ana.code, reward, now=datetime(2026, 3, 15, 0, 0, tzinfo=UTC))
    assert cafe.balance(ana.code) == 100


def test_a_member_has_only_so_many_of_a_limited_reward(cafe: Shop) -> None:
    ana = cafe.join()
    cafe.redeem(ana.code, "tasting")
    given_back = cafe.redeem(ana.code, "tasting")
    with pytest.raises(RewardLimitReached):
        cafe.redeem(ana.code, "tasting")
    cafe.undo(given_back.id)
    cafe.redeem(ana.code, "tasting")


# Points as money ------------------------------------------------------------------


@pytest.mark.check("L-21")
def test_the_customer_chooses_how_many_points_to_pay_with(cafe: Shop) -> None:
    ana = cafe.join()
    cafe.buy(ana.code, 6000)
    assert cafe.balance(ana.code) == 700
    with pytest.raises(PointsChosenWrong) as refused:
        cafe.redeem(ana.code, "points-as-money", points=570, basket_minor=560)
    assert refused.value.values == {"least": 10, "most": 560, "step": 10}
    for wrong in (555, 0, -10, 561):
        with pytest.raises(PointsChosenWrong):
            cafe.redeem(ana.code, "points-as-money", points=wrong, basket_minor=560)
    smaller = cafe.redeem(ana.code, "points-as-money", points=200, basket_minor=560)
    assert (smaller.points, smaller.balance_after) == (-200, 500)
    with pytest.raises(PointsChosenWrong):
        cafe.redeem(ana.code, "points-as-money", points=10, basket_minor=5)
    ben = cafe.join("Ben Ito")
    cafe.redeem(ben.code, "points-as-money", basket_minor=10_000)
    with pytest.raises(NotEnoughPoints):
        cafe.redeem(ben.code, "points-as-money", basket_minor=10_000)


# Punch cards ----------------------------------------------------------------------


def coffees(cafe: Shop, code: str, quantity: int) -> checkout.Receipt:
    lines = [Line(quantity=quantity, unit_minor=400, category="coffee")]
    return cafe.buy(code, 400 * quantity, lines=lines)


@pytest.mark.check("L-09")
def test_nine_and_three_of_ten_make_a_reward_and_two_stamps(cafe: Shop) -> None:
    ana = cafe.join()
    nine, three = coffees(cafe, ana.code, 9), coffees(cafe, ana.code, 3)
    assert (nine.stamps, three.stamps) == (9, -7)
    view = checkout.look(cafe.store, programme=COFFEE, code=ana.code, language="en", now=cafe.now)
    assert view.stamps == 2
    (full,) = view.issued
    assert full.name == "Cup no. 10"
    options = {"programme": COFFEE, "redemption_id": full.id, "at": TILL, "now": cafe.now}
    with pytest.raises(RedemptionUnknown):
        checkout.use(cafe.store, code=cafe.join("Ben").code, key="theirs", **options)  # type: ignore[arg-type]
    used = checkout.use(cafe.store, code=ana.code, key="cup", **options)  # type: ignore[arg-type]
    assert (used.points, used.reward_key) == (0, "stamps")
    assert checkout.use(cafe.store, code=ana.code, key="cup", **options) == used  # type: ignore[arg-type]
    with pytest.raises(RedemptionOver):
        checkout.use(cafe.store, code=ana.code, key="cup-again", **options)  # type: ignore[arg-type]


def test_twenty_stamps_at_once_make_two_rewards(cafe: Shop) -> None:
    ana = cafe.join()
    coffees(cafe, ana.code, 20)
    view = checkout.look(cafe.store, programme=COFFEE, code=ana.code, language="en", now=cafe.now)
    assert (view.stamps, len(view.issued)) == (0, 2)


def test_a_card_that_is_not_full_buys_nothing(cafe: Shop) -> None:
    ana = cafe.join()
    coffees(cafe, ana.code, 9)
    with pytest.raises(NotEnoughStamps):
        cafe.redeem(ana.code, "stamps")


def test_a_reward_on_request_waits_until_it_is_asked_for(store: Store, now: datetime) -> None:
    (path,) = (path for path in programmes.DEMONSTRATION if path.stem == COFFEE)
    source = path.read_text("utf-8") + SHELF.replace(
        'earned_for = "item"', 'earned_for = "item"\non_request = true'
    )
    programmes.load(store, name=COFFEE, source=source, pass_type=PASS_TYPE, now=now)
    cafe = Shop(store, now)
    ana = cafe.join()
    coffees(cafe, ana.code, 12)
    asked = cafe.redeem(ana.code, "stamps")
    assert (asked.stamps, asked.points) == (-10, 0)
    view = checkout.look(store, programme=COFFEE, code=ana.code, language="en", now=now)
    assert (view.stamps, view.issued) == (2, ())
    assert books.verify(store).problems == ()
