"""A programme that somebody makes for themselves, on both databases."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

import pytest

from passes import access, programmes
from passes.access import Area, Grant, Role
from passes.loyalty.refusals import ProgrammeInvalid, ProgrammeNameTaken
from passes.store import Store, staff
from passes.store import programmes as rows
from tests.cast import rows as table
from tests.shop import COFFEE, PASS_TYPE, Shop, open_shop
from tests.web.conftest import CHEAP, PASSWORD

SOURCE = """\
languages = ["en"]
currency = "USD"
zone = "America/Chicago"
organisation = "Kestane"
name = "Kestane"
description = "Collect chestnuts."
unit = { one = "chestnut", other = "chestnuts" }
code = { kind = "letters", symbology = "qr" }
earning = { points_per = "10 per 1.00" }
[[rewards]]
key = "reward"
name = "Coffee"
points = 150

[card]
ground = "#5A2D0C"
text = "#FFFFFF"
label = "#FFFFFF"
strip = "progress"
[contact]
email = "hello@kestane.example"
"""


def with_logo(source: str, logo: bytes) -> str:
    return source.replace("[contact]", f'logo = "{base64.b64encode(logo).decode()}"\n[contact]')


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    return open_shop(store, now)


@pytest.fixture
def olive(shop: Shop) -> int:
    return _add(shop, "olive", Role.OWNER)


def _add(shop: Shop, login: str, role: Role) -> int:
    return access.add_staff(
        shop.store,
        login=login,
        name=login.title(),
        password=PASSWORD,
        grants=[Grant(COFFEE, role)],
        now=shop.now,
        cost=CHEAP,
    )


def begin(shop: Shop, owner_id: int, **changes: Any) -> programmes.LoadedFile:
    values: dict[str, Any] = {
        "name": "kestane",
        "source": SOURCE,
        "owner_id": owner_id,
        "roles": [Role.OWNER],
        "pass_type": PASS_TYPE,
        "now": shop.now,
        **changes,
    }
    return programmes.begin(shop.store, **values)


def grants(shop: Shop, staff_id: int) -> set[tuple[str, Role]]:
    begun = access.sessions.begin(
        shop.store, staff_id=staff_id, area=Area.CONSOLE, action="session.test", at=None, now=shop.now
    )
    found = access.session(shop.store, secret=begun, area=Area.CONSOLE, now=shop.now)
    assert found is not None
    return {(one.programme, one.role) for one in found.grants}


def test_whoever_makes_a_programme_owns_it_and_nobody_else_does(shop: Shop, olive: int) -> None:
    other = _add(shop, "mo", Role.OWNER)
    made = begin(shop, olive, roles=[Role.OWNER, Role.CASHIER])
    assert (made.slug, made.version, made.changed) == ("kestane", 1, True)
    assert grants(shop, olive) == {
        (COFFEE, Role.OWNER),
        ("kestane", Role.OWNER),
        ("kestane", Role.CASHIER),
    }
    assert grants(shop, other) == {(COFFEE, Role.OWNER)}
    [noted] = [row for row in table(shop.store, "audit") if row["action"] == "programme.begin"]
    assert (noted["staff_id"], noted["object"]) == (olive, "kestane")


def test_it_can_be_joined_and_bought_with_at_once(shop: Shop, olive: int) -> None:
    begin(shop, olive)
    joined = shop.join("Ana", programme="kestane")
    booked = shop.buy(joined.code, 15_00, programme="kestane")
    assert (booked.points, booked.balance_after) == (150, 150)
    shop.redeem(joined.code, "reward", programme="kestane")
    assert shop.balance(joined.code, programme="kestane") == 0


def test_the_same_form_sent_twice_makes_one_programme(shop: Shop, olive: int) -> None:
    before = len(table(shop.store, "programme"))
    first = begin(shop, olive)
    again = begin(shop, olive, now=shop.now + timedelta(minutes=1))
    assert (again.slug, again.changed) == (first.slug, False)
    assert len(table(shop.store, "programme")) == before + 1


def test_of_the_same_name_the_second_gets_a_number(shop: Shop, olive: int) -> None:
    begin(shop, olive)
    assert begin(shop, olive, source=SOURCE.replace("Coffee", "Tea")).slug == "kestane-2"
    # Another owner's same words are another programme.
    other = _add(shop, "mo", Role.OWNER)
    assert begin(shop, other).slug == "kestane-3"
    with shop.store.read() as read:
        assert rows.by_slug(read, "kestane-2").programme.rewards[0].name.in_("en") == "Tea"


def test_names_run_out_politely(shop: Shop, olive: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programmes, "NAMESAKES_MAX", 2)
    for drink in ("Tea", "Milk"):
        begin(shop, olive, source=SOURCE.replace("Coffee", drink))
    with pytest.raises(ProgrammeNameTaken):
        begin(shop, olive)


def test_a_file_with_mistakes_leaves_nothing_behind(shop: Shop, olive: int) -> None:
    before = len(table(shop.store, "programme"))
    with pytest.raises(ProgrammeInvalid):
        begin(shop, olive, source=SOURCE.replace("150", "0"))
    assert len(table(shop.store, "programme")) == before


def test_a_further_version_is_loaded_as_any_other(shop: Shop, olive: int) -> None:
    made = begin(shop, olive)
    loaded = programmes.load(
        shop.store, name=made.slug, source=SOURCE.replace("150", "100"), pass_type=PASS_TYPE, now=shop.now
    )
    assert (loaded.slug, loaded.version) == ("kestane", 2)
    with shop.store.read() as read:
        assert staff.has_role(read, olive, rows.by_slug(read, "kestane").id)
