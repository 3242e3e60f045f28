"""What is left to do before real customers come: every line from what the service sees of itself."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from passes import books, tills
from passes.access import Role, pins
from passes.loyalty.receipt import Counter
from passes.store import Work, alarms
from passes.wiring import Installation
from tests.shop import BOOKS, COFFEE, KEYS, Shop
from tests.web.test_yours import owner
from tests.web.visitor import Visitor


@pytest.fixture
def olive(app: Flask, house: Shop) -> Visitor:
    return owner(app, house, "olive", COFFEE)


def standing(visitor: Visitor, title: str, address: str = "/console/golive/") -> tuple[str, str]:
    """How the line with this title stands, and what it says."""
    page = visitor.get(address)
    assert page.status == 200
    [line] = [one for one in page.html.split("<li class=")[1:] if f"<h2>{title} " in one]
    return line.split('"')[1], line


def changed(app: Flask, **values: object) -> None:
    """The same installation, in which something is otherwise."""
    found: Installation = app.extensions["passes"]
    app.extensions["passes"] = replace(found, **values)  # type: ignore[arg-type]


def test_only_owners_see_it(mo: Visitor) -> None:
    assert mo.get("/console/golive/").status == 403


def test_development_and_its_certificate_are_still_to_do(olive: Visitor, app: Flask) -> None:
    for title, command in (
        ("Production", "export PASSES_MODE=production"),
        ("An address for phones", "export PASSES_PUBLIC_URL=https://cards.example.com"),
        ("Apple’s certificate", "passes certs request pass.com.example.card"),
        ("Google Wallet", "export PASSES_GOOGLE_ISSUER_ID="),
        ("Letters to members", "export PASSES_MAIL_HOST=smtp.example.com"),
    ):
        state, line = standing(olive, title)
        assert state == "to-do"
        assert command in line


def test_what_is_done_ticks_itself(olive: Visitor, app: Flask, house: Shop) -> None:
    here: Installation = app.extensions["passes"]
    real = replace(here.office.signer, development=False)
    changed(app, development=False, office=replace(here.office, signer=real))
    assert standing(olive, "Production")[0] == "done"
    assert standing(olive, "Apple’s certificate")[0] == "done"
    assert "is good until" in standing(olive, "Apple’s certificate")[1]
    changed(app, public_url="https://cards.shop.example")
    # Cookies are for https alone from now on; the session that there is goes on.
    assert "https://cards.shop.example" in standing(olive, "An address for phones")[1]


def test_a_certificate_that_ends_soon_is_named_in_time(olive: Visitor, app: Flask, house: Shop) -> None:
    here: Installation = app.extensions["passes"]
    for days, state in ((61, "done"), (59, "wrong")):
        ends_at = house.now + timedelta(days=days)
        signer = replace(here.office.signer, development=False, not_after=ends_at)
        changed(app, office=replace(here.office, signer=signer))
        assert standing(olive, "Apple’s certificate")[0] == state
    assert "Renew it at Apple, for the same pass type." in standing(olive, "Apple’s certificate")[1]


@pytest.mark.parametrize(
    ("days", "said"), [(61, None), (59, "notice warn"), (14, "notice bad"), (1, "notice bad")]
)
def test_every_page_of_the_console_says_that_the_certificate_ends(
    olive: Visitor, mo: Visitor, app: Flask, house: Shop, days: int, said: str | None
) -> None:
    here: Installation = app.extensions["passes"]
    signer = replace(
        here.office.signer, development=False, not_after=house.now + timedelta(days=days, hours=1)
    )
    changed(app, office=replace(here.office, signer=signer))
    for visitor, address in (
        (olive, "/console/yours/"),
        (olive, "/console/tills/"),
        (mo, "/console/offers"),
    ):
        page = visitor.get(address)
        assert (f"Apple’s certificate ends in {days} day" in page.text) is (said is not None)
        if said:
            assert f'class="{said}"' in page.html
    assert ("/console/golive/" in mo.get("/console/offers").html) is False


def test_an_owner_with_a_password_counts_one_with_a_click_does_not(app: Flask, house: Shop) -> None:
    owner(app, house, "olive", COFFEE)
    owner(app, house, "sevgi", BOOKS)
    clicked = Visitor(app)
    form = clicked.get("/").form("programme")
    clicked.post("/demonstration", {**form.values, "programme": COFFEE, "role": "owner"})
    assert standing(clicked, "An owner with a password")[0] == "done"
    made = clicked.get("/console/golive/").text
    assert "3 people work here." in made


def test_without_any_password_the_command_is_named(app: Flask, house: Shop) -> None:
    from passes import access
    from passes.access import Grant
    from tests.web.conftest import CHEAP, PASSWORD

    access.add_staff(
        house.store,
        login="olive",
        name="Olive",
        password=PASSWORD,
        grants=[Grant(COFFEE, Role.OWNER)],
        now=house.now,
        cost=CHEAP,
    )
    clicked = Visitor(app)
    form = clicked.get("/").form("programme")
    clicked.post("/demonstration", {**form.values, "programme": COFFEE, "role": "owner"})
    state, line = standing(clicked, "An owner with a password")
    assert state == "to-do"
    assert "--programme copperfinch --role owner" in line


def test_a_till_needs_a_device_and_somebody_with_a_pin(olive: Visitor, house: Shop) -> None:
    title = "A till, and somebody to open it"
    state, line = standing(olive, title)
    assert (state, 'href="/console/tills/"' in line) == ("to-do", True)
    tills.pair_for_demonstration(
        house.store, KEYS, programme=COFFEE, location="west-loop", called="Till", now=house.now
    )
    assert "Nobody has a PIN yet." in standing(olive, title)[1]
    pins.set_pin(house.store, programme=COFFEE, login="cy", pin="4826", by=None, now=house.now)
    assert standing(olive, title)[0] == "done"


def test_own_terms_are_those_that_no_rule_gives(app: Flask, olive: Visitor, house: Shop) -> None:
    from tests.web.test_yours import fill

    assert standing(olive, "Your own terms")[0] == "done"
    fill(olive)
    state, line = standing(olive, "Your own terms")
    assert (state, "/console/yours/file" in line) == ("to-do", True)


def test_the_worker_is_known_by_what_it_does(olive: Visitor, house: Shop) -> None:
    assert standing(olive, "The worker")[0] == "to-do"
    house.buy(house.join().code, 1_000, at=Counter(till="front"))
    house.now += timedelta(minutes=10)
    assert standing(olive, "The worker")[0] == "wrong"
    while books.seal_due(house.store, now=house.now):
        pass
    assert standing(olive, "The worker")[0] == "done"


def test_alarms_are_shown_until_they_are_over(olive: Visitor, house: Shop) -> None:
    assert "Alarms" not in olive.get("/console/golive/").text

    def decide(work: Work) -> None:
        alarms.sound(work, "test", "Something broke.", now=house.now)

    house.store.write(decide)
    state, line = standing(olive, "Alarms")
    assert (state, "Something broke." in line) == ("wrong", True)


def test_a_backup_is_as_old_as_the_file_that_it_touches(
    olive: Visitor, app: Flask, house: Shop, tmp_path: Path
) -> None:
    assert standing(olive, "A backup")[0] == "to-do"
    made = tmp_path / "passes.done"
    changed(app, backup_file=made)
    assert "None was made yet." in standing(olive, "A backup")[1]
    made.touch()
    for days, state in ((1, "done"), (3, "wrong")):
        at = (house.now - timedelta(days=days)).timestamp()
        os.utime(made, (at, at))
        assert standing(olive, "A backup")[0] == state
