"""Purchases of many tills in one transaction: as right as in one of their own, and cheaper."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import bindparam, insert, select, update

from passes import books, checkout
from passes import store as database
from passes.loyalty import codes
from passes.loyalty.receipt import Receipt
from passes.loyalty.refusals import ApiKeyInvalid, CodeUnknown, KeyReused, Refused
from passes.store import Read, Store, Unexpected, Work
from passes.store.models import alarm
from passes.store.pipeline import Pipeline, Reply
from tests.shop import COFFEE, Shop, open_shop

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
_ADD = insert(alarm)
_COUNT = select(alarm.c.count).where(alarm.c.name == bindparam("which"))
_COUNT_LOCKED = _COUNT.with_for_update()
_COUNT_UP = update(alarm).where(alarm.c.name == bindparam("which")).values(count=alarm.c.count + 1)


@pytest.fixture
def served(postgresql_url: str) -> Iterator[Store]:
    """PostgreSQL as a server opens it."""
    opened = database.open(postgresql_url, writer_thread=True)
    yield opened
    opened.close()


@pytest.fixture
def counter(served: Store) -> Shop:
    """Both shops, with what never changes already read."""
    shop = open_shop(served, NOW)
    shop.buy(shop.join("Warm Up").code, 1_00)
    return shop


@pytest.fixture
def look(postgresql_url: str) -> Iterator[Callable[[str], Any]]:
    """The first column of the first row, past the store."""
    with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as connection:

        def first(question: str) -> Any:
            row = connection.execute(question).fetchone()
            return None if row is None else row[0]

        yield first


def at_once(store: Store, doings: Sequence[Callable[[], Any]]) -> list[Any]:
    """What comes of them when all wait for the same journey: answers, or what was raised."""
    shared = store._shared
    assert shared is not None
    is_under_way, may_go = threading.Event(), threading.Event()

    def hold(work: Work) -> None:
        is_under_way.set()
        assert may_go.wait(10)

    def outcome(doing: Callable[[], Any]) -> Any:
        try:
            return doing()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(doings) + 1) as pool:
        first = pool.submit(lambda: store.write(hold, lane="0"))
        assert is_under_way.wait(10)
        waiting = [pool.submit(outcome, doing) for doing in doings]
        while shared._queue.qsize() < len(doings):
            threading.Event().wait(0.001)
        may_go.set()
        first.result(10)
        return [one.result(20) for one in waiting]


def add(work: Work, name: str) -> None:
    work.put(_ADD, name=name, words="w", since=1, last_at=1, count=0, cleared_at=None)


def test_those_who_wait_at_the_same_moment_share_one_commit(
    served: Store, counter: Shop, look: Callable[[str], Any]
) -> None:
    codes = [counter.join(f"Member {number}").code for number in range(12)]
    booked = at_once(served, [partial(counter.buy, code, 12_40) for code in codes])
    assert {receipt.points for receipt in booked} == {124}
    assert [counter.balance(code) for code in codes] == [224] * 12
    ids = ", ".join(str(receipt.id) for receipt in booked)
    assert look(f"SELECT count(DISTINCT xmin::text) FROM receipt WHERE id IN ({ids})") == 1
    assert look("SELECT count(*) FROM receipt") == 13 + 13  # each has a welcome, too
    assert books.verify(served).problems == ()


def test_of_one_card_each_purchase_builds_on_the_last(served: Store, counter: Shop) -> None:
    ana = counter.join()
    booked = at_once(served, [lambda: counter.buy(ana.code, 10_00) for _ in range(8)])
    assert sorted(receipt.balance_after for receipt in booked) == [100 + 100 * n for n in range(1, 9)]
    assert books.verify(served).problems == ()


def test_two_codes_of_one_card_never_share_a_transaction(
    served: Store, counter: Shop, look: Callable[[str], Any]
) -> None:
    ana = counter.join()
    checkout.add_alias(served, programme=COFFEE, code=ana.code, former="OLD-77", by="olive", now=NOW)
    one, other = at_once(served, [lambda: counter.buy(ana.code, 10_00), lambda: counter.buy("OLD-77", 10_00)])
    assert sorted((one.balance_after, other.balance_after)) == [200, 300]
    assert counter.balance(ana.code) == 300
    assert look(f"SELECT count(DISTINCT xmin::text) FROM receipt WHERE id IN ({one.id}, {other.id})") == 2
    assert books.verify(served).problems == ()


def test_who_is_refused_harms_nobody_beside(served: Store, counter: Shop) -> None:
    ana, ben = counter.join("Ana"), counter.join("Ben")
    never_given = "2" * 15 + codes.check_character("2" * 15, codes.CodeKind.LETTERS)
    first, refused, last = at_once(
        served,
        [
            lambda: counter.buy(ana.code, 10_00),
            lambda: counter.buy(never_given, 10_00),
            lambda: counter.buy(ben.code, 10_00),
        ],
    )
    assert (first.points, last.points) == (100, 100)
    assert isinstance(refused, CodeUnknown)


def test_the_same_request_twice_is_booked_once_and_answered_twice(served: Store, counter: Shop) -> None:
    ana = counter.join()
    same = {"key": "the-same"}
    one, other = at_once(served, [lambda: counter.buy(ana.code, 10_00, **same)] * 2)
    assert one == other
    assert counter.balance(ana.code) == 200


def test_one_key_for_two_cards_books_one_of_them(served: Store, counter: Shop) -> None:
    ana, ben, cem = (counter.join(name) for name in ("Ana", "Ben", "Cem"))
    same = {"key": "the-same"}
    outcomes = at_once(
        served,
        [
            lambda: counter.buy(ana.code, 10_00, **same),
            lambda: counter.buy(ben.code, 10_00, **same),
            lambda: counter.buy(cem.code, 10_00),
        ],
    )
    assert sum(isinstance(one, KeyReused) for one in outcomes[:2]) == 1
    assert sorted(counter.balance(one.code) for one in (ana, ben)) == [100, 200]
    assert outcomes[2].balance_after == 200
    assert books.verify(served).problems == ()


def test_a_broken_promise_undoes_its_own_write_alone(served: Store) -> None:
    def broken(work: Work) -> None:
        add(work, "broken")
        work.put(_COUNT_UP, expect=1, which="nobody")

    kept, failed = at_once(
        served,
        [
            lambda: served.write(lambda work: add(work, "kept"), lane="a"),
            lambda: served.write(broken, lane="b"),
        ],
    )
    assert kept is None
    assert isinstance(failed, Unexpected)
    with served.read() as read:
        assert read.ask(_COUNT, which="kept").value() == 0
        assert read.ask(_COUNT, which="broken").value() is None


def test_what_is_locked_after_an_answer_is_locked_in_a_transaction_of_its_own(served: Store) -> None:
    served.write(lambda work: add(work, "budget"))

    def take(work: Work) -> int:
        known = work.ask(_COUNT, which="budget").value()
        assert known is not None
        left: int = work.ask(_COUNT_LOCKED, which="budget").value()
        work.put(_COUNT_UP, expect=1, which="budget")
        return left

    seen = at_once(served, [partial(served.write, take, lane=str(lane)) for lane in range(6)])
    assert sorted(seen) == list(range(6))


def test_a_card_that_somebody_holds_delays_the_others_for_a_moment_only(
    served: Store, counter: Shop, postgresql_url: str
) -> None:
    ana, ben = counter.join("Ana"), counter.join("Ben")
    with psycopg.connect(postgresql_url.replace("+psycopg", "")) as other, ThreadPoolExecutor(1) as pool:
        other.execute(
            "SELECT 1 FROM card JOIN card_code ON card_id = card.id WHERE code = %s FOR UPDATE OF card",
            [ana.code],
        )
        held = pool.submit(lambda: counter.buy(ana.code, 10_00))
        assert counter.buy(ben.code, 10_00).balance_after == 200
        assert not held.done()
        other.execute("ROLLBACK")
        assert held.result(10).balance_after == 200


def test_a_lost_connection_loses_nothing(served: Store, counter: Shop, look: Callable[[str], Any]) -> None:
    ana = counter.join()
    counter.buy(ana.code, 10_00)
    look(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    assert counter.buy(ana.code, 10_00).balance_after == 300
    booked = at_once(served, [lambda: counter.buy(ana.code, 10_00), lambda: counter.buy(ana.code, 10_00)])
    assert max(receipt.balance_after for receipt in booked) == 500


def test_when_the_server_forgets_its_statements_they_are_prepared_anew(served: Store, counter: Shop) -> None:
    ana = counter.join()
    counter.buy(ana.code, 10_00)
    assert served._shared is not None
    connection = served._shared._connection
    assert connection is not None
    connection.execute("DEALLOCATE ALL")
    assert counter.buy(ana.code, 10_00).balance_after == 300
    assert counter.buy(ana.code, 10_00).balance_after == 400


def test_a_condition_is_asked_in_the_transaction_that_writes(served: Store, counter: Shop) -> None:
    ana, ben = counter.join("Ana"), counter.join("Ben")
    served.write(lambda work: add(work, "open"))

    def still_open(read: Read) -> Callable[[], None]:
        answer = read.ask(_COUNT, which="open")

        def verify() -> None:
            if answer.value() != 0:
                raise ApiKeyInvalid()

        return verify

    def buy(code: str) -> Receipt:
        guarded = Shop(served.under(still_open), NOW)
        return guarded.buy(code, 10_00, key=f"{code}-{counter.key()}")

    assert [one.balance_after for one in at_once(served, [lambda: buy(ana.code), lambda: buy(ben.code)])] == [
        200,
        200,
    ]
    served.write(lambda work: work.put(_COUNT_UP, which="open"))
    outcomes = at_once(
        served, [lambda: buy(ana.code), lambda: buy("2" * 16), lambda: counter.buy(ben.code, 10_00)]
    )
    assert [type(one) for one in outcomes] == [ApiKeyInvalid, ApiKeyInvalid, Receipt]
    assert (counter.balance(ana.code), counter.balance(ben.code)) == (200, 300)


def test_closing_finishes_what_waits(postgresql_url: str) -> None:
    store = database.open(postgresql_url, writer_thread=True)
    counter = open_shop(store, NOW)
    codes = [counter.join(f"Member {number}").code for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        booked = [pool.submit(counter.buy, code, 10_00) for code in codes]
        assert {one.result(10).balance_after for one in booked} == {200}
        store.close()
    # A request that comes while the process ends is not left waiting.
    assert counter.buy(codes[0], 10_00).balance_after == 300
    store.close()
    assert not [one for one in threading.enumerate() if one.name == "shared-writer"]


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 90_00)), min_size=2, max_size=24))
def test_any_mixture_of_purchases_ends_in_the_same_books(
    served: Store, counter: Shop, purchases: list[tuple[int, int]]
) -> None:
    codes = [counter.join(f"Member {number}").code for number in range(5)]
    keys = [counter.key() for _ in purchases]
    booked = at_once(
        served,
        [
            partial(counter.buy, codes[who], amount, key=key)
            for (who, amount), key in zip(purchases, keys, strict=True)
        ],
    )
    assert not [one for one in booked if isinstance(one, Refused)]
    for number, code in enumerate(codes):
        amounts = [amount for who, amount in purchases if who == number]
        mine = [one for one, (who, _) in zip(booked, purchases, strict=True) if who == number]
        assert counter.balance(code) == 100 + sum(one.points for one in mine)
        assert len(mine) == len(amounts)
    assert books.verify(served).problems == ()


def test_a_question_that_several_ask_is_sent_once_and_anew_in_the_next_journey(
    served: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.write(lambda work: add(work, "count"))
    sent: list[str] = []
    real = Pipeline.send

    def send(pipeline: Pipeline, text: str, parameters: Sequence[Any] = ()) -> Reply:
        sent.append(text)
        return real(pipeline, text, parameters)

    monkeypatch.setattr(Pipeline, "send", send)

    def look_at(work: Work) -> int:
        known: int = work.ask(_COUNT, which="count").value()
        return known

    doings = [partial(served.write, look_at, lane=str(lane)) for lane in range(5)]
    assert at_once(served, doings) == [0] * 5
    assert sum("SELECT" in text for text in sent) == 1
    served.write(lambda work: work.put(_COUNT_UP, which="count"))
    assert at_once(served, doings) == [1] * 5


@pytest.mark.slow
def test_two_servers_that_share_and_others_that_do_not_end_in_right_books(
    served: Store, counter: Shop, postgresql_url: str
) -> None:
    second = database.open(postgresql_url, writer_thread=True)
    codes = [counter.join(f"Member {number}").code for number in range(4)]
    keys, booked = count(1), list[int]()

    def visit(seed: int) -> None:
        chance, store = random.Random(seed), (served, second)[seed % 2]
        shop = Shop(store, NOW)
        for _ in range(15):
            code, what, key = chance.choice(codes), chance.random(), f"visit-{next(keys)}"
            with contextlib.suppress(Refused):
                if what < 0.7:
                    bought = shop.buy(code, chance.randint(1, 30_00), key=key)
                    booked.append(bought.id)
                    assert shop.buy(code, bought.amount_minor or 0, key=key) == bought
                elif what < 0.85:
                    shop.redeem(code, "extra-shot", key=key)
                elif booked:
                    shop.undo(chance.choice(booked), key=key)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(visit, range(10)))
    second.close()
    assert len(booked) > 60
    assert len(set(booked)) == len(booked)
    assert books.verify(served).problems == ()
