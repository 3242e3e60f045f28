"""Whatever is asked about webhooks is found by a key, however long they have been told of things."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import TextClause

from passes import store as database
from passes.store import deliveries, webhooks
from passes.store.work import Prepared

QUESTIONS: dict[str, TextClause] = {
    **{f"what happened: {min(kinds)}": source for kinds, source in webhooks._SOURCES.items()},
    "how many wait": webhooks._HOW_MANY_WAIT,
    "whether any is due": deliveries._IS_ANY_DUE,
    "whose turn it is": deliveries._TAKE_ON_SQLITE,
    "what is due": deliveries._DUE,
    "one": deliveries._ONE,
    "the newest": deliveries._NEWEST,
    "what is tried now": deliveries._NOW,
    "what goes out again": deliveries._MANY_AGAIN,
    "the delivery of an event": deliveries._BY_EVENT,
    "old deliveries": deliveries._FORGET_OLD,
    "old events": deliveries._FORGET_EVENTS,
    "all of a webhook": deliveries._FORGET_ALL,
    "a first card": deliveries._CARD,
    "a card on a phone": deliveries._ON_PHONE,
}
# The webhooks themselves are few; the other is what a question counts of what it found.
SMALL = {"SCAN w", "SCAN waiting"}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_table_that_grows_is_walked_through(sqlite_url: str, question: str) -> None:
    store = database.open(sqlite_url)
    dialect = store._engine.dialect
    statement = QUESTIONS[question]
    prepared = Prepared(statement, dialect)
    values = prepared.bind(dict.fromkeys(statement.compile(dialect=dialect).params, 1))
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {prepared.text}", values)]
    connection.close()
    store.close()
    assert {line for line in plan if line.startswith("SCAN")} <= SMALL, plan
