"""Letters through real processes: asked for on a page, sent by the worker, read where they were caught."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.shop import COFFEE
from tests.stories.town import Town, browser, until

pytestmark = [pytest.mark.story, pytest.mark.slow]

ANA = "ana@example.com"


def test_who_joins_with_an_address_opens_the_card_from_the_letter_on_another_phone(town: Town) -> None:
    town.start("serve", "emulate", "worker")
    customer = browser(town.web_url)
    page = customer.send(customer.get(f"/join/{COFFEE}").form("name"), name="Ana Reyes", email=ANA)
    assert page.status == 200, page.text
    [letter] = until(town.letters, what="the letter")
    assert (letter["to"], letter["subject"]) == ([ANA], "Your card: Finch Club")
    assert letter["from"] == "Copperfinch Coffee <cards@passes.test>"
    [link] = letter["links"]
    assert link.startswith(f"{town.web_url}/card/")
    elsewhere = browser(town.web_url).get(urlsplit(link).path)
    assert elsewhere.status == 200
    assert "100 beans" in elsewhere.text

    # A mailbox that is busy gets its letter a minute later.
    town.mail_faults(defer={"times": 1})
    somebody = browser(town.web_url)
    somebody.send(somebody.get(f"/join/{COFFEE}").form("name"), name="Ben", email="ben@example.com")
    until(lambda: town.run("mail")["waiting"]["trouble"], what="the first attempt")
    town.pass_time(61)
    assert until(lambda: town.letters()[1:], what="the second letter")[0]["to"] == ["ben@example.com"]
    waiting = town.run("mail")
    assert waiting["waiting"] == {"letters": 0, "oldest_at": None, "trouble": None}
    assert waiting["given_up"] == []
    assert town.run("mail", "test", "me@example.com")["sent"]
    assert "cannot be reached" not in town.log("worker")
