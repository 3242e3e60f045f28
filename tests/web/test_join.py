"""Customers: joining, on this screen or on the phone; the way back; posters and links."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy
import pytest
import zxingcpp
from flask import Flask
from sqlalchemy import text

from app import create_app
from passes import enrolment, programmes
from passes.loyalty.joining import NAME_LETTERS_MAX
from passes.mail import Letter, Outcome
from passes.store.instants import micros
from passes.wiring import Installation
from tests.cast import rows
from tests.loyalty.shops import text_of
from tests.shop import PASS_TYPE, Shop
from tests.web.visitor import Page, Visitor

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
)
ANDROID = "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/156 Mobile Safari/537.36"


def ask(house: Shop, **joining: str) -> None:
    """Let the coffee shop's form ask for this: off, optional or required."""
    before, section, _ = text_of("copperfinch").partition("[joining]")
    lines = "".join(f'{key} = "{value}"\n' for key, value in {"birthday": "optional", **joining}.items())
    programmes.load(
        house.store,
        name="copperfinch",
        source=f"{before}{section}\n{lines}",
        pass_type=PASS_TYPE,
        now=house.now,
    )


def join(
    visitor: Visitor, name: str = "Ana Reyes", address: str = "/join/copperfinch", **values: str
) -> Page:
    return visitor.fill_in(visitor.get(address).form("name"), {"name": name, **values})


@pytest.mark.check("W-04")
def test_a_name_is_enough_for_a_card(ana: Visitor, house: Shop) -> None:
    page = join(ana)
    assert (page.status, page.redirects) == (200, [303])
    assert page.address.startswith("/card/")
    assert "You have 100 beans." in page.text
    assert [row["name"] for row in rows(house.store, "person")] == ["Ana Reyes"]


@pytest.mark.check("W-24")
@pytest.mark.parametrize("page", ["", "/again", "/poster", "/snippet", "/code.svg", "/desk/" + "d" * 16])
def test_an_unknown_programme_explains_itself_and_offers_a_way_on(ana: Visitor, page: str) -> None:
    shop = ana.get(f"/join/nowhere{page}")
    assert shop.status == 404
    assert "There is no such programme." in shop.text
    assert "Scan a code in the shop again, or ask there." in shop.text
    assert ana.get(shop.element(class_="button")["href"]).status == 200


@pytest.mark.check("W-24")
def test_a_programme_that_is_closed_says_so_and_still_gives_cards_back(
    ana: Visitor, app: Flask, house: Shop
) -> None:
    form = ana.get("/join/copperfinch").form("name")
    own = join(Visitor(app), "Ben")
    ask(house, until="2026-03-14")
    page = ana.get("/join/copperfinch")
    assert page.status == 410
    assert "Finch Club takes no new members now" in page.text
    assert "hello@copperfinch.example" in page.text
    assert page.element(class_="button big")["href"] == "/join/copperfinch/again"
    assert ana.send(form, name="Ana").status == 410
    assert len(rows(house.store, "member")) == 1
    assert ana.get(own.address).status == 200


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
@pytest.mark.parametrize("known", [{"email": "ANA@shop.example"}, {"phone": "001 312 555 0142"}])
def test_a_known_address_never_hands_out_somebodys_card(
    ana: Visitor, app: Flask, house: Shop, known: dict[str, str]
) -> None:
    ask(house, phone="optional", birthday="off")
    first = join(ana, email="ana@shop.example", phone="+1 312 555 0142")
    second = join(Visitor(app), "Eve", **known)
    third = join(Visitor(app), "Cleo", email="cleo@shop.example")
    assert second.address not in (first.address, third.address)
    assert (first.status, second.status) == (200, 200)
    for page in (second, third):
        assert not re.search("already have|known|merge|ana@|Ana Reyes", page.html)
    # The points wait until somebody has looked at both.
    assert "You have 0 beans." in second.text
    candidates = [row["merge_candidate_of"] for row in rows(house.store, "member")]
    assert candidates.count(None) == 2


def test_everything_that_is_wrong_is_said_at_once(ana: Visitor, house: Shop) -> None:
    form = ana.get("/join/copperfinch").form("name")
    page = ana.send(form, name="", email="ana@", birthday_day="31", birthday_month="2")
    assert page.status == 422
    wrong = [given["name"] for _, given in page.elements if given.get("aria-invalid") == "true"]
    assert wrong == ["name", "email", "birthday_month", "birthday_day"]
    assert "Choose a day and a month that go together, or neither." in page.text
    assert (page.form("name").values["birthday_day"], page.form("name").values["birthday_month"]) == (
        "31",
        "2",
    )
    focus = [given for _, given in page.elements if "data-first-error" in given]
    assert focus[0]["name"] == "name"


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
    page = ana.fill_in(form, {"email": "kept@shop.example", "ring": "on", **values})
    assert page.status == 422
    wrong = page.element(name=field, aria_invalid="true")
    assert page.element(id=wrong["aria-describedby"])
    assert words in page.text
    again = page.form("name")
    assert again.values["name"] == values["name"]
    assert again.values["email"] == values.get("email", "kept@shop.example")
    assert again.values["ring"] == "on"
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
    assert "ring" in form.names
    assert "ring" not in form.values
    ana.send(form, name="Ana")
    join(Visitor(app), "Ben", ring="on")
    answers = rows(house.store, "consent")
    kept = [(row["given"], row["text_version"], row["purpose"]) for row in answers]
    assert {row["at"] for row in answers} == {micros(house.now)}
    assert all(row["terms_version"] for row in rows(house.store, "joining"))
    assert kept == [
        (False, "2026-01", "ring"),
        (True, "2026-01", "ring"),
    ]


def test_the_terms_are_there_to_read(ana: Visitor) -> None:
    assert "Beans have no cash value" in ana.get("/join/copperfinch").text


ATTRIBUTES = {
    "name": {"autocomplete": "name"},
    "email": {"type": "email", "inputmode": "email", "autocomplete": "email"},
    "phone": {"type": "tel", "inputmode": "tel", "autocomplete": "tel"},
    "birthday_day": {"autocomplete": "bday-day"},
    "birthday_month": {"autocomplete": "bday-month"},
}


@pytest.mark.check("W-15")
@pytest.mark.parametrize("off", ["email", "phone", "birthday"])
@pytest.mark.parametrize("how", ["optional", "required"])
def test_the_form_asks_for_at_most_three_things_as_the_programme_says(
    ana: Visitor, house: Shop, how: str, off: str
) -> None:
    asked = {field: "off" if field == off else how for field in ("email", "phone", "birthday")}
    ask(house, **asked)
    page = ana.get("/join/copperfinch")
    form = page.form("name")
    fields = {name for name in form.names if name in ATTRIBUTES}
    assert {name.partition("_")[0] for name in fields} == {"name", "email", "phone", "birthday"} - {off}
    for name in fields:
        given = page.element(name=name)
        assert {key: given.get(key) for key in ATTRIBUTES[name]} == ATTRIBUTES[name]
        assert ("required" in given) == (name == "name" or how == "required")
    # Nothing else stands above the button.
    others = form.names - fields - {"form"}
    assert others == {"ring"}
    sent = ana.send(form, name="Ana")
    assert sent.status == (200 if how == "optional" else 422)
    if how == "required":
        wrong = {given["name"] for _, given in sent.elements if given.get("aria-invalid") == "true"}
        assert wrong == fields - {"name"}


def test_what_is_given_is_kept_and_what_was_not_asked_for_is_not(
    ana: Visitor, app: Flask, house: Shop
) -> None:
    ask(house, phone="optional", email="off")
    form = ana.get("/join/copperfinch").form("name")
    ana.send(form, name="Ana", phone="+1 (312) 555-0142", birthday_day="29", birthday_month="2")
    form = Visitor(app).get("/join/copperfinch").form("name")
    guest = Visitor(app)
    guest.post(form.address, {**form.values, "name": "Ben", "email": "ben@shop.example"})
    people = [
        (row["phone"], row["birthday_month"], row["birthday_day"], row["email"])
        for row in rows(house.store, "person")
    ]
    assert people == [("+13125550142", 2, 29, None), (None, None, None, None)]


def test_a_number_that_is_none_is_refused_with_how_to_type_it(ana: Visitor, house: Shop) -> None:
    ask(house, phone="optional", email="off")
    page = join(ana, phone="call me")
    assert page.status == 422
    assert "Type the phone number in digits, 6 to 15 of them." in page.text
    assert page.form("name").values["phone"] == "call me"


def test_months_and_their_order_are_those_of_the_language(ana: Visitor, app: Flask) -> None:
    english, turkish = ana.get("/join/copperfinch?lang=en").html, ana.get("/join/copperfinch?lang=tr").html
    assert english.index("birthday_month") < english.index("birthday_day")
    assert turkish.index("birthday_day") < turkish.index("birthday_month")
    assert ">February<" in english
    assert ">Şubat<" in turkish


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


def test_a_flood_of_views_is_counted_without_a_write_for_each(ana: Visitor, house: Shop) -> None:
    for _ in range(50):
        ana.get("/join/copperfinch?from=poster")
    assert [row["count"] for row in rows(house.store, "join_count")] == [1]
    house.now += timedelta(seconds=1)
    ana.get("/join/copperfinch?from=poster")
    assert [row["count"] for row in rows(house.store, "join_count")] == [51]


def test_the_views_after_a_rush_are_written_down_without_a_further_visitor(
    ana: Visitor, app: Flask, house: Shop
) -> None:
    for _ in range(3):
        ana.get("/join/copperfinch")
    tally = app.extensions["passes_join_tally"]
    enrolment.count(house.store, tally.rest())
    assert [row["count"] for row in rows(house.store, "join_count")] == [3]
    assert tally.rest() == {}


def test_looking_ahead_is_no_view(ana: Visitor, house: Shop) -> None:
    ana.headers["Sec-Purpose"] = "prefetch;prerender"
    ana.get("/join/copperfinch")
    ana.client.head("/join/copperfinch", base_url=ana.base)
    assert rows(house.store, "join_count") == []


def test_a_whole_shop_may_join_from_one_place_but_not_without_end(ana: Visitor, house: Shop) -> None:
    form = ana.get("/join/copperfinch").form("name")
    for _ in range(120):
        assert ana.send(form, name="").status == 422
    page = ana.send(form, name="Ana", email="ana@shop.example")
    assert page.status == 429
    assert "Too many tries. Wait a few minutes and try again." in page.text
    assert page.form("name").values["email"] == "ana@shop.example"
    house.now += timedelta(minutes=5)
    assert ana.send(page.form("name")).address.startswith("/card/")


def test_a_flood_from_everywhere_is_stopped_for_the_programme_alone(
    ana: Visitor, app: Flask, house: Shop
) -> None:
    form = ana.get("/join/copperfinch").form("name")
    ana.send(form, name="")
    house.store.write(lambda work: work.put(text("UPDATE rate SET count = 3000 WHERE name LIKE 'join_p%'")))
    assert ana.send(form, name="Ana").status == 429
    assert join(Visitor(app), address="/join/marginalya").status == 200


def test_the_bookshop_speaks_turkish_unless_asked_otherwise(ana: Visitor, app: Flask) -> None:
    page = ana.get("/join/marginalya")
    assert "On saniye, uygulama gerekmez." in page.text
    assert page.element(lang="tr", dir="ltr")
    english = Visitor(app, Accept_Language="en-GB,en;q=0.9,fr;q=0.1")
    assert "Ten seconds, no app." in english.get("/join/marginalya").text
    french = Visitor(app, Accept_Language="fr")
    assert "On saniye, uygulama gerekmez." in french.get("/join/marginalya").text


@pytest.mark.check("W-13", "W-25")
@pytest.mark.parametrize("agent", ["", IPHONE, ANDROID])
@pytest.mark.parametrize("slug", ["copperfinch", "marginalya"])
def test_all_of_the_join_page_comes_in_sixty_kilobytes(app: Flask, agent: str, slug: str) -> None:
    page = Visitor(app, User_Agent=agent).get(f"/join/{slug}")
    # What sheets and scripts ask for themselves, and the page.
    addresses = {"/static/vendor/pico-2.1.1.min.css", "/static/faces.js", f"/join/{slug}"} | {
        given.get("href") or given.get("src", "")
        for tag, given in page.elements
        if (tag == "link" and given.get("rel") in ("stylesheet", "icon")) or tag in ("script", "img", "image")
    }
    # As they come over the wire.
    wire = Visitor(app, User_Agent=agent, Accept_Encoding="gzip, deflate, br")
    sizes = {address: len(wire.fetch(address).data) for address in addresses}
    assert len(sizes) >= 9
    assert sum(sizes.values()) <= 60_000, sizes
    assert "url(" not in re.sub(r'url\("(vendor/pico|data:)', "", wire_text(app, "passes.css", "join.css"))
    # The form comes before the picture.
    assert page.html.index("<form") < page.html.index("-front")


def wire_text(app: Flask, *sheets: str) -> str:
    """Our own style sheets, in which nothing further may be asked for."""
    return "".join(Visitor(app).fetch(f"/static/{name}").text for name in sheets)


def test_what_is_compressed_is_the_same_and_asked_for_once(app: Flask) -> None:
    plain, small = Visitor(app), Visitor(app, Accept_Encoding="gzip")
    for address in ("/static/passes.css", "/static/forms.js", "/static/vendor/pico-2.1.1.min.css"):
        answer = small.fetch(address)
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert gzip.decompress(answer.data) == plain.fetch(address).data
        again = small.client.get(
            address, headers={"If-None-Match": answer.headers["ETag"], "Accept-Encoding": "gzip"}
        )
        assert (again.status_code, again.data) == (304, b"")
        again.close()
    form = small.fetch("/join/copperfinch")
    assert b"Join Finch Club" in gzip.decompress(form.data)


def test_a_page_with_a_secret_is_never_compressed(app: Flask, house: Shop) -> None:
    visitor = Visitor(app)
    own = join(visitor).address
    visitor.headers["Accept-Encoding"] = "gzip"
    for address in (own, "/join/copperfinch", "/join/copperfinch/again", "/till/sign-in"):
        assert "Content-Encoding" not in visitor.fetch(address).headers, address


def test_a_name_is_shown_as_text_and_never_as_markup(ana: Visitor) -> None:
    page = join(ana, "<b onclick=x>Bobby</b>")
    assert "<b onclick" not in page.html
    assert "&lt;b onclick=x&gt;" in page.html


@pytest.mark.parametrize(
    "name",
    [*("🦜🦜", "ليلى حداد", "İpek Şahin", "'; DROP TABLE member; --", "{{ 7 * 7 }}", "%(name)s", "</title>")],
)
def test_any_name_is_shown_as_it_was_typed(ana: Visitor, house: Shop, name: str) -> None:
    page = join(ana, name)
    assert page.status == 200
    assert [row["name"] for row in rows(house.store, "person")] == [name]


@pytest.mark.parametrize(
    ("name", "kept"), [("Ana\x07\u202eReyes", "AnaReyes"), ("a\r\nSet-Cookie: x=1", "a Set-Cookie: x=1")]
)
def test_signs_that_nobody_sees_are_left_out_of_names(
    ana: Visitor, house: Shop, name: str, kept: str
) -> None:
    join(ana, name)
    assert [row["name"] for row in rows(house.store, "person")] == [kept]


def test_absurd_input_is_refused_in_words_and_shown_again_without_harm(ana: Visitor, house: Shop) -> None:
    form = ana.get("/join/copperfinch").form("name")
    page = ana.send(form, name="<script>" * 1_000, email='"><script>x</script>@a.b', birthday_day="99")
    assert page.status == 422
    assert "<script>x" not in page.html
    assert page.html.count("<script") == 2  # our own two
    assert rows(house.store, "member") == []


# From a screen to the phone ------------------------------------------------------


def handed_over(page: Page) -> str:
    """The address in the code that a page shows to phones."""
    drawn = re.search(r'<span class="qr".*?(<svg.*?</svg>)', page.html, re.DOTALL)
    assert drawn
    return read_code(drawn[1])


def read_code(svg: str) -> str:
    """What a phone reads in a code drawn as an SVG of unit squares."""
    side = int(re.search(r'viewBox="0 0 ([0-9]+)', svg)[1])  # type: ignore[index]
    picture = numpy.full((side, side), 255, dtype=numpy.uint8)
    for x, y, run in re.findall(r"M([0-9]+) ([0-9]+)h([0-9]+)v1", svg):
        picture[int(y), int(x) : int(x) + int(run)] = 0
    (found,) = zxingcpp.read_barcodes(picture.repeat(8, axis=0).repeat(8, axis=1))
    return str(found.text)


@pytest.mark.check("W-18")
def test_a_screen_hands_its_invitation_on_and_moves_on_once_the_card_is_there(
    ana: Visitor, app: Flask, house: Shop
) -> None:
    screen = ana.get("/join/copperfinch?from=poster&at=wicker-park&utm_source=blog&lang=tr")
    waiting = screen.element(class_="panel on-phone")
    assert "127.0.0.1:8000/join/copperfinch" in screen.text

    def progress() -> str:
        return str(ana.fetch(waiting["data-desk"]).get_json()["progress"])

    assert progress() == "waiting"
    assert "henüz kimse katılmadı" in ana.get(waiting["data-desk-next"]).text
    phone = Visitor(app, User_Agent=IPHONE)
    page = join(phone, "Ana", handed_over(screen))
    assert page.address.startswith("/card/")
    (joining,) = rows(house.store, "joining")
    assert (joining["source"], joining["location"], joining["utm_source"]) == (
        "poster",
        "wicker-park",
        "blog",
    )
    assert rows(house.store, "member")[0]["language"] == "tr"
    assert progress() == "joined"
    house.store.write(lambda work: work.put(text("UPDATE card SET installed_at = issued_at")))
    assert progress() == "added"
    done = ana.get(waiting["data-desk-next"])
    assert "Kartınız telefonunuzda" in done.text
    # Whoever looks at the screen learns that it worked, and nothing about whom.
    assert "Ana" not in done.text
    assert page.address not in done.html


def test_a_screen_shows_only_the_first_card_and_others_still_join(
    ana: Visitor, app: Flask, house: Shop
) -> None:
    code = handed_over(ana.get("/join/copperfinch"))
    assert join(Visitor(app, User_Agent=IPHONE), "Ana", code).status == 200
    assert join(Visitor(app, User_Agent=ANDROID), "Ben", code).status == 200
    assert len(rows(house.store, "member")) == 2


@pytest.mark.check("W-18")
def test_a_phone_is_shown_no_code_and_a_screen_that_is_one_may_say_so(
    ana: Visitor, app: Flask, live: Flask
) -> None:
    for agent in (IPHONE, ANDROID):
        assert "on-phone" not in Visitor(app, User_Agent=agent).get("/join/copperfinch").html
    screen = ana.get("/join/copperfinch?from=poster")
    assert "make run LAN=1" in screen.text  # a phone cannot reach 127.0.0.1
    real = Visitor(live, base="https://cards.shop.example").get("/join/copperfinch")
    assert handed_over(real).startswith("https://cards.shop.example/join/copperfinch?lang=en&desk=")
    assert "LAN=1" not in real.text
    # Beside the demonstration's virtual phone there is no other to go on with.
    assert "on-phone" not in Visitor(app, Sec_Fetch_Dest="iframe").get("/join/copperfinch").html
    alone = next(given["href"] for _, given in screen.elements if "phone=1" in given.get("href", ""))
    assert alone.startswith("/join/copperfinch?from=poster")
    assert "on-phone" not in ana.get(alone).html


@pytest.mark.parametrize("name", ["x" * 17, "a" * 15 + "!", "%00", "a" * 3000])
def test_a_screen_with_a_made_up_name_joins_nobody_else(ana: Visitor, house: Shop, name: str) -> None:
    page = ana.get(f"/join/copperfinch?desk={name}")
    if page.status == 200:
        assert ana.send(page.form("name"), name="Ana").status == 200
    assert ana.fetch(f"/join/copperfinch/desk/{name}/state").status_code in (200, 400, 404, 422)
    kept = [row for row in rows(house.store, "request") if str(row["key"]).startswith("desk")]
    assert kept == []


# The way back ---------------------------------------------------------------------


class LetterBox:
    """Where letters would go; nothing is delivered here."""

    def deliver(self, letters: Sequence[Letter]) -> Iterator[tuple[int, Outcome]]:
        yield from ()

    def check(self) -> str | None:
        return None


@pytest.fixture
def writing(installation: Installation) -> Flask:
    """The application of a shop that sends letters."""
    return create_app(replace(installation, post=LetterBox()))


def letters(house: Shop) -> list[tuple[int, str]]:
    return [(row["member_id"], re.split("[: ]", str(row["about"]))[0]) for row in rows(house.store, "mail")]


@pytest.mark.check("W-21")
def test_the_way_back_says_the_same_whether_an_address_is_known_or_not(writing: Flask, house: Shop) -> None:
    house.join("Ana", email="ana@shop.example")
    answers = []
    for email in ("ana@shop.example", "nobody@shop.example"):
        visitor = Visitor(writing)
        page = visitor.send(visitor.get("/join/copperfinch/again").form("email"), email=email)
        answers.append((page.status, page.redirects, page.address, page.text))
    assert answers[0] == answers[1]
    assert "If a Finch Club card has this address" in answers[0][3]
    assert [about for _, about in letters(house)] == ["asked"]


def test_a_new_member_gets_the_way_to_their_card_and_a_known_address_its_own(
    writing: Flask, house: Shop
) -> None:
    join(Visitor(writing), "Ana", email="ana@shop.example")
    join(Visitor(writing), "Eve", email="ANA@shop.example")
    join(Visitor(writing), "Eve again", email="ana@shop.example")
    join(Visitor(writing), "Ben")
    first = rows(house.store, "member")[0]["id"]
    # To the owner of the address, about their own card, and once a day however often it is tried.
    assert letters(house) == [(first, "joined"), (first, "again")]


def test_no_letter_is_wanted_where_none_is_sent(ana: Visitor, house: Shop) -> None:
    join(ana, email="ana@shop.example")
    stranger = Visitor(ana.client.application)
    page = stranger.get("/join/copperfinch/again")
    assert "Ask in the shop, or reach us: we find your card with you." in page.text
    assert page.forms == []
    assert letters(house) == []


def test_the_browser_that_joined_needs_no_letter(writing: Flask) -> None:
    visitor = Visitor(writing)
    own = join(visitor).address
    page = visitor.get("/join/copperfinch/again")
    assert page.element(class_="button big")["href"] == own
    # Unless it is shared.
    other = visitor.get(page.element(class_="button quiet")["href"])
    sent = visitor.send(other.form("email"), email="ben@shop.example")
    assert "If a Finch Club card has this address" in sent.text


def test_one_address_cannot_be_flooded_with_letters(writing: Flask, house: Shop) -> None:
    house.join("Ana", email="ana@shop.example")
    visitor = Visitor(writing)
    form = visitor.get("/join/copperfinch/again").form("email")
    for _ in range(5):
        assert visitor.send(form, email="ana@shop.example").status == 200
    page = visitor.send(form, email="ANA@shop.example ")
    assert page.status == 429
    assert page.form("email").values["email"] == "ANA@shop.example "
    assert len(letters(house)) == 1


@pytest.mark.parametrize("email", ["", "ana@", "a" * 300 + "@shop.example"])
def test_the_way_back_needs_an_address(writing: Flask, email: str) -> None:
    visitor = Visitor(writing)
    page = visitor.send(visitor.get("/join/copperfinch/again").form("email"), email=email)
    assert page.status == 422
    assert page.element(name="email", aria_invalid="true")


# Buttons ----------------------------------------------------------------------------


def buttons(app: Flask, agent: str, address: str = "/", **environ: str) -> str:
    template = (
        '{% from "join/buttons.html" import wallet_buttons with context %}'
        '{{ wallet_buttons(apple="/to/apple", google="/to/google") }}'
    )
    headers = {"User-Agent": agent}
    base = environ.pop("base_url", "http://127.0.0.1:8000")
    with app.test_request_context(
        address, headers=headers, base_url=base, environ_base={"REMOTE_ADDR": "127.0.0.1", **environ}
    ):
        return app.jinja_env.from_string(template).render()


@pytest.mark.check("W-17")
def test_each_phone_gets_its_own_wallet_first_and_the_other_within_a_tap(app: Flask) -> None:
    for agent, first, second in ((IPHONE, "apple", "google"), (ANDROID, "google", "apple")):
        html = buttons(app, agent)
        assert html.index(f"/to/{first}") < html.index("<details") < html.index(f"/to/{second}")
    both = buttons(app, "Mozilla/5.0 (X11; Linux x86_64) Chrome/156")
    assert "<details" not in both
    assert "/to/apple" in both
    assert "/to/google" in both


@pytest.mark.check("W-19", "G-20")
def test_the_wallets_own_buttons_are_shown_unchanged_where_the_operator_has_them(
    installation: Installation, tmp_path: Path
) -> None:
    drawings = {
        "apple-en.svg": b'<svg xmlns="http://www.w3.org/2000/svg" height="48"/>',
        "apple-tr.svg": b'<svg xmlns="http://www.w3.org/2000/svg" height="50"/>',
        "google-en.png": b"not looked at",
    }
    for name, content in drawings.items():
        (tmp_path / name).write_bytes(content)
    app = create_app(replace(installation, badges=tmp_path))
    visitor = Visitor(app)
    for language, apple in (("en", "apple-en.svg"), ("tr", "apple-tr.svg"), ("ar-XB", "apple-en.svg")):
        html = buttons(app, IPHONE, f"/?lang={language}")
        shown = re.findall(r'<img src="(/badges/[^"]+)" alt="([^"]+)"', html)
        assert [address.partition("?")[0] for address, _ in shown] == [
            f"/badges/{apple}",
            "/badges/google-en.png",
        ]
        assert all(alternative for _, alternative in shown)
        for address, _ in shown:
            answer = visitor.fetch(address)
            assert answer.data == drawings[address.partition("?")[0].rpartition("/")[2]]
            assert "sandbox" in answer.headers["Content-Security-Policy"]
    for other in ("apple-de.svg", "apple-..%2Fsecret.svg", "samsung-en.svg", "apple-en.html"):
        assert visitor.fetch(f"/badges/{other}").status_code == 404


def test_without_them_there_are_plain_buttons_with_the_same_words(app: Flask) -> None:
    html = buttons(app, IPHONE)
    assert "Add to Apple Wallet" in html
    assert "Add to Google Wallet" in html
    assert "<img" not in html


def test_a_real_phone_that_visits_a_trial_is_told_what_is_missing(app: Flask, live: Flask) -> None:
    lan = buttons(app, IPHONE, base_url="http://192.0.2.7:8000", REMOTE_ADDR="192.0.2.50")
    assert "needs your certificate" in lan
    assert "needs your Google account" in lan
    assert "href" not in lan
    assert "needs your" not in buttons(app, IPHONE)
    real = buttons(live, IPHONE, base_url="https://cards.shop.example", REMOTE_ADDR="192.0.2.50")
    assert "needs your" not in real


@pytest.mark.check("W-23")
@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Mobile/15E Instagram 300",
        "Mozilla/5.0 (Linux; Android 16; Pixel 9; wv) AppleWebKit/537 Version/4.0 Chrome/156 [FB_IAB/FB4A]",
    ],
)
def test_a_browser_within_an_app_is_led_out_of_it(app: Flask, ana: Visitor, agent: str) -> None:
    page = Visitor(app, User_Agent=agent).get("/join/copperfinch?from=social")
    assert "This page is open inside another app" in page.text
    assert page.form("name")  # and may be used all the same
    if "Android" in agent:
        out = page.element(class_="button outline")["href"]
        assert out == "intent://127.0.0.1:8000/join/copperfinch?from=social#Intent;scheme=http;end"
    for browser in (IPHONE, ANDROID):
        assert "inside another app" not in Visitor(app, User_Agent=browser).get("/join/copperfinch").text


# Posters and links ---------------------------------------------------------------------


def test_a_poster_carries_the_code_of_its_shop_and_what_the_rules_promise(ana: Visitor) -> None:
    page = ana.get("/join/copperfinch/poster?at=wicker-park")
    assert handed_over(page) == "http://127.0.0.1:8000/join/copperfinch?from=poster&at=wicker-park"
    for words in ("Join Finch Club", "Wicker Park", "100 beans for joining", "10 beans for every $1.00"):
        assert words in page.text
    assert "Extra shot for 150 beans" in page.text
    assert page.element(**{"aria-current": "page"})["href"].endswith("at=wicker-park")
    everywhere = ana.get("/join/copperfinch/poster?at=elsewhere")
    assert handed_over(everywhere) == "http://127.0.0.1:8000/join/copperfinch?from=poster"


def test_a_poster_speaks_its_language_and_promises_only_what_there_is(ana: Visitor) -> None:
    page = ana.get("/join/marginalya/poster?at=alsancak")
    assert page.element(lang="tr", dir="ltr")
    assert "Sayfa Kulübü programına katılın" in page.text
    assert "Her ₺10,00 için 1 yaprak" in page.text
    assert "Katılana" not in page.text


def test_links_say_where_they_stand_and_lead_to_the_form(ana: Visitor, house: Shop) -> None:
    page = ana.get("/join/copperfinch/snippet?at=lakeview")
    links = [given["value"] for tag, given in page.elements if tag == "input" and "readonly" in given]
    assert links == [
        "http://127.0.0.1:8000/join/copperfinch?from=link&utm_source=website&at=lakeview",
        "http://127.0.0.1:8000/join/copperfinch?from=email&utm_source=newsletter&at=lakeview",
        "http://127.0.0.1:8000/join/copperfinch?from=social&utm_source=social&at=lakeview",
    ]
    assert f"&lt;a href=&#34;{links[0].replace('&', '&amp;amp;')}&#34;&gt;Join Finch Club" in page.html
    join(ana, address=links[1])
    (joining,) = rows(house.store, "joining")
    assert (joining["source"], joining["location"], joining["utm_source"]) == (
        *("email", "lakeview"),
        "newsletter",
    )


def test_a_code_can_be_had_as_a_drawing(ana: Visitor) -> None:
    answer = ana.fetch("/join/copperfinch/code.svg?from=poster&at=lakeview&utm_campaign=spring&desk=x&evil=1")
    assert answer.mimetype == "image/svg+xml"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="copperfinch-lakeview.svg"'
    assert 'width="80mm"' in answer.text
    assert read_code(answer.text) == (
        "http://127.0.0.1:8000/join/copperfinch?from=poster&at=lakeview&utm_campaign=spring"
    )
