"""The books: append-only, sealed, provable, and equal to what every posting says."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import delete, text, update

from passes import books
from passes.loyalty.receipt import Receipt
from passes.loyalty.refusals import AlreadyUndone, NotEnoughPoints, UndoTooLate
from passes.store import Store, Work
from passes.store.models import account, block, consumption, lot, posting, receipt, request
from tests.cast import rows
from tests.shop import COFFEE, Shop, open_shop


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    return open_shop(store, now)


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """Ana bought, redeemed and undid; Ben bought."""
    ana, ben = shop.join(), shop.join("Ben Novak")
    shop.buy(ana.code, 5400)
    shop.undo(shop.redeem(ana.code, "brewed-coffee").id)
    shop.redeem(ana.code, "extra-shot")
    shop.buy(ben.code, 999)
    return shop


def tamper(store: Store, statement: Any) -> None:
    """Change a table that no trigger guards, behind the program's back."""
    store.write(lambda work: work.put(statement))


def unguarded(store: Store, statement: Any) -> None:
    """Change a guarded table as somebody with the database's keys could."""

    def decide(work: Work) -> None:
        on = " ON posting" if work.postgresql else ""
        work.put(text(f"DROP TRIGGER posting_kept{on}"))
        work.put(statement)

    store.write(decide)


def test_books_that_are_right_say_so(busy: Shop) -> None:
    verified = books.verify(busy.store)
    assert verified.right
    assert (verified.postings, verified.lots) == (7, 4)


@pytest.mark.check("L-61")
@pytest.mark.parametrize("table", ["posting", "consumption", "request", "purchase_line"])
def test_the_database_itself_refuses_to_change_or_delete_the_journal(busy: Shop, table: str) -> None:
    from passes.loyalty.basket import Line
    from tests.cast import rows as read_rows

    busy.buy(busy.join("Cleo").code, 300, lines=[Line(1, 300)])
    changes: dict[str, tuple[Any, Any]] = {
        "posting": (update(posting).values(amount=1), delete(posting)),
        "consumption": (update(consumption).values(amount=1), delete(consumption)),
        "request": (update(request).values(answer="{}"), delete(request)),
    }
    if table == "purchase_line":
        from passes.store.models import purchase_line

        changes[table] = (update(purchase_line).values(net_minor=1), delete(purchase_line))
    before = read_rows(busy.store, table)
    assert before
    for statement in changes[table]:
        with pytest.raises(Exception, match="append-only"):
            tamper(busy.store, statement)
    assert read_rows(busy.store, table) == before


@pytest.mark.check("L-61")
def test_a_sealed_posting_cannot_change_its_block(busy: Shop) -> None:
    books.seal_due(busy.store, now=busy.now)
    with pytest.raises(Exception, match="append-only"):
        tamper(busy.store, update(posting).values(block=99))
    with pytest.raises(Exception, match="append-only"):
        tamper(busy.store, update(block).values(hash="0" * 64))


def test_postgresql_refuses_to_empty_the_journal(postgresql_url: str) -> None:
    with (
        psycopg.connect(postgresql_url.replace("+psycopg", "")) as connection,
        pytest.raises(psycopg.errors.RaiseException, match="append-only"),
    ):
        connection.execute("TRUNCATE posting CASCADE")


@pytest.mark.check("L-63")
def test_a_changed_byte_in_a_sealed_block_is_found(busy: Shop) -> None:
    assert books.seal_due(busy.store, now=busy.now) == 7
    busy.buy(busy.join("Cleo").code, 300)
    assert books.seal_due(busy.store, now=busy.now) == 2
    assert books.verify(busy.store).blocks == 2
    assert books.verify(busy.store).right
    first = min(int(row["id"]) for row in rows(busy.store, "posting"))
    unguarded(busy.store, update(posting).where(posting.c.id == first).values(occurred_at=1))
    problems = books.verify(busy.store).problems
    assert problems == (f"{COFFEE}: block 1 was changed after it was sealed",)


@pytest.mark.check("L-63")
def test_a_missing_posting_or_block_is_found(busy: Shop) -> None:
    books.seal_due(busy.store, now=busy.now)
    busy.buy(busy.join("Cleo").code, 300)
    books.seal_due(busy.store, now=busy.now)
    store = busy.store

    def decide(work: Work) -> None:
        on = " ON block" if work.postgresql else ""
        work.put(text(f"DROP TRIGGER block_not_deleted{on}"))
        work.put(delete(block).where(block.c.number == 1))

    store.write(decide)
    problems = books.verify(store).problems
    assert f"{COFFEE}: block 1 is missing" in problems
    assert f"{COFFEE}: block 2 does not follow the one before it" in problems


def test_sealing_is_harmless_to_repeat_and_takes_what_came_since(busy: Shop) -> None:
    assert books.seal_due(busy.store, now=busy.now) == 7
    assert books.seal_due(busy.store, now=busy.now) == 0
    assert {row["block"] for row in rows(busy.store, "posting")} == {1}
    assert books.verify(busy.store).right


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            update(account).where(account.c.owner_kind == "member").values(balance=account.c.balance + 1),
            "shows",
        ),
        (update(lot).where(lot.c.remaining > 1).values(remaining=lot.c.remaining - 1), "lot"),
        (update(receipt).where(receipt.c.kind == "accrue").values(points=receipt.c.points + 1), "states"),
        (delete(lot), "its lots hold 0"),
    ],
)
def test_every_kind_of_wrong_is_found(busy: Shop, statement: Any, words: str) -> None:
    tamper(busy.store, statement)
    problems = books.verify(busy.store).problems
    assert problems
    assert any(words in problem for problem in problems)


@pytest.mark.check("L-62")
def test_the_balance_as_of_an_instant_knows_what_was_known_then(shop: Shop) -> None:
    ana = shop.join()
    shop.buy(ana.code, 1000)
    day = timedelta(days=1)
    shop.buy(ana.code, 500, occurred_at=shop.now - 2 * day, now=shop.now + day)

    def held(at: datetime, known_at: datetime) -> int:
        return books.balance_as_of(shop.store, programme=COFFEE, code=ana.code, at=at, known_at=known_at)

    assert held(shop.now, shop.now) == 200
    # A day later the offline till reported a sale of two days before.
    assert held(shop.now, shop.now + day) == 250
    assert held(shop.now - day, shop.now) == 0
    assert held(shop.now - day, shop.now + day) == 50
    assert held(shop.now + day, shop.now + day) == shop.balance(ana.code) == 250


# Any order of anything ------------------------------------------------------------

_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), st.integers(0, 2), st.integers(1, 20_000)),
        st.tuples(st.just("redeem"), st.integers(0, 2), st.sampled_from(["extra-shot", "brewed-coffee"])),
        st.tuples(st.just("undo"), st.integers(0, 30), st.none()),
        st.tuples(st.just("again"), st.integers(0, 30), st.none()),
        st.tuples(st.just("seal"), st.none(), st.none()),
    ),
    min_size=5,
    max_size=40,
)


@pytest.mark.slow
@pytest.mark.check("L-57", "L-58")
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(steps=_STEPS)
def test_nothing_is_created_or_lost_whatever_happens_in_whatever_order(shop: Shop, steps: list[Any]) -> None:
    """A model of three balances beside the real books, on both engines."""
    cards = [shop.join(f"Member {number}") for number in range(3)]
    balances = [100, 100, 100]
    done: list[tuple[partial[Receipt], Receipt, int]] = []
    for kind, which, what in steps:
        key = shop.key()
        if kind == "buy":
            call = partial(shop.buy, cards[which].code, what, key=key)
        elif kind == "redeem":
            call = partial(shop.redeem, cards[which].code, what, key=key)
        elif kind == "undo" and done:
            _, undone, which = done[which % len(done)]
            call = partial(shop.undo, undone.id, key=key)
        elif kind == "again" and done:
            repeated, first, _ = done[which % len(done)]
            assert repeated() == first
            continue
        else:
            books.seal_due(shop.store, now=shop.now)
            continue
        try:
            booked = call()
        except (NotEnoughPoints, AlreadyUndone, UndoTooLate):
            continue
        balances[which] += booked.points
        assert booked.balance_after == balances[which]
        done.append((call, booked, which))
    assert [shop.balance(card.code) for card in cards] == balances
    assert books.verify(shop.store).right
    _zero_sum(shop.store)
    _lots_follow_from_postings(shop.store)


def _zero_sum(store: Store) -> None:
    totals: dict[str, int] = {}
    for row in rows(store, "posting"):
        totals[row["source"]] = totals.get(row["source"], 0) - row["amount"]
        totals[row["target"]] = totals.get(row["target"], 0) + row["amount"]
    assert sum(totals.values()) == 0
    for row in rows(store, "account"):
        if row["balance"] is not None:
            assert row["balance"] == totals.get(row["id"], 0)


def _lots_follow_from_postings(store: Store) -> None:
    """Replay every posting in order over plain lots; the stored lots must come out."""
    members = {row["id"] for row in rows(store, "account") if row["balance"] is not None}
    postings = sorted(rows(store, "posting"), key=lambda row: int(row["id"]))
    lots: dict[int, list[list[int]]] = {}
    taken: dict[int, list[tuple[int, int]]] = {}
    held: dict[int, int] = {}

    def take(owner: int, amount: int, first: int | None, by: int) -> None:
        own = [one for one in lots.get(owner, []) if one[0] == first]
        for one in own + [one for one in lots.get(owner, []) if one[0] != first]:
            part = min(one[1], amount)
            if part:
                one[1] -= part
                amount -= part
                taken.setdefault(by, []).append((one[0], part))

    for row in postings:
        if row["target"] in members:
            owner, hole = row["target"], max(-held.get(row["target"], 0), 0)
            held[owner] = held.get(owner, 0) + row["amount"]
            if row["reverses"] is None:
                lots.setdefault(owner, []).append([row["id"], row["amount"] - min(hole, row["amount"])])
            else:
                for opened_by, part in taken.get(row["reverses"], []):
                    next(one for one in lots[owner] if one[0] == opened_by)[1] += part
                take(owner, hole, None, -row["id"])
        elif row["source"] in members:
            owner = row["source"]
            held[owner] = held.get(owner, 0) - row["amount"]
            take(owner, row["amount"], row["reverses"], row["id"])
    replayed = {one[0]: one[1] for owned in lots.values() for one in owned}
    stored = {row["posting_id"]: row["remaining"] for row in rows(store, "lot")}
    assert stored == replayed
