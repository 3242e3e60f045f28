"""What the counter refuses whoever tries it on: own cards, slips, too much, too often, too little proof."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from passes import access, books, checkout, merging
from passes import programmes as programme_files
from passes.access import Grant, PasswordCost, Role
from passes.checkout import Found, Proof
from passes.enrolment import Source
from passes.loyalty.money import Money
from passes.loyalty.receipt import Counter
from passes.loyalty.refusals import (
    ApprovalNeeded,
    CardNeeded,
    CodeMistyped,
    CodeTaken,
    EnrolmentsEnough,
    FormerCodeInvalid,
    HandleExpired,
    LooksRepeated,
    LookupOff,
    OneTimeCodeNeeded,
    OneTimeCodeNotSent,
    OneTimeCodeWrong,
    OwnCard,
    Refused,
    SearchTooShort,
    TooManyTries,
    UsedFarAway,
)
from passes.loyalty.safety import Watch
from passes.loyalty.till_rules import TillRules
from passes.store import Store, mail, programmes, team
from passes.store.instants import micros
from tests.loyalty.shops import text_of
from tests.shop import COFFEE, KEYS, PASS_TYPE, TILL, Shop, open_shop

CHEAP = PasswordCost(memory_kib=64, passes=1, lanes=1)
WATCH = Watch(TillRules(approval_minor=20_000, return_approval_minor=5_000, member_day_limit=2))


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    return open_shop(store, now)


def audit(shop: Shop, action: str) -> list[tuple[str, str]]:
    with shop.store.read() as read:
        asked = text("SELECT object, detail FROM audit WHERE action = :action ORDER BY id")
        return [(row.object, row.detail) for row in read.ask(asked, action=action).all()]


def works_here(shop: Shop, login: str, *, member_id: int | None = None) -> None:
    """Somebody of the staff, whose own card is known where a member is given."""
    staff_id = access.add_staff(
        shop.store,
        login=login,
        name=login.title(),
        password="correct horse battery",
        grants=[Grant(COFFEE, Role.CASHIER)],
        now=shop.now,
        cost=CHEAP,
    )
    if member_id is not None:
        with shop.store.read() as read:
            programme_id = programmes.by_slug(read, COFFEE).id
        shop.store.write(
            lambda work: team.link_card(
                work,
                programme_id=programme_id,
                staff_id=staff_id,
                member_id=member_id,
                now=micros(shop.now),
            )
        )


# Own cards ----------------------------------------------------------------------


@pytest.mark.check("L-78")
def test_nobody_books_or_redeems_on_their_own_card(shop: Shop) -> None:
    cy = shop.join("Cy Park")
    works_here(shop, "cy", member_id=cy.member_id)
    works_here(shop, "dee")
    dee = Counter(location="west-loop", till="front", person="dee")
    bought = shop.buy(cy.code, 5_000, at=dee)
    attempts: list[Any] = [
        lambda: shop.buy(cy.code, 1_000),
        # A register that names who serves is no way round it.
        lambda: shop.buy(cy.code, 1_000, at=Counter(person="cy", channel="api")),
        lambda: shop.redeem(cy.code, "extra-shot"),
        lambda: checkout.authorise(
            shop.store,
            programme=COFFEE,
            code=cy.code,
            reward="extra-shot",
            key=shop.key(),
            at=TILL,
            now=shop.now,
        ),
        lambda: checkout.take_back(
            shop.store, programme=COFFEE, receipt_id=bought.id, key=shop.key(), at=TILL, now=shop.now
        ),
        lambda: shop.undo(bought.id),
        # Nor is agreeing to it as a manager.
        lambda: shop.buy(cy.code, 30_000, at=dee, watch=Watch(WATCH.rules, approved_by="cy")),
    ]
    for attempt in attempts:
        with pytest.raises(OwnCard):
            attempt()
    assert shop.balance(cy.code) == 600
    shop.buy(shop.join("Ben").code, 1_000)
    assert books.verify(shop.store).problems == ()


# What needs a manager ---------------------------------------------------------------


def test_a_large_purchase_waits_for_a_manager_under_the_same_key(shop: Shop) -> None:
    ana = shop.join()
    with pytest.raises(ApprovalNeeded) as refused:
        shop.buy(ana.code, 25_000, key="big", watch=WATCH)
    assert refused.value.values["limit"] == Money(20_000, "USD")
    booked = shop.buy(ana.code, 25_000, key="big", watch=Watch(WATCH.rules, approved_by="dee"))
    assert booked == shop.buy(ana.code, 25_000, key="big", watch=WATCH)
    ((about, detail),) = audit(shop, "till_approved")
    assert about == f"receipt {booked.id}"
    assert "amount for cy at front west-loop, big" in detail
    # A register's own program knows what it does.
    shop.buy(ana.code, 25_001)


def test_a_guests_sale_and_a_return_wait_for_a_manager_too(shop: Shop) -> None:
    with pytest.raises(ApprovalNeeded):
        checkout.sale(
            shop.store,
            programme=COFFEE,
            amount_minor=20_001,
            key=shop.key(),
            at=TILL,
            watch=WATCH,
            now=shop.now,
        )
    ana = shop.join()
    bought = shop.buy(ana.code, 6_000)
    back: dict[str, Any] = {
        "programme": COFFEE,
        "receipt_id": bought.id,
        "key": "back",
        "at": TILL,
        "now": shop.now,
    }
    with pytest.raises(ApprovalNeeded):
        checkout.take_back(shop.store, **back, watch=WATCH)
    assert shop.balance(ana.code) == 700
    checkout.take_back(shop.store, **back, watch=Watch(WATCH.rules, approved_by="dee"))
    assert shop.balance(ana.code) == 100
    assert [detail.split(" for ")[0] for _, detail in audit(shop, "till_approved")] == ["dee: return"]


@pytest.mark.check("L-90")
def test_the_same_again_is_asked_about_and_the_third_visit_needs_a_manager(shop: Shop) -> None:
    ana = shop.join()
    shop.buy(ana.code, 900, watch=WATCH)
    with pytest.raises(LooksRepeated):
        shop.buy(ana.code, 900, watch=WATCH)
    shop.buy(ana.code, 900, watch=Watch(WATCH.rules, is_meant=True))
    with pytest.raises(ApprovalNeeded):
        shop.buy(ana.code, 450, watch=WATCH)
    shop.buy(ana.code, 450, watch=WATCH, at=Counter(location="west-loop", till="back", person="cy"))
    shop.now += timedelta(days=1)
    shop.buy(ana.code, 450, watch=WATCH)


def test_an_undone_purchase_is_no_visit(shop: Shop) -> None:
    ana = shop.join()
    for _ in range(3):
        booked = shop.buy(ana.code, 900, watch=WATCH)
        shop.undo(booked.id)
    shop.buy(ana.code, 900, watch=WATCH)


@pytest.mark.check("L-90")
def test_so_many_people_join_at_one_till_and_no_more(shop: Shop) -> None:
    till = Counter(location="west-loop", till="front")
    shop.join("One", source=Source("till"), at_till=till, key="one")
    for number in range(49):
        shop.join(f"Guest {number}", source=Source("till"), at_till=till)
    with pytest.raises(EnrolmentsEnough):
        shop.join("One more", source=Source("till"), at_till=till)
    assert shop.join("One", source=Source("till"), at_till=till, key="one").again
    shop.join("Elsewhere", source=Source("till"), at_till=Counter(location="west-loop", till="back"))
    shop.now += timedelta(days=1)
    shop.join("Tomorrow", source=Source("till"), at_till=till)


# Looking somebody up ------------------------------------------------------------------


def find(shop: Shop, what: str, **options: Any) -> list[Found]:
    values = {"language": "en", "by": "cy", "at": TILL, "keys": KEYS, "now": shop.now, **options}
    return list(checkout.find(shop.store, programme=COFFEE, text=what, **values).found)


@pytest.mark.check("L-89")
@pytest.mark.parametrize(
    "typed", ["irem", "İREM", "ırem", "Irem ış", "isik", "Işık", "ışık irem", "irem 4567", "IŞIK 4567"]
)
def test_a_name_is_found_however_its_dots_are_typed(shop: Shop, typed: str) -> None:
    shop.join("İrem Işık", phone="+90 555 123 45 67")
    shop.join("Ireneusz Sen", phone="+90 555 123 45 68")
    assert "İrem Işık" in [one.name for one in find(shop, typed)]


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("+1 312 555 0188", ["Ana Reyes"]),
        ("001 312 555 0188", ["Ana Reyes"]),
        ("312 555 0188", ["Ana Reyes"]),
        ("(312) 555-0188", ["Ana Reyes"]),
        ("555 0199 00", ["Ben Sato"]),
        ("+1 555 0199 00", ["Ben Sato"]),
        ("ANA@Example.com", ["Ana Reyes"]),
        ("ana@example", []),
        ("re 0188", ["Ana Reyes"]),
        ("re 0189", []),
        ("rey", ["Ana Reyes"]),
        ("eyes", []),
        ("%%", None),
        ("a", None),
        ("0188", None),
        ("555018", None),
        ("  ", None),
        ("🙂🙂", None),
    ],
)
def test_members_are_found_by_what_they_say(shop: Shop, typed: str, names: list[str] | None) -> None:
    shop.join("Ana Reyes", phone="+1 312 555 0188", email="ana@example.com")
    shop.join("Ben Sato", phone="555 0199 00")
    if names is None:
        with pytest.raises(SearchTooShort):
            find(shop, typed)
    else:
        assert [one.name for one in find(shop, typed)] == names


def test_a_search_shows_eight_and_says_that_there_are_more(shop: Shop) -> None:
    for number in range(10):
        shop.join(f"Ada {number}", phone=f"+1 312 555 {number:04d}")
    search = checkout.find(
        shop.store,
        programme=COFFEE,
        text="ada",
        language="en",
        by="cy",
        at=TILL,
        keys=KEYS,
        now=shop.now,
    )
    assert (len(search.found), search.is_more) == (8, True)
    assert search.found[3].phone_end == "03"
    ((about, detail),) = audit(shop, "member_lookup")
    assert (about, detail) == ("name", "cy: 9 found at front west-loop")


def test_who_left_or_was_merged_is_not_found(shop: Shop) -> None:
    ana = shop.join("Ana Reyes", email="ana@example.com")
    with shop.store.read() as read:
        loaded = programmes.by_slug(read, COFFEE)
    (found,) = find(shop, "ana")
    known = checkout.card_of(shop.store, loaded, found.handle, keys=KEYS, now=shop.now)
    assert known == (ana.code, True)
    assert checkout.card_of(shop.store, loaded, ana.code, keys=KEYS, now=shop.now) == (ana.code, False)
    for handle, at in (
        (found.handle, shop.now + timedelta(minutes=15)),
        (f"{found.handle[:-1]}A", shop.now),
        ("~", shop.now),
        ("~ü", shop.now),
    ):
        with pytest.raises(HandleExpired):
            checkout.card_of(shop.store, loaded, handle, keys=KEYS, now=at)
    shop.store.write(
        lambda work: work.put(text("UPDATE member SET closed_at = 1 WHERE id = :id"), id=ana.member_id)
    )
    assert find(shop, "ana") == []


def test_a_programme_may_let_nobody_be_looked_up(shop: Shop) -> None:
    shop.join("Ana Reyes")
    source = text_of(COFFEE).replace("[till]\n", "[till]\nlookup = false\n")
    programme_files.load(shop.store, name=COFFEE, source=source, pass_type=PASS_TYPE, now=shop.now)
    with pytest.raises(LookupOff):
        find(shop, "ana")
    assert audit(shop, "member_lookup") == []


# Proof that somebody is here --------------------------------------------------------------


def code_of(shop: Shop, code: str) -> str:
    """The six digits that the member reads in their letter."""
    checkout.send_code(shop.store, programme=COFFEE, code=code, keys=KEYS, now=shop.now)
    with shop.store.read() as read:
        found = read.ask(
            text("SELECT programme_id, detail FROM mail WHERE kind = :kind ORDER BY id DESC LIMIT 1"),
            kind=mail.ONE_TIME_CODE,
        ).one()
    assert found is not None

    told = json.loads(found.detail)
    return KEYS.one_time_digits(told["key"], found.programme_id, told["code"])


def other(digits: str) -> str:
    return f"{(int(digits) + 1) % 1_000_000:06d}"


@pytest.mark.check("L-87")
def test_a_costly_reward_needs_the_card_and_a_code_made_a_moment_ago(shop: Shop) -> None:
    ana = shop.join(email="ana@example.com")
    shop.buy(ana.code, 40_000)
    with pytest.raises(OneTimeCodeNeeded):
        shop.redeem(ana.code, "bag-of-beans")
    digits = code_of(shop, ana.code)
    # Who was only looked up does not get it even so.
    with pytest.raises(CardNeeded):
        shop.redeem(ana.code, "bag-of-beans", proof=Proof(KEYS, digits, found=True))
    with pytest.raises(OneTimeCodeWrong):
        shop.redeem(ana.code, "bag-of-beans", proof=Proof(KEYS, other(digits)))
    redeemed = shop.redeem(ana.code, "bag-of-beans", key="beans", proof=Proof(KEYS, digits))
    assert redeemed.points == -1500
    # Once; and the same request again gets the same answer.
    assert shop.redeem(ana.code, "bag-of-beans", key="beans", proof=Proof(KEYS, digits)) == redeemed
    with pytest.raises(OneTimeCodeWrong):
        shop.redeem(ana.code, "bag-of-beans", proof=Proof(KEYS, digits))
    # What costs little needs the card alone.
    shop.redeem(ana.code, "extra-shot", proof=Proof(KEYS))
    assert books.verify(shop.store).problems == ()


def test_who_was_looked_up_redeems_with_a_code_only(shop: Shop) -> None:
    ana, ben = shop.join(email="ana@example.com"), shop.join("Ben", email="ben@example.com")
    for one in (ana, ben):
        shop.buy(one.code, 5_000)
    with pytest.raises(CardNeeded):
        shop.redeem(ana.code, "extra-shot", proof=Proof(KEYS, found=True))
    theirs = code_of(shop, ben.code)
    with pytest.raises(OneTimeCodeWrong):
        shop.redeem(ana.code, "extra-shot", proof=Proof(KEYS, theirs, found=True))
    digits = code_of(shop, ana.code)
    shop.redeem(ana.code, "extra-shot", proof=Proof(KEYS, digits, found=True))


def test_a_card_in_two_far_shops_at_once_redeems_with_a_code_only(shop: Shop) -> None:
    ana, away = shop.join(email="ana@example.com"), Counter(location="lakeview", till="front", person="cy")
    near = Counter(location="wicker-park", till="front", person="cy")
    shop.buy(ana.code, 9_000)
    # Lakeview is as near as the programme says: nothing is asked.
    shop.redeem(ana.code, "extra-shot", at=away)
    moved = text_of(COFFEE).replace("41.93868", "43.03890")
    programme_files.load(shop.store, name=COFFEE, source=moved, pass_type=PASS_TYPE, now=shop.now)
    with pytest.raises(UsedFarAway):
        shop.redeem(ana.code, "extra-shot", at=away)
    with pytest.raises(OneTimeCodeNeeded):
        checkout.authorise(
            shop.store, programme=COFFEE, code=ana.code, reward="extra-shot", key="h", at=away, now=shop.now
        )
    digits = code_of(shop, ana.code)
    shop.redeem(ana.code, "extra-shot", at=away, proof=Proof(KEYS, digits))
    # Where nobody stands in a shop, what was undone, and what is long enough ago say nothing.
    shop.redeem(ana.code, "extra-shot", at=Counter(channel="online"))
    later = shop.now + timedelta(minutes=11)
    bought = shop.buy(ana.code, 900, at=near, now=later)
    shop.undo(bought.id, now=later)
    assert shop.redeem(ana.code, "extra-shot", at=away, now=later).points == -150


def test_a_code_ends_after_ten_minutes_and_after_five_tries(shop: Shop) -> None:
    ana = shop.join(email="ana@example.com")
    shop.buy(ana.code, 5_000)
    digits = code_of(shop, ana.code)
    late = shop.now + timedelta(minutes=10)
    with pytest.raises(OneTimeCodeWrong):
        shop.redeem(ana.code, "extra-shot", now=late, proof=Proof(KEYS, digits, found=True))
    for _ in range(5):
        with pytest.raises(OneTimeCodeWrong):
            shop.redeem(ana.code, "extra-shot", proof=Proof(KEYS, other(digits), found=True))
    with pytest.raises(OneTimeCodeWrong):
        shop.redeem(ana.code, "extra-shot", proof=Proof(KEYS, digits, found=True))
    assert shop.balance(ana.code) == 600


def test_a_refused_reward_leaves_the_code_as_it_was(shop: Shop) -> None:
    ana = shop.join(email="ana@example.com")
    digits = code_of(shop, ana.code)
    proof = Proof(KEYS, digits, found=True)
    with pytest.raises(Refused):
        shop.redeem(ana.code, "extra-shot", proof=proof)
    shop.buy(ana.code, 5_000)
    shop.redeem(ana.code, "extra-shot", proof=proof)


def test_only_so_many_codes_are_sent_an_hour_and_none_without_an_address(shop: Shop) -> None:
    ana, ben = shop.join(email="ana@example.com"), shop.join("Ben")
    with pytest.raises(OneTimeCodeNotSent):
        code_of(shop, ben.code)
    for _ in range(6):
        code_of(shop, ana.code)
    with pytest.raises(TooManyTries):
        code_of(shop, ana.code)
    shown = checkout.show_code(
        shop.store, programme_id=ben.programme_id, member_id=ben.member_id, keys=KEYS, now=shop.now
    )
    assert len(shown.digits) == 6
    shop.now += timedelta(hours=1, minutes=1)
    code_of(shop, ana.code)


def test_nothing_in_the_database_tells_a_code(shop: Shop) -> None:
    ana = shop.join(email="ana@example.com")
    digits = code_of(shop, ana.code)
    with shop.store.read() as read:
        (kept,) = read.ask(text("SELECT * FROM one_time_code")).all()
        letters = read.ask(text("SELECT about, detail FROM mail")).all()
    assert digits not in repr([tuple(kept), *map(tuple, letters)])
    assert len(bytes(kept.code_hash)) == 32


# Codes of a former system -------------------------------------------------------------------


@pytest.mark.parametrize("former", ["044-12 34x", "x" * 64, "CLUB:77.8_a+b*#", "5901234123457"])
def test_a_card_of_a_former_system_goes_on_scanning(shop: Shop, former: str) -> None:
    ana = shop.join()
    kept = checkout.add_alias(
        shop.store, programme=COFFEE, code=ana.code, former=former, by="dee", now=shop.now
    )
    for scanned in (former, former.lower(), kept):
        assert checkout.look(
            shop.store, programme=COFFEE, code=scanned, language="en", now=shop.now
        ).card_id == (ana.card_id)
    shop.buy(former, 900)
    assert shop.balance(ana.code) == 190
    # Said again it stays; another card cannot take it.
    values: dict[str, Any] = {"programme": COFFEE, "by": "dee", "now": shop.now}
    checkout.add_alias(shop.store, code=ana.code, former=former, **values)
    with pytest.raises(CodeTaken):
        checkout.add_alias(shop.store, code=shop.join("Ben").code, former=former, **values)
    assert len(audit(shop, "card_alias")) == 1


@pytest.mark.parametrize("former", ["", "x" * 65, "a/b", "~x", "🙂", "a\0b", "ü1"])
def test_what_cannot_be_a_former_code_is_refused(shop: Shop, former: str) -> None:
    with pytest.raises(FormerCodeInvalid):
        checkout.add_alias(
            shop.store, programme=COFFEE, code=shop.join().code, former=former, by="dee", now=shop.now
        )


def test_a_former_code_of_nobody_is_no_card(shop: Shop) -> None:
    with pytest.raises(CodeMistyped):
        shop.buy("044-12 34x", 900)


# Merged cards -----------------------------------------------------------------------------


def test_a_card_that_was_merged_into_another_is_still_somebodys_own(shop: Shop) -> None:
    cy, friend = shop.join("Cy Park"), shop.join("Friend")
    works_here(shop, "cy", member_id=cy.member_id)
    merging.merge(
        shop.store,
        programme=COFFEE,
        survivor=friend.code,
        loser=cy.code,
        proof="They say so.",
        by="mo",
        key=shop.key(),
        now=shop.now,
    )
    for code in (friend.code, cy.code):
        with pytest.raises(OwnCard):
            shop.buy(code, 1_000)
    booked = shop.buy(friend.code, 1_000, at=Counter(person="dee"))
    with pytest.raises(OwnCard):
        shop.undo(booked.id)
