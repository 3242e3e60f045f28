"""Cashiers: everything the till does, without script."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import text

from passes import artwork
from passes.loyalty.basket import Line
from passes.loyalty.receipt import Counter
from tests.cast import rows
from tests.shop import BOOKS, COFFEE, Shop
from tests.web.conftest import PASSWORD, signed_in
from tests.web.visitor import Page, Visitor

LOU = Counter(location="west-loop", person="lou")


def scan(cy: Visitor, code: str) -> Page:
    return cy.send(cy.get("/till/").form("code"), code=code)


def enter(page: Page, cy: Visitor, amount: str) -> Page:
    """Type an amount and confirm what the till understood."""
    echoed = cy.send(page.form("amount"), amount=amount)
    return cy.send(echoed.form("amount"))


# A visit ---------------------------------------------------------------------------


@pytest.mark.check("W-04", "W-41")
def test_a_visit_from_scan_to_undo(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    member = scan(cy, ana.code)
    assert "Ana Reyes" in member.text
    assert "100 beans" in member.text
    echoed = cy.send(member.form("amount"), amount="12.40")
    assert "$12.40 = 124 beans: press Confirm to book it." in echoed.text
    assert house.balance(ana.code) == 100  # an echo books nothing
    done = cy.send(echoed.form("amount"))
    assert done.redirects == [303]
    assert "+124 beans" in done.text
    assert "Balance before 100 Balance now 224" in done.text
    assert "until 5:10" in done.text  # ten minutes, by the clock in Chicago
    undone = cy.send(done.forms[1])
    assert "Undone" in undone.text
    assert "−124" in undone.text
    assert house.balance(ana.code) == 100


@pytest.mark.check("W-12")
def test_a_double_tap_a_refresh_and_a_step_back_book_once(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    member = scan(cy, ana.code)
    confirm = cy.send(member.form("amount"), amount="12.40").form("amount")
    first = cy.send(confirm)
    second = cy.send(confirm)
    assert first.address == second.address
    cy.get(first.address)
    # Back on the member's page, the same amount once more.
    assert cy.send(member.form("amount"), amount="12.40", confirmed="1240").address == first.address
    assert house.balance(ana.code) == 224


def test_another_amount_in_the_same_visit_is_a_question_not_a_booking(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    member = scan(cy, ana.code)
    enter(member, cy, "12.40")
    page = cy.send(member.form("amount"), amount="5.00", confirmed="500")
    assert page.status == 409
    assert "This visit is already booked." in page.text
    assert house.balance(ana.code) == 224
    again = next(given["href"] for tag, given in page.elements if tag == "a" and "visit=" in given["href"])
    enter(cy.get(again), cy, "5.00")
    assert house.balance(ana.code) == 274


def test_the_till_shows_tier_rewards_and_last_visits_but_never_an_address(cy: Visitor, house: Shop) -> None:
    ana = house.join(email="ana@shop.example", phone="+13125550100")
    house.buy(ana.code, 30_000)
    page = scan(cy, ana.code)
    for words in ("Flight", "3,100 beans", "Extra shot", "150 beans", "leaves 2,950", "$300.00", "+3,000"):
        assert words in page.text
    assert "ana@" not in page.html
    assert "5550100" not in page.html


@pytest.mark.check("W-40")
def test_only_affordable_rewards_can_be_redeemed_and_the_others_say_why(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    house.buy(ana.code, 12_40)
    member = scan(cy, ana.code)
    assert "Brewed coffee 400 beans 176 to go" in member.text
    assert [form.buttons for form in member.forms if "reward" in form.names] == [[("reward", "extra-shot")]]
    done = cy.send(member.form("reward", "extra-shot"), reward="extra-shot")
    assert "Extra shot" in done.text
    assert "−150" in done.text
    assert "Balance before 224 Balance now 74" in done.text


def test_a_reward_that_became_too_dear_is_refused_in_words(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    house.buy(ana.code, 12_40)
    form = scan(cy, ana.code).form("reward", "extra-shot")
    house.redeem(ana.code, "extra-shot")  # at another till, meanwhile
    page = cy.send(form, reward="extra-shot")
    assert page.status == 409
    assert "Not enough beans: this needs 150, there are 74." in page.text
    assert cy.post(form.address, {**form.values, "reward": "gold"}).status == 404


def test_the_same_reward_may_be_taken_again_in_a_new_visit(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    house.buy(ana.code, 30_00)
    for _ in range(2):
        done = cy.send(scan(cy, ana.code).form("reward", "extra-shot"), reward="extra-shot")
        assert done.status == 200
    assert house.balance(ana.code) == 100


# Reading codes ------------------------------------------------------------------------


def test_a_code_may_be_typed_with_spaces_dashes_and_in_lower_case(cy: Visitor, house: Shop) -> None:
    code = house.join().code
    for typed in (code.lower(), f" {code[:4]} {code[4:8]}-{code[8:12]} — {code[12:]}\r", code):
        assert "Ana Reyes" in scan(cy, typed).text


@pytest.mark.check("W-05")
def test_a_code_that_leads_nowhere_says_so_and_stays_in_the_field(cy: Visitor, house: Shop) -> None:
    house.join()
    bookworm = house.join("Zeynep", BOOKS)
    for typed, status, words in (
        ("", 422, "That is not a card number."),
        ("CDFH-JKMN", 422, "That is not a card number."),
        ("HFVJ-5FWF-J49H-WDV8", 404, "No card has this number."),
        (bookworm.code, 409, "This card belongs to another shop."),
    ):
        page = scan(cy, typed)
        assert page.status == status
        assert words in page.text
        field = page.element(name="code", aria_invalid="true")
        assert field["value"] == typed
        assert page.element(id=field["aria-describedby"])


def test_a_card_that_was_withdrawn_is_refused(cy: Visitor, house: Shop) -> None:
    code = house.join().code
    house.store.write(lambda work: work.put(text("UPDATE card SET voided_at = 1")))
    page = scan(cy, code)
    assert (page.status, "This card is no longer valid." in page.text) == (410, True)


def test_a_photo_of_the_card_opens_it(cy: Visitor, house: Shop) -> None:
    code = house.join().code
    form = cy.get("/till/").form("photo")
    assert form.kind == "multipart/form-data"
    photo = {"photo": (io.BytesIO(artwork.qr_png(code)), "photo.png")}
    assert "Ana Reyes" in cy.send(form, files=photo).text


@pytest.mark.parametrize("content", [b"", b"no picture", artwork.qr_png("https://elsewhere.example")])
def test_a_photo_without_a_card_is_refused_in_words(cy: Visitor, house: Shop, content: bytes) -> None:
    page = cy.send(cy.get("/till/").form("photo"), files={"photo": (io.BytesIO(content), "photo.png")})
    assert page.status == 422
    assert "No card code could be read from this picture." in page.text


@pytest.mark.check("W-35")
def test_a_card_scanned_into_an_amount_switches_to_that_member(cy: Visitor, house: Shop) -> None:
    ana, ben = house.join(), house.join("Ben")
    page = cy.send(scan(cy, ana.code).form("amount"), amount=ben.code)
    assert "Ben" in page.text
    guest = cy.send(cy.get("/till/").form("amount"), amount=ana.code)
    assert "Ana Reyes" in guest.text
    assert rows(house.store, "purchase") == []


def test_whoever_tries_numbers_at_random_is_signed_out(cy: Visitor, house: Shop) -> None:
    form = cy.get("/till/").form("code")
    for _ in range(60):
        assert cy.send(form, code="HFVJ5FWFJ49HWDV8").status == 404
    page = cy.send(form, code="HFVJ5FWFJ49HWDV8")
    assert page.status == 429
    assert "Too many tries" in page.text
    assert cy.get("/till/").address == "/till/sign-in"


# Amounts ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Enter an amount above zero, in digits."),
        ("0", "Enter an amount above zero, in digits."),
        ("-5", "Enter an amount above zero, in digits."),
        ("12,40", "Enter an amount above zero, in digits."),
        ("a lot", "Enter an amount above zero, in digits."),
        ("500.01", "This amount is above the limit of $500.00 for one purchase."),
        ("9" * 50, "Enter an amount above zero, in digits."),
    ],
)
def test_an_amount_that_cannot_be_is_refused_and_kept(
    cy: Visitor, house: Shop, typed: str, words: str
) -> None:
    page = cy.send(scan(cy, house.join().code).form("amount"), amount=typed)
    assert page.status == 422
    assert words in page.text
    field = page.element(name="amount", aria_invalid="true")
    assert field["value"] == typed
    assert field["inputmode"] == "decimal"


def test_an_amount_is_read_in_the_language_of_the_page(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    for address, typed, echo in (
        ("/till/?lang=tr", "1.2,5", None),
        ("/till/", "12,40", "$12,40 = 124 çekirdek"),
        ("/till/", "$ 12,40", "$12,40 = 124 çekirdek"),
        ("/till/?lang=en", "1,2", None),
        ("/till/", "$12.40", "$12.40 = 124 beans"),
    ):
        cy.get(address)
        page = cy.send(scan(cy, ana.code).form("amount"), amount=typed)
        assert (page.status, echo is None or echo in page.text) == (422 if echo is None else 200, True)


def test_what_was_not_echoed_is_not_booked(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    form = cy.send(scan(cy, ana.code).form("amount"), amount="12.40").form("amount")
    page = cy.send(form, amount="21.40")
    assert "$21.40 = 214 beans" in page.text
    assert house.balance(ana.code) == 100
    cy.send(page.form("amount"))
    assert house.balance(ana.code) == 314


def test_the_live_echo_says_what_will_be_booked(cy: Visitor, house: Shop) -> None:
    code = house.join().code
    told = json.loads(cy.fetch(f"/till/quote?code={code}&amount=12.40").data)
    assert told == {"minor": 1240, "words": "$12.40 = 124 beans", "approval": ""}
    refused = cy.fetch(f"/till/quote?code={code}&amount=0")
    assert refused.status_code == 422
    assert json.loads(refused.data) == {"words": "Enter an amount above zero, in digits."}
    assert json.loads(cy.fetch("/till/quote?amount=3").data)["words"] == "$3.00"


# Without a card --------------------------------------------------------------------------


def test_a_sale_without_a_card_is_booked_once(cy: Visitor, house: Shop) -> None:
    echoed = cy.send(cy.get("/till/").form("amount"), amount="3.50")
    assert "$3.50: press Confirm to book it." in echoed.text
    assert rows(house.store, "purchase") == []
    first = cy.send(echoed.form("amount"))
    assert "Booked without a card: $3.50" in first.text
    cy.send(echoed.form("amount"))
    booked = rows(house.store, "purchase")
    assert [(row["net_minor"], row["member_id"], row["location"], row["person"]) for row in booked] == [
        (350, None, "west-loop", "cy")
    ]
    refused = cy.send(cy.get("/till/").form("amount"), amount="none")
    assert (refused.status, refused.form("amount").values["amount"]) == (422, "none")


# Afterwards ----------------------------------------------------------------------------------


@pytest.mark.check("W-49")
def test_my_bookings_are_mine_and_can_be_undone_for_ten_minutes(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    enter(scan(cy, ana.code), cy, "12.40")
    house.buy(ana.code, 99_00, at=LOU)
    page = cy.get("/till/today")
    assert "Ana Reyes" in page.text
    assert "The last 1 purchase: $12.40" in page.text
    assert "$99.00" not in page.text
    row = page.element(class_="row-link")
    assert "1,214 beans" in cy.get(row["href"]).text
    undo = next(form for form in page.forms if "/undo/" in form.address)
    house.now += timedelta(minutes=10)
    assert not any("/undo/" in form.address for form in cy.get("/till/today").forms)
    late = cy.send(undo)
    assert (late.status, "It is too late to undo this." in late.text) == (409, True)
    assert house.balance(ana.code) == 100 + 124 + 990


def test_numbers_no_database_can_hold_are_no_mistake_of_ours(cy: Visitor) -> None:
    token = cy.get("/till/").form("code").values["form_token"]
    assert cy.post(f"/till/undo/{2**63}", {"form_token": token}).status == 404
    assert cy.get(f"/till/done/{2**63}").status == 404
    assert cy.post(f"/till/undo/{2**63 - 1}", {"form_token": token}).status == 404
    assert cy.get(f"/till/?sold={10**40}").status == 200


def test_undoing_twice_undoes_once(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    done = enter(scan(cy, ana.code), cy, "12.40")
    undo = next(form for form in done.forms if "/undo/" in form.address)
    assert cy.send(undo).address == cy.send(undo).address
    assert house.balance(ana.code) == 100


def test_after_booking_the_till_is_ready_for_the_next_card(cy: Visitor, house: Shop) -> None:
    ana, ben = house.join(), house.join("Ben")
    done = enter(scan(cy, ana.code), cy, "12.40")
    assert "Ben" in cy.send(done.form("photo"), code=ben.code).text


def test_a_receipt_of_somebody_else_is_not_shown(cy: Visitor, house: Shop) -> None:
    receipt = house.buy(house.join().code, 500, at=LOU)
    assert cy.get(f"/till/done/{receipt.id}").status == 404


# Who may come in ------------------------------------------------------------------------------


def test_nobody_reaches_the_till_without_signing_in(ana: Visitor, house: Shop) -> None:
    code = house.join().code
    for address in ("/till/", "/till/place", f"/till/card/{code}", "/till/today", "/till/quote?amount=1"):
        assert ana.get(address).address == "/till/sign-in", address


def test_a_wrong_password_is_refused_and_the_login_stays(ana: Visitor, house: Shop) -> None:
    page = signed_in(ana, "cy", "wrong")
    assert page.status == 422
    assert "Name or password is wrong." in page.text
    assert page.form("login").values == {**page.form("login").values, "login": "cy", "password": ""}
    assert signed_in(ana, "nobody").text.count("Name or password is wrong.") == 1


def test_the_cashier_chooses_the_shop_and_sales_are_booked_there(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    assert "West Loop" in cy.get("/till/").text
    place = cy.get("/till/place?stay=1").form("place", f"{COFFEE}/lakeview")
    assert cy.post(place.address, {**place.values, "place": f"{COFFEE}/lakeview"}).address == "/till/app"
    assert "Lakeview" in cy.get("/till/").text
    enter(scan(cy, ana.code), cy, "1.00")
    assert rows(house.store, "purchase")[0]["location"] == "lakeview"
    foreign = cy.post(place.address, {**place.values, "place": f"{BOOKS}/alsancak"})
    assert foreign.status == 403


def test_whoever_has_one_shop_goes_straight_to_the_till(app: Flask, house: Shop) -> None:
    dee = Visitor(app)
    assert signed_in(dee, "dee").address == "/till/app"
    # Dee of the bookshop sees nothing of the coffee shop.
    code = house.join().code
    page = scan(dee, code)
    assert page.status == 409
    assert "Ana" not in page.text


def test_a_marketer_is_no_cashier(app: Flask) -> None:
    mo = Visitor(app)
    page = signed_in(mo, "mo")
    assert (page.status, "You may not do this." in page.text) == (403, True)


def test_a_right_that_is_taken_away_is_gone_at_once(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    form = scan(cy, ana.code).form("amount")
    house.store.write(lambda work: work.put(text("DELETE FROM staff_grant")))
    assert cy.send(form, amount="1.00", confirmed="100").status == 403
    assert house.balance(ana.code) == 100


def test_signing_out_ends_the_session_on_the_server_too(cy: Visitor, house: Shop) -> None:
    secret = cy.cookie("passes_till", "/till")
    assert secret
    page = cy.get("/till/")
    leave = next(form for form in page.forms if form.address.endswith("/sign-out"))
    assert cy.send(leave).address == "/till/sign-in"
    assert cy.cookie("passes_till", "/till") is None
    cy.remember("passes_till", secret, "/till")
    assert cy.get("/till/").address == "/till/sign-in"


def test_the_cookie_of_the_till_stays_at_the_till(app: Flask, live: Flask, house: Shop) -> None:
    def cookie_of(application: Flask, base: str) -> str:
        visitor = Visitor(application, base=base)
        form = visitor.get("/till/sign-in").form("login")
        answer = visitor.send(form, login="cy", password=PASSWORD, follow=False).answer
        return answer.headers["Set-Cookie"]

    for part in ("passes_till=", "HttpOnly", "Path=/till", "SameSite=Lax"):
        assert part in cookie_of(app, "http://127.0.0.1:8000")
    assert "Secure" not in cookie_of(app, "http://127.0.0.1:8000")
    assert "Secure" in cookie_of(live, "https://cards.shop.example")


@pytest.mark.check("W-11")
def test_a_form_without_the_sessions_token_changes_nothing(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    member = scan(cy, ana.code)
    for form in (member.form("amount"), cy.get("/till/").form("code"), cy.get("/till/").form("amount")):
        for token in ("", "x", None):
            page = cy.send(form, form_token=token)
            assert page.status == 422
            assert "This page was open for too long. Send it again." in page.text
    assert house.balance(ana.code) == 100


@pytest.mark.check("W-14")
def test_times_name_their_zone_for_whoever_points_at_them(cy: Visitor, house: Shop) -> None:
    enter(scan(cy, house.join().code), cy, "12.40")
    time = next(given for tag, given in cy.get("/till/today").elements if tag == "time")
    assert time["datetime"] == "2026-03-14T10:00:00+00:00"
    assert "March 14, 2026" in time["title"]
    assert "Central" in time["title"]
    assert "5:00" in time["title"]


def test_a_full_punch_card_is_used_at_the_till(app: Flask, house: Shop) -> None:
    dee = Visitor(app)
    signed_in(dee, "dee")
    ana = house.join(programme=BOOKS)
    books = [Line(quantity=10, unit_minor=2_000, category="book")]
    house.buy(ana.code, 20_000, BOOKS, lines=books)
    member = dee.send(dee.get("/till/").form("code"), code=ana.code)
    assert "Ready to use" in member.text
    form = member.form("redemption")
    ((_, number),) = form.buttons
    done = dee.send(form, redemption=number)
    assert done.redirects == [303]
    assert "Book no. 10" in done.text
    again = dee.send(dee.get("/till/").form("code"), code=ana.code)
    assert "Ready to use" not in again.text
    page = dee.send(member.form("redemption"), redemption="1")
    assert page.status == 404
    assert "This card has no such reward." in page.text


def test_every_booking_says_why(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    done = enter(scan(cy, ana.code), cy, "12.40")
    assert "Why +124?" in done.text
    assert "$12.40" in done.text
    assert house.balance(ana.code) == 224
