"""Joining: what is written down, and what is never handed out."""

from __future__ import annotations

import re
import threading
from datetime import date
from typing import Any

import pytest
from sqlalchemy import text

from passes import books, enrolment
from passes.enrolment import Source
from passes.loyalty.refusals import (
    EmailInvalid,
    KeyInvalid,
    KeyReused,
    LinkUnknown,
    NameInvalid,
    ProgrammeUnknown,
)
from passes.store import Store
from tests.cast import rows
from tests.shop import BOOKS, COFFEE, KEYS, Shop, open_shop


@pytest.fixture
def shop(store: Store, now: Any) -> Shop:
    return open_shop(store, now)


@pytest.mark.check("A-23")
def test_a_member_gets_a_card_a_code_a_link_and_the_welcome(shop: Shop) -> None:
    ana = shop.join()
    assert shop.balance(ana.code) == 100
    assert re.fullmatch(r"[A-Za-z0-9_-]{24}", ana.serial)
    ref = enrolment.card_by_secret(shop.store, secret=ana.link_secret)
    assert (ref.programme_id, ref.card_id) == (ana.programme_id, ana.card_id)
    assert books.verify(shop.store).right


@pytest.mark.check("A-119")
def test_the_same_form_sent_twice_is_one_member_with_the_same_card(shop: Shop) -> None:
    first = shop.join(key="form")
    again = shop.join(key="form")
    assert again.again
    assert (again.serial, again.code, again.link_secret) == (first.serial, first.code, first.link_secret)
    assert len(rows(shop.store, "member")) == 1
    with pytest.raises(KeyReused):
        shop.join("Somebody Else", key="form")


def test_the_same_form_from_eight_threads_is_one_member(shop: Shop, database_url: str) -> None:
    from passes import store as database

    served = Shop(database.open(database_url, writer_thread=True), shop.now)
    serials: list[str] = []
    threads = [
        threading.Thread(target=lambda: serials.append(served.join(key="form").serial)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    served.store.close()
    assert len(serials) == 8
    assert len(set(serials)) == 1
    assert len(rows(shop.store, "member")) == 1


def test_a_known_address_never_hands_out_somebody_elses_card(shop: Shop) -> None:
    ana = shop.join(email="ana@example.org")
    other = shop.join("An Impostor", email=" ANA@example.org ")
    assert other.serial != ana.serial
    assert shop.balance(other.code) == 0
    first, second = sorted(rows(shop.store, "member"), key=lambda row: int(row["id"]))
    assert second["merge_candidate_of"] == first["id"]
    assert not second["welcome_given"]
    # In another programme the address is news.
    shop.join("Ana Reyes", BOOKS, email="ana@example.org")
    assert [row["merge_candidate_of"] for row in rows(shop.store, "member")].count(None) == 2


@pytest.mark.parametrize("name", ["", "   ", "\u200b", "x" * 65, "\x00\x01"])
def test_a_name_must_be_one(shop: Shop, name: str) -> None:
    with pytest.raises(NameInvalid):
        shop.join(name)
    assert rows(shop.store, "member") == []


@pytest.mark.parametrize(
    "name", ["Ana", "İpek Şahin", "ليلى حداد", "李", "O'Neill-Ñandú", "x" * 64, "👩‍👩‍👧", "می‌نا"]
)
def test_names_of_the_whole_world_are_welcome(shop: Shop, name: str) -> None:
    shop.join(name)
    assert rows(shop.store, "person")[0]["name"] == name


@pytest.mark.parametrize(
    "email", ["nope", "a@b", "a b@c.de", "a@b.c", "@x.org", "a@x.org,b@x.org", "a" * 300 + "@x.org"]
)
def test_an_address_must_be_one(shop: Shop, email: str) -> None:
    with pytest.raises(EmailInvalid):
        shop.join(email=email)


def test_what_cannot_be_recovered_later_is_written_down(shop: Shop) -> None:
    source = Source(
        "poster",
        "west-loop",
        "https://example.org/menu",
        utm_source="menu",
        utm_medium="qr",
        utm_campaign="may",
    )
    shop.join(consents={"ring": True}, source=source, language="tr")
    (joining,) = rows(shop.store, "joining")
    assert (joining["source"], joining["location"], joining["referrer"]) == (
        "poster",
        "west-loop",
        "https://example.org/menu",
    )
    assert (joining["utm_source"], joining["utm_medium"], joining["utm_campaign"]) == ("menu", "qr", "may")
    assert len(joining["terms_version"]) == 12
    (consent,) = rows(shop.store, "consent")
    assert (consent["purpose"], bool(consent["given"]), consent["language"]) == ("ring", True, "tr")
    assert consent["text_version"]
    assert len(consent["text_digest"]) == 64


def test_consent_is_never_assumed(shop: Shop) -> None:
    shop.join(consents={})
    assert [bool(row["given"]) for row in rows(shop.store, "consent")] == [False]


def test_personal_data_stands_in_its_own_table_only(shop: Shop) -> None:
    ana = shop.join("Quetzalcoatl Unmistakable", email="unmistakable@example.org")
    shop.buy(ana.code, 1000)
    with shop.store.read() as read:
        from passes.store.models import metadata

        names = [table.name for table in metadata.sorted_tables if table.name != "person"]
        assert read is not None
    for name in names:
        for row in rows(shop.store, name):
            assert "Unmistakable" not in repr(row), name
            assert "unmistakable@" not in repr(row), name


def test_one_in_ten_is_held_out_for_ever() -> None:
    held = [enrolment.in_holdout(COFFEE, member_id) for member_id in range(10_000)]
    assert 900 < sum(held) < 1100
    assert held == [enrolment.in_holdout(COFFEE, member_id) for member_id in range(10_000)]


def test_links_are_secrets_and_can_be_withdrawn(shop: Shop) -> None:
    ana = shop.join()
    with pytest.raises(LinkUnknown):
        enrolment.card_by_secret(shop.store, secret="guess")
    kept = rows(shop.store, "card_link")
    assert ana.link_secret not in repr(kept)
    assert ana.link_secret == KEYS.link_secret("k1", ana.card_id, 1)


def test_a_screen_learns_how_far_its_phone_got_and_not_whose_it_is(shop: Shop) -> None:
    def progress() -> enrolment.Progress:
        return enrolment.on_the_phone(shop.store, programme=COFFEE, desk="screen-1")

    assert progress() is enrolment.Progress.WAITING
    shop.join(desk="screen-2")
    assert progress() is enrolment.Progress.WAITING
    ana = shop.join(desk="screen-1", key="form")
    assert shop.join(desk="screen-1", key="form").again
    assert progress() is enrolment.Progress.JOINED
    # Whoever joins later with the same code gets a card as well; the screen shows the first one.
    shop.join("Ben", desk="screen-1")
    shop.store.write(
        lambda work: work.put(
            text("UPDATE card SET installed_at = issued_at WHERE id = :card"), card=ana.card_id
        )
    )
    assert progress() is enrolment.Progress.ADDED
    shop.store.write(lambda work: work.put(text("UPDATE card SET removed_at = issued_at")))
    assert progress() is enrolment.Progress.JOINED
    with pytest.raises(KeyInvalid):
        enrolment.on_the_phone(shop.store, programme=COFFEE, desk="a b")


def test_a_table_of_friends_joins_from_one_screen_at_once(shop: Shop, database_url: str) -> None:
    from passes import store as database

    served = Shop(database.open(database_url, writer_thread=True), shop.now)
    names = [f"Friend {number}" for number in range(8)]
    joined: list[str] = []
    threads = [
        threading.Thread(
            target=lambda name=name: joined.append(served.join(name, key=name[-1], desk="screen").serial)
        )
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    served.store.close()
    assert len(set(joined)) == 8
    assert sorted(str(row["name"]) for row in rows(shop.store, "person")) == names
    assert books.verify(shop.store).right


def test_letters_go_to_whom_an_address_belongs_as_far_as_anybody_knows(shop: Shop) -> None:
    ana = shop.join(email="ana@example.org", letters=True)
    shop.join("Eve", email="ANA@example.org", letters=True)
    shop.join("Eve", email="ana@example.org", letters=True)
    shop.join("Ben", letters=True)
    shop.join("Cleo", email="cleo@example.org")
    wanted = [(row["member_id"], row["kind"], row["about"]) for row in rows(shop.store, "mail")]
    assert wanted == [
        (ana.member_id, "card_link", "joined"),
        (ana.member_id, "card_link", "again:20260314"),
    ]
    # Whoever left is nobody's twin any more.
    shop.store.write(lambda work: work.put(text("UPDATE member SET closed_at = joined_at")))
    anew = shop.join("Ana", email="ana@example.org")
    assert shop.balance(anew.code) == 100


def test_a_known_number_never_hands_out_somebody_elses_card(shop: Shop) -> None:
    ana = shop.join(phone="+1 (312) 555-0142")
    other = shop.join("An Impostor", phone="001 312 555 0142")
    assert other.serial != ana.serial
    assert shop.balance(other.code) == 0
    assert [row["merge_candidate_of"] for row in rows(shop.store, "member")] == [None, ana.member_id]
    assert {row["phone"] for row in rows(shop.store, "person")} == {"+13125550142"}


def test_only_day_and_month_of_a_birthday_are_kept(shop: Shop) -> None:
    shop.join(birthday=date(1984, 2, 29))
    (person,) = rows(shop.store, "person")
    assert (person["birthday_month"], person["birthday_day"]) == (2, 29)
    assert "1984" not in repr(rows(shop.store, "request"))


def test_views_and_sendings_are_counted_per_day_and_source(shop: Shop) -> None:
    poster, link = Source("poster", "west-loop"), Source("link")
    for source in (poster, poster, link):
        enrolment.count_view(shop.store, programme=COFFEE, source=source, now=shop.now)
    enrolment.count_send(shop.store, programme=COFFEE, source=poster, now=shop.now)
    counted = {
        (row["source"], row["location"], row["step"]): (row["count"], row["local_day"])
        for row in rows(shop.store, "join_count")
    }
    assert counted == {
        ("poster", "west-loop", "view"): (2, 20260314),
        ("link", "", "view"): (1, 20260314),
        ("poster", "west-loop", "send"): (1, 20260314),
    }


def test_an_unknown_programme_is_refused(shop: Shop) -> None:
    with pytest.raises(ProgrammeUnknown):
        shop.join(programme="nowhere")
