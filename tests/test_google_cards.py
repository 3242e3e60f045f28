"""Cards at Google: put there before the link, told by callbacks, kept up to date. On both engines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from passes.store import Store
from tests.cast import a_card, rows
from tests.google.rehearsal import Rehearsal, balance_of, rehearsal
from tests.shop import open_shop


@pytest.fixture
def town(store: Store, now: datetime) -> Iterator[Rehearsal]:
    with rehearsal(open_shop(store, now)) as made:
        yield made


# The journey ------------------------------------------------------------------------


@pytest.mark.check("G-61", "G-42")
def test_a_purchase_shows_on_the_phone_of_whoever_saved_the_card(town: Rehearsal) -> None:
    card, phone = a_card(town.shop), town.google.add_phone()
    object_id = town.saved(card, phone)
    assert balance_of(phone.card(object_id)) == "100"
    assert town.holders() == [object_id]
    town.shop.buy(card.code, 1240)
    assert town.deliver().accepted == 1
    assert balance_of(phone.card(object_id)) == "224"
    assert [notice.words for notice in phone.notifications] != []
    assert len(phone.notifications) == 1
    assert rows(town.shop.store, "owed") == []
    phone.remove(object_id)
    town.google.wait_until(lambda: len(town.answers) == 2)
    assert town.holders() == []
    events = [(row["wallet"], row["event"]) for row in rows(town.shop.store, "wallet_event")]
    assert events == [("google", "added"), ("google", "removed")]
