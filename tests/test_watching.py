"""What may be abuse is noticed in what is stored; what is ordinary is not."""

from __future__ import annotations

from collections import Counter as Tally
from datetime import date, datetime, timedelta

import pytest

from passes import checkout, insights, programmes
from passes.checkout import Sale
from passes.enrolment import Source
from passes.insights import Alert, Pattern
from passes.loyalty.receipt import Counter
from passes.loyalty.safety import Watch
from passes.loyalty.till_rules import TillRules
from passes.store import Store
from passes.store.insights import Window
from tests.loyalty.shops import text_of
from tests.shop import COFFEE, KEYS, PASS_TYPE, Shop, open_shop


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    """The coffee shop, with one far away."""
    shop = open_shop(store, now)
    source = text_of("copperfinch").replace(
        "[contact]",
        '[[shops]]\nkey = "milwaukee"\nname = "Milwaukee"\naddress = "1 N Water St"\n'
        "latitude = 43.0389\nlongitude = -87.9065\n\n[contact]",
    )
    programmes.load(store, name=COFFEE, source=source, pass_type=PASS_TYPE, now=now)
    return shop


def seen(shop: Shop, *, days: int = 40) -> list[Alert]:
    first = shop.now.date() - timedelta(days=days)
    return insights.watch(
        shop.store, programme=COFFEE, window=Window(first, shop.now.date() + timedelta(days=2))
    )


def at(person: str, *, till: str = "front", location: str = "west-loop") -> Counter:
    return Counter(location=location, till=till, person=person)


def guest(shop: Shop) -> Sale:
    return checkout.sale(
        shop.store, programme=COFFEE, amount_minor=900, key=shop.key(), at=at("cy"), now=shop.now
    )


@pytest.mark.check("L-90")
def test_every_pattern_of_abuse_is_noticed(shop: Shop) -> None:
    start = shop.now
    regulars = [shop.join(f"Regular {number}") for number in range(12)]
    cashiers = ("cy", "dee", "sam")
    # Ordinary weeks: everybody is served by whoever stands there, once a day.
    for day in range(12):
        shop.now = start + timedelta(days=day)
        for number, one in enumerate(regulars):
            shop.now += timedelta(minutes=7 + number)
            shop.buy(
                one.code,
                900 + number,
                at=at(cashiers[(number + day) % 3], till=("front", "back")[number % 2]),
            )
    assert [alert.pattern for alert in seen(shop)] == []

    friend, many, split, shared, returner, picker = (
        shop.join(name) for name in ("Friend", "Many", "Split", "Shared", "Returner", "Picker")
    )
    for day in range(9):  # always with Cy
        shop.now = start + timedelta(days=13 + day)
        shop.buy(friend.code, 700, at=at("cy"))
    shop.now = start + timedelta(days=23)
    for _ in range(6):  # six times at one till on one day
        shop.now += timedelta(minutes=25)
        shop.buy(many.code, 500, at=at("dee"))
    for _ in range(3):  # one purchase as three
        shop.now += timedelta(minutes=2)
        shop.buy(split.code, 300, at=at("sam"))
    shop.buy(shared.code, 600, at=at("sam"))
    shop.now += timedelta(minutes=8)
    shop.buy(shared.code, 650, at=at("dee", location="milwaukee"))
    for _ in range(4):  # bought, and brought back
        shop.now += timedelta(hours=7)
        booked = shop.buy(returner.code, 2_000, at=at("dee"))
        checkout.take_back(
            shop.store, programme=COFFEE, receipt_id=booked.id, key=shop.key(), at=at("dee"), now=shop.now
        )
    for _ in range(3):  # from the bin
        sold = guest(shop)
        checkout.claim(
            shop.store,
            programme=COFFEE,
            code=picker.code,
            sale_id=sold.id,
            amount_minor=None,
            key=shop.key(),
            at=Counter(channel="web"),
            now=shop.now,
        )
    shop.now += timedelta(hours=1)  # a till that comes out of a drawer
    shop.buy(regulars[0].code, 800, at=at("cy", till="van"), occurred_at=shop.now - timedelta(days=3))
    for number in range(20):
        shop.join(f"New {number}", source=Source("till"), at_till=at("sam", till="booth"))
    watched = Watch(TillRules(approval_minor=1_000), approved_by="dee")
    shop.buy(regulars[1].code, 5_000, at=at("cy"), watch=watched)
    for _ in range(insights.LOOKUPS_A_DAY * 3):
        checkout.find(
            shop.store,
            programme=COFFEE,
            text="re",
            language="en",
            by="sam",
            at=at("sam"),
            keys=KEYS,
            now=shop.now,
        )

    alerts = seen(shop)
    found = {(one.pattern, one.member_id) for one in alerts if one.member_id is not None}
    assert found == {
        (Pattern.ONE_CASHIER, friend.member_id),
        (Pattern.MANY_VISITS, many.member_id),
        (Pattern.IN_A_ROW, split.member_id),
        (Pattern.TWO_PLACES, shared.member_id),
        (Pattern.RETURNS, returner.member_id),
        (Pattern.CLAIMS, picker.member_id),
    } | {(Pattern.IN_A_ROW, picker.member_id)}
    others = {one.pattern: one for one in alerts if one.member_id is None}
    assert others.keys() == {Pattern.LATE, Pattern.ENROLMENTS, Pattern.APPROVALS}
    assert (others[Pattern.LATE].till, others[Pattern.LATE].person) == ("van", "cy")
    assert (others[Pattern.ENROLMENTS].till, others[Pattern.ENROLMENTS].times) == ("booth", 20)
    # Of one day the look-ups are many; over six weeks they are few.
    today = Window(shop.now.date(), shop.now.date() + timedelta(days=1))
    lately = insights.watch(shop.store, programme=COFFEE, window=today)
    assert Tally(one.pattern for one in lately)[Pattern.LOOKUPS] == 1


def test_an_empty_window_shows_nothing(shop: Shop) -> None:
    before = Window(date(2020, 1, 1), date(2020, 1, 2))
    assert insights.watch(shop.store, programme=COFFEE, window=before) == []
