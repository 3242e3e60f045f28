"""What is owed is announced, once for each phone, and nothing is lost on the way. On both engines."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from passes import delivery, issuing
from passes import store as stores
from passes.delivery import APPLE, Told, pace
from passes.loyalty.refusals import NotEnoughPoints
from passes.store import Store, Work, alarms, cards, installs, programmes
from passes.wallet import Accepted, Gone, Install, Later, Outcome, Parked, Rejected
from tests.cast import PHONE, PUSH_TOKEN, Card, PushService, a_card, an_install, deliver, rows
from tests.shop import PASS_TYPE, Shop, open_shop

MINUTE = 60_000_000


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    return open_shop(store, now)


@pytest.fixture
def card(shop: Shop) -> Card:
    """A card on a phone that knows everything so far."""
    made = a_card(shop)
    an_install(shop, made)
    deliver(shop, PushService())
    assert rows(shop.store, "owed") == []
    return made


def many(shop: Shop, count: int) -> list[Card]:
    """Cards on a phone each, with the push tokens `token(0)`, `token(1)` …, all of them up to date."""
    made = [a_card(shop, f"Member {number}") for number in range(count)]
    for number, one in enumerate(made):
        an_install(shop, one, phone=f"phone-{number}", push_token=token(number))
    deliver(shop, PushService())
    assert rows(shop.store, "owed") == []
    return made


def token(number: int) -> str:
    return f"{number:064x}"


def announce(shop: Shop, wallet: PushService, *, now: datetime | None = None) -> Told:
    return delivery.announce_due(shop.store, {APPLE: wallet}, now=now or shop.now)


# Pace -----------------------------------------------------------------------------


def test_five_pushes_go_at_once_and_then_one_a_minute() -> None:
    full_at, due = 0, []
    for _ in range(5):
        at, full_at = pace(full_at, 1_000)
        due.append(at)
    assert due == [1_000] * 5
    promised, full_at = pace(full_at, 1_000)
    assert promised == 1_000 + MINUTE
    assert pace(full_at, 2_000) == (promised, full_at), "what changes until then rides along"
    assert pace(full_at, promised) == (promised + MINUTE, full_at + MINUTE)


def test_the_bucket_is_full_again_after_five_minutes() -> None:
    full_at = 0
    for _ in range(5):
        _, full_at = pace(full_at, 0)
    assert full_at == 5 * MINUTE
    assert pace(full_at, 5 * MINUTE) == (5 * MINUTE, 6 * MINUTE)


@given(st.lists(st.integers(min_value=0, max_value=90_000_000), min_size=1, max_size=60))
def test_no_window_holds_more_pushes_than_the_bucket_and_every_change_has_one(gaps: list[int]) -> None:
    now, full_at, pushes = 0, 0, []
    for gap in gaps:
        now += gap
        due_at, full_at = pace(full_at, now)
        assert due_at >= now
        assert due_at - now <= MINUTE, "the newest state is never far away"
        pushes.append(due_at)
    sent = sorted(set(pushes))
    for first in sent:
        for minutes in (1, 5, 20):
            within = [at for at in sent if first <= at < first + minutes * MINUTE]
            assert len(within) <= 5 + minutes


@pytest.mark.check("A-105")
def test_rapid_changes_share_pushes_and_the_last_value_is_announced(shop: Shop, card: Card) -> None:
    wallet = PushService()
    shop.now += timedelta(hours=1)
    for _ in range(30):
        shop.buy(card.code, 100)
        deliver(shop, wallet)
        shop.now += timedelta(seconds=1)
    assert len(wallet.told) == 5
    assert len(rows(shop.store, "owed")) == 1
    shop.now += timedelta(minutes=1)
    deliver(shop, wallet)
    assert len(wallet.told) == 6
    assert rows(shop.store, "owed") == []
    [registered] = rows(shop.store, "registration")
    with shop.store.read() as read:
        facts = cards.facts(read, card.programme_id, card.card_id)
    assert facts is not None
    assert registered["announced_revision"] == facts.effective_revision
    # What was coalesced is not paid for: the next change waits a minute at most.
    shop.buy(card.code, 100)
    deliver(shop, wallet)
    shop.now += timedelta(minutes=1)
    deliver(shop, wallet)
    assert len(wallet.told) == 7


# What is owed -----------------------------------------------------------------------


@pytest.mark.check("A-96")
def test_a_change_is_announced_once_to_every_phone(shop: Shop, card: Card) -> None:
    an_install(shop, card, phone="second", push_token="b2" * 32)
    deliver(shop, PushService())
    shop.buy(card.code, 500)
    wallet = PushService()
    told = deliver(shop, wallet)
    assert sorted(wallet.addresses) == sorted([PUSH_TOKEN, "b2" * 32])
    assert {install.topic for install in wallet.told} == {PASS_TYPE}
    assert (told.accepted, rows(shop.store, "owed")) == (2, [])
    deliver(shop, wallet)
    assert len(wallet.told) == 2


@pytest.mark.check("A-96")
def test_a_refused_change_announces_nothing(shop: Shop, card: Card) -> None:
    with pytest.raises(NotEnoughPoints):
        shop.redeem(card.code, "any-drink")
    wallet = PushService()
    deliver(shop, wallet)
    assert wallet.told == []


@pytest.mark.check("A-99")
def test_a_phone_with_five_changed_cards_gets_one_push(shop: Shop) -> None:
    held = [a_card(shop, f"Member {number}") for number in range(5)]
    for one in held:
        an_install(shop, one)
    deliver(shop, PushService())
    for one in held:
        shop.buy(one.code, 500)
    assert delivery.stamp_due(shop.store, now=shop.now) == 5
    assert len(rows(shop.store, "owed")) == 5
    wallet = PushService()
    # Even if only one of them would fit into the batch.
    told = delivery.announce_due(shop.store, {APPLE: wallet}, now=shop.now, limit=1)
    assert wallet.addresses == [PUSH_TOKEN]
    assert (told.claimed, told.accepted) == (5, 1)
    assert rows(shop.store, "owed") == []


@pytest.mark.check("A-65")
def test_two_device_ids_with_one_token_get_one_push(shop: Shop) -> None:
    first, second = a_card(shop), a_card(shop, "Ben Ito")
    an_install(shop, first, phone="old-id")
    an_install(shop, second, phone="new-id")
    deliver(shop, PushService())
    shop.buy(first.code, 500)
    shop.buy(second.code, 500)
    wallet = PushService()
    deliver(shop, wallet)
    assert wallet.addresses == [PUSH_TOKEN]
    assert rows(shop.store, "owed") == []


def test_a_change_during_the_announcement_is_announced_again(shop: Shop, card: Card) -> None:
    shop.buy(card.code, 500)

    def change() -> None:
        shop.buy(card.code, 500)
        delivery.stamp_due(shop.store, now=shop.now)

    wallet = PushService(meanwhile=change)
    deliver(shop, wallet)
    wallet.meanwhile = None
    assert len(rows(shop.store, "owed")) == 1
    announce(shop, wallet)
    assert len(wallet.told) == 2
    assert rows(shop.store, "owed") == []


def test_a_changed_programme_is_spread_to_its_phones_in_slices(shop: Shop) -> None:
    held = many(shop, 7)
    elsewhere = a_card(shop, "Mo Adeyemi", "marginalya")
    an_install(shop, elsewhere, phone="elsewhere", push_token="ee" * 32)
    deliver(shop, PushService())
    shop.store.write(lambda work: programmes.revise(work, held[0].programme_id))
    slices = 0
    while delivery.stamp_due(shop.store, now=shop.now, limit=3):
        slices += 1
    assert slices >= 3
    wallet = PushService()
    announce(shop, wallet)
    assert sorted(wallet.addresses) == [token(number) for number in range(7)]
    assert rows(shop.store, "owed") == []
    assert delivery.stamp_due(shop.store, now=shop.now) == 0


def test_a_programme_and_a_card_that_change_together_are_one_push(shop: Shop, card: Card) -> None:
    shop.store.write(lambda work: programmes.revise(work, card.programme_id))
    shop.buy(card.code, 500)
    wallet = PushService()
    deliver(shop, wallet)
    assert wallet.addresses == [PUSH_TOKEN]
    assert announce(shop, wallet) == Told()


# Nothing is lost --------------------------------------------------------------------


@pytest.mark.check("A-108")
def test_a_worker_that_dies_before_the_push_leaves_a_lease_that_runs_out(shop: Shop, card: Card) -> None:
    shop.buy(card.code, 500)
    delivery.stamp_due(shop.store, now=shop.now)
    until = shop.now + timedelta(seconds=60)
    # Exactly what a kill -9 leaves behind: the claim is committed, nothing is settled.
    shop.store.write(lambda work: installs.claim(work, now=shop.now, lease_until=until, limit=500))
    wallet = PushService()
    assert announce(shop, wallet) == Told()
    assert announce(shop, wallet, now=until).accepted == 1
    assert rows(shop.store, "owed") == []


@pytest.mark.check("A-108")
def test_a_wallet_that_fails_half_way_loses_and_repeats_nothing(shop: Shop) -> None:
    for one in many(shop, 6):
        shop.buy(one.code, 500)

    class HalfWay(PushService):
        def announce(self, batch: Sequence[Install]) -> Iterator[tuple[Install, Outcome]]:
            for install in batch[:3]:
                self.told.append(install)
                yield install, Accepted()
            raise RuntimeError("a bug")

    broken, well = HalfWay(), PushService()
    with pytest.raises(RuntimeError):
        deliver(shop, broken)
    announce(shop, well)
    assert sorted(broken.addresses + well.addresses) == [token(number) for number in range(6)]


def test_losing_everything_that_is_owed_loses_nothing(shop: Shop) -> None:
    for one in many(shop, 5):
        shop.buy(one.code, 500)
    delivery.stamp_due(shop.store, now=shop.now)
    shop.store.write(lambda work: work.put(text("DELETE FROM owed")))
    wallet = PushService()
    assert announce(shop, wallet) == Told()
    place, found = installs.START, 0
    while True:
        swept = delivery.sweep(shop.store, now=shop.now, after=place, limit=2)
        found += swept.owed
        if swept.after is None:
            break
        place = swept.after
    assert found == 5
    announce(shop, wallet)
    assert len(wallet.told) == 5
    assert delivery.sweep(shop.store, now=shop.now) == delivery.Swept(0, None)


@pytest.mark.check("A-73")
def test_changes_that_commit_in_reverse_order_are_all_seen(postgresql_url: str, now: datetime) -> None:
    store = stores.open(postgresql_url)
    try:
        shop = open_shop(store, now)
        early, late = a_card(shop), a_card(shop, "Ben Ito")
        for one in (early, late):
            an_install(shop, one)
        deliver(shop, PushService())
        first = issuing.changes(store, library_id=PHONE, pass_type=PASS_TYPE, since=None)
        assert first is not None
        # It waits for a number already, which must not count for the change under way.
        shop.buy(early.code, 500)

        began, finish = threading.Event(), threading.Event()

        def slow_checkout(work: Work) -> None:
            # The change is made first and becomes visible last.
            work.ask(
                text("UPDATE card SET revision = revision + 1, changed = true WHERE id = :id RETURNING id"),
                id=early.card_id,
            ).all()
            began.set()
            assert finish.wait(10)

        thread = threading.Thread(target=store.write, args=(slow_checkout,))
        thread.start()
        assert began.wait(10)
        shop.buy(late.code, 500)
        delivery.stamp_due(store, now=now)
        between = issuing.changes(store, library_id=PHONE, pass_type=PASS_TYPE, since=first.tag)
        assert between is not None
        assert list(between.serials) == [late.serial]
        finish.set()
        thread.join()
        delivery.stamp_due(store, now=now)
        after = issuing.changes(store, library_id=PHONE, pass_type=PASS_TYPE, since=between.tag)
        assert after is not None
        assert list(after.serials) == [early.serial]
    finally:
        store.close()


@pytest.mark.check("A-73")
def test_a_stamp_that_is_not_committed_holds_back_the_next_number(postgresql_url: str, now: datetime) -> None:
    store = stores.open(postgresql_url)
    try:
        shop = open_shop(store, now)
        first, second = a_card(shop), a_card(shop, "Ben Ito")
        for one in (first, second):
            an_install(shop, one)
        deliver(shop, PushService())
        shop.buy(first.code, 500)
        began, finish = threading.Event(), threading.Event()

        def slow(work: Work) -> None:
            delivery._stamp(work, pass_type_id, now=now, limit=500)
            work.ask(text("SELECT 1")).all()
            began.set()
            assert finish.wait(10)

        pass_type_id = rows(store, "pass_type")[0]["id"]
        slower = threading.Thread(target=store.write, args=(slow,))
        slower.start()
        assert began.wait(10)
        shop.buy(second.code, 500)
        other = threading.Thread(target=delivery.stamp_due, args=(store,), kwargs={"now": now})
        other.start()
        other.join(0.3)
        assert other.is_alive(), "the second number waits until the first one is visible"
        finish.set()
        slower.join()
        other.join(10)
        tags = {row["serial"]: row["tag"] for row in rows(store, "card")}
        assert tags[first.serial] < tags[second.serial]
    finally:
        store.close()


def test_several_workers_announce_every_phone_once(postgresql_url: str, now: datetime) -> None:
    store = stores.open(postgresql_url)
    try:
        shop = open_shop(store, now)
        for one in many(shop, 120):
            shop.buy(one.code, 500)
        while delivery.stamp_due(store, now=now):
            pass
        wallets = [PushService() for _ in range(4)]

        def work(wallet: PushService) -> None:
            while rows(store, "owed"):
                delivery.announce_due(store, {APPLE: wallet}, now=now, limit=10)

        threads = [threading.Thread(target=work, args=(wallet,)) for wallet in wallets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told = [address for wallet in wallets for address in wallet.addresses]
        assert sorted(told) == sorted(token(number) for number in range(120))
    finally:
        store.close()


# What the push service answers --------------------------------------------------------


@pytest.mark.check("A-100")
def test_a_phone_that_is_gone_is_forgotten_with_its_cards(shop: Shop, card: Card) -> None:
    shop.buy(card.code, 500)
    told = deliver(shop, PushService({PUSH_TOKEN: Gone(shop.now + timedelta(seconds=1), "Unregistered")}))
    assert told.devices_removed == 1
    assert rows(shop.store, "device") == rows(shop.store, "registration") == rows(shop.store, "owed") == []
    assert len(rows(shop.store, "card")) == 1


@pytest.mark.check("A-100")
def test_a_phone_that_registered_again_is_kept(shop: Shop, card: Card) -> None:
    shop.buy(card.code, 500)
    # With the same token, a moment later within the same second.
    gone_at = shop.now + timedelta(milliseconds=500)
    shop.now += timedelta(milliseconds=501)
    assert not an_install(shop, card)
    told = deliver(shop, PushService({PUSH_TOKEN: Gone(gone_at, "Unregistered")}))
    assert told.devices_removed == 0
    assert len(rows(shop.store, "registration")) == 1
    wallet = PushService()
    assert announce(shop, wallet).claimed == 0
    assert announce(shop, wallet, now=shop.now + timedelta(minutes=1)).accepted == 1


@pytest.mark.check("A-100")
def test_a_new_token_is_not_blamed_for_the_old_one(shop: Shop, card: Card) -> None:
    shop.buy(card.code, 500)

    def renew() -> None:
        an_install(shop, card, push_token="b2" * 32)

    gone = Gone(shop.now + timedelta(seconds=1), "Unregistered")
    deliver(shop, PushService({PUSH_TOKEN: gone}, meanwhile=renew))
    assert [row["push_token"] for row in rows(shop.store, "device")] == ["b2" * 32]
    wallet = PushService()
    announce(shop, wallet, now=shop.now + timedelta(minutes=1))
    assert wallet.addresses == ["b2" * 32]


@pytest.mark.check("A-101")
def test_a_bad_token_is_dropped(shop: Shop) -> None:
    for one in many(shop, 12):
        shop.buy(one.code, 500)
    told = deliver(shop, PushService({token(3): Gone(None, "BadDeviceToken")}))
    assert (told.accepted, told.devices_removed, told.stopped) == (11, 1, False)
    assert token(3) not in {row["push_token"] for row in rows(shop.store, "device")}


@pytest.mark.check("A-101")
def test_many_bad_tokens_stop_the_batch_and_drop_none(shop: Shop) -> None:
    for one in many(shop, 40):
        shop.buy(one.code, 500)
    bad: dict[str, Outcome] = {token(number): Gone(None, "BadDeviceToken") for number in range(12)}
    told = deliver(shop, PushService(bad))
    assert (told.accepted, told.devices_removed, told.stopped) == (28, 0, True)
    assert len(rows(shop.store, "device")) == 40
    assert [row["name"] for row in rows(shop.store, "alarm", "cleared_at IS NULL")] == [delivery.ALARM_TOKENS]
    told = announce(shop, PushService(), now=shop.now + timedelta(minutes=1))
    assert told.accepted == 12
    with shop.store.read() as read:
        assert alarms.open_alarms(read) == []


@pytest.mark.check("A-102")
def test_a_refused_account_stops_everything_and_drops_nobody(shop: Shop) -> None:
    for one in many(shop, 3):
        shop.buy(one.code, 500)
    told = deliver(shop, PushService({token(number): Parked("BadCertificate") for number in range(3)}))
    assert (told.accepted, told.stopped) == (0, True)
    assert len(rows(shop.store, "device")) == 3
    with shop.store.read() as read:
        [alarm] = alarms.open_alarms(read)
    assert alarm.name == delivery.ALARM_PARKED
    assert "BadCertificate" in alarm.words
    assert announce(shop, PushService()).accepted == 3
    with shop.store.read() as read:
        assert alarms.open_alarms(read) == []


@pytest.mark.check("A-103")
def test_a_busy_token_waits_and_nobody_else_does(shop: Shop) -> None:
    held = many(shop, 3)
    second = a_card(shop, "Zoe Marsh")
    an_install(shop, second, phone="phone-1", push_token=token(1))
    deliver(shop, PushService())
    for one in held:
        shop.buy(one.code, 500)
    until = shop.now + timedelta(minutes=2)
    told = deliver(shop, PushService({token(1): Later(until, "TooManyRequests")}))
    assert (told.accepted, told.later) == (2, 1)
    # Not even for another card of that phone.
    shop.buy(second.code, 500)
    shop.buy(held[0].code, 500)
    wallet = PushService()
    deliver(shop, wallet)
    assert wallet.addresses == [token(0)]
    announce(shop, wallet, now=until - timedelta(seconds=1))
    assert wallet.addresses == [token(0)]
    announce(shop, wallet, now=until)
    assert wallet.addresses == [token(0), token(1)]
    assert rows(shop.store, "owed") == []


@pytest.mark.check("A-103")
def test_a_service_that_is_down_delays_and_loses_nothing(shop: Shop) -> None:
    for one in many(shop, 4):
        shop.buy(one.code, 500)
    later = shop.now + timedelta(seconds=90)
    down = PushService({token(number): Later(later, "connection refused") for number in range(4)})
    assert deliver(shop, down).later == 4
    assert {row["attempts"] for row in rows(shop.store, "owed")} == {1}
    wallet = PushService()
    assert announce(shop, wallet, now=later).accepted == 4
    assert rows(shop.store, "owed") == []


def test_a_request_that_is_our_mistake_waits_and_holds_up_nobody(shop: Shop) -> None:
    held = many(shop, 3)
    for one in held:
        shop.buy(one.code, 500)
    service = PushService({token(1): Rejected("PayloadEmpty")})
    told = deliver(shop, service)
    assert (told.accepted, told.rejected) == (2, 1)
    [alarm] = rows(shop.store, "alarm", "cleared_at IS NULL")
    assert "PayloadEmpty" in alarm["words"]
    assert len(rows(shop.store, "device")) == 3
    assert announce(shop, service, now=shop.now + timedelta(minutes=59)).claimed == 0
    assert announce(shop, service, now=shop.now + timedelta(hours=1)).rejected == 1
    assert announce(shop, PushService(), now=shop.now + timedelta(hours=3)).accepted == 1


def test_alarms_count_until_they_are_cleared(store: Store, now: datetime) -> None:
    for minute in range(3):
        at = now + timedelta(minutes=minute)
        store.write(lambda work, at=at: alarms.sound(work, "smoke", f"at {at:%H:%M}", now=at))  # type: ignore[misc]
    with store.read() as read:
        [alarm] = alarms.open_alarms(read)
    assert (alarm.count, alarm.since, alarm.words) == (3, now, "at 10:02")
    store.write(lambda work: alarms.clear(work, "smoke", now=now))
    store.write(lambda work: alarms.sound(work, "smoke", "again", now=now + timedelta(hours=1), times=4))
    with store.read() as read:
        [alarm] = alarms.open_alarms(read)
    assert (alarm.count, alarm.since) == (4, now + timedelta(hours=1))


# The worker ---------------------------------------------------------------------------


def test_the_worker_announces_a_change_within_a_moment_and_stops_at_once(shop: Shop, card: Card) -> None:
    told, stop = threading.Event(), threading.Event()

    class Watched(PushService):
        def announce(self, batch: Sequence[Install]) -> Iterator[tuple[Install, Outcome]]:
            yield from PushService.announce(self, batch)
            told.set()

    wallet = Watched()
    values: dict[str, Any] = {"clock": lambda: shop.now, "stop": stop}
    worker = threading.Thread(target=delivery.run, args=(shop.store, {APPLE: wallet}), kwargs=values)
    worker.start()
    try:
        shop.buy(card.code, 500)
        assert told.wait(5)
    finally:
        stop.set()
        worker.join(5)
    assert not worker.is_alive()
    assert wallet.addresses == [PUSH_TOKEN]


def test_the_worker_waits_after_the_account_was_refused(shop: Shop, card: Card) -> None:
    shop.buy(card.code, 500)
    stop, turns = threading.Event(), []
    start = shop.now

    def clock() -> datetime:
        turns.append(1)
        if len(turns) > 6:
            stop.set()
        return start + timedelta(seconds=5 * len(turns))

    service = PushService({PUSH_TOKEN: Parked("BadCertificate")})
    delivery.run(shop.store, {APPLE: service}, clock=clock, stop=stop)
    assert len(service.told) == 1


def test_an_idle_worker_writes_nothing(shop: Shop, card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, turns = threading.Event(), []

    def clock() -> datetime:
        turns.append(1)
        if len(turns) > 5:
            stop.set()
        return shop.now

    def refuse(_decide: object) -> None:
        raise AssertionError("nothing changed, and yet it writes")

    monkeypatch.setattr(Store, "write", refuse)
    delivery.run(shop.store, {APPLE: PushService()}, clock=clock, stop=stop)
