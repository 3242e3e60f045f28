"""Where an owner's console begins: each part of it in one line, and what waits for somebody's look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import access, tills
from passes.access import Role
from passes.loyalty.offers import OfferState
from passes.store import api_keys, offers, registers, team, webhooks
from passes.store.work import Read
from passes.web import console
from passes.web.here import installation, now
from passes.web.language import counted, words

blueprint = Blueprint("overview", __name__, url_prefix="/console")
console.admit(blueprint, Role.MARKETER)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the console: what it is for, how it stands, and in `calls` what waits there for a look."""

    title: str
    purpose: str
    standing: str
    address: str
    calls: str | None = None


@blueprint.get("/")
def home() -> str | AnyResponse:
    """The owner's first page; a marketer's console begins with the offers."""
    if not access.may(console.person(), console.loaded().slug, Role.OWNER):
        return redirect(url_for("offers.every"), 303)
    with installation().store.read() as read:
        parts = [*_shop(read), *_programs(read)]
    return render_template("console/overview.html", parts=parts)


def _shop(read: Read) -> Iterator[Part]:
    loaded = console.loaded()
    live = sum(one.state is OfferState.LIVE for one in offers.published(read, loaded))
    yield Part(
        words("Offers"),
        words("Plan an offer, see what each phone will show, and whether it worked."),
        counted("%(many)s runs now", "%(many)s run now", live, many=live) if live else words("none runs now"),
        url_for("offers.every"),
    )
    standing = tills.every(installation().store, installation().keys, programme=loaded.slug, now=now())
    paired = sum(one.paired_at is not None and one.revoked_at is None for one in standing)
    pins = sum(one.has_pin for one in team.team(read, programme_id=loaded.id))
    devices = counted("%(many)s till", "%(many)s tills", paired, many=paired)
    people = counted("%(many)s person has a PIN", "%(many)s people have a PIN", pins, many=pins)
    odd = len(tills.open_reviews(installation().store, programme=loaded.slug))
    yield Part(
        words("Tills"),
        words("Pair phones and counter PCs, give your people PINs, block a lost till."),
        f"{devices}, {people}" if paired else words("none yet"),
        url_for("tills.every"),
        counted("%(many)s booking waits", "%(many)s bookings wait", odd, many=odd) if odd else None,
    )


def _programs(read: Read) -> Iterator[Part]:
    loaded = console.loaded()
    none = words("none yet")
    linked = sum(row.revoked_at is None for row in registers.every(read, loaded.id))
    orders = sum(registers.count_waiting(read, loaded.id).values())
    yield Part(
        words("Other registers"),
        words("Orders of Shopify, Square and Odoo become purchases here."),
        counted("%(many)s register", "%(many)s registers", linked, many=linked) if linked else none,
        url_for("register_console.every"),
        counted("%(many)s order waits", "%(many)s orders wait", orders, many=orders) if orders else None,
    )
    keys = sum(row.revoked_at is None for row in api_keys.every(read, loaded.id))
    yield Part(
        words("API keys"),
        words("Let a program of yours look members up and book for them."),
        counted("%(many)s key", "%(many)s keys", keys, many=keys) if keys else none,
        url_for("keys.every"),
    )
    told = webhooks.every(read, loaded.id)
    off = sum(one.disabled_at is not None for one in told)
    yield Part(
        words("Webhooks"),
        words("Your own programs hear at once of every purchase and every new member."),
        counted("%(many)s address", "%(many)s addresses", len(told), many=len(told)) if told else none,
        url_for("webhooks.every"),
        counted("%(many)s was stopped", "%(many)s were stopped", off, many=off) if off else None,
    )
    yield Part(
        words("Your card"),
        words("Name, colour, picture, rule and reward of the card, and where customers get it."),
        "",
        url_for("yours.ready"),
    )
    yield Part(
        words("Going live"),
        words("What is still to do before real customers come, seen by this service itself."),
        "",
        url_for("golive.checklist"),
    )
    yield Part(
        words("Under the hood"),
        words("One card's whole story, and why every point is there."),
        "",
        url_for("console_hood.look"),
    )
