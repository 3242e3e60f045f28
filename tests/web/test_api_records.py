"""Shops' own programs read everything, page by page, and see no more than their key allows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask

from passes import checkout, merging
from passes.api_keys import Scope
from passes.loyalty import codes
from passes.loyalty.receipt import Counter
from passes.web.api import records, wire
from tests.shop import BOOKS, COFFEE, Shop
from tests.web.test_api import Register, problem, register


@pytest.fixture
def program(app: Flask, house: Shop) -> Register:
    """A program of the shop's that may read, and not see how to reach anybody."""
    return register(app, house, Scope.READ, Scope.RECORDS)


def ask(program: Register, path: str, **query: object) -> dict[str, Any]:
    """An answer that is what the document says."""
    answer = program.get(f"{path}?{urlencode(query)}" if query else path)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert isinstance(answer.json, dict)
    if "data" in answer.json:
        page = records.MemberPage if path.endswith("/members") else records.ReceiptPage
        page.model_validate_json(answer.get_data(), extra="forbid")
    return answer.json


def pages(program: Register, path: str, **query: object) -> Iterator[list[dict[str, Any]]]:
    """All pages of a list, one after the other."""
    cursor: dict[str, object] = {}
    while True:
        page = ask(program, path, **query, **cursor)
        yield page["data"]
        if page["next"] is None:
            return
        cursor = {"cursor": page["next"]}


def names(program: Register, **query: object) -> list[str]:
    return [one["name"] for page in pages(program, "/records/members", **query) for one in page]


def test_a_list_goes_on_where_it_was_however_many_come_meanwhile(program: Register, house: Shop) -> None:
    first = [f"Member {number}" for number in range(5)]
    for name in first:
        house.join(name)
    oldest = pages(program, "/records/members", limit=2)
    newest = pages(program, "/records/members", limit=2, order="newest")
    assert [one["name"] for one in next(oldest)] == first[:2]
    assert [one["name"] for one in next(newest)] == [first[4], first[3]]
    house.join("Late")
    assert [one["name"] for page in oldest for one in page] == [*first[2:], "Late"]
    assert [one["name"] for page in newest for one in page] == [first[2], first[1], first[0]]


def test_a_member_comes_with_tier_and_balances_and_without_ways_to_reach_them(
    app: Flask, program: Register, house: Shop
) -> None:
    ana = house.join("Ana Reyes", email="ana@example.com", phone="+905551234567")
    house.now += timedelta(minutes=1)
    house.buy(ana.code, 1240)
    (found,) = ask(program, "/records/members")["data"]
    assert found == ask(program, f"/records/members/{ana.member_id}")
    records.MemberRecord.model_validate(found, extra="forbid")
    assert (found["name"], found["code"], found["state"]) == ("Ana Reyes", codes.grouped(ana.code), "open")
    assert (found["balance"], found["pending"], found["held"], found["tier"]) == (224, 0, 0, "perch")
    assert (found["purchases"], found["last_purchase_at"]) == (1, "2026-03-14T10:01:00+00:00")
    assert (found["email"], found["phone"]) == (None, None)
    trusted = register(app, house, Scope.RECORDS, Scope.PEOPLE)
    known = ask(trusted, f"/records/members/{ana.member_id}")
    assert (known["email"], known["phone"]) == ("ana@example.com", "+905551234567")


def test_members_are_found_by_what_happened_since(program: Register, house: Shop) -> None:
    ana = house.join("Ana")
    house.now += timedelta(days=1)
    house.join("Ben")
    house.now += timedelta(days=1)
    since = house.now.isoformat()
    assert names(program, joined_since=(house.now - timedelta(days=1)).isoformat()) == ["Ben"]
    assert names(program, joined_since=since) == []
    assert names(program, booked_since=since) == []
    house.buy(ana.code, 1000)
    assert names(program, booked_since=since) == ["Ana"]
    assert names(program, code=ana.code.lower()) == ["Ana"]
    assert names(program, tier="perch") == ["Ana", "Ben"]
    assert names(program, tier="nothing") == []


def test_who_left_or_was_merged_is_said_to_have(program: Register, house: Shop) -> None:
    ana, again = house.join("Ana Reyes"), house.join("Ana R.")
    merging.merge(
        house.store,
        programme=COFFEE,
        survivor=ana.code,
        loser=again.code,
        proof="showed both cards",
        key=house.key(),
        by="mo",
        now=house.now,
    )
    balance = house.balance(ana.code)
    kept, merged = ask(program, "/records/members")["data"]
    assert (kept["state"], kept["balance"]) == ("open", balance)
    assert (merged["state"], merged["merged_into"]) == ("merged", kept["id"])
    assert (merged["code"], merged["card_id"], merged["balance"]) == (None, None, 0)


def test_receipts_are_listed_by_time_member_kind_and_place(program: Register, house: Shop) -> None:
    ana, ben = house.join("Ana"), house.join("Ben")
    house.now += timedelta(hours=1)
    began = house.now.isoformat()
    bought = house.buy(ana.code, 1240)
    other = checkout.accrue(
        house.store,
        programme=COFFEE,
        code=ben.code,
        amount_minor=500,
        key=house.key(),
        at=Counter(location="lakeview"),
        now=house.now,
    )

    def ids(path: str = "/records/receipts", **query: object) -> list[str]:
        return [one["id"] for page in pages(program, path, limit=1, **query) for one in page]

    assert ids(since=began) == [str(bought.id), str(other.id)]
    assert ids(since=began, order="newest") == [str(other.id), str(bought.id)]
    assert ids(since=began, location="lakeview") == [str(other.id)]
    assert ids(kind="accrue", member_id=ana.member_id) == [str(bought.id)]
    assert ids(f"/records/members/{ana.member_id}/receipts", kind="accrue") == [str(bought.id)]
    assert len(ids(until=began)) == 2
    (listed,) = ask(program, "/records/receipts", since=began, location="lakeview")["data"]
    asked = program.get(f"/receipts/{other.id}").json
    assert asked is not None
    assert {**asked, "why": None} == {**listed, "why": None}


def test_a_key_that_stands_somewhere_sees_the_receipts_of_that_place_only(app: Flask, house: Shop) -> None:
    ana = house.join()
    here = house.buy(ana.code, 1240)
    house.buy(ana.code, 500, at=Counter(location="lakeview"))
    local = register(app, house, Scope.RECORDS, location="west-loop")
    for path in ("/records/receipts", f"/records/members/{ana.member_id}/receipts"):
        assert [one["id"] for one in ask(local, path, kind="accrue")["data"]] == [str(here.id)]
        assert problem(local.get(f"{path}?location=lakeview")) == (422, "location_unknown")


def test_a_cursor_that_was_not_said_here_is_refused(program: Register, house: Shop) -> None:
    for name in ("Ana", "Ben", "Cem"):
        house.join(name)
    good = ask(program, "/records/members", limit=1)["next"]
    assert ask(program, "/records/members", limit=2, cursor=good)["next"] is None
    number, _, proof = good.partition("-")
    other = f"{int(number, 16) + 1:x}-{proof}"
    for cursor in ("1", "-", "zz-x", "ü", "0" * 64, other, good + "x", good.upper(), proof, f" {good}"):
        answer = program.get(f"/records/members?{urlencode({'cursor': cursor})}")
        assert problem(answer) == (422, "cursor_invalid"), cursor
    for elsewhere in ("/records/members?order=newest&", "/records/members?tier=perch&", "/records/receipts?"):
        assert problem(program.get(f"{elsewhere}cursor={good}")) == (422, "cursor_invalid")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "?limit"),
        (f"limit={records.PAGE_MAX + 1}", "?limit"),
        ("limit=many", "?limit"),
        ("limit=1&limit=2", "?limit"),
        ("cursor=", "?cursor"),
        (f"cursor={'x' * 65}", "?cursor"),
        ("order=sideways", "?order"),
        ("joined_since=yesterday", "?joined_since"),
        ("joined_since=2026-03-14T10:00:00", "?joined_since"),
        ("joined_since=1773482400", "?joined_since"),
        ("page=2", "?page"),
    ],
)
def test_a_question_that_is_not_understood_is_told_which_name(
    program: Register, query: str, name: str
) -> None:
    answer = program.get(f"/records/members?{query}")
    assert problem(answer) == (422, "request_invalid")
    assert answer.json is not None
    assert [one["pointer"] for one in answer.json["errors"]] == [name]


@pytest.mark.parametrize(
    "instant", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-03-14T10:00:00-23:59"]
)
def test_any_instant_may_be_asked_for(program: Register, house: Shop, instant: str) -> None:
    house.join()
    for path, name in (
        ("members", "joined_since"),
        ("members", "booked_since"),
        ("receipts", "since"),
        ("receipts", "until"),
    ):
        ask(program, f"/records/{path}", **{name: instant})


@pytest.mark.parametrize("number", ["0", "1", "-1", "x", "1.0", "9" * 19, "9" * 30, "٣", "%00"])
def test_a_member_who_is_not_there_is_unknown(program: Register, house: Shop, number: str) -> None:
    for path in (f"/records/members/{number}", f"/records/members/{number}/receipts"):
        answer = program.get(path)
        assert problem(answer) in ((404, "member_unknown"), (400, "http_400"))


def test_another_programmes_members_are_not_there(app: Flask, program: Register, house: Shop) -> None:
    reader = house.join("Dee", BOOKS)
    assert names(program) == []
    assert problem(program.get(f"/records/members/{reader.member_id}")) == (404, "member_unknown")
    assert ask(program, "/records/receipts")["data"] == []


def test_the_programmes_facts_are_what_a_register_needs(program: Register) -> None:
    facts = ask(program, "/programme")
    records.ProgrammeAnswer.model_validate(facts, extra="forbid")
    assert (facts["currency"], facts["decimals"], facts["unit"]["other"]) == ("USD", 2, "beans")
    assert "west-loop" in {one["key"] for one in facts["shops"]}
    assert "coffee" in {one["key"] for one in facts["categories"]}
    assert {"key": "perch", "threshold": 0}.items() <= facts["tiers"][0].items()
    assert "extra-shot" in {one["key"] for one in facts["rewards"]}
    program.headers["Accept-Language"] = "tr"
    assert ask(program, "/programme")["unit"]["other"] == "çekirdek"


def test_the_lists_are_what_wire_calls_a_receipt(program: Register, house: Shop) -> None:
    house.buy(house.join().code, 1240)
    for one in ask(program, "/records/receipts")["data"]:
        wire.ReceiptAnswer.model_validate(one, extra="forbid")
