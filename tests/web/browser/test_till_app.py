"""The till's app as a cashier works with it: every screen, by clicks and by keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import text as sql

from passes import access, campaigns, programmes, tills
from passes.access import Grant, Role, pins
from passes.enrolment import Joined
from tests.cast import rows
from tests.shop import COFFEE, KEYS, PASS_TYPE, Shop
from tests.web.browser.till import call, sign_in
from tests.web.browser.window import (
    FROM_THE_SHOP,
    Open,
    Watched,
    faults,
    plain_english,
    too_small,
    too_wide,
)
from tests.web.conftest import CHEAP, PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WORDS = f"{FROM_THE_SHOP}|Brewed|Any drink|Bag of beans|[Cc]offee|beans|Maple|mocha|[Gg]ift|[Bb]akery|[Cc]ups"


@pytest.fixture
def now() -> datetime:
    """The clock of the browser, which counts down by it."""
    return datetime.now(UTC)


def at_the_till(window: Watched, shop: str = f"{COFFEE}/west-loop", login: str = "cy") -> Page:
    """Signed in, with the app waiting for the next customer."""
    page = sign_in(window, login, shop)
    window.open("/till/app")
    shows(page, "scan")
    return page


def shows(page: Page, screen: str) -> None:
    expect(page.locator("#screen")).to_have_attribute("data-screen", screen)


def scan(page: Page, code: str) -> None:
    """The number typed by hand, as fast as a test can."""
    page.locator("#code").fill(code)
    page.locator("#code").press("Enter")
    shows(page, "member")


def slot(page: Page, name: str) -> Locator:
    return page.locator(f"#screen [data-slot={name}]")


def box(page: Page) -> Locator:
    return page.locator("dialog[open]")


def menu(page: Page, item: str) -> None:
    page.locator("#menu-button").click()
    page.locator(f"[data-menu={item}]").click()


def an_offer(house: Shop, key: str, title: str, effect: str, *, days: int = 3, more: str = "") -> None:
    """An offer that began yesterday."""
    local = house.now.astimezone(ZoneInfo("America/Chicago"))
    begins, ends = (local - timedelta(days=1), local + timedelta(days=days))
    file = (
        f'title = "{title}"\ntext = "Only now."\n{effect}\n{more}\n'
        f'[when]\nfrom = "{begins:%Y-%m-%dT%H:%M}"\nuntil = "{ends:%Y-%m-%dT%H:%M}"\n'
    )
    campaigns.plan(house.store, programme=COFFEE, name=key, source=file, now=house.now)
    campaigns.publish(house.store, programme=COFFEE, key=key, now=house.now)
    campaigns.run_due(house.store, now=house.now)


def set_member(house: Shop, joined: Joined, **values: Any) -> None:
    """Facts that only time would bring."""
    given = ", ".join(f"{name} = :{name}" for name in values)
    statement = sql(f"UPDATE member SET {given} WHERE id = :member_id")
    house.store.write(lambda work: work.put(statement, member_id=joined.member_id, **values))


# A purchase ----------------------------------------------------------------------


@pytest.mark.check("W-39", "W-41", "W-42")
def test_a_purchase_shows_its_points_is_booked_undone_and_makes_room_for_the_next(
    browse: Open, house: Shop, ana: Joined
) -> None:
    page = at_the_till(browse())
    scan(page, ana.code)
    expect(page.locator("#amount")).to_be_focused()
    expect(slot(page, "sign")).to_have_text("$")
    # Big keys and real ones write into the same field; the points follow.
    for key in "12":
        page.locator(".key", has_text=key).click()
    page.keyboard.type(".40")
    expect(slot(page, "quote")).to_contain_text("= 124 beans")
    expect(slot(page, "confirm")).to_have_text("Confirm $12.40")
    # Read as the server reads it, or what was meant is asked.
    for typed, said in (
        ("1.234,50", "Did you mean $1,234.50?"),
        ("12,4", "Did you mean $12.40?"),
        ("\N{THUMBS UP SIGN}", "This is not an amount."),
        ("1.2.3", "This is not an amount."),
    ):
        page.locator("#amount").fill(typed)
        expect(slot(page, "quote")).to_contain_text(said)
        expect(slot(page, "confirm")).to_be_disabled()
    for typed, said in (
        ("\u0661\u0662.\u0665", "= 125 beans"),
        ("1 23.4", "not an amount"),
        ("123", "1,230 beans"),
    ):
        page.locator("#amount").fill(typed)
        expect(slot(page, "quote")).to_contain_text(said)
    # What may still become an amount is not called wrong while it is typed.
    for typed in ("0", "0.", "0.0"):
        page.locator("#amount").fill(typed)
        expect(slot(page, "quote")).to_have_text("")
        expect(slot(page, "confirm")).to_be_disabled()
    page.keyboard.press("Enter")
    expect(slot(page, "quote")).to_have_text("This is not an amount.")
    page.locator("#amount").fill("1.234,50")
    page.get_by_role("button", name="Yes, $1,234.50").click()
    expect(page.locator("#amount")).to_have_value("1234.50")
    # More than one purchase may be worth is said at once, and cannot be confirmed.
    page.locator("#amount").fill("500.01")
    expect(slot(page, "quote")).to_contain_text("limit of $500.00")
    expect(slot(page, "confirm")).to_be_disabled()
    page.locator("#amount").fill("12.40")
    page.keyboard.press("Enter")

    shows(page, "receipt")
    expect(slot(page, "change")).to_have_text("+124 beans")
    expect(slot(page, "before")).to_have_text("640")
    expect(slot(page, "after")).to_have_text("764")
    assert house.balance(ana.code) == 764
    assert slot(page, "left").inner_text().startswith("9:5")
    # Nobody touches anything: the till is back at scanning by itself, and the way back stays.
    shows(page, "scan")
    expect(slot(page, "lastWho")).to_have_text("Ana Reyes")
    expect(slot(page, "lastPoints")).to_have_text("+124 beans")
    slot(page, "undo").click()
    expect(page.locator("#toasts")).to_contain_text("Undone")
    expect(slot(page, "last")).to_be_hidden()
    assert house.balance(ana.code) == 640

    # A touch keeps the receipt where it is, and undoes right there.
    scan(page, ana.code)
    page.keyboard.type("1.00")
    page.keyboard.press("Enter")
    shows(page, "receipt")
    page.locator(".booked").click()
    expect(slot(page, "back")).to_be_empty()
    slot(page, "undo").click()
    expect(page.locator("#screen h1")).to_have_text("Undone")
    expect(slot(page, "after")).to_have_text("640")
    expect(slot(page, "undo")).to_be_hidden()
    assert house.balance(ana.code) == 640


# The member ----------------------------------------------------------------------


@pytest.mark.check("W-38")
@pytest.mark.check("W-43")
def test_a_member_shows_all_that_matters_at_the_counter(browse: Open, house: Shop) -> None:
    ana = house.join("Ana Reyes", birthday=(house.now + timedelta(days=2)).date())
    house.buy(ana.code, 54_00)
    set_member(house, ana, holdout=False)
    an_offer(house, "maple", "Maple week", 'effect = "percent_off"\npercent = 10')
    an_offer(house, "mocha", "Mocha code", 'effect = "percent_off"\npercent = 50', more='code = "MOCHA"')
    page = at_the_till(browse())
    scan(page, ana.code)
    expect(page.locator("#screen h1")).to_have_text("Ana Reyes")
    expect(slot(page, "tier")).to_have_text("Perch")
    expect(slot(page, "birthday")).to_be_visible()
    expect(slot(page, "balance")).to_have_text("640")
    expect(slot(page, "facts")).to_contain_text("Last visit")
    expect(slot(page, "ready")).to_contain_text("Brewed coffee")
    expect(slot(page, "ready")).to_contain_text("160 beans to Any drink")
    expect(slot(page, "offerRows")).to_contain_text("Maple week")
    # What an offer takes off is said before it is charged; one tap says that it was taken off already.
    page.keyboard.type("10.00")
    expect(slot(page, "extra")).to_contain_text("An offer takes $1.00 off: charge $9.00.")
    expect(slot(page, "confirm")).to_have_text("Confirm $9.00")
    page.get_by_role("button", name="Already taken off").click()
    expect(slot(page, "confirm")).to_have_text("Confirm $10.00")
    page.get_by_role("button", name="Take the offer off the amount").click()
    expect(slot(page, "confirm")).to_have_text("Confirm $9.00")
    # A code that nobody knows explains itself, and keeps the amount.
    slot(page, "addCode").click()
    page.locator("#entry").fill("nothing-1")
    page.keyboard.press("Enter")
    expect(slot(page, "chips")).to_contain_text("nothing-1")
    expect(page.locator(".till-pad")).to_contain_text("No offer has this code.")
    expect(page.locator("#amount")).to_have_value("10.00")
    slot(page, "chips").get_by_role("button").click()
    slot(page, "addCode").click()
    page.locator("#entry").fill("mocha")
    page.keyboard.press("Enter")
    expect(slot(page, "extra")).to_contain_text("charge $4.50")
    page.locator("#amount").focus()
    page.keyboard.press("Enter")
    shows(page, "receipt")
    (bought,) = rows(house.store, "purchase", "gross_minor = 1000")
    assert bought["net_minor"] == 450
    # A card that was taken out of force says so, and nothing else is asked.
    statement = sql("UPDATE card SET voided_at = :at WHERE id = :id")
    house.store.write(lambda work: work.put(statement, at=1, id=ana.card_id))
    slot(page, "next").click()
    page.locator("#code").fill(ana.code)
    page.locator("#code").press("Enter")
    expect(page.locator("#code-wrong")).to_have_text("This card is no longer valid.")
    shows(page, "scan")


# Rewards -------------------------------------------------------------------------


@pytest.mark.check("W-40")
def test_rewards_that_are_ready_are_one_question_away_and_others_say_why_not(
    browse: Open, house: Shop, ana: Joined
) -> None:
    page = at_the_till(browse())
    scan(page, ana.code)
    dear = slot(page, "rewardRows").locator("li", has_text="Any drink")
    expect(dear).to_contain_text("800 beans, 160 beans to go")
    expect(dear.get_by_role("button")).to_have_count(0)
    slot(page, "rewardRows").get_by_role("button", name="Redeem: Extra shot").click()
    expect(box(page)).to_contain_text("Extra shot for 150 beans?")
    expect(box(page)).to_contain_text("Ana Reyes keeps 490 beans.")
    page.keyboard.press("Escape")
    assert house.balance(ana.code) == 640
    page.locator("#amount").fill("9.50")
    slot(page, "rewardRows").get_by_role("button", name="Redeem: Extra shot").click()
    box(page).get_by_role("button", name="Redeem").click()
    shows(page, "receipt")
    expect(slot(page, "change")).to_have_text("\N{MINUS SIGN}150 beans")
    expect(slot(page, "after")).to_have_text("490")
    assert house.balance(ana.code) == 490
    # Another till was quicker: it is refused, with what is ready instead, and an amount stays.
    # What was typed is still to be booked.
    slot(page, "next").filter(has_text="Go on with $9.50").click()
    shows(page, "member")
    expect(page.locator("#amount")).to_have_value("9.50")
    house.redeem(ana.code, "brewed-coffee")
    page.locator("#amount").fill("3.00")
    slot(page, "ready").get_by_role("button", name="Brewed coffee").click()
    box(page).get_by_role("button", name="Redeem").click()
    expect(slot(page, "alert")).to_contain_text("Not enough beans: this needs 400, there are 90")
    expect(page.locator("#amount")).to_have_value("3.00")


PAID_WITH_BEANS = """
[[rewards]]
key = "beans-as-money"
name = "Pay with beans"
kind = "points_as_money"
points = 100
amount = 1.00
"""


def test_points_are_paid_as_money_in_the_steps_that_the_programme_has(
    browse: Open, house: Shop, ana: Joined
) -> None:
    path = next(one for one in programmes.DEMONSTRATION if one.stem == COFFEE)
    source = path.read_text("utf-8").replace("[[rewards]]", f"{PAID_WITH_BEANS}\n[[rewards]]", 1)
    programmes.load(house.store, name=COFFEE, source=source, pass_type=PASS_TYPE, now=house.now)
    page = at_the_till(browse())
    scan(page, ana.code)
    way = slot(page, "rewardRows").locator("li", has_text="Pay with beans")
    expect(way).to_contain_text("up to $6.00 for 600 beans")
    # Never more than what is to be paid.
    page.keyboard.type("4.60")
    expect(way).to_contain_text("up to $4.00 for 400 beans")
    way.get_by_role("button").click()
    expect(box(page).locator("[data-slot=worth]")).to_have_text("$4.00")
    expect(box(page).get_by_role("button", name="More")).to_be_disabled()
    box(page).get_by_role("button", name="Less").click()
    expect(box(page).locator("[data-slot=worth]")).to_have_text("$3.00")
    expect(box(page)).to_contain_text("Ana Reyes keeps 340 beans.")
    page.locator("#steps").focus()
    page.keyboard.press("ArrowLeft")
    expect(box(page).locator("[data-slot=worth]")).to_have_text("$2.00")
    box(page).get_by_role("button", name="Redeem").click()
    shows(page, "receipt")
    expect(slot(page, "title")).to_have_text("$2.00 off the bill")
    expect(slot(page, "points")).to_have_text("\N{MINUS SIGN}200")
    assert house.balance(ana.code) == 440


# Who it is -----------------------------------------------------------------------


@pytest.mark.check("W-37")
def test_members_are_found_by_name_and_prove_themselves_before_they_redeem(
    browse: Open, house: Shop, ana: Joined
) -> None:
    other = house.join("Ana Ríos", phone="+1 312 555 0142", email="rios@example.org")
    house.buy(other.code, 54_00)
    page = at_the_till(browse())
    page.keyboard.press("/")
    expect(page.locator("#find")).to_be_focused()
    page.keyboard.type("a")
    expect(page.locator("#find-words")).to_have_text("At least two characters.")
    page.keyboard.type("na")
    expect(box(page).locator("li")).to_have_count(2)
    hint = box(page).locator("li", has_text="Ríos").inner_text()
    assert "phone ends in 42" in hint
    assert "555" not in hint
    assert "@" not in hint
    page.locator("#find").fill("rios@example.org")
    expect(box(page).locator("li")).to_have_count(1)
    page.keyboard.press("Enter")
    shows(page, "member")
    expect(slot(page, "facts")).to_contain_text("to redeem, scan the card")
    # Points come to whoever was found; they go only with a code from their e-mail.
    page.keyboard.type("1.00")
    page.keyboard.press("Enter")
    shows(page, "receipt")
    assert house.balance(other.code) == 650
    slot(page, "same").click()
    shows(page, "member")
    slot(page, "ready").get_by_role("button").first.click()
    box(page).get_by_role("button", name="Redeem").click()
    # No letters leave this shop: the code also stands on the card's own page.
    expect(box(page)).to_contain_text("No code can be sent to this customer.")
    page.locator("#entry").fill("12 34")
    page.keyboard.press("Enter")
    expect(page.locator("#entry-wrong")).to_have_text("The code has six digits.")
    page.locator("#entry").fill("000000")
    page.keyboard.press("Enter")
    expect(page.locator("#entry-wrong")).not_to_have_text("The code has six digits.")
    expect(page.locator("#entry-wrong")).to_be_visible()
    page.keyboard.press("Escape")
    assert house.balance(other.code) == 650


@pytest.mark.check("W-26")
def test_somebody_joins_at_the_counter_by_their_own_phone_or_by_name(browse: Open, house: Shop) -> None:
    page = at_the_till(browse())
    slot(page, "join").click()
    shows(page, "join")
    leads = page.locator("#screen img").get_attribute("src") or ""
    assert leads.startswith(f"/join/{COFFEE}/code.svg?from=till")
    assert page.locator("#screen img").evaluate("one => one.complete && one.naturalWidth > 0")
    page.locator("[data-slot=make]").click()
    expect(page.locator("#join-name-wrong")).to_have_text("Please enter a name.")
    expect(page.locator("#join-name")).to_be_focused()
    page.locator("#join-name").fill("Nur Işık")
    page.keyboard.press("Enter")
    shows(page, "receipt")
    expect(slot(page, "title")).to_have_text("Welcome!")
    expect(slot(page, "picture")).to_be_visible()
    slot(page, "same").click()
    shows(page, "member")
    expect(page.locator("#screen h1")).to_have_text("Nur Işık")
    expect(slot(page, "balance")).to_have_text("100")


# Around a purchase -----------------------------------------------------------------


@pytest.mark.check("W-49")
def test_the_last_bookings_have_totals_open_their_member_and_can_be_undone(
    browse: Open, house: Shop, ana: Joined
) -> None:
    page = at_the_till(browse())
    menu(page, "mine")
    shows(page, "mine")
    house.buy(ana.code, 3_00)
    menu(page, "help")
    menu(page, "mine")
    expect(slot(page, "totals")).to_have_text("2 sales for $57.00, 570 beans given")
    row = slot(page, "rows").locator("li", has_text="$3.00")
    row.get_by_role("button", name="Undo").click()
    expect(box(page)).to_contain_text("Undo $3.00?")
    box(page).get_by_role("button", name="Undo").click()
    expect(slot(page, "totals")).to_have_text("1 sale for $54.00, 540 beans given")
    assert house.balance(ana.code) == 640
    slot(page, "rows").get_by_role("button", name="Ana Reyes").first.click()
    shows(page, "member")
    expect(slot(page, "balance")).to_have_text("640")


def test_goods_come_back_item_by_item_after_a_look_at_what_it_does(
    browse: Open, house: Shop, ana: Joined
) -> None:
    page = at_the_till(browse())
    scan(page, ana.code)
    # Three pastries and a cup, as items.
    slot(page, "byLines").click()
    page.locator(".choice-chip", has_text="bakery").click()
    for _ in range(2):
        page.get_by_role("button", name="One piece more").click()
    page.locator("#amount").fill("4.00")
    page.keyboard.press("Enter")
    expect(slot(page, "lines")).to_contain_text("3 × $4.00")
    page.locator(".choice-chip", has_text="cups").click()
    page.keyboard.type("10")
    slot(page, "add").click()
    expect(slot(page, "total")).to_have_text("2 items: $22.00")
    expect(slot(page, "quote")).to_contain_text("= 220 beans")
    page.keyboard.press("Enter")
    shows(page, "receipt")
    assert house.balance(ana.code) == 860

    menu(page, "return")
    shows(page, "return")
    slot(page, "recent").get_by_role("button").first.click()
    expect(slot(page, "lines")).to_be_visible()
    # Everything at first; one pastry in the end.
    page.locator(".return-line", has_text="bakery").get_by_role("button", name="One less").click(
        click_count=2
    )
    page.locator(".return-line", has_text="cups").get_by_role("button", name="One less").click()
    expect(slot(page, "preview")).to_contain_text(
        "Pay out $4.00. \N{MINUS SIGN}40 beans, which leaves 820 beans."
    )
    slot(page, "confirm").click()
    shows(page, "receipt")
    expect(slot(page, "title")).to_have_text("Returned, $4.00 paid out")
    assert house.balance(ana.code) == 820
    # What was booked as one amount comes back as an amount.
    menu(page, "return")
    slot(page, "recent").get_by_role("button", name="$54.00").click()
    expect(page.locator("#return-amount")).to_have_value("54.00")
    page.locator("#return-amount").fill("5")
    expect(slot(page, "preview")).to_contain_text(
        "Pay out $5.00. \N{MINUS SIGN}50 beans, which leaves 770 beans."
    )


def test_a_sale_without_a_card_leaves_a_code_to_collect_its_points(
    browse: Open, house: Shop, ana: Joined
) -> None:
    page = at_the_till(browse())
    answers: list[str] = []
    page.on("request", lambda one: answers.append(one.post_data or "") if "/codes" in one.url else None)
    slot(page, "sale").click()
    page.keyboard.type("8.00")
    expect(slot(page, "quote")).to_contain_text("= $8.00, without points")
    page.keyboard.press("Enter")
    shows(page, "receipt")
    expect(slot(page, "picture")).to_be_visible()
    expect(slot(page, "caption")).to_contain_text("collect the points")
    # It stays until somebody has scanned it.
    expect(slot(page, "back")).to_be_empty()
    assert len(rows(house.store, "purchase", "net_minor = 800")) == 1
    # Back with their card, the till takes the same code: first the receipt, then whose it is.
    slot(page, "next").click()
    (address,) = (json.loads(answer)["text"] for answer in answers)
    for number in range(2):
        call(page, "view-arrive", "it.takeClaim(given.text)", text=address)
        expect(page.locator("#toasts")).to_contain_text("Now scan the customer's card.")
        scan(page, ana.code)
        expect(box(page)).to_contain_text("Add the points of this receipt?")
        box(page).get_by_role("button", name="Add the points").click()
        if number == 0:
            shows(page, "receipt")
            expect(slot(page, "change")).to_have_text("+80 beans")
            slot(page, "next").click()
    expect(slot(page, "alert")).to_be_visible()
    assert house.balance(ana.code) == 720


def test_a_mistaken_sale_without_a_card_is_undone(browse: Open, house: Shop, ana: Joined) -> None:
    page = at_the_till(browse())
    slot(page, "sale").click()
    page.keyboard.type("8.00")
    page.keyboard.press("Enter")
    shows(page, "receipt")
    slot(page, "undo").click()
    expect(slot(page, "title")).to_have_text("Undone")
    (back,) = rows(house.store, "goods_return", "net_minor = 800")
    (sold,) = rows(house.store, "purchase", "net_minor = 800")
    assert back["purchase_id"] == sold["id"]


@pytest.mark.check("W-54")
def test_a_keyboard_alone_is_enough_and_its_keys_stay_out_of_what_is_typed(
    browse: Open, house: Shop, ana: Joined
) -> None:
    ben = house.join("Ben Ode")
    page = at_the_till(browse(width=1280, height=800, permissions=[]))
    page.keyboard.press("?")
    shows(page, "help")
    page.keyboard.press("Escape")
    shows(page, "scan")
    page.keyboard.press("s")
    expect(page.locator("#code-wrong")).to_contain_text("This device has no camera.")
    # In a field the same keys are letters.
    page.keyboard.type("s/?")
    expect(page.locator("#code")).to_have_value("S/?")
    page.keyboard.press("/")
    expect(page.locator("#find")).to_have_count(0)
    scan(page, ana.code)
    page.locator("#screen h1").focus()
    page.keyboard.type("12.5")
    expect(page.locator("#amount")).to_have_value("12.5")
    page.keyboard.press("s")
    expect(box(page)).to_contain_text("$12.50 is not booked yet.")
    page.keyboard.press("Escape")
    expect(page.locator("#amount")).to_have_value("12.5")
    page.keyboard.press("Escape")
    expect(page.locator("#amount")).to_have_value("")
    page.keyboard.press("Escape")
    shows(page, "scan")
    # A page that is loaded anew, and the same card once more, keep what was typed.
    scan(page, ana.code)
    page.keyboard.type("7.25")
    expect(slot(page, "quote")).to_contain_text("72 beans")
    page.reload()
    shows(page, "member")
    expect(page.locator("#amount")).to_have_value("7.25")
    call(page, "view-arrive", "it.arrive(given.code)", code=ana.code)
    expect(page.locator("#amount")).to_have_value("7.25")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    shows(page, "scan")
    # Another card while an amount is not booked: asked first, and the amount stays if it is kept.
    scan(page, ana.code)
    page.keyboard.type("7")
    call(page, "view-arrive", "(it.arrive(given.code), true)", code=ben.code)
    expect(box(page)).to_contain_text("Drop the amount?")
    box(page).get_by_role("button", name="Keep it").click()
    expect(page.locator("#amount")).to_have_value("7")
    expect(page.locator("#screen h1")).to_have_text("Ana Reyes")
    page.go_back()
    expect(box(page)).to_contain_text("Drop the amount?")
    box(page).get_by_role("button", name="Drop it").click()
    shows(page, "scan")


# Safety ---------------------------------------------------------------------------


def a_paired_till(window: Watched, house: Shop) -> Page:
    """A till that the owner set up, and nobody at it. Cy's PIN is 4826, the owner Olive's 7391."""
    access.add_staff(
        house.store,
        login="olive",
        name="Olive",
        password=PASSWORD,
        grants=[Grant(COFFEE, Role.OWNER), Grant(COFFEE, Role.CASHIER)],
        now=house.now,
        cost=CHEAP,
    )
    for login, pin in (("cy", "4826"), ("olive", "7391")):
        pins.set_pin(house.store, programme=COFFEE, login=login, pin=pin, by=None, now=house.now, cost=CHEAP)
    _, code = tills.set_up(
        house.store, KEYS, programme=COFFEE, name="Front", location="west-loop", by=None, now=house.now
    )
    page = window.open("/till/app")
    shows(page, "pair")
    page.get_by_role("link", name="Enter the pairing code").click()
    page.locator("#code").fill(code)
    page.keyboard.press("Enter")
    shows(page, "signin")
    return page


def test_cashiers_come_in_with_a_pin_and_find_their_amount_after_the_till_was_locked(
    browse: Open, house: Shop, ana: Joined
) -> None:
    page = a_paired_till(browse(), house)
    page.get_by_role("button", name="Cy").click()
    page.keyboard.type("1357")
    page.keyboard.press("Enter")
    expect(page.locator("#pin-wrong")).to_have_text("The PIN is wrong.")
    expect(page.locator("#pin")).to_be_focused()
    for digit in "4826":
        page.locator(".key", has_text=digit).click()
    page.get_by_role("button", name="Continue").click()
    shows(page, "scan")
    expect(page.locator("#bar-person")).to_have_text("Cy")
    scan(page, ana.code)
    page.keyboard.type("6.50")
    expect(slot(page, "quote")).to_contain_text("65 beans")
    # Nobody touches the till for longer than it stays open.
    page.evaluate("Date.now = ((now) => () => now() + 130_000)(Date.now)")
    shows(page, "signin")
    assert "Ana" not in page.locator("main").inner_text()
    page.get_by_role("button", name="Cy").click()
    page.keyboard.type("4826")
    page.keyboard.press("Enter")
    shows(page, "member")
    expect(page.locator("#amount")).to_have_value("6.50")
    # Locked by hand it waits for the same person only.
    menu(page, "lock")
    shows(page, "signin")
    page.get_by_role("button", name="Olive").click()
    page.keyboard.type("7391")
    page.keyboard.press("Enter")
    shows(page, "scan")


def test_the_same_again_is_asked_about_and_more_than_usual_needs_a_manager(
    browse: Open, house: Shop, ana: Joined
) -> None:
    page = a_paired_till(browse(), house)
    page.get_by_role("button", name="Cy").click()
    page.keyboard.type("4826")
    page.keyboard.press("Enter")
    shows(page, "scan")
    for number, amount in enumerate(("2.00", "2.00", "3.00", "4.00", "5.00")):
        scan(page, ana.code)
        page.keyboard.type(amount)
        if number == 4:
            # The cashier hears it while there is time to call somebody.
            expect(slot(page, "extra")).to_contain_text("Another purchase needs a manager.")
        page.keyboard.press("Enter")
        if number == 1:
            expect(box(page)).to_contain_text("Looks like the same purchase again")
            box(page).get_by_role("button", name="Book it again").click()
        if number == 4:
            expect(box(page)).to_contain_text("A manager must approve this")
            expect(box(page).locator("option")).to_have_text(["Olive"])
            expect(box(page)).to_contain_text("$5.00 · Ana Reyes")
            page.keyboard.type("1111")
            page.keyboard.press("Enter")
            expect(page.locator("#approval-wrong")).to_have_text("The PIN is wrong.")
            page.keyboard.type("7391")
            page.keyboard.press("Enter")
        shows(page, "receipt")
        slot(page, "next").click()
        shows(page, "scan")
    assert house.balance(ana.code) == 640 + 160
    page.get_by_role("button", name="Sale without a card").click()
    shows(page, "sale")
    page.keyboard.type("250")
    expect(slot(page, "extra")).to_contain_text("A purchase of more than $200.00 needs a manager.")


# Every screen ------------------------------------------------------------------------


def practise(page: Page) -> None:
    menu(page, "practice")
    shows(page, "scan")
    expect(page.locator("#banners")).to_contain_text("nothing is booked")


def test_practice_looks_and_quotes_for_real_and_books_nothing(browse: Open, house: Shop, ana: Joined) -> None:
    page = at_the_till(browse())
    practise(page)
    page.reload()
    shows(page, "scan")
    expect(page.locator("#banners")).to_contain_text("nothing is booked")
    scan(page, ana.code)
    page.keyboard.type("12.40")
    expect(slot(page, "quote")).to_contain_text("= 124 beans")
    page.keyboard.press("Enter")
    shows(page, "receipt")
    expect(slot(page, "note")).to_have_text("This was practice. Nothing was booked.")
    expect(slot(page, "after")).to_have_text("764")
    slot(page, "undo").click()
    expect(page.locator("#screen h1")).to_have_text("Undone")
    slot(page, "next").click()
    slot(page, "join").click()
    page.locator("#join-name").fill("Nobody")
    page.keyboard.press("Enter")
    shows(page, "receipt")
    assert house.balance(ana.code) == 640
    assert rows(house.store, "person", "name = 'Nobody'") == []
    menu(page, "practice")
    expect(page.locator("#banners")).to_be_empty()


def every_screen(page: Page, ana: Joined) -> Iterator[str]:
    """Go through the app as a cashier does; its name each time that something new is shown."""
    shows(page, "scan")
    yield "scan"
    page.locator("#menu-button").click()
    yield "menu"
    page.keyboard.press("Escape")
    slot(page, "search").click()
    page.locator("#find").fill("Ana")
    expect(box(page).locator("li")).to_have_count(1)
    yield "search"
    page.keyboard.press("Escape")
    page.locator("#code").fill("2222-2222-2222-2223")
    page.locator("#code").press("Enter")
    expect(page.locator("#code-wrong")).to_be_visible()
    yield "wrong number"
    scan(page, ana.code)
    page.locator("#amount").fill("1.2.3")
    expect(slot(page, "quote")).not_to_be_empty()
    yield "wrong amount"
    page.locator("#amount").fill("6.00")
    expect(slot(page, "quote")).to_contain_text("60")
    slot(page, "recent").locator("summary").click()
    yield "member"
    slot(page, "ready").get_by_role("button").first.click()
    yield "redeem"
    page.keyboard.press("Escape")
    slot(page, "addCode").click()
    yield "offer code"
    page.keyboard.press("Escape")
    slot(page, "byLines").click()
    slot(page, "add").click()
    expect(slot(page, "quote")).to_contain_text("60")
    yield "items"
    slot(page, "confirm").click()
    shows(page, "receipt")
    page.locator(".booked").click()
    yield "receipt"
    slot(page, "next").click()
    expect(slot(page, "last")).to_be_visible()
    yield "scan after a booking"
    slot(page, "sale").click()
    shows(page, "sale")
    yield "sale"
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    shows(page, "receipt")
    expect(slot(page, "picture")).to_be_visible()
    yield "sale's receipt"
    slot(page, "next").click()
    slot(page, "join").click()
    slot(page, "make").click()
    expect(page.locator("#join-name-wrong")).to_be_visible()
    yield "join"
    menu(page, "mine")
    expect(slot(page, "rows").locator("li").first).to_be_visible()
    yield "mine"
    slot(page, "return").click()
    expect(slot(page, "recent").get_by_role("button").first).to_be_visible()
    yield "return"
    slot(page, "recent").get_by_role("button").first.click()
    expect(slot(page, "confirm")).to_be_enabled()
    yield "what comes back"
    menu(page, "help")
    yield "help"
    menu(page, "practice")
    expect(page.locator("#banners")).not_to_be_empty()
    yield "practice"
    menu(page, "attention")
    yield "queue"


@pytest.mark.check("W-50")
def test_every_screen_of_the_app_is_calm_large_and_accessible(browse: Open, ana: Joined) -> None:
    window = browse(width=360, height=740)
    page = at_the_till(window)
    wrong = []
    for state in every_screen(page, ana):
        wrong += faults(window, state, width=360)
        wrong += too_small(window, state, least=56)
        for amount in page.locator("#amount:visible, .confirm:visible, .quote:visible p:first-child").all():
            size = amount.evaluate("one => parseFloat(getComputedStyle(one).fontSize)")
            if not page.locator(".quote[data-state=wrong]:visible").count() and size < 22:
                wrong.append(f"{state}: an amount of {size} px")
    assert wrong == []


@pytest.mark.parametrize("language", ["en-XA", "ar-XB"])
def test_every_screen_of_the_app_speaks_every_language(browse: Open, ana: Joined, language: str) -> None:
    window = browse(width=360, height=740)
    page = at_the_till(window)
    window.open(f"/till/app?lang={language}")
    wrong: list[str] = []
    for state in every_screen(page, ana):
        if language == "en-XA":
            wrong += plain_english(window, state, own_words=WORDS)
        else:
            assert page.locator("html").get_attribute("dir") == "rtl"
        for width in (320, 1280, 360):
            page.set_viewport_size({"width": width, "height": 740})
            if (over := too_wide(page)) > 0:
                wrong.append(f"{state}: {over} px too wide at {width}")
    assert wrong == []
