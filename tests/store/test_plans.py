"""Every question at the counter finds its rows by the whole of its key, also in a new SQLite file."""

from __future__ import annotations

import sqlite3

import pytest

from passes import store as database
from passes.store import (
    books,
    counter,
    finding,
    journal,
    members,
    one_time,
    programmes,
    registers,
    safety,
)
from passes.store.work import Prepared

QUESTIONS = {
    "code": (
        members._LOOK,
        ("ix_card_code", "sqlite_autoindex_card_code", "PRIMARY KEY (programme_id=? AND code=?)"),
    ),
    "receipts of a member": (journal._OF_MEMBER, ("programme_id=? AND member_id=?",)),
    "receipts of a cashier": (journal._OF_PERSON, ("programme_id=? AND person=?",)),
    "open lots": (journal._OPEN_LOTS, ("programme_id=? AND account_id=?",)),
    "lots of a posting": (journal._LOTS_OF_POSTING, ("programme_id=? AND posting_id=?",)),
    "consumption of a posting": (journal._CONSUMED_BY, ("programme_id=? AND posting_id=?",)),
    "postings of a receipt": (journal._POSTINGS_OF, ("programme_id=? AND receipt_id=?",)),
    "request": (journal._REQUEST, ("programme_id=? AND key=?",)),
    "same address": (members._SAME_EMAIL, ("programme_id=? AND email_key=?",)),
    "member at the counter": (
        counter._SEE,
        ("PRIMARY KEY (programme_id=? AND code=?)", "sqlite_autoindex_card_code"),
    ),
    "points that lapse next": (counter._NEXT_TO_LAPSE, ("programme_id=? AND account_id=?",)),
    "own card": (
        safety._OWN_BY_CODE,
        ("sqlite_autoindex_card_code", "PRIMARY KEY (programme_id=? AND code=?)"),
    ),
    "own member": (safety._OWN, ("login=?",)),
    "purchases of today": (safety._PURCHASES_BETWEEN, ("programme_id=? AND member_id=? AND id>?",)),
    "one-time codes": (one_time._OPEN, ("programme_id=? AND member_id=?",)),
    "beginning of a name": (
        finding._BY_NAME["name_key", False, False],
        ("programme_id=? AND name_key>? AND name_key<?",),
    ),
    "beginning of a last name": (
        finding._BY_NAME["name_turned", False, True],
        ("programme_id=? AND name_turned>? AND name_turned<?",),
    ),
    "address looked up": (finding._BY_EMAIL, ("programme_id=? AND email_key=?",)),
    "number looked up": (finding._BY_PHONE, ("programme_id=? AND phone=?",)),
    "code of a card": (finding._CODE_OF_CARD, ("programme_id=? AND card_id=?",)),
    "programme": (programmes._BY_ID, ("id=?",)),
    "orders of registers that are due": (
        registers._DUE,
        ("USING INDEX ix_register_message_due",),
    ),
    "how many messages wait": (
        registers._WAITING_EVERYWHERE,
        ("USING INDEX ix_register_message_due",),
    ),
    "waiting messages of an order": (
        registers._WAITING,
        ("programme_id=? AND register_id=? AND order_key=?",),
    ),
    "order of a register": (
        registers._ORDER_LOCKED,
        ("programme_id=? AND register_id=? AND order_key=?",),
    ),
    "next block": (books._LAST_BLOCK, ("programme_id=?",)),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_uses_its_whole_key(sqlite_url: str, question: str) -> None:
    statement, wanted = QUESTIONS[question]
    store = database.open(sqlite_url)
    prepared = Prepared(statement, store._engine.dialect)
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    asked = statement.compile(dialect=store._engine.dialect).params
    values = prepared.bind({name: 1 for name, fixed in asked.items() if fixed is None})
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {prepared.text}", values)]
    connection.close()
    store.close()
    assert any(word in line for line in plan for word in wanted), plan
    # What a part of the question found is walked through; a table never is.
    found = {line.removeprefix("MATERIALIZE ") for line in plan if line.startswith("MATERIALIZE")}
    scanned = {line.split()[1] for line in plan if line.startswith("SCAN")}
    assert scanned <= found, plan
