"""A member's own page shows the code that a till asks for."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from passes import checkout
from passes.checkout import Proof
from passes.loyalty.refusals import OneTimeCodeNeeded, OneTimeCodeWrong
from tests.shop import KEYS, Shop
from tests.web.visitor import Page, Visitor


def shown(page: Page) -> str:
    (digits,) = re.findall(r'class="one-time"[^>]*><bdi dir="ltr">(\d{3} \d{3})<', page.html)
    return str(digits).replace(" ", "")


@pytest.mark.check("L-87")
def test_the_members_own_page_shows_a_code_for_a_costly_reward(ana: Visitor, house: Shop) -> None:
    member = house.join()
    house.buy(member.code, 40_000)
    page = ana.get(f"/card/{member.link_secret}")
    assert f"/card/{member.link_secret}/code" in page.html
    page = ana.get(f"/card/{member.link_secret}/code")
    assert 'one-time"' not in page.html
    page = ana.send(page.form("form"))
    digits = shown(page)
    assert page.answer.headers["Cache-Control"] == "private, no-store"
    with pytest.raises(OneTimeCodeNeeded):
        house.redeem(member.code, "bag-of-beans")
    house.redeem(member.code, "bag-of-beans", proof=Proof(KEYS, digits))
    # It is gone, and so is one that is ten minutes old.
    with pytest.raises(OneTimeCodeWrong):
        house.redeem(member.code, "bag-of-beans", proof=Proof(KEYS, digits))
    digits = shown(ana.send(page.form("form")))
    house.now += timedelta(minutes=10)
    with pytest.raises(OneTimeCodeWrong):
        house.redeem(member.code, "bag-of-beans", proof=Proof(KEYS, digits))


def test_codes_are_shown_in_words_until_there_were_enough(ana: Visitor, house: Shop) -> None:
    member = house.join()
    page = ana.get(f"/card/{member.link_secret}/code?lang=tr")
    assert "Kodumu göster" in page.text
    for _ in range(checkout.CODES_AN_HOUR):
        shown(ana.send(page.form("form")))
    refused = ana.send(page.form("form"))
    assert refused.status == 429
    assert ana.get("/card/nobody/code").status == 404
