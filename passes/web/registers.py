"""Where registers of other makers tell of their orders: Shopify, Square, Odoo.

Their own programs call here, without cookies and without forms: a message is
believed for its signature alone, or for the secret in its address.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import orjson
from flask import Blueprint, Response, request

from passes import registers
from passes.loyalty.refusals import Busy, ProgrammeUnknown, RegisterUnknown, StorageFull
from passes.registers import Event, Kind, Malformed, Opened, odoo, shopify, square
from passes.web.api.operations import number as id_number
from passes.web.google import Seldom
from passes.web.here import installation, now
from passes.wiring import register_books

blueprint = Blueprint("registers", __name__, url_prefix="/registers")

BODY_BYTES_MAX = 2_000_000
RETRY_SECONDS = 60

log = logging.getLogger(__name__)
seldom = Seldom()

Read = Callable[[bytes], Event]


@blueprint.post("/shopify/<slug>/<number>")
def shopify_order(slug: str, number: str) -> Response:
    """An order of a Shopify shop was paid, cancelled or refunded."""

    def genuine(register: Opened, body: bytes) -> bool:
        given = request.headers.get(shopify.SIGNATURE)
        return registers.is_genuine(register, lambda secret: shopify.is_genuine(secret, body, given))

    return _take(Kind.SHOPIFY, slug, number, genuine, lambda _register: shopify.read)


@blueprint.post("/square/<slug>/<number>")
def square_payment(slug: str, number: str) -> Response:
    """A payment at a Square register was completed or refunded."""

    def genuine(register: Opened, body: bytes) -> bool:
        # The address as it was entered at Square, which is the one that people reach us at.
        address = installation().public_url + request.path
        given = request.headers.get(square.SIGNATURE)
        return registers.is_genuine(register, lambda secret: square.is_genuine(secret, address, body, given))

    return _take(Kind.SQUARE, slug, number, genuine, lambda _register: square.read)


@blueprint.post("/odoo/<slug>/<number>/<token>")
def odoo_order(slug: str, number: str, token: str) -> Response:
    """An order of an Odoo point of sale changed."""

    def genuine(register: Opened, _body: bytes) -> bool:
        return registers.knows_token(register, token)

    def reading(register: Opened) -> Read:
        return lambda body: odoo.read(body, currency=register.loaded.programme.currency)

    return _take(Kind.ODOO, slug, number, genuine, reading)


def _take(
    kind: Kind,
    slug: str,
    number: str,
    genuine: Callable[[Opened, bytes], bool],
    reading: Callable[[Opened], Read],
) -> Response:
    # One byte more than is allowed shows that there is too much, without reading it all.
    body = request.stream.read(BODY_BYTES_MAX + 1)
    if len(body) > BODY_BYTES_MAX:
        return _answer(413, "too_large")
    here = installation()
    try:
        register = registers.opened(
            here.store,
            here.keys,
            programme=slug,
            kind=kind,
            register_id=id_number(number, RegisterUnknown),
            now=now(),
        )
        if not genuine(register, body):
            if seldom.is_time():
                log.warning("a message for the register %s is not genuine", register.id)
            return _answer(403, "not_genuine")
        key = registers.digest(body)
        try:
            event = reading(register)(body)
        except Malformed as wrong:
            outcome = registers.keep_malformed(here.store, register, wrong, key=key, now=now())
        else:
            outcome = registers.take(here.store, register, event, key=key, books=register_books(), now=now())
    except (RegisterUnknown, ProgrammeUnknown):
        return _answer(404, "register_unknown")
    except (Busy, StorageFull) as trouble:
        log.warning("a message of a register has to come again: %s", trouble)
        answer = _answer(503, trouble.code)
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
        return answer
    # Refused for good is an answer too: sending it again would change nothing.
    return _answer(200, outcome.state, outcome.why)


def _answer(status: int, state: str, why: str | None = None) -> Response:
    answer = Response(orjson.dumps({"state": state, "why": why}), status, content_type="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer
