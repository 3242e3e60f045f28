"""The pages on the tests' small shop, with Cy at the coffee till and Dee in the bookshop."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from flask import Flask

from app import create_app
from passes import access
from passes.access import Grant, PasswordCost, Role
from passes.apple import certificates, signing
from passes.issuing import Office
from passes.store import Store
from passes.wiring import DEVELOPMENT_TEAM, Installation
from tests.shop import BOOKS, COFFEE, KEYS, PASS_TYPE, Shop, open_shop
from tests.web.visitor import Page, Visitor

CHEAP = PasswordCost(memory_kib=64, passes=1, lanes=1)
PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Who signs cards, with a throw-away chain."""
    folder = tmp_path_factory.mktemp("chain") / "dev"
    made_at = datetime.fromisoformat("2026-03-01T00:00:00+00:00")
    certificates.make_development_chain(folder, pass_type=PASS_TYPE, team=DEVELOPMENT_TEAM, now=made_at)
    signer = signing.load(
        certificate=(folder / "pass.pem").read_bytes(),
        key=(folder / "pass.key").read_bytes(),
        intermediate=(folder / "wwdr.pem").read_bytes(),
        now=datetime.fromisoformat("2026-03-14T00:00:00+00:00"),
    )
    return Office(signer=signer, keys=KEYS, web_service_url="http://127.0.0.1:8000/apple", allow_http=True)


@pytest.fixture
def house(store: Store, now: datetime) -> Shop:
    """Both shops with their staff, on both databases. Its `now` is the pages' clock."""
    shop = open_shop(store, now)
    for login, name, grants in (
        ("cy", "Cy", [Grant(COFFEE, Role.CASHIER)]),
        ("dee", "Dee", [Grant(BOOKS, Role.CASHIER)]),
        ("mo", "Mo", [Grant(COFFEE, Role.MARKETER)]),
    ):
        access.add_staff(store, login=login, name=name, password=PASSWORD, grants=grants, now=now, cost=CHEAP)
    return shop


@pytest.fixture
def installation(house: Shop, office: Office) -> Installation:
    return Installation(
        store=house.store,
        keys=KEYS,
        office=office,
        clock=lambda: house.now,
        public_url="http://127.0.0.1:8000",
        development=True,
        phone_url="http://127.0.0.1:8001",
    )


_made: dict[str, Flask] = {}


def application(kind: str, installation: Installation) -> Flask:
    """The application of this kind, as new, on this test's installation.

    Made once: two hundred addresses take longer to compile than most tests to run. What
    it remembers by itself is forgotten, and everything else stands in the installation.
    """
    if kind not in _made:
        _made[kind] = create_app(installation)
    app = _made[kind]
    for name in ("passes_api_pace", "passes_known_keys", "passes_join_tally"):
        app.extensions[name] = type(app.extensions[name])()
    app.extensions.pop("passes reports", None)
    app.extensions["passes"] = installation
    return app


@pytest.fixture
def app(installation: Installation) -> Flask:
    """The whole application, in development."""
    return application("development", installation)


@pytest.fixture
def live(installation: Installation) -> Flask:
    """The whole application, in production under https."""
    return application(
        "live",
        replace(installation, development=False, public_url="https://cards.shop.example", phone_url=None),
    )


@pytest.fixture
def ana(app: Flask) -> Visitor:
    """A customer's browser."""
    return Visitor(app)


@pytest.fixture
def cy(app: Flask) -> Visitor:
    """Cy at the till in West Loop, signed in."""
    visitor = Visitor(app)
    signed_in(visitor, "cy")
    place = visitor.get("/till/").form("place", f"{COFFEE}/west-loop")
    visitor.post(place.address, {**place.values, "place": f"{COFFEE}/west-loop"})
    return visitor


@pytest.fixture
def mo(app: Flask) -> Visitor:
    """Mo in the console, signed in as the coffee shop's marketer."""
    visitor = Visitor(app)
    form = visitor.get("/console/sign-in").form("login")
    visitor.send(form, follow=False, login="mo", password=PASSWORD)
    return visitor


def signed_in(visitor: Visitor, login: str, password: str = PASSWORD) -> Page:
    """Sign in to the till."""
    return visitor.send(visitor.get("/till/sign-in").form("login"), login=login, password=password)
