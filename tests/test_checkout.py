"""At the counter: what is booked, what is refused, and that nothing is booked twice."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from passes import books, checkout
from passes.loyalty.basket import Line
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind
from passes.loyalty.refusals import (
    AlreadyClaimed,
    AlreadyUndone,
    AmountInvalid,
    AmountTooLarge,
    CardForeign,
    CardVoided,
    ClaimTooLate,
    CodeMistyped,
    CodeUnknown,
    KeyInvalid,
    KeyReused,
    NotEnoughPoints,
    ProgrammeUnknown,
    ReceiptUnknown,
    Refused,
    RewardUnknown,
    SaleUnknown,
    UndoTooLate,
)
from passes.loyalty.tiers import tier_for
from passes.store import Store, Work, programmes
from tests.cast import rows
from tests.shop import BOOKS, COFFEE, TILL, Shop, open_shop


@pytest.fixture
def shop(store: Store, now: object) -> Shop:
    return open_shop(store, now)  # type: ignore[arg-type]


def test_a_purchase_earns_points_and_says_why(shop: Shop) -> None:
    ana = shop.join()
    receipt = shop.buy(ana.code, 1240)
    assert (receipt.points, receipt.balance_before, receipt.balance_after) == (124, 100, 224)
    (reason,) = receipt.reasons
    (line,) = reason["lines"]
    assert Fraction(line["rate"]) * 1240 * Fraction(line["multiplier"]) == Fraction(reason["raw"]) == 124
    assert reason["rounding"] == "floor"
    assert receipt.counter == TILL
    assert shop.balance(ana.code) == 224


def test_a_code_may_be_typed_as_it_is_printed(shop: Shop) -> None:
    ana = shop.join()
    typed = f" {ana.code[:4].lower()}-{ana.code[4:8]} {ana.code[8:]} "
    assert shop.buy(typed, 1000).balance_after == 200


def test_a_repeated_request_gets_the_first_answer_and_books_once(shop: Shop) -> None:
    ana = shop.join()
    first = shop.buy(ana.code, 1240, key="tap")
    again = shop.buy(ana.code.lower(), 1240, key="tap", now=shop.now + timedelta(days=3))
    assert again == first
    assert len(rows(shop.store, "purchase")) == 1
    with pytest.raises(KeyReused):
        shop.buy(ana.code, 1250, key="tap")
    with pytest.raises(KeyReused):
        shop.redeem(ana.code, "extra-shot", key="tap")
    assert shop.balance(ana.code) == 224


def test_the_same_request_from_many_threads_is_booked_once(shop: Shop, database_url: str) -> None:
    """In flight, a second one waits for the first and then replays it."""
    from passes import store as database

    ana = shop.join()
    served = database.open(database_url, writer_thread=True)
    receipts: list[Receipt] = []
    threads = [
        threading.Thread(
            target=lambda: receipts.append(
                checkout.accrue(
                    served,
                    programme=COFFEE,
                    code=ana.code,
                    amount_minor=500,
                    key="same",
                    at=TILL,
                    now=shop.now,
                )
            )
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    served.close()
    assert len(receipts) == 8
    assert len({receipt.id for receipt in receipts}) == 1
    assert shop.balance(ana.code) == 150


@pytest.mark.check("L-60")
def test_two_tills_cannot_both_spend_the_last_points(shop: Shop, database_url: str) -> None:
    from passes import store as database

    ana = shop.join()
    shop.buy(ana.code, 500)
    outcomes: list[str] = []
    barrier = threading.Barrier(4)
    opened = [database.open(database_url, writer_thread=True) for _ in range(4)]

    def claim(store: Store, number: int) -> None:
        barrier.wait(5)
        try:
            checkout.redeem(
                store,
                programme=COFFEE,
                code=ana.code,
                reward="extra-shot",
                key=f"claim-{number}",
                at=TILL,
                now=shop.now,
            )
            outcomes.append("won")
        except NotEnoughPoints:
            outcomes.append("refused")

    threads = [threading.Thread(target=claim, args=(store, n)) for n, store in enumerate(opened)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in opened:
        store.close()
    assert sorted(outcomes) == ["refused", "refused", "refused", "won"]
    assert shop.balance(ana.code) == 0
    assert books.verify(shop.store).right


def test_a_refusal_keeps_nothing_not_even_its_key(shop: Shop) -> None:
    ana = shop.join()
    with pytest.raises(NotEnoughPoints) as refused:
        shop.redeem(ana.code, "any-drink", key="once")
    assert refused.value.values["needed"] == 800
    assert refused.value.values["available"] == 100
    assert refused.value.values["ready"] == []
    shop.buy(ana.code, 7000)
    assert shop.redeem(ana.code, "any-drink", key="once").balance_after == 0


def test_a_refused_reward_names_what_is_ready(shop: Shop) -> None:
    ana = shop.join()
    shop.buy(ana.code, 5400)
    with pytest.raises(NotEnoughPoints) as refused:
        shop.redeem(ana.code, "any-drink")
    assert refused.value.values["ready"] == ["extra-shot", "brewed-coffee"]
    assert str(refused.value) == "Not enough beans: this needs 800, there are 640."


@pytest.mark.parametrize(
    ("amount_minor", "refusal"),
    [(0, AmountInvalid), (-1, AmountInvalid), (10**9, AmountTooLarge), (2**62, AmountTooLarge)],
)
def test_impossible_amounts_are_refused(shop: Shop, amount_minor: int, refusal: type[Refused]) -> None:
    ana = shop.join()
    with pytest.raises(refusal):
        shop.buy(ana.code, amount_minor)
    with pytest.raises(refusal):
        checkout.sale(
            shop.store, programme=COFFEE, amount_minor=amount_minor, key="sale", at=TILL, now=shop.now
        )
    assert rows(shop.store, "purchase") == []


@pytest.mark.parametrize("code", ["", "hello", "2345", "😀" * 16, "2" * 15 + "3", "X" * 500, "\x00" * 16])
def test_what_is_no_code_is_refused(shop: Shop, code: str) -> None:
    with pytest.raises(CodeMistyped):
        shop.buy(code, 100)
    with pytest.raises(CodeMistyped):
        checkout.look(shop.store, programme=COFFEE, code=code, language="en", now=shop.now)


def test_unknown_foreign_and_voided_cards_are_told_apart(shop: Shop) -> None:
    from passes.loyalty import codes

    reader = shop.join("Deniz Aydın", BOOKS)
    ana = shop.join()
    with pytest.raises(CodeUnknown):
        shop.buy(codes.code_from(b"nobody has this!"), 100)
    with pytest.raises(CardForeign):
        shop.buy(reader.code, 100)
    shop.store.write(lambda work: void(work, ana.card_id))
    with pytest.raises(CardVoided):
        shop.buy(ana.code, 100)
    with pytest.raises(CardVoided):
        shop.redeem(ana.code, "extra-shot")
    with pytest.raises(ProgrammeUnknown):
        shop.buy(ana.code, 100, programme="nowhere")
    with pytest.raises(RewardUnknown):
        shop.redeem(shop.join().code, "yacht")


def void(work: Work, card_id: int) -> None:
    from sqlalchemy import update

    from passes.store.models import card

    work.put(update(card).where(card.c.id == card_id).values(voided_at=1))


@pytest.mark.parametrize("key", ["", "x" * 129, "with space", "new\nline", "emoji😀"])
def test_a_malformed_key_is_refused(shop: Shop, key: str) -> None:
    with pytest.raises(KeyInvalid):
        shop.buy(shop.join().code, 100, key=key)


def test_lines_are_kept_and_must_add_up(shop: Shop) -> None:
    ana = shop.join()
    lines = [
        Line(quantity=2, unit_minor=350, category="drinks", name="Cortado"),
        Line(quantity=1, unit_minor=540, discount_minor=40, sku="B-1"),
    ]
    shop.buy(ana.code, 1200, lines=lines)
    kept = rows(shop.store, "purchase_line")
    assert [(row["line_number"], row["quantity"], row["net_minor"]) for row in kept] == [
        (1, 2, 700),
        (2, 1, 500),
    ]
    assert rows(shop.store, "purchase")[0]["discount_minor"] == 40
    with pytest.raises(AmountInvalid):
        shop.buy(ana.code, 1201, lines=lines)
    with pytest.raises(AmountInvalid):
        shop.buy(ana.code, 700, lines=[replace(lines[0], quantity=-2)])


def test_a_sale_without_a_member_counts_and_earns_nothing(shop: Shop) -> None:
    sold = checkout.sale(shop.store, programme=COFFEE, amount_minor=300, key="guest", at=TILL, now=shop.now)
    again = checkout.sale(shop.store, programme=COFFEE, amount_minor=300, key="guest", at=TILL, now=shop.now)
    assert again == sold
    (kept,) = rows(shop.store, "purchase")
    assert (kept["member_id"], kept["net_minor"], kept["location"], kept["local_day"]) == (
        None,
        300,
        "west-loop",
        20260314,
    )
    assert rows(shop.store, "posting") == []


def test_a_late_sale_of_an_offline_till_keeps_its_own_day(shop: Shop) -> None:
    ana = shop.join()
    happened_at = shop.now - timedelta(days=1, hours=6)
    receipt = shop.buy(ana.code, 1000, occurred_at=happened_at)
    assert receipt.occurred_at == happened_at
    assert receipt.recorded_at == shop.now
    # Half past ten in the evening of the 12th in Chicago.
    assert rows(shop.store, "purchase")[0]["local_day"] == 20260312
    ahead = shop.buy(ana.code, 1000, occurred_at=shop.now + timedelta(hours=2))
    assert ahead.occurred_at == shop.now


def test_the_tier_multiplies_what_is_bought_after_it_is_reached(shop: Shop) -> None:
    ana = shop.join()
    assert shop.buy(ana.code, 25_000).points == 2500
    assert shop.buy(ana.code, 1000).points == 120
    view = checkout.look(shop.store, programme=COFFEE, code=ana.code, language="en", now=shop.now)
    assert (view.tier_key, view.metric) == ("flight", 26_000)
    next_year = shop.now + timedelta(days=365)
    assert shop.buy(ana.code, 1000, now=next_year).points == 120
    late = checkout.look(shop.store, programme=COFFEE, code=ana.code, language="en", now=next_year)
    assert (late.tier_key, late.metric) == ("flight", 1000)


# Undo --------------------------------------------------------------------------


def test_undoing_a_redemption_gives_back_the_same_points(shop: Shop) -> None:
    ana = shop.join()
    shop.buy(ana.code, 1240)
    before = rows(shop.store, "lot")
    redeemed = shop.redeem(ana.code, "extra-shot")
    undone = shop.undo(redeemed.id)
    assert (undone.kind, undone.points, undone.balance_after) == (ReceiptKind.UNDO, 150, 224)
    assert rows(shop.store, "lot") == before
    assert books.verify(shop.store).right


def test_undoing_a_purchase_takes_its_points_its_spend_and_its_sale(shop: Shop) -> None:
    ana = shop.join()
    bought = shop.buy(ana.code, 30_000)
    undone = shop.undo(bought.id)
    assert undone.balance_after == 100
    view = checkout.look(shop.store, programme=COFFEE, code=ana.code, language="en", now=shop.now)
    assert (view.tier_key, view.metric) == ("perch", 0)
    assert rows(shop.store, "purchase")[0]["voided_by"] == undone.id
    assert books.verify(shop.store).right


def test_undoing_a_purchase_whose_points_are_spent_goes_below_zero_and_new_points_fill_the_hole(
    shop: Shop,
) -> None:
    ana = shop.join()
    bought = shop.buy(ana.code, 1240)
    spent = shop.redeem(ana.code, "extra-shot")
    assert shop.undo(bought.id).balance_after == -50
    assert books.verify(shop.store).right
    with pytest.raises(NotEnoughPoints):
        shop.redeem(ana.code, "extra-shot")
    assert shop.buy(ana.code, 300).balance_after == -20
    assert books.verify(shop.store).right
    assert shop.undo(spent.id).balance_after == 130
    assert books.verify(shop.store).right


def test_nothing_is_undone_twice_too_late_or_out_of_thin_air(shop: Shop) -> None:
    ana = shop.join()
    bought = shop.buy(ana.code, 1000)
    undone = shop.undo(bought.id, key="undo")
    assert shop.undo(bought.id, key="undo") == undone
    with pytest.raises(AlreadyUndone):
        shop.undo(bought.id)
    with pytest.raises(UndoTooLate):
        shop.undo(undone.id)
    late = shop.buy(ana.code, 1000)
    with pytest.raises(UndoTooLate):
        shop.undo(late.id, now=shop.now + timedelta(seconds=600))
    assert shop.undo(late.id, now=shop.now + timedelta(seconds=599)).balance_after == 100
    for receipt_id in (12345, 0, -1, 2**63, 10**40):
        with pytest.raises(ReceiptUnknown):
            shop.undo(receipt_id)
    with pytest.raises(ReceiptUnknown):
        shop.undo(shop.buy(ana.code, 100).id, programme=BOOKS)


def test_a_welcome_is_not_undone_at_the_till(shop: Shop) -> None:
    shop.join()
    (welcome,) = rows(shop.store, "receipt")
    assert welcome["kind"] == "welcome"
    with pytest.raises(UndoTooLate):
        shop.undo(welcome["id"])


# Looking -----------------------------------------------------------------------


def test_the_till_sees_what_it_needs_and_no_more(shop: Shop) -> None:
    ana = shop.join(email="ana@example.org")
    shop.buy(ana.code, 5400)
    view = checkout.look(shop.store, programme=COFFEE, code=ana.code, language="tr", now=shop.now)
    assert (view.name, view.balance, view.unit) == ("Ana Reyes", 640, "çekirdek")
    assert [(reward.key, reward.missing) for reward in view.rewards] == [
        ("extra-shot", 0),
        ("brewed-coffee", 0),
        ("any-drink", 160),
        ("bag-of-beans", 860),
    ]
    assert view.next_reward is not None
    assert view.next_reward.key == "any-drink"
    assert "ana@example.org" not in repr(view)
    assert [receipt.kind for receipt in view.recent] == ["accrue", "welcome"]


def test_a_quote_promises_what_the_purchase_gives(shop: Shop) -> None:
    ana = shop.join()
    shop.buy(ana.code, 25_000)
    for amount_minor in (1, 99, 1000, 12_345):
        promised = checkout.quote(
            shop.store, programme=COFFEE, code=ana.code, amount_minor=amount_minor, now=shop.now
        )
        booked = shop.buy(ana.code, amount_minor)
        assert (booked.points, booked.balance_after) == (promised.points, promised.balance_after)
        assert sum(part.points for part in promised.why) == promised.points
        told = checkout.why(shop.store, programme=COFFEE, receipt_id=booked.id)
        assert told.parts == promised.why


def test_a_cashier_sees_their_own_last_receipts(shop: Shop) -> None:
    ana = shop.join()
    mine = shop.buy(ana.code, 1000)
    shop.buy(ana.code, 1000, at=Counter(person="somebody else"))
    assert [one.id for one in checkout.recent(shop.store, programme=COFFEE, person="cy")] == [mine.id]


def test_past_receipts_keep_the_rules_they_were_booked_under(shop: Shop) -> None:
    from passes import programmes as files
    from tests.shop import PASS_TYPE

    ana = shop.join()
    old = shop.buy(ana.code, 1000)
    (path,) = (path for path in files.DEMONSTRATION if path.stem == COFFEE)
    source = path.read_text("utf-8").replace('"10 per 1.00"', '"20 per 1.00"')
    loaded = files.load(shop.store, name=COFFEE, source=source, pass_type=PASS_TYPE, now=shop.now)
    assert (loaded.version, loaded.changed) == (2, True)
    new = shop.buy(ana.code, 1000)
    assert (old.programme_version, new.programme_version) == (1, 2)
    assert (old.points, new.points) == (100, 200)
    with shop.store.read() as read:
        rules = programmes.at_version(read, ana.programme_id, 1)
        assert tier_for(rules.tiers, 0) is not None
        assert rules.earning.points == 10


def test_a_basket_that_discounts_made_free_is_booked_and_earns_nothing(shop: Shop) -> None:
    ana = shop.join()
    free = [Line(quantity=1, unit_minor=400, discount_minor=400, category="coffee")]
    booked = shop.buy(ana.code, 0, lines=free)
    assert (booked.points, booked.amount_minor) == (0, 0)
    with pytest.raises(AmountInvalid):
        shop.buy(ana.code, 0)


# Claiming ------------------------------------------------------------------------


@pytest.mark.check("L-07")
def test_a_guest_claims_a_sale_once_within_the_days_by_its_number_and_total(shop: Shop) -> None:
    def sell() -> int:
        return checkout.sale(
            shop.store, programme=COFFEE, amount_minor=1240, key=shop.key(), at=TILL, now=shop.now
        ).id

    def claim(code: str, sale_id: int, amount_minor: int = 1240, **options: Any) -> Receipt:
        values = {"key": shop.key(), "at": TILL, "now": shop.now, **options}
        return checkout.claim(
            shop.store, programme=COFFEE, code=code, sale_id=sale_id, amount_minor=amount_minor, **values
        )

    sale_id = sell()
    ana, ben = shop.join(), shop.join("Ben Ito")
    for unknown, total in ((sale_id, 1241), (sale_id + 1, 1240), (0, 1240), (2**70, 1240)):
        with pytest.raises(SaleUnknown):
            claim(ana.code, unknown, total)
    later = shop.now + timedelta(days=13)
    claimed = claim(ana.code, sale_id, key="claim-1", now=later)
    assert (claimed.points, claimed.balance_after, claimed.occurred_at) == (124, 224, shop.now)
    assert claim(ana.code, sale_id, key="claim-1", now=later) == claimed
    for code in (ana.code, ben.code):
        with pytest.raises(AlreadyClaimed):
            claim(code, sale_id)
    with pytest.raises(UndoTooLate):
        shop.undo(claimed.id, now=later)
    with pytest.raises(ClaimTooLate):
        # Fourteen midnights after the sale in Chicago.
        claim(ben.code, sell(), now=datetime.fromisoformat("2026-03-28T05:00:00+00:00"))
    back = checkout.take_back(
        shop.store, programme=COFFEE, receipt_id=claimed.id, key="back", at=TILL, now=later
    )
    assert (back.points, back.balance_after) == (-124, 100)
    assert books.verify(shop.store).right
