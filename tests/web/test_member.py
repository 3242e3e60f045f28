"""Members: the page that a card lives on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from flask import Flask
from sqlalchemy import text

from app import create_app
from passes.enrolment import Joined
from passes.mail import Letter, Outcome
from passes.wiring import Installation
from tests.cast import Card, an_install, rows
from tests.google.rehearsal import Rehearsal, balance_of, rehearsal
from tests.shop import KEYS, PASS_TYPE, Shop
from tests.web.visitor import Page, Visitor


@pytest.fixture
def regular(house: Shop) -> Joined:
    """Ana, who has 640 beans."""
    joined = house.join("Ana Reyes")
    house.buy(joined.code, 54_00)
    return joined


def address_of(joined: Joined) -> str:
    return f"/card/{joined.link_secret}"


# The card ------------------------------------------------------------------------------------


def test_the_page_shows_what_the_till_asks_for(ana: Visitor, regular: Joined) -> None:
    page = ana.get(address_of(regular))
    assert "-".join(regular.code[start : start + 4] for start in range(0, 16, 4)) in page.text
    assert "You have 640 beans." in page.text
    assert "Ana Reyes" in page.html
    assert "Perch" in page.text


@pytest.mark.check("W-22")
def test_the_page_is_there_again_next_year_and_in_another_browser(
    ana: Visitor, app: Flask, house: Shop, regular: Joined
) -> None:
    house.now += timedelta(days=200)
    assert "You have 640 beans." in Visitor(app).get(address_of(regular)).text


def test_pages_with_forms_tell_their_address_to_this_site_alone(ana: Visitor, regular: Joined) -> None:
    for path in ("details", "leave"):
        assert ana.get(f"{address_of(regular)}/{path}").answer.headers["Referrer-Policy"] == "same-origin"


def test_the_address_of_a_card_stays_with_its_owner(ana: Visitor, regular: Joined) -> None:
    for address in (address_of(regular), f"{address_of(regular)}/now", f"{address_of(regular)}/apple"):
        headers = ana.get(address, follow=False).answer.headers
        assert "no-store" in headers["Cache-Control"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "noindex" in headers["X-Robots-Tag"]


@pytest.mark.check("W-24")
def test_an_unknown_link_and_a_withdrawn_one_look_alike(ana: Visitor, house: Shop, regular: Joined) -> None:
    house.store.write(lambda work: work.put(text("UPDATE card_link SET revoked_at = 1")))
    unknown, withdrawn = ana.get("/card/zzzzzzzz"), ana.get(address_of(regular))
    assert (unknown.status, withdrawn.status) == (404, 404)
    assert unknown.html.replace("zzzzzzzz", "") == withdrawn.html.replace(regular.link_secret, "")
    assert "This link has expired or was withdrawn. Ask for a new one." in unknown.text
    assert "Start again" in unknown.text
    again = next(given["href"] for _, given in unknown.elements if given.get("href", "").endswith("/again"))
    assert ana.get(again).status == 200


def test_a_withdrawn_card_offers_no_wallet_and_names_nobody(
    ana: Visitor, house: Shop, regular: Joined
) -> None:
    house.store.write(lambda work: work.put(text("UPDATE card SET voided_at = 1")))
    page = ana.get(address_of(regular))
    assert page.status == 410
    assert "This card is no longer valid." in page.text
    assert "Apple" not in page.text
    assert "Ana" not in page.html
    assert ana.get(f"{address_of(regular)}/apple").status == 410
    assert ana.get(f"{address_of(regular)}/now").status == 410


def test_a_name_is_shown_as_text_and_never_as_markup(ana: Visitor, house: Shop) -> None:
    page = ana.get(address_of(house.join("<b onclick=x>Bobby</b>")))
    assert "<b onclick" not in page.html
    assert "&lt;b onclick=x&gt;" in page.html


# Staying fresh ---------------------------------------------------------------------------------


def test_an_open_page_is_told_only_of_what_changed(ana: Visitor, house: Shop, regular: Joined) -> None:
    page = ana.get(address_of(regular))
    state = next(given for _, given in page.elements if "data-tag" in given)
    ana.headers["If-None-Match"] = state["data-tag"]
    assert ana.fetch(state["data-live"]).status_code == 304
    house.buy(regular.code, 12_40)
    answer = ana.get(state["data-live"])
    assert answer.status == 200
    assert "You have 764 beans." in answer.text
    ana.headers["If-None-Match"] = answer.answer.headers["ETag"]
    assert ana.fetch(state["data-live"]).status_code == 304
    # A phone that takes the card is news, and so is a new day.
    card = Card(
        regular.programme_id,
        regular.member_id,
        regular.card_id,
        regular.serial,
        regular.code,
        KEYS.token(KEYS.current_id, PASS_TYPE, regular.serial),
    )
    an_install(house, card)
    answer = ana.get(state["data-live"])
    assert "Press the side button twice" in answer.text
    ana.headers["If-None-Match"] = answer.answer.headers["ETag"]
    house.now += timedelta(days=1)
    assert ana.get(state["data-live"]).status == 200


def test_the_fresh_parts_are_those_of_the_page(ana: Visitor, regular: Joined) -> None:
    page = ana.get(address_of(regular))
    parts = [given["data-part"] for _, given in page.elements if "data-part" in given]
    fresh = ana.get(f"{address_of(regular)}/now")
    assert sorted(parts) == sorted(given["data-part"] for _, given in fresh.elements if "data-part" in given)


def test_the_page_is_a_web_card_from_the_day_it_was_shown(ana: Visitor, house: Shop, regular: Joined) -> None:
    def day() -> datetime:
        return datetime.fromtimestamp(int(rows(house.store, "card")[0]["web_at"]) / 1e6, UTC)

    assert rows(house.store, "card")[0]["web_at"] is None
    ana.get(address_of(regular))
    shown = day()
    assert shown <= house.now < shown + timedelta(days=1)
    house.now += timedelta(minutes=5)
    ana.get(address_of(regular))
    assert day() == shown
    house.now += timedelta(days=1)
    ana.get(address_of(regular))
    assert day() > shown


# What it holds -----------------------------------------------------------------------------------


def test_the_page_tells_what_can_be_had_and_what_is_missing(ana: Visitor, regular: Joined) -> None:
    page = ana.get(address_of(regular))
    assert "Brewed coffee 400 beans Ready" in page.text
    assert "Any drink 800 beans 160 to go" in page.text
    assert "$196.00 more for Flight" in page.text


def test_the_page_tells_what_happened_and_why(ana: Visitor, house: Shop, regular: Joined) -> None:
    house.redeem(regular.code, "extra-shot")
    mistake = house.buy(regular.code, 9_90)
    house.undo(mistake.id)
    page = ana.get(address_of(regular))
    assert "Purchase: 10 beans for every $1.00 of $54.00. +540" in page.text
    assert "Reward: Extra shot −150" in page.text
    assert "taken back" in page.text
    turkish = ana.get(f"{address_of(regular)}?lang=tr")
    assert "Ödül: Ekstra shot" in turkish.text


def test_points_that_lapse_are_named_with_their_last_day(ana: Visitor, regular: Joined) -> None:
    assert "Use 640 beans by March 31, 2027." in ana.get(address_of(regular)).text


def test_stamps_are_counted(ana: Visitor, house: Shop) -> None:
    elif_ = house.join("Elif", "marginalya")
    house.buy(elif_.code, 240_00, "marginalya")
    assert "of 10 stamps" in ana.get(f"{address_of(elif_)}?lang=en").text


# Into a wallet -------------------------------------------------------------------------------------


@pytest.mark.check("W-23")
def test_the_page_leads_into_the_wallet_for_ten_minutes(ana: Visitor, house: Shop, regular: Joined) -> None:
    page = ana.get(address_of(regular))
    button = page.element(type="application/vnd.apple.pkpass")["href"]
    answer = ana.get(button, follow=False)
    assert answer.status == 303
    download = answer.answer.headers["Location"]
    assert download.startswith("/download/")
    file = ana.fetch(download)
    assert file.mimetype == "application/vnd.apple.pkpass"
    assert "no-store" in file.headers["Cache-Control"]
    house.now += timedelta(minutes=10, seconds=1)
    assert ana.fetch(download).status_code == 404
    # The button itself makes a new address every time.
    assert ana.get(button).answer.mimetype == "application/vnd.apple.pkpass"


@pytest.mark.check("W-23")
def test_a_browser_inside_another_app_is_told_to_open_the_page_elsewhere(
    ana: Visitor, app: Flask, regular: Joined
) -> None:
    inside = Visitor(app, User_Agent="Mozilla/5.0 (iPhone) AppleWebKit Instagram 300")
    assert "This page is open inside another app" in inside.get(address_of(regular)).text
    assert "This page is open inside another app" not in ana.get(address_of(regular)).text


def test_development_offers_the_virtual_phone_and_production_does_not(
    ana: Visitor, live: Flask, regular: Joined
) -> None:
    page = ana.get(address_of(regular))
    link = next(given["href"] for tag, given in page.elements if tag == "a" and ":8001/add" in given["href"])
    assert unquote(link) == f"http://127.0.0.1:8001/add?url=http://127.0.0.1:8000{address_of(regular)}/apple"
    guest = Visitor(live, base="https://cards.shop.example")
    assert "virtual" not in guest.get(address_of(regular)).text


def test_without_google_there_is_no_way_to_google(ana: Visitor, regular: Joined) -> None:
    assert "Google" not in ana.get(address_of(regular)).text
    answer = ana.get(f"{address_of(regular)}/google", follow=False)
    assert (answer.status, answer.answer.headers["Location"]) == (303, address_of(regular))


@pytest.fixture
def town(house: Shop) -> Iterator[Rehearsal]:
    with rehearsal(house) as made:
        yield made


@pytest.fixture
def beside_google(installation: Installation, town: Rehearsal) -> Visitor:
    """A browser at an installation with a Google."""
    return Visitor(create_app(replace(installation, google=town.desk)), base=installation.public_url)


def test_the_page_leads_to_googles_page_with_the_card_there_already(
    beside_google: Visitor, town: Rehearsal, regular: Joined
) -> None:
    page = beside_google.get(address_of(regular))
    assert "Add to Google Wallet" in page.text
    answer = beside_google.get(f"{address_of(regular)}/google", follow=False)
    assert answer.status == 303
    link = answer.answer.headers["Location"]
    assert [balance_of(shown) for shown in town.google.look(link)] == ["640"]
    town.google.add_phone().save(link)
    town.google.wait_until(lambda: bool(town.answers))
    assert "Open Google Wallet and tap this card." in beside_google.get(address_of(regular)).text
    # What was erased at home is not given to Google any more.
    leave = beside_google.get(f"{address_of(regular)}/leave").form("sure")
    assert beside_google.send(leave, sure="on").status == 410
    assert beside_google.get(f"{address_of(regular)}/google").status == 410


def test_a_google_that_does_not_answer_is_asked_again_by_the_visitor(
    beside_google: Visitor, town: Rehearsal, regular: Joined
) -> None:
    town.google.stop()
    page = beside_google.get(f"{address_of(regular)}/google")
    assert page.status == 503
    assert "Google Wallet does not answer just now." in page.text
    hrefs = {given["href"] for tag, given in page.elements if tag == "a" and "href" in given}
    assert {address_of(regular), f"{address_of(regular)}/google"} <= hrefs


# Choices -------------------------------------------------------------------------------------------


def details(visitor: Visitor, joined: Joined) -> Page:
    return visitor.get(f"{address_of(joined)}/details")


@pytest.mark.check("W-04")
def test_consent_is_taken_back_as_easily_as_it_was_given(ana: Visitor, house: Shop, regular: Joined) -> None:
    form = details(ana, regular).form("ring")
    assert "ring" not in form.values
    page = ana.send(form, ring="on")
    assert page.redirects == [303]
    assert "Saved. It holds from now on." in page.text
    form = page.form("ring")
    assert form.values["ring"] == "on"
    ana.send(form, ring=None)
    kept = [row["given"] for row in rows(house.store, "consent", "source = 'member page' ORDER BY id")]
    assert [bool(one) for one in kept] == [True, False]


def test_an_old_page_does_not_undo_a_newer_answer(ana: Visitor, house: Shop, regular: Joined) -> None:
    old = details(ana, regular).form("ring")
    ana.send(details(ana, regular).form("ring"), ring="on")
    ana.send(old)
    assert details(ana, regular).form("ring").values["ring"] == "on"


def test_the_language_of_the_card_is_the_language_of_its_page(ana: Visitor, regular: Joined) -> None:
    ana.get(f"{address_of(regular)}?lang=en")
    form = details(ana, regular).form("language")
    page = ana.send(form, language="tr")
    assert "Verilerim ve tercihlerim" in page.text
    assert "çekirdek" in ana.get(address_of(regular)).text


def test_what_is_known_is_corrected_in_the_form(ana: Visitor, house: Shop, regular: Joined) -> None:
    form = details(ana, regular).form("birthday_month")
    assert form.values["name"] == "Ana Reyes"
    page = ana.send(form, name="Ana María", email="ana@shop.example", birthday_month="2", birthday_day="29")
    assert "Saved." in page.text
    person = rows(house.store, "person")[0]
    assert (person["name"], person["email"], person["birthday_day"]) == ("Ana María", "ana@shop.example", 29)
    assert "Ana María" in ana.get(address_of(regular)).html
    page = ana.send(page.form("birthday_month"), birthday_month="3", birthday_day="1")
    assert page.status == 409
    assert "You can change yours again on March 14, 2027." in page.text
    assert page.element(name="birthday_month", aria_invalid="true")


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"name": " "}, "name", "Enter a name of at most 64 letters."),
        ({"email": "ana@"}, "email", "That does not look like an e-mail address."),
        ({"birthday_month": "2"}, "birthday_month", "Choose a day and a month that go together"),
    ],
)
def test_a_refused_correction_keeps_what_was_typed(
    ana: Visitor, regular: Joined, values: dict[str, str], field: str, words: str
) -> None:
    page = ana.fill_in(details(ana, regular).form("birthday_month"), {"name": "Kept", **values})
    assert page.status == 422
    assert words in page.text
    assert page.element(name=field, aria_invalid="true")
    assert page.form("birthday_month").values["name"] == values.get("name", "Kept")


def test_a_new_link_makes_the_old_one_worthless(ana: Visitor, app: Flask, regular: Joined) -> None:
    thief = Visitor(app)
    stolen = details(thief, regular)
    page = ana.send(next(form for form in details(ana, regular).forms if form.address.endswith("/link")))
    assert "This is your new link" in page.text
    fresh = page.address.removesuffix("/details")
    assert fresh != address_of(regular)
    assert ana.get(fresh).status == 200
    assert ana.cookie("passes_card_copperfinch", "/join/copperfinch") == fresh.removeprefix("/card/")
    assert "You already have a card" in ana.get("/join/copperfinch").text
    assert thief.get(address_of(regular)).status == 404
    for form in stolen.forms:
        assert thief.send(form).status == 404
    # Sent twice, the owner's form leads to the same new link.
    assert ana.get(fresh).status == 200


class Silent:
    """A mail server that is never asked here."""

    def deliver(self, letters: Sequence[Letter]) -> Iterator[tuple[int, Outcome]]:
        yield from ()

    def check(self) -> str | None:
        return None


def test_the_card_is_sent_where_letters_are_sent(
    ana: Visitor, installation: Installation, house: Shop, regular: Joined
) -> None:
    assert "Save the page of your card" in details(ana, regular).text
    writes = Visitor(create_app(replace(installation, post=Silent())))
    form = details(writes, regular).form("birthday_month")
    page = writes.send(form, email="ana@shop.example")
    letter = next(form for form in page.forms if form.address.endswith("/letter"))
    page = writes.send(letter)
    assert "A letter with the way to your card is on its way to ana@shop.example." in page.text
    assert [row["kind"] for row in rows(house.store, "mail")] == ["card_link"]


@pytest.mark.check("L-86")
def test_everything_known_is_there_to_take_along(ana: Visitor, regular: Joined) -> None:
    page = details(ana, regular)
    link = next(given["href"] for _, given in page.elements if "download" in given)
    answer = ana.fetch(link)
    assert answer.mimetype == "application/json"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert "no-store" in answer.headers["Cache-Control"]
    known = json.loads(answer.data)
    assert known["people"][0]["name"] == "Ana Reyes"
    for _ in range(4):
        assert ana.fetch(link).status_code == 200
    assert ana.fetch(link).status_code == 429


def test_leaving_asks_twice_and_then_forgets(ana: Visitor, house: Shop, regular: Joined) -> None:
    page = ana.get(f"{address_of(regular)}/leave")
    assert "Your 640 beans lapse." in page.text
    form = page.form("sure")
    page = ana.send(form)
    assert page.status == 422
    assert "Tick the box if you mean it." in page.text
    assert house.balance(regular.code) == 640
    page = ana.send(page.form("sure"), sure="on")
    assert page.status == 410
    assert "This card is no longer valid." in page.text
    assert "Ana" not in page.html
    assert rows(house.store, "person") == []
    for address in ("/details", "/leave", "/now", "/record.json", "/apple"):
        gone = ana.get(f"{address_of(regular)}{address}")
        assert gone.status == 410, address
        assert "Ana" not in gone.html


@pytest.mark.check("W-11")
def test_a_form_belongs_to_its_link_alone(ana: Visitor, app: Flask, house: Shop, regular: Joined) -> None:
    ben = house.join("Ben")
    mine = details(ana, regular).form("birthday_month").values["form"]
    for path in ("consents", "language", "details", "letter", "link", "leave"):
        page = ana.post(f"{address_of(ben)}/{path}", {"form": mine, "name": "Eve", "sure": "on"})
        assert page.status == 422, path
        assert "This page was open for too long. Send it again." in page.text
    assert [row["name"] for row in rows(house.store, "person", "1 = 1 ORDER BY name")] == ["Ana Reyes", "Ben"]


def test_forms_are_not_sent_without_end(ana: Visitor, regular: Joined) -> None:
    form = details(ana, regular).form("ring")
    for _ in range(30):
        assert ana.send(form, follow=False).status == 303
    page = ana.send(form)
    assert page.status == 429
    assert "Too many tries." in page.text


def test_a_link_cannot_spend_anything(app: Flask, ana: Visitor, house: Shop, regular: Joined) -> None:
    postings = len(rows(house.store, "posting"))
    secret = regular.link_secret
    for rule in app.url_map.iter_rules():
        if (
            rule.endpoint.startswith("member.")
            and rule.endpoint != "member.leave"
            and "POST" in (rule.methods or ())
        ):
            form = details(ana, regular).forms[0].values["form"] if rule.endpoint != "member.renew" else ""
            ana.post(
                rule.rule.replace("<secret>", secret), {"form": form, "reward": "extra-shot", "name": "Ana"}
            )
    assert len(rows(house.store, "posting")) == postings
    assert house.balance(regular.code) == 640
