"""Webhooks: found in the books, signed, in order, sent until taken, and twice only under one name."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from passes import checkout, issuing, membership, merging, webhooks
from passes.loyalty.events import OF_RECEIPTS
from passes.loyalty.receipt import ReceiptKind
from passes.loyalty.refusals import (
    DeliveryUnknown,
    WebhookAddressInvalid,
    WebhookEventUnknown,
    WebhookPaused,
    WebhooksTooMany,
    WebhookUnknown,
)
from passes.server_keys import ServerKeys
from passes.store import Store, alarms
from passes.store import webhooks as stored
from passes.webhooks import CHOOSABLE, Door, EventKind, Sent, signing
from passes.webhooks.finding import since
from passes.webhooks.waits import WAITS, rest, wait
from tests.cast import PHONE, a_card, an_install, rows
from tests.receiver import Receiver, Reply
from tests.shop import BOOKS, COFFEE, KEYS, PASS_TYPE, TILL, Shop, open_shop

NEWER_KEYS = ServerKeys({"k1": b"k" * 32, "k2": b"n" * 32})
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVERYTHING = [kind.value for kind in CHOOSABLE]


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
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
    keys: ServerKeys = KEYS

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
            self.shop.store,
            programme=COFFEE,
            webhook_id=webhook_id,
            keys=self.keys,
            by="mo",
            now=self.shop.now,
        )

    def find(self, **options: Any) -> int:
        return webhooks.find_due(self.shop.store, now=self.shop.now, **options)

    def send(self, **options: Any) -> Sent:
        return webhooks.send_due(
            self.shop.store, self.door, keys=self.keys, clock=lambda: self.shop.now, **options
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


# What is told ------------------------------------------------------------------------


def test_everything_that_happens_to_a_member_is_told_in_order_and_names_nobody(
    shop: Shop, desk: Desk, receiver: Receiver
) -> None:
    desk.add(receiver)
    shop.now += MINUTE
    joined = shop.join("Ana Reyes", email="ana@example.com", phone="+13125550142")
    shop.now += MINUTE
    shop.buy(joined.code, 4_500)
    shop.redeem(joined.code, "extra-shot", now=shop.now + timedelta(seconds=1))
    shop.undo(shop.buy(joined.code, 300, now=shop.now + timedelta(seconds=2)).id)
    shop.now += timedelta(seconds=3)
    take_back(shop, shop.buy(joined.code, 700).id)
    link = membership.link(shop.store, secret=joined.link_secret)
    membership.leave(shop.store, link, now=shop.now + MINUTE)
    desk.work(2 * MINUTE)
    assert receiver.types == [
        "member.joined",
        "points.welcome",
        "purchase.booked",
        "reward.redeemed",
        "purchase.booked",
        "receipt.undone",
        "purchase.booked",
        "return.booked",
        "points.expired",
        "member.left",
    ]
    assert {message.problem for message in receiver.messages} == {None}
    assert receiver.messages[0].said["data"] == {
        "member": {
            "member_id": str(joined.member_id),
            "card_id": str(joined.card_id),
            "code": joined.code,
        }
    }
    for message in receiver.messages:
        assert set(message.said) == {"id", "type", "created_at", "programme", "data"}
        assert (message.said["id"], message.said["programme"]) == (message.id, COFFEE)
        assert "." not in message.id
        assert not re.search(rb"Ana|Reyes|ana@|3125550142", message.body)
        assert message.headers["content-type"] == "application/json"


def take_back(shop: Shop, receipt_id: int) -> None:
    checkout.take_back(
        shop.store, programme=COFFEE, receipt_id=receipt_id, key=shop.key(), at=TILL, now=shop.now
    )


def test_two_members_become_one_and_two_again(shop: Shop, desk: Desk, receiver: Receiver) -> None:
    ana, other = shop.join(), shop.join("Ana R.")
    shop.now += MINUTE
    desk.add(receiver, "member.merged", "member.parted")
    shop.now += MINUTE
    merged = merging.merge(
        shop.store,
        programme=COFFEE,
        survivor=ana.code,
        loser=other.code,
        proof="both phones in hand",
        by="mo",
        key=shop.key(),
        now=shop.now,
    )
    desk.work()
    merging.undo(
        shop.store,
        programme=COFFEE,
        merge_id=merged.id,
        proof="not the same",
        by="mo",
        key=shop.key(),
        now=shop.now,
    )
    desk.work(MINUTE)
    assert receiver.types == ["member.merged", "member.parted"]
    assert receiver.messages[0].said["data"]["merge"] == {
        "merge_id": str(merged.id),
        "member_id": str(ana.member_id),
        "merged_member_id": str(other.member_id),
    }


def test_a_card_gets_onto_a_phone_and_off_it(shop: Shop, desk: Desk, receiver: Receiver) -> None:
    card = a_card(shop)
    shop.now += MINUTE
    desk.add(receiver, "card.added", "card.removed")
    shop.now += MINUTE
    an_install(shop, card)
    issuing.unregister(
        shop.store,
        KEYS,
        library_id=PHONE,
        pass_type=PASS_TYPE,
        serial=card.serial,
        token=card.token,
        now=shop.now + MINUTE,
    )
    desk.work(2 * MINUTE)
    assert receiver.types == ["card.added", "card.removed"]
    for message in receiver.messages:
        assert message.said["data"] == {
            "card": {"card_id": str(card.card_id), "member_id": str(card.member_id), "wallet": "apple"}
        }


def test_only_what_was_asked_for_and_what_happens_from_then_on_is_told(
    shop: Shop, desk: Desk, receiver: Receiver
) -> None:
    joined = shop.join()
    shop.buy(joined.code, 500)
    shop.now += MINUTE
    desk.add(receiver, "purchase.booked")
    shop.now += MINUTE
    shop.buy(joined.code, 700)
    shop.join("Ben")
    other = shop.join(programme=BOOKS)
    shop.buy(other.code, 900, programme=BOOKS)
    desk.work(MINUTE)
    assert receiver.types == ["purchase.booked"]
    assert receiver.messages[0].said["data"]["receipt"]["amount_minor"] == 700


def test_every_kind_of_receipt_is_an_event() -> None:
    assert set(OF_RECEIPTS) == set(ReceiptKind)
    assert len(set(OF_RECEIPTS.values())) == len(OF_RECEIPTS)
    # The column and the names that the specification allows.
    assert len(" ".join(CHOOSABLE)) <= 500
    assert all(re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", kind) and len(kind) <= 32 for kind in EventKind)


@pytest.mark.parametrize("late", [timedelta(seconds=15), 14 * MINUTE, 23 * HOUR])
def test_what_commits_late_under_an_older_id_is_found(
    shop: Shop, desk: Desk, receiver: Receiver, late: timedelta
) -> None:
    joined = shop.join()
    shop.now += MINUTE
    desk.add(receiver)
    shop.now += DAY
    shop.buy(joined.code, 500)
    desk.work()
    began = shop.now - late + timedelta(seconds=5)
    shop.buy(joined.code, 300, now=began)
    # The further back, the rarer the look: at once, within the minute, within the hour.
    for _ in range(60):
        desk.work(MINUTE)
    assert len(receiver.messages) == len(set(receiver.ids)) == 2


def test_a_look_begins_before_the_last_one_ended(now: datetime) -> None:
    at = now + timedelta(seconds=30)
    assert at - since(at, at + timedelta(seconds=1)) >= timedelta(seconds=20)
    assert at - since(at, at + MINUTE) >= 15 * MINUTE
    assert at - since(at, at + HOUR) >= DAY


def test_nothing_is_written_while_nothing_happens(shop: Shop, desk: Desk, receiver: Receiver) -> None:
    desk.add(receiver)
    before = rows(shop.store, "webhook")
    for _ in range(20):
        desk.work(timedelta(seconds=2))
    assert rows(shop.store, "webhook") == before


def test_a_backlog_is_caught_up_page_by_page_in_order(
    shop: Shop, desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = shop.join()
    shop.now += MINUTE
    webhook = desk.add(receiver)
    amounts = list(range(100, 120))
    for amount in amounts:
        shop.now += timedelta(seconds=20)
        shop.buy(joined.code, amount)
        if amount % 10 == 0:
            shop.join(f"Ben {amount}")
    monkeypatch.setattr("passes.webhooks.finding.HELD_MAX", 8)
    shop.now += 3 * DAY
    most = 0
    while desk.find(page=5):
        most = max(most, desk.show(webhook).waiting)
        while desk.send().turns:
            pass
    assert most < 8 + 5
    told = [message.said for message in receiver.messages]
    assert [
        one["data"]["receipt"]["amount_minor"] for one in told if one["type"] == "purchase.booked"
    ] == amounts
    assert len(told) == len(set(receiver.ids)) == 20 + 2 * 2
    assert [one["created_at"] for one in told] == sorted(one["created_at"] for one in told)


def test_a_replay_that_is_asked_for_while_a_worker_looks_is_not_lost(
    shop: Shop, desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = shop.join()
    shop.buy(joined.code, 100)
    shop.now += HOUR
    webhook = desk.add(receiver, "purchase.booked")
    shop.now += HOUR
    shop.buy(joined.code, 200)
    find = stored.not_told

    def meanwhile(*asked: Any, **options: Any) -> Any:
        monkeypatch.setattr(stored, "not_told", find)
        found = find(*asked, **options)
        long_ago = shop.now - DAY
        webhooks.again_since(
            shop.store, programme=COFFEE, webhook_id=webhook, since=long_ago, by="mo", now=shop.now
        )
        return found

    monkeypatch.setattr(stored, "not_told", meanwhile)
    desk.work()
    desk.work(timedelta(seconds=1))
    told = [one.said["data"]["receipt"]["amount_minor"] for one in receiver.messages]
    assert sorted(told) == [100, 200]


# Signatures --------------------------------------------------------------------------


def test_the_signature_is_that_of_the_specifications_example() -> None:
    # The vector with which the specification's libraries are tested.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signing.headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        [key],
        now=datetime.fromtimestamp(1614265330, UTC),
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_both_secrets_sign_for_a_day_after_a_rotation(shop: Shop, desk: Desk, receiver: Receiver) -> None:
    joined = shop.join()
    shop.now += MINUTE
    webhook = desk.add(receiver)
    old = receiver.secrets[0]
    shop.now += MINUTE
    new = webhooks.rotate(
        shop.store, programme=COFFEE, webhook_id=webhook, keys=NEWER_KEYS, by="mo", now=shop.now
    )
    assert new != old
    desk.keys = NEWER_KEYS
    assert desk.secret(webhook) == new

    def believed(secret: str) -> bool:
        """Whether a receiver that knows this secret alone believes the next message."""
        receiver.secrets = [secret]
        shop.buy(joined.code, 100)
        desk.work(timedelta(seconds=30))
        return receiver.messages[-1].problem is None

    assert believed(old)
    assert believed(new)
    shop.now += DAY - 2 * MINUTE
    assert believed(old)
    shop.now += MINUTE
    assert not believed(old)
    assert len(receiver.messages[-1].signatures) == 1
    # It knows the new one by the time of the next attempt.
    receiver.secrets = [new]
    desk.work(MINUTE)
    assert receiver.messages[-1].problem is None


def test_a_receiver_that_looks_at_the_clock_takes_what_was_tried_for_hours(
    shop: Shop, desk: Desk, receiver: Receiver
) -> None:
    joined = shop.join()
    shop.now += MINUTE
    desk.add(receiver)
    shop.now += MINUTE
    shop.buy(joined.code, 100)
    receiver.script = lambda _message, number: Reply(500 if number < 5 else 204)
    for _ in range(8):
        desk.work(HOUR)
    # Each attempt is signed at its own time, so none is out of date; the name stays.
    assert [message.problem for message in receiver.messages] == [None] * 5
    assert len(set(receiver.ids)) == 1
    assert len({message.timestamp for message in receiver.messages}) == 5


# Again and again ---------------------------------------------------------------------


def test_a_message_is_tried_for_three_days_and_then_the_webhook_is_disabled(
    shop: Shop, desk: Desk, receiver: Receiver
) -> None:
    joined = shop.join()
    shop.now += MINUTE
    webhook = desk.add(receiver, "purchase.booked")
    shop.now += MINUTE
    begun = shop.now
    shop.buy(joined.code, 100)
    receiver.script = lambda _message, _number: Reply(503, body=b"out of order")
    tried: list[timedelta] = []
    while (standing := desk.show(webhook)).webhook.disabled_at is None:
        if standing.last is not None and standing.last.due_at is not None:
            shop.now = max(standing.last.due_at, standing.webhook.quiet_until)
            assert not desk.work(timedelta(seconds=-1)).turns
        assert desk.work(timedelta(seconds=1)) == Sent(1, 0, 1)
        tried.append(shop.now - begun)
    assert len(tried) == 10
    assert timedelta(days=3) <= tried[-1] <= timedelta(days=3, hours=12)
    waited = [later - earlier for earlier, later in pairwise(tried)]
    assert waited == sorted(waited)
    assert (standing.webhook.disabled_why, desk.last(webhook)[0].state) == ("failing", "given_up")
    assert standing.last is not None
    assert standing.last.answer == "out of order"
    (words,) = sounding(shop).values()
    assert str(webhook) in words
    assert "took nothing since 2026-03-14" in words
    # Nothing more goes out until somebody lets it go on; then what it missed does.
    shop.buy(joined.code, 200)
    assert desk.work(DAY) == Sent()
    receiver.script = lambda _message, _number: Reply()
    webhooks.resume(shop.store, programme=COFFEE, webhook_id=webhook, by="mo", now=shop.now)
    assert sounding(shop) == {}
    assert desk.work().taken == 1
    assert receiver.messages[-1].said["data"]["receipt"]["amount_minor"] == 200


def test_waits_grow_and_differ_from_message_to_message_but_never_by_chance() -> None:
    waits_of = [[wait(delivery, attempts) for attempts in range(1, 11)] for delivery in (1, 2)]
    assert waits_of == [[wait(delivery, attempts) for attempts in range(1, 11)] for delivery in (1, 2)]
    assert all(one != other for one, other in zip(*waits_of, strict=True) if one)
    for one in waits_of:
        assert one[-1] is None
        assert one[:-1] == sorted(w for w in one if w)
        assert timedelta(days=3) < sum((w for w in one if w), timedelta()) < timedelta(days=3.5)
    # What failed once is tried again before what comes behind it.
    assert rest(1) > WAITS[0] * 1.1
    assert rest(99) == rest(5) <= 10 * MINUTE


def test_one_message_that_is_never_taken_lets_the_others_pass(
    shop: Shop, desk: Desk, receiver: Receiver
) -> None:
    joined = shop.join()
    shop.now += MINUTE
    webhook = desk.add(receiver, "purchase.booked")
    shop.now += MINUTE
    poison = shop.buy(joined.code, 666)
    for amount in range(100, 110):
        shop.buy(joined.code, amount)
    receiver.script = lambda message, _number: Reply(400 if str(poison.id) in message.id else 204)
    for _ in range(30):
        desk.work(timedelta(seconds=1))
    states = {one.event.about == poison.id: one.state for one in desk.last(webhook)}
    assert states == {True: "waiting", False: "taken"}
    told = [one.said["data"]["receipt"]["amount_minor"] for one in receiver.messages]
    assert [amount for amount in told if amount != 666] == list(range(100, 110))
    assert desk.show(webhook).webhook.failures == 0


def test_after_an_outage_everything_comes_at_once_and_in_order(
    shop: Shop, desk: Desk, receiver: Receiver
) -> None:
    joined = shop.join()
    shop.now += MINUTE
    desk.add(receiver, "purchase.booked")
    down = True
    receiver.script = lambda _message, _number: Reply(502 if down else 204)
    for amount in range(100, 108):
        shop.buy(joined.code, amount, now=shop.now + timedelta(seconds=1))
        desk.work(HOUR)
    # Away for eight hours: nobody hammers at its door.
    assert len(receiver.messages) < 40
    down = False
    receiver.messages.clear()
    desk.work(10 * MINUTE)
    told = [one.said["data"]["receipt"]["amount_minor"] for one in receiver.messages]
    # Whoever tried the door came first.
    assert sorted(told) == list(range(100, 108))
    assert told[1:] == sorted(told[1:])


@pytest.mark.parametrize("header", ["3600", "Sat, 14 Mar 2026 11:02:00 GMT"])
def test_a_receiver_that_asks_for_time_gets_it(
    shop: Shop, desk: Desk, receiver: Receiver, header: str
) -> None:
    joined = shop.join()
    shop.now += MINUTE
    desk.add(receiver, "purchase.booked")
    shop.now += MINUTE
    shop.buy(joined.code, 100)
    shop.buy(joined.code, 200)
    receiver.script = lambda _message, number: Reply(
        *((429, {"Retry-After": header}) if number == 1 else (204,))
    )
    desk.work()
    for _ in range(11):
        assert desk.work(5 * MINUTE) == Sent()
    assert desk.work(6 * MINUTE).taken == 2


def test_whoever_says_gone_is_told_nothing_more(shop: Shop, desk: Desk, receiver: Receiver) -> None:
    joined = shop.join()
    shop.now += MINUTE
    webhook = desk.add(receiver, "purchase.booked")
    shop.now += MINUTE
    shop.buy(joined.code, 100)
    shop.buy(joined.code, 200)
    receiver.script = lambda _message, _number: Reply(410)
    desk.work()
    assert desk.show(webhook).webhook.disabled_why == "gone"
    assert "(410)" in "".join(sounding(shop).values())
    assert desk.work(DAY) == Sent()
    assert len(receiver.messages) == 1
    # Its owner lets it go on: nothing was lost.
    receiver.script = lambda _message, _number: Reply()
    webhooks.resume(shop.store, programme=COFFEE, webhook_id=webhook, by="mo", now=shop.now)
    assert desk.work().taken == 2


def test_a_worker_that_dies_between_sending_and_writing_down_sends_again_under_the_same_name(
    shop: Shop, desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = shop.join()
    shop.now += MINUTE
    webhook = desk.add(receiver, "purchase.booked")
    shop.now += MINUTE
    shop.buy(joined.code, 100)
    shop.buy(joined.code, 200)
    desk.find()
    with monkeypatch.context() as dying:

        def die(*_rest: Any, **_options: Any) -> None:
            raise KeyboardInterrupt

        dying.setattr("passes.store.deliveries.taken", die)
        dying.setattr("passes.store.deliveries.end_turn", die)
        with pytest.raises(KeyboardInterrupt):
            desk.send()
    assert len(receiver.messages) == 1
    # Its lease still runs: nobody else sends to that receiver.
    assert desk.work(MINUTE) == Sent()
    assert desk.work(2 * MINUTE).taken == 2
    first, second, third = receiver.ids
    assert first == second != third
    assert [one.state for one in desk.last(webhook)] == ["taken", "taken"]


# At the owner's desk -----------------------------------------------------------------


def test_a_ping_tries_the_way_ahead_of_everything_and_only_once(
    shop: Shop, desk: Desk, receiver: Receiver
) -> None:
    joined = shop.join()
    shop.now += MINUTE
    webhook = desk.add(receiver, "purchase.booked")
    shop.now += MINUTE
    shop.buy(joined.code, 100)
    receiver.script = lambda _message, _number: Reply(500)
    for _ in range(5):
        desk.work(HOUR)
    receiver.messages.clear()
    ping = webhooks.ping(shop.store, programme=COFFEE, webhook_id=webhook, now=shop.now)
    desk.work()
    assert receiver.types[0] == "ping"
    assert receiver.messages[0].said["data"] == {}
    said = exchange(desk, webhook, ping).delivery
    assert (said.state, said.status) == ("given_up", 500)
    # The way is open again: what waited comes right behind.
    receiver.script = lambda _message, _number: Reply()
    receiver.messages.clear()
    webhooks.ping(shop.store, programme=COFFEE, webhook_id=webhook, now=shop.now)
    desk.work()
    assert receiver.types == ["ping", "purchase.booked"]


def exchange(desk: Desk, webhook: int, delivery: int) -> webhooks.Exchange:
    return webhooks.exchange(
        desk.shop.store,
        programme=COFFEE,
        webhook_id=webhook,
        delivery_id=delivery,
        keys=KEYS,
        now=desk.shop.now,
    )


def test_a_delivery_is_shown_as_it_was_sent(shop: Shop, desk: Desk, receiver: Receiver) -> None:
    joined = shop.join()
    shop.now += MINUTE
    webhook = desk.add(receiver, "purchase.booked")
    shop.now += MINUTE
    shop.buy(joined.code, 100)
    receiver.script = lambda _message, _number: Reply(200, body="Teşekkürler\x00\n!".encode())
    desk.work()
    shop.now += DAY
    (delivery,) = desk.last(webhook)
    shown, (message,) = exchange(desk, webhook, delivery.id), receiver.messages
    assert shown.body.encode() == message.body
    assert {name: message.headers[name] for name in shown.headers} == shown.headers
    assert shown.address == receiver.address
    assert (shown.delivery.status, shown.delivery.answer) == (200, "Teşekkürler !")


def test_one_delivery_or_all_since_an_instant_go_out_again_under_their_names(
    shop: Shop, desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ids begin anew, whatever year another test was in.
    monkeypatch.setattr("passes.store.ids._last", 0)
    joined = shop.join()
    before = shop.buy(joined.code, 50)
    shop.now += MINUTE
    webhook = desk.add(receiver, "purchase.booked")
    for amount in (100, 200, 300):
        shop.now += MINUTE
        shop.buy(joined.code, amount)
    desk.work(MINUTE)
    first, second, third = receiver.ids
    one = desk.last(webhook)[1]
    webhooks.again(shop.store, programme=COFFEE, webhook_id=webhook, delivery_id=one.id, now=shop.now)
    desk.work()
    assert receiver.ids[3:] == [second]

    def again(since: datetime) -> list[str]:
        receiver.messages.clear()
        webhooks.again_since(
            shop.store, programme=COFFEE, webhook_id=webhook, since=since, by="mo", now=shop.now
        )
        desk.work()
        return receiver.ids

    assert again(shop.now - 2.5 * MINUTE) == [second, third]
    # Also what happened before it was added, and what was forgotten since.
    assert again(shop.now - DAY) == [first, second, third, f"purchase_booked_{before.id}"]
    shop.now += 31 * DAY
    assert webhooks.forget_due(shop.store, now=shop.now) > 0
    assert rows(shop.store, "webhook_delivery") == rows(shop.store, "webhook_event") == []
    assert again(shop.now - 32 * DAY) == [f"purchase_booked_{before.id}", first, second, third]


def test_a_paused_webhook_loses_nothing_and_a_removed_one_leaves_nothing(
    shop: Shop, desk: Desk, receiver: Receiver
) -> None:
    joined = shop.join()
    shop.now += MINUTE
    webhook = desk.add(receiver, "purchase.booked")
    shop.now += MINUTE
    shop.buy(joined.code, 100)
    which: dict[str, Any] = {"programme": COFFEE, "webhook_id": webhook}
    webhooks.pause(shop.store, **which, by="mo", now=shop.now)
    shop.buy(joined.code, 200, now=shop.now + HOUR)
    assert desk.work(DAY) == Sent()
    with pytest.raises(WebhookPaused):
        webhooks.ping(shop.store, **which, now=shop.now)
    webhooks.resume(shop.store, **which, by="mo", now=shop.now)
    assert desk.work().taken == 2
    webhooks.remove(shop.store, **which, by="mo", now=shop.now)
    assert rows(shop.store, "webhook") == rows(shop.store, "webhook_delivery") == []
    with pytest.raises(WebhookUnknown):
        desk.show(webhook)
    assert desk.work(HOUR) == Sent()
    actions = [row["action"] for row in rows(shop.store, "audit") if row["object"] == f"webhook {webhook}"]
    assert actions == [
        "webhook.add",
        "webhook.secret",
        "webhook.pause",
        "webhook.resume",
        "webhook.pause",
        "webhook.remove",
    ]


def test_a_webhook_belongs_to_its_programme(shop: Shop, desk: Desk, receiver: Receiver) -> None:
    webhook = desk.add(receiver)
    for number in (webhook, webhook + 1, 0, -1, 2**63):
        with pytest.raises(WebhookUnknown):
            webhooks.show(shop.store, programme=BOOKS, webhook_id=number)
    with pytest.raises(DeliveryUnknown):
        exchange(desk, webhook, webhook)


def test_what_makes_no_webhook_is_refused(
    shop: Shop, desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WebhookEventUnknown):
        desk.add(receiver, "purchase.booked", "purchase.imagined")
    with pytest.raises(WebhookEventUnknown):
        desk.add(receiver, "ping")
    with pytest.raises(WebhookAddressInvalid):
        webhooks.add(
            shop.store,
            programme=COFFEE,
            address=receiver.address,
            events=["purchase.booked"],
            keys=KEYS,
            development=False,
            by="mo",
            now=shop.now,
        )
    monkeypatch.setattr("passes.webhooks.desk.WEBHOOKS_MAX", 1)
    desk.add(receiver)
    with pytest.raises(WebhooksTooMany):
        desk.add(receiver)


def sounding(shop: Shop) -> dict[str, str]:
    with shop.store.read() as read:
        return {alarm.name: alarm.words for alarm in alarms.open_alarms(read)}


# What is written about it ------------------------------------------------------------


def test_the_example_of_the_documentation_verifies_what_is_sent(
    shop: Shop, desk: Desk, receiver: Receiver
) -> None:
    written = (Path(__file__).parents[1] / "docs" / "webhooks.md").read_text("utf-8")
    for kind in EventKind:
        assert f"`{kind}`" in written
    (example,) = re.findall(r"```python\n(.*?)```", written, re.DOTALL)
    known: dict[str, Any] = {}
    exec(example, known)
    known["time"] = SimpleNamespace(time=lambda: shop.now.timestamp())
    webhook = desk.add(receiver)
    webhooks.ping(shop.store, programme=COFFEE, webhook_id=webhook, now=shop.now)
    desk.work()
    (message,), (secret,) = receiver.messages, receiver.secrets
    is_ours = known["is_ours"]
    assert is_ours(secret, message.headers, message.body)
    assert not is_ours(secret, message.headers, message.body + b" ")
    assert not is_ours(secret, {**message.headers, "webhook-id": "ping_1"}, message.body)
    shop.now += HOUR
    assert not is_ours(secret, message.headers, message.body)
