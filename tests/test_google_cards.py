"""Cards at Google: put there before the link, told by callbacks, kept up to date. On both engines."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from passes import campaigns, delivery, google_cards, issuing, programmes
from passes.emulators.google_objects import CLASS, OBJECT
from passes.emulators.google_phone import AndroidPhone
from passes.emulators.google_signing import Slips
from passes.google.callbacks import CallbackRefused, KeysUnavailable
from passes.google_cards import Announcer
from passes.loyalty.refusals import CardVoided, GoogleNotSetUp, GoogleUnavailable, LinkUnknown
from passes.store import Store, alarms, cards, installs
from passes.store import google as google_rows
from passes.store import programmes as store_programmes
from passes.store.google import Sent
from passes.store.instants import micros
from passes.store.models import metadata
from passes.wallet import Install
from tests.cast import PUSH_TOKEN, Card, PushService, a_card, an_install, rows
from tests.google.cards import parts
from tests.google.rehearsal import Rehearsal, balance_of, rehearsal
from tests.shop import COFFEE, PASS_TYPE, open_shop
from tests.test_campaigns import OPENS, offer_file


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


# The link -----------------------------------------------------------------------------


@pytest.mark.check("G-17")
def test_google_holds_the_card_before_there_is_a_link(town: Rehearsal) -> None:
    card = a_card(town.shop)
    town.google.go_down()
    with pytest.raises(GoogleUnavailable):
        town.link(card)
    assert town.holders() == []
    town.google.come_back()
    town.desk.breaker.__init__()  # type: ignore[misc]
    link = town.link(card)
    assert [one.method for one in town.asked("POST")] == ["POST", "POST"], "the class and the object"
    [shown] = town.google.look(link)
    assert balance_of(shown) == "100"


@pytest.mark.check("G-16")
def test_the_link_names_the_card_and_says_nothing_about_it(town: Rehearsal) -> None:
    card = a_card(town.shop, "Ayşe Yılmaz")
    link = town.link(card)
    token = link.removeprefix(f"{town.addresses.save}/")
    assert len(token) <= 1800
    claims = parts(token)[1]
    [named] = claims["payload"]["loyaltyObjects"]
    assert set(named) == {"id", "classId"}
    assert claims["origins"] == [town.address]


@pytest.mark.check("G-19")
def test_a_link_is_made_each_time_and_kept_nowhere(town: Rehearsal, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    card = a_card(town.shop)
    first = town.link(card)
    town.shop.now += timedelta(minutes=5)
    assert town.link(card) != first, "made anew"
    token = first.rpartition("/")[2]
    kept = "\n".join(str(rows(town.shop.store, name)) for name in metadata.tables)
    assert "eyJ" not in kept
    assert token not in caplog.text
    assert "eyJ" not in caplog.text


def test_a_card_that_changed_while_it_was_put_is_put_again(town: Rehearsal) -> None:
    card = a_card(town.shop)
    prepare = town.desk.wallet.prepare
    bought: list[int] = []

    def slowly(*given: Any, **options: Any) -> None:
        prepare(*given, **options)
        if len(bought) < 1:
            bought.append(town.shop.buy(card.code, 1000).points)

    town.desk.wallet.prepare = slowly  # type: ignore[method-assign]
    [shown] = town.google.look(town.link(card))
    assert balance_of(shown) == "200"
    object_id = shown.object_id
    assert town.told(object_id).revision == rows(town.shop.store, "card")[0]["revision"] + 1


def test_the_link_of_a_card_that_somebody_holds_asks_google_for_nothing(town: Rehearsal) -> None:
    card, _, _ = town.a_held_card()
    before = town.google.received
    town.link(card)
    town.shop.buy(card.code, 500)
    town.link(card)
    assert town.google.received == before


def test_who_taps_again_and_again_takes_no_turns_from_others(town: Rehearsal) -> None:
    card = a_card(town.shop)
    town.link(card)
    before = town.google.received
    for _ in range(20):
        town.link(card)
    assert town.google.received == before
    town.shop.buy(card.code, 500)
    [shown] = town.google.look(town.link(card))
    assert balance_of(shown) == "150"


def test_a_withdrawn_card_and_a_card_that_is_none_have_no_link(town: Rehearsal) -> None:
    card = a_card(town.shop)
    town.shop.store.write(lambda work: cards.void(work, card.programme_id, card.card_id, now=town.shop.now))
    with pytest.raises(CardVoided):
        town.link(card)
    with pytest.raises(LinkUnknown):
        town.link(replace(card, card_id=1))


def test_a_class_that_google_rejects_is_an_alarm_and_no_link(town: Rehearsal) -> None:
    card = a_card(town.shop)
    class_id = town.desk.issuer.class_id("copperfinch")
    town.google.faults.answer(400, resource=class_id, reason="Invalid logo", times=None)
    for _ in range(3):
        with pytest.raises(GoogleNotSetUp):
            town.link(card)
    assert len(town.asked("POST")) == 1, "asked once, and then left alone"
    with town.shop.store.read() as read:
        state = google_rows.class_of(read, card.programme_id)
        [alarm] = alarms.open_alarms(read)
    assert state is not None
    assert state.state == "refused"
    assert "400" in state.words
    assert alarm.name == google_cards.ALARM_CLASS
    assert "copperfinch" in alarm.words
    town.google.faults.clear()
    town.upkeep.run_due(now=town.shop.now)
    with pytest.raises(GoogleNotSetUp):
        town.link(card)
    town.shop.now += timedelta(minutes=11)
    town.upkeep.run_due(now=town.shop.now)
    assert town.google.look(town.link(card))
    with town.shop.store.read() as read:
        assert alarms.open_alarms(read) == []


def test_an_account_that_is_refused_is_an_alarm_and_no_link(town: Rehearsal) -> None:
    card = a_card(town.shop)
    town.google.faults.answer(403, times=None)
    with pytest.raises(GoogleNotSetUp):
        town.link(card)
    with town.shop.store.read() as read:
        [alarm] = alarms.open_alarms(read)
    assert alarm.name == google_cards.ALARM_ACCOUNT
    assert "Google refuses the service account" in alarm.words
    assert "Developer access" in alarm.words


@pytest.mark.check("G-28")
def test_a_google_that_hangs_keeps_neither_the_till_nor_the_other_pages(town: Rehearsal) -> None:
    shop = town.shop
    made = [a_card(shop, f"Member {number}") for number in range(8)]
    town.google.faults.hang(times=None)
    with ThreadPoolExecutor(8) as web:
        began = time.monotonic()
        links = [web.submit(town.link, card) for card in made[:8]]
        # With eight threads all at Google, this would be the ninth.
        bought = web.submit(shop.buy, made[0].code, 500)
        assert bought.result().points > 0
        assert time.monotonic() - began < 2.5, "the till waited for Google"
        town.google.faults.clear()
        town.google.go_down()
        for link in links:
            assert isinstance(link.exception(), GoogleUnavailable)
        assert time.monotonic() - began < 11


# Callbacks -----------------------------------------------------------------------------


@pytest.mark.check("G-46")
def test_the_same_message_many_times_at_once_has_one_effect(town: Rehearsal) -> None:
    card = a_card(town.shop)
    [shown] = town.google.look(town.link(card))
    body = town.callback(shown.object_id, "save")
    with ThreadPoolExecutor(8) as workers:
        for _ in workers.map(town.take, [body] * 24):
            pass
    assert town.holders() == [shown.object_id]
    assert len(rows(town.shop.store, "google_nonce")) == 1
    assert len(rows(town.shop.store, "wallet_event")) == 1
    # Nor does the old message bring back what was removed meanwhile.
    town.take(town.callback(shown.object_id, "del"))
    town.take(body)
    assert town.holders() == []


def test_doubled_messages_are_taken_twice_and_heard_once(town: Rehearsal) -> None:
    town.google.faults.double_callbacks()
    card, phone = a_card(town.shop), town.google.add_phone()
    town.saved(card, phone)
    town.google.wait_until(lambda: len(town.answers) == 2)
    assert town.answers == [200, 200]
    assert len(rows(town.shop.store, "wallet_event")) == 1


@pytest.mark.check("G-51")
def test_messages_in_the_wrong_order_are_resolved_by_asking_google(town: Rehearsal) -> None:
    card, phone = a_card(town.shop), town.google.add_phone()
    town.google.faults.withhold_callbacks()
    link = town.link(card)
    [object_id] = phone.save(link)
    phone.remove(object_id)
    phone.save(link)
    town.google.faults.clear()
    # Said in the order save, save, del: held in truth, removed as far as was heard.
    for event in ("save", "save", "del"):
        town.take(town.callback(object_id, event))
    assert town.holders() == []
    with town.shop.store.read() as read:
        assert google_rows.waiting_checks(read) == 1
    town.shop.now += google_cards.CHECK_AFTER
    assert town.upkeep.run_due(now=town.shop.now).checked == 1
    assert town.holders() == [object_id]
    # And the other way round: removed in truth, and a save that came late.
    phone.remove(object_id)
    town.google.wait_until(lambda: bool(town.answers))
    town.take(town.callback(object_id, "save"))
    assert town.holders() == [object_id]
    town.shop.now += google_cards.CHECK_AFTER
    town.upkeep.run_due(now=town.shop.now)
    assert town.holders() == []
    with town.shop.store.read() as read:
        assert google_rows.waiting_checks(read) == 0


@pytest.mark.check("G-51")
@pytest.mark.parametrize("late", [timedelta(seconds=20), timedelta(minutes=5)])
def test_a_save_that_is_heard_after_its_own_removal_holds_nothing(town: Rehearsal, late: timedelta) -> None:
    card, phone = a_card(town.shop), town.google.add_phone()
    town.google.faults.withhold_callbacks()
    [object_id] = phone.save(town.link(card))
    phone.remove(object_id)
    saved = town.callback(object_id, "save")
    town.take(town.callback(object_id, "del"))
    town.shop.now += late
    town.upkeep.run_due(now=town.shop.now)
    town.take(saved)
    assert town.holders() == [object_id]
    town.shop.now += google_cards.CHECK_AFTER
    town.upkeep.run_due(now=town.shop.now)
    assert town.holders() == []


def test_an_answer_of_googles_does_not_undo_what_was_heard_meanwhile(town: Rehearsal) -> None:
    card, phone = a_card(town.shop), town.google.add_phone()
    town.google.faults.withhold_callbacks()
    link = town.link(card)
    [shown] = town.google.look(link)
    town.shop.now += google_cards.CHECK_UNHEARD_AFTER
    ask = town.announcer.wallet.is_held

    def slowly(object_id: str) -> bool:
        held = ask(object_id)
        phone.save(link)
        town.take(town.callback(object_id, "save"))
        return held

    town.announcer.wallet.is_held = slowly  # type: ignore[method-assign]
    town.upkeep.run_due(now=town.shop.now)
    assert town.holders() == [shown.object_id]


@pytest.mark.check("G-51")
def test_a_card_of_which_nothing_was_heard_is_asked_about(town: Rehearsal) -> None:
    card, phone = a_card(town.shop), town.google.add_phone()
    town.google.faults.withhold_callbacks()
    [object_id] = phone.save(town.link(card))
    town.upkeep.run_due(now=town.shop.now)
    assert town.holders() == []
    town.shop.now += google_cards.CHECK_UNHEARD_AFTER
    town.google.faults.answer(503, times=None)
    town.upkeep.run_due(now=town.shop.now)
    town.google.faults.clear()
    town.shop.now += timedelta(minutes=2)
    town.upkeep.run_due(now=town.shop.now)
    assert town.holders() == [object_id]


def test_a_card_that_was_saved_first_needs_no_question(town: Rehearsal) -> None:
    card, phone = a_card(town.shop), town.google.add_phone()
    town.saved(card, phone)
    with town.shop.store.read() as read:
        assert google_rows.waiting_checks(read) == 0


def test_messages_about_cards_that_are_not_ours_change_nothing(
    town: Rehearsal, caplog: pytest.LogCaptureFixture
) -> None:
    shop, issuer = town.shop, town.desk.issuer
    card = a_card(shop)
    [shown] = town.google.look(town.link(card))
    sign = town.google.signer.envelope
    coffee, books = issuer.class_id("copperfinch"), issuer.class_id("marginalya")
    for class_id, object_id, slips in (
        (issuer.class_id("elsewhere"), shown.object_id, Slips()),
        (books, shown.object_id, Slips()),
        (coffee, shown.object_id, Slips(stranger=True)),
        (coffee, shown.object_id, Slips(recipient="1")),
        (coffee, shown.object_id, Slips(message_expires=timedelta(seconds=-1))),
        ("9.copperfinch", "9.card", Slips()),
    ):
        body, _ = sign(class_id, object_id, "save", now=shop.now, slips=slips)
        with pytest.raises(CallbackRefused):
            town.take(body)
    for body in (b"", b"{", b"[]", b"not json", b"x" * 20_000):
        with pytest.raises(CallbackRefused):
            town.take(body)
    # Ours, but unheard of: taken, so that Google does not say it all day.
    town.take(sign(coffee, f"{issuer.issuer_id}.nobody", "save", now=shop.now)[0])
    town.take(sign(coffee, shown.object_id, "wave", now=shop.now)[0])
    assert "never gave it" in caplog.text
    assert town.holders() == []
    assert rows(shop.store, "google_nonce") == []


def test_a_clock_five_minutes_off_takes_messages_and_makes_links(town: Rehearsal) -> None:
    card, phone = a_card(town.shop), town.google.add_phone()
    town.link(card)
    real = town.shop.now
    for ahead in (timedelta(minutes=5), timedelta(minutes=-5)):
        body = town.callback(town.desk.issuer.object_id(card.serial), "save")
        google_cards.take_callback(town.shop.store, town.desk, body, real + ahead)
    assert len(town.holders()) == 1
    assert phone.cards == []


@pytest.mark.check("G-49")
def test_without_keys_google_is_asked_to_come_again(town: Rehearsal) -> None:
    card = a_card(town.shop)
    [shown] = town.google.look(town.link(card))
    body, later = (town.callback(shown.object_id, event) for event in ("save", "del"))
    town.google.faults.answer(500, where="keys", times=None)
    with pytest.raises(KeysUnavailable):
        town.take(body)
    assert rows(town.shop.store, "google_nonce") == []
    town.google.faults.clear()
    town.shop.now += timedelta(seconds=11)
    town.take(body)
    assert town.holders() == [shown.object_id]
    # With keys in hand it does not matter that there are no newer ones.
    town.google.go_down()
    town.take(later)
    assert town.holders() == []


def test_nobody_can_take_over_a_card_of_googles_with_a_phone_of_apples(town: Rehearsal) -> None:
    card, phone, object_id = town.a_held_card()
    other = a_card(town.shop, "Mallory")
    assert not an_install(town.shop, other, phone=f"google:{object_id}", push_token="ee" * 32)
    assert town.holders() == [object_id]
    assert an_install(town.shop, other, phone="mallory", push_token=object_id)
    town.shop.buy(card.code, 500)
    town.deliver()
    assert balance_of(phone.card(object_id)) == "150"
    assert (
        issuing.changes(town.shop.store, library_id=f"google:{object_id}", pass_type=PASS_TYPE, since=None)
        is None
    )


# Keeping up to date ---------------------------------------------------------------------


def test_a_change_sends_what_changed_and_nothing_else(town: Rehearsal) -> None:
    card, _, object_id = town.a_held_card()
    assert town.patches() == []
    town.shop.buy(card.code, 1240)
    town.deliver()
    [patch] = town.patches(object_id)
    body = patch.body
    assert set(body) <= {"loyaltyPoints", "textModulesData", "heroImage", "notifyPreference"}
    assert body["loyaltyPoints"]["balance"]["int"] == 224
    assert body["notifyPreference"] == "NOTIFY_ON_UPDATE"
    # A change that shows nothing new is told by silence.
    town.shop.store.write(lambda work: cards.revise(work, card.programme_id, card.card_id))
    assert town.deliver().accepted == 1
    assert len(town.patches()) == 1
    assert rows(town.shop.store, "owed") == []


@pytest.mark.check("G-34")
def test_the_fourth_notification_of_a_day_is_left_out_and_the_change_is_not(town: Rehearsal) -> None:
    card, phone, object_id = town.a_held_card()
    for number in range(1, 6):
        town.shop.now += timedelta(hours=1)
        town.shop.buy(card.code, 1000)
        town.deliver()
        assert balance_of(phone.card(object_id)) == str(100 + 100 * number)
    assert [("notifyPreference" in one.body) for one in town.patches()] == [True] * 3 + [False] * 2
    assert len(phone.notifications) == 3
    town.shop.now += timedelta(hours=24)
    town.shop.buy(card.code, 1000)
    town.deliver()
    assert "notifyPreference" in town.patches()[-1].body
    assert len(rows(town.shop.store, "google_alert")) <= 3


def test_two_workers_book_no_more_than_three_notifications(town: Rehearsal) -> None:
    card, _, _ = town.a_held_card()

    def book(_: int) -> bool:
        return town.shop.store.write(
            lambda work: google_rows.book_alert(
                work,
                programme_id=card.programme_id,
                card_id=card.card_id,
                about=google_rows.BALANCE,
                now=town.shop.now,
            )
        )

    with ThreadPoolExecutor(8) as workers:
        assert sum(workers.map(book, range(16))) == 3


def test_an_offer_rings_once_for_a_card(town: Rehearsal) -> None:
    card, _, _ = town.a_held_card()

    def book(about: str) -> bool:
        return town.shop.store.write(
            lambda work: google_rows.book_alert(
                work, programme_id=card.programme_id, card_id=card.card_id, about=about, now=town.shop.now
            )
        )

    long = "offer:" + "maple-" * 20
    assert book(long)
    town.shop.now += timedelta(days=40)
    assert not book(long)
    assert book("offer:another")


@pytest.mark.check("G-29")
def test_of_many_changes_at_once_the_newest_ends_at_google(town: Rehearsal) -> None:
    card, phone, object_id = town.a_held_card()
    town.google.faults.slow(0.02)
    second = town.another_worker()
    ended = threading.Event()

    def work(announcer: Announcer) -> None:
        while not ended.is_set():
            town.deliver(announcer)

    workers = [threading.Thread(target=work, args=(one,)) for one in (town.announcer, second)]
    # PostgreSQL has many workers; on SQLite there is one beside the web.
    if not town.shop.store.postgresql:
        workers = workers[:1]
    for worker in workers:
        worker.start()
    for _ in range(12):
        town.shop.buy(card.code, 100)
        town.shop.now += timedelta(seconds=61)
    deadline = time.monotonic() + 10
    while balance_of(phone.card(object_id)) != "220" and time.monotonic() < deadline:
        time.sleep(0.02)
    ended.set()
    for worker in workers:
        worker.join()
    second.close()
    assert balance_of(phone.card(object_id)) == "220"


def test_of_two_that_speak_at_once_none_believes_itself(town: Rehearsal) -> None:
    card, _, object_id = town.a_held_card()
    key = (card.programme_id, card.card_id)
    store = town.shop.store
    mine = store.write(lambda work: google_rows.begin(work, *key, ["state"]))
    theirs = store.write(lambda work: google_rows.begin(work, *key, ["state"]))
    assert store.write(lambda work: google_rows.settle(work, Sent(*key, theirs, {"state": "b"})))
    assert not store.write(lambda work: google_rows.settle(work, Sent(*key, mine, {"state": "a"})))
    assert "state" not in town.told(object_id).told, "nobody knows which of the two was heard last"


@pytest.mark.check("G-62")
@pytest.mark.parametrize("trouble", ["busy", "broken", "dropped", "slow", "down"])
def test_whatever_happens_on_the_way_the_end_is_right(town: Rehearsal, trouble: str) -> None:
    card, phone, object_id = town.a_held_card()
    faults = town.google.faults
    if trouble == "busy":
        faults.answer(429, times=4, retry_after_seconds=20)
    elif trouble == "broken":
        faults.answer(503, times=7)
    elif trouble == "dropped":
        faults.drop_after_commit(times=4)
    elif trouble == "slow":
        faults.slow(0.3)
    else:
        town.google.go_down()
    town.shop.buy(card.code, 1240)
    for _ in range(5):
        town.deliver()
        if trouble == "down":
            town.google.come_back()
        town.shop.now += timedelta(minutes=3)
    assert balance_of(phone.card(object_id)) == "224"
    assert rows(town.shop.store, "owed") == []
    assert len(phone.notifications) <= 2
    assert len(rows(town.shop.store, "google_alert")) == 1, "booked once, however often it was tried"


@pytest.mark.check("G-30")
def test_what_google_complains_about_is_kept_in_words_without_secrets(
    town: Rehearsal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    card, phone, object_id = town.a_held_card()
    town.google.faults.answer(400, resource=object_id, reason="INVALID_ARGUMENT", times=None)
    town.shop.buy(card.code, 500)
    told = town.deliver()
    assert told.rejected == 1
    with town.shop.store.read() as read:
        [alarm] = alarms.open_alarms(read)
    assert alarm.name == google_cards.ALARM_CARD
    assert "400" in alarm.words
    assert [row["event"] for row in rows(town.shop.store, "wallet_event")] == ["added", "refused"]
    token = town.desk.api._token
    assert token is not None
    everything = caplog.text + str([rows(town.shop.store, name) for name in metadata.tables])
    for secret in (token.value, "eyJ", "ya29", "BEGIN " + "PRIVATE"):
        assert secret not in everything
    # It is tried again slowly, and then told once.
    town.google.faults.clear()
    assert town.deliver().claimed == 0
    town.shop.now += timedelta(hours=1)
    assert town.deliver().accepted == 1
    assert balance_of(phone.card(object_id)) == "150"
    with town.shop.store.read() as read:
        assert alarms.open_alarms(read) == []


def test_a_refused_account_parks_everything_and_goes_on_by_itself(town: Rehearsal) -> None:
    held = [town.a_held_card(f"Member {number}") for number in range(6)]
    town.google.faults.answer(403, times=None)
    for card, _, _ in held:
        town.shop.buy(card.code, 500)
    told = town.deliver()
    assert told.stopped
    assert told.accepted == 0
    with town.shop.store.read() as read:
        [alarm] = alarms.open_alarms(read)
    assert alarm.name == google_cards.ALARM_ACCOUNT
    assert alarm.words.startswith("Cards at Google are not updated. Google refuses the service account")
    town.google.faults.clear()
    assert town.deliver().accepted == 6
    with town.shop.store.read() as read:
        assert alarms.open_alarms(read) == []


def test_an_object_that_google_lost_is_made_again(town: Rehearsal) -> None:
    card, _, object_id = town.a_held_card()
    town.google.faults.answer(404, resource=object_id, method="PATCH")
    town.shop.buy(card.code, 500)
    assert town.deliver().accepted == 1
    assert balance_of(town.google.phones[0].card(object_id)) == "150"


def test_a_worker_that_was_killed_leaves_nothing_untold(town: Rehearsal) -> None:
    card, phone, object_id = town.a_held_card()
    town.shop.buy(card.code, 1240)
    store, now = town.shop.store, town.shop.now
    while delivery.stamp_due(store, now=now):
        pass
    claims = store.write(
        lambda work: installs.claim(
            work, wallet="google", now=now, lease_until=now + timedelta(seconds=180), limit=10
        )
    )
    install = Install(0, claims[0].pass_type, claims[0].push_token)
    # It made the card ready, and then it was gone.
    dead = town.another_worker()
    dead._waiting.append(install)
    wanted = dead._wanted_of(install)
    assert wanted is not None
    assert wanted.notify
    dead.close()
    assert town.deliver().claimed == 0
    town.shop.now += timedelta(seconds=181)
    assert town.deliver().accepted == 1
    assert balance_of(phone.card(object_id)) == "224"
    assert len(phone.notifications) == 1
    assert len(rows(store, "google_alert")) == 1


def test_google_and_apple_do_not_wait_for_each_other(town: Rehearsal) -> None:
    shop = town.shop
    card, _, _ = town.a_held_card()
    an_install(shop, card)
    town.deliver()
    shop.buy(card.code, 500)
    while delivery.stamp_due(shop.store, now=shop.now):
        pass
    assert sorted(row["wallet"] for row in rows(shop.store, "owed")) == ["apple", "google"]
    apple = PushService()
    delivery.announce_due(shop.store, {"apple": apple}, now=shop.now)
    assert apple.addresses == [PUSH_TOKEN]
    assert [row["wallet"] for row in rows(shop.store, "owed")] == ["google"]
    with shop.store.read() as read:
        assert not installs.is_anything_waiting(read, wallet="apple", now=shop.now)
        assert installs.is_due(read, wallet="google", now=shop.now)


# Classes and erasing ---------------------------------------------------------------------


def test_every_programmes_class_is_brought_to_google_once_and_when_it_changes(town: Rehearsal) -> None:
    assert town.upkeep.run_due(now=town.shop.now).published == 2
    assert town.upkeep.run_due(now=town.shop.now).published == 0
    [path] = [path for path in programmes.DEMONSTRATION if path.stem == "copperfinch"]
    source = path.read_text("utf-8").replace("#1F2A2E", "#1F2A2F")
    programmes.load(town.shop.store, name=path.stem, source=source, pass_type=PASS_TYPE, now=town.shop.now)
    assert town.upkeep.run_due(now=town.shop.now).published == 1
    held = town.google.resources.get(CLASS, town.desk.issuer.class_id("copperfinch"))
    assert held["hexBackgroundColor"] == "#1F2A2F"


def test_one_class_that_is_refused_stays_an_alarm_while_the_other_is_published(town: Rehearsal) -> None:
    issuer, store = town.desk.issuer, town.shop.store
    town.google.faults.answer(400, resource=issuer.class_id("copperfinch"), times=None)
    assert town.upkeep.run_due(now=town.shop.now).published == 1
    with store.read() as read:
        [alarm] = alarms.open_alarms(read)
    assert (alarm.name, alarm.count) == (google_cards.ALARM_CLASS, 1)
    assert "copperfinch" in alarm.words
    town.google.faults.clear()
    town.shop.now += timedelta(minutes=11)
    assert town.upkeep.run_due(now=town.shop.now).published == 1
    with store.read() as read:
        assert alarms.open_alarms(read) == []


def test_a_class_waits_for_a_google_that_is_down(town: Rehearsal) -> None:
    town.google.go_down()
    assert town.upkeep.run_due(now=town.shop.now).published == 0
    town.google.come_back()
    assert town.upkeep.run_due(now=town.shop.now).published == 0
    town.shop.now += timedelta(seconds=10)
    assert town.upkeep.run_due(now=town.shop.now).published == 2


def test_google_says_nothing_about_a_card_that_was_withdrawn(town: Rehearsal) -> None:
    card, _, object_id = town.a_held_card("Ana Reyes")
    left, _, other_id = town.a_held_card("Ben Ito")
    stays, _, third_id = town.a_held_card("Cyd Park")
    store, now = town.shop.store, town.shop.now
    store.write(lambda work: cards.void(work, card.programme_id, card.card_id, now=now))
    store.write(
        lambda work: work.put(
            text("UPDATE member SET closed_at = :now WHERE id = :id"), now=micros(now), id=left.member_id
        )
    )
    town.deliver()
    assert town.upkeep.run_due(now=now).erased == 2
    for gone in (object_id, other_id):
        kept = town.google.resources.get(OBJECT, gone)
        assert kept["state"].upper() == "INACTIVE"
        assert "Ana" not in str(kept)
        assert "Ben" not in str(kept)
        assert card.code not in str(kept)
        assert not kept.get("loyaltyPoints")
    assert "Cyd" in str(town.google.resources.get(OBJECT, third_id))
    assert town.upkeep.run_due(now=now).erased == 0
    # What changes afterwards does not bring it back.
    store.write(lambda work: cards.revise(work, card.programme_id, card.card_id))
    town.deliver()
    assert "Ana" not in str(town.google.resources.get(OBJECT, object_id))
    assert rows(store, "owed") == []
    assert stays.code


# The shared rate --------------------------------------------------------------------------

_TURNS = """
import sys, time
from passes import store as stores
from passes.clock import clock
from passes.google_cards import SharedPace
store = stores.open(sys.argv[1])
slots = int(sys.argv[2])
pace = SharedPace(store, rate_per_second=20, clock=clock(None), slots=slots)
pace(); print("ready", flush=True); sys.stdin.readline()
for _ in range(20):
    time.sleep(pace())
    print(time.time(), flush=True)
store.close()
"""


@pytest.mark.slow
@pytest.mark.check("G-27")
def test_two_processes_share_one_rate(database_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _TURNS, database_url, slots],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for slots in ("1", "4")
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    times = sorted(float(line) for one in processes for line in one.communicate(timeout=30)[0].split())
    assert len(times) == 40
    assert times[-1] - times[0] >= 39 / 20 - 0.2, "forty turns at twenty a second"
    assert times[-1] - times[0] <= 39 / 20 + 1.0, "and none was wasted"
    busiest = max(sum(first <= at < first + 1 for at in times) for first in times)
    assert busiest <= 24


def test_a_pace_that_a_wrong_clock_has_set_is_forgotten(store: Store, now: datetime) -> None:
    def reserve(at: datetime, slots: int = 1) -> float:
        return store.write(
            lambda work: google_rows.reserve(work, name="x", slots=slots, rate_per_second=10, now=at)
        )

    assert reserve(now) == 0
    assert reserve(now) == pytest.approx(0.1)
    assert reserve(now, 5) == pytest.approx(0.2)
    assert reserve(now) == pytest.approx(0.7)
    assert reserve(now + timedelta(days=1)) == 0
    assert reserve(now) == 0, "a day ahead is nonsense"


def test_a_purchase_does_not_wait_behind_a_change_to_everybody(town: Rehearsal) -> None:
    shop = town.shop
    held = [town.a_held_card(f"Member {number}") for number in range(12)]
    shop.store.write(lambda work: store_programmes.revise(work, held[0][0].programme_id))
    while delivery.stamp_due(shop.store, now=shop.now):
        pass
    shop.now += timedelta(minutes=1)
    card, _, object_id = held[7]
    shop.buy(card.code, 500)
    while delivery.stamp_due(shop.store, now=shop.now):
        pass
    elsewhere = PushService()
    delivery.announce_due(shop.store, {"google": elsewhere}, wallet="google", now=shop.now, limit=6)
    assert len(elsewhere.told) == 6
    assert elsewhere.addresses[0] == object_id


# Offers -----------------------------------------------------------------------------------


def asked_for_offers(town: Rehearsal, name: str, **consents: bool) -> tuple[Card, AndroidPhone, str]:
    """A member with these consents, outside the holdout, and the card on a phone."""
    joined = town.shop.join(name, consents=consents)
    town.shop.store.write(
        lambda work: work.put(text("UPDATE member SET holdout = false WHERE id = :id"), id=joined.member_id)
    )
    card = Card(joined.programme_id, joined.member_id, joined.card_id, joined.serial, joined.code, "unused")
    phone = town.google.add_phone()
    return card, phone, town.saved(card, phone)


@pytest.mark.check("G-37")
def test_an_offer_rings_for_those_who_asked_and_is_silent_for_the_others(town: Rehearsal) -> None:
    shop = town.shop
    shop.now = OPENS
    ana, her_phone, her_card = asked_for_offers(town, "Ana Reyes", offers=True, ring=True)
    _, his_phone, his_card = asked_for_offers(town, "Ben Ito")
    campaigns.plan(shop.store, programme=COFFEE, name="maple", source=offer_file(rings="true"), now=shop.now)
    campaigns.publish(shop.store, programme=COFFEE, key="maple", now=shop.now)

    def work() -> None:
        campaigns.run_due(shop.store, now=shop.now)
        while campaigns.spread_due(shop.store, now=shop.now):
            pass
        town.deliver()

    work()
    assert [one.header for one in her_phone.card(her_card).messages] == ["Maple Cortado is back"]
    assert [one.header for one in his_phone.card(his_card).messages] == ["Maple Cortado is back"]
    assert len(her_phone.notifications) == 1
    assert his_phone.notifications == []
    [booked] = rows(shop.store, "google_alert")
    assert (booked["card_id"], booked["about"]) == (ana.card_id, "offer:maple")
    # Whatever changes on the card later, the offer rings no more.
    shop.buy(ana.code, 1000)
    work()
    assert [one.cause for one in her_phone.notifications].count(her_phone.notifications[0].cause) == 1
    assert len(her_phone.notifications) == 2, "the offer, and the new balance"
    shop.now += timedelta(hours=40)
    work()
    assert her_phone.card(her_card).messages == his_phone.card(his_card).messages == ()
    assert len(her_phone.notifications) == 2, "its end rings for nobody"
