"""A card of one's own: the form, what it shows, what it makes, and who may."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import pytest
from flask import Flask
from PIL import Image

from passes import access
from passes.access import Grant, Role
from passes.loyalty.programme_file import parse
from passes.programmes import logos
from passes.store import programmes
from tests.cast import rows
from tests.shop import BOOKS, COFFEE, Shop
from tests.test_logos import encoded, sign
from tests.web.conftest import CHEAP, PASSWORD
from tests.web.visitor import Page, Visitor

FILLED = {
    "shop": "Kestane & Söhne",
    "name": "Kestane",
    "email": "hello@kestane.example",
    "ground": "#e05020",
    "points": "10",
    "amount": "1.00",
    "unit_one": "chestnut",
    "unit_other": "chestnuts",
    "reward": "Flat white",
    "price": "150",
}


def owner(app: Flask, house: Shop, login: str, *programmes: str) -> Visitor:
    """Somebody who owns these programmes, signed in to the console."""
    grants = [Grant(one, Role.OWNER) for one in programmes]
    access.add_staff(
        house.store,
        login=login,
        name=login.title(),
        password=PASSWORD,
        grants=grants,
        now=house.now,
        cost=CHEAP,
    )
    visitor = Visitor(app)
    visitor.send(visitor.get("/console/sign-in").form("login"), follow=False, login=login, password=PASSWORD)
    return visitor


@pytest.fixture
def olive(app: Flask, house: Shop) -> Visitor:
    return owner(app, house, "olive", COFFEE)


def fill(visitor: Visitor, *, button: str = "", logo: bytes = b"", **changes: str | None) -> Page:
    """Fill in the form and send it."""
    form = visitor.get("/console/yours/").form("shop")
    assert form.kind == "multipart/form-data"
    kept = {"kept_logo": changes.pop("kept_logo", None) or ""}
    files: dict[str, Any] = {"logo": (io.BytesIO(logo), "logo.png")} if logo else {}
    values = {**form.values, **FILLED, **kept, **changes, **({button: "1"} if button else {})}
    sent = {name: value for name, value in values.items() if value is not None}
    return visitor.post(form.address, {**sent, **files})


def test_a_card_of_ones_own_is_made_in_one_form(olive: Visitor, house: Shop) -> None:
    page = fill(olive)
    assert page.address == "/console/yours/ready"
    assert "Your card is ready" in page.text
    assert "http://127.0.0.1:8000/join/kestane" in page.text
    assert 'class="qr"' in page.html
    with house.store.read() as read:
        loaded = programmes.by_slug(read, "kestane")
    programme = loaded.programme
    assert programme.organisation.in_("en") == "Kestane & Söhne"
    assert (programme.currency, programme.zone, programme.languages) == ("USD", "America/Chicago", ("en",))
    assert programme.design.colours.text == "#000000"
    assert programme.warnings == ()
    # The console works for it from now on, and its cashier is whoever made it.
    assert "Kestane" in olive.get("/console/offers").text
    assert olive.get("/console/tills/").status == 200


def test_it_can_be_joined_at_once(olive: Visitor, ana: Visitor, house: Shop) -> None:
    fill(olive)
    page = ana.get("/join/kestane")
    page = ana.send(page.form("name"), name="Ana")
    assert page.status == 200
    assert "0 chestnuts" in page.html
    assert [row["name"] for row in rows(house.store, "person")] == ["Ana"]


def test_who_owns_nothing_makes_nothing(mo: Visitor, app: Flask, house: Shop) -> None:
    for address in ("/console/yours/", "/console/yours/ready", "/console/yours/file"):
        assert mo.get(address).status == 403
    token = mo.get("/console/offers").form("form_token").values["form_token"]
    before = len(rows(house.store, "programme"))
    for address in ("/console/yours/", "/console/yours/preview"):
        assert mo.post(address, {**FILLED, "form_token": token}).status == 403
    assert len(rows(house.store, "programme")) == before


def test_nobody_else_sees_it(olive: Visitor, app: Flask, house: Shop) -> None:
    bookseller = owner(app, house, "sevgi", BOOKS)
    fill(olive)
    page = bookseller.get("/console/offers")
    assert "Kestane" not in page.text
    assert "Change programme" not in page.text
    token = page.form("form_token").values["form_token"]
    assert bookseller.post("/console/programme", {"form_token": token, "programme": "kestane"}).status == 403
    assert "kestane" not in bookseller.get("/console/yours/file").answer.get_data(as_text=True)


def test_a_form_of_another_session_is_refused(olive: Visitor, house: Shop) -> None:
    before = len(rows(house.store, "programme"))
    assert fill(olive, form_token="").status == 422
    assert len(rows(house.store, "programme")) == before


def test_sent_twice_it_is_one_card(olive: Visitor, house: Shop) -> None:
    before = len(rows(house.store, "programme"))
    form = olive.get("/console/yours/").form("shop")
    sent = {**form.values, **FILLED, "kept_logo": ""}
    assert [olive.post(form.address, dict(sent)).address for _ in range(2)] == ["/console/yours/ready"] * 2
    assert len(rows(house.store, "programme")) == before + 1


def test_the_file_goes_on_where_the_form_ends(olive: Visitor) -> None:
    fill(olive)
    answer = olive.fetch("/console/yours/file")
    assert 'filename="kestane.toml"' in answer.headers["Content-Disposition"]
    programme = parse(answer.get_data(as_text=True), name="kestane")
    assert programme.rewards[0].name.in_("en") == "Flat white"


def test_pictures_that_browsers_keep_are_named_by_what_they_show(olive: Visitor) -> None:
    def addresses() -> set[str]:
        return set(re.findall(r"/static-theme/[^\"' ]+v=[0-9a-f]+", olive.get("/console/yours/ready").html))

    fill(olive)
    before = addresses()
    assert len(before) >= 3
    for changes, is_other in (({"price": "100"}, False), ({"ground": "#102030"}, True)):
        form = olive.get("/console/yours/change").form("shop")
        olive.post(form.address, {**form.values, **changes})
        assert (addresses() & before == set()) is is_other


# Changing it -------------------------------------------------------------------------------


def test_the_form_comes_back_filled_in_and_changes_every_card(olive: Visitor, house: Shop) -> None:
    logo = encoded(sign(200, 200))
    page = fill(olive, logo=logo)
    assert page.element(href="/console/yours/change")
    joined = house.join("Ana", programme="kestane")
    page = olive.get("/console/yours/change")
    form = page.form("shop")
    kept = page.element(name="kept_logo")["value"]
    assert {name: form.values[name] for name in FILLED} == {**FILLED, "ground": "#E05020"}
    assert base64.b64decode(kept) == logos.read(logo)
    page = olive.post(form.address, {**form.values, "ground": "#102030", "price": "100", "kept_logo": kept})
    assert page.address == "/console/yours/ready"
    with house.store.read() as read:
        loaded = programmes.by_slug(read, "kestane")
    assert (loaded.version, loaded.programme.rewards[0].points) == (2, 100)
    assert loaded.programme.design.colours.ground == "#102030"
    assert loaded.programme.design.logo == logos.read(logo)
    assert "#102030" in olive.get("/console/yours/ready").html
    assert house.balance(joined.code, programme="kestane") == 0


def test_of_two_who_change_it_the_second_is_told(olive: Visitor, house: Shop) -> None:
    fill(olive)
    form = olive.get("/console/yours/change").form("shop")
    first = olive.post(form.address, {**form.values, "price": "100"})
    assert first.address == "/console/yours/ready"
    page = olive.post(form.address, {**form.values, "price": "200"})
    assert page.status == 409
    assert "Somebody else changed this card meanwhile." in page.text
    # What was typed is still there, and goes through once it was looked at.
    again = page.form("shop")
    assert again.values["price"] == "200"
    assert olive.post(again.address, dict(again.values)).address == "/console/yours/ready"


def test_what_was_sold_keeps_its_currency(olive: Visitor, house: Shop) -> None:
    fill(olive)
    house.buy(house.join("Ana", programme="kestane").code, 1_000, programme="kestane")
    form = olive.get("/console/yours/change").form("shop")
    page = olive.post(form.address, {**form.values, "currency": "EUR"})
    assert page.status == 422
    assert "must stay USD" in page.text


def test_a_file_that_says_more_is_changed_as_a_file(olive: Visitor) -> None:
    page = olive.get("/console/yours/change")
    assert page.address == "/console/yours/ready"
    assert "Change your card" not in page.text
    form = olive.get("/console/yours/").form("shop")
    page = olive.post("/console/yours/change", {**form.values, **FILLED, "version": "1"})
    assert page.status == 409


# What is wrong ---------------------------------------------------------------------------


def test_every_mistake_is_told_at_once_and_nothing_typed_is_lost(olive: Visitor, house: Shop) -> None:
    before = len(rows(house.store, "programme"))
    page = fill(olive, shop="", email="nobody", amount="much", reward="2 coffees", price="0")
    assert page.status == 422
    for words in (
        "5 fields need another look.",
        "This is missing.",
        "This is no e-mail address.",
        "Write an amount such as 10.00.",
        "a card must not promise what no rule gives",
        "Write a number from 1 to 1,000,000.",
    ):
        assert words in page.text
    assert page.element(id="shop")["aria-invalid"] == "true"
    assert page.element(id="shop")["aria-describedby"] == "shop-wrong"
    assert "data-first-error" in page.element(id="shop")
    values = page.form("shop").values
    assert (values["email"], values["amount"], values["reward"]) == ("nobody", "much", "2 coffees")
    assert values["unit_other"] == "chestnuts"
    assert len(rows(house.store, "programme")) == before


def test_amounts_are_typed_as_the_language_of_the_page_writes_them(olive: Visitor, house: Shop) -> None:
    olive.get("/console/yours/?lang=tr")
    assert fill(olive, amount="1.00").status == 422
    assert fill(olive, amount="1,50", language="tr").address == "/console/yours/ready"
    with house.store.read() as read:
        assert programmes.by_slug(read, "kestane").programme.earning.per_minor == 150


def test_currency_and_zone_are_those_of_the_list(olive: Visitor) -> None:
    page = fill(olive, currency="XXX", zone="Moon/Base")
    assert page.status == 422
    assert page.text.count("Choose one from the list.") == 2
    assert 'class="panel where" open' in page.html


# What it looks like ------------------------------------------------------------------------


def test_the_card_is_drawn_in_both_looks_from_the_form_as_it_stands(olive: Visitor) -> None:
    form = olive.get("/console/yours/").form("shop")
    page = olive.post("/console/yours/preview", {**form.values, "shop": "Kestane", "ground": "#FFE9A8"})
    assert page.html.count("<svg") == 2
    assert "#FFE9A8" in page.html
    assert "Kestane" in page.html
    # What is missing stands there as an example.
    assert "Your reward" in page.text
    assert "A purchase of $10.00 gives 100 points." in page.text
    assert "Your reward is theirs after $50.00." in page.text
    assert re.search(r"Contrast of the words 17\.\d, of the labels 7\.\d", page.text)


def test_a_logo_that_nobody_can_see_is_named(olive: Visitor) -> None:
    white = encoded(Image.new("RGB", (50, 50), (255, 255, 255)))
    assert "The logo is hard to see" in fill(olive, button="see", logo=white, ground="#fafafa").text
    assert "The logo is hard to see" not in fill(olive, button="see", logo=white, ground="#5a2d0c").text


def test_without_script_a_button_shows_it(olive: Visitor, house: Shop) -> None:
    before = len(rows(house.store, "programme"))
    page = fill(olive, button="see", logo=encoded(sign()), reward="")
    assert page.status == 200
    assert "Flat white" not in page.text
    assert page.form("shop").values["shop"] == "Kestane & Söhne"
    assert "aria-invalid" not in page.element(id="reward")
    assert len(rows(house.store, "programme")) == before


# The logo --------------------------------------------------------------------------------


def test_a_logo_is_kept_with_the_programme_and_served_from_the_database(olive: Visitor, house: Shop) -> None:
    logo = encoded(sign(200, 200))
    assert fill(olive, logo=logo).address == "/console/yours/ready"
    with house.store.read() as read:
        loaded = programmes.by_slug(read, "kestane")
    assert loaded.programme.design.logo == logos.read(logo)
    for address in ("/static-theme/kestane/logo-0.webp?v=1", "/static-theme/kestane/icon-192.png?v=1"):
        picture = Image.open(io.BytesIO(olive.fetch(address).get_data())).convert("RGB")
        assert picture.getpixel((picture.width // 3, picture.height // 2)) == (220, 30, 30)


def test_a_logo_comes_back_with_a_form_that_is_refused(olive: Visitor, house: Shop) -> None:
    page = fill(olive, logo=encoded(sign()), shop="")
    kept = page.element(name="kept_logo")
    assert kept["form"] == "yours"
    assert base64.b64decode(kept["value"]) == logos.read(encoded(sign()))
    assert fill(olive, kept_logo=kept["value"]).address == "/console/yours/ready"
    with house.store.read() as read:
        assert programmes.by_slug(read, "kestane").programme.design.logo


def test_a_logo_can_be_taken_off_again(olive: Visitor, house: Shop) -> None:
    kept = base64.b64encode(logos.read(encoded(sign()))).decode()
    fill(olive, kept_logo=kept, no_logo="on")
    with house.store.read() as read:
        assert programmes.by_slug(read, "kestane").programme.design.logo == b""


@pytest.mark.parametrize("kept", ["????", base64.b64encode(b"<svg/>").decode(), "AAAA" * 10])
def test_what_comes_back_as_a_logo_is_read_like_any_upload(olive: Visitor, house: Shop, kept: str) -> None:
    fill(olive, kept_logo=kept)
    with house.store.read() as read:
        assert programmes.by_slug(read, "kestane").programme.design.logo == b""


def test_what_is_no_picture_is_refused_in_kind_words(
    olive: Visitor, house: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(rows(house.store, "programme"))
    page = fill(olive, logo=b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert page.status == 422
    assert "This picture cannot be read. Take a PNG, JPEG or WebP file." in page.text
    # The test's own browser leaves large uploads lying about in files.
    monkeypatch.setattr(logos, "UPLOAD_BYTES_MAX", 1_000)
    page = fill(olive, logo=bytes(1_001))
    assert "This picture is too large." in page.text
    assert len(rows(house.store, "programme")) == before
