"""The owner's page of webhooks, without script; and that a message says what the API says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import orjson
import pytest
from flask import Flask

from passes import access, api_keys, webhooks
from passes.access import Grant, Role
from passes.api_keys import Scope
from passes.webhooks import Door
from tests.receiver import Receiver, Reply
from tests.shop import COFFEE, KEYS, Shop
from tests.web.conftest import CHEAP, PASSWORD
from tests.web.visitor import Page, Visitor

MINUTE = timedelta(minutes=1)


@pytest.fixture
def oz(app: Flask, house: Shop) -> Visitor:
    """Oz, who owns the coffee shop, in the console."""
    grants = [Grant(COFFEE, Role.OWNER)]
    access.add_staff(
        house.store, login="oz", name="Oz", password=PASSWORD, grants=grants, now=house.now, cost=CHEAP
    )
    visitor = Visitor(app)
    visitor.send(visitor.get("/console/sign-in").form("login"), follow=False, login="oz", password=PASSWORD)
    return visitor


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


def work(house: Shop) -> None:
    """What the worker does."""
    house.now += MINUTE
    webhooks.find_due(house.store, now=house.now)
    door = Door(development=True, read_seconds=1, whole_seconds=2)
    while webhooks.send_due(house.store, door, keys=KEYS, clock=lambda: house.now).turns:
        pass


def add(oz: Visitor, receiver: Receiver) -> Page:
    """Add a webhook of everything on the page; its own page."""
    form = oz.get("/console/webhooks/").form("address")
    return oz.post(
        form.address, {**form.values, "address": receiver.address, "events": list(webhooks.CHOOSABLE)}
    )


def secret_on(page: Page) -> str:
    found = re.search(r"whsec_[A-Za-z0-9+/=]+", page.html)
    assert found, page.text
    return found[0]


def test_a_message_says_what_the_api_says(app: Flask, house: Shop, receiver: Receiver) -> None:
    joined = house.join()
    house.now += MINUTE
    webhook = webhooks.add(
        house.store,
        programme=COFFEE,
        address=receiver.address,
        events=["purchase.booked", "receipt.undone", "return.booked", "reward.redeemed"],
        keys=KEYS,
        development=True,
        by="oz",
        now=house.now,
    )
    assert webhook
    bought = house.buy(joined.code, 12_00)
    house.redeem(joined.code, "extra-shot")
    house.undo(house.buy(joined.code, 3_00).id)
    work(house)
    _, key = api_keys.issue(
        house.store, programme=COFFEE, name="Front", scopes=[Scope.READ], location=None, now=house.now
    )
    client = app.test_client()
    assert [message.said["type"] for message in receiver.messages] == [
        "purchase.booked",
        "reward.redeemed",
        "purchase.booked",
        "receipt.undone",
    ]
    for message in receiver.messages:
        told = message.said["data"]["receipt"]
        answer = client.get(f"/api/v1/receipts/{told['id']}", headers={"Authorization": f"Bearer {key}"})
        said = orjson.loads(answer.data)
        del said["why"]
        assert told == said
    assert receiver.messages[0].said["data"]["receipt"]["id"] == str(bought.id)


def test_an_owner_adds_tries_and_looks(oz: Visitor, house: Shop, receiver: Receiver) -> None:
    page = add(oz, receiver)
    assert page.status == 200
    assert receiver.address in page.text
    assert "whsec_" not in page.html
    receiver.secrets = [secret_on(oz.post(f"{path(page)}/secret", tokens(page)))]
    receiver.now = lambda: house.now
    page = oz.post(f"{path(page)}/test", tokens(page))
    assert "On its way" in page.text
    receiver.script = lambda _message, _number: Reply(200, body=b"Thanks!")
    work(house)
    page = oz.get(path(page))
    assert "Taken" in page.text
    (message,) = receiver.messages
    assert message.problem is None
    shown = oz.get(link_to(page, "A test message"))
    for words in (f"POST {receiver.address}", message.id, message.headers["webhook-signature"], "Thanks!"):
        assert words in shown.text
    assert message.body.decode() in shown.text
    again = shown.form("form_token", None)
    assert again.address.endswith("/again") or "again" in shown.html
    oz.post(f"{link_to(page, 'A test message')}/again", tokens(shown))
    work(house)
    assert [one.id for one in receiver.messages] == [message.id] * 2


def test_a_secret_is_changed_while_both_sign(oz: Visitor, house: Shop, receiver: Receiver) -> None:
    page = add(oz, receiver)
    before = secret_on(oz.post(f"{path(page)}/secret", tokens(page)))
    changed = oz.post(f"{path(page)}/rotate", tokens(page))
    assert secret_on(changed) != before
    assert "signs beside it until" in changed.text
    assert secret_on(oz.post(f"{path(page)}/secret", tokens(page))) == secret_on(changed)
    house.now += timedelta(days=1)
    assert "signs beside it until" not in oz.get(path(page)).text


def test_what_failed_is_said_and_sent_again(oz: Visitor, house: Shop, receiver: Receiver) -> None:
    page = add(oz, receiver)
    house.now += MINUTE
    receiver.script = lambda _message, _number: Reply(500, body=b"<b>broken</b>")
    house.buy(house.join().code, 4_50)
    work(house)
    page = oz.get(path(page))
    assert "Tried again later" in page.text
    assert "The receiver has taken nothing since" in page.text
    assert "Does not answer" in oz.get("/console/webhooks/").text
    assert "&lt;b&gt;broken" in oz.get(link_to(page, "Somebody joined")).html
    receiver.script = lambda _message, _number: Reply()
    for _ in range(6):
        work(house)
    sent = len(receiver.messages)
    missing = oz.post(f"{path(page)}/replay", {**tokens(page), "since": ""})
    assert (missing.status, "Say since when." in missing.text) == (422, True)
    oz.post(f"{path(page)}/replay", {**tokens(page), "since": "2026-03-01T00:00"})
    work(house)
    assert len(receiver.messages) == sent + 3
    assert len(set(receiver.ids)) == 3


def test_a_webhook_that_was_switched_off_says_why_and_goes_on(
    oz: Visitor, house: Shop, receiver: Receiver
) -> None:
    page = add(oz, receiver)
    receiver.script = lambda _message, _number: Reply(410)
    house.now += MINUTE
    house.join()
    work(house)
    page = oz.get(path(page))
    assert "wants no more messages (410)" in page.text
    refused = oz.post(f"{path(page)}/test", tokens(page))
    assert (refused.status, "Let it go on first" in refused.text) == (409, True)
    receiver.script = lambda _message, _number: Reply()
    assert "In use" in oz.post(f"{path(page)}/resume", tokens(page)).text
    work(house)
    assert "Taken" in oz.get(path(page)).text
    assert "Nothing is sent since" in oz.post(f"{path(page)}/pause", tokens(page)).text
    gone = oz.post(f"{path(page)}/remove", tokens(page))
    assert receiver.address not in gone.text
    assert oz.get(path(page)).status == 404


def test_what_is_typed_wrong_is_said_and_kept(oz: Visitor, receiver: Receiver) -> None:
    form = oz.get("/console/webhooks/").form("address")
    wrong = oz.post(form.address, {**form.values, "address": "ftp://shop.example", "events": ["member.left"]})
    assert (wrong.status, "begins with https://" in wrong.text) == (422, True)
    assert wrong.form("address").values["address"] == "ftp://shop.example"
    none = oz.post(
        form.address,
        {name: value for name, value in form.values.items() if name != "events"}
        | {"address": receiver.address},
    )
    assert (none.status, "Choose at least one event." in none.text) == (422, True)


def test_older_ones_stand_on_further_pages_and_nonsense_breaks_none(
    oz: Visitor, house: Shop, receiver: Receiver
) -> None:
    page = add(oz, receiver)
    house.now += MINUTE
    for number in range(14):
        house.join(f"Ana {number}")
    work(house)
    first = oz.get(path(page))
    assert first.html.count("<time ") == 25
    found = re.search(r"before=(\d+)", first.html)
    assert found
    older = oz.get(f"{path(page)}?before={found[1]}")
    assert older.html.count("<time ") == 3
    for nonsense in ("0", "-1", "9" * 30, "x"):
        assert oz.get(f"{path(page)}?before={nonsense}").status == 200
    assert oz.get(f"/console/webhooks/{'9' * 30}").status == 404
    assert oz.get(f"{path(page)}/deliveries/{'9' * 30}").status == 404


def test_only_owners_come_in(mo: Visitor, house: Shop) -> None:
    assert mo.get("/console/webhooks/").status == 403
    assert "/console/webhooks" not in mo.get("/console/offers").html


def path(page: Page) -> str:
    """The address of a webhook's own page."""
    found = re.search(r"/console/webhooks/\d+", page.html + page.address)
    assert found
    return found[0]


def tokens(page: Page) -> dict[str, str]:
    return {"form_token": page.form("form_token").values["form_token"]}


def link_to(page: Page, words: str) -> str:
    """Where a link with these words leads."""
    found = re.search(rf'<a href="([^"]+)">\s*{words}', page.html)
    assert found, page.text
    return found[1]
