"""What Google's own programs find here: the address of its messages, pictures, robots.txt."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from urllib.robotparser import RobotFileParser

import pytest
from flask import Flask
from PIL import Image

from app import create_app
from passes import google_cards
from passes.google.schema import DocumentInvalid
from passes.google_cards import Issuer
from passes.store import programmes
from passes.web import google
from passes.wiring import Installation
from tests.cast import a_card
from tests.google.rehearsal import Rehearsal, rehearsal
from tests.shop import Shop


@pytest.fixture
def town(house: Shop) -> Iterator[Rehearsal]:
    with rehearsal(house) as made:
        yield made


@pytest.fixture
def google_app(installation: Installation, town: Rehearsal) -> Flask:
    """The pages of an installation with a Google."""
    app = create_app(replace(installation, google=town.desk))
    app.testing = True
    return app


def saved(town: Rehearsal) -> tuple[str, bytes]:
    """An object that Google holds, and the message that somebody saved it."""
    [shown] = town.google.look(town.link(a_card(town.shop)))
    return shown.object_id, town.callback(shown.object_id, "save")


@pytest.mark.check("G-42", "G-46")
def test_a_message_of_googles_marks_the_card_as_held(google_app: Flask, town: Rehearsal) -> None:
    object_id, body = saved(town)
    visitor = google_app.test_client()
    for _ in range(2):
        answer = visitor.post("/google/callback", data=body, content_type="application/json")
        assert (answer.status_code, answer.get_data()) == (200, b"")
    assert town.holders() == [object_id]


def test_a_message_needs_no_form_and_no_site_it_comes_from(google_app: Flask, town: Rehearsal) -> None:
    _, body = saved(town)
    headers = {"Origin": "https://google.example", "Sec-Fetch-Site": "cross-site"}
    answer = google_app.test_client().post("/google/callback", data=body, headers=headers)
    assert answer.status_code == 200


@pytest.mark.check("G-44")
@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b"{", b"name=Ana", b"\0", b"\xff\xfe", b'{"a":' * 3000, b" " * 20_000],
)
def test_anything_else_is_refused_without_a_reason(
    google_app: Flask,
    town: Rehearsal,
    body: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(google.seldom, "next_at", 0.0)
    for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
        answer = google_app.test_client().post("/google/callback", data=body, content_type=kind)
        assert (answer.status_code, answer.get_data()) == (400, b"")
    assert caplog.text.count("was refused") == 1, "said once, not for everything that anybody sends"
    assert town.holders() == []


@pytest.mark.check("G-49")
def test_google_comes_again_while_its_keys_cannot_be_had(google_app: Flask, town: Rehearsal) -> None:
    _, body = saved(town)
    town.google.go_down()
    answer = google_app.test_client().post("/google/callback", data=body)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_without_google_nobody_listens(app: Flask) -> None:
    assert app.test_client().post("/google/callback", data=b"{}").status_code == 404
    assert app.test_client().get("/google/callback").status_code in (404, 405)


@pytest.mark.check("G-50")
def test_googles_programs_may_read_what_they_need_and_no_card(app: Flask, town: Rehearsal) -> None:
    rules = RobotFileParser()
    rules.parse(app.test_client().get("/robots.txt").get_data(as_text=True).splitlines())
    for agent in ("Googlebot", "Googlebot-Image", "curious"):
        for allowed in ("/google/callback", "/google/copperfinch/0f1e/logo.png", "/join/copperfinch"):
            assert rules.can_fetch(agent, allowed), (agent, allowed)
        for private in ("/card/s3cret", "/card/s3cret/google", "/till/", "/till", "/console/", "/download/x"):
            assert not rules.can_fetch(agent, private), (agent, private)


@pytest.mark.check("G-50")
def test_only_an_https_address_is_written_into_a_class(town: Rehearsal) -> None:
    with town.shop.store.read() as read:
        loaded = programmes.by_slug(read, "copperfinch")
    document = Issuer("1", "https://cards.example.com").class_document(loaded)
    assert document["callbackOptions"] == {"url": "https://cards.example.com/google/callback"}
    with pytest.raises(DocumentInvalid):
        Issuer("1", "http://cards.example.com").class_document(loaded)


@pytest.mark.parametrize("slug", ["copperfinch", "marginalya"])
def test_the_pictures_that_google_fetches_have_its_sizes(
    google_app: Flask, town: Rehearsal, slug: str
) -> None:
    with town.shop.store.read() as read:
        programme = programmes.by_slug(read, slug).programme
    issuer, visitor = town.desk.issuer, google_app.test_client()
    steps = programme.design.steps
    addresses = [
        issuer.logo_address(programme),
        *(issuer.hero_address(programme, n) for n in range(steps + 1)),
    ]
    sizes, bodies = [], []
    for address in addresses:
        answer = visitor.get(address.removeprefix(town.address))
        assert (answer.status_code, answer.content_type) == (200, "image/png")
        assert "immutable" in answer.headers["Cache-Control"]
        bodies.append(answer.get_data())
        with Image.open(io.BytesIO(bodies[-1])) as picture:
            sizes.append(picture.size)
    assert sizes == [(660, 660)] + [(1032, 336)] * (steps + 1)
    assert len(set(bodies)) == len(bodies), "every step is another picture"
    # Its corners are cut off: nothing may stand in the outer 15 percent.
    with Image.open(io.BytesIO(bodies[0])) as logo:
        rim = logo.convert("RGB")
        ground = rim.getpixel((0, 0))
        margin = round(660 * 0.14)
        for x, y in ((n, m) for n in range(0, 660, 6) for m in (0, margin, 659 - margin, 659)):
            assert rim.getpixel((x, y)) == rim.getpixel((y, x)) == ground


def test_an_address_of_an_earlier_drawing_shows_todays_for_a_while(google_app: Flask) -> None:
    visitor = google_app.test_client()
    answer = visitor.get("/google/copperfinch/000000000000/logo.png")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    assert visitor.get("/google/nothing/000000000000/logo.png").status_code == 404
    assert visitor.get("/google/copperfinch/000000000000/hero-51.png").status_code == 404


def test_another_drawing_has_another_address(town: Rehearsal) -> None:
    with town.shop.store.read() as read:
        coffee, books = (programmes.by_slug(read, slug).programme for slug in ("copperfinch", "marginalya"))
    assert google_cards.drawing(coffee) != google_cards.drawing(books)
    assert google_cards.drawing(coffee) == google_cards.drawing(coffee)
    other = replace(coffee, design=replace(coffee.design, steps=coffee.design.steps + 1))
    assert google_cards.drawing(other) != google_cards.drawing(coffee)
