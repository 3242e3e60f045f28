"""Offers where people meet them: at the till, on the card, on phones that ring or stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from passes import books, campaigns, issuing, showing
from passes.apple import certificates, signing
from passes.checkout import accrue
from passes.emulators import phone, wallet_file
from passes.issuing import Office
from passes.loyalty.refusals import OfferCodeUnknown, OfferQuotaUsedUp, TendersWrong
from passes.loyalty.tenders import Tender, TenderKind
from passes.programmes import load
from passes.store import Store, programmes
from tests.cast import PHONE, Card, PushService, an_install, deliver, rows
from tests.shop import COFFEE, KEYS, PASS_TYPE, TILL, Shop, open_shop
from tests.test_campaigns import ASKED, CLOSES, LOUD, NOON, OPENS, SECOND, offer_file, programme_file


@pytest.fixture
def shop(store: Store) -> Shop:
    return open_shop(store, NOON - timedelta(days=1))


def run(shop: Shop, source: str, key: str = "maple") -> None:
    """The offer runs, and the worker has seen to it."""
    shop.now = NOON
    campaigns.plan(shop.store, programme=COFFEE, name=key, source=source, now=shop.now)
    campaigns.publish(shop.store, programme=COFFEE, key=key, now=shop.now)
    campaigns.run_due(shop.store, now=shop.now)


def member_of(shop: Shop, name: str, *, holdout: bool, **options: bool) -> Card:
    joined = shop.join(name, consents=options)
    token = KEYS.token(KEYS.current_id, PASS_TYPE, joined.serial)
    card = Card(joined.programme_id, joined.member_id, joined.card_id, joined.serial, joined.code, token)
    statement = text("UPDATE member SET holdout = :holdout WHERE id = :member_id")
    shop.store.write(lambda work: work.put(statement, holdout=holdout, member_id=card.member_id))
    return card


def offers_on(shop: Shop, card: Card) -> list[str]:
    with shop.store.read() as read:
        loaded = programmes.by_slug(read, COFFEE)
        return [line.title for line in showing.face(read, loaded, card.card_id, now=shop.now).offers]


@pytest.mark.check("L-84", "L-85")
def test_phones_of_those_treated_are_told_when_an_offer_comes_and_goes_and_others_never(shop: Shop) -> None:
    ana, ben = member_of(shop, "Ana", holdout=False), member_of(shop, "Ben", holdout=True)
    for place, card in enumerate((ana, ben)):
        an_install(shop, card, phone=f"{place}{PHONE[1:]}", push_token=f"a{place}" * 32)
    deliver(shop, PushService())
    run(shop, offer_file())
    wallet = PushService()
    deliver(shop, wallet)
    assert wallet.addresses == ["a0" * 32]
    assert (offers_on(shop, ana), offers_on(shop, ben)) == (["Maple Cortado is back"], [])
    shop.now = CLOSES
    campaigns.run_due(shop.store, now=shop.now)
    deliver(shop, wallet)
    assert wallet.addresses == ["a0" * 32] * 2
    assert offers_on(shop, ana) == []


Pull = Callable[[Card], tuple[str | None, list[str]]]


@pytest.fixture
def pull(shop: Shop, tmp_path: Path) -> Pull:
    """A phone fetches a card: what it rings with, and what it has about offers then."""
    folder = tmp_path / "certs"
    certificates.make_development_chain(folder, pass_type=PASS_TYPE, team="DEVTEAM001", now=shop.now)
    signer = signing.load(
        certificate=(folder / "pass.pem").read_bytes(),
        key=(folder / "pass.key").read_bytes(),
        intermediate=(folder / "wwdr.pem").read_bytes(),
        now=shop.now,
    )
    office = Office(signer=signer, keys=KEYS, web_service_url="https://cards.shop.example/apple")
    roots = [(folder / "root.pem").read_bytes()]
    held: dict[str, phone.Card] = {}

    def fetch(card: Card) -> tuple[str | None, list[str]]:
        made = issuing.export(shop.store, office, programme=COFFEE, card_id=card.card_id, now=shop.now)
        found = wallet_file.open_pass(bytes(made), trust_roots=roots, now=shop.now)
        rung = phone.notice_of(held[card.serial], found)[0] if card.serial in held else None
        held[card.serial] = phone.Card(found, shop.now, shop.now)
        return rung, [str(one.value) for one in found.fields if one.key in ("offer", "news")]

    return fetch


@pytest.mark.check("L-83", "L-85", "A-110", "A-111")
def test_one_iphone_rings_another_is_silent_and_none_rings_when_it_is_over(shop: Shop, pull: Pull) -> None:
    load(shop.store, name=COFFEE, source=programme_file(), pass_type=PASS_TYPE, now=shop.now)
    ana = member_of(shop, "Ana", holdout=False, **ASKED)
    ben = member_of(shop, "Ben", holdout=False)
    eve = member_of(shop, "Eve", holdout=True, **ASKED)
    nothing = (None, ["Nothing new right now."])
    assert [pull(card) for card in (ana, ben, eve)] == [nothing] * 3
    shop.now = OPENS - 2 * SECOND
    source = offer_file(**LOUD)
    campaigns.plan(shop.store, programme=COFFEE, name="maple", source=source, now=shop.now)
    campaigns.publish(shop.store, programme=COFFEE, key="maple", now=shop.now)
    campaigns.run_due(shop.store, now=shop.now)
    assert [pull(card) for card in (ana, ben, eve)] == [nothing] * 3
    shop.now = OPENS
    campaigns.run_due(shop.store, now=shop.now)
    shown = ["Maple Cortado is back", "Maple Cortado is back"]
    assert pull(ana) == ("New offer: Maple Cortado is back", shown)
    assert pull(ben) == (None, shown)
    assert pull(eve) == nothing
    shop.buy(ana.code, 1_000)
    assert pull(ana) == ("You now have 200 beans", shown)
    shop.now = CLOSES
    campaigns.run_due(shop.store, now=shop.now)
    assert [pull(card) for card in (ana, ben, eve)] == [nothing] * 3


def test_a_register_that_takes_discounts_books_what_is_paid_and_the_undo_gives_the_use_back(
    shop: Shop,
) -> None:
    ana = member_of(shop, "Ana", holdout=False)
    run(shop, offer_file(quota=1))
    booked = shop.buy(ana.code, 6_000, takes_discounts=True)
    assert (booked.amount_minor, booked.points) == (5_400, 540)
    assert [row["discount_minor"] for row in rows(shop.store, "offer_use")] == [600]
    assert shop.buy(ana.code, 6_000, takes_discounts=True).amount_minor == 6_000
    shop.undo(booked.id)
    assert [(row["used"], row["spent_minor"]) for row in rows(shop.store, "offer")] == [(0, 0)]
    assert shop.buy(ana.code, 6_000, takes_discounts=True).amount_minor == 5_400
    assert books.verify(shop.store).problems == ()


def test_what_was_paid_is_what_is_to_be_paid_after_offers(shop: Shop) -> None:
    ana = member_of(shop, "Ana", holdout=False)
    run(shop, offer_file(quota=1))
    tenders = [Tender(TenderKind.GIFT_CARD, 1_400), Tender(TenderKind.CARD, 4_000)]
    booked = shop.buy(ana.code, 6_000, takes_discounts=True, tenders=tenders)
    assert (booked.amount_minor, booked.points) == (5_400, 400)
    # Somebody else had the last of the offer: what was charged is too little now.
    with pytest.raises(TendersWrong):
        shop.buy(ana.code, 6_000, takes_discounts=True, tenders=tenders)
    assert shop.balance(ana.code) == 500


def test_points_of_an_offer_come_with_the_purchase_and_are_counted_as_its_use(shop: Shop) -> None:
    ana = member_of(shop, "Ana", holdout=False)
    run(shop, offer_file('effect = "points_times"\nfactor = 2'), "double")
    run(shop, offer_file('effect = "bonus_points"\npoints = 50'), "bonus")
    assert shop.buy(ana.code, 1_000).points == 250
    assert sorted(row["points"] for row in rows(shop.store, "offer_use")) == [50, 100]


@pytest.mark.check("L-29")
def test_the_till_says_why_a_code_does_not_hold(shop: Shop) -> None:
    ana = member_of(shop, "Ana", holdout=False)
    run(shop, offer_file(code='"MAPLE"', quota=1))
    shop.buy(ana.code, 6_000, takes_discounts=True, offer_codes=["maple"])
    with pytest.raises(OfferQuotaUsedUp):
        shop.buy(ana.code, 6_000, takes_discounts=True, offer_codes=["maple"])
    with pytest.raises(OfferCodeUnknown):
        shop.buy(ana.code, 6_000, takes_discounts=True, offer_codes=["walnut"])


def test_asked_again_a_purchase_uses_an_offer_once(shop: Shop) -> None:
    ana = member_of(shop, "Ana", holdout=False)
    run(shop, offer_file(quota=5))
    for _ in range(2):
        accrue(
            shop.store,
            programme=COFFEE,
            code=ana.code,
            amount_minor=6_000,
            takes_discounts=True,
            key="same",
            at=TILL,
            now=shop.now,
        )
    assert [row["used"] for row in rows(shop.store, "offer")] == [1]
