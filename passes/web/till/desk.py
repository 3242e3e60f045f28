"""What the till's app asks: JSON under `/till/api`.

The app asks the counter's questions as registers do, and sends all its writes
through the queue, with or without network. Who asks is known from the session,
and which till from the cookie of a paired device.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from flask import Blueprint, Response, g, request
from pydantic import Field

from passes import access, artwork, checkout, tills
from passes.access import Area, AtTill, Limit, Person, Role, pins
from passes.api_keys import Caller, Scope
from passes.loyalty import codes, dates
from passes.loyalty.money import minor_digits
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Receipt
from passes.loyalty.refusals import (
    CardForeign,
    CodeUnknown,
    PlaceMissing,
    RequestInvalid,
    SignInNeeded,
    TillRevoked,
    TillUnknown,
    TooManyTries,
)
from passes.store import aliases, purchases
from passes.store import tills as till_rows
from passes.store.instants import instant
from passes.store.programmes import Loaded
from passes.store.work import Row
from passes.tills import Device
from passes.web import language, signin, theme
from passes.web.api import answers, operations, wire
from passes.web.api.counter import COUNTER
from passes.web.api.operations import Operation
from passes.web.here import installation, now
from passes.web.till import items, receipts, shell
from passes.web.till.place import NO_TILL, Place

blueprint = Blueprint("desk", __name__, url_prefix="/till/api")
operations.speak_json(blueprint)

_EVERYTHING = frozenset(Scope)
_OWN_GUARD = frozenset({"desk.state", "desk.sign_in", "desk.lock", "desk.take", "desk.remembered"})
_OWN_PROOF = frozenset({"desk.sign_in"})
_DRAWN_LETTERS_MAX = 500
_MINE_MAX = 20
_REMEMBERED_MAX = 500
FORMER_SYMBOLOGIES = ("code128", "ean13", "code39", "itf", "ean8", "upca", "codabar")
"""Besides a programme's own: the bars that plastic cards carry."""
_CODE_LETTERS_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Standing:
    """Who asks: a paired device, in force or not; who is signed in there; and where that is."""

    device: Device | None
    person: Person | None
    place: Place | None

    @property
    def at(self) -> AtTill | None:
        """The paired till in force, or for a browser without one, the place as if it were one."""
        if (at := signin.at_till()) is not None:
            return at
        return None if self.place is None else AtTill(self.place.loaded.id, NO_TILL, self.place.location)

    def caller(self) -> Caller:
        """The same as the counter's operations know it. Raises TillRevoked, SignInNeeded, PlaceMissing."""
        if self.person is None:
            raise TillRevoked() if self.device is not None and self.device.is_revoked else SignInNeeded()
        if self.place is None:
            raise PlaceMissing()
        is_till = self.device is not None and not self.device.is_revoked
        return caller_at(
            self.place, till=self.device.name if self.device and is_till else "", person=self.person.login
        )


def caller_at(place: Place, *, till: str, person: str) -> Caller:
    """Somebody at a till, as the counter's operations know them."""
    # Keys of a till's writes are made of chance, and stay the same whichever way they come in.
    return Caller(NO_TILL, till, _EVERYTHING, place.location, place.loaded, channel="in_store", person=person)


@blueprint.before_request
def guard() -> None:
    """Only cashiers in a shop of theirs, and only requests of their own session."""
    g.standing = _standing(signin.person(Area.TILL))
    person = standing().person
    if person is not None and request.method == "POST" and request.endpoint not in _OWN_PROOF:
        access.check_form_token(person, request.headers.get("X-Form-Token", ""))
    if request.endpoint not in _OWN_GUARD:
        standing().caller()


def standing() -> Standing:
    """Who asks."""
    found: Standing = g.standing
    return found


def _standing(person: Person | None) -> Standing:
    device = signin.device()
    if device is not None and not device.is_revoked:
        place = Place(device.loaded, device.location)
        return Standing(device, person if _may_serve(person, place) else None, place)
    if person is None or person.loaded is None:
        return Standing(device, person, None)
    place = Place(person.loaded, person.location)
    return Standing(device, person, place if _may_serve(person, place) else None)


def _may_serve(person: Person | None, place: Place) -> bool:
    # Asked each time: a right that was taken away meanwhile counts at once.
    return person is not None and access.may(person, place.loaded.slug, Role.CASHIER)


def _asker(operation: Operation) -> Caller:
    return standing().caller()


COUNTER.serve(blueprint, _asker, writes=False)


@blueprint.errorhandler(CodeUnknown)
@blueprint.errorhandler(CardForeign)
def guessed(refused: CodeUnknown | CardForeign) -> Response:
    """A number that no card has. Whoever tries many of them is let try no more for a while."""
    try:
        count_guess(standing())
    except TooManyTries as enough:
        return operations.refuse(enough)
    return operations.refuse(refused)


def count_guess(found: Standing) -> None:
    """Count a number that no card has. Raises TooManyTries, after as many as on the pages without script."""
    whose = signin.secret(Area.TILL) if found.device is None else f"till {found.device.till_id}"
    access.limit(installation().store, Limit.CODE_SESSION, whose, now=now())


@blueprint.get("/now")
def state() -> Response:
    """Everything that the app must know to work, and for a while without us."""
    found = standing()
    if found.device is not None:
        tills.heard(installation().store, found.device, now=now())
    return operations.answered(_state(found), 200)


def _state(found: Standing) -> dict[str, Any]:
    device, person, place = found.device, found.person, found.place
    is_till = signin.at_till() is not None
    return {
        "server_time": now(),
        "version": shell.version(),
        "paired": device is not None,
        "revoked": device is not None and device.is_revoked,
        "till": None if device is None else _till(device),
        "place": None if place is None else {"location": place.location, "shop_name": place.shop_name},
        "person": None if person is None else _person(person, place),
        "form_token": None if person is None else person.form_token,
        "cashiers": [
            {"login": one.login, "name": one.name, "approves": Role.OWNER in one.roles}
            for one in (signin.cashiers(place.loaded) if place is not None and (is_till or person) else ())
            # Where nobody comes in by PIN, only those who agree to something are asked for theirs.
            if is_till or Role.OWNER in one.roles
        ],
        "programme": None if place is None else _programme(place.loaded),
        "rules": None if place is None else _rules(place.loaded),
    }


def _till(device: Device) -> dict[str, Any]:
    return {
        "id": str(device.till_id),
        "name": device.name,
        "location": device.location,
        "shop_name": Place(device.loaded, device.location).shop_name,
        # For a device that forgot everything but who it is: it counts on from here.
        "sequence": device.sequence,
    }


class PinAsked(wire.Asked):
    """Somebody at the till, with their PIN."""

    login: Annotated[str, Field(max_length=64)]
    pin: Annotated[str, Field(max_length=16)]


class ApprovalAsked(PinAsked):
    """A manager, and the item that they agree to, exactly as it will be sent again."""

    key: wire.Key
    operation: items.OperationName
    path: items.Path = Field(default_factory=dict)
    body: dict[str, Any]


class RememberedAsked(wire.Asked):
    """The codes of the members that a till remembers."""

    codes: Annotated[list[wire.Code], Field(max_length=_REMEMBERED_MAX)]


class DrawingAsked(wire.Asked):
    """An address of ours, to be drawn as a code."""

    text: Annotated[str, Field(max_length=_DRAWN_LETTERS_MAX)]


@blueprint.post("/sign-in")
def sign_in() -> Response:
    """Begin a session with a PIN; whoever worked here before is signed out. Raises TillRevoked, PinWrong …"""
    at = signin.at_till()
    if at is None:
        raise TillRevoked() if standing().device is not None else TillUnknown()
    asked, store = operations.body(PinAsked), installation().store
    began = pins.sign_in(store, at=at, login=asked.login, pin=asked.pin, now=now())
    if before := signin.secret(Area.TILL):
        access.sign_out(store, secret=before, now=now())
    person = access.session(store, secret=began, area=Area.TILL, now=now())
    answer = operations.answered(_state(_standing(person)), 200)
    signin.keep_session(answer, began, Area.TILL)
    return answer


@blueprint.post("/lock")
def lock() -> Response:
    """End this session, if there is one. What the device still holds, it may send without."""
    if standing().person is not None:
        access.sign_out(installation().store, secret=signin.secret(Area.TILL), now=now())
    answer = operations.answered({"locked": True}, 200)
    signin.end_session(answer, Area.TILL)
    return answer


@blueprint.post("/approvals")
def approve() -> Response:
    """A manager agrees to one item, with their PIN. Raises PinWrong, PinLocked, TooManyTries."""
    asked = operations.body(ApprovalAsked)
    items.operation_of(asked.operation)
    caller, at = standing().caller(), standing().at
    amount_minor = asked.body.get("amount_minor")
    assert at is not None
    assert caller.person is not None
    token = pins.approve(
        installation().store,
        installation().keys,
        at=at,
        login=asked.login,
        pin=asked.pin,
        key=asked.key,
        content=items.content_of(asked.operation, asked.path, asked.body),
        about={
            "operation": asked.operation,
            "amount_minor": amount_minor if isinstance(amount_minor, int) else None,
        },
        asked_by=caller.person,
        now=now(),
    )
    return operations.answered({"approval": token}, 200)


@blueprint.post("/remembered")
def remembered() -> Response:
    """Which of the cards that a till remembers were withdrawn: whoever left is forgotten there, too.

    A paired device need not have anybody signed in. It tells nobody which numbers are cards.
    """
    place = standing().place
    loaded = standing().caller().loaded if place is None else place.loaded
    asked = {codes.normalise(one): one for one in operations.body(RememberedAsked).codes}
    with installation().store.read() as read:
        gone = till_rows.withdrawn(read, loaded.id, list(asked))
    return operations.answered({"gone": [one for code, one in asked.items() if code in gone]}, 200)


@blueprint.post("/codes")
def draw() -> Response:
    """A code with an address of ours, for the customer to scan. Sent in a body: it may be a secret one."""
    asked = operations.body(DrawingAsked)
    if not asked.text.startswith(f"{installation().public_url}/"):
        raise RequestInvalid()
    return operations.answered({"svg": artwork.qr_svg(asked.text)}, 200)


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
        "former_symbologies": list(_former_symbologies(loaded)),
        "categories": [{"key": key, "name": name.in_(spoken)} for key, name in rules.category_names],
        "points_per": {"points": rules.earning.points, "amount_minor": rules.earning.per_minor},
        "joining": {
            "email": rules.joining.email,
            "phone": rules.joining.phone,
            "birthday": rules.joining.birthday,
        },
        "shops": [{"key": shop.key, "name": shop.name.in_(spoken)} for shop in rules.shops],
        "tiers": [{"key": tier.key, "name": tier.name.in_(spoken)} for tier in rules.tiers],
        "stamp_reward": None if rules.stamps is None else rules.stamps.name.in_(spoken),
    }


def _former_symbologies(loaded: Loaded) -> tuple[str, ...]:
    """What plastic cards of a former system may be printed in; nothing where no such card is known."""
    with installation().store.read() as read:
        return FORMER_SYMBOLOGIES if aliases.are_there(read, loaded.id) else ()


def _rules(loaded: Loaded) -> dict[str, Any]:
    rules, till = loaded.programme, loaded.programme.till
    return {
        "lock_seconds": till.lock_seconds,
        "back_seconds": till.back_seconds,
        "undo_seconds": rules.undo_seconds,
        "offline_points": till.offline_points,
        "repeat_seconds": till.repeat_seconds,
        "amount_limit_minor": rules.earning.limit_minor,
        "approval_minor": till.approval_minor,
        "lookup": till.lookup,
        "practice": till.practice,
    }


@blueprint.get("/mine")
def mine() -> Response:
    """The last twenty bookings of this person, and their sales of today without a card, newest first."""
    caller = standing().caller()
    assert caller.person is not None
    store, rules = installation().store, caller.loaded.programme
    booked = checkout.recent(store, programme=caller.programme, person=caller.person)
    with store.read() as read:
        sold = purchases.sold_to_guests(
            read,
            caller.loaded.id,
            person=caller.person,
            local_day=dates.day_number(dates.local_date(now(), rules.zone)),
            limit=_MINE_MAX,
        )
    shown = [_mine(caller.loaded, one) for one in booked]
    shown += [_guest_sale(one, rules) for one in sold]
    shown.sort(key=lambda one: one["recorded_at"], reverse=True)
    return operations.answered({"receipts": shown[:_MINE_MAX]}, 200)


def _mine(loaded: Loaded, receipt: Receipt) -> dict[str, Any]:
    card = receipts.card(loaded, receipt)
    return {
        **answers.receipt(receipt),
        "name": None if card is None else card.name,
        "code": None if card is None else receipts.handle(loaded, card),
        "code_end": None if card is None else card.code[-_CODE_LETTERS_SHOWN:],
        "reward_name": receipts.reward_name(loaded, receipt) or None,
        "may_undo": receipt.may_be_undone(now()),
    }


def _guest_sale(row: Row, rules: Programme) -> dict[str, Any]:
    """Goods of it that came back are its undoing: it has no points to reverse."""
    recorded_at = instant(row.recorded_at)
    is_fresh = now() < recorded_at + timedelta(seconds=rules.undo_seconds)
    return {
        "id": str(row.id),
        "kind": "sale",
        "points": 0,
        "amount_minor": row.net_minor,
        "currency": rules.currency,
        "recorded_at": recorded_at,
        "occurred_at": instant(row.occurred_at),
        "undone_by": None if row.returned_by is None else str(row.returned_by),
        "name": None,
        "code": None,
        "code_end": None,
        "reward_name": None,
        "may_undo": is_fresh and row.returned_by is None,
    }


@blueprint.get("/requests/<key>")
def outcome(key: str) -> Response:
    """What became of a write whose answer was lost. Raises ReceiptUnknown where nothing did."""
    booked = items.outcome(standing().caller(), key)
    return operations.answered(
        {"key": key, "state": "booked", "answer": None if booked is None else booked.told()}, 200
    )
