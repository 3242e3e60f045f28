"""Webhooks: found in the books, signed, in order, sent until taken, and twice only under one name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from passes import webhooks
from passes.store import Store
from passes.webhooks import CHOOSABLE, Door, Sent
from tests.receiver import Receiver
from tests.shop import COFFEE, KEYS, Shop, open_shop

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVERYTHING = [kind.value for kind in CHOOSABLE]


@pytest.fixture
def shop(store: Store, now: Any) -> Shop:
    return open_shop(store, now)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


@dataclass
class Desk:
    """The owner's desk and the worker in one, at the shop's instant."""

    shop: Shop
    door: Door

    def add(self, receiver: Receiver, *events: str, programme: str = COFFEE) -> int:
        """A webhook of this receiver, which learns its secret."""
        webhook_id = webhooks.add(
            self.shop.store,
            programme=programme,
            address=receiver.address,
            events=events or EVERYTHING,
            keys=KEYS,
            development=True,
            by="mo",
            now=self.shop.now,
        )
        receiver.now = lambda: self.shop.now
        receiver.secrets.append(self.secret(webhook_id))
        return webhook_id

    def secret(self, webhook_id: int) -> str:
        return webhooks.secret(
            self.shop.store, programme=COFFEE, webhook_id=webhook_id, keys=KEYS, by="mo", now=self.shop.now
        )

    def find(self, **options: Any) -> int:
        return webhooks.find_due(self.shop.store, now=self.shop.now, **options)

    def send(self, **options: Any) -> Sent:
        return webhooks.send_due(
            self.shop.store, self.door, keys=KEYS, clock=lambda: self.shop.now, **options
        )

    def work(self, after: timedelta = timedelta()) -> Sent:
        """What a worker does so much later, until nothing is left to do now."""
        self.shop.now += after
        self.find()
        done = Sent()
        while (one := self.send(limit=10)).turns:
            done = Sent(done.turns + one.turns, done.taken + one.taken, done.failed + one.failed)
        return done

    def last(self, webhook_id: int, **options: Any) -> list[webhooks.Delivery]:
        return webhooks.last_deliveries(self.shop.store, programme=COFFEE, webhook_id=webhook_id, **options)

    def show(self, webhook_id: int) -> webhooks.Standing:
        return webhooks.show(self.shop.store, programme=COFFEE, webhook_id=webhook_id)


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk(shop, Door(development=True, read_seconds=1, whole_seconds=2))


def test_a_purchase_is_told_of(shop: Shop, desk: Desk, receiver: Receiver) -> None:
    joined = shop.join()
    shop.now += MINUTE
    webhook = desk.add(receiver)
    bought = shop.buy(joined.code, 450)
    assert desk.work() == Sent(1, 1, 0)
    (message,) = receiver.messages
    assert message.problem is None
    assert message.said["type"] == "purchase.booked"
    assert message.said["data"]["receipt"]["id"] == str(bought.id)
    (delivery,) = desk.last(webhook)
    assert (delivery.state, delivery.status, delivery.attempts) == ("taken", 204, 1)
    assert desk.work(MINUTE) == Sent()
