"""What others ask about merged members, and who may be one person."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from passes import books, merging
from passes.booking import Booking
from passes.enrolment import Joined
from passes.loyalty.receipt import ReceiptKind
from passes.merging import Merged
from passes.store import Store, Work, programmes
from passes.store import merging as rows
from tests import cast
from tests.shop import BOOKS, COFFEE, TILL, Shop, open_shop


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    return open_shop(store, now)


def merge(shop: Shop, survivor: Joined, loser: Joined) -> Merged:
    return merging.merge(
        shop.store,
        programme=COFFEE,
        survivor=survivor.code,
        loser=loser.code,
        proof="ID card",
        by="mo",
        key=shop.key(),
        now=shop.now,
    )


def part(shop: Shop, merged: Merged) -> Merged:
    return merging.undo(
        shop.store,
        programme=COFFEE,
        merge_id=merged.id,
        proof="Sisters",
        by="mo",
        key=shop.key(),
        now=shop.now,
    )


@pytest.mark.check("L-64")
def test_a_member_is_found_as_who_it_became(shop: Shop) -> None:
    ana, twin, cleo = shop.join(), shop.join("Ana R."), shop.join("Cleo")

    def survivor(joined: Joined) -> int:
        with shop.store.read() as read:
            return rows.survivor_of(read, joined.programme_id, joined.member_id)

    first = merge(shop, ana, twin)
    second = merge(shop, cleo, ana)
    assert [survivor(one) for one in (ana, twin, cleo)] == [cleo.member_id] * 3
    part(shop, second)
    assert [survivor(one) for one in (ana, twin, cleo)] == [ana.member_id, ana.member_id, cleo.member_id]
    part(shop, first)
    assert survivor(twin) == twin.member_id
    with shop.store.read() as read:
        assert rows.survivor_of(read, ana.programme_id, 7) == 7


@pytest.mark.check("L-64")
def test_points_of_an_order_from_before_are_taken_back_where_they_went(shop: Shop) -> None:
    ana, twin, cleo = shop.join(), shop.join("Ana R."), shop.join("Cleo")
    shop.buy(ana.code, 2000)
    bought = shop.buy(twin.code, 3000)
    (earned,) = (row["id"] for row in cast.rows(shop.store, "posting", f"receipt_id = {bought.id}"))
    merge(shop, ana, twin)
    merge(shop, cleo, ana)

    def take_back(work: Work) -> Any:
        loaded = programmes.by_slug(work, COFFEE)
        survivor_id = rows.survivor_of(work, loaded.id, bought.member_id)
        standing = rows.standing_of(work, loaded.id, survivor_id)
        assert standing is not None
        assert (standing.card_id, standing.balance) == (cleo.card_id, 600)
        first = rows.carried_postings(work, loaded.id, bought.member_id, [earned])
        assert len(first) == 3
        booking = Booking(
            work,
            loaded,
            standing,
            kind=ReceiptKind.RETURN,
            at=TILL,
            occurred_at=shop.now,
            now=shop.now,
        )
        booking.claw_back(300, first=first)
        return booking.finish()

    assert shop.store.write(take_back).balance_after == 300
    left = {row["original"]: row["remaining"] for row in cast.rows(shop.store, "lot") if row["remaining"]}
    assert left == {100: 100, 200: 200}
    assert books.verify(shop.store).right


def test_a_member_without_merges_keeps_its_own_postings(shop: Shop) -> None:
    ana = shop.join()
    with shop.store.read() as read:
        assert rows.carried_postings(read, ana.programme_id, ana.member_id, [5, 6]) == (5, 6)
        assert rows.merges_into(read, ana.programme_id, ana.member_id) == []


def test_candidates_share_an_address_a_phone_or_name_and_birthday(shop: Shop) -> None:
    born = date(2000, 5, 4)
    ana = shop.join(email="ana@example.org", phone="+1 312-555 0142", birthday=born)
    same_email = shop.join("A. Reyes", email="Ana@Example.ORG ")
    same_phone = shop.join("Ben", phone="+13125550142")
    same_name = shop.join("ana reyes", birthday=born)
    shop.join("Ana Reyes")
    shop.join("Cleo", birthday=born)
    shop.join("Dee", phone="")
    shop.join("Eve", phone="")
    shop.join("Ana Reyes", BOOKS, email="ana@example.org", phone="+13125550142", birthday=born)

    def found() -> list[tuple[str, int, str]]:
        return [
            (pair.shared, pair.older_id, pair.newer_code)
            for pair in merging.find(shop.store, programme=COFFEE)
        ]

    assert found() == [
        ("name and birthday", ana.member_id, same_name.code),
        ("phone", ana.member_id, same_phone.code),
        ("email", ana.member_id, same_email.code),
    ]
    assert len(merging.find(shop.store, programme=COFFEE, limit=2)) == 2
    merge(shop, ana, same_phone)
    assert [shared for shared, _, _ in found()] == ["name and birthday", "email"]
