"""What is sent to PostgreSQL without waiting arrives in order, whole, and leaves a clean connection."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.rows import namedtuple_row
from sqlalchemy import text

from passes import store as database
from passes.loyalty.refusals import Busy, LinkUnknown
from passes.store import Store, Work
from passes.store.pipeline import Pipeline


@pytest.fixture
def connection(postgresql_url: str) -> Iterator[psycopg.Connection[Any]]:
    plain = postgresql_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True, row_factory=namedtuple_row) as opened:
        yield opened


@pytest.fixture
def pipeline(connection: psycopg.Connection[Any]) -> Pipeline:
    return Pipeline(connection)


@pytest.fixture
def store(postgresql_url: str) -> Iterator[Store]:
    opened = database.open(postgresql_url, connections=1)
    yield opened
    opened.close()


def prepared(store: Store) -> int:
    """How many statements the server keeps for the store's one connection."""
    with store.read() as read:
        count: int = read.ask(
            text("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'passes%'")
        ).value()
    return count


def test_values_of_every_kind_arrive_as_they_were(pipeline: Pipeline) -> None:
    values: list[tuple[str, Any]] = [
        ("bigint", 2**62),
        ("bigint", None),
        ("text", "İzmir 🍂 'quoted' \\ %(x)s $1"),
        ("boolean", False),
        ("bytea", bytes(range(256))),
        ("double precision", 0.1),
        ("numeric", Decimal("12.40")),
        ("bigint[]", [1, 2, 3]),
    ]
    pipeline.begin()
    replies = [(pipeline.send(f"SELECT $1::{kind} AS it", [value]), value) for kind, value in values]
    for reply, value in reversed(replies):  # whichever is asked for first
        assert reply.fetchone().it == value
        assert reply.fetchone() is None
        assert reply.fetchall() == []
    pipeline.finish()


def test_much_in_both_directions_at_once_does_not_stand_still(pipeline: Pipeline) -> None:
    long = "x" * 2_000_000
    pipeline.begin()
    replies = [
        pipeline.send("SELECT $1::text AS long, $2::bigint AS number", [long, number]) for number in range(12)
    ]
    pipeline.finish()
    assert [(len(reply.fetchone().long), reply.result is not None) for reply in replies] == [
        (2_000_000, True)
    ] * 12


def test_the_first_error_is_the_one_that_is_raised_and_the_connection_stays_good(
    pipeline: Pipeline, connection: psycopg.Connection[Any]
) -> None:
    for when in ("while reading", "at the end"):
        pipeline.begin()
        pipeline.send("SELECT 1")
        broken = pipeline.send("SELECT 1 / $1::bigint", [0])
        pipeline.send("SELECT * FROM nothing_of_this_name")
        with pytest.raises(psycopg.errors.DivisionByZero):
            broken.fetchone() if when == "while reading" else pipeline.finish()
        pipeline.abandon()
        assert connection.execute("SELECT 7 AS it").fetchone() == (7,)
    pipeline.begin()
    assert pipeline.send("SELECT 1 / $1::bigint AS it", [1]).fetchone().it == 1
    pipeline.finish()


def test_a_statement_that_cannot_be_understood_is_not_taken_to_be_prepared(pipeline: Pipeline) -> None:
    for _ in range(3):
        with pytest.raises(psycopg.errors.UndefinedTable):
            pipeline.say("SELECT * FROM nothing_of_this_name")
    pipeline.say("CREATE TEMP TABLE nothing_of_this_name (it bigint)")
    pipeline.say("SELECT * FROM nothing_of_this_name")


def test_refusals_leave_neither_rows_nor_statements_behind(store: Store) -> None:
    add = text("INSERT INTO alarm (name, words, since, last_at, count) VALUES (:name, 'w', 1, 1, 0)")

    def refuse(work: Work) -> None:
        work.put(add, name="half")
        raise LinkUnknown()

    def keep(work: Work) -> None:
        work.put(add, name="whole")

    store.write(lambda work: work.put(text("DELETE FROM alarm")))
    with pytest.raises(LinkUnknown):
        store.write(refuse)
    before = prepared(store)
    for _ in range(30):
        with pytest.raises(LinkUnknown):
            store.write(refuse)
    store.write(keep)
    assert prepared(store) == before
    with store.read() as read:
        assert [row.name for row in read.ask(text("SELECT name FROM alarm")).all()] == ["whole"]


def test_what_the_server_was_made_to_forget_is_said_again(store: Store) -> None:
    one = text("SELECT 1 AS it")
    assert store.write(lambda work: work.ask(one).one()).it == 1  # type: ignore[union-attr]
    with store.read() as read:
        read.ask(text("DEALLOCATE ALL"))
    assert store.write(lambda work: work.ask(one).one()).it == 1  # type: ignore[union-attr]


def test_a_server_that_goes_away_in_the_middle_is_said_in_words(store: Store, postgresql_url: str) -> None:
    runs = []

    def decide(work: Work) -> None:
        runs.append(1)
        pid = work.ask(text("SELECT pg_backend_pid()")).value()
        with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
        work.ask(text("SELECT 1")).one()

    with pytest.raises(Busy):
        store.write(decide)
    assert len(runs) == 3
    assert store.write(lambda work: work.ask(text("SELECT 1 AS it")).value()) == 1
