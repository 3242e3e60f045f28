"""What strangers and unlucky people do to customers' pages and letters: refused, or right in the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from app import create_app
from passes import correspondence, enrolment, membership
from passes.correspondence import LINKS_A_DAY, send_due
from passes.emulators.browsing import Answer, Astray, follow
from passes.emulators.google_objects import OBJECT
from passes.emulators.seats import kind_of
from passes.enrolment import Joined
from passes.google.wallet import Wanted
from passes.loyalty.refusals import LinkUnknown
from passes.mail import Letter, Outcome, Taken
from passes.membership import Known, Link
from passes.store import Store
from passes.wallet import Install
from passes.wiring import Installation
from tests.google.rehearsal import rehearsal
from tests.shop import COFFEE, KEYS, Shop, open_shop

ANA = "ana@shop.example"
URL = "https://cards.shop.example"
HOUR = timedelta(hours=1)


@dataclass
class Post:
    """A mail server that takes everything."""

    letters: list[Letter] = field(default_factory=list)

    def deliver(self, letters: Sequence[Letter]) -> Iterator[tuple[int, Outcome]]:
        for letter in letters:
            self.letters.append(letter)
            yield letter.key, Taken()

    def check(self) -> str | None:
        return None


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    return open_shop(store, now)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def visitor(shop: Shop) -> FlaskClient:
    """Somebody's browser, at pages that sign nothing."""
    office: Any = None
    return create_app(
        Installation(
            store=shop.store,
            keys=KEYS,
            office=office,
            clock=lambda: shop.now,
            public_url=URL,
            development=False,
            phone_url=None,
        )
    ).test_client()


def send(shop: Shop, post: Post) -> None:
    """What the worker does at once."""
    send_due(shop.store, post, keys=KEYS, public_url=URL, now=shop.now)


def link_of(shop: Shop, joined: Joined) -> Link:
    return membership.link(shop.store, secret=joined.link_secret)


def writes(shop: Shop, joined: Joined, email: str) -> None:
    """The member says on their page that this is their address."""
    known = Known("Eve", email, None, None)
    membership.correct(shop.store, link_of(shop, joined), known=known, now=shop.now)


# Somebody else's mail box ----------------------------------------------------------------


def test_who_joins_and_leaves_over_and_over_does_not_fill_a_mail_box(shop: Shop, post: Post) -> None:
    for _ in range(LINKS_A_DAY + 3):
        eve = shop.join("Eve", email=ANA, letters=True)
        send(shop, post)
        membership.leave(shop.store, link_of(shop, eve), now=shop.now)
    assert len(post.letters) == LINKS_A_DAY


def test_who_joins_and_takes_another_address_over_and_over_does_not_fill_a_mail_box(
    shop: Shop, post: Post
) -> None:
    for number in range(LINKS_A_DAY + 3):
        eve = shop.join("Eve", email=ANA, letters=True)
        send(shop, post)
        writes(shop, eve, f"eve{number}@elsewhere.example")
    assert len(post.letters) == LINKS_A_DAY


def test_many_spellings_of_one_mail_box_are_one_mail_box(shop: Shop, post: Post) -> None:
    for number in range(LINKS_A_DAY + 3):
        shop.join("Eve", email=f"ana+{number}@shop.example", letters=True)
    shop.join("Eve", email="ana@shop.ｅxample", letters=True)
    shop.join("Eve", email="ａna@shop.example", letters=True)
    send(shop, post)
    assert len(post.letters) == LINKS_A_DAY


def test_who_sends_their_own_card_to_somebody_cannot_use_up_that_persons_way_back(
    shop: Shop, post: Post
) -> None:
    impostors = [shop.join(f"Eve {number}") for number in range(LINKS_A_DAY + 1)]
    owner = shop.join("Ana Reyes", email=ANA)
    for eve in impostors:
        writes(shop, eve, ANA)
        membership.send_card(shop.store, link_of(shop, eve), now=shop.now)
    send(shop, post)
    assert len(post.letters) == LINKS_A_DAY
    post.letters.clear()
    correspondence.ask_for_card(shop.store, programme=COFFEE, email=ANA, now=shop.now)
    send(shop, post)
    assert any(owner.link_secret in letter.text for letter in post.letters)


# A flood ---------------------------------------------------------------------------------------


def test_one_line_of_ipv6_is_one_visitor_and_so_is_each_address_of_ipv4(visitor: FlaskClient) -> None:
    def joins(place: str) -> int:
        return visitor.post("/join/copperfinch", environ_base={"REMOTE_ADDR": place}).status_code

    tried = [joins(f"2001:db8:1:2:{number:x}::1") for number in range(121)]
    assert tried == [422] * 120 + [429]
    assert joins("2001:db8:1:3::1") == 422
    assert joins("::ffff:192.0.2.1") == joins("::ffff:192.0.2.2") == joins("192.0.2.3") == 422


# Addresses that carry too much ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["utm_source", "fbclid"])
@pytest.mark.parametrize("page", ["/join/copperfinch", "/join/copperfinch/code.svg"])
def test_an_address_with_more_than_a_code_can_hold_still_opens(
    visitor: FlaskClient, page: str, name: str
) -> None:
    query = {name: "😀" * 2000, "utm_medium": "😀" * 2000, "utm_campaign": "😀" * 2000, "at": "west-loop"}
    assert visitor.get(page, query_string=query).status_code == 200


# Google, which takes its time -------------------------------------------------------------------


class Died(Exception):
    """A worker was killed."""


@pytest.mark.parametrize("dies", [False, True])
def test_a_change_on_its_way_while_somebody_leaves_does_not_keep_their_name_at_google(
    shop: Shop, dies: bool
) -> None:
    with rehearsal(shop) as town:
        card, _, object_id = town.a_held_card("Zuleyka Ferrer")
        secret = KEYS.link_secret("k1", card.card_id, 1)
        name = Known("Zuleyka Ferrer Santos", None, None, None)
        membership.correct(shop.store, membership.link(shop.store, secret=secret), known=name, now=shop.now)
        worker = town.another_worker()
        prepared = worker.wallet._wanted_of

        def prepared_late(install: Install) -> Wanted | None:
            wanted = prepared(install)
            membership.leave(shop.store, membership.link(shop.store, secret=secret), now=shop.now)
            assert town.upkeep.run_due(now=shop.now).erased == 1
            return wanted

        def die(_: object) -> NoReturn:
            raise Died

        worker.wallet._wanted_of = prepared_late
        if dies:
            worker._settled = die  # type: ignore[method-assign, assignment]
        with suppress(Died):
            town.deliver(worker)
        worker.close()
        for _ in range(3):
            shop.now += timedelta(minutes=11)
            town.upkeep.run_due(now=shop.now)
            town.deliver()
        assert "Zuleyka" not in json.dumps(town.google.resources.get(OBJECT, object_id))
        assert town.told(object_id).erased


# A card that is over ------------------------------------------------------------------------


def test_the_browser_of_whoever_left_is_not_led_to_a_card_that_is_gone(shop: Shop) -> None:
    ana = shop.join("Ana Reyes")
    membership.leave(shop.store, link_of(shop, ana), now=shop.now)
    with pytest.raises(LinkUnknown):
        enrolment.card_by_secret(shop.store, secret=ana.link_secret)


# What a log must not hold ---------------------------------------------------------------------


def test_a_browsers_report_about_a_card_page_does_not_bring_its_address_into_the_log(
    visitor: FlaskClient, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    secret = shop.join("Ana Reyes").link_secret
    for path in (
        f"/card/{secret}",
        f"/card/{secret}/details?done=link",
        f"/download/{secret}",
        f"\\/card\\/{secret}",
    ):
        body = f'{{"csp-report": {{"document-uri": "https://cards.shop.example{path}"}}}}'
        assert visitor.post("/csp-report", data=body).status_code == 204
    assert len(caplog.records) == 4
    assert secret not in caplog.text
    assert "/card/" in caplog.text


# The virtual phone -----------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["http://[::1", "http://[", "https://shop.example]/"])
@pytest.mark.parametrize("led_astray", [False, True])
def test_what_only_looks_like_an_address_is_refused_in_words(link: str, led_astray: bool) -> None:
    def fetch(address: str) -> Answer:
        return Answer(302, {"location": link}, b"")

    with pytest.raises(Astray):
        follow("http://127.0.0.1/" if led_astray else link, fetch, wallet="Apple", arrived=_knows)
    assert kind_of(link) is None


def _knows(address: str) -> bool:
    return urlsplit(address).path == "/there"
