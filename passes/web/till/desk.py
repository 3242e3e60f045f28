"""What the till's app asks: JSON under `/till/api`.

The app asks the counter's questions as registers do, and sends all its writes
through the queue, with or without network. Who asks is known from the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, g, request

from passes import access, checkout
from passes.access import Area, Person, Role
from passes.api_keys import Caller, Scope
from passes.loyalty.money import minor_digits
from passes.loyalty.receipt import Receipt
from passes.loyalty.refusals import PlaceMissing, ReceiptUnknown, SignInNeeded
from passes.store import tills as rows
from passes.store.programmes import Loaded
from passes.web import language, signin, theme
from passes.web.api import operations, wire
from passes.web.api.counter import COUNTER
from passes.web.api.openapi import VERSION
from passes.web.api.operations import Asked, Operation
from passes.web.here import installation, now
from passes.web.till import receipts
from passes.web.till.place import Place

blueprint = Blueprint("desk", __name__, url_prefix="/till/api")
operations.speak_json(blueprint)

_EVERYTHING = frozenset(Scope)
# Keys of a till's writes are made of chance, and stay the same whichever way they come in.
_ANY_TILL = 0
_OWN_GUARD = frozenset({"desk.state"})


@dataclass(frozen=True, slots=True)
class Standing:
    """Who asks: the person who is signed in, and where they work."""

    person: Person | None
    place: Place | None

    def caller(self) -> Caller:
        """The same as the counter's operations know it. Raises SignInNeeded, PlaceMissing."""
        if self.person is None:
            raise SignInNeeded()
        if self.place is None:
            raise PlaceMissing()
        return Caller(
            _ANY_TILL,
            "",
            _EVERYTHING,
            self.place.location,
            self.place.loaded,
            channel="in_store",
            person=self.person.login,
        )


@blueprint.before_request
def guard() -> None:
    """Only cashiers in a shop of theirs, and only requests of their own session."""
    person = signin.person(Area.TILL)
    g.standing = Standing(person, _place(person))
    if person is not None and request.method == "POST":
        access.check_form_token(person, request.headers.get("X-Form-Token", ""))
    if request.endpoint not in _OWN_GUARD:
        standing().caller()


def standing() -> Standing:
    """Who asks."""
    found: Standing = g.standing
    return found


def _place(person: Person | None) -> Place | None:
    # A right that was taken away meanwhile counts at once.
    if person is None or person.loaded is None:
        return None
    if not access.may(person, person.loaded.slug, Role.CASHIER):
        return None
    return Place(person.loaded, person.location)


def _asker(operation: Operation) -> Caller:
    return standing().caller()


COUNTER.serve(blueprint, _asker, writes=False)


@blueprint.get("/now")
def state() -> Response:
    """Everything that the app must know to work, and for a while without us."""
    found = standing()
    person, place = found.person, found.place
    return operations.answered(
        {
            "server_time": now(),
            "version": VERSION,
            "paired": False,
            "revoked": False,
            "till": None,
            "person": None if person is None else _person(person, place),
            "form_token": None if person is None else person.form_token,
            "cashiers": [],
            "programme": None if place is None else _programme(place.loaded),
            "rules": None if place is None else _rules(place.loaded),
        },
        200,
    )


def _person(person: Person, place: Place | None) -> dict[str, Any]:
    roles = [] if place is None else [one for one in Role if access.may(person, place.loaded.slug, one)]
    return {"login": person.login, "name": person.name, "roles": roles}


def _programme(loaded: Loaded) -> dict[str, Any]:
    rules, spoken = loaded.programme, language.current()
    decimal, group = language.decimal_signs()
    return {
        "slug": loaded.slug,
        "name": rules.name.in_(spoken),
        "organisation": rules.organisation.in_(spoken),
        "currency": rules.currency,
        "decimals": minor_digits(rules.currency),
        "decimal_sign": decimal,
        "group_sign": group,
        "language": rules.language,
        "zone": rules.zone,
        "theme": theme.address(loaded),
        "unit": {"one": rules.unit.name(1, spoken), "other": rules.unit.name(2, spoken)},
        "code_kind": rules.code_kind,
        "symbologies": [rules.symbology],
        "categories": [{"key": key, "name": name.in_(spoken)} for key, name in rules.category_names],
        "points_per": {"points": rules.earning.points, "amount_minor": rules.earning.per_minor},
        "shops": [{"key": shop.key, "name": shop.name.in_(spoken)} for shop in rules.shops],
    }


def _rules(loaded: Loaded) -> dict[str, Any]:
    rules = loaded.programme
    return {"undo_seconds": rules.undo_seconds, "amount_limit_minor": rules.earning.limit_minor}


@blueprint.get("/mine")
def mine() -> Response:
    """The last twenty bookings of this person."""
    caller = standing().caller()
    assert caller.person is not None
    booked = checkout.recent(installation().store, programme=caller.programme, person=caller.person)
    return operations.answered({"receipts": [_mine(caller.loaded, one) for one in booked]}, 200)


def _mine(loaded: Loaded, receipt: Receipt) -> Mapping[str, Any]:
    card = receipts.card(loaded, receipt)
    return {
        **wire.receipt(receipt),
        "name": None if card is None else card.name,
        "code": None if card is None else card.code,
        "reward_name": receipts.reward_name(loaded, receipt) or None,
        "may_undo": receipt.may_be_undone(now()),
    }


@blueprint.get("/requests/<key>")
def outcome(key: str) -> Response:
    """What became of a write whose answer was lost. Raises ReceiptUnknown where nothing did."""
    caller = standing().caller()
    with installation().store.read() as read:
        answer = rows.answer_to(read, caller.loaded.id, Asked(caller, key).request_key)
    if answer is None:
        raise ReceiptUnknown()
    booked = Receipt.from_json(answer) if answer.startswith("{") else None
    return operations.answered(
        {"key": key, "state": "booked", "answer": None if booked is None else wire.receipt(booked)}, 200
    )
