"""Customers: the join page and the page of a card."""

from __future__ import annotations

import gzip
from datetime import timedelta
from urllib.parse import unquote

import pytest
from flask import Flask
from sqlalchemy import text

from passes.loyalty.joining import NAME_LETTERS_MAX
from tests.cast import rows
from tests.shop import Shop
from tests.web.visitor import Page, Visitor


def join(
    visitor: Visitor, name: str = "Ana Reyes", address: str = "/join/copperfinch", **values: str
) -> Page:
    return visitor.fill_in(visitor.get(address).form("name"), {"name": name, **values})


@pytest.mark.check("W-04")
def test_a_name_is_enough_for_a_card(ana: Visitor, house: Shop) -> None:
    page = join(ana)
    assert (page.status, page.redirects) == (200, [303])
    assert page.address.startswith("/card/")
    assert "Your card is ready" in page.text
    assert "You have 100 beans." in page.text
    assert [row["name"] for row in rows(house.store, "person")] == ["Ana Reyes"]


def test_the_card_page_shows_what_the_till_asks_for(ana: Visitor, house: Shop) -> None:
    page = join(ana)
    code = str(rows(house.store, "card_code")[0]["code"])
    assert "-".join(code[start : start + 4] for start in range(0, 16, 4)) in page.text
    assert "Ana Reyes" in page.text
    assert "Perch" in page.text


def test_the_card_page_leads_into_the_wallet_for_ten_minutes(ana: Visitor, house: Shop) -> None:
    page = join(ana)
    address = page.element(type="application/vnd.apple.pkpass")["href"]
    assert ana.fetch(address).mimetype == "application/vnd.apple.pkpass"
    house.now += timedelta(minutes=10, seconds=1)
    assert ana.fetch(address).status_code == 404


def test_development_offers_the_virtual_iphone_and_production_does_not(
    ana: Visitor, live: Flask, house: Shop
) -> None:
    page = join(ana)
    link = next(given["href"] for tag, given in page.elements if tag == "a" and ":8001/add" in given["href"])
    assert unquote(link).startswith("http://127.0.0.1:8001/add?url=http://127.0.0.1:8000/download/")
    guest = Visitor(live, base="https://cards.shop.example")
    assert "virtual" not in guest.get(page.address).text


@pytest.mark.check("W-22")
def test_the_card_page_is_there_again_tomorrow_and_in_another_browser(
    ana: Visitor, app: Flask, house: Shop
) -> None:
    address = join(ana).address
    house.now += timedelta(days=400)
    assert "You have 100 beans." in Visitor(app).get(address).text


def test_the_address_of_a_card_stays_with_its_owner(ana: Visitor) -> None:
    headers = join(ana).answer.headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "noindex" in headers["X-Robots-Tag"]


@pytest.mark.check("W-24")
def test_an_unknown_card_and_an_unknown_shop_explain_themselves(ana: Visitor) -> None:
    card, shop = ana.get("/card/nothing"), ana.get("/join/nowhere")
    assert (card.status, shop.status) == (404, 404)
    assert "This link has expired or was withdrawn. Ask for a new one." in card.text
    assert "There is no such programme." in shop.text
    assert "Start again" in card.text


def test_the_same_form_sent_twice_gives_the_same_card(ana: Visitor, house: Shop) -> None:
    form = ana.get("/join/copperfinch").form("name")
    first = ana.send(form, name="Ana Reyes")
    assert ana.cookie("passes_card_copperfinch", "/join/copperfinch")
    ana.remember("passes_card_copperfinch", "", "/join/copperfinch")
    second = ana.send(form, name="Ana Reyes")
    assert first.address == second.address
    assert len(rows(house.store, "member")) == 1


def test_a_browser_that_has_a_card_is_led_back_to_it(ana: Visitor, house: Shop) -> None:
    own = join(ana).address
    page = ana.get("/join/copperfinch")
    assert "You already have a card" in page.text
    assert page.element(class_="button big")["href"] == own
    # Even a form that was open in another tab.
    house.now += timedelta(minutes=1)
    assert ana.post("/join/copperfinch", {"name": "Ana Reyes", "form": "old"}).address == own
    assert len(rows(house.store, "member")) == 1


def test_a_browser_that_has_a_card_may_make_one_for_somebody_else(ana: Visitor, house: Shop) -> None:
    join(ana)
    join(ana, "Ben", "/join/copperfinch?new=1")
    assert len(rows(house.store, "member")) == 2


@pytest.mark.check("W-21")
def test_a_known_address_never_hands_out_somebodys_card(ana: Visitor, app: Flask, house: Shop) -> None:
    first = join(ana, email="ana@shop.example")
    second = join(Visitor(app), "Eve", email="ANA@shop.example")
    assert second.address != first.address
    assert (first.status, second.status) == (200, 200)
    assert "You have 0 beans." in second.text


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"name": " "}, "name", f"Enter a name of at most {NAME_LETTERS_MAX} letters."),
        ({"name": "x" * 65}, "name", f"Enter a name of at most {NAME_LETTERS_MAX} letters."),
        ({"name": "Ana", "email": "ana@"}, "email", "That does not look like an e-mail address."),
    ],
)
def test_a_refused_form_says_what_to_correct_and_keeps_the_rest(
    ana: Visitor, house: Shop, values: dict[str, str], field: str, words: str
) -> None:
    form = ana.get("/join/copperfinch").form("name")
    page = ana.fill_in(form, {"email": "kept@shop.example", "offers": "on", **values})
    assert page.status == 422
    wrong = page.element(name=field, aria_invalid="true")
    assert page.element(id=wrong["aria-describedby"])
    assert words in page.text
    again = page.form("name")
    assert again.values["name"] == values["name"]
    assert again.values["email"] == values.get("email", "kept@shop.example")
    assert again.values["offers"] == "on"
    assert rows(house.store, "member") == []
    # Corrected, the same form goes through.
    assert ana.send(again, name="Ana", email="").address.startswith("/card/")


@pytest.mark.check("W-11")
def test_a_form_that_was_open_too_long_keeps_what_was_typed(ana: Visitor, house: Shop) -> None:
    form = ana.get("/join/copperfinch").form("name")
    house.now += timedelta(hours=13)
    page = ana.send(form, name="Ana Reyes", email="ana@shop.example")
    assert page.status == 422
    assert "This page was open for too long. Send it again." in page.text
    assert page.form("name").values["email"] == "ana@shop.example"
    assert ana.send(page.form("name")).address.startswith("/card/")


@pytest.mark.parametrize("token", ["", "x", "1.a.b"])
def test_a_form_that_this_server_did_not_make_is_refused(ana: Visitor, house: Shop, token: str) -> None:
    page = ana.post("/join/copperfinch", {"name": "Ana", "form": token})
    assert page.status == 422
    assert rows(house.store, "member") == []


@pytest.mark.check("W-16")
def test_consent_is_asked_unticked_and_kept_with_its_version(ana: Visitor, app: Flask, house: Shop) -> None:
    form = ana.get("/join/copperfinch").form("name")
    assert "offers" in form.names
    assert "offers" not in form.values
    ana.send(form, name="Ana")
    join(Visitor(app), "Ben", offers="on")
    kept = [(row["given"], row["text_version"], row["purpose"]) for row in rows(house.store, "consent")]
    assert kept == [
        *((False, "2026-01", "offers"), (False, "2026-01", "ring")),
        *((True, "2026-01", "offers"), (False, "2026-01", "ring")),
    ]


def test_the_terms_are_there_to_read(ana: Visitor) -> None:
    assert "Beans have no cash value" in ana.get("/join/copperfinch").text


@pytest.mark.check("W-15")
def test_the_form_asks_for_little_and_helps_to_fill_it_in(ana: Visitor) -> None:
    page = ana.get("/join/copperfinch")
    assert page.element(name="name")["autocomplete"] == "name"
    email = page.element(name="email")
    assert (email["type"], email["inputmode"], email["autocomplete"]) == ("email", "email", "email")
    fields = [given for tag, given in page.elements if tag == "input" and given.get("type") != "hidden"]
    assert len(fields) == 4  # name, e-mail, two consents; and the birthday's two choices


def test_where_a_member_came_from_is_kept(ana: Visitor, app: Flask, house: Shop) -> None:
    ana.headers["Referer"] = "https://user:secret@blog.example/coffee?session=1"
    address = "/join/copperfinch?from=poster&at=wicker-park&utm_source=blog&utm_campaign=" + "c" * 200
    form = ana.get(address).form("name")
    ana.headers["Referer"] = "http://127.0.0.1:8000/join/copperfinch"
    ana.send(form, name="Ana")
    joining = rows(house.store, "joining")[0]
    assert (joining["source"], joining["location"]) == ("poster", "wicker-park")
    assert joining["referrer"] == "https://blog.example/coffee"
    assert (joining["utm_source"], joining["utm_campaign"]) == ("blog", "c" * 100)
    join(Visitor(app), "Ben", "/join/copperfinch?from=nonsense&at=elsewhere")
    assert (rows(house.store, "joining")[1]["source"], rows(house.store, "joining")[1]["location"]) == (
        "link",
        None,
    )


def test_views_and_sends_are_counted(ana: Visitor, house: Shop) -> None:
    form = ana.get("/join/copperfinch?from=poster").form("name")
    ana.send(form, name="")
    ana.send(form, name="Ana")
    counts = {(row["source"], row["step"]): row["count"] for row in rows(house.store, "join_count")}
    assert counts == {("poster", "view"): 1, ("poster", "send"): 2}


def test_joining_a_hundred_times_from_one_place_is_stopped(ana: Visitor, house: Shop) -> None:
    form = ana.get("/join/copperfinch").form("name")
    for _ in range(120):
        assert ana.send(form, name="").status == 422
    page = ana.send(form, name="Ana")
    assert page.status == 429
    assert "Too many tries. Wait a few minutes and try again." in page.text
    assert page.form("name").values["name"] == "Ana"


def test_the_bookshop_speaks_turkish_unless_asked_otherwise(ana: Visitor, app: Flask) -> None:
    page = ana.get("/join/marginalya")
    assert "On saniye, uygulama gerekmez." in page.text
    assert page.element(lang="tr", dir="ltr")
    english = Visitor(app, Accept_Language="en-GB,en;q=0.9,fr;q=0.1")
    assert "Ten seconds, no app." in english.get("/join/marginalya").text
    french = Visitor(app, Accept_Language="fr")
    assert "On saniye, uygulama gerekmez." in french.get("/join/marginalya").text


@pytest.mark.check("W-13", "W-25")
def test_the_join_page_is_light(ana: Visitor) -> None:
    page = ana.get("/join/copperfinch")
    addresses = {"/static/vendor/pico-2.1.1.min.css"} | {
        given.get("href") or given.get("src", "")
        for tag, given in page.elements
        if (tag == "link" and given.get("rel") in ("stylesheet", "icon")) or tag in ("script", "img")
    }
    bodies = {one: ana.fetch(one).data for one in addresses} | {"the page": page.answer.data}
    sizes = {one: len(gzip.compress(body)) for one, body in bodies.items()}
    assert sum(sizes.values()) <= 60_000, sizes
    # The form comes before the picture.
    assert page.html.index("<form") < page.html.index("card-strip")


def test_phones_that_cannot_take_an_apple_card_are_told_what_to_do(ana: Visitor, app: Flask) -> None:
    address = join(ana).address
    android = Visitor(app, User_Agent="Mozilla/5.0 (Linux; Android 16; Pixel 9) Chrome/156")
    assert "Keep this page" in android.get(address).text
    assert "Add to Apple Wallet" in android.get(address).text  # one tap away
    inside = Visitor(app, User_Agent="Mozilla/5.0 (iPhone) AppleWebKit Instagram 300")
    assert "Open this page in your browser" in inside.get(address).text
    assert "Open this page in your browser" not in ana.get(address).text


def test_a_withdrawn_card_offers_no_wallet(ana: Visitor, house: Shop) -> None:
    address = join(ana).address
    house.store.write(lambda work: work.put(text("UPDATE card SET voided_at = 1")))
    page = ana.get(address)
    assert "This card is no longer valid." in page.text
    assert "Apple" not in page.text


def test_a_name_is_shown_as_text_and_never_as_markup(ana: Visitor) -> None:
    page = join(ana, "<b onclick=x>Bobby</b>")
    assert "<b onclick" not in page.html
    assert "&lt;b onclick=x&gt;" in page.html
