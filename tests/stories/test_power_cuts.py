"""SIGKILL in the middle of the work: what was answered stays, what was owed is delivered, once each."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter as Tally
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import pytest
import urllib3

from passes import books
from passes.delivery import LEASE_SECONDS
from tests.cast import rows
from tests.shop import COFFEE
from tests.stories.town import (
    Town,
    all_told,
    at_the_till,
    browser,
    install,
    push_token,
    shown_balance,
    until,
    with_phones,
)
from tests.web.visitor import Visitor

pytestmark = [pytest.mark.story, pytest.mark.slow]


@pytest.mark.check("A-108")
def test_a_worker_killed_between_push_and_record_loses_no_change(town: Town) -> None:
    """Fifty changes wait while the worker is off. It pushes them and dies before it can write that down."""
    town.start("serve", "emulate")
    with town.counter() as (shop, keys):
        ana = shop.join(keys=keys)
        serial = install(town, browser(town.web_url).get(f"/card/{ana.link_secret}"))
        others = with_phones(shop, keys, 49)
        for code in [ana.code, *(card.code for card in others)]:
            shop.buy(code, 1240)
        town.faults(withhold=True)
        town.start("worker")
        until(lambda: len(town.pushes()) >= 50, what="fifty pushes without an answer")
        town.kill("worker")
        assert {push["status"] for push in town.pushes()} == {None}
        assert len(rows(shop.store, "owed")) == 50
        # APNs had taken them: the phone asked and is right already, whatever the worker knows.
        until(lambda: shown_balance(town, serial) == "224", what="224 beans on the phone")

        town.kill("serve")
        town.faults(clear=True)
        town.start("serve", "worker")
        town.pass_time(LEASE_SECONDS + 1)
        until(lambda: all_told(shop), what="every change written down as told")
        told = Tally(push["token"] for push in town.pushes() if push["status"] == 200)
        assert set(told.values()) == {1}
        assert len(told) == 50
        assert {push_token(number) for number in range(49)} < set(told)
        assert shown_balance(town, serial) == "224"

        shop.buy(ana.code, 100)
        until(lambda: shown_balance(town, serial) == "234", what="the next change on the phone")


CASHIERS, PURCHASES = 6, 20


@dataclass
class Cashier:
    """Books one purchase after the other and repeats each, word for word, until it is answered.

    Every member comes four times and never with the same amount: nothing else
    needs a manager or a question.
    """

    number: int
    visitor: Visitor
    codes: list[str]
    form_token: str
    receipts: dict[str, int] = field(default_factory=dict)
    repeated: set[str] = field(default_factory=set)

    def work(self) -> None:
        for purchase in range(PURCHASES):
            self.book(purchase)

    def book(self, purchase: int) -> None:
        deadline, visit = time.monotonic() + 60, self.visit(purchase)
        while True:
            try:
                page = self.visitor.post(self.address(purchase), self.form(purchase), follow=False)
                break
            except urllib3.exceptions.HTTPError:
                self.repeated.add(visit)
                assert time.monotonic() < deadline, "the service did not come back"
                time.sleep(0.02)
        assert page.status == 303, (page.status, page.text)
        self.receipts[visit] = int(urlsplit(page.answer.headers["Location"]).path.rsplit("/", 1)[1])

    def visit(self, purchase: int) -> str:
        return f"storm-{self.number}-{purchase:02}"

    def address(self, purchase: int) -> str:
        return f"/till/card/{self.codes[purchase // 4]}"

    def form(self, purchase: int) -> dict[str, str]:
        cents = purchase % 4
        typed = {"amount": f"1.0{cents}", "confirmed": f"10{cents}"}
        return {"form_token": self.form_token, "visit": self.visit(purchase), **typed}


@pytest.mark.check("L-76")
def test_purchases_survive_a_web_process_that_dies_under_them(town: Town) -> None:
    town.start("serve")
    with town.counter() as (shop, keys):
        cashiers = []
        for number in range(CASHIERS):
            codes = [shop.join(f"Member {number}", keys=keys).code for _ in range(PURCHASES // 4 + 1)]
            visitor = at_the_till(browser(town.web_url))
            form = visitor.get(f"/till/card/{codes[0]}").form("amount")
            cashiers.append(Cashier(number, visitor, codes, form.values["form_token"]))
        threads = [threading.Thread(target=cashier.work, daemon=True) for cashier in cashiers]
        for thread in threads:
            thread.start()
        until(lambda: sum(len(one.receipts) for one in cashiers) >= 30, what="thirty purchases")
        town.kill("serve")
        answered = {visit: receipt for one in cashiers for visit, receipt in one.receipts.items()}
        town.start("serve")
        for thread in threads:
            thread.join(60)
        assert any(one.repeated for one in cashiers)

        # The cut that hurts most: booked, but nobody heard the answer.
        unlucky, unheard = cashiers[0], PURCHASES
        key = f"{unlucky.visit(unheard)}:sale"
        connection = http.client.HTTPConnection(urlsplit(town.web_url).netloc)
        connection.request(
            "POST",
            unlucky.address(unheard),
            urlencode(unlucky.form(unheard)),
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "Cookie": unlucky.visitor.client.cookies,  # type: ignore[attr-defined]
            },
        )
        booked = until(lambda: rows(shop.store, "request", f"key = '{key}'"), what="the purchase")
        town.kill("serve")
        connection.close()
        town.start("serve")
        unlucky.book(unheard)
        assert str(unlucky.receipts[unlucky.visit(unheard)]) in booked[0]["answer"]

        heard = [receipt for one in cashiers for receipt in one.receipts.values()]
        assert len(heard) == len(set(heard)) == CASHIERS * PURCHASES + 1
        assert answered.items() <= {pair for one in cashiers for pair in one.receipts.items()}
        kept = rows(shop.store, "receipt", "kind = 'accrue' AND person IS NOT NULL")
        assert sorted(receipt["id"] for receipt in kept) == sorted(heard)
        bought = rows(shop.store, "purchase", "person IS NOT NULL")
        assert len(bought) == len(heard)
        for one in cashiers:
            balances = [shop.balance(code, COFFEE) for code in one.codes]
            assert sum(balances) == 100 * len(balances) + 10 * len(one.receipts)
        assert books.verify(shop.store).problems == ()
