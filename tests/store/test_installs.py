"""Registrations, lists and what is owed, on both engines."""

from __future__ import annotations

import importlib
import re
import sqlite3
from datetime import datetime, timedelta
from pkgutil import iter_modules

import pytest
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement

from passes import delivery, issuing
from passes.store import Store, Work, cards, installs, programmes
from passes.store.installs import settling
from passes.store.installs.spoken import Spoken
from passes.store.instants import micros
from tests.cast import PHONE, PUSH_TOKEN, Card, PushService, a_card, an_install, deliver, rows
from tests.shop import KEYS, PASS_TYPE, Shop, open_shop

OTHER_PHONE = "ffeeddccbbaa99887766554433221100"


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    return open_shop(store, now)


@pytest.fixture
def card(shop: Shop) -> Card:
    return a_card(shop)


def listed(shop: Shop, since: int | None = None, *, phone: str = PHONE) -> issuing.Changes | None:
    return issuing.changes(shop.store, library_id=phone, pass_type=PASS_TYPE, since=since)


def stamp(shop: Shop) -> None:
    while delivery.stamp_due(shop.store, now=shop.now):
        pass


@pytest.mark.check("A-56", "A-57")
def test_a_phone_registers_once_however_often_it_says_so(shop: Shop, card: Card) -> None:
    assert an_install(shop, card)
    assert not an_install(shop, card)
    assert len(rows(shop.store, "device")) == len(rows(shop.store, "registration")) == 1


@pytest.mark.check("A-58")
def test_the_newest_push_token_is_kept_and_used(shop: Shop, card: Card) -> None:
    an_install(shop, card)
    assert not an_install(shop, card, push_token="b2" * 32)
    assert [row["push_token"] for row in rows(shop.store, "device")] == ["b2" * 32]
    shop.buy(card.code, 500)
    wallet = PushService()
    deliver(shop, wallet)
    assert wallet.addresses == ["b2" * 32]


@pytest.mark.check("A-64")
def test_phones_and_cards_are_many_to_many(shop: Shop, card: Card) -> None:
    second = a_card(shop, "Ben Ito", "marginalya")
    for one in (card, second):
        an_install(shop, one)
    an_install(shop, card, phone=OTHER_PHONE, push_token="b2" * 32)
    here, there = listed(shop), listed(shop, phone=OTHER_PHONE)
    assert here is not None
    assert there is not None
    assert set(here.serials) == {card.serial, second.serial}
    assert list(there.serials) == [card.serial]


@pytest.mark.check("A-65")
def test_one_phone_under_many_ids_holds_a_card_once(shop: Shop, card: Card) -> None:
    other = a_card(shop, "Ben Ito")
    an_install(shop, card, phone="first")
    an_install(shop, other, phone="first")
    for number in range(300):
        an_install(shop, card, phone=f"storm-{number}")
    held = {(row["card_id"], row["device_id"]) for row in rows(shop.store, "registration")}
    assert len(held) == 2, "the old id keeps its other card"
    assert len(rows(shop.store, "device")) == 2
    shop.buy(card.code, 500)
    wallet = PushService()
    deliver(shop, wallet)
    assert wallet.addresses == [PUSH_TOKEN]


@pytest.mark.check("A-65")
def test_a_change_that_a_phone_was_not_told_follows_it_to_its_new_id(shop: Shop, card: Card) -> None:
    an_install(shop, card, phone="first")
    shop.buy(card.code, 500)
    stamp(shop)
    an_install(shop, card, phone="second")
    wallet = PushService()
    assert delivery.announce_due(shop.store, {"apple": wallet}, now=shop.now).accepted == 1
    assert rows(shop.store, "owed") == []


@pytest.mark.check("A-67", "A-69", "A-71")
def test_the_tag_that_was_given_asks_for_nothing_more(shop: Shop, card: Card) -> None:
    an_install(shop, card)
    shop.buy(card.code, 500)
    stamp(shop)
    found = listed(shop)
    assert found is not None
    assert (list(found.serials), found.tag) == ([card.serial], rows(shop.store, "card")[0]["tag"])
    assert listed(shop, found.tag) is None


@pytest.mark.check("A-70", "A-71")
def test_every_card_that_changed_after_the_tag_is_listed(shop: Shop, card: Card) -> None:
    other, third = a_card(shop, "Ben Ito"), a_card(shop, "Mo Adeyemi")
    for one in (card, other, third):
        an_install(shop, one)
    elsewhere = a_card(shop, "Zoe Marsh")
    an_install(shop, elsewhere, phone=OTHER_PHONE, push_token="b2" * 32)
    stamp(shop)
    start = listed(shop)
    assert start is not None
    # The last number is given to a card that this phone does not hold.
    for one in (card, other, elsewhere):
        shop.buy(one.code, 500)
        stamp(shop)
    found = listed(shop, start.tag)
    assert found is not None
    assert set(found.serials) == {card.serial, other.serial}
    tags = {row["serial"]: row["tag"] for row in rows(shop.store, "card")}
    assert found.tag == max(tags[serial] for serial in found.serials)


@pytest.mark.check("A-72")
def test_two_changes_within_one_second_are_both_reported(shop: Shop, card: Card) -> None:
    an_install(shop, card)
    shop.buy(card.code, 500)
    stamp(shop)
    first = listed(shop)
    assert first is not None
    shop.buy(card.code, 500)
    stamp(shop)
    second = listed(shop, first.tag)
    assert second is not None
    assert list(second.serials) == [card.serial]
    assert second.tag > first.tag


@pytest.mark.check("A-74")
def test_unknown_phones_have_nothing_and_a_tag_from_the_future_starts_over(shop: Shop, card: Card) -> None:
    an_install(shop, card)
    assert listed(shop, phone="nobody") is None
    found = listed(shop, 2**63 - 1)
    assert found is not None
    assert list(found.serials) == [card.serial]


@pytest.mark.check("A-75")
def test_only_the_phones_own_cards_of_that_pass_type_are_listed(shop: Shop, card: Card) -> None:
    other = a_card(shop, "Ben Ito")
    an_install(shop, card)
    an_install(shop, other, phone=OTHER_PHONE, push_token="b2" * 32)
    found = listed(shop)
    assert found is not None
    assert list(found.serials) == [card.serial]
    assert issuing.changes(shop.store, library_id=PHONE, pass_type="pass.other", since=None) is None


@pytest.mark.check("A-84")
def test_a_change_of_the_programme_lists_every_card_once(shop: Shop, card: Card) -> None:
    other = a_card(shop, "Ben Ito")
    elsewhere = a_card(shop, "Mo Adeyemi", "marginalya")
    for one in (card, other, elsewhere):
        an_install(shop, one)
    stamp(shop)
    start = listed(shop)
    assert start is not None
    with shop.store.read() as read:
        before = cards.facts(read, card.programme_id, card.card_id)
    shop.store.write(lambda work: programmes.revise(work, card.programme_id))
    stamp(shop)
    found = listed(shop, start.tag)
    assert found is not None
    assert set(found.serials) == {card.serial, other.serial}
    assert listed(shop, found.tag) is None
    with shop.store.read() as read:
        after = cards.facts(read, card.programme_id, card.card_id)
    assert before is not None
    assert after is not None
    assert after.last_modified > before.last_modified


def test_a_change_between_download_and_registration_is_told(shop: Shop, card: Card) -> None:
    shop.store.write(
        lambda work: cards.mark_downloaded(work, card.programme_id, card.card_id, effective_revision=0)
    )
    shop.buy(card.code, 500)
    stamp(shop)
    start = rows(shop.store, "card")[0]["tag"]
    an_install(shop, card)
    wallet = PushService()
    deliver(shop, wallet)
    assert wallet.addresses == [PUSH_TOKEN]
    # Even to a phone whose tag is newer than the card's was.
    found = listed(shop, start)
    assert found is not None
    assert list(found.serials) == [card.serial]


def test_a_phone_that_has_the_newest_version_is_left_alone(shop: Shop, card: Card) -> None:
    shop.buy(card.code, 500)
    stamp(shop)
    with shop.store.read() as read:
        facts = cards.facts(read, card.programme_id, card.card_id)
    assert facts is not None
    shop.store.write(
        lambda work: cards.mark_downloaded(
            work, card.programme_id, card.card_id, effective_revision=facts.effective_revision
        )
    )
    an_install(shop, card)
    wallet = PushService()
    deliver(shop, wallet)
    assert wallet.told == []


def test_of_two_downloads_the_older_one_counts(shop: Shop, card: Card) -> None:
    def mark(revision: int) -> None:
        shop.store.write(
            lambda work: cards.mark_downloaded(
                work, card.programme_id, card.card_id, effective_revision=revision
            )
        )

    for _ in range(3):
        shop.buy(card.code, 500)
    mark(2)
    mark(3)
    assert rows(shop.store, "card")[0]["downloaded_revision"] == 2


@pytest.mark.check("A-91", "A-92", "A-93")
def test_unregistering_forgets_the_phone_with_its_last_card(shop: Shop, card: Card) -> None:
    other = a_card(shop, "Ben Ito")
    an_install(shop, card)
    an_install(shop, other)

    def leave(one: Card) -> None:
        issuing.unregister(
            shop.store,
            KEYS,
            library_id=PHONE,
            pass_type=PASS_TYPE,
            serial=one.serial,
            token=one.token,
            now=shop.now,
        )

    assert [row["removed_at"] for row in rows(shop.store, "card")] == [None, None]
    leave(card)
    by_card = {row["id"]: row for row in rows(shop.store, "card")}
    assert by_card[card.card_id]["installed_at"] == micros(shop.now)
    assert by_card[card.card_id]["removed_at"] == micros(shop.now)
    assert by_card[other.card_id]["removed_at"] is None
    assert [row["card_id"] for row in rows(shop.store, "registration")] == [other.card_id]
    assert len(rows(shop.store, "device")) == 1
    leave(card)
    leave(other)
    assert rows(shop.store, "device") == rows(shop.store, "registration") == []
    assert an_install(shop, card), "added again"
    shop.buy(card.code, 500)
    wallet = PushService()
    deliver(shop, wallet)
    assert wallet.addresses == [PUSH_TOKEN]


def test_a_withdrawn_card_is_listed_once_more(shop: Shop, card: Card) -> None:
    an_install(shop, card)
    stamp(shop)
    start = listed(shop)
    assert start is not None
    later = shop.now + timedelta(minutes=1)

    def withdraw(work: Work) -> None:
        cards.void(work, card.programme_id, card.card_id, now=later)
        cards.void(work, card.programme_id, card.card_id, now=later + timedelta(days=1))

    shop.store.write(withdraw)
    stamp(shop)
    found = listed(shop, start.tag)
    assert found is not None
    assert list(found.serials) == [card.serial]
    with shop.store.read() as read:
        facts = cards.facts(read, card.programme_id, card.card_id)
    assert facts is not None
    assert facts.voided_at == later


def test_the_log_keeps_the_newest_entries(shop: Shop) -> None:
    def keep(work: Work) -> None:
        installs.keep_log(work, [f"entry {number}" for number in range(8)], now=shop.now, kept_max=5)

    shop.store.write(keep)
    with shop.store.read() as read:
        kept = installs.newest_log(read, limit=10)
    assert [words for _, words in kept] == [f"entry {number}" for number in (7, 6, 5, 4, 3)]


@pytest.mark.check("A-79")
def test_no_statement_walks_through_a_whole_programme_or_pass_type(sqlite_url: str) -> None:
    rooms = [
        importlib.import_module(one.name) for one in iter_modules(installs.__path__, "passes.store.installs.")
    ]
    said = [one for room in rooms for one in vars(room).values() if isinstance(one, Spoken)]
    assert len(said) > 20
    statements: list[ClauseElement] = [one.sqlite for one in (*said, *settling._FORGET)]
    statements += [
        cards._FACTS_ON_SQLITE,
        cards._BY_SERIAL,
        cards._REVISE,
        cards._VOID,
        cards._MARK_DOWNLOADED,
    ]
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    small = ("programme", "pass_type", "p", "t", "json_each", "wallet_log")
    for statement in statements:
        sql = str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))
        values = {name: "[]" if name == "rows" else 0 for name in re.findall(r"(?<![:\w]):(\w+)", sql)}
        for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values):
            step = row[3]
            if found := re.match(r"(?:SEARCH|SCAN) (\w+) USING PRIMARY KEY \((\w+)=\?\)", step):
                # A key of one column that every row shares finds nothing.
                assert found[1] in small, f"{step} in {sql}"
            elif found := re.match(r"SCAN (\w+)(?! USING INDEX)", step):
                inner = {"due", "counted", "slice", "c", "r", "lagging", "CONSTANT"}
                assert found[1] in (*small, *inner) or "USING INDEX" in step, f"{step} in {sql}"
    connection.close()
