"""A till's queue: late, twice, copied, lost, by strangers. Points move once, and nothing is dropped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from passes import access, books, tills
from passes.loyalty.refusals import Busy
from passes.store import Store
from passes.web.signin import DEVICE
from passes.web.till import items
from tests.shop import COFFEE, KEYS, Shop
from tests.web.conftest import signed_in
from tests.web.test_till_pairing import PIN, a_till, give_pin, pair, revoke
from tests.web.test_tills import owner_of
from tests.web.till_device import Device
from tests.web.visitor import Visitor


@pytest.fixture
def till(app: Flask, house: Shop) -> Device:
    """The paired till at West Loop, with Cy at it."""
    give_pin(house, "cy", PIN)
    device = Device(Visitor(app), house)
    pair(device.visitor, a_till(house)[1])
    assert device.sign_in().status_code == 200
    return device


@pytest.fixture
def olive(app: Flask, house: Shop) -> Visitor:
    """The coffee shop's owner in the console."""
    return owner_of(app, house, COFFEE, "olive")


def reviews(house: Shop) -> list[tuple[str, str]]:
    return [(one.operation, one.why) for one in tills.open_reviews(house.store, programme=COFFEE)]


def ledger(store: Store) -> list[Any]:
    with store.read() as read:
        return [tuple(row) for row in read.ask(text("SELECT * FROM posting ORDER BY id")).all()]


@pytest.mark.check("L-77")
def test_twenty_sales_without_network_sent_twice_make_one_ledger(till: Device, house: Shop) -> None:
    members = [house.join(name) for name in ("Ana", "Ben", "Cem", "Dilek", "Ece")]
    opened = house.now
    queue = []
    for number in range(20):
        house.now = opened + timedelta(minutes=3 * number)
        queue.append(till.buys(members[number % 5].code, 1000))
    house.now = opened + timedelta(hours=2)
    till.post("/lock", {})
    assert [one["state"] for one in till.send(*queue)] == ["booked"] * 20
    once = ledger(house.store)
    house.now += timedelta(hours=3)
    again = till.send(*queue)
    assert [one["state"] for one in again] == ["booked"] * 20
    assert ledger(house.store) == once
    assert [house.balance(one.code) for one in members] == [100 + 4 * 100] * 5
    booked = [one["answer"] for one in again]
    assert [one["occurred_at"] for one in booked] == [one["made_at"] for one in queue]
    assert {(one["person"], one["till"], one["location"]) for one in booked} == {("cy", "Front", "west-loop")}
    assert not books.verify(house.store).problems


@pytest.mark.check("L-76")
def test_a_killed_request_is_taken_up_where_it_ended(
    till: Device, house: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = house.join()
    queue = [till.buys(ana.code, amount) for amount in (1000, 1100, 1200, 1300)]
    book = items.book
    left = [2]

    def dies(*arguments: Any, **options: Any) -> Any:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return book(*arguments, **options)

    monkeypatch.setattr(items, "book", dies)
    with pytest.raises(KeyboardInterrupt):
        till.send(*queue)
    monkeypatch.undo()
    assert house.balance(ana.code) == 100 + 210
    assert [one["state"] for one in till.send(*queue)] == ["booked"] * 4
    assert house.balance(ana.code) == 100 + 460


def test_a_copied_device_gives_itself_away(app: Flask, till: Device, house: Shop) -> None:
    ana = house.join()
    first = till.buys(ana.code, 1000)
    till.send(first)
    copy = Device(Visitor(app), house, sequence=till.sequence)
    secret = till.visitor.cookie(DEVICE, "/till")
    assert secret is not None
    copy.visitor.remember(DEVICE, secret, "/till")
    # What it copied is known and changes nothing; what it does itself counts on from the same number.
    assert copy.send(first)[0]["state"] == "booked"
    own = copy.buys(ana.code, 9000)
    till.send(till.buys(ana.code, 500))
    (result,) = copy.send(own)
    assert (result["state"], result["status"]) == ("review", 202)
    assert reviews(house) == [("bookPurchase", "sequence_clash")]
    assert house.balance(ana.code) == 100 + 150
    assert copy.send(own)[0]["state"] == "review"
    assert len(reviews(house)) == 1


def test_a_refused_item_may_be_tried_again_under_its_number(till: Device, house: Shop) -> None:
    ana = house.join()
    refused = till.item("redeemReward", {"code": ana.code, "reward": "extra-shot"})
    enough = till.buys(ana.code, 9000)
    assert [one["state"] for one in till.send(refused, enough)] == ["refused", "booked"]
    (again,) = till.send(refused)
    assert again["state"] == "booked", again
    assert reviews(house) == []


def test_what_the_system_is_too_busy_for_holds_up_its_own_customer_alone(
    till: Device, house: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben = house.join(), house.join("Ben Okafor")
    hers = [till.buys(ana.code, 1000), till.buys(ana.code, 2000)]
    undo = till.item("undoReceipt", {}, path={"receipt_key": hers[0]["key"]})
    his = till.buys(ben.code, 500)
    book = items.book

    def busy(caller: Any, item: items.ItemAsked, **options: Any) -> Any:
        if item.key == hers[0]["key"]:
            raise Busy()
        return book(caller, item, **options)

    monkeypatch.setattr(items, "book", busy)
    results = till.send(*hers, undo, his)
    assert [one["state"] for one in results] == ["later", "later", "later", "booked"]
    assert results[0]["problem"]["code"] == "busy"
    monkeypatch.undo()
    assert [one["state"] for one in till.send(*hers, undo)] == ["booked"] * 3
    assert (house.balance(ana.code), house.balance(ben.code)) == (300, 150)
    assert reviews(house) == []


def test_the_full_queue_of_a_lost_till_is_only_looked_at(till: Device, house: Shop) -> None:
    ana = house.join()
    queue = [till.buys(ana.code, 1000) for _ in range(50)]
    till.send(queue[0])
    revoke(till, house)
    results = till.send(*queue)
    assert [one["state"] for one in results] == ["booked"] + ["review"] * 49
    assert set(reviews(house)) == {("bookPurchase", "till_revoked")}
    assert len(reviews(house)) == 49
    assert house.balance(ana.code) == 200


def test_nothing_that_is_no_item_is_kept_or_holds_up_the_others(till: Device, house: Shop) -> None:
    ana = house.join()
    odd = [
        till.buys(ana.code, 10**30),
        till.buys(ana.code, 1000, sequence=10**30),
        till.buys(ana.code, 1000) | {"operation": "x" * 64},
        till.buys(ana.code, 1000, person="c\0y"),
    ]
    results = till.send(*odd, till.buys(ana.code, 1000))
    assert [one["state"] for one in results] == ["refused"] * 4 + ["booked"]
    assert {one["problem"]["code"] for one in results[:4]} == {"request_invalid"}
    revoke(till, house)
    results = till.send(*(one | {"key": f"{one['key']}-b"} for one in odd), till.buys(ana.code, 10**30))
    assert [one["state"] for one in results] == ["review"] + ["refused"] * 3 + ["review"]
    assert [what for what, _ in reviews(house)] == ["bookPurchase"] * 2


def test_what_leaves_no_receipt_is_booked_all_the_same(till: Device, house: Shop) -> None:
    joins = till.item("enrolMember", {"name": "Ada", "language": "en"})
    sells = till.item("bookSale", {"amount_minor": 700})
    results = till.send(joins, sells)
    assert [one["state"] for one in results] == ["booked", "booked"], results
    for item in (joins, sells):
        assert till.get(f"/requests/{item['key']}").get_json()["answer"] is None
        undo = till.item("undoReceipt", {}, path={"receipt_key": item["key"]})
        assert till.send(undo)[0]["problem"]["code"] == "receipt_unknown"
    back = till.item("takeBackSale", {}, path={"receipt_key": sells["key"]})
    assert till.send(back)[0]["state"] == "booked"


def test_no_clock_is_wrong_enough_to_stop_the_queue(till: Device, olive: Visitor, house: Shop) -> None:
    wild = ("0001-01-01T00:00:00+23:59", "1970-01-01T00:00:00+00:00", "9999-12-31T23:59:59-23:59")
    states = set()
    for clock in wild:
        for made_at in wild:
            item = till.buys(house.join().code, 1000) | {"made_at": made_at}
            answer = till.post("/queue", {"device_time": clock, "items": [item]})
            states.add(answer.get_json()["results"][0]["state"])
    assert states == {"booked", "review"}
    assert olive.get("/console/tills/").status == 200


def test_a_stolen_device_cannot_fill_the_database(
    till: Device, house: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = house.join()
    monkeypatch.setattr(tills.reviews, "OPEN_MAX", 3)
    revoke(till, house)
    results = till.send(*(till.buys(ana.code, 1000) for _ in range(5)))
    assert [one["state"] for one in results] == ["review"] * 3 + ["later"] * 2
    assert len(reviews(house)) == 3


def test_a_device_that_forgot_its_queue_counts_on_from_where_it_was(till: Device, house: Shop) -> None:
    till.send(till.buys(house.join().code, 1000))
    till.sequence = till.now()["till"]["sequence"]
    assert till.send(till.buys(house.join().code, 1000))[0]["state"] == "booked"


def test_a_queue_without_a_key_to_the_till_stays_where_it_is(app: Flask, till: Device, house: Shop) -> None:
    ana = house.join()
    queue = [till.buys(ana.code, amount) for amount in (1000, 1100, 900)]
    body = {"device_time": house.now.isoformat(), "items": queue}
    stranger = Device(Visitor(app), house)
    assert stranger.post("/queue", body).get_json()["code"] == "sign_in_needed"
    stranger.visitor.remember(DEVICE, "x" * 43, "/till")
    assert stranger.post("/queue", body).get_json()["code"] == "sign_in_needed"
    # Its cookie is gone, its cashier is not: signed in with a password, she delivers what she did.
    signed_in(stranger.visitor, "cy")
    place = stranger.visitor.get("/till/").form("place", f"{COFFEE}/west-loop")
    stranger.visitor.post(place.address, {**place.values, "place": f"{COFFEE}/west-loop"})
    assert [one["state"] for one in stranger.send(*queue)] == ["booked"] * 3
    assert house.balance(ana.code) == 400


def test_without_a_paired_till_everybody_sends_their_own(app: Flask, cy: Visitor, house: Shop) -> None:
    device, ana, ben = Device(cy, house), house.join(), house.join("Ben Okafor")
    other = device.buys(ana.code, 1000, person="dee")
    elsewhere = device.buys(ben.code, 1000, programme="marginalya")
    results = device.send(other, elsewhere)
    assert [(one["state"], one["problem"]["code"]) for one in results] == [
        ("later", "other_person"),
        ("later", "place_changed"),
    ]
    assert house.balance(ana.code) == 100


def test_nobody_is_named_who_was_never_here(till: Device, house: Shop) -> None:
    ana = house.join()
    for person in ("dee", "mo", "nobody"):
        (result,) = till.send(till.buys(ana.code, 1000, person=person))
        assert result["state"] == "review"
    assert set(reviews(house)) == {("bookPurchase", "person_never_here")}
    assert house.balance(ana.code) == 100


def test_somebody_who_left_worked_here_until_then(till: Device, house: Shop) -> None:
    ana = house.join()
    before = till.buys(ana.code, 1000)
    house.now += timedelta(hours=1)
    with house.store.read() as read:
        staff_id = read.ask(text("SELECT id FROM staff WHERE login = 'cy'")).value()
    access.disable_staff(house.store, staff_id=staff_id, now=house.now)
    after = till.buys(ana.code, 2000)
    assert [one["state"] for one in till.send(before, after)] == ["booked", "review"]


def test_a_clock_can_not_be_played_with(till: Device, house: Shop) -> None:
    ana, opened = house.join(), house.now
    house.now += timedelta(hours=1)
    till.post("/queue", {"device_time": house.now.isoformat(), "items": [], "left": 0})

    def made(minutes: int) -> dict[str, Any]:
        made_at = (house.now + timedelta(minutes=minutes)).isoformat()
        return till.buys(house.join().code, 1000) | {"made_at": made_at}

    early, late, little = made(-30), made(30), made(4)
    assert [one["state"] for one in till.send(early, late, little)] == ["review", "review", "booked"]
    assert [why for _, why in reviews(house)] == ["made_too_early", "made_in_future"]
    # A clock that is three hours off says nothing about when: ours does.
    off = till.buys(ana.code, 1000) | {"made_at": (opened - timedelta(hours=1, minutes=50)).isoformat()}
    house.now += timedelta(minutes=30)
    (result,) = till.send(off, device_time=house.now - timedelta(hours=3))
    assert result["state"] == "booked"
    assert result["answer"]["occurred_at"] == result["answer"]["recorded_at"]
    assert till.send(off)[0]["answer"]["id"] == result["answer"]["id"]


def test_an_old_refusal_is_told_to_the_owner_and_a_fresh_one_to_the_cashier(
    till: Device, house: Shop
) -> None:
    ana = house.join()
    fresh = till.item("redeemReward", {"code": ana.code, "reward": "extra-shot"})
    assert till.send(fresh)[0]["state"] == "refused"
    old = till.item("redeemReward", {"code": ana.code, "reward": "extra-shot"})
    house.now += timedelta(minutes=20)
    assert till.send(old)[0]["state"] == "review"
    assert reviews(house) == [("redeemReward", "not_enough_points")]


def test_two_tills_share_one_card(app: Flask, till: Device, house: Shop) -> None:
    ana = house.join()
    other = Device(Visitor(app), house)
    pair(other.visitor, a_till(house, "Back")[1])
    other.sign_in()
    queue = [till.buys(ana.code, amount) for amount in (900, 1000, 1100)]
    theirs = [other.buys(ana.code, amount) for amount in (400, 500, 600)]
    for mine, its in zip(queue, theirs, strict=True):
        assert till.send(mine)[0]["state"] == other.send(its)[0]["state"] == "booked"
    assert house.balance(ana.code) == 100 + 300 + 150
    assert {one["answer"]["till"] for one in other.send(*theirs)} == {"Back"}


def test_the_same_key_with_other_content_is_refused(till: Device, house: Shop) -> None:
    ana = house.join()
    item = till.buys(ana.code, 1000)
    till.send(item)
    (result,) = till.send(item | {"body": {"code": ana.code, "amount_minor": 99_000}})
    assert result["problem"]["code"] == "key_reused"
    assert house.balance(ana.code) == 200


def test_the_time_of_the_last_sync_is_when_nothing_was_left(till: Device, house: Shop) -> None:
    ana = house.join()

    def synced() -> Any:
        return tills.every(house.store, KEYS, programme=COFFEE, now=house.now)[0].synced_at

    first = synced()
    house.now += timedelta(minutes=10)
    for left, moved in ((3, False), (None, False), (0, True)):
        house.now += timedelta(minutes=2)
        body = {"device_time": house.now.isoformat(), "items": [till.buys(ana.code, 1000)], "left": left}
        assert till.post("/queue", body).status_code == 200
        assert (synced() != first) is moved
