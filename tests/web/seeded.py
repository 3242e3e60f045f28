"""A shop in which every operation of the API has something to work on: one regular with a gift in hand."""

from __future__ import annotations

from datetime import date, timedelta

from passes import due_work
from passes.enrolment import Joined
from tests.shop import Shop


def seed(house: Shop) -> Joined:
    """Ana on the highest tier, on her birthday; the clock stands as before."""
    today = house.now
    house.now = today - timedelta(days=2)
    ana = house.join("Ana Reyes", email="ana@example.com", birthday=date(2000, today.month, today.day))
    due_work.birthdays_due(house.store, now=house.now)
    house.buy(ana.code, 40_000)
    house.buy(ana.code, 36_000)
    house.now = today
    assert due_work.birthdays_due(house.store, now=today)
    return ana
