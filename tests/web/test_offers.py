"""The marketer's page of offers, as somebody without script uses it."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from passes import access, campaigns
from passes.access import Grant, Role
from passes.programmes import load
from passes.wallet import Later
from tests.cast import PHONE, Card, PushService, a_card, an_install, deliver, rows
from tests.shop import BOOKS, COFFEE, KEYS, PASS_TYPE, Shop
from tests.test_campaigns import ASKED, LOUD, offer_file, programme_file
from tests.web.conftest import CHEAP, PASSWORD
from tests.web.visitor import Page, Visitor

FILLED = {
    "title.en": "Maple Cortado is back",
    "title.tr": "Akçaağaçlı Cortado döndü",
    "text.en": "{offer.points} extra beans.",
    "text.tr": "{offer.points} ekstra çekirdek.",
    "effect": "bonus_points",
    "points": "50",
    "ends": "2026-03-22T20:00",
    "who": "all",
    "by_day": None,
}


@pytest.fixture(autouse=True)
def ringing(house: Shop) -> None:
    """The coffee shop lets offers ring."""
    load(house.store, name=COFFEE, source=programme_file(), pass_type=PASS_TYPE, now=house.now)


@dataclass
class Desk:
    """Mo at the console, with the means to look behind it."""

    mo: Visitor
    house: Shop

    def write(self, **values: str | None) -> Page:
        """Fill in the form of a new offer and send it."""
        form = self.mo.get("/console/offers/new").form("points")
        return self.mo.fill_in(form, {**FILLED, **values})

    def press(self, page: Page, command: str, **values: str) -> Page:
        """The button of a page that does this to the offer."""
        form = next(form for form in page.forms if form.address.endswith(f"/{command}"))
        return self.mo.fill_in(form, values)

    def work(self) -> None:
        """What the worker does in one turn."""
        campaigns.run_due(self.house.store, now=self.house.now)

    def deliver(self) -> None:
        deliver(self.house, PushService())

    def member(self, *, holdout: bool = False, phone: str | None = None, **consents: bool) -> Card:
        card = a_card(self.house) if not consents else self._asked(consents)
        change = text("UPDATE member SET holdout = :holdout WHERE id = :id")
        self.house.store.write(lambda work: work.put(change, holdout=holdout, id=card.member_id))
        if phone is not None:
            an_install(self.house, card, phone=phone + PHONE[1:], push_token=phone * 64)
        return card

    def _asked(self, consents: dict[str, bool]) -> Card:
        joined = self.house.join(consents=consents)
        return Card(joined.programme_id, joined.member_id, joined.card_id, joined.serial, joined.code, "")

    def states(self) -> list[str]:
        return [view.state.value for view in campaigns.every(self.house.store, programme=COFFEE)]


@pytest.fixture
def desk(mo: Visitor, house: Shop) -> Desk:
    return Desk(mo, house)


def key_of(page: Page) -> str:
    return page.address.rpartition("/")[2]


# Who may come in ---------------------------------------------------------------------


def test_only_marketers_and_owners_come_in(app: Flask, house: Shop, cy: Visitor) -> None:
    assert cy.get("/console/offers").address == "/console/sign-in"
    cashier = Visitor(app)
    form = cashier.get("/console/sign-in").form("login")
    cashier.send(form, follow=False, login="cy", password=PASSWORD)
    assert cashier.get("/console/offers").status == 403
    grants = [Grant(BOOKS, Role.OWNER)]
    access.add_staff(
        house.store, login="bo", name="Bo", password=PASSWORD, grants=grants, now=house.now, cost=CHEAP
    )
    owner = Visitor(app)
    owner.send(owner.get("/console/sign-in").form("login"), follow=False, login="bo", password=PASSWORD)
    assert "Sayfa Kulübü" in owner.get("/console/").text
    campaigns.plan(house.store, programme=COFFEE, name="maple", source=offer_file(), now=house.now)
    assert owner.get("/console/offers/maple").status == 404


def test_whoever_works_for_two_programmes_chooses(app: Flask, house: Shop) -> None:
    grants = [Grant(COFFEE, Role.OWNER), Grant(BOOKS, Role.MARKETER)]
    access.add_staff(
        house.store, login="bo", name="Bo", password=PASSWORD, grants=grants, now=house.now, cost=CHEAP
    )
    both = Visitor(app)
    both.send(both.get("/console/sign-in").form("login"), follow=False, login="bo", password=PASSWORD)
    page = both.get("/console/programme")
    page = both.send(page.form("programme"), programme=BOOKS)
    assert "Sayfa Kulübü" in page.text
    assert both.send(both.get("/console/programme").form("programme"), programme="other").status == 403


# Writing one ------------------------------------------------------------------------------


def test_an_empty_console_says_what_to_do_next(desk: Desk) -> None:
    page = desk.mo.get("/console/offers")
    assert "No offers yet" in page.text
    assert "Nothing was sold this month yet." in page.text
    assert page.element(href="/console/offers/new")


def test_the_first_line_is_the_share_of_members(desk: Desk) -> None:
    desk.house.buy(desk.member().code, 3_000)
    assert "100% of this month's sales came from members" in desk.mo.get("/console/offers").text


@pytest.mark.check("W-69")
def test_an_offer_is_written_with_everything_a_form_can_say(desk: Desk) -> None:
    page = desk.write(
        starts="2026-03-16T08:00",
        tiers="copper",
        who="tiers",
        shops="lakeview",
        quota="500",
        member_limit="1",
        rings="on",
    )
    assert page.redirects == [303]
    (row,) = rows(desk.house.store, "offer")
    assert (row["state"], row["quota"], row["created_by"]) == ("draft", 500, "mo")
    assert 'tiers = ["copper"]' in row["source"]
    assert 'shops = ["lakeview"]' in row["source"]
    assert "Mar 16, 2026, 8:00 AM" in page.text.replace("\u202f", " ")
    assert "Chicago time" in page.text
    assert "50 extra beans." in page.text
    # Both wallets and the page, drawn with the offer on them.
    assert page.html.count("<svg") == 4
    assert page.html.count("Maple Cortado is back") >= 4


@pytest.mark.check("W-70")
def test_a_refused_form_names_the_fields_and_keeps_what_was_typed(desk: Desk) -> None:
    page = desk.write(
        starts="2026-03-23T08:00",
        **{"title.en": "x" * 41, "text.tr": "50 çekirdek", "who": "tiers", "quota": "a"},
    )
    assert page.status == 422
    assert "5 fields need another look." in page.text
    assert "This has 41 letters; there is room for 40." in page.text
    assert "Write no numbers" in page.text
    assert "It would end before it begins." in page.text
    assert "Nobody would get it. Choose at least one." in page.text
    for name in ("title.en", "text.tr", "ends", "tiers", "quota"):
        assert page.element(id=f"{name}-wrong")
    form = page.form("points")
    assert (form.values["title.en"], form.values["ends"]) == ("x" * 41, "2026-03-22T20:00")
    assert form.values["points"] == "50"
    assert rows(desk.house.store, "offer") == []
    assert page.element(id="title.en")["aria-describedby"] == "title.en-wrong"


def test_a_form_sent_twice_makes_one_draft(desk: Desk) -> None:
    form = desk.mo.get("/console/offers/new").form("points")
    first, second = (desk.mo.fill_in(form, FILLED) for _ in range(2))
    assert first.address == second.address
    assert desk.states() == ["draft"]


@pytest.mark.check("A-111")
def test_ringing_is_a_switch_that_is_off_and_quotes_apples_rule(desk: Desk) -> None:
    page = desk.mo.get("/console/offers/new")
    assert "rings" in page.form("points").names
    assert "rings" not in page.form("points").values
    assert "Apple forbids marketing by the notices of a card." in page.text
    assert "My phone may ring when there is a new offer." in page.text
    desk.write()
    assert "rings" not in rows(desk.house.store, "offer")[0]["source"]


def test_an_offer_that_begins_at_night_rings_by_day_only(desk: Desk) -> None:
    """It is five in the morning in Chicago."""
    desk.member(phone="a")
    page = desk.write(rings="on", by_day="on")
    assert "This phone stays silent: the offer begins at night." in page.text
    later = desk.write(rings="on", by_day="on", starts="2026-03-14T09:00")
    assert "1 phone stays silent: its owner did not ask for offers." in later.text


def test_a_draft_is_changed_in_its_form(desk: Desk) -> None:
    page = desk.write(holdout="20")
    edit = desk.mo.get(f"{page.address}/edit")
    form = edit.form("points")
    assert (form.values["points"], form.values["holdout"]) == ("50", "20")
    assert "Maple Cortado is back" in form.values["title.en"]
    values = {name: value for name, value in FILLED.items() if name != "points"}
    values |= {"text.en": "More.", "text.tr": "Daha."}
    page = desk.mo.fill_in(form, {**values, "points": "75"})
    assert page.redirects == [303]
    assert "points = 75" in rows(desk.house.store, "offer")[0]["source"]
    desk.press(page, "publish")
    assert desk.mo.get(f"{page.address}/edit").address == page.address
    assert desk.mo.post(f"{page.address}/edit", {**form.values, "points": "1"}).address == page.address
    assert "points = 75" in rows(desk.house.store, "offer")[0]["source"]


def test_an_offer_comes_as_a_file_too(desk: Desk) -> None:
    form = desk.mo.get("/console/offers/file").form("source")
    page = desk.mo.send(form, name="Maple!", source=offer_file())
    assert page.status == 422
    assert "small letters, digits and dashes" in page.text
    page = desk.mo.send(form, name="maple", source=offer_file(quotum=5, priority="high"))
    assert page.status == 422
    assert "quotum" in page.text
    assert "priority" in page.text
    assert "quotum" in page.html[page.html.index("<textarea") :]
    upload = (io.BytesIO(offer_file(code='"MAPLE"').encode()), "maple.toml")
    page = desk.mo.send(form, name="", source="", files={"file": upload})
    assert page.address == "/console/offers/maple"
    # A file that says more than the form can is changed as a file.
    edit = desk.mo.get("/console/offers/maple/edit").form("source")
    page = desk.mo.send(edit, source=offer_file(code='"ACER"'))
    assert 'code = "ACER"' in rows(desk.house.store, "offer")[0]["source"]
    desk.press(page, "publish")
    assert desk.mo.send(form, name="maple", source=offer_file()).status == 409


# Before sending ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["new", "file.toml"])
def test_an_offer_of_any_name_has_a_page_of_its_own(desk: Desk, name: str) -> None:
    form = desk.mo.get("/console/offers/file").form("source")
    page = desk.mo.send(form, name=name, source=offer_file())
    assert (page.status, page.redirects) == (200, [303])
    assert any(one.address.endswith(f"{page.address}/publish") for one in page.forms)


def test_before_publishing_it_says_which_phones_ring_and_why_others_do_not(desk: Desk) -> None:
    asked = desk.member(**ASKED)
    an_install(desk.house, _with_token(asked), phone="a" + PHONE[1:], push_token="a" * 64)
    desk.member(phone="b")
    desk.member(phone="c", holdout=True)
    page = desk.write(rings="on")
    assert "1 iPhone rings: its owner asked for it" in page.text
    assert "1 iPhone stays silent" in page.text
    assert "1 phone stays silent: its owner did not ask for offers." in page.text
    assert "1 is held out, to see what it does" in page.text
    assert "New offer: Maple Cortado is back" in page.html
    quiet = desk.write()
    assert "These 2 phones stay silent: the offer is not meant to ring." in quiet.text
    assert "The lock screen stays dark" in quiet.text


def _with_token(card: Card) -> Card:
    token = KEYS.token(KEYS.current_id, PASS_TYPE, card.serial)
    return Card(card.programme_id, card.member_id, card.card_id, card.serial, card.code, token)


@pytest.mark.check("W-70")
def test_an_empty_audience_and_an_offer_at_the_same_time_are_said_before_publishing(desk: Desk) -> None:
    page = desk.write(who="tiers", tiers="copper")
    assert "Nobody would get it: no member is in its audience now." in page.text
    desk.member()
    values: dict[str, Any] = {"programme": COFFEE, "now": desk.house.now}
    for name, more in (("walnut", {"priority": 5}), ("acorn", {"stacking": '"exclusive"'})):
        campaigns.plan(desk.house.store, name=name, source=offer_file(**more), **values)
        campaigns.publish(desk.house.store, key=name, **values)
    page = desk.write()
    assert "a purchase may get both. On the front of the card stands the other one." in page.text
    assert "a purchase gets only one of the two." in page.text
    later = desk.write(starts="2026-03-17T08:00")
    assert "At the same time" not in later.text


# From publishing to the end ---------------------------------------------------------------------


def test_an_offer_is_published_once_watched_stopped_in_two_clicks_and_over(desk: Desk) -> None:
    desk.member(phone="a")
    desk.member(phone="b")
    draft = desk.write(rings="on")
    page = desk.press(draft, "publish")
    assert desk.press(draft, "publish").status == 200
    assert desk.states() == ["live"]
    assert "It sets out to the cards." in page.text
    desk.work()
    progress = desk.mo.get(f"{page.address}/progress")
    assert "0 / 2" in progress.text
    assert "data-finished" not in progress.html
    assert "<html" not in progress.html
    desk.deliver()
    assert "Every phone was told." in desk.mo.get(page.address).text
    assert "data-finished" in desk.mo.get(f"{page.address}/progress").html
    # From the list: the first click opens the question, the second answers it.
    every = desk.mo.get("/console/offers")
    form = next(form for form in every.forms if ("back" in form.names and "/pause" in form.address))
    every = desk.mo.send(form)
    assert (every.address, desk.states()) == ("/console/offers", ["paused"])
    page = desk.press(desk.mo.get(page.address), "resume")
    assert desk.states() == ["live"]
    page = desk.press(page, "end")
    assert (desk.states(), "Over" in page.text) == (["ended"], True)
    actions = [row["action"] for row in rows(desk.house.store, "audit") if row["action"].startswith("offer.")]
    assert actions == [f"offer.{one}" for one in ("plan", "publish", "pause", "resume", "end")]
    assert {row["object"] for row in rows(desk.house.store, "audit") if row["action"] == "offer.end"} == {
        key_of(draft)
    }


@pytest.mark.check("W-75")
@pytest.mark.parametrize("starts", ["", "2026-03-20T08:00"])
@pytest.mark.parametrize("address", ["", "/new", "/file", "/maple"])
def test_every_page_of_the_console_can_stop_what_runs_or_is_planned(
    desk: Desk, address: str, starts: str
) -> None:
    desk.press(desk.write(starts=starts), "publish")
    values: dict[str, Any] = {"programme": COFFEE, "now": desk.house.now}
    campaigns.plan(desk.house.store, name="maple", source=offer_file(), **values)
    page = desk.mo.get(f"/console/offers{address}")
    menu = page.html[page.html.index('class="ask stop"') :]
    # The first click opens the menu, the second is this button.
    assert "<summary>" in menu[: menu.index("/pause")]
    desk.press(page, "pause")
    assert sorted(desk.states()) == ["draft", "paused"]


def test_what_does_not_follow_is_refused_in_words(desk: Desk) -> None:
    page = desk.write(starts="2026-03-15T08:00")
    assert "Publish for Mar 15, 2026, 8:00 AM" in page.text.replace("\u202f", " ")
    form = next(form for form in page.forms if form.address.endswith("/publish"))
    refused = desk.mo.post(f"{page.address}/end", form.values)
    assert refused.status == 409
    assert desk.mo.post(f"{page.address}/dance", form.values).status == 404
    assert desk.mo.post("/console/offers/none/publish", form.values).status == 404
    assert desk.mo.get("/console/offers/none").status == 404
    assert desk.mo.get("/console/offers/none/progress").status == 404
    desk.house.now += timedelta(days=30)
    stale = desk.mo.get("/console/offers")
    assert stale.address == "/console/sign-in"


def test_the_progress_is_counted_anew_by_every_page_and_says_what_is_tried_again(desk: Desk) -> None:
    desk.member(phone="a")
    page = desk.press(desk.write(), "publish")
    desk.work()
    busy = Later(desk.house.now + timedelta(minutes=5), "TooManyRequests")
    deliver(desk.house, PushService({"a" * 64: busy}))
    text_now = desk.mo.get(page.address).text
    assert re.search(r"0 told, 1 waiting 1 is tried again", text_now)
    assert desk.mo.get(page.address).text == text_now
    desk.house.now += timedelta(hours=1)
    desk.deliver()
    assert "Every phone was told." in desk.mo.get(page.address).text


def test_a_result_needs_people_and_says_when_it_cannot_be_told(desk: Desk) -> None:
    desk.member(phone="a")
    page = desk.press(desk.write(), "publish")
    desk.work()
    desk.house.now += timedelta(hours=1)
    assert "Cannot tell. Too few people: 1 got it and 0 were held out." in desk.mo.get(page.address).text


def test_an_offer_file_with_a_sound_is_silent_where_the_programme_says_so(desk: Desk) -> None:
    source = programme_file(can_alert_offers=False)
    load(desk.house.store, name=COFFEE, source=source, pass_type=PASS_TYPE, now=desk.house.now)
    page = desk.mo.get("/console/offers/new")
    assert "This programme lets no offer ring" in page.text
    assert "rings" not in page.form("points").names
    desk.member(phone="a")
    values: dict[str, Any] = {"programme": COFFEE, "now": desk.house.now}
    campaigns.plan(desk.house.store, name="maple", source=offer_file(**LOUD), **values)
    page = desk.mo.get("/console/offers/maple")
    assert "This phone stays silent: the programme lets no offer ring." in page.text


@pytest.mark.check("W-72")
def test_the_page_shows_the_local_times_that_were_typed_across_a_clock_change(desk: Desk, app: Flask) -> None:
    page = desk.write(starts="2026-10-31T08:00", ends="2026-11-01T08:00")
    assert "Oct 31, 2026, 8:00 AM – Nov 1, 2026, 8:00 AM" in page.text.replace("\u202f", " ")
    (row,) = rows(desk.house.store, "offer")
    # Chicago's clocks go back that night, so the day has 25 hours.
    assert row["ends_at"] - row["starts_at"] == 25 * 3600 * 1_000_000
