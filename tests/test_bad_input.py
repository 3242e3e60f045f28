"""What people and machines get wrong at a counter: it is refused in words, or still comes out right."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from passes import campaigns, checkout, enrolment, programmes
from passes.store import Store
from tests.shop import COFFEE, PASS_TYPE, TILL, Shop

FILE = next(path for path in programmes.DEMONSTRATION if path.stem == COFFEE).read_text("utf-8")


def a_shop(store: Store, now: datetime, rules: str = "", **changes: tuple[str, str]) -> Shop:
    """The coffee shop with other rules: `changes` replace words of its file."""
    load(store, now, rules, **changes)
    return Shop(store, now)


def load(store: Store, now: datetime, rules: str = "", **changes: tuple[str, str]) -> None:
    """Make a changed file the current version."""
    source = FILE + rules
    for old, new in changes.values():
        assert old in source
        source = source.replace(old, new)
    programmes.load(store, name=COFFEE, source=source, pass_type=PASS_TYPE, now=now)


# What comes with a purchase -----------------------------------------------------------


def test_a_quote_counts_the_gifts_that_come_with_the_purchase(store: Store, now: datetime) -> None:
    waits = ("welcome = 100", "welcome = 100\nwelcome_waits = true")
    back = "\n[win_back]\npoints = 70\nidle_days = 30\nevery_days = 60\nvalid_days = 30\n"
    shop = a_shop(store, now, back, waits=waits)
    ana = next(one for one in iter(shop.join, None) if not enrolment.in_holdout(COFFEE, one.member_id))
    later = now + timedelta(days=45)
    for at, points in ((now, 200), (later, 170)):
        while campaigns.win_back_due(store, now=at):
            pass
        quote = checkout.quote(store, programme=COFFEE, code=ana.code, amount_minor=1_000, at=TILL, now=at)
        bought = shop.buy(ana.code, 1_000, now=at)
        assert (quote.points, quote.balance_after) == (bought.points, bought.balance_after)
        assert bought.points == points
        assert sum(part.points for part in quote.why) == points


def test_a_gift_for_joining_that_waits_is_not_given_to_who_may_have_had_it(
    store: Store, now: datetime
) -> None:
    shop = a_shop(store, now, waits=("welcome = 100", "welcome = 100\nwelcome_waits = true"))
    first = shop.join(email="ana@example.org")
    again = shop.join(email="ana@example.org")
    assert [shop.buy(one.code, 1_000).points for one in (first, again)] == [200, 100]


@pytest.mark.parametrize(("agreed", "points"), [(True, 300), (False, 100)])
def test_rules_for_members_who_gave_a_consent_meet_them_at_the_till(
    store: Store, now: datetime, agreed: bool, points: int
) -> None:
    rule = """
[[earning.multipliers]]
key = "news"
name = "For readers of our news"
factor = 3
when = { segment = { consent = "offers" } }
"""
    shop = a_shop(store, now, rule)
    ana = shop.join(consents={"offers": agreed})
    assert shop.buy(ana.code, 1_000).points == points
