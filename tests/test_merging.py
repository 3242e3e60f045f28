"""Two members become one, and part again: nothing is lost, doubled or invented, and both numbers scan."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from passes import books, checkout, club, merging, programmes, showing
from passes.booking import Booking
from passes.enrolment import Joined
from passes.loyalty.basket import Line
from passes.loyalty.receipt import ReceiptKind
from passes.loyalty.refusals import (
    AlreadyUndone,
    CardForeign,
    CardVoided,
    CodeUnknown,
    KeyReused,
    MergeCovered,
    MergeHeld,
    MergeSame,
    MergeSpent,
    MergeTooOld,
    MergeUnknown,
    NotEnoughPoints,
    Refused,
    WordsInvalid,
)
from passes.loyalty.stamps import STAMPS
from passes.merging import Merged
from passes.store import Store, Work, members, redemptions
from passes.store import programmes as stored_programmes
from tests.cast import PUSH_TOKEN, Card, PushService, an_install, deliver, rows
from tests.shop import BOOKS, COFFEE, KEYS, PASS_TYPE, TILL, Shop, open_shop

(COFFEE_FILE,) = (path for path in programmes.DEMONSTRATION if path.stem == COFFEE)


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    return open_shop(store, now)


def merge(shop: Shop, survivor: Joined, loser: Joined, **options: Any) -> Merged:
    values = {"programme": COFFEE, "proof": "Showed an ID card.", "by": "mo", "key": shop.key(), **options}
    values.setdefault("now", shop.now)
    return merging.merge(shop.store, survivor=survivor.code, loser=loser.code, **values)


def part(shop: Shop, merged: Merged, **options: Any) -> Merged:
    values = {"programme": COFFEE, "proof": "They are sisters.", "by": "mo", "key": shop.key(), **options}
    values.setdefault("now", shop.now)
    return merging.undo(shop.store, merge_id=merged.id, **values)


def member(shop: Shop, joined: Joined) -> dict[str, Any]:
    (row,) = rows(shop.store, "member", f"id = {joined.member_id}")
    return row


def clean(shop: Shop) -> None:
    """The books are right, and the account between members is empty."""
    assert books.verify(shop.store).problems == ()
    for account in rows(shop.store, "account", "bucket = 'merged'"):
        gave = sum(row["amount"] for row in rows(shop.store, "posting", f"target = {account['id']}"))
        got = sum(row["amount"] for row in rows(shop.store, "posting", f"source = {account['id']}"))
        assert gave == got


def reload(shop: Shop, *changes: tuple[str, str]) -> None:
    """Load the coffee shop's file with other rules."""
    source = COFFEE_FILE.read_text("utf-8")
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    programmes.load(shop.store, name=COFFEE, source=source, pass_type=PASS_TYPE, now=shop.now)


# Becoming one -----------------------------------------------------------------------


@pytest.mark.check("L-64")
def test_two_members_become_one_and_both_numbers_find_the_survivor(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    shop.buy(ana.code, 5400)
    shop.buy(twin.code, 3000)
    merged = merge(shop, ana, twin)
    # 100 + 540 and 100 + 300, of which one welcome goes back.
    assert (merged.points, merged.balance) == (300, 940)
    for code in (ana.code, twin.code):
        view = checkout.look(shop.store, programme=COFFEE, code=code, language="en", now=shop.now)
        assert (view.name, view.balance, view.card_id) == ("Ana Reyes", 940, ana.card_id)
    receipt = shop.buy(twin.code, 1000)
    assert (receipt.member_id, receipt.card_id, receipt.balance_after) == (ana.member_id, ana.card_id, 1040)
    shop.redeem(twin.code, "any-drink")
    assert shop.balance(ana.code) == 240
    closed = member(shop, twin)
    assert (closed["merged_into"], closed["closed_at"] is not None) == (ana.member_id, True)
    clean(shop)


@pytest.mark.check("L-64")
def test_points_keep_their_expiry(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    shop.buy(twin.code, 3000, now=shop.now + timedelta(days=40))
    before = {row["expires_at"] for row in rows(shop.store, "lot") if row["remaining"]}
    assert len(before) == 2
    shop.buy(ana.code, 1000)
    merge(shop, ana, twin, now=shop.now + timedelta(days=50))
    lots = [row for row in rows(shop.store, "lot") if row["remaining"]]
    (account,) = {row["account_id"] for row in lots}
    assert account == member(shop, ana)["points_account_id"]
    assert {row["expires_at"] for row in lots} == before
    assert sum(row["remaining"] for row in lots) == 500
    clean(shop)


def test_points_that_wait_go_on_waiting(shop: Shop) -> None:
    reload(shop, ("[points.expiry]", "[points]\npending_days = 7\n\n[points.expiry]"))
    ana, twin = shop.join(), shop.join("Ana R.")
    shop.buy(twin.code, 3000)
    merged = merge(shop, ana, twin)
    assert (merged.points, merged.balance) == (300, 100)
    (waiting,) = (row for row in rows(shop.store, "lot", "pending") if row["remaining"])
    assert waiting["account_id"] == member(shop, ana)["pending_account_id"]
    clean(shop)
    part(shop, merged)
    assert (shop.balance(ana.code), shop.balance(twin.code)) == (100, 100)
    (waiting,) = (row for row in rows(shop.store, "lot", "pending") if row["remaining"])
    assert waiting["account_id"] == member(shop, twin)["pending_account_id"]
    clean(shop)


def test_points_that_waited_and_wait_no_more_go_back_as_they_are(shop: Shop) -> None:
    from passes import due_work

    reload(shop, ("[points.expiry]", "[points]\npending_days = 7\n\n[points.expiry]"))
    ana, twin = shop.join(), shop.join("Ana R.")
    shop.buy(twin.code, 3000)
    merged = merge(shop, ana, twin)
    later = replace(shop, now=shop.now + timedelta(days=8))
    due_work.activate_due(shop.store, now=later.now)
    assert later.balance(ana.code) == 400
    clean(shop)
    part(shop, merged, now=later.now)
    assert (later.balance(ana.code), later.balance(twin.code)) == (100, 400)
    clean(shop)


def test_stamps_add_up(shop: Shop) -> None:
    reader, twin = shop.join("Eylül", BOOKS), shop.join("Eylül Ada", BOOKS)
    for joined, count in ((reader, 4), (twin, 3)):
        lines = [Line(count, 10_000, category="book")]
        shop.buy(joined.code, count * 10_000, BOOKS, lines=lines)
    merged = merge(shop, reader, twin, programme=BOOKS)
    assert (merged.stamps, merged.points, merged.balance) == (3, 30, 70)
    clean(shop)
    parted = part(shop, merged, programme=BOOKS)
    assert (parted.stamps, parted.points, parted.balance) == (-3, -30, 40)
    clean(shop)


@pytest.mark.check("L-64")
def test_spending_of_both_counts_for_the_tier_and_the_higher_one_stays(shop: Shop) -> None:
    ana, twin, cleo = shop.join(), shop.join("Ana R."), shop.join("Cleo")
    shop.buy(ana.code, 15_000)
    shop.buy(twin.code, 15_000)
    merged = merge(shop, ana, twin)
    assert (merged.tier, member(shop, ana)["metric"]) == ("flight", 30_000)
    (change,) = rows(shop.store, "tier_change", "cause = 'merge'")
    assert (change["from_key"], change["to_key"], change["member_id"]) == ("perch", "flight", ana.member_id)
    assert member(shop, ana)["purchases"] == 2
    assert {row["member_id"] for row in rows(shop.store, "purchase")} == {ana.member_id}
    higher = merge(shop, cleo, ana)
    assert higher.tier == "flight"
    assert part(shop, higher).tier == "perch"
    assert part(shop, merged).tier == "perch"
    assert [member(shop, one)["metric"] for one in (ana, twin, cleo)] == [15_000, 15_000, 0]
    assert [member(shop, one)["purchases"] for one in (ana, twin, cleo)] == [1, 1, 0]
    assert {row["member_id"] for row in rows(shop.store, "purchase")} == {ana.member_id, twin.member_id}
    clean(shop)


def test_remainders_of_rounding_add_up_and_a_whole_point_is_given(shop: Shop) -> None:
    reload(shop, ('rounding = "floor"', 'rounding = "carry"'), ('"10 per 1.00"', '"1 per 1.00"'))
    ana, twin, cleo = shop.join(), shop.join("Ana R."), shop.join("Cleo")
    for joined, minor in ((ana, 170), (twin, 160), (cleo, 150)):
        shop.buy(joined.code, minor)
    merged = merge(shop, ana, twin)
    # 101 and 1, and 0.7 + 0.6 make another one.
    assert (merged.balance, member(shop, ana)["carried"]) == (103, "3/10")
    clean(shop)
    part(shop, merged)
    assert (shop.balance(ana.code), shop.balance(twin.code)) == (102, 101)
    assert [member(shop, one)["carried"] for one in (ana, twin)] == ["3/10", None]
    merged = merge(shop, ana, cleo)
    assert member(shop, ana)["carried"] == "4/5"
    part(shop, merged)
    assert [member(shop, one)["carried"] for one in (ana, cleo)] == ["3/10", "1/2"]
    clean(shop)


def test_consents_are_the_stricter_of_both(shop: Shop) -> None:
    ana = shop.join(consents={"ring": True})
    twin = shop.join("Ana R.", consents={"ring": False})
    cleo = shop.join("Cleo", consents={"ring": True})

    def answers(joined: Joined) -> list[bool]:
        where = f"member_id = {joined.member_id} AND purpose = 'ring'"
        return [row["given"] for row in rows(shop.store, "consent", where)]

    agreed = merge(shop, ana, cleo)
    assert answers(ana) == [True]
    merged = merge(shop, ana, twin)
    assert answers(ana) == [True, False]
    part(shop, merged)
    assert answers(ana) == [True, False, True]
    part(shop, agreed)
    assert answers(ana) == [True, False, True]


def test_what_the_survivor_said_of_themself_stays_and_gaps_are_filled(shop: Shop) -> None:
    ana = shop.join(email="ana@example.org", birthday=date(2000, 5, 4))
    twin = shop.join("Ana R.", email="ar@example.org", phone="+1 312 555 0100", birthday=date(2000, 6, 5))
    merged = merge(shop, ana, twin)
    (person,) = rows(shop.store, "person", f"member_id = {ana.member_id}")
    assert (person["name"], person["email"], person["phone"]) == (
        "Ana Reyes",
        "ana@example.org",
        "+13125550100",
    )
    assert (person["birthday_month"], person["birthday_day"]) == (5, 4)
    part(shop, merged)
    (person,) = rows(shop.store, "person", f"member_id = {ana.member_id}")
    assert (person["email"], person["email_key"], person["phone"]) == (
        "ana@example.org",
        "ana@example.org",
        None,
    )


def test_rewards_acts_and_limits_go_along_and_come_back(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    shop.buy(twin.code, 9000)
    club.submit(
        shop.store,
        programme=COFFEE,
        code=twin.code,
        action="shared-cup",
        words="Own cup",
        key=shop.key(),
        by="cy",
        now=shop.now,
    )
    shop.store.write(
        lambda work: redemptions.add(
            work,
            programme_id=twin.programme_id,
            member_id=twin.member_id,
            card_id=twin.card_id,
            reward_key="any-drink",
            source="birthday",
            points=0,
            amount_minor=None,
            state=redemptions.ISSUED,
            receipt_id=None,
            purchase_id=None,
            expires_at=None,
            now=shop.now,
        )
    )
    merged = merge(shop, ana, twin)
    (reward,), (act,) = rows(shop.store, "redemption"), rows(shop.store, "act")
    assert (reward["member_id"], reward["card_id"], act["member_id"]) == (
        ana.member_id,
        ana.card_id,
        ana.member_id,
    )
    part(shop, merged)
    (reward,), (act,) = rows(shop.store, "redemption"), rows(shop.store, "act")
    assert (reward["member_id"], act["member_id"]) == (twin.member_id, twin.member_id)
    clean(shop)


@pytest.mark.check("L-64")
def test_the_phone_of_the_closed_card_is_told_and_gets_a_void_pass_with_a_number_that_scans(
    shop: Shop,
) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    token = KEYS.token(KEYS.current_id, PASS_TYPE, twin.serial)
    an_install(shop, Card(twin.programme_id, twin.member_id, twin.card_id, twin.serial, twin.code, token))
    deliver(shop, PushService())
    merged = merge(shop, ana, twin)
    wallet = PushService()
    deliver(shop, wallet)
    assert wallet.addresses == [PUSH_TOKEN]

    def face(card_id: int) -> Any:
        with shop.store.read() as read:
            return showing.face(read, stored_programmes.by_slug(read, COFFEE), card_id, now=shop.now)

    assert face(twin.card_id).voided
    assert face(twin.card_id).barcode.message == face(ana.card_id).barcode.message == ana.code
    assert not face(ana.card_id).voided
    part(shop, merged)
    (new,) = (row for row in rows(shop.store, "card") if row["id"] not in (ana.card_id, twin.card_id))
    assert (new["member_id"], new["voided_at"]) == (twin.member_id, None)
    assert new["serial"] not in (ana.serial, twin.serial)
    assert face(new["id"]).barcode.message == twin.code
    assert face(twin.card_id).voided
    # The link that was sent to the twin opens the new card.
    links = rows(shop.store, "card_link", f"card_id = {new['id']}")
    assert len(links) == 1


# The welcome -----------------------------------------------------------------------------


@pytest.mark.check("L-31")
def test_welcome_points_come_once_to_a_person(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    merged = merge(shop, ana, twin)
    assert (merged.points, merged.balance) == (0, 100)
    part(shop, merged)
    assert (shop.balance(ana.code), shop.balance(twin.code)) == (100, 100)
    merged = merge(shop, ana, twin)
    assert merged.balance == 100
    clean(shop)


@pytest.mark.check("L-31")
def test_a_welcome_that_was_withheld_from_a_candidate_does_not_come_with_the_merge(shop: Shop) -> None:
    ana = shop.join(email="ana@example.org")
    twin = shop.join("Ana R.", email="Ana@Example.org")
    assert shop.balance(twin.code) == 0
    assert merge(shop, ana, twin).balance == 100
    clean(shop)


@pytest.mark.check("L-31")
def test_a_withheld_welcome_is_kept_by_either_side_and_given_where_neither_had_one(shop: Shop) -> None:
    reload(shop, ("welcome = 100", "welcome = 0"))
    ana = shop.join(email="ana@example.org")
    reload(shop, ("welcome = 100", "welcome = 60"))
    twin = shop.join("Ana R.", email="ana@example.org")
    assert (shop.balance(ana.code), shop.balance(twin.code)) == (0, 0)
    merged = merge(shop, twin, ana)
    assert merged.balance == 60
    assert member(shop, twin)["welcome_given"]
    assert member(shop, twin)["merge_candidate_of"] is None
    cleo = shop.join("Cleo")
    assert merge(shop, cleo, twin).balance == 60
    clean(shop)


@pytest.mark.check("L-31")
def test_a_second_welcome_that_was_spent_is_owed(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    shop.buy(twin.code, 500)
    shop.redeem(twin.code, "extra-shot")
    shop.buy(ana.code, 100)
    merged = merge(shop, ana, twin)
    assert merged.balance == 10
    assert part(shop, merged).balance == 110
    assert shop.balance(twin.code) == 0
    clean(shop)


@pytest.mark.check("L-31")
def test_of_three_merged_one_after_another_one_welcome_stays(shop: Shop) -> None:
    ana, twin, cleo = shop.join(), shop.join("Ana R."), shop.join("Cleo")
    merge(shop, twin, ana)
    assert merge(shop, cleo, twin).balance == 100
    clean(shop)


def test_a_birthday_comes_once_a_year_to_a_person(shop: Shop) -> None:
    from passes import due_work

    reload(shop, ('tiers = ["copper"]\n', "points = 50\n"))
    born = date(2000, 3, 17)
    ana, twin, cleo = shop.join(birthday=born), shop.join("Ana R.", birthday=born), shop.join("Cleo")
    due_work.birthdays_due(shop.store, now=shop.now)
    assert [shop.balance(one.code) for one in (ana, twin, cleo)] == [150, 150, 100]

    def rewards(joined: Joined) -> list[str]:
        return [row["state"] for row in rows(shop.store, "redemption", f"member_id = {joined.member_id}")]

    merged = merge(shop, ana, twin)
    assert merged.balance == 150
    assert (rewards(ana), rewards(twin)) == (["issued"], ["cancelled"])
    clean(shop)
    part(shop, merged)
    assert [shop.balance(one.code) for one in (ana, twin)] == [150, 150]
    assert (rewards(ana), rewards(twin)) == (["issued"], ["issued"])
    # Somebody who had none keeps the other's.
    assert merge(shop, cleo, twin).balance == 150
    assert rewards(cleo) == ["issued"]
    clean(shop)


def test_a_level_reached_together_gives_its_rewards_once(shop: Shop) -> None:
    reload(shop, ("spend = 250.00\n", 'spend = 250.00\ngrants = ["extra-shot"]\n'))
    ana, twin = shop.join(), shop.join("Ana R.")
    shop.buy(ana.code, 15_000)
    shop.buy(twin.code, 15_000)
    merged = merge(shop, ana, twin)
    (reward,) = rows(shop.store, "redemption")
    assert (reward["member_id"], reward["reward_key"], reward["source"]) == (
        ana.member_id,
        "extra-shot",
        "tier",
    )
    part(shop, merged)
    merge(shop, ana, twin)
    assert len(rows(shop.store, "redemption")) == 1


# What is refused ----------------------------------------------------------------------------


@pytest.mark.check("L-64")
def test_a_member_is_not_merged_with_itself_nor_across_programmes(shop: Shop) -> None:
    ana, twin, reader = shop.join(), shop.join("Ana R."), shop.join("Eylül", BOOKS)
    with pytest.raises(MergeSame):
        merge(shop, ana, ana)
    with pytest.raises(CardForeign):
        merge(shop, ana, reader)
    with pytest.raises(CodeUnknown):
        merge(shop, ana, replace(twin, code=_unknown(ana.code)))
    merge(shop, ana, twin)
    with pytest.raises(MergeSame):
        merge(shop, ana, twin)
    with pytest.raises(MergeSame):
        merge(shop, twin, ana)


def _unknown(code: str) -> str:
    from passes.loyalty.codes import CodeKind, check_character

    body = code[1:-1] + code[0]
    return body + check_character(body, CodeKind.LETTERS)


def test_a_merge_wants_a_proof_in_words(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    for proof in ("", " \n ", "x" * 201):
        with pytest.raises(WordsInvalid):
            merge(shop, ana, twin, proof=proof)
    merge(shop, ana, twin)
    (kept,) = rows(shop.store, "merge")
    assert (kept["proof"], kept["person"]) == ("Showed an ID card.", "mo")
    (line,) = rows(shop.store, "audit", "action = 'merge'")
    assert line["object"] == f"merge {kept['id']}"


def test_points_that_are_set_aside_must_be_settled_first(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    shop.buy(twin.code, 9000)
    held = checkout.authorise(
        shop.store,
        programme=COFFEE,
        code=twin.code,
        reward="any-drink",
        key=shop.key(),
        at=TILL,
        now=shop.now,
    )
    with pytest.raises(MergeHeld):
        merge(shop, ana, twin)
    checkout.release(shop.store, programme=COFFEE, hold_id=held.id, key=shop.key(), at=TILL, now=shop.now)
    assert merge(shop, ana, twin).balance == 1000
    clean(shop)


def test_the_same_request_merges_once(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    first = merge(shop, ana, twin, key="once")
    assert merge(shop, ana, twin, key="once") == first
    with pytest.raises(KeyReused):
        merge(shop, twin, ana, key="once")
    parted = part(shop, first, key="apart")
    assert part(shop, first, key="apart") == parted
    assert len(rows(shop.store, "merge")) == 1
    assert len(rows(shop.store, "receipt", "kind = 'merge'")) == 4


# Chains -------------------------------------------------------------------------------------


@pytest.mark.check("L-64")
def test_whoever_was_merged_before_stands_for_the_survivor(shop: Shop) -> None:
    ana, twin, cleo = shop.join(), shop.join("Ana R."), shop.join("Cleo")
    shop.buy(ana.code, 1000)
    first = merge(shop, ana, twin)
    second = merge(shop, cleo, twin)
    assert (second.survivor_id, second.loser_id) == (cleo.member_id, ana.member_id)
    for joined in (ana, twin, cleo):
        assert shop.balance(joined.code) == 200
    assert member(shop, twin)["merged_into"] == member(shop, ana)["merged_into"] == cleo.member_id
    clean(shop)
    with pytest.raises(MergeCovered):
        part(shop, first)
    part(shop, second)
    assert [shop.balance(one.code) for one in (ana, twin, cleo)] == [200, 200, 100]
    assert member(shop, twin)["merged_into"] == ana.member_id
    part(shop, first)
    assert [shop.balance(one.code) for one in (ana, twin, cleo)] == [200, 100, 100]
    clean(shop)


# Parting ------------------------------------------------------------------------------------


@pytest.mark.check("L-64")
def test_a_merge_can_be_undone_for_thirty_days(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    shop.buy(twin.code, 3000)
    merged = merge(shop, ana, twin)
    with pytest.raises(MergeTooOld):
        part(shop, merged, now=shop.now + timedelta(days=30))
    parted = part(shop, merged, now=shop.now + timedelta(days=30, microseconds=-1))
    assert (parted.points, parted.balance) == (-300, 100)
    assert (shop.balance(ana.code), shop.balance(twin.code)) == (100, 400)
    with pytest.raises(AlreadyUndone):
        part(shop, merged)
    with pytest.raises(MergeUnknown):
        part(shop, replace(merged, id=12))
    opened = member(shop, twin)
    assert (opened["merged_into"], opened["closed_at"]) == (None, None)
    assert shop.buy(twin.code, 1000).member_id == twin.member_id
    assert merge(shop, ana, twin).balance == 500
    clean(shop)


@pytest.mark.check("L-64")
def test_what_was_spent_comes_from_the_survivors_other_points_or_nothing_happens(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    shop.buy(twin.code, 9000)
    merged = merge(shop, ana, twin)
    shop.redeem(ana.code, "any-drink")
    before = rows(shop.store, "posting")
    with pytest.raises(MergeSpent) as refused:
        part(shop, merged)
    assert refused.value.values == {"needed": 900, "available": 200}
    assert rows(shop.store, "posting") == before
    shop.buy(ana.code, 10_000)
    part(shop, merged)
    assert (shop.balance(ana.code), shop.balance(twin.code)) == (300, 1000)
    clean(shop)


def test_what_lapsed_meanwhile_does_not_come_back(shop: Shop) -> None:
    from passes import due_work

    ana = shop.join()
    twin = shop.join("Ana R.", now=shop.now - timedelta(days=370))
    shop.buy(twin.code, 3000, now=shop.now - timedelta(days=370))
    shop.buy(twin.code, 500)
    merged = merge(shop, ana, twin, now=shop.now)
    assert merged.balance == 450
    later = replace(shop, now=shop.now + timedelta(days=25))
    due_work.expire_due(shop.store, now=later.now)
    assert later.balance(ana.code) == 150
    part(shop, merged, now=later.now)
    assert (later.balance(ana.code), later.balance(twin.code)) == (100, 150)
    clean(shop)


def test_a_debt_goes_along_and_comes_back(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.", email="a@example.org")
    bought = shop.buy(twin.code, 3000)
    shop.redeem(twin.code, "extra-shot")
    shop.undo(bought.id)
    assert shop.balance(twin.code) == -50
    shop.buy(ana.code, 2000)
    merged = merge(shop, ana, twin)
    # 300, less 50, less the second welcome.
    assert (merged.points, merged.balance) == (-150, 150)
    clean(shop)
    part(shop, merged)
    assert (shop.balance(ana.code), shop.balance(twin.code)) == (300, -50)
    clean(shop)
    # The other way round, the points fill the hole.
    assert merge(shop, twin, ana).balance == 150
    clean(shop)


def test_stamps_below_zero_go_along_and_come_back(shop: Shop) -> None:
    reader, twin = shop.join("Eylül", BOOKS), shop.join("Eylül Ada", BOOKS)
    for joined, count in ((reader, 4), (twin, 2)):
        lines = [Line(count, 10_000, category="book")]
        shop.buy(joined.code, count * 10_000, BOOKS, lines=lines)

    def take(work: Work) -> None:
        standing = members.standing(members.of_card(work, twin.programme_id, twin.card_id))
        assert standing is not None
        booking = Booking(
            work,
            stored_programmes.by_slug(work, BOOKS),
            standing,
            kind=ReceiptKind.RETURN,
            at=TILL,
            occurred_at=shop.now,
            now=shop.now,
        )
        booking.claw_back(5, asset=STAMPS)
        booking.finish()

    shop.store.write(take)

    def stamps(joined: Joined) -> int:
        account_id = member(shop, joined)["stamps_account_id"]
        (account,) = rows(shop.store, "account", f"id = {account_id}")
        balance: int = account["balance"]
        return balance

    assert (stamps(reader), stamps(twin)) == (4, -3)
    merged = merge(shop, reader, twin, programme=BOOKS)
    assert (merged.stamps, stamps(reader), stamps(twin)) == (-3, 1, 0)
    clean(shop)
    part(shop, merged, programme=BOOKS)
    assert (stamps(reader), stamps(twin)) == (4, -3)
    clean(shop)
    merge(shop, twin, reader, programme=BOOKS)
    assert (stamps(reader), stamps(twin)) == (0, 1)
    clean(shop)


def test_a_card_that_was_lost_can_be_the_one_that_goes(shop: Shop) -> None:
    from passes.store import cards

    ana, twin = shop.join(), shop.join("Ana R.")
    shop.store.write(lambda work: cards.void(work, twin.programme_id, twin.card_id, now=shop.now))
    with pytest.raises(CardVoided):
        merge(shop, twin, ana)
    assert merge(shop, ana, twin).balance == 100
    clean(shop)


# At the same time ---------------------------------------------------------------------------


@pytest.mark.check("L-64")
def test_purchases_and_merges_at_the_same_time_lose_and_double_nothing(shop: Shop, database_url: str) -> None:
    from passes import store as database

    ana, twin = shop.join(), shop.join("Ana R.")
    served = database.open(database_url, writer_thread=True)
    busy = Shop(served, shop.now)
    booked: list[int] = []
    merged: list[Merged] = []
    refused: list[Refused] = []

    def attempt(action: Callable[[], None]) -> None:
        try:
            action()
        except Refused as refusal:
            refused.append(refusal)

    def buy(code: str, number: int) -> None:
        for turn in range(6):
            attempt(lambda turn=turn: booked.append(busy.buy(code, 1000, key=f"b{number}-{turn}").points))  # type: ignore[misc]

    threads = [
        threading.Thread(target=buy, args=(joined.code, number))
        for number, joined in enumerate((ana, twin, ana, twin))
    ]
    threads += [
        threading.Thread(
            target=attempt,
            args=(lambda pair=pair, key=key: merged.append(merge(busy, *pair, key=key)),),
        )
        for key, pair in (("m1", (ana, twin)), ("m2", (twin, ana)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    served.close()
    assert len(merged) == 1
    # A till that waited for the merge is told so, and finds the survivor when it asks again.
    assert {type(refusal) for refusal in refused} <= {MergeSame, CardVoided}
    assert shop.balance(ana.code) == shop.balance(twin.code) == 100 + sum(booked)
    clean(shop)


# Anything, in any order -----------------------------------------------------------------------

steps = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), st.integers(0, 2), st.integers(1, 400)),
        st.tuples(st.just("redeem"), st.integers(0, 2), st.sampled_from(["extra-shot", "brewed-coffee"])),
        st.tuples(st.just("merge"), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("part"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("undo"), st.integers(0, 5), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
@pytest.mark.check("L-64")
def test_any_order_of_purchases_merges_and_partings_keeps_the_books(
    shop: Shop, run: list[tuple[str, int, Any]]
) -> None:
    people = [shop.join(name) for name in ("Ana", "Ben", "Cleo")]
    merges: list[Merged] = []
    receipts: list[Any] = []
    for what, which, value in run:
        action: Callable[[], object]
        match what:
            case "buy":
                action = partial(shop.buy, people[which].code, value * 25)
            case "redeem":
                action = partial(shop.redeem, people[which].code, value)
            case "merge":
                action = partial(merge, shop, people[which], people[value])
            case "part":
                if which >= len(merges):
                    continue
                action = partial(part, shop, merges[which])
            case _:
                if which >= len(receipts) or merges:
                    continue
                action = partial(shop.undo, receipts[which].id)
        try:
            answer = action()
        except (NotEnoughPoints, MergeSame, MergeSpent, MergeCovered, AlreadyUndone):
            continue
        if what == "merge":
            assert isinstance(answer, Merged)
            merges.append(answer)
        elif what == "buy":
            receipts.append(answer)
    clean(shop)
    for receipt in rows(shop.store, "receipt", "kind = 'merge'"):
        reasons = json.loads(receipt["reasons"])
        told = sum(-one["points"] if one["rule"] == "expire" else one["points"] for one in reasons)
        assert told == receipt["points"]
    for joined in people:
        row = member(shop, joined)
        survivor = row["merged_into"] or row["id"]
        (account,) = rows(
            shop.store, "account", f"owner_id = '{survivor}' AND asset = 'points' AND bucket = 'available'"
        )
        assert shop.balance(joined.code) == account["balance"]
        history = rows(shop.store, "receipt", f"member_id = {joined.member_id}")
        (own,) = rows(
            shop.store,
            "account",
            f"owner_id = '{joined.member_id}' AND asset = 'points' AND bucket = 'available'",
        )
        assert sum(receipt["balance_change"] for receipt in history) == own["balance"]


def test_everything_that_was_moved_is_written_down(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    shop.buy(twin.code, 3000)
    merge(shop, ana, twin)
    (kept,) = rows(shop.store, "merge")
    detail = json.loads(kept["detail"])
    assert [code["code"] for code in detail["codes"]] == [twin.code]
    assert sum(moved["amount"] for moved in detail["lots"]) == 400
    assert detail["purchase_cards"] == [twin.card_id]
    assert [gift["points"] for gift in detail["taken"]] == [100]
