"""Members look after their own card, and leave for good."""

from __future__ import annotations

import hashlib
import json
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import String, Text, select, text

from passes import books, campaigns, checkout, club, issuing, membership, merging, programmes, showing, tills
from passes.campaigns import CampaignsDone
from passes.enrolment import Joined
from passes.loyalty.basket import Line
from passes.loyalty.refusals import BirthdayLocked, CardVoided, KeyReused, LinkUnknown
from passes.membership import Known, Link
from passes.store import Read, Store, journal, models
from passes.store import membership as rows_of
from passes.store import programmes as programmes_store
from passes.store.membership import KEPT_BACK, RECORDED
from tests.cast import PHONE as IPHONE
from tests.cast import PUSH_TOKEN, Card, PushService, a_card, an_install, deliver, rows
from tests.shop import BOOKS, COFFEE, KEYS, PASS_TYPE, TILL, Shop, open_shop

NAME, EMAIL, PHONE = "Zuleyka Quintanilla", "zuleyka@quintanilla.example", "+13125550199"


@pytest.fixture
def shop(store: Store, now: Any) -> Shop:
    return open_shop(store, now)


@pytest.fixture
def zuleyka(shop: Shop) -> Joined:
    """A member of whom everything is known, with a purchase."""
    joined = shop.join(
        NAME,
        email=EMAIL,
        phone=PHONE,
        birthday=date(2000, 5, 17),
        consents={"ring": True},
        language="en",
    )
    shop.buy(joined.code, 54_00)
    return joined


def link_of(shop: Shop, joined: Joined) -> Link:
    return membership.link(shop.store, secret=joined.link_secret)


def card_of(joined: Joined) -> Card:
    token = KEYS.token(KEYS.current_id, PASS_TYPE, joined.serial)
    return Card(joined.programme_id, joined.member_id, joined.card_id, joined.serial, joined.code, token)


def revision(shop: Shop, joined: Joined) -> int:
    return int(rows(shop.store, "card", f"id = {joined.card_id}")[0]["revision"])


def the_person(shop: Shop, joined: Joined) -> dict[str, Any]:
    return rows(shop.store, "person", f"member_id = {joined.member_id}")[0]


KNOWN = Known(NAME, EMAIL, PHONE, date(2000, 5, 17))


# The link --------------------------------------------------------------------------------


def test_a_link_tells_how_the_card_stands(shop: Shop, zuleyka: Joined) -> None:
    before = link_of(shop, zuleyka)
    shop.buy(zuleyka.code, 1_00)
    an_install(shop, card_of(zuleyka))
    after = link_of(shop, zuleyka)
    assert after.revision == before.revision + 1
    assert (before.holders, after.holders) == (0, 1)
    assert (after.card_id, after.language, after.is_closed) == (zuleyka.card_id, "en", False)


def test_an_unknown_link_opens_nothing(shop: Shop, zuleyka: Joined) -> None:
    for secret in ("", "x", zuleyka.link_secret[:-1], "\ud800"):
        with pytest.raises(LinkUnknown):
            membership.link(shop.store, secret=secret)


def test_a_new_link_replaces_the_old_one_and_is_made_once(shop: Shop, zuleyka: Joined) -> None:
    fresh = membership.renew(shop.store, KEYS, secret=zuleyka.link_secret, key="new", now=shop.now)
    with pytest.raises(LinkUnknown):
        link_of(shop, zuleyka)
    found = membership.link(shop.store, secret=fresh)
    assert (found.card_id, found.number) == (zuleyka.card_id, 2)
    # The answer was lost: asked again with the same key, it is the same link.
    again = membership.renew(shop.store, KEYS, secret=zuleyka.link_secret, key="new", now=shop.now)
    assert again == fresh
    # Whoever else has the old link gets nothing for it.
    with pytest.raises(LinkUnknown):
        membership.renew(shop.store, KEYS, secret=zuleyka.link_secret, key="thief", now=shop.now)
    with pytest.raises(KeyReused):
        membership.renew(shop.store, KEYS, secret=fresh, key="new", now=shop.now)


def test_an_open_page_costs_one_question(
    shop: Shop, zuleyka: Joined, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = link_of(shop, zuleyka)
    membership.programme_of(shop.store, found)
    asked: list[Any] = []
    ask = Read.ask

    def counted(read: Read, statement: Any, **values: Any) -> Any:
        asked.append(statement)
        return ask(read, statement, **values)

    monkeypatch.setattr(Read, "ask", counted)
    membership.programme_of(shop.store, link_of(shop, zuleyka))
    assert len(asked) == 1


# What members decide -----------------------------------------------------------------------


def test_consent_is_changed_row_by_row_with_the_words_that_were_read(shop: Shop, zuleyka: Joined) -> None:
    found = link_of(shop, zuleyka)
    changed = membership.consent(shop.store, found, answers={"ring": False}, language="tr", now=shop.now)
    assert changed == {"ring"}
    kept = rows(shop.store, "consent", "purpose = 'ring' ORDER BY id")
    words = next(
        one.question.text.in_("tr")
        for one in membership.choices(shop.store, found, now=shop.now).answers
        if one.question.purpose == "ring"
    )
    assert [(row["given"], row["source"], row["language"]) for row in kept] == [
        (True, "poster", "en"),
        (False, "member page", "tr"),
    ]
    assert kept[1]["text_version"] == "2026-01"
    assert kept[1]["text_digest"] == hashlib.sha256(words.encode()).hexdigest()
    again = membership.consent(shop.store, found, answers={"ring": False}, language="tr", now=shop.now)
    assert again == frozenset()
    assert len(rows(shop.store, "consent", "purpose = 'ring'")) == 2
    answers = {
        one.question.purpose: one.given for one in membership.choices(shop.store, found, now=shop.now).answers
    }
    assert answers["ring"] is False


@pytest.mark.check("L-83")
def test_a_no_silences_the_card_at_once_and_its_phones_are_told(shop: Shop, zuleyka: Joined) -> None:
    found = link_of(shop, zuleyka)

    def say(**answers: bool) -> bool:
        """Answer; whether the phones of the card are to be told."""
        before = revision(shop, zuleyka)
        membership.consent(shop.store, found, answers=answers, language="en", now=shop.now)
        return revision(shop, zuleyka) > before

    def rings() -> bool:
        seen = membership.overview(shop.store, link_of(shop, zuleyka), language="en", now=shop.now)
        return seen.face.offer_change is not None

    shop.store.write(lambda work: work.put(text("UPDATE member SET holdout = :no"), no=False))
    # Without an offer nothing on the card changes.
    assert not say(ring=True)
    source = """
title = "Maple Cortado is back"
text = "Only now."
effect = "percent_off"
percent = 10
rings = true
[when]
from = "2026-03-13T08:00"
until = "2026-03-20T20:00"
"""
    campaigns.plan(shop.store, programme=COFFEE, name="maple", source=source, now=shop.now)
    campaigns.publish(shop.store, programme=COFFEE, key="maple", now=shop.now)
    while campaigns.run_due(shop.store, now=shop.now) != CampaignsDone():
        pass
    assert rings()
    assert say(ring=False)
    assert not rings()
    assert say(ring=True)
    assert rings()
    # What is owned is told with or without consent.
    say(ring=False)
    before = revision(shop, zuleyka)
    shop.buy(zuleyka.code, 1_00)
    assert revision(shop, zuleyka) == before + 1


def test_the_card_speaks_the_language_that_its_member_chose(shop: Shop, zuleyka: Joined) -> None:
    found, before = link_of(shop, zuleyka), revision(shop, zuleyka)
    membership.speak(shop.store, found, language="tr", now=shop.now)
    seen = membership.overview(shop.store, link_of(shop, zuleyka), language="tr", now=shop.now)
    assert seen.face.language == "tr"
    assert seen.face.header.label == "ÇEKİRDEK"
    assert revision(shop, zuleyka) == before + 1
    membership.speak(shop.store, found, language="tr", now=shop.now)
    membership.speak(shop.store, found, language="xx", now=shop.now)
    assert revision(shop, zuleyka) == before + 1


def test_what_is_known_is_put_right(shop: Shop, zuleyka: Joined) -> None:
    found, before = link_of(shop, zuleyka), revision(shop, zuleyka)
    assert not membership.correct(shop.store, found, known=KNOWN, now=shop.now)
    known = Known("Zoe", "ZOE@shop.example", None, date(2000, 5, 17))
    assert membership.correct(shop.store, found, known=known, now=shop.now)
    person = the_person(shop, zuleyka)
    assert (person["name"], person["email"], person["email_key"], person["phone"]) == (
        "Zoe",
        "ZOE@shop.example",
        "zoe@shop.example",
        None,
    )
    assert revision(shop, zuleyka) == before + 1
    assert membership.choices(shop.store, found, now=shop.now).known == known


@pytest.mark.check("L-30")
def test_a_birthday_is_changed_once_a_year_and_taken_away_at_any_time(shop: Shop, zuleyka: Joined) -> None:
    found = link_of(shop, zuleyka)

    def born(day: date | None) -> None:
        membership.correct(shop.store, found, known=Known(NAME, EMAIL, PHONE, day), now=shop.now)

    born(date(2000, 2, 29))
    person = the_person(shop, zuleyka)
    assert (person["birthday_month"], person["birthday_day"]) == (2, 29)
    shop.now += timedelta(days=364)
    with pytest.raises(BirthdayLocked) as refused:
        born(date(2000, 3, 1))
    assert refused.value.values["day"] == date(2027, 3, 14)
    assert membership.choices(shop.store, found, now=shop.now).birthday_open_on == date(2027, 3, 14)
    born(None)
    # Taking it away is no way around.
    with pytest.raises(BirthdayLocked):
        born(date(2000, 3, 1))
    shop.now += timedelta(days=365)
    born(date(2000, 3, 1))


def test_the_card_is_sent_by_letter_once_an_hour(shop: Shop, zuleyka: Joined) -> None:
    for _ in range(2):
        membership.send_card(shop.store, link_of(shop, zuleyka), now=shop.now)
    letters = rows(shop.store, "mail")
    assert [(row["kind"], row["member_id"]) for row in letters] == [("card_link", zuleyka.member_id)]


# The page's figures ---------------------------------------------------------------------------


def test_the_overview_counts_what_the_till_counts(shop: Shop, zuleyka: Joined) -> None:
    shop.redeem(zuleyka.code, "extra-shot")
    seen = membership.overview(shop.store, link_of(shop, zuleyka), language="en", now=shop.now)
    assert seen.balance == shop.balance(zuleyka.code) == 490
    assert [(one.name, one.missing) for one in seen.prizes] == [
        ("Extra shot", 0),
        ("Brewed coffee", 0),
        ("Any drink", 310),
        ("Bag of beans", 1010),
    ]
    assert seen.level is not None
    assert (seen.level.name, seen.level.next_name, seen.level.missing) == ("Perch", "Flight", 196_00)
    assert [(one.points, one.day) for one in seen.lapsing] == [(490, date(2027, 3, 31))]
    assert [sum(part.points for part in entry.why) for entry in seen.entries] == [-150, 540, 100]


def test_a_new_year_starts_the_way_to_the_next_tier_again(shop: Shop, zuleyka: Joined) -> None:
    shop.now += timedelta(days=300)
    seen = membership.overview(shop.store, link_of(shop, zuleyka), language="en", now=shop.now)
    assert seen.level is not None
    assert (seen.level.metric, seen.level.missing) == (0, 250_00)


def test_a_tier_is_kept_until_the_last_day_of_the_next_year(shop: Shop, zuleyka: Joined) -> None:
    shop.buy(zuleyka.code, 300_00)
    seen = membership.overview(shop.store, link_of(shop, zuleyka), language="en", now=shop.now)
    assert seen.level is not None
    assert (seen.level.name, seen.level.kept_until) == ("Flight", date(2027, 12, 31))


def test_a_full_strip_of_stamps_is_a_reward_to_ask_for(shop: Shop) -> None:
    elif_ = shop.join("Elif Şahin", BOOKS)
    books_bought = (Line(quantity=12, unit_minor=100_00, category="book"),)
    shop.buy(elif_.code, 1_200_00, BOOKS, lines=books_bought)
    seen = membership.overview(shop.store, link_of(shop, elif_), language="tr", now=shop.now)
    assert seen.stamps is not None
    assert (seen.stamps.count, seen.stamps.target) == (2, 10)
    assert [one.name for one in seen.in_hand] == ["10. kitap"]
    membership.leave(shop.store, link_of(shop, elif_), now=shop.now)
    assert [row["state"] for row in rows(shop.store, "redemption")] == ["expired"]
    assert sum(row["remaining"] for row in rows(shop.store, "lot")) == 0
    assert books.verify(shop.store).right


# Leaving -----------------------------------------------------------------------------------------


def everything(store: Store) -> str:
    """Every text of every table."""
    found = []
    with store.read() as read:
        for table in models.metadata.sorted_tables:
            columns = [column for column in table.c if isinstance(column.type, String | Text)]
            if columns:
                found += [str(value) for row in read.ask(select(*columns)).all() for value in row]
    return "\n".join(found).casefold()


def a_full_life(shop: Shop, joined: Joined) -> None:
    """Something about this member in as many tables as there are."""
    an_install(shop, card_of(joined))
    shop.redeem(joined.code, "extra-shot")
    campaigns.wish(shop.store, programme=COFFEE, code=joined.code, product="maple-cortado", now=shop.now)
    club.submit(
        shop.store,
        programme=COFFEE,
        code=joined.code,
        action="shared-cup",
        words=f"{NAME} brought a cup",
        key=shop.key(),
        by="cy",
        now=shop.now,
    )
    club.adjust(
        shop.store,
        programme=COFFEE,
        code=joined.code,
        points=20,
        reason="goodwill",
        note=f"{EMAIL} complained",
        words=f"Sorry for the cold cup, {NAME}.",
        by="mo",
        key=shop.key(),
        now=shop.now,
    )
    membership.send_card(shop.store, link_of(shop, joined), now=shop.now)
    bought = shop.buy(joined.code, 12_00)
    checkout.take_back(
        shop.store,
        programme=COFFEE,
        receipt_id=bought.id,
        reason=f"{NAME} did not like it",
        key=shop.key(),
        at=TILL,
        now=shop.now,
    )
    twin = shop.join(NAME, email=EMAIL, phone=PHONE)
    merging.merge(
        shop.store,
        programme=COFFEE,
        survivor=joined.code,
        loser=twin.code,
        proof=f"{NAME} showed both phones",
        by="mo",
        key=shop.key(),
        now=shop.now,
    )
    parted = shop.join(NAME, email=EMAIL)
    merged = merging.merge(
        shop.store,
        programme=COFFEE,
        survivor=joined.code,
        loser=parted.code,
        proof=f"{NAME} again",
        by="mo",
        key=shop.key(),
        now=shop.now,
    )
    merging.undo(
        shop.store,
        programme=COFFEE,
        merge_id=merged.id,
        proof=f"{NAME} was somebody else",
        by="mo",
        key=shop.key(),
        now=shop.now,
    )
    said = "UPDATE mail SET trouble = :words"
    shop.store.write(lambda work: work.put(text(said), words=f"550 no such user {EMAIL}"))
    came = "UPDATE joining SET referrer = :words"
    shop.store.write(lambda work: work.put(text(came), words="https://social.example/zuleyka-quintanilla"))
    # Who turned out to be somebody else has left before; what the merge had kept is still there.
    shop.store.write(lambda work: rows_of.forget(work, parted.programme_id, parted.member_id, now=shop.now))


@pytest.mark.check("L-86")
def test_whoever_leaves_is_forgotten_and_the_books_still_balance(shop: Shop, zuleyka: Joined) -> None:
    a_full_life(shop, zuleyka)
    ben = shop.join("Ben", email="ben@shop.example")
    shop.buy(ben.code, 10_00)
    before = everything(shop.store)
    assert all(one in before for one in ("zuleyka quintanilla", EMAIL, PHONE, "zuleyka-quintanilla"))
    postings = len(rows(shop.store, "posting"))

    membership.leave(shop.store, link_of(shop, zuleyka), now=shop.now)

    after = everything(shop.store)
    for trace in ("zuleyka", "quintanilla", "5550199"):
        assert trace not in after
    assert "ben@shop.example" in after
    # Ids stay, and what was posted stays, with what lapses now.
    assert len(rows(shop.store, "member", f"id = {zuleyka.member_id}")) == 1
    assert len(rows(shop.store, "posting")) > postings
    verified = books.verify(shop.store)
    assert verified.right, verified
    accounts = rows(shop.store, "account", f"owner_id = '{zuleyka.member_id}'")
    assert {row["balance"] for row in accounts} == {0}
    assert shop.balance(ben.code) == 200


@pytest.mark.check("L-86")
def test_what_waits_to_be_looked_at_forgets_whoever_left(shop: Shop, zuleyka: Joined) -> None:
    bought = shop.buy(zuleyka.code, 20_00)
    till_id, _ = tills.set_up(
        shop.store, KEYS, programme=COFFEE, name="Front", location="west-loop", by=None, now=shop.now
    )

    def sent(key: str, operation: str, **body: Any) -> None:
        tills.keep(
            shop.store,
            programme_id=zuleyka.programme_id,
            till_id=till_id,
            key=key,
            operation=operation,
            content={"item": {"key": key, "path": {}, "body": body}},
            person="cy",
            why="till_revoked",
            occurred_at=shop.now,
            now=shop.now,
        )

    sent("by-address", "enrolMember", name="Z. Q.", email=EMAIL.upper())
    sent("by-number", "enrolMember", name="Z. Q.", phone="(312) 555 0199")
    sent("by-name", "enrolMember", name=NAME.upper())
    sent("namesake", "enrolMember", name=NAME, email="another@shop.example")
    sent("goods", "takeBackGoods", receipt_id=str(bought.id), reason=f"{NAME} changed her mind")
    sent("others", "takeBackGoods", receipt_id=str(bought.id + 1), reason="Cold")
    sent("dismissed", "enrolMember", name="Quintanilla, the other one", phone="+905551112233")
    (last,) = [one for one in tills.open_reviews(shop.store, programme=COFFEE) if one.key == "dismissed"]
    tills.dismiss(
        shop.store, programme=COFFEE, review_id=last.id, by="olive", staff_id=None, note="", now=shop.now
    )

    membership.leave(shop.store, link_of(shop, zuleyka), now=shop.now)

    kept = {row["key"]: (row["state"], row["content"]) for row in rows(shop.store, "till_review")}
    gone = ("dismissed", "")
    assert [kept[key] for key in ("by-address", "by-number", "by-name", "dismissed")] == [gone] * 4
    left = {one.key: one.content["item"]["body"] for one in tills.open_reviews(shop.store, programme=COFFEE)}
    assert left == {
        "namesake": {"name": NAME, "email": "another@shop.example"},
        "goods": {"receipt_id": str(bought.id)},
        "others": {"receipt_id": str(bought.id + 1), "reason": "Cold"},
    }


def test_leaving_takes_back_what_is_set_aside_waits_and_is_in_hand(shop: Shop) -> None:
    elif_ = shop.join("Elif", BOOKS)
    shop.buy(elif_.code, 6_000_00, BOOKS)
    held = checkout.authorise(
        shop.store, programme=BOOKS, code=elif_.code, reward="25-lira", key=shop.key(), at=TILL, now=shop.now
    )
    assert held
    account = rows(shop.store, "member", f"id = {elif_.member_id}")[0]["points_account_id"]
    assert rows(shop.store, "hold")[0]["state"] == "authorised"
    membership.leave(shop.store, link_of(shop, elif_), now=shop.now)
    assert rows(shop.store, "hold")[0]["state"] == "voided"
    assert rows(shop.store, "account", f"id = {account}")[0]["balance"] == 0
    assert {row["state"] for row in rows(shop.store, "redemption")} <= {"cancelled", "expired"}
    assert books.verify(shop.store).right


def test_points_that_wait_lapse_too(shop: Shop, store: Store) -> None:
    source = next(path for path in programmes.DEMONSTRATION if path.stem == COFFEE).read_text("utf-8")
    waiting = source.replace("[points.expiry]", "[points]\npending_days = 14\n\n[points.expiry]")
    programmes.load(store, name=COFFEE, source=waiting, pass_type=PASS_TYPE, now=shop.now)
    ana = shop.join("Ana Reyes")
    shop.buy(ana.code, 54_00)
    seen = membership.overview(store, link_of(shop, ana), language="en", now=shop.now)
    assert [(one.points, one.day) for one in seen.waiting] == [(540, date(2026, 3, 28))]
    membership.leave(store, link_of(shop, ana), now=shop.now)
    accounts = rows(store, "account", f"owner_id = '{ana.member_id}'")
    assert {row["balance"] for row in accounts} == {0}
    assert sum(row["remaining"] for row in rows(store, "lot")) == 0
    assert books.verify(store).right


def test_leaving_ends_the_card_on_every_phone_and_at_the_till(shop: Shop, zuleyka: Joined) -> None:
    an_install(shop, card_of(zuleyka))
    before = revision(shop, zuleyka)
    membership.leave(shop.store, link_of(shop, zuleyka), now=shop.now)
    row = rows(shop.store, "card")[0]
    assert row["voided_at"] is not None
    assert row["revision"] > before
    assert row["changed"]
    with pytest.raises(CardVoided):
        shop.buy(zuleyka.code, 1_00)
    # The last version that a phone or Google may still ask for names nobody.
    with shop.store.read() as read:
        loaded = programmes_store.by_slug(read, COFFEE)
        face = showing.face(read, loaded, zuleyka.card_id, now=shop.now)
    assert face.voided
    assert NAME not in repr(face)
    changed = issuing.changes(shop.store, library_id=IPHONE, pass_type=PASS_TYPE, since=None)
    assert changed is not None


def test_the_phones_of_whoever_left_are_told_first_and_forgotten_after_a_month(
    shop: Shop, zuleyka: Joined
) -> None:
    ben = a_card(shop, "Ben")
    an_install(shop, card_of(zuleyka))
    an_install(shop, ben)
    an_install(shop, card_of(zuleyka), phone="another", push_token="b2" * 32)
    membership.leave(shop.store, link_of(shop, zuleyka), now=shop.now)
    service = PushService()
    deliver(shop, service)
    assert sorted(service.addresses) == [PUSH_TOKEN, "b2" * 32]
    assert membership.forget_phones_due(shop.store, now=shop.now) == 0
    shop.now += timedelta(days=30, seconds=1)
    assert membership.forget_phones_due(shop.store, now=shop.now) == 2
    assert [row["card_id"] for row in rows(shop.store, "registration")] == [ben.card_id]
    # The phone that holds Ben's card, too, keeps its address.
    assert [row["push_token"] for row in rows(shop.store, "device")] == [PUSH_TOKEN]
    assert membership.forget_phones_due(shop.store, now=shop.now) == 0


def test_leaving_twice_is_leaving_once(shop: Shop, zuleyka: Joined) -> None:
    found = link_of(shop, zuleyka)
    membership.leave(shop.store, found, now=shop.now)
    receipts = len(rows(shop.store, "receipt"))
    membership.leave(shop.store, found, now=shop.now)
    assert len(rows(shop.store, "receipt")) == receipts
    assert link_of(shop, zuleyka).is_closed
    for decide in (
        lambda: membership.speak(shop.store, found, language="tr", now=shop.now),
        lambda: membership.correct(shop.store, found, known=KNOWN, now=shop.now),
        lambda: membership.consent(shop.store, found, answers={"ring": True}, language="en", now=shop.now),
        lambda: membership.send_card(shop.store, found, now=shop.now),
        lambda: membership.renew(shop.store, KEYS, secret=zuleyka.link_secret, key="late", now=shop.now),
    ):
        with pytest.raises(CardVoided):
            decide()
    assert rows(shop.store, "person") == []


def test_a_forgotten_address_may_join_anew_and_is_somebody_new(shop: Shop, zuleyka: Joined) -> None:
    membership.leave(shop.store, link_of(shop, zuleyka), now=shop.now)
    again = shop.join(NAME, email=EMAIL)
    assert again.member_id != zuleyka.member_id
    assert rows(shop.store, "member", f"id = {again.member_id}")[0]["merge_candidate_of"] is None


# Taking along --------------------------------------------------------------------------------------


@pytest.mark.check("L-86")
def test_the_record_has_everything_that_stands_under_a_member(shop: Shop, zuleyka: Joined) -> None:
    a_full_life(shop, zuleyka)
    shop.join("Ben", email="ben@shop.example")
    found = membership.record(shop.store, link_of(shop, zuleyka), now=shop.now)
    told = json.dumps(found)
    for one in (
        NAME,
        EMAIL,
        PHONE,
        "maple-cortado",
        "brought a cup",
        "complained",
        "did not like it",
        "extra-shot",
    ):
        assert one in told
    assert "ben@shop.example" not in told
    assert found["people"][0]["birthday_day"] == 17
    assert sum(one["amount"] for one in found["postings"] if one["kind"] == "earn") == 660
    assert found["phones"][0]["wallet"] == "apple"
    assert found["answers"][0]["at"] == shop.now.isoformat()
    for secret in (zuleyka.serial, PUSH_TOKEN):
        assert secret not in told


# Tables without anything about one member, or that name them only to keep requests apart.
NOT_ABOUT_MEMBERS = {
    "account": "its figures are those of the lots and receipts",
    "owed": "what a phone is still to be told",
    "merge": "its halves stand in the receipts",
    "consumption": "which lot paid for which posting",
}


def test_no_table_about_members_is_missing_from_the_record() -> None:
    about = {
        table.name
        for table in models.metadata.sorted_tables
        if {"member_id", "card_id", "owner_id", "survivor_id", "lot_id"} & {column.name for column in table.c}
    } | {"member"}
    assert about - RECORDED == NOT_ABOUT_MEMBERS.keys()
    columns = {column.name for table in models.metadata.sorted_tables for column in table.c}
    assert columns >= KEPT_BACK


def test_nobody_finds_out_by_trying_who_sent_an_erased_form(shop: Shop, zuleyka: Joined) -> None:
    plain = {"name": NAME, "email": EMAIL, "phone": PHONE, "birthday": "05-17"}
    with shop.store.read() as read:
        tried = journal.Asked(read, zuleyka.programme_id, "any", "join", plain).fingerprint
    kept = rows(shop.store, "request", "operation = 'join'")
    assert kept
    assert tried not in {row["fingerprint"] for row in kept}
