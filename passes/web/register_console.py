"""Owners: let registers of other makers tell us of their orders, and see what became of each message."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import registers
from passes.access import Role
from passes.loyalty.refusals import Refused
from passes.registers import Kind, Register
from passes.web import console
from passes.web.errors import status_of
from passes.web.here import installation, now
from passes.wiring import register_books

blueprint = Blueprint("register_console", __name__, url_prefix="/console/registers")
console.admit(blueprint, Role.OWNER)

KINDS = {Kind.SHOPIFY: "Shopify", Kind.SQUARE: "Square", Kind.ODOO: "Odoo"}
"""Names of makers are the same in every language."""


@blueprint.get("/")
def every() -> str:
    """All registers."""
    return _every()


@blueprint.post("/")
def add() -> AnyResponse | tuple[str, int]:
    """Add one."""
    try:
        kind = Kind(request.form.get("kind", ""))
    except ValueError:
        kind = Kind.SHOPIFY
    try:
        number = registers.add(
            installation().store,
            installation().keys,
            programme=console.loaded().slug,
            kind=kind,
            name=request.form.get("name", ""),
            secret=request.form.get("secret", ""),
            locations=request.form.get("locations", ""),
            categories=request.form.get("categories", ""),
            by=console.person().id,
            now=now(),
        )
    except Refused as refused:
        return _every(refused=refused, typed=request.form.to_dict(), kind=kind), status_of(refused)
    return redirect(url_for("register_console.show", number=number), 303)


@blueprint.get("/<int:number>")
def show(number: int) -> str:
    """Its address, its lists, its last messages."""
    return _show(_one(number))


@blueprint.post("/<int:number>/lists")
def change(number: int) -> AnyResponse | tuple[str, int]:
    """Replace what its locations and articles are here."""
    lists = {name: request.form.get(name, "") for name in ("locations", "categories")}
    try:
        registers.change(
            installation().store,
            programme=console.loaded().slug,
            register_id=number,
            **lists,
            by=console.person().id,
            now=now(),
        )
    except Refused as refused:
        return _show(_one(number), refused=refused, lists=lists), status_of(refused)
    return redirect(url_for("register_console.show", number=number), 303)


@blueprint.post("/<int:number>/retry")
def retry(number: int) -> AnyResponse | tuple[str, int]:
    """Try a message again."""
    try:
        registers.retry(
            installation().store,
            programme=console.loaded().slug,
            register_id=number,
            message_key=request.form.get("message", ""),
            books=register_books(),
            by=console.person().id,
            now=now(),
        )
    except Refused as refused:
        return _show(_one(number), refused=refused), status_of(refused)
    return redirect(url_for("register_console.show", number=number, _anchor="messages"), 303)


@blueprint.post("/<int:number>/secret")
def renew(number: int) -> AnyResponse | tuple[str, int]:
    """Believe another secret, or make another address."""
    here = installation()
    try:
        registers.renew(
            here.store,
            here.keys,
            programme=console.loaded().slug,
            register_id=number,
            secret=request.form.get("secret", ""),
            by=console.person().id,
            now=now(),
        )
    except Refused as refused:
        return _show(_one(number), refused=refused), status_of(refused)
    return redirect(url_for("register_console.show", number=number), 303)


@blueprint.post("/<int:number>/remove")
def remove(number: int) -> AnyResponse:
    """Listen to it no longer."""
    registers.remove(
        installation().store,
        programme=console.loaded().slug,
        register_id=number,
        by=console.person().id,
        now=now(),
    )
    return redirect(url_for("register_console.every"), 303)


def _one(number: int) -> Register:
    return registers.one(
        installation().store, installation().keys, programme=console.loaded().slug, register_id=number
    )


def _every(
    *, refused: Refused | None = None, typed: dict[str, str] | None = None, kind: Kind = Kind.SHOPIFY
) -> str:
    # A secret that was refused is typed again: no page of ours holds one.
    return render_template(
        "console/registers.html",
        registers=registers.every(installation().store, installation().keys, programme=console.loaded().slug),
        kinds=KINDS,
        kind=kind,
        typed={**dict.fromkeys(("name", "locations", "categories"), ""), **(typed or {}), "secret": ""},
        refused=refused,
    )


def _show(register: Register, *, refused: Refused | None = None, lists: dict[str, str] | None = None) -> str:
    here, slug = installation(), console.loaded().slug
    places = register.places
    return render_template(
        "console/register.html",
        register=register,
        maker=KINDS[register.kind],
        address=registers.address(here.public_url, slug, register),
        lists=lists
        or {
            "locations": registers.as_lines(places.locations),
            "categories": registers.as_lines(places.categories),
        },
        natures=registers.NATURES,
        messages=registers.latest(here.store, programme=slug, register_id=register.id),
        refused=refused,
    )
