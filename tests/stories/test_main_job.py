"""The main job, through real processes: a card is issued, a phone holds it, purchases change it."""

from __future__ import annotations

import io

import pytest
import urllib3

from tests.shop import COFFEE
from tests.stories.town import Town, at_the_till, browser, install, join, shown_balance, until
from tests.web.visitor import Page, Visitor

pytestmark = [pytest.mark.story, pytest.mark.slow]


def scan_screen(town: Town, cashier: Visitor, serial: str) -> Page:
    """Photograph the phone's screen at the till."""
    picture = urllib3.request("GET", f"{town.phone_url}/phones/iphone/cards/{serial}/screen.png")
    assert picture.status == 200
    scan = cashier.get("/till/")
    return cashier.send(scan.form("photo"), files={"photo": (io.BytesIO(picture.data), "photo.png")})


def buy(cashier: Visitor, member_page: Page, amount: str) -> Page:
    """Enter an amount and confirm what the till echoes."""
    page = cashier.send(member_page.form("amount"), amount=amount)
    if "amount" in {name for form in page.forms for name in form.names} and "/done/" not in page.address:
        page = cashier.send(page.form("amount"))
    assert "/done/" in page.address, page.text
    return page


@pytest.mark.check("A-32", "A-78", "A-90", "A-97")
def test_join_install_scan_accrue_redeem_undo(town: Town) -> None:
    town.start("serve", "worker", "emulate")

    _, card_page = join(town, "Ana Reyes")
    serial = install(town, card_page)
    assert shown_balance(town, serial) == "100"

    cashier = at_the_till(browser(town.web_url))
    member_page = scan_screen(town, cashier, serial)
    assert "Ana Reyes" in member_page.text
    done = buy(cashier, member_page, "12.40")
    assert "224" in done.text
    until(lambda: shown_balance(town, serial) == "224", what="224 beans on the phone")
    assert "You now have 224 beans" in [notice["text"] for notice in town.phone()["notices"]]

    # From the recorded requests: registered, pushed, asked what changed, fetched only that.
    asked = town.requests()
    spoken = [(one["method"], one["status"]) for one in asked if "/v1/" in one["path"]]
    assert spoken[0] == ("POST", 201)
    listed = [one for one in asked if "passesUpdatedSince=" in one["path"] and one["status"] == 200]
    assert len(listed) == 1
    fetched = [one for one in asked if "/v1/passes/" in one["path"]]
    # As iOS does, the phone also asked right after registering: nothing was newer then.
    assert [one["status"] for one in fetched] == [304, 200]
    assert "If-Modified-Since" in fetched[1]["headers"]
    pushes = town.pushes()
    assert len(pushes) == 1
    assert pushes[0]["topic"] == "pass.dev.passes.loyalty"
    assert pushes[0]["status"] == 200

    # A reward, and the mistake taken back.
    member_page = scan_screen(town, cashier, serial)
    redeemed = cashier.send(member_page.form("reward", "extra-shot"), reward="extra-shot")
    assert "74" in redeemed.text
    until(lambda: shown_balance(town, serial) == "74", what="74 beans on the phone")
    undone = cashier.send(next(form for form in redeemed.forms if "/undo/" in form.address))
    assert "224" in undone.text
    until(lambda: shown_balance(town, serial) == "224", what="224 beans again")

    verified = town.run("ledger", "verify")
    assert verified["problems"] == []


def test_the_command_line_does_the_same_job(town: Town) -> None:
    town.run("demo")  # again, which changes nothing
    joined = town.run("enrol", COFFEE, "Ben Novak", "--key", "ben")
    assert town.run("enrol", COFFEE, "Ben Novak", "--key", "ben")["again"] is True
    code = joined["code"]
    receipt = town.run("accrue", COFFEE, code, "12.40", "--key", "one")
    assert receipt["balance_after"] == 224
    assert town.run("accrue", COFFEE, code, "12.40", "--key", "one")["id"] == receipt["id"]
    refused = town.run("accrue", COFFEE, code, "12.50", "--key", "one", fails=True)
    assert refused["refused"] == "key_reused"
    redeemed = town.run("redeem", COFFEE, code, "extra-shot")
    assert redeemed["balance_after"] == 74
    refused = town.run("redeem", COFFEE, code, "extra-shot", fails=True)
    assert refused["refused"] == "not_enough_points"
    assert town.run("undo", COFFEE, str(redeemed["id"]))["balance_after"] == 224
    assert town.run("sale", COFFEE, "3.00")["net_minor"] == 300
    output = town.folder / "ben.pkpass"
    assert town.run("card", COFFEE, code, "--output", str(output))["balance"] == 224
    assert output.read_bytes().startswith(b"PK")
    assert town.run("ledger", "verify")["problems"] == []
