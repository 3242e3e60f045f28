"""Owners: set tills up, pair and block them, give PINs, decide what tills could not book by themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from passes import artwork, checkout, tills
from passes.access import Person, Role, own_cards, pins
from passes.loyalty import codes
from passes.loyalty.refusals import AlreadyDecided, Refused
from passes.store import members, team
from passes.store.instants import instant_or_none
from passes.store.programmes import Loaded
from passes.tills import Review, Till, Why
from passes.web import console, language
from passes.web.api import operations
from passes.web.errors import status_of
from passes.web.here import installation, now
from passes.web.till import items
from passes.web.till.desk import caller_at
from passes.web.till.items import ItemAsked
from passes.web.till.place import Place

blueprint = Blueprint("tills", __name__, url_prefix="/console/tills")
console.admit(blueprint, Role.OWNER)

_NUMBER = f"int(max={2**63 - 1})"


@blueprint.get("/")
def every() -> str:
    """All tills, what waits to be looked at, and the people."""
    return _page()


# Tills -------------------------------------------------------------------------


@blueprint.post("/")
def set_up() -> AnyResponse | tuple[str, int]:
    """A new till; its code shows on the page for ten minutes."""
    return _done(
        lambda: tills.set_up(
            installation().store,
            installation().keys,
            programme=console.loaded().slug,
            name=request.form.get("name", ""),
            location=request.form.get("location") or None,
            by=console.person().id,
            now=now(),
        ),
        at="add",
    )


@blueprint.post(f"/<{_NUMBER}:number>/code")
def new_code(number: int) -> AnyResponse | tuple[str, int]:
    """Let another device be paired with a till."""
    return _done(
        lambda: tills.new_code(
            installation().store,
            installation().keys,
            programme=console.loaded().slug,
            till_id=number,
            by=console.person().id,
            now=now(),
        )
    )


@blueprint.post(f"/<{_NUMBER}:number>/revoke")
def revoke(number: int) -> AnyResponse | tuple[str, int]:
    """Block a till at once."""
    return _done(
        lambda: tills.revoke(
            installation().store,
            programme=console.loaded().slug,
            till_id=number,
            by=console.person().id,
            now=now(),
        )
    )


# People ------------------------------------------------------------------------


@blueprint.post("/people/pin")
def give_pin() -> AnyResponse | tuple[str, int]:
    """Give somebody a PIN, or with an empty one take it away."""
    return _done(
        lambda: pins.set_pin(
            installation().store,
            programme=console.loaded().slug,
            login=request.form.get("login", ""),
            pin=None if "take" in request.form else request.form.get("pin", ""),
            by=console.person().id,
            now=now(),
        ),
        at="pin",
    )


@blueprint.post("/people/card")
def link_card() -> AnyResponse | tuple[str, int]:
    """Say that a card is somebody's own."""
    return _done(
        lambda: own_cards.link(
            installation().store,
            programme=console.loaded().slug,
            login=request.form.get("login", ""),
            code=request.form.get("code", ""),
            by=console.person().id,
            now=now(),
        ),
        at="card",
    )


@blueprint.post(f"/people/card/<{_NUMBER}:number>/remove")
def unlink_card(number: int) -> AnyResponse | tuple[str, int]:
    """Say that a card is not somebody's own after all."""
    return _done(
        lambda: own_cards.unlink(
            installation().store,
            programme=console.loaded().slug,
            login=request.form.get("login", ""),
            member_id=number,
            by=console.person().id,
            now=now(),
        )
    )


# What waits to be looked at ----------------------------------------------------


@blueprint.post(f"/reviews/<{_NUMBER}:number>/book")
def book(number: int) -> AnyResponse | tuple[str, int]:
    """Book what a till did, as its cashier would have. Asked twice, it is booked once."""
    return _done(lambda: book_review(console.loaded(), number, by=console.person()), at="reviews")


@blueprint.post(f"/reviews/<{_NUMBER}:number>/dismiss")
def dismiss(number: int) -> AnyResponse | tuple[str, int]:
    """Do not book it; the till hears that."""
    return _done(
        lambda: tills.dismiss(
            installation().store,
            programme=console.loaded().slug,
            review_id=number,
            by=console.person().login,
            staff_id=console.person().id,
            note=request.form.get("note", ""),
            now=now(),
        ),
        at="reviews",
    )


def book_review(loaded: Loaded, number: int, *, by: Person) -> None:
    """Run the operation that waits, with the owner's word for it. Raises what the operation refuses."""
    store = installation().store
    waiting = tills.review(store, programme=loaded.slug, review_id=number)
    if waiting.state != "open":
        raise AlreadyDecided
    item = operations.checked(ItemAsked, json.dumps(waiting.content["item"]).encode())
    place = Place(loaded, waiting.location)
    caller = caller_at(place, till=waiting.till, person=waiting.person or "")
    answer, _ = items.book(caller, item, occurred_at=waiting.occurred_at, approved_by=by.login, is_meant=True)
    tills.book(
        store,
        programme=loaded.slug,
        review_id=number,
        receipt_id=int(answer["id"]) if "id" in answer else None,
        by=by.login,
        staff_id=by.id,
        now=now(),
    )


# The page ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody as the page shows them, whether they serve at tills, and their own cards by member id."""

    login: str
    name: str
    roles: str
    serves: bool
    has_pin: bool
    active_at: Any
    cards: tuple[tuple[int, str], ...]


def _done(do: Callable[[], object], *, at: str = "") -> AnyResponse | tuple[str, int]:
    try:
        do()
    except Refused as refused:
        return _page(refused=refused, at=at), status_of(refused)
    return redirect(url_for("tills.every"), 303)


def _page(*, refused: Refused | None = None, at: str = "") -> str:
    here, loaded = installation(), console.loaded()
    reviews = tills.open_reviews(here.store, programme=loaded.slug)
    people = _people(loaded)
    names = {one.login: one.name for one in people}
    return render_template(
        "console/tills.html",
        tills=tills.every(here.store, here.keys, programme=loaded.slug, now=now()),
        reviews=[
            (one, what(loaded, one), _whose(loaded, one), names.get(one.person or "", one.person), why(one))
            for one in reviews
        ],
        people=people,
        shop_names={shop.key: shop.name.in_(language.current()) for shop in loaded.programme.shops},
        refused=refused,
        refused_at=at,
        typed=request.form if refused and at == "add" else {},
        drawn=_drawn,
        spoken=_spoken,
    )


def _people(loaded: Loaded) -> list[Colleague]:
    with installation().store.read() as read:
        everybody = team.team(read, programme_id=loaded.id)
        linked = {
            staff_id: tuple((row.member_id, row.name or "") for row in rows)
            for staff_id, rows in groupby(
                team.own_cards(read, programme_id=loaded.id), key=lambda row: int(row.staff_id)
            )
        }
    return [
        Colleague(
            one.login,
            one.name,
            ", ".join(_role(role) for role in one.roles),
            bool({Role.CASHIER, Role.OWNER} & set(one.roles)),
            one.has_pin,
            instant_or_none(one.active_at),
            linked.get(one.id, ()),
        )
        for one in everybody
    ]


def _role(role: str) -> str:
    return {
        Role.CASHIER: language.words("Cashier: books at the till"),
        Role.MARKETER: language.words("Marketer: plans offers"),
        Role.OWNER: language.words("Owner: may do everything"),
    }[Role(role)]


def _drawn(till: Till) -> Markup:
    """The address that pairs a device, to be scanned with it."""
    path = url_for("pairing.form", code=till.code)
    return Markup(artwork.qr_svg(f"{installation().public_url}{path}"))


def _spoken(code: str) -> str:
    return f"{code[:4]}-{code[4:]}"


def what(loaded: Loaded, review: Review) -> str:
    """What a till did, in words."""
    body = review.content["item"]["body"]
    amount = body.get("amount_minor")
    money = language.money(amount, loaded.programme.currency) if isinstance(amount, int) else ""
    reward = next((one for one in loaded.programme.rewards if one.key == body.get("reward")), None)
    return {
        "bookPurchase": language.words("Purchase of %(amount)s", amount=money),
        "bookSale": language.words("Sale of %(amount)s without a card", amount=money),
        "redeemReward": language.words(
            "Reward “%(reward)s”", reward=reward.name.in_(language.current()) if reward else "?"
        ),
        "useReward": language.words("Gift used"),
        "takeBackGoods": language.words("Goods taken back"),
        "undoReceipt": language.words("Booking undone"),
        "claimSale": language.words("Points claimed for a sale"),
        "enrolMember": language.words("New member “%(name)s”", name=str(body.get("name", ""))),
    }.get(review.operation, review.operation)


def _whose(loaded: Loaded, review: Review) -> str:
    """The name of the member whom it is about; empty where the card is nobody's, or no card was there."""
    code, here = review.content["item"]["body"].get("code"), installation()
    if not isinstance(code, str):
        return ""
    try:
        # Whoever was found by name is told by what held when it was made, not when it is looked at.
        card, _ = checkout.card_of(here.store, loaded, code, keys=here.keys, now=review.occurred_at)
    except Refused:
        return ""
    with here.store.read() as read:
        member_id = team.member_of_code(read, programme_id=loaded.id, code=codes.normalise(card))
        return "" if member_id is None else members.name_of(read, loaded.id, member_id).value() or ""


def why(review: Review) -> str:
    """Why somebody has to look at it, in words."""
    if refused := review.content.get("refused"):
        return language.words(refused["words"], **refused["values"])
    return {
        Why.TILL_REVOKED: language.words("The till was blocked before this came."),
        Why.SEQUENCE_CLASH: language.words(
            "Another device sent something under the same number: this one may be a copy."
        ),
        Why.PERSON_NEVER_HERE: language.words("This person had not signed in at this till."),
        Why.MADE_TOO_EARLY: language.words("It is older than what the till had sent before."),
        Why.MADE_IN_FUTURE: language.words("By the till's clock it has not happened yet."),
    }[Why(review.why)]
